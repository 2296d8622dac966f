//! What must be in memory before anything is decided.

use std::collections::{HashMap, HashSet};

use super::{adopted, stays};
use crate::engine::call::{Ended, Outcome};
use crate::engine::command::Command;
use crate::engine::core::Core;
use crate::engine::deliveries::tables_of;
use crate::engine::directory::leave_index;
use crate::engine::erase::OF_SESSION;
use crate::engine::helping::{times_of_person, times_of_product};
use crate::engine::history::{actions_in, actions_of};
use crate::engine::link::Who;
use crate::engine::order::NoteRef;
use crate::engine::plugin_timers;
use crate::engine::resend;
use crate::engine::rows::{Person, decode, read, session_group, session_key};
use crate::engine::scrub;
use crate::engine::tx::Tx;
use crate::engine::values;
use crate::engine::view::{Missing, View};
use crate::ids::{PluginName, ProductId, SessionKey};
use crate::outbox::account::Account;
use crate::outbox::note::{Note, NoteKind, SentNote};
use crate::rows::{Change, Group, Key, Rows, Table};
use crate::session::batch::StoredEntry;
use crate::session::state::{Record, Session, Target};

/// Sessions, or accounts, that are read at once at a start.
const PAGE: usize = 1000;

/// Open batches that are read back at once.
const READ_AT_ONCE: usize = 64;

/// What commands are about.
#[derive(Default)]
struct Needs {
    sessions: HashSet<SessionKey>,
    owners: HashSet<Target>,
    persons: HashSet<(ProductId, Person)>,
    decided: HashSet<NoteRef>,
    /// Sessions in which sent notes may be replaced.
    sent: HashSet<SessionKey>,
    erased: HashSet<SessionKey>,
    /// Sessions of which notes are to be sent once more.
    resent: HashSet<SessionKey>,
    /// Sessions whose history may change.
    history: HashSet<SessionKey>,
    /// Sessions whose help may change.
    helped: HashSet<SessionKey>,
    /// Sessions that help may be offered in.
    offered: HashSet<SessionKey>,
    /// Conversations in which something happened.
    turns: HashSet<Target>,
    /// Sessions of whose open batches notes may be sealed.
    sealed: HashSet<SessionKey>,
    /// Plugins whose values are cleared.
    cleared: HashSet<PluginName>,
    /// Sessions whose timers are removed.
    timed: HashSet<SessionKey>,
}

/// How far a start is. It is taken up page by page.
#[derive(Default)]
pub struct Recovery {
    keys: bool,
    audit: bool,
    after_audit: Option<Key>,
    accounts: bool,
    after_account: Option<Key>,
    timers: bool,
    after_timer: Option<Key>,
    step: usize,
    after: Option<Key>,
}

/// The tables whose rows say that a session has work to do.
const WORK: [Table; 6] =
    [Table::Outbox, Table::Open, Table::SinkQueue, Table::TimerQueue, Table::Message, Table::Help];

impl Core {
    /// Brings into memory what commands are about. Returns the sessions among them that nothing was known of.
    ///
    /// # Errors
    /// Rows are missing: to be asked again, with the same commands, when the transaction's view has them.
    pub fn prepare<'a>(
        &mut self,
        commands: impl IntoIterator<Item = &'a Command>,
        tx: &mut Tx,
    ) -> Result<Vec<SessionKey>, Missing> {
        let commands: Vec<_> = commands.into_iter().collect();
        let needs = self.needs(commands.iter().copied());
        let view = std::mem::take(&mut tx.view);
        let prepared = load_values(&commands, &view).and_then(|()| self.bring_in(needs, &view, tx));
        tx.view = view;
        prepared
    }

    fn bring_in(
        &mut self,
        needs: Needs,
        view: &View,
        tx: &mut Tx,
    ) -> Result<Vec<SessionKey>, Missing> {
        let Needs { sessions: mut keys, owners, persons, decided, sent, erased, history, .. } =
            needs;
        let Needs { mut helped, offered, turns, mut sealed, resent, cleared, timed, .. } = needs;
        let due = self.sessions_with_due_timers(tx);
        let of_timers: Vec<_> = due.iter().chain(&timed).map(session_group).collect();
        view.load_all([Table::Session, Table::Timer], &of_timers)?;
        keys.extend(due);
        for plugin in &cleared {
            values::load_all(view, plugin)?;
        }
        let found = self.directory.load_persons(view, &persons)?;
        keys.extend(found.iter().cloned());
        sealed.extend(found);
        let names = self.settings.names().clone();
        self.directory.load_owners(view, &owners, &names)?;
        // A link that rests on more may have them leave.
        keys.extend(owners.iter().flat_map(|target| self.directory.unverified_owners(target)));
        for target in &turns {
            helped.extend(self.directory.sessions_in(target));
        }
        keys.extend(helped.iter().cloned());
        keys.extend(decided.iter().map(|named| named.key.clone()));
        keys.extend(erased.iter().cloned());
        keys.extend(resent.iter().cloned());
        view.load_all(OF_SESSION, &groups(&erased))?;
        view.load_all(resend::TABLES, &groups(&resent))?;
        let history: Vec<_> = history.into_iter().collect();
        self.history.load(view, &history)?;
        for named in &decided {
            view.load_all(tables_of(named.lane), &[session_group(&named.key)])?;
        }
        view.load(Table::Sent, &groups(&sent))?;
        self.load_offered(view, &offered, turns, tx)?;
        self.helping.load(view, &helped, tx)?;
        self.deliveries.refill_lanes(view)?;
        if !std::mem::replace(&mut tx.refilled, true)
            && let Err(missing) = self.deliveries.refill_redactions(view, tx.now)
        {
            tx.refilled = false;
            return Err(missing);
        }
        let turns: Vec<_> = self.unloaded.iter().take(READ_AT_ONCE).cloned().collect();
        sealed.extend(turns.iter().cloned());
        let wanted: HashSet<_> =
            sealed.iter().filter(|it| !self.sessions.has(it)).cloned().collect();
        sealed.retain(|key| !self.sessions.is_loaded(key));
        let batches = groups(&sealed);
        let open = view.load(Table::Open, &batches)?;
        load_kept(view, batches.iter().zip(&open))?;
        let fresh = self.load_sessions(&keys, &wanted, view, tx)?;
        for ((key, rows), group) in sealed.iter().zip(open).zip(&batches) {
            let stored = with_kept(entries(rows), view.group(Table::History, group));
            if self.sessions.restore(key, stored) > 0 {
                tx.records.insert(key.clone());
            }
        }
        for key in turns {
            self.unloaded.remove(&key);
            self.pinned.insert(key);
        }
        tx.touched.extend(sealed.iter().cloned());
        self.grown.extend(sealed.iter().cloned());
        self.restored.extend(sealed);
        // Only when nothing can be missing any more: a lane that was refilled must be looked at.
        tx.touched.extend(self.deliveries.take_hungry());
        Ok(fresh)
    }

    fn needs<'a>(&self, commands: impl IntoIterator<Item = &'a Command>) -> Needs {
        let (mut needs, mut by_person) = (Needs::default(), false);
        for command in commands {
            match command {
                Command::Actions { key, .. } | Command::Summary { key, .. } => {
                    if matches!(command, Command::Summary { .. }) {
                        needs.sealed.insert(key.clone());
                    }
                    needs.sessions.insert(key.clone());
                    if self.settings.history.is_some() {
                        needs.history.insert(key.clone());
                    }
                }
                Command::Page(page) => {
                    let keys = || page.batches.iter().map(|(key, ..)| key.clone());
                    needs.sessions.extend(keys());
                    if self.settings.history.is_some() {
                        needs.history.extend(keys());
                    }
                }
                Command::Adopt(key, imported) => {
                    needs.sealed.insert(key.clone());
                    needs.sessions.insert(key.clone());
                    needs.owners.extend(adopted(self.writer_of(&key.product), imported));
                }
                Command::Link(command) => {
                    needs.owners.insert((command.plugin.clone(), command.conversation.clone()));
                    match &command.who {
                        Who::Session(key) => {
                            needs.sealed.insert(key.clone());
                            needs.sessions.insert(key.clone());
                        }
                        Who::SessionOf(products, session) => {
                            needs.sealed.extend(SessionKey::of(products, session));
                            needs.sessions.extend(SessionKey::of(products, session));
                        }
                        Who::Person { products, user_id, email } => {
                            by_person = true;
                            let sought = Person::sought(user_id.as_deref(), email.as_deref());
                            for (person, _) in sought {
                                let of = |id: &ProductId| (id.clone(), person.clone());
                                needs.persons.extend(products.iter().map(of));
                            }
                        }
                    }
                }
                Command::Decide(_, notes) => needs.decided.extend(notes.iter().cloned()),
                Command::Erase(order) => needs.erased.extend(order.keys.iter().cloned()),
                Command::Ended(Ended { outcome, .. }) => {
                    if let Outcome::Note { note, result: Ok(_), .. } = outcome {
                        let summary = note.kind == NoteKind::Summary;
                        if summary && self.settings.history.is_some() {
                            needs.history.insert(note.key.clone());
                            // It says what of that waits for a note.
                            needs.sessions.insert(note.key.clone());
                        }
                        if summary || self.is_covered(note) {
                            needs.sent.insert(note.key.clone());
                        }
                    }
                    if let Outcome::Message { message, .. } = outcome {
                        needs.sealed.insert(message.key.clone());
                        needs.helped.insert(message.key.clone());
                        needs.turns.insert((message.plugin.clone(), message.conversation.clone()));
                    }
                    // What can't be redacted is remembered again, where its session still is.
                    needs.sessions.extend(stays(outcome).cloned());
                }
                Command::Offer(wish) => {
                    needs.helped.insert(wish.key.clone());
                    if self.settings.offers(&wish.key.product).is_some() {
                        needs.offered.insert(wish.key.clone());
                    }
                }
                Command::Reply(wish) => {
                    needs.sealed.insert(wish.key.clone());
                    needs.helped.insert(wish.key.clone());
                    if self.settings.replies(&wish.key.product).is_some() {
                        needs.offered.insert(wish.key.clone());
                    }
                }
                Command::Turn(turn) => {
                    let target = (turn.plugin.clone(), turn.conversation.clone());
                    needs.owners.insert(target.clone());
                    needs.turns.insert(target);
                }
                Command::Resend(order) => drop(needs.resent.insert(order.key.clone())),
                Command::Help(command) => drop(needs.helped.insert(command.key.clone())),
                Command::ClearKv(plugin) => drop(needs.cleared.insert(plugin.clone())),
                Command::RemoveTimers(_, keys) => needs.timed.extend(keys.iter().cloned()),
                Command::Key(_)
                | Command::Switch(_)
                | Command::KeysUsed(_)
                | Command::Audit(..)
                | Command::Scrubbed(_)
                | Command::Drain
                | Command::Stop => {}
            }
        }
        if by_person {
            // Whose session it is may become known in this very transaction.
            needs.sealed.extend(needs.sessions.iter().cloned());
        }
        needs
    }

    /// Reads what offers are decided by: what is known of the sessions' conversations, and how many were made.
    fn load_offered(
        &mut self,
        view: &View,
        offered: &HashSet<SessionKey>,
        mut talks: HashSet<Target>,
        tx: &mut Tx,
    ) -> Result<(), Missing> {
        let mut times = HashSet::new();
        for key in offered {
            times.insert(times_of_product(&key.product));
            let stored;
            let record = match self.sessions.record(key) {
                Some(record) => Some(record),
                None => {
                    let rows = view.load(Table::Session, &[session_group(key)])?;
                    let row = rows[0].iter().find(|(number, _)| *number == 0);
                    stored = row.and_then(|(_, value)| decode::<Record>(value).ok());
                    stored.as_ref()
                }
            };
            let Some(record) = record else { continue };
            talks.extend(
                record.link.as_ref().map(|it| (it.plugin.clone(), it.conversation.clone())),
            );
            let (user_id, email) = (record.user_id.as_deref(), record.email.as_deref());
            times.extend(times_of_person(&key.product, user_id, email));
        }
        self.helping.load_talks(view, &talks, tx)?;
        self.helping.load_times(view, &times, tx)
    }

    /// Whether a summary took the place of what a note tells of.
    fn is_covered(&self, note: &Note) -> bool {
        let record = self.sessions.record(&note.key);
        note.through > 0 && record.is_some_and(|record| note.through <= record.covered)
    }

    /// Reads the sessions that aren't in memory. Returns those that have no record. Rows that can't be read are set
    /// aside, so that nothing overwrites them, and what an earlier version put under values that name nobody is taken
    /// out of the index. What the history has of their open batches is read with those that are `wanted` at once; the
    /// others are restored at their turn, unless it was read anyway.
    fn load_sessions(
        &mut self,
        keys: &HashSet<SessionKey>,
        wanted: &HashSet<SessionKey>,
        view: &View,
        tx: &mut Tx,
    ) -> Result<Vec<SessionKey>, Missing> {
        let missing: Vec<_> = keys.iter().filter(|key| !self.sessions.has(key)).cloned().collect();
        if missing.is_empty() {
            return Ok(Vec::new());
        }
        let now = tx.now;
        let groups: Vec<_> = missing.iter().map(session_group).collect();
        let [records, open, notes, attempts] =
            view.load_all([Table::Session, Table::Open, Table::Outbox, Table::Attempt], &groups)?;
        let sinks = match self.deliveries.has_sinks() {
            true => Some(view.load_all([Table::SinkQueue, Table::SinkAttempt], &groups)?),
            false => None,
        };
        let timers = match self.deliveries.has_timers() {
            true => Some(view.load_all([Table::TimerQueue, Table::TimerAttempt], &groups)?),
            false => None,
        };
        let at_once = missing.iter().zip(groups.iter().zip(&open));
        load_kept(view, at_once.filter(|(key, _)| wanted.contains(*key)).map(|(_, rows)| rows))?;
        // The last read.
        let others = [
            (Table::SinkDead, self.deliveries.has_sinks()),
            (Table::TimerDead, self.deliveries.has_timers()),
        ];
        let given = given(view, &groups, &records, others)?;
        let names = self.settings.names().clone();
        let mut fresh = Vec::new();
        for (place, (key, group)) in missing.into_iter().zip(groups).enumerate() {
            let last = |rows: &Rows| rows.last().map_or(0, |(number, _)| *number);
            let given = given.get(&group).copied().unwrap_or_default();
            let stored = records[place].iter().find(|(number, _)| *number == 0);
            if stored.is_none() {
                fresh.push(key.clone());
            }
            let record = stored.map(|(_, value)| (value, read::<Record>(Table::Session, 0, value)));
            if let Some((value, None)) = &record {
                let group = group.clone();
                let key = Key { table: Table::Session, group, number: now.as_millis() };
                tx.push(Change::Put(key, (*value).clone()));
            }
            let history = view.group(Table::History, &group);
            let mut entries = with_kept(entries(open[place]), history);
            // The clock may have been set back since. Nothing counts as later than now, or it would
            // wait for that moment; and nothing as later than what came behind it.
            entries.iter_mut().rev().fold(now, |latest, (_, entry)| {
                entry.arrived = entry.arrived.min(latest);
                entry.arrived
            });
            let record = record.and_then(|(_, record)| record).map(|mut record| {
                record.active_at = record.active_at.min(now);
                if let Some(before) = record.clean(&names) {
                    tx.extend(leave_index(&key, &before, &record.identity()));
                }
                record
            });
            let next_row = open[place].last().map_or(0, |(number, _)| number + 1);
            let last_note = last(notes[place]).max(given.last_note);
            let mut last_sink = given.last_sink;
            self.deliveries.load_notes(&key, notes[place], attempts[place], now);
            if let Some([queued, attempts]) = &sinks {
                last_sink = last_sink.max(last(queued[place]));
                self.deliveries.load_sinks(&key, queued[place], attempts[place], now);
            }
            if let Some([queued, attempts]) = &timers {
                last_sink = last_sink.max(last(queued[place]));
                self.deliveries.load_timers(&key, queued[place], attempts[place], now);
            }
            let session = Session::load(key.clone(), record, entries)
                .with_numbers_taken(next_row, last_note, given.last_action)
                .with_sink_deliveries_taken(last_sink);
            self.sessions.put(session, now);
            self.grown.push(key);
        }
        Ok(fresh)
    }

    /// Takes up what the last run left, a page at a time: accounts first, then the sessions that have work to do.
    /// Each page is a transaction. `false`: there is nothing more.
    ///
    /// # Errors
    /// Rows are missing. Nothing changed; to be asked again with them.
    pub fn recover(&mut self, recovery: &mut Recovery, tx: &mut Tx) -> Result<bool, Missing> {
        let view = std::mem::take(&mut tx.view);
        let recovered = self.recover_page(recovery, &view, tx);
        tx.view = view;
        recovered
    }

    fn recover_page(
        &mut self,
        recovery: &mut Recovery,
        view: &View,
        tx: &mut Tx,
    ) -> Result<bool, Missing> {
        // First, so that who has a key isn't kept waiting for the rest.
        if !recovery.keys {
            self.keys.load(view)?;
            recovery.keys = true;
            return Ok(true);
        }
        if !recovery.audit {
            recovery.after_audit = self.audit.load(view, recovery.after_audit.clone())?;
            recovery.audit = recovery.after_audit.is_none();
            return Ok(true);
        }
        if !recovery.accounts {
            self.recover_accounts(recovery, view, tx)?;
            return Ok(true);
        }
        if !recovery.timers {
            let after = recovery.after_timer.clone();
            recovery.after_timer = self.recover_timers(after, view, tx)?;
            recovery.timers = recovery.after_timer.is_none();
            return Ok(true);
        }
        let Some(table) = WORK.get(recovery.step) else { return Ok(false) };
        let rows = view.scan(*table, recovery.after.clone(), PAGE)?;
        let mut keys: HashSet<_> =
            rows.iter().filter_map(|(key, _)| session_key(&key.group)).collect();
        if *table == Table::Message {
            self.recover_messages(&keys, view, tx)?;
        } else if *table == Table::Help {
            // Their sessions have nothing to do: only their states end.
            self.helping.load(view, &keys, tx)?;
            for key in keys.drain() {
                let tours = self.settings.tours(&key.product);
                self.helping.settle(&key, tours.map(|tours| &tours.registry));
            }
        }
        self.load_sessions(&keys, &HashSet::new(), view, tx)?;
        for key in keys {
            let rules = self.settings.rules(&key.product);
            self.deliveries.expire_poisoned(&key, rules, tx, &self.counters);
            tx.touched.push(key);
        }
        recovery.after = rows.last().map(|(key, _)| key.clone());
        if recovery.after.is_none() {
            recovery.step += 1;
        }
        Ok(true)
    }

    /// Takes up the messages of these sessions, with how the sessions stand.
    fn recover_messages(
        &mut self,
        keys: &HashSet<SessionKey>,
        view: &View,
        tx: &mut Tx,
    ) -> Result<(), Missing> {
        let groups: Vec<_> = keys.iter().map(session_group).collect();
        let messages = view.load(Table::Message, &groups)?;
        self.helping.load(view, keys, tx)?;
        for (key, rows) in keys.iter().zip(messages) {
            if let (Some(help), Some((last, _))) = (self.helping.get_mut(key), rows.last()) {
                help.numbers_taken(*last);
            }
            self.deliveries.load_messages(key, rows, tx.now);
        }
        Ok(())
    }

    fn recover_accounts(
        &mut self,
        recovery: &mut Recovery,
        view: &View,
        tx: &mut Tx,
    ) -> Result<(), Missing> {
        let sinks = [Table::SinkQueue, Table::SinkDead].map(|table| view.scan(table, None, 1));
        let timers = [Table::TimerQueue, Table::TimerDead].map(|table| view.scan(table, None, 1));
        let scrub = view.load(Table::Scrub, &[scrub::group()])?;
        let rows = view.scan(Table::Account, recovery.after_account.clone(), PAGE)?;
        for page in sinks {
            if !page?.is_empty() {
                self.deliveries.expect_sinks();
            }
        }
        for page in timers {
            if !page?.is_empty() {
                self.deliveries.expect_timers();
            }
        }
        let mut accounts = self.gate.open();
        for (row, value) in rows {
            if let Some(account) = read::<Account>(Table::Account, row.number, value) {
                accounts.take_up(row.group.0.clone(), account, tx.now);
            }
        }
        recovery.after_account = rows.last().map(|(key, _)| key.clone());
        if recovery.after_account.is_none() {
            recovery.accounts = true;
            accounts.show(tx.now, &self.counters);
            if scrub.iter().any(|rows| !rows.is_empty()) {
                self.scrub.take_up(&self.counters);
            }
        }
        Ok(())
    }

    /// Forgets sessions that were brought into memory and to which nothing has happened.
    pub fn unload(&mut self, keys: &[SessionKey]) {
        for key in keys {
            self.sessions.remove(key);
            self.deliveries.forget_lanes(key);
        }
    }
}

/// Has the rows read that are changed by what plugins wrote.
fn load_values(commands: &[&Command], view: &View) -> Result<(), Missing> {
    let mut missing = Missing::default();
    let mut want = |loaded: Result<(), Missing>| {
        if let Err(more) = loaded {
            missing.groups.extend(more.groups);
        }
    };
    for command in commands {
        if let Command::Ended(Ended { outcome, written, .. }) = command {
            want(values::load(view, outcome.plugin(), Some(outcome.session()), written));
            want(plugin_timers::load(view, outcome.session(), written));
        } else if let Command::Page(page) = command
            && let Some((plugin, written)) = &page.beside.written
        {
            want(values::load(view, plugin, None, written));
        }
    }
    if missing.groups.is_empty() { Ok(()) } else { Err(missing) }
}

fn groups(keys: &HashSet<SessionKey>) -> Vec<Group> {
    keys.iter().map(session_group).collect()
}

/// The entries of an open batch, from its rows.
pub(super) fn entries(rows: &Rows) -> Vec<(u64, StoredEntry)> {
    rows.iter().filter_map(|(n, value)| Some((*n, read(Table::Open, *n, value)?))).collect()
}

/// Reads the history of those of whose open batches it has something.
fn load_kept<'a>(
    view: &View,
    open: impl IntoIterator<Item = (&'a Group, &'a &'a Rows)>,
) -> Result<(), Missing> {
    let is_kept = |rows: &Rows| entries(rows).iter().any(|(_, it)| it.kept_under().is_some());
    let kept = open.into_iter().filter(|(_, rows)| is_kept(rows));
    let groups: Vec<_> = kept.map(|(group, _)| group.clone()).collect();
    view.load(Table::History, &groups).map(drop)
}

/// The entries of an open batch with what the history has of them, where that was read. What it doesn't have, or what
/// can't be read, is reported, and doesn't wait any more.
fn with_kept(entries: Vec<(u64, StoredEntry)>, history: Option<&Rows>) -> Vec<(u64, StoredEntry)> {
    let Some(history) = history else { return entries };
    let entries = entries.into_iter().filter_map(|(row, entry)| {
        let Some(number) = entry.kept_under() else { return Some((row, entry)) };
        let place = history.binary_search_by_key(&number, |(number, _)| *number).ok();
        let actions = place.and_then(|place| actions_of(&history[place].1));
        let read = actions.and_then(|actions| entry.with(actions));
        if read.is_none() {
            let table = Table::Open;
            tracing::error!(?table, row, number, "store: the actions of a row can't be read");
        }
        Some((row, read?))
    });
    entries.collect()
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
fn given(
    view: &View,
    groups: &[Group],
    records: &[&Rows],
    others: [(Table, bool); 2],
) -> Result<HashMap<Group, Given>, Missing> {
    let (mut fresh, mut unreadable) = (Vec::new(), Vec::new());
    for (group, rows) in groups.iter().zip(records) {
        let record = rows.iter().find(|(number, _)| *number == 0);
        match record.map(|(_, value)| decode::<Record>(value).is_ok()) {
            Some(true) => continue,
            Some(false) => unreadable.push(group.clone()),
            None => {}
        }
        fresh.push(group.clone());
    }
    let mut given: HashMap<Group, Given> = HashMap::new();
    if fresh.is_empty() {
        return Ok(given);
    }
    let last = |rows: &Rows| rows.last().map_or(0, |(number, _)| *number);
    let [dead, redact] = view.load_all([Table::Dead, Table::Redact], &fresh)?;
    for (place, group) in fresh.iter().enumerate() {
        let last_note = last(dead[place]).max(last(redact[place]));
        given.entry(group.clone()).or_default().last_note = last_note;
    }
    for (dead, _) in others.into_iter().filter(|(_, may_have_some)| *may_have_some) {
        for (group, rows) in fresh.iter().zip(view.load(dead, &fresh)?) {
            let last_sink = &mut given.entry(group.clone()).or_default().last_sink;
            *last_sink = last(rows).max(*last_sink);
        }
    }
    if unreadable.is_empty() {
        return Ok(given);
    }
    let [sent, kept] = view.load_all([Table::Sent, Table::History], &unreadable)?;
    for (place, group) in unreadable.into_iter().enumerate() {
        let of_group = given.entry(group).or_default();
        if let Some((first, value)) = kept[place].last().filter(|(number, _)| *number > 0) {
            of_group.last_action = first + actions_in(value).saturating_sub(1);
        }
        for (number, value) in sent[place] {
            let sent = read::<SentNote>(Table::Sent, *number, value);
            of_group.last_note = of_group.last_note.max(*number);
            let through = sent.map_or(0, |sent| sent.through);
            of_group.last_action = of_group.last_action.max(through);
        }
    }
    Ok(given)
}
