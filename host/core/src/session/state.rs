//! One session: who, linked where, what waits. Inputs and `now` in, effects out.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::ids::{ConversationId, PluginName, SessionKey};
use crate::outbox::note::NoteKind;
use crate::rules::Delivery;
use crate::session::batch::{Entry, Needed, OpenBatch, StoredEntry};
use crate::session::identity::{Basis, Names};
use crate::session::link::{
    Foreign, Identity, Link, LinkEvent, LinkMode, LinkRequest, Owners, Party, decide,
};
use crate::session::packed::Packed;
use crate::session::payload::ActionsPayload;
use crate::session::repeat::Repeat;
use crate::short::{Reader, Short, Writer, flags, is_set, short_but_in_json};

/// A session, as the host holds it while something happens to it.
#[derive(Debug, Clone, PartialEq)]
pub struct Session {
    /// Its key.
    pub key: SessionKey,
    record: Record,
    /// `None`: nothing waits, and no memory is kept for what may come.
    open: Option<Box<OpenBatch>>,
    next_row: u64,
    saved: Timestamp,
    /// Whether the open batch holds more than time alone would have it hold.
    gathered: bool,
}

/// What is stored of a session beside its open batch.
#[derive(Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, remote = "Self")]
pub struct Record {
    /// The user id, where known: the activity source's, or where that says nothing a platform's.
    pub user_id: Option<String>,
    /// The e-mail address, where known.
    pub email: Option<String>,
    /// The plugin whose platform told the user id, where it may be another than the product's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub told_by: Option<PluginName>,
    /// Where the session's notes go.
    pub link: Option<Link>,
    /// Where they went before a move, the latest last; at most [`MAX_PAST`].
    pub past: Vec<Target>,
    /// How many notes were sealed.
    pub notes: u64,
    /// How many sink deliveries and due timers were numbered.
    #[serde(rename = "parcels")]
    pub sink_deliveries: u64,
    /// Ordinal of the last action that left the open batch, for a note or for nothing. The actions of a
    /// session are counted from 1, in the order in which they were accepted.
    pub left: u64,
    /// Ordinal of the last action that a summary covers.
    pub covered: u64,
    /// When something last happened, as of the last time that the record was stored.
    pub active_at: Timestamp,
}

short_but_in_json!(Record);

impl Short for Record {
    fn write(&self, to: &mut Writer) {
        let Self { user_id, email, told_by, link, past, notes, sink_deliveries, .. } = self;
        let Self { left, covered, active_at, .. } = self;
        to.put(&flags([
            user_id.is_some(),
            email.is_some(),
            told_by.is_some(),
            link.is_some(),
            !past.is_empty(),
            *sink_deliveries > 0,
            *covered > 0,
        ]));
        to.put_some(user_id.as_ref());
        to.put_some(email.as_ref());
        to.put_some(told_by.as_ref());
        let base = link.as_ref().map_or(Timestamp::default(), |link| link.since);
        if let Some(Link { plugin, conversation, since, moves, basis }) = link {
            to.put(&(plugin, conversation, since, moves, basis.code()));
        }
        to.put_some(Some(past).filter(|past| !past.is_empty()));
        to.put(notes);
        to.put_some(Some(sink_deliveries).filter(|count| **count > 0));
        to.put(left);
        to.put_some(Some(covered).filter(|covered| **covered > 0));
        to.put_since(*active_at, base);
    }

    fn read(from: &mut Reader<'_>) -> Option<Self> {
        let flags: u8 = from.take()?;
        let has = |place| is_set(flags, place);
        let (user_id, email) = (from.take_if(has(0))?, from.take_if(has(1))?);
        let told_by = from.take_if(has(2))?;
        let link = from.take_if(has(3))?;
        let link = link.map(|(plugin, conversation, since, moves, basis)| {
            Some(Link { plugin, conversation, since, moves, basis: Basis::coded(basis)? })
        });
        let link = match link {
            Some(link) => Some(link?),
            None => None,
        };
        let past = from.take_if(has(4))?.unwrap_or_default();
        let (notes, sink_deliveries) = (from.take()?, from.take_if(has(5))?.unwrap_or_default());
        let (left, covered) = (from.take()?, from.take_if(has(6))?.unwrap_or_default());
        let base = link.as_ref().map_or(Timestamp::default(), |link| link.since);
        let active_at = from.take_since(base)?;
        Some(Self {
            user_id,
            email,
            told_by,
            link,
            past,
            notes,
            sink_deliveries,
            left,
            covered,
            active_at,
        })
    }

    fn read_named<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::deserialize(deserializer)
    }
}

/// A conversation and the plugin that posts there.
pub type Target = (PluginName, ConversationId);

/// So many conversations that a session was moved from are remembered.
pub const MAX_PAST: usize = 8;

/// What is stored of a session is brought up to date at least this often while it is active, so that
/// what expires can be told by the record alone.
const STALE: Duration = Duration::from_secs(600);

/// The smallest step of time: an action is outside of the window only behind its end.
const TICK: Duration = Duration::from_micros(1);

/// What a decision asks of the shell. Everything in one list of effects is one transaction.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Store the record ([`Session::record`]).
    Save,
    /// The person is another one than this: find the session under the one in the record.
    Identity(Identity),
    /// The session has nothing to do with this conversation any more.
    Leave(Target),
    /// Store an entry of the open batch.
    Keep(u64, Entry),
    /// Remove rows of the open batch.
    Forget(Vec<u64>),
    /// The pre-link window dropped so many actions.
    Dropped(usize),
    /// Queue this for the lane.
    Seal(Sealed),
}

/// The content of a note at the moment of sealing.
#[derive(Debug, Clone, PartialEq)]
pub struct Sealed {
    /// Its place among the session's notes, from 1.
    pub seq: u64,
    /// Where it goes.
    pub link: Link,
    /// The actions that it tells of; none where it has a text.
    pub actions: Packed,
    /// What it is made of.
    pub kind: NoteKind,
    /// The text; `None` for a note of actions.
    pub text: Option<String>,
    /// Since when the oldest action could have been posted.
    pub waits_since: Option<Timestamp>,
    /// Ordinal of the last action that it tells of.
    pub through: u64,
    /// Width of the time bins in its text, in seconds; 0 for none.
    pub bin_seconds: f64,
    /// Whether actions gathered in it while the platform took nothing.
    pub gathered: bool,
    /// The number of the note that it repeats.
    pub resent_of: Option<u64>,
}

/// When a batch that is due is sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sealing {
    /// At once: nobody knows when it can be sent.
    Now,
    /// When it can be sent: see [`Session::seal_next`].
    AtItsTurn,
    /// The same, and it waits already: a note of the session isn't delivered yet, or other sessions are in front. More
    /// gathers in it meanwhile.
    Gather,
}

/// Which actions of a session a summary covers: all up to some ordinal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Covers {
    /// The oldest so many that no summary covered before.
    Next(u64),
    /// All up to this ordinal, itself included.
    Through(u64),
}

/// The outcome of a summary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Summarized {
    /// It is a note of the session's lane.
    Queued {
        /// The note's place among the session's notes.
        seq: u64,
    },
    /// The session is linked to no conversation: there is nothing to replace. Nothing of it is kept.
    Unlinked,
    /// A later summary covers more, or what it tells of was erased. Nothing of it is kept.
    Stale,
}

impl Session {
    /// A session from what is stored of it; `record` is `None` for one that was never seen.
    /// `open` are the rows of its open batch, in order.
    /// Where the actions of one of them weren't read, all are to be [read again](Session::restore).
    pub fn load(key: SessionKey, record: Option<Record>, open: Vec<(u64, StoredEntry)>) -> Self {
        let mut record = record.unwrap_or_default();
        let saved = record.active_at;
        for (_, entry) in &open {
            // The record is not stored with every entry.
            record.active_at = record.active_at.max(entry.arrived);
        }
        let batch = OpenBatch::read(open);
        let next_row = batch.next_row();
        let open = Some(batch).filter(|batch| !batch.is_empty()).map(Box::new);
        Self { key, saved, record, open, next_row, gathered: false }
    }

    /// The same session where rows of the open batch below `next_row`, notes up to `last_note` and actions
    /// up to `last_action` are in the store without being part of it: their numbers aren't given again.
    #[must_use]
    pub fn with_numbers_taken(mut self, next_row: u64, last_note: u64, last_action: u64) -> Self {
        self.next_row = self.next_row.max(next_row);
        self.record.notes = self.record.notes.max(last_note);
        self.record.left = self.record.left.max(last_action);
        self
    }

    /// The same session where sink deliveries and due timers up to this number are in the store without being part of it.
    #[must_use]
    pub fn with_sink_deliveries_taken(mut self, last_sink: u64) -> Self {
        self.record.sink_deliveries = self.record.sink_deliveries.max(last_sink);
        self
    }

    /// The number of the session's next sink delivery, or due timer. The record must be stored with it.
    pub fn number_sink_delivery(&mut self) -> u64 {
        self.record.sink_deliveries += 1;
        self.record.sink_deliveries
    }

    /// What is stored of the session.
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// Whether anything was ever learned of the session.
    pub fn is_known(&self) -> bool {
        self.record.active_at != Timestamp::default() || !self.open().is_empty()
    }

    /// Whether the session's notes go to this very conversation.
    pub fn is_linked_to(&self, plugin: &PluginName, conversation: &ConversationId) -> bool {
        let link = self.record.link.as_ref();
        link.is_some_and(|link| link.plugin == *plugin && link.conversation == *conversation)
    }

    /// Ordinal of the last action that was accepted.
    pub fn actions(&self) -> u64 {
        self.record.left + self.open().actions() as u64
    }

    /// The open batch.
    pub fn open(&self) -> &OpenBatch {
        static EMPTY: OpenBatch = OpenBatch::EMPTY;
        self.open.as_deref().unwrap_or(&EMPTY)
    }

    /// Changes the open batch, where there is one.
    fn change_open<T: Default>(&mut self, change: impl FnOnce(&mut OpenBatch) -> T) -> T {
        let changed = self.open.as_deref_mut().map(change).unwrap_or_default();
        self.open.take_if(|batch| batch.is_empty());
        changed
    }

    /// Whether a note of the open batch would be sealed at once, were its actions in memory.
    pub fn is_to_be_restored(&self, rules: &Delivery) -> bool {
        self.record.link.is_some() && !self.open().is_loaded() && is_full(self.open(), rules)
    }

    /// Takes the actions of the open batch out of memory; their rows are stored. Until they are
    /// [read again](Session::restore) nothing of it is sealed.
    pub fn unload(&mut self) {
        self.change_open(OpenBatch::unload);
    }

    /// The actions of the entry in this row, if it waits, are stored in the history: see [`StoredEntry::kept`].
    pub fn keep(&mut self, row: u64, number: u64) {
        self.change_open(|open| open.keep(row, number));
    }

    /// The history is about to drop its row of this number. An entry that is given back is to be stored.
    pub fn let_go(&mut self, number: u64) -> Needed {
        self.change_open(|open| open.let_go(number))
    }

    /// The actions of the entry in this row are in the row itself from here on.
    pub fn is_here(&mut self, row: u64) {
        self.change_open(|open| open.is_here(row));
    }

    /// Takes in the actions of the open batch, from its rows. Returns how many can't be read; where there are any, the
    /// record must be stored: their ordinals aren't given again.
    pub fn restore(&mut self, rows: impl IntoIterator<Item = (u64, StoredEntry)>) -> u64 {
        let missed = self.change_open(|open| open.restore(rows)) as u64;
        self.record.left += missed;
        missed
    }

    /// Takes a batch, of which these are the actions, packed; `bytes` is its size on the wire. A batch without actions
    /// only tells who it is: that is nothing which somebody did, and the session isn't the latest of a person by it.
    pub fn on_actions(
        &mut self,
        batch: &ActionsPayload,
        (packed, bytes): (&Packed, usize),
        now: Timestamp,
        rules: &Delivery,
        sealing: Sealing,
    ) -> Vec<Effect> {
        let mut effects = Vec::new();
        if !batch.actions.is_empty() || self.record.active_at == Timestamp::default() {
            self.touch(now, &mut effects);
        }
        self.identify(batch.user_id.as_deref(), batch.email.as_deref(), &mut effects);
        let share = bytes / packed.len().max(1);
        for actions in packed.chunks(rules.max_note_actions) {
            let bytes = share * actions.len();
            let entry = Entry { arrived: now, bytes, actions };
            let row = self.next_row;
            self.next_row += 1;
            self.open.get_or_insert_default().push(row, entry.clone());
            effects.push(Effect::Keep(row, entry));
        }
        if self.record.link.is_none() {
            self.trim(now, rules, &mut effects);
        } else {
            self.seal_due(now, rules, sealing, &mut effects);
        }
        effects
    }

    /// Takes a batch of which no note can come: nothing of it waits, only who it is and how many actions it
    /// has is learned.
    pub fn on_passed(&mut self, batch: &ActionsPayload, now: Timestamp) -> Vec<Effect> {
        let mut effects = Vec::new();
        self.touch(now, &mut effects);
        self.identify(batch.user_id.as_deref(), batch.email.as_deref(), &mut effects);
        self.record.left += batch.actions.len() as u64;
        effects.push(Effect::Save);
        effects
    }

    /// Links the session, or leaves it where it is. What waited before the first link is sealed at
    /// once; an operator's move seals what waits for the old conversation first. Where a request outranks the
    /// link that there is, what isn't sealed goes to the new conversation: the old one was somebody's
    /// unproven word. What the platform vouches for of the person is used where the activity source says
    /// nothing, and where it is sure that the session is theirs.
    ///
    /// # Errors
    ///
    /// The conversation is another person's, or the platform says that the session is. Nothing changed.
    pub fn on_link(
        &mut self,
        request: LinkRequest<'_>,
        owners: &Owners,
        now: Timestamp,
        rules: &Delivery,
    ) -> Result<(LinkEvent, Vec<Effect>), Foreign> {
        let LinkRequest { plugin, conversation, mode, told, tie, names } = request;
        let known = self.record.identity();
        if mode != LinkMode::Move && told.ids_differ(&known, true, names) {
            return Err(Foreign);
        }
        let basis = tie.basis(&known, told);
        let who = if basis > Basis::Unverified { known.or(told) } else { known };
        let party = Party { key: &self.key, who: &who, basis };
        let current = self.record.link.as_ref();
        let same = self.is_linked_to(plugin, conversation);
        let event = decide(current, same, owners, party, mode, names)?;
        let (linked, surer) = (current.is_some(), current.is_some_and(|it| basis > it.basis));
        let mut effects = Vec::new();
        self.become_known(who, &mut effects);
        if event == LinkEvent::Kept {
            return Ok((event, effects));
        }
        if same {
            if surer && let Some(link) = &mut self.record.link {
                link.basis = basis;
                // The conversation is told what its session rests on.
                effects.push(Effect::Identity(self.record.identity()));
                effects.push(Effect::Save);
            }
            return Ok((event, effects));
        }
        let outranks = linked && mode != LinkMode::Move;
        match linked {
            false => self.trim(now, rules, &mut effects),
            true if outranks => {}
            true => self.seal_all(rules, 0.0, &mut effects),
        }
        let moves = match self.record.link.take() {
            None => 0,
            Some(link) => {
                // Each conversation stands here once, and the one that the session goes to not at all:
                // what is left behind at the bound is nothing that the session is still in.
                let left = (link.plugin, link.conversation);
                let goes_to = |(p, c): &Target| p == plugin && c == conversation;
                self.record.past.retain(|target| *target != left && !goes_to(target));
                if outranks {
                    effects.push(Effect::Leave(left));
                } else {
                    self.record.past.push(left);
                }
                if self.record.past.len() > MAX_PAST {
                    effects.push(Effect::Leave(self.record.past.remove(0)));
                }
                link.moves + 1
            }
        };
        self.record.link = Some(Link {
            plugin: plugin.clone(),
            conversation: conversation.clone(),
            since: now,
            moves,
            basis,
        });
        self.touch(now, &mut effects);
        // autoplay-sdk bins the note that opens a conversation, and no other.
        self.seal_all(rules, rules.bin_seconds, &mut effects);
        effects.push(Effect::Save);
        Ok((event, effects))
    }

    /// Leaves a conversation that turned out to be another person's. What isn't sealed waits for a
    /// conversation of the session's own.
    pub fn on_outranked(&mut self, target: &Target) -> Vec<Effect> {
        if self.is_linked_to(&target.0, &target.1) {
            self.record.link = None;
        }
        self.record.past.retain(|past| past != target);
        vec![Effect::Leave(target.clone()), Effect::Save]
    }

    /// Takes a summary. Entries of the open batch that it covers wholly are sealed before it, so that every
    /// action is told of in order and replaced like any other; what it doesn't cover stays open and comes
    /// behind it. It covers no more than was accepted.
    pub fn on_summary(
        &mut self,
        text: String,
        covers: Covers,
        now: Timestamp,
        rules: &Delivery,
    ) -> (Summarized, Vec<Effect>) {
        let mut effects = Vec::new();
        let before = self.record.covered;
        let wanted = match covers {
            Covers::Next(actions) => before.saturating_add(actions),
            Covers::Through(ordinal) => ordinal,
        };
        // The host's own summary tells of what it has accepted. Where there is less, that was erased meanwhile.
        let erased = matches!(covers, Covers::Through(ordinal) if ordinal > self.actions());
        if wanted < before || erased {
            return (Summarized::Stale, effects);
        }
        let through = wanted.min(self.actions()).max(before);
        if through > before {
            self.record.covered = through;
            effects.push(Effect::Save);
        }
        let Some(link) = self.record.link.clone() else {
            return (Summarized::Unlinked, effects);
        };
        self.touch(now, &mut effects);
        while let Some(first) = self.open().first_actions() {
            let covered = usize::try_from(through.saturating_sub(self.record.left));
            let covered = covered.unwrap_or(usize::MAX);
            if first > covered {
                break;
            }
            if !self.seal_up_to(covered, rules, 0.0, &mut effects) {
                break;
            }
        }
        self.record.notes += 1;
        let seq = self.record.notes;
        effects.push(Effect::Seal(Sealed {
            seq,
            link,
            actions: Packed::default(),
            kind: NoteKind::Summary,
            text: Some(text),
            waits_since: None,
            through,
            bin_seconds: 0.0,
            gathered: false,
            resent_of: None,
        }));
        effects.push(Effect::Save);
        (Summarized::Queued { seq }, effects)
    }

    /// Takes something that people are to know, for a note behind what was done before. Returns its number; `None` where
    /// the session is linked to no conversation.
    pub fn on_word_to_people(
        &mut self,
        text: String,
        now: Timestamp,
        rules: &Delivery,
    ) -> (Option<u64>, Vec<Effect>) {
        let mut effects = Vec::new();
        let Some(link) = self.record.link.clone() else { return (None, effects) };
        self.touch(now, &mut effects);
        self.seal_all(rules, 0.0, &mut effects);
        self.record.notes += 1;
        let seq = self.record.notes;
        effects.push(Effect::Seal(Sealed {
            seq,
            link,
            actions: Packed::default(),
            kind: NoteKind::ForPeople,
            text: Some(text),
            waits_since: None,
            through: 0,
            bin_seconds: 0.0,
            gathered: false,
            resent_of: None,
        }));
        effects.push(Effect::Save);
        (Some(seq), effects)
    }

    /// Takes a note that is to be sent once more, behind what was sealed before. Returns its number.
    pub fn on_resend(
        &mut self,
        repeat: Repeat,
        now: Timestamp,
        rules: &Delivery,
    ) -> (u64, Vec<Effect>) {
        let Repeat { of, link, kind, actions, text, through } = repeat;
        let mut effects = Vec::new();
        self.touch(now, &mut effects);
        self.record.notes += 1;
        let seq = self.record.notes;
        effects.push(Effect::Seal(Sealed {
            seq,
            link,
            actions: Packed::of(&actions),
            kind,
            text,
            waits_since: Some(now),
            through,
            bin_seconds: rules.bin_seconds,
            gathered: false,
            resent_of: Some(of),
        }));
        effects.push(Effect::Save);
        (seq, effects)
    }

    /// Runs the timers that are due.
    pub fn on_timer(&mut self, now: Timestamp, rules: &Delivery, sealing: Sealing) -> Vec<Effect> {
        let mut effects = Vec::new();
        if self.record.link.is_some() {
            self.seal_due(now, rules, sealing, &mut effects);
        } else {
            self.trim(now, rules, &mut effects);
        }
        effects
    }

    /// When [`Session::on_timer`] has something to do.
    pub fn next_timer(&self, rules: &Delivery, sealing: Sealing) -> Option<Timestamp> {
        if self.record.link.is_some() {
            self.open().due(rules).filter(|_| sealing != Sealing::Gather)
        } else {
            self.open().oldest().map(|arrived| arrived + rules.pre_link_window + TICK)
        }
    }

    /// By which plugin a batch that is due goes, where there is one. `waits`: it was due already, and is however much
    /// has come since.
    pub fn due_for(&self, now: Timestamp, rules: &Delivery, waits: bool) -> Option<&PluginName> {
        let due = self.open().due(rules).is_some_and(|due| waits || due <= now);
        self.record.link.as_ref().filter(|_| due).map(|link| &link.plugin)
    }

    /// Seals a note of the open batch, for its turn has come. Returns the batch's rows that are gone with it. The
    /// record must be stored with the note.
    pub fn seal_next(&mut self, rules: &Delivery) -> Option<(Vec<u64>, Sealed)> {
        self.take_note(usize::MAX, rules, 0.0)
    }

    /// Seals all that waits for a linked conversation; for a shutdown.
    pub fn flush(&mut self, rules: &Delivery) -> Vec<Effect> {
        let mut effects = Vec::new();
        self.seal_all(rules, 0.0, &mut effects);
        effects
    }

    /// Adds what the activity source says of the person. An empty text tells nothing.
    fn identify(&mut self, user_id: Option<&str>, email: Option<&str>, effects: &mut Vec<Effect>) {
        let said = |text: Option<&str>| text.filter(|text| !text.is_empty()).map(str::to_owned);
        let fresh = Identity::new(said(user_id), said(email));
        self.become_known(fresh.or(&self.record.identity()), effects);
    }

    fn become_known(&mut self, who: Identity, effects: &mut Vec<Effect>) {
        let before = self.record.identity();
        if before == who {
            return;
        }
        let Identity { user_id, email, told_by } = who;
        (self.record.user_id, self.record.email, self.record.told_by) = (user_id, email, told_by);
        effects.push(Effect::Identity(before));
        effects.push(Effect::Save);
    }

    fn touch(&mut self, now: Timestamp, effects: &mut Vec<Effect>) {
        self.record.active_at = now;
        if now.since(self.saved) > STALE {
            self.saved = now;
            effects.push(Effect::Save);
        }
    }

    fn trim(&mut self, now: Timestamp, rules: &Delivery, effects: &mut Vec<Effect>) {
        let trimmed = self.change_open(|open| open.trim(now, rules));
        if !trimmed.rows.is_empty() {
            effects.push(Effect::Forget(trimmed.rows));
            effects.push(Effect::Dropped(trimmed.actions));
            self.record.left += trimmed.actions as u64;
            // The record tells how many actions left, and where no rows are left, when the session was
            // active last.
            effects.push(Effect::Save);
        }
    }

    fn seal_due(
        &mut self,
        now: Timestamp,
        rules: &Delivery,
        sealing: Sealing,
        effects: &mut Vec<Effect>,
    ) {
        self.gathered |= sealing == Sealing::Gather && !self.open().is_empty();
        let is_due = |open: &OpenBatch| match sealing {
            Sealing::Now => open.due(rules).is_some_and(|due| due <= now),
            Sealing::AtItsTurn | Sealing::Gather => is_full(open, rules),
        };
        while is_due(self.open()) && self.seal_one(rules, 0.0, effects) {}
    }

    fn seal_all(&mut self, rules: &Delivery, bin_seconds: f64, effects: &mut Vec<Effect>) {
        while self.seal_one(rules, bin_seconds, effects) {}
    }

    fn seal_one(&mut self, rules: &Delivery, bin_seconds: f64, effects: &mut Vec<Effect>) -> bool {
        self.seal_up_to(usize::MAX, rules, bin_seconds, effects)
    }

    /// Seals a note of at most so many actions, or of the oldest entry where that has more. `false`: there is nothing to
    /// seal, or it isn't in memory.
    fn seal_up_to(
        &mut self,
        bound: usize,
        rules: &Delivery,
        bin_seconds: f64,
        effects: &mut Vec<Effect>,
    ) -> bool {
        let Some((rows, sealed)) = self.take_note(bound, rules, bin_seconds) else { return false };
        effects.push(Effect::Forget(rows));
        effects.push(Effect::Seal(sealed));
        effects.push(Effect::Save);
        true
    }

    /// Since when the oldest action of the open batch could have been posted.
    pub fn waits_since(&self) -> Option<Timestamp> {
        Some(self.open().oldest()?.max(self.record.link.as_ref()?.since))
    }

    fn take_note(
        &mut self,
        bound: usize,
        rules: &Delivery,
        bin_seconds: f64,
    ) -> Option<(Vec<u64>, Sealed)> {
        if self.open().is_empty() || !self.open().is_loaded() {
            return None;
        }
        let link = self.record.link.clone()?;
        let waits_since = self.waits_since();
        let gathered = self.gathered && self.open().actions() > rules.max_note_actions;
        let most = if gathered { rules.max_gathered_actions } else { rules.max_note_actions };
        let (rows, actions) =
            self.change_open(|open| open.take(most.max(rules.max_note_actions).min(bound)));
        self.record.left += actions.len() as u64;
        let through = self.record.left;
        self.gathered &= !self.open().is_empty();
        self.record.notes += 1;
        let sealed = Sealed {
            seq: self.record.notes,
            link,
            actions,
            kind: NoteKind::Actions,
            text: None,
            waits_since,
            through,
            bin_seconds,
            gathered,
            resent_of: None,
        };
        Some((rows, sealed))
    }
}

/// Whether a batch is sealed though its turn hasn't come: how much waits in one is bounded.
fn is_full(open: &OpenBatch, rules: &Delivery) -> bool {
    open.actions() >= rules.max_gathered_actions.max(rules.max_note_actions)
}

impl Record {
    /// Whose session it is.
    pub fn identity(&self) -> Identity {
        Identity {
            user_id: self.user_id.clone(),
            email: self.email.clone(),
            told_by: self.told_by.clone(),
        }
    }

    /// Takes out what names nobody, as an earlier version may have stored it. Returns the person as they
    /// were known, where something was taken out.
    pub fn clean(&mut self, names: &Names) -> Option<Identity> {
        let before = self.identity();
        let mut who = before.clone();
        if names.clean_identity(&mut who) == 0 {
            return None;
        }
        Identity { user_id: self.user_id, email: self.email, told_by: self.told_by } = who;
        Some(before)
    }
}

impl std::fmt::Debug for Record {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Record")
            .field("linked", &self.link.is_some())
            .field("notes", &self.notes)
            .field("active_at", &self.active_at)
            .finish_non_exhaustive()
    }
}
