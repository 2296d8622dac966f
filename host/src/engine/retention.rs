//! What expires: a session's rows, some time after the last thing that happened to it.

use std::collections::HashSet;

use serde::de::DeserializeOwned;

use crate::clock::Timestamp;
use crate::engine::feed::What;
use crate::engine::round::{Engine, EngineError, Round};
use crate::engine::rows::{
    Person, conversation_group, delete, person_group, read, session_group, session_key,
    session_number,
};
use crate::ids::SessionKey;
use crate::outbox::lane::DeadLetter;
use crate::outbox::redaction::{Job, State, Why};
use crate::session::batch::Entry;
use crate::session::state::Record;
use crate::store::{Key, Table};

/// Rows that one step looks at.
const PAGE: usize = 4096;
/// Dead letters that one step looks at: their rows hold whole notes.
const DEAD_PAGE: usize = 256;

impl Engine {
    /// Removes what has expired among the next rows, and remembers where to go on. A session in memory
    /// is busy or was touched a moment ago; it is passed over.
    pub(super) async fn expire(
        &mut self,
        after: Option<Key>,
        now: Timestamp,
    ) -> Result<Option<Key>, EngineError> {
        let rows = self.store.scan(Table::Session, after, PAGE).await?;
        let next = (rows.len() == PAGE).then(|| rows.last().map(|(key, _)| key.clone())).flatten();
        let oldest = now - self.settings.retention.sessions;
        let mut round = Round::default();
        let mut gone = Vec::new();
        for (row, value) in rows {
            let Some(key) = session_key(&row.group) else { continue };
            if self.memory.sessions.contains_key(&key) {
                continue;
            }
            // A record that was set aside as unreadable has another number, its time in milliseconds.
            if row.number != 0 {
                if row.number < oldest.as_millis() {
                    round.changes.push(delete(Table::Session, row.group, row.number));
                }
                continue;
            }
            let Some(record) = read::<Record>(Table::Session, 0, &value) else { continue };
            if record.active_at < oldest {
                gone.push((key, record));
            }
        }
        let groups: Vec<_> = gone.iter().map(|(key, _)| session_group(key)).collect();
        let open = self.store.load(Table::Open, &groups).await?;
        let sent = self.store.load(Table::Sent, &groups).await?;
        let kept = self.store.load(Table::History, &groups).await?;
        let rows = open.into_iter().zip(sent).zip(kept);
        for ((key, record), ((open, sent), kept)) in gone.iter().zip(rows) {
            let group = session_group(key);
            for (row, value) in open {
                let entry = read::<Entry>(Table::Open, row, &value);
                let actions = entry.map_or(0, |entry| entry.actions.len() as u64);
                self.counters.dropped_window.add(actions);
                round.changes.push(delete(Table::Open, group.clone(), row));
            }
            for (row, _) in sent {
                round.changes.push(delete(Table::Sent, group.clone(), row));
            }
            for (row, _) in kept {
                round.changes.push(delete(Table::History, group.clone(), row));
            }
            self.shelves.forget(key);
            round.told.push((key.clone(), What::Gone));
            round.changes.push(delete(Table::Session, group, 0));
            forget_index(&mut round, key, record);
        }
        self.counters.sessions_expired.add(gone.len() as u64);
        self.finish(round, now).await?;
        Ok(next)
    }
}

impl Engine {
    /// Removes dead letters of notes or of parcels that are older than their retention among the next rows, and remembers where
    /// to go on.
    pub(super) async fn expire_dead<T: DeserializeOwned>(
        &mut self,
        table: Table,
        after: Option<Key>,
        now: Timestamp,
    ) -> Result<Option<Key>, EngineError> {
        let rows = self.store.scan(table, after, DEAD_PAGE).await?;
        let next =
            (rows.len() == DEAD_PAGE).then(|| rows.last().map(|(key, _)| key.clone())).flatten();
        let oldest = now - self.settings.retention.dead_letters;
        let mut round = Round::default();
        for (row, value) in rows {
            let letter = read::<DeadLetter<T>>(table, row.number, &value);
            let Some(letter) = letter else { continue };
            // One that holds its lane waits for a person, however long.
            if letter.at < oldest && !letter.holds_lane {
                self.counters.dead_expired.add(1);
                round.changes.push(delete(table, row.group, row.number));
            }
        }
        self.finish(round, now).await?;
        Ok(next)
    }
}

impl Engine {
    /// Removes redactions that were given up and are older than the retention of dead letters among the
    /// next rows, and remembers where to go on.
    pub(super) async fn expire_redactions(
        &mut self,
        after: Option<Key>,
        now: Timestamp,
    ) -> Result<Option<Key>, EngineError> {
        let rows = self.store.scan(Table::Redact, after, PAGE).await?;
        let next = (rows.len() == PAGE).then(|| rows.last().map(|(key, _)| key.clone())).flatten();
        let oldest = now - self.settings.retention.dead_letters;
        let mut round = Round::default();
        for (row, value) in rows {
            let Some(job) = read::<Job>(Table::Redact, row.number, &value) else { continue };
            if job.state == State::GivenUp && job.decided < oldest {
                self.counters.redactions_expired.add(1);
                if job.why == Why::Erased {
                    self.want_scrub(&mut round, now);
                }
                round.changes.push(delete(Table::Redact, row.group, row.number));
            }
        }
        self.finish(round, now).await?;
        Ok(next)
    }
}

/// Removes a session from the indexes by conversation and by person.
fn forget_index(round: &mut Round, key: &SessionKey, record: &Record) {
    let number = session_number(key);
    let link = record.link.as_ref().map(|link| (&link.plugin, &link.conversation));
    let past = record.past.iter().map(|(plugin, conversation)| (plugin, conversation));
    let targets: HashSet<_> = link.into_iter().chain(past).collect();
    for (plugin, conversation) in targets {
        let group = conversation_group(plugin, conversation);
        round.changes.push(delete(Table::Conversation, group, number));
    }
    for person in Person::of(record.user_id.as_deref(), record.email.as_deref()) {
        round.changes.push(delete(Table::Person, person_group(&key.product, &person), number));
    }
}
