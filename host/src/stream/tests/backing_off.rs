//! How long a client waits, and when it starts over.

use std::time::Duration;

use super::connector::{Connector, Running, Waits, batch, event};
use crate::stream::{Interruption, StreamError};

async fn base(client: &mut Running) -> f64 {
    let wait = client.wait().await;
    assert_eq!(wait.jitter_max, wait.base / 10);
    assert!(wait.jitter <= wait.jitter_max);
    wait.base.as_secs_f64()
}

#[tokio::test]
async fn waits_grow_over_answers_and_start_over_only_after_a_good_event() {
    let connector = Connector::start().await;
    let mut client = connector.run();
    for (status, expected) in [(503, 1.0), (429, 2.0), (500, 4.0)] {
        let mut connection = connector.accept().await;
        connection.send(format!("HTTP/1.1 {status} x\r\ncontent-length: 1\r\n\r\nx")).await;
        assert_eq!(base(&mut client).await, expected);
    }
    let mut connection = connector.accept_ok().await;
    connection.send(": a comment\n\ndata: {poison\n\n").await;
    drop(connection);
    assert_eq!(
        base(&mut client).await,
        8.0,
        "a good answer alone, a comment and poison prove nothing"
    );
    let mut connection = connector.accept_ok().await;
    connection.send(event("good")).await;
    drop(connection);
    assert_eq!(base(&mut client).await, 1.0);
    drop(connector.accept().await);
    assert_eq!(base(&mut client).await, 2.0);
    let mut connection = connector.accept_ok().await;
    connection.send("event: heartbeat\ndata: {}\n\n").await;
    drop(connection);
    assert_eq!(base(&mut client).await, 1.0, "a heartbeat is a good event");
    client.stops().await;
}

#[tokio::test]
async fn a_connection_that_lasted_starts_over_though_nothing_happened_on_it() {
    let mut connector = Connector::start().await;
    (connector.config.retry_initial, connector.config.retry_max) =
        (Duration::from_millis(10), Duration::from_millis(40));
    connector.config.idle_timeout = Duration::from_millis(200);
    let mut client = connector.run();
    drop(connector.accept().await);
    assert_eq!(base(&mut client).await, 0.01);
    drop(connector.accept().await);
    assert_eq!(base(&mut client).await, 0.02);
    let quiet = connector.accept_ok().await;
    assert_eq!(base(&mut client).await, 0.01);
    quiet.closed().await;
    client.stops().await;
}

#[tokio::test]
async fn the_retry_field_sets_the_first_wait_also_on_later_connections() {
    let connector = Connector::start().await;
    let mut client = connector.run();
    let mut connection = connector.accept_ok().await;
    connection.send("retry: 5000\n\n").await;
    drop(connection);
    for expected in [5.0, 10.0] {
        assert_eq!(base(&mut client).await, expected);
        drop(connector.accept().await);
    }
    assert_eq!(base(&mut client).await, 20.0);
    client.stops().await;
}

#[tokio::test]
async fn retry_after_is_honoured_on_429_and_503_only() {
    let connector = Connector::start().await;
    let mut client = connector.run();
    for (status, expected) in [(429, 70.0), (503, 70.0), (500, 4.0)] {
        let mut connection = connector.accept().await;
        connection.send(format!("HTTP/1.1 {status} x\r\nretry-after: 70\r\n\r\n")).await;
        assert_eq!(base(&mut client).await, expected, "HTTP {status}");
    }
    client.stops().await;
}

#[tokio::test]
async fn retries_in_a_row_can_be_limited() {
    let connector = Connector::start().await;
    let mut client = Running::start(connector.client().with_max_retries(1), 64, Waits::Skipped);
    drop(connector.accept().await);
    connector.accept_ok().await.send(event("good")).await;
    for _ in 0..2 {
        connector.accept().await.send("HTTP/1.1 503 x\r\n\r\n").await;
    }
    let last = Interruption::Answered { status: 503, retry_after: None };
    let expected =
        StreamError::RetriesExhausted { stream: "shop".into(), max_retries: 1, attempts: 2, last };
    assert_eq!(client.ended().await, Err(expected));
}

#[tokio::test]
async fn a_broken_connection_is_told_from_one_that_was_closed_in_order() {
    let connector = Connector::start().await;
    let mut client = connector.run();
    let mut connection = connector.accept().await;
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: 5000\r\n\r\n";
    connection.send(format!("{head}{}data: {}", event("arrived"), batch("cut"))).await;
    drop(connection);
    assert_eq!(client.session().await, "arrived");
    let why = client.interruption().await;
    assert!(matches!(why, Interruption::Broken { .. }), "{why:?}");

    drop(connector.accept_ok().await);
    assert_eq!(client.interruption().await, Interruption::Closed);

    connector.accept().await.send("hello\r\n\r\n").await;
    let why = client.interruption().await;
    assert!(matches!(why, Interruption::Unanswered { .. }), "{why:?}");
    assert!(!why.to_string().contains("127.0.0.1"), "the address may hold a secret: {why}");

    let connection = connector.accept_ok().await;
    connection.tcp.set_zero_linger().unwrap();
    drop(connection);
    let why = client.interruption().await;
    assert!(
        matches!(why, Interruption::Broken { .. } | Interruption::Unanswered { .. }),
        "{why:?}"
    );
    client.stops().await;
}
