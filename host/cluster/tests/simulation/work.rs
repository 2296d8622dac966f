//! The work of a partition in the simulation: a log per session of what was applied.

use std::collections::BTreeMap;

use sidenote_cluster::claims::Told;
use sidenote_cluster::ids::{Partition, Payload};
use sidenote_cluster::owner::Work;
use sidenote_cluster::partition::{Partitions, SessionKey, Subject};
use sidenote_cluster::row::{RowKey, Tx};

/// Their table.
pub(crate) const LOG: &str = "log";

/// One thing that was applied: an event of the stream, or what somebody sent to a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Item {
    Event(u64),
    /// Which, from which start of which host.
    Note(u64, u64),
}

impl Item {
    pub(crate) fn body(self, session: u64) -> Payload {
        let (kind, n, from) = match self {
            Self::Event(n) => (0, n, 0),
            Self::Note(n, from) => (1, n, from),
        };
        let numbers = [session, kind, n, from].map(u64::to_be_bytes);
        Payload::new(&numbers.concat())
    }
}

pub(crate) fn session(n: u64) -> SessionKey {
    SessionKey { product: "acme".into(), session: format!("s-{n}").into() }
}

pub(crate) fn subject(n: u64) -> Subject {
    Subject { kind: "desk".into(), name: format!("c-{n}").into() }
}

pub(crate) fn partition_of(partitions: Partitions, n: u64) -> Partition {
    partitions.of_session(&session(n))
}

#[derive(Debug, Default)]
pub(crate) struct Log {
    items: BTreeMap<u64, Vec<u8>>,
}

impl Work for Log {
    fn begin(_: Partition) -> Self {
        Self::default()
    }

    fn load(&mut self, key: &RowKey, value: &Payload) {
        assert_eq!(&*key.table, LOG);
        self.items.insert(key.number, value.bytes().to_vec());
    }

    fn apply(&mut self, input: &Payload, tx: &mut Tx) {
        let (session, item) = input.bytes().split_at(8);
        let session = number(session);
        let items = self.items.entry(session).or_default();
        items.extend(item);
        tx.put(RowKey::new(LOG, "", "", session), Payload::new(items));
    }

    fn told(&mut self, _: &Told, _: &mut Tx) {}
}

fn number(bytes: &[u8]) -> u64 {
    u64::from_be_bytes(bytes.try_into().unwrap())
}

/// What a row says was applied, in order.
pub(crate) fn items(value: &Payload) -> Vec<Item> {
    let item = |bytes: &[u8]| {
        let [kind, n, from] = [0, 8, 16].map(|at| number(&bytes[at..at + 8]));
        if kind == 0 { Item::Event(n) } else { Item::Note(n, from) }
    };
    value.bytes().chunks(24).map(item).collect()
}
