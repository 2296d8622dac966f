//! A store that takes its time, can be full, and can fail for good before or after a commit is stored.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sidenote::store::{Change, Group, Key, MemoryStore, Rows, Store, StoreError, Table};
use tokio::time::Instant;

#[derive(Default)]
pub(crate) struct Faulty {
    rows: MemoryStore,
    latency: Duration,
    /// From when to when the disk was full, in order.
    full: Mutex<Vec<(Instant, Instant)>>,
    fails: AtomicU8,
}

const BEFORE: u8 = 1;
const AFTER: u8 = 2;

impl Faulty {
    pub(crate) fn new(latency: Duration) -> Self {
        Self { latency, ..Self::default() }
    }

    pub(crate) fn fill_for(&self, time: Duration) {
        let now = Instant::now();
        self.full.lock().expect("nothing panics with it").push((now, now + time));
    }

    /// How long the disk is full yet.
    pub(crate) fn full_for(&self) -> Duration {
        let full = self.full.lock().expect("nothing panics with it");
        full.iter().map(|(_, until)| *until - Instant::now()).max().unwrap_or_default()
    }

    /// Since when at least a commit may be under way that isn't stored yet: it is tried again a second
    /// after it met a full disk.
    pub(crate) fn behind_since(&self) -> Instant {
        let mut since = Instant::now();
        for (from, until) in self.full.lock().expect("nothing panics with it").iter().rev() {
            if *until + Duration::from_millis(1100) + self.two_rounds() >= since {
                since = since.min(*from);
            }
        }
        since - self.two_rounds()
    }

    /// The longest that the engine takes from an input to its commit: the round under way, and its own.
    /// A round is up to eighteen reads and a commit: a start reads each table in turn.
    pub(crate) fn two_rounds(&self) -> Duration {
        2 * (20 * self.latency + Duration::from_millis(2))
    }

    /// The next commit fails for good.
    pub(crate) fn fail(&self, stored: bool) {
        self.fails.store(if stored { AFTER } else { BEFORE }, Ordering::Relaxed);
    }

    /// It was a passing trouble: the next start finds it well.
    pub(crate) fn recover(&self) {
        self.fails.store(0, Ordering::Relaxed);
    }

    async fn pause(&self) {
        if !self.latency.is_zero() {
            tokio::time::sleep(self.latency).await;
        }
    }
}

#[async_trait::async_trait]
impl Store for Faulty {
    async fn load(&self, table: Table, groups: &[Group]) -> Result<Vec<Rows>, StoreError> {
        self.pause().await;
        self.rows.load(table, groups).await
    }

    async fn scan(
        &self,
        table: Table,
        after: Option<Key>,
        limit: usize,
    ) -> Result<Vec<(Key, Vec<u8>)>, StoreError> {
        // What a start takes up comes in pages of two, so that every page's end is met.
        let small = matches!(table, Table::Open | Table::Outbox) && limit != usize::MAX;
        self.rows.scan(table, after, if small { 2 } else { limit }).await
    }

    async fn commit(&self, changes: Arc<[Change]>) -> Result<(), StoreError> {
        self.pause().await;
        let failed = || Err(StoreError::Fatal("as the test wishes".to_owned()));
        match self.fails.load(Ordering::Relaxed) {
            BEFORE => return failed(),
            AFTER => {
                self.rows.commit(changes).await?;
                return failed();
            }
            _ => {}
        }
        if !self.full_for().is_zero() {
            return Err(StoreError::Full("as the test wishes".to_owned()));
        }
        self.rows.commit(changes).await?;
        self.pause().await;
        Ok(())
    }
}
