//! Pure: what one version of a plugin did in a call, held against what another did. What is said of a difference is made of
//! names that an author wrote and of words of the host: no value of a header, of a body or of an answer is in it.

use std::collections::{BTreeMap, BTreeSet};

use http::{HeaderMap, Method};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use url::Url;

use crate::egress::AskedRequest;
use crate::kv::{Scope, Writes};
use crate::timer::SetTimer;

/// Differences of one call that are told.
const MOST: usize = 64;
/// Bodies up to this size are read as JSON, larger ones are held against each other whole.
const MOST_JSON: usize = 1 << 20;
/// Longest part of an address or of a pointer that is told.
const LONGEST: usize = 40;
/// The field of how long a plugin has its call wait.
pub(in crate::plugin) const RETRY_AFTER: &str = "retry_after_ms";
/// Timers that are set so close to each other are the same: both versions count from their own moment.
const SAME_MOMENT_MICROS: u64 = 2_000_000;

/// What is different, without how often.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema,
)]
pub struct Difference {
    /// What it is about.
    pub what: What,
    /// The request: its method, host and path, and the names of its query. Parts that may be about somebody are `*`.
    pub request: Option<String>,
    /// The name of the header, the JSON pointer into the body (`*`: any element, or a name that may be about somebody), or
    /// the field of the answer.
    pub at: Option<String>,
    /// How it changed in the new version.
    pub change: Option<Becomes>,
    /// The word for how the call ends in the version that runs.
    pub from: Option<String>,
    /// The same in the new version.
    pub to: Option<String>,
}

/// What a difference is about.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// A request that only the version that runs sends.
    RequestMissing,
    /// A request that only the new version sends: it was refused.
    RequestExtra,
    /// A request that comes before or behind others than it did.
    RequestMoved,
    /// A header of a request.
    Header,
    /// The body of a request.
    Body,
    /// How the call ends.
    Outcome,
    /// Something of the answer.
    Answer,
    /// What the call keeps under keys.
    Kv,
    /// The timers that the call sets and cancels.
    Timer,
}

/// How something changed.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Becomes {
    /// The new version has it, the other hasn't.
    Added,
    /// The new version hasn't it.
    Removed,
    /// It is another one.
    Changed,
}

/// How a call ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::plugin) struct Ending {
    /// In a word.
    pub(in crate::plugin) word: &'static str,
    /// What the answer says.
    pub(in crate::plugin) fields: BTreeMap<&'static str, Field>,
}

/// What a field of an answer says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::plugin) enum Field {
    /// A number or a word of the interface, which anybody may read.
    Told(String),
    /// Whatever it is, by its hash.
    Hidden(u64),
}

/// A request of the new version, and the one of the other version that it was answered as.
pub(in crate::plugin) struct NewRequest<'a> {
    /// The request.
    pub(in crate::plugin) request: &'a AskedRequest,
    /// Its counterpart's place.
    pub(in crate::plugin) counterpart: Option<usize>,
    /// Whether the host would have let it out.
    pub(in crate::plugin) is_granted: bool,
}

/// What both versions did in one call.
pub(in crate::plugin) struct Both<'a> {
    /// The requests of the version that runs.
    pub(in crate::plugin) old: Vec<&'a AskedRequest>,
    /// Those of the new one.
    pub(in crate::plugin) new: Vec<NewRequest<'a>>,
    /// Whether these are all requests of the new one: of a call that sends very many some are left out.
    pub(in crate::plugin) is_whole: bool,
    /// How both ended.
    pub(in crate::plugin) endings: [&'a Ending; 2],
    /// What both keep.
    pub(in crate::plugin) writes: [&'a Writes; 2],
    /// Texts that are about somebody: they stand in nothing that is told.
    pub(in crate::plugin) private: &'a [String],
}

/// What was said of something in both versions, where anybody may read it.
pub(in crate::plugin) type Values = Option<[String; 2]>;

/// The differences of one call, each once.
pub(in crate::plugin) fn compare(both: &Both<'_>) -> BTreeMap<Difference, Values> {
    let mut found = Found { all: BTreeMap::new(), private: both.private };
    requests(both, &mut found);
    endings(both.endings, &mut found);
    writes(both.writes, &mut found);
    found.all
}

struct Found<'a> {
    all: BTreeMap<Difference, Values>,
    private: &'a [String],
}

impl Found<'_> {
    fn add(&mut self, difference: Difference, values: Values) {
        if self.all.len() < MOST {
            self.all.entry(difference).or_insert(values);
        }
    }
}

fn of(what: What) -> Difference {
    Difference { what, request: None, at: None, change: None, from: None, to: None }
}

fn requests(both: &Both<'_>, found: &mut Found<'_>) {
    let private = found.private;
    let mut missing: BTreeSet<_> = (0..both.old.len()).collect();
    let mut latest = None;
    for NewRequest { request, counterpart, is_granted } in &both.new {
        let named = Some(named(request, *is_granted, private));
        let Some(place) = *counterpart else {
            found.add(Difference { request: named, ..of(What::RequestExtra) }, None);
            continue;
        };
        missing.remove(&place);
        if latest.is_some_and(|latest| place < latest) {
            found.add(Difference { request: named.clone(), ..of(What::RequestMoved) }, None);
        }
        latest = latest.max(Some(place));
        let Some(old) = both.old.get(place) else { continue };
        for (name, change) in headers(&old.headers, &request.headers) {
            let at = Some(printable(&name));
            let (request, change) = (named.clone(), Some(change));
            found.add(Difference { request, at, change, ..of(What::Header) }, None);
        }
        for (pointer, change) in bodies(&old.body, &request.body, private) {
            let (request, change) = (named.clone(), Some(change));
            found.add(Difference { request, at: pointer, change, ..of(What::Body) }, None);
        }
    }
    // What wasn't kept may have been the counterpart.
    for place in missing.into_iter().filter(|_| both.is_whole) {
        let request = Some(named(both.old[place], true, private));
        found.add(Difference { request, ..of(What::RequestMissing) }, None);
    }
}

/// Headers that differ, by name. The trace context is another one in each attempt.
fn headers(old: &HeaderMap, new: &HeaderMap) -> BTreeMap<String, Becomes> {
    let names: BTreeSet<_> = old.keys().chain(new.keys()).map(|name| name.as_str()).collect();
    let mut found = BTreeMap::new();
    for name in names.into_iter().filter(|name| *name != "traceparent") {
        let of = |headers: &HeaderMap| {
            headers.get_all(name).iter().map(|value| value.as_bytes().to_vec()).collect::<Vec<_>>()
        };
        let change = match (of(old), of(new)) {
            (old, new) if old == new => continue,
            (old, _) if old.is_empty() => Becomes::Added,
            (_, new) if new.is_empty() => Becomes::Removed,
            _ => Becomes::Changed,
        };
        found.insert(name.to_owned(), change);
    }
    found
}

/// Where bodies differ, as JSON pointers; `None` of those that are no JSON.
fn bodies(old: &[u8], new: &[u8], private: &[String]) -> BTreeMap<Option<String>, Becomes> {
    if old == new {
        return BTreeMap::new();
    }
    let whole = match (old.is_empty(), new.is_empty()) {
        (true, _) => Becomes::Added,
        (_, true) => Becomes::Removed,
        _ => Becomes::Changed,
    };
    let read = |body: &[u8]| {
        (body.len() <= MOST_JSON).then(|| serde_json::from_slice::<Value>(body).ok()).flatten()
    };
    let (Some(old), Some(new)) = (read(old), read(new)) else {
        return BTreeMap::from([(None, whole)]);
    };
    let mut found = BTreeMap::new();
    values(&old, &new, &mut Vec::new(), private, &mut found);
    if found.is_empty() {
        // The same values, written in another way.
        return BTreeMap::from([(None, Becomes::Changed)]);
    }
    found.into_iter().map(|(pointer, change)| (Some(pointer), change)).collect()
}

fn values(
    old: &Value,
    new: &Value,
    at: &mut Vec<String>,
    private: &[String],
    found: &mut BTreeMap<String, Becomes>,
) {
    if old == new || found.len() >= MOST {
        return;
    }
    let pointer = |at: &[String]| at.iter().map(|part| format!("/{part}")).collect::<String>();
    let mut pair = |part: String,
                    pair: (Option<&Value>, Option<&Value>),
                    found: &mut BTreeMap<String, Becomes>| {
        at.push(part);
        match pair {
            (Some(old), Some(new)) => values(old, new, at, private, found),
            (None, Some(_)) => drop(found.insert(pointer(at), Becomes::Added)),
            (Some(_), None) => drop(found.insert(pointer(at), Becomes::Removed)),
            (None, None) => {}
        }
        at.pop();
    };
    match (old, new) {
        (Value::Object(old), Value::Object(new)) => {
            let names: BTreeSet<_> = old.keys().chain(new.keys()).collect();
            for name in names {
                pair(part(name, private), (old.get(name), new.get(name)), found);
            }
        }
        (Value::Array(old), Value::Array(new)) => {
            for place in 0..old.len().max(new.len()) {
                pair("*".to_owned(), (old.get(place), new.get(place)), found);
            }
        }
        _ => drop(found.insert(pointer(at), Becomes::Changed)),
    }
}

fn endings([old, new]: [&Ending; 2], found: &mut Found<'_>) {
    if old.word != new.word {
        let (from, to) = (Some(old.word.to_owned()), Some(new.word.to_owned()));
        found.add(Difference { from, to, ..of(What::Outcome) }, None);
    }
    // Answers of another kind have other fields; when to try again is said by all of them.
    let both_have = |name: &str| old.word == new.word || name == RETRY_AFTER;
    let names: BTreeSet<_> = old.fields.keys().chain(new.fields.keys()).collect();
    for name in names.into_iter().filter(|name| both_have(name)) {
        let pair = (old.fields.get(name), new.fields.get(name));
        let change = match pair {
            (old, new) if old == new => continue,
            (None, _) => Becomes::Added,
            (_, None) => Becomes::Removed,
            _ => Becomes::Changed,
        };
        let told = |field: Option<&Field>| match field {
            None => Some("none".to_owned()),
            Some(Field::Told(text)) => Some(text.clone()),
            Some(Field::Hidden(_)) => None,
        };
        let values = told(pair.0).zip(told(pair.1)).map(|(old, new)| [old, new]);
        let at = Some((*name).to_owned());
        found.add(Difference { at, change: Some(change), ..of(What::Answer) }, values);
    }
}

fn writes([old, new]: [&Writes; 2], found: &mut Found<'_>) {
    for (scope, named) in [(Scope::Plugin, "plugin"), (Scope::Session, "session")] {
        let of_scope = |writes: &Writes| -> BTreeMap<_, _> {
            let of_scope = writes.of(scope);
            of_scope.map(|(key, value)| (key.clone(), value.map(<[u8]>::to_vec))).collect()
        };
        for change in changes(&of_scope(old), &of_scope(new), |old, new| old == new) {
            let (at, change) = (Some(named.to_owned()), Some(change));
            found.add(Difference { at, change, ..of(What::Kv) }, None);
        }
    }
    let timers = |writes: &Writes| -> BTreeMap<_, _> {
        writes.timers().map(|(name, timer)| (name.clone(), timer.cloned())).collect()
    };
    let same = |old: &Option<SetTimer>, new: &Option<SetTimer>| match (old, new) {
        (Some(old), Some(new)) => {
            old.payload == new.payload && old.at.0.abs_diff(new.at.0) < SAME_MOMENT_MICROS
        }
        (old, new) => old.is_none() && new.is_none(),
    };
    for change in changes(&timers(old), &timers(new), same) {
        found.add(Difference { change: Some(change), ..of(What::Timer) }, None);
    }
}

/// How the entries changed, each kind of change once.
fn changes<K: Ord, V>(
    old: &BTreeMap<K, V>,
    new: &BTreeMap<K, V>,
    same: impl Fn(&V, &V) -> bool,
) -> BTreeSet<Becomes> {
    let names: BTreeSet<_> = old.keys().chain(new.keys()).collect();
    let change = |name: &K| match (old.get(name), new.get(name)) {
        (Some(old), Some(new)) if same(old, new) => None,
        (Some(_), Some(_)) => Some(Becomes::Changed),
        (None, Some(_)) => Some(Becomes::Added),
        (Some(_), None) => Some(Becomes::Removed),
        (None, None) => None,
    };
    names.into_iter().filter_map(change).collect()
}

/// A request by what may be told of it.
fn named(request: &AskedRequest, is_granted: bool, private: &[String]) -> String {
    const USUAL: [Method; 7] = [
        Method::GET,
        Method::HEAD,
        Method::POST,
        Method::PUT,
        Method::PATCH,
        Method::DELETE,
        Method::OPTIONS,
    ];
    let method = match USUAL.contains(&request.method) {
        true => request.method.as_str(),
        false => "*",
    };
    let url = Url::parse(&request.url).ok().filter(|url| url.has_host());
    let Some(url) = url else { return format!("{method} an address that can't be read") };
    if !is_granted {
        // Anything may stand in its name, and nobody has granted it.
        return format!("{method} a host or a request that isn't granted");
    }
    let origin = url.origin().ascii_serialization();
    let parts = url.path_segments().into_iter().flatten();
    let path: String = parts.map(|name| format!("/{}", path_part(name, private))).collect();
    let names: BTreeSet<_> = url.query_pairs().map(|(name, _)| part(&name, private)).collect();
    let query = names.into_iter().collect::<Vec<_>>().join("&");
    let question = if query.is_empty() { "" } else { "?" };
    format!("{method} {origin}{path}{question}{query}")
}

fn path_part(name: &str, private: &[String]) -> String {
    if name.is_empty() { String::new() } else { part(name, private) }
}

/// A part of an address or of a pointer: as it is where it is a word that an author wrote, else `*`. What holds more than
/// two digits, or a text of the call that is about somebody, is none.
fn part(name: &str, private: &[String]) -> String {
    let usual = |c: char| c.is_ascii_alphanumeric() || "-_.$".contains(c);
    let is_word = name.len() <= LONGEST
        && name.starts_with(|c: char| c.is_ascii_alphabetic() || "_$".contains(c))
        && name.chars().all(usual)
        && name.chars().filter(char::is_ascii_digit).count() <= 2;
    let lower = name.to_ascii_lowercase();
    let is_private =
        private.iter().any(|text| lower == *text || (text.len() >= 3 && lower.contains(text)));
    if is_word && !is_private { name.to_owned() } else { "*".to_owned() }
}

fn printable(name: &str) -> String {
    name.chars().take(2 * LONGEST).collect()
}

#[cfg(test)]
mod tests;
