//! The connector as a reader with a bare socket sees it.

use std::time::Duration;

use http::StatusCode;
use sidenote::session::payload::{Action, ActionsPayload};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::*;

const DEADLINE: Duration = Duration::from_secs(10);

/// HTTP/1.0 leaves the stream unchunked, so that what is read is what the connector wrote.
struct Reader {
    stream: TcpStream,
    seen: String,
}

impl Reader {
    async fn connect(connector: &Connector, product: &str) -> Self {
        let headers =
            format!("Authorization: Bearer {}\r\nAccept: text/event-stream\r\n", connector.token());
        Self::request(connector, &format!("GET /stream/{product} HTTP/1.0"), &headers).await
    }

    async fn request(connector: &Connector, line: &str, headers: &str) -> Self {
        let address = connector.url().trim_start_matches("http://").to_owned();
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(format!("{line}\r\n{headers}\r\n").as_bytes()).await.unwrap();
        Self { stream, seen: String::new() }
    }

    async fn until(&mut self, text: &str) -> &str {
        let mut buffer = [0; 4096];
        while !self.seen.contains(text) {
            let read = timeout(DEADLINE, self.stream.read(&mut buffer)).await;
            match read
                .unwrap_or_else(|_| panic!("no {text:?} in time, but {:?}", self.seen))
                .unwrap()
            {
                0 => panic!("no {text:?} before the end, but {:?}", self.seen),
                n => self.seen.push_str(std::str::from_utf8(&buffer[..n]).unwrap()),
            }
        }
        &self.seen
    }

    async fn rest(mut self) -> std::io::Result<String> {
        let mut bytes = Vec::new();
        timeout(DEADLINE, self.stream.read_to_end(&mut bytes))
            .await
            .expect("the stream ends in time")?;
        self.seen.push_str(std::str::from_utf8(&bytes).unwrap());
        Ok(self.seen)
    }
}

async fn connector(options: ConnectorOptions) -> Connector {
    Connector::start(options).await.unwrap()
}

fn batch(session: &str, description: &str) -> ActionsPayload {
    ActionsPayload {
        product_id: "p".to_owned(),
        session_id: Some(session.to_owned()),
        actions: vec![Action { description: description.to_owned(), ..Action::default() }],
        ..ActionsPayload::default()
    }
}

async fn emit(connector: &Connector, description: &str) {
    let emitted = timeout(DEADLINE, connector.emit_actions(&batch("s", description))).await;
    assert_eq!(emitted.expect("the queue has room"), Emitted::Queued);
}

#[tokio::test]
async fn a_batch_arrives_as_an_event_with_id_type_and_count() {
    let connector = connector(ConnectorOptions::default()).await;
    emit(&connector, "hello").await;
    let mut reader = Reader::connect(&connector, "p").await;
    let text = reader.until("\n\n").await;
    assert!(text.contains("content-type: text/event-stream\r\n"), "{text}");
    let (_, event) = text.split_once("\r\n\r\n").unwrap();
    let data = event.strip_prefix("id: 1\ndata: ").expect("an id and one data line").trim_end();
    let json: serde_json::Value = serde_json::from_str(data).unwrap();
    assert_eq!(
        (&json["type"], &json["count"], &json["session_id"]),
        (&"actions".into(), &1.into(), &"s".into())
    );
    assert_eq!(json["actions"][0]["description"], "hello");
}

#[tokio::test]
async fn only_a_reader_with_the_token_that_asks_rightly_is_served() {
    let connector = connector(ConnectorOptions::default()).await;
    let token = "Authorization: Bearer connector-token\r\n";
    let accept = "Accept: text/event-stream\r\n";
    for (line, headers, status) in [
        ("GET /stream/p HTTP/1.0", accept.to_owned(), "401"),
        ("GET /stream/p HTTP/1.0", format!("Authorization: Bearer wrong\r\n{accept}"), "401"),
        (
            "GET /stream/p HTTP/1.0",
            format!("Authorization: Basic connector-token\r\n{accept}"),
            "401",
        ),
        ("GET /stream/p HTTP/1.0", token.to_owned(), "406"),
        ("POST /stream/p HTTP/1.0", format!("{token}{accept}"), "405"),
        ("GET /stream/ HTTP/1.0", format!("{token}{accept}"), "404"),
        ("GET /other HTTP/1.0", format!("{token}{accept}"), "404"),
    ] {
        let answer = Reader::request(&connector, line, &headers).await.rest().await.unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.0 {status} ")), "{line} {headers}: {answer}");
    }
    let stats = connector.stats();
    assert_eq!((stats.unauthorised, stats.misdirected, stats.connections), (3, 4, 0));
}

#[tokio::test]
async fn refusals_come_first_and_end() {
    let connector = connector(ConnectorOptions::default()).await;
    connector.refuse(2, StatusCode::SERVICE_UNAVAILABLE, Some(Duration::from_secs(3)));
    for _ in 0..2 {
        let answer = Reader::connect(&connector, "p").await.rest().await.unwrap();
        assert!(
            answer.starts_with("HTTP/1.0 503 ") && answer.contains("retry-after: 3\r\n"),
            "{answer}"
        );
    }
    emit(&connector, "hello").await;
    Reader::connect(&connector, "p").await.until("hello").await;
    assert_eq!(connector.stats().refused, 2);
}

#[tokio::test]
async fn events_for_nobody_are_dropped_and_counted_where_asked_for() {
    let connector =
        connector(ConnectorOptions { when_unread: WhenUnread::Drop, ..Default::default() }).await;
    assert_eq!(connector.emit_actions(&batch("s", "early")).await, Emitted::Dropped);
    let mut reader = Reader::connect(&connector, "p").await;
    assert!(timeout(DEADLINE, connector.connected("p")).await.unwrap());
    emit(&connector, "late").await;
    assert!(!reader.until("late").await.contains("early"));
    assert_eq!(connector.stats().dropped, 1);
}

#[tokio::test]
async fn emitting_waits_for_a_slow_reader() {
    let connector = connector(ConnectorOptions { queued_events: 4, ..Default::default() }).await;
    let reader = Reader::connect(&connector, "p").await;
    let big = Event::huge("p", "s", 1 << 20);
    let mut queued = 0;
    while timeout(Duration::from_millis(200), connector.emit("p", big.clone())).await.is_ok() {
        queued += 1;
        assert!(queued < 200, "200 MiB found room somewhere");
    }
    drop(reader);
}

#[tokio::test]
async fn a_disconnect_comes_after_what_was_emitted() {
    let connector = connector(ConnectorOptions::default()).await;
    assert!(!connector.disconnect("p").await, "nobody is connected");
    let mut reader = Reader::connect(&connector, "p").await;
    emit(&connector, "one").await;
    reader.until("one").await;
    emit(&connector, "two").await;
    assert!(connector.disconnect("p").await);
    let text = reader.rest().await.unwrap();
    assert!(text.contains("two") && text.ends_with("\n\n"), "{text}");
}

#[tokio::test]
async fn hanging_up_after_some_events_leaves_the_others_to_the_next_reader() {
    let connector = connector(ConnectorOptions::default()).await;
    connector.behave(|behaviour| behaviour.hang_up_after = Some(2));
    for text in ["one", "two", "three"] {
        emit(&connector, text).await;
    }
    let first = Reader::connect(&connector, "p").await.rest().await.unwrap();
    assert!(first.contains("one") && first.contains("two") && !first.contains("three"), "{first}");
    let mut second = Reader::connect(&connector, "p").await;
    assert!(!second.until("three").await.contains("two"));
    assert_eq!(connector.stats().connections, 2);
}

#[tokio::test]
async fn an_abort_resets_the_connection() {
    let connector = connector(ConnectorOptions::default()).await;
    let mut reader = Reader::connect(&connector, "p").await;
    emit(&connector, "one").await;
    reader.until("one").await;
    assert!(connector.abort("p"));
    let error = reader.rest().await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn lines_and_pieces_are_cut_as_asked_for() {
    let connector = connector(ConnectorOptions::default()).await;
    connector.behave(|behaviour| {
        behaviour.line_end = LineEnd::CrLf;
        behaviour.write_at_most = Some(1);
    });
    emit(&connector, "grüße").await;
    let headers =
        "Host: x\r\nAuthorization: Bearer connector-token\r\nAccept: text/event-stream\r\n";
    let reader = Reader::request(&connector, "GET /stream/p HTTP/1.1", headers).await;
    assert!(timeout(DEADLINE, connector.connected("p")).await.unwrap());
    assert!(connector.disconnect("p").await);
    // Chunks of one byte each cut through UTF-8, so the text is put together from the raw bytes.
    let mut raw = Vec::new();
    let mut stream = reader.stream;
    timeout(DEADLINE, async {
        while !raw.ends_with(b"0\r\n\r\n") {
            assert_ne!(stream.read_buf(&mut raw).await.unwrap(), 0, "the last chunk comes first");
        }
    })
    .await
    .expect("the stream ends in time");
    let start = raw.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
    let chunks: Vec<&[u8]> = raw[start..raw.len() - 5].chunks(6).collect();
    assert!(
        chunks.iter().all(|chunk| chunk.starts_with(b"1\r\n") && chunk.ends_with(b"\r\n")),
        "every chunk is one byte"
    );
    let bytes: Vec<u8> = chunks.iter().map(|chunk| chunk[3]).collect();
    let text = String::from_utf8(bytes).unwrap();
    assert!(
        text.starts_with("id: 1\r\ndata: {")
            && text.contains("grüße")
            && text.ends_with("}\r\n\r\n"),
        "{text}"
    );
}

#[tokio::test]
async fn silence_keeps_the_connection_and_the_events() {
    let heartbeat = Some(Duration::from_millis(10));
    let connector = connector(ConnectorOptions { heartbeat, ..Default::default() }).await;
    let mut reader = Reader::connect(&connector, "p").await;
    reader.until("event: heartbeat\ndata: {}\n\n").await;
    connector.behave(|behaviour| behaviour.silent = true);
    emit(&connector, "unheard").await;
    // A heartbeat may have been under way; after it nothing comes, for many times its interval.
    let mut quiet = [0; 4096];
    while let Ok(read) = timeout(Duration::from_millis(200), reader.stream.read(&mut quiet)).await {
        let text = String::from_utf8_lossy(&quiet[..read.unwrap()]).into_owned();
        assert!(!text.contains("unheard") && !text.is_empty(), "{text}");
    }
    connector.behave(|behaviour| behaviour.silent = false);
    reader.until("unheard").await;
    assert_eq!(connector.stats().connections, 1);
}

#[tokio::test]
async fn a_second_reader_takes_over() {
    let connector = connector(ConnectorOptions::default()).await;
    let mut first = Reader::connect(&connector, "p").await;
    emit(&connector, "one").await;
    first.until("one").await;
    let mut second = Reader::connect(&connector, "p").await;
    assert!(first.rest().await.is_err(), "the first connection is reset");
    emit(&connector, "two").await;
    assert!(!second.until("two").await.contains("one"));
    assert_eq!(connector.stats().connected, 1);
}

#[tokio::test]
async fn odd_events_are_written_as_they_are() {
    let connector = connector(ConnectorOptions { ids: false, ..Default::default() }).await;
    let odd = [
        Event::data("[1, 2]"),
        Event::data("{nope"),
        Event::data("a\nb"),
        Event::comment("hi"),
        Event::raw("data: half"),
    ];
    for event in odd {
        assert_eq!(connector.emit("p", event).await, Emitted::Queued);
    }
    let mut reader = Reader::connect(&connector, "p").await;
    let text = reader.until("data: half").await;
    assert!(
        text.ends_with(
            "\r\n\r\ndata: [1, 2]\n\ndata: {nope\n\ndata: a\ndata: b\n\n: hi\n\ndata: half"
        ),
        "{text}"
    );
}

#[tokio::test]
async fn a_shut_down_connector_takes_nothing_and_ends_its_streams() {
    let connector = connector(ConnectorOptions { queued_events: 1, ..Default::default() }).await;
    let reader = Reader::connect(&connector, "p").await;
    assert!(timeout(DEADLINE, connector.connected("p")).await.unwrap());
    timeout(DEADLINE, connector.shutdown()).await.expect("shutdown ends in time");
    drop(reader);
    let waits_for_nobody = async {
        loop {
            if connector.emit_actions(&batch("s", "late")).await == Emitted::Closed {
                break;
            }
        }
    };
    timeout(DEADLINE, waits_for_nobody).await.expect("emitting ends once the queue is full");
}
