//! A client that asks on: refusals are asked about again, slowly, and nothing of them is read.

use std::time::Duration;

use super::connector::{Connector, OK, Running, Waits, event};
use crate::stream::{Interruption, State, StreamError};

fn asking_on(connector: &Connector, waits: Waits) -> Running {
    Running::start(connector.client().that_asks_on(), 64, waits)
}

/// An answer with further header lines, and an event that isn't to be read.
fn answer(status: &str, headers: &str) -> String {
    format!("HTTP/1.1 {status}\r\n{headers}\r\n{}", event("from the error page"))
}

#[tokio::test]
async fn a_stream_that_worked_and_was_refused_goes_on_when_the_refusal_is_lifted() {
    for status in [401, 403, 404, 400, 405, 407, 410, 451] {
        let connector = Connector::start().await;
        let mut client = asking_on(&connector, Waits::Skipped);
        let mut connection = connector.accept_ok().await;
        connection.send(event("before")).await;
        drop(connection);
        assert_eq!(client.session().await, "before");
        assert_eq!(client.wait().await.base, Duration::from_secs(1), "it was only closed");
        for expected in [5, 10, 20] {
            let page = answer(&format!("{status} no"), "content-type: text/event-stream\r\n");
            connector.accept().await.send(page).await;
            let wait = client.wait().await;
            assert_eq!(wait.base, Duration::from_secs(expected), "HTTP {status}");
        }
        let last = client.status.get().last_interruption.expect("one");
        assert!(last.is_refusal() && last.to_string().contains(&status.to_string()), "{last}");
        connector.accept_ok().await.send(event("after")).await;
        assert_eq!(client.session().await, "after", "HTTP {status}");
        client.stops().await;
    }
}

#[tokio::test]
async fn a_refusal_is_asked_about_ever_more_seldom_up_to_a_longest_pause_and_starts_over_when_it_works()
 {
    let connector = Connector::start().await;
    let mut client = asking_on(&connector, Waits::Skipped);
    let expected = [5, 10, 20, 40, 80, 160, 300, 300];
    for expected in expected {
        connector.accept().await.send(answer("401 no", "")).await;
        let wait = client.wait().await;
        assert_eq!(wait.base, Duration::from_secs(expected));
        assert_eq!(wait.jitter_max, wait.base / 10);
    }
    connector.accept_ok().await.send(event("a")).await;
    assert_eq!(client.session().await, "a");
    client.wait().await;
    connector.accept().await.send(answer("401 no", "")).await;
    assert_eq!(client.wait().await.base, Duration::from_secs(5));
    client.stops().await;
}

#[tokio::test]
async fn what_passes_is_asked_about_as_soon_as_before() {
    for status in [408, 425, 429, 500, 503, 529] {
        let connector = Connector::start().await;
        let mut client = asking_on(&connector, Waits::Skipped);
        let page = answer(&format!("{status} no"), "retry-after: 0\r\n");
        connector.accept().await.send(page).await;
        assert_eq!(client.wait().await.base, Duration::from_secs(1), "HTTP {status}");
        client.stops().await;
    }
}

#[tokio::test]
async fn a_person_has_a_refused_or_ended_stream_asked_at_once() {
    let connector = Connector::start().await;
    let mut client = asking_on(&connector, Waits::Endless);
    assert!(!client.status.ask_at_once(), "it connects already");
    connector.accept().await.send(answer("404 no", "")).await;
    let waiting = client.status_with(|now| matches!(now.state, State::Waiting { .. })).await;
    assert_eq!(waiting.last_interruption, Some(Interruption::Refused { status: 404 }));
    assert!(client.status.ask_at_once());
    connector.accept().await.send("HTTP/1.1 204 No Content\r\n\r\n").await;
    let ended = client.status_with(|now| matches!(now.state, State::Stopped { .. })).await;
    let reason = Some(StreamError::Ended { stream: "shop".into() });
    assert_eq!(ended.state, State::Stopped { reason });
    assert!(client.status.ask_at_once());
    let mut connection = connector.accept_ok().await;
    connection.send(event("after")).await;
    assert_eq!(client.session().await, "after");
    assert!(!client.status.ask_at_once(), "it is connected");
    drop(connection);
    client.status_with(|now| matches!(now.state, State::Waiting { .. })).await;
    client.stops().await;
}

#[tokio::test]
async fn an_encoded_stream_is_refused_in_words_and_a_plain_one_is_asked_for() {
    for encoding in ["gzip", "deflate", "br", "zstd", "identity, gzip", "x-something-new"] {
        let connector = Connector::start().await;
        let mut client = asking_on(&connector, Waits::Skipped);
        let mut connection = connector.accept().await;
        assert_eq!(connection.header("accept-encoding"), Some("identity"));
        let headers =
            format!("content-type: text/event-stream\r\ncontent-encoding: {encoding}\r\n");
        connection.send(answer("200 OK", &headers)).await;
        let why = client.interruption().await;
        let name = encoding.rsplit(' ').next().unwrap();
        assert_eq!(why, Interruption::Encoded { encoding: name.to_owned() });
        assert!(why.is_refusal() && why.to_string().contains(name), "{why}");
        drop(connection);
        for (n, plain) in
            ["", "content-encoding: identity\r\n", "content-encoding:\r\n"].into_iter().enumerate()
        {
            let mut connection = connector.accept().await;
            connection.send(OK.replace("\r\n\r\n", &format!("\r\n{plain}\r\n"))).await;
            connection.send(event(&n.to_string())).await;
            assert_eq!(client.session().await, n.to_string(), "{plain:?}");
        }
        client.stops().await;
    }
}

#[tokio::test]
async fn of_the_successes_only_200_is_read_as_a_stream() {
    for status in [201, 202, 203, 205, 206, 226, 299] {
        let connector = Connector::start().await;
        let mut client = asking_on(&connector, Waits::Skipped);
        let page = answer(&format!("{status} odd"), "content-type: text/event-stream\r\n");
        connector.accept().await.send(page).await;
        let why = client.interruption().await;
        assert_eq!(why, Interruption::Answered { status, retry_after: None });
        connector.accept_ok().await.send(event("yes")).await;
        assert_eq!(client.session().await, "yes", "HTTP {status}");
        client.stops().await;
    }
}

#[tokio::test]
async fn a_redirect_is_named_with_where_it_points_and_nothing_more() {
    for (status, location, host) in [
        (301, "https://other.example/stream?token=hunter2", Some("https://other.example")),
        (302, "//other.example:8443/x", Some("http://other.example:8443")),
        (307, "/elsewhere?key=hunter2", None),
        (308, "http://[::1", None),
    ] {
        let connector = Connector::start().await;
        let mut client = asking_on(&connector, Waits::Skipped);
        let page = answer(&format!("{status} away"), &format!("location: {location}\r\n"));
        connector.accept().await.send(page).await;
        let why = client.interruption().await;
        let expected = Interruption::Redirected { status, host: host.map(str::to_owned) };
        assert_eq!(why, expected, "{location}");
        let said = why.to_string();
        assert!(said.contains(&status.to_string()) && !said.contains("hunter2"), "{said}");
        assert!(why.is_refusal());
        let shown = why.without_addresses().to_string();
        assert!(!shown.contains("example"), "{shown}");
        client.stops().await;
    }
}
