//! What the store has of somebody.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use super::kept::{self, Reason};
use super::{Erased, Erasure, Subject};
use crate::engine::deliveries::notes::MAX_SENT;
use crate::engine::history;
use crate::engine::rows::{Person, PersonRow, person_group, read, session_group, session_key};
use crate::ids::{PluginName, ProductId, SessionKey};
use crate::outbox::lane::{DeadLetter, Progress, State};
use crate::outbox::note::{Note, SentNote};
use crate::outbox::redaction::Job;
use crate::outbox::sink_delivery::SinkDelivery;
use crate::session::batch::Entry;
use crate::session::state::{Record, Target};
use crate::store::{Change, Group, Key, Store, StoreError, Table};

/// Rows that are read at once: they hold whole notes.
const PAGE: usize = 256;

/// The tables that are grouped by session.
const OF_SESSION: [Table; 11] = [
    Table::Session,
    Table::Open,
    Table::Outbox,
    Table::Attempt,
    Table::Dead,
    Table::Sent,
    Table::Redact,
    Table::History,
    Table::SinkQueue,
    Table::SinkAttempt,
    Table::SinkDead,
];

/// The sessions that are meant: by the index, and by what waits or was given up, which can outlive what the
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
    for table in [Table::Outbox, Table::Dead, Table::SinkQueue, Table::SinkDead, Table::History] {
        by_rows(store, table, product, &person, &mut keys).await?;
    }
    let mut keys: Vec<_> = keys.into_iter().collect();
    keys.sort();
    Ok(keys)
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
        | Table::Scrub => read::<Arc<Note>>(table, number, value),
    };
    note.is_some_and(|note| {
        Person::of(note.user_id.as_deref(), note.email.as_deref()).any(|known| known == *person)
    })
}

fn of_delivery(delivery: &SinkDelivery) -> impl Iterator<Item = Person> {
    let (user, email) = delivery.person();
    Person::of(user, email)
}

/// Reads all rows of these sessions.
pub(in crate::engine) async fn load(
    store: &dyn Store,
    keys: &[SessionKey],
) -> Result<Vec<(SessionKey, SessionRows)>, StoreError> {
    let groups: Vec<_> = keys.iter().map(session_group).collect();
    let mut loaded: Vec<_> = keys.iter().map(|key| (key.clone(), SessionRows::default())).collect();
    for table in OF_SESSION {
        for ((_, rows), of_table) in loaded.iter_mut().zip(store.load(table, &groups).await?) {
            for (number, value) in of_table {
                rows.stored.push((table, number));
                rows.rows.insert((table, number), value);
            }
        }
    }
    Ok(loaded)
}

/// A note that is at the platform or may be.
pub(super) struct AtPlatform {
    /// Its number among the notes of its session.
    pub(super) seq: u64,
    pub(super) sent: SentNote,
    /// Why it stays, as far as can be told.
    pub(super) kept: Option<Reason>,
    /// Whether it is to be redacted all the same.
    pub(super) ask: bool,
    /// What is on record for it already.
    pub(super) job: Option<Job>,
}

/// Notes that aren't remembered one by one.
pub(super) struct Forgotten {
    /// Where they stand, as far as can be told.
    pub(super) target: Target,
    /// At most so many.
    pub(super) notes: u64,
    pub(super) reason: Reason,
}

/// All rows of a session.
#[derive(Default)]
pub(in crate::engine) struct SessionRows {
    rows: BTreeMap<(Table, u64), Vec<u8>>,
    /// The places of those that are in the store.
    pub(super) stored: Vec<(Table, u64)>,
}

impl SessionRows {
    /// Takes the changes of these rows, which are about to be stored, out of the others.
    pub(super) fn absorb(&mut self, key: &SessionKey, changes: &mut Vec<Change>) {
        let group = session_group(key);
        let ours = |change: &Change| {
            let key = change.key();
            key.group == group && OF_SESSION.contains(&key.table)
        };
        let (absorbed, left): (Vec<_>, Vec<_>) =
            std::mem::take(changes).into_iter().partition(ours);
        *changes = left;
        for change in absorbed {
            match change {
                Change::Put(key, value) => {
                    self.rows.insert((key.table, key.number), value);
                }
                Change::Delete(key) => {
                    self.rows.remove(&(key.table, key.number));
                }
            }
        }
    }

    /// What erasing them comes to.
    pub(super) fn tally(&self, notes: &[AtPlatform], forgotten: Option<&Forgotten>) -> Erased {
        let waiting = self.of(Table::Outbox).chain(self.of(Table::Dead));
        let sealed: BTreeSet<_> = waiting.map(|(number, _)| number).collect();
        let waiting = self.of(Table::SinkQueue).chain(self.of(Table::SinkDead));
        let sink_deliveries: BTreeSet<_> = waiting.map(|(number, _)| number).collect();
        let actions = self.read::<Entry>(Table::Open).map(|(_, entry)| entry.actions.len() as u64);
        let mut kept = Vec::new();
        for note in notes {
            if let Some(reason) = note.kept {
                kept::count(&mut kept, &note.sent.plugin, reason, 1);
            }
        }
        if let Some(Forgotten { target: (plugin, _), notes, reason }) = forgotten {
            kept::count(&mut kept, plugin, *reason, *notes);
        }
        Erased {
            sessions: u64::from(!self.rows.is_empty()),
            actions: actions.sum(),
            notes: sealed.len() as u64,
            sink_deliveries: sink_deliveries.len() as u64,
            redactions: notes.iter().filter(|note| note.kept.is_none()).count() as u64,
            left: kept.iter().map(|count| count.notes).sum(),
            kept,
            erasure: None,
        }
    }

    /// The notes that are at the platform or may be, and what is to become of each. `redacts` says whether
    /// a plugin can redact notes, where that is known.
    pub(super) fn at_platform(
        &self,
        keep_notes: bool,
        redacts: &dyn Fn(&PluginName) -> Option<bool>,
    ) -> Vec<AtPlatform> {
        let stays = |sent: &SentNote| match keep_notes {
            true => Some(Reason::Wished),
            false => (redacts(&sent.plugin) == Some(false)).then_some(Reason::NoRedactor),
        };
        let sent = self.sent().map(|(seq, sent)| {
            let nameless = sent.note_id.is_none().then_some(Reason::NoNoteId);
            let kept = stays(&sent).or(nameless);
            // Nobody can say that it will stay this time too: it is tried.
            let ask = kept.is_none();
            let kept = kept.or(sent.stays.then_some(Reason::Unsupported));
            AtPlatform { seq, sent, kept, ask, job: None }
        });
        let jobs = self.jobs().map(|(seq, job)| {
            let kept = stays(&job.note);
            AtPlatform { seq, sent: job.note.clone(), kept, ask: !keep_notes, job: Some(job) }
        });
        let unknown = self.unknown().map(|note| {
            let sent = SentNote::of(&note, None, note.sealed_at);
            // Whether it is there at all is found out.
            AtPlatform { seq: note.seq, kept: stays(&sent), sent, ask: !keep_notes, job: None }
        });
        sent.chain(jobs).chain(unknown).collect()
    }

    /// The notes that were sent so long ago that they aren't remembered: at most so many.
    pub(super) fn forgotten(&self, notes: &[AtPlatform], keep_notes: bool) -> Option<Forgotten> {
        let record = self.read::<Record>(Table::Session).find(|(number, _)| *number == 0)?.1;
        let oldest = record.notes.checked_sub(MAX_SENT)?;
        let link = record.link.map(|link| (link.plugin, link.conversation));
        let target = link.or_else(|| record.past.last().cloned())?;
        let waiting = self.of(Table::Outbox).chain(self.of(Table::Dead)).map(|(number, _)| number);
        let known: BTreeSet<_> = notes.iter().map(|note| note.seq).chain(waiting).collect();
        let known = known.into_iter().filter(|seq| *seq <= oldest).count() as u64;
        let notes = oldest.saturating_sub(known);
        let reason = if keep_notes { Reason::Wished } else { Reason::Forgotten };
        (notes > 0).then_some(Forgotten { target, notes, reason })
    }

    /// The notes that the platform took.
    pub(super) fn sent(&self) -> impl Iterator<Item = (u64, SentNote)> {
        self.read(Table::Sent)
    }

    /// The notes that are to be redacted already.
    pub(super) fn jobs(&self) -> impl Iterator<Item = (u64, Job)> {
        self.read(Table::Redact)
    }

    /// The notes that wait, and those that were given up.
    pub(super) fn notes(&self) -> impl Iterator<Item = Arc<Note>> {
        let dead = self.read::<DeadLetter>(Table::Dead).map(|(_, letter)| letter.note);
        self.read(Table::Outbox).map(|(_, note)| note).chain(dead)
    }

    /// Subject what waits for sinks, or was given up, tells of.
    pub(super) fn in_sink_deliveries(&self) -> impl Iterator<Item = Person> {
        let dead =
            self.read::<DeadLetter<SinkDelivery>>(Table::SinkDead).map(|(_, letter)| letter.note);
        let waiting =
            self.read::<Arc<SinkDelivery>>(Table::SinkQueue).map(|(_, delivery)| delivery);
        waiting.chain(dead).flat_map(|delivery| of_delivery(&delivery).collect::<Vec<_>>())
    }

    /// The notes that wait and of which it isn't known whether the platform has them.
    pub(super) fn unknown(&self) -> impl Iterator<Item = Arc<Note>> {
        let progress: BTreeMap<u64, Progress> = self.read(Table::Attempt).collect();
        self.read::<Arc<Note>>(Table::Outbox).filter_map(move |(number, note)| {
            let progress = progress.get(&number)?;
            (progress.unknown || progress.state == State::InFlight).then_some(note)
        })
    }

    fn of(&self, table: Table) -> impl Iterator<Item = (u64, &Vec<u8>)> {
        self.rows.range((table, 0)..=(table, u64::MAX)).map(|((_, number), value)| (*number, value))
    }

    fn read<T: serde::de::DeserializeOwned>(&self, table: Table) -> impl Iterator<Item = (u64, T)> {
        self.of(table)
            .filter_map(move |(number, value)| Some((number, read(table, number, value)?)))
    }
}
