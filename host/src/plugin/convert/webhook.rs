//! Webhooks.

use super::{MAX_CODE_BYTES, MAX_MESSAGE_BYTES};
use crate::ids::ConversationId;
use crate::plugin::bindings::v0_1::exports::sidenote::plugin::webhook as wit;
use crate::plugin::clean::clean;
use crate::plugin::webhook::{
    ReceiveError, WebhookAnswer, WebhookEvent, WebhookRequest, WebhookTurn,
};
use crate::session::identity::Vouched;

/// The key of a turn's extras that says what the platform vouches for.
const VERIFIED: &str = "verified";
const MAX_EVENTS: usize = 64;
const MAX_TEXT_BYTES: usize = 64 << 10;
const MAX_ANSWER_BYTES: usize = 64 << 10;

/// `headers` are those of the request.
pub(in crate::plugin) fn request<'a>(
    request: &'a WebhookRequest,
    headers: &'a [(&'a str, &'a str)],
) -> wit::Request<'a> {
    let WebhookRequest { method, url, body, .. } = request;
    wit::Request { method, url, headers, body }
}

pub(in crate::plugin) fn headers(headers: &[(String, String)]) -> Vec<(&str, &str)> {
    headers.iter().map(|(name, value)| (&**name, &**value)).collect()
}

pub(in crate::plugin) fn events(
    events: Vec<wit::Event>,
) -> Result<Vec<WebhookEvent>, ReceiveError> {
    if events.len() > MAX_EVENTS {
        return Err(unusable(format!("it names more than {MAX_EVENTS} events")));
    }
    events.into_iter().map(event).collect()
}

fn event(event: wit::Event) -> Result<WebhookEvent, ReceiveError> {
    Ok(match event {
        wit::Event::Opened(it) => WebhookEvent::Opened(turn(it)?),
        wit::Event::Replied(it) => WebhookEvent::Replied(turn(it)?),
        wit::Event::Challenge(it) => WebhookEvent::Challenge(answer(it)?),
        wit::Event::Ignored => WebhookEvent::Ignored,
    })
}

fn turn(turn: wit::Turn) -> Result<WebhookTurn, ReceiveError> {
    let conversation_id = turn.conversation_id;
    ConversationId::new(conversation_id.as_str()).map_err(|error| unusable(error.to_string()))?;
    Ok(WebhookTurn {
        conversation_id,
        session_id: id(turn.session_id, "session-id")?,
        external_user_id: id(turn.external_user_id, "external-user-id")?,
        email: id(turn.email, "email")?,
        product_id: id(turn.product_id, "product-id")?,
        text: turn.text.map(cut),
        vouched: vouched(&turn.extras),
    })
}

/// What the key `verified` says; without it nothing is vouched for. Where it stands twice, only what both
/// name is.
fn vouched(extras: &[(String, String)]) -> Vouched {
    let mut said = extras.iter().filter(|(key, _)| key == VERIFIED);
    let read = |(_, words): &(String, String)| Vouched::read(words);
    let first = said.next().map(read).unwrap_or_default();
    said.map(read).fold(first, |one, two| Vouched {
        session_id: one.session_id && two.session_id,
        user_id: one.user_id && two.user_id,
        email: one.email && two.email,
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

fn answer(answer: wit::Answer) -> Result<WebhookAnswer, ReceiveError> {
    let wit::Answer { status, content_type, body } = answer;
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

pub(in crate::plugin) fn rejection(rejection: wit::Rejection) -> ReceiveError {
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

    fn turn_of(conversation_id: &str) -> wit::Turn {
        wit::Turn {
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
    fn a_turn_without_a_usable_conversation_is_refused() {
        for id in [String::new(), "x".repeat(8193)] {
            let outcome = events(vec![wit::Event::Opened(turn_of(&id))]);
            assert!(
                matches!(outcome, Err(ReceiveError::Crashed { code, .. }) if code == "invalid")
            );
        }
        let many = std::iter::repeat_n(wit::Event::Ignored, MAX_EVENTS + 1).collect();
        assert!(events(many).is_err());
    }

    #[test]
    fn empty_ids_are_none_and_long_text_is_cut() {
        let found = events(vec![wit::Event::Replied(turn_of("c1"))]).unwrap();
        let [WebhookEvent::Replied(turn)] = &*found else { panic!("{found:?}") };
        assert_eq!(turn.session_id, None);
        assert_eq!(turn.text.as_ref().map(String::len), Some(MAX_TEXT_BYTES));
    }

    #[test]
    fn a_turn_is_claimed_but_for_what_its_extras_vouch_for() {
        let vouched = |extras: &[(&str, &str)]| {
            let own = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
            let extras = extras.iter().map(own).collect();
            let turn = turn(wit::Turn { extras, ..turn_of("c1") }).unwrap();
            let Vouched { session_id, user_id, email } = turn.vouched;
            (session_id, user_id, email)
        };
        assert_eq!(vouched(&[]), (false, false, false));
        assert_eq!(vouched(&[("Verified", "email"), ("claimed", "email")]), (false, false, false));
        assert_eq!(vouched(&[("verified", "email phone")]), (false, false, true));
        let all = ("verified", "session-id external-user-id email");
        assert_eq!(vouched(&[all]), (true, true, true));
        assert_eq!(vouched(&[all, ("verified", "session-id")]), (true, false, false));
        assert_eq!(vouched(&[all, ("verified", "")]), (false, false, false));
    }

    #[test]
    fn a_rejection_never_looks_like_success() {
        for (said, answered) in [(401, 401), (599, 599), (200, 400), (0, 400), (65535, 400)] {
            let error =
                rejection(wit::Rejection { status: said, code: "c".into(), message: "m".into() });
            assert!(
                matches!(error, ReceiveError::Rejected { status, .. } if status == answered),
                "{said}"
            );
        }
    }

    #[test]
    fn a_challenge_is_answered_only_with_what_http_takes() {
        let of = |status, content_type: &str, len| {
            answer(wit::Answer {
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
