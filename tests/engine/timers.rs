//! Timers of plugins, over crashes and clocks: a host that dies before or behind any of its commits has a timer together with
//! the outcome of the call that set it, or neither, and calls for each timer as one delivery.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sidenote::bytes::Bytes;
use sidenote::clock::{Clock, Timestamp};
use sidenote::config::Delivery;
use sidenote::engine::Engine;
use sidenote::engine::core::plugin_timers::TimerRow;
use sidenote::engine::core::rows::decode;
use sidenote::engine::link::LinkMode;
use sidenote::kv::Writes;
use sidenote::outbox::due_timer::DueTimer;
use sidenote::outbox::ended::{EndedDelivery, What};
use sidenote::outbox::note::{Call, Note, PostError, Posted, Redaction};
use sidenote::post::Post;
use sidenote::store::{RedisStore, Store, Table};
use sidenote::timer::SetTimer;
use sidenote_tests::RedisServer;
use sidenote_tests::world::{action, batch, embedded, settings, wish};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::kv::Mortal;

/// So long a life may take.
const LONG: Duration = Duration::from_secs(30);
/// Notes of a life, each of them one action whose call sets a timer.
const NOTES: usize = 2;
/// How soon the timers are due.
const SOON: Duration = Duration::from_millis(40);

/// A plugin whose notes set a timer each, due `in_so_long`; it is told which of them it is called for.
struct Setting {
    clock: Clock,
    in_so_long: Duration,
    /// The names of timers that it was called for, with the keys of the calls.
    woken: Arc<Mutex<Vec<(String, String)>>>,
}

#[async_trait::async_trait]
impl Post for Setting {
    async fn post_note(&self, call: Call, note: &Note) -> Result<Posted, PostError> {
        let now = self.clock.now();
        let timer = SetTimer {
            at: now + self.in_so_long,
            set_at: Some(now),
            payload: Bytes(note.seq.to_string().into_bytes()),
        };
        let mut written = Writes::default();
        written.put_timer(&format!("n{}", note.seq), Some(timer));
        call.kv.keep(written);
        Ok(Posted { note_id: Some(format!("id-{}", note.seq)), pause: None })
    }

    async fn redact_note(
        &self,
        _: Call,
        _: &sidenote::ids::PluginName,
        _: &sidenote::ids::ConversationId,
        _: &str,
    ) -> Result<Redaction, PostError> {
        Ok(Redaction::Removed)
    }

    async fn wake(&self, call: Call, timer: &DueTimer) -> Result<(), PostError> {
        assert_eq!(call.kv.session(), Some(&timer.key));
        let mut woken = self.woken.lock().expect("a step of the test");
        woken.push((timer.name.to_string(), call.idempotency_key));
        Ok(())
    }
}

/// What is on record.
#[derive(Debug, Default)]
struct OnRecord {
    /// Notes as sent.
    sent: BTreeSet<String>,
    /// Timers that wait, by their names.
    waiting: BTreeSet<String>,
    /// Timers that are due: names and keys.
    due: BTreeMap<String, String>,
    /// The keys of those that were called for.
    called: BTreeSet<String>,
    /// How many rows there are of notes that aren't sent.
    unsent: usize,
}

impl OnRecord {
    async fn of(store: &dyn Store) -> Self {
        let rows = async |table| store.scan(table, None, 1000).await.expect("a step of the test");
        let mut found = Self::default();
        for (key, _) in rows(Table::Sent).await {
            found.sent.insert(format!("n{}", key.number));
        }
        found.unsent = rows(Table::Open).await.len() + rows(Table::Outbox).await.len();
        for (_, row) in rows(Table::Timer).await {
            let row: TimerRow = decode(&row).expect("a row of ours");
            assert!(found.waiting.insert(row.name.to_string()));
        }
        for (_, row) in rows(Table::TimerQueue).await {
            let timer: DueTimer = decode(&row).expect("a row of ours");
            let twice = found.due.insert(timer.name.to_string(), timer.idempotency_key);
            assert_eq!(twice, None);
        }
        for (_, row) in rows(Table::Ended).await {
            let row: EndedDelivery = decode(&row).expect("a row of ours");
            if let What::Timer(timer) = row.what {
                assert!(found.called.insert(timer.idempotency_key));
            }
        }
        found
    }

    /// Every note that is on record as sent has its timer in one place, and no other note has any.
    fn assert_both_or_neither(&self, about: &str) {
        let timers = self.waiting.len() + self.due.len() + self.called.len();
        assert_eq!(self.sent.len(), timers, "{about}: {self:?}");
        let open: BTreeSet<_> = self.waiting.iter().chain(self.due.keys()).cloned().collect();
        assert_eq!(open.len(), self.waiting.len() + self.due.len(), "{about}: {self:?}");
        assert!(open.is_subset(&self.sent), "{about}: {self:?}");
    }
}

/// What a life ends with, where it doesn't die: so many notes are sent, and none is left.
#[derive(Clone, Copy)]
struct Wanted {
    notes: usize,
    /// Whether all timers are called for, too.
    timers: bool,
}

/// A life of the host: until it dies, or has done what is wanted.
async fn live(
    store: Arc<dyn Store>,
    inner: &dyn Store,
    died: &Notify,
    plugin: Setting,
    wanted: Wanted,
) {
    let clock = plugin.clock;
    let rules = Delivery { max_note_actions: 1, max_gathered_actions: 1, ..Delivery::default() };
    let (handle, service) = Engine::new(store, Arc::new(plugin), settings(&rules), clock);
    let mut engine = JoinSet::new();
    engine.spawn(service.run());
    let acts = async {
        let before = OnRecord::of(inner).await.sent.len();
        for n in before..wanted.notes {
            let batch = batch("s", [action(&format!("act {n}"))]);
            handle.accept_committed(batch, 100).await.expect("a step of the test");
        }
        handle.link(wish("s", "c", LinkMode::Auto)).await.expect("a step of the test");
        loop {
            let found = OnRecord::of(inner).await;
            let called = found.waiting.is_empty() && found.due.is_empty();
            if found.sent.len() >= wanted.notes && found.unsent == 0 && (called || !wanted.timers) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let ended = timeout(LONG, async {
        tokio::select! {
            () = acts => {}
            () = died.notified() => {}
        }
    });
    ended.await.expect("it dies, or does everything");
    engine.shutdown().await;
    // A commit that was under way goes on without its engine: what is read next is from behind it.
    inner.commit(Arc::from(Vec::new())).await.expect("nothing is stored");
}

/// Dies at this commit, and lives on. `false`: there was no such commit.
async fn dies_at(step: usize, is_stored: bool, inner: Arc<dyn Store>) -> bool {
    let died = Arc::new(Notify::new());
    let left = AtomicUsize::new(step);
    let mortal = Mortal { inner: inner.clone(), left, is_stored, died: died.clone() };
    let mortal = Arc::new(mortal);
    let woken = Arc::<Mutex<Vec<_>>>::default();
    let plugin = || Setting { clock: Clock::system(), in_so_long: SOON, woken: woken.clone() };
    let wanted = Wanted { notes: NOTES, timers: true };
    live(mortal.clone(), &*inner, &died, plugin(), wanted).await;
    let has_died = mortal.left.load(Relaxed) == 0;
    let about = format!("commit {step}, stored: {is_stored}");
    let before = OnRecord::of(&*inner).await;
    before.assert_both_or_neither(&about);
    live(inner.clone(), &*inner, &Notify::new(), plugin(), wanted).await;
    let after = OnRecord::of(&*inner).await;
    after.assert_both_or_neither(&about);
    assert!(after.waiting.is_empty() && after.due.is_empty(), "{about}: {after:?}");
    assert!(after.called.is_superset(&before.called), "{about}");
    // One delivery each: all calls for a timer have one key, and each was called for.
    let mut keys: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (name, key) in woken.lock().expect("a step of the test").iter().cloned() {
        keys.entry(name).or_default().insert(key);
    }
    let names: BTreeSet<_> = keys.keys().cloned().collect();
    assert_eq!(names, after.sent, "{about}");
    assert!(keys.values().all(|keys| keys.len() == 1), "{about}: {keys:?}");
    has_died
}

#[tokio::test]
async fn a_crash_at_any_commit_leads_to_one_call_each_on_the_embedded_store() {
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
    assert!(steps >= 12, "{steps} deaths are too few to have met every commit");
}

#[tokio::test]
async fn a_crash_at_any_commit_leads_to_one_call_each_on_a_redis_server() {
    let Some(server) = RedisServer::start(&[]).await else { return };
    let mut steps = 0;
    for is_stored in [false, true] {
        for step in 1.. {
            let config = sidenote::config::Redis {
                namespace: format!("timers-{is_stored}-{step}"),
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
    assert!(steps >= 12, "{steps} deaths are too few to have met every commit");
}

/// The system's clock is set between the starts of a host.
#[tokio::test]
async fn a_clock_that_jumps_between_two_lives_leads_to_one_call_each() {
    const HOUR: Duration = Duration::from_secs(3600);
    const BEGIN: Timestamp = Timestamp(1_700_000_000_000_000);
    for forward in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let store = embedded(&folder.path().join("store.redb")).await;
        let woken = Arc::<Mutex<Vec<_>>>::default();
        // Set for an hour, of which most is over before the next start where the clock was set forward.
        let in_so_long = if forward { HOUR } else { Duration::from_secs(3) };
        let life = async |at: Timestamp, timers| {
            let clock = Clock::starting_at(at);
            let plugin = Setting { clock, in_so_long, woken: woken.clone() };
            let wanted = Wanted { notes: 1, timers };
            live(store.clone(), &*store, &Notify::new(), plugin, wanted).await;
        };
        life(BEGIN, false).await;
        assert_eq!(OnRecord::of(&*store).await.waiting.len(), 1);
        life(if forward { BEGIN + HOUR } else { BEGIN - HOUR }, true).await;
        for at in [BEGIN - HOUR, BEGIN + HOUR * 2, BEGIN] {
            life(at, true).await;
        }
        let found = OnRecord::of(&*store).await;
        assert!(found.waiting.is_empty() && found.due.is_empty(), "forward: {forward}: {found:?}");
        assert_eq!(woken.lock().unwrap().len(), 1, "forward: {forward}");
    }
}
