//! The store: rows read and written.

use std::sync::{Arc, Mutex, PoisonError};

use redis::{cmd, pipe};
use tokio::task::JoinSet;

use super::checks::{self, Warning};
use super::commit::Committer;
use super::failure::OpenError;
use super::keys::{self, Keys};
use super::lease::Lease;
use super::server::Server;
use super::snapshots::SharedSnapshots;
use crate::clock::Timestamp;
use crate::config;
use crate::store::{Change, Group, Key, Rows, Snapshots, Store, StoreError, Table};

/// Groups that are asked for at once.
const PAGE: usize = 256;

/// Space that must be there again after the memory was full, in bytes, where the server has that much.
const RESERVE: u64 = 8 << 20;

/// A store on a Redis server. Nothing is written before [`Store::hold`].
pub struct RedisStore {
    server: Server,
    keys: Keys,
    lease: Lease,
    /// One commit at a time: their numbers reach the server in order.
    committer: tokio::sync::Mutex<Committer>,
    /// Renews the lease; ends with the store.
    renewal: Mutex<JoinSet<()>>,
    /// Where they are shared.
    snapshots: Option<Arc<SharedSnapshots>>,
    warnings: Vec<Warning>,
}

impl RedisStore {
    /// Connects to the server. What its settings put at risk is logged, and told by
    /// [`RedisStore::warnings`].
    ///
    /// # Errors
    /// It can't be reached, doesn't let us in, or is not of a kind that can be used.
    pub async fn open(config: &config::Redis) -> Result<Self, OpenError> {
        let (server, name) = Server::connect(config).await?;
        let warnings = checks::look(&server, &name).await?;
        checks::rights(&server, config, &name).await?;
        let keys = Keys::new(&config.namespace);
        Ok(Self {
            lease: Lease::new(server.clone(), keys.clone()),
            committer: tokio::sync::Mutex::new(Committer::new()),
            renewal: Mutex::new(JoinSet::new()),
            snapshots: config
                .sdk_sessions
                .then(|| Arc::new(SharedSnapshots::new(server.clone(), config.session_ttl))),
            server,
            keys,
            warnings,
        })
    }

    /// Names whoever writes through this store. A host that is started again under the same name need not
    /// wait for the lease of the one before; no two that live may share a name.
    #[must_use]
    pub fn held_by(mut self, holder: &str) -> Self {
        self.lease.name_holder(holder);
        self
    }

    /// What the server's settings put at risk, as they were when it was opened.
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// What time it is for the server.
    ///
    /// # Errors
    /// It doesn't answer.
    pub async fn time(&self) -> Result<Timestamp, StoreError> {
        let (seconds, micros): (u64, u64) = self.server.query(&cmd("TIME")).await?;
        Ok(Timestamp::from_secs_f64(seconds as f64 + micros as f64 / 1e6))
    }

    /// The numbers of the rows of each group.
    async fn numbers(&self, table: Table, groups: &[Group]) -> Result<Vec<Vec<u64>>, StoreError> {
        let mut asked = pipe();
        for group in groups {
            asked.cmd("HKEYS").arg(self.keys.rows(table, group));
        }
        let mut numbers: Vec<Vec<u64>> = self.server.query_all(&asked).await?;
        for of_group in &mut numbers {
            of_group.sort_unstable();
        }
        Ok(numbers)
    }

    /// These rows, without those that have gone.
    async fn values(
        &self,
        table: Table,
        wanted: &[(Group, Vec<u64>)],
    ) -> Result<Vec<(Key, Vec<u8>)>, StoreError> {
        let mut asked = pipe();
        for (group, numbers) in wanted {
            asked.cmd("HMGET").arg(self.keys.rows(table, group)).arg(numbers);
        }
        let values: Vec<Vec<Option<Vec<u8>>>> = self.server.query_all(&asked).await?;
        let mut rows = Vec::new();
        for ((group, numbers), values) in wanted.iter().zip(values) {
            for (&number, value) in numbers.iter().zip(values) {
                let key = Key { table, group: group.clone(), number };
                rows.extend(value.map(|value| (key, value)));
            }
        }
        Ok(rows)
    }

    /// The groups of `table` behind `after`, up to [`PAGE`] of them.
    async fn groups(
        &self,
        table: Table,
        after: Option<&Group>,
        limit: usize,
    ) -> Result<Vec<Group>, StoreError> {
        let from = match after {
            None => b"-".to_vec(),
            Some(group) => [b"(".to_vec(), keys::member(group)].concat(),
        };
        let mut asked = cmd("ZRANGE");
        asked.arg(self.keys.index(table)).arg(from).arg("+").arg("BYLEX");
        asked.arg("LIMIT").arg(0).arg(limit.min(PAGE));
        let members: Vec<Vec<u8>> = self.server.query(&asked).await?;
        let groups = members.iter().map(|member| keys::group(member)).collect::<Option<_>>();
        groups.ok_or_else(|| {
            StoreError::Fatal("an index on the Redis server holds what is no group".to_owned())
        })
    }
}

#[async_trait::async_trait]
impl Store for RedisStore {
    async fn load(&self, table: Table, groups: &[Group]) -> Result<Vec<Rows>, StoreError> {
        let mut loaded = Vec::with_capacity(groups.len());
        for page in groups.chunks(PAGE) {
            let mut asked = pipe();
            for group in page {
                asked.cmd("HGETALL").arg(self.keys.rows(table, group));
            }
            let mut rows: Vec<Rows> = self.server.query_all(&asked).await?;
            for of_group in &mut rows {
                of_group.sort_unstable_by_key(|(number, _)| *number);
            }
            loaded.append(&mut rows);
        }
        Ok(loaded)
    }

    async fn scan(
        &self,
        table: Table,
        after: Option<Key>,
        limit: usize,
    ) -> Result<Vec<(Key, Vec<u8>)>, StoreError> {
        let mut scanned = Vec::new();
        // The group of `after` may have rows behind it.
        let (mut groups, mut behind) = match after {
            None => (self.groups(table, None, limit).await?, None),
            Some(key) => (vec![key.group], Some(key.number)),
        };
        while scanned.len() < limit
            && let Some(last) = groups.last().cloned()
        {
            let mut wanted = Vec::new();
            let mut room = limit - scanned.len();
            for (group, mut numbers) in groups.iter().zip(self.numbers(table, &groups).await?) {
                if let Some(number) = behind.take() {
                    numbers.retain(|&of_group| of_group > number);
                }
                numbers.truncate(room);
                room -= numbers.len();
                if !numbers.is_empty() {
                    wanted.push((group.clone(), numbers));
                }
            }
            if !wanted.is_empty() {
                scanned.append(&mut self.values(table, &wanted).await?);
            }
            // Where rows went while they were read, those behind them come in their place.
            groups = match wanted.pop() {
                Some((group, numbers)) if room == 0 && scanned.len() < limit => {
                    behind = numbers.last().copied();
                    vec![group]
                }
                _ => self.groups(table, Some(&last), limit).await?,
            };
        }
        Ok(scanned)
    }

    async fn commit(&self, changes: Arc<[Change]>) -> Result<(), StoreError> {
        let mut committer = self.committer.lock().await;
        committer.commit(&self.server, &self.keys, self.lease.holder(), &changes).await
    }

    async fn hold(&self) -> Result<(), StoreError> {
        let epoch = self.lease.acquire().await?;
        self.committer.lock().await.hold(epoch);
        let mut renewal = self.renewal.lock().unwrap_or_else(PoisonError::into_inner);
        renewal.abort_all();
        renewal.spawn(self.lease.clone().keep(epoch));
        Ok(())
    }

    async fn release(&self) {
        let held = self.committer.lock().await.let_go();
        self.renewal.lock().unwrap_or_else(PoisonError::into_inner).abort_all();
        if held {
            self.lease.release().await;
        }
    }

    async fn has_room(&self) -> bool {
        let Ok(info) = self.server.query::<String>(cmd("INFO").arg("memory")).await else {
            return false;
        };
        let bytes = |field: &str| {
            let line = info.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
            line.and_then(|value| value.trim().parse::<u64>().ok()).unwrap_or(0)
        };
        let limit = bytes("maxmemory");
        limit == 0 || bytes("used_memory") + RESERVE.min(limit / 16) < limit
    }

    fn snapshots(&self) -> Option<Arc<dyn Snapshots>> {
        let snapshots = self.snapshots.clone()?;
        Some(snapshots)
    }
}
