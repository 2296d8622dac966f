//! `GET /deliveries/…`, `POST /deliveries/…/resend` and `GET /sessions/…/timeline`.

use super::*;
use crate::engine::core::resend::ResendError;
use crate::engine::ledger::{Delivery, Repeat, ResendFailure, Timeline, TimelineWant};
use crate::outbox::delivery_id::DeliveryId;

/// What the fake was asked.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Story {
    Show(DeliveryId, bool),
    Resend(DeliveryId, bool, bool),
    Timeline(SessionKey, TimelineWant),
}

/// The note that there is.
const THERE: &str = "p/s%2F1/3";

pub(super) fn delivery(id: &DeliveryId) -> Option<Delivery> {
    let value = json!({
        "id": THERE, "state": "delivered", "product": "p", "session": "s/1", "seq": 3, "delivery": "note",
        "kind": "actions", "plugin": "bot", "conversation": "c", "made_at": 1.5, "actions": 2, "through": 7,
        "idempotency_key": "abc", "note_id": "n", "delivered_at": 2.5, "dead_lettered_at": null,
        "waits_until": null, "expires_at": null, "reason": null, "resent_of": null, "stays": false,
        "attempts": [{
            "attempt": 1, "began_at": 1.5, "duration_ms": 80, "version": "1.0.0+0123abcd",
            "status": "sent", "asked_first": null, "code": null, "reason": null, "bytes_left": "sent",
            "decision": "delivered", "again_at": null, "because": null,
        }],
        "attempts_left_out": 0, "redaction": null,
    });
    (id.to_string() == THERE).then(|| serde_json::from_value(value).unwrap())
}

/// Of notes 1 to 6 each is refused for another reason.
pub(super) fn resent(id: &DeliveryId, dry_run: bool) -> Result<Repeat, ResendFailure> {
    let refused = [
        ResendError::Waits,
        ResendError::Dead,
        ResendError::Redacted,
        ResendError::NotRepeatable,
        ResendError::NotLinked,
        ResendError::NotKept(None),
    ];
    if id.key.session.as_str() == "refused" {
        let place = usize::try_from(id.seq).unwrap() - 1;
        return Err(refused.into_iter().nth(place).unwrap_or(ResendError::NotFound).into());
    }
    if id.to_string() != THERE {
        return Err(ResendFailure::NoNote);
    }
    let value = json!({
        "resent_of": THERE, "id": if dry_run { Value::Null } else { json!("p/s%2F1/4") },
        "plugin": "bot", "conversation": "c", "actions": 2, "bytes": 120,
    });
    Ok(serde_json::from_value(value).unwrap())
}

pub(super) fn timeline(key: &SessionKey) -> Option<Timeline> {
    let value = json!({
        "product": "p", "session": key.session, "waiting_actions": 2, "next": "17.1", "cut": false,
        "moments": [{ "at": 1.5, "what": "actions", "first": 1, "count": 2 }],
    });
    (key.session.as_str() != "nobody").then(|| serde_json::from_value(value).unwrap())
}

impl Host {
    fn stories(&self) -> Vec<Story> {
        std::mem::take(&mut *self.backend.stories.lock().unwrap())
    }
}

fn id(text: &str) -> DeliveryId {
    text.parse().unwrap()
}

#[tokio::test]
async fn a_delivery_is_told_by_its_id_as_it_is_in_an_address() {
    let host = Host::start(Server::default()).await;
    let answer = host.send("GET", &format!("/deliveries/{THERE}"), &[], "").await;
    assert_eq!(answer.status(), 200, "{}", answer.0);
    assert_eq!(answer.json(), serde_json::to_value(delivery(&id(THERE))).unwrap());
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(host.stories(), [Story::Show(id(THERE), false)]);
    let answer = host.send("GET", "/deliveries/p/s/message-9", &[], "").await;
    assert_eq!((answer.status(), answer.code().as_str()), (404, "unknown_delivery"));
    assert_eq!(host.stories(), [Story::Show(id("p/s/message-9"), false)]);
    for (path, status, code) in [
        ("/deliveries/p/s/0", 422, "invalid_id"),
        ("/deliveries/p/s/x", 422, "invalid_id"),
        ("/deliveries/p/s/1?text=yes", 422, "invalid_text"),
        ("/deliveries/p/s/1?texts=true", 422, "unknown_field"),
        ("/deliveries/p/s/1?text=true", 403, "text_needs_token"),
        ("/deliveries/p/s", 404, "not_found"),
    ] {
        let answer = host.send("GET", path, &[], "").await;
        assert_eq!((answer.status(), answer.code().as_str()), (status, code), "{path}");
    }
    assert_eq!(host.stories(), []);
}

#[tokio::test]
async fn a_resend_is_carried_out_or_only_shown_or_refused_with_what_to_do() {
    let host = Host::start(Server::default()).await;
    let path = format!("/deliveries/{THERE}/resend");
    for dry_run in [true, false] {
        let body = json!({ "dry_run": dry_run }).to_string();
        let answer = host.send("POST", &path, &[JSON], &body).await;
        assert_eq!(answer.status(), 200, "{}", answer.0);
        let value = answer.json();
        assert_eq!((&value["dry_run"], value["id"].is_null()), (&json!(dry_run), dry_run));
        assert_eq!(host.stories(), [Story::Resend(id(THERE), dry_run, false)]);
    }
    for (seq, status, code) in [
        (1, 409, "waits"),
        (2, 409, "dead_letter"),
        (3, 409, "redacted"),
        (4, 409, "not_repeatable"),
        (5, 409, "not_linked"),
        (6, 409, "not_kept"),
        (7, 404, "unknown_delivery"),
    ] {
        let path = format!("/deliveries/p/refused/{seq}/resend");
        let answer = host.send("POST", &path, &[JSON], "{}").await;
        assert_eq!((answer.status(), answer.code().as_str()), (status, code), "{seq}");
    }
    let sink = host.send("POST", "/deliveries/p/s/sink-1/resend", &[JSON], "{}").await;
    assert_eq!((sink.status(), sink.code().as_str()), (409, "no_note"));
    host.stories();
    for (body, status) in [("{\"text\": true}", 403), ("{\"dry\": true}", 422), ("", 400)] {
        let answer = host.send("POST", &path, &[JSON], body).await;
        assert_eq!(answer.status(), status, "{body:?}: {}", answer.0);
    }
    assert_eq!(host.stories(), [], "nothing was sent");
}

#[tokio::test]
async fn a_timeline_is_told_in_pages() {
    let host = Host::start(Server::default()).await;
    let answer = host.send("GET", "/sessions/p/s%2F1/timeline?limit=5&after=17.1", &[], "").await;
    assert_eq!(answer.status(), 200, "{}", answer.0);
    assert_eq!(answer.json()["moments"][0]["what"], "actions");
    let [Story::Timeline(key, want)] = &host.stories()[..] else { panic!("one") };
    assert_eq!((key.session.as_str(), want.limit, want.text), ("s/1", 5, false));
    assert_eq!(want.after.map(String::from).as_deref(), Some("17.1"));
    for (query, status, code) in [
        ("s/timeline?limit=0", 422, "invalid_limit"),
        ("s/timeline?after=x", 422, "invalid_cursor"),
        ("s/timeline?text=1", 422, "invalid_text"),
        ("s/timeline?since=1", 422, "unknown_field"),
        ("s/timeline?text=true", 403, "text_needs_token"),
        ("nobody/timeline", 404, "unknown_session"),
    ] {
        let answer = host.send("GET", &format!("/sessions/p/{query}"), &[], "").await;
        assert_eq!((answer.status(), answer.code().as_str()), (status, code), "{query}");
    }
}
