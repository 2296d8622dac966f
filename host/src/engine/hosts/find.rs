//! In which partition that is what a request doesn't name by its session: looked up in the rows of all. The engine that gets
//! the request verifies it against its own.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use sidenote_cluster::ids::Partition;
use sidenote_cluster::partition::{Partitions, SessionKey as Spread, Subject};

use crate::clock::Timestamp;
use crate::engine::core::rows::{
    Person, PersonRow, conversation_group, person_group, read, session_group,
};
use crate::ids::{ConversationId, PluginName, ProductId, SessionKey};
use crate::session::link::Owner;
use crate::session::state::Record;
use crate::store::{AllPartitions, Store, StoreError, Table};

/// So many sessions of a person are looked at, as in an engine.
const MAX_SESSIONS: usize = 64;

/// Where a session's rows are.
pub(super) fn of_session(partitions: Partitions, key: &SessionKey) -> Partition {
    let (product, session) = (key.product.shared(), key.session.shared());
    partitions.of_session(&Spread { product, session })
}

/// When each session was active last; `None` for one that nothing is known of.
async fn active(
    rows: &AllPartitions,
    keys: &[SessionKey],
) -> Result<Vec<Option<Timestamp>>, StoreError> {
    let groups: Vec<_> = keys.iter().map(session_group).collect();
    let records = rows.load(Table::Session, &groups).await?;
    let open = rows.load(Table::Open, &groups).await?;
    let active = records.iter().zip(open).map(|(records, open)| {
        let record = records.iter().find(|(number, _)| *number == 0);
        let record = record.and_then(|(n, row)| read::<Record>(Table::Session, *n, row));
        let at = record.map(|record| record.active_at).unwrap_or_default();
        (at != Timestamp::default() || !open.is_empty()).then_some(at)
    });
    Ok(active.collect())
}

/// The sessions of these that something is known of.
pub(super) async fn known(
    rows: &AllPartitions,
    keys: &[SessionKey],
) -> Result<Vec<SessionKey>, StoreError> {
    let active = active(rows, keys).await?;
    let known = keys.iter().zip(active).filter(|(_, active)| active.is_some());
    Ok(known.map(|(key, _)| key.clone()).collect())
}

/// The session that was active last of the first of these persons who has one.
pub(super) async fn of_person(
    rows: &AllPartitions,
    sought: &[(ProductId, Person)],
) -> Result<Option<SessionKey>, StoreError> {
    let groups: Vec<_> = sought.iter().map(|(product, it)| person_group(product, it)).collect();
    let found = rows.load(Table::Person, &groups).await?;
    let mut found = sought.iter().zip(found).peekable();
    while let Some(person) = found.peek().map(|(of, _)| person_of(of)) {
        let mut keys = Vec::new();
        // The same person in each product.
        while let Some((_, of_product)) = found.next_if(|(next, _)| next.1 == *person) {
            let of_product = of_product.iter().filter_map(|(n, row)| read(Table::Person, *n, row));
            let mut of_product: Vec<PersonRow> = of_product.collect();
            of_product.sort_by_key(|row| Reverse(row.since));
            of_product.truncate(MAX_SESSIONS);
            keys.extend(of_product.into_iter().map(|row| row.key));
        }
        let active = active(rows, &keys).await?;
        let known = keys.into_iter().zip(active).filter_map(|(key, at)| Some((at?, key)));
        if let Some((_, key)) = known.max_by_key(|(at, _)| *at) {
            return Ok(Some(key));
        }
    }
    Ok(None)
}

fn person_of((_, person): &(ProductId, Person)) -> &Person {
    person
}

/// The partitions of the sessions that are in a conversation; where there are none, its own.
pub(super) async fn of_conversation(
    rows: &AllPartitions,
    plugin: &PluginName,
    conversation: &ConversationId,
) -> Result<Vec<Partition>, StoreError> {
    let partitions = rows.partitions();
    let group = conversation_group(plugin, conversation);
    let found = rows.load(Table::Conversation, &[group]).await?;
    let owner = |(number, row): &(u64, Vec<u8>)| read::<Owner>(Table::Conversation, *number, row);
    let owners = found.iter().flatten().filter_map(owner);
    let of: BTreeSet<_> = owners.map(|owner| of_session(partitions, &owner.key)).collect();
    if of.is_empty() {
        let subject = Subject { kind: plugin.clone(), name: conversation.shared() };
        return Ok(vec![partitions.of_subject(&subject)]);
    }
    Ok(of.into_iter().collect())
}
