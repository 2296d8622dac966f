//! Timers: the host calls the plugin later, about the session that the call is about, where the operator grants it
//! (`timer = true` in `[plugins.NAME.grants]`). What a call sets is stored together with its outcome, or not at all.
//!
//! ```
//! use std::time::Duration;
//!
//! use sidenote_plugin::timer::{self, DueTimer, Moment};
//! use sidenote_plugin::{Call, Failure, Note, OnTimer, Posted, Writer, http};
//!
//! struct Reminder;
//!
//! impl Writer for Reminder {
//!     fn post_note(_: Call, note: Note) -> Result<Posted, Failure> {
//!         // Half an hour behind the latest note: each one sets it anew.
//!         timer::set("quiet", Duration::from_secs(1800), note.conversation_id)?;
//!         Ok(Posted::without_id())
//!     }
//! }
//!
//! impl OnTimer for Reminder {
//!     fn wake(call: Call, timer: DueTimer) -> Result<(), Failure> {
//!         let conversation = String::from_utf8_lossy(&timer.payload);
//!         http::Request::post(format!("https://desk.example/{}/quiet", http::encode(&conversation)))
//!             .header("idempotency-key", call.idempotency_key)
//!             .send()?
//!             .error_for_status()
//!             .map(drop)
//!     }
//! }
//!
//! sidenote_plugin::export!(Reminder: Writer, OnTimer);
//! # use sidenote_plugin::test::{self, Host};
//! # fn main() {
//! # let host = Host::new().respond(200, "").install();
//! Reminder::post_note(test::call(), test::note("clicked")).unwrap();
//! for timer in host.take_timers() {
//!     Reminder::wake(test::call(), timer).unwrap();
//! }
//! assert_eq!(host.requests()[0].url, "https://desk.example/c-1/quiet");
//! # }
//! ```
//!
//! A timer goes with its session: where that is erased or has expired, nothing is called.

use std::time::Duration;

use crate::bindings::host::sidenote::plugin::timer as wit;
use crate::{Failure, FailureKind, Sent};

pub use crate::bindings::on_timer::exports::sidenote::plugin::on_timer::DueTimer;
pub use wit::{Error, ErrorKind, Moment, Waiting};

impl From<Duration> for Moment {
    /// So long from now.
    fn from(delay: Duration) -> Self {
        Self::AfterMs(u64::try_from(delay.as_millis()).unwrap_or(u64::MAX))
    }
}

/// Sets a timer, in the place of one of the same name that isn't due yet: so long from now, or at a [`Moment`].
///
/// # Errors
/// It isn't granted, the name or the moment can't be used, the payload is too long, there are too many, nothing of this
/// call is stored, or the host's store is away.
pub fn set(name: &str, moment: impl Into<Moment>, payload: impl AsRef<[u8]>) -> Result<(), Error> {
    #[cfg(target_arch = "wasm32")]
    return wit::set(name, moment.into(), payload.as_ref());
    #[cfg(not(target_arch = "wasm32"))]
    crate::test::timer_set(name, moment.into(), payload.as_ref())
}

/// Cancels a timer that isn't due yet. One that isn't there is fine.
///
/// # Errors
/// As [`set`].
pub fn cancel(name: &str) -> Result<(), Error> {
    #[cfg(target_arch = "wasm32")]
    return wit::cancel(name);
    #[cfg(not(target_arch = "wasm32"))]
    crate::test::timer_cancel(name)
}

/// The plugin's timers of the session that aren't due yet, in the order of their names.
///
/// # Errors
/// It isn't granted, the call isn't about a session, or the host's store is away.
pub fn list_timers() -> Result<Vec<Waiting>, Error> {
    #[cfg(target_arch = "wasm32")]
    return wit::list_timers();
    #[cfg(not(target_arch = "wasm32"))]
    crate::test::timers()
}

impl From<Error> for Failure {
    /// What the operator or time can mend is tried again; a timer that can't be used isn't. Right where nothing was sent
    /// before: say otherwise with [`Failure::with_sent`].
    fn from(error: Error) -> Self {
        let (kind, code) = match error.kind {
            ErrorKind::Denied => (FailureKind::Auth, "timer-denied"),
            ErrorKind::Unhandled => (FailureKind::Invalid, "timer-unhandled"),
            ErrorKind::NoSession => (FailureKind::Invalid, "timer-no-session"),
            ErrorKind::ReadOnly => (FailureKind::Invalid, "timer-read-only"),
            ErrorKind::Invalid => (FailureKind::Invalid, "timer-invalid"),
            ErrorKind::Full => (FailureKind::Transient, "timer-full"),
            ErrorKind::Unavailable => (FailureKind::Transient, "timer-unavailable"),
        };
        Failure::new(kind, code, error.message).with_sent(Sent::NotSent)
    }
}
