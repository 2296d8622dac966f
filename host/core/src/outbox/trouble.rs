//! What goes wrong between a plugin and its platform, told once per cause: when it begins and when it ends.
//!
//! A cause that comes and goes all the time, such as one conversation that a token may not write to, is told
//! once per [`QUIET`]; every failure counts all the same.

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::outbox::note::{FailureKind, PostError};

/// A cause that was told isn't told again for so long, however often it ends and begins anew.
pub const QUIET: std::time::Duration = std::time::Duration::from_secs(600);

/// So many causes of one plugin are told apart: a plugin chooses its codes itself.
const MOST_CAUSES: usize = 16;

/// So much of a failure's text is kept, in bytes.
const MAX_MESSAGE: usize = 300;

/// Why a call failed, as far as it is about more than the one note.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// What is to be done about it.
    pub kind: FaultKind,
    /// The platform's own code, such as `401`, or how the plugin ended.
    pub code: String,
    /// What happened, for people.
    pub message: String,
}

/// What is to be done about a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// The platform refuses the credentials: a person must act.
    Auth,
    /// The platform, or the way to it, has trouble of its own.
    Transient,
    /// The plugin trapped or didn't answer.
    Crashed,
    /// The platform refuses the one request: it becomes a dead letter, which is told by itself.
    Refused,
}

impl FaultKind {
    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::Auth => "auth",
            Self::Transient => "transient",
            Self::Crashed => "crashed",
            Self::Refused => "refused",
        }
    }

    /// Whether it is about the account rather than the one note, so that its beginning and end are told.
    fn is_told(self) -> bool {
        match self {
            Self::Auth | Self::Transient | Self::Crashed => true,
            Self::Refused => false,
        }
    }
}

impl Fault {
    /// What an error says of the account; `None` where it says nothing: a limit is no fault, and a plugin
    /// that isn't there is told by whoever loads it.
    pub fn of(error: &PostError) -> Option<Self> {
        let (kind, code, message) = match error {
            PostError::Unavailable { .. } => return None,
            PostError::Crashed { crash, message } => (FaultKind::Crashed, crash.code(), message),
            PostError::Failed(failure) => {
                let kind = match failure.kind {
                    FailureKind::RateLimited => return None,
                    FailureKind::Auth => FaultKind::Auth,
                    FailureKind::Transient => FaultKind::Transient,
                    FailureKind::NotFound | FailureKind::Invalid | FailureKind::Permanent => {
                        FaultKind::Refused
                    }
                };
                (kind, &*failure.code, &failure.message)
            }
        };
        let mut message = message.clone();
        message.truncate(message.floor_char_boundary(MAX_MESSAGE));
        Some(Self { kind, code: code.to_owned(), message })
    }
}

/// What a call says of its account's troubles.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// It succeeded at the platform: whatever was wrong is over.
    Success,
    /// It failed.
    Fault(Fault),
    /// Nothing.
    Nothing,
}

/// The last failure of a plugin's calls, for people. Times are seconds since the Unix epoch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct LastError {
    /// When it was.
    pub at: f64,
    /// What is to be done about it.
    pub kind: FaultKind,
    /// The platform's own code, such as `401`.
    pub code: String,
    /// What happened, for people; cleaned and cut.
    pub message: String,
    /// Since when calls fail of it; `None` where one has succeeded since.
    pub since: Option<f64>,
    /// How many calls have failed of it since then.
    pub failures: u64,
}

impl LastError {
    /// Whether no call has succeeded since.
    pub fn is_ongoing(&self) -> bool {
        self.since.is_some()
    }
}

/// What is to be told of a plugin's troubles.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// Calls fail of this.
    Began(Fault),
    /// Calls succeed again.
    Ended {
        /// Of what kind it was.
        kind: FaultKind,
        /// The platform's code.
        code: String,
        /// How many calls failed.
        failures: u64,
        /// How long it lasted.
        lasted: std::time::Duration,
    },
}

/// The troubles of one plugin. Nothing of it outlives the process: what still fails is told anew.
#[derive(Debug, Clone, Default)]
pub struct Troubles {
    ongoing: Vec<Trouble>,
    /// What was told lately, and when.
    said: Vec<(FaultKind, String, Timestamp)>,
    last: Option<LastError>,
}

#[derive(Debug, Clone)]
struct Trouble {
    kind: FaultKind,
    code: String,
    since: Timestamp,
    failures: u64,
    /// Whether its beginning was told, so that its end is.
    told: bool,
}

impl Troubles {
    /// Takes what a call says. What is returned is to be told.
    pub fn hear(&mut self, told: Told, now: Timestamp) -> Vec<News> {
        match told {
            Told::Nothing => Vec::new(),
            Told::Success => {
                if let Some(last) = &mut self.last {
                    last.since = None;
                }
                let ended = std::mem::take(&mut self.ongoing).into_iter();
                let ended = ended.filter(|trouble| trouble.told).map(|trouble| News::Ended {
                    kind: trouble.kind,
                    code: trouble.code,
                    failures: trouble.failures,
                    lasted: now.since(trouble.since),
                });
                ended.collect()
            }
            Told::Fault(fault) => self.fails(fault, now).into_iter().collect(),
        }
    }

    /// The last failure; `None` where there was none.
    pub fn last(&self) -> Option<&LastError> {
        self.last.as_ref()
    }

    fn fails(&mut self, fault: Fault, now: Timestamp) -> Option<News> {
        let Fault { kind, code, message } = fault.clone();
        if !kind.is_told() {
            // A refused note says nothing of whether the account is well: what is ongoing stays so.
            let at = now.as_secs_f64();
            if !self.last.as_ref().is_some_and(LastError::is_ongoing) {
                self.last = Some(LastError { at, kind, code, message, since: None, failures: 1 });
            }
            return None;
        }
        let place = self.ongoing.iter().position(|it| it.kind == kind && it.code == code);
        let place = place.or_else(|| {
            (self.ongoing.len() < MOST_CAUSES).then(|| {
                let code = code.clone();
                let trouble = Trouble { kind, code, since: now, failures: 0, told: false };
                self.ongoing.push(trouble);
                self.ongoing.len() - 1
            })
        });
        let (mut since, mut failures) = (now, 1);
        if let Some(trouble) = place.and_then(|place| self.ongoing.get_mut(place)) {
            trouble.failures += 1;
            (since, failures) = (trouble.since, trouble.failures);
        }
        let since = Some(since.as_secs_f64());
        self.last = Some(LastError { at: now.as_secs_f64(), kind, code, message, since, failures });
        if place.is_none() || failures > 1 || !self.may_say(&fault, now) {
            return None;
        }
        if let Some(trouble) = place.and_then(|place| self.ongoing.get_mut(place)) {
            trouble.told = true;
        }
        Some(News::Began(fault))
    }

    /// Whether this cause wasn't told lately; from here on it was.
    fn may_say(&mut self, fault: &Fault, now: Timestamp) -> bool {
        self.said.retain(|(_, _, at)| now.since(*at) < QUIET && *at <= now);
        let known =
            self.said.iter().any(|(kind, code, _)| *kind == fault.kind && *code == fault.code);
        if known || self.said.len() >= MOST_CAUSES {
            return false;
        }
        self.said.push((fault.kind, fault.code.clone(), now));
        true
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::outbox::note::{Crash, Failure, LimitScope, Sent};

    fn fault(kind: FaultKind, code: &str) -> Fault {
        Fault { kind, code: code.to_owned(), message: "no".to_owned() }
    }

    fn fails(code: &str) -> Told {
        Told::Fault(fault(FaultKind::Auth, code))
    }

    fn at(seconds: f64) -> Timestamp {
        Timestamp::from_secs_f64(1_000_000.0 + seconds)
    }

    #[test]
    fn a_cause_is_told_when_it_begins_and_when_it_ends() {
        let mut troubles = Troubles::default();
        assert_eq!(
            troubles.hear(fails("401"), at(0.0)),
            [News::Began(fault(FaultKind::Auth, "401"))]
        );
        for second in 1..1000 {
            assert_eq!(troubles.hear(fails("401"), at(f64::from(second))), []);
        }
        let last = troubles.last().cloned().unwrap();
        assert_eq!((last.failures, last.since), (1000, Some(at(0.0).as_secs_f64())));
        assert_eq!((last.at, last.is_ongoing()), (at(999.0).as_secs_f64(), true));
        let ended = News::Ended {
            kind: FaultKind::Auth,
            code: "401".to_owned(),
            failures: 1000,
            lasted: Duration::from_secs(1000),
        };
        assert_eq!(troubles.hear(Told::Success, at(1000.0)), [ended]);
        assert!(troubles.last().is_some_and(|last| !last.is_ongoing()));
        assert_eq!(troubles.hear(Told::Success, at(1001.0)), []);
    }

    #[test]
    fn a_cause_that_comes_and_goes_is_told_once_in_a_while() {
        let mut troubles = Troubles::default();
        let mut told = 0;
        for second in 0..1200 {
            let heard = if second % 2 == 0 { fails("403") } else { Told::Success };
            told += troubles.hear(heard, at(f64::from(second))).len();
        }
        assert_eq!(told, 4, "two beginnings in twenty minutes, and their ends");
    }

    #[test]
    fn codes_without_end_are_no_flood() {
        let mut troubles = Troubles::default();
        let told = (0..10_000).flat_map(|n| troubles.hear(fails(&n.to_string()), at(0.0)));
        assert_eq!(told.count(), MOST_CAUSES);
        assert_eq!(troubles.ongoing.len(), MOST_CAUSES);
        assert_eq!(troubles.last().unwrap().code, "9999");
        assert_eq!(troubles.hear(Told::Success, at(1.0)).len(), MOST_CAUSES);
    }

    #[test]
    fn a_refused_note_is_shown_and_neither_begins_nor_ends_anything() {
        let mut troubles = Troubles::default();
        let refused = || Told::Fault(fault(FaultKind::Refused, "422"));
        assert_eq!(troubles.hear(refused(), at(0.0)), []);
        assert_eq!(
            troubles.last().map(|last| (last.kind, last.is_ongoing())),
            Some((FaultKind::Refused, false))
        );
        troubles.hear(fails("401"), at(1.0));
        assert_eq!(troubles.hear(refused(), at(2.0)), []);
        assert_eq!(troubles.last().map(|last| &*last.code), Some("401"));
    }

    #[test]
    fn each_kind_of_failure_is_told_as_what_it_is() {
        let failed = |kind| {
            let failure = Failure {
                kind,
                code: "c".to_owned(),
                message: "m".repeat(1000),
                retry_after: None,
                scope: LimitScope::Account,
                sent: Sent::Sent,
            };
            Fault::of(&PostError::Failed(failure))
        };
        let kind = |kind| failed(kind).map(|fault| fault.kind);
        assert_eq!(kind(FailureKind::Auth), Some(FaultKind::Auth));
        assert_eq!(kind(FailureKind::Transient), Some(FaultKind::Transient));
        assert_eq!(kind(FailureKind::RateLimited), None);
        for refused in [FailureKind::NotFound, FailureKind::Invalid, FailureKind::Permanent] {
            assert_eq!(kind(refused), Some(FaultKind::Refused));
        }
        let crashed = PostError::Crashed { crash: Crash::Trap, message: String::new() };
        assert_eq!(
            Fault::of(&crashed),
            Some(Fault { message: String::new(), ..fault(FaultKind::Crashed, "trap") })
        );
        let absent = PostError::Unavailable { message: "m".to_owned() };
        assert_eq!(Fault::of(&absent), None);
        assert_eq!(failed(FailureKind::Auth).unwrap().message.len(), MAX_MESSAGE);
    }
}
