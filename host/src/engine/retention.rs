//! What expires: rows of every table, some time after the last thing that happened to them.

use std::collections::HashSet;
use std::time::Duration;

use serde::Deserialize;
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
use crate::outbox::note::Note;
use crate::outbox::redaction::{Job, State, Why};
use crate::outbox::sink_delivery::SinkDelivery;
use crate::session::batch::Entry;
use crate::session::state::Record;
use crate::store::{Key, Store, StoreError, Table};

/// How often the rows are looked at.
const SWEEP: Duration = Duration::from_secs(30);
/// How soon the next page is, where a table has more rows than one.
const NEXT_PAGE: Duration = Duration::from_secs(1);
/// Rows that one step looks at.
const PAGE: usize = 4096;
/// The same of a table whose rows hold whole notes or batches.
const LARGE_PAGE: usize = 256;

/// When the rows are looked at for what has expired, and how far each table was.
pub(super) struct Sweep {
    /// When the next step is due.
    pub(super) at: Timestamp,
    sessions: Pages,
    dead: Pages,
    dead_sinks: Pages,
    redactions: Pages,
    kept: Pages,
    history: Pages,
}

/// A table that is read page by page.
struct Pages {
    table: Table,
    rows: usize,
    after: Option<Key>,
}

type Page = Vec<(Key, Vec<u8>)>;

impl Sweep {
    pub(super) fn new(now: Timestamp) -> Self {
        let pages = |table, rows| Pages { table, rows, after: None };
        Self {
            at: now + SWEEP,
            sessions: pages(Table::Session, PAGE),
            dead: pages(Table::Dead, LARGE_PAGE),
            dead_sinks: pages(Table::SinkDead, LARGE_PAGE),
            redactions: pages(Table::Redact, PAGE),
            kept: pages(Table::Kept, PAGE),
            history: pages(Table::History, LARGE_PAGE),
        }
    }

    fn has_more(&self) -> bool {
        let all = [
            &self.sessions,
            &self.dead,
            &self.dead_sinks,
            &self.redactions,
            &self.kept,
            &self.history,
        ];
        all.into_iter().any(|pages| pages.after.is_some())
    }
}

impl Pages {
    /// The next rows; behind the last of them it begins again.
    async fn next(&mut self, store: &dyn Store) -> Result<Page, StoreError> {
        let page = store.scan(self.table, self.after.take(), self.rows).await?;
        if page.len() == self.rows {
            self.after = page.last().map(|(key, _)| key.clone());
        }
        Ok(page)
    }
}

/// What is read of a batch or a summary that is kept.
#[derive(Deserialize)]
struct Age {
    at: Timestamp,
}

impl Engine {
    /// Removes what has expired among the next rows of every table. It can wait while the store is away.
    pub(super) async fn expire(
        &mut self,
        sweep: &mut Sweep,
        now: Timestamp,
    ) -> Result<(), EngineError> {
        match self.expire_pages(sweep, now).await {
            Ok(()) => sweep.at = now + if sweep.has_more() { NEXT_PAGE } else { SWEEP },
            Err(EngineError::Store(StoreError::Away(_) | StoreError::Refused(_))) => {
                *sweep = Sweep::new(now)
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    async fn expire_pages(&mut self, sweep: &mut Sweep, now: Timestamp) -> Result<(), EngineError> {
        let store = self.store.clone();
        let mut round = Round::default();
        let sessions = sweep.sessions.next(&*store).await?;
        self.expire_sessions(&mut round, sessions, now).await?;
        self.expire_dead::<Note>(&mut round, sweep.dead.next(&*store).await?, now);
        self.expire_dead::<SinkDelivery>(&mut round, sweep.dead_sinks.next(&*store).await?, now);
        self.expire_redactions(&mut round, sweep.redactions.next(&*store).await?, now);
        self.expire_kept(&mut round, sweep.kept.next(&*store).await?, now);
        self.expire_history(&mut round, sweep.history.next(&*store).await?, now);
        self.finish(round, now).await
    }

    /// A session in memory is busy or was touched a moment ago; it is passed over.
    async fn expire_sessions(
        &mut self,
        round: &mut Round,
        page: Page,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let oldest = now - self.settings.retention.sessions;
        let mut gone = Vec::new();
        for (row, value) in page {
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
        let kept = self.kept_rows(&groups).await?;
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
            for row in kept {
                round.changes.push(delete(Table::History, group.clone(), row));
            }
            self.history_indexes.forget(key);
            round.told.push((key.clone(), What::Gone));
            round.changes.push(delete(Table::Session, group, 0));
            forget_index(round, key, record);
        }
        self.counters.sessions_expired.add(gone.len() as u64);
        Ok(())
    }

    /// Dead letters, of notes or of sink deliveries.
    fn expire_dead<T: DeserializeOwned>(&mut self, round: &mut Round, page: Page, now: Timestamp) {
        let oldest = now - self.settings.retention.dead_letters;
        for (row, value) in page {
            let letter = read::<DeadLetter<T>>(row.table, row.number, &value);
            let Some(letter) = letter else { continue };
            // One that holds its lane waits for a person, however long.
            if letter.at < oldest && !letter.holds_lane {
                self.counters.dead_expired.add(1);
                round.changes.push(delete(row.table, row.group, row.number));
            }
        }
    }

    /// Redactions that were given up.
    fn expire_redactions(&mut self, round: &mut Round, page: Page, now: Timestamp) {
        let oldest = now - self.settings.retention.dead_letters;
        for (row, value) in page {
            let Some(job) = read::<Job>(Table::Redact, row.number, &value) else { continue };
            if job.state == State::GivenUp && job.decided < oldest {
                self.counters.redactions_expired.add(1);
                if job.why == Why::Erased {
                    self.want_scrub(round, now);
                }
                round.changes.push(delete(Table::Redact, row.group, row.number));
            }
        }
    }

    /// What is kept of sessions. What a run with a history left behind goes too where none is kept.
    fn expire_history(&mut self, round: &mut Round, page: Page, now: Timestamp) {
        let keep =
            self.settings.history.as_ref().map_or(self.settings.retention.sessions, |it| it.keep);
        let oldest = now - keep;
        for (row, value) in page {
            let Some(age) = read::<Age>(Table::History, row.number, &value) else { continue };
            if age.at >= oldest {
                continue;
            }
            if let Some(key) = session_key(&row.group) {
                self.history_indexes.remove(&key, row.number);
            }
            self.counters.history_expired.add(1);
            round.changes.push(delete(Table::History, row.group, row.number));
        }
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
