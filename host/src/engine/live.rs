//! Sessions and lanes in memory, read from the store when something happens to them.

use std::collections::{BTreeSet, HashMap, HashSet};

use crate::clock::Timestamp;
use crate::config::Delivery;
use crate::engine::deliveries::Lanes;
use crate::engine::history::actions_in;
use crate::engine::rows::{
    Person, PersonRow, delete, person_group, read, session_group, session_number,
};
use crate::engine::shared::Copy;
use crate::ids::{ConversationId, PluginName, ProductId, SessionKey};
use crate::outbox::note::{Note, SentNote};
use crate::outbox::sink_delivery::SinkDelivery;
use crate::session::batch::Entry;
use crate::session::identity::{Identity, Names};
use crate::session::link::{Owner, Owners};
use crate::session::state::{Record, Session, Target};
use crate::store::{Change, Group, Key, Rows, Store, StoreError, Table};

/// So many sessions of a person are looked at for the one that was active last: those that were found to be
/// theirs last. A user id that many share stalls nobody.
const MAX_SESSIONS: usize = 64;

/// A session with its lanes.
pub(super) struct Live {
    pub(super) session: Session,
    /// What waits for its conversation.
    pub(super) notes: Lanes<Note>,
    /// What waits for its sinks.
    pub(super) sinks: Lanes<SinkDelivery>,
    /// When something last happened to it.
    pub(super) touched: Timestamp,
    /// What its shared copy says, as far as this host put it there.
    pub(super) copy: Option<Copy>,
    timer: Option<Timestamp>,
}

/// All that is in memory.
#[derive(Default)]
pub(super) struct Memory {
    pub(super) sessions: HashMap<SessionKey, Live>,
    pub(super) owners: HashMap<(PluginName, ConversationId), Owners>,
    persons: HashMap<(ProductId, Person), Vec<SessionKey>>,
    timers: BTreeSet<(Timestamp, SessionKey)>,
    /// Whether anything may wait for a sink: where not, nobody looks.
    pub(super) has_sinks: bool,
    /// Sessions whose lane has notes in the store only.
    hungry: Vec<SessionKey>,
}

impl Memory {
    /// Reads the sessions that aren't in memory. Returns those that have no record, and changes that set
    /// rows aside that can't be read, so that nothing overwrites them, and that take out of the index what an
    /// earlier version put under values that name nobody.
    pub(super) async fn load_sessions(
        &mut self,
        store: &dyn Store,
        keys: &HashSet<SessionKey>,
        names: &Names,
        now: Timestamp,
    ) -> Result<(Vec<SessionKey>, Vec<Change>), StoreError> {
        let missing: Vec<_> =
            keys.iter().filter(|key| !self.sessions.contains_key(*key)).cloned().collect();
        if missing.is_empty() {
            return Ok((Vec::new(), Vec::new()));
        }
        let groups: Vec<_> = missing.iter().map(session_group).collect();
        let records = store.load(Table::Session, &groups).await?;
        let open = store.load(Table::Open, &groups).await?;
        let notes = store.load(Table::Outbox, &groups).await?;
        let progress = store.load(Table::Attempt, &groups).await?;
        let given = load_given(store, &groups, &records, self.has_sinks).await?;
        let sink_deliveries = self.load_sinks(store, &groups, now).await?;
        let rows = records.into_iter().zip(open).zip(notes).zip(progress).zip(sink_deliveries);
        let (mut fresh, mut aside) = (Vec::new(), Vec::new());
        for ((key, group), ((((records, open), notes), progress), (sinks, last_sink))) in
            missing.into_iter().zip(groups).zip(rows)
        {
            let last = |rows: &Rows| rows.last().map_or(0, |(number, _)| *number);
            let given = given.get(&group).copied().unwrap_or_default();
            let last_note = last(&notes).max(given.last_note);
            let next_row = open.last().map_or(0, |(number, _)| number + 1);
            let record =
                records.into_iter().find(|(number, _)| *number == 0).map(|(_, value)| value);
            if record.is_none() {
                fresh.push(key.clone());
            }
            let readable = record.as_deref().map(|value| read::<Record>(Table::Session, 0, value));
            if let (Some(None), Some(value)) = (&readable, record.as_ref()) {
                let key = Key { table: Table::Session, group, number: now.as_millis() };
                aside.push(Change::Put(key, value.clone()));
            }
            let open =
                open.into_iter().filter_map(|(n, v)| Some((n, read::<Entry>(Table::Open, n, &v)?)));
            let mut open: Vec<_> = open.collect();
            // The clock may have been set back since. Nothing counts as later than now, or it would
            // wait for that moment; and nothing as later than what came behind it.
            open.iter_mut().rev().fold(now, |latest, (_, entry)| {
                entry.arrived = entry.arrived.min(latest);
                entry.arrived
            });
            let record = readable.flatten().map(|mut record| {
                record.active_at = record.active_at.min(now);
                if let Some(before) = record.clean(names) {
                    aside.extend(leave_index(&key, &before, &record.identity()));
                }
                record
            });
            let session = Session::load(key.clone(), record, open);
            let live = Live {
                session: session
                    .with_numbers_taken(next_row, last_note, given.last_action)
                    .with_sink_deliveries_accepted(last_sink.max(given.last_sink)),
                notes: Lanes::load(notes, progress, now),
                sinks,
                touched: now,
                copy: None,
                timer: None,
            };
            self.sessions.insert(key, live);
        }
        Ok((fresh, aside))
    }

    /// What waits for the sinks of each session, and the number of the last of it.
    async fn load_sinks(
        &self,
        store: &dyn Store,
        groups: &[Group],
        now: Timestamp,
    ) -> Result<Vec<(Lanes<SinkDelivery>, u64)>, StoreError> {
        if !self.has_sinks {
            return Ok(groups.iter().map(|_| Default::default()).collect());
        }
        let sink_deliveries = store.load(Table::SinkQueue, groups).await?;
        let progress = store.load(Table::SinkAttempt, groups).await?;
        let lanes = |(sink_deliveries, progress): (Rows, Rows)| {
            let last = sink_deliveries.last().map_or(0, |(number, _)| *number);
            (Lanes::load(sink_deliveries, progress, now), last)
        };
        Ok(sink_deliveries.into_iter().zip(progress).map(lanes).collect())
    }

    /// Reads the next notes of lanes that have none left in memory.
    pub(super) async fn refill_lanes(&mut self, store: &dyn Store) -> Result<(), StoreError> {
        for key in &self.hungry {
            let Some(live) = self.sessions.get_mut(key) else { continue };
            live.notes.refill(store, key).await?;
            live.sinks.refill(store, key).await?;
        }
        Ok(())
    }

    /// The sessions whose lanes were refilled.
    pub(super) fn take_hungry(&mut self) -> Vec<SessionKey> {
        std::mem::take(&mut self.hungry)
    }

    /// Has the session's lane refilled in the next round, if it must be.
    pub(super) fn note_hunger(&mut self, key: &SessionKey) {
        let hungry = |live: &Live| live.notes.is_hungry() || live.sinks.is_hungry();
        if self.sessions.get(key).is_some_and(hungry) {
            self.hungry.push(key.clone());
        }
    }

    /// Whether a lane must be refilled.
    pub(super) fn is_hungry(&self) -> bool {
        !self.hungry.is_empty()
    }

    /// Reads the owners of conversations that aren't in memory.
    pub(super) async fn load_owners(
        &mut self,
        store: &dyn Store,
        wanted: HashSet<(PluginName, ConversationId)>,
        names: &Names,
    ) -> Result<(), StoreError> {
        let missing: Vec<_> =
            wanted.into_iter().filter(|key| !self.owners.contains_key(key)).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let groups: Vec<_> = missing
            .iter()
            .map(|(plugin, id)| crate::engine::rows::conversation_group(plugin, id))
            .collect();
        let rows = store.load(Table::Conversation, &groups).await?;
        for (key, rows) in missing.into_iter().zip(rows) {
            let owners = rows.iter().filter_map(|(n, value)| {
                let mut owner: Owner = read(Table::Conversation, *n, value)?;
                names.clean_identity(&mut owner.who);
                Some(owner)
            });
            self.owners.insert(key, Owners::new(owners.collect()));
        }
        Ok(())
    }

    /// The sessions that are in a conversation on nobody's word, as far as they were read by `load_owners`.
    pub(super) fn unverified_owners(&self, target: &Target) -> Vec<SessionKey> {
        self.owners.get(target).into_iter().flat_map(Owners::unverified).cloned().collect()
    }

    /// Reads which sessions persons have, where that is not in memory. Returns the sessions of all of them.
    pub(super) async fn load_persons(
        &mut self,
        store: &dyn Store,
        wanted: HashSet<(ProductId, Person)>,
    ) -> Result<Vec<SessionKey>, StoreError> {
        let known = |wanted: &&(ProductId, Person)| !self.persons.contains_key(*wanted);
        let missing: Vec<_> = wanted.iter().filter(known).cloned().collect();
        let groups: Vec<_> = missing.iter().map(|(id, person)| person_group(id, person)).collect();
        if !groups.is_empty() {
            let rows = store.load(Table::Person, &groups).await?;
            for (person, rows) in missing.into_iter().zip(rows) {
                let rows = rows.iter().filter_map(|(n, value)| read(Table::Person, *n, value));
                let mut rows: Vec<PersonRow> = rows.collect();
                rows.sort_by_key(|row| std::cmp::Reverse(row.since));
                rows.truncate(MAX_SESSIONS);
                self.persons.insert(person, rows.into_iter().map(|row| row.key).collect());
            }
        }
        Ok(wanted.iter().filter_map(|person| self.persons.get(person)).flatten().cloned().collect())
    }

    /// The sessions of a person in these products, as far as they were read by `load_persons`.
    pub(super) fn sessions_of(
        &self,
        products: &[ProductId],
        person: &Person,
    ) -> impl Iterator<Item = &SessionKey> {
        let of = |id: &ProductId| self.persons.get(&(id.clone(), person.clone()));
        products.iter().filter_map(of).flatten()
    }

    /// Puts a session that nobody knows in the place of one, whatever that waits for. The numbers of its
    /// notes aren't given again.
    pub(super) fn begin_anew(&mut self, key: &SessionKey, now: Timestamp) -> Option<Live> {
        let live = self.sessions.remove(key)?;
        if let Some(at) = live.timer {
            self.timers.remove(&(at, key.clone()));
        }
        let fresh = Session::load(key.clone(), None, Vec::new());
        let fresh = Live {
            session: fresh
                .with_numbers_taken(0, live.session.record().notes, 0)
                .with_sink_deliveries_accepted(live.session.record().sink_deliveries),
            notes: Lanes::default(),
            sinks: Lanes::default(),
            touched: now,
            copy: None,
            timer: None,
        };
        self.sessions.insert(key.clone(), fresh);
        Some(live)
    }

    /// Puts a session under a person, where that person is in memory.
    pub(super) fn add_person(&mut self, product: &ProductId, person: &Person, key: &SessionKey) {
        if let Some(keys) = self.persons.get_mut(&(product.clone(), person.clone())) {
            keys.push(key.clone());
        }
    }

    /// Takes a session from a person.
    pub(super) fn forget_person(&mut self, product: &ProductId, person: &Person, key: &SessionKey) {
        if let Some(keys) = self.persons.get_mut(&(product.clone(), person.clone())) {
            keys.retain(|other| other != key);
        }
    }

    /// Sets the session's timer to what it and its lane wait for. `gather`: its actions gather until notes
    /// can be sent.
    pub(super) fn set_timer(&mut self, key: &SessionKey, rules: &Delivery, gather: bool) {
        let Some(live) = self.sessions.get_mut(key) else {
            return;
        };
        let notes = live.notes.next_timer(rules);
        let waits = notes.into_iter().chain(live.sinks.next_timer(rules));
        let timer = live.session.next_timer(rules, gather).into_iter().chain(waits).min();
        if live.timer == timer {
            return;
        }
        if let Some(at) = live.timer {
            self.timers.remove(&(at, key.clone()));
        }
        if let Some(at) = timer {
            self.timers.insert((at, key.clone()));
        }
        live.timer = timer;
    }

    /// The next moment at which something is due.
    pub(super) fn next_timer(&self) -> Option<Timestamp> {
        self.timers.first().map(|(at, _)| *at)
    }

    /// Takes the sessions whose timer is due.
    pub(super) fn due(&mut self, now: Timestamp) -> Vec<SessionKey> {
        let mut due = Vec::new();
        while self.timers.first().is_some_and(|(at, _)| *at <= now) {
            if let Some((_, key)) = self.timers.pop_first() {
                if let Some(live) = self.sessions.get_mut(&key) {
                    live.timer = None;
                }
                due.push(key);
            }
        }
        due
    }

    /// Forgets sessions that have nothing to do and weren't touched since `before`. They are read back
    /// from the store when something happens to them. `hard` takes those too that only wait for the end
    /// of the pre-link window.
    pub(super) fn evict(&mut self, before: Timestamp, hard: bool) {
        let timers = &mut self.timers;
        self.sessions.retain(|key, live| {
            let waits = live.timer.is_some() && !(hard && live.session.record().link.is_none());
            let idle = live.notes.is_idle(hard) && live.sinks.is_idle(hard);
            if live.touched > before || waits || !idle {
                return true;
            }
            if let Some(at) = live.timer {
                timers.remove(&(at, key.clone()));
            }
            false
        });
        self.owners.clear();
        self.persons.clear();
    }
}

/// Takes a session from under the names that aren't its person's any more.
fn leave_index(
    key: &SessionKey,
    before: &Identity,
    after: &Identity,
) -> impl Iterator<Item = Change> {
    let of = |who: &Identity| {
        Person::of(who.user_id.as_deref(), who.email.as_deref()).collect::<Vec<_>>()
    };
    let (before, after) = (of(before), of(after));
    let left = before.into_iter().filter(move |person| !after.contains(person));
    let (product, number) = (key.product.clone(), session_number(key));
    left.map(move |person| delete(Table::Person, person_group(&product, &person), number))
}

/// Numbers that a session without a readable record has given out.
#[derive(Clone, Copy, Default)]
struct Given {
    last_note: u64,
    last_action: u64,
    last_sink: u64,
}

/// The numbers that sessions without a readable record have given out: dead letters and notes that are to
/// be redacted outlive the record, sent notes a record that can't be read.
async fn load_given(
    store: &dyn Store,
    groups: &[Group],
    records: &[Rows],
    has_sinks: bool,
) -> Result<HashMap<Group, Given>, StoreError> {
    let mut given: HashMap<Group, Given> = HashMap::new();
    let (mut fresh, mut unreadable) = (Vec::new(), Vec::new());
    for (group, rows) in groups.iter().zip(records) {
        let record = rows.iter().find(|(number, _)| *number == 0);
        match record.map(|(_, value)| serde_json::from_slice::<Record>(value).is_ok()) {
            Some(true) => continue,
            Some(false) => unreadable.push(group.clone()),
            None => {}
        }
        fresh.push(group.clone());
    }
    if !fresh.is_empty() {
        for table in [Table::Dead, Table::Redact] {
            let rows = store.load(table, &fresh).await?;
            for (group, rows) in fresh.iter().zip(rows) {
                let last = rows.last().map_or(0, |(number, _)| *number);
                let of_group = given.entry(group.clone()).or_default();
                of_group.last_note = of_group.last_note.max(last);
            }
        }
    }
    if !fresh.is_empty() && has_sinks {
        let rows = store.load(Table::SinkDead, &fresh).await?;
        for (group, rows) in fresh.iter().zip(rows) {
            let last = rows.last().map_or(0, |(number, _)| *number);
            given.entry(group.clone()).or_default().last_sink = last;
        }
    }
    if !unreadable.is_empty() {
        let rows = store.load(Table::Sent, &unreadable).await?;
        let kept = store.load(Table::History, &unreadable).await?;
        for (group, (rows, kept)) in unreadable.into_iter().zip(rows.into_iter().zip(kept)) {
            let of_group = given.entry(group).or_default();
            if let Some((first, value)) = kept.last().filter(|(number, _)| *number > 0) {
                of_group.last_action = first + actions_in(value).saturating_sub(1);
            }
            for (number, value) in rows {
                let sent = read::<SentNote>(Table::Sent, number, &value);
                of_group.last_note = of_group.last_note.max(number);
                let through = sent.map_or(0, |sent| sent.through);
                of_group.last_action = of_group.last_action.max(through);
            }
        }
    }
    Ok(given)
}
