//! Events that a connector pushes: taken when they are answered, once, and only from the connector.

mod forgeries;
mod reference;

use serde_json::{Value, json};
use sidenote::session::payload::SummaryPayload;
use sidenote_sim::{Answer, Event, post_json};
use sidenote_tests::{Person, RedisServer, Rig, Setup, StoreKind, eventually};

fn pushed() -> Setup {
    Setup { pushed: true, ..Setup::default() }
}

/// Pushes a body as it is, signed by the product's connector.
async fn push(rig: &Rig, person: &Person, body: &[u8]) -> Answer {
    let signature = person.sign(body);
    let url = rig.url(&format!("/ingest/{}", person.product));
    let headers = [("x-connector-signature", &*signature)];
    post_json(&url, &headers, body.to_vec().into()).await.expect("the host answers")
}

fn code(answer: &Answer) -> (u16, String) {
    let value: Value = serde_json::from_slice(&answer.body).expect("JSON");
    (answer.status, value["error"]["code"].as_str().unwrap_or_default().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_answered_outlives_a_kill_and_comes_once_however_often_it_is_pushed() {
    let mut rig = Rig::start(Setup { process: true, ..pushed() }).await;
    let anna = Person::new("p", "anna");
    for n in 0..5 {
        assert_eq!(rig.push(&anna, &anna.batch(n..n + 1)).await, 200);
        // As a connector does that got no answer.
        assert_eq!(rig.push(&anna, &anna.batch(n..n + 1)).await, 200);
    }
    rig.kill_host().await;
    rig.start_host().await;
    let conversation = rig.conversation(&anna);
    rig.link(&anna, &conversation).await;
    rig.arrives(&conversation, &anna, 5).await;
    assert_eq!(rig.push(&anna, &anna.batch(5..7)).await, 200);
    rig.arrives(&conversation, &anna, 7).await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pushed_and_streamed_products_are_told_apart_and_a_summary_replaces_what_it_covers() {
    let rig = Rig::start(pushed()).await;
    let (in_p, in_q) = (Person::new("p", "same"), Person::new("q", "same"));
    let (of_p, of_q) = (rig.conversation(&in_p), rig.conversation(&in_q));
    rig.link(&in_p, &of_p).await;
    rig.link(&in_q, &of_q).await;
    assert_eq!(rig.push(&in_p, &in_p.batch(0..3)).await, 200);
    rig.emit(&in_q.batch(0..2)).await;
    rig.arrives(&of_p, &in_p, 3).await;
    rig.arrives(&of_q, &in_q, 2).await;

    let summary = SummaryPayload {
        product_id: "p".to_owned(),
        session_id: Some(in_p.session.clone()),
        summary: "They tried three times.".to_owned(),
        replaces: 3,
        forwarded_at: 5.0,
    };
    let body = Event::summary(&summary).pushed().expect("an event");
    assert_eq!(push(&rig, &in_p, &body).await.status, 200);
    assert_eq!(rig.host().counters().summaries_sealed, 1, "the answer came after the commit");
    eventually(|| match rig.platform.notes(&of_p).as_slice() {
        [note] if note.body.contains("They tried three times.") => Ok(()),
        notes => Err(format!("{} notes beside the summary", notes.len())),
    })
    .await;
    assert_eq!(push(&rig, &in_p, &body).await.status, 200);
    assert_eq!(rig.host().counters().pushes_repeated, 1);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_cannot_be_used_is_refused_by_itself_and_one_bad_action_too() {
    let rig = Rig::start(pushed()).await;
    let anna = Person::new("p", "anna");
    let of_q = json!({"type": "actions", "product_id": "q", "session_id": "anna", "actions": []});
    let nobody = json!({"type": "actions", "product_id": "p", "actions": [{"title": "a"}]});
    for (body, expected) in [
        ("{".to_owned(), (400, "invalid_json")),
        ("[1]".to_owned(), (422, "invalid_body")),
        ("[".repeat(100_000), (400, "invalid_json")),
        (json!({"type": "heartbeat"}).to_string(), (422, "unknown_type")),
        (of_q.to_string(), (422, "other_product")),
        (nobody.to_string(), (422, "missing_field")),
    ] {
        let (status, code) = code(&push(&rig, &anna, body.as_bytes()).await);
        assert_eq!((status, &*code), expected, "{body:.60}");
    }
    let large = push(&rig, &anna, &vec![b' '; (1 << 20) + 1]).await;
    assert_eq!(code(&large), (413, "body_too_large".to_owned()));
    assert_eq!(rig.host().counters().actions_accepted, 0);

    let event = Event::actions(&anna.batch(0..2)).pushed().expect("an event");
    let mut event: Value = serde_json::from_slice(&event).expect("JSON");
    event["actions"].as_array_mut().expect("a list").extend([json!(null), json!([7])]);
    let answer = push(&rig, &anna, event.to_string().as_bytes()).await;
    let told: Value = serde_json::from_slice(&answer.body).expect("JSON");
    assert_eq!((answer.status, &told["dropped_actions"]), (200, &json!(2)));
    let conversation = rig.open(&anna).await;
    rig.arrives(&conversation, &anna, 2).await;
    assert_eq!(rig.host().counters().pushes_unusable, 6);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_product_without_a_secret_takes_nothing_that_is_pushed() {
    let rig = Rig::start(Setup::default()).await;
    let anna = Person::new("p", "anna");
    assert_eq!(rig.push(&anna, &anna.batch(0..1)).await, 404);
    let totals = rig.host().counters();
    assert_eq!((totals.pushes_refused, totals.actions_accepted), (1, 0));
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_store_is_away_what_is_answered_is_in_the_journal() {
    let Some(server) = RedisServer::start(&[("appendonly", "yes")]).await else { return };
    let store = StoreKind::Redis { url: server.config().url };
    let rig = Rig::start(Setup { store, ..pushed() }).await;
    let anna = Person::new("p", "anna");
    let conversation = rig.open(&anna).await;
    server.pause();
    // The commit under way waits for the server, and nobody waits for it longer than a connector does.
    assert_eq!(rig.push(&anna, &anna.batch(0..1)).await, 503);
    for n in 1..4 {
        assert_eq!(rig.push(&anna, &anna.batch(n..n + 1)).await, 200);
    }
    assert!(rig.host().counters().journalled > 0);
    server.resume();
    rig.arrives(&conversation, &anna, 4).await;
    assert_eq!(rig.push(&anna, &anna.batch(0..1)).await, 200);
    assert_eq!(rig.host().counters().pushes_repeated, 1);
    rig.end().await;
}
