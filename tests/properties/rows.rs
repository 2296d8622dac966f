//! What is left in the store.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::de::DeserializeOwned;
use sidenote::engine::core::history::KeptBatch;
use sidenote::engine::core::rows::{PersonRow, decode};
use sidenote::ids::SessionKey;
use sidenote::outbox::lane::DeadLetter;
use sidenote::outbox::note::Note;
use sidenote::outbox::sink_delivery::SinkDelivery;
use sidenote::session::batch::StoredEntry;
use sidenote::session::link::Owner;
use sidenote::session::payload::Action;
use sidenote::session::state::Record;
use sidenote::store::{Group, Key, Store, Table};
use sidenote_tests::sinks;

use crate::history::{Named, action_in, key, summary_in};
use crate::steps::WRITER;
use crate::store::Faulty;

/// The actions that wait in a session's open batch, in order.
pub(crate) async fn open(store: &Faulty, session: usize) -> Vec<usize> {
    let group = session_group(session);
    let entries: Vec<StoredEntry> = rows(store, Table::Open, group.clone()).await;
    let kept = store.load(Table::History, &[group]).await.expect("the store answers").remove(0);
    let actions = |entry: &StoredEntry| match (&entry.actions, entry.kept_under()) {
        (Some(here), None) => here.unpack(),
        (None, Some(number)) => {
            let row = kept.iter().find(|(kept, _)| *kept == number);
            let (_, row) = row.expect("the history has what waits for a note");
            let batch: KeptBatch = decode(row).expect("a row can be read");
            assert_eq!(batch.batch.actions.len(), entry.count());
            batch.batch.actions
        }
        stored => panic!("it is stored once: {}", stored.1.is_some()),
    };
    entries.iter().flat_map(actions).map(|action| number(&action)).collect()
}

/// What is stored of a session.
pub(crate) async fn record(store: &Faulty, session: usize) -> Record {
    rows(store, Table::Session, session_group(session)).await.pop().unwrap_or_default()
}

/// A session's dead letters.
pub(crate) async fn dead(store: &Faulty, session: usize) -> Vec<DeadLetter> {
    rows(store, Table::Dead, session_group(session)).await
}

/// A session's dead letters for its sinks.
pub(crate) async fn dead_for_sinks(
    store: &Faulty,
    session: usize,
) -> Vec<DeadLetter<SinkDelivery>> {
    rows(store, Table::SinkDead, session_group(session)).await
}

/// A session's notes that wait or are dead letters, by number.
pub(crate) async fn notes(store: &Faulty, session: usize) -> BTreeMap<u64, Named> {
    let waiting: Vec<Arc<Note>> = rows(store, Table::Outbox, session_group(session)).await;
    let dead = dead(store, session).await.into_iter().map(|letter| letter.note);
    let named = |note: Arc<Note>| {
        let lines = note.actions.unpack().into_iter().map(|action| action.description).collect();
        (note.seq, Named { plugin: note.plugin.clone(), lines })
    };
    waiting.into_iter().chain(dead).map(named).collect()
}

/// What waits for a session's sinks or is a dead letter, by number.
pub(crate) async fn sink_deliveries(store: &Faulty, session: usize) -> BTreeMap<u64, Named> {
    let waiting: Vec<Arc<SinkDelivery>> =
        rows(store, Table::SinkQueue, session_group(session)).await;
    let dead = dead_for_sinks(store, session).await.into_iter().map(|letter| letter.note);
    let named = |delivery: Arc<SinkDelivery>| {
        let (plugin, lines) = (delivery.plugin.clone(), sinks::lines(&delivery.content));
        (delivery.seq, Named { plugin, lines })
    };
    waiting.into_iter().chain(dead).map(named).collect()
}

/// The sessions of a conversation.
pub(crate) async fn owners(store: &Faulty, conversation: &str) -> Vec<Owner> {
    rows(store, Table::Conversation, Group(WRITER.into(), conversation.into())).await
}

/// How many rows a table has.
pub(crate) async fn count(store: &Faulty, table: Table) -> usize {
    store.scan(table, None, usize::MAX).await.expect("the store answers").len()
}

/// The places of all rows of a session.
pub(crate) async fn of_session(store: &Faulty, session: usize) -> Vec<Key> {
    let mut keys = Vec::new();
    for table in Table::ALL {
        let rows = store.load(table, &[session_group(session)]).await.expect("the store answers");
        let group = session_group(session);
        keys.extend(rows.iter().flatten().map(|(number, _)| Key {
            table,
            group: group.clone(),
            number: *number,
        }));
    }
    keys
}

/// The sessions that the index of persons knows.
pub(crate) async fn in_index(store: &Faulty) -> Vec<SessionKey> {
    let rows = store.scan(Table::Person, None, usize::MAX).await.expect("the store answers");
    let key = |row: &[u8]| decode::<PersonRow>(row).expect("a row can be read").key;
    rows.iter().map(|(_, row)| key(row)).collect()
}

/// Every action and summary that stands in any row of any table.
pub(crate) async fn lines(store: &Faulty) -> BTreeSet<String> {
    let mut lines = BTreeSet::new();
    for table in Table::ALL {
        let rows = store.scan(table, None, usize::MAX).await.expect("the store answers");
        for (_, row) in rows {
            let text = String::from_utf8_lossy(&row);
            let words = text.split(|c: char| !c.is_ascii_alphanumeric());
            let told = words.filter(|it| action_in(it).is_some() || summary_in(it).is_some());
            lines.extend(told.map(str::to_owned));
        }
    }
    lines
}

/// Which action it is, over all sessions.
pub(crate) fn number(action: &Action) -> usize {
    action_in(&action.description).expect("an action says which one it is")
}

fn session_group(session: usize) -> Group {
    let key = key(session);
    Group(key.product.shared(), key.session.shared())
}

async fn rows<T: DeserializeOwned>(store: &Faulty, table: Table, group: Group) -> Vec<T> {
    let mut rows = store.load(table, &[group]).await.expect("the store answers");
    let rows = rows.pop().expect("one group was asked for");
    rows.iter().map(|(_, row)| decode(row).expect("a row can be read")).collect()
}
