//! JSON as platforms write it, read whole or not at all, and never refused for one odd value; and what the host
//! hands over, written as JSON ([`NoteBody`], [`ActionBody`], [`OfferBody`]).
//!
//! ```
//! use sidenote_plugin::json;
//! let body = json::parse(br#"{"user": {"id": 4711, "name": "half of a pair: \ud83d"}, "limit": NaN}"#)?;
//! assert_eq!(json::id(&body["user"]["id"]).as_deref(), Some("4711"));
//! assert_eq!(body["user"]["name"], "half of a pair: \u{FFFD}");
//! assert!(body["limit"].is_null() && body["not"]["there"].is_null());
//! # Ok::<(), json::Unreadable>(())
//! ```

mod bodies;
mod repair;

use std::fmt;

use serde::de::{self, Deserialize, DeserializeSeed, Deserializer, IgnoredAny};
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

pub use bodies::{ActionBody, NoteBody, OfferBody};

/// Deeper than this nothing is kept: reading a level takes stack, skipping it doesn't.
const DEEPEST: usize = 64;
const BOM: &[u8] = b"\xef\xbb\xbf";

/// Reads JSON, as the host reads the activity stream:
///
/// | in the text | read as |
/// |---|---|
/// | half of a surrogate pair (`"\ud83d"`), bytes that aren't UTF-8 | U+FFFD |
/// | `NaN`, `Infinity`, numbers that no float holds | null |
/// | two members of one name | the last one |
/// | what is nested deeper than 64 levels | null |
/// | a byte order mark before it | left out |
///
/// # Errors
/// It is no JSON.
pub fn parse(bytes: &[u8]) -> Result<Value, Unreadable> {
    let text = String::from_utf8_lossy(bytes.strip_prefix(BOM).unwrap_or(bytes));
    tree(&text).or_else(|error| {
        // Only a text that isn't plain JSON pays for the second look.
        let unreadable = Unreadable { line: error.line(), column: error.column() };
        tree(&repair::repair(&text).ok_or(unreadable)?).map_err(|_| unreadable)
    })
}

/// An id or an address as text: platforms write numbers for them, and texts, and change their mind. A whole
/// number is its digits; a blank text, a fraction, a boolean, a list and an object name nobody.
///
/// ```
/// use serde_json::json;
/// use sidenote_plugin::json::id;
/// assert_eq!(id(&json!("u-1")).as_deref(), Some("u-1"));
/// assert_eq!(id(&json!(12345)).as_deref(), Some("12345"));
/// for nobody in [json!(null), json!(""), json!(" "), json!(1.5), json!(true), json!([1]), json!({})] {
///     assert_eq!(id(&nobody), None);
/// }
/// ```
pub fn id(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.trim().is_empty() => Some(text.clone()),
        Value::Number(number) if !number.is_f64() => Some(number.to_string()),
        Value::String(_) | Value::Number(_) => None,
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// The elements of a list; none where it is none. Where a list must be there, ask [`Value::as_array`]: nothing
/// found and nothing readable are two things.
pub fn elements(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// [`id`] as a field of a struct that is read with serde.
///
/// ```
/// use sidenote_plugin::json::Id;
/// #[derive(serde::Deserialize)]
/// struct Body {
///     #[serde(default)]
///     user: Id,
///     #[serde(default)]
///     email: Id,
/// }
/// let body: Body = serde_json::from_str(r#"{"user": 7, "email": null}"#)?;
/// assert_eq!((body.user.into_text(), body.email.into_text()), (Some("7".to_owned()), None));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Id(Option<String>);

impl Id {
    /// The text; `None` where it names nobody.
    pub fn into_text(self) -> Option<String> {
        self.0
    }
}

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Level(0).deserialize(deserializer).map(|value| Self(id(&value)))
    }
}

/// Why a text is no JSON; the text itself is left out, as people may have written it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unreadable {
    /// Line of the text, from 1.
    pub line: usize,
    /// Column of the line, from 1.
    pub column: usize,
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no JSON at line {}, column {}", self.line, self.column)
    }
}

impl std::error::Error for Unreadable {}

fn tree(text: &str) -> serde_json::Result<Value> {
    let mut text = serde_json::Deserializer::from_str(text);
    let value = Level(0).deserialize(&mut text)?;
    text.end().map(|()| value)
}

/// A value below so many others.
#[derive(Clone, Copy)]
struct Level(usize);

impl<'de> DeserializeSeed<'de> for Level {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Level {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        if self.0 >= DEEPEST {
            while seq.next_element::<IgnoredAny>()?.is_some() {}
            return Ok(Value::Null);
        }
        let mut list = Vec::new();
        while let Some(element) = seq.next_element_seed(Self(self.0 + 1))? {
            list.push(element);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        if self.0 >= DEEPEST {
            while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            return Ok(Value::Null);
        }
        let mut object = Map::new();
        while let Some(name) = map.next_key::<String>()? {
            object.insert(name, map.next_value_seed(Self(self.0 + 1))?);
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_almost_json_is_read() {
        for (bytes, wanted) in [
            (&br#"{"a":"\ud83d"}"#[..], json!({ "a": "\u{FFFD}" })),
            (br#"["\ud83d\ude42","\\ud83d"]"#, json!(["\u{1F642}", "\\ud83d"])),
            (b"[NaN,-Infinity,1e999,1]", json!([null, null, null, 1])),
            (b"\xef\xbb\xbf{}", json!({})),
            (b"\"a\xffb\"", json!("a\u{FFFD}b")),
            (br#"{"a":1,"b":2,"a":{"c":3}}"#, json!({ "a": { "c": 3 }, "b": 2 })),
            (b"[18446744073709551615,-1,1.5]", json!([u64::MAX, -1, 1.5])),
        ] {
            assert_eq!(parse(bytes), Ok(wanted), "{}", String::from_utf8_lossy(bytes));
        }
    }

    #[test]
    fn what_is_none_is_an_error_with_its_place() {
        for (bytes, line, column) in [
            (&b"{"[..], 1, 1),
            (b"", 1, 0),
            (b"{}\n x", 2, 2),
            (b"<html>", 1, 1),
            (b"{\"a\":\"\\ud83d\",}", 1, 13),
        ] {
            let wanted = Err(Unreadable { line, column });
            assert_eq!(parse(bytes), wanted, "{}", String::from_utf8_lossy(bytes));
        }
    }

    #[test]
    fn what_is_nested_too_deep_takes_nothing_with_it() {
        let deep = "[".repeat(50_000) + &"]".repeat(50_000);
        let body = parse(format!(r#"{{"x":{deep},"id":7}}"#).as_bytes()).unwrap();
        assert_eq!(id(&body["id"]).as_deref(), Some("7"));
        let deepest = (0..DEEPEST - 2).fold(&body["x"], |value, _| &value[0]);
        assert_eq!(*deepest, json!([null]));
    }

    #[test]
    fn a_list_that_is_none_has_no_elements() {
        assert_eq!(elements(&json!([1, null])), [json!(1), Value::Null]);
        for none in [json!(null), json!({ "0": 1 }), json!("text")] {
            assert_eq!(elements(&none), [] as [Value; 0]);
        }
    }
}
