//! Chatwoot's webhooks: which are genuine, and who did what.

use serde_json::Value;
use sidenote_plugin::crypto::{Encoding, Hash};
use sidenote_plugin::json;
use sidenote_plugin::webhook::{
    Event, Hmac, Identity, Rejection, Request, Turn, check_age, identity_verification,
};

use crate::api::Settings;
use crate::finding::key_in;

const SIGNATURE: Hmac =
    Hmac { secret: "webhook_secret", hash: Hash::Sha256, encoding: Encoding::Hex };
/// How far a timestamp may be from the host's clock, in seconds, either way.
const WINDOW: u64 = 300;

/// Verifies a request, then reads it.
pub(crate) fn read(request: &Request) -> Result<Vec<Event>, Rejection> {
    if request.method != "POST" {
        return Err(Rejection::new(405, "method", "only POST is accepted"));
    }
    verify(request)?;
    let body = request.value()?;
    let settings = Settings::load().map_err(|it| Rejection::new(503, "config", it.message))?;
    let ours = settings.account.to_string();
    if accounts(&body).any(|account| account != ours) {
        return Err(Rejection::new(403, "account", "the webhook is of another account"));
    }
    Ok(vec![event(&body)?])
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

fn event(body: &Value) -> Result<Event, Rejection> {
    let missing = || Rejection::new(400, "body", "`event` is missing");
    let is_private = body["private"].as_bool().unwrap_or(false);
    let conversation = &body["conversation"];
    Ok(match body["event"].as_str().ok_or_else(missing)? {
        "conversation_created" => opened(body)?,
        "message_created" if !is_private => message(body)?,
        // A click on an answer of ours changes the message which offered it.
        "message_updated" if !is_private && body["content_type"] == "input_select" => {
            let chosen = &body["content_attributes"]["submitted_values"][0];
            let Some(label) = chosen["title"].as_str() else { return Ok(Event::Ignored) };
            let option = json::id(&chosen["value"]).unwrap_or_default();
            // The message keeps the offer's id, so the click has one of its own.
            let id = json::id(&body["id"]).map(|id| format!("{id}/{option}"));
            let turn = turn(conversation, Some(label))?;
            Event::Replied(turn.with_message_id(id).clicked(option))
        }
        "conversation_status_changed" => match body["status"].as_str() {
            Some("resolved") => Event::Replied(bare(body)?.closed()),
            Some("open") => Event::Replied(bare(body)?.reopened()),
            _ => Event::Ignored,
        },
        "conversation_typing_on" if body["is_private"] != true => {
            let turn = bare(conversation)?.typing();
            match body["user"]["type"].as_str() {
                Some("user") => Event::Replied(turn.by_agent()),
                Some("agent_bot") => Event::Replied(turn.by_bot()),
                _ if is_another(&body["user"], &conversation["meta"]["sender"]) => Event::Ignored,
                _ => Event::Replied(turn),
            }
        }
        _ => Event::Ignored,
    })
}

/// A conversation that began: the person's, whoever began it. What others wrote first isn't the person's text, and
/// comes as a message of its own.
fn opened(body: &Value) -> Result<Event, Rejection> {
    let messages = json::elements(&body["messages"]).iter();
    let mut own = messages.filter(|it| matches!(Kind::of(it), Kind::Incoming | Kind::Other));
    let first = own.find(|it| it["content"].is_string()).unwrap_or(&Value::Null);
    let turn = turn(body, first["content"].as_str())?;
    Ok(Event::Opened(turn.with_message_id(json::id(&first["id"]))))
}

/// A message that the person sees or wrote.
fn message(body: &Value) -> Result<Event, Rejection> {
    let conversation = &body["conversation"];
    Ok(match Kind::of(body) {
        Kind::Incoming => {
            // An agent, or a contact whom the conversation isn't about, in copy of a mail, say.
            if is_another(&body["sender"], &conversation["meta"]["sender"]) {
                return Ok(Event::Ignored);
            }
            let turn = turn(conversation, body["content"].as_str())?;
            Event::Replied(turn.with_message_id(json::id(&body["id"])))
        }
        Kind::Outgoing | Kind::Template => Event::Replied(by_support(conversation, body)?),
        Kind::Other => Event::Ignored,
    })
}

/// What support wrote for the person to see: an agent, or else an automation, a bot, or this plugin, whose messages
/// have a key. Nobody's name is told by it.
fn by_support(conversation: &Value, message: &Value) -> Result<Turn, Rejection> {
    let attributes = &message["content_attributes"];
    let is_automatic = Kind::of(message) == Kind::Template
        || key_in(message).is_some()
        || message["sender"]["type"] != "user"
        || !attributes["automation_rule_id"].is_null();
    let turn = bare(conversation)?.with_message_id(json::id(&message["id"]));
    Ok(if is_automatic { turn.by_bot() } else { turn.by_agent() })
}

/// What a message is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Incoming,
    Outgoing,
    /// A greeting or a form that Chatwoot sends by itself.
    Template,
    /// What happened to the conversation, and what is to come.
    Other,
}

impl Kind {
    /// Chatwoot writes it as a word, and as a number where a message is part of something else.
    fn of(message: &Value) -> Self {
        let kind = &message["message_type"];
        match (kind.as_str(), kind.as_u64()) {
            (Some("incoming"), _) | (_, Some(0)) => Self::Incoming,
            (Some("outgoing"), _) | (_, Some(1)) => Self::Outgoing,
            (Some("template"), _) | (_, Some(3)) => Self::Template,
            _ => Self::Other,
        }
    }
}

/// Whether somebody else than a conversation's contact wrote: somebody of another type, or with another id.
fn is_another(sender: &Value, contact: &Value) -> bool {
    let (sender_id, contact_id) = (json::id(&sender["id"]), json::id(&contact["id"]));
    let is_contact =
        sender["type"].as_str().is_none_or(|kind| kind.eq_ignore_ascii_case("contact"));
    !is_contact || (sender_id.is_some() && contact_id.is_some() && sender_id != contact_id)
}

/// A turn that says nothing of the person.
fn bare(conversation: &Value) -> Result<Turn, Rejection> {
    let missing = || Rejection::new(400, "body", "the conversation's `id` is missing");
    Ok(Turn::new(json::id(&conversation["id"]).ok_or_else(missing)?))
}

/// A turn of a conversation. The session is an attribute of the conversation, or else of the person.
fn turn(conversation: &Value, text: Option<&str>) -> Result<Turn, Rejection> {
    let sender = &conversation["meta"]["sender"];
    let attribute = |name: &str| {
        let places = [&conversation["custom_attributes"], &sender["custom_attributes"]];
        places.into_iter().find_map(|attributes| json::id(&attributes[name]))
    };
    let turn = Turn {
        session_id: attribute("session_id"),
        product_id: attribute("product_id"),
        external_user_id: json::id(&sender["identifier"]),
        email: json::id(&sender["email"]),
        text: text.map(str::to_owned),
        ..bare(conversation)?
    };
    // The hash is of the identifier alone: an address, and every attribute, is what the page says.
    let is_proven = is_proven(conversation)?;
    Ok(turn.vouched(is_proven.then_some(Identity::ExternalUserId)))
}

/// Whether Chatwoot has checked that the person is who the page says. It tells that of the contact's connection to
/// the inbox; a Chatwoot that doesn't leaves it to the operator's setting.
fn is_proven(conversation: &Value) -> Result<bool, Rejection> {
    let inbox = &conversation["contact_inbox"];
    let told = [&inbox["hmac_verified"], &conversation["meta"]["hmac_verified"]];
    let told: Vec<_> = told.into_iter().filter_map(Value::as_bool).collect();
    // After a merge the connection may be of a contact who isn't the one that is shown.
    let (shown, connected) =
        (json::id(&conversation["meta"]["sender"]["id"]), json::id(&inbox["contact_id"]));
    let is_merged = shown.is_some() && connected.is_some() && shown != connected;
    Ok(match &*told {
        [] => !is_merged && identity_verification()?,
        told => !is_merged && told.iter().all(|held| *held),
    })
}

/// The accounts that a webhook names.
fn accounts(body: &Value) -> impl Iterator<Item = String> {
    let conversation = &body["conversation"];
    let first = json::elements(&body["messages"]).first();
    let places = [
        Some(&body["account"]["id"]),
        Some(&body["account_id"]),
        Some(&conversation["account_id"]),
        first.map(|message| &message["account_id"]),
    ];
    places.into_iter().flatten().filter_map(json::id)
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
            ..Turn::new("12").with_message_id(Some("99".to_owned()))
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
        assert!(turn.extras.contains(&("option-id".to_owned(), "yes".to_owned())));
        assert_eq!(genuine(&message(&select)), Ok(vec![Event::Ignored]));
    }

    fn vouched(body: &Value) -> Option<String> {
        let events = genuine(body).unwrap();
        let [Event::Opened(turn) | Event::Replied(turn)] = &*events else { panic!("{events:?}") };
        turn.extras.iter().find(|(key, _)| key == "verified").map(|(_, names)| names.clone())
    }

    #[test]
    fn an_identifier_is_verified_where_chatwoot_says_that_its_hash_held() {
        let id = Some("external-user-id".to_owned());
        let opened = |changes: &[(&str, Value)]| {
            let mut body = opened();
            for (pointer, value) in changes {
                let (place, name) = pointer.rsplit_once('/').unwrap();
                body.pointer_mut(place).unwrap()[name] = value.clone();
            }
            body
        };
        let proven = json!({ "contact_id": 4, "hmac_verified": true });
        let unproven = json!({ "contact_id": 4, "hmac_verified": false });
        for (changes, told, setting) in [
            (vec![], None, id.clone()),
            (vec![("/contact_inbox", proven.clone())], id.clone(), id.clone()),
            (vec![("/contact_inbox", unproven.clone())], None, None),
            (vec![("/meta/hmac_verified", json!(true))], id.clone(), id.clone()),
            (vec![("/meta/hmac_verified", json!(false))], None, None),
            (
                vec![("/contact_inbox", proven.clone()), ("/meta/hmac_verified", json!(false))],
                None,
                None,
            ),
            (
                vec![("/contact_inbox", proven.clone()), ("/meta/sender/id", json!(4))],
                id.clone(),
                id,
            ),
            (vec![("/contact_inbox", proven.clone()), ("/meta/sender/id", json!("5"))], None, None),
            (vec![("/contact_inbox", proven), ("/meta/sender/identifier", json!(""))], None, None),
        ] {
            let body = opened(&changes);
            host();
            assert_eq!(vouched(&body), told, "{body}");
            host().config("identity_verification", "true");
            assert_eq!(vouched(&body), setting, "{body}");
            // What a message says stands in its conversation.
            let message = message(&[("conversation", body)]);
            assert_eq!(vouched(&message), setting, "{message}");
        }
    }

    #[test]
    fn numbers_are_ids_too() {
        host();
        let mut body = opened();
        body["custom_attributes"]["session_id"] = json!(4242);
        body["meta"]["sender"]["identifier"] = json!(12345);
        let events = genuine(&body).unwrap();
        let [Event::Opened(turn)] = &*events else { panic!("{events:?}") };
        let told = (turn.session_id.as_deref(), turn.external_user_id.as_deref());
        assert_eq!(told, (Some("4242"), Some("12345")));
    }

    #[test]
    fn what_somebody_else_writes_is_not_the_contacts() {
        host();
        let by = |sender: Value| {
            let mut body = message(&[("sender", sender)]);
            body["conversation"]["meta"]["sender"]["id"] = json!(81);
            genuine(&body).unwrap() != [Event::Ignored]
        };
        assert!(
            by(json!({ "id": 81, "type": "contact" }))
                && by(json!({ "id": "81" }))
                && by(json!({}))
        );
        assert!(
            !by(json!({ "id": 82, "type": "contact" })) && !by(json!({ "id": 81, "type": "user" }))
        );
    }

    #[test]
    fn what_support_writes_is_an_agents_or_a_bots_and_names_nobody() {
        host();
        let agent = json!({ "id": 31, "type": "user" });
        let key = json!({ "sidenote_key": "key-1" });
        let by = |changes: &[(&str, Value)]| {
            let mut body = message(&[("id", json!(5)), ("message_type", json!("outgoing"))]);
            for (name, value) in changes {
                body[name] = value.clone();
            }
            genuine(&body).unwrap().remove(0)
        };
        let turn = Turn::new("12").with_message_id(Some("5".to_owned()));
        let (agents, bots) = (turn.clone().by_agent(), turn.by_bot());
        let agents = Event::Replied(agents);
        assert_eq!(by(&[("sender", agent.clone())]), agents);
        assert_eq!(by(&[("sender", agent.clone()), ("message_type", json!(1))]), agents);
        for bot in [
            vec![("sender", agent.clone()), ("content_attributes", key.clone())],
            vec![("sender", agent.clone()), ("content_attributes", json!(key.to_string()))],
            vec![("sender", agent.clone()), ("message_type", json!("template"))],
            vec![
                ("sender", agent.clone()),
                ("content_attributes", json!({ "automation_rule_id": 4 })),
            ],
            vec![("sender", json!({ "id": 2, "type": "agent_bot" }))],
            vec![("sender", Value::Null)],
        ] {
            assert_eq!(by(&bot), Event::Replied(bots.clone()), "{bot:?}");
        }
    }

    #[test]
    fn a_conversation_that_support_began_is_the_persons_without_a_text_of_theirs() {
        host();
        let mut begun = opened();
        for kind in [json!(1), json!("template")] {
            begun["messages"] = json!([{ "id": 5, "content": "Hello", "message_type": kind }]);
            let events = genuine(&begun).unwrap();
            let [Event::Opened(turn)] = &*events else { panic!("{events:?}") };
            assert_eq!((turn.session_id.as_deref(), &turn.text), (Some("s-1"), &None));
            assert_eq!(turn.extras, []);
        }
    }

    #[test]
    fn a_conversation_closes_and_opens_and_somebody_types() {
        host();
        let status = |status: &str| {
            let mut body = opened();
            body["event"] = json!("conversation_status_changed");
            body["status"] = json!(status);
            genuine(&body).unwrap().remove(0)
        };
        let turn = Turn::new("12");
        assert_eq!(status("resolved"), Event::Replied(turn.clone().closed()));
        assert_eq!(status("open"), Event::Replied(turn.clone().reopened()));
        assert_eq!(status("snoozed"), Event::Ignored);
        let typing = |user: Value, private: bool| {
            let mut conversation = opened();
            conversation["meta"]["sender"]["id"] = json!(81);
            let body = json!({
                "event": "conversation_typing_on", "user": user, "conversation": conversation,
                "is_private": private,
            });
            genuine(&body).unwrap().remove(0)
        };
        let (contact, agent) = (json!({ "id": 81 }), json!({ "id": 31, "type": "user" }));
        let typed = turn.typing();
        assert_eq!(typing(contact, false), Event::Replied(typed.clone()));
        assert_eq!(typing(agent.clone(), false), Event::Replied(typed.by_agent()));
        assert_eq!(typing(agent, true), Event::Ignored, "a note");
        assert_eq!(typing(json!({ "id": 82 }), false), Event::Ignored, "somebody else");
    }

    #[test]
    fn notes_and_everything_else_are_ignored() {
        host();
        for body in [
            message(&[("private", json!(true))]),
            message(&[("private", json!(true)), ("message_type", json!("outgoing"))]),
            message(&[("message_type", json!("activity"))]),
            message(&[("message_type", json!(2))]),
            message(&[("message_type", Value::Null)]),
            message(&[("event", json!("message_updated"))]),
            json!({ "event": "conversation_status_changed", "id": 12 }),
            json!({ "event": "conversation_status_changed", "id": 12, "status": "pending" }),
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
        let mut created = opened();
        created["messages"][0]["account_id"] = json!(8);
        for foreign in [
            message(&[("account", json!({ "id": 8 }))]),
            message(&[("account", json!({ "id": "8" }))]),
            created,
        ] {
            assert_eq!(refused(&signed(NOW, &foreign.to_string())), (403, "account".to_owned()));
        }
        host.secret("webhook_secret", "");
        assert_eq!(refused(&good), (503, "secret".to_owned()));
    }
}
