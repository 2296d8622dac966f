//! The timers that a guest sets: what it sees, what is stored of it and what isn't, and its bounds, whatever it tries.

use std::time::Duration;

use sidenote::config::{Plugin, TimerLimits};
use sidenote::engine::core::plugin_timers::TimerRow;
use sidenote::engine::core::rows::decode;
use sidenote::ids::{PluginName, ProductId, SessionId, SessionKey};
use sidenote::kv::CallKv;
use sidenote::outbox::due_timer::DueTimer;
use sidenote::outbox::note::{Call, Crash, FailureKind, PostError};
use sidenote::plugin::{Registry, TrialKv, TriggerContext, WebhookEvent, WebhookRequest};
use sidenote::post::Post;
use sidenote::session::payload::Action;
use sidenote::store::Table;

use crate::guests::{call, note, plugin, registry};

const TIME: Duration = Duration::from_secs(60);

/// A plugin that sets timers, and where they are.
struct Waker {
    registry: Registry,
    kept: TrialKv,
}

fn setting(limits: TimerLimits) -> Plugin {
    let mut waker = plugin("guest_waker.wasm");
    (waker.allow_timer, waker.allow_kv) = (true, true);
    waker.limits.timer = limits;
    (waker.limits.cpu_time, waker.limits.call_timeout) = (TIME, TIME);
    waker
}

fn session(id: &str) -> SessionKey {
    let (product, session) = (ProductId::new("shop").unwrap(), SessionId::new(id).unwrap());
    SessionKey { product, session }
}

fn due(plugin: &str, name: &str, payload: &str) -> DueTimer {
    let now = sidenote::clock::Clock::system().now();
    DueTimer {
        key: session("s1"),
        seq: 1,
        plugin: plugin.into(),
        name: name.into(),
        payload: sidenote::bytes::Bytes(payload.as_bytes().to_vec()),
        at: now,
        conversation: None,
        user_id: Some("ann".to_owned()),
        email: None,
        idempotency_key: "key-of-it".to_owned(),
        sealed_at: now,
    }
}

impl Waker {
    async fn with(limits: TimerLimits) -> Self {
        let kept = TrialKv::default();
        let setting = [("waker", setting(limits)), ("other", setting(limits))];
        let registry = registry(setting).await.with_store(kept.store());
        Self { registry, kept }
    }

    async fn new() -> Self {
        Self::with(TimerLimits::default()).await
    }

    /// Has orders carried out by a note of a session, and stores what is set; what was answered.
    async fn of(&self, plugin: &str, id: &str, orders: &str) -> Result<String, PostError> {
        let kv = CallKv::stored(Some(session(id)));
        let call = Call { kv: kv.clone(), ..call(TIME) };
        let posted = self.registry.post_note(call, &note(plugin, &format!("do:{orders}"))).await;
        self.kept.keep(&PluginName::from(plugin), &kv).await.unwrap();
        posted.map(|posted| posted.note_id.unwrap_or_default())
    }

    async fn tell(&self, orders: &str) -> String {
        self.of("waker", "s1", orders).await.unwrap()
    }

    async fn rows(&self) -> Vec<TimerRow> {
        let rows = self.kept.store().scan(Table::Timer, None, 100_000).await.unwrap();
        rows.iter().map(|(_, row)| decode(row).unwrap()).collect()
    }
}

#[tokio::test]
async fn a_call_sees_what_is_stored_and_what_it_set() {
    let waker = Waker::new().await;
    assert_eq!(waker.tell("list;after b 60000;after a 60000;list").await, " set set a+b");
    assert_eq!(waker.tell("list;cancel a;cancel never;list").await, "a+b cancelled cancelled b");
    assert_eq!(waker.of("waker", "s2", "list").await.unwrap(), "", "another session");
    assert_eq!(waker.of("other", "s1", "list;after b 1").await.unwrap(), " set", "another plugin");
    assert_eq!(waker.tell("list;after b 120000 later").await, "b set");
    let rows = waker.rows().await;
    assert_eq!(rows.len(), 2);
    let ours = rows.iter().find(|row| &*row.plugin == "waker").unwrap();
    assert_eq!((&*ours.name, &*ours.payload.0), ("b", &b"later"[..]));
    let ahead = ours.at.since(ours.set_at.unwrap());
    assert_eq!(ahead, Duration::from_secs(120));
}

#[tokio::test]
async fn what_a_call_set_is_kept_unless_the_call_is_made_again() {
    let waker = Waker::new().await;
    for (how, kept) in [("refuse", 1), ("pass", 0), ("trap", 0)] {
        waker.of("waker", how, &format!("after t 60000;{how}")).await.unwrap_err();
        let rows = waker.of("waker", how, "list").await.unwrap();
        assert_eq!(rows.len(), kept, "{how}: {rows}");
    }
    let kv = CallKv::stored(Some(session("late")));
    let late = Call { kv: kv.clone(), ..call(Duration::from_millis(300)) };
    let posted = waker.registry.post_note(late, &note("waker", "do:after t 60000;sleep")).await;
    assert!(matches!(posted, Err(PostError::Crashed { .. })), "{posted:?}");
    assert!(kv.written().is_empty());
}

#[tokio::test]
async fn its_export_is_called_and_answers_as_other_calls_do() {
    let waker = Waker::new().await;
    let wake = async |payload: &str, attempt| {
        let kv = CallKv::stored(Some(session("s1")));
        let timer = due("waker", "t", payload);
        let call = Call {
            kv: kv.clone(),
            attempt,
            idempotency_key: timer.idempotency_key.clone(),
            ..call(TIME)
        };
        (waker.registry.wake(call, &timer).await, kv)
    };
    let (woken, kv) = wake("keep;after again 60000;cancel x", 1).await;
    assert_eq!(woken, Ok(()));
    assert_eq!(kv.written().timers().len(), 1, "it set one, and cancelled none that isn't there");
    waker.kept.keep(&"waker".into(), &kv).await.unwrap();
    let values = waker.kept.store().scan(Table::PluginValue, None, 10).await.unwrap();
    let keys: Vec<_> = values.iter().map(|(key, _)| key.group.1.to_string()).collect();
    assert_eq!(keys, ["", "t/key-of-it"]);
    let (failed, _) = wake("once", 1).await;
    let Err(PostError::Failed(failure)) = failed else { panic!("{failed:?}") };
    assert_eq!((failure.kind, failure.code.as_str()), (FailureKind::Transient, "asked"));
    assert_eq!(wake("once", 2).await.0, Ok(()));
    let (trapped, kv) = wake("after t 60000;trap", 1).await;
    assert!(matches!(trapped, Err(PostError::Crashed { crash: Crash::Trap, .. })), "{trapped:?}");
    assert!(kv.written().is_empty());
    // A version without the export, behind a timer of one with it.
    let sink = registry([("waker", plugin("guest_keeper.wasm"))]).await;
    let gone = sink.wake(call(TIME), &due("waker", "t", "")).await;
    let Err(PostError::Failed(failure)) = gone else { panic!("{gone:?}") };
    assert_eq!(failure.kind, FailureKind::Invalid, "it is a dead letter, which a person can retry");
}

#[tokio::test]
async fn where_nothing_is_stored_a_call_lists_only_and_says_so() {
    let waker = Waker::new().await;
    waker.tell("after t 60000").await;
    let all = "do:list;after u 60000;cancel t";
    let request = WebhookRequest {
        method: "POST".to_owned(),
        url: "https://notes.example/webhooks/waker".to_owned(),
        headers: Vec::new(),
        body: all.into(),
    };
    let events = waker.registry.receive("waker", request).await.unwrap();
    let [WebhookEvent::Challenge(answer)] = &events[..] else { panic!("{events:?}") };
    let no_session = "ErrorKind::NoSession: this call isn't about a session";
    let said = String::from_utf8(answer.body.to_vec()).unwrap();
    assert_eq!(said, [no_session; 3].join(" "));
    let context = TriggerContext {
        key: session("s1"),
        user_id: None,
        email: None,
        conversation: None,
        actions: vec![Action { description: all.to_owned(), ..Action::default() }],
        summary: None,
        now: sidenote::clock::Timestamp(0),
    };
    let offer = waker.registry.evaluate("waker", &context, TIME).await.unwrap().unwrap();
    let read_only =
        "ErrorKind::ReadOnly: nothing of such a call is stored: it can only list timers";
    assert_eq!(offer.text, format!("t {read_only} {read_only}"));
}

#[tokio::test]
async fn without_the_grant_no_timer_is_set_and_the_grant_is_named() {
    let kept = TrialKv::default();
    let mut ungranted = setting(TimerLimits::default());
    ungranted.allow_timer = false;
    let registry = registry([("waker", ungranted)]).await.with_store(kept.store());
    let waker = Waker { registry, kept };
    let denied = "ErrorKind::Denied: the plugin may set no timers; grant it with [plugins.waker.grants] timer = true";
    for order in ["after t 60000", "cancel t", "list"] {
        assert_eq!(waker.tell(order).await, denied, "{order}");
    }
    assert!(waker.rows().await.is_empty());
}

#[tokio::test]
async fn every_bound_is_told_by_its_name() {
    let limits = TimerLimits {
        timers: 10_000,
        of_session: 2,
        payload_bytes: 50,
        ahead: Duration::from_secs(3600),
    };
    let waker = Waker::with(limits).await;
    let allows = |key: &str, most: &str| format!("`{key}` in [plugins.waker.limits] allows {most}");
    for (orders, says) in [
        ("fill t 51".to_owned(), allows("timer_payload", "50")),
        ("after t 3600001".to_owned(), allows("timer_ahead", "3600 s")),
        (format!("after t {}", u64::MAX), allows("timer_ahead", "3600 s")),
        (format!("at t {}", u64::MAX), allows("timer_ahead", "3600 s")),
        ("after a 1;after b 1;after c 1".to_owned(), allows("timers_session", "2")),
        (format!("after {} 1", "k".repeat(257)), "has 257 bytes, and may have 256".to_owned()),
        ("after  1".to_owned(), "the name is empty".to_owned()),
        ("after a\u{7}b 1".to_owned(), "control character".to_owned()),
        ("cancel \u{9f}".to_owned(), "control character".to_owned()),
    ] {
        let answer = waker.of("waker", "s9", &orders).await.unwrap();
        assert!(answer.contains(&says), "{orders}: {answer}");
        waker.of("waker", "s9", "cancel a;cancel b").await.unwrap();
    }
    // Where it is full, one of the same name can be set, and another where one was cancelled: and no third.
    let orders = "after a 1;after b 1;after a 2;cancel a;after c 1;after a 1;list";
    let answer = waker.tell(orders).await;
    assert!(answer.starts_with("set set set cancelled set ErrorKind::Full"), "{answer}");
    assert!(answer.ends_with("b+c"), "{answer}");
    assert!(waker.tell("cancel b;after d 1;after b 1").await.contains("timers_session"));
    // None is due sooner than a second from now, whatever is asked for.
    let before = sidenote::clock::Clock::system().now();
    waker.of("waker", "now", "after z 0;at y 0").await.unwrap();
    let rows = waker.rows().await;
    let soon: Vec<_> = rows.iter().filter(|row| ["y", "z"].contains(&&*row.name)).collect();
    assert_eq!(soon.len(), 2);
    assert!(soon.iter().all(|row| row.at >= before + Duration::from_secs(1)));
}

#[tokio::test]
async fn all_timers_of_a_plugin_are_bounded_together() {
    let limits = TimerLimits { timers: 3, of_session: 1000, ..TimerLimits::default() };
    let waker = Waker::with(limits).await;
    assert_eq!(waker.tell("many t 10 60000").await, "3");
    let limits = TimerLimits { timers: 1_000_000, of_session: 1000, ..TimerLimits::default() };
    let waker = Waker::with(limits).await;
    assert_eq!(waker.tell("many t 20000 60000").await, "1000");
    assert_eq!(waker.rows().await.len(), 1000);
}

/// Ten thousand timers of a guest that keeps to nothing: names of letters of all kinds, payloads and moments of all sizes.
#[tokio::test]
async fn ten_thousand_hostile_timers_are_bounded() {
    let limits = TimerLimits {
        timers: 10_000,
        of_session: 20,
        payload_bytes: 1 << 10,
        ahead: Duration::from_secs(3600),
    };
    let waker = Waker::with(limits).await;
    let odd = ["ä", "日", "🦀", "|", "%", "{", "\0", "\t", "\u{202e}", "..", "/", "%00"];
    let mut number: u64 = 0x9E37_79B9;
    let mut next = |most: usize| {
        number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        usize::try_from(number >> 33).unwrap() % most
    };
    for round in 0..40 {
        let mut orders = Vec::new();
        for _ in 0..250 {
            let name = format!("{}{}", odd[next(odd.len())].repeat(next(300)), next(1000));
            orders.push(match next(3) {
                0 => format!("fill {name} {}", next(2000)),
                1 => format!("after {name} {}", next(7_200_000)),
                _ => format!("at {name} {}", u64::MAX / (next(1000) as u64 + 1)),
            });
        }
        // A line break in a name ends the orders of its line: each has its own.
        let text: Vec<_> = orders.iter().map(|order| format!("do:{order}\n")).collect();
        let kv = CallKv::stored(Some(session(&format!("s{}", round % 4))));
        let at = Call { kv: kv.clone(), ..call(TIME) };
        waker.registry.post_note(at, &note("waker", &text.concat())).await.unwrap();
        assert!(kv.written().timers().len() <= 20);
        waker.kept.keep(&"waker".into(), &kv).await.unwrap();
        let now = sidenote::clock::Clock::system().now();
        let rows = waker.rows().await;
        assert!(rows.len() <= 80, "{}", rows.len());
        for row in rows {
            assert!(!row.name.is_empty() && row.name.len() <= 256);
            assert!(!row.name.contains(char::is_control) && row.payload.0.len() <= 1 << 10);
            assert!(row.at.since(now) <= Duration::from_secs(3600));
        }
    }
    assert!(waker.rows().await.len() > 40, "many were set all the same");
}
