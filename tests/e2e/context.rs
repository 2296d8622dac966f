//! What people did, told to a chatbot that asks: over sockets, through an end of the host.

use reqwest::Method;
use serde_json::{Value, json};
use sidenote::session::payload::SummaryPayload;
use sidenote_sim::Event;
use sidenote_tests::{DEADLINE, Person, Rig, Setup};
use tokio::time::Instant;

async fn start() -> Rig {
    let tables = "[context]\nlookback = \"10m\"".to_owned();
    Rig::start(Setup { tables, process: true, ..Setup::default() }).await
}

fn question(person: &Person) -> String {
    format!("/context/{}?product={}&query=How%3F", person.user_id(), person.product)
}

/// Waits until the host answers a question about a person with this context.
async fn is_told(rig: &Rig, person: &Person, context: &str) {
    let expected = json!({"user_id": person.user_id(), "query": "How?", "context": context});
    let deadline = Instant::now() + DEADLINE;
    loop {
        let answer = rig.get(&question(person)).await;
        if answer == (200, expected.clone()) {
            return;
        }
        assert!(Instant::now() < deadline, "{answer:?} instead of {expected}");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

/// The lines of a context: a session's head, its summary, and these actions.
fn told(person: &Person, summary: Option<&str>, actions: std::ops::Range<u64>) -> String {
    let mut text = format!("Session {} ({}):", person.session, person.product);
    if let Some(summary) = summary {
        text += &format!("\nSummary: {summary}\n");
    }
    text += "\nRecent activity:";
    for (place, n) in (1..).zip(actions) {
        let (marker, product) = (person.marker(n), person.product);
        text += &format!("\n{place}. [{n}] click: {marker} — https://app.example.com/{product}");
    }
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn what_somebody_did_is_told_and_a_kill_forgets_none_of_it() {
    let mut rig = start().await;
    let ann = Person::new("p", "ann");
    // Another product's user of the same id is somebody else.
    let other = Person::new("q", "ann");
    rig.emit(&ann.batch(0..3)).await;
    rig.emit(&other.batch(0..1)).await;
    is_told(&rig, &ann, &told(&ann, None, 0..3)).await;
    is_told(&rig, &other, &told(&other, None, 0..1)).await;
    let summary = SummaryPayload {
        product_id: "p".to_owned(),
        session_id: Some("ann".to_owned()),
        summary: "She looked around.".to_owned(),
        replaces: 2,
        ..SummaryPayload::default()
    };
    rig.emit_event(Event::summary(&summary)).await;
    let expected = told(&ann, Some("She looked around."), 2..3);
    is_told(&rig, &ann, &expected).await;

    rig.kill_host().await;
    rig.start_host().await;
    is_told(&rig, &ann, &expected).await;
    is_told(&rig, &other, &told(&other, None, 0..1)).await;
    rig.emit(&ann.batch(3..5)).await;
    is_told(&rig, &ann, &told(&ann, Some("She looked around."), 2..5)).await;

    let (status, list) = rig.get("/users/p/u-ann/live-activity?limit=2").await;
    let texts: Vec<_> = list["actions"].as_array().expect("a list").iter().collect();
    let described: Vec<&Value> = texts.iter().map(|action| &action["description"]).collect();
    assert_eq!((status, &list["count"]), (200, &json!(2)));
    assert_eq!(described, [&json!(ann.marker(3)), &json!(ann.marker(4))]);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reset_erases_one_user_for_good() {
    let mut rig = start().await;
    let (ann, bob) = (Person::new("p", "ann"), Person::new("p", "bob"));
    rig.emit(&ann.batch(0..2)).await;
    rig.emit(&bob.batch(0..2)).await;
    is_told(&rig, &ann, &told(&ann, None, 0..2)).await;
    is_told(&rig, &bob, &told(&bob, None, 0..2)).await;
    let reset = "/admin/reset/u-ann?product=p";
    let (status, answer) = rig.ask(Method::POST, reset, Some("api-token")).await;
    assert_eq!((status, answer), (200, json!({"status": "ok", "user_id": "u-ann"})));
    assert_eq!(rig.get(&question(&ann)).await.0, 404, "at once");
    is_told(&rig, &bob, &told(&bob, None, 0..2)).await;

    rig.kill_host().await;
    rig.start_host().await;
    is_told(&rig, &bob, &told(&bob, None, 0..2)).await;
    assert_eq!(rig.get(&question(&ann)).await.0, 404, "and after a restart");
    rig.emit(&ann.batch(2..3)).await;
    is_told(&rig, &ann, &told(&ann, None, 2..3)).await;
    rig.stop().await;
}
