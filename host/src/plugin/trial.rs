//! What plugins keep while they are tried out: in memory, stored behind each call as the engine does with its outcome.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use crate::clock::Timestamp;
use crate::engine::core::plugin_timers::TimerRow;
use crate::engine::core::rows::{put, read, session_group, session_key};
use crate::engine::core::values::Bytes;
use crate::engine::core::{Missing, Tx, plugin_timers, values};
use crate::ids::{PluginName, SessionKey};
use crate::kv::CallKv;
use crate::store::{Change, Group, Key, MemoryStore, Rows, Store, StoreError, Table};

/// Timers that are taken out at once.
const MOST_TIMERS: usize = 10_000;

/// A store in memory for plugins that are tried out. Cloning shares it.
#[derive(Clone, Default)]
pub struct TrialKv(Arc<Shared>);

#[derive(Default)]
struct Shared {
    rows: MemoryStore,
    away: AtomicBool,
}

impl TrialKv {
    /// Where a registry reads it: see [`Registry::with_store`](super::Registry::with_store).
    pub fn store(&self) -> Arc<dyn Store> {
        self.0.clone()
    }

    /// Has it be away from here on, or back.
    pub fn set_away(&self, away: bool) {
        self.0.away.store(away, Relaxed);
    }

    /// Stores what the calls of one piece of work wrote.
    ///
    /// # Errors
    /// The store is away: nothing is stored.
    pub async fn keep(&self, plugin: &PluginName, kv: &CallKv) -> Result<(), StoreError> {
        let (writes, session) = (kv.written(), kv.session());
        let mut tx = Tx::new(Timestamp::default());
        while let Err(missing) = values::load(&tx.view, plugin, session, &writes) {
            self.fetch(missing, &mut tx).await?;
        }
        if let Some(session) = session {
            while let Err(missing) = plugin_timers::load(&tx.view, session, &writes) {
                self.fetch(missing, &mut tx).await?;
            }
        }
        values::store_of_plugin(plugin, &writes, &mut tx);
        if let Some(session) = session {
            values::store_of_session(plugin, session, &writes, &mut tx);
            let timers = plugin_timers::changes(plugin, session, &writes, &tx);
            timers.into_iter().for_each(|change| tx.push(change));
        }
        self.0.commit(tx.changes().into()).await
    }

    /// Has a session have so many timers.
    ///
    /// # Errors
    /// The store is away.
    pub async fn fill_timers(
        &self,
        plugin: &PluginName,
        session: &SessionKey,
        timers: usize,
    ) -> Result<(), StoreError> {
        let timer = |number: u64| {
            let row = TimerRow {
                plugin: plugin.clone(),
                name: format!("there before {number}").into(),
                at: Timestamp(i64::MAX),
                set_at: None,
                payload: Bytes(Vec::new()),
            };
            put(Table::Timer, session_group(session), number, &row)
        };
        self.0.commit((1..=timers as u64).map(timer).collect()).await
    }

    /// The timers that calls set, taken out: they are due.
    ///
    /// # Errors
    /// The store is away.
    pub async fn take_timers(&self) -> Result<Vec<(SessionKey, TimerRow)>, StoreError> {
        let rows = self.0.scan(Table::Timer, None, MOST_TIMERS).await?;
        let gone: Arc<[Change]> = rows.iter().map(|(key, _)| Change::Delete(key.clone())).collect();
        self.0.commit(gone).await?;
        let timer = |(key, row): (Key, Vec<u8>)| {
            Some((session_key(&key.group)?, read::<TimerRow>(Table::Timer, key.number, &row)?))
        };
        Ok(rows.into_iter().filter_map(timer).collect())
    }

    async fn fetch(&self, missing: Missing, tx: &mut Tx) -> Result<(), StoreError> {
        for (table, groups) in missing.groups {
            let rows = self.0.load(table, &groups).await?;
            groups.into_iter().zip(rows).for_each(|(group, rows)| tx.view.put(table, group, rows));
        }
        Ok(())
    }
}

impl Shared {
    fn rows(&self) -> Result<&MemoryStore, StoreError> {
        match self.away.load(Relaxed) {
            true => Err(StoreError::Away("it is tried what comes of that".to_owned())),
            false => Ok(&self.rows),
        }
    }
}

#[async_trait::async_trait]
impl Store for Shared {
    async fn load(&self, table: Table, groups: &[Group]) -> Result<Vec<Rows>, StoreError> {
        self.rows()?.load(table, groups).await
    }

    async fn scan(
        &self,
        table: Table,
        after: Option<Key>,
        limit: usize,
    ) -> Result<Vec<(Key, Vec<u8>)>, StoreError> {
        self.rows()?.scan(table, after, limit).await
    }

    async fn commit(&self, changes: Arc<[Change]>) -> Result<(), StoreError> {
        self.rows()?.commit(changes).await
    }
}
