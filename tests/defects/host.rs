//! The rows about the host as a whole: real sockets, a real component, the real listener.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use serde_json::{Value, json};
use sidenote::config::Delivery;
use sidenote::engine::link::{LinkCommand, LinkError, LinkMode, Who};
use sidenote::store::{MemoryStore, Table};
use sidenote_sim::{Event, post_json};
use sidenote_tests::world::{Platform, World, action, batch, product, wait, wish};
use sidenote_tests::{Person, Rig, Setup, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn d01_what_the_stream_reads_arrives_at_the_platform_as_it_is() {
    let rig = Rig::start(Setup::default()).await;
    // Every field that the connector knows, and one that it doesn't.
    let event = json!({
        "type": "actions", "product_id": "p", "session_id": "s", "user_id": "u", "email": "u@example.com",
        "actions": [{
            "title": "T", "description": "Clicked \"Save\"", "canonical_url": "/u/:id", "index": 3,
            "type": "click", "timestamp_start": 1_700_000_000.5, "timestamp_end": 1_700_000_001.0,
            "raw_url": "/u/1", "session_id": "s", "user_id": "u", "email": "u@example.com",
            "conversation_id": null, "from_the_future": {"a": [1, null]},
        }],
        "count": 1, "forwarded_at": 1_700_000_002.0, "conversation_id": null,
    });
    let person = Person::new("p", "s");
    rig.emit_event(Event::data(event.to_string())).await;
    let conversation = rig.open(&person).await;
    let body = "session_id: s\ntimestamp: 2023-11-14 22:13:20 UTC\n\n[1] Clicked \"Save\"";
    eventually(|| match &rig.platform.notes(&conversation)[..] {
        [note] if note.body == body => Ok(()),
        notes => Err(format!("{:?}", notes.iter().map(|note| &note.body).collect::<Vec<_>>())),
    })
    .await;
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn d40_health_tells_a_stream_that_was_refused_and_the_age_of_the_last_event() {
    let rig = Rig::start(Setup::default()).await;
    rig.emit(&Person::new("p", "s").batch(0..1)).await;
    let health = |path: &'static str| {
        let url = format!("http://{}{path}", rig.host().addr());
        async move { get(&url).await }
    };
    eventually_async(async || {
        let (status, body) = health("/healthz").await;
        let stream = &body["streams"]["all"];
        (status == 200
            && stream["state"] == "connected"
            && stream["last_event_age_seconds"].is_number())
        .then_some(())
        .ok_or(body.to_string())
    })
    .await;

    rig.connector.refuse(u64::MAX, StatusCode::UNAUTHORIZED, None);
    rig.connector.abort(rig.stream());
    eventually_async(async || {
        let (alive, body) = health("/healthz").await;
        let (ready, _) = health("/readyz").await;
        let stream = &body["streams"]["all"];
        let told = stream["state"] == "refused"
            && stream["cause"].as_str().is_some_and(|c| c.contains("401"));
        (alive == 200 && body["status"] == "degraded" && told && ready == 503)
            .then_some(())
            .ok_or(body.to_string())
    })
    .await;
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn d41_nobody_links_without_the_token() {
    let rig = Rig::start(Setup::default()).await;
    let url = format!("http://{}/sessions/link", rig.host().addr());
    let wish = json!({"product_id": "p", "session_id": "s", "conversation_id": "c"}).to_string();
    for headers in [&[][..], &[("authorization", "Bearer wrong")], &[("authorization", "Basic x")]]
    {
        let answer = post_json(&url, headers, wish.clone().into()).await.unwrap();
        assert_eq!(answer.status, 401, "{headers:?}");
    }
    assert_eq!(rig.host().counters().links_made, 0);
    rig.stop().await;
}

#[test]
fn d56_no_path_of_a_machine_is_in_the_host() {
    let sources = super::rows::sources(&["host/src", "sdk-guest", "plugins"]);
    assert!(sources.len() > 50);
    for (file, text) in sources {
        for part in ["\"/home", "\"/Users", "\"/root", "\"/tmp", "\"C:\\", "/Documents/"] {
            assert!(!text.contains(part), "{} holds {part}", file.display());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn d58_a_user_id_is_never_taken_for_a_session_id() {
    let world = World::start(Arc::new(MemoryStore::new()), Platform::new([]), Delivery::default());
    // The session of one person is called as another person is.
    let mut named = batch("ada", [action("a")]);
    named.user_id = Some("grace".to_owned());
    world.take(named).await;
    let of = |user: &str| {
        let (products, user_id) = (vec![product("p")], Some(user.to_owned()));
        let who = Who::Person { products, user_id, email: None };
        LinkCommand { who, ..wish("s", "c", LinkMode::Auto) }
    };
    assert!(matches!(world.handle.link(of("ada")).await, Err(LinkError::NotFound(_))));
    assert_eq!(world.record("ada").await.link, None);
    let linked = world.handle.link(of("grace")).await.unwrap();
    assert_eq!(linked.key.session.as_str(), "ada");
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn d60_activity_keeps_what_is_stored_and_silence_removes_it() {
    let world = World::start(Arc::new(MemoryStore::new()), Platform::new([]), Delivery::default());
    world.link("busy", "c1").await.unwrap();
    world.link("silent", "c2").await.unwrap();
    // Longer than anything is kept without activity, an action an hour.
    for hour in 0..30 {
        world.act("busy", &hour.to_string()).await;
        wait(3600.0).await;
    }
    assert!(world.record("busy").await.link.is_some(), "its link outlives the retention");
    assert!(world.record("silent").await.link.is_none());
    assert_eq!(world.rows(Table::Conversation).await, 1, "and so does the index");
    world.end().await;
}

async fn get(url: &str) -> (u16, Value) {
    let answer = reqwest::get(url).await.expect("the host answers");
    let status = answer.status().as_u16();
    (status, serde_json::from_slice(&answer.bytes().await.expect("a body")).expect("JSON"))
}

/// As `eventually`, for what must be asked over a socket.
async fn eventually_async(look: impl AsyncFn() -> Result<(), String>) {
    let mut last = String::new();
    for _ in 0..400 {
        match look().await {
            Ok(()) => return,
            Err(seen) => last = seen,
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{last}");
}
