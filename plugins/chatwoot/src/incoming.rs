//! Chatwoot's webhooks: which are genuine, and what they mean.

use serde::Deserialize;
use serde_json::Value;
use sidenote_plugin::crypto::{Encoding, Hash};
use sidenote_plugin::webhook::{Event, Hmac, Rejection, Request, Turn, check_age};

use crate::api::Settings;

const SIGNATURE: Hmac =
    Hmac { secret: "webhook_secret", hash: Hash::Sha256, encoding: Encoding::Hex };
/// How far a timestamp may be from the host's clock, in seconds, either way.
const WINDOW: u64 = 300;

/// Verifies a request, then reads it.
pub(crate) fn read(request: &Request) -> Result<Vec<Event>, Rejection> {
    if request.method != "POST" {
        return Err(Rejection::new(405, "method", "only POST is taken"));
    }
    verify(request)?;
    let body: Body = request.json()?;
    let ours = Settings::load().map_err(|it| Rejection::new(503, "config", it.message))?.account;
    if body.account.as_ref().is_some_and(|account| account.id != ours) {
        return Err(Rejection::new(403, "account", "the webhook is of another account"));
    }
    Ok(vec![event(body)?])
}

fn verify(request: &Request) -> Result<(), Rejection> {
    let timestamp = request.required_header("x-chatwoot-timestamp")?;
    let signature = request.required_header("x-chatwoot-signature")?;
    let signature = signature
        .strip_prefix("sha256=")
        .ok_or_else(|| Rejection::unverified("the signature doesn't begin with sha256="))?;
    SIGNATURE.verify(&[timestamp.as_bytes(), b".", &request.body].concat(), signature)?;
    let seconds = timestamp
        .parse()
        .map_err(|_| Rejection::new(401, "timestamp", "the timestamp isn't in whole seconds"))?;
    check_age(seconds, WINDOW)
}

fn event(body: Body) -> Result<Event, Rejection> {
    let missing = || Rejection::new(400, "body", "the conversation's `id` is missing");
    Ok(match body.event.as_str() {
        "conversation_created" => {
            let id = body.id.ok_or_else(missing)?;
            let text = body.messages.into_iter().find_map(|message| message.content);
            Event::Opened(turn(id, body.custom_attributes, body.meta.sender, text))
        }
        // Notes come back as private messages, agents' messages as outgoing ones.
        "message_created" if !body.private && is_incoming(&body.message_type) => {
            let conversation = body.conversation.ok_or_else(missing)?;
            let sender = conversation.meta.sender;
            let text = body.content;
            Event::Replied(turn(conversation.id, conversation.custom_attributes, sender, text))
        }
        // A click on an answer of ours changes the message which offered it.
        "message_updated"
            if !body.private && body.content_type.as_deref() == Some("input_select") =>
        {
            let chosen = body.content_attributes["submitted_values"][0]["title"].as_str();
            let (Some(text), Some(conversation)) = (chosen.map(str::to_owned), body.conversation)
            else {
                return Ok(Event::Ignored);
            };
            let sender = conversation.meta.sender;
            Event::Replied(turn(
                conversation.id,
                conversation.custom_attributes,
                sender,
                Some(text),
            ))
        }
        _ => Event::Ignored,
    })
}

/// Chatwoot writes it as a word, and as a number where a message is part of something else.
fn is_incoming(message_type: &Value) -> bool {
    message_type == "incoming" || message_type == 0
}

/// A turn of a conversation. The session is an attribute of the conversation, or else of the person.
fn turn(id: u64, attributes: Value, sender: Option<Sender>, text: Option<String>) -> Turn {
    let sender = sender.unwrap_or_default();
    let attribute = |name: &str| {
        let values = [&attributes[name], &sender.custom_attributes[name]];
        values.into_iter().find_map(Value::as_str).map(str::to_owned)
    };
    Turn {
        session_id: given(attribute("session_id")),
        product_id: given(attribute("product_id")),
        external_user_id: given(sender.identifier),
        email: given(sender.email),
        text,
        ..Turn::new(id.to_string())
    }
}

/// An empty value says as little as none.
fn given(value: Option<String>) -> Option<String> {
    value.filter(|value| !value.is_empty())
}

/// A webhook: a conversation or a message, with the event's name beside its fields.
#[derive(Deserialize)]
struct Body {
    event: String,
    account: Option<Account>,
    /// Of the conversation, or of the message.
    id: Option<u64>,
    // What a conversation has.
    #[serde(default)]
    custom_attributes: Value,
    #[serde(default)]
    meta: Meta,
    #[serde(default)]
    messages: Vec<First>,
    // What a message has.
    conversation: Option<Conversation>,
    #[serde(default)]
    private: bool,
    #[serde(default)]
    message_type: Value,
    content_type: Option<String>,
    content: Option<String>,
    #[serde(default)]
    content_attributes: Value,
}

#[derive(Deserialize)]
struct Account {
    id: u64,
}

#[derive(Deserialize)]
struct Conversation {
    id: u64,
    #[serde(default)]
    custom_attributes: Value,
    #[serde(default)]
    meta: Meta,
}

#[derive(Deserialize, Default)]
struct Meta {
    sender: Option<Sender>,
}

#[derive(Deserialize, Default)]
struct Sender {
    identifier: Option<String>,
    email: Option<String>,
    #[serde(default)]
    custom_attributes: Value,
}

/// The message that a conversation was opened with.
#[derive(Deserialize)]
struct First {
    content: Option<String>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use sidenote_plugin::crypto;
    use sidenote_plugin::test::{self, Host};

    use super::*;

    const NOW: &str = "1700000000";

    fn host() -> Host {
        let host = Host::new().config("url", "https://chat.example").config("account", "7");
        host.at(1_700_000_000).secret("webhook_secret", "k").install()
    }

    fn sign(timestamp: &str, body: &str) -> String {
        let data = format!("{timestamp}.{body}");
        let hex = crypto::hmac_sign("webhook_secret", Hash::Sha256, Encoding::Hex, data.as_bytes());
        format!("sha256={}", hex.unwrap())
    }

    fn signed(timestamp: &str, body: &str) -> Request {
        let signature = sign(timestamp, body);
        let headers = [("X-Chatwoot-Timestamp", timestamp), ("X-Chatwoot-Signature", &*signature)];
        test::webhook("POST", &headers, body)
    }

    fn genuine(body: &Value) -> Result<Vec<Event>, Rejection> {
        read(&signed(NOW, &body.to_string()))
    }

    fn opened() -> Value {
        json!({
            "event": "conversation_created", "id": 12, "status": "open",
            "custom_attributes": { "session_id": "s-1" },
            "meta": { "sender": { "identifier": "u-1", "email": "ann@example.com" } },
            "messages": [{ "content": "I can't pay", "message_type": 0 }],
        })
    }

    fn message(changes: &[(&str, Value)]) -> Value {
        let mut body = json!({
            "event": "message_created", "id": 99, "content": "hello", "private": false,
            "message_type": "incoming", "content_type": "text", "account": { "id": 7 },
            "conversation": {
                "id": 12, "custom_attributes": {},
                "meta": { "sender": {
                    "identifier": null, "email": "", "custom_attributes": { "session_id": "s-2" },
                } },
            },
        });
        for (key, value) in changes {
            body[key] = value.clone();
        }
        body
    }

    #[test]
    fn a_conversation_that_is_opened_tells_whose_it_is() {
        host();
        let turn = Turn {
            session_id: Some("s-1".to_owned()),
            external_user_id: Some("u-1".to_owned()),
            email: Some("ann@example.com".to_owned()),
            text: Some("I can't pay".to_owned()),
            ..Turn::new("12")
        };
        assert_eq!(genuine(&opened()), Ok(vec![Event::Opened(turn)]));
    }

    #[test]
    fn a_persons_message_is_a_reply_and_their_attribute_names_the_session() {
        host();
        let turn = Turn {
            session_id: Some("s-2".to_owned()),
            text: Some("hello".to_owned()),
            ..Turn::new("12")
        };
        for kind in [json!("incoming"), json!(0)] {
            let body = message(&[("message_type", kind)]);
            assert_eq!(genuine(&body), Ok(vec![Event::Replied(turn.clone())]));
        }
    }

    #[test]
    fn a_click_on_an_answer_is_a_reply() {
        host();
        let clicked = json!({ "submitted_values": [{ "title": "Yes, please", "value": "yes" }] });
        let select = [
            ("event", json!("message_updated")),
            ("message_type", json!("outgoing")),
            ("content_type", json!("input_select")),
        ];
        let body = message(&[&select[..], &[("content_attributes", clicked)]].concat());
        let events = genuine(&body).unwrap();
        let [Event::Replied(turn)] = &*events else { panic!("{events:?}") };
        assert_eq!(turn.text.as_deref(), Some("Yes, please"));
        assert_eq!(genuine(&message(&select)), Ok(vec![Event::Ignored]));
    }

    #[test]
    fn notes_agents_and_everything_else_are_ignored() {
        host();
        for body in [
            message(&[("private", json!(true))]),
            message(&[("private", json!(true)), ("message_type", json!("outgoing"))]),
            message(&[("message_type", json!("outgoing"))]),
            message(&[("message_type", json!(1))]),
            message(&[("message_type", Value::Null)]),
            message(&[("event", json!("message_updated"))]),
            json!({ "event": "conversation_status_changed", "id": 12 }),
            json!({ "event": "webwidget_triggered", "id": 3 }),
        ] {
            assert_eq!(genuine(&body), Ok(vec![Event::Ignored]), "{body}");
        }
    }

    #[test]
    fn what_cannot_be_verified_is_refused() {
        let host = host();
        let body = opened().to_string();
        let good = signed(NOW, &body);
        assert!(read(&good).is_ok());
        let refused = |request: &Request| {
            let rejection = read(request).unwrap_err();
            (rejection.status, rejection.code)
        };
        let signature = (401, "signature".to_owned());
        for forged in [
            Request { headers: Vec::new(), ..good.clone() },
            Request { headers: good.headers[..1].to_vec(), ..good.clone() },
            Request { headers: good.headers[1..].to_vec(), ..good.clone() },
            Request { headers: [&good.headers[..], &good.headers[1..]].concat(), ..good.clone() },
            Request { headers: [&good.headers[..], &good.headers[..1]].concat(), ..good.clone() },
            Request { body: body.replace("s-1", "s-2").into_bytes(), ..good.clone() },
        ] {
            assert_eq!(refused(&forged), signature);
        }
        let mut bare = good.clone();
        bare.headers[1].1 = bare.headers[1].1.replace("sha256=", "");
        assert_eq!(refused(&bare), signature);
        for far in ["1699999699", "1700000301", "0", "", "soon"] {
            assert_eq!(refused(&signed(far, &body)), (401, "timestamp".to_owned()), "{far}");
        }
        assert_eq!(refused(&signed(NOW, "{")), (400, "body".to_owned()));
        assert_eq!(refused(&Request { method: "GET".to_owned(), ..good.clone() }).0, 405);
        let foreign = message(&[("account", json!({ "id": 8 }))]);
        assert_eq!(refused(&signed(NOW, &foreign.to_string())), (403, "account".to_owned()));
        host.secret("webhook_secret", "");
        assert_eq!(refused(&good), (503, "secret".to_owned()));
    }
}
