//! One client takes over from another.

use std::time::Duration;

use super::connector::{Connector, Running, Waits, event, soon};
use crate::clock::Clock;
use crate::stream::{Client, State};

const PATIENCE: Duration = Duration::from_secs(5);

#[tokio::test]
async fn the_next_client_resumes_where_the_one_before_ended_and_drops_what_comes_again() {
    let connector = Connector::start().await;
    let (client, mut succession) = connector.client().with_succession();
    let mut first = Running::start(client, 64, Waits::Skipped);
    let mut connection = connector.accept_ok().await;
    connection.send(format!("id: 7\n{}", event("a"))).await;
    assert_eq!(first.session().await, "a");
    let position = succession.wind_down(PATIENCE).await.expect("it ends");
    assert_eq!(first.ended().await, Ok(()));
    connection.closed().await;

    let client = connector.client().succeeding(position);
    let mut second = Running::start(client, 64, Waits::Skipped);
    let mut connection = connector.accept_ok().await;
    assert_eq!(connection.header("last-event-id"), Some("7"));
    connection.send(format!("id: 7\n{}{}", event("a"), event("b"))).await;
    assert_eq!(second.session().await, "b");
    assert_eq!(second.status.get().counters.duplicates, 1);
    second.stops().await;
}

#[tokio::test]
async fn at_another_address_the_last_id_means_nothing_and_repeats_are_known_all_the_same() {
    let (connector, other) = (Connector::start().await, Connector::start().await);
    let (client, mut succession) = connector.client().with_succession();
    let mut first = Running::start(client, 64, Waits::Skipped);
    let mut connection = connector.accept_ok().await;
    connection.send(format!("id: 7\n{}{}", event("a"), event("b"))).await;
    assert_eq!((first.session().await, first.session().await), ("a".into(), "b".into()));
    let position = succession.wind_down(PATIENCE).await.expect("it ends");
    let mut second = Running::start(other.client().succeeding(position), 64, Waits::Skipped);
    let mut connection = other.accept_ok().await;
    assert_eq!(connection.header("last-event-id"), None);
    connection.send(event("b") + &event("c")).await;
    assert_eq!(second.session().await, "c");
    second.stops().await;
}

#[tokio::test]
async fn what_was_read_is_handed_on_before_the_end() {
    let connector = Connector::start().await;
    let (client, mut succession) = connector.client().with_succession();
    let mut running = Running::start(client, 1, Waits::Skipped);
    let mut connection = connector.accept_ok().await;
    connection.send(["a", "b", "c", "d"].map(event).concat()).await;
    running.status_with(|snapshot| snapshot.paused_since.is_some()).await;
    assert!(succession.wind_down(Duration::from_millis(100)).await.is_none(), "nobody takes it");
    for session in ["a", "b", "c", "d"] {
        assert_eq!(running.session().await, session);
    }
    assert!(succession.ended(PATIENCE).await.is_some());
    assert_eq!(running.ended().await, Ok(()));
}

#[tokio::test]
async fn a_client_ends_whatever_it_waits_for() {
    let connector = Connector::start().await;
    let (client, mut unanswered) = connector.client().with_succession();
    let mut running = Running::start(client, 1, Waits::Endless);
    let connection = connector.accept().await;
    assert!(unanswered.wind_down(PATIENCE).await.is_some());
    assert_eq!(running.ended().await, Ok(()));
    drop(connection);

    let (client, mut waiting) = connector.client().with_succession();
    let mut running = Running::start(client, 1, Waits::Endless);
    drop(connector.accept().await);
    running.status_with(|snapshot| matches!(snapshot.state, State::Waiting { .. })).await;
    assert!(waiting.wind_down(PATIENCE).await.is_some());
    assert_eq!(soon("the end", running.ended()).await, Ok(()));

    let (client, mut never) =
        Client::new("shop", connector.config.clone(), Clock::system()).unwrap().with_succession();
    drop(client);
    assert!(never.wind_down(PATIENCE).await.is_none());
}
