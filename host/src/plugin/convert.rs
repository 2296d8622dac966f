//! Between the host's types and the interface's, with bounds on what a guest says.

use std::time::Duration;

use super::bindings::exports::sidenote::plugin::webhook as wit_webhook;
use super::bindings::sidenote::plugin::types as wit;
use super::clean::{clean, steers};
use super::webhook::{ReceiveError, WebhookAnswer, WebhookEvent, WebhookRequest, WebhookTurn};
use crate::clock::Timestamp;
use crate::ids::ConversationId;
use crate::outbox::note::{Call, Failure, FailureKind, LimitScope, Note, NoteKind, Posted, Sent};
use crate::session::payload::Action;

const MAX_CODE_BYTES: usize = 64;
const MAX_MESSAGE_BYTES: usize = 1000;
const MAX_NOTE_ID_BYTES: usize = 1024;
/// A platform that asks for more is not believed.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(24 * 3600);
const MAX_EVENTS: usize = 64;
const MAX_TEXT_BYTES: usize = 64 << 10;
const MAX_ANSWER_BYTES: usize = 64 << 10;

pub(super) fn call(call: Call, now: Timestamp) -> wit::Call {
    wit::Call {
        deadline_ms: (now + call.timeout).as_millis(),
        idempotency_key: call.idempotency_key,
        attempt: call.attempt,
        traceparent: call.traceparent,
        extras: Vec::new(),
    }
}

pub(super) fn note(note: &Note) -> wit::Note {
    wit::Note {
        product_id: note.key.product.as_str().to_owned(),
        session_id: note.key.session.as_str().to_owned(),
        conversation_id: note.conversation.as_str().to_owned(),
        user_id: note.user_id.clone(),
        email: note.email.clone(),
        kind: match note.kind {
            NoteKind::Actions => wit::NoteKind::Actions,
            NoteKind::Summary => wit::NoteKind::Summary,
        },
        seq: note.seq,
        body: note.body.clone(),
        actions: note.actions.iter().map(action).collect(),
        extras: Vec::new(),
    }
}

fn action(action: &Action) -> wit::Action {
    wit::Action {
        index: action.index,
        kind: action.kind.clone(),
        title: action.title.clone(),
        description: action.description.clone(),
        canonical_url: action.canonical_url.clone(),
        raw_url: action.raw_url.clone(),
        started_at: action.timestamp_start,
        ended_at: action.timestamp_end,
    }
}

/// A note id that can't be kept is none: a cut one would name another note. The text is the reason.
pub(super) fn posted(posted: wit::Posted) -> (Posted, Option<&'static str>) {
    let (note_id, odd) = match posted.note_id {
        Some(id) if id.is_empty() => (None, None),
        Some(id) if id.len() > MAX_NOTE_ID_BYTES => (None, Some("it is longer than 1024 bytes")),
        Some(id) if id.chars().any(steers) => (None, Some("it holds control characters")),
        id => (id, None),
    };
    (Posted { note_id, pause: None }, odd)
}

pub(super) fn failure(failure: wit::Failure) -> Failure {
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
        retry_after: failure
            .retry_after_ms
            .map(|ms| Duration::from_millis(ms).min(MAX_RETRY_AFTER)),
        scope: LimitScope::Account,
        sent: match failure.sent {
            wit::Sent::NotSent => Sent::NotSent,
            wit::Sent::Unknown => Sent::Unknown,
            wit::Sent::Sent => Sent::Sent,
        },
    }
}

pub(super) fn request(request: WebhookRequest) -> wit_webhook::Request {
    let WebhookRequest { method, url, headers, body } = request;
    wit_webhook::Request { method, url, headers, body }
}

pub(super) fn events(events: Vec<wit_webhook::Event>) -> Result<Vec<WebhookEvent>, ReceiveError> {
    if events.len() > MAX_EVENTS {
        return Err(unusable(format!("it names more than {MAX_EVENTS} events")));
    }
    events.into_iter().map(event).collect()
}

fn event(event: wit_webhook::Event) -> Result<WebhookEvent, ReceiveError> {
    Ok(match event {
        wit_webhook::Event::Opened(it) => WebhookEvent::Opened(turn(it)?),
        wit_webhook::Event::Replied(it) => WebhookEvent::Replied(turn(it)?),
        wit_webhook::Event::Challenge(it) => WebhookEvent::Challenge(answer(it)?),
        wit_webhook::Event::Ignored => WebhookEvent::Ignored,
    })
}

fn turn(turn: wit_webhook::Turn) -> Result<WebhookTurn, ReceiveError> {
    let conversation_id = turn.conversation_id;
    ConversationId::new(conversation_id.as_str()).map_err(|error| unusable(error.to_string()))?;
    Ok(WebhookTurn {
        conversation_id,
        session_id: id(turn.session_id, "session-id")?,
        external_user_id: id(turn.external_user_id, "external-user-id")?,
        email: id(turn.email, "email")?,
        product_id: id(turn.product_id, "product-id")?,
        text: turn.text.map(cut),
    })
}

/// An id that names somebody: empty is none, and one too long is never cut into another's.
fn id(id: Option<String>, what: &str) -> Result<Option<String>, ReceiveError> {
    match id {
        Some(id) if id.is_empty() => Ok(None),
        Some(id) if id.len() > ConversationId::MAX_BYTES => {
            Err(unusable(format!("{what} is longer than 8192 bytes")))
        }
        id => Ok(id),
    }
}

fn cut(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(MAX_TEXT_BYTES));
    text
}

fn answer(answer: wit_webhook::Answer) -> Result<WebhookAnswer, ReceiveError> {
    let wit_webhook::Answer { status, content_type, body } = answer;
    if !(200..600).contains(&status) {
        return Err(unusable(format!("it answers a challenge with status {status}")));
    }
    if http::HeaderValue::from_str(&content_type).is_err() || content_type.len() > 256 {
        return Err(unusable("the content type of its answer is none".to_owned()));
    }
    if body.len() > MAX_ANSWER_BYTES {
        return Err(unusable(format!("its answer is longer than {MAX_ANSWER_BYTES} bytes")));
    }
    Ok(WebhookAnswer { status, content_type, body })
}

pub(super) fn rejection(rejection: wit_webhook::Rejection) -> ReceiveError {
    ReceiveError::Rejected {
        // A refusal that isn't one must not look like success to the platform.
        status: if (400..600).contains(&rejection.status) { rejection.status } else { 400 },
        code: clean(&rejection.code, MAX_CODE_BYTES),
        message: clean(&rejection.message, MAX_MESSAGE_BYTES),
    }
}

fn unusable(what: String) -> ReceiveError {
    ReceiveError::Crashed {
        code: "invalid".to_owned(),
        message: format!("the plugin's answer can't be used: {what}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turn_of(conversation_id: &str) -> wit_webhook::Turn {
        wit_webhook::Turn {
            conversation_id: conversation_id.to_owned(),
            session_id: Some(String::new()),
            external_user_id: None,
            email: None,
            product_id: None,
            text: Some("é".repeat(MAX_TEXT_BYTES)),
            extras: Vec::new(),
        }
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
        assert_eq!(failure.retry_after, Some(MAX_RETRY_AFTER));
    }

    #[test]
    fn a_turn_without_a_usable_conversation_is_refused() {
        for id in [String::new(), "x".repeat(8193)] {
            let outcome = events(vec![wit_webhook::Event::Opened(turn_of(&id))]);
            assert!(
                matches!(outcome, Err(ReceiveError::Crashed { code, .. }) if code == "invalid")
            );
        }
        let many = std::iter::repeat_n(wit_webhook::Event::Ignored, MAX_EVENTS + 1).collect();
        assert!(events(many).is_err());
    }

    #[test]
    fn empty_ids_are_none_and_long_text_is_cut() {
        let found = events(vec![wit_webhook::Event::Replied(turn_of("c1"))]).unwrap();
        let [WebhookEvent::Replied(turn)] = &*found else { panic!("{found:?}") };
        assert_eq!(turn.session_id, None);
        assert_eq!(turn.text.as_ref().map(String::len), Some(MAX_TEXT_BYTES));
    }

    #[test]
    fn a_rejection_never_looks_like_success() {
        for (said, answered) in [(401, 401), (599, 599), (200, 400), (0, 400), (65535, 400)] {
            let error = rejection(wit_webhook::Rejection {
                status: said,
                code: "c".into(),
                message: "m".into(),
            });
            assert!(
                matches!(error, ReceiveError::Rejected { status, .. } if status == answered),
                "{said}"
            );
        }
    }

    #[test]
    fn a_challenge_is_answered_only_with_what_http_takes() {
        let of = |status, content_type: &str, len| {
            answer(wit_webhook::Answer {
                status,
                content_type: content_type.to_owned(),
                body: vec![0; len],
            })
            .is_ok()
        };
        assert!(of(200, "text/plain", 10) && of(404, "", 0));
        assert!(!of(100, "", 0) && !of(600, "", 0));
        assert!(!of(200, "a\r\nx: y", 0) && !of(200, "text/plain", MAX_ANSWER_BYTES + 1));
    }
}
