//! A full receiver pauses the reading and loses nothing.

use super::connector::{Connector, event, soon};
use crate::stream::StreamError;

#[tokio::test]
async fn nothing_is_lost_while_the_receiver_is_full_and_the_connector_feels_it() {
    let connector = Connector::start().await;
    let mut client = connector.run_with_room(1);
    let mut connection = connector.accept_ok().await;
    connection.send(event("0") + &event("1")).await;
    let paused = client.status_with(|snapshot| snapshot.paused_since.is_some()).await;
    assert_eq!((paused.counters.events, paused.counters.pauses), (1, 1));

    // Far more than the sockets hold: sending it can't end while nobody reads. That nothing happens can
    // only be watched for a while.
    let count = 200;
    let padding = "x".repeat(200_000);
    let events: Vec<_> = (2..count).map(|n| event(&format!("{n} {padding}"))).collect();
    let sending = async {
        for event in events {
            connection.send(event).await;
        }
    };
    tokio::pin!(sending);
    tokio::select! {
        () = &mut sending => panic!("the reading was not paused"),
        snapshot = client.status.wait_for(|snapshot| snapshot.counters.events > 1) => panic!("read on while full: {snapshot:?}"),
        () = tokio::time::sleep(std::time::Duration::from_millis(300)) => {}
    }
    let receiving = async {
        for n in 0..count {
            let session = client.session().await;
            assert_eq!(session.split(' ').next(), Some(&*n.to_string()));
        }
        client
    };
    let ((), mut client) = soon("all of it", async { tokio::join!(sending, receiving) }).await;
    let snapshot = client.status_with(|snapshot| snapshot.counters.events == count).await;
    assert_eq!((snapshot.paused_since, snapshot.counters.reconnects), (None, 0));
    client.stops().await;
}

#[tokio::test]
async fn a_receiver_that_is_gone_ends_the_stream() {
    let connector = Connector::start().await;
    let mut client = connector.run();
    let mut connection = connector.accept_ok().await;
    client.received.close();
    connection.send(event("a")).await;
    assert_eq!(client.ended().await, Err(StreamError::ReceiverGone { stream: "shop".into() }));
}
