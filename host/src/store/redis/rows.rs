//! The store: rows read and written.

use std::sync::{Arc, Mutex, PoisonError};

use redis::cmd;
use tokio::task::JoinSet;

use super::checks::{self, Warning};
use super::commit::Committer;
use super::failure::OpenError;
use super::keys::Keys;
use super::lease::Lease;
use super::reading;
use super::server::Server;
use super::snapshots::SharedSnapshots;
use crate::clock::Timestamp;
use crate::config;
use crate::store::{Change, Group, Key, Rows, Snapshots, Store, StoreError, Table};

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
}

#[async_trait::async_trait]
impl Store for RedisStore {
    async fn load(&self, table: Table, groups: &[Group]) -> Result<Vec<Rows>, StoreError> {
        reading::load(&self.server, &self.keys, table, groups).await
    }

    async fn scan(
        &self,
        table: Table,
        after: Option<Key>,
        limit: usize,
    ) -> Result<Vec<(Key, Vec<u8>)>, StoreError> {
        reading::scan(&self.server, &self.keys, table, after, limit).await
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
        reading::has_room(&info)
    }

    fn snapshots(&self) -> Option<Arc<dyn Snapshots>> {
        let snapshots = self.snapshots.clone()?;
        Some(snapshots)
    }
}
