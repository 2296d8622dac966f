//! Every interface that a plugin can export, called through a real registry.

use std::time::Duration;

use sidenote::clock::Timestamp;
use sidenote::ids::{ConversationId, ProductId, SessionId, SessionKey};
use sidenote::kv::CallKv;
use sidenote::outbox::note::{
    Crash, FailureKind, Found, LimitScope, Pause, PostError, Posted, Redaction, Sent,
};
use sidenote::plugin::{
    Offer, PollError, PollSubject, QuickReply, ReceiveError, Registry, SourceError,
    SourceRejection, SourceRequest, TriggerContext, WebhookEvent, WebhookRequest,
};
use sidenote::post::Post;
use sidenote::session::payload::{Action, ActionsPayload, SummaryPayload};

use crate::guests::{built, call, note, plugin, post, registry};

const TIME: Duration = Duration::from_secs(10);

async fn echo() -> Registry {
    let mut echo = plugin("guest_echo.wasm");
    echo.limits.call_timeout = Duration::from_secs(5);
    registry([("echo", echo)]).await
}

fn conversation(id: &str) -> ConversationId {
    ConversationId::new(id).unwrap()
}

fn action(index: i64, description: &str) -> Action {
    Action { index, description: description.to_owned(), ..Action::default() }
}

fn batch(session: &str) -> ActionsPayload {
    ActionsPayload {
        product_id: "shop".to_owned(),
        session_id: Some(session.to_owned()),
        user_id: Some("u1".to_owned()),
        actions: vec![action(0, "opened"), action(1, "paid")],
        forwarded_at: 1.5,
        ..ActionsPayload::default()
    }
}

fn summary(session: &str, text: &str) -> SummaryPayload {
    SummaryPayload {
        product_id: "shop".to_owned(),
        session_id: Some(session.to_owned()),
        summary: text.to_owned(),
        replaces: 4,
        forwarded_at: 0.0,
    }
}

fn context(summary: &str) -> TriggerContext {
    TriggerContext {
        key: SessionKey {
            product: ProductId::new("shop").unwrap(),
            session: SessionId::new("s1").unwrap(),
        },
        user_id: None,
        email: Some("u@example.com".to_owned()),
        conversation: Some(conversation("c1")),
        actions: vec![action(7, "hesitated")],
        summary: Some(summary.to_owned()),
        now: Timestamp(1_700_000_000_000_000),
    }
}

fn offer() -> Offer {
    Offer {
        text: "Trouble with the payment?".to_owned(),
        quick_replies: vec![QuickReply { id: "yes".to_owned(), label: "Yes, please".to_owned() }],
    }
}

fn posted(id: &str) -> Result<Posted, PostError> {
    Ok(Posted { note_id: Some(id.to_owned()), pause: None })
}

/// The message of a failure with the code `echo`, which holds what a sink was given.
fn echoed(outcome: Result<(), PostError>) -> String {
    match outcome {
        Err(PostError::Failed(failure)) if failure.code == "echo" => failure.message,
        other => panic!("nothing echoed: {other:?}"),
    }
}

#[tokio::test]
async fn every_interface_is_found() {
    let state = &echo().await.states()[0];
    let all = ["writer", "redactor", "finder", "webhook", "messenger", "sink", "trigger", "source"];
    assert_eq!(state.interfaces, all);
}

#[tokio::test]
async fn each_export_gets_what_it_was_given_and_its_answer_comes_back() {
    let echo = echo().await;
    let c1 = conversation("c1");

    let pause = Pause { time: Duration::from_millis(1500), scope: LimitScope::Conversation };
    let written = post(&echo, "echo", "hello").await.unwrap();
    let id = written.note_id.as_deref();
    assert_eq!((id, written.pause), (Some("key-1#1 c1|hello"), Some(pause)));

    let mut again = call(TIME);
    again.attempt = 3;
    let found = echo.find_note(again, &note("echo", "")).await;
    assert_eq!(found, Ok(Found::Yes(Some("key-1#3 c1|key-1".to_owned()))));
    for (conversation, wanted) in [("empty", Found::No), ("nameless", Found::Yes(None))] {
        let mut note = note("echo", "");
        note.conversation = self::conversation(conversation);
        assert_eq!(echo.find_note(call(TIME), &note).await, Ok(wanted), "{conversation}");
    }

    for (note_id, wanted) in [
        ("removable", Redaction::Removed),
        ("editable", Redaction::Overwritten),
        ("other", Redaction::Unsupported),
    ] {
        let redacted = echo.redact_note(call(TIME), &"echo".into(), &c1, note_id).await;
        assert_eq!(redacted, Ok(wanted), "{note_id}");
    }

    let offered = echo.offer("echo", call(TIME), &c1, &offer()).await;
    assert_eq!(offered, posted("key-1#1 c1|Trouble with the payment?|yes=Yes, please"));
    let replied = echo.reply("echo", call(TIME), &c1, "Here is\nhow").await;
    // A line break is no part of an id.
    assert_eq!(replied, Ok(Posted { note_id: None, pause: None }));
    let replied = echo.reply("echo", call(TIME), &c1, "Here is how").await;
    assert_eq!(replied, posted("key-1#1 c1|Here is how"));

    let written = echoed(echo.write_actions("echo", call(TIME), &batch("s1")).await);
    assert_eq!(written, "key-1#1 shop|s1|Some(\"u1\") None None|0:opened,1:paid|Some(1.5)");
    let written = echoed(echo.write_summary("echo", call(TIME), &summary("s1", "He paid.")).await);
    assert_eq!(written, "key-1#1 shop|s1|He paid.|4 None");
    assert_eq!(echo.write_summary("echo", call(TIME), &summary("s1", "fine")).await, Ok(()));

    let evaluated = echo.evaluate("echo", &context("yes"), TIME).await.unwrap().unwrap();
    let wanted =
        "shop/s1|None Some(\"u@example.com\") Some(\"c1\")|7:hesitated|1700000000000".to_owned();
    assert_eq!((evaluated.text, evaluated.quick_replies), (wanted, offer().quick_replies));
    assert_eq!(echo.evaluate("echo", &context("no"), TIME).await, Ok(None));

    let events = echo.receive("echo", webhook("")).await.unwrap();
    let [WebhookEvent::Challenge(answer)] = &*events else { panic!("{events:?}") };
    assert_eq!(answer.body, b"https://notes.example/webhooks/echo");

    let received =
        echo.receive_events("echo", &told("what was \u{fc}"), &CallKv::default()).await.unwrap();
    let event = &received.batches[0].events[0];
    assert_eq!(event.name, "POST|/v1/t|a=b|what was \u{fc}");
    assert_eq!((event.id.as_str(), event.identity.user_id.as_deref()), (&*event.name, Some("u")));
    for (about, cursor, name, next) in [
        (None, None, "key-1#1 |", "+"),
        (None, Some("7"), "key-1#1 |7", "7+"),
        (Some(subject("u/1")), Some("8"), "key-1#1 shop/u/1|8", "8+"),
    ] {
        let page = echo.poll_events("echo", call(TIME), about.as_ref(), cursor).await.unwrap();
        assert_eq!(page.batches[0].events[0].name, name);
        assert_eq!(page.cursor.as_deref(), Some(next));
    }
}

fn told(body: &str) -> SourceRequest {
    SourceRequest {
        method: "POST".to_owned(),
        path: "/v1/t".to_owned(),
        query: "a=b".to_owned(),
        headers: Vec::new(),
        body: body.as_bytes().to_vec().into(),
        received_at: Timestamp(0),
    }
}

fn subject(user: &str) -> PollSubject {
    PollSubject { product: ProductId::new("shop").unwrap(), user: user.to_owned() }
}

/// What came of a question to a source, as of the other exports that take a `call`.
async fn polled(echo: &Registry, word: &str, time: Duration) -> Result<(), PostError> {
    match echo.poll_events("echo", call(time), Some(&subject(word)), None).await {
        Ok(_) => Ok(()),
        Err(PollError::Call(error)) => Err(error),
        Err(PollError::Answer(error)) => panic!("{error}"),
    }
}

fn webhook(body: &str) -> WebhookRequest {
    WebhookRequest {
        method: "POST".to_owned(),
        url: "https://notes.example/webhooks/echo".to_owned(),
        headers: Vec::new(),
        body: body.as_bytes().to_vec(),
    }
}

/// Has each export that takes a `call` do what the word says, with so much time. The plugin answers in
/// between: one that only traps is held back.
async fn all(echo: &Registry, word: &str, time: Duration) -> Vec<(&'static str, PostError)> {
    let there = conversation(word);
    let mut at_there = note("echo", word);
    at_there.conversation = there.clone();
    let mut outcomes = Vec::new();
    macro_rules! failed {
        ($name:literal, $outcome:expr) => {
            outcomes.push(($name, $outcome.await.expect_err($name)));
            assert!(post(echo, "echo", "hello").await.is_ok(), "after {}", $name);
        };
    }
    failed!("post-note", echo.post_note(call(time), &at_there));
    failed!("find-note", echo.find_note(call(time), &at_there));
    failed!("redact-note", echo.redact_note(call(time), &"echo".into(), &there, "n"));
    failed!("offer", echo.offer("echo", call(time), &there, &offer()));
    failed!("reply", echo.reply("echo", call(time), &there, "hello"));
    failed!("write-actions", echo.write_actions("echo", call(time), &batch(word)));
    failed!("write-summary", echo.write_summary("echo", call(time), &summary(word, "t")));
    failed!("poll", polled(echo, word, time));
    outcomes
}

#[tokio::test]
async fn a_failure_of_any_export_is_told_as_it_is() {
    let echo = echo().await;
    for (name, error) in all(&echo, "fail", TIME).await {
        let PostError::Failed(failure) = error else { panic!("{name}: {error:?}") };
        let told = (failure.kind, &*failure.code, &*failure.message, failure.sent);
        assert_eq!(told, (FailureKind::Permanent, "asked", "asked to fail", Sent::Sent), "{name}");
    }
    for (name, error) in all(&echo, "limit", TIME).await {
        let PostError::Failed(failure) = error else { panic!("{name}: {error:?}") };
        let told = (failure.kind, failure.scope, failure.retry_after);
        let seven = Some(Duration::from_secs(7));
        assert_eq!(told, (FailureKind::RateLimited, LimitScope::Conversation, seven), "{name}");
    }
    let refused = echo.receive("echo", webhook("fail")).await;
    assert!(matches!(refused, Err(ReceiveError::Rejected { status: 422, .. })), "{refused:?}");
    let Err(PostError::Failed(failure)) = echo.evaluate("echo", &context("odd"), TIME).await else {
        panic!()
    };
    assert_eq!((failure.kind, failure.sent), (FailureKind::Invalid, Sent::NotSent));
    assert_eq!(failure.message, "the text of its offer is empty");
    let rejected = echo.receive_events("echo", &told("fail"), &CallKv::default()).await;
    let Err(SourceError::Rejected { kind, message }) = rejected else { panic!("{rejected:?}") };
    assert_eq!((kind, &*message), (SourceRejection::Malformed, "asked to fail"));
    assert_eq!(echo.states()[0].failures, 19);
}

#[tokio::test]
async fn a_trap_in_any_export_is_a_crash_and_the_next_call_gets_a_fresh_instance() {
    let echo = echo().await;
    let mut outcomes = all(&echo, "trap", TIME).await;
    let evaluated = echo.evaluate("echo", &context("trap"), TIME).await;
    outcomes.push(("evaluate", evaluated.unwrap_err()));
    for (name, error) in outcomes {
        let PostError::Crashed { crash, message } = error else { panic!("{name}: {error:?}") };
        assert_eq!(crash, Crash::Trap, "{name}");
        let log = "`sidenote plugin logs echo` shows what it said";
        assert!(message.ends_with(log) && !message.contains("asked"), "{name}: {message}");
    }
    let received = echo.receive("echo", webhook("trap")).await;
    assert!(matches!(received, Err(ReceiveError::Crashed { .. })), "{received:?}");
    let received = echo.receive_events("echo", &told("trap"), &CallKv::default()).await;
    assert!(matches!(received, Err(SourceError::Crashed { .. })), "{received:?}");
    assert_eq!(echo.states()[0].traps, 11);
    assert!(post(&echo, "echo", "hello").await.is_ok());
}

#[tokio::test]
async fn any_export_is_stopped_at_the_deadline() {
    let echo = echo().await;
    let short = Duration::from_millis(300);
    let mut outcomes = all(&echo, "sleep", short).await;
    let evaluated = echo.evaluate("echo", &context("sleep"), short).await;
    outcomes.push(("evaluate", evaluated.unwrap_err()));
    for (name, error) in outcomes {
        let stopped = matches!(error, PostError::Crashed { crash: Crash::Timeout, .. });
        assert!(stopped, "{name}: {error:?}");
    }
    assert!(post(&echo, "echo", "hello").await.is_ok());
    let mut hasty = plugin("guest_echo.wasm");
    hasty.limits.call_timeout = short;
    let echo = registry([("echo", hasty)]).await;
    let received = echo.receive_events("echo", &told("sleep"), &CallKv::default()).await;
    let Err(SourceError::Crashed { code, .. }) = received else { panic!("{received:?}") };
    assert_eq!(code, Crash::Timeout.code());
    assert!(echo.receive_events("echo", &told("hello"), &CallKv::default()).await.is_ok());
}

#[tokio::test]
async fn what_a_source_brings_is_bounded() {
    let mut echo = plugin("guest_echo.wasm");
    echo.limits.memory_bytes = 512 << 20;
    echo.limits.max_handover_bytes = 512 << 20;
    let echo = registry([("echo", echo)]).await;
    for (word, told_of) in [
        ("batches", "more than 1000 batches"),
        ("events", "100000 events"),
        ("merges", "10000 merges"),
        ("answer", "too large"),
        ("odd", "status"),
    ] {
        let received = echo.receive_events("echo", &told(word), &CallKv::default()).await;
        let Err(SourceError::Crashed { message, .. }) = received else { panic!("{word}") };
        assert!(message.contains(told_of), "{word}: {message}");
        assert!(
            echo.receive_events("echo", &told("hello"), &CallKv::default()).await.is_ok(),
            "after {word}"
        );
    }
    let page = echo.poll_events("echo", call(TIME), Some(&subject("cursor")), None).await;
    let Err(PollError::Answer(error)) = page else { panic!("a cursor of more than 64 KiB") };
    assert!(error.to_string().contains("its cursor is longer than 65536 bytes"), "{error}");
}

#[tokio::test]
async fn a_source_that_takes_all_memory_or_hands_over_too_much_is_stopped() {
    let echo = echo().await;
    for word in ["hoard", "events"] {
        let received = echo.receive_events("echo", &told(word), &CallKv::default()).await;
        assert!(matches!(received, Err(SourceError::Crashed { .. })), "{word}: {received:?}");
        assert!(
            echo.receive_events("echo", &told("hello"), &CallKv::default()).await.is_ok(),
            "after {word}"
        );
    }
    assert!(post(&echo, "echo", "hello").await.is_ok());
}

#[tokio::test]
async fn what_a_plugin_does_not_export_is_told() {
    let only_writer = registry([("echo", plugin("guest_probe.wasm"))]).await;
    let found = only_writer.find_note(call(TIME), &note("echo", "")).await;
    assert_eq!(found, Ok(Found::Unsupported));
    let redacted =
        only_writer.redact_note(call(TIME), &"echo".into(), &conversation("c"), "n").await;
    assert_eq!(redacted, Ok(Redaction::Unsupported));
    let unavailable = |interface: &str| PostError::Unavailable {
        message: format!("the plugin `echo` doesn't export `{interface}`"),
    };
    let replied = only_writer.reply("echo", call(TIME), &conversation("c"), "t").await;
    assert_eq!(replied, Err(unavailable("messenger")));
    let written = only_writer.write_actions("echo", call(TIME), &batch("s")).await;
    assert_eq!(written, Err(unavailable("sink")));
    let evaluated = only_writer.evaluate("echo", &context("yes"), TIME).await;
    assert_eq!(evaluated, Err(unavailable("trigger")));
    let received = only_writer.receive_events("echo", &told("hello"), &CallKv::default()).await;
    assert!(matches!(received, Err(SourceError::NoSource)), "{received:?}");
    let polled = polled(&only_writer, "u", TIME).await;
    assert_eq!(polled, Err(unavailable("source")));

    let mut nobodys = batch("s");
    nobodys.session_id = None;
    let Err(PostError::Failed(failure)) =
        only_writer.write_actions("echo", call(TIME), &nobodys).await
    else {
        panic!()
    };
    assert_eq!((failure.kind, failure.sent), (FailureKind::Invalid, Sent::NotSent));

    let nowhere =
        only_writer.redact_note(call(TIME), &"gone".into(), &conversation("c"), "n").await;
    let message = "there is no plugin `gone`".to_owned();
    assert_eq!(nowhere, Err(PostError::Unavailable { message }));
}

#[tokio::test]
async fn an_export_with_other_types_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(built("guest_strayed.wasm"), folder.path().join("strayed.wasm")).unwrap();
    let strayed = [("strayed".into(), plugin("strayed.wasm"))].into();
    let registry = Registry::load(folder.path(), &strayed).await.unwrap();
    let failed = registry.states()[0].failed.clone().unwrap();
    let wanted = "probe: its `sidenote:plugin/finder@0.1.0` doesn't fit: ";
    assert!(failed.starts_with(wanted), "{failed}");
}
