//! How an answer's body is encoded. None of the host's clients decodes: each asks for the plain body, and says
//! so in words where it gets another.

use reqwest::header::{CONTENT_ENCODING, HeaderMap};

/// What every request of the host's own clients asks for in `accept-encoding`.
pub(crate) const PLAIN: &str = "identity";

/// What the body was encoded with although the plain one was asked for, cut to a readable length; `None` for a
/// plain one.
pub(crate) fn encoding(headers: &HeaderMap) -> Option<String> {
    let values = headers.get_all(CONTENT_ENCODING).into_iter();
    let values = values.flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    let coded = values
        .map(|value| value.trim_ascii())
        .filter(|value| !value.is_empty() && !value.eq_ignore_ascii_case(PLAIN.as_bytes()))
        .map(|value| value.escape_ascii().to_string())
        .collect::<Vec<_>>()
        .join(", ");
    (!coded.is_empty()).then(|| coded.chars().take(40).collect())
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderValue;

    use super::*;

    #[test]
    fn a_plain_body_is_told_from_one_that_was_encoded() {
        let cases = [
            (&[][..], None),
            (&[""], None),
            (&["identity"], None),
            (&[" Identity , "], None),
            (&["identity", "gzip"], Some("gzip")),
            (&["gzip, br"], Some("gzip, br")),
            (&["deflate"], Some("deflate")),
            (&["x-odd\u{e9}"], Some("x-odd\\xc3\\xa9")),
        ];
        for (values, expected) in cases {
            let mut headers = HeaderMap::new();
            for value in values {
                let value = HeaderValue::from_bytes(value.as_bytes()).expect("a value");
                headers.append(CONTENT_ENCODING, value);
            }
            assert_eq!(encoding(&headers).as_deref(), expected, "{values:?}");
        }
    }
}
