//! One event: its fields, and what may be wrong with one.

use serde_json::{Map, Value};
use sidenote_plugin::clock;
use sidenote_plugin::source::{Event, EventKind, Identity};

use crate::body::{Place, shown};

/// The fields that an event may have.
const FIELDS: [&str; 14] = [
    "id",
    "kind",
    "name",
    "title",
    "description",
    "at",
    "session",
    "user",
    "email",
    "anonymous",
    "url",
    "page_title",
    "conversation",
    "properties",
];

/// The words of `kind`.
const KINDS: [(&str, EventKind); 10] = [
    ("custom", EventKind::Custom),
    ("page", EventKind::Page),
    ("screen", EventKind::Screen),
    ("click", EventKind::Click),
    ("change", EventKind::Change),
    ("submit", EventKind::Submit),
    ("rage_click", EventKind::RageClick),
    ("dead_click", EventKind::DeadClick),
    ("error", EventKind::Error),
    ("identity", EventKind::Identity),
];

/// Numbers from here on are milliseconds: as seconds they would be in the year 5138.
const MILLISECONDS: f64 = 1e11;

/// What is wrong with an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    /// The field, where it is one.
    pub(crate) field: Option<String>,
    /// What is wrong with it.
    pub(crate) error: String,
}

/// A fault and where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Placed {
    pub(crate) place: Place,
    pub(crate) fault: Fault,
}

impl Fault {
    /// The line is no JSON from this column on.
    pub(crate) fn unread(column: usize) -> Self {
        Self { field: None, error: format!("it is no JSON (column {column})") }
    }

    fn of(field: &str, error: impl Into<String>) -> Self {
        Self { field: Some(field.to_owned()), error: error.into() }
    }

    pub(crate) fn at(self, place: Place) -> Placed {
        Placed { place, fault: self }
    }
}

impl std::fmt::Display for Placed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { place, fault: Fault { field, error } } = self;
        match field {
            Some(field) => write!(f, "{place}, `{field}`: {error}"),
            None => write!(f, "{place}: {error}"),
        }
    }
}

/// Reads an event.
pub(crate) fn read(value: Value) -> Result<Event, Fault> {
    let Value::Object(mut fields) = value else {
        return Err(Fault { field: None, error: "it is no object".to_owned() });
    };
    if let Some(other) = fields.keys().find(|name| !FIELDS.contains(&name.as_str())) {
        let name = shown(other);
        return Err(Fault::of(
            &name,
            format!("it isn't known; the fields are {}", FIELDS.join(", ")),
        ));
    }
    let kind = kind(fields.get("kind"))?;
    let mut event = Event::new(kind, text(&mut fields, "name")?);
    event.title = text(&mut fields, "title")?;
    event.description = text(&mut fields, "description")?;
    event.url = text(&mut fields, "url")?;
    event.page_title = text(&mut fields, "page_title")?;
    event.id = id(&mut fields, "id")?.unwrap_or_default();
    event.at = at(fields.get("at"))?;
    event.identity = Identity {
        session_id: id(&mut fields, "session")?,
        anonymous_id: id(&mut fields, "anonymous")?,
        user_id: id(&mut fields, "user")?,
        email: id(&mut fields, "email")?,
        extras: Vec::new(),
    };
    event.properties = properties(fields.remove("properties"))?;
    if let Some(conversation) = id(&mut fields, "conversation")? {
        event.extras.push(("conversation-id".to_owned(), conversation));
    }
    let says_nothing =
        event.name.is_empty() && event.title.is_empty() && event.description.is_empty();
    if says_nothing && kind == EventKind::Custom {
        return Err(Fault::of(
            "name",
            "it is missing; without it, `title` or `description` is needed",
        ));
    }
    let who = &event.identity;
    let somebody = [&who.session_id, &who.anonymous_id, &who.user_id, &who.email];
    if somebody.iter().all(|id| id.is_none()) {
        return Err(Fault::of(
            "user",
            "it isn't said who it was; send `user`, `session`, `anonymous` or `email`",
        ));
    }
    Ok(event)
}

fn kind(value: Option<&Value>) -> Result<EventKind, Fault> {
    let Some(value) = value.filter(|value| !value.is_null()) else { return Ok(EventKind::Custom) };
    let found = KINDS.iter().find(|(word, _)| value == word);
    found.map(|(_, kind)| *kind).ok_or_else(|| {
        let words = KINDS.map(|(word, _)| word).join(", ");
        Fault::of("kind", format!("it is none of {words}"))
    })
}

fn text(fields: &mut Map<String, Value>, name: &str) -> Result<String, Fault> {
    match fields.remove(name) {
        None | Some(Value::Null) => Ok(String::new()),
        Some(Value::String(text)) => Ok(text),
        Some(_) => Err(Fault::of(name, "it is no text")),
    }
}

/// An id: a text, or a whole number as its text. An empty one is nothing.
fn id(fields: &mut Map<String, Value>, name: &str) -> Result<Option<String>, Fault> {
    match fields.remove(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text).filter(|text| !text.is_empty())),
        Some(Value::Number(number)) if !number.is_f64() => Ok(Some(number.to_string())),
        Some(_) => Err(Fault::of(name, "it is neither a text nor a whole number")),
    }
}

/// A time: a number of seconds or milliseconds, or a text as in RFC 3339.
fn at(value: Option<&Value>) -> Result<Option<f64>, Fault> {
    let read = match value {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Number(number)) => number.as_f64(),
        Some(Value::String(text)) => clock::parse_exact(text),
        Some(_) => None,
    };
    let read = read.filter(|at| at.is_finite() && *at >= 0.0);
    let seconds = read.map(|at| if at >= MILLISECONDS { at / 1000.0 } else { at });
    seconds.map(Some).ok_or_else(|| {
        Fault::of(
            "at",
            "it is no time; send seconds since 1970, or a text such as 2026-11-29T10:00:00Z",
        )
    })
}

fn properties(value: Option<Value>) -> Result<String, Fault> {
    match value {
        None | Some(Value::Null) => Ok(String::new()),
        Some(value @ Value::Object(_)) => Ok(value.to_string()),
        Some(_) => Err(Fault::of("properties", "it is no object")),
    }
}
