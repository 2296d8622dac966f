//! Webhooks.

use super::{MAX_CODE_BYTES, MAX_MESSAGE_BYTES};
use crate::ids::ConversationId;
use crate::plugin::bindings::v0_1::exports::sidenote::plugin::webhook as wit;
use crate::plugin::clean::clean;
use crate::plugin::webhook::{
    ReceiveError, WebhookAnswer, WebhookEvent, WebhookRequest, WebhookTurn,
};
use crate::session::identity::Vouched;
use crate::session::turn::{Author, Happened};

/// The key of a turn's extras that says what the platform vouches for.
const VERIFIED: &str = "verified";
/// The key that says who is behind a turn.
const AUTHOR: &str = "author";
/// The key that says what happened.
const HAPPENED: &str = "happened";
/// The key with the id of the quick reply that was clicked.
const OPTION_ID: &str = "option-id";
/// The key with what the platform calls the message.
const MESSAGE_ID: &str = "message-id";
const MAX_OPTION_BYTES: usize = 256;
const MAX_MESSAGE_ID_BYTES: usize = 1024;
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

/// The events of a webhook, and a key whose word this version doesn't know, where there is one: what a newer plugin
/// tells of is of no interest to this host.
pub(in crate::plugin) fn events(
    events: Vec<wit::Event>,
) -> Result<(Vec<WebhookEvent>, Option<&'static str>), ReceiveError> {
    if events.len() > MAX_EVENTS {
        return Err(unusable(format!("it names more than {MAX_EVENTS} events")));
    }
    let mut unknown = None;
    let read = events.into_iter().map(|it| event(it, &mut unknown)).collect::<Result<_, _>>()?;
    Ok((read, unknown))
}

fn event(
    event: wit::Event,
    unknown: &mut Option<&'static str>,
) -> Result<WebhookEvent, ReceiveError> {
    let mut known = |it: wit::Turn, make: fn(WebhookTurn) -> WebhookEvent| {
        turn(it).map(|read| match read {
            Ok(turn) => make(turn),
            Err(key) => {
                *unknown = Some(key);
                WebhookEvent::Ignored
            }
        })
    };
    Ok(match event {
        wit::Event::Opened(it) => known(it, WebhookEvent::Opened)?,
        wit::Event::Replied(it) => known(it, WebhookEvent::Replied)?,
        wit::Event::Challenge(it) => WebhookEvent::Challenge(answer(it)?),
        wit::Event::Ignored => WebhookEvent::Ignored,
    })
}

/// A turn, or the key whose word isn't known.
fn turn(turn: wit::Turn) -> Result<Result<WebhookTurn, &'static str>, ReceiveError> {
    let conversation_id = turn.conversation_id;
    ConversationId::new(conversation_id.as_str()).map_err(|error| unusable(error.to_string()))?;
    let Some(author) = word(&turn.extras, AUTHOR, Author::read) else { return Ok(Err(AUTHOR)) };
    let Some(happened) = word(&turn.extras, HAPPENED, Happened::read) else {
        return Ok(Err(HAPPENED));
    };
    Ok(Ok(WebhookTurn {
        conversation_id,
        session_id: id(turn.session_id, "session-id")?,
        external_user_id: id(turn.external_user_id, "external-user-id")?,
        email: id(turn.email, "email")?,
        product_id: id(turn.product_id, "product-id")?,
        text: turn.text.map(cut),
        vouched: vouched(&turn.extras),
        author,
        happened,
        option_id: extra_id(&turn.extras, OPTION_ID, MAX_OPTION_BYTES)?,
        message_id: extra_id(&turn.extras, MESSAGE_ID, MAX_MESSAGE_ID_BYTES)?,
    }))
}

/// What a key says; the default where it isn't there. `None` for a word that isn't known, and for two that differ:
/// nobody can say which of them holds.
fn word<T: Default + PartialEq>(
    extras: &[(String, String)],
    key: &str,
    read: fn(&str) -> Option<T>,
) -> Option<T> {
    let mut said = extras.iter().filter(|(it, _)| it == key).map(|(_, word)| read(word));
    let first = said.next().unwrap_or_else(|| Some(T::default()))?;
    said.all(|other| other.as_ref() == Some(&first)).then_some(first)
}

/// An id under a key; empty is none. One that can't be kept is refused: cut, it would be another's.
fn extra_id(
    extras: &[(String, String)],
    key: &str,
    most: usize,
) -> Result<Option<String>, ReceiveError> {
    let Some((_, id)) = extras.iter().find(|(it, id)| it == key && !id.is_empty()) else {
        return Ok(None);
    };
    if id.len() > most || id.chars().any(char::is_control) {
        return Err(unusable(format!(
            "`{key}` is longer than {most} bytes or has control characters"
        )));
    }
    Ok(Some(id.clone()))
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
        let (found, _) = events(vec![wit::Event::Replied(turn_of("c1"))]).unwrap();
        let [WebhookEvent::Replied(turn)] = &*found else { panic!("{found:?}") };
        assert_eq!(turn.session_id, None);
        assert_eq!(turn.text.as_ref().map(String::len), Some(MAX_TEXT_BYTES));
    }

    #[test]
    fn a_turn_is_claimed_but_for_what_its_extras_vouch_for() {
        let vouched = |extras: &[(&str, &str)]| {
            let own = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
            let extras = extras.iter().map(own).collect();
            let turn = turn(wit::Turn { extras, ..turn_of("c1") }).unwrap().unwrap();
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

    fn told(extras: &[(&str, &str)]) -> Result<Result<WebhookTurn, &'static str>, ReceiveError> {
        let own = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        let extras = extras.iter().map(own).collect();
        turn(wit::Turn { extras, ..turn_of("c1") })
    }

    #[test]
    fn a_turn_is_a_persons_message_unless_its_extras_say_otherwise() {
        let turn = told(&[("of-a-later-version", "x")]).unwrap().unwrap();
        assert_eq!((turn.author, turn.happened), (Author::Person, Happened::Message));
        assert_eq!((turn.option_id, turn.message_id), (None, None));
        let extras = [
            ("author", "agent"),
            ("happened", "closed"),
            ("option-id", "o0123"),
            ("message-id", "m-1"),
            ("happened", "closed"),
        ];
        let turn = told(&extras).unwrap().unwrap();
        assert_eq!((turn.author, turn.happened), (Author::Agent, Happened::Closed));
        assert_eq!(turn.option_id.as_deref(), Some("o0123"));
        assert_eq!(turn.message_id.as_deref(), Some("m-1"));
        assert_eq!(told(&[("option-id", "")]).unwrap().unwrap().option_id, None);
    }

    #[test]
    fn a_word_that_is_not_known_makes_an_event_of_no_interest_and_the_others_stay() {
        for (extras, key) in [
            (&[("author", "manager")][..], "author"),
            (&[("author", "")], "author"),
            (&[("happened", "merged")], "happened"),
            (&[("author", "person"), ("author", "bot")], "author"),
            (&[("happened", "message"), ("happened", "x")], "happened"),
        ] {
            assert_eq!(told(extras).unwrap(), Err(key), "{extras:?}");
        }
        let later = vec![("happened".to_owned(), "merged".to_owned())];
        let later = wit::Turn { extras: later, ..turn_of("c1") };
        let all = vec![wit::Event::Replied(later), wit::Event::Opened(turn_of("c2"))];
        let (found, unknown) = events(all).unwrap();
        assert!(matches!(&*found, [WebhookEvent::Ignored, WebhookEvent::Opened(_)]), "{found:?}");
        assert_eq!(unknown, Some("happened"));
    }

    #[test]
    fn an_id_that_cannot_be_kept_is_refused_and_never_cut() {
        for (key, most) in [("option-id", 256), ("message-id", 1024)] {
            assert!(told(&[(key, &"x".repeat(most))]).is_ok());
            assert!(told(&[(key, &"x".repeat(most + 1))]).is_err());
            assert!(told(&[(key, "a\nb")]).is_err());
        }
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
