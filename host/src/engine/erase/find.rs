//! What the store has of somebody.

use std::collections::HashSet;
use std::sync::Arc;

use sidenote_sources::forgotten;

use super::{Erasure, Subject};
use crate::engine::core::erase::{OF_SESSION, SessionRows, of_delivery, of_timer};
use crate::engine::core::history;
use crate::engine::core::rows::{
    Person, PersonRow, person_group, read, session_group, session_key,
};
use crate::ids::{ProductId, SessionKey};
use crate::outbox::due_timer::DueTimer;
use crate::outbox::lane::DeadLetter;
use crate::outbox::note::Note;
use crate::outbox::sink_delivery::SinkDelivery;
use crate::store::{Change, Group, Key, Store, StoreError, Table};

/// Rows that are read at once: they hold whole notes.
const PAGE: usize = 256;

/// The sessions that are meant: by the index, and by what waits and dead letters, which can outlive what the
/// index knows.
pub(super) async fn sessions(
    store: &dyn Store,
    erasure: &Erasure,
) -> Result<Vec<SessionKey>, StoreError> {
    let product = &erasure.product;
    let person = match &erasure.subject {
        Subject::Session(session) => {
            return Ok(vec![SessionKey { product: product.clone(), session: session.clone() }]);
        }
        Subject::User(_) | Subject::Email(_) => erasure.subject.person(),
    };
    let Some(person) = person else { return Ok(Vec::new()) };
    let rows = store.load(Table::Person, &[person_group(product, &person)]).await?;
    let rows = rows.iter().flatten();
    let indexed = rows.filter_map(|(n, value)| read::<PersonRow>(Table::Person, *n, value));
    let mut keys: HashSet<_> = indexed.map(|row| row.key).collect();
    for table in [
        Table::Outbox,
        Table::Dead,
        Table::SinkQueue,
        Table::SinkDead,
        Table::TimerQueue,
        Table::TimerDead,
        Table::History,
    ] {
        by_rows(store, table, product, &person, &mut keys).await?;
    }
    let mut keys: Vec<_> = keys.into_iter().collect();
    keys.sort();
    Ok(keys)
}

/// What happens to the rows in which sources remember somebody, whether such a source is configured
/// or not.
pub(super) async fn remembered(
    store: &dyn Store,
    erasure: &Erasure,
) -> Result<Vec<Change>, StoreError> {
    let mut changes = Vec::new();
    let mut after = None;
    loop {
        let rows = store.scan(Table::SourcePerson, after, PAGE).await?;
        let at_end = rows.len() < PAGE;
        after = rows.last().map(|(last, _)| last.clone());
        let of_product = rows.iter().filter(|(row, _)| *row.group.1 == *erasure.product.as_str());
        let whom = erasure.subject.whom();
        changes.extend(of_product.filter_map(|(row, value)| forgotten(row, value, &whom)));
        if at_end {
            return Ok(changes);
        }
    }
}

async fn by_rows(
    store: &dyn Store,
    table: Table,
    product: &ProductId,
    person: &Person,
    keys: &mut HashSet<SessionKey>,
) -> Result<(), StoreError> {
    // Before the first row of the product: no session is nameless.
    let mut after = Key { table, group: Group(product.shared(), "".into()), number: 0 };
    loop {
        let rows = store.scan(table, Some(after), PAGE).await?;
        let at_end = rows.len() < PAGE;
        let Some((last, _)) = rows.last() else { return Ok(()) };
        after = last.clone();
        for (row, value) in rows {
            if *row.group.0 != *product.as_str() {
                return Ok(());
            }
            let Some(key) = session_key(&row.group) else { continue };
            if tells_of(table, &row, &value, person) {
                keys.insert(key);
            }
        }
        if at_end {
            return Ok(());
        }
    }
}

/// Whether a row tells of this person.
fn tells_of(table: Table, row: &Key, value: &[u8], person: &Person) -> bool {
    let number = row.number;
    let note = match table {
        // What is kept of a session may be somebody's to whom it doesn't belong any more.
        Table::History => return history::is_of(value, person),
        Table::SinkQueue | Table::SinkDead => {
            let delivery = match table == Table::SinkQueue {
                true => read::<Arc<SinkDelivery>>(table, number, value),
                false => {
                    read::<DeadLetter<SinkDelivery>>(table, number, value).map(|letter| letter.note)
                }
            };
            return delivery
                .is_some_and(|delivery| of_delivery(&delivery).any(|known| known == *person));
        }
        Table::TimerQueue | Table::TimerDead => {
            let timer = match table == Table::TimerQueue {
                true => read::<Arc<DueTimer>>(table, number, value),
                false => {
                    read::<DeadLetter<DueTimer>>(table, number, value).map(|letter| letter.note)
                }
            };
            return timer.is_some_and(|timer| of_timer(&timer).any(|known| known == *person));
        }
        Table::Dead => read::<DeadLetter>(table, number, value).map(|letter| letter.note),
        Table::Session
        | Table::Open
        | Table::Outbox
        | Table::Attempt
        | Table::Conversation
        | Table::Person
        | Table::Sent
        | Table::Account
        | Table::Journal
        | Table::Redact
        | Table::SinkAttempt
        | Table::Kept
        | Table::Help
        | Table::Talk
        | Table::OfferTimes
        | Table::Message
        | Table::Key
        | Table::Audit
        | Table::Ended
        | Table::Source
        | Table::SourceSeen
        | Table::SourcePerson
        | Table::PluginValue
        | Table::SessionValue
        | Table::Timer
        | Table::TimerAttempt
        | Table::Scrub => read::<Arc<Note>>(table, number, value),
    };
    note.is_some_and(|note| {
        Person::of(note.user_id.as_deref(), note.email.as_deref()).any(|known| known == *person)
    })
}

/// Reads all rows of these sessions.
pub(super) async fn load(
    store: &dyn Store,
    keys: &[SessionKey],
) -> Result<Vec<SessionRows>, StoreError> {
    let groups: Vec<_> = keys.iter().map(session_group).collect();
    let mut loaded: Vec<_> = keys.iter().map(|_| SessionRows::default()).collect();
    for table in OF_SESSION {
        for (rows, of_table) in loaded.iter_mut().zip(store.load(table, &groups).await?) {
            rows.add(table, of_table);
        }
    }
    Ok(loaded)
}
