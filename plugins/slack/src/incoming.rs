//! Slack's events: which are genuine, and what they mean.

use serde::Deserialize;
use serde_json::Value;
use sidenote_plugin::config;
use sidenote_plugin::crypto::{Encoding, Hash};
use sidenote_plugin::webhook::{Answer, Event, Hmac, Rejection, Request, Turn, check_age};

use crate::api;
use crate::thread::Thread;

const SIGNATURE: Hmac =
    Hmac { secret: "signing_secret", hash: Hash::Sha256, encoding: Encoding::Hex };
/// How far a timestamp may be from the host's clock, in seconds, either way.
const WINDOW: u64 = 300;
/// The metadata by which another app of the workspace says that a message of its own opens a conversation.
const OPENS: &str = "sidenote_conversation";

/// Verifies a request, then reads it.
pub(crate) fn read(request: &Request) -> Result<Vec<Event>, Rejection> {
    if request.method != "POST" {
        return Err(Rejection::new(405, "method", "only POST is taken"));
    }
    verify(request)?;
    let body: Body = request.json()?;
    let event = match body.r#type.as_str() {
        "url_verification" => Event::Challenge(Answer::text(body.challenge.unwrap_or_default())),
        "event_callback" => {
            let team = config::get("team").filter(|team| !team.is_empty());
            if team.is_some() && team != body.team_id {
                return Err(Rejection::new(403, "team", "the event is of another workspace"));
            }
            event(body.event)?
        }
        _ => Event::Ignored,
    };
    Ok(vec![event])
}

fn verify(request: &Request) -> Result<(), Rejection> {
    let timestamp = request.required_header("x-slack-request-timestamp")?;
    let signature = request.required_header("x-slack-signature")?;
    let signature = signature
        .strip_prefix("v0=")
        .ok_or_else(|| Rejection::unverified("the signature doesn't begin with v0="))?;
    SIGNATURE.verify(&[b"v0:", timestamp.as_bytes(), b":", &request.body].concat(), signature)?;
    let seconds = timestamp
        .parse()
        .map_err(|_| Rejection::new(401, "timestamp", "the timestamp isn't in whole seconds"))?;
    check_age(seconds, WINDOW)
}

fn event(event: Value) -> Result<Event, Rejection> {
    let kind = event["type"].as_str().unwrap_or_default();
    let opens = kind == "message_metadata_posted" && event["metadata"]["event_type"] == OPENS;
    if kind != "message" && !opens {
        return Ok(Event::Ignored);
    }
    let event = serde_json::from_value(event)
        .map_err(|_| Rejection::new(400, "body", "the event isn't as Slack describes it"))?;
    if opens { opened(event) } else { message(event) }
}

/// A message of a person. What apps post, this one too, and what Slack writes itself is ignored.
fn message(event: Inner) -> Result<Event, Rejection> {
    let by_person = event.bot_id.is_none()
        && matches!(event.subtype.as_deref(), None | Some("file_share" | "thread_broadcast"));
    let (true, Some(channel), Some(ts), Some(user)) =
        (by_person, event.channel, event.ts, event.user)
    else {
        return Ok(Event::Ignored);
    };
    let root = event.thread_ts.filter(|root| *root != ts);
    // Whoever answers in the thread of another person isn't the one whom the conversation is about.
    if root.is_some() && event.parent_user_id.as_ref() != Some(&user) {
        return Ok(Event::Ignored);
    }
    let is_reply = root.is_some();
    let thread = Thread { channel, ts: root.unwrap_or(ts) };
    let turn = Turn {
        email: if wants_emails()? { email(&user)? } else { None },
        text: event.text,
        ..Turn::new(thread.to_string())
    };
    Ok(if is_reply { Event::Replied(turn) } else { Event::Opened(turn) })
}

/// A conversation that another app opens, with what it says of the person.
fn opened(event: Inner) -> Result<Event, Rejection> {
    let missing = || Rejection::new(400, "body", "the event names no channel or no message");
    let channel = event.channel_id.or(event.channel).ok_or_else(missing)?;
    let thread = Thread { channel, ts: event.message_ts.ok_or_else(missing)? };
    let told = |name: &str| {
        let value = event.metadata["event_payload"][name].as_str();
        value.filter(|value| !value.is_empty()).map(str::to_owned)
    };
    Ok(Event::Opened(Turn {
        session_id: told("session_id"),
        external_user_id: told("user_id"),
        email: told("email"),
        product_id: told("product_id"),
        ..Turn::new(thread.to_string())
    }))
}

fn wants_emails() -> Result<bool, Rejection> {
    config::flag("emails").map_err(|it| Rejection::new(503, "config", it.message))
}

/// The e-mail address of a person. Slack sends the event again where it can't be asked at the moment.
fn email(user: &str) -> Result<Option<String>, Rejection> {
    #[derive(Deserialize)]
    struct Answer {
        user: Value,
    }
    let answer: Result<Answer, _> = api::get("users.info", &[("user", user)]);
    let answer = answer.map_err(|it| Rejection::new(503, "users.info", it.message))?;
    Ok(answer.user["profile"]["email"].as_str().map(str::to_owned))
}

/// What Slack posts.
#[derive(Deserialize)]
struct Body {
    r#type: String,
    challenge: Option<String>,
    team_id: Option<String>,
    #[serde(default)]
    event: Value,
}

/// An event that may mean something. Others have fields of the same names and other types.
#[derive(Deserialize)]
struct Inner {
    subtype: Option<String>,
    channel: Option<String>,
    user: Option<String>,
    bot_id: Option<String>,
    text: Option<String>,
    ts: Option<String>,
    thread_ts: Option<String>,
    parent_user_id: Option<String>,
    channel_id: Option<String>,
    message_ts: Option<String>,
    #[serde(default)]
    metadata: Value,
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use sidenote_plugin::crypto;
    use sidenote_plugin::test::{self, Host};

    use super::*;

    const NOW: &str = "1700000000";

    fn host() -> Host {
        Host::new().at(1_700_000_000).secret("signing_secret", "k").install()
    }

    fn signed(timestamp: &str, body: &str) -> Request {
        let data = format!("v0:{timestamp}:{body}");
        let hex = crypto::hmac_sign("signing_secret", Hash::Sha256, Encoding::Hex, data.as_bytes());
        let signature = format!("v0={}", hex.unwrap());
        let headers =
            [("X-Slack-Request-Timestamp", timestamp), ("X-Slack-Signature", &*signature)];
        test::webhook("POST", &headers, body)
    }

    fn genuine(event: &Value) -> Result<Vec<Event>, Rejection> {
        let body = json!({ "type": "event_callback", "team_id": "T1", "event": event });
        read(&signed(NOW, &body.to_string()))
    }

    fn message(changes: &[(&str, Value)]) -> Value {
        let mut event = json!({
            "type": "message", "channel": "C1", "user": "U1", "text": "I can't pay",
            "ts": "1700000000.000100", "channel_type": "channel",
        });
        for (key, value) in changes {
            event[key] = value.clone();
        }
        event
    }

    fn turn() -> Turn {
        Turn { text: Some("I can't pay".to_owned()), ..Turn::new("C1:1700000000.000100") }
    }

    #[test]
    fn the_vendors_own_vector_is_accepted() {
        let body = "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow\
            &channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner\
            &command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands\
            %2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN\
            &trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c";
        let signature = "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503";
        let headers =
            [("X-Slack-Request-Timestamp", "1531420618"), ("X-Slack-Signature", signature)];
        let host = Host::new().at(1_531_420_618);
        host.secret("signing_secret", "8f742231b10e8888abcd99yyyzzz85a5").install();
        assert_eq!(verify(&test::webhook("POST", &headers, body)), Ok(()));
    }

    #[test]
    fn an_address_is_confirmed_only_with_a_signature() {
        host();
        let body = r#"{"token":"t","challenge":"c1","type":"url_verification"}"#;
        let confirmed = Ok(vec![Event::Challenge(Answer::text("c1"))]);
        assert_eq!(read(&signed(NOW, body)), confirmed);
        assert_eq!(read(&test::webhook("POST", &[], body)).unwrap_err().status, 401);
    }

    #[test]
    fn a_message_opens_a_thread_and_its_author_replies_in_it() {
        host();
        assert_eq!(genuine(&message(&[])), Ok(vec![Event::Opened(turn())]));
        let reply = message(&[
            ("ts", json!("1700000009.000100")),
            ("thread_ts", json!("1700000000.000100")),
            ("parent_user_id", json!("U1")),
        ]);
        assert_eq!(genuine(&reply), Ok(vec![Event::Replied(turn())]));
        let root = message(&[("thread_ts", json!("1700000000.000100"))]);
        assert_eq!(genuine(&root), Ok(vec![Event::Opened(turn())]));
    }

    #[test]
    fn another_app_opens_a_conversation_by_metadata() {
        host();
        let posted = |kind: &str| {
            json!({
                "type": "message_metadata_posted", "app_id": "A1", "bot_id": "B1", "user_id": "U9",
                "team_id": "T1", "channel_id": "C1", "message_ts": "1700000000.000100",
                "event_ts": "1700000000.000200", "metadata": {
                    "event_type": kind, "event_payload": { "session_id": "s-1", "email": "" },
                },
            })
        };
        let turn = Turn { session_id: Some("s-1".to_owned()), ..Turn::new("C1:1700000000.000100") };
        assert_eq!(genuine(&posted("sidenote_conversation")), Ok(vec![Event::Opened(turn)]));
        assert_eq!(genuine(&posted("sidenote_note")), Ok(vec![Event::Ignored]));
    }

    #[test]
    fn apps_slack_itself_and_other_peoples_answers_are_ignored() {
        host();
        for event in [
            message(&[("bot_id", json!("B1"))]),
            message(&[("subtype", json!("bot_message"))]),
            message(&[("subtype", json!("message_changed"))]),
            message(&[("subtype", json!("channel_join"))]),
            message(&[("user", Value::Null)]),
            message(&[
                ("ts", json!("1700000009.000100")),
                ("thread_ts", json!("1700000000.000100")),
                ("parent_user_id", json!("U2")),
            ]),
            message(&[("ts", json!("1700000009.1")), ("thread_ts", json!("1700000000.000100"))]),
            json!({ "type": "reaction_added", "user": "U1", "item": { "channel": "C1" } }),
            json!({ "type": "channel_created", "channel": { "id": "C2" } }),
            Value::Null,
        ] {
            assert_eq!(genuine(&event), Ok(vec![Event::Ignored]), "{event}");
        }
    }

    #[test]
    fn an_address_is_asked_for_where_the_operator_wants_it() {
        let profile = r#"{"ok":true,"user":{"profile":{"email":"ann@example.com"}}}"#;
        let host = host().config("emails", "true").respond(200, profile);
        let turn = Turn { email: Some("ann@example.com".to_owned()), ..turn() };
        assert_eq!(genuine(&message(&[])), Ok(vec![Event::Opened(turn)]));
        assert_eq!(host.requests()[0].url, "https://slack.com/api/users.info?user=U1");
        let host = host.respond(200, r#"{"ok":false,"error":"missing_scope"}"#);
        let rejection = genuine(&message(&[])).unwrap_err();
        assert_eq!((rejection.status, &*rejection.code), (503, "users.info"));
        host.config("emails", "yes");
        let rejection = genuine(&message(&[])).unwrap_err();
        assert_eq!((rejection.status, &*rejection.code), (503, "config"));
    }

    #[test]
    fn what_cannot_be_verified_is_refused() {
        let host = host();
        let body = json!({ "type": "event_callback", "team_id": "T1", "event": message(&[]) });
        let body = body.to_string();
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
            Request { body: body.replace("C1", "C2").into_bytes(), ..good.clone() },
        ] {
            assert_eq!(refused(&forged), signature);
        }
        let mut bare = good.clone();
        bare.headers[1].1 = bare.headers[1].1.replace("v0=", "");
        assert_eq!(refused(&bare), signature);
        for far in ["1699999699", "1700000301", "0", "", "soon"] {
            assert_eq!(refused(&signed(far, &body)), (401, "timestamp".to_owned()), "{far}");
        }
        assert_eq!(refused(&signed(NOW, "{")), (400, "body".to_owned()));
        let odd = r#"{"type":"event_callback","event":{"type":"message","user":7}}"#;
        assert_eq!(refused(&signed(NOW, odd)), (400, "body".to_owned()));
        assert_eq!(refused(&Request { method: "GET".to_owned(), ..good.clone() }).0, 405);
        let host = host.config("team", "T2");
        assert_eq!(refused(&good), (403, "team".to_owned()));
        host.secret("signing_secret", "");
        assert_eq!(refused(&good), (503, "secret".to_owned()));
    }
}
