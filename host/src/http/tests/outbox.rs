//! `GET /outbox`, `POST /outbox/retry` and `POST /outbox/purge`.

use super::*;
use crate::clock::Timestamp;
use crate::engine::Decision;
use crate::engine::ledger::EntryState;

/// What the fake was asked.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Asked {
    List(Filter, Want),
    Preview(Order),
    Decide(Order),
}

/// One dead letter, and a cursor behind it.
pub(super) fn listing() -> Result<Listing, LedgerError> {
    let value = json!({
        "entries": [entry()], "more": true, "beyond": 3, "counted_all": true,
        "next": cursor(), "unreadable": 1,
        "accounts": [{
            "plugin": "bot", "breaker": "open", "until": 1_700_000_001.5, "limited_until": null,
            "failures": 7,
        }],
    });
    Ok(serde_json::from_value(value).unwrap())
}

pub(super) fn decided(done: u64) -> Decided {
    let value = json!({
        "matched": 1, "done": done, "entries": [entry()], "more": false,
        "until": 1_700_000_000.0, "next": null, "unreadable": 0,
    });
    serde_json::from_value(value).unwrap()
}

fn entry() -> Value {
    json!({
        "id": "p/s/1", "product": "p", "session": "s", "lane": "note", "seq": 1, "plugin": "bot", "conversation": "c",
        "kind": "actions", "state": "dead", "attempts": 2, "crashes": null, "waits_until": null,
        "sealed_at": 1_700_000_000.25, "age_seconds": 60.0, "dead_lettered_at": 1_700_000_030.0,
        "bytes": 120, "actions": 2, "reason": "400: no", "idempotency_key": "abc",
    })
}

fn cursor() -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(r#"[2,"p","s",1]"#)
}

const LOCAL: (&str, &str) = ("host", "127.0.0.1:8787");

impl Host {
    /// Asks as a program on this machine does.
    async fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let mut head = format!("{method} {path} HTTP/1.1\r\nconnection: close\r\n");
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        self.raw(format!("{head}content-length: {}\r\n\r\n{body}", body.len())).await
    }

    async fn list(&self, query: &str) -> Answer {
        self.ask("GET", &format!("/outbox{query}"), &[LOCAL], "").await
    }

    async fn order(&self, path: &str, body: &Value) -> Answer {
        self.ask("POST", path, &[LOCAL, JSON], &body.to_string()).await
    }

    fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut *self.backend.asked.lock().unwrap())
    }
}

#[tokio::test]
async fn a_listing_is_given_as_it_is_with_the_accounts() {
    let host = Host::start(Server::default()).await;
    let answer = host.list("").await;
    assert_eq!(answer.status(), 200, "{}", answer.0);
    assert_eq!(answer.json(), serde_json::to_value(listing().unwrap()).unwrap());
    assert_eq!(answer.json()["entries"], json!([entry()]));
    assert_eq!(answer.json()["accounts"][0]["breaker"], "open");
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let want = Want { limit: 100, text: false, after: None };
    assert_eq!(host.asked(), [Asked::List(Filter::default(), want)]);
}

#[tokio::test]
async fn every_part_of_a_query_reaches_the_ledger() {
    let host = Host::start(Server::default()).await;
    let query = format!(
        "?state=dead,due&state=retry_at&product=p%201&session=s&plugin=bot&conversation=c\
         &reason=4%2B4&older_than=2h&newer_than=7d&limit=5&text=false&after={}",
        cursor()
    );
    assert_eq!(host.list(&query).await.status(), 200);
    let Ok([Asked::List(filter, want)]) = <[Asked; 1]>::try_from(host.asked()) else {
        panic!("a list")
    };
    assert_eq!(filter.states, [EntryState::Dead, EntryState::Due, EntryState::RetryAt]);
    assert_eq!(
        filter.fields()[1..].iter().map(|(_, value)| value.as_str()).collect::<Vec<_>>(),
        ["p 1", "s", "bot", "c", "4+4", "7200s", "604800s"]
    );
    assert_eq!((want.limit, want.text, want.after.map(String::from)), (5, false, Some(cursor())));
}

#[tokio::test]
async fn a_query_that_means_nothing_asks_nothing() {
    let host = Host::start(Server::default()).await;
    for (query, code) in [
        ("?stat=dead", "unknown_field"),
        ("?dry_run=true", "unknown_field"),
        ("?state=gone", "invalid_filter"),
        ("?state=", "invalid_filter"),
        ("?product=", "invalid_filter"),
        ("?session=a&session=b", "invalid_filter"),
        ("?older_than=2", "invalid_filter"),
        ("?older_than=%2B2h", "invalid_filter"),
        ("?newer_than=99999d", "invalid_filter"),
        ("?limit=0", "invalid_limit"),
        ("?limit=1001", "invalid_limit"),
        ("?limit=ten", "invalid_limit"),
        ("?text=yes", "invalid_text"),
        ("?after=x", "invalid_cursor"),
    ] {
        let answer = host.list(query).await;
        assert_eq!((answer.status(), answer.code().as_str()), (422, code), "{query}");
    }
    assert_eq!(host.asked(), []);
}

#[tokio::test]
async fn an_order_says_what_it_means_and_a_dry_run_is_only_a_preview() {
    let host = Host::start(Server::default()).await;
    let body =
        json!({"state": ["dead"], "plugin": "bot", "until": 1_700_000_000.5, "after": cursor()});
    for (path, decision) in [("/outbox/retry", Decision::Retry), ("/outbox/purge", Decision::Purge)]
    {
        let answer = host.order(path, &body).await;
        assert_eq!(answer.status(), 200, "{}", answer.0);
        let value = answer.json();
        assert_eq!((&value["matched"], &value["done"]), (&json!(1), &json!(1)));
        assert_eq!((&value["dry_run"], &value["entries"]), (&json!(false), &json!([entry()])));
        let mut preview = body.clone();
        preview["dry_run"] = json!(true);
        let value = host.order(path, &preview).await.json();
        assert_eq!((&value["dry_run"], &value["done"]), (&json!(true), &json!(0)));

        let Ok([Asked::Decide(order), Asked::Preview(previewed)]) =
            <[Asked; 2]>::try_from(host.asked())
        else {
            panic!("an order and a preview")
        };
        assert_eq!(order, previewed);
        assert_eq!(
            (order.decision, order.until),
            (decision, Some(Timestamp(1_700_000_000_500_000)))
        );
        assert_eq!(order.filter.states, [EntryState::Dead]);
        assert_eq!(order.after.map(String::from), Some(cursor()));
    }
    assert_eq!(host.order("/outbox/purge", &json!({"all": true})).await.status(), 200);
    assert!(matches!(&host.asked()[..], [Asked::Decide(order)] if order.filter.is_empty()));
}

#[tokio::test]
async fn an_order_that_does_not_say_what_it_means_changes_nothing() {
    let host = Host::start(Server::default()).await;
    for (body, status, code) in [
        ("{}", 422, "no_filter"),
        (r#"{"dry_run": true}"#, 422, "no_filter"),
        (r#"{"all": false}"#, 422, "no_filter"),
        (r#"{"state": []}"#, 422, "no_filter"),
        (r#"{"all": true, "plugin": "bot"}"#, 422, "all_and_filter"),
        (r#"{"all": "true"}"#, 422, "invalid_body"),
        (r#"{"plugin": "bot", "dry_run": 1}"#, 422, "invalid_body"),
        (r#"{"plugin": 7}"#, 422, "invalid_filter"),
        (r#"{"plugin": ["bot"]}"#, 422, "invalid_filter"),
        (r#"{"state": ["dead", 1]}"#, 422, "invalid_filter"),
        (r#"{"state": ["gone"]}"#, 422, "invalid_filter"),
        (r#"{"session": ""}"#, 422, "invalid_filter"),
        (r#"{"plugin": "bot", "until": "now"}"#, 422, "invalid_until"),
        (r#"{"plugin": "bot", "after": "x"}"#, 422, "invalid_cursor"),
        (r#"{"plugin": "bot", "limit": 5}"#, 422, "unknown_field"),
        (r#"{"plugn": "bot"}"#, 422, "unknown_field"),
    ] {
        for path in ["/outbox/retry", "/outbox/purge"] {
            let answer = host.ask("POST", path, &[LOCAL, JSON], body).await;
            assert_eq!((answer.status(), answer.code().as_str()), (status, code), "{body}");
        }
    }
    assert_eq!(host.ask("GET", "/outbox/purge", &[LOCAL], "").await.status(), 405);
    assert_eq!(host.ask("POST", "/outbox", &[LOCAL], "").await.status(), 405);
    assert_eq!(host.asked(), []);
}

#[tokio::test]
async fn with_a_token_only_its_bearer_sees_and_decides() {
    let server = Server { token: Some(Secret::new("right")), ..Server::default() };
    let host = Host::start(server).await;
    let body = r#"{"all": true}"#;
    for headers in [&[LOCAL, JSON][..], &[LOCAL, JSON, ("authorization", "Bearer wrong")]] {
        for (method, path) in
            [("GET", "/outbox"), ("POST", "/outbox/retry"), ("POST", "/outbox/purge")]
        {
            let answer = host.ask(method, path, headers, body).await;
            assert_eq!((answer.status(), answer.code().as_str()), (401, "unauthorized"), "{path}");
        }
    }
    assert_eq!(host.asked(), []);
    let bearer = [("authorization", "Bearer right"), ("host", "notes.example.com")];
    let answer = host.ask("GET", "/outbox?text=true", &bearer, "").await;
    assert_eq!(answer.status(), 200, "{}", answer.0);
    assert!(matches!(&host.asked()[..], [Asked::List(_, Want { text: true, .. })]));
}

#[tokio::test]
async fn without_a_token_no_text_is_given_and_no_web_page_reads_anything() {
    let host = Host::start(Server::default()).await;
    let answer = host.list("?text=true").await;
    assert_eq!((answer.status(), answer.code().as_str()), (403, "text_needs_token"));
    // A name of a page's own that leads to this machine: the browser sends no origin with a `GET`.
    for name in ["evil.example", "evil.example:8787", "127.0.0.1.evil.example", "10.0.0.1"] {
        let answer = host.ask("GET", "/outbox", &[("host", name)], "").await;
        assert_eq!((answer.status(), answer.code().as_str()), (401, "unauthorized"), "{name}");
    }
    let from_page = [LOCAL, JSON, ("origin", "http://127.0.0.1:8787")];
    assert_eq!(
        host.ask("POST", "/outbox/purge", &from_page, r#"{"all": true}"#).await.status(),
        401
    );
    assert_eq!(host.asked(), []);
    for name in ["127.0.0.1", "localhost:8787", "[::1]:8787", "[::1]"] {
        assert_eq!(host.ask("GET", "/outbox", &[("host", name)], "").await.status(), 200, "{name}");
    }
}
