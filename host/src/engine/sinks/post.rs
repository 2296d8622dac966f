//! Parcels under way: begun when their attempt is on record, ended by what came of them.

use std::sync::Arc;

use super::lanes::progress_row;
use crate::clock::Timestamp;
use crate::engine::accounts::{self, CallKind};
use crate::engine::inbox::Input;
use crate::engine::round::{Engine, Round};
use crate::engine::rows::{delete, put, session_group};
use crate::ids::SessionKey;
use crate::outbox::account::Heard;
use crate::outbox::lane::{DeadLetter, Finished};
use crate::outbox::note::{PostError, Posted};
use crate::outbox::parcel::Parcel;
use crate::store::Table;

/// A parcel to be handed over after the commit.
pub(in crate::engine) struct StartParcel {
    parcel: Arc<Parcel>,
    attempt: u32,
    /// Whether the breaker lets it through as a probe.
    probe: bool,
}

/// What came of handing a parcel over.
pub(in crate::engine) struct Written {
    parcel: Arc<Parcel>,
    probe: bool,
    result: Result<(), PostError>,
}

impl Engine {
    /// Begins what can be begun. Returns the sessions whose turn it was.
    pub(in crate::engine) fn fill_sink_slots(
        &mut self,
        round: &mut Round,
        now: Timestamp,
    ) -> Vec<SessionKey> {
        let mut turns = Vec::new();
        for plugin in self.accounts.wanted_parcels() {
            while let Some(key) = self.accounts.next_parcel(&plugin, now) {
                turns.push(key.clone());
                let live = self.memory.sessions.get_mut(&key);
                let Some(sink) = live.and_then(|live| live.sinks.get_mut(&plugin)) else {
                    continue;
                };
                sink.queued = false;
                if !sink.lane.is_ready(now) {
                    continue;
                }
                let Some(head) = sink.lane.start() else { continue };
                round.changes.push(progress_row(&key, head));
                let (parcel, attempt) = (head.note.clone(), head.progress.attempts);
                let probe = self.accounts.begin(&plugin, CallKind::Parcel, now);
                if probe {
                    round.accounts.insert(plugin.clone());
                }
                round.parcels.push(StartParcel { parcel, attempt, probe });
            }
        }
        turns
    }

    pub(in crate::engine) fn start_parcel(&mut self, start: StartParcel) {
        let StartParcel { parcel, attempt, probe } = start;
        let call = self.call(&parcel.key, parcel.idempotency_key.clone(), attempt);
        let post = self.post.clone();
        self.posts.spawn(async move {
            let result = post.write_parcel(call, &parcel).await;
            Input::Written(Written { parcel, probe, result })
        });
    }

    pub(in crate::engine) fn end_parcel(
        &mut self,
        round: &mut Round,
        written: Written,
        now: Timestamp,
    ) {
        let Written { parcel, probe, result } = written;
        let random = (self.settings.jitter)();
        let result = result.map(|()| Posted { note_id: None, pause: None });
        let call = accounts::Call {
            plugin: &parcel.plugin,
            conversation: None,
            kind: CallKind::Parcel,
            probe,
            heard: Heard::of(&result),
        };
        if self.accounts.end(&call, now, random, &self.counters) {
            round.accounts.insert(parcel.plugin.clone());
        }
        let key = &parcel.key;
        let rules = self.settings.rules(&key.product);
        let Some(live) = self.memory.sessions.get_mut(key) else { return };
        let Some(sink) = live.sinks.get_mut(&parcel.plugin) else { return };
        let head = sink.lane.head();
        if head.is_none_or(|head| head.note.idempotency_key != parcel.idempotency_key) {
            // Its session was erased meanwhile.
            return;
        }
        round.touched.push(key.clone());
        live.touched = now;
        match sink.lane.finish(result, probe, now, rules, random) {
            None => {}
            Some(Finished::Sent(_)) => {
                self.counters.parcels_taken.add(1);
                sink.forget(parcel.seq);
                let group = session_group(key);
                round.changes.push(delete(Table::Parcel, group.clone(), parcel.seq));
                round.changes.push(delete(Table::ParcelAttempt, group, parcel.seq));
            }
            Some(Finished::Retry { .. }) => {
                self.counters.parcel_attempts_failed.add(1);
                round.changes.extend(sink.lane.head().map(|head| progress_row(key, head)));
            }
            Some(Finished::Dead(dead)) => self.bury_parcel(round, key, &dead),
        }
    }

    /// Puts a dead letter of a sink on record, and the parcel out of its lane where it doesn't hold it.
    pub(in crate::engine) fn bury_parcel(
        &mut self,
        round: &mut Round,
        key: &SessionKey,
        dead: &DeadLetter<Parcel>,
    ) {
        self.counters.parcels_dead.add(1);
        tracing::error!(
            plugin = %dead.note.plugin,
            attempts = dead.attempts,
            reason = %dead.reason,
            holds_lane = dead.holds_lane,
            "outbox: a sink isn't given a batch or summary, which is kept as a dead letter"
        );
        let (group, seq) = (session_group(key), dead.note.seq);
        let live = self.memory.sessions.get_mut(key);
        let sink = live.and_then(|live| live.sinks.get_mut(&dead.note.plugin));
        if let Some(sink) = sink {
            sink.forget(seq);
            if dead.holds_lane {
                round.changes.extend(sink.lane.head().map(|head| progress_row(key, head)));
            }
        }
        if !dead.holds_lane {
            round.changes.push(delete(Table::Parcel, group.clone(), seq));
            round.changes.push(delete(Table::ParcelAttempt, group.clone(), seq));
        }
        round.changes.push(put(Table::ParcelDead, group, seq, dead));
        round.touched.push(key.clone());
    }
}
