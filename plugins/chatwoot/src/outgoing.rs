//! Messages to Chatwoot: notes, offers, answers; and their removal.

use serde::Serialize;
use serde_json::Value;
use sidenote_plugin::help::Offer;
use sidenote_plugin::http::{Request, encode};
use sidenote_plugin::{Call, Failure, FailureKind, Note, Posted, Redaction, json, log};

use crate::api::{self, Settings};
use crate::finding::key_in;
use crate::markdown;

/// Posts a private note.
pub(crate) fn note(call: &Call, note: &Note) -> Result<Posted, Failure> {
    let message = Message::of(call, markdown::plain(&note.body));
    post(&note.conversation_id, &Message { private: true, ..message })
}

/// Offers help, with answers to click where there are some.
pub(crate) fn offer(call: &Call, conversation: &str, offer: &Offer) -> Result<Posted, Failure> {
    let mut message = Message::of(call, markdown::plain(&offer.text));
    if !offer.quick_replies.is_empty() {
        message.content_type = "input_select";
        message.content_attributes.items = (offer.quick_replies.iter())
            .map(|reply| Item { title: &reply.label, value: &reply.id })
            .collect();
    }
    post(conversation, &message)
}

/// Answers the person.
pub(crate) fn reply(call: &Call, conversation: &str, text: &str) -> Result<Posted, Failure> {
    post(conversation, &Message::of(call, markdown::plain(text)))
}

/// Deletes a message. Chatwoot keeps an empty place where it was.
pub(crate) fn delete(conversation: &str, message: &str) -> Result<Redaction, Failure> {
    let url = format!("{}/{}", Settings::load()?.messages(conversation), encode(message));
    match api::send(Request::delete(url)) {
        Ok(_) => Ok(Redaction::Overwritten),
        Err(failure) if failure.kind == FailureKind::NotFound => Ok(Redaction::Removed),
        Err(failure) => Err(failure),
    }
}

fn post(conversation: &str, message: &Message<'_>) -> Result<Posted, Failure> {
    let url = Settings::load()?.messages(conversation);
    // Chatwoot answers JSON: whatever else answers there, a proxy's page, say, has no note.
    let answer: Value = api::send(Request::post(url).json(message)?)?.json()?;
    if key_in(&answer).as_deref() != Some(message.content_attributes.sidenote_key) {
        log::warn!(
            "this Chatwoot doesn't keep the key of a message: one that is sent again is doubled"
        );
    }
    Ok(match json::id(&answer["id"]) {
        Some(id) => Posted::with_id(id),
        None => {
            log::warn!("the answer doesn't show what was posted");
            Posted::without_id()
        }
    })
}

/// A message as it is posted.
#[derive(Serialize)]
struct Message<'a> {
    content: String,
    message_type: &'static str,
    private: bool,
    content_type: &'static str,
    content_attributes: Attributes<'a>,
}

#[derive(Serialize)]
struct Attributes<'a> {
    /// Where the message is found again. Its name is [`KEY`](crate::finding::KEY).
    sidenote_key: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    items: Vec<Item<'a>>,
}

/// An answer to click.
#[derive(Serialize)]
struct Item<'a> {
    title: &'a str,
    value: &'a str,
}

impl<'a> Message<'a> {
    /// A message that the person sees.
    fn of(call: &'a Call, content: String) -> Self {
        Self {
            content,
            message_type: "outgoing",
            private: false,
            content_type: "text",
            content_attributes: Attributes {
                sidenote_key: &call.idempotency_key,
                items: Vec::new(),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use sidenote_plugin::Sent;
    use sidenote_plugin::test::{self, Host, Request};

    use super::*;

    const MESSAGES: &str = "https://chat.example/api/v1/accounts/7/conversations/12/messages";

    fn host() -> Host {
        Host::new().config("url", "https://chat.example/").config("account", "7")
    }

    fn kept(host: Host) -> Host {
        host.respond(200, r#"{"id":99,"content_attributes":{"sidenote_key":"key-1"}}"#).install()
    }

    fn body(request: &Request) -> Value {
        serde_json::from_slice(&request.body).unwrap()
    }

    fn to_twelve(body: &str) -> Note {
        Note { conversation_id: "12".to_owned(), ..test::note(body) }
    }

    #[test]
    fn a_note_is_a_private_message_with_its_key() {
        let host = kept(host());
        let posted = note(&test::call(), &to_twelve("typed {{secret:token}}")).unwrap();
        assert_eq!(posted, Posted::with_id("99"));
        let request = &host.requests()[0];
        assert_eq!((&*request.method, &*request.url), ("POST", MESSAGES));
        assert!(!request.secrets_in_body);
        let token = ("api_access_token".to_owned(), "{{secret:token}}".to_owned());
        assert!(request.headers.contains(&token));
        let wanted = json!({
            "content": r"typed \{\{secret:token}}", "message_type": "outgoing", "private": true,
            "content_type": "text", "content_attributes": { "sidenote_key": "key-1" },
        });
        assert_eq!(body(request), wanted);
        assert!(host.lines().is_empty());
    }

    #[test]
    fn a_server_that_drops_the_key_is_told_of() {
        let host = host().respond(200, r#"{"id":99,"content_attributes":{}}"#).install();
        note(&test::call(), &to_twelve("x")).unwrap();
        assert_eq!(host.lines().len(), 1);
    }

    #[test]
    fn an_offer_has_answers_to_click_and_is_visible() {
        let host = kept(host());
        let help = Offer::new("Stuck at *Pay*?").quick_reply("yes", "Yes, please");
        offer(&test::call(), "12", &help).unwrap();
        let wanted = json!({
            "content": r"Stuck at \*Pay\*?", "message_type": "outgoing", "private": false,
            "content_type": "input_select", "content_attributes": {
                "sidenote_key": "key-1", "items": [{ "title": "Yes, please", "value": "yes" }],
            },
        });
        assert_eq!(body(&host.requests()[0]), wanted);
    }

    #[test]
    fn an_offer_without_answers_and_a_reply_are_plain_visible_messages() {
        let host = kept(host()).respond(200, r#"{"id":5}"#);
        offer(&test::call(), "12", &Offer::new("Stuck?")).unwrap();
        assert_eq!(reply(&test::call(), "12", "Try again.").unwrap(), Posted::with_id("5"));
        for (request, content) in host.requests().iter().zip(["Stuck?", "Try again."]) {
            let body = body(request);
            assert_eq!(body["content"], content);
            assert_eq!((&body["private"], &body["content_type"]), (&json!(false), &json!("text")));
            assert_eq!(body["content_attributes"], json!({ "sidenote_key": "key-1" }));
        }
    }

    #[test]
    fn a_deleted_message_leaves_its_place_and_a_missing_one_is_gone() {
        let host = host().respond(200, "").respond(404, "{}").respond(401, "{}").install();
        assert_eq!(delete("12", "99"), Ok(Redaction::Overwritten));
        assert_eq!(delete("12", "../99"), Ok(Redaction::Removed));
        assert_eq!(delete("12", "99").unwrap_err().kind, FailureKind::Auth);
        let requests = host.requests();
        assert_eq!(
            (&*requests[0].method, &*requests[0].url),
            ("DELETE", &*format!("{MESSAGES}/99"))
        );
        assert_eq!(requests[1].url, format!("{MESSAGES}/..%2F99"));
    }

    #[test]
    fn refusals_become_kinds_of_failure() {
        let flooded = r#"{"error":"Validation failed: Too many messages"}"#;
        let invalid =
            r#"{"error":"Validation failed: Content is too long (maximum is 150000 characters)"}"#;
        for (status, answer, kind, sent, pause) in [
            (401, "{}", FailureKind::Auth, Sent::Sent, None),
            (404, "{}", FailureKind::NotFound, Sent::Sent, None),
            (422, flooded, FailureKind::RateLimited, Sent::Sent, Some(10_000)),
            (422, invalid, FailureKind::Invalid, Sent::Sent, None),
            (429, "Retry later\n", FailureKind::RateLimited, Sent::Sent, Some(10_000)),
            (500, "", FailureKind::Transient, Sent::Unknown, None),
            (200, "<html>", FailureKind::Permanent, Sent::Sent, None),
        ] {
            host().respond(status, answer).install();
            let failure = note(&test::call(), &to_twelve("x")).unwrap_err();
            let found = (failure.kind, failure.sent, failure.retry_after_ms);
            assert_eq!(found, (kind, sent, pause), "{status} {answer}");
        }
    }

    #[test]
    fn a_configuration_that_cannot_be_used_sends_nothing() {
        for host in [
            Host::new().config("url", "https://chat.example"),
            Host::new().config("url", "https://chat.example").config("account", "mine"),
            Host::new().config("account", "7"),
        ] {
            let host = host.install();
            let failure = note(&test::call(), &to_twelve("x")).unwrap_err();
            assert_eq!((failure.kind, failure.sent), (FailureKind::Invalid, Sent::NotSent));
            assert!(host.requests().is_empty());
        }
    }
}
