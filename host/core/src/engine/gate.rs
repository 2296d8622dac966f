//! The gate: what holds for all that is sent to a platform, whoever sends it.
//!
//! There is one per process, shared by all engines: one number of slots for each plugin, one limit and one breaker
//! for each account, and so one probe, however many engines have something to send. An engine opens it for a
//! moment, without waiting for anything while it is open.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::counters::Counters;
use super::rows::{account_group, put};
use super::settings::Settings;
use super::switch::SwitchTo;
use crate::clock::Timestamp;
use crate::ids::{ConversationId, PluginName};
use crate::outbox::account::{Account, AccountState, Disabled, Ended, Heard};
use crate::outbox::breaker::{Health, Turn};
use crate::outbox::note::LimitScope;
use crate::outbox::sink_delivery::Roles;
use crate::outbox::trouble::{FaultKind, News, Told, Troubles};
use crate::rows::{Change, Table};
use crate::see::See;

/// Conversations whose limit is remembered. Beyond that, each lane keeps to its own alone.
const MAX_CONVERSATIONS: usize = 100_000;

/// The accounts of all plugins. Cloning shares them.
#[derive(Clone)]
pub struct Gate(Arc<Mutex<Accounts>>);

/// An engine that passes through the gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct EngineId(u64);

/// What a call is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum CallKind {
    Post,
    Redaction,
    /// To a sink, or of a timer: not what people wait for.
    Sink,
}

impl CallKind {
    const ALL: usize = 3;
}

/// A call that ended.
pub(super) struct EndedCall<'a> {
    pub(super) plugin: &'a PluginName,
    /// `None` where it was about none.
    pub(super) conversation: Option<&'a ConversationId>,
    pub(super) kind: CallKind,
    pub(super) probe: bool,
    pub(super) heard: Heard,
}

/// The gate while it is open.
pub(super) struct Accounts {
    of: HashMap<PluginName, Standing>,
    /// Conversations that the platform takes nothing for, and until when.
    conversations: HashMap<(PluginName, ConversationId), Timestamp>,
    settings: Arc<Settings>,
    /// What wakes each engine when what it waits for may have come.
    engines: Vec<Arc<dyn Fn() + Send + Sync>>,
    /// How the accounts stand, for whoever asks.
    shown: Vec<AccountState>,
}

/// One plugin's.
struct Standing {
    account: Account,
    troubles: Troubles,
    /// By kind: calls under way.
    under_way: [usize; CallKind::ALL],
    /// Engines that found no slot, or the account closed, in the order in which they came; and whether notes wait
    /// there.
    waiting: VecDeque<(EngineId, bool)>,
}

impl Gate {
    /// A gate that nobody has passed yet.
    pub fn new(settings: Arc<Settings>) -> Self {
        let (of, conversations, engines, shown) = Default::default();
        Self(Arc::new(Mutex::new(Accounts { of, conversations, settings, engines, shown })))
    }

    /// Admits an engine. `wake` is called when what it waits for may have come: at any time, on any thread, while the
    /// gate is open; it must not wait.
    pub fn admit(&self, wake: impl Fn() + Send + Sync + 'static) -> EngineId {
        let mut accounts = self.open();
        accounts.engines.push(Arc::new(wake));
        EngineId(accounts.engines.len() as u64 - 1)
    }

    /// How the plugins stand with their platforms.
    pub fn states(&self) -> Vec<AccountState> {
        self.open().shown.clone()
    }

    /// That a person has a plugin not called: the one place where that is asked, for calls of every kind.
    pub fn disabled(&self, plugin: &str) -> Option<Disabled> {
        self.open().of.get(plugin)?.account.disabled().cloned()
    }

    pub(super) fn open(&self) -> MutexGuard<'_, Accounts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Standing {
    fn of(account: Account) -> Self {
        let (troubles, under_way, waiting) = Default::default();
        Self { account, troubles, under_way, waiting }
    }

    /// Whether one more call of a kind may be made of `slots`. Notes go first: while some wait, nothing is
    /// redacted, and half of the slots is theirs; redactions never take more than a quarter. Whoever waits with no
    /// note is not ahead of one.
    fn has_slot(&self, engine: EngineId, kind: CallKind, slots: usize, notes_wait: bool) -> bool {
        let of_kind = self.under_way[kind as usize];
        let before = self.waiting.iter().take_while(|(other, _)| *other != engine);
        let ahead = before.filter(|(_, notes)| *notes || kind != CallKind::Post).count();
        let notes_wait =
            notes_wait || self.waiting.iter().any(|(it, notes)| *it != engine && *notes);
        let fair = match kind {
            CallKind::Post => true,
            CallKind::Redaction => !notes_wait && of_kind < (slots / 4).max(1),
            CallKind::Sink => !notes_wait || of_kind < slots.div_ceil(2),
        };
        self.busy() + ahead < slots && fair
    }

    /// Calls under way.
    fn busy(&self) -> usize {
        self.under_way.iter().sum()
    }

    /// The engine whose turn is next: the first that has notes, or else the first.
    fn next(&self) -> Option<EngineId> {
        let with_notes = self.waiting.iter().find(|(_, notes)| *notes);
        with_notes.or(self.waiting.front()).map(|(engine, _)| *engine)
    }
}

impl Accounts {
    /// Takes up how an account stood when the host ended.
    pub(super) fn take_up(&mut self, plugin: PluginName, account: Account, now: Timestamp) {
        let account = account.taken_up(self.settings.breaker(&plugin), now);
        self.of.insert(plugin, Standing::of(account));
    }

    /// Goes by other settings. A plugin that got rules has a closed breaker, one that has none any more has no
    /// breaker.
    pub(super) fn change_settings(
        &mut self,
        settings: Arc<Settings>,
        now: Timestamp,
        counters: &Counters,
    ) {
        for (plugin, standing) in &mut self.of {
            standing.account.change_rules(settings.breaker(plugin), now);
        }
        self.settings = settings;
        self.show(now, counters);
    }

    /// Whether the engine may begin a call of this kind. Where it may not, it waits until it is woken. `notes_wait`:
    /// it has notes for the plugin that wait.
    pub(super) fn has_turn(
        &mut self,
        engine: EngineId,
        kind: CallKind,
        plugin: &PluginName,
        notes_wait: bool,
        now: Timestamp,
    ) -> bool {
        let slots = self.settings.slots(plugin);
        let notes_wait = notes_wait || kind == CallKind::Post;
        let standing = self.standing(plugin, now);
        let turn =
            standing.has_slot(engine, kind, slots, notes_wait) && standing.account.allows(now);
        let waits = standing.waiting.iter_mut().find(|(waits, _)| *waits == engine);
        match waits {
            // Whoever comes again is behind those that wait.
            Some(_) if turn => standing.waiting.retain(|(waits, _)| *waits != engine),
            Some((_, notes)) => *notes |= notes_wait,
            None if !turn && slots > 0 => standing.waiting.push_back((engine, notes_wait)),
            None => {}
        }
        turn
    }

    /// The engine begins nothing any more.
    pub(super) fn leave(&mut self, engine: EngineId) {
        for standing in self.of.values_mut() {
            standing.waiting.retain(|(waits, _)| *waits != engine);
        }
        self.of.keys().for_each(|plugin| self.wake_next(engine, plugin));
    }

    /// What a plugin was found to do when it was asked last; `None` where it was no sink.
    pub(super) fn known_roles(&self, plugin: &PluginName) -> Option<Roles> {
        self.of.get(plugin).and_then(|standing| standing.account.roles)
    }

    /// What a plugin does: what it says, or what it was found to do before where it can't say. `true`: the
    /// account's row must be stored.
    pub(super) fn roles(
        &mut self,
        plugin: &PluginName,
        told: Option<Roles>,
        now: Timestamp,
    ) -> (Option<Roles>, bool) {
        let known = self.known_roles(plugin);
        let Some(roles) = told else { return (known, false) };
        let kept = roles.sink.then_some(roles);
        if kept != known {
            self.standing(plugin, now).account.roles = kept;
        }
        (told, kept != known)
    }

    /// A call is begun. `true`: it is a probe.
    pub(super) fn begin(&mut self, plugin: &PluginName, kind: CallKind, now: Timestamp) -> bool {
        let standing = self.standing(plugin, now);
        standing.under_way[kind as usize] += 1;
        standing.account.begin()
    }

    /// Takes what the outcome of a call says. `true`: the account's row must be stored.
    pub(super) fn end(
        &mut self,
        engine: EngineId,
        call: EndedCall<'_>,
        now: Timestamp,
        random: f64,
        counters: &Counters,
    ) -> bool {
        let EndedCall { plugin, conversation, kind, probe, heard } = call;
        if let (Some(pause), Some(conversation)) = (heard.pause, conversation)
            && pause.scope == LimitScope::Conversation
            && self.conversations.len() < MAX_CONVERSATIONS
        {
            let key = (plugin.clone(), conversation.clone());
            let until = self.conversations.entry(key).or_insert(now);
            *until = (*until).max(now + pause.time);
        }
        let settings = self.settings.clone();
        let standing = self.standing(plugin, now);
        let of_kind = &mut standing.under_way[kind as usize];
        *of_kind = of_kind.saturating_sub(1);
        let ended = standing.account.hear(&heard, probe, now, settings.breaker(plugin), random);
        let had_trouble = standing.troubles.last().is_some_and(|last| last.is_ongoing());
        let failed = matches!(heard.told, Told::Fault(_));
        for news in standing.troubles.hear(heard.told, now) {
            say(plugin, &news);
        }
        tell(plugin, ended, counters);
        let shown = failed || had_trouble || heard.health == Health::Down;
        if ended.changed || shown || heard.pause.is_some() {
            self.show(now, counters);
        }
        match ended.changed {
            true => self.wake_all(plugin),
            false => self.wake_next(engine, plugin),
        }
        ended.changed
    }

    /// A person lets the plugin's calls be made again. `true`: they weren't made, and the row must be stored.
    pub(super) fn enable(
        &mut self,
        plugin: &PluginName,
        now: Timestamp,
        counters: &Counters,
    ) -> bool {
        let standing = self.standing(plugin, now);
        let before = standing.account.clone();
        standing.account.enable(now);
        let changed = standing.account.allows(now) != before.allows(now);
        self.show(now, counters);
        self.wake_all(plugin);
        changed
    }

    /// A person has the plugin not called, or called again. `true`: that changed something, and the account's row must
    /// be stored.
    pub(super) fn switch(
        &mut self,
        plugin: &PluginName,
        to: SwitchTo,
        now: Timestamp,
        counters: &Counters,
    ) -> bool {
        let account = &mut self.standing(plugin, now).account;
        let changed = match to {
            SwitchTo::Disabled { reason } => account.shut(reason, now),
            SwitchTo::Enabled => account.open_again(now),
        };
        self.show(now, counters);
        self.wake_all(plugin);
        changed
    }

    /// Whether calls for the plugin may be made, as soon as there is a slot.
    pub(super) fn allows(&self, plugin: &PluginName, now: Timestamp) -> bool {
        let open = |standing: &Standing| standing.account.allows(now);
        self.settings.slots(plugin) > 0 && self.of.get(plugin).is_none_or(open)
    }

    /// Until when the platform takes nothing for the conversation.
    pub(super) fn limit_of(
        &self,
        plugin: &PluginName,
        conversation: &ConversationId,
        now: Timestamp,
    ) -> Option<Timestamp> {
        if self.conversations.is_empty() {
            return None;
        }
        let until = self.conversations.get(&(plugin.clone(), conversation.clone())).copied()?;
        (until > now).then_some(until)
    }

    /// When a plugin may be called again, if it may not at `now`.
    pub(super) fn next_timer(&self, plugin: &PluginName, now: Timestamp) -> Option<Timestamp> {
        self.of.get(plugin).and_then(|standing| standing.account.next_timer(now))
    }

    /// The rows of these accounts.
    pub(super) fn rows(&self, plugins: &HashSet<PluginName>) -> impl Iterator<Item = Change> {
        let row = |plugin: &PluginName| {
            let standing = self.of.get(plugin)?;
            Some(put(Table::Account, account_group(plugin), 0, &standing.account))
        };
        plugins.iter().filter_map(row)
    }

    /// Forgets limits that are past.
    pub(super) fn sweep(&mut self, now: Timestamp) {
        self.conversations.retain(|_, until| *until > now);
    }

    /// Brings up to date what is shown of the accounts.
    pub(super) fn show(&mut self, now: Timestamp, counters: &Counters) {
        let state = |(plugin, standing): (&PluginName, &Standing)| AccountState {
            last_error: standing.troubles.last().cloned(),
            ..standing.account.state(plugin, now)
        };
        let mut states: Vec<_> = self.of.iter().map(state).collect();
        states.sort_by(|a, b| a.plugin.cmp(&b.plugin));
        self.shown = states;
        let disabled = self.of.values().filter(|standing| standing.account.is_disabled()).count();
        counters.plugins_disabled.set(disabled as u64);
    }

    fn standing(&mut self, plugin: &PluginName, now: Timestamp) -> &mut Standing {
        if !self.of.contains_key(plugin) {
            let account = Account::new(self.settings.breaker(plugin), now);
            self.of.insert(plugin.clone(), Standing::of(account));
        }
        self.of.get_mut(plugin).expect("it was put there if it was missing")
    }

    /// Wakes all that wait for the plugin: its account may be open to them, or may be so at another moment.
    fn wake_all(&self, plugin: &PluginName) {
        for (engine, _) in self.of.get(plugin).into_iter().flat_map(|standing| &standing.waiting) {
            if let Some(wake) = self.engines.get(engine.0 as usize) {
                wake();
            }
        }
    }

    /// Wakes the engine whose turn is next, where a slot is free; not the one that is at it. To be told where a slot
    /// may have become free, and behind each turn, so that all who can go on do.
    pub(super) fn wake_next(&self, at_it: EngineId, plugin: &PluginName) {
        let Some(standing) = self.of.get(plugin) else { return };
        if standing.busy() < self.settings.slots(plugin)
            && let Some(next) = standing.next().filter(|next| *next != at_it)
            && let Some(wake) = self.engines.get(next.0 as usize)
        {
            wake();
        }
    }
}

/// What begins and what ends, with what a person does about it.
fn say(plugin: &PluginName, news: &News) {
    match news {
        News::Began(fault) => {
            let (kind, code, reason) = (fault.kind.name(), &*fault.code, &*fault.message);
            match fault.kind {
                FaultKind::Auth => tracing::error!(
                    %plugin, kind, code, reason,
                    "outbox: the platform refuses the plugin's credentials; what is to be sent waits. Put the right \
                     ones where [plugins.{plugin}.secrets] points to and reload (`sidenote reload`); then \
                     `sidenote outbox retry --plugin {plugin}` has it sent at once {}",
                    See::CredentialsRefused
                ),
                FaultKind::Transient => tracing::warn!(
                    %plugin, kind, code, reason,
                    "outbox: the platform fails, or can't be reached; what is to be sent is tried again by itself. \
                     If it lasts, look at the platform's status page and at the address in [plugins.{plugin}.config] {}",
                    See::PlatformFails
                ),
                FaultKind::Crashed => tracing::warn!(
                    %plugin, kind, code, reason,
                    "outbox: the plugin trapped or didn't answer in time; what is to be sent is tried again. Look at \
                     its lines in the log, and try it with `sidenote plugin test`"
                ),
                FaultKind::Refused => {}
            }
        }
        News::Ended { kind, code, failures, lasted } => tracing::info!(
            %plugin,
            kind = kind.name(),
            code,
            failures,
            seconds = lasted.as_secs(),
            "outbox: the platform takes what the plugin sends again"
        ),
    }
}

fn tell(plugin: &PluginName, ended: Ended, counters: &Counters) {
    match ended.turn {
        None => {}
        Some(Turn::Opened) => {
            counters.breakers_opened.add(1);
            tracing::warn!(%plugin, "outbox: too many calls fail; the notes wait, one call at a time is tried");
        }
        Some(Turn::StillOpen) => {
            tracing::info!(%plugin, "outbox: the call that was tried failed too")
        }
        Some(Turn::Closed) => {
            tracing::info!(%plugin, "outbox: calls succeed again; the notes go on")
        }
        Some(Turn::Disabled) => tracing::error!(
            %plugin,
            "outbox: no call succeeded for days; the plugin is disabled and its notes wait, then become dead \
             letters. Repair it, then `sidenote outbox retry --plugin {plugin}`"
        ),
    }
}
