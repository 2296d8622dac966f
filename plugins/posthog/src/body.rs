//! A body in whichever of the forms that posthog-js has had, told by its bytes.

use serde_json::Value;
use sidenote_plugin::source::{Rejection, Request};

use crate::reading::{self, first_id, millis};

/// The body as JSON: as it is; in base64; in a form's field `data`, in either way. What was packed, the host has
/// unpacked.
pub(crate) fn read(request: &Request) -> Result<Value, Rejection> {
    let bytes = request.body.trim_ascii();
    let form;
    let bytes = match bytes.strip_prefix(b"data=") {
        Some(rest) => {
            let end = rest.iter().position(|byte| *byte == b'&').unwrap_or(rest.len());
            form = decoded(&String::from_utf8_lossy(&rest[..end]));
            form.as_slice()
        }
        None => bytes,
    };
    if bytes.starts_with(b"{") || bytes.starts_with(b"[") {
        return reading::body(bytes);
    }
    let plain =
        base64(bytes).ok_or_else(|| Rejection::malformed("the body is neither JSON nor base64"))?;
    if plain.starts_with(&[0x1f, 0x8b]) {
        return Err(Rejection::malformed("the body is packed within base64, which no client does"));
    }
    reading::body(&plain)
}

/// A text that was percent-encoded, in a query or a path; `+` is a space in a query.
pub(crate) fn decoded(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let hex = bytes.get(at + 1..at + 3).and_then(|it| std::str::from_utf8(it).ok());
        let value = hex.filter(|_| byte == b'%').and_then(|it| u8::from_str_radix(it, 16).ok());
        at += if value.is_some() { 3 } else { 1 };
        out.push(value.unwrap_or(if byte == b'+' { b' ' } else { byte }));
    }
    out
}

/// A value of the query, decoded.
pub(crate) fn query(request: &Request, name: &str) -> Option<String> {
    let pairs = request.query.split('&').filter_map(|pair| pair.split_once('='));
    let (_, value) = pairs.into_iter().find(|(key, _)| *key == name)?;
    Some(String::from_utf8_lossy(&decoded(value)).into_owned())
}

/// The key of the project, in the places where the clients have put it.
pub(crate) fn key(whole: &Value, items: &[Value]) -> Option<String> {
    let of = |it: &Value| {
        first_id([
            &it["api_key"],
            &it["token"],
            &it["properties"]["token"],
            &it["properties"]["api_key"],
        ])
    };
    of(whole).or_else(|| of(items.first()?))
}

/// When a request was sent by the client's clock.
pub(crate) enum Sent {
    /// So says the request, in milliseconds.
    At(f64),
    /// Nothing is said, and the time of an event is believed.
    Unknown,
}

/// When a request was sent: what it says at the top, or in the query as the old clients do.
pub(crate) fn sent(request: &Request, whole: &Value, items: &[Value]) -> Sent {
    let old = || query(request, "_").and_then(|it| millis(&Value::from(it)));
    let single = items.first().and_then(|it| millis(&it["sent_at"]));
    match millis(&whole["sent_at"]).or(single).or_else(old) {
        Some(sent) => Sent::At(sent),
        None => Sent::Unknown,
    }
}

/// Reads base64, the common and the one for addresses, with and without padding. A space stands for a plus that a form
/// has made one.
fn base64(text: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len() / 4 * 3);
    let (mut held, mut bits) = (0_u32, 0);
    for byte in text.iter().filter(|byte| !matches!(byte, b'\r' | b'\n' | b'=')) {
        let six = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' | b'-' | b' ' => 62,
            b'/' | b'_' => 63,
            _ => return None,
        };
        held = held << 6 | u32::from(six);
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            out.push((held >> bits & 0xff) as u8);
        }
    }
    (!out.is_empty()).then_some(out)
}

#[cfg(test)]
mod tests {
    use sidenote_plugin::test;

    use super::*;

    #[test]
    fn the_same_is_read_from_every_form() {
        let json = serde_json::json!({"event": "Größe?>"});
        for body in [
            r#"{"event":"Größe?>"}"#,
            "eyJldmVudCI6Ikdyw7bDn2U/PiJ9",
            "eyJldmVudCI6Ikdyw7bDn2U_PiJ9",
            "data=eyJldmVudCI6Ikdyw7bDn2U%2FPiJ9&compression=base64",
            "data=%7B%22event%22%3A%22Gr%C3%B6%C3%9Fe%3F%3E%22%7D",
            "\n {\"event\":\"Größe?>\"} ",
        ] {
            assert_eq!(read(&test::request("POST", "/e/", &[], body)).unwrap(), json, "{body}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_refused_without_its_text() {
        for body in [
            "",
            "data=",
            "{",
            "hello, world!",
            "data=%%%",
            "H4sIAAAAAAAAA6tWKkktLlGyUlAqS8wpTVWqBQC8XNVnFQAAAA==",
        ] {
            let error = read(&test::request("POST", "/e/", &[], body)).unwrap_err();
            assert!(!error.message.contains("hello"), "{body}: {}", error.message);
        }
    }
}
