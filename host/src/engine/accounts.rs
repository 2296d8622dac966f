//! What plugins are in the middle of: whose turn is next, how many posts are under way, and how each
//! stands with its platform.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::clock::Timestamp;
use crate::engine::counters::Counters;
use crate::engine::rows::{account_group, put, read};
use crate::engine::settings::Settings;
use crate::ids::{ConversationId, PluginName, SessionKey};
use crate::outbox::account::{Account, AccountState, Ended, Heard};
use crate::outbox::breaker::{Health, Turn};
use crate::outbox::note::LimitScope;
use crate::outbox::sink_delivery::Roles;
use crate::outbox::trouble::{FaultKind, News, Told, Troubles};
use crate::post::Post;
use crate::store::{Change, Store, StoreError, Table};

/// Conversations whose limit is remembered. Beyond that, each lane keeps to its own alone.
const MAX_CONVERSATIONS: usize = 100_000;
/// How often it is asked whether a plugin that is being made ready is.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Accounts that are read at once at start.
const PAGE: usize = 1000;

/// All plugins that have, or had, something to post.
pub(super) struct Accounts {
    queues: HashMap<PluginName, AccountQueue>,
    /// Conversations that the platform takes nothing for, and until when.
    conversations: HashMap<(PluginName, ConversationId), Timestamp>,
    settings: Arc<Settings>,
    status: AccountStatus,
}

/// A call that ended.
pub(super) struct Call<'a> {
    pub(super) plugin: &'a PluginName,
    /// `None` where it was about none.
    pub(super) conversation: Option<&'a ConversationId>,
    pub(super) kind: CallKind,
    pub(super) probe: bool,
    pub(super) heard: Heard,
}

/// What a call is for. Each kind has a queue of its own at every plugin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CallKind {
    Post,
    Redaction,
    Sink,
}

impl CallKind {
    const ALL: usize = 3;
}

/// How the accounts stand, for whoever asks.
pub(super) type AccountStatus = Arc<Mutex<Vec<AccountState>>>;

/// One plugin's.
struct AccountQueue {
    account: Account,
    troubles: Troubles,
    /// By kind: sessions with something to be tried, in the order in which they came.
    ready: [VecDeque<SessionKey>; CallKind::ALL],
    /// By kind: calls under way.
    under_way: [usize; CallKind::ALL],
    /// Whether the plugin is being made ready: nothing is begun with it until then.
    coming: bool,
}

impl AccountQueue {
    fn of(account: Account) -> Self {
        let (troubles, ready, under_way) = Default::default();
        Self { account, troubles, ready, under_way, coming: false }
    }

    fn is_wanted(&self) -> bool {
        self.ready.iter().any(|of_kind| !of_kind.is_empty())
    }

    /// Whether one more call of a kind may be made of `slots`. Notes go first: while some wait, nothing is
    /// redacted, and half of the slots is theirs; redactions never take more than a quarter.
    fn has_slot(&self, kind: CallKind, slots: usize) -> bool {
        let busy: usize = self.under_way.iter().sum();
        let of_kind = self.under_way[kind as usize];
        let notes_wait = !self.ready[CallKind::Post as usize].is_empty();
        let fair = match kind {
            CallKind::Post => true,
            CallKind::Redaction => !notes_wait && of_kind < (slots / 4).max(1),
            CallKind::Sink => !notes_wait || of_kind < slots.div_ceil(2),
        };
        busy < slots && fair
    }

    /// Whether a call may be begun, as far as plugin and platform are concerned.
    fn allows(&self, now: Timestamp) -> bool {
        !self.coming && self.account.allows(now)
    }
}

impl Accounts {
    pub(super) fn new(settings: Arc<Settings>, status: AccountStatus) -> Self {
        Self { queues: HashMap::new(), conversations: HashMap::new(), settings, status }
    }

    /// Reads how the accounts stood when the host ended.
    pub(super) async fn load(
        &mut self,
        store: &dyn Store,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut after = None;
        loop {
            let rows = store.scan(Table::Account, after.take(), PAGE).await?;
            let Some((last, _)) = rows.last() else { break };
            after = Some(last.clone());
            for (row, value) in rows {
                let plugin = row.group.0;
                let Some(account) = read::<Account>(Table::Account, row.number, &value) else {
                    continue;
                };
                let account = account.taken_up(self.settings.breaker(&plugin), now);
                self.queues.insert(plugin, AccountQueue::of(account));
            }
        }
        self.show(now);
        Ok(())
    }

    /// Goes by other settings. A plugin that got rules has a closed breaker, one that has none any more has no
    /// breaker.
    pub(super) fn change_settings(
        &mut self,
        settings: Arc<Settings>,
        now: Timestamp,
        counters: &Counters,
    ) {
        for (plugin, queue) in &mut self.queues {
            queue.account.change_rules(settings.breaker(plugin), now);
        }
        self.settings = settings;
        self.show(now);
        counters.plugins_disabled.set(self.disabled() as u64);
    }

    /// Asks which of the plugins for which somebody waits are being made ready.
    pub(super) fn look_who_comes(&mut self, post: &dyn Post) {
        for (plugin, queue) in &mut self.queues {
            queue.coming = queue.is_wanted() && post.is_coming(plugin);
        }
    }

    /// Puts a session behind those that wait for the plugin with something of this kind.
    pub(super) fn queue(
        &mut self,
        kind: CallKind,
        plugin: &PluginName,
        key: SessionKey,
        now: Timestamp,
    ) {
        self.of(plugin, now).ready[kind as usize].push_back(key);
    }

    /// The plugins for which somebody waits with something of this kind.
    pub(super) fn wanted(&self, kind: CallKind) -> Vec<PluginName> {
        let waits = self.queues.iter().filter(|(_, queue)| !queue.ready[kind as usize].is_empty());
        waits.map(|(plugin, _)| plugin.clone()).collect()
    }

    /// Takes the next session whose turn it is with the plugin, where a call of this kind may be begun.
    pub(super) fn next(
        &mut self,
        kind: CallKind,
        plugin: &PluginName,
        now: Timestamp,
    ) -> Option<SessionKey> {
        let slots = self.settings.slots(plugin);
        let queue = self.queues.get_mut(plugin)?;
        let turn = queue.has_slot(kind, slots) && queue.allows(now);
        if turn { queue.ready[kind as usize].pop_front() } else { None }
    }

    /// What a plugin was found to do when it was asked last; `None` where it was no sink.
    pub(super) fn known_roles(&self, plugin: &PluginName) -> Option<Roles> {
        self.queues.get(plugin).and_then(|queue| queue.account.roles)
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
            self.of(plugin, now).account.roles = kept;
        }
        (told, kept != known)
    }

    /// A call is begun. `true`: it is a probe.
    pub(super) fn begin(&mut self, plugin: &PluginName, kind: CallKind, now: Timestamp) -> bool {
        let queue = self.of(plugin, now);
        queue.under_way[kind as usize] += 1;
        queue.account.begin()
    }

    /// Takes what the outcome of a call about this conversation says. `true`: the account's row must be
    /// stored.
    pub(super) fn end(
        &mut self,
        call: Call<'_>,
        now: Timestamp,
        random: f64,
        counters: &Counters,
    ) -> bool {
        let Call { plugin, conversation, kind, probe, heard } = call;
        if let (Some(pause), Some(conversation)) = (heard.pause, conversation)
            && pause.scope == LimitScope::Conversation
            && self.conversations.len() < MAX_CONVERSATIONS
        {
            let key = (plugin.clone(), conversation.clone());
            let until = self.conversations.entry(key).or_insert(now);
            *until = (*until).max(now + pause.time);
        }
        let settings = self.settings.clone();
        let queue = self.of(plugin, now);
        let of_kind = &mut queue.under_way[kind as usize];
        *of_kind = of_kind.saturating_sub(1);
        let ended = queue.account.hear(&heard, probe, now, settings.breaker(plugin), random);
        let had_trouble = queue.troubles.last().is_some_and(|last| last.is_ongoing());
        let failed = matches!(heard.told, Told::Fault(_));
        for news in queue.troubles.hear(heard.told, now) {
            say(plugin, &news);
        }
        tell(plugin, ended, counters);
        let shown = failed || had_trouble || heard.health == Health::Down;
        if ended.changed || shown || heard.pause.is_some() {
            self.show(now);
            counters.plugins_disabled.set(self.disabled() as u64);
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
        let queue = self.of(plugin, now);
        let before = queue.account.clone();
        queue.account.enable(now);
        let changed = queue.account.allows(now) != before.allows(now);
        self.show(now);
        counters.plugins_disabled.set(self.disabled() as u64);
        changed
    }

    /// Whether calls for the plugin may be made.
    pub(super) fn allows(&self, plugin: &PluginName, now: Timestamp) -> bool {
        self.queues.get(plugin).is_none_or(|queue| queue.allows(now))
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

    /// When a plugin for which somebody waits may be called again.
    pub(super) fn next_timer(&self, now: Timestamp) -> Option<Timestamp> {
        let waits = self.queues.values().filter(|queue| queue.is_wanted());
        let timer = |queue: &AccountQueue| match queue.coming {
            true => Some(now + LOOK_EVERY),
            false => queue.account.next_timer(now),
        };
        waits.filter_map(timer).min()
    }

    /// The rows of these accounts.
    pub(super) fn rows(&self, plugins: &HashSet<PluginName>) -> impl Iterator<Item = Change> {
        let row = |plugin: &PluginName| {
            let queue = self.queues.get(plugin)?;
            Some(put(Table::Account, account_group(plugin), 0, &queue.account))
        };
        plugins.iter().filter_map(row)
    }

    /// Forgets limits that are past.
    pub(super) fn sweep(&mut self, now: Timestamp) {
        self.conversations.retain(|_, until| *until > now);
    }

    fn of(&mut self, plugin: &PluginName, now: Timestamp) -> &mut AccountQueue {
        if !self.queues.contains_key(plugin) {
            let account = Account::new(self.settings.breaker(plugin), now);
            self.queues.insert(plugin.clone(), AccountQueue::of(account));
        }
        self.queues.get_mut(plugin).expect("it was put there if it was missing")
    }

    fn disabled(&self) -> usize {
        self.queues.values().filter(|queue| queue.account.is_disabled()).count()
    }

    fn show(&self, now: Timestamp) {
        let state = |(plugin, queue): (&PluginName, &AccountQueue)| AccountState {
            last_error: queue.troubles.last().cloned(),
            ..queue.account.state(plugin, now)
        };
        let mut states: Vec<_> = self.queues.iter().map(state).collect();
        states.sort_by(|a, b| a.plugin.cmp(&b.plugin));
        *self.status.lock().unwrap_or_else(PoisonError::into_inner) = states;
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
                     ones where [plugins.{plugin}.secrets] points to and restart the host; then \
                     `sidenote outbox retry --plugin {plugin}` has it sent at once"
                ),
                FaultKind::Transient => tracing::warn!(
                    %plugin, kind, code, reason,
                    "outbox: the platform fails, or can't be reached; what is to be sent is tried again by itself. \
                     If it lasts, look at the platform's status page and at the address in [plugins.{plugin}.config]"
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
