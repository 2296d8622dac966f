//! The sessions in memory, read from the store when something happens to them.

use std::hash::{BuildHasher, RandomState};

use hashbrown::HashTable;

use super::timers::Timers;
use crate::clock::Timestamp;
use crate::ids::SessionKey;
use crate::rules::Delivery;
use crate::session::batch::StoredEntry;
use crate::session::state::{Record, Sealing, Session};

/// All that are in memory.
#[derive(Default)]
pub(super) struct Sessions {
    /// By their keys, which are theirs; boxed: a table has capacity for more than it holds, and keeps it.
    live: HashTable<Box<Live>>,
    hasher: RandomState,
    timers: Timers,
    /// Bytes of memory that the actions of their open batches take.
    held: usize,
}

struct Live {
    session: Session,
    /// When something last happened to it.
    touched: Timestamp,
    /// Its part of what all hold.
    held: usize,
}

impl Live {
    /// Counts what it holds.
    fn count(&mut self) -> usize {
        self.held = self.session.open().held();
        self.held
    }
}

impl Sessions {
    fn live(&self, key: &SessionKey) -> Option<&Live> {
        let found = self.live.find(self.hasher.hash_one(key), |live| live.session.key == *key);
        found.map(|live| &**live)
    }

    fn live_mut(&mut self, key: &SessionKey) -> Option<&mut Live> {
        let hash = self.hasher.hash_one(key);
        self.live.find_mut(hash, |live| live.session.key == *key).map(|live| &mut **live)
    }

    fn take(&mut self, key: &SessionKey) -> Option<Session> {
        let hash = self.hasher.hash_one(key);
        let found = self.live.find_entry(hash, |live| live.session.key == *key).ok()?;
        let (live, _) = found.remove();
        self.held -= live.held;
        Some(live.session)
    }

    /// A session.
    pub(super) fn get(&self, key: &SessionKey) -> Option<&Session> {
        self.live(key).map(|live| &live.session)
    }

    /// A session to which something happens.
    pub(super) fn get_mut(&mut self, key: &SessionKey, now: Timestamp) -> Option<&mut Session> {
        let live = self.live_mut(key)?;
        live.touched = now;
        Some(&mut live.session)
    }

    /// A session of whose rows one is about to be changed by what is no concern of its own.
    pub(super) fn peek_mut(&mut self, key: &SessionKey) -> Option<&mut Session> {
        self.live_mut(key).map(|live| &mut live.session)
    }

    /// What is on record of a session.
    pub(super) fn record(&self, key: &SessionKey) -> Option<&Record> {
        self.get(key).map(Session::record)
    }

    /// Whether a session is in memory.
    pub(super) fn has(&self, key: &SessionKey) -> bool {
        self.live(key).is_some()
    }

    /// How many are in memory.
    pub(super) fn len(&self) -> usize {
        self.live.len()
    }

    /// All of them.
    pub(super) fn keys(&self) -> impl Iterator<Item = &SessionKey> {
        self.live.iter().map(|live| &live.session.key)
    }

    /// Something happens to what waits of a session.
    pub(super) fn touch(&mut self, key: &SessionKey, now: Timestamp) {
        if let Some(live) = self.live_mut(key) {
            live.touched = now;
        }
    }

    /// Takes up a session that was read.
    pub(super) fn put(&mut self, session: Session, now: Timestamp) {
        drop(self.take(&session.key));
        let live = Box::new(Live { held: session.open().held(), session, touched: now });
        self.held += live.held;
        let hasher = &self.hasher;
        let hash = hasher.hash_one(&live.session.key);
        self.live.insert_unique(hash, live, |live| hasher.hash_one(&live.session.key));
    }

    /// Bytes of memory that the actions of open batches take.
    pub(super) fn held(&self) -> usize {
        self.held
    }

    /// Takes the actions of a session's open batch out of memory.
    pub(super) fn unload(&mut self, key: &SessionKey) {
        if let Some(live) = self.live_mut(key) {
            live.session.unload();
            let held = std::mem::take(&mut live.held);
            self.held -= held;
        }
    }

    /// Takes in the actions of a session's open batch. Returns how many are missed.
    pub(super) fn restore(&mut self, key: &SessionKey, rows: Vec<(u64, StoredEntry)>) -> u64 {
        let Some(live) = self.live_mut(key) else { return 0 };
        let missed = live.session.restore(rows);
        let (before, after) = (live.held, live.count());
        self.held = self.held - before + after;
        missed
    }

    /// Whether the actions of its open batch are in memory.
    pub(super) fn is_loaded(&self, key: &SessionKey) -> bool {
        self.get(key).is_none_or(|session| session.open().is_loaded())
    }

    /// Forgets a session.
    pub(super) fn remove(&mut self, key: &SessionKey) -> Option<Session> {
        self.timers.set(key, None);
        self.take(key)
    }

    /// Puts a session that nobody knows in the place of one, whatever that waits for. The numbers of its
    /// deliveries aren't given again.
    pub(super) fn begin_anew(&mut self, key: &SessionKey, now: Timestamp) -> Option<Record> {
        let record = self.remove(key)?.record().clone();
        let fresh = Session::load(key.clone(), None, Vec::new())
            .with_numbers_taken(0, record.notes, 0)
            .with_sink_deliveries_taken(record.sink_deliveries);
        self.put(fresh, now);
        Some(record)
    }

    /// Sets a session's timer.
    pub(super) fn settle(&mut self, key: &SessionKey, rules: &Delivery, sealing: Sealing) {
        if let Some(live) = self.live_mut(key) {
            let (before, after) = (live.held, live.count());
            let timer = live.session.next_timer(rules, sealing);
            self.held = self.held - before + after;
            self.timers.set(key, timer);
        }
    }

    /// The next moment at which something is due.
    pub(super) fn next_timer(&self) -> Option<Timestamp> {
        self.timers.next()
    }

    /// Takes the sessions whose timer is due.
    pub(super) fn take_due(&mut self, now: Timestamp) -> Vec<SessionKey> {
        self.timers.take_due(now)
    }

    /// Forgets sessions that have nothing to do and weren't touched since `before`. They are read back from the store
    /// when something happens to them. `hard` takes those too that only wait for the end of the pre-link window.
    /// `is_idle` says whether nothing else of a session waits; with the flag, for a moment neither. Returns which went.
    pub(super) fn evict(
        &mut self,
        before: Timestamp,
        hard: bool,
        is_idle: impl Fn(&SessionKey, bool) -> bool,
    ) -> Vec<SessionKey> {
        let mut gone = Vec::new();
        for live in &self.live {
            let key = &live.session.key;
            let unlinked = hard && live.session.record().link.is_none();
            let waits = self.timers.has(key) && !unlinked;
            if live.touched <= before && !waits && is_idle(key, !unlinked) {
                gone.push(key.clone());
            }
        }
        for key in &gone {
            self.remove(key);
        }
        gone
    }
}
