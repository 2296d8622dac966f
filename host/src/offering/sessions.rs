//! What is known of the sessions in which help may be offered. Pure.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Timestamp;
use crate::engine::history::KeptBatch;
use crate::ids::SessionKey;
use crate::offers::help::Standing;
use crate::session::fsm::State;
use crate::session::state::Target;
use crate::triggers::context::{Context, LOOKBACK, MAX_ACTIONS, NoContext, Scope};

/// Batches that are remembered of a session at most; the newest [`MAX_ACTIONS`] actions are in as many.
const MAX_BATCHES: usize = MAX_ACTIONS;

/// One session.
#[derive(Default)]
pub(super) struct Watched {
    batches: VecDeque<Arc<KeptBatch>>,
    summary: Option<Arc<str>>,
    /// Where its notes go.
    pub(super) target: Option<Target>,
    /// How it stands; `None`: nothing was ever done.
    pub(super) standing: Option<Standing>,
    /// Whether what was before it was watched is known.
    pub(super) known: bool,
    /// Whether somebody reads it, or evaluates it, at this moment.
    pub(super) busy: bool,
    /// Whether it is to be evaluated again then.
    pub(super) again: bool,
    /// When it was evaluated last.
    pub(super) evaluated_at: Option<Timestamp>,
    look_at: Option<Timestamp>,
    seen_at: Timestamp,
}

/// All that are watched.
#[derive(Default)]
pub(super) struct Sessions {
    of: HashMap<SessionKey, Watched>,
    looks: BTreeSet<(Timestamp, SessionKey)>,
}

impl Watched {
    /// Whether an offer may be made, as far as is known here. The engine looks again.
    pub(super) fn is_open(&self, now: Timestamp) -> bool {
        let stands = self.standing.as_ref().is_none_or(|standing| match standing.state {
            State::Thinking => standing.until.is_none_or(|until| until <= now),
            State::Proactive | State::Reactive => standing.until.is_some_and(|until| until <= now),
        });
        self.target.is_some() && stands
    }

    /// What triggers look at.
    ///
    /// # Errors
    /// The session has no name.
    pub(super) fn context<'a>(
        &'a self,
        key: &'a SessionKey,
        now: Timestamp,
    ) -> Result<Context<'a>, NoContext> {
        let scope = Scope {
            conversation: self.target.as_ref().map(|(_, conversation)| conversation),
            summary: self.summary.as_deref(),
            action_count: self.batches.back().map_or(0, |kept| kept.last()),
            ..Scope::of(key)
        };
        Context::of(scope, self.batches.iter().map(|kept| &**kept), now)
    }

    /// Takes a batch. One that came before is known already.
    fn push(&mut self, kept: Arc<KeptBatch>) {
        if self.batches.back().is_some_and(|last| kept.first <= last.last()) {
            return;
        }
        self.batches.push_back(kept);
        let mut newer = 0;
        let needed = self.batches.iter().rev().take_while(|kept| {
            let wanted = newer < MAX_ACTIONS;
            newer += kept.batch.actions.len();
            wanted
        });
        let needed = needed.count().min(MAX_BATCHES);
        self.batches.drain(..self.batches.len() - needed);
    }
}

impl Sessions {
    /// A session that is watched.
    pub(super) fn get_mut(&mut self, key: &SessionKey) -> Option<&mut Watched> {
        self.of.get_mut(key)
    }

    /// A session, watched from here on.
    pub(super) fn watch(&mut self, key: &SessionKey, now: Timestamp) -> &mut Watched {
        let watched = self.of.entry(key.clone()).or_default();
        watched.seen_at = now;
        watched
    }

    /// A batch was committed.
    pub(super) fn on_batch(&mut self, key: &SessionKey, kept: Arc<KeptBatch>, now: Timestamp) {
        self.watch(key, now).push(kept);
    }

    /// What was stored before it was watched.
    pub(super) fn on_read(
        &mut self,
        key: &SessionKey,
        batches: Vec<KeptBatch>,
        summary: Option<String>,
        now: Timestamp,
    ) {
        let watched = self.watch(key, now);
        let newer = std::mem::take(&mut watched.batches);
        batches.into_iter().map(Arc::new).chain(newer).for_each(|kept| watched.push(kept));
        watched.summary = watched.summary.take().or(summary.map(Arc::from));
    }

    /// A summary was committed.
    pub(super) fn on_summary(&mut self, key: &SessionKey, text: &str) {
        if let Some(watched) = self.of.get_mut(key) {
            watched.summary = Some(text.into());
        }
    }

    /// Nothing of a session is kept any more.
    pub(super) fn on_gone(&mut self, key: &SessionKey) {
        self.look_at(key, None);
        self.of.remove(key);
    }

    /// Looks again at this moment although nothing is done until then.
    pub(super) fn look_at(&mut self, key: &SessionKey, at: Option<Timestamp>) {
        let Some(watched) = self.of.get_mut(key) else { return };
        if let Some(before) = std::mem::replace(&mut watched.look_at, at) {
            self.looks.remove(&(before, key.clone()));
        }
        if let Some(at) = at {
            self.looks.insert((at, key.clone()));
        }
    }

    /// Whether a session is evaluated later, for it was not long ago: it is looked at when `pause` is over.
    pub(super) fn wait(&mut self, key: &SessionKey, now: Timestamp, pause: Duration) -> bool {
        let Some(watched) = self.of.get(key) else { return false };
        let after = watched.evaluated_at.map(|at| at + pause);
        // A clock that was set back holds nothing up.
        let Some(after) = after.filter(|after| now < *after && *after <= now + pause) else {
            return false;
        };
        if watched.look_at.is_none_or(|at| at > after) {
            self.look_at(key, Some(after));
        }
        true
    }

    /// When to look next.
    pub(super) fn next_look(&self) -> Option<Timestamp> {
        self.looks.first().map(|(at, _)| *at)
    }

    /// Takes those that are to be looked at.
    pub(super) fn take_due(&mut self, now: Timestamp) -> Vec<SessionKey> {
        let mut due = Vec::new();
        while self.next_look().is_some_and(|at| at <= now)
            && let Some((_, key)) = self.looks.pop_first()
        {
            if let Some(watched) = self.of.get_mut(&key) {
                watched.look_at = None;
            }
            due.push(key);
        }
        due
    }

    /// Forgets sessions of which nothing was heard for longer than triggers look back, and that nobody waits for.
    pub(super) fn sweep(&mut self, now: Timestamp) {
        let oldest = now - LOOKBACK;
        self.of.retain(|_, it| it.busy || it.look_at.is_some() || it.seen_at >= oldest);
    }

    /// Forgets everything: it is read again when something happens.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// How many are watched.
    pub(super) fn len(&self) -> usize {
        self.of.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{ConversationId, ProductId, SessionId};
    use crate::session::payload::{Action, ActionsPayload};

    const T: Timestamp = Timestamp(1_700_000_000_000_000);
    const S: Duration = Duration::from_secs(1);

    fn key() -> SessionKey {
        SessionKey { product: ProductId::new("p").unwrap(), session: SessionId::new("s").unwrap() }
    }

    fn kept(first: u64, actions: usize) -> KeptBatch {
        let action =
            Action { canonical_url: "https://a.example/x".to_owned(), ..Action::default() };
        let batch = ActionsPayload { actions: vec![action; actions], ..ActionsPayload::default() };
        KeptBatch { first, at: T, batch }
    }

    #[test]
    fn of_a_session_the_newest_actions_are_known_whichever_way_they_came() {
        let (mut sessions, key) = (Sessions::default(), key());
        sessions.on_batch(&key, Arc::new(kept(41, 10)), T);
        sessions.on_read(&key, vec![kept(1, 20), kept(21, 20), kept(41, 10)], None, T);
        let watched = sessions.get_mut(&key).unwrap();
        let firsts: Vec<_> = watched.batches.iter().map(|kept| kept.first).collect();
        assert_eq!(firsts, [1, 21, 41]);
        assert_eq!(watched.context(&key, T).unwrap().actions.len(), MAX_ACTIONS);
        for n in 0..200 {
            sessions.on_batch(&key, Arc::new(kept(51 + n, 1)), T);
        }
        let watched = sessions.get_mut(&key).unwrap();
        assert!(watched.batches.len() <= MAX_BATCHES);
        assert_eq!(watched.context(&key, T).unwrap().scope.action_count, 250);
    }

    #[test]
    fn an_offer_may_be_made_where_a_linked_session_thinks_and_doesnt_cool_down() {
        let target = Some(("chat".into(), ConversationId::new("c").unwrap()));
        let standing = |state, until| {
            let (trigger, tour) = (None, None);
            Some(Standing { version: 1, state, until, cooling_down: false, trigger, tour })
        };
        let open = |target, standing| Watched { target, standing, ..Watched::default() }.is_open(T);
        assert!(!open(None, None), "it isn't linked");
        assert!(open(target.clone(), None));
        assert!(open(target.clone(), standing(State::Thinking, None)));
        assert!(!open(target.clone(), standing(State::Thinking, Some(T + S))), "it cools down");
        assert!(open(target.clone(), standing(State::Thinking, Some(T))));
        assert!(!open(target.clone(), standing(State::Reactive, Some(T + S))));
    }

    #[test]
    fn what_follows_at_once_is_looked_at_together() {
        let (mut sessions, key, pause) = (Sessions::default(), key(), S);
        sessions.on_batch(&key, Arc::new(kept(1, 1)), T);
        assert!(!sessions.wait(&key, T, pause), "the first is looked at at once");
        sessions.get_mut(&key).unwrap().evaluated_at = Some(T);
        sessions.look_at(&key, Some(T + S * 9));
        assert!(sessions.wait(&key, T + S / 2, pause));
        assert!(sessions.wait(&key, T + S / 2, pause));
        assert_eq!(sessions.take_due(T + S), std::slice::from_ref(&key));
        assert!(!sessions.wait(&key, T + S, pause), "the pause is over");
        assert!(!sessions.wait(&key, T - S * 60, pause), "the clock was set back");
    }

    #[test]
    fn it_is_looked_again_at_the_moment_and_forgotten_in_the_end() {
        let (mut sessions, key) = (Sessions::default(), key());
        sessions.on_batch(&key, Arc::new(kept(1, 1)), T);
        sessions.look_at(&key, Some(T + S * 9));
        sessions.look_at(&key, Some(T + S * 5));
        assert_eq!(sessions.next_look(), Some(T + S * 5));
        sessions.sweep(T + S * 1000);
        assert_eq!(sessions.len(), 1, "it is looked at again");
        assert_eq!(sessions.take_due(T + S * 5), std::slice::from_ref(&key));
        assert_eq!(sessions.next_look(), None);
        sessions.sweep(T + S * 121);
        assert_eq!(sessions.len(), 0);
    }
}
