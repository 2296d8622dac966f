//! What plugins are in the middle of: whose turn is next, how many posts are under way, and how each
//! stands with its platform.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use crate::clock::Timestamp;
use crate::engine::counters::Counters;
use crate::engine::inbox::Outcome;
use crate::engine::rows::{account_group, put, read};
use crate::engine::settings::Settings;
use crate::ids::{ConversationId, PluginName, SessionKey};
use crate::outbox::account::{Account, AccountState, Ended, pause};
use crate::outbox::breaker::Turn;
use crate::outbox::note::LimitScope;
use crate::store::{Change, Store, StoreError, Table};

/// Conversations whose limit is remembered. Beyond that, each lane keeps to its own alone.
const MAX_CONVERSATIONS: usize = 100_000;
/// Accounts that are read at once at start.
const PAGE: usize = 1000;

/// All plugins that have, or had, something to post.
pub(super) struct Accounts {
    desks: HashMap<PluginName, Desk>,
    /// Conversations that the platform takes nothing for, and until when.
    conversations: HashMap<(PluginName, ConversationId), Timestamp>,
    settings: Arc<Settings>,
    board: Board,
}

/// How the accounts stand, for whoever asks.
pub(super) type Board = Arc<Mutex<Vec<AccountState>>>;

/// One plugin's.
struct Desk {
    account: Account,
    /// Sessions whose lane's head can be sent, in the order in which they came.
    ready: VecDeque<SessionKey>,
    /// Posts under way.
    busy: usize,
}

impl Accounts {
    pub(super) fn new(settings: Arc<Settings>, board: Board) -> Self {
        Self { desks: HashMap::new(), conversations: HashMap::new(), settings, board }
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
                self.desks.insert(plugin, Desk { account, ready: VecDeque::new(), busy: 0 });
            }
        }
        self.show(now);
        Ok(())
    }

    /// Puts a session behind those that wait for the plugin.
    pub(super) fn queue(&mut self, plugin: &PluginName, key: SessionKey, now: Timestamp) {
        self.desk(plugin, now).ready.push_back(key);
    }

    /// The plugins for which somebody waits.
    pub(super) fn wanted(&self) -> Vec<PluginName> {
        let waits = self.desks.iter().filter(|(_, desk)| !desk.ready.is_empty());
        waits.map(|(plugin, _)| plugin.clone()).collect()
    }

    /// Takes the next session whose turn it is with the plugin, where a post may be begun.
    pub(super) fn next(&mut self, plugin: &PluginName, now: Timestamp) -> Option<SessionKey> {
        let slots = self.settings.slots(plugin);
        let desk = self.desks.get_mut(plugin)?;
        if desk.busy < slots && desk.account.allows(now) { desk.ready.pop_front() } else { None }
    }

    /// A post is begun. `true`: it is a probe.
    pub(super) fn begin(&mut self, plugin: &PluginName, now: Timestamp) -> bool {
        let desk = self.desk(plugin, now);
        desk.busy += 1;
        desk.account.begin()
    }

    /// Takes an outcome of a post to this conversation. `true`: the account's row must be stored.
    pub(super) fn end(
        &mut self,
        outcome: &Outcome,
        conversation: &ConversationId,
        now: Timestamp,
        random: f64,
        counters: &Counters,
    ) -> bool {
        let Outcome { plugin, result, probe, .. } = outcome;
        if let Some(pause) = pause(result)
            && pause.scope == LimitScope::Conversation
            && self.conversations.len() < MAX_CONVERSATIONS
        {
            let key = (plugin.clone(), conversation.clone());
            let until = self.conversations.entry(key).or_insert(now);
            *until = (*until).max(now + pause.time);
        }
        let settings = self.settings.clone();
        let desk = self.desk(plugin, now);
        desk.busy = desk.busy.saturating_sub(1);
        let ended = desk.account.end(result, *probe, now, settings.breaker(plugin), random);
        tell(plugin, ended, counters);
        if ended.changed || result.is_err() {
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
        let desk = self.desk(plugin, now);
        let before = desk.account.clone();
        desk.account.enable(now);
        let changed = desk.account.allows(now) != before.allows(now);
        self.show(now);
        counters.plugins_disabled.set(self.disabled() as u64);
        changed
    }

    /// Whether calls for the plugin may be made.
    pub(super) fn allows(&self, plugin: &PluginName, now: Timestamp) -> bool {
        self.desks.get(plugin).is_none_or(|desk| desk.account.allows(now))
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
        let waits = self.desks.values().filter(|desk| !desk.ready.is_empty());
        waits.filter_map(|desk| desk.account.next_timer(now)).min()
    }

    /// The rows of these accounts.
    pub(super) fn rows(&self, plugins: &HashSet<PluginName>) -> impl Iterator<Item = Change> {
        let row = |plugin: &PluginName| {
            let desk = self.desks.get(plugin)?;
            Some(put(Table::Account, account_group(plugin), 0, &desk.account))
        };
        plugins.iter().filter_map(row)
    }

    /// Forgets limits that are past.
    pub(super) fn sweep(&mut self, now: Timestamp) {
        self.conversations.retain(|_, until| *until > now);
    }

    fn desk(&mut self, plugin: &PluginName, now: Timestamp) -> &mut Desk {
        if !self.desks.contains_key(plugin) {
            let account = Account::new(self.settings.breaker(plugin), now);
            let desk = Desk { account, ready: VecDeque::new(), busy: 0 };
            self.desks.insert(plugin.clone(), desk);
        }
        self.desks.get_mut(plugin).expect("it was put there if it was missing")
    }

    fn disabled(&self) -> usize {
        self.desks.values().filter(|desk| desk.account.is_disabled()).count()
    }

    fn show(&self, now: Timestamp) {
        let mut states: Vec<_> =
            self.desks.iter().map(|(plugin, desk)| desk.account.state(plugin, now)).collect();
        states.sort_by(|a, b| a.plugin.cmp(&b.plugin));
        *self.board.lock().unwrap_or_else(PoisonError::into_inner) = states;
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
