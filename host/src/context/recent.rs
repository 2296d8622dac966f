//! The contexts and the users together, for all who ask and the one who tells.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use super::sessions::{Contexts, InvalidSettings, Place, Settings, View, with_question};
use super::users::{Seen, UserSettings, Users};
use crate::clock::{Clock, Timestamp};
use crate::config;
use crate::engine::feed::{Committed, What};
use crate::engine::history::{History, KeptBatch, KeptSummary};
use crate::ids::SessionKey;
use crate::session::identity::Names;
use crate::session::payload::{Action, ActionsPayload};
use crate::session::state::Record;

/// What people did lately: a cheap handle that all parts of the host share. Nothing of it waits.
///
/// Users of different products are different people, whatever their ids.
#[derive(Clone)]
pub struct Recent {
    shared: Arc<Shared>,
}

struct Shared {
    clock: Clock,
    settings: Settings,
    users: UserSettings,
    state: Mutex<State>,
    /// How far of the engine's feed is known; `None` before what is stored was read.
    position: watch::Sender<Option<u64>>,
}

/// What is known.
pub(super) struct State {
    contexts: Contexts,
    /// By product.
    users: HashMap<Arc<str>, Users>,
}

/// Something that somebody did.
#[derive(Debug, Clone, PartialEq)]
pub struct Acted {
    /// In which session.
    pub place: Place,
    /// When: by the host's clock, where the engine tells it.
    pub at: Timestamp,
    /// What.
    pub action: Action,
}

impl Recent {
    /// With nothing in it, for who embeds this part alone and fills it by [`Recent::take`].
    ///
    /// # Errors
    /// A setting that nothing can be done with.
    pub fn new(
        settings: Settings,
        users: UserSettings,
        clock: Clock,
    ) -> Result<Self, InvalidSettings> {
        Self::known_to(Some(0), settings, users, clock)
    }

    fn known_to(
        position: Option<u64>,
        settings: Settings,
        users: UserSettings,
        clock: Clock,
    ) -> Result<Self, InvalidSettings> {
        let state = Mutex::new(State::new(&settings)?);
        Users::new(users.clone())?;
        let position = watch::Sender::new(position);
        Ok(Self { shared: Arc::new(Shared { clock, settings, users, state, position }) })
    }

    /// As configured in `[context]`. It isn't ready before [`follow`](super::follow) has read what is
    /// stored.
    ///
    /// # Errors
    /// A setting that nothing can be done with; a validated configuration has none.
    pub fn of(
        config: &config::Context,
        names: Arc<Names>,
        clock: Clock,
    ) -> Result<Self, InvalidSettings> {
        let settings = Settings {
            lookback: Some(config.lookback),
            max_actions: config.max_actions,
            max_sessions: config.max_sessions,
            max_bytes: config.max_bytes,
            include_summary: config.include_summary,
            include_actions: config.include_actions,
        };
        let users = UserSettings {
            lookback: config.lookback,
            max_sessions_per_user: config.max_sessions_per_user,
            max_users: config.max_users,
            names,
        };
        Self::known_to(None, settings, users, clock)
    }

    /// Whether a user id names somebody: nobody is known by `undefined`, blanks and their like.
    pub fn names_somebody(&self, user: &str) -> bool {
        self.shared.users.names.names_somebody(user)
    }

    /// What a reader sees who doesn't say what.
    pub fn view(&self) -> View {
        self.shared.settings.view()
    }

    /// The moment, as what is kept counts it.
    pub fn now(&self) -> Timestamp {
        self.shared.clock.now()
    }

    /// What of a view came after a moment: actions alone, for a summary may tell of what was before.
    pub fn since(&self, view: View, cutoff: Timestamp) -> View {
        // What came at that very moment was known then.
        let passed = self.shared.clock.now().since(cutoff).saturating_sub(Duration::from_micros(1));
        let lookback = view.lookback.map_or(passed, |lookback| lookback.min(passed));
        View { lookback: Some(lookback), include_summary: false, include_actions: true, ..view }
    }

    /// Whether what is stored was read: before, somebody may be missing.
    pub fn is_ready(&self) -> bool {
        self.shared.position.borrow().is_some()
    }

    /// Waits until everything is known that the engine had told by this position of its feed
    /// ([`Handle::feed_position`](crate::engine::Handle::feed_position)).
    pub async fn caught_up(&self, position: u64) {
        let reached = |known: &Option<u64>| known.is_some_and(|known| known >= position);
        // The sender lives as long as this handle.
        drop(self.shared.position.subscribe().wait_for(reached).await);
    }

    /// What a user of a product did lately, in all of the recent sessions, as text; empty where nothing is
    /// known.
    pub fn activity(&self, product: &str, user: &str, view: View) -> String {
        let now = self.shared.clock.now();
        let State { contexts, users } = &mut *self.state();
        let Some(users) = users.get_mut(product) else { return String::new() };
        users.activity(user, contexts, view, now)
    }

    /// A question of a user, with what they did lately before it; the question alone where nothing is known.
    pub fn enrich(&self, product: &str, user: &str, query: &str, view: View) -> String {
        with_question(&self.activity(product, user, view), query)
    }

    /// What a user of a product did lately, in all of the recent sessions, the oldest first; at most `limit`
    /// of it, the latest. `None`: nothing recent is known of the user.
    pub fn actions(
        &self,
        product: &str,
        user: &str,
        limit: usize,
        view: View,
    ) -> Option<Vec<Acted>> {
        let now = self.shared.clock.now();
        let State { contexts, users } = &mut *self.state();
        let sessions = users.get_mut(product)?.recent(user, now);
        if sessions.is_empty() {
            return None;
        }
        let mut acted = Vec::new();
        // Of sessions that acted at the same moment, the one that was seen first goes first.
        for Seen { place, .. } in sessions.into_iter().rev() {
            let actions = contexts.actions(&place, view, now).into_iter();
            acted.extend(actions.map(|(at, action)| Acted { place: place.clone(), at, action }));
        }
        acted.sort_by_key(|acted| acted.at);
        acted.drain(..acted.len().saturating_sub(limit));
        Some(acted)
    }

    /// The recent sessions of a user of a product, the latest first.
    pub fn sessions(&self, product: &str, user: &str) -> Vec<Seen> {
        let now = self.shared.clock.now();
        let mut state = self.state();
        state.users.get_mut(product).map_or_else(Vec::new, |users| users.recent(user, now))
    }

    /// The e-mail address of a user of a product, while a session of theirs is recent.
    pub fn email(&self, product: &str, user: &str) -> Option<String> {
        let now = self.shared.clock.now();
        self.state().users.get_mut(product)?.email(user, now)
    }

    /// The context of a session as text; empty where there is none.
    pub fn session_activity(&self, key: &SessionKey, view: View) -> String {
        let now = self.shared.clock.now();
        self.state().contexts.text_of(&place(key), view, now)
    }

    /// A question with the context of a session before it; the question alone where there is none.
    pub fn enrich_session(&self, key: &SessionKey, query: &str, view: View) -> String {
        with_question(&self.session_activity(key, view), query)
    }

    /// What was done in a session, the oldest first.
    pub fn session_actions(&self, key: &SessionKey, view: View) -> Vec<Acted> {
        let now = self.shared.clock.now();
        let place = place(key);
        let actions = self.state().contexts.actions(&place, view, now).into_iter();
        actions.map(|(at, action)| Acted { place: place.clone(), at, action }).collect()
    }

    /// Forgets a user of a product, with all sessions that were theirs. Only here, not in the store: to erase
    /// somebody is the engine's ([`Handle::erase`](crate::engine::Handle::erase)), which tells it.
    pub fn reset(&self, product: &str, user: &str) {
        let State { contexts, users } = &mut *self.state();
        let places = users.get_mut(product).map_or_else(Vec::new, |users| users.reset(user));
        places.iter().for_each(|place| contexts.forget(place));
    }

    /// Forgets a session; as [`Recent::reset`].
    pub fn reset_session(&self, key: &SessionKey) {
        self.state().forget(&place(key));
    }

    /// Takes a batch that no engine tells of: for who embeds this part alone. A batch without a session
    /// teaches nothing.
    pub fn take(&self, batch: &ActionsPayload) {
        let now = self.shared.clock.now();
        let mut batch = batch.clone();
        self.shared.users.names.clean_batch(&mut batch);
        let batch = &batch;
        let mut state = self.state();
        state.contexts.add(batch, now);
        state.users(&batch.product_id, &self.shared.users).add(batch, now);
    }

    /// Takes a summary that no engine tells of, in the place of the oldest `covers` actions of a session.
    pub fn summarize(&self, product: &str, session: &str, text: &str, covers: usize) {
        let now = self.shared.clock.now();
        if let Some(place) = Place::new(product, session) {
            self.state().contexts.summarize(&place, text, covers, now);
        }
    }

    /// Takes what the engine tells.
    pub(super) fn apply(&self, committed: &Committed) {
        let place = place(&committed.key);
        let mut state = self.state();
        match &committed.what {
            What::Batch(kept) => {
                state.contexts.add_kept(&place, kept);
                let user = kept.batch.user_id.as_deref().unwrap_or_default();
                let seen = Seen { place, at: kept.at };
                let users = state.users(committed.key.product.as_str(), &self.shared.users);
                users.see(seen, user, kept.batch.email.as_deref(), kept.at);
            }
            What::Summary(kept) => {
                state.contexts.summarize_through(&place, &kept.text, kept.covers, kept.at);
            }
            What::Person { user_id, email, active_at } => {
                let user = user_id.as_deref().unwrap_or_default();
                let seen = Seen { place, at: *active_at };
                let users = state.users(committed.key.product.as_str(), &self.shared.users);
                users.see(seen, user, email.as_deref(), *active_at);
            }
            What::Linked(_) | What::Help(_) | What::Offer(_) | What::Asked(_) | What::Launch(_) => {
            }
            What::Gone => state.forget(&place),
        }
    }

    /// Everything up to this position of the feed is known.
    pub(super) fn knows(&self, position: u64) {
        self.shared.position.send_replace(Some(position));
    }

    /// A state with nothing in it, to be filled and put in the place of the one that is.
    pub(super) fn empty(&self) -> State {
        State::new(&self.shared.settings).expect("these settings made a state before")
    }

    /// Takes a session from what is stored into a state.
    pub(super) fn read(
        &self,
        state: &mut State,
        key: &SessionKey,
        record: &Record,
        history: &History,
    ) {
        if history.summary.is_none() && history.batches.is_empty() {
            return;
        }
        let place = place(key);
        // The clock may have been set back since: nothing counts as later than now.
        let now = self.shared.clock.now();
        if let Some(KeptSummary { text, covers, at }) = &history.summary {
            state.contexts.summarize_through(&place, text, *covers, now.min(*at));
        }
        for kept in &history.batches {
            let mut batch = kept.batch.clone();
            self.shared.users.names.clean_batch(&mut batch);
            let kept = KeptBatch { first: kept.first, at: now.min(kept.at), batch };
            state.contexts.add_kept(&place, &Arc::new(kept));
        }
        // Of a session all of which is summarized, the record says when it was active.
        let at = history.batches.last().map_or(record.active_at, |kept| kept.at).min(now);
        let user = record.user_id.as_deref().unwrap_or_default();
        let users = state.users(key.product.as_str(), &self.shared.users);
        users.see(Seen { place, at }, user, record.email.as_deref(), at);
    }

    /// Puts a state in the place of the one that is.
    pub(super) fn replace(&self, state: State) {
        *self.state() = state;
    }

    /// How many sessions it holds at most.
    pub(super) fn max_sessions(&self) -> usize {
        self.shared.settings.max_sessions
    }

    /// How many sessions were left out for want of capacity, since what is stored was read last.
    pub fn forgotten(&self) -> u64 {
        self.state().contexts.forgotten()
    }

    /// Forgets what is old.
    pub(super) fn sweep(&self) {
        let now = self.shared.clock.now();
        let mut state = self.state();
        state.contexts.sweep(now);
        state.users.retain(|_, users| {
            users.sweep(now);
            !users.is_empty()
        });
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // What a panic leaves behind is incomplete at worst, and is read from the store again.
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Recent {
    /// What people did, and who they are, is left out.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recent").field("settings", &self.shared.settings).finish_non_exhaustive()
    }
}

impl State {
    fn new(settings: &Settings) -> Result<Self, InvalidSettings> {
        Ok(Self { contexts: Contexts::new(settings.clone())?, users: HashMap::new() })
    }

    fn users(&mut self, product: &str, settings: &UserSettings) -> &mut Users {
        if !self.users.contains_key(product) {
            let users = Users::new(settings.clone()).expect("these settings were tried");
            self.users.insert(product.into(), users);
        }
        self.users.get_mut(product).expect("it was put there if it was missing")
    }

    fn forget(&mut self, place: &Place) {
        self.contexts.forget(place);
        self.users.values_mut().for_each(|users| users.forget(place));
    }
}

/// The place of a session of the engine: its names as they are.
fn place(key: &SessionKey) -> Place {
    Place { product: key.product.shared(), session: key.session.shared() }
}
