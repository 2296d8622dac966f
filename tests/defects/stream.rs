//! The rows about the connector's stream, each over a real socket.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use sidenote::config::Delivery;
use sidenote::store::MemoryStore;
use sidenote::stream::{Interruption, State, StreamError};
use sidenote_tests::world::{BEGIN, Platform, World, settings};
use tokio::io::AsyncWriteExt;
use tokio::task::JoinSet;

use crate::connector::{Connector, OK, Running, Step, event, send, soon};

/// Waits until something holds; looks again after other tasks had their turn.
async fn until(holds: impl Fn() -> bool) {
    soon(async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn d15_a_hanging_post_delays_neither_other_sessions_nor_the_reading() {
    let platform = Platform::new([]);
    platform.slow_down("slow", Duration::from_secs(3600));
    let settings = settings(&Delivery::default()).with_concurrency("bot", 2);
    let store = Arc::new(MemoryStore::new());
    let world = World::start_with(BEGIN, store, platform.clone(), settings);
    world.link("slow", "c slow").await.unwrap();
    for n in 0..50 {
        world.link(&format!("s{n}"), &format!("c{n}")).await.unwrap();
    }

    let connector = Connector::start().await;
    let mut client = connector.run(4);
    let mut tcp = connector.answer(OK).await;
    let (engine, mut received) = (
        world.handle.clone(),
        std::mem::replace(&mut client.received, tokio::sync::mpsc::channel(1).1),
    );
    let mut forwarding = JoinSet::new();
    forwarding.spawn(async move {
        while let Some(event) = received.recv().await {
            engine.accept(event.payload, event.bytes).await.unwrap();
        }
    });
    // The slow one is busy from here on, and more of its actions come in between.
    send(&mut tcp, event("slow")).await;
    until(|| platform.posts().len() == 1).await;
    for n in 0..50 {
        send(&mut tcp, event("slow") + &event(&format!("s{n}"))).await;
    }
    until(|| platform.posts().len() == 51).await;
    let fast = platform.posts().split_off(1);
    assert!(fast.iter().all(|post| post.note.key.session.as_str() != "slow"));
    soon(client.status.wait_for(|now| now.counters.events == 101)).await;
    assert_eq!(world.handle.counters().actions_accepted.get(), 101, "what is slow is taken too");
    assert_eq!(platform.posts()[0].end, None, "and its post goes on");
    client.stop.cancel();
    assert_eq!(client.ended().await, Ok(()));
}

#[tokio::test]
async fn d16_a_refusal_ends_the_stream_with_a_typed_error_and_nothing_of_it_is_read() {
    for status in [401, 403, 404] {
        for content_type in ["text/event-stream", "application/json"] {
            let connector = Connector::start().await;
            let mut client = connector.run(8);
            let head = format!("HTTP/1.1 {status} no\r\ncontent-type: {content_type}\r\n\r\n");
            let tcp = connector.answer(head + &event("from the error page")).await;
            let refused = StreamError::Refused { stream: "shop".into(), status };
            assert_eq!(client.ended().await, Err(refused));
            assert!(client.received.recv().await.is_none());
            assert!(client.steps.recv().await.is_none(), "it never counted as connected");
            drop(tcp);
        }
    }
}

#[tokio::test]
async fn d16_only_a_good_event_stream_counts_as_connected() {
    let connector = Connector::start().await;
    let mut client = connector.run(8);
    drop(connector.answer("HTTP/1.1 500 no\r\ncontent-type: text/event-stream\r\n\r\n").await);
    assert!(matches!(client.step().await, Step::Disconnected(Interruption::Answered { .. })));
    assert!(matches!(client.step().await, Step::Waiting(_)));
    drop(connector.answer("HTTP/1.1 200 OK\r\ncontent-type: text/html\r\n\r\n").await);
    assert!(matches!(client.step().await, Step::Disconnected(Interruption::NotAStream { .. })));
    assert!(matches!(client.step().await, Step::Waiting(_)));
    let _open = connector.answer(OK).await;
    assert_eq!(client.step().await, Step::Connected);
}

#[tokio::test]
async fn d17_the_stream_is_resumed_and_what_is_repeated_is_handed_on_once() {
    let connector = Connector::start().await;
    let mut client = connector.run(8);
    let with_id = |id: u32, session: &str| format!("id: {id}\n{}", event(session));
    drop(
        connector
            .answer(OK.to_owned() + &with_id(1, "a") + &with_id(2, "b") + &event("plain"))
            .await,
    );
    let (mut tcp, head) = connector.accept().await;
    assert!(head.to_lowercase().contains("\r\nlast-event-id: 2\r\n"), "{head}");
    let repeated = with_id(1, "a") + &with_id(2, "b") + &event("plain");
    send(&mut tcp, OK.to_owned() + &repeated + &with_id(3, "c")).await;
    for session in ["a", "b", "plain", "c"] {
        assert_eq!(client.session().await, session);
    }
    let counters = client.status.get().counters;
    assert_eq!((counters.duplicates, counters.reconnects), (3, 1), "the gap is shown");
}

#[tokio::test]
async fn d27_a_poison_event_is_counted_and_skipped_and_the_connection_stays_up() {
    let connector = Connector::start().await;
    let mut client = connector.run(8);
    let mut tcp = connector.answer(OK).await;
    let deep = "[".repeat(100_000);
    let poison =
        ["[1,2]", "null", "5", "\"text\"", "true", "{", deep.as_str(), r#"{"type":"other"}"#];
    for (n, data) in poison.iter().enumerate() {
        send(&mut tcp, format!("data: {data}\n\n{}", event(&n.to_string()))).await;
        assert_eq!(client.session().await, n.to_string(), "what is behind it arrives");
    }
    let counters = client.status.get().counters;
    assert_eq!((counters.poison, counters.reconnects), (poison.len() as u64, 0));
}

#[tokio::test]
async fn d28_waits_grow_and_retries_are_counted_until_a_good_event() {
    let connector = Connector::start().await;
    let mut client = Running::start(connector.client().with_max_retries(3), 8);
    for (status, wait) in [(500, 1.0), (503, 2.0), (429, 4.0)] {
        let length = "content-length: 0";
        drop(connector.answer(format!("HTTP/1.1 {status} no\r\n{length}\r\n\r\n")).await);
        assert_eq!(client.wait().await, wait, "HTTP {status}");
    }
    drop(connector.answer(OK.to_owned() + &event("good")).await);
    assert_eq!(client.wait().await, 1.0, "a good event starts it over");
    // A stream that is closed in order isn't a failure, but one that fails is counted anew.
    for _ in 0..4 {
        drop(connector.answer("HTTP/1.1 500 no\r\ncontent-length: 0\r\n\r\n").await);
    }
    let last = Interruption::Answered { status: 500, retry_after: None };
    let stream = "shop".into();
    let exhausted = StreamError::RetriesExhausted { stream, max_retries: 3, attempts: 4, last };
    assert_eq!(client.ended().await, Err(exhausted));
}

#[tokio::test]
async fn d37_an_idle_stream_stops_at_once() {
    let connector = Connector::start().await;
    let mut client = connector.run(8);
    let _idle = connector.answer(OK).await;
    assert_eq!(client.step().await, Step::Connected);
    client.stop.cancel();
    let ended = tokio::time::timeout(Duration::from_secs(1), client.ended());
    assert_eq!(ended.await.expect("well before any time-out"), Ok(()));
    assert_eq!(client.status.get().state, State::Stopped { reason: None });
}

#[tokio::test]
async fn d53_the_stream_is_read_as_the_specification_says() {
    let connector = Connector::start().await;
    for content_type in
        ["text/event-stream; charset=iso-8859-1", "TEXT/Event-Stream", "Text/Event-Stream ;x=y"]
    {
        let mut client = connector.run(8);
        let head = format!("HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\n\r\n\u{feff}");
        let _open = connector.answer(head + &event("é 日本")).await;
        assert_eq!(client.session().await, "é 日本", "{content_type}");
        client.stop.cancel();
        assert_eq!(client.ended().await, Ok(()));
    }
}

#[tokio::test]
async fn d54_what_the_connector_asks_for_is_honoured() {
    let connector = Connector::start().await;
    let mut client = connector.run(8);
    drop(connector.answer(OK.to_owned() + "retry: 7000\n\n").await);
    assert_eq!(client.wait().await, 7.0);
    for status in [429, 503] {
        let head = format!("HTTP/1.1 {status} no\r\nretry-after: 99\r\ncontent-length: 0\r\n\r\n");
        drop(connector.answer(head).await);
        assert_eq!(client.wait().await, 99.0, "HTTP {status}");
    }
    let date = httpdate_in(Duration::from_secs(600));
    drop(connector.answer(format!("HTTP/1.1 503 no\r\nretry-after: {date}\r\n\r\n")).await);
    let wait = client.wait().await;
    assert!((590.0..=600.0).contains(&wait), "{wait}");
    drop(connector.answer("HTTP/1.1 204 No Content\r\n\r\n").await);
    assert_eq!(client.ended().await, Err(StreamError::Ended { stream: "shop".into() }));
}

#[tokio::test]
async fn d55_every_connection_that_ends_is_told_of() {
    let connector = Connector::start().await;
    let mut client = connector.run(8);
    drop(connector.answer(OK).await);
    let cut = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: 99\r\n\r\n";
    drop(connector.answer(cut).await);
    let _open = connector.answer(OK).await;
    assert_eq!(client.step().await, Step::Connected);
    assert_eq!(client.step().await, Step::Disconnected(Interruption::Closed));
    assert!(matches!(client.step().await, Step::Waiting(_)));
    assert_eq!(client.step().await, Step::Connected);
    assert!(matches!(client.step().await, Step::Disconnected(Interruption::Broken { .. })));
    assert!(matches!(client.step().await, Step::Waiting(_)));
    assert_eq!(client.step().await, Step::Connected);
}

#[tokio::test]
async fn d61_a_full_queue_pauses_the_reading_and_drops_nothing() {
    let connector = Connector::start().await;
    let mut client = connector.run(50);
    let mut tcp = connector.answer(OK).await;
    let events: String = (0..700).map(|n| event(&n.to_string())).collect();
    let sending = async {
        send(&mut tcp, events).await;
        soon(tcp.flush()).await.unwrap();
    };
    let (_, paused) =
        tokio::join!(sending, soon(client.status.wait_for(|now| now.paused_since.is_some())));
    assert_eq!((paused.counters.events, paused.counters.pauses), (50, 1));
    for n in 0..700 {
        assert_eq!(client.session().await, n.to_string());
    }
    soon(client.status.wait_for(|now| now.counters.events == 700)).await;
    assert_eq!(client.status.get().counters.reconnects, 0);
}

/// A moment from here, as HTTP writes it.
fn httpdate_in(from_here: Duration) -> String {
    #[expect(clippy::disallowed_methods, reason = "the client under test reads the system's clock")]
    let at = SystemTime::now() + from_here;
    httpdate::fmt_http_date(at)
}
