//! Crisp's web hooks: which are genuine, and who did what.

use serde_json::{Value, json};
use sidenote_plugin::crypto::{Encoding, Hash};
use sidenote_plugin::webhook::{
    Event, Hmac, Identity, Rejection, Request, Turn, check_age, identity_verification, looked_up,
};
use sidenote_plugin::{Failure, http, json};

use crate::api::Settings;
use crate::fingerprint;

const SIGNATURE: Hmac =
    Hmac { secret: "signing_secret", hash: Hash::Sha256, encoding: Encoding::Hex };
/// How far a timestamp may be from the host's clock, in seconds, either way.
const WINDOW: u64 = 300;
/// From here on a timestamp is in milliseconds: in seconds it would be the year 5138.
const MILLISECONDS: u64 = 100_000_000_000;

/// Verifies a request, then reads it.
pub(crate) fn read(request: &Request) -> Result<Vec<Event>, Rejection> {
    if request.method != "POST" {
        return Err(Rejection::new(405, "method", "only POST is accepted"));
    }
    verify(request)?;
    let hook = request.value()?;
    let settings = Settings::load().map_err(|it| Rejection::new(503, "config", it.message))?;
    // The hooks of a plugin come for every website that has it installed.
    let ours = json!(settings.website);
    let within = &hook["data"]["website_id"];
    if hook["website_id"] != ours || !(within.is_null() || *within == ours) {
        return Err(Rejection::new(403, "website", "the hook is of another website"));
    }
    Ok(vec![event(&settings, &hook)?])
}

fn verify(request: &Request) -> Result<(), Rejection> {
    let timestamp = request.required_header("x-crisp-request-timestamp")?;
    let signature = request.required_header("x-crisp-signature")?;
    let signed = [b"[", timestamp.as_bytes(), b";", &request.body, b"]"].concat();
    SIGNATURE.verify(&signed, signature)?;
    let time: u64 = timestamp
        .parse()
        .map_err(|_| Rejection::new(401, "timestamp", "the timestamp isn't a whole number"))?;
    check_age(if time < MILLISECONDS { time } else { time / 1000 }, WINDOW)
}

/// What a hook means.
fn event(settings: &Settings, hook: &Value) -> Result<Event, Rejection> {
    let data = &hook["data"];
    let fingerprint = json::id(&data["fingerprint"]);
    Ok(match hook["event"].as_str() {
        Some("message:send") if data["from"] == "user" => {
            let text = data["content"].as_str().map(str::to_owned);
            Event::Replied(by_person(settings, data, text)?.with_message_id(fingerprint))
        }
        // A click changes the picker that offered it: its choices are the same, and one of them is selected.
        Some("message:updated") => match selected(&data["content"]) {
            Some(choice) => {
                let option = json::id(&choice["value"]).unwrap_or_default();
                let text = choice["label"].as_str().map(str::to_owned);
                let id = fingerprint.map(|fingerprint| format!("{fingerprint}/{option}"));
                let turn = by_person(settings, data, text)?.with_message_id(id);
                Event::Replied(turn.clicked(option))
            }
            None => Event::Ignored,
        },
        Some("message:received") if data["from"] == "operator" && is_seen(&data["type"]) => {
            let turn = Turn::new(session(data)?).with_message_id(fingerprint);
            Event::Replied(if is_automatic(data) { turn.by_bot() } else { turn.by_agent() })
        }
        // What is being written is told too, and isn't ours to read.
        Some("message:compose:send") if data["type"] != "stop" => {
            Event::Replied(Turn::new(session(data)?).typing())
        }
        Some("message:compose:receive") if data["type"] != "stop" => {
            Event::Replied(Turn::new(session(data)?).by_agent().typing())
        }
        Some("session:set_state") => match data["state"].as_str() {
            Some("resolved") => Event::Replied(Turn::new(session(data)?).closed()),
            Some("unresolved" | "pending") => Event::Replied(Turn::new(session(data)?).reopened()),
            _ => Event::Ignored,
        },
        _ => Event::Ignored,
    })
}

fn session(data: &Value) -> Result<String, Rejection> {
    let missing = || Rejection::new(400, "body", "`data.session_id` is missing");
    json::id(&data["session_id"]).ok_or_else(missing)
}

/// The choice of a picker that is selected.
fn selected(content: &Value) -> Option<&Value> {
    json::elements(&content["choices"]).iter().find(|choice| choice["selected"] == true)
}

/// Whether the person sees a message of this type. Notes are for operators, and events tell of what happened.
fn is_seen(kind: &Value) -> bool {
    !matches!(kind.as_str(), None | Some("note" | "event"))
}

/// Whether no operator wrote a message: this plugin, whose fingerprints are known, or an automation.
fn is_automatic(data: &Value) -> bool {
    let is_ours = data["fingerprint"].as_u64().is_some_and(fingerprint::is_visible_of_ours);
    let is_of_bot = data["origin"].as_str().is_some_and(|origin| origin.contains(":bot"));
    is_ours || data["automated"] == true || is_of_bot
}

/// What a person did, and who that is.
fn by_person(settings: &Settings, data: &Value, text: Option<String>) -> Result<Turn, Rejection> {
    let session = session(data)?;
    // The hook doesn't tell whose conversation it is. Crisp sends it again where that can't be asked at the moment.
    let meta = looked_up("meta", ask(settings, &session, "meta"))?.unwrap_or_default();
    let attribute = |name: &str| attribute(&meta["data"], name);
    let turn = Turn {
        session_id: attribute("session_id"),
        external_user_id: attribute("user_id"),
        product_id: attribute("product_id"),
        email: json::id(&meta["email"]),
        text,
        ..Turn::new(session)
    };
    let is_proven = turn.email.is_some()
        && identity_verification()?
        && looked_up("verify", ask(settings, &turn.conversation_id, "verify"))?
            .is_some_and(|status| is_of_address(&status));
    // What is verified is the address alone. Data of the session is what the page says.
    Ok(turn.vouched(is_proven.then_some(Identity::Email)))
}

/// Whether what Crisp has verified of a person is the address.
fn is_of_address(status: &Value) -> bool {
    match json::elements(&status["verifications"]) {
        [] => status["verified"] == true,
        identities => identities.iter().any(|it| it["identity"] == "email"),
    }
}

/// What the site has set by `session:data`: an object, and in some answers pairs, or lists of pairs, as the chatbox
/// takes them.
fn attribute(data: &Value, name: &str) -> Option<String> {
    let Some(list) = data.as_array() else {
        return json::id(&data[name]);
    };
    match &**list {
        [key, value] if key == name => json::id(value),
        [key, _] if key.is_string() => None,
        // The last one that is set counts, as in an object.
        pairs => pairs.iter().rev().find_map(|pair| {
            if pair.is_array() {
                attribute(pair, name)
            } else {
                json::id(&pair["value"]).filter(|_| pair["key"] == name)
            }
        }),
    }
}

/// What Crisp knows of a conversation's person.
fn ask(settings: &Settings, session: &str, what: &str) -> Result<Value, Failure> {
    let url = format!("{}/{what}", settings.conversation(session));
    let mut answer: Value = settings.send(http::Request::get(url))?.json()?;
    Ok(answer.get_mut("data").map(Value::take).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use sidenote_plugin::crypto;
    use sidenote_plugin::test::{self, Host};

    use super::*;

    const NOW: &str = "1700000000";
    const META: &str = r#"{"error":false,"reason":"resolved","data":{"email":"ann@example.com",
        "data":{"session_id":"s-1","plan":3}}}"#;

    fn host() -> Host {
        let host = Host::new().config("website", "w-1").config("identifier", "i-1");
        host.at(1_700_000_000).secret("signing_secret", "k").install()
    }

    fn signed(timestamp: &str, body: &str) -> Request {
        let data = format!("[{timestamp};{body}]");
        let signature =
            crypto::hmac_sign("signing_secret", Hash::Sha256, Encoding::Hex, data.as_bytes())
                .unwrap();
        let headers =
            [("X-Crisp-Request-Timestamp", timestamp), ("X-Crisp-Signature", &*signature)];
        test::webhook("POST", &headers, body)
    }

    fn hook(event: &str, changes: &[(&str, Value)]) -> String {
        let mut data = json!({
            "website_id": "w-1", "session_id": "session_1", "inbox_id": null, "type": "text",
            "from": "user", "origin": "chat", "content": "I can't pay", "stamped": true,
            "fingerprint": 152_463_123_456_u64, "timestamp": 1_700_000_000_000_u64,
            "user": { "user_id": "session_1", "nickname": "visitor" },
        });
        for (key, value) in changes {
            data[key] = value.clone();
        }
        json!({ "website_id": "w-1", "event": event, "data": data, "timestamp": 1_700_000_000_000_u64 })
            .to_string()
    }

    fn turn() -> Turn {
        Turn {
            session_id: Some("s-1".to_owned()),
            email: Some("ann@example.com".to_owned()),
            text: Some("I can't pay".to_owned()),
            ..Turn::new("session_1")
        }
    }

    /// As a message tells it: with its fingerprint.
    fn told(turn: Turn) -> Turn {
        turn.with_message_id(Some("152463123456".to_owned()))
    }

    #[test]
    fn a_persons_message_is_a_reply_and_crisp_is_asked_whose_it_is() {
        let host = host().respond(200, META);
        let events = read(&signed(NOW, &hook("message:send", &[])));
        assert_eq!(events, Ok(vec![Event::Replied(told(turn()))]));
        let url = "https://api.crisp.chat/v1/website/w-1/conversation/session_1/meta";
        assert_eq!(host.requests()[0].url, url);
    }

    #[test]
    fn a_file_is_a_reply_without_text() {
        host().respond(200, META);
        let file = [("type", json!("file")), ("content", json!({ "name": "a.png" }))];
        let events = read(&signed(NOW, &hook("message:send", &file)));
        assert_eq!(events, Ok(vec![Event::Replied(told(Turn { text: None, ..turn() }))]));
    }

    #[test]
    fn a_person_of_whom_nothing_is_known_is_no_failure_and_a_crisp_that_fails_is() {
        let host = host().respond(404, "{}").respond(500, "");
        let request = signed(NOW, &hook("message:send", &[]));
        let bare = told(Turn { text: Some("I can't pay".to_owned()), ..Turn::new("session_1") });
        assert_eq!(read(&request), Ok(vec![Event::Replied(bare)]));
        let rejection = read(&request).unwrap_err();
        assert_eq!((rejection.status, &*rejection.code), (503, "meta"));
        assert_eq!(host.requests().len(), 2);
    }

    #[test]
    fn what_is_never_told_of_a_person_takes_nothing_from_the_message() {
        host();
        let request = signed(NOW, &hook("message:send", &[]));
        let bare = told(Turn { text: Some("I can't pay".to_owned()), ..Turn::new("session_1") });
        for (status, answer) in [
            (404, "{}"),
            (401, "{}"),
            (403, "{}"),
            (400, "{}"),
            (200, "<html>"),
            (200, "{}"),
            (200, "[]"),
        ] {
            host().respond(status, answer);
            assert_eq!(read(&request), Ok(vec![Event::Replied(bare.clone())]), "{status} {answer}");
        }
        for status in [420, 429, 500, 503] {
            host().respond(status, "{}");
            assert_eq!(read(&request).unwrap_err().status, 503, "{status}");
        }
    }

    #[test]
    fn session_data_is_read_as_an_object_and_as_pairs_and_numbers_are_ids() {
        for data in [
            json!({ "user_id": 12345, "session_id": "s-1" }),
            json!([["session_id", "s-1"], ["user_id", 12345]]),
            json!([[["session_id", "s-1"], ["user_id", 12345]]]),
            json!([{ "key": "user_id", "value": "12345" }, { "key": "session_id", "value": "s-1" }, 7]),
        ] {
            let meta = json!({ "data": { "email": "", "data": data } });
            host().respond(200, &meta.to_string());
            let events = read(&signed(NOW, &hook("message:send", &[]))).unwrap();
            let [Event::Replied(turn)] = &*events else { panic!("{events:?}") };
            assert_eq!(turn.external_user_id.as_deref(), Some("12345"), "{data}");
            assert_eq!(turn.session_id.as_deref(), Some("s-1"), "{data}");
            assert_eq!(turn.product_id, None, "{data}");
        }
        assert_eq!(attribute(&json!(["user_id", 12345]), "user_id").as_deref(), Some("12345"));
        assert_eq!(attribute(&json!(["session_id", "user_id"]), "user_id"), None);
    }

    #[test]
    fn an_address_is_verified_where_crisp_says_so_and_is_asked_only_where_sites_sign() {
        let status = |status: &str| format!(r#"{{"error":false,"data":{status}}}"#);
        for (setting, answer, wanted) in [
            ("false", None, None),
            ("true", Some(r#"{"verified":true}"#), Some(Identity::Email)),
            (
                "true",
                Some(r#"{"verified":true,"verifications":[null,{"identity":"email"}]}"#),
                Some(Identity::Email),
            ),
            ("true", Some(r#"{"verified":true,"verifications":[{"identity":"phone"}]}"#), None),
            ("true", Some(r#"{"verified":false}"#), None),
            ("true", Some("{}"), None),
        ] {
            let host = host().config("identity_verification", setting).respond(200, META);
            let host = match answer {
                Some(answer) => host.respond(200, &status(answer)),
                None => host,
            };
            let events = read(&signed(NOW, &hook("message:send", &[]))).unwrap();
            assert_eq!(
                events,
                [Event::Replied(told(turn().vouched(wanted)))],
                "{setting} {answer:?}"
            );
            assert_eq!(host.requests().len(), 1 + usize::from(answer.is_some()));
        }
        // A status that can't be asked is no proof, and one that may be told later is asked later.
        for (status, wanted) in [(404, Ok(vec![Event::Replied(told(turn()))])), (500, Err(503))] {
            host().config("identity_verification", "true").respond(200, META).respond(status, "{}");
            let read = read(&signed(NOW, &hook("message:send", &[])));
            assert_eq!(read.map_err(|rejection| rejection.status), wanted);
        }
    }

    #[test]
    fn notes_and_everything_else_are_ignored_and_nothing_is_asked() {
        let host = host();
        let operator = ("from", json!("operator"));
        let picker = json!({ "id": "key-1", "choices": [{ "value": "o1", "selected": false }] });
        for body in [
            hook("message:received", &[("type", json!("note")), operator.clone()]),
            hook("message:received", &[("type", json!("event")), operator.clone()]),
            hook("message:received", &[]),
            hook("message:send", &[operator]),
            hook("message:updated", &[("content", picker)]),
            hook("message:updated", &[]),
            hook("message:compose:send", &[("type", json!("stop"))]),
            hook("session:set_data", &[("data", json!({ "session_id": "s-2" }))]),
            hook("session:set_state", &[]),
            r#"{"website_id":"w-1","event":"website:update_visitors_count"}"#.to_owned(),
        ] {
            assert_eq!(read(&signed(NOW, &body)), Ok(vec![Event::Ignored]), "{body}");
        }
        assert!(host.requests().is_empty());
    }

    #[test]
    fn what_operators_write_is_told_by_who_wrote_it_and_names_nobody() {
        let host = host();
        let by = |changes: &[(&str, Value)]| {
            let operator = [("from", json!("operator"))];
            let body = hook("message:received", &[&operator[..], changes].concat());
            read(&signed(NOW, &body)).unwrap().remove(0)
        };
        let turn = Turn::new("session_1");
        assert_eq!(by(&[]), Event::Replied(told(turn.clone()).by_agent()));
        let bot = Event::Replied(told(turn.clone()).by_bot());
        assert_eq!(by(&[("automated", json!(true))]), bot);
        assert_eq!(by(&[("origin", json!("urn:crisp.im:bot:0"))]), bot);
        let ours = fingerprint::visible("key-1");
        let posted = turn.with_message_id(Some(ours.to_string())).by_bot();
        assert_eq!(by(&[("fingerprint", json!(ours))]), Event::Replied(posted));
        assert!(host.requests().is_empty());
    }

    #[test]
    fn a_choice_that_is_selected_is_a_click_of_the_person() {
        host().respond(200, META);
        let content = json!({ "id": "key-1", "text": "Stuck?", "choices": [
            { "value": "o1", "label": "No", "selected": false },
            { "value": "o2", "label": "Yes, please", "selected": true },
        ] });
        let events = read(&signed(NOW, &hook("message:updated", &[("content", content)])));
        let turn = Turn { text: Some("Yes, please".to_owned()), ..turn() };
        let turn = turn.with_message_id(Some("152463123456/o2".to_owned())).clicked("o2");
        assert_eq!(events, Ok(vec![Event::Replied(turn)]));
    }

    #[test]
    fn a_conversation_closes_and_opens_and_somebody_types() {
        let host = host();
        let turn = Turn::new("session_1");
        for (event, change, wanted) in [
            ("session:set_state", ("state", "resolved"), turn.clone().closed()),
            ("session:set_state", ("state", "unresolved"), turn.clone().reopened()),
            ("session:set_state", ("state", "pending"), turn.clone().reopened()),
            ("message:compose:send", ("type", "start"), turn.clone().typing()),
            ("message:compose:receive", ("type", "start"), turn.clone().by_agent().typing()),
        ] {
            let body = hook(event, &[(change.0, json!(change.1))]);
            let events = read(&signed(NOW, &body));
            assert_eq!(events, Ok(vec![Event::Replied(wanted)]), "{event} {change:?}");
        }
        assert!(host.requests().is_empty());
    }

    #[test]
    fn a_timestamp_in_milliseconds_is_read_as_such() {
        host();
        let body = hook("session:set_state", &[]);
        assert!(read(&signed("1700000299999", &body)).is_ok());
        assert_eq!(read(&signed("1700000301000", &body)).unwrap_err().code, "timestamp");
    }

    #[test]
    fn what_cannot_be_verified_is_refused() {
        let host = host();
        let body = hook("session:set_state", &[]);
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
            Request { body: body.replace("session_1", "session_2").into(), ..good.clone() },
        ] {
            assert_eq!(refused(&forged), signature);
        }
        for far in ["1699999699", "1700000301", "0", "", "soon"] {
            assert_eq!(refused(&signed(far, &body)), (401, "timestamp".to_owned()), "{far}");
        }
        assert_eq!(refused(&signed(NOW, "{")), (400, "body".to_owned()));
        let nameless = hook("message:send", &[("session_id", Value::Null)]);
        assert_eq!(refused(&signed(NOW, &nameless)), (400, "body".to_owned()));
        assert_eq!(refused(&Request { method: "GET".to_owned(), ..good.clone() }).0, 405);
        let foreign = body.replacen("w-1", "w-2", 2);
        assert_eq!(refused(&signed(NOW, &foreign)), (403, "website".to_owned()));
        assert!(host.requests().is_empty());
        host.secret("signing_secret", "");
        assert_eq!(refused(&good), (503, "secret".to_owned()));
    }
}
