//! The rows of all partitions, put together for those who read: lists and counts of the whole namespace, whoever owns
//! what. Nothing is written through it.

use std::sync::Arc;

use sidenote_cluster::ids::Partition;
use sidenote_cluster::partition::{Partitions, SessionKey};
use sidenote_cluster::row::RowKey;
use sidenote_core::engine::place::RowsOf;

use super::super::keys;
use super::super::reading::{self, Sites};
use super::SharedServer;
use super::names::Names;
use crate::store::{Change, Group, Key, Rows, Store, StoreError, Table};

/// The rows of a namespace. As in a store of one partition, reads see what was committed.
pub struct AllPartitions {
    shared: Arc<SharedServer>,
    sites: Everywhere,
}

impl AllPartitions {
    /// Those of a namespace of so many partitions.
    pub fn new(shared: Arc<SharedServer>, partitions: Partitions) -> Self {
        let sites = Everywhere { names: shared.names.clone(), partitions };
        Self { shared, sites }
    }

    /// How many partitions there are.
    pub fn partitions(&self) -> Partitions {
        self.sites.partitions
    }
}

/// The names of all partitions.
struct Everywhere {
    names: Names,
    partitions: Partitions,
}

impl Everywhere {
    fn of_group(&self, table: Table, Group(first, second): &Group) -> Vec<Partition> {
        match RowsOf::table(table) {
            RowsOf::Session => {
                let key = SessionKey { product: first.clone(), session: second.clone() };
                vec![self.partitions.of_session(&key)]
            }
            RowsOf::Namespace => vec![self.partitions.of_namespace()],
            RowsOf::Each => self.partitions.all().collect(),
        }
    }
}

impl Sites for Everywhere {
    fn indexes(&self, table: Table) -> Vec<String> {
        let index = |of| self.names.index(of, keys::name(table));
        match RowsOf::table(table) {
            RowsOf::Namespace => vec![index(self.partitions.of_namespace())],
            RowsOf::Session | RowsOf::Each => self.partitions.all().map(index).collect(),
        }
    }

    fn rows(&self, table: Table, group: &Group) -> Vec<String> {
        let row = RowKey::new(keys::name(table), &group.0, &group.1, 0);
        let of_group = self.of_group(table, group).into_iter();
        of_group.map(|partition| self.names.rows(partition, &row)).collect()
    }
}

#[async_trait::async_trait]
impl Store for AllPartitions {
    async fn load(&self, table: Table, groups: &[Group]) -> Result<Vec<Rows>, StoreError> {
        reading::load(&self.shared.server, &self.sites, table, groups).await
    }

    async fn scan(
        &self,
        table: Table,
        after: Option<Key>,
        limit: usize,
    ) -> Result<Vec<(Key, Vec<u8>)>, StoreError> {
        reading::scan(&self.shared.server, &self.sites, table, after, limit).await
    }

    async fn commit(&self, _: Arc<[Change]>) -> Result<(), StoreError> {
        Err(StoreError::Fatal(
            "rows of all partitions are only read; each is written by its owner".to_owned(),
        ))
    }
}
