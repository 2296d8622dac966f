//! The platform as a plugin and a host see it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use sidenote::clock::Clock;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::*;
use crate::post::{Answer, PostError, post_json};
use crate::serve::{self, Server};
use crate::signature;

const DEADLINE: Duration = Duration::from_secs(10);

fn note(conversation: &str, seq: u64, text: &str) -> Value {
    json!({
        "product_id": "p", "session_id": "s", "conversation_id": conversation, "user_id": "u", "email": null,
        "kind": "actions", "seq": seq, "body": text, "idempotency_key": format!("k-{seq}"), "attempt": 1,
        "actions": [{
            "description": text, "title": "t", "type": "click", "index": 0, "canonical_url": "/", "raw_url": "/",
            "timestamp_start": 1.5, "timestamp_end": null
        }],
    })
}

fn now() -> String {
    (Clock::system().now().as_millis() / 1000).to_string()
}

async fn send(platform: &Platform, note: &Value) -> Result<Answer, PostError> {
    let (body, timestamp) = (note.to_string(), now());
    let signature = signature::sign("signing-secret", &timestamp, body.as_bytes());
    let key = note["idempotency_key"].as_str().unwrap_or_default().to_owned();
    let headers = [
        (signature::TIMESTAMP, &*timestamp),
        (signature::SIGNATURE, &*signature),
        (signature::DELIVERY, &*key),
    ];
    post_json(&platform.notes_url(), &headers, body.into()).await
}

async fn platform(options: PlatformOptions) -> (Platform, String) {
    let platform = Platform::start(options).await.unwrap();
    let conversation = platform.create(Opening::session("p", "s")).unwrap();
    (platform, conversation)
}

fn id(answer: &Answer) -> String {
    serde_json::from_slice::<Value>(&answer.body).unwrap()["id"].as_str().expect("an id").to_owned()
}

#[tokio::test]
async fn notes_are_taken_in_order_and_judged() {
    let (platform, conversation) = platform(PlatformOptions::default()).await;
    let mut live = platform.subscribe();
    for (seq, text) in [(1, "[1] a-s-0\n[2] a-s-1"), (2, "[1] a-s-2")] {
        assert_eq!(send(&platform, &note(&conversation, seq, text)).await.unwrap().status, 201);
        assert!(
            matches!(live.recv().await.unwrap(), Live::Note(note) if note.seq == seq && note.body == text)
        );
    }
    let bodies: Vec<String> =
        platform.notes(&conversation).iter().map(|note| note.body.clone()).collect();
    assert_eq!(bodies, ["[1] a-s-0\n[2] a-s-1", "[1] a-s-2"]);
    let totals = platform.tally(|tally| tally.totals());
    assert_eq!((totals.arrived, totals.doubled, totals.out_of_order), (3, 0, 0));
}

#[tokio::test]
async fn what_is_wrong_is_refused_and_leaves_nothing() {
    let (platform, conversation) = platform(PlatformOptions::default()).await;
    let good = note(&conversation, 1, "a-s-0");
    let with = |field: &str, value: Value| {
        let mut bad = good.clone();
        bad[field] = value;
        bad
    };
    for (bad, status) in [
        (with("conversation_id", "c-99".into()), 404),
        (with("conversation_id", "".into()), 400),
        (with("session_id", Value::Null), 400),
        (with("body", "".into()), 400),
        (with("kind", "gossip".into()), 400),
        (with("attempt", 0.into()), 400),
        (with("seq", 0.into()), 400),
        (with("actions", "none".into()), 400),
        (with("idempotency_key", "".into()), 400),
        (json!([1, 2]), 400),
    ] {
        assert_eq!(send(&platform, &bad).await.unwrap().status, status, "{bad}");
    }
    assert!(platform.notes(&conversation).is_empty());
    let stats = platform.stats();
    assert_eq!((stats.malformed, stats.unknown_conversation, stats.notes), (9, 1, 0));
}

#[tokio::test]
async fn only_a_fresh_signature_over_these_bytes_is_believed() {
    let (platform, conversation) = platform(PlatformOptions::default()).await;
    let body = note(&conversation, 1, "a-s-0").to_string();
    let (fresh, stale) = (now(), "1700000000".to_owned());
    let sign =
        |secret, timestamp: &str, body: &str| signature::sign(secret, timestamp, body.as_bytes());
    for (timestamp, signature) in [
        (&fresh, sign("other-secret", &fresh, &body)),
        (&fresh, sign("signing-secret", &fresh, "{}")),
        (&fresh, sign("signing-secret", &stale, &body)),
        (&stale, sign("signing-secret", &stale, &body)),
        (&fresh, String::new()),
    ] {
        let headers = [
            (signature::TIMESTAMP, &**timestamp),
            (signature::SIGNATURE, &*signature),
            (signature::DELIVERY, "k-1"),
        ];
        let answer = post_json(&platform.notes_url(), &headers, body.clone().into()).await.unwrap();
        assert_eq!(answer.status, 401, "{timestamp} {signature}");
    }
    assert_eq!(post_json(&platform.notes_url(), &[], body.into()).await.unwrap().status, 401);
    assert_eq!((platform.stats().unsigned, platform.stats().notes), (6, 0));
}

#[tokio::test]
async fn the_wrong_path_is_refused() {
    let (platform, _) = platform(PlatformOptions::default()).await;
    let answer =
        post_json(&format!("{}/other", platform.url()), &[], Bytes::from("{}")).await.unwrap();
    assert_eq!((answer.status, platform.stats().malformed), (404, 1));
}

#[tokio::test]
async fn a_repeat_gets_the_same_id_and_a_changed_one_is_noticed() {
    let (platform, conversation) = platform(PlatformOptions::default()).await;
    let first = send(&platform, &note(&conversation, 1, "a-s-0")).await.unwrap();
    let again = send(&platform, &note(&conversation, 1, "a-s-0")).await.unwrap();
    assert_eq!((first.status, again.status, id(&first)), (201, 200, id(&again)));
    send(&platform, &note(&conversation, 1, "a-s-0 and more")).await.unwrap();
    let stats = platform.stats();
    assert_eq!((stats.notes, stats.repeats, stats.changed_repeats), (1, 2, 1));
    assert_eq!(platform.notes(&conversation).len(), 1);
}

#[tokio::test]
async fn notes_of_other_sessions_and_lower_seqs_are_noticed() {
    let (platform, conversation) = platform(PlatformOptions::default()).await;
    send(&platform, &note(&conversation, 2, "a-s-0")).await.unwrap();
    send(&platform, &note(&conversation, 1, "a-s-1")).await.unwrap();
    let mut foreign = note(&conversation, 3, "a-t-0");
    foreign["session_id"] = "t".into();
    send(&platform, &foreign).await.unwrap();
    let stats = platform.stats();
    assert_eq!((stats.seq_out_of_order, stats.foreign), (1, 1));
}

#[tokio::test]
async fn faults_strike_their_conversation_as_often_as_asked_for() {
    let (platform, conversation) = platform(PlatformOptions::default()).await;
    let other = platform.create(Opening::session("p", "s")).unwrap();
    platform.fail(
        Scope::Conversation(conversation.clone()),
        Fault::rate_limited(Duration::from_millis(1500)),
        1,
    );
    platform.fail(Scope::Conversation(conversation.clone()), Fault::status(500), 2);
    assert_eq!(send(&platform, &note(&other, 1, "a-s-0")).await.unwrap().status, 201);
    let limited = send(&platform, &note(&conversation, 2, "a-s-1")).await.unwrap();
    assert_eq!((limited.status, limited.headers["retry-after"].to_str().unwrap()), (429, "2"));
    for status in [500, 500, 201] {
        assert_eq!(send(&platform, &note(&conversation, 2, "a-s-1")).await.unwrap().status, status);
    }
    assert_eq!(platform.stats().faults, 3);
}

#[tokio::test]
async fn a_reset_leaves_the_sender_in_the_dark() {
    let (platform, conversation) = platform(PlatformOptions::default()).await;
    platform.fail(Scope::Any, Fault::reset(), 1);
    platform.fail(Scope::Any, Fault::reset().but_taken(), 1);
    let first = note(&conversation, 1, "a-s-0");
    assert!(matches!(send(&platform, &first).await, Err(PostError::Broken(_))));
    assert_eq!(platform.stats().notes, 0);
    assert!(matches!(send(&platform, &first).await, Err(PostError::Broken(_))));
    assert_eq!(platform.stats().notes, 1);
    assert_eq!(send(&platform, &first).await.unwrap().status, 200);
    assert_eq!((platform.stats().notes, platform.stats().repeats), (1, 1));
}

#[tokio::test]
async fn a_hang_never_answers_and_a_slow_note_is_answered_late() {
    let (platform, conversation) = platform(PlatformOptions::default()).await;
    platform.fail(Scope::Any, Fault::hang(), 1);
    platform.fail(Scope::Any, Fault::slow(Duration::from_millis(50)), 1);
    let first = note(&conversation, 1, "a-s-0");
    assert!(timeout(Duration::from_millis(100), send(&platform, &first)).await.is_err());
    let clock = Clock::system();
    let started = clock.now();
    assert_eq!(send(&platform, &first).await.unwrap().status, 201);
    assert!(clock.now().since(started) >= Duration::from_millis(50));
}

#[tokio::test]
async fn every_exchange_is_on_record_with_its_end() {
    let (platform, conversation) =
        platform(PlatformOptions { exchanges: 10, ..Default::default() }).await;
    let first = note(&conversation, 1, "a-s-0");
    platform.fail(Scope::Any, Fault::hang(), 1);
    assert!(timeout(Duration::from_millis(50), send(&platform, &first)).await.is_err());
    platform.fail(Scope::Any, Fault::status(500).but_taken(), 1);
    send(&platform, &first).await.unwrap();
    send(&platform, &first).await.unwrap();
    let mut again = note(&conversation, 1, "a-s-0");
    again["attempt"] = 2.into();
    send(&platform, &again).await.unwrap();
    send(&platform, &note(&conversation, 1, "changed")).await.unwrap();
    let until = Clock::system().now() + DEADLINE;
    while platform.exchanges().iter().any(|exchange| exchange.end.is_none()) {
        assert!(Clock::system().now() < until, "an exchange doesn't end");
        tokio::task::yield_now().await;
    }
    let seen = platform.exchanges();
    let endings: Vec<_> = seen.iter().map(|exchange| exchange.end.unwrap().1).collect();
    let answered = Ending::Answered;
    assert_eq!(
        endings,
        [Ending::Broken, answered(500), answered(200), answered(200), answered(200)]
    );
    let taken: Vec<_> = seen.iter().map(|exchange| exchange.taken.is_some()).collect();
    assert_eq!(taken, [false, true, true, true, true]);
    let same: Vec<_> = seen.iter().map(|exchange| exchange.content == seen[0].content).collect();
    assert_eq!(same, [true, true, true, true, false], "the attempt is no part of a sealed note");
    assert_eq!((&*seen[0].key, &*seen[0].text, seen[3].attempt), ("k-1", "a-s-0", 2));
    assert_eq!(platform.take_exchanges().len(), 5);
    assert_eq!((platform.exchanges().len(), platform.stats().exchanges_forgotten), (0, 0));
}

#[tokio::test]
async fn a_limit_refuses_all_in_scope_until_it_ends() {
    let options = PlatformOptions { exchanges: 10, ..Default::default() };
    let (platform, conversation) = platform(options).await;
    let other = platform.create(Opening::session("p", "s")).unwrap();
    platform.limit(Scope::Conversation(conversation.clone()), Duration::from_millis(1500));
    platform.limit(Scope::Any, Duration::from_millis(1));
    let refused = send(&platform, &note(&conversation, 1, "a-s-0")).await.unwrap();
    assert_eq!((refused.status, refused.headers["retry-after"].to_str().unwrap()), (429, "2"));
    tokio::time::sleep(Duration::from_millis(2)).await;
    assert_eq!(send(&platform, &note(&other, 1, "a-s-0")).await.unwrap().status, 201);
    let asked = platform.exchanges()[0].wait_until.unwrap();
    assert!(asked.since(platform.now()) > Duration::from_secs(1), "{asked:?}");
    platform.heal();
    assert_eq!(send(&platform, &note(&conversation, 2, "a-s-1")).await.unwrap().status, 201);
    assert_eq!(platform.stats().limited, 1);
}

#[tokio::test]
async fn a_body_that_drips_or_floods_is_sent_until_the_reader_goes() {
    let options = PlatformOptions { exchanges: 10, ..Default::default() };
    let (platform, conversation) = platform(options).await;
    platform.fail(Scope::Any, Fault::flood(1 << 30), 1);
    platform.fail(Scope::Any, Fault::flood(100_000).but_taken(), 1);
    platform.fail(Scope::Any, Fault::drip(Duration::from_millis(1)), 1);
    let first = note(&conversation, 1, "a-s-0");
    let flooded = send(&platform, &first).await;
    assert!(matches!(flooded, Err(PostError::Answer(_))), "{flooded:?}");
    let answer = send(&platform, &first).await.unwrap();
    assert_eq!((answer.status, answer.body.len()), (201, 100_000));
    assert!(timeout(Duration::from_millis(100), send(&platform, &first)).await.is_err());
    let until = Clock::system().now() + DEADLINE;
    while platform.exchanges().iter().any(|exchange| exchange.end.is_none()) {
        assert!(Clock::system().now() < until, "an exchange doesn't end");
        tokio::task::yield_now().await;
    }
    let endings: Vec<_> = platform.exchanges().iter().map(|seen| seen.end.unwrap().1).collect();
    assert_eq!(endings, [Ending::Broken, Ending::Answered(201), Ending::Broken]);
    assert_eq!(platform.stats().notes, 1);
}

#[tokio::test]
async fn memory_is_bounded() {
    let keep = Keep::Notes { per_conversation: 2 };
    let options = PlatformOptions {
        keep,
        max_conversations: 1,
        keys_per_conversation: 2,
        ..Default::default()
    };
    let (platform, conversation) = platform(options).await;
    assert_eq!(platform.create(Opening::default()), None);
    for seq in 1..=3 {
        send(&platform, &note(&conversation, seq, &format!("a-s-{}", seq - 1))).await.unwrap();
    }
    assert_eq!(
        platform.notes(&conversation).iter().map(|note| note.seq).collect::<Vec<_>>(),
        [2, 3]
    );
    assert_eq!(platform.stats().forgotten, 1);
}

#[tokio::test]
async fn a_tally_judges_notes_without_keeping_them() {
    let (platform, conversation) =
        platform(PlatformOptions { keep: Keep::Tally, ..Default::default() }).await;
    send(&platform, &note(&conversation, 1, "a-s-0")).await.unwrap();
    assert!(platform.notes(&conversation).is_empty());
    assert_eq!(platform.tally(|tally| tally.complete_up_to("s")), 1);
}

/// A host that answers webhooks with the given statuses, then 200, and passes on what it was sent.
async fn host(
    statuses: &'static [u16],
) -> (Server, mpsc::UnboundedReceiver<(http::HeaderMap, Bytes)>) {
    let (sent, received) = mpsc::unbounded_channel();
    let served = Arc::new(AtomicU32::new(0));
    let server = Server::start(move |request: hyper::Request<hyper::body::Incoming>, _| {
        let (sent, served) = (sent.clone(), Arc::clone(&served));
        async move {
            let (head, body) = request.into_parts();
            sent.send((head.headers, body.collect().await.unwrap().to_bytes())).unwrap();
            let turn = served.fetch_add(1, Ordering::Relaxed) as usize;
            serve::json(
                StatusCode::from_u16(*statuses.get(turn).unwrap_or(&200)).unwrap(),
                &json!({}),
            )
        }
    });
    (server.await.unwrap(), received)
}

#[tokio::test]
async fn a_webhook_is_signed_and_repeated_until_the_host_takes_it() {
    let (host, mut received) = host(&[503, 429]).await;
    let platform = Platform::start(PlatformOptions {
        webhook_retry: Duration::from_millis(1),
        ..Default::default()
    })
    .await
    .unwrap();
    platform.deliver_webhooks_to(format!("{}/webhooks/bot", host.url()));
    let opening = Opening { email: Some("e@x.example".to_owned()), ..Opening::session("p", "s") };
    let conversation = platform.open(opening).await.unwrap();
    let mut keys = Vec::new();
    for _ in 0..3 {
        let (headers, body) = timeout(DEADLINE, received.recv()).await.unwrap().unwrap();
        let text = |name| headers[name].to_str().unwrap();
        assert!(signature::verify(
            "webhook-secret",
            text(signature::TIMESTAMP),
            &body,
            text(signature::SIGNATURE)
        ));
        let json: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(
            (&json["event"], &json["conversation_id"]),
            (&"opened".into(), &conversation.clone().into())
        );
        assert_eq!((&json["session_id"], &json["email"]), (&"s".into(), &"e@x.example".into()));
        keys.push(text(signature::DELIVERY).to_owned());
    }
    assert!(keys.iter().all(|key| *key == keys[0]), "one key for every attempt");
    let stats = platform.stats();
    assert_eq!(
        (stats.webhook_attempts, stats.webhooks_accepted, stats.webhooks_given_up),
        (3, 1, 0)
    );
}

#[tokio::test]
async fn a_webhook_that_is_refused_or_never_taken_is_an_error() {
    let options = PlatformOptions {
        webhook_retry: Duration::from_millis(1),
        webhook_attempts: 2,
        ..Default::default()
    };
    let (platform, conversation) = platform(options).await;
    assert!(matches!(platform.announce(&conversation).await, Err(WebhookError::NoAddress)));
    let (refusing, _received) = host(&[401]).await;
    platform.deliver_webhooks_to(refusing.url());
    assert!(matches!(
        platform.announce(&conversation).await,
        Err(WebhookError::Refused { status: 401 })
    ));
    let (failing, _received) = host(&[500, 500]).await;
    platform.deliver_webhooks_to(failing.url());
    let given_up = platform.announce(&conversation).await;
    assert!(
        matches!(given_up, Err(WebhookError::GivenUp { status: 500, attempts: 2 })),
        "{given_up:?}"
    );
    assert_eq!(platform.stats().webhooks_given_up, 2);
}
