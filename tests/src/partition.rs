//! The store of one partition, for tests that take any store: as it is, or on a server and in a runtime of its own, so that
//! a test's paused time stands still while the server works.

use std::sync::Arc;
use std::time::Duration;

use sidenote::config;
use sidenote::store::{
    Change, Group, Key, MemoryStore, Owner, PartitionStore, Rows, SharedServer, Store, StoreError,
    Table,
};
use sidenote_cluster::call::{Acquire, Acquired, Call};
use sidenote_cluster::ids::{Epoch, HostId, Incarnation, Member, Partition, Resource};
use sidenote_cluster::partition::Partitions;
use tokio::runtime::{Builder, Handle, Runtime};

use crate::redis_server::RedisServer;

/// A lease that ends only where a test ends it.
const LEASE: Duration = Duration::from_secs(3600);

/// What a program of tests is told its stores by: `partition`, else they are in memory.
const STORES: &str = "SIDENOTE_TEST_STORES";

/// A new empty store: in memory, or with `SIDENOTE_TEST_STORES=partition` a partition on a Redis server of its own.
///
/// # Panics
/// Where the variable has another value, or there is no server to be had.
pub fn fresh_store() -> Arc<dyn Store> {
    match std::env::var(STORES).as_deref() {
        Err(_) => Arc::new(MemoryStore::new()),
        Ok("partition") => Arc::new(Apart::start()),
        Ok(other) => panic!("{STORES}={other}: it can be `partition`"),
    }
}

/// A host of a test, by name.
///
/// # Panics
/// Where it isn't one.
pub fn member(name: &str) -> Member {
    Member::new(HostId::new(name).expect("a name"), Incarnation::new(1))
}

/// The servers that hosts of this configuration share.
///
/// # Panics
/// Where they can't be used.
pub async fn shared(config: &config::Redis) -> Arc<SharedServer> {
    let shared = SharedServer::open(config, LEASE, &[]).await;
    Arc::new(shared.unwrap_or_else(|error| panic!("{error}")))
}

/// Acquires a partition; where `over` has it, it is over with them.
///
/// # Errors
/// As [`SharedServer::call`].
///
/// # Panics
/// Where somebody has it whose lease runs.
pub async fn acquire(
    shared: &SharedServer,
    partition: Partition,
    by: &Member,
    over: Option<&Member>,
) -> Result<Epoch, StoreError> {
    let mut seen = Epoch::default();
    loop {
        let ask = Call::Acquire(Acquire {
            of: Resource::Partition(partition),
            by: by.clone(),
            seen,
            over: over.cloned(),
            ready: true,
            from: None,
            partitions: Partitions::default(),
        });
        match shared.call(&ask).await?.acquire() {
            Some(Acquired::Ours { epoch, .. }) => return Ok(epoch),
            Some(Acquired::Moved { epoch, .. }) => seen = epoch,
            other => panic!("{partition}: {other:?}"),
        }
    }
}

/// The store of a partition that `by` acquires.
///
/// # Panics
/// Where it can't be had.
pub async fn partition(
    shared: &Arc<SharedServer>,
    partition: Partition,
    by: &Member,
) -> PartitionStore {
    let epoch = acquire(shared, partition, by, None).await.expect("a server");
    let owner = Owner { partition, by: by.clone(), epoch };
    PartitionStore::open(shared.clone(), owner).await.expect("a server")
}

/// A partition's store whose work is done in another runtime, by real time. A paused clock stands still meanwhile.
struct Apart {
    store: Arc<PartitionStore>,
    /// `None` once it is told to end.
    runtime: Option<Runtime>,
    /// Ends with the store.
    _server: RedisServer,
}

impl Apart {
    fn start() -> Self {
        // The thread that asks is one of another runtime's.
        let started = std::thread::spawn(|| {
            let runtime = Builder::new_multi_thread()
                .worker_threads(1)
                .enable_all()
                .build()
                .expect("a runtime");
            let (store, server) = runtime.block_on(async {
                let server = RedisServer::start(&[]).await.expect("redis-server is installed");
                let shared = shared(&server.config()).await;
                (partition(&shared, Partition::new(7), &member("a")).await, server)
            });
            Self { store: Arc::new(store), runtime: Some(runtime), _server: server }
        });
        started.join().expect("a store")
    }

    async fn apart<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Handle, &PartitionStore) -> T + Send + 'static,
    ) -> T {
        let runtime = self.runtime.as_ref().expect("it runs").handle().clone();
        let store = self.store.clone();
        let worked = tokio::task::spawn_blocking(move || work(&runtime, &store)).await;
        worked.expect("the store doesn't panic")
    }
}

impl Drop for Apart {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

#[async_trait::async_trait]
impl Store for Apart {
    async fn load(&self, table: Table, groups: &[Group]) -> Result<Vec<Rows>, StoreError> {
        let groups = groups.to_vec();
        self.apart(move |runtime, store| runtime.block_on(store.load(table, &groups))).await
    }

    async fn scan(
        &self,
        table: Table,
        after: Option<Key>,
        limit: usize,
    ) -> Result<Vec<(Key, Vec<u8>)>, StoreError> {
        self.apart(move |runtime, store| runtime.block_on(store.scan(table, after, limit))).await
    }

    async fn commit(&self, changes: Arc<[Change]>) -> Result<(), StoreError> {
        self.apart(move |runtime, store| runtime.block_on(store.commit(changes))).await
    }
}
