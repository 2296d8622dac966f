//! What is made of an answer before anything of it is read.

use super::connector::{Connector, event};
use crate::clock::Clock;
use crate::config::Secret;
use crate::stream::{Client, Interruption, State, StreamError};

#[tokio::test]
async fn the_request_carries_the_trimmed_token_and_asks_for_an_event_stream() {
    let mut connector = Connector::start().await;
    connector.config.token = Some(Secret::new("  uk_live  "));
    let mut client = connector.run();
    let connection = connector.accept_ok().await;
    assert!(connection.request.starts_with("GET /stream/p HTTP/1.1\r\n"), "{}", connection.request);
    assert_eq!(connection.header("authorization"), Some("Bearer uk_live"));
    assert_eq!(connection.header("accept"), Some("text/event-stream"));
    assert_eq!(connection.header("cache-control"), Some("no-store"));
    assert_eq!(connection.header("last-event-id"), None);
    client.stops().await;
}

#[tokio::test]
async fn without_a_token_no_authorization_is_sent() {
    for token in [None, Some(Secret::new("  "))] {
        let mut connector = Connector::start().await;
        connector.config.token = token;
        let mut client = connector.run();
        assert_eq!(connector.accept_ok().await.header("authorization"), None);
        client.stops().await;
    }
}

#[tokio::test]
async fn a_refusal_ends_the_stream_with_an_error_that_says_what_to_do() {
    let cases = [
        (401, "check `token`"),
        (403, "may not read this product"),
        (404, "check the product in `url`"),
    ];
    for (status, advice) in cases {
        let connector = Connector::start().await;
        let mut client = connector.run();
        let mut connection = connector.accept().await;
        let head = format!("HTTP/1.1 {status} x\r\ncontent-type: text/event-stream\r\n\r\n");
        connection.send(format!("{head}{}", event("from the error page"))).await;
        let error = client.ended().await.unwrap_err();
        assert_eq!(error, StreamError::Refused { stream: "shop".into(), status });
        assert!(error.to_string().contains(advice), "{error}");
        assert_eq!(client.status.get().state, State::Stopped { reason: Some(error) });
        assert_eq!(client.received.recv().await, None, "nothing of an error page is an event");
        assert_eq!(client.steps.recv().await, None, "it never counted as connected");
    }
}

#[tokio::test]
async fn no_content_ends_the_stream_for_good() {
    let connector = Connector::start().await;
    let mut client = connector.run();
    connector.accept().await.send("HTTP/1.1 204 No Content\r\n\r\n").await;
    assert_eq!(client.ended().await, Err(StreamError::Ended { stream: "shop".into() }));
}

#[tokio::test]
async fn an_answer_that_is_no_event_stream_is_not_read() {
    let cases =
        [("", "no content type"), ("content-type: text/html; charset=utf-8\r\n", "text/html")];
    for (header, expected) in cases {
        let connector = Connector::start().await;
        let mut client = connector.run();
        let mut connection = connector.accept().await;
        connection.send(format!("HTTP/1.1 200 OK\r\n{header}\r\n{}", event("no"))).await;
        assert_eq!(
            client.interruption().await,
            Interruption::NotAStream { content_type: expected.into() }
        );
        connector.accept_ok().await.send(event("yes")).await;
        assert_eq!(client.session().await, "yes");
        client.stops().await;
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed_so_that_the_token_stays() {
    let connector = Connector::start().await;
    let elsewhere = Connector::start().await;
    let mut client = connector.run();
    let head = format!("HTTP/1.1 307 x\r\nlocation: {}\r\n\r\n", elsewhere.config.url);
    connector.accept().await.send(head).await;
    let why = client.interruption().await;
    assert!(matches!(why, Interruption::Redirected { status: 307, host: Some(_) }), "{why:?}");
    tokio::select! {
        biased;
        _ = elsewhere.accept() => panic!("the redirect was followed"),
        _ = connector.accept_ok() => {}
    }
    client.stops().await;
}

#[tokio::test]
async fn an_address_or_token_that_can_not_be_used_is_an_error_before_anything_is_sent() {
    let connector = Connector::start().await;
    let with = |url: &str, token: &str| {
        let mut config = connector.config.clone();
        (config.url, config.token) = (url.into(), Some(Secret::new(token)));
        Client::new("shop", config, Clock::system()).err()
    };
    for url in ["", "nonsense", "ftp://h/x", "http://user:pass@h/x"] {
        let error = with(url, "t").expect("the address is refused");
        assert!(matches!(error, StreamError::InvalidUrl { .. }), "{error}");
        assert!(!error.to_string().contains("pass@"), "{error}");
    }
    let error = with("http://h/x", "secret\ntoken").expect("the token is refused");
    assert_eq!(error, StreamError::InvalidToken { stream: "shop".into() });
    assert!(!error.to_string().contains("secret"), "{error}");
}
