//! A connector that refuses, hangs up, falls silent and sends nonsense.

use std::time::Duration;

use http::StatusCode;
use sidenote_sim::{Event, LineEnd};
use sidenote_tests::{Person, Rig, Setup, eventually};

const STREAM: &str = "retry_initial = \"20ms\"\nretry_max = \"100ms\"";

fn setup() -> Setup {
    Setup { stream: STREAM.to_owned(), ..Setup::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_hangs_up_after_every_few_events_loses_nothing() {
    let rig = Rig::start(setup()).await;
    let person = Person::new("p", "s");
    let conversation = rig.open(&person).await;
    rig.connector.behave(|behaviour| behaviour.hang_up_after = Some(3));
    for n in 0..20 {
        rig.emit(&person.batch(n..n + 1)).await;
    }
    rig.arrives(&conversation, &person, 20).await;
    assert!(rig.connector.stats().connections >= 7);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_and_a_reset_are_got_over() {
    let rig = Rig::start(setup()).await;
    let person = Person::new("p", "s");
    let conversation = rig.open(&person).await;
    rig.emit(&person.batch(0..1)).await;
    rig.arrives(&conversation, &person, 1).await;
    rig.connector.refuse(3, StatusCode::SERVICE_UNAVAILABLE, None);
    assert!(rig.connector.abort(rig.stream()));
    // Emitted only once the host is back: the stream has no replay.
    eventually(|| match rig.connector.stats() {
        stats if stats.refused == 3 && stats.connections == 2 && stats.connected == 1 => Ok(()),
        stats => Err(format!("{stats:?}")),
    })
    .await;
    rig.emit(&person.batch(1..3)).await;
    rig.arrives(&conversation, &person, 3).await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_cut_anywhere_and_other_line_ends_read_the_same() {
    let rig = Rig::start(setup()).await;
    rig.connector.behave(|behaviour| {
        behaviour.line_end = LineEnd::CrLf;
        behaviour.write_at_most = Some(7);
    });
    let person = Person::new("p", "grüße-日本-🙂");
    let conversation = rig.open(&person).await;
    rig.emit(&person.batch(0..5)).await;
    rig.arrives(&conversation, &person, 5).await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nonsense_between_events_costs_nothing_but_itself() {
    let setup = Setup {
        stream: "max_event = \"64KiB\"\nretry_initial = \"20ms\"".to_owned(),
        ..Setup::default()
    };
    let rig = Rig::start(setup).await;
    let person = Person::new("p", "s");
    let conversation = rig.open(&person).await;
    let nonsense = [
        Event::data("[1, 2]"),
        Event::data("null"),
        Event::data("{nope"),
        Event::data(format!("{}1{}", "[".repeat(5_000), "]".repeat(5_000))),
        Event::data(r#"{"type": "gossip"}"#),
        Event::data(
            r#"{"type": "actions", "product_id": "p", "session_id": "s", "actions": [null, 7]}"#,
        ),
        Event::comment("keepalive"),
        Event::huge("p", "s", 200_000),
        Event::raw(&b"event: heartbeat\ndata: {\"type\": \"actions\"}\n\n"[..]),
        Event::raw(&b"\n\n\n:\n\n"[..]),
    ];
    for (n, odd) in nonsense.into_iter().enumerate() {
        rig.emit_event(odd).await;
        rig.emit(&person.batch(n as u64..n as u64 + 1)).await;
    }
    rig.arrives(&conversation, &person, 10).await;
    assert_eq!(rig.connector.stats().connections, 1, "the connection stood");
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_stream_is_given_up_and_opened_again() {
    let setup = Setup {
        stream: "idle_timeout = \"1s\"\nretry_initial = \"20ms\"\nretry_max = \"50ms\"".to_owned(),
        ..Setup::default()
    };
    let rig = Rig::start(setup).await;
    let person = Person::new("p", "s");
    let conversation = rig.open(&person).await;
    rig.connector.behave(|behaviour| behaviour.silent = true);
    eventually(|| match rig.connector.stats().connections {
        0 | 1 => Err("the host sticks to the silent connection".to_owned()),
        _ => Ok(()),
    })
    .await;
    rig.connector.behave(|behaviour| behaviour.silent = false);
    rig.emit(&person.batch(0..2)).await;
    rig.arrives(&conversation, &person, 2).await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_burst_reaches_the_platform_though_it_is_slow() {
    let mut setup = setup();
    setup.platform.answers_after = Duration::from_millis(5);
    setup.connector.queued_events = 8;
    let rig = Rig::start(setup).await;
    let people: Vec<Person> = (0..50).map(|i| Person::new("p", format!("s{i}"))).collect();
    let mut conversations = Vec::new();
    for person in &people {
        conversations.push(rig.open(person).await);
    }
    for n in 0..20 {
        for person in &people {
            rig.emit(&person.batch(n..n + 1)).await;
        }
    }
    for (person, conversation) in people.iter().zip(&conversations) {
        rig.arrives(conversation, person, 20).await;
    }
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_is_refused_once_goes_on_by_itself() {
    let setup = Setup { stream: format!("{STREAM}\nrefused_retry_initial = \"20ms\""), ..setup() };
    for status in [StatusCode::NOT_FOUND, StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN] {
        let rig = Rig::start(setup.clone()).await;
        let person = Person::new("p", "s");
        let conversation = rig.open(&person).await;
        rig.emit(&person.batch(0..1)).await;
        rig.arrives(&conversation, &person, 1).await;
        rig.connector.refuse(1, status, None);
        assert!(rig.connector.abort(rig.stream()));
        eventually(|| match rig.connector.stats() {
            stats if stats.refused == 1 && stats.connected == 1 => Ok(()),
            stats => Err(format!("{stats:?}")),
        })
        .await;
        rig.emit(&person.batch(1..3)).await;
        rig.arrives(&conversation, &person, 3).await;
        rig.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_stream_is_told_of_and_a_person_has_it_asked_at_once() {
    let stream = format!("{STREAM}\nrefused_retry_initial = \"1h\"\nrefused_retry_max = \"1h\"");
    let rig = Rig::start(Setup { stream, ..setup() }).await;
    let person = Person::new("p", "s");
    let conversation = rig.open(&person).await;
    rig.connector.refuse(1, StatusCode::NOT_FOUND, None);
    assert!(rig.connector.abort(rig.stream()));
    eventually(|| match rig.connector.stats().refused {
        1 => Ok(()),
        n => Err(format!("{n} refusals")),
    })
    .await;
    let told = async || {
        let answer = reqwest::get(rig.url("/readyz")).await.expect("it answers");
        (answer.status().as_u16(), answer.json::<serde_json::Value>().await.expect("JSON"))
    };
    let stream = "all";
    let mut seen = told().await;
    for _ in 0..100 {
        if seen.1["streams"][stream]["state"] == "refused" {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
        seen = told().await;
    }
    let (status, ready) = seen;
    let now = &ready["streams"][stream];
    assert_eq!((status, &now["state"]), (503, &"refused".into()), "{ready}");
    assert!(now["cause"].as_str().is_some_and(|cause| cause.contains("HTTP 404")), "{now}");
    assert!(now["next_attempt_in_seconds"].as_f64().is_some_and(|wait| wait > 3000.0), "{now}");
    let alive = reqwest::get(rig.url("/healthz")).await.expect("it answers");
    assert_eq!(alive.status(), 200);

    let unknown = rig.post("/streams/nobody/retry", &serde_json::json!({})).await;
    assert_eq!(unknown.status, 404);
    let asked = rig.post(&format!("/streams/{stream}/retry"), &serde_json::json!({})).await;
    assert_eq!(asked.status, 200);
    eventually(|| match rig.connector.stats().connected {
        1 => Ok(()),
        n => Err(format!("{n} connections")),
    })
    .await;
    rig.emit(&person.batch(0..2)).await;
    rig.arrives(&conversation, &person, 2).await;
    rig.end().await;
}
