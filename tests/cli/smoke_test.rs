//! `sidenote smoke-test` against connectors that work and connectors that don't.

use std::fmt::Write as _;
use std::net::TcpListener;

use crate::connector::{Connector, Step};
use crate::sidenote::{Run, sidenote};

const STREAM: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";

fn send(text: impl Into<String>) -> Step {
    Step::Send(text.into().into_bytes())
}

fn event(json: &str) -> Step {
    send(format!("data: {json}\n\n"))
}

fn smoke_test(address: &str, seconds: &str) -> Run {
    let url = format!("{address}/stream/acme");
    sidenote(
        &["smoke-test", "--url", &url, "--seconds", seconds],
        &[("SIDENOTE_STREAM_TOKEN", "hunter2")],
    )
}

#[test]
fn a_good_stream_passes_all_three_steps() {
    let steps = vec![
        send(STREAM),
        send(": hello\n\nevent: heartbeat\ndata: {}\n\n"),
        event(r#"{"type": "something_else", "session_id": ""}"#),
        event("not json"),
        event(r#"{"type": "actions", "product_id": "acme", "session_id": "s1", "actions": []}"#),
        Step::Hold,
    ];
    let connector = Connector::start(steps);
    let run = smoke_test(&format!("http://{}", connector.address), "20");
    insta::assert_snapshot!("smoke_test_passes", run.shown());
    let request = connector.request().to_lowercase();
    for line in [
        "get /stream/acme http/1.1",
        "accept: text/event-stream",
        "authorization: bearer hunter2",
        "cache-control: no-store",
    ] {
        assert!(request.lines().any(|found| found == line), "no `{line}` in {request}");
    }
}

#[test]
fn a_summary_is_a_payload_too() {
    let connector = Connector::start(vec![
        send(STREAM),
        event(r#"{"type": "summary", "session_id": "s1"}"#),
        Step::Hold,
    ]);
    assert_eq!(smoke_test(&format!("http://{}", connector.address), "20").code, 0);
}

#[test]
fn what_the_host_would_read_passes() {
    for json in [
        r#"{"type": "actions", "session_id": 42}"#,
        r#"{"type": "actions", "session_id": "s1", "actions": [{"description": "\ud83d"}]}"#,
    ] {
        let connector = Connector::start(vec![send(STREAM), event(json), Step::Hold]);
        let run = smoke_test(&format!("http://{}", connector.address), "20");
        assert_eq!(run.code, 0, "{json}: {}", run.stdout);
    }
}

#[test]
fn every_failure_gets_its_advice() {
    let status = |line: &str| vec![send(format!("HTTP/1.1 {line}\r\ncontent-length: 0\r\n\r\n"))];
    let payload = |json: &str| vec![send(STREAM), event(json), Step::Hold];
    let cases: Vec<(&str, Vec<Step>, &str)> = vec![
        ("401", status("401 Unauthorized"), "20"),
        ("403", status("403 Forbidden"), "20"),
        ("404", status("404 Not Found"), "20"),
        ("redirect", status("302 Found\r\nlocation: https://evil.example/"), "20"),
        ("429", status("429 Too Many Requests"), "20"),
        ("503", status("503 Service Unavailable"), "20"),
        ("204", status("204 No Content"), "20"),
        (
            "a page",
            vec![send(
                "HTTP/1.1 200 OK\r\ncontent-type: text/html; charset=utf-8\r\ncontent-length: 2\r\n\r\nhi",
            )],
            "20",
        ),
        ("no content type", status("200 OK"), "20"),
        ("no answer", vec![Step::Hold], "3"),
        ("not HTTP", vec![send("SSH-2.0-OpenSSH_9.6\r\n")], "20"),
        ("nothing comes", vec![send(STREAM), Step::Hold], "3"),
        (
            "only heartbeats",
            vec![send(STREAM), send("event: heartbeat\ndata: {}\n\n".repeat(3)), Step::Hold],
            "3",
        ),
        ("closed early", vec![send(STREAM), send("event: heartbeat\ndata: {}\n\n")], "20"),
        (
            "cut off",
            vec![send(
                "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\nff\r\ndata",
            )],
            "20",
        ),
        (
            "flood",
            vec![send(STREAM), send(format!("data: {}", "x".repeat(3 << 20))), Step::Hold],
            "20",
        ),
        (
            "no event among what comes",
            vec![
                send(STREAM),
                event("not json"),
                event("[1, 2]"),
                event(r#"{"type": "page_view", "session_id": "s1"}"#),
                event(r#"{"type": "page_view", "session_id": "s2"}"#),
                event(r#"{"session_id": "s1"}"#),
                event(r#"{"type": 7}"#),
                send("event: heartbeat\ndata: {}\n\n"),
                Step::Hold,
            ],
            "3",
        ),
        ("no event, then closed", vec![send(STREAM), event(r#"{"type": "ev\u001b[2Jil"}"#)], "20"),
        ("no session_id", payload(r#"{"type": "actions", "actions": []}"#), "20"),
        ("null session_id", payload(r#"{"type": "actions", "session_id": null}"#), "20"),
        ("empty session_id", payload(r#"{"type": "actions", "session_id": ""}"#), "20"),
        ("session_id as a list", payload(r#"{"type": "actions", "session_id": [42]}"#), "20"),
    ];
    let mut shown = String::new();
    std::thread::scope(|scope| {
        let runs: Vec<_> = cases
            .into_iter()
            .map(|(name, steps, seconds)| {
                let connector = Connector::start(steps);
                (
                    name,
                    scope.spawn(move || {
                        smoke_test(&format!("http://{}", connector.address), seconds)
                    }),
                )
            })
            .collect();
        for (name, run) in runs {
            record(&mut shown, name, &run.join().unwrap());
        }
    });
    insta::assert_snapshot!("smoke_test_failures", shown);
}

#[test]
fn a_host_that_can_not_be_reached_gets_its_advice() {
    let mut shown = String::new();
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = nobody.local_addr().unwrap();
    drop(nobody);
    record(&mut shown, "nobody listens", &smoke_test(&format!("http://{address}"), "20"));

    let connector = Connector::start(vec![send("HTTP/1.1 400 Bad Request\r\n\r\n")]);
    record(
        &mut shown,
        "https to a plain port",
        &smoke_test(&format!("https://{}", connector.address), "20"),
    );
    connector.request();
    insta::assert_snapshot!("smoke_test_unreachable", shown);
}

#[test]
fn tokens_that_are_missing_or_unusable_get_their_advice() {
    let mut shown = String::new();
    let connector =
        Connector::start(vec![send("HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n")]);
    let url = format!("http://{}/stream/acme", connector.address);
    record(&mut shown, "no token", &sidenote(&["smoke-test", "--url", &url], &[]));
    assert!(!connector.request().to_lowercase().contains("authorization"));
    let unusable =
        sidenote(&["smoke-test", "--url", &url], &[("SIDENOTE_STREAM_TOKEN", "hunter2\n")]);
    record(&mut shown, "a line break in the token", &unusable);
    insta::assert_snapshot!("smoke_test_tokens", shown);
}

fn record(shown: &mut String, name: &str, run: &Run) {
    assert_eq!(run.code, 1, "{name}: {}", run.stdout);
    let text = run.shown();
    assert!(!text.contains("hunter2"), "{name} shows the token: {text}");
    assert_eq!(run.stdout.lines().count(), 3, "{name}: {text}");
    writeln!(shown, "# {name}\n{text}").expect("text can always be added to a string");
}
