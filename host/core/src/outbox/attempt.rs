//! The log of the attempts at a delivery. It is stored in the rows that are stored for it anyway, and goes with them.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::outbox::outcome::{Crash, FailureKind, PostError, Sent};
use crate::session::text::printable_line;
use crate::short::{Reader, Writer};

/// So many of the first attempts are kept.
pub const FIRST: usize = 3;
/// So many of the latest are kept.
pub const LATEST: usize = 17;
/// Longest code of a failure that is kept, in bytes.
const MAX_CODE: usize = 64;
/// Longest text of a failure that is kept, in bytes.
const MAX_MESSAGE: usize = 200;
/// Longest name of a plugin's version that is kept, in bytes.
const MAX_VERSION: usize = 48;

/// How a call went, whatever came of it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Course {
    /// It was made to learn whether the platform answers again: as an attempt it counts for nothing.
    pub probe: bool,
    /// For the jitter of the pause that may follow, `0.0..=1.0`.
    pub random: f64,
    /// Which version of the plugin it was made with, where that is known.
    pub version: Option<Arc<str>>,
    /// How long it took.
    pub took: Duration,
    /// What the platform said of an earlier attempt without an outcome, where it was asked.
    pub asked: Option<Asked>,
}

impl Course {
    /// A call of which nothing else is known.
    pub fn of(probe: bool, random: f64) -> Self {
        Self { probe, random, ..Self::default() }
    }
}

/// What came of the question whether the platform has something of an earlier attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Asked {
    /// It has it: nothing was sent.
    Found,
    /// It doesn't have it.
    NotFound,
    /// Nobody can say.
    CannotTell,
    /// The question failed: nothing was sent.
    Failed,
}

/// The attempts at one delivery, the oldest first: the first ones and the latest.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempts(u32, Vec<Attempt>);

/// One attempt.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(from = "Stored")]
pub struct Attempt {
    /// When it went on record, before anything was sent.
    pub began: Timestamp,
    /// How long its call took; `None` while it is under way, and where it was cut off.
    pub took: Option<Duration>,
    /// The version of the plugin: what its manifest says, `+`, and the first digits of its content's hash. Empty where
    /// that isn't known.
    pub version: Arc<str>,
    /// What the platform said of an earlier attempt without an outcome, where it was asked first.
    pub asked: Option<Asked>,
    /// How it ended.
    pub status: Status,
    /// What went wrong, where something did.
    pub fault: Option<Fault>,
}

/// What went wrong in an attempt, and what follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The platform's own code, or the plugin's.
    pub code: String,
    /// What happened, for people.
    pub message: String,
    /// Whether bytes of the request left the host.
    pub sent: Sent,
    /// What was decided.
    pub then: Then,
}

/// What was decided after an attempt that didn't succeed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// It is tried again, or asked for, not before this moment.
    Again(Timestamp),
    /// It isn't tried any more.
    End(Because),
}

macro_rules! coded {
    ($(#[$doc:meta])* $name:ident, otherwise $other:ident { $($(#[$of:meta])* $variant:ident = $code:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
        #[serde(rename_all = "snake_case")]
        pub enum $name { $($(#[$of])* $variant,)* }

        impl $name {
            fn code(self) -> u8 {
                match self { $(Self::$variant => $code,)* }
            }

            /// What a later version may have added is read as the nearest that there is.
            fn coded(code: u8) -> Self {
                match code { $($code => Self::$variant,)* _ => Self::$other }
            }
        }
    };
}

coded! {
    /// How an attempt ended.
    Status, otherwise Permanent {
        /// It hasn't.
        UnderWay = 0,
        /// The platform has it; of a redaction, the note is gone or its text is.
        Sent = 1,
        /// The host ended meanwhile: nobody knows.
        CutOff = 2,
        /// It failed and may succeed later.
        Transient = 3,
        /// A limit of the platform's.
        RateLimited = 4,
        /// The credentials were refused.
        Auth = 5,
        /// The conversation isn't there; of a redaction, the note isn't.
        NotFound = 6,
        /// The platform or the plugin's configuration refuses this request.
        Invalid = 7,
        /// It will never succeed.
        Permanent = 8,
        /// The plugin trapped.
        Trap = 9,
        /// It didn't answer in time.
        Timeout = 10,
        /// It computed for too long.
        Cpu = 11,
        /// It wanted too much memory.
        Memory = 12,
        /// The plugin can't be called at the moment: nothing was sent.
        Unavailable = 13,
        /// The platform was asked for what an earlier attempt may have brought, and didn't say that it has it.
        Asked = 14,
    }
}

coded! {
    /// Why a delivery isn't tried any more.
    Because, otherwise Refused {
        /// The failure is one that another attempt wouldn't repair.
        Refused = 0,
        /// It was tried so often as the rules allow (`max_attempts`).
        Attempts = 1,
        /// It could not be delivered for so long as the rules allow (`max_age`).
        Age = 2,
        /// It was in flight in too many crashes.
        Crashes = 3,
    }
}

impl Status {
    /// Of an attempt that failed so.
    fn of(error: &PostError) -> Self {
        match error {
            PostError::Unavailable { .. } => Self::Unavailable,
            PostError::Crashed { crash, .. } => match crash {
                Crash::Trap => Self::Trap,
                Crash::Timeout => Self::Timeout,
                Crash::Cpu => Self::Cpu,
                Crash::Memory => Self::Memory,
            },
            PostError::Failed(failure) => match failure.kind {
                FailureKind::Transient => Self::Transient,
                FailureKind::RateLimited => Self::RateLimited,
                FailureKind::Auth => Self::Auth,
                FailureKind::NotFound => Self::NotFound,
                FailureKind::Invalid => Self::Invalid,
                FailureKind::Permanent => Self::Permanent,
            },
        }
    }
}

impl Fault {
    /// What went wrong, and what follows.
    fn of(error: &PostError, then: Then) -> Self {
        let (code, message, sent) = match error {
            PostError::Failed(failure) => (&*failure.code, &failure.message, failure.sent),
            PostError::Crashed { crash, message } => (crash.code(), message, Sent::Unknown),
            PostError::Unavailable { message } => ("unavailable", message, Sent::NotSent),
        };
        Self { code: short(code, MAX_CODE), message: short(message, MAX_MESSAGE), sent, then }
    }

    /// As `code: message`: what reasons of dead letters are.
    pub fn reason(&self) -> String {
        format!("{}: {}", self.code, self.message)
    }
}

impl Attempts {
    /// None.
    pub const NONE: Self = Self(0, Vec::new());

    /// One that began at this moment.
    pub fn begun(at: Timestamp) -> Self {
        let mut attempts = Self::NONE;
        attempts.begin(at);
        attempts
    }

    /// Whether none was begun.
    pub fn is_empty(&self) -> bool {
        self.1.is_empty()
    }

    /// How many between the first and the latest ones aren't kept.
    pub fn left_out(&self) -> u32 {
        self.0
    }

    /// Those that are kept, the oldest first. Where some are left out, they stood behind the first [`FIRST`].
    pub fn kept(&self) -> &[Attempt] {
        &self.1
    }

    /// The latest.
    pub fn last(&self) -> Option<&Attempt> {
        self.1.last()
    }

    /// One begins.
    pub fn begin(&mut self, at: Timestamp) {
        if self.1.len() >= FIRST + LATEST {
            self.1.remove(FIRST);
            self.0 = self.0.saturating_add(1);
        }
        // Most have one.
        self.1.reserve_exact(1);
        self.1.push(Attempt {
            began: at,
            took: None,
            version: Arc::default(),
            asked: None,
            status: Status::UnderWay,
            fault: None,
        });
    }

    /// The one under way ended well.
    pub fn succeed(&mut self, course: &Course) {
        self.end(course, Status::Sent, None);
    }

    /// The one under way ended with an answer that is neither success nor failure, and isn't followed by another.
    pub fn end_as(&mut self, course: &Course, status: Status) {
        self.end(course, status, None);
    }

    /// The one under way failed.
    pub fn fail(&mut self, course: &Course, error: &PostError, then: Then) {
        self.end(course, Status::of(error), Some(Fault::of(error, then)));
    }

    /// The one under way, if there is one, was cut off.
    pub fn cut(&mut self) {
        if let Some(last) = self.1.last_mut().filter(|last| last.status == Status::UnderWay) {
            last.status = Status::CutOff;
        }
    }

    /// Writes them; of all moments, how long they are behind `base`.
    pub(crate) fn write(&self, to: &mut Writer, base: Timestamp) {
        to.put(&(self.0, self.1.len()));
        for attempt in &self.1 {
            let mut stored = attempt.stored();
            stored.0 = Timestamp(stored.0.0.wrapping_sub(base.0));
            to.put(&stored);
        }
    }

    /// Reads what was written.
    pub(crate) fn read(from: &mut Reader<'_>, base: Timestamp) -> Option<Self> {
        let (left_out, count) = from.take::<(u32, usize)>()?;
        let one = |_| {
            let mut stored: Stored = from.take()?;
            stored.0 = Timestamp(stored.0.0.wrapping_add(base.0));
            Some(Attempt::from(stored))
        };
        Some(Self(left_out, (0..count).map(one).collect::<Option<_>>()?))
    }

    fn end(&mut self, course: &Course, status: Status, fault: Option<Fault>) {
        // An earlier version may have begun it, which kept none.
        let Some(last) = self.1.last_mut().filter(|last| last.status == Status::UnderWay) else {
            return;
        };
        last.took = Some(course.took);
        last.version = course.version.as_ref().map(bounded).unwrap_or_default();
        (last.asked, last.status, last.fault) = (course.asked, status, fault);
    }
}

/// The beginning of a text that others chose, on one line and without what steers a terminal.
fn short(text: &str, most: usize) -> String {
    let text = &text[..text.floor_char_boundary(most)];
    printable_line(text).into_owned()
}

/// The name of a version, which all its attempts share where it is one that may be shown as it is.
fn bounded(version: &Arc<str>) -> Arc<str> {
    let plain = version.len() <= MAX_VERSION && version.bytes().all(|byte| byte.is_ascii_graphic());
    if plain { version.clone() } else { short(version, MAX_VERSION).into() }
}

/// An attempt as it is stored: without the names of its fields, which would be longer than what is in them.
#[derive(Serialize, Deserialize)]
struct Stored<Text = Arc<str>, Words = String>(
    Timestamp,
    Option<u32>,
    Text,
    u8,
    Option<u8>,
    Option<StoredFault<Words>>,
);

/// Code, message, whether bytes left, why it isn't tried any more, and else when it is tried again.
#[derive(Serialize, Deserialize)]
struct StoredFault<Words = String>(Words, Words, u8, Option<u8>, Timestamp);

impl Serialize for Attempt {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.stored().serialize(serializer)
    }
}

impl Attempt {
    fn stored(&self) -> Stored<&str, &str> {
        let millis = |took: Duration| u32::try_from(took.as_millis()).unwrap_or(u32::MAX);
        let asked = self.asked.map(|asked| match asked {
            Asked::Found => 0,
            Asked::NotFound => 1,
            Asked::CannotTell => 2,
            Asked::Failed => 3,
        });
        let fault = self.fault.as_ref().map(|Fault { code, message, sent, then }| {
            let sent = match sent {
                Sent::NotSent => 0,
                Sent::Unknown => 1,
                Sent::Sent => 2,
            };
            let (end, again) = match then {
                Then::Again(at) => (None, *at),
                Then::End(because) => (Some(because.code()), Timestamp::default()),
            };
            StoredFault(&**code, &**message, sent, end, again)
        });
        let status = self.status.code();
        Stored(self.began, self.took.map(millis), &*self.version, status, asked, fault)
    }
}

impl From<Stored> for Attempt {
    fn from(Stored(began, took, version, status, asked, fault): Stored) -> Self {
        let asked = asked.map(|asked| match asked {
            0 => Asked::Found,
            1 => Asked::NotFound,
            3 => Asked::Failed,
            _ => Asked::CannotTell,
        });
        let fault = fault.map(|StoredFault(code, message, sent, end, again)| Fault {
            code,
            message,
            sent: match sent {
                0 => Sent::NotSent,
                2 => Sent::Sent,
                _ => Sent::Unknown,
            },
            then: end.map_or(Then::Again(again), |end| Then::End(Because::coded(end))),
        });
        let took = took.map(|millis| Duration::from_millis(millis.into()));
        Self { began, took, version, asked, status: Status::coded(status), fault }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outbox::outcome::{Failure, LimitScope};

    const T: Timestamp = Timestamp(1_700_000_000_000_000);
    const S: Duration = Duration::from_secs(1);

    fn failed(message: &str) -> PostError {
        PostError::Failed(Failure {
            kind: FailureKind::RateLimited,
            code: "429".to_owned(),
            message: message.to_owned(),
            retry_after: None,
            scope: LimitScope::Account,
            sent: Sent::NotSent,
        })
    }

    fn course() -> Course {
        let version = Some("1.2.0+0123abcd".into());
        Course { version, took: S * 2, asked: Some(Asked::NotFound), ..Course::default() }
    }

    #[test]
    fn the_first_and_the_latest_are_kept_and_the_others_counted() {
        let mut attempts = Attempts::NONE;
        for n in 0..100 {
            attempts.begin(T + S * n);
            attempts.fail(&course(), &failed("no"), Then::Again(T + S * (n + 1)));
        }
        assert_eq!((attempts.left_out(), attempts.kept().len()), (80, FIRST + LATEST));
        let began: Vec<_> = attempts.kept().iter().map(|it| it.began.since(T).as_secs()).collect();
        assert_eq!(began[..4], [0, 1, 2, 83]);
        assert_eq!(began.last(), Some(&99));
    }

    #[test]
    fn a_log_is_stored_and_read_as_it_was() {
        let mut attempts = Attempts::NONE;
        attempts.begin(T);
        attempts.cut();
        attempts.begin(T + S);
        attempts.fail(&course(), &failed("no"), Then::Again(T + S * 9));
        attempts.begin(T + S * 9);
        let trap = PostError::Crashed { crash: Crash::Trap, message: "boom".to_owned() };
        attempts.fail(&Course::default(), &trap, Then::End(Because::Crashes));
        attempts.begin(T + S * 10);
        attempts.succeed(&course());
        attempts.begin(T + S * 11);
        let json = serde_json::to_string(&attempts).unwrap();
        assert_eq!(serde_json::from_str::<Attempts>(&json).unwrap(), attempts);
        let packed = rmp_serde::to_vec_named(&attempts).unwrap();
        assert_eq!(rmp_serde::from_slice::<Attempts>(&packed).unwrap(), attempts);
    }

    #[test]
    fn every_word_has_a_code_of_its_own() {
        (0..=14).for_each(|code| assert_eq!(Status::coded(code).code(), code));
        (0..=3).for_each(|code| assert_eq!(Because::coded(code).code(), code));
        assert_eq!((Status::coded(99), Because::coded(99)), (Status::Permanent, Because::Refused));
    }

    #[test]
    fn what_a_plugin_says_is_kept_cut_and_cleaned() {
        let long = format!("a\u{1b}[2J\nb{}", "é".repeat(500));
        let fault = Fault::of(&failed(&long), Then::Again(T));
        assert!(fault.message.len() <= MAX_MESSAGE + 8, "{}", fault.message.len());
        assert!(fault.message.chars().all(|c| !c.is_control()), "{}", fault.message);
        assert!(fault.reason().starts_with("429: a"));
    }
}
