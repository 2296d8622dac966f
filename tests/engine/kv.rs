//! What plugins keep, over crashes: a host that dies before or behind any of its commits has what a call wrote together with
//! the call's outcome, or neither.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sidenote::clock::Clock;
use sidenote::config::Delivery;
use sidenote::engine::Engine;
use sidenote::engine::core::rows::decode;
use sidenote::engine::core::values::SessionValue;
use sidenote::engine::link::LinkMode;
use sidenote::ids::{ConversationId, PluginName};
use sidenote::kv::{Scope, Writes};
use sidenote::outbox::note::{Call, Note, PostError, Posted, Redaction};
use sidenote::post::Post;
use sidenote::store::{Change, Group, Key, RedisStore, Rows, Store, StoreError, Table};
use sidenote_tests::RedisServer;
use sidenote_tests::world::{action, batch, embedded, settings, wish};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// So long a life may take.
const LONG: Duration = Duration::from_secs(20);
/// Notes of a life, each of them one action.
const NOTES: u64 = 2;

/// A store whose process dies at a commit: before it, or when it is stored and nobody knows.
pub(crate) struct Mortal {
    pub(crate) inner: Arc<dyn Store>,
    /// Commits until then.
    pub(crate) left: AtomicUsize,
    pub(crate) is_stored: bool,
    pub(crate) died: Arc<Notify>,
}

#[async_trait::async_trait]
impl Store for Mortal {
    async fn load(&self, table: Table, groups: &[Group]) -> Result<Vec<Rows>, StoreError> {
        self.inner.load(table, groups).await
    }

    async fn scan(
        &self,
        table: Table,
        after: Option<Key>,
        limit: usize,
    ) -> Result<Vec<(Key, Vec<u8>)>, StoreError> {
        self.inner.scan(table, after, limit).await
    }

    async fn commit(&self, changes: Arc<[Change]>) -> Result<(), StoreError> {
        if self.left.fetch_sub(1, Relaxed) > 1 {
            return self.inner.commit(changes).await;
        }
        if self.is_stored {
            self.inner.commit(changes).await?;
        }
        self.died.notify_one();
        std::future::pending().await
    }
}

/// A plugin that keeps which notes it posted, in both scopes; it is told so at each attempt.
#[derive(Default)]
struct Keeping {
    posts: Mutex<Vec<u64>>,
}

#[async_trait::async_trait]
impl Post for Keeping {
    async fn post_note(&self, call: Call, note: &Note) -> Result<Posted, PostError> {
        self.posts.lock().expect("a step of the test").push(note.seq);
        assert!(call.kv.is_stored());
        assert_eq!(call.kv.session(), Some(&note.key));
        let mut written = Writes::default();
        for scope in [Scope::Plugin, Scope::Session] {
            written.put(scope, &format!("n{}", note.seq), Some(vec![1; 100]));
        }
        call.kv.keep(written);
        Ok(Posted { note_id: Some(format!("id-{}", note.seq)), pause: None })
    }

    async fn redact_note(
        &self,
        _: Call,
        _: &PluginName,
        _: &ConversationId,
        _: &str,
    ) -> Result<Redaction, PostError> {
        Ok(Redaction::Removed)
    }
}

/// Which notes are on record as sent, and which are kept in each scope.
async fn on_record(store: &dyn Store) -> [BTreeSet<String>; 3] {
    let sent = store.scan(Table::Sent, None, 100).await.expect("a step of the test");
    let of_plugin = store.scan(Table::PluginValue, None, 100).await.expect("a step of the test");
    let of_session = store.scan(Table::SessionValue, None, 100).await.expect("a step of the test");
    let value =
        |row: &[u8]| decode::<SessionValue>(row).expect("a step of the test").key.to_string();
    [
        sent.iter().map(|(key, _)| format!("n{}", key.number)).collect(),
        of_plugin
            .iter()
            .filter(|(key, _)| key.number != 0)
            .map(|(key, _)| key.group.1.to_string())
            .collect(),
        of_session.iter().map(|(_, row)| value(row)).collect(),
    ]
}

/// A life of the host: until it dies, or has posted all that there is.
async fn live(store: Arc<dyn Store>, inner: &dyn Store, died: &Notify) -> Arc<Keeping> {
    let post = Arc::new(Keeping::default());
    let rules = Delivery { max_note_actions: 1, max_gathered_actions: 1, ..Delivery::default() };
    let (handle, service) = Engine::new(store, post.clone(), settings(&rules), Clock::system());
    let mut engine = JoinSet::new();
    engine.spawn(service.run());
    let acts = async {
        for n in 0..NOTES {
            // One that is known already is posted all the same, as another note.
            handle
                .accept_committed(batch("s", [action(&format!("act {n}"))]), 100)
                .await
                .expect("a step of the test");
        }
        handle.link(wish("s", "c", LinkMode::Auto)).await.expect("a step of the test");
        let all = async {
            while on_record(inner).await[0].len()
                < usize::try_from(NOTES).expect("a step of the test")
            {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        all.await;
    };
    let ended = timeout(LONG, async {
        tokio::select! {
            () = acts => {}
            () = died.notified() => {}
        }
    });
    ended.await.expect("it dies, or posts everything");
    engine.shutdown().await;
    // A commit that was under way goes on without its engine: what is read next is from behind it.
    inner.commit(Arc::from(Vec::new())).await.expect("nothing is stored");
    post
}

/// Dies at this commit, and lives on. `false`: there was no such commit.
async fn dies_at(step: usize, is_stored: bool, inner: Arc<dyn Store>) -> bool {
    let died = Arc::new(Notify::new());
    let left = AtomicUsize::new(step);
    let mortal = Mortal { inner: inner.clone(), left, is_stored, died: died.clone() };
    let mortal = Arc::new(mortal);
    live(mortal.clone(), &*inner, &died).await;
    let has_died = mortal.left.load(Relaxed) == 0;
    let about = format!("commit {step}, stored: {is_stored}");
    let [sent, of_plugin, of_session] = on_record(&*inner).await;
    assert_eq!((&sent, &sent), (&of_plugin, &of_session), "{about}: both, or neither");
    let next = live(inner.clone(), &*inner, &Notify::new()).await;
    let [now_sent, of_plugin, of_session] = on_record(&*inner).await;
    assert_eq!((&now_sent, &now_sent), (&of_plugin, &of_session), "{about}");
    assert!(now_sent.is_superset(&sent), "{about}");
    // What was on record as sent isn't posted again, and so isn't written again.
    let posted = next.posts.lock().expect("a step of the test").clone();
    assert!(posted.iter().all(|seq| !sent.contains(&format!("n{seq}"))), "{about}: {posted:?}");
    has_died
}

#[tokio::test]
async fn a_crash_at_any_commit_keeps_both_or_neither_on_the_embedded_store() {
    let mut steps = 0;
    for is_stored in [false, true] {
        for step in 1.. {
            let folder = tempfile::tempdir().unwrap();
            let store = embedded(&folder.path().join("store.redb")).await;
            if !dies_at(step, is_stored, store).await {
                break;
            }
            steps += 1;
        }
    }
    assert!(steps >= 8, "{steps} deaths are too few to have met every commit");
}

#[tokio::test]
async fn a_crash_at_any_commit_keeps_both_or_neither_on_a_redis_server() {
    let Some(server) = RedisServer::start(&[]).await else { return };
    let mut steps = 0;
    for is_stored in [false, true] {
        for step in 1.. {
            let config = sidenote::config::Redis {
                namespace: format!("kv-{is_stored}-{step}"),
                ..server.config()
            };
            let store = RedisStore::open(&config).await.unwrap();
            store.hold().await.unwrap();
            if !dies_at(step, is_stored, Arc::new(store)).await {
                break;
            }
            steps += 1;
        }
    }
    assert!(steps >= 8, "{steps} deaths are too few to have met every commit");
}
