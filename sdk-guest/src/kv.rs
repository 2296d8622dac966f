//! Small values that the host keeps for the plugin, where the operator grants it (`kv = true` in
//! `[plugins.NAME.grants]`). What a call writes is stored together with its outcome, or not at all.
//!
//! ```
//! use sidenote_plugin::kv::{self, Scope};
//! # use sidenote_plugin::{Failure, http};
//! # use sidenote_plugin::test::Host;
//! /// The thread of the session's conversation: made once, remembered for its other notes.
//! fn thread() -> Result<String, Failure> {
//!     if let Some(thread) = kv::get_text(Scope::Session, "thread")? {
//!         return Ok(thread);
//!     }
//!     #[derive(serde::Deserialize)]
//!     struct Thread {
//!         id: String,
//!     }
//!     let made = http::Request::post("https://bot.example/threads").send()?.error_for_status()?;
//!     let Thread { id } = made.json()?;
//!     kv::set(Scope::Session, "thread", &id)?;
//!     Ok(id)
//! }
//! # let host = Host::new().respond(201, r#"{"id":"t-7"}"#).install();
//! assert_eq!((thread()?, thread()?), ("t-7".to_owned(), "t-7".to_owned()));
//! # assert_eq!(host.requests().len(), 1);
//! # Ok::<(), Failure>(())
//! ```
//!
//! A call that ends in a passing failure is made again, and what it wrote is dropped: ask the platform by the call's
//! idempotency key, too, for what must not be made twice.
//!
//! Calls run at the same time. Of two that write one key, the one that is stored last counts, whole: this is no place
//! for counters.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::bindings::host::sidenote::plugin::kv as wit;
use crate::{Failure, FailureKind, Sent};

pub use wit::{Error, ErrorKind, Page, Scope};

/// The value under a key, or `None` where there is none.
///
/// # Errors
/// It isn't granted, the key can't be used, or the host's store is away.
pub fn get(scope: Scope, key: &str) -> Result<Option<Vec<u8>>, Error> {
    #[cfg(target_arch = "wasm32")]
    return wit::get(scope, key);
    #[cfg(not(target_arch = "wasm32"))]
    crate::test::kv_get(scope, key)
}

/// The text under a key. What isn't UTF-8 counts as nothing.
///
/// # Errors
/// As [`get`].
pub fn get_text(scope: Scope, key: &str) -> Result<Option<String>, Error> {
    Ok(get(scope, key)?.and_then(|value| String::from_utf8(value).ok()))
}

/// What [`set_json`] put under a key. What can't be read, because an earlier version of the plugin wrote it otherwise,
/// counts as nothing.
///
/// ```
/// use sidenote_plugin::kv::{self, Scope};
/// # sidenote_plugin::test::Host::new().install();
/// #[derive(serde::Serialize, serde::Deserialize)]
/// struct Seen {
///     ids: Vec<String>,
/// }
/// kv::set_json(Scope::Session, "seen", &Seen { ids: vec!["m-1".to_owned()] })?;
/// let seen: Option<Seen> = kv::get_json(Scope::Session, "seen")?;
/// assert_eq!(seen.map(|seen| seen.ids), Some(vec!["m-1".to_owned()]));
/// # Ok::<(), kv::Error>(())
/// ```
///
/// # Errors
/// As [`get`].
pub fn get_json<T: DeserializeOwned>(scope: Scope, key: &str) -> Result<Option<T>, Error> {
    Ok(get(scope, key)?.and_then(|value| serde_json::from_slice(&value).ok()))
}

/// Has a value under a key, in the place of what was there.
///
/// # Errors
/// As [`get`]; or it is too long, there is no space for it, or nothing of this call is stored.
pub fn set(scope: Scope, key: &str, value: impl AsRef<[u8]>) -> Result<(), Error> {
    #[cfg(target_arch = "wasm32")]
    return wit::set(scope, key, value.as_ref());
    #[cfg(not(target_arch = "wasm32"))]
    crate::test::kv_set(scope, key, value.as_ref())
}

/// As [`set`], of anything that can be written as JSON.
///
/// # Errors
/// As [`set`]; or it can't be written as JSON.
pub fn set_json(scope: Scope, key: &str, value: &impl Serialize) -> Result<(), Error> {
    let json = serde_json::to_vec(value)
        .map_err(|error| Error { kind: ErrorKind::Invalid, message: error.to_string() })?;
    set(scope, key, json)
}

/// Has nothing under a key. One that isn't there is fine.
///
/// # Errors
/// As [`set`].
pub fn delete(scope: Scope, key: &str) -> Result<(), Error> {
    #[cfg(target_arch = "wasm32")]
    return wit::delete(scope, key);
    #[cfg(not(target_arch = "wasm32"))]
    crate::test::kv_delete(scope, key)
}

/// The first keys that begin with `prefix`, behind `after`; at most `limit` of them, and never more than 100.
///
/// ```
/// use sidenote_plugin::kv::{self, Scope};
/// # sidenote_plugin::test::Host::new().install();
/// for id in ["a", "b", "c"] {
///     kv::set(Scope::Plugin, &format!("job/{id}"), "")?;
/// }
/// let (mut all, mut after) = (Vec::new(), None);
/// loop {
///     let page = kv::list_keys(Scope::Plugin, "job/", after.as_deref(), 2)?;
///     all.extend(page.keys);
///     if !page.more {
///         break;
///     }
///     after = all.last().cloned();
/// }
/// assert_eq!(all, ["job/a", "job/b", "job/c"]);
/// # Ok::<(), kv::Error>(())
/// ```
///
/// # Errors
/// As [`get`].
pub fn list_keys(
    scope: Scope,
    prefix: &str,
    after: Option<&str>,
    limit: u32,
) -> Result<Page, Error> {
    #[cfg(target_arch = "wasm32")]
    return wit::list_keys(scope, prefix, after, limit);
    #[cfg(not(target_arch = "wasm32"))]
    crate::test::kv_list_keys(scope, prefix, after, limit)
}

impl From<Error> for Failure {
    /// What the operator or time can mend is tried again; a key or value that can't be used isn't. Right where nothing
    /// was sent before: say otherwise with [`Failure::with_sent`].
    fn from(error: Error) -> Self {
        let (kind, code) = match error.kind {
            ErrorKind::Denied => (FailureKind::Auth, "kv-denied"),
            ErrorKind::NoSession => (FailureKind::Invalid, "kv-no-session"),
            ErrorKind::ReadOnly => (FailureKind::Invalid, "kv-read-only"),
            ErrorKind::Invalid => (FailureKind::Invalid, "kv-invalid"),
            ErrorKind::Full => (FailureKind::Transient, "kv-full"),
            ErrorKind::Unavailable => (FailureKind::Transient, "kv-unavailable"),
        };
        Failure::new(kind, code, error.message).with_sent(Sent::NotSent)
    }
}
