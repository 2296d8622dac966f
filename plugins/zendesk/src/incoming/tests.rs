use serde_json::json;
use sidenote_plugin::crypto;
use sidenote_plugin::test::{self, Host};

use super::*;

/// Zendesk's own example.
const KEY: &str = "dGhpc19zZWNyZXRfaXNfZm9yX3Rlc3Rpbmdfb25seQ==";
const NOW: u64 = 1_616_648_967;
const TIME: &str = "2021-03-25T05:09:27Z";

fn host(key: &str) -> Host {
    Host::new().secret("signing_secret", key).config("subdomain", "acme").at(NOW)
}

fn sign(key: &str, time: &str, body: &[u8]) -> String {
    host(key).install();
    let data = [time.as_bytes(), body].concat();
    crypto::hmac_sign("signing_secret", Hash::Sha256, Encoding::Base64, &data).unwrap()
}

fn signed_at(time: &str, body: &Value) -> Request {
    let body = body.to_string();
    let signature = sign(KEY, time, body.as_bytes());
    test::webhook("POST", &[(SIGNATURE, &signature), (TIMESTAMP, time)], body)
}

fn received(body: &Value) -> Result<Vec<Event>, Rejection> {
    let request = signed_at(TIME, body);
    host(KEY).install();
    read(&request)
}

fn refused(outcome: Result<Vec<Event>, Rejection>) -> (u16, String) {
    let rejection = outcome.unwrap_err();
    (rejection.status, rejection.code)
}

#[test]
fn zendesks_own_example_verifies() {
    let body = br#"{"event":"ticket.updated","id":123}"#;
    let signature = "S/RDdU2ERmj7LHDDoWJ2onPYH+t7/f2+LTM4dL7UiLM=";
    assert_eq!(sign(KEY, TIME, body), signature);
    let request = test::webhook("POST", &[(SIGNATURE, signature), (TIMESTAMP, TIME)], body);
    host(KEY).install();
    // It is genuine, and no body that a ticket could be read of.
    assert_eq!(refused(read(&request)), (400, "body".to_owned()));
    host("another").install();
    assert_eq!(refused(read(&request)), (401, "signature".to_owned()));
}

#[test]
fn a_triggers_body_tells_the_ticket_and_the_person() {
    let body = json!({
        "ticket_id": "35436",
        "session_id": "",
        "requester_external_id": "u-1",
        "requester_email": "ann@example.com",
        "trigger_type": "new_ticket",
        "user_message": "I can't pay",
    });
    let turn = Turn {
        external_user_id: Some("u-1".to_owned()),
        email: Some("ann@example.com".to_owned()),
        text: Some("I can't pay".to_owned()),
        ..Turn::new("35436")
    };
    assert_eq!(received(&body), Ok(vec![Event::Opened(turn)]));
    let body = json!({ "ticket_id": 35436, "session_id": "s-1", "trigger_type": "user_reply" });
    let turn = Turn { session_id: Some("s-1".to_owned()), ..Turn::new("35436") };
    assert_eq!(received(&body), Ok(vec![Event::Replied(turn)]));
    let body = json!({ "ticket_id": 35436, "trigger_type": "assigned" });
    assert_eq!(received(&body), Ok(vec![Event::Ignored]));
    for odd in [
        json!({ "trigger_type": "new_ticket" }),
        json!({ "ticket_id": "1/2", "trigger_type": "new_ticket" }),
        json!({ "ticket_id": 1 }),
        json!([]),
    ] {
        assert_eq!(refused(received(&odd)), (400, "body".to_owned()), "{odd}");
    }
}

fn event(kind: &str, external: Value, comment: Value) -> Value {
    json!({
        "type": format!("zen:event-type:{kind}"),
        "detail": {
            "id": "35436", "external_id": external, "requester_id": "20978392", "description": "Help",
        },
        "event": { "comment": comment },
    })
}

#[test]
fn an_event_tells_the_session_by_the_tickets_external_id() {
    let turn = Turn {
        session_id: Some("s-1".to_owned()),
        text: Some("Help".to_owned()),
        ..Turn::new("35436")
    };
    let created = event("ticket.created", json!("s-1"), Value::Null);
    assert_eq!(received(&created), Ok(vec![Event::Opened(turn.clone())]));
    let comment = json!({ "body": "Hello?", "is_public": true, "author": { "is_staff": false } });
    let added = event("ticket.comment_added", json!("s-1"), comment);
    let replied = Turn { text: Some("Hello?".to_owned()), ..turn };
    assert_eq!(received(&added), Ok(vec![Event::Replied(replied)]));
    assert_eq!(
        received(&event("ticket.status_changed", json!("s-1"), Value::Null)),
        Ok(vec![Event::Ignored])
    );
}

#[test]
fn an_event_without_an_external_id_has_its_requester_looked_up() {
    let request = signed_at(TIME, &event("ticket.created", Value::Null, Value::Null));
    let shown = r#"{"user":{"id":20978392,"email":"ann@example.com","external_id":"u-1"}}"#;
    let host = host(KEY).respond(200, shown).install();
    let turn = Turn {
        external_user_id: Some("u-1".to_owned()),
        email: Some("ann@example.com".to_owned()),
        text: Some("Help".to_owned()),
        ..Turn::new("35436")
    };
    assert_eq!(read(&request), Ok(vec![Event::Opened(turn)]));
    assert_eq!(host.requests()[0].url, "https://acme.zendesk.com/api/v2/users/20978392");
    self::host(KEY).respond(500, "").install();
    assert_eq!(refused(read(&request)), (503, "requester".to_owned()));
}

#[test]
fn a_requester_who_is_never_told_takes_nothing_from_the_ticket() {
    let request = signed_at(TIME, &event("ticket.created", Value::Null, Value::Null));
    let bare = Turn { text: Some("Help".to_owned()), ..Turn::new("35436") };
    for (status, answer) in [
        (404, r#"{"error":"RecordNotFound"}"#),
        (410, ""),
        (401, "{}"),
        (403, "{}"),
        (422, "{}"),
        (200, "<html>"),
        (200, "{}"),
        (200, r#"{"user":{"email":null}}"#),
    ] {
        host(KEY).respond(status, answer).install();
        assert_eq!(read(&request), Ok(vec![Event::Opened(bare.clone())]), "{status} {answer}");
    }
    for status in [408, 429, 500, 502, 503, 504] {
        host(KEY).respond(status, "").install();
        assert_eq!(refused(read(&request)), (503, "requester".to_owned()), "{status}");
    }
    // No answer at all.
    host(KEY).install();
    assert_eq!(refused(read(&request)), (503, "requester".to_owned()));
}

fn vouched(body: &Value, setting: Option<&str>) -> Option<String> {
    let request = signed_at(TIME, body);
    let host = host(KEY).config("external_id", "user");
    match setting {
        Some(setting) => host.config("identity_verification", setting).install(),
        None => host.install(),
    };
    let events = read(&request).unwrap();
    let [Event::Opened(turn) | Event::Replied(turn)] = &*events else { panic!("{events:?}") };
    turn.extras.iter().find(|(key, _)| key == "verified").map(|(_, names)| names.clone())
}

#[test]
fn a_requester_is_verified_where_people_must_sign_in_and_did_not_write_a_mail() {
    let trigger = |via: &str| {
        json!({
            "ticket_id": 1, "trigger_type": "new_ticket", "requester_external_id": "u-1", "via": via,
            "requester_email": "ann@example.com", "session_id": "s-1",
        })
    };
    let created = |channel: &str| {
        let mut body = event("ticket.created", json!("u-1"), Value::Null);
        body["detail"]["via"] = json!({ "channel": channel });
        body
    };
    for (body, wanted) in [
        (trigger(""), Some("external-user-id email")),
        (trigger("Web Form"), Some("external-user-id email")),
        (trigger("Mail"), None),
        (created("native_messaging"), Some("external-user-id")),
        (created("email"), None),
    ] {
        assert_eq!(vouched(&body, Some("true")).as_deref(), wanted, "{body}");
        assert_eq!(vouched(&body, Some("false")), None, "{body}");
        assert_eq!(vouched(&body, None), None, "{body}");
    }
}

#[test]
fn what_somebody_else_writes_is_not_the_requesters() {
    let comment = |author: Value| json!({ "body": "Me too", "is_public": true, "author": author });
    for (author, ours) in [
        (json!({ "id": "20978392", "is_staff": false }), true),
        (json!({ "id": 20_978_392, "is_staff": false }), true),
        (json!({ "is_staff": false }), true),
        (json!({ "id": "777", "is_staff": false }), false),
    ] {
        let added = event("ticket.comment_added", json!("s-1"), comment(author));
        let events = received(&added).unwrap();
        assert_eq!(events != [Event::Ignored], ours, "{added}");
    }
    let mut body = json!({
        "ticket_id": 1, "trigger_type": "user_reply", "requester_id": "7", "author_id": 7,
    });
    assert_eq!(received(&body), Ok(vec![Event::Replied(Turn::new("1"))]));
    body["author_id"] = json!("8");
    assert_eq!(received(&body), Ok(vec![Event::Ignored]));
    // What an agent wrote into a ticket that they opened for a person isn't that person's text.
    let mut opened = event("ticket.created", json!("s-1"), Value::Null);
    opened["detail"]["submitter_id"] = json!("1");
    let turn = Turn { session_id: Some("s-1".to_owned()), ..Turn::new("35436") };
    assert_eq!(received(&opened), Ok(vec![Event::Opened(turn)]));
}

#[test]
fn an_event_of_another_account_is_refused_where_ours_is_known() {
    let mut created = event("ticket.created", json!("s-1"), Value::Null);
    let trigger = json!({ "ticket_id": 1, "trigger_type": "new_ticket" });
    created["account_id"] = json!(22_129_848);
    for (ours, body, taken) in [
        ("22129848", &created, true),
        ("7", &created, false),
        ("7", &event("ticket.created", json!("s-1"), Value::Null), false),
        ("7", &trigger, true),
    ] {
        let request = signed_at(TIME, body);
        host(KEY).config("account_id", ours).install();
        let status = read(&request).map_err(|rejection| (rejection.status, rejection.code));
        assert_eq!(status.is_ok(), taken, "{ours} {body}");
        assert!(taken || status == Err((403, "account".to_owned())));
    }
}

#[test]
fn a_note_never_comes_back() {
    for comment in [
        json!({ "body": "note", "is_public": false, "author": { "is_staff": true } }),
        json!({ "body": "note", "is_public": false }),
        json!({ "body": "note", "is_public": false, "author": { "id": 3, "is_staff": true } }),
        json!({ "body": "unsaid" }),
        Value::Null,
    ] {
        let added = event("ticket.comment_added", json!("s-1"), comment.clone());
        assert_eq!(received(&added), Ok(vec![Event::Ignored]), "{comment}");
    }
}

/// What is made of a body where Zendesk answers this to who we are.
fn told(body: &Value, me: Option<(u16, &str)>) -> Result<Event, (u16, String)> {
    // What an instance was told it keeps, so each has a thread of its own.
    std::thread::scope(|scope| {
        let read = || {
            let request = signed_at(TIME, body);
            let host = match me {
                Some((status, answer)) => host(KEY).respond(status, answer).install(),
                None => host(KEY).install(),
            };
            let first = read(&request).map(|mut events| events.remove(0));
            let asked = host.requests().len();
            assert_eq!(asked, usize::from(me.is_some()), "{body}");
            first.map_err(|rejection| (rejection.status, rejection.code))
        };
        scope.spawn(read).join().unwrap()
    })
}

#[test]
fn an_agents_answer_is_told_from_ours_by_the_agent_as_whom_we_write() {
    let me = Some((200, r#"{"user":{"id":3343}}"#));
    let comment =
        |id: u64| json!({ "id": 41, "is_public": true, "author": { "id": id, "is_staff": true } });
    let added = |id: u64| event("ticket.comment_added", json!("s-1"), comment(id));
    let trigger = |id: u64| json!({ "ticket_id": 35436, "trigger_type": "agent_reply", "author_id": id, "message_id": "41" });
    let turn = Turn::new("35436").with_message_id(Some("41".to_owned()));
    let (agent, bot) = (turn.clone().by_agent(), turn.by_bot());
    for (body, wanted) in
        [(added(7), &agent), (added(3343), &bot), (trigger(7), &agent), (trigger(3343), &bot)]
    {
        assert_eq!(told(&body, me), Ok(Event::Replied(wanted.clone())), "{body}");
    }
    // Never told, it counts as an agent's; told later, it is asked later.
    assert_eq!(told(&added(3343), Some((403, "{}"))), Ok(Event::Replied(agent)));
    assert_eq!(told(&added(3343), Some((500, ""))), Err((503, "me".to_owned())));
    let nameless = json!({ "ticket_id": 35436, "trigger_type": "agent_reply" });
    assert_eq!(told(&nameless, None), Err((400, "body".to_owned())));
}

#[test]
fn who_we_are_is_asked_once_in_an_instance() {
    let comment = json!({ "is_public": true, "author": { "id": 3343, "is_staff": true } });
    let request = signed_at(TIME, &event("ticket.comment_added", json!("s-1"), comment));
    let host = host(KEY).respond(200, r#"{"user":{"id":3343}}"#).install();
    for _ in 0..3 {
        let events = read(&request).unwrap();
        assert_eq!(events, [Event::Replied(Turn::new("35436").by_bot())]);
    }
    assert_eq!(host.requests().len(), 1);
    assert_eq!(host.requests()[0].url, "https://acme.zendesk.com/api/v2/users/me");
}

#[test]
fn a_ticket_is_closed_when_it_is_solved_and_opens_again() {
    let changed = |before: &str, after: &str| {
        let mut body = event("ticket.status_changed", json!("s-1"), Value::Null);
        body["event"] = json!({ "previous": before, "current": after });
        received(&body).unwrap().remove(0)
    };
    let turn = Turn::new("35436");
    let (closed, reopened) =
        (Event::Replied(turn.clone().closed()), Event::Replied(turn.reopened()));
    assert_eq!(changed("OPEN", "SOLVED"), closed);
    assert_eq!(changed("pending", "closed"), closed);
    assert_eq!(changed("SOLVED", "OPEN"), reopened);
    for (before, after) in [("SOLVED", "CLOSED"), ("NEW", "OPEN"), ("OPEN", "PENDING")] {
        assert_eq!(changed(before, after), Event::Ignored, "{before} {after}");
    }
    for (kind, wanted) in [("solved", &closed), ("closed", &closed), ("reopened", &reopened)] {
        let body = json!({ "ticket_id": 35436, "trigger_type": kind });
        assert_eq!(received(&body), Ok(vec![wanted.clone()]), "{kind}");
    }
}

#[test]
fn without_the_secret_everything_is_refused() {
    let genuine = signed_at(TIME, &json!({ "ticket_id": 1, "trigger_type": "new_ticket" }));
    Host::new().at(NOW).install();
    assert_eq!(refused(read(&genuine)), (503, "secret".to_owned()));
    assert_eq!(refused(read(&test::webhook("POST", &[], "{}"))), (503, "secret".to_owned()));
    assert_eq!(refused(read(&test::webhook("GET", &[], ""))), (405, "method".to_owned()));
}

/// Ten thousand forgeries among as many genuine requests.
#[test]
fn no_forgery_is_taken_and_nothing_genuine_is_refused() {
    for n in 0..10_000_u64 {
        let body = json!({ "ticket_id": n, "session_id": "s", "trigger_type": "user_reply" });
        let genuine = signed_at(TIME, &body);
        assert!(read(&genuine).is_ok(), "{n}");
        let mut forged = genuine.clone();
        let (at, text) = (usize::try_from(n).unwrap(), body.to_string());
        let mut word = "signature";
        match n % 7 {
            0 => {
                let at = at / 7 % forged.body.len();
                forged.body[at] ^= 1 << (n % 8);
            }
            1 => {
                let place = at / 7 % forged.headers[0].1.len();
                let other = if forged.headers[0].1.as_bytes()[place] == b'A' { "B" } else { "A" };
                forged.headers[0].1.replace_range(place..=place, other);
            }
            2 => forged.headers[0].1 = sign(&format!("tenant-{n}"), TIME, text.as_bytes()),
            3 => forged.headers[1].1 = "2021-03-25T05:09:28Z".to_owned(),
            4 => forged.headers.push((SIGNATURE.to_owned(), "AAAA".to_owned())),
            5 => forged.headers.push((TIMESTAMP.to_owned(), TIME.to_owned())),
            _ => {
                // Signed with the right key, too long ago.
                forged = signed_at("2021-03-25T05:04:26Z", &body);
                word = "timestamp";
            }
        }
        host(KEY).install();
        assert_eq!(refused(read(&forged)), (401, word.to_owned()), "{n}");
    }
}
