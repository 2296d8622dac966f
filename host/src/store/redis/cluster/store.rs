//! The rows of one partition, for the engine that works it.
//!
//! Rows are read as they are asked for, by group or by page. Every commit says who writes, in which epoch and which attempt it
//! is; how far the inbox was read, and what is told to other partitions, are part of it. Who drives leases has acquired the
//! partition before, and lets it go.

use std::sync::Arc;

use sidenote_cluster::call::{Answer, Call, Commit, Committed, Load};
use sidenote_cluster::ids::{CommitSeq, Epoch, Member, Offset, Partition, Payload, Producer};
use sidenote_cluster::row::{self, RowKey};
use sidenote_cluster::seen::{self, SeenEvents};

use super::super::keys::{self, Places};
use super::super::reading;
use super::names::Names;
use super::{SharedServer, unknown};
use crate::store::{Change, Group, Key, Lost, Rows, Store, StoreError, Table};

/// Each so manyth commit trims the inbox.
const TRIM_EVERY: u64 = 16;

/// A store of one partition's rows. Nothing but its owner's engine writes through it.
pub struct PartitionStore {
    shared: Arc<SharedServer>,
    places: Of,
    owner: Owner,
    producers: Vec<(Producer, u64)>,
    /// One commit at a time: their numbers reach the server in order.
    numbers: tokio::sync::Mutex<Numbers>,
}

/// Who writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// Which partition.
    pub partition: Partition,
    /// Which start of which host.
    pub by: Member,
    /// In which epoch it was acquired.
    pub epoch: Epoch,
}

/// What is stored together with the engine's rows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Beside {
    /// How far the inbox was read; `None`: no further than before.
    pub read: Option<Offset>,
    /// Rows of the protocol: what is told to other partitions, which events were seen, claims.
    pub rows: Vec<row::Change>,
    /// Producers that are forgotten.
    pub forget: Vec<Producer>,
}

impl Beside {
    /// What was read behind this, with it.
    pub fn add(&mut self, behind: Self) {
        self.read = behind.read.or(self.read);
        self.rows.extend(behind.rows);
        self.forget.extend(behind.forget);
    }

    /// Whether there is nothing to store.
    pub fn is_empty(&self) -> bool {
        self.read.is_none() && self.rows.is_empty() && self.forget.is_empty()
    }
}

/// The names of one partition.
struct Of(Names, Partition);

impl Places for Of {
    fn index(&self, table: Table) -> String {
        self.0.index(self.1, keys::name(table))
    }

    fn rows(&self, table: Table, Group(first, second): &Group) -> String {
        self.0.rows(self.1, &RowKey::new(keys::name(table), first, second, 0))
    }
}

/// Where the commits are.
struct Numbers {
    /// The last attempt.
    seq: CommitSeq,
    /// The last one that the server acknowledged.
    acknowledged: CommitSeq,
    /// How far the inbox was read, as of that one.
    read: Offset,
}

impl PartitionStore {
    /// The store of a partition that was acquired: reads how far its inbox was read, and who added to it.
    ///
    /// # Errors
    /// As [`SharedServer::call`].
    pub async fn open(shared: Arc<SharedServer>, owner: Owner) -> Result<Self, StoreError> {
        let load = Load { partition: owner.partition, epoch: owner.epoch };
        let begin = shared.load_without_rows(&load).await?;
        let first = CommitSeq::default();
        let numbers = Numbers { seq: first, acknowledged: first, read: begin.offset };
        let places = Of(shared.names.clone(), owner.partition);
        let numbers = tokio::sync::Mutex::new(numbers);
        Ok(Self { shared, places, owner, producers: begin.producers, numbers })
    }

    /// Who writes.
    pub fn owner(&self) -> &Owner {
        &self.owner
    }

    /// Who had added to the inbox when the partition was acquired, and how long before, in milliseconds of the server's
    /// clock.
    pub fn producers(&self) -> &[(Producer, u64)] {
        &self.producers
    }

    /// Which events were seen, as [`SeenEvents`] keeps them.
    ///
    /// # Errors
    /// As [`SharedServer::call`].
    pub async fn seen(&self) -> Result<SeenEvents, StoreError> {
        let of = self.owner.partition;
        let mut command = redis::cmd("HGETALL");
        command.arg(self.shared.names.rows(of, &RowKey::new(seen::TABLE, "", "", 0)));
        let rows: Vec<(u64, Vec<u8>)> = self.shared.server.query(&command).await?;
        let mut seen = SeenEvents::default();
        rows.iter().for_each(|(number, value)| seen.load(*number, &Payload::new(value)));
        Ok(seen)
    }

    /// Asks the server of this partition.
    ///
    /// # Errors
    /// As [`SharedServer::call`].
    pub async fn call(&self, call: &Call) -> Result<Answer, StoreError> {
        self.shared.call(call).await
    }

    /// How far the inbox was read, as of the last commit that was acknowledged. Waits for the one that is on its way.
    pub async fn read(&self) -> Offset {
        self.numbers.lock().await.read
    }

    /// The last commit that was acknowledged: what a renewal says, so that an owner with nothing to do hears that the
    /// server lost it. `None` while one is on its way: that one shows it.
    pub fn acknowledged(&self) -> Option<CommitSeq> {
        self.numbers.try_lock().ok().map(|numbers| numbers.acknowledged)
    }

    /// Stores all of it, or nothing. One that may have been stored is tried again with the same.
    ///
    /// # Errors
    /// [`StoreError::Lost`]: nothing is stored through this store any more.
    pub async fn commit_with(&self, changes: &[Change], beside: &Beside) -> Result<(), StoreError> {
        let mut numbers = self.numbers.lock().await;
        numbers.seq = numbers.seq.next();
        let offset = beside.read.unwrap_or(numbers.read);
        let Owner { partition, by, epoch } = self.owner.clone();
        let commit = Commit {
            partition,
            by,
            epoch,
            seq: numbers.seq,
            acknowledged: numbers.acknowledged,
            offset,
            trim: numbers.acknowledged.get().is_multiple_of(TRIM_EVERY),
            changes: changes.iter().map(of_protocol).chain(beside.rows.iter().cloned()).collect(),
            forget: beside.forget.clone(),
        };
        let answer = self.shared.call(&Call::Commit(commit)).await?;
        match answer.commit().ok_or_else(unknown)? {
            Committed::Done => {
                (numbers.acknowledged, numbers.read) = (numbers.seq, offset);
                Ok(())
            }
            Committed::Stale => Err(StoreError::Away(
                "the Redis server has a later commit of this host than this one".to_owned(),
            )),
            Committed::TakenOver(stored) => {
                let (own, stored) = (epoch.get(), stored.get());
                Err(StoreError::Lost(Lost::TakenOver { own, stored }))
            }
            Committed::ServerLost(_) => Err(StoreError::Lost(Lost::ByServer)),
        }
    }
}

#[async_trait::async_trait]
impl Store for PartitionStore {
    async fn load(&self, table: Table, groups: &[Group]) -> Result<Vec<Rows>, StoreError> {
        reading::load(&self.shared.server, &self.places, table, groups).await
    }

    async fn scan(
        &self,
        table: Table,
        after: Option<Key>,
        limit: usize,
    ) -> Result<Vec<(Key, Vec<u8>)>, StoreError> {
        reading::scan(&self.shared.server, &self.places, table, after, limit).await
    }

    async fn commit(&self, changes: Arc<[Change]>) -> Result<(), StoreError> {
        self.commit_with(&changes, &Beside::default()).await
    }

    async fn has_room(&self) -> bool {
        let info = self.shared.memory(self.owner.partition).await;
        info.is_ok_and(|info| reading::has_room(&info))
    }
}

/// A change of the engine's as one of the protocol.
fn of_protocol(change: &Change) -> row::Change {
    let Key { table, group: Group(first, second), number } = change.key();
    let group = (first.clone(), second.clone());
    let key = RowKey { table: keys::name(*table).into(), group, number: *number };
    match change {
        Change::Put(_, value) => row::Change::Put(key, Payload::new(value)),
        Change::Delete(_) => row::Change::Delete(key),
    }
}

#[cfg(test)]
mod tests {
    use sidenote_cluster::{claims, outbox};

    use super::*;

    #[test]
    fn no_table_of_the_protocol_is_one_of_the_engine() {
        for table in [claims::SESSIONS, claims::SUBJECTS, outbox::TABLE, seen::TABLE] {
            assert!(Table::ALL.into_iter().all(|it| keys::name(it) != table), "{table}");
        }
    }
}
