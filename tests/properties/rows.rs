//! What is left in the store.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use sidenote::outbox::lane::DeadLetter;
use sidenote::outbox::note::Note;
use sidenote::session::batch::Entry;
use sidenote::session::link::Owner;
use sidenote::session::state::Record;
use sidenote::store::{Group, Store, Table};

use crate::history::key;
use crate::store::Faulty;

/// The actions that wait in a session's open batch, in order.
pub(crate) async fn open(store: &Faulty, session: usize) -> Vec<usize> {
    let entries: Vec<Entry> = rows(store, Table::Open, session_group(session)).await;
    entries.iter().flat_map(|entry| &entry.actions).map(number).collect()
}

/// What is stored of a session.
pub(crate) async fn record(store: &Faulty, session: usize) -> Record {
    rows(store, Table::Session, session_group(session)).await.pop().unwrap_or_default()
}

/// A session's dead letters.
pub(crate) async fn dead(store: &Faulty, session: usize) -> Vec<DeadLetter> {
    rows(store, Table::Dead, session_group(session)).await
}

/// A session's notes that wait or are dead letters, by number, with the actions that they tell.
pub(crate) async fn notes(store: &Faulty, session: usize) -> BTreeMap<u64, Vec<usize>> {
    let waiting: Vec<Note> = rows(store, Table::Outbox, session_group(session)).await;
    let dead = dead(store, session).await.into_iter().map(|letter| (*letter.note).clone());
    let told = |note: Note| (note.seq, note.actions.iter().map(number).collect());
    waiting.into_iter().chain(dead).map(told).collect()
}

/// The sessions of a conversation.
pub(crate) async fn owners(store: &Faulty, conversation: &str) -> Vec<Owner> {
    rows(store, Table::Conversation, Group("bot".into(), conversation.into())).await
}

/// How many rows a table has.
pub(crate) async fn count(store: &Faulty, table: Table) -> usize {
    store.scan(table, None, usize::MAX).await.expect("the store answers").len()
}

/// Which action it is, over all sessions.
pub(crate) fn number(action: &sidenote::session::payload::Action) -> usize {
    action.description.parse().expect("an action says which one it is")
}

fn session_group(session: usize) -> Group {
    let key = key(session);
    Group(key.product.shared(), key.session.shared())
}

async fn rows<T: DeserializeOwned>(store: &Faulty, table: Table, group: Group) -> Vec<T> {
    let mut rows = store.load(table, &[group]).await.expect("the store answers");
    let rows = rows.pop().expect("one group was asked for");
    rows.iter().map(|(_, row)| serde_json::from_slice(row).expect("a row can be read")).collect()
}
