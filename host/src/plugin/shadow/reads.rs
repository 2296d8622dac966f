//! What a live call read of the store, so that a shadow's call reads the same.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use crate::store::{Change, Group, Key, Rows, Store, StoreError, Table};

/// What is remembered of one call, in bytes.
const MOST_BYTES: usize = 1 << 20;

type Page = Vec<(Key, Vec<u8>)>;

/// What was read. Cloning shares it.
#[derive(Clone, Default)]
pub(in crate::plugin) struct Reads(Arc<Mutex<Seen>>);

#[derive(Default)]
struct Seen {
    groups: HashMap<(Table, Group), Rows>,
    pages: HashMap<(Table, Option<Key>, usize), Page>,
    bytes: usize,
    /// Something that was read isn't here: it was too much, or the store failed.
    is_short: bool,
}

impl Reads {
    /// Whether all that was read is here.
    pub(in crate::plugin) fn is_whole(&self) -> bool {
        !self.open().is_short
    }

    /// How much memory it takes, about.
    pub(in crate::plugin) fn bytes(&self) -> usize {
        self.open().bytes
    }

    fn open(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seen {
    fn has_capacity(&mut self, bytes: usize) -> bool {
        self.bytes += bytes;
        self.is_short |= self.bytes > MOST_BYTES;
        !self.is_short
    }
}

/// A store that remembers what is read of it.
pub(in crate::plugin) struct Remembering {
    /// The store.
    pub(in crate::plugin) store: Arc<dyn Store>,
    /// What was read.
    pub(in crate::plugin) reads: Reads,
}

/// A store that answers as it did before, and what wasn't asked before as it is now. Nothing is written.
pub(in crate::plugin) struct Remembered {
    /// The store, as long as the host has it open.
    pub(in crate::plugin) store: Weak<dyn Store>,
    /// What was read before.
    pub(in crate::plugin) reads: Reads,
    /// Groups and pages that weren't.
    pub(in crate::plugin) beyond: Arc<AtomicU64>,
}

#[async_trait::async_trait]
impl Store for Remembering {
    async fn load(&self, table: Table, groups: &[Group]) -> Result<Vec<Rows>, StoreError> {
        let loaded = self.store.load(table, groups).await;
        let mut seen = self.reads.open();
        match &loaded {
            Ok(loaded) => {
                for (group, rows) in groups.iter().zip(loaded) {
                    let bytes = rows.iter().map(|(_, row)| row.len()).sum();
                    if seen.has_capacity(bytes) {
                        // The first answer stands: a call asks once for each.
                        seen.groups.entry((table, group.clone())).or_insert_with(|| rows.clone());
                    }
                }
            }
            Err(_) => seen.is_short = true,
        }
        loaded
    }

    async fn scan(
        &self,
        table: Table,
        after: Option<Key>,
        limit: usize,
    ) -> Result<Page, StoreError> {
        let page = self.store.scan(table, after.clone(), limit).await;
        let mut seen = self.reads.open();
        match &page {
            Ok(page) => {
                let bytes = page.iter().map(|(_, row)| row.len()).sum();
                if seen.has_capacity(bytes) {
                    seen.pages.insert((table, after, limit), page.clone());
                }
            }
            Err(_) => seen.is_short = true,
        }
        page
    }

    async fn commit(&self, _changes: Arc<[Change]>) -> Result<(), StoreError> {
        Err(read_only())
    }
}

impl Remembered {
    fn open(&self) -> Result<Arc<dyn Store>, StoreError> {
        self.store.upgrade().ok_or_else(|| StoreError::Away("the host is shutting down".to_owned()))
    }
}

#[async_trait::async_trait]
impl Store for Remembered {
    async fn load(&self, table: Table, groups: &[Group]) -> Result<Vec<Rows>, StoreError> {
        let mut all = Vec::with_capacity(groups.len());
        for group in groups {
            let before = self.reads.open().groups.get(&(table, group.clone())).cloned();
            all.push(match before {
                Some(rows) => rows,
                None => {
                    self.beyond.fetch_add(1, Relaxed);
                    let now = self.open()?.load(table, std::slice::from_ref(group)).await?;
                    now.into_iter().next().unwrap_or_default()
                }
            });
        }
        Ok(all)
    }

    async fn scan(
        &self,
        table: Table,
        after: Option<Key>,
        limit: usize,
    ) -> Result<Page, StoreError> {
        let before = self.reads.open().pages.get(&(table, after.clone(), limit)).cloned();
        if let Some(page) = before {
            return Ok(page);
        }
        self.beyond.fetch_add(1, Relaxed);
        self.open()?.scan(table, after, limit).await
    }

    async fn commit(&self, _changes: Arc<[Change]>) -> Result<(), StoreError> {
        Err(read_only())
    }
}

fn read_only() -> StoreError {
    StoreError::Refused("nothing is written for a plugin's call but with its outcome".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::MemoryStore;

    fn group(name: &str) -> Group {
        Group("p".into(), name.into())
    }

    async fn put(store: &MemoryStore, name: &str, value: &[u8]) {
        let key = Key { table: Table::PluginValue, group: group(name), number: 1 };
        store.commit([Change::Put(key, value.to_vec())].into()).await.unwrap();
    }

    #[tokio::test]
    async fn what_was_read_is_read_again_whatever_was_stored_since() {
        let store = Arc::new(MemoryStore::default());
        put(&store, "a", b"old").await;
        let reads = Reads::default();
        let live = Remembering { store: store.clone(), reads: reads.clone() };
        let before = live.load(Table::PluginValue, &[group("a"), group("none")]).await.unwrap();
        let page = live.scan(Table::PluginValue, None, 10).await.unwrap();
        assert!(reads.is_whole() && reads.bytes() > 0);
        put(&store, "a", b"new").await;
        put(&store, "none", b"new").await;
        put(&store, "other", b"new").await;
        let beyond = Arc::new(AtomicU64::new(0));
        let now: Arc<dyn Store> = store.clone();
        let again = Remembered { store: Arc::downgrade(&now), reads, beyond: beyond.clone() };
        let groups = [group("a"), group("none")];
        assert_eq!(again.load(Table::PluginValue, &groups).await.unwrap(), before);
        assert_eq!(again.scan(Table::PluginValue, None, 10).await.unwrap(), page);
        assert_eq!(beyond.load(Relaxed), 0);
        let other = again.load(Table::PluginValue, &[group("other")]).await.unwrap();
        assert_eq!((other[0][0].1.as_slice(), beyond.load(Relaxed)), (&b"new"[..], 1));
        let key = Key { table: Table::PluginValue, group: group("a"), number: 1 };
        assert!(again.commit([Change::Delete(key)].into()).await.is_err());
    }

    #[tokio::test]
    async fn more_than_is_remembered_is_said_to_be_missing() {
        let store = Arc::new(MemoryStore::default());
        put(&store, "a", &vec![0; MOST_BYTES + 1]).await;
        let reads = Reads::default();
        let live = Remembering { store, reads: reads.clone() };
        live.load(Table::PluginValue, &[group("a")]).await.unwrap();
        assert!(!reads.is_whole());
    }
}
