//! Crisp's web hooks: which are genuine, and what they mean.

use serde_json::{Value, json};
use sidenote_plugin::crypto::{Encoding, Hash};
use sidenote_plugin::webhook::{
    Event, Hmac, Identity, Rejection, Request, Turn, check_age, identity_verification, looked_up,
};
use sidenote_plugin::{Failure, http, json};

use crate::api::Settings;

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

/// What a hook means. Only what people send is of interest: `message:received` tells of what operators
/// and plugins write, our own notes among it.
fn event(settings: &Settings, hook: &Value) -> Result<Event, Rejection> {
    let data = &hook["data"];
    if hook["event"] != "message:send" || data["from"] != "user" {
        return Ok(Event::Ignored);
    }
    let missing = || Rejection::new(400, "body", "`data.session_id` is missing");
    let session = json::id(&data["session_id"]).ok_or_else(missing)?;
    // The hook doesn't tell whose conversation it is. Crisp sends it again where that can't be asked at the moment.
    let meta = looked_up("meta", ask(settings, &session, "meta"))?.unwrap_or_default();
    let attribute = |name: &str| attribute(&meta["data"], name);
    let turn = Turn {
        session_id: attribute("session_id"),
        external_user_id: attribute("user_id"),
        product_id: attribute("product_id"),
        email: json::id(&meta["email"]),
        text: data["content"].as_str().map(str::to_owned),
        ..Turn::new(session)
    };
    let is_proven = turn.email.is_some()
        && identity_verification()?
        && looked_up("verify", ask(settings, &turn.conversation_id, "verify"))?
            .is_some_and(|status| is_of_address(&status));
    // What is verified is the address alone. Data of the session is what the page says.
    Ok(Event::Replied(turn.vouched(is_proven.then_some(Identity::Email))))
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

    #[test]
    fn a_persons_message_is_a_reply_and_crisp_is_asked_whose_it_is() {
        let host = host().respond(200, META);
        let events = read(&signed(NOW, &hook("message:send", &[])));
        assert_eq!(events, Ok(vec![Event::Replied(turn())]));
        let url = "https://api.crisp.chat/v1/website/w-1/conversation/session_1/meta";
        assert_eq!(host.requests()[0].url, url);
    }

    #[test]
    fn a_file_is_a_reply_without_text() {
        host().respond(200, META);
        let file = [("type", json!("file")), ("content", json!({ "name": "a.png" }))];
        let events = read(&signed(NOW, &hook("message:send", &file)));
        assert_eq!(events, Ok(vec![Event::Replied(Turn { text: None, ..turn() })]));
    }

    #[test]
    fn a_person_of_whom_nothing_is_known_is_no_failure_and_a_crisp_that_fails_is() {
        let host = host().respond(404, "{}").respond(500, "");
        let request = signed(NOW, &hook("message:send", &[]));
        let bare = Turn { text: Some("I can't pay".to_owned()), ..Turn::new("session_1") };
        assert_eq!(read(&request), Ok(vec![Event::Replied(bare)]));
        let rejection = read(&request).unwrap_err();
        assert_eq!((rejection.status, &*rejection.code), (503, "meta"));
        assert_eq!(host.requests().len(), 2);
    }

    #[test]
    fn what_is_never_told_of_a_person_takes_nothing_from_the_message() {
        host();
        let request = signed(NOW, &hook("message:send", &[]));
        let bare = Turn { text: Some("I can't pay".to_owned()), ..Turn::new("session_1") };
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
            assert_eq!(events, [Event::Replied(turn().vouched(wanted))], "{setting} {answer:?}");
            assert_eq!(host.requests().len(), 1 + usize::from(answer.is_some()));
        }
        // A status that can't be asked is no proof, and one that may be told later is asked later.
        for (status, wanted) in [(404, Ok(vec![Event::Replied(turn())])), (500, Err(503))] {
            host().config("identity_verification", "true").respond(200, META).respond(status, "{}");
            let read = read(&signed(NOW, &hook("message:send", &[])));
            assert_eq!(read.map_err(|rejection| rejection.status), wanted);
        }
    }

    #[test]
    fn notes_operators_and_everything_else_are_ignored_and_nothing_is_asked() {
        let host = host();
        let note = [("type", json!("note")), ("from", json!("operator"))];
        for body in [
            hook("message:received", &note),
            hook("message:received", &[]),
            hook("message:send", &[("from", json!("operator"))]),
            hook("session:set_data", &[("data", json!({ "session_id": "s-2" }))]),
            r#"{"website_id":"w-1","event":"website:update_visitors_count"}"#.to_owned(),
        ] {
            assert_eq!(read(&signed(NOW, &body)), Ok(vec![Event::Ignored]), "{body}");
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
