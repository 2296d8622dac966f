//! What is made of the bytes that come.

use std::time::Duration;

use super::connector::{Connector, OK, batch, event};
use crate::stream::State;

#[tokio::test]
async fn events_arrive_in_order_however_the_bytes_are_cut() {
    let connector = Connector::start().await;
    let mut client = connector.run();
    let mut connection = connector.accept_ok().await;
    let text = format!(
        ": hello\n{}event: x\r\ndata: {}\r\n\r\ndata: {}\r\rid: 1\ndata:{}\n\n",
        event("日本 🙂 é"),
        batch("crlf"),
        batch("cr"),
        batch("id"),
    );
    for byte in text.as_bytes() {
        connection.send([*byte]).await;
    }
    for expected in ["日本 🙂 é", "crlf", "cr", "id"] {
        assert_eq!(client.session().await, expected);
    }
    client.stops().await;
}

#[tokio::test]
async fn a_huge_event_is_skipped_and_counted_and_the_next_one_arrives_on_the_same_connection() {
    let mut connector = Connector::start().await;
    connector.config.max_event_bytes = 1000;
    let mut client = connector.run();
    let mut connection = connector.accept_ok().await;
    connection.send(event("before")).await;
    connection.send(event(&"x".repeat(5_000_000))).await;
    connection.send(format!("{}\n", "data: {\n".repeat(5000))).await;
    connection.send(format!(": {}\n", "c".repeat(100_000))).await;
    connection.send(event("after")).await;
    assert_eq!(client.session().await, "before");
    assert_eq!(client.session().await, "after");
    let snapshot = client.status.get();
    assert_eq!((snapshot.counters.oversized, snapshot.counters.reconnects), (2, 0));
    assert_eq!(snapshot.state, State::Connected);
    client.stops().await;
}

#[tokio::test]
async fn poison_is_counted_and_skipped_and_the_connection_stays_up() {
    let connector = Connector::start().await;
    let mut client = connector.run();
    let mut connection = connector.accept_ok().await;
    let deep = format!("{}1{}", "[".repeat(50_000), "]".repeat(50_000));
    let poison = [
        "{nope",
        "",
        "[1,2]",
        "null",
        "5",
        "\"actions\"",
        r#"{"type":"other"}"#,
        r#"{"type":null}"#,
        "{}",
        &deep,
    ];
    for data in poison {
        connection.send(format!("data: {data}\n\n")).await;
    }
    connection.send(event("good")).await;
    assert_eq!(client.session().await, "good");
    let snapshot = client.status.get();
    assert_eq!(snapshot.counters.poison, poison.len() as u64);
    assert_eq!(snapshot.counters.reconnects, 0);
    client.stops().await;
}

#[tokio::test]
async fn heartbeats_are_counted_and_never_handed_on() {
    let connector = Connector::start().await;
    let mut client = connector.run();
    let mut connection = connector.accept_ok().await;
    connection.send(format!("event: heartbeat\ndata: {}\n\n", batch("no"))).await;
    connection.send("event: heartbeat\n\nevent: heartbeat\ndata: {}\n\n").await;
    connection.send(format!("event: Heartbeat\ndata: {}\n\n", batch("yes"))).await;
    assert_eq!(client.session().await, "yes");
    let snapshot = client.status.get();
    assert_eq!((snapshot.counters.heartbeats, snapshot.counters.poison), (3, 0));
    assert!(snapshot.last_event_at.is_some());
    client.stops().await;
}

#[tokio::test]
async fn a_summary_is_handed_on_and_the_size_on_the_wire_is_told() {
    let connector = Connector::start().await;
    let mut client = connector.run();
    let mut connection = connector.accept_ok().await;
    let line = r#"data: {"type":"summary","session_id":"s","summary":"did x"}"#;
    connection.send(format!(": not counted\n{line}\n\n")).await;
    let received = super::connector::soon("a payload", client.received.recv()).await.unwrap();
    assert_eq!(&*received.stream, "shop");
    assert_eq!(received.bytes, line.len() + 1);
    client.stops().await;
}

#[tokio::test]
async fn utf8_is_read_whatever_the_charset_and_a_mark_at_the_start_is_no_part_of_it() {
    let connector = Connector::start().await;
    let mut client = connector.run();
    let mut connection = connector.accept().await;
    connection.send("HTTP/1.1 200 OK\r\nContent-Type: Text/Event-Stream; Charset=iso-8859-1\r\n\r\n\u{feff}").await;
    connection.send(event("é")).await;
    connection.send(b"data: {\"type\":\"actions\",\"session_id\":\"\xff\"}\n\n").await;
    assert_eq!(client.session().await, "é");
    assert_eq!(client.session().await, "\u{fffd}");
    client.stops().await;
}

#[tokio::test]
async fn an_event_that_the_end_cuts_off_is_not_handed_on() {
    let connector = Connector::start().await;
    let mut client = connector.run();
    let mut connection = connector.accept().await;
    connection.send(format!("{OK}{}data: {}\n", event("whole"), batch("cut"))).await;
    drop(connection);
    let mut connection = connector.accept_ok().await;
    connection.send(event("next")).await;
    assert_eq!(client.session().await, "whole");
    assert_eq!(client.session().await, "next");
    client.stops().await;
}

#[tokio::test]
async fn silence_is_given_up_and_any_byte_keeps_the_connection() {
    let mut connector = Connector::start().await;
    connector.config.idle_timeout = Duration::from_secs(1);
    let mut client = connector.run();
    let mut first = connector.accept_ok().await;
    let mut ticks = tokio::time::interval(Duration::from_millis(250));
    for _ in 0..6 {
        ticks.tick().await;
        first.send(": still here\n").await;
    }
    first.send(event("kept")).await;
    assert_eq!(client.session().await, "kept");
    assert_eq!(client.status.get().counters.reconnects, 0);
    assert_eq!(
        client.interruption().await,
        crate::stream::Interruption::Silent { after: connector.config.idle_timeout }
    );
    let second = connector.accept_ok().await;
    first.closed().await;
    drop(second);
    client.stops().await;
}
