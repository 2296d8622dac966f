//! What the plugins of sources have in common: reading a request and what tools write into events. One piece of code,
//! as a module of each of them.

use serde_json::{Map, Value};
use sidenote_plugin::source::{
    Batch, Ignored, Received, Rejection, RejectionKind, Request, Response,
};
use sidenote_plugin::{clock, json};

/// Longest text that is handed over, in bytes.
const LONGEST: usize = 4096;
/// Most properties of an event that are handed over.
const MOST_PROPERTIES: usize = 64;
/// Longest text of a property, in bytes.
const LONGEST_PROPERTY: usize = 512;
/// Most events of a request: more than any client puts into one.
const MOST_EVENTS: usize = 20_000;
/// A path without the slash at its end, and a slash before it.
pub(crate) fn path(request: &Request) -> &str {
    let path = request.path.trim_end_matches('/');
    if path.is_empty() { "/" } else { path }
}

/// Refuses every method but these.
pub(crate) fn only(request: &Request, methods: &[&str]) -> Result<(), Rejection> {
    if methods.contains(&&*request.method) {
        return Ok(());
    }
    Err(Rejection::new(RejectionKind::Method, format!("use {} here", methods.join(" or "))))
}

/// The body as JSON.
pub(crate) fn body(bytes: &[u8]) -> Result<Value, Rejection> {
    json::parse(bytes)
        .map_err(|error| Rejection::malformed(format!("the body is no JSON: {error}")))
}

/// A text, cut; empty where it is none. A number is its digits.
pub(crate) fn text(value: &Value) -> String {
    match value {
        Value::String(text) => cut(text, LONGEST).to_owned(),
        Value::Number(number) => number.to_string(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => String::new(),
    }
}

/// The first that isn't empty.
pub(crate) fn first<const N: usize>(values: [&Value; N]) -> String {
    values.into_iter().map(text).find(|it| !it.trim().is_empty()).unwrap_or_default()
}

/// The first id.
pub(crate) fn first_id<const N: usize>(values: [&Value; N]) -> Option<String> {
    values.into_iter().find_map(json::id).map(|it| cut(&it, LONGEST).to_owned())
}

/// The address among what is known of somebody: by whichever capitals the developer wrote its name.
pub(crate) fn email<const N: usize>(people: [&Value; N]) -> Option<String> {
    let names = ["email", "Email", "EMAIL", "$email", "e_mail", "email_address"];
    let known = people.into_iter().flat_map(|person| names.map(|name| json::id(&person[name])));
    known.flatten().find(|it| it.contains('@')).map(|it| cut(&it, LONGEST).to_owned())
}

/// A time in milliseconds since the epoch: a text as in RFC 3339, seconds or milliseconds.
pub(crate) fn millis(value: &Value) -> Option<f64> {
    match value {
        Value::String(text) => {
            let text = text.trim();
            let Some(seconds) = clock::parse(text) else {
                return text.parse::<f64>().ok().and_then(number);
            };
            let fraction: String = text
                .split_once('.')
                .map(|(_, rest)| rest.chars().take_while(char::is_ascii_digit).take(9).collect())
                .unwrap_or_default();
            let fraction = format!("0.{fraction}0").parse::<f64>().unwrap_or_default();
            Some(seconds as f64 * 1000.0 + fraction * 1000.0)
        }
        Value::Number(it) => it.as_f64().and_then(number),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Seconds or milliseconds, whichever gives a year that computers have known.
fn number(time: f64) -> Option<f64> {
    if !time.is_finite() || time <= 0.0 {
        return None;
    }
    Some(if time < 1e11 { time * 1000.0 } else { time })
}

/// When something happened by the host's clock, in seconds: the time that the client says, corrected by how far its
/// clock is from the host's when it sends.
pub(crate) fn at(happened: Option<f64>, sent: Option<f64>, request: &Request) -> Option<f64> {
    let received = request.received_at_ms as f64;
    let happened = happened?;
    Some(sent.map_or(happened, |sent| happened + (received - sent)) / 1000.0)
}

/// Properties as the text of an object: scalars, cut, as many as are read; and objects of scalars, one level deep.
/// `keep` says by its name whether one is.
pub(crate) fn properties(from: &Value, keep: impl Fn(&str) -> bool) -> String {
    let Some(object) = from.as_object() else { return String::new() };
    let mut kept = Map::new();
    for (name, value) in object.iter().filter(|(name, _)| name.len() <= 128 && keep(name)) {
        if kept.len() == MOST_PROPERTIES {
            break;
        }
        let value = match value {
            Value::Object(inner) => {
                let inner = inner.iter().filter(|(name, _)| name.len() <= 128);
                let inner: Map<_, _> = inner
                    .filter_map(|(name, value)| Some((name.clone(), scalar(value)?)))
                    .take(16)
                    .collect();
                (!inner.is_empty()).then_some(Value::Object(inner))
            }
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::Array(_) => scalar(value),
        };
        if let Some(value) = value {
            kept.insert(name.clone(), value);
        }
    }
    if kept.is_empty() { String::new() } else { Value::Object(kept).to_string() }
}

fn scalar(value: &Value) -> Option<Value> {
    match value {
        Value::String(text) => Some(Value::from(cut(text, LONGEST_PROPERTY))),
        Value::Number(_) | Value::Bool(_) => Some(value.clone()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// The beginning of a text.
pub(crate) fn cut(text: &str, most: usize) -> &str {
    let mut end = text.len().min(most);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// What a request brought, as it is gathered.
#[derive(Default)]
pub(crate) struct Gathered {
    /// The write key.
    key: Option<String>,
    /// What happened, and who is one person.
    batch: Option<Batch>,
    ignored: Vec<(&'static str, u32)>,
}

impl Gathered {
    /// Nothing so far, with the key of the request.
    pub(crate) fn of(key: Option<String>) -> Self {
        Self { key, ..Self::default() }
    }

    /// Takes in what an item of a list says; one that says nothing is counted by the reason.
    pub(crate) fn read<'a>(
        &mut self,
        items: impl IntoIterator<Item = &'a Value>,
        read: impl Fn(&'a Value, &mut Batch) -> Result<(), &'static str>,
    ) {
        let mut batch = self.batch.take().unwrap_or_else(|| Batch::of([]));
        for item in items {
            if batch.events.len() >= MOST_EVENTS {
                self.ignore("more events than are read of one request");
            } else if let Err(reason) = read(item, &mut batch) {
                self.ignore(reason);
            }
        }
        self.batch = Some(batch);
    }

    /// Counts something that is left out.
    pub(crate) fn ignore(&mut self, reason: &'static str) {
        match self.ignored.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, count)) => *count = count.saturating_add(1),
            None => self.ignored.push((reason, 1)),
        }
    }

    /// All of it, with what is answered.
    pub(crate) fn answer(self, response: Response) -> Received {
        let mut received = Received::new(response);
        received.key = self.key;
        received.ignored =
            self.ignored.into_iter().map(|(reason, count)| Ignored::new(reason, count)).collect();
        match self.batch {
            Some(batch) => received.with(batch),
            None => received,
        }
    }
}
