//! A host in memory, for unit tests of a plugin off WebAssembly.
//!
//! It belongs to the thread, as each test has its own: install one, call the plugin's functions, then
//! look at what was sent and logged.
//!
//! ```
//! use sidenote_plugin::{http, test::Host};
//!
//! let host = Host::new().config("url", "https://bot.example").respond(201, r#"{"id":"n1"}"#).install();
//! let answer = http::Request::post("https://bot.example/notes").body("hello").send().unwrap();
//! assert_eq!(answer.status, 201);
//! assert_eq!(host.requests()[0].body, b"hello");
//! ```
//!
//! [`call`], [`note`], [`batch`], [`summary`], [`webhook`] and [`request`] make what the host would hand over.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use base64::Engine as _;
use hmac::Mac;

use crate::bindings::host::sidenote::plugin::http as wit;
use crate::crypto::{Encoding, Hash};
use crate::kv::{self, Scope};
use crate::log::Level;
use crate::sink::{Batch, Summary};
use crate::timer::{self, DueTimer, Moment};
use crate::{Action, Call, Note, NoteKind, Sent};

pub use wit::{Error, Request, Response};

thread_local! {
    static HOST: RefCell<Host> = RefCell::new(Host::new());
}

/// What the plugin of this thread runs against. Cloning shares it.
#[derive(Clone, Default)]
pub struct Host(Rc<RefCell<State>>);

#[derive(Default)]
struct State {
    config: BTreeMap<String, String>,
    secrets: BTreeMap<String, String>,
    answers: VecDeque<Result<Response, Error>>,
    requests: Vec<Request>,
    lines: Vec<(Level, String)>,
    now: Option<u64>,
    kept: BTreeMap<(u8, String), Vec<u8>>,
    timers: BTreeMap<String, (u64, Vec<u8>)>,
}

impl Host {
    /// A host with no settings, no secrets and no answers.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets a config key.
    pub fn config(self, key: &str, value: &str) -> Self {
        self.0.borrow_mut().config.insert(key.to_owned(), value.to_owned());
        self
    }

    /// Sets a secret, to sign and verify with. Placeholders stay as they are in [`Host::requests`].
    pub fn secret(self, name: &str, value: &str) -> Self {
        self.0.borrow_mut().secrets.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Sets the time, in seconds since the Unix epoch, and stops it; also of a host that is installed.
    /// Unset, it is the system's.
    pub fn at(&self, seconds: u64) -> Self {
        self.0.borrow_mut().now = Some(seconds);
        self.clone()
    }

    /// Answers the next request that has no answer yet.
    pub fn respond(self, status: u16, body: &str) -> Self {
        self.respond_with(Ok(Response {
            status,
            headers: Vec::new(),
            body: body.as_bytes().to_vec(),
        }))
    }

    /// As [`Host::respond`], with headers or with an error.
    pub fn respond_with(self, answer: Result<Response, Error>) -> Self {
        self.0.borrow_mut().answers.push_back(answer);
        self
    }

    /// Has a value under a key, of the plugin or of the only session that there is.
    pub fn keeping(self, scope: Scope, key: &str, value: impl AsRef<[u8]>) -> Self {
        let value = value.as_ref().to_vec();
        self.0.borrow_mut().kept.insert((scope as u8, key.to_owned()), value);
        self
    }

    /// What the plugin keeps under a key. What a call wrote that failed is here too; the host would drop it where the
    /// failure passes.
    pub fn kept(&self, scope: Scope, key: &str) -> Option<Vec<u8>> {
        self.0.borrow().kept.get(&(scope as u8, key.to_owned())).cloned()
    }

    /// Timers that the plugin set and didn't cancel, taken out: the one that is due first comes first. Hand them to
    /// [`OnTimer::wake`](crate::OnTimer::wake). They are of the only session that there is, in conversation `c-1`.
    pub fn take_timers(&self) -> Vec<DueTimer> {
        let timers = std::mem::take(&mut self.0.borrow_mut().timers);
        let due = |(name, (at_ms, payload)): (String, (u64, Vec<u8>))| DueTimer {
            name,
            payload,
            at_ms,
            product_id: "p-1".to_owned(),
            session_id: "s-1".to_owned(),
            conversation_id: Some("c-1".to_owned()),
            user_id: Some("u-1".to_owned()),
            email: Some("ann@example.com".to_owned()),
            extras: Vec::new(),
        };
        let mut due: Vec<_> = timers.into_iter().map(due).collect();
        due.sort_by_key(|timer| timer.at_ms);
        due
    }

    /// Makes this the host of the thread, in place of the one before.
    pub fn install(self) -> Self {
        HOST.with(|host| host.replace(self.clone()));
        self
    }

    /// What was sent, in order.
    pub fn requests(&self) -> Vec<Request> {
        self.0.borrow().requests.clone()
    }

    /// What was logged, in order.
    pub fn lines(&self) -> Vec<(Level, String)> {
        self.0.borrow().lines.clone()
    }
}

/// A first attempt with the key `key-1`.
pub fn call() -> Call {
    Call {
        idempotency_key: "key-1".to_owned(),
        attempt: 1,
        deadline_ms: crate::clock::now_ms() + 20_000,
        traceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".to_owned(),
        extras: Vec::new(),
    }
}

/// A note with this text: the first of session `s-1` of product `p-1`, for conversation `c-1`, by user
/// `u-1`, made of actions and with none in it.
pub fn note(body: &str) -> Note {
    Note {
        product_id: "p-1".to_owned(),
        session_id: "s-1".to_owned(),
        conversation_id: "c-1".to_owned(),
        user_id: Some("u-1".to_owned()),
        email: Some("ann@example.com".to_owned()),
        kind: NoteKind::Actions,
        seq: 1,
        body: body.to_owned(),
        actions: Vec::new(),
        extras: Vec::new(),
    }
}

/// A batch with an action for each of these descriptions: of session `s-1` of product `p-1`, by user `u-1`,
/// in conversation `c-1`.
pub fn batch<'a>(descriptions: impl IntoIterator<Item = &'a str>) -> Batch {
    let action = |(index, description): (i64, &str)| Action {
        index,
        kind: "click".to_owned(),
        title: "Click".to_owned(),
        description: description.to_owned(),
        canonical_url: "https://app.example/cart".to_owned(),
        raw_url: "https://app.example/cart?id=7".to_owned(),
        started_at: Some(1_700_000_000.25),
        ended_at: Some(1_700_000_000.5),
    };
    Batch {
        product_id: "p-1".to_owned(),
        session_id: "s-1".to_owned(),
        user_id: Some("u-1".to_owned()),
        email: Some("ann@example.com".to_owned()),
        conversation_id: Some("c-1".to_owned()),
        actions: (0..).zip(descriptions).map(action).collect(),
        forwarded_at: Some(1_700_000_001.5),
        extras: Vec::new(),
    }
}

/// A summary with this text: of session `s-1` of product `p-1`, in place of three actions.
pub fn summary(text: &str) -> Summary {
    Summary {
        product_id: "p-1".to_owned(),
        session_id: "s-1".to_owned(),
        text: text.to_owned(),
        replaces: 3,
        forwarded_at: None,
        extras: Vec::new(),
    }
}

/// A webhook, as if it came to this plugin's address. Names are made lower case, as the host does.
pub fn webhook(
    method: &str,
    headers: &[(&str, &str)],
    body: impl AsRef<[u8]>,
) -> crate::webhook::Request {
    let header = |(name, value): &(&str, &str)| (name.to_ascii_lowercase(), (*value).to_owned());
    crate::webhook::Request {
        method: method.to_owned(),
        url: "https://sidenote.example/webhooks/test".to_owned(),
        headers: headers.iter().map(header).collect(),
        body: body.as_ref().to_vec(),
    }
}

/// A request to this plugin's `/sources/test`, at the host's time: `target` is the path below it, with a query where
/// there is one. Names are made lower case, as the host does.
pub fn request(
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: impl AsRef<[u8]>,
) -> crate::source::Request {
    let header = |(name, value): &(&str, &str)| (name.to_ascii_lowercase(), (*value).to_owned());
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    crate::source::Request {
        method: method.to_owned(),
        path: path.to_owned(),
        query: query.to_owned(),
        headers: headers.iter().map(header).collect(),
        body: body.as_ref().to_vec(),
        received_at_ms: crate::clock::now_ms(),
        extras: Vec::new(),
    }
}

fn with<R>(f: impl FnOnce(&mut State) -> R) -> R {
    HOST.with(|host| f(&mut host.borrow().0.borrow_mut()))
}

pub(crate) fn config(key: &str) -> Option<String> {
    with(|host| host.config.get(key).cloned())
}

pub(crate) fn kv_get(scope: Scope, key: &str) -> Result<Option<Vec<u8>>, kv::Error> {
    check_key(key)?;
    Ok(with(|host| host.kept.get(&(scope as u8, key.to_owned())).cloned()))
}

pub(crate) fn kv_set(scope: Scope, key: &str, value: &[u8]) -> Result<(), kv::Error> {
    check_key(key)?;
    with(|host| host.kept.insert((scope as u8, key.to_owned()), value.to_vec()));
    Ok(())
}

pub(crate) fn kv_delete(scope: Scope, key: &str) -> Result<(), kv::Error> {
    check_key(key)?;
    with(|host| host.kept.remove(&(scope as u8, key.to_owned())));
    Ok(())
}

pub(crate) fn kv_list_keys(
    scope: Scope,
    prefix: &str,
    after: Option<&str>,
    limit: u32,
) -> Result<kv::Page, kv::Error> {
    let keys: Vec<String> = with(|host| {
        let of_scope = host.kept.keys().filter(|(of, _)| *of == scope as u8).map(|(_, key)| key);
        let behind = of_scope.filter(|key| after.is_none_or(|after| key.as_str() > after));
        behind.filter(|key| key.starts_with(prefix)).cloned().collect()
    });
    let limit = usize::try_from(limit.min(100)).unwrap_or(100);
    let more = keys.len() > limit;
    Ok(kv::Page { keys: keys.into_iter().take(limit).collect(), more })
}

/// As the host's.
fn check_key(key: &str) -> Result<(), kv::Error> {
    if key.is_empty() || key.len() > 256 || key.chars().any(char::is_control) {
        let message = "the key is empty, longer than 256 bytes or has control characters";
        return Err(kv::Error { kind: kv::ErrorKind::Invalid, message: message.to_owned() });
    }
    Ok(())
}

pub(crate) fn timer_set(name: &str, moment: Moment, payload: &[u8]) -> Result<(), timer::Error> {
    check_name(name)?;
    let now = crate::clock::now_ms();
    let at = match moment {
        Moment::AfterMs(ms) => now.saturating_add(ms),
        Moment::AtMs(ms) => ms,
    };
    let timer = (at.max(now.saturating_add(1000)), payload.to_vec());
    with(|host| host.timers.insert(name.to_owned(), timer));
    Ok(())
}

pub(crate) fn timer_cancel(name: &str) -> Result<(), timer::Error> {
    check_name(name)?;
    with(|host| host.timers.remove(name));
    Ok(())
}

pub(crate) fn timers() -> Result<Vec<timer::Waiting>, timer::Error> {
    let waiting = |(name, (at_ms, payload)): (&String, &(u64, Vec<u8>))| timer::Waiting {
        name: name.clone(),
        at_ms: *at_ms,
        payload: payload.clone(),
    };
    Ok(with(|host| host.timers.iter().map(waiting).collect()))
}

/// As the host's.
fn check_name(name: &str) -> Result<(), timer::Error> {
    match check_key(name) {
        Ok(()) => Ok(()),
        Err(error) => {
            let message = error.message.replace("the key", "the name");
            Err(timer::Error { kind: timer::ErrorKind::Invalid, message })
        }
    }
}

pub(crate) fn now_ms() -> Option<u64> {
    with(|host| host.now).map(|seconds| seconds.saturating_mul(1000))
}

pub(crate) fn log(level: Level, message: &str, fields: &[(String, String)]) {
    let mut line = message.to_owned();
    for (key, value) in fields {
        line.push_str(&format!(" {key}={value}"));
    }
    with(|host| host.lines.push((level, line)));
}

pub(crate) fn send(request: Request) -> Result<Response, Error> {
    with(|host| {
        host.requests.push(request);
        host.answers.pop_front().unwrap_or_else(|| {
            Err(Error {
                kind: wit::ErrorKind::Connect,
                message: "the test's host has no answer left; add one with `Host::respond`"
                    .to_owned(),
                sent: Sent::NotSent,
            })
        })
    })
}

pub(crate) fn hmac_sign(
    secret: &str,
    hash: Hash,
    encoding: Encoding,
    data: &[u8],
) -> Result<String, String> {
    let key = with(|host| host.secrets.get(secret).cloned())
        .filter(|key| !key.is_empty())
        .ok_or_else(|| format!("no secret `{secret}`"))?;
    let mac = match hash {
        Hash::Sha1 => mac::<hmac::Hmac<sha1::Sha1>>(key.as_bytes(), data),
        Hash::Sha256 => mac::<hmac::Hmac<sha2::Sha256>>(key.as_bytes(), data),
    };
    Ok(match encoding {
        Encoding::Hex => mac.iter().map(|byte| format!("{byte:02x}")).collect(),
        Encoding::Base64 => base64::engine::general_purpose::STANDARD.encode(mac),
    })
}

pub(crate) fn hmac_verify(
    secret: &str,
    hash: Hash,
    encoding: Encoding,
    data: &[u8],
    signature: &str,
) -> Result<bool, String> {
    let wanted = hmac_sign(secret, hash, encoding, data)?;
    Ok(match encoding {
        Encoding::Hex => wanted.eq_ignore_ascii_case(signature),
        Encoding::Base64 => wanted == signature,
    })
}

fn mac<M: Mac + hmac::digest::KeyInit>(key: &[u8], data: &[u8]) -> Vec<u8> {
    let mut mac = <M as Mac>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(data);
    mac.finalize().into_bytes().to_vec()
}
