//! What a person clicks comes as a form with one field, which holds JSON.

use serde_json::Value;
use sidenote_plugin::json;

const FIELD: &[u8] = b"payload=";

/// The JSON in the field `payload` of a form; `None` for a body that is none.
pub(crate) fn payload(body: &[u8]) -> Option<Value> {
    let fields = body.split(|byte| *byte == b'&');
    let field = fields.filter_map(|field| field.strip_prefix(FIELD)).next()?;
    json::parse(&decoded(field)).ok().filter(Value::is_object)
}

/// Whether a body is a form with that field.
pub(crate) fn is_form(body: &[u8]) -> bool {
    body.starts_with(FIELD)
}

fn decoded(field: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((byte, more)) = rest.split_first() {
        rest = more;
        match (byte, more) {
            (b'+', _) => bytes.push(b' '),
            (b'%', [high, low, after @ ..]) => match (digit(*high), digit(*low)) {
                (Some(high), Some(low)) => {
                    bytes.push(high << 4 | low);
                    rest = after;
                }
                _ => bytes.push(b'%'),
            },
            _ => bytes.push(*byte),
        }
    }
    bytes
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_payload_is_read_out_of_its_form() {
        let form = b"payload=%7B%22text%22%3A%22Ja%2C+gern+%C3%BC%25%22%7D&other=1";
        assert!(is_form(form));
        assert_eq!(payload(form), Some(json!({ "text": "Ja, gern ü%" })));
        for odd in [
            &b""[..],
            b"payload",
            b"payload=",
            b"payload=%",
            b"payload=%7",
            b"payload=%zz",
            b"payload=7",
            b"{}",
        ] {
            assert_eq!(payload(odd), None, "{odd:?}");
        }
        assert!(!is_form(b"{\"payload\":1}"));
    }
}
