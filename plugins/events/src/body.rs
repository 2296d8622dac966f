//! The forms of a body: one event, a list of them, `{"events": […]}`, or a line for each.

use serde_json::Value;
use sidenote_plugin::source::Rejection;

use crate::event::Fault;

/// Most events of one request.
const MOST: usize = 10_000;

/// What a body has in it.
pub(crate) struct Body {
    /// The write key, where it stands there.
    pub(crate) key: Option<String>,
    /// Each event with its place.
    pub(crate) events: Vec<(Place, Result<Value, Fault>)>,
}

/// Where an event stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// It is all that there is.
    Alone,
    /// Its number in a list, from 1.
    Event(usize),
    /// Its line, from 1.
    Line(usize),
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Alone => f.write_str("the event"),
            Self::Event(number) => write!(f, "event {number}"),
            Self::Line(number) => write!(f, "line {number}"),
        }
    }
}

/// Takes a body apart.
pub(crate) fn read(body: &[u8]) -> Result<Body, Rejection> {
    let text =
        std::str::from_utf8(body).map_err(|_| Rejection::malformed("the body isn't UTF-8"))?;
    // Editors of some systems put a mark before a text.
    let text = text.trim_start_matches('\u{feff}');
    if text.trim().is_empty() {
        return Err(Rejection::malformed(
            "the body is empty; send an event, such as {\"name\": \"Paid\", \"user\": \"u-1\"}",
        ));
    }
    let body = match serde_json::from_str::<Value>(text) {
        Ok(value) => whole(value)?,
        Err(error) => lines(text).ok_or_else(|| {
            let (line, column) = (error.line(), error.column());
            Rejection::malformed(format!("line {line}, column {column}: it is no JSON"))
        })?,
    };
    if body.events.len() > MOST {
        let count = body.events.len();
        return Err(Rejection::malformed(format!(
            "it has {count} events, and at most {MOST} are read; send several requests"
        )));
    }
    Ok(body)
}

/// A body that is one value.
fn whole(value: Value) -> Result<Body, Rejection> {
    let numbered = |events: Vec<Value>| {
        events
            .into_iter()
            .zip(1..)
            .map(|(event, number)| (Place::Event(number), Ok(event)))
            .collect()
    };
    match value {
        Value::Array(events) => Ok(Body { key: None, events: numbered(events) }),
        Value::Object(mut object) if object.contains_key("events") => {
            let key = match object.remove("key") {
                Some(Value::String(key)) => Some(key),
                None => None,
                Some(_) => return Err(Rejection::malformed("`key` isn't a text")),
            };
            let events = object.remove("events");
            if let Some(other) = object.keys().next() {
                return Err(Rejection::malformed(format!(
                    "beside `events` and `key` nothing is known, and there is `{}`",
                    shown(other)
                )));
            }
            match events {
                Some(Value::Array(events)) => Ok(Body { key, events: numbered(events) }),
                _ => Err(Rejection::malformed("`events` isn't a list")),
            }
        }
        Value::Object(_) => Ok(Body { key: None, events: vec![(Place::Alone, Ok(value))] }),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            Err(Rejection::malformed(
                "the body is neither an event, nor a list of them, nor lines of them",
            ))
        }
    }
}

/// A body of lines, each an object; `None` where the first of them is none.
fn lines(text: &str) -> Option<Body> {
    let lines = text.lines().zip(1..).filter(|(line, _)| !line.trim().is_empty());
    let read = |(line, number): (&str, usize)| {
        let value = serde_json::from_str::<Value>(line);
        (Place::Line(number), value.map_err(|error| Fault::unread(error.column())))
    };
    let events: Vec<_> = lines.map(read).collect();
    let (_, first) = events.first()?;
    first.as_ref().is_ok_and(Value::is_object).then_some(Body { key: None, events })
}

/// The name of a field as an error has it: it may be anybody's text.
pub(crate) fn shown(name: &str) -> String {
    name.chars().filter(|c| !c.is_control()).take(40).collect()
}
