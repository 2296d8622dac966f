//! Stopping ends a client at once, whatever it is doing.

use super::connector::{Connector, Running, Waits, event, soon};
use crate::stream::{CancellationToken, State};

#[tokio::test]
async fn while_waiting_for_an_answer() {
    let connector = Connector::start().await;
    let mut client = connector.run();
    let connection = connector.accept().await;
    assert_eq!(client.status.get().state, State::Connecting);
    client.stops().await;
    connection.closed().await;
}

#[tokio::test]
async fn while_idle() {
    let connector = Connector::start().await;
    let mut client = connector.run();
    let connection = connector.accept_ok().await;
    client.status_with(|snapshot| snapshot.state == State::Connected).await;
    client.stops().await;
    connection.closed().await;
}

#[tokio::test]
async fn while_paused() {
    let connector = Connector::start().await;
    let mut client = connector.run_with_room(1);
    let mut connection = connector.accept_ok().await;
    connection.send(event("a") + &event("b")).await;
    client.status_with(|snapshot| snapshot.paused_since.is_some()).await;
    client.stops().await;
    assert_eq!(client.status.get().paused_since, None);
    connection.closed().await;
}

#[tokio::test]
async fn while_waiting_to_connect_again() {
    let connector = Connector::start().await;
    let mut client = Running::start(connector.client(), 64, Waits::Endless);
    drop(connector.accept().await);
    client.status_with(|snapshot| matches!(snapshot.state, State::Waiting { .. })).await;
    client.stops().await;
}

#[tokio::test]
async fn before_it_began() {
    let connector = Connector::start().await;
    let client = connector.client();
    let stop = CancellationToken::new();
    stop.cancel();
    let (sink, _received) = tokio::sync::mpsc::channel(1);
    assert_eq!(soon("the end", client.run(sink, stop)).await, Ok(()));
}

#[tokio::test]
async fn the_state_says_when_the_next_attempt_is_due_and_why_the_last_ended() {
    let mut connector = Connector::start().await;
    connector.config.retry_initial = std::time::Duration::from_secs(20);
    let mut client = Running::start(connector.client(), 64, Waits::Endless);
    let before = crate::clock::Clock::system().now();
    connector.accept().await.send("HTTP/1.1 503 x\r\n\r\n").await;
    let snapshot =
        client.status_with(|snapshot| matches!(snapshot.state, State::Waiting { .. })).await;
    let State::Waiting { retry_at } = snapshot.state else { unreachable!("just matched") };
    assert!((20.0..40.0).contains(&retry_at.since(before).as_secs_f64()));
    assert_eq!(snapshot.last_interruption.unwrap().to_string(), "the connector answered HTTP 503");
    client.stops().await;
}
