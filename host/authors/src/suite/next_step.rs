//! What the host would do about an outcome. Nothing is judged here: the outbox itself is asked, with a
//! lane of one note.

use std::sync::Arc;
use std::time::Duration;

use sidenote::clock::Timestamp;
use sidenote::config::{Breaker, Delivery};
use sidenote::outbox::account::Account;
use sidenote::outbox::attempt::Course;
use sidenote::outbox::lane::{Finished, Lane, State};
use sidenote::outbox::note::{Note, PostError, Posted};

/// After so many attempts that all fail the same way nobody wants to know more.
const MOST_TRIES: u32 = 100_000;

/// What the host would do.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct NextStep {
    pub(crate) fate: Fate,
    /// In words.
    pub(crate) text: String,
}

/// What happens to the note next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It counts as posted.
    Posted,
    /// It is sent again, no earlier than after this long.
    Again { after: Duration, unknown: bool },
    /// It becomes a dead letter.
    Dead,
}

/// Asks the outbox what it does about the first attempt's outcome, and where it ends if every further
/// one ends the same way. `finder`: whether the plugin can be asked for a note.
pub(crate) fn next_step(
    note: &Note,
    outcome: &Result<Posted, PostError>,
    finder: bool,
    rules: &Delivery,
) -> NextStep {
    let now = note.sealed_at;
    let mut lane = Lane::default();
    lane.push(Arc::new(note.clone()));
    lane.start(now);
    let finished = lane.finish(outcome.clone(), &Course::default(), now, rules);
    let at = match finished {
        Some(Finished::Sent(..)) | None => {
            let text = "the host counts the note as posted".to_owned();
            return NextStep { fate: Fate::Posted, text };
        }
        Some(Finished::Dead(_)) => {
            let text = "the host gives the note up: a dead letter, kept for a person".to_owned();
            return NextStep { fate: Fate::Dead, text };
        }
        Some(Finished::Retry { at }) => at,
    };
    let progress = lane.head().map(|head| head.progress.clone()).expect("it waits in its lane");
    let fate = Fate::Again { after: at.since(now), unknown: progress.unknown };
    let when = match progress.state {
        State::HeldUntil(_) => {
            format!("the host sends it again after {}, not before", time(at.since(now)))
        }
        State::RetryAt(_) | State::Due | State::InFlight | State::GivenUp => {
            format!("the host sends it again within {}, then ever later", time(rules.retry_initial))
        }
    };
    let counted = match progress.uncounted {
        0 => String::new(),
        _ => ", and no attempt is used up".to_owned(),
    };
    let held = match held(outcome, note, now) {
        Some(pause) => format!("; the account's other notes wait {} too", time(pause)),
        None => String::new(),
    };
    let asked = match (progress.unknown, finder) {
        (false, _) => "",
        (true, true) => "; the plugin is asked for it first",
        (true, false) => "; the platform may have it twice then",
    };
    let end = match end(lane, outcome, at, now, rules) {
        Some((tries, after)) => {
            let plural = if tries == 1 { "attempt" } else { "attempts" };
            format!("; a dead letter after {tries} {plural}, {} at most", time(after))
        }
        None => String::new(),
    };
    NextStep { fate, text: format!("{when}{counted}{held}{asked}{end}") }
}

/// How long the whole account waits.
fn held(outcome: &Result<Posted, PostError>, note: &Note, now: Timestamp) -> Option<Duration> {
    let rules = Breaker::default();
    let mut account = Account::new(Some(&rules), now);
    account.begin();
    account.end(outcome, false, now, Some(&rules), 0.0);
    let until = account.state(&note.plugin, now).limited_until?;
    Some(Duration::from_millis(until.saturating_sub(now.as_millis())))
}

/// How often it is tried and how long it takes at most, until it is a dead letter.
fn end(
    mut lane: Lane,
    outcome: &Result<Posted, PostError>,
    first: Timestamp,
    began: Timestamp,
    rules: &Delivery,
) -> Option<(u32, Duration)> {
    let mut now = first;
    for tries in 1..MOST_TRIES {
        if lane.take_expired(now, rules).is_some() {
            return Some((tries, now.since(began)));
        }
        lane.start(now);
        match lane.finish(outcome.clone(), &Course::of(false, 1.0), now, rules) {
            Some(Finished::Retry { at }) => now = at,
            Some(Finished::Dead(_)) => return Some((tries + 1, now.since(began))),
            Some(Finished::Sent(..)) | None => return None,
        }
    }
    None
}

/// A time in a unit that suits it.
pub(crate) fn time(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    let (number, unit) = match seconds {
        _ if seconds < 1.0 => (seconds * 1000.0, "ms"),
        _ if seconds < 120.0 => (seconds, "s"),
        _ if seconds < 7200.0 => (seconds / 60.0, "min"),
        _ => (seconds / 3600.0, "h"),
    };
    format!("{} {unit}", (number * 10.0).round() / 10.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use sidenote::ids::{ConversationId, ProductId, SessionId, SessionKey};
    use sidenote::outbox::note::{Crash, Failure, FailureKind, LimitScope, NoteKind, Sent};
    use sidenote::session::packed::Packed;

    fn note() -> Note {
        Note {
            key: SessionKey {
                product: ProductId::new("p").unwrap(),
                session: SessionId::new("s").unwrap(),
            },
            seq: 1,
            plugin: "bot".into(),
            conversation: ConversationId::new("c").unwrap(),
            user_id: None,
            email: None,
            kind: NoteKind::Actions,
            body: String::new(),
            actions: Packed::default(),
            idempotency_key: "k".to_owned(),
            through: 1,
            sealed_at: Timestamp::from_secs_f64(1e9),
            waits_since: None,
            begun: false,
            resent_of: None,
        }
    }

    fn failed(kind: FailureKind, wait: Option<u64>, sent: Sent) -> Result<Posted, PostError> {
        Err(PostError::Failed(Failure {
            kind,
            code: String::new(),
            message: String::new(),
            retry_after: wait.map(Duration::from_secs),
            scope: LimitScope::Account,
            sent,
        }))
    }

    #[test]
    fn it_says_what_the_outbox_does() {
        let crash = |crash| Err(PostError::Crashed { crash, message: String::new() });
        let outcomes = [
            Ok(Posted { note_id: None, pause: None }),
            failed(FailureKind::Transient, None, Sent::Unknown),
            failed(FailureKind::Transient, None, Sent::NotSent),
            failed(FailureKind::RateLimited, Some(30), Sent::Sent),
            failed(FailureKind::Auth, None, Sent::Sent),
            failed(FailureKind::NotFound, None, Sent::Sent),
            crash(Crash::Trap),
            crash(Crash::Timeout),
        ];
        let told = |outcome| next_step(&note(), outcome, false, &Delivery::default()).text;
        let told: Vec<_> = outcomes.iter().map(told).collect();
        insta::assert_snapshot!(told.join("\n"));
        let unknown = failed(FailureKind::Transient, None, Sent::Unknown);
        let asked = next_step(&note(), &unknown, true, &Delivery::default()).text;
        assert!(asked.contains("the plugin is asked for it first"), "{asked}");
    }

    #[test]
    fn it_follows_the_rules_of_delivery() {
        let rules = Delivery { max_attempts: 1, ..Delivery::default() };
        let transient = failed(FailureKind::Transient, None, Sent::NotSent);
        assert_eq!(next_step(&note(), &transient, false, &rules).fate, Fate::Dead);
    }
}
