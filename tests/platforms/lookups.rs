//! A person who is looked up while a webhook is read: what never comes is done without, what may come is waited for.

use serde_json::{Value, json};
use sidenote_plugin::webhook::Event;

use crate::rows::{Platform, Who, platforms};

/// A webhook that has its person looked up, and words of the platform for the two kinds of refusal with status 200.
struct Lookup {
    settings: &'static [(&'static str, &'static str)],
    body: Value,
    finally: Vec<Value>,
    for_now: Vec<Value>,
}

/// None where the webhook tells it all.
fn lookup(folder: &str) -> Option<Lookup> {
    let told = |body| Lookup { settings: &[], body, finally: Vec::new(), for_now: Vec::new() };
    match folder {
        "zendesk" => Some(told(json!({
            "type": "zen:event-type:ticket.created", "detail": { "id": "35436", "requester_id": 333 },
        }))),
        "crisp" => Some(told(json!({
            "website_id": "w-1", "event": "message:send",
            "data": { "session_id": "session_1", "from": "user", "content": "TEXT" },
        }))),
        "slack" => {
            let no = |error: &str| json!({ "ok": false, "error": error });
            Some(Lookup {
                settings: &[("emails", "true")],
                body: json!({ "type": "event_callback", "team_id": "T1", "event": {
                    "type": "message", "channel": "C1", "user": "U1", "ts": "1700000000.000100",
                } }),
                finally: ["user_not_found", "user_not_visible", "missing_scope", "invalid_auth"]
                    .map(no)
                    .to_vec(),
                for_now: ["ratelimited", "internal_error", "service_unavailable"].map(no).to_vec(),
            })
        }
        "webhook" | "intercom" | "chatwoot" => None,
        _ => panic!("{folder} says whether it looks people up"),
    }
}

fn answered(
    platform: &Platform,
    lookup: &Lookup,
    answer: Option<(u16, String)>,
) -> Result<Vec<Event>, u16> {
    let host = platform.host(lookup.settings, answer.as_slice());
    let events = platform.receive(lookup.body.to_string().as_bytes());
    assert_eq!(host.requests().len(), 1, "{} is asked", platform.folder);
    events.map_err(|rejection| rejection.status)
}

#[test]
fn a_person_who_is_never_told_takes_nothing_from_the_conversation() {
    for platform in platforms() {
        let Some(lookup) = lookup(platform.folder) else { continue };
        let statuses = [301, 400, 401, 403, 404, 405, 410, 422];
        let statuses = statuses.map(|status| (status, "{}".to_owned()));
        let odd = ["", "{}", "[]", "null", "<html>"].map(|body| (200, body.to_owned()));
        let words = lookup.finally.iter().map(|body| (200, body.to_string()));
        for answer in statuses.into_iter().chain(odd).chain(words) {
            let shown = format!("{} {answer:?}", platform.folder);
            match answered(&platform, &lookup, Some(answer)).as_deref() {
                Ok([Event::Opened(turn) | Event::Replied(turn)]) => {
                    assert_eq!((&turn.external_user_id, &turn.email), (&None, &None), "{shown}");
                }
                other => panic!("{shown}: {other:?}"),
            }
        }
    }
}

#[test]
fn a_person_who_may_be_told_later_has_the_webhook_come_again() {
    for platform in platforms() {
        let Some(lookup) = lookup(platform.folder) else { continue };
        let statuses = [408, 429, 500, 502, 503, 504].map(|status| (status, "{}".to_owned()));
        let words = lookup.for_now.iter().map(|body| (200, body.to_string()));
        for answer in statuses.into_iter().chain(words) {
            let shown = format!("{} {answer:?}", platform.folder);
            assert_eq!(answered(&platform, &lookup, Some(answer)), Err(503), "{shown}");
        }
        assert_eq!(answered(&platform, &lookup, None), Err(503), "{} is away", platform.folder);
    }
}

#[test]
fn where_the_webhook_tells_it_all_nobody_is_asked() {
    for platform in platforms() {
        if lookup(platform.folder).is_none() {
            let host = platform.host(&[], &[]);
            let scene = (platform.opens)(&Who::ann());
            assert!(platform.receive(scene.body.to_string().as_bytes()).is_ok());
            assert!(host.requests().is_empty(), "{}", platform.folder);
        }
    }
}
