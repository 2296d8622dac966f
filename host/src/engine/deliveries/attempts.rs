//! Attempts: begun when they are on record, ended by what came of them.

use std::sync::Arc;

use super::{Kind, Tables, attempt_row};
use crate::clock::Timestamp;
use crate::engine::accounts;
use crate::engine::round::{Engine, Round};
use crate::engine::rows::{delete, put, session_group};
use crate::ids::{SessionKey, shown};
use crate::outbox::account::Heard;
use crate::outbox::lane::{DeadLetter, Finished};
use crate::outbox::note::{Call, Note, PostError, Posted};

/// What came of a call.
pub(in crate::engine) struct Outcome<K = Note> {
    /// What was to be delivered.
    pub(in crate::engine) item: Arc<K>,
    /// Whether the call was made to learn whether the platform answers again.
    pub(in crate::engine) probe: bool,
    /// Whether the other side had it already, so that it was not sent.
    pub(in crate::engine) found: bool,
    pub(in crate::engine) result: Result<Posted, PostError>,
}

impl Engine {
    /// Has those lanes of a session wait for their turn whose head can be tried.
    pub(in crate::engine) fn queue_ready<K: Kind>(&mut self, key: &SessionKey, now: Timestamp) {
        let Some(live) = self.memory.sessions.get_mut(key) else { return };
        for plugin in K::lanes_mut(live).take_ready(now) {
            self.accounts.queue(K::CALL, &plugin, key.clone(), now);
        }
    }

    /// Begins what can be begun. Returns the sessions whose turn it was.
    pub(in crate::engine) fn fill_slots<K: Kind>(
        &mut self,
        round: &mut Round,
        now: Timestamp,
    ) -> Vec<SessionKey> {
        let mut turns = Vec::new();
        loop {
            let mut queued_elsewhere = false;
            for plugin in self.accounts.wanted(K::CALL) {
                while let Some(key) = self.accounts.next(K::CALL, &plugin, now) {
                    turns.push(key.clone());
                    let live = self.memory.sessions.get_mut(&key);
                    let lane = live.and_then(|live| K::lanes_mut(live).get_mut(&plugin));
                    let Some(place) = lane else { continue };
                    place.queued = false;
                    let Some(head) = place.lane.head().filter(|_| place.lane.is_ready(now)) else {
                        continue;
                    };
                    if *head.note.plugin() != plugin {
                        // What it waited for left the lane, and what is the head goes another way.
                        let other = head.note.plugin().clone();
                        place.queued = true;
                        self.accounts.queue(K::CALL, &other, key, now);
                        queued_elsewhere = true;
                        continue;
                    }
                    let conversation = head.note.conversation();
                    let limit =
                        conversation.and_then(|id| self.accounts.limit_of(&plugin, id, now));
                    if let Some(until) = limit {
                        round.changes.extend(place.lane.hold(now, until).map(attempt_row));
                        continue;
                    }
                    let Some(head) = place.lane.start() else { continue };
                    round.changes.push(attempt_row(head));
                    let (item, attempt) = (head.note.clone(), head.progress.attempts);
                    let unknown = head.progress.unknown;
                    let probe = self.accounts.begin(&plugin, K::CALL, now);
                    if probe {
                        round.accounts.insert(plugin.clone());
                    }
                    let call = self.call(&key, item.idempotency_key().to_owned(), attempt);
                    let post = self.post.clone();
                    round.starts.push(Box::pin(async move {
                        let (found, result) = K::call(&*post, call, &item, unknown).await;
                        K::ended(Outcome { item, probe, found, result })
                    }));
                }
            }
            if !queued_elsewhere {
                return turns;
            }
        }
    }

    /// An attempt at something about a session.
    pub(in crate::engine) fn call(
        &self,
        key: &SessionKey,
        idempotency_key: String,
        attempt: u32,
    ) -> Call {
        let timeout = self.settings.rules(&key.product).call_timeout;
        let (trace, span) = (rand::random::<u128>(), rand::random::<u64>());
        let traceparent = format!("00-{trace:032x}-{span:016x}-01");
        Call { idempotency_key, attempt, timeout, traceparent }
    }

    /// Takes what came of a call: the account learns of it, then the lane.
    pub(in crate::engine) fn end_attempt<K: Kind>(
        &mut self,
        round: &mut Round,
        outcome: Outcome<K>,
        now: Timestamp,
    ) {
        let random = (self.settings.jitter)();
        let call = accounts::Call {
            plugin: outcome.item.plugin(),
            conversation: outcome.item.conversation(),
            kind: K::CALL,
            probe: outcome.probe,
            heard: Heard::of(&outcome.result),
        };
        if self.accounts.end(call, now, random, &self.counters) {
            round.accounts.insert(outcome.item.plugin().clone());
        }
        if K::ended_elsewhere(self, round, &outcome, now) {
            return;
        }
        let Outcome { item, probe, found, result } = outcome;
        let key = item.key();
        let rules = self.settings.rules(&key.product);
        let Some(live) = self.memory.sessions.get_mut(key) else { return };
        live.touched = now;
        let Some(place) = K::lanes_mut(live).get_mut(item.plugin()) else { return };
        let head = place.lane.head();
        if head.is_none_or(|head| head.note.idempotency_key() != item.idempotency_key()) {
            // Its session was erased, and nothing waits for it.
            return;
        }
        round.touched.push(key.clone());
        let counts = K::counts(&self.counters);
        match place.lane.finish(result, probe, now, rules, random) {
            None => {}
            Some(Finished::Sent(posted)) => {
                counts.delivered.add(1);
                place.forget(item.seq());
                remove(round, K::TABLES, key, item.seq());
                K::delivered(self, round, &item, found, posted, now);
            }
            Some(Finished::Retry { .. }) => {
                counts.failed.add(1);
                round.changes.extend(place.lane.head().map(attempt_row));
            }
            Some(Finished::Dead(dead)) => self.dead_letter(round, &dead),
        }
    }

    /// Puts a dead letter on record, and takes what it was out of its lane where it doesn't hold it.
    pub(in crate::engine) fn dead_letter<K: Kind>(
        &mut self,
        round: &mut Round,
        dead: &DeadLetter<K>,
    ) {
        let (plugin, key, seq) = (dead.note.plugin(), dead.note.key(), dead.note.seq());
        K::counts(&self.counters).dead.add(1);
        tracing::error!(
            %plugin,
            product = shown(key.product.as_str()),
            session = shown(key.session.as_str()),
            conversation = dead.note.conversation().map(|id| shown(id.as_str())),
            item = seq,
            attempts = dead.attempts,
            reason = %dead.reason,
            holds_lane = dead.holds_lane,
            "{}", K::DEAD
        );
        let live = self.memory.sessions.get_mut(key);
        if let Some(place) = live.and_then(|live| K::lanes_mut(live).get_mut(plugin)) {
            place.forget(seq);
            if dead.holds_lane {
                round.changes.extend(place.lane.head().map(attempt_row));
            }
        }
        if !dead.holds_lane {
            remove(round, K::TABLES, key, seq);
        }
        round.changes.push(put(K::TABLES.dead, session_group(key), seq, dead));
        round.touched.push(key.clone());
    }
}

/// What waited waits no more.
fn remove(round: &mut Round, tables: Tables, key: &SessionKey, seq: u64) {
    for table in [tables.queued, tables.attempt] {
        round.changes.push(delete(table, session_group(key), seq));
    }
}
