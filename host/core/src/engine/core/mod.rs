//! The core: it routes what happens to the rooms, and is the only place that calls several of them.
//!
//! | file | what |
//! |---|---|
//! | `mod` | the router: one command after another, what is due, the end of a transaction |
//! | `load` | what must be in memory first |
//! | `link` | which session a link means, and what it does |
//! | `erase` | taking a session out of everything |
//! | `expire` | taking out what is old |
//! | `help` | offers of help, and what people say to them |
//! | `reply` | what people write and is answered |
//! | `resend` | sending a note once more |
//! | `tear_down` | removing an offer that nobody answered |
//! | `timers` | timers of plugins |

mod erase;
mod expire;
mod help;
mod link;
mod load;
mod reply;
mod resend;
mod tear_down;
mod timers;

use std::collections::HashSet;
use std::sync::Arc;

pub use load::Recovery;

use super::audit::{Audit, Deed};
use super::call::{Ended, Outcome};
use super::command::{Answer, Command, SourcePage, SourceRows};
use super::counters::Counters;
use super::deliveries::{Backlog, Deliveries, FirstAttempt, Sealer};
use super::directory::Directory;
use super::event::What;
use super::gate::{EngineId, Gate};
use super::helping::Helping;
use super::history::{History, Place};
use super::keys::Keys;
use super::plugin_timers::PluginTimers;
use super::plugins::{Plugins, RolesAsked, writer_of};
use super::retention::Retention;
use super::rows::{delete, put, session_group, source_group};
use super::scrub::Scrub;
use super::sessions::Sessions;
use super::settings::Settings;
use super::snapshot::Imported;
use super::switch::{PluginSwitch, SwitchError, Switched};
use super::tap::Happening;
use super::tx::{Spent, Tx};
use super::values;
use crate::clock::Timestamp;
use crate::ids::{ConversationId, PluginName, ProductId, SessionKey, shown};
use crate::kv::Scope;
use crate::outbox::attempt::Asked;
use crate::outbox::note::{Note, NoteKind, Redaction};
use crate::outbox::sink_delivery::Content;
use crate::rows::{Key, Table};
use crate::session::batch::StoredEntry;
use crate::session::identity::{Identity, Tie};
use crate::session::link::LinkMode;
use crate::session::note::body;
use crate::session::packed::Packed;
use crate::session::payload::{ActionsPayload, SummaryPayload};
use crate::session::state::{Covers, Effect, Record, Sealed, Sealing, Session, Summarized, Target};
use crate::session::wording::worded_packed;

/// One partition's sessions and deliveries, and what is decided about them.
///
/// A transaction is begun with [`Tx::new`], [prepared](Core::prepare) until nothing is missing, filled by
/// [commands](Core::handle) and by [what is due](Core::run_due), and [ended](Core::finish). Its changes are to be
/// stored before anything else happens to the core.
pub struct Core {
    settings: Arc<Settings>,
    counters: Arc<Counters>,
    plugins: Arc<dyn Plugins>,
    gate: Gate,
    engine: EngineId,
    sessions: Sessions,
    directory: Directory,
    deliveries: Deliveries,
    helping: Helping,
    history: History,
    retention: Retention,
    scrub: Scrub,
    keys: Keys,
    audit: Audit,
    timers: PluginTimers,
    roles: RolesAsked,
    /// Sessions in whose open batches something was put in this transaction.
    grown: Vec<SessionKey>,
    /// Sessions whose open batches are to be read back, for it is their turn.
    unloaded: HashSet<SessionKey>,
    /// Those that were, in this transaction.
    restored: Vec<SessionKey>,
    /// Those that were and whose turn hasn't come yet: they stay in memory until it has.
    pinned: HashSet<SessionKey>,
    /// What is in memory beyond which the idle are looked for.
    max_live: usize,
    /// What waits is sealed: the host is about to end.
    draining: bool,
    /// Nothing is begun any more.
    stopping: bool,
}

impl Core {
    /// A core with nothing in memory, which passes through the gate as this engine.
    pub fn new(
        settings: Arc<Settings>,
        counters: Arc<Counters>,
        plugins: Arc<dyn Plugins>,
        (gate, engine): (Gate, EngineId),
        now: Timestamp,
    ) -> Self {
        let max_live = settings.max_live;
        Self {
            settings,
            counters,
            plugins,
            gate,
            engine,
            sessions: Sessions::default(),
            directory: Directory::default(),
            deliveries: Deliveries::default(),
            helping: Helping::default(),
            history: History::default(),
            retention: Retention::new(now),
            scrub: Scrub::default(),
            keys: Keys::default(),
            audit: Audit::default(),
            timers: PluginTimers::default(),
            roles: RolesAsked::default(),
            grown: Vec::new(),
            unloaded: HashSet::new(),
            restored: Vec::new(),
            pinned: HashSet::new(),
            max_live,
            draining: false,
            stopping: false,
        }
    }

    /// The settings that it goes by.
    pub fn settings(&self) -> &Arc<Settings> {
        &self.settings
    }

    /// Goes by other settings from the next transaction on.
    pub fn change_settings(&mut self, settings: Arc<Settings>, now: Timestamp) {
        if self.settings.history != settings.history {
            // What is kept may have changed unseen while nothing was to be kept.
            self.history.retain(|_| false);
        }
        self.gate.open().change_settings(settings.clone(), now, &self.counters);
        self.settings = settings;
        let keys: Vec<_> = self.sessions.keys().cloned().collect();
        self.settle(&keys, now);
    }

    /// Carries a command out. What it needs was [prepared](Core::prepare).
    pub fn handle(&mut self, command: Command, tx: &mut Tx) -> Answer {
        match command {
            Command::Actions { key, batch, bytes, accepted_at } => {
                self.accept(&key, batch, bytes, accepted_at, tx)
            }
            Command::Page(page) => self.accept_page(page, tx),
            Command::Summary { key, text, covers, forwarded_at, accepted_at } => {
                let arrived = accepted_at.map_or(tx.now, |at| at.min(tx.now));
                let summarized = self.summarize(&key, text, covers, forwarded_at, arrived, tx);
                Answer::Summarized(summarized)
            }
            Command::Adopt(key, imported) => {
                self.adopt(&key, imported, tx);
                Answer::None
            }
            Command::Link(command) => Answer::Linked(self.link(command, tx)),
            Command::Decide(decision, notes) => {
                let mut seen = HashSet::new();
                // One that is named twice counts once.
                let once = notes.into_iter().filter(|named| seen.insert(named.clone()));
                let done = once.filter(|named| {
                    self.sessions.touch(&named.key, tx.now);
                    self.deliveries.decide(decision, named, &self.gate, tx, &self.counters)
                });
                Answer::Decided(done.count())
            }
            Command::Erase(order) => Answer::Erased(self.erase(order, tx)),
            Command::Offer(wish) => Answer::Offered(self.offer(wish, tx)),
            Command::Reply(wish) => Answer::Replied(self.reply(wish, tx)),
            Command::Turn(turn) => Answer::Heard(self.turn(turn, tx)),
            Command::Resend(order) => Answer::Resent(self.resend(&order, tx)),
            Command::Help(command) => Answer::Helped(self.change_help(command, tx)),
            Command::Key(change) => {
                let changed = self.keys.change(change, &self.settings, tx);
                Answer::Keyed(changed)
            }
            Command::Switch(switch) => Answer::Switched(self.switch(switch, tx)),
            Command::KeysUsed(uses) => {
                self.keys.used(uses, tx);
                Answer::None
            }
            Command::ClearKv(plugin) => Answer::Cleared(values::clear(&plugin, tx)),
            Command::RemoveTimers(plugin, keys) => {
                Answer::Cleared(self.remove_timers(&plugin, &keys, tx))
            }
            Command::Audit(deed, outcome) => {
                self.audit.add(deed, outcome, tx);
                Answer::None
            }
            Command::Scrubbed(scrubbed) => {
                self.scrub.end(scrubbed, tx, &self.counters);
                Answer::None
            }
            Command::Ended(ended) => {
                self.end(ended, tx);
                Answer::None
            }
            Command::Drain => {
                self.draining = true;
                let keys: Vec<_> = self.sessions.keys().cloned().collect();
                for key in keys {
                    if !self.sessions.is_loaded(&key) {
                        self.unloaded.insert(key);
                        continue;
                    }
                    let Some(session) = self.sessions.get_mut(&key, tx.now) else { continue };
                    let effects = session.flush(self.settings.rules(&key.product));
                    self.run_effects(&key, effects, tx);
                }
                Answer::None
            }
            Command::Stop => {
                self.stopping = true;
                self.deliveries.cut(tx);
                Answer::None
            }
        }
    }

    /// Puts on record what somebody did by a command, with what was answered to it: in the transaction of the command.
    pub fn audit(&mut self, deed: Deed, answer: &Answer, tx: &mut Tx) {
        let key = if let Answer::Keyed(Ok(row)) = answer { Some(row) } else { None };
        self.audit.add_answered(deed, answer.outcome(), key, tx);
    }

    /// Has a plugin not called from here on, or called again.
    fn switch(&mut self, switch: PluginSwitch, tx: &mut Tx) -> Result<Switched, SwitchError> {
        let PluginSwitch { plugin, to } = switch;
        if !self.settings.has_plugin(&plugin) {
            return Err(SwitchError::Unknown);
        }
        let changed = self.gate.open().switch(&plugin, to, tx.now, &self.counters);
        let disabled = self.gate.disabled(&plugin);
        tx.accounts.insert(plugin);
        Ok(Switched { changed, disabled })
    }

    fn accept(
        &mut self,
        key: &SessionKey,
        mut batch: ActionsPayload,
        bytes: usize,
        accepted_at: Option<Timestamp>,
        tx: &mut Tx,
    ) -> Answer {
        let arrived = accepted_at.map_or(tx.now, |at| at.min(tx.now));
        // Here, where what the journal kept comes by too.
        self.counters.nobody_ids.add(self.settings.names().clean_batch(&mut batch));
        let Some(rules) = self.settings.delivery(&key.product) else {
            // It was when they were handed over. Whoever waits is told that they weren't accepted.
            self.counters.dropped_unknown_product.add(batch.actions.len() as u64);
            return Answer::None;
        };
        let roles = self.roles.of(&key.product, &*self.plugins, &self.settings, &self.gate, tx);
        let Some(session) = self.sessions.get_mut(key, tx.now) else { return Answer::None };
        tx.happens(key, || Happening::accepted(&batch));
        if accepted_at.is_none() {
            tx.accept(batch.actions.len() as u64);
        }
        let packed = Packed::of(&batch.actions);
        let place = self.settings.history.as_ref().map(|_| Place::of(session, &batch));
        let effects = if roles.writer.is_none() && session.record().link.is_none() {
            session.on_passed(&batch, arrived)
        } else {
            let plugin = session.record().link.as_ref().map(|link| &link.plugin);
            let sealing = self.deliveries.sealing(key, plugin, &self.gate.open(), tx.now);
            session.on_actions(&batch, (&packed, bytes), arrived, rules, sealing)
        };
        let for_sinks = (!roles.sinks.is_empty()).then(|| batch.clone());
        let mut effects = effects;
        if let Some((rules, place)) = self.settings.history.as_ref().zip(place) {
            let number = place.number();
            let session = self.sessions.peek_mut(key);
            let (of, batch) = ((key, session), (batch, &packed));
            self.history.keep_batch(of, batch, (place, arrived), rules, tx, &self.counters);
            effects = self.keep_once(key, effects, (number, packed.len()), tx);
        }
        self.run_effects(key, effects, tx);
        if let Some(batch) = for_sinks {
            self.send_batch(key, &roles.sinks, batch, tx);
        }
        Answer::Accepted
    }

    /// An entry that the history keeps as it is, under this number and with so many actions, is stored there alone.
    fn keep_once(
        &mut self,
        key: &SessionKey,
        effects: Vec<Effect>,
        (number, count): (u64, usize),
        tx: &mut Tx,
    ) -> Vec<Effect> {
        let mut others = Vec::with_capacity(effects.len());
        for effect in effects {
            match effect {
                Effect::Keep(row, entry) if entry.actions.len() == count => {
                    if let Some(session) = self.sessions.peek_mut(key) {
                        session.keep(row, number);
                    }
                    self.grown.push(key.clone());
                    let stored = StoredEntry::kept(&entry, number);
                    tx.push(put(Table::Open, session_group(key), row, &stored));
                }
                other @ (Effect::Save
                | Effect::Identity(_)
                | Effect::Leave(_)
                | Effect::Keep(..)
                | Effect::Forget(_)
                | Effect::Dropped(_)
                | Effect::Seal(_)) => others.push(other),
            }
        }
        others
    }

    /// Accepts what a source brought. What it knows behind it is stored with it.
    fn accept_page(&mut self, page: SourcePage, tx: &mut Tx) -> Answer {
        for (key, batch, bytes) in page.batches {
            self.accept(&key, batch, bytes, None, tx);
        }
        let SourceRows { mark, remembered, erases, written } = page.beside;
        if let Some((plugin, mark)) = mark {
            tx.push(put(Table::Source, source_group(&plugin), 0, &mark));
        }
        tx.extend(remembered);
        if let Some((plugin, written)) = written {
            self.counters.kv_written.add(written.len() as u64);
            values::store_of_plugin(&plugin, &written, tx);
        }
        if erases {
            self.scrub.want(tx, &self.counters);
        }
        Answer::Accepted
    }

    /// A batch for the sinks: with who it is, as far as the session knows.
    fn send_batch(
        &mut self,
        key: &SessionKey,
        sinks: &[PluginName],
        mut batch: ActionsPayload,
        tx: &mut Tx,
    ) {
        let Some(record) = self.sessions.record(key).filter(|_| !batch.actions.is_empty()) else {
            return;
        };
        batch.user_id = batch.user_id.or_else(|| record.user_id.clone());
        batch.email = batch.email.or_else(|| record.email.clone());
        let settings = self.settings.clone();
        let rules = settings.rules(&key.product);
        for plugin in sinks {
            let counters = &self.counters;
            let joined = {
                let accounts = self.gate.open();
                self.deliveries.join_sink(key, plugin, &batch, (&accounts, rules), tx, counters)
            };
            if !joined {
                self.send(key, plugin, Content::Actions(batch.clone()), tx);
            }
        }
    }

    fn send(&mut self, key: &SessionKey, plugin: &PluginName, content: Content, tx: &mut Tx) {
        let Some(session) = self.sessions.get_mut(key, tx.now) else { return };
        let seq = session.number_sink_delivery();
        tx.records.insert(key.clone());
        self.deliveries.expect_sinks();
        self.deliveries.add_sink((key, seq), plugin, content, tx, &self.counters);
    }

    fn summarize(
        &mut self,
        key: &SessionKey,
        text: String,
        covers: Covers,
        forwarded_at: f64,
        arrived: Timestamp,
        tx: &mut Tx,
    ) -> Summarized {
        let roles = self.roles.of(&key.product, &*self.plugins, &self.settings, &self.gate, tx);
        let rules = self.settings.rules(&key.product);
        let Some(session) = self.sessions.get_mut(key, tx.now) else {
            return Summarized::Unlinked;
        };
        tx.happens(key, || Happening::Summarized);
        let before = session.record().covered;
        let kept = self.settings.history.is_some().then(|| text.clone());
        let for_sinks = (!roles.sinks.is_empty()).then(|| text.clone());
        let (summarized, effects) = session.on_summary(text, covers, arrived, rules);
        let covered = session.record().covered;
        match summarized {
            Summarized::Queued { .. } => self.counters.summaries_sealed.add(1),
            Summarized::Unlinked => self.counters.summaries_unlinked.add(1),
            Summarized::Stale => self.counters.summaries_ignored.add(1),
        }
        self.run_effects(key, effects, tx);
        if let (Some(text), Some(session)) = (kept, self.sessions.peek_mut(key)) {
            self.history.keep_summary((key, session), text, summarized, arrived, tx);
        }
        if let (Some(summary), false) = (for_sinks, summarized == Summarized::Stale) {
            let summary = SummaryPayload {
                product_id: key.product.as_str().to_owned(),
                session_id: Some(key.session.as_str().to_owned()),
                summary,
                replaces: match covers {
                    Covers::Next(actions) => actions,
                    Covers::Through(_) => covered - before,
                },
                forwarded_at,
            };
            for plugin in &roles.sinks {
                self.send(key, plugin, Content::Summary(summary.clone()), tx);
            }
        }
        summarized
    }

    /// Takes a session over from autoplay-sdk: who it is, and its link by the first plugin of its product.
    fn adopt(&mut self, key: &SessionKey, imported: Imported, tx: &mut Tx) {
        let Some(plugin) = self.writer_of(&key.product) else { return };
        let settings = self.settings.clone();
        let rules = settings.rules(&key.product);
        let Some(session) = self.sessions.get_mut(key, tx.now) else { return };
        let Imported { conversation, user_id, email, .. } = imported;
        let mut who = ActionsPayload { user_id, email, ..ActionsPayload::default() };
        let names = settings.names();
        self.counters.nobody_ids.add(names.clean_batch(&mut who));
        let is_one = |id: &ConversationId| names.names_somebody(id.as_str());
        let conversation = conversation.filter(is_one);
        let effects =
            session.on_actions(&who, (&Packed::default(), 0), tx.now, rules, Sealing::AtItsTurn);
        self.run_effects(key, effects, tx);
        if let Some(conversation) = conversation {
            // autoplay-sdk links on whatever it is told, so nobody vouches for it.
            let told = (&Identity::default(), Tie::Claimed);
            match self.link_to(key, &(plugin, conversation), LinkMode::Auto, told, tx) {
                Ok(_) => tracing::info!("shared session: it is taken over with its conversation"),
                Err(error) => tracing::warn!("shared session: its link isn't taken over: {error}"),
            }
        }
    }

    fn writer_of(&self, product: &ProductId) -> Option<PluginName> {
        writer_of(product, &*self.plugins, &self.settings, &self.gate)
    }

    /// Takes what came of a call.
    fn end(&mut self, ended: Ended, tx: &mut Tx) {
        tx.next = None;
        let told = tx.is_watched().then(|| Happening::ended(&ended));
        self.keep_written(&ended, tx);
        self.take_in(ended, tx);
        if let Some((key, ended)) = told {
            let next = tx.next.take();
            tx.happens(&key, || ended.then(next));
        }
    }

    /// Stores what the plugin wrote under its keys, and its timers. Of a session that was erased or has expired meanwhile
    /// nothing is stored: nothing would ever remove it.
    fn keep_written(&mut self, ended: &Ended, tx: &mut Tx) {
        let Ended { outcome, written, .. } = ended;
        if written.is_empty() {
            return;
        }
        let (plugin, session) = (outcome.plugin(), outcome.session());
        values::store_of_plugin(plugin, written, tx);
        let mut stored = written.of(Scope::Plugin).count();
        let of_session = written.len() - stored;
        if self.deliveries.is_under_way(outcome) && is_on_record(session, tx) {
            values::store_of_session(plugin, session, written, tx);
            stored += of_session;
            self.timers.store(plugin, session, written, tx, &self.counters);
        } else {
            let set = written.timers().filter(|(_, timer)| timer.is_some()).count();
            self.counters.timers_dropped.add(set as u64);
        }
        self.counters.kv_written.add(stored as u64);
        self.counters.kv_dropped.add((written.len() - stored) as u64);
    }

    fn take_in(&mut self, ended: Ended, tx: &mut Tx) {
        let gate = (&self.gate, self.engine);
        self.deliveries.heard(gate, &ended, tx, &self.counters);
        let counters = &self.counters;
        let Ended { outcome, course, written: _ } = ended;
        let course = &course;
        match outcome {
            Outcome::Note { note, result } => {
                self.sessions.touch(&note.key, tx.now);
                let record = self.sessions.record(&note.key);
                let erased = self.deliveries.end_erased_post(&note, &result, record, tx, counters);
                if let Some(gone) = erased {
                    if gone {
                        self.scrub.want(tx, counters);
                    }
                    return;
                }
                let rules = self.settings.rules(&note.key.product);
                let of = (rules, record);
                if self.deliveries.end_note(&note, result, course, of, tx, counters) {
                    counters.notes_found.add(u64::from(course.asked == Some(Asked::Found)));
                    if note.kind == NoteKind::Summary && self.settings.history.is_some() {
                        let of = (&note.key, self.sessions.peek_mut(&note.key));
                        self.history.remove_covered(of, note.through, tx);
                    }
                }
            }
            Outcome::Sink { delivery, result } => {
                self.sessions.touch(&delivery.key, tx.now);
                let rules = self.settings.rules(&delivery.key.product);
                self.deliveries.end_sink(&delivery, result, course, rules, tx, counters);
            }
            Outcome::Timer { timer, result } => {
                self.sessions.touch(&timer.key, tx.now);
                let rules = self.settings.rules(&timer.key.product);
                self.deliveries.end_timer(&timer, result, course, rules, tx, counters);
            }
            Outcome::Message { message, result } => {
                let rules = self.settings.rules(&message.key.product);
                let ended =
                    self.deliveries.end_message(&message, result, course, rules, tx, counters);
                match ended {
                    Some((job, ended)) => self.end_message(job, ended, tx),
                    None => self.retry_reply(&message, tx),
                }
            }
            Outcome::Redaction { key, seq, result, .. } => {
                let rules = self.settings.rules(&key.product);
                let of = (rules, self.sessions.record(&key), &*self.plugins);
                let place = (&key, seq);
                if self.deliveries.end_redaction(place, result, course, of, tx, counters) {
                    self.scrub.want(tx, counters);
                }
            }
        }
    }

    fn run_effects(&mut self, key: &SessionKey, effects: Vec<Effect>, tx: &mut Tx) {
        tx.touched.push(key.clone());
        for effect in effects {
            match effect {
                Effect::Save => drop(tx.records.insert(key.clone())),
                Effect::Identity(before) => {
                    let Some(record) = self.sessions.record(key) else { continue };
                    if self.settings.history.is_some() {
                        let Identity { user_id, email, .. } = record.identity();
                        let active_at = record.active_at;
                        tx.tell(key, What::Person { user_id, email, active_at });
                    }
                    self.directory.rekey(key, &before, record, tx);
                }
                Effect::Leave(target) => self.directory.leave(&target, key, tx),
                Effect::Keep(row, entry) => {
                    self.grown.push(key.clone());
                    tx.push(put(Table::Open, session_group(key), row, &entry));
                }
                Effect::Forget(rows) => {
                    let group = session_group(key);
                    tx.extend(rows.into_iter().map(|row| delete(Table::Open, group.clone(), row)));
                }
                Effect::Dropped(actions) => {
                    if let Some(total) = self.counters.dropped_window.add_told(actions as u64) {
                        tracing::info!(
                            product = shown(key.product.as_str()),
                            session = shown(key.session.as_str()),
                            total,
                            "session: actions left the window before a conversation opened and are in no note \
                             (`pre_link_window`); this is said again when the total has doubled"
                        );
                    }
                }
                Effect::Seal(sealed) => self.seal(key, sealed, tx),
            }
        }
        self.sessions.touch(key, tx.now);
    }

    fn seal(&mut self, key: &SessionKey, sealed: Sealed, tx: &mut Tx) {
        let Some(record) = self.sessions.record(key) else { return };
        let note = note_of(key, record, sealed, FirstAttempt::Waits, tx.now, &self.counters);
        tx.happens(key, || Happening::sealed(&note));
        self.deliveries.add_note(note, tx);
    }

    /// Does what is due at the transaction's moment, behind its commands.
    pub fn run_due(&mut self, tx: &mut Tx) {
        for key in std::mem::take(&mut self.restored) {
            self.run_timer(key, true, tx);
        }
        for key in self.sessions.take_due(tx.now) {
            self.run_timer(key, false, tx);
        }
        self.run_timers(tx);
        // A note for people that comes of it stands behind what was done before.
        let is_ready = |key: &SessionKey| {
            let loaded = self.sessions.is_loaded(key);
            if !loaded {
                self.unloaded.insert(key.clone());
            }
            loaded
        };
        for (job, ended) in self.deliveries.expire(&self.settings, is_ready, tx, &self.counters) {
            self.end_message(job, ended, tx);
        }
        self.end_states(tx);
    }

    /// Runs a session's timers. `restored`: its batch was read back.
    fn run_timer(&mut self, key: SessionKey, restored: bool, tx: &mut Tx) {
        let rules = self.settings.rules(&key.product);
        let Some(session) = self.sessions.get_mut(&key, tx.now) else { return };
        let plugin = session.record().link.as_ref().map(|link| &link.plugin);
        let sealing = self.deliveries.sealing(&key, plugin, &self.gate.open(), tx.now);
        if sealing == Sealing::Now && !session.open().is_loaded() {
            // Its timer is set again: it isn't idle.
            tx.touched.push(key.clone());
            self.unloaded.insert(key);
            return;
        }
        let effects = match (self.draining && restored, sealing) {
            (true, _) => session.flush(rules),
            // That it was read back isn't that it waited.
            (false, Sealing::Gather) if restored => {
                session.on_timer(tx.now, rules, Sealing::AtItsTurn)
            }
            (false, sealing) => session.on_timer(tx.now, rules, sealing),
        };
        self.run_effects(&key, effects, tx);
    }

    /// Ends a transaction: begins what can be begun with it. It is to be stored next.
    pub fn finish(&mut self, mut tx: Tx) -> Spent {
        let now = tx.now;
        for key in &tx.touched {
            let waits = self.deliveries.has_unsealed(key);
            let rules = self.settings.rules(&key.product);
            let session = self.sessions.get(key);
            let due_for = session.and_then(|session| session.due_for(now, rules, waits));
            self.deliveries.enqueue(key, due_for, now);
        }
        if !self.stopping {
            let mut accounts = self.gate.open();
            let plugins = &*self.plugins;
            let (settings, counters) = (&*self.settings, &*self.counters);
            let (sessions, unloaded) = (&mut self.sessions, &mut self.unloaded);
            let mut sealer = AtItsTurn { sessions, unloaded, settings, counters };
            let (engine, sealer) = (self.engine, &mut sealer);
            self.deliveries.begin(&mut accounts, engine, settings, plugins, sealer, &mut tx);
        }
        self.roles.clear();
        let touched = std::mem::take(&mut tx.touched);
        self.settle(&touched, now);
        self.unload_grown();
        self.directory.bound();
        self.counters.redactions_waiting.set(self.deliveries.redactions() as u64);
        let accounts = std::mem::take(&mut tx.accounts);
        tx.extend(self.gate.open().rows(&accounts));
        let mut spent = tx.spend();
        spent.keys = self.keys.tell();
        for key in &spent.records {
            if let Some(record) = self.sessions.record(key) {
                spent.changes.push(put(Table::Session, session_group(key), 0, record));
            }
        }
        spent
    }

    /// Takes what came last out of memory where more waits than may be there: its rows are stored with the transaction.
    fn unload_grown(&mut self) {
        let had_its_turn = |key: &SessionKey| !self.deliveries.has_unsealed(key);
        self.grown.extend(self.pinned.extract_if(had_its_turn));
        for key in self.grown.drain(..) {
            let pinned = self.pinned.contains(&key);
            if !pinned && self.sessions.held() > self.settings.max_waiting_bytes {
                self.sessions.unload(&key);
            }
            let rules = self.settings.rules(&key.product);
            if self.sessions.get(&key).is_some_and(|it| it.is_to_be_restored(rules)) {
                self.unloaded.insert(key);
            }
        }
    }

    /// Sets the timers of sessions.
    fn settle(&mut self, keys: &[SessionKey], now: Timestamp) {
        let accounts = self.gate.open();
        for key in keys {
            let rules = self.settings.rules(&key.product);
            self.deliveries.settle(key, rules);
            let link = self.sessions.record(key).and_then(|record| record.link.as_ref());
            let plugin = link.map(|link| &link.plugin);
            let sealing = self.deliveries.sealing(key, plugin, &accounts, now);
            self.sessions.settle(key, rules, sealing);
        }
    }

    /// When the next transaction is due, whatever happens meanwhile.
    pub fn next_timer(&self, now: Timestamp) -> Timestamp {
        self.next_due(now).map_or(self.retention.at(), |due| due.min(self.retention.at()))
    }

    /// When something is due by itself next, save that what has expired is to be looked for.
    pub fn next_due(&self, now: Timestamp) -> Option<Timestamp> {
        if self.deliveries.is_hungry() || !self.unloaded.is_empty() {
            return Some(now);
        }
        let timers = [
            self.sessions.next_timer(),
            self.deliveries.next_timer(&self.gate.open(), now),
            self.scrub.next_timer(),
            self.helping.next_timer(),
            self.timers.next().filter(|_| !self.rests()),
        ];
        timers.into_iter().flatten().min()
    }

    /// Whether something waits for nothing but a slot.
    pub fn wants_slot(&self, now: Timestamp) -> bool {
        self.deliveries.wants_slot(&self.gate.open(), now)
    }

    /// What waits to be delivered, for people.
    pub fn backlog(&self) -> Vec<Backlog> {
        self.deliveries.backlog(|key| self.sessions.get(key).and_then(Session::waits_since))
    }

    /// Whether lanes have something in the store only that is to be read before it can be sent.
    pub fn is_hungry(&self) -> bool {
        self.deliveries.has_hungry_lanes() || !self.unloaded.is_empty()
    }

    /// Whether the store's files are to be written anew at this moment; it counts as begun. Asked behind a
    /// commit.
    pub fn begin_scrub(&mut self, now: Timestamp) -> bool {
        !self.stopping && self.scrub.begin(now)
    }

    /// Whether something of what was erased may be left in the store's files.
    pub fn is_scrub_due(&self) -> bool {
        self.scrub.is_due()
    }

    /// Whose session a conversation's link would be adopted for: see [`Command::Adopt`].
    pub fn is_of(&self, key: &SessionKey, imported: &Imported) -> bool {
        imported.is_of(key, self.settings.has_one_product())
    }

    /// What is on record of a session in memory.
    pub fn record(&self, key: &SessionKey) -> Option<&Record> {
        self.sessions.record(key)
    }

    /// Whether a session is in memory.
    pub fn has(&self, key: &SessionKey) -> bool {
        self.sessions.has(key)
    }
}

impl Drop for Core {
    /// Others wait for nobody who begins nothing any more.
    fn drop(&mut self) {
        self.gate.open().leave(self.engine);
    }
}

/// Seals batches at the moment at which they are sent.
struct AtItsTurn<'a> {
    sessions: &'a mut Sessions,
    /// Those whose batches are to be read back first.
    unloaded: &'a mut HashSet<SessionKey>,
    settings: &'a Settings,
    counters: &'a Counters,
}

impl Sealer for AtItsTurn<'_> {
    fn is_loaded(&self, key: &SessionKey) -> bool {
        self.sessions.is_loaded(key)
    }

    fn read_back(&mut self, key: &SessionKey) {
        self.unloaded.insert(key.clone());
    }

    fn seal(&mut self, key: &SessionKey, first: FirstAttempt, tx: &mut Tx) -> Option<Arc<Note>> {
        let session = self.sessions.get_mut(key, tx.now)?;
        let (rows, sealed) = session.seal_next(self.settings.rules(&key.product))?;
        let note = note_of(key, session.record(), sealed, first, tx.now, self.counters);
        let group = session_group(key);
        tx.extend(rows.into_iter().map(|row| delete(Table::Open, group.clone(), row)));
        tx.records.insert(key.clone());
        tx.happens(key, || Happening::sealed(&note));
        Some(note)
    }
}

fn note_of(
    key: &SessionKey,
    record: &Record,
    sealed: Sealed,
    first: FirstAttempt,
    now: Timestamp,
    counters: &Counters,
) -> Arc<Note> {
    let actions = worded_packed(sealed.actions);
    let body = body(key, &actions.list(), sealed.text.as_deref(), sealed.bin_seconds, now);
    counters.notes_sealed.add(1);
    counters.notes_gathered.add(u64::from(sealed.gathered));
    Arc::new(Note {
        key: key.clone(),
        seq: sealed.seq,
        plugin: sealed.link.plugin,
        conversation: sealed.link.conversation,
        user_id: record.user_id.clone(),
        email: record.email.clone(),
        kind: sealed.kind,
        body,
        actions,
        through: sealed.through,
        idempotency_key: Note::idempotency_key(key, sealed.seq, now),
        sealed_at: now,
        waits_since: sealed.waits_since,
        begun: first == FirstAttempt::Begins,
        resent_of: sealed.resent_of,
    })
}

/// Whether a session has a record, or has one with this transaction.
fn is_on_record(session: &SessionKey, tx: &Tx) -> bool {
    let key = Key { table: Table::Session, group: session_group(session), number: 0 };
    tx.records.contains(session) || tx.row(&key).is_some()
}

/// The conversation that an adopted session's link would go to.
fn adopted(plugin: Option<PluginName>, imported: &Imported) -> Option<Target> {
    Some((plugin?, imported.conversation.clone()?))
}

/// Whether the outcome of a redaction puts a note back among the sent ones of its session.
fn stays(outcome: &Outcome) -> Option<&SessionKey> {
    match outcome {
        Outcome::Redaction { key, result: Ok(Redaction::Unsupported), .. } => Some(key),
        Outcome::Redaction { .. }
        | Outcome::Note { .. }
        | Outcome::Sink { .. }
        | Outcome::Timer { .. }
        | Outcome::Message { .. } => None,
    }
}
