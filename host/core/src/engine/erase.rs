//! Erasing sessions: what is found of them, and what is to become of their notes at the platform.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::deliveries::MAX_SENT;
use super::kept::{self, KeptCount, Reason};
use super::rows::{Person, read};
use crate::ids::{PluginName, SessionKey};
use crate::outbox::due_timer::DueTimer;
use crate::outbox::lane::{DeadLetter, Item, Progress, State};
use crate::outbox::note::{Note, SentNote};
use crate::outbox::redaction::{ErasureId, Job};
use crate::outbox::sink_delivery::SinkDelivery;
use crate::rows::{Change, Table};
use crate::session::batch::StoredEntry;
use crate::session::state::{Record, Target};

/// The tables that are grouped by session.
pub const OF_SESSION: [Table; 19] = [
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
    Table::Help,
    Table::Message,
    Table::Ended,
    Table::SessionValue,
    Table::Timer,
    Table::TimerQueue,
    Table::TimerAttempt,
    Table::TimerDead,
];

/// Sessions that are to be erased.
#[derive(Clone, Serialize, Deserialize)]
pub struct EraseOrder {
    /// Which.
    pub keys: Vec<SessionKey>,
    /// Under whom they were found, beside what their records say.
    pub persons: Vec<Person>,
    /// What happens to the rows in which sources remember them.
    pub remembered: Vec<Change>,
    /// Whether the notes at the platform are left there.
    pub keep_notes: bool,
    /// The erasure's name.
    pub id: ErasureId,
}

/// What was erased, or would be.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Erased {
    /// Sessions of which there was anything.
    pub sessions: u64,
    /// Actions that waited for a note.
    pub actions: u64,
    /// Notes that waited, and dead letters.
    pub notes: u64,
    /// Batches and summaries that waited for sinks, and dead letters of them. What sinks were given stays there.
    #[serde(default)]
    pub sink_deliveries: u64,
    /// Timers of plugins: those that waited, due ones, and dead letters of them.
    #[serde(default)]
    pub timers: u64,
    /// Notes that are to be redacted at the platform: those sent, and those of which it isn't known. What
    /// stays of them in the end is found in the ledger of what is kept.
    pub redactions: u64,
    /// Notes that stay at the platform, or may be there and stay, as far as can be told before it is asked.
    pub left: u64,
    /// Whose they are, and why they stay.
    #[serde(default)]
    pub kept: Vec<KeptCount>,
    /// The erasure's name, by which what stays is looked up; `None` of a preview, and where there was nobody.
    #[serde(default)]
    pub erasure: Option<ErasureId>,
}

impl Erased {
    /// Counts what was erased together with this.
    pub fn add(&mut self, more: Self) {
        self.sessions += more.sessions;
        self.actions += more.actions;
        self.notes += more.notes;
        self.sink_deliveries += more.sink_deliveries;
        self.timers += more.timers;
        self.redactions += more.redactions;
        self.left += more.left;
        for KeptCount { plugin, reason, notes } in more.kept {
            kept::count(&mut self.kept, &plugin, reason, notes);
        }
        self.erasure = self.erasure.or(more.erasure);
    }
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
pub struct SessionRows(BTreeMap<(Table, u64), Vec<u8>>);

impl SessionRows {
    /// Adds the rows of a table.
    pub fn add(&mut self, table: Table, rows: impl IntoIterator<Item = (u64, Vec<u8>)>) {
        self.0.extend(rows.into_iter().map(|(number, value)| ((table, number), value)));
    }

    /// What erasing them would come to. `redacts` says whether a plugin can redact notes, where that is known.
    pub fn preview(
        &self,
        keep_notes: bool,
        redacts: &dyn Fn(&PluginName) -> Option<bool>,
    ) -> Erased {
        let notes = self.at_platform(keep_notes, redacts);
        self.tally(&notes, self.forgotten(&notes, keep_notes).as_ref())
    }

    /// What erasing them comes to.
    pub(super) fn tally(&self, notes: &[AtPlatform], forgotten: Option<&Forgotten>) -> Erased {
        let waiting = self.of(Table::Outbox).chain(self.of(Table::Dead));
        let sealed: BTreeSet<_> = waiting.map(|(number, _)| number).collect();
        let waiting = self.of(Table::SinkQueue).chain(self.of(Table::SinkDead));
        let sink_deliveries: BTreeSet<_> = waiting.map(|(number, _)| number).collect();
        let due = self.of(Table::TimerQueue).chain(self.of(Table::TimerDead));
        let due: BTreeSet<_> = due.map(|(number, _)| number).collect();
        let actions = self.read::<StoredEntry>(Table::Open).map(|(_, entry)| entry.count() as u64);
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
            sessions: u64::from(!self.0.is_empty()),
            actions: actions.sum(),
            notes: sealed.len() as u64,
            sink_deliveries: sink_deliveries.len() as u64,
            timers: (self.of(Table::Timer).count() + due.len()) as u64,
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

    /// The notes that wait, and dead letters.
    pub(super) fn notes(&self) -> impl Iterator<Item = Arc<Note>> {
        let dead = self.read::<DeadLetter>(Table::Dead).map(|(_, letter)| letter.note);
        self.read(Table::Outbox).map(|(_, note)| note).chain(dead)
    }

    /// Of whom what waits for sinks, or is dead, tells.
    pub(super) fn in_sink_deliveries(&self) -> impl Iterator<Item = Person> {
        let dead =
            self.read::<DeadLetter<SinkDelivery>>(Table::SinkDead).map(|(_, letter)| letter.note);
        let waiting =
            self.read::<Arc<SinkDelivery>>(Table::SinkQueue).map(|(_, delivery)| delivery);
        waiting.chain(dead).flat_map(|delivery| of_delivery(&delivery).collect::<Vec<_>>())
    }

    /// Of whom due timers, or dead ones, tell.
    pub(super) fn in_timers(&self) -> impl Iterator<Item = Person> {
        let dead =
            self.read::<DeadLetter<DueTimer>>(Table::TimerDead).map(|(_, letter)| letter.note);
        let waiting = self.read::<Arc<DueTimer>>(Table::TimerQueue).map(|(_, timer)| timer);
        waiting.chain(dead).flat_map(|timer| of_timer(&timer).collect::<Vec<_>>())
    }

    /// The notes that wait and of which it isn't known whether the platform has them.
    pub(super) fn unknown(&self) -> impl Iterator<Item = Arc<Note>> {
        let progress: BTreeMap<u64, Progress> = self.read(Table::Attempt).collect();
        self.read::<Arc<Note>>(Table::Outbox).filter_map(move |(number, note)| {
            let progress = progress.get(&number).cloned();
            let progress = progress.unwrap_or_else(|| note.first_progress());
            (progress.unknown || progress.state == State::InFlight).then_some(note)
        })
    }

    fn of(&self, table: Table) -> impl Iterator<Item = (u64, &Vec<u8>)> {
        self.0.range((table, 0)..=(table, u64::MAX)).map(|((_, number), value)| (*number, value))
    }

    fn read<T: DeserializeOwned>(&self, table: Table) -> impl Iterator<Item = (u64, T)> {
        self.of(table)
            .filter_map(move |(number, value)| Some((number, read(table, number, value)?)))
    }
}

/// Of whom something for a sink tells.
pub fn of_delivery(delivery: &SinkDelivery) -> impl Iterator<Item = Person> {
    let (user, email) = delivery.person();
    Person::of(user, email)
}

/// Of whom a due timer tells.
pub fn of_timer(timer: &DueTimer) -> impl Iterator<Item = Person> {
    Person::of(timer.user_id.as_deref(), timer.email.as_deref())
}
