//! `POST /erase`, and what stays of it.

use super::*;
use crate::config::Secret;
use crate::engine::erase::kept::{KeptCount, KeptNote, Reason};
use crate::engine::erase::{Erased, Erasure, Subject};
use crate::outbox::redaction::{ErasureId, Why};

pub(super) type KeptAsked = (KeptFilter, usize, Option<KeptCursor>);

pub(super) fn erased(dry_run: bool) -> Erased {
    let redactions = if dry_run { 0 } else { 4 };
    let kept = vec![KeptCount { plugin: "bot".into(), reason: Reason::NoRedactor, notes: 5 }];
    let erasure = (!dry_run).then_some(ErasureId(0xabc));
    Erased {
        sessions: 1,
        actions: 2,
        notes: 3,
        sink_deliveries: 4,
        timers: 1,
        redactions,
        left: 5,
        kept,
        erasure,
    }
}

pub(super) fn kept() -> KeptList {
    KeptList {
        notes: vec![KeptNote {
            plugin: "bot".into(),
            conversation: ConversationId::new("c").unwrap(),
            note_id: Some("n".to_owned()),
            product: ProductId::new("p").unwrap(),
            reason: Reason::NoRedactor,
            why: Why::Erased,
            at: 1.5,
            erasure: Some(ErasureId(0xabc)),
            notes: 1,
        }],
        counts: erased(false).kept,
        waiting: 3,
        counted_all: true,
        next: None,
    }
}

impl Host {
    async fn erase(&self, body: &Value) -> Answer {
        self.send("POST", "/erase", &[JSON], &body.to_string()).await
    }
}

#[tokio::test]
async fn an_erasure_is_carried_out_and_counted() {
    let host = Host::start(Server::default()).await;
    let answer = host.erase(&json!({"product_id": "p", "user_id": "u"})).await;
    assert_eq!(answer.status(), 200);
    let expected = json!({
        "sessions": 1, "actions": 2, "notes": 3, "sink_deliveries": 4, "timers": 1, "redactions": 4, "left": 5,
        "dry_run": false,
        "kept": [{"plugin": "bot", "reason": "no_redactor", "notes": 5}], "erasure": "0000000000000abc",
    });
    assert_eq!(answer.json(), expected);
    let body = json!({"product_id": "p", "email": "a@b", "keep_notes": true, "dry_run": true});
    assert_eq!(host.erase(&body).await.json()["dry_run"], true);
    host.erase(&json!({"product_id": "p", "session_id": "s"})).await;
    host.erase(&json!({"product_id": 7, "user_id": 4711})).await;

    let product = ProductId::new("p").unwrap();
    let of = |subject, keep_notes| Erasure { product: product.clone(), subject, keep_notes };
    let session = Subject::Session(SessionId::new("s").unwrap());
    let expected = [
        (of(Subject::User("u".into()), false), false),
        (of(Subject::Email("a@b".into()), true), true),
        (of(session, false), false),
        (
            Erasure {
                product: ProductId::new("7").unwrap(),
                ..of(Subject::User("4711".into()), false)
            },
            false,
        ),
    ];
    assert_eq!(*host.backend.erasures.lock().unwrap(), expected);
}

#[tokio::test]
async fn an_erasure_that_does_not_say_whom_changes_nothing() {
    let host = Host::start(Server::default()).await;
    for (body, code) in [
        (json!({"product_id": "p"}), "subject"),
        (json!({"product_id": "p", "user_id": "u", "email": "e"}), "subject"),
        (json!({"product_id": "p", "user_id": ""}), "invalid_id"),
        (json!({"product_id": "p", "user_id": 7.5}), "invalid_id"),
        (json!({"product_id": "p", "session_id": null}), "invalid_id"),
        (json!({"user_id": "u"}), "missing_field"),
        (json!({"product_id": "p", "user_id": "u", "keep_notes": "yes"}), "invalid_body"),
        (json!({"product_id": "p", "user_id": "u", "all": true}), "unknown_field"),
    ] {
        let answer = host.erase(&body).await;
        assert_eq!((answer.status(), answer.code()), (422, code.to_owned()), "{body}");
    }
    assert_eq!(host.send("PUT", "/erase", &[], "").await.status(), 405);
    assert!(host.backend.erasures.lock().unwrap().is_empty());
}

#[tokio::test]
async fn an_erasure_needs_the_token() {
    let token = Some(Secret::new("token"));
    let host = Host::start(Server { token, ..Server::default() }).await;
    let body = json!({"product_id": "p", "user_id": "u"}).to_string();
    assert_eq!(host.send("POST", "/erase", &[JSON], &body).await.status(), 401);
    let bearer = ("authorization", "Bearer token");
    assert_eq!(host.send("POST", "/erase", &[JSON, bearer], &body).await.status(), 200);
    assert_eq!(host.backend.erasures.lock().unwrap().len(), 1);
}

/// A program on this machine.
const HERE: &str = "host: 127.0.0.1";

impl Host {
    async fn kept(&self, query: &str) -> Answer {
        self.raw(format!("GET /erase{query} HTTP/1.1\r\n{HERE}\r\nconnection: close\r\n\r\n")).await
    }
}

#[tokio::test]
async fn what_stays_is_listed() {
    let host = Host::start(Server::default()).await;
    let answer = host.kept("").await;
    assert_eq!(answer.status(), 200);
    let expected = json!({
        "notes": [{
            "plugin": "bot", "conversation": "c", "note_id": "n", "product": "p", "reason": "no_redactor",
            "why": "erased", "at": 1.5, "erasure": "0000000000000abc", "notes": 1,
        }],
        "counts": [{"plugin": "bot", "reason": "no_redactor", "notes": 5}],
        "waiting": 3, "counted_all": true, "next": null,
    });
    assert_eq!(answer.json(), expected);
    host.kept("?erasure=0000000000000abc&plugin=bot&product=p&replaced=true&limit=7").await;
    let filter = KeptFilter {
        erasure: Some(ErasureId(0xabc)),
        plugin: Some("bot".into()),
        product: Some(ProductId::new("p").unwrap()),
        replaced: true,
        within: None,
    };
    let expected = [(KeptFilter::default(), 100, None), (filter, 7, None)];
    assert_eq!(*host.backend.kept.lock().unwrap(), expected);
}

#[tokio::test]
async fn what_stays_is_listed_for_who_may_ask_and_asks_clearly() {
    let host = Host::start(Server::default()).await;
    for (query, code) in [
        ("?erasure=ann", "invalid_id"),
        ("?product=", "invalid_id"),
        ("?replaced=yes", "invalid_filter"),
        ("?limit=0", "invalid_limit"),
        ("?limit=1001", "invalid_limit"),
        ("?after=x", "invalid_cursor"),
        ("?user_id=ann", "unknown_field"),
    ] {
        let answer = host.kept(query).await;
        assert_eq!((answer.status(), answer.code().as_str()), (422, code), "{query}");
    }
    let token = Some(Secret::new("token"));
    let host = Host::start(Server { token, ..Server::default() }).await;
    assert_eq!(host.kept("").await.status(), 401);
    let bearer = ("authorization", "Bearer token");
    assert_eq!(host.send("GET", "/erase", &[bearer], "").await.status(), 200);
}
