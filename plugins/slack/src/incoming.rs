//! Slack's events and clicks: which are genuine, and who did what.

use serde_json::Value;
use sidenote_plugin::crypto::{Encoding, Hash};
use sidenote_plugin::webhook::{
    Answer, Event, Hmac, Identity, Rejection, Request, Turn, check_age, looked_up,
};
use sidenote_plugin::{config, json};

use crate::outgoing::OFFER;
use crate::thread::Thread;
use crate::{api, form};

const SIGNATURE: Hmac =
    Hmac { secret: "signing_secret", hash: Hash::Sha256, encoding: Encoding::Hex };
/// How far a timestamp may be from the host's clock, in seconds, either way.
const WINDOW: u64 = 300;
/// The metadata by which another app of the workspace says that a message of its own opens a conversation.
const OPENS: &str = "sidenote_conversation";

/// Verifies a request, then reads it.
pub(crate) fn read(request: &Request) -> Result<Vec<Event>, Rejection> {
    if request.method != "POST" {
        return Err(Rejection::new(405, "method", "only POST is accepted"));
    }
    verify(request)?;
    if form::is_form(&request.body) {
        let unreadable =
            || Rejection::new(400, "body", "the form's `payload` isn't the JSON expected");
        let payload = form::payload(&request.body).ok_or_else(unreadable)?;
        let tenant = Tenant::clicked_in(&payload);
        check_team(&tenant)?;
        return Ok(vec![clicked(&tenant, &payload)?]);
    }
    let body = request.value()?;
    let event = match body["type"].as_str() {
        Some("url_verification") => {
            Event::Challenge(Answer::text(body["challenge"].as_str().unwrap_or_default()))
        }
        Some("event_callback") => {
            let tenant = Tenant::of(&body);
            check_team(&tenant)?;
            event(&tenant, &body)?
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

fn check_team(tenant: &Tenant) -> Result<(), Rejection> {
    let ours = config::get("team").filter(|team| !team.is_empty());
    if ours.is_some_and(|ours| !tenant.is(&ours)) {
        return Err(Rejection::new(403, "team", "the event is of another workspace"));
    }
    Ok(())
}

/// The workspace through which an event came.
struct Tenant {
    team: Option<String>,
    enterprise: Option<String>,
}

impl Tenant {
    /// In a channel that is shared with others, `team_id` can be theirs: where it happened. Through whom it came is
    /// said by the context, or else by the installation that may see it.
    fn of(body: &Value) -> Self {
        let seen_by = &body["authorizations"][0];
        let first = |places: [&Value; 3]| places.into_iter().find_map(json::id);
        Self {
            team: first([&body["context_team_id"], &seen_by["team_id"], &body["team_id"]]),
            enterprise: first([
                &body["context_enterprise_id"],
                &seen_by["enterprise_id"],
                &body["enterprise_id"],
            ]),
        }
    }

    /// The workspace in which a button was clicked.
    fn clicked_in(payload: &Value) -> Self {
        Self {
            team: json::id(&payload["team"]["id"]),
            enterprise: json::id(&payload["enterprise"]["id"]),
        }
    }

    fn is(&self, id: &str) -> bool {
        [&self.team, &self.enterprise].into_iter().any(|known| known.as_deref() == Some(id))
    }

    /// Whether all of these teams that are known are this one, and at least one is.
    fn has(&self, teams: &[&Value]) -> bool {
        let mut known = teams.iter().filter_map(|team| json::id(team)).peekable();
        known.peek().is_some() && known.all(|team| Some(team) == self.team)
    }
}

fn event(tenant: &Tenant, body: &Value) -> Result<Event, Rejection> {
    let event = &body["event"];
    match event["type"].as_str() {
        Some("message") => message(tenant, event),
        Some("message_metadata_posted") if event["metadata"]["event_type"] == OPENS => {
            opened(tenant, event)
        }
        _ => Ok(Event::Ignored),
    }
}

/// A message. What apps post, this one too, is a bot's; whoever answers in the thread of another is an agent: the
/// conversation is about who opened it.
fn message(tenant: &Tenant, event: &Value) -> Result<Event, Rejection> {
    let given = |name: &str| event[name].as_str().filter(|value| !value.is_empty());
    let (Some(channel), Some(ts)) = (given("channel"), given("ts")) else {
        return Ok(Event::Ignored);
    };
    let root = given("thread_ts").filter(|root| *root != ts);
    let thread = Thread { channel: channel.to_owned(), ts: root.unwrap_or(ts).to_owned() };
    let turn = Turn::new(thread.to_string()).with_message_id(Some(ts.to_owned()));
    if !event["bot_id"].is_null() || event["subtype"] == "bot_message" {
        let is_answer = root.is_some();
        return Ok(if is_answer { Event::Replied(turn.by_bot()) } else { Event::Ignored });
    }
    let is_written =
        matches!(event["subtype"].as_str(), None | Some("file_share" | "thread_broadcast"));
    let (true, Some(user)) = (is_written, given("user")) else {
        return Ok(Event::Ignored);
    };
    let Some(_) = root else {
        return Ok(Event::Opened(by_person(tenant, event, user, turn)?));
    };
    Ok(match given("parent_user_id") {
        Some(opener) if opener == user => Event::Replied(by_person(tenant, event, user, turn)?),
        Some(_) => Event::Replied(turn.by_agent()),
        // Nobody says whose thread it is.
        None => Event::Ignored,
    })
}

/// A button of an offer that was clicked. Everybody in the channel can do that: whoever isn't known to be the one who
/// opened the thread is an agent.
fn clicked(tenant: &Tenant, payload: &Value) -> Result<Event, Rejection> {
    let (message, action) = (&payload["message"], &payload["actions"][0]);
    let is_ours = payload["type"] == "block_actions" && action["block_id"] == OFFER;
    let thread = [&message["thread_ts"], &payload["container"]["thread_ts"]];
    let thread = thread.into_iter().find_map(json::id);
    let channel = [&payload["channel"]["id"], &payload["container"]["channel_id"]];
    let channel = channel.into_iter().find_map(json::id);
    let (true, Some(channel), Some(ts), Some(user), Some(option)) =
        (is_ours, channel, thread, json::id(&payload["user"]["id"]), json::id(&action["value"]))
    else {
        return Ok(Event::Ignored);
    };
    let offer = [&message["ts"], &payload["container"]["message_ts"]];
    let id = offer.into_iter().find_map(json::id).map(|ts| format!("{ts}/{option}"));
    let turn = Turn::new(Thread { channel, ts }.to_string()).with_message_id(id);
    let opener = message["parent_user_id"].as_str();
    if opener.is_some_and(|opener| opener != user) {
        return Ok(Event::Replied(turn.by_agent()));
    }
    let mut turn = by_person(tenant, &payload["user"], &user, turn)?.clicked(option);
    turn.text = action["text"]["text"].as_str().map(str::to_owned);
    Ok(Event::Replied(turn))
}

/// The turn with what the person wrote, and who that is, where the operator wants it asked for.
fn by_person(tenant: &Tenant, event: &Value, user: &str, turn: Turn) -> Result<Turn, Rejection> {
    let mut turn = Turn { text: event["text"].as_str().map(str::to_owned), ..turn };
    if wants_emails()? {
        // Slack sends the event again where it can't be asked at the moment.
        let answer = looked_up("users.info", api::get("users.info", &[("user", user)]))?;
        let person = answer.as_ref().map_or(&Value::Null, |answer| &answer["user"]);
        turn.email = json::id(&person["profile"]["email"]);
        turn = turn.vouched(is_member(tenant, event, person).then_some(Identity::Email));
    }
    Ok(turn)
}

/// Whether a person is of the operator's own workspace, which vouches for the addresses of its members: people of
/// others, in a channel that is shared with them, are whoever their workspace says.
fn is_member(tenant: &Tenant, event: &Value, person: &Value) -> bool {
    let is_stranger = person["is_stranger"] == true;
    let is_confirmed = person["is_email_confirmed"] != false;
    let teams = [
        &person["team_id"],
        // Of a click.
        &event["team_id"],
        &event["user_team"],
        &event["source_team"],
        &event["team"],
        &event["user_profile"]["team"],
    ];
    !is_stranger && is_confirmed && tenant.has(&teams)
}

/// A conversation that another app opens, with what it says of the person.
fn opened(tenant: &Tenant, event: &Value) -> Result<Event, Rejection> {
    let missing = || Rejection::new(400, "body", "the event names no channel or no message");
    let given = |name: &str| event[name].as_str().filter(|value| !value.is_empty());
    let channel = given("channel_id").or(given("channel")).ok_or_else(missing)?.to_owned();
    let thread = Thread { channel, ts: given("message_ts").ok_or_else(missing)?.to_owned() };
    let told = |name: &str| json::id(&event["metadata"]["event_payload"][name]);
    let turn = Turn {
        session_id: told("session_id"),
        external_user_id: told("user_id"),
        email: told("email"),
        product_id: told("product_id"),
        ..Turn::new(thread.to_string())
    };
    // Any app of the workspace, and of those that share the channel, can post such metadata.
    let ours = config::get("app").filter(|app| !app.is_empty());
    let by_ours =
        ours.is_some() && ours == json::id(&event["app_id"]) && tenant.has(&[&event["team_id"]]);
    Ok(Event::Opened(turn.vouched(Identity::ALL.into_iter().filter(|_| by_ours))))
}

fn wants_emails() -> Result<bool, Rejection> {
    config::flag("emails").map_err(|it| Rejection::new(503, "config", it.message))
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
        let turn = Turn::new("C1:1700000000.000100");
        let turn = turn.with_message_id(Some("1700000000.000100".to_owned()));
        Turn { text: Some("I can't pay".to_owned()), ..turn }
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
        let replied = turn().with_message_id(Some("1700000009.000100".to_owned()));
        assert_eq!(genuine(&reply), Ok(vec![Event::Replied(replied)]));
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
    fn apps_that_open_threads_and_slack_itself_are_ignored() {
        host();
        for event in [
            message(&[("bot_id", json!("B1"))]),
            message(&[("subtype", json!("bot_message"))]),
            message(&[("subtype", json!("message_changed"))]),
            message(&[("subtype", json!("channel_join"))]),
            message(&[("user", Value::Null)]),
            message(&[("ts", json!("1700000009.1")), ("thread_ts", json!("1700000000.000100"))]),
            json!({ "type": "reaction_added", "user": "U1", "item": { "channel": "C1" } }),
            json!({ "type": "channel_created", "channel": { "id": "C2" } }),
            Value::Null,
        ] {
            assert_eq!(genuine(&event), Ok(vec![Event::Ignored]), "{event}");
        }
    }

    #[test]
    fn who_answers_in_anothers_thread_is_an_agent_and_an_app_is_a_bot() {
        host();
        let answer = |changes: &[(&str, Value)]| {
            let thread = [
                ("ts", json!("1700000009.000100")),
                ("thread_ts", json!("1700000000.000100")),
                ("parent_user_id", json!("U2")),
            ];
            genuine(&message(&[&thread[..], changes].concat())).unwrap().remove(0)
        };
        let turn = Turn::new("C1:1700000000.000100");
        let turn = turn.with_message_id(Some("1700000009.000100".to_owned()));
        assert_eq!(answer(&[]), Event::Replied(turn.clone().by_agent()));
        let bot = Event::Replied(turn.by_bot());
        assert_eq!(answer(&[("bot_id", json!("B1"))]), bot);
        assert_eq!(answer(&[("subtype", json!("bot_message")), ("user", Value::Null)]), bot);
    }

    fn click(changes: &[(&str, Value)]) -> Result<Vec<Event>, Rejection> {
        let mut payload = json!({
            "type": "block_actions", "team": { "id": "T1" }, "user": { "id": "U1", "team_id": "T1" },
            "channel": { "id": "C1" }, "container": { "message_ts": "1700000005.000100" },
            "message": { "ts": "1700000005.000100", "thread_ts": "1700000000.000100", "parent_user_id": "U1" },
            "actions": [{
                "block_id": OFFER, "action_id": "o1", "value": "o1", "type": "button",
                "text": { "type": "plain_text", "text": "Yes, please" },
            }],
        });
        for (place, value) in changes {
            *payload.pointer_mut(place).unwrap() = value.clone();
        }
        read(&signed(
            NOW,
            &format!("payload={}", sidenote_plugin::http::encode(&payload.to_string())),
        ))
    }

    #[test]
    fn a_button_that_its_person_clicks_is_a_reply_and_anothers_is_an_agents() {
        host();
        let turn = Turn::new("C1:1700000000.000100");
        let turn = turn.with_message_id(Some("1700000005.000100/o1".to_owned()));
        let clicked = Turn { text: Some("Yes, please".to_owned()), ..turn.clone() }.clicked("o1");
        assert_eq!(click(&[]), Ok(vec![Event::Replied(clicked)]));
        let agent = Ok(vec![Event::Replied(turn.by_agent())]);
        assert_eq!(click(&[("/user/id", json!("U2"))]), agent);
        for other in [
            ("/type", json!("view_submission")),
            ("/actions/0/block_id", json!("of another")),
            ("/actions/0/value", Value::Null),
            ("/message/thread_ts", Value::Null),
            ("/user", Value::Null),
        ] {
            assert_eq!(click(std::slice::from_ref(&other)), Ok(vec![Event::Ignored]), "{other:?}");
        }
        host().config("team", "T2");
        assert_eq!(click(&[]).unwrap_err().status, 403);
        host();
        let unreadable = read(&signed(NOW, "payload=%7B")).unwrap_err();
        assert_eq!((unreadable.status, &*unreadable.code), (400, "body"));
        assert_eq!(read(&test::webhook("POST", &[], "payload=%7B%7D")).unwrap_err().status, 401);
    }

    #[test]
    fn an_address_is_asked_for_where_the_operator_wants_it() {
        let profile = r#"{"ok":true,"user":{"profile":{"email":"ann@example.com"}}}"#;
        let host = host().config("emails", "true").respond(200, profile);
        let known = Turn { email: Some("ann@example.com".to_owned()), ..turn() };
        assert_eq!(genuine(&message(&[])), Ok(vec![Event::Opened(known)]));
        assert_eq!(host.requests()[0].url, "https://slack.com/api/users.info?user=U1");
        let mut host = host;
        for error in ["user_not_found", "user_not_visible", "missing_scope", "invalid_auth", "odd"]
        {
            host = host.respond(200, &format!(r#"{{"ok":false,"error":"{error}"}}"#));
            assert_eq!(genuine(&message(&[])), Ok(vec![Event::Opened(turn())]), "{error}");
        }
        for answer in ["{}", "<html>", r#"{"ok":true}"#, r#"{"ok":true,"user":[]}"#] {
            host = host.respond(200, answer);
            assert_eq!(genuine(&message(&[])), Ok(vec![Event::Opened(turn())]), "{answer}");
        }
        for error in ["ratelimited", "internal_error", "service_unavailable", "request_timeout"] {
            host = host.respond(200, &format!(r#"{{"ok":false,"error":"{error}"}}"#));
            let rejection = genuine(&message(&[])).unwrap_err();
            assert_eq!((rejection.status, &*rejection.code), (503, "users.info"), "{error}");
        }
        host.config("emails", "yes");
        let rejection = genuine(&message(&[])).unwrap_err();
        assert_eq!((rejection.status, &*rejection.code), (503, "config"));
    }

    fn vouched(body: &Value) -> Option<String> {
        let events = read(&signed(NOW, &body.to_string())).unwrap();
        let [Event::Opened(turn) | Event::Replied(turn)] = &*events else { panic!("{events:?}") };
        turn.extras.iter().find(|(key, _)| key == "verified").map(|(_, names)| names.clone())
    }

    #[test]
    fn the_workspace_vouches_for_the_addresses_of_its_members_and_of_nobody_else() {
        let own = json!({ "team": "T1" });
        for (envelope, event, person, wanted) in [
            (json!({}), own.clone(), json!({ "team_id": "T1" }), true),
            (json!({}), own.clone(), json!({}), true),
            (json!({}), json!({}), json!({ "team_id": "T1" }), true),
            (json!({}), json!({}), json!({}), false),
            (json!({}), own.clone(), json!({ "team_id": "T2" }), false),
            (json!({}), own.clone(), json!({ "team_id": "T1", "is_stranger": true }), false),
            (
                json!({}),
                own.clone(),
                json!({ "team_id": "T1", "is_email_confirmed": false }),
                false,
            ),
            (json!({}), json!({ "team": "T1", "user_team": "T2" }), json!({}), false),
            (json!({}), json!({ "source_team": "T2" }), json!({ "team_id": "T1" }), false),
            // In a shared channel `team_id` can be the others'.
            (json!({ "team_id": "T2", "context_team_id": "T1" }), own.clone(), json!({}), true),
            (json!({ "team_id": "T1", "context_team_id": "T2" }), own.clone(), json!({}), false),
            (
                json!({ "team_id": "T2", "authorizations": [{ "team_id": "T1" }] }),
                own,
                json!({}),
                true,
            ),
        ] {
            let mut body =
                json!({ "type": "event_callback", "team_id": "T1", "event": message(&[]) });
            let add = |to: &mut Value, fields: &Value| {
                for (name, value) in fields.as_object().unwrap() {
                    to[name] = value.clone();
                }
            };
            add(&mut body, &envelope);
            add(&mut body["event"], &event);
            let mut user = json!({ "profile": { "email": "ann@example.com" } });
            add(&mut user, &person);
            let answer = json!({ "ok": true, "user": user }).to_string();
            host().config("emails", "true").respond(200, &answer);
            let wanted = wanted.then(|| "email".to_owned());
            assert_eq!(vouched(&body), wanted, "{body} {person}");
        }
    }

    #[test]
    fn what_an_app_says_is_verified_where_the_operator_names_the_app() {
        let body = json!({ "type": "event_callback", "team_id": "T1", "event": {
            "type": "message_metadata_posted", "app_id": "A1", "team_id": "T1",
            "channel_id": "C1", "message_ts": "1700000000.000100", "metadata": {
                "event_type": OPENS, "event_payload": { "session_id": 777, "user_id": 4711 },
            },
        } });
        for (app, team, wanted) in [
            (None, "T1", None),
            (Some("A2"), "T1", None),
            (Some("A1"), "T2", None),
            (Some("A1"), "T1", Some("session-id external-user-id")),
        ] {
            let mut body = body.clone();
            body["event"]["team_id"] = json!(team);
            let host = host();
            if let Some(app) = app {
                host.config("app", app);
            }
            assert_eq!(vouched(&body).as_deref(), wanted, "{app:?} {team}");
        }
        let events = read(&signed(NOW, &body.to_string())).unwrap();
        let [Event::Opened(turn)] = &*events else { panic!("{events:?}") };
        let told = (turn.session_id.as_deref(), turn.external_user_id.as_deref());
        assert_eq!(told, (Some("777"), Some("4711")), "numbers are ids too");
    }

    #[test]
    fn the_tenant_is_the_workspace_through_which_an_event_came() {
        for (envelope, ours, taken) in [
            (json!({ "team_id": "T1" }), "T1", true),
            (json!({ "team_id": "T2" }), "T1", false),
            (json!({}), "T1", false),
            (json!({ "team_id": "T2", "context_team_id": "T1" }), "T1", true),
            (json!({ "team_id": "T1", "context_team_id": "T2" }), "T1", false),
            (
                json!({ "team_id": "T2", "context_team_id": null, "authorizations": [{ "team_id": "T1" }] }),
                "T1",
                true,
            ),
            (json!({ "team_id": "T1", "authorizations": [{ "team_id": "T2" }] }), "T1", false),
            (json!({ "team_id": "T1", "context_enterprise_id": "E1" }), "E1", true),
            (json!({ "authorizations": [{ "team_id": null, "enterprise_id": "E1" }] }), "E1", true),
            (
                json!({ "team_id": "T1", "context_enterprise_id": "E2", "enterprise_id": "E1" }),
                "E1",
                false,
            ),
        ] {
            let mut body = envelope;
            body["type"] = json!("event_callback");
            body["event"] = message(&[]);
            host().config("team", ours);
            let status = read(&signed(NOW, &body.to_string())).map_err(|it| it.status);
            assert_eq!(status.is_ok(), taken, "{ours} {body}");
            assert!(taken || status == Err(403));
        }
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
        assert_eq!(read(&signed(NOW, odd)), Ok(vec![Event::Ignored]));
        assert_eq!(refused(&Request { method: "GET".to_owned(), ..good.clone() }).0, 405);
        let host = host.config("team", "T2");
        assert_eq!(refused(&good), (403, "team".to_owned()));
        host.secret("signing_secret", "");
        assert_eq!(refused(&good), (503, "secret".to_owned()));
    }
}
