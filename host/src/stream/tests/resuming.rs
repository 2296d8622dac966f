//! What a second connection asks for, and what is dropped of what it repeats.

use super::connector::{Connector, batch, event};

#[tokio::test]
async fn the_last_id_is_sent_on_the_next_connection() {
    let connector = Connector::start().await;
    let mut client = connector.run();
    let cases = [
        // What a connection sends, and the id that the next one asks for.
        (format!("id: 41\ndata: {}\n\nid: é2\ndata: {}\n\n", batch("a"), batch("b")), Some("Ã©2")),
        (event("no id keeps the one before"), Some("Ã©2")),
        ("id: 43\n\n".to_owned(), Some("43")),
        ("id: 44\nevent: heartbeat\ndata: {}\n\n".to_owned(), Some("44")),
        ("id: 45\ndata: {poison\n\n".to_owned(), Some("45")),
        ("id: 4\u{0}6\ndata: {poison\n\n".to_owned(), Some("45")),
        ("id: 4\u{1}6\ndata: {poison\n\n".to_owned(), Some("45")),
        (format!("id: {}\ndata: {{poison\n\n", "9".repeat(2000)), Some("45")),
        ("id: 46\ndata: {cut".to_owned(), Some("45")),
        ("id\n\n".to_owned(), None),
    ];
    assert_eq!(connector.accept_ok().await.header("last-event-id"), None);
    for (sent, expected) in cases {
        let mut connection = connector.accept_ok().await;
        connection.send(&sent).await;
        drop(connection);
        let next = connector.accept_ok().await;
        assert_eq!(next.header("last-event-id"), expected, "after {sent:?}");
    }
    client.stops().await;
}

#[tokio::test]
async fn what_is_sent_again_is_handed_on_once() {
    let connector = Connector::start().await;
    let mut client = connector.run();
    let with_id = |id: &str, session: &str| format!("id: {id}\ndata: {}\n\n", batch(session));
    let mut connection = connector.accept_ok().await;
    connection.send(with_id("1", "a") + &with_id("2", "b") + &event("no id")).await;
    drop(connection);
    let mut connection = connector.accept_ok().await;
    connection
        .send(with_id("1", "a") + &with_id("2", "b") + &event("no id") + &with_id("3", "c"))
        .await;
    for expected in ["a", "b", "no id", "c"] {
        assert_eq!(client.session().await, expected);
    }
    let snapshot = client.status.get();
    assert_eq!((snapshot.counters.duplicates, snapshot.counters.reconnects), (3, 1));
    client.stops().await;
}

#[tokio::test]
async fn equal_events_on_one_connection_are_different_events_unless_their_id_says_otherwise() {
    let connector = Connector::start().await;
    let mut client = connector.run();
    let mut connection = connector.accept_ok().await;
    connection.send(event("a") + &event("a")).await;
    connection.send(format!("id: 1\ndata: {}\n\n", batch("b")).repeat(2)).await;
    // An id stays in force over later events, but it is not theirs.
    connection.send(event("b") + &event("c")).await;
    for expected in ["a", "a", "b", "b", "c"] {
        assert_eq!(client.session().await, expected);
    }
    assert_eq!(
        client.status_with(|snapshot| snapshot.counters.events == 5).await.counters.duplicates,
        1
    );
    client.stops().await;
}
