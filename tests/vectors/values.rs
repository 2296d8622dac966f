//! Values of the vectors that JSON can't hold: `{"$int":…}`, `{"$wtf8_hex":…}`, `{"$repeat":…}`, keys
//! `$key:<type>:<text>`, `{"$float":…}`.

use serde_json::{Map, Number, Value};

/// The value as our side may see it.
///
/// An integer beyond 64 bits becomes a float, an unpaired surrogate U+FFFD, a key its text, and a float
/// that JSON can't hold `null`, as reading an event does it.
pub(crate) fn input(value: &Value) -> Value {
    decode(value, true)
}

/// The value that is expected: as [`input`], but a float that JSON can't hold stays as it is written, so
/// that nothing is equal to it.
pub(crate) fn expected(value: &Value) -> Value {
    decode(value, false)
}

/// A number, also one that JSON can't hold; `true` is 1.
pub(crate) fn float(value: &Value) -> Option<f64> {
    match value.get("$float").and_then(Value::as_str) {
        None => value.as_f64().or_else(|| value.as_bool().map(|value| f64::from(u8::from(value)))),
        Some("nan") => Some(f64::NAN),
        Some("inf") => Some(f64::INFINITY),
        Some("-inf") => Some(f64::NEG_INFINITY),
        Some(other) => panic!("unknown float {other}"),
    }
}

/// Whether autoplay-sdk takes the value for a yes: null, `false`, 0 and what is empty are a no.
pub(crate) fn is_yes(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(value) => *value,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
    }
}

fn decode(value: &Value, is_input: bool) -> Value {
    match value {
        Value::Array(items) => items.iter().map(|item| decode(item, is_input)).collect(),
        Value::Object(fields) => special(fields, is_input).unwrap_or_else(|| {
            let fields =
                fields.iter().map(|(key, value)| (decode_key(key), decode(value, is_input)));
            Value::Object(fields.collect())
        }),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    }
}

fn special(fields: &Map<String, Value>, is_input: bool) -> Option<Value> {
    let (key, value) = fields.iter().next().filter(|_| fields.len() == 1)?;
    match key.as_str() {
        "$float" => is_input.then_some(Value::Null),
        "$int" => Some(integer(value.as_str().expect("$int is text"))),
        "$wtf8_hex" => Some(Value::String(wtf8(value.as_str().expect("$wtf8_hex is text")))),
        "$repeat" => {
            let count = value["count"].as_u64().expect("$repeat has a count");
            let count = usize::try_from(count).expect("the count fits into memory");
            Some(Value::String(value["char"].as_str().expect("$repeat has a char").repeat(count)))
        }
        _ => None,
    }
}

fn integer(text: &str) -> Value {
    let whole =
        text.parse::<u64>().map(Number::from).or_else(|_| text.parse::<i64>().map(Number::from));
    let number = whole.ok().or_else(|| Number::from_f64(text.parse().expect("$int is a number")));
    number.map_or(Value::Null, Value::Number)
}

/// Text in generalised UTF-8: each surrogate, three bytes from 0xED 0xA0, becomes U+FFFD.
fn wtf8(hex: &str) -> String {
    let digits =
        |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).expect("$wtf8_hex is hexadecimal");
    let bytes: Vec<u8> = (0..hex.len()).step_by(2).map(digits).collect();
    let mut out = String::new();
    let mut rest = bytes.as_slice();
    while !rest.is_empty() {
        match std::str::from_utf8(rest) {
            Ok(text) => {
                out.push_str(text);
                break;
            }
            Err(error) => {
                let (text, behind) = rest.split_at(error.valid_up_to());
                out.push_str(std::str::from_utf8(text).expect("it was checked"));
                assert!(
                    matches!(behind, [0xED, 0xA0..=0xBF, 0x80..=0xBF, ..]),
                    "only surrogates are not UTF-8"
                );
                out.push('\u{FFFD}');
                rest = &behind[3..];
            }
        }
    }
    out
}

/// `$key:int:5` is the key 5 of another type than text: here it is its text.
fn decode_key(key: &str) -> String {
    match key.strip_prefix("$key:").and_then(|typed| typed.split_once(':')) {
        Some((_, text)) => text.to_owned(),
        None => key.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn special_values_are_decoded_wherever_they_stand() {
        let coded = json!({
            "$key:int:5": [{"$int": "7"}, {"$int": "-9223372036854775808"}, {"$int": "1180591620717411303424"}],
            "a": {"$wtf8_hex": "61eda080eda08162"},
            "b": {"$repeat": {"char": "é", "count": 3}},
            "c": {"$float": "nan"},
        });
        let read = json!({"5": [7, i64::MIN, 1180591620717411303424.0], "a": "a\u{FFFD}\u{FFFD}b", "b": "ééé", "c": null});
        assert_eq!(input(&coded), read);
        assert_eq!(expected(&coded)["c"], json!({"$float": "nan"}));
        assert_eq!(float(&json!({"$float": "-inf"})), Some(f64::NEG_INFINITY));
        assert_eq!(float(&json!(true)), Some(1.0));
    }
}
