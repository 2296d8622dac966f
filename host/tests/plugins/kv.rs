//! What a guest keeps under keys: what it sees, what is stored of it and what isn't, and its bounds, whatever it tries.

use std::time::Duration;

use sidenote::config::{KvLimits, Plugin};
use sidenote::ids::{ConversationId, PluginName, ProductId, SessionId, SessionKey};
use sidenote::kv::{CallKv, Scope};
use sidenote::outbox::note::{Call, PostError};
use sidenote::plugin::{
    PollSubject, Registry, SourceRequest, TrialKv, TriggerContext, WebhookEvent, WebhookRequest,
};
use sidenote::post::Post;
use sidenote::session::payload::Action;
use sidenote::store::Table;
use tokio::time::Instant;

use crate::guests::{call, note, plugin, registry};

const TIME: Duration = Duration::from_secs(10);

/// A plugin that keeps things, and where.
struct Keeper {
    registry: Registry,
    kept: TrialKv,
}

fn keeping(limits: KvLimits) -> Plugin {
    let mut keeper = plugin("guest_keeper.wasm");
    keeper.allow_kv = true;
    keeper.limits.kv = limits;
    keeper.limits.cpu_time = Duration::from_secs(60);
    keeper.limits.call_timeout = Duration::from_secs(60);
    keeper
}

fn session(id: &str) -> SessionKey {
    let (product, session) = (ProductId::new("shop").unwrap(), SessionId::new(id).unwrap());
    SessionKey { product, session }
}

impl Keeper {
    async fn with(limits: KvLimits) -> Self {
        let kept = TrialKv::default();
        let keeping = [("keeper", keeping(limits)), ("other", keeping(limits))];
        let registry = registry(keeping).await.with_store(kept.store());
        Self { registry, kept }
    }

    async fn new() -> Self {
        Self::with(KvLimits::default()).await
    }

    /// Has orders carried out by a note of a session, and stores what is written; what was answered.
    async fn of(&self, plugin: &str, id: &str, orders: &str) -> Result<String, PostError> {
        let kv = CallKv::stored(Some(session(id)));
        let call = Call { kv: kv.clone(), ..call(Duration::from_secs(60)) };
        let posted = self.registry.post_note(call, &note(plugin, &format!("do:{orders}"))).await;
        self.kept.keep(&PluginName::from(plugin), &kv).await.unwrap();
        posted.map(|posted| posted.note_id.unwrap_or_default())
    }

    async fn tell(&self, orders: &str) -> String {
        self.of("keeper", "s1", orders).await.unwrap()
    }

    async fn rows(&self, table: Table) -> usize {
        self.kept.store().scan(table, None, 100_000).await.unwrap().len()
    }
}

#[tokio::test]
async fn a_call_sees_what_is_stored_and_what_it_wrote() {
    let keeper = Keeper::new().await;
    assert_eq!(
        keeper.tell("get p a;set p a 1;get p a;set p a 2;get p a").await,
        "none set 1 set 2"
    );
    assert_eq!(keeper.tell("get p a;get s a;set s a 3;get s a;get p a").await, "2 none set 3 2");
    assert_eq!(keeper.tell("delete p a;get p a;get s a").await, "deleted none 3");
    assert_eq!(keeper.tell("get p a;delete p never;get p never").await, "none deleted none");
    assert_eq!(keeper.of("keeper", "s2", "get s a").await.unwrap(), "none", "another session");
    assert_eq!(keeper.of("other", "s1", "get s a").await.unwrap(), "none", "another plugin");
    keeper.of("other", "s1", "set s a theirs;set p a theirs").await.unwrap();
    assert_eq!(keeper.tell("get s a;get p a").await, "3 none");
}

#[tokio::test]
async fn keys_are_listed_in_pages_with_what_the_call_wrote() {
    let keeper = Keeper::new().await;
    for scope in ["p", "s"] {
        let tell = async |orders: &str| keeper.tell(&orders.replace("SCOPE", scope)).await;
        tell(
            "set SCOPE b 1;set SCOPE job/1 1;set SCOPE job/2 1;set SCOPE job/3 1;set SCOPE jobs 1",
        )
        .await;
        assert_eq!(tell("list SCOPE job/ 2").await, "job/1+job/2…");
        assert_eq!(tell("list SCOPE job/ 2 job/2").await, "job/3");
        assert_eq!(tell("list SCOPE job/1 9").await, "job/1", "a key is its own prefix");
        assert_eq!(tell("list SCOPE job/ 9 a").await, "job/1+job/2+job/3", "before the prefix");
        assert_eq!(tell("list SCOPE job/ 9 z").await, "");
        let changed = "delete SCOPE job/1;set SCOPE job/15 1;set SCOPE job/4 1;list SCOPE job/ 3";
        assert_eq!(tell(changed).await, "deleted set set job/15+job/2+job/3…");
        assert_eq!(tell("list SCOPE job/ 0").await, "…");
        assert_eq!(tell("list SCOPE  9").await, "b+job/15+job/2+job/3+job/4+jobs");
    }
    // Of pages that the store reads in pieces, and of the next plugin's.
    assert_eq!(keeper.tell("many p n 230").await, "230");
    let listed = keeper.tell("list p n 1000").await;
    assert_eq!((listed.split('+').count(), listed.ends_with('…')), (100, true));
    let answer = keeper.tell("unset p n 100 230;list p n 101;list p n 3 n98").await;
    let (_, lists) = answer.split_once(' ').unwrap();
    let (all, rest) = lists.split_once(' ').unwrap();
    assert_eq!((all.split('+').count(), all.ends_with('…'), rest), (100, false, "n99"));
    keeper.of("other", "s1", "set p n1 1").await.unwrap();
    assert_eq!(keeper.of("other", "s1", "list p  9").await.unwrap(), "n1");
}

#[tokio::test]
async fn what_a_call_wrote_is_kept_unless_the_call_is_made_again() {
    let keeper = Keeper::new().await;
    for (how, kept) in [("refuse", true), ("pass", false), ("trap", false)] {
        let orders = format!("set p {how} 1;set s {how} 1;{how}");
        keeper.of("keeper", "s1", &orders).await.unwrap_err();
        let wanted = if kept { "1 1" } else { "none none" };
        assert_eq!(keeper.tell(&format!("get p {how};get s {how}")).await, wanted, "{how}");
    }
    let kv = CallKv::stored(Some(session("s1")));
    let late = Call { kv: kv.clone(), ..call(Duration::from_millis(300)) };
    let posted = keeper.registry.post_note(late, &note("keeper", "do:set p late 1;sleep")).await;
    assert!(matches!(posted, Err(PostError::Crashed { .. })), "{posted:?}");
    assert!(kv.written().is_empty());
}

/// The calls of one piece of work, such as the question for a note before it is posted, see what those before wrote.
#[tokio::test]
async fn calls_of_one_outcome_write_together() {
    let keeper = Keeper::new().await;
    let kv = CallKv::stored(Some(session("s1")));
    let at = || Call { kv: kv.clone(), ..call(TIME) };
    let mut asked = note("keeper", "do:get s a;set s b 2;set s a 3");
    asked.conversation = ConversationId::new("do:set s a 1;set p a 1").unwrap();
    keeper.registry.find_note(at(), &asked).await.unwrap();
    let posted = keeper.registry.post_note(at(), &asked).await.unwrap();
    assert_eq!(posted.note_id.as_deref(), Some("1 set set"));
    // What fails for now takes nothing along of what was written before it.
    let failing = note("keeper", "do:set s a 4;pass");
    keeper.registry.post_note(at(), &failing).await.unwrap_err();
    let written = kv.written();
    assert_eq!(written.get(Scope::Session, "a"), Some(Some(&b"3"[..])));
    assert_eq!(written.get(Scope::Session, "b"), Some(Some(&b"2"[..])));
    assert_eq!(written.get(Scope::Plugin, "a"), Some(Some(&b"1"[..])));
    let redacts = ConversationId::new("do:set s c 5").unwrap();
    keeper.registry.redact_note(at(), &"keeper".into(), &redacts, "n1").await.unwrap();
    let offer = keeper.registry.reply("keeper", at(), &redacts, "do:get s c").await.unwrap();
    assert_eq!(offer.note_id.as_deref(), Some("5"));
}

#[tokio::test]
async fn where_nothing_is_stored_a_call_reads_only_and_says_so() {
    let keeper = Keeper::new().await;
    keeper.tell("set p a 1;set s a 2").await;
    let all = "do:get p a;get s a;set p b 1;set s b 1;delete p a;list p  9";
    let request = WebhookRequest {
        method: "POST".to_owned(),
        url: "https://notes.example/webhooks/keeper".to_owned(),
        headers: Vec::new(),
        body: all.into(),
    };
    let events = keeper.registry.receive("keeper", request).await.unwrap();
    let [WebhookEvent::Challenge(answer)] = &events[..] else { panic!("{events:?}") };
    let read_only = "ErrorKind::ReadOnly: nothing of such a call is stored: it can only read";
    let no_session = "ErrorKind::NoSession: this call isn't about a session";
    let said = String::from_utf8(answer.body.to_vec()).unwrap();
    assert_eq!(said, format!("1 {no_session} {read_only} {no_session} {read_only} a"));
    let context = TriggerContext {
        key: session("s1"),
        user_id: None,
        email: None,
        conversation: None,
        actions: vec![Action { description: all.to_owned(), ..Action::default() }],
        summary: None,
        now: sidenote::clock::Timestamp(0),
    };
    let offer = keeper.registry.evaluate("keeper", &context, TIME).await.unwrap().unwrap();
    assert_eq!(offer.text, format!("1 2 {read_only} {read_only} {read_only} a"));
    // A source's are stored with what it brings.
    let kv = CallKv::stored(None);
    let request = SourceRequest { body: b"do:get p a;set p b 1;get s a".to_vec().into(), ..told() };
    let received = keeper.registry.receive_events("keeper", &request, &kv).await.unwrap();
    assert_eq!(received.answer.body, format!("1 set {no_session}").into_bytes());
    assert_eq!(kv.written().get(Scope::Plugin, "b"), Some(Some(&b"1"[..])));
    let kv = CallKv::stored(None);
    let about = PollSubject { product: session("x").product, user: "do:set p c 1".to_owned() };
    let at = Call { kv: kv.clone(), ..call(TIME) };
    keeper.registry.poll_events("keeper", at, Some(&about), None).await.unwrap();
    assert_eq!(kv.written().get(Scope::Plugin, "c"), Some(Some(&b"1"[..])));
}

fn told() -> SourceRequest {
    SourceRequest {
        method: "POST".to_owned(),
        path: "/x".to_owned(),
        query: String::new(),
        headers: Vec::new(),
        body: Vec::new().into(),
        received_at: sidenote::clock::Timestamp(0),
    }
}

#[tokio::test]
async fn without_the_grant_nothing_is_kept_and_the_grant_is_named() {
    let kept = TrialKv::default();
    let mut ungranted = keeping(KvLimits::default());
    ungranted.allow_kv = false;
    let registry = registry([("keeper", ungranted)]).await.with_store(kept.store());
    let keeper = Keeper { registry, kept };
    let denied = "ErrorKind::Denied: the plugin may keep nothing; grant it with\n[plugins.keeper.grants]\nkv = true";
    for order in ["get p a", "set p a 1", "delete s a", "list p  9"] {
        assert_eq!(keeper.tell(order).await, denied.replace('\n', " "), "{order}");
    }
    assert_eq!(keeper.rows(Table::PluginValue).await, 0);
}

#[tokio::test]
async fn every_bound_is_told_by_its_name() {
    let limits =
        KvLimits { keys: 2, bytes: 100, value_bytes: 50, session_keys: 1, session_bytes: 20 };
    let keeper = Keeper::with(limits).await;
    let allows =
        |key: &str, most: usize| format!("`{key}` in [plugins.keeper.limits] allows {most}");
    for (orders, says) in [
        ("fill p a 51".to_owned(), allows("kv_value", 50)),
        ("fill p a 50;fill p b 50".to_owned(), allows("kv_bytes", 100)),
        ("set p c 1;set p d 1;set p e 1".to_owned(), allows("kv_keys", 2)),
        ("set s a 1;set s b 1".to_owned(), allows("kv_session_keys", 1)),
        ("fill s a 20".to_owned(), allows("kv_session_bytes", 20)),
        (format!("set p {} 1", "k".repeat(257)), "has 257 bytes, and may have 256".to_owned()),
        ("set p  1".to_owned(), "the key is empty".to_owned()),
        ("set p a\u{7}b 1".to_owned(), "control character".to_owned()),
        ("get p \u{9f}".to_owned(), "control character".to_owned()),
        ("list p \u{7} 1".to_owned(), "control character".to_owned()),
    ] {
        let answer = keeper.of("keeper", "s9", &orders).await.unwrap();
        assert!(answer.contains(&says), "{orders}: {answer}");
        keeper
            .of("keeper", "s9", "delete p a;delete p b;delete p c;delete p d;delete s a")
            .await
            .unwrap();
    }
    // What is full takes what isn't more, and what is less.
    assert_eq!(
        keeper.tell("fill p a 49;fill p b 49;fill p b 49;fill p a 3;fill p b 50").await,
        "filled filled filled filled filled"
    );
    assert!(keeper.tell("set p c 1").await.contains("kv_keys"));
    assert_eq!(keeper.tell("delete p a;set p c 1;get p c").await, "deleted set 1");
}

/// Ten thousand keys and values of a guest that keeps to nothing: of letters of all lengths, of all sizes, in both scopes, over
/// many calls. What is stored stays within the bounds.
#[tokio::test]
async fn ten_thousand_hostile_keys_and_values_are_bounded() {
    let limits = KvLimits {
        keys: 300,
        bytes: 64 << 10,
        value_bytes: 1 << 10,
        session_keys: 20,
        session_bytes: 4 << 10,
    };
    let keeper = Keeper::with(limits).await;
    let odd =
        ["ä", "日", "🦀", "|", "%", "{", "}", "\0", "\t", "\u{7f}", "\u{202e}", "..", "/", "%00"];
    let (mut tried, began) = (0, Instant::now());
    let mut number: u64 = 0x9E37_79B9;
    let mut next = |most: usize| {
        number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        usize::try_from(number >> 33).unwrap() % most
    };
    for round in 0..40 {
        let mut orders = Vec::new();
        for _ in 0..250 {
            let scope = if next(3) == 0 { "s" } else { "p" };
            let letters = odd[next(odd.len())].repeat(next(300));
            let key = format!("{letters}{}", next(100_000));
            orders.push(format!("fill {scope} {key} {}", next(2000)));
            tried += 1;
        }
        // A line break in a key ends the orders of its line: each has its own.
        let text: Vec<_> = orders.iter().map(|order| format!("do:{order}\n")).collect();
        let kv = CallKv::stored(Some(session(&format!("s{}", round % 4))));
        let at = Call { kv: kv.clone(), ..call(Duration::from_secs(60)) };
        keeper.registry.post_note(at, &note("keeper", &text.concat())).await.unwrap();
        assert!(kv.written().len() <= 320 && kv.written().bytes() <= 68 << 10);
        keeper.kept.keep(&"keeper".into(), &kv).await.unwrap();
        let (mut keys, mut bytes) = (0, 0);
        let rows = keeper.kept.store().scan(Table::PluginValue, None, 10_000).await.unwrap();
        for (row, value) in rows.iter().filter(|(row, _)| row.number != 0) {
            let key = &row.group.1;
            assert!(!key.is_empty() && key.len() <= 256 && !key.contains(char::is_control));
            (keys, bytes) = (keys + 1, bytes + key.len() + value.len());
        }
        // A row has some bytes around its value.
        assert!(keys <= 300 && bytes <= (64 << 10) + keys * 16, "{keys} keys, {bytes} bytes");
        assert!(keeper.rows(Table::SessionValue).await <= 80);
    }
    assert_eq!(tried, 10_000);
    let (keys, sessions) =
        (keeper.rows(Table::PluginValue).await, keeper.rows(Table::SessionValue).await);
    assert!(keys > 100 && sessions > 20, "{keys} and {sessions}: much was taken all the same");
    assert!(began.elapsed() < Duration::from_secs(60));
}

/// The same attempts in one call, of which nothing is stored.
#[tokio::test]
async fn what_one_call_holds_is_bounded_too() {
    let keeper = Keeper::new().await;
    assert_eq!(keeper.tell("many p n 20000").await, "1000");
    assert_eq!(keeper.tell("many s n 20000").await, "32");
    assert_eq!(
        (keeper.rows(Table::PluginValue).await, keeper.rows(Table::SessionValue).await),
        (1001, 32)
    );
}
