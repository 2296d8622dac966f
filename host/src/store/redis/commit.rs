//! A commit as one script.

use std::collections::{BTreeMap, BTreeSet};

use redis::Script;

use super::keys::{self, Keys, Places as _};
use super::lease;
use super::server::Server;
use crate::store::{Change, Group, Lost, StoreError, Table};

/// The server closes the connection at 1,048,576 arguments; a row takes two, a group five.
const MAX_ARGUMENTS: usize = 1_000_000;

/// What a row is to the server beside its value, in bytes of value.
const ROW: usize = 64;

/// What the script answers.
const DONE: u8 = 0;
const TAKEN_OVER: u8 = 1;
const STALE: u8 = 2;
const LOST: u8 = 3;

/// Changes rows while the lease is held. One at a time.
pub(super) struct Committer {
    script: Script,
    /// `None` before the lease was ever held, and after it was given back.
    held: Option<Held>,
}

struct Held {
    epoch: u64,
    /// The number of the last attempt.
    seq: u64,
    /// The number of the last one that the server acknowledged.
    acknowledged: u64,
}

impl Committer {
    pub(super) fn new() -> Self {
        Self { script: Script::new(include_str!("commit.lua")), held: None }
    }

    /// The lease was taken as the `epoch`th.
    pub(super) fn hold(&mut self, epoch: u64) {
        self.held = Some(Held { epoch, seq: 0, acknowledged: 0 });
    }

    /// Nothing more is written. Whether there was something to write with.
    pub(super) fn let_go(&mut self) -> bool {
        self.held.take().is_some()
    }

    pub(super) async fn commit(
        &mut self,
        server: &Server,
        keys: &Keys,
        holder: &str,
        changes: &[Change],
    ) -> Result<(), StoreError> {
        let Some(held) = &mut self.held else {
            return Err(StoreError::Fatal("this host doesn't hold the Redis store".to_owned()));
        };
        let groups = by_group(changes);
        let rows: usize = groups.values().map(BTreeMap::len).sum();
        if 2 * rows + 5 * groups.len() > MAX_ARGUMENTS {
            // Trying again would meet the same end.
            let said =
                format!("a commit of {rows} rows is more than the Redis server takes at once");
            return Err(StoreError::Fatal(said));
        }
        let puts_any = groups.values().any(|rows| rows.values().any(Option::is_some));
        // An attempt whose answer doesn't come may still be on its way; the next one has a higher number.
        held.seq += 1;
        let mut call = self.script.key(keys.lease());
        call.key(keys.fence());
        call.arg(holder).arg(lease::millis()).arg(held.epoch).arg(held.seq).arg(held.acknowledged);
        let tables: BTreeSet<Table> = groups.keys().map(|(table, _)| *table).collect();
        call.arg(tables.len()).arg(u8::from(puts_any));
        for &table in &tables {
            call.key(keys.index(table));
        }
        let mut bytes = ROW * rows;
        for ((table, group), rows) in groups {
            let index = tables.range(..=table).count();
            call.key(keys.rows(table, group));
            let puts = rows.values().flatten().count();
            call.arg(index).arg(keys::member(group)).arg(puts).arg(rows.len() - puts);
            for (number, value) in &rows {
                if let Some(value) = value {
                    bytes += value.len();
                    call.arg(*number).arg(*value);
                }
            }
            for (number, value) in &rows {
                if value.is_none() {
                    call.arg(*number);
                }
            }
        }
        let (outcome, stored): (u8, u64) = server.run(&call, bytes).await?;
        match outcome {
            DONE => {
                held.acknowledged = held.seq;
                Ok(())
            }
            TAKEN_OVER => Err(StoreError::Lost(Lost::TakenOver { own: held.epoch, stored })),
            STALE => Err(StoreError::Away(
                "the Redis server has a later commit of this host than this one".to_owned(),
            )),
            LOST => Err(StoreError::Lost(Lost::ByServer)),
            other => Err(StoreError::Fatal(format!("the script of a commit answers {other}"))),
        }
    }
}

type Groups<'a> = BTreeMap<(Table, &'a Group), BTreeMap<u64, Option<&'a [u8]>>>;

/// The last change of each row, by group.
fn by_group(changes: &[Change]) -> Groups<'_> {
    let mut groups = Groups::new();
    for change in changes {
        let key = change.key();
        let value = match change {
            Change::Put(_, value) => Some(value.as_slice()),
            Change::Delete(_) => None,
        };
        groups.entry((key.table, &key.group)).or_default().insert(key.number, value);
    }
    groups
}
