//! Notes and what comes of them.

use std::time::Duration;

use super::{MAX_CODE_BYTES, MAX_MESSAGE_BYTES, wit};
use crate::clock::Timestamp;
use crate::outbox::note::{
    Call, Failure, FailureKind, Found, LimitScope, Note, NoteKind, Pause, Posted, Redaction, Sent,
};
use crate::plugin::bindings::v0_1::exports::sidenote::plugin::redactor;
use crate::plugin::clean::clean;
use crate::session::payload::Action;
use crate::visible::steers;

const MAX_NOTE_ID_BYTES: usize = 1024;
/// A platform that asks for more is not believed.
const MAX_PAUSE: Duration = Duration::from_secs(24 * 3600);

/// `left` is what is left of its time at `now`.
pub(in crate::plugin) fn call(call: &Call, left: Duration, now: Timestamp) -> wit::Call<'_> {
    wit::Call {
        deadline_ms: (now + left).as_millis(),
        idempotency_key: &call.idempotency_key,
        attempt: call.attempt,
        traceparent: &call.traceparent,
        extras: &[],
    }
}

/// `actions` are those of the note.
pub(in crate::plugin) fn note<'a>(note: &'a Note, actions: &'a [wit::Action<'a>]) -> wit::Note<'a> {
    wit::Note {
        product_id: note.key.product.as_str(),
        session_id: note.key.session.as_str(),
        conversation_id: note.conversation.as_str(),
        user_id: note.user_id.as_deref(),
        email: note.email.as_deref(),
        kind: match note.kind {
            // The frozen interface has no kind for it: it is a note with a text and no actions.
            NoteKind::Actions | NoteKind::ForPeople => wit::NoteKind::Actions,
            NoteKind::Summary => wit::NoteKind::Summary,
        },
        seq: note.seq,
        body: &note.body,
        actions,
        extras: &[],
    }
}

pub(in crate::plugin) fn actions<Text: AsRef<str>>(
    actions: &[Action<Text>],
) -> Vec<wit::Action<'_>> {
    actions.iter().map(action).collect()
}

fn action<Text: AsRef<str>>(action: &Action<Text>) -> wit::Action<'_> {
    wit::Action {
        index: action.index,
        kind: action.kind.as_ref(),
        title: action.title.as_ref(),
        description: action.description.as_ref(),
        canonical_url: action.canonical_url.as_ref(),
        raw_url: action.raw_url.as_ref(),
        started_at: action.timestamp_start,
        ended_at: action.timestamp_end,
    }
}

/// What the platform took. The text is why the note id was left out.
pub(in crate::plugin) fn posted(posted: wit::Posted) -> (Posted, Option<&'static str>) {
    let time = extra(&posted.extras, "pause-ms").and_then(|ms| ms.parse().ok());
    let time = time.map(|ms| Duration::from_millis(ms).min(MAX_PAUSE)).filter(|it| !it.is_zero());
    let pause = time.map(|time| Pause { time, scope: limit_scope(&posted.extras) });
    let (note_id, odd) = note_id(posted.note_id);
    (Posted { note_id, pause }, odd)
}

/// Whether the platform has the note. The text is why its id was left out.
pub(in crate::plugin) fn found(id: Option<wit::NoteIdResult>) -> (Found, Option<&'static str>) {
    match id {
        None => (Found::No, None),
        id => {
            let (id, odd) = note_id(id);
            (Found::Yes(id), odd)
        }
    }
}

pub(in crate::plugin) fn redaction(redaction: redactor::Redaction) -> Redaction {
    match redaction {
        redactor::Redaction::Removed => Redaction::Removed,
        redactor::Redaction::Overwritten => Redaction::Overwritten,
        redactor::Redaction::Unsupported => Redaction::Unsupported,
    }
}

/// A note id that can't be kept is none: a cut one would name another note. The text is the reason.
fn note_id(id: Option<wit::NoteIdResult>) -> (Option<String>, Option<&'static str>) {
    match id {
        Some(id) if id.is_empty() => (None, None),
        Some(id) if id.len() > MAX_NOTE_ID_BYTES => (None, Some("it is longer than 1024 bytes")),
        Some(id) if id.chars().any(steers) => (None, Some("it holds control characters")),
        id => (id, None),
    }
}

/// What a limit is for; what isn't said, or isn't known, is the account: it holds back more.
fn limit_scope(extras: &wit::ExtrasResult) -> LimitScope {
    match extra(extras, "limit-scope") {
        Some("conversation") => LimitScope::Conversation,
        _ => LimitScope::Account,
    }
}

/// The first value of a key.
fn extra<'a>(extras: &'a wit::ExtrasResult, key: &str) -> Option<&'a str> {
    extras.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
}

/// Whether the call isn't made again.
pub(in crate::plugin) fn is_final(failure: &wit::Failure) -> bool {
    match failure.kind {
        wit::FailureKind::Transient | wit::FailureKind::RateLimited | wit::FailureKind::Auth => {
            false
        }
        wit::FailureKind::NotFound | wit::FailureKind::Invalid | wit::FailureKind::Permanent => {
            true
        }
    }
}

pub(in crate::plugin) fn failure(failure: wit::Failure) -> Failure {
    Failure {
        kind: match failure.kind {
            wit::FailureKind::Transient => FailureKind::Transient,
            wit::FailureKind::RateLimited => FailureKind::RateLimited,
            wit::FailureKind::Auth => FailureKind::Auth,
            wit::FailureKind::NotFound => FailureKind::NotFound,
            wit::FailureKind::Invalid => FailureKind::Invalid,
            wit::FailureKind::Permanent => FailureKind::Permanent,
        },
        code: clean(&failure.code, MAX_CODE_BYTES),
        message: clean(&failure.message, MAX_MESSAGE_BYTES),
        retry_after: failure.retry_after_ms.map(|ms| Duration::from_millis(ms).min(MAX_PAUSE)),
        scope: limit_scope(&failure.extras),
        sent: match failure.sent {
            wit::Sent::NotSent => Sent::NotSent,
            wit::Sent::Unknown => Sent::Unknown,
            wit::Sent::Sent => Sent::Sent,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn extras(pairs: &[(&str, &str)]) -> wit::ExtrasResult {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn a_note_id_that_cannot_be_kept_is_none() {
        let of =
            |id: &str| posted(wit::Posted { note_id: Some(id.to_owned()), extras: Vec::new() });
        assert_eq!(of("n1:ts"), (Posted { note_id: Some("n1:ts".into()), pause: None }, None));
        assert_eq!(of(""), (Posted { note_id: None, pause: None }, None));
        for odd in ["x".repeat(1025), "a\u{0}b".to_owned(), "a\u{202e}b".to_owned()] {
            let (posted, reason) = of(&odd);
            assert_eq!(posted.note_id, None);
            assert!(reason.is_some());
        }
    }

    #[test]
    fn a_failure_is_cut_cleaned_and_bounded() {
        let failure = failure(wit::Failure {
            kind: wit::FailureKind::RateLimited,
            code: "c\u{1b}[0m".repeat(100),
            message: "m\r\n".repeat(10_000),
            retry_after_ms: Some(u64::MAX),
            sent: wit::Sent::Sent,
            extras: Vec::new(),
        });
        assert!(failure.code.len() <= MAX_CODE_BYTES && failure.message.len() <= MAX_MESSAGE_BYTES);
        assert!(!failure.code.chars().chain(failure.message.chars()).any(steers));
        assert_eq!(failure.retry_after, Some(MAX_PAUSE));
    }

    #[test]
    fn a_pause_is_read_from_the_extras_and_bounded() {
        let of = |pairs: &[(&str, &str)]| {
            posted(wit::Posted { note_id: None, extras: extras(pairs) }).0.pause
        };
        let pause = |ms, scope| Some(Pause { time: Duration::from_millis(ms), scope });
        assert_eq!(of(&[("pause-ms", "1500")]), pause(1500, LimitScope::Account));
        assert_eq!(
            of(&[("limit-scope", "conversation"), ("x", "y"), ("pause-ms", "20")]),
            pause(20, LimitScope::Conversation)
        );
        assert_eq!(
            of(&[("pause-ms", "18446744073709551615"), ("limit-scope", "galaxy")]),
            pause(24 * 3600 * 1000, LimitScope::Account)
        );
        for odd in ["", "0", "-1", "1.5", "soon", "99999999999999999999"] {
            assert_eq!(of(&[("pause-ms", odd)]), None, "{odd}");
        }
        assert_eq!(of(&[("limit-scope", "conversation")]), None);
    }

    #[test]
    fn a_failure_says_what_its_limit_is_for() {
        let of = |pairs: &[(&str, &str)]| {
            let failure = wit::Failure {
                kind: wit::FailureKind::RateLimited,
                code: "429".to_owned(),
                message: String::new(),
                retry_after_ms: None,
                sent: wit::Sent::Sent,
                extras: extras(pairs),
            };
            super::failure(failure).scope
        };
        assert_eq!(of(&[("limit-scope", "conversation")]), LimitScope::Conversation);
        assert_eq!(of(&[("limit-scope", "account")]), LimitScope::Account);
        assert_eq!(of(&[("limit-scope", "?")]), LimitScope::Account);
        assert_eq!(of(&[]), LimitScope::Account);
    }

    #[test]
    fn a_note_that_was_found_without_a_usable_id_was_found_all_the_same() {
        assert_eq!(found(None), (Found::No, None));
        assert_eq!(found(Some("n1".to_owned())), (Found::Yes(Some("n1".to_owned())), None));
        assert_eq!(found(Some(String::new())), (Found::Yes(None), None));
        let (found, odd) = found(Some("a\u{0}".to_owned()));
        assert_eq!(found, Found::Yes(None));
        assert!(odd.is_some());
    }
}
