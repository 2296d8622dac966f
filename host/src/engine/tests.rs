//! The engine with a real store and a scripted way to the plugins, under paused time.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::clock::{Clock, Timestamp};
use crate::config::{Delivery, Product};
use crate::engine::link::{LinkError, LinkEvent, LinkMode, LinkRequest, Linked, Who};
use crate::engine::{Engine, Handle, Settings};
use crate::ids::{ConversationId, ProductId, SessionId, SessionKey};
use crate::outbox::lane::DeadLetter;
use crate::outbox::note::{Call, Failure, FailureKind, Note, Post, PostError, Posted, Sent};
use crate::session::payload::{Action, ActionsPayload};
use crate::store::{EmbeddedStore, MemoryStore, Store, Table};

/// Remembers posts; answers from a script, then with success.
#[derive(Default)]
struct Script {
    answers: Mutex<VecDeque<(Duration, Result<Posted, PostError>)>>,
    posts: Mutex<Vec<(Call, Note)>>,
}

#[async_trait::async_trait]
impl Post for Script {
    async fn post_note(&self, call: Call, note: &Note) -> Result<Posted, PostError> {
        self.posts.lock().unwrap().push((call, note.clone()));
        let answer = self.answers.lock().unwrap().pop_front();
        let (latency, answer) = answer.unwrap_or((Duration::ZERO, Ok(Posted { note_id: None })));
        tokio::time::sleep(latency).await;
        answer
    }
}

impl Script {
    fn then(self, latency_s: f64, answer: Result<Posted, PostError>) -> Self {
        self.answers.lock().unwrap().push_back((Duration::from_secs_f64(latency_s), answer));
        self
    }

    fn lines(&self) -> Vec<String> {
        let last = |note: &Note| note.body.lines().skip(3).collect::<Vec<_>>().join("|");
        self.posts
            .lock()
            .unwrap()
            .iter()
            .map(|(_, note)| format!("{}: {}", note.conversation, last(note)))
            .collect()
    }
}

struct World {
    handle: Handle,
    post: Arc<Script>,
    store: Arc<dyn Store>,
    engine: tokio::task::JoinHandle<()>,
}

impl World {
    fn start(store: Arc<dyn Store>, script: Script, rules: Delivery) -> Self {
        let post = Arc::new(script);
        let settings = Settings::of_products([(
            ProductId::new("p").unwrap(),
            Product { plugins: vec!["bot".into()], delivery: rules },
        )]);
        let clock = Clock::starting_at(Timestamp::from_secs_f64(1_700_000_000.0));
        let (handle, engine) = Engine::new(store.clone(), post.clone(), settings, clock);
        #[expect(clippy::disallowed_methods, reason = "the test joins it in `end`")]
        let engine = tokio::spawn(async move { engine.run().await.unwrap() });
        Self { handle, post, store, engine }
    }

    async fn act(&self, session: &str, text: &str) {
        let action = Action { description: text.into(), ..Action::default() };
        let batch = ActionsPayload {
            product_id: "p".into(),
            session_id: Some(session.into()),
            actions: vec![action],
            ..ActionsPayload::default()
        };
        self.handle.take_committed(batch, 100).await.unwrap();
    }

    async fn link(&self, session: &str, conversation: &str) -> Result<Linked, LinkError> {
        self.handle.link(wish(session, conversation, LinkMode::Auto)).await
    }

    async fn end(self) -> Vec<String> {
        self.handle.drain().await;
        self.engine.await.unwrap();
        self.post.lines()
    }
}

fn wish(session: &str, conversation: &str, mode: LinkMode) -> LinkRequest {
    let key = SessionKey {
        product: ProductId::new("p").unwrap(),
        session: SessionId::new(session).unwrap(),
    };
    LinkRequest {
        plugin: "bot".into(),
        conversation: ConversationId::new(conversation).unwrap(),
        who: Who::Session(key),
        mode,
    }
}

fn failure(kind: FailureKind) -> Result<Posted, PostError> {
    Err(PostError::Failed(Failure {
        kind,
        code: "503".into(),
        message: "no".into(),
        retry_after: None,
        sent: Sent::Sent,
    }))
}

async fn wait(seconds: f64) {
    tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
}

#[tokio::test(start_paused = true)]
async fn what_came_before_the_link_goes_first_and_at_once() {
    let world = World::start(Arc::new(MemoryStore::new()), Script::default(), Delivery::default());
    world.act("s", "a").await;
    world.act("s", "b").await;
    let linked = world.link("s", "c").await.unwrap();
    assert_eq!(linked.event, LinkEvent::New);
    world.act("s", "d").await;
    wait(0.2).await;
    assert_eq!(world.post.lines(), ["c: [1] a|[2] b", "c: [1] d"]);
    assert_eq!(world.end().await.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_steady_stream_is_sealed_at_the_longest_wait() {
    let world = World::start(Arc::new(MemoryStore::new()), Script::default(), Delivery::default());
    world.link("s", "c").await.unwrap();
    for n in 0..45 {
        world.act("s", &n.to_string()).await;
        wait(0.1).await;
    }
    assert_eq!(world.post.lines().len(), 2, "one note each 2 s");
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_slow_post_is_never_cut_off_and_order_is_kept() {
    let script = Script::default().then(5.0, failure(FailureKind::Transient));
    let world = World::start(Arc::new(MemoryStore::new()), script, Delivery::default());
    world.act("s", "a").await;
    world.link("s", "c").await.unwrap();
    for text in ["b", "d"] {
        world.act("s", text).await;
        wait(1.0).await;
    }
    wait(10.0).await;
    assert_eq!(world.post.lines(), ["c: [1] a", "c: [1] a", "c: [1] b", "c: [1] d"]);
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_note_keeps_its_key_over_attempts_and_dies_with_a_reason() {
    let mut script = Script::default();
    for _ in 0..3 {
        script = script.then(0.0, failure(FailureKind::Transient));
    }
    let rules = Delivery { max_attempts: 3, ..Delivery::default() };
    let world = World::start(Arc::new(MemoryStore::new()), script, rules);
    world.act("s", "a").await;
    world.link("s", "c").await.unwrap();
    wait(60.0).await;
    world.act("s", "b").await;
    wait(1.0).await;
    let calls: Vec<_> = {
        let posts = world.post.posts.lock().unwrap();
        posts.iter().map(|(call, _)| (call.idempotency_key.clone(), call.attempt)).collect()
    };
    assert_eq!(calls[..3].iter().map(|call| call.1).collect::<Vec<_>>(), [1, 2, 3]);
    assert!(calls[..3].iter().all(|call| call.0 == calls[0].0));
    assert_ne!(calls[3].0, calls[0].0, "the note behind it has a key of its own and goes on");
    let dead = world.store.scan(Table::Dead, None, 10).await.unwrap();
    let dead: DeadLetter = serde_json::from_slice(&dead[0].1).unwrap();
    assert_eq!((dead.reason.as_str(), dead.attempts), ("503: no", 3));
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_rate_limit_burns_no_attempt_and_is_not_undercut() {
    let limited = Err(PostError::Failed(Failure {
        kind: FailureKind::RateLimited,
        code: "429".into(),
        message: String::new(),
        retry_after: Some(Duration::from_secs(30)),
        sent: Sent::NotSent,
    }));
    let script = Script::default().then(0.0, limited);
    let rules = Delivery { max_attempts: 1, ..Delivery::default() };
    let world = World::start(Arc::new(MemoryStore::new()), script, rules);
    world.act("s", "a").await;
    world.link("s", "c").await.unwrap();
    wait(29.9).await;
    assert_eq!(world.post.lines().len(), 1);
    wait(4.0).await;
    assert_eq!(world.post.lines().len(), 2);
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn three_crashes_make_a_note_poison() {
    let mut script = Script::default();
    for _ in 0..3 {
        let crash = PostError::Crashed { code: "trap".into(), message: "unreachable".into() };
        script = script.then(0.0, Err(crash));
    }
    let world = World::start(Arc::new(MemoryStore::new()), script, Delivery::default());
    world.act("s", "a").await;
    world.link("s", "c").await.unwrap();
    wait(60.0).await;
    assert_eq!(world.handle.counters().notes_dead.get(), 1);
    assert_eq!(world.end().await.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn the_link_is_sticky_and_a_move_sends_what_waits_to_the_old_conversation() {
    let world = World::start(Arc::new(MemoryStore::new()), Script::default(), Delivery::default());
    world.link("s", "c1").await.unwrap();
    let kept = world.link("s", "c2").await.unwrap();
    assert_eq!((kept.event, kept.conversation.as_str()), (LinkEvent::Kept, "c1"));
    world.act("s", "a").await;
    let moved = world.handle.link(wish("s", "c2", LinkMode::Move)).await.unwrap();
    assert_eq!((moved.event, moved.conversation.as_str()), (LinkEvent::Moved, "c2"));
    world.act("s", "b").await;
    assert_eq!(world.end().await, ["c1: [1] a", "c2: [1] b"]);
}

#[tokio::test(start_paused = true)]
async fn actions_older_than_the_window_are_dropped_and_counted() {
    let world = World::start(Arc::new(MemoryStore::new()), Script::default(), Delivery::default());
    world.act("s", "old").await;
    wait(121.0).await;
    world.act("s", "fresh").await;
    world.link("s", "c").await.unwrap();
    wait(0.1).await;
    assert_eq!(world.post.lines(), ["c: [1] fresh"]);
    assert_eq!(world.handle.counters().dropped_window.get(), 1);
    world.end().await;
}

#[tokio::test]
async fn after_a_crash_the_link_the_open_batch_and_the_unknown_post_are_taken_up() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    let open = || -> Arc<dyn Store> { Arc::new(EmbeddedStore::open(&path).unwrap()) };
    let hangs = Script::default().then(3600.0, Ok(Posted { note_id: None }));
    let world = World::start(open(), hangs, Delivery::default());
    world.act("s", "a").await;
    world.link("s", "c").await.unwrap();
    world.act("s", "b").await;
    world.engine.abort();
    assert!(world.engine.await.unwrap_err().is_cancelled());
    drop(world.store);

    let world = World::start(open(), Script::default(), Delivery::default());
    world.act("s", "d").await;
    assert_eq!(world.end().await, ["c: [1] a", "c: [1] b|[2] d"]);
}
