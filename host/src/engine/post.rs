//! Posts: begun when their attempt is on record, ended by what came of them.

use crate::clock::Timestamp;
use crate::engine::accounts::{self, CallKind};
use crate::engine::inbox::{Input, Outcome};
use crate::engine::live::progress_row;
use crate::engine::round::{Engine, Round, Start};
use crate::engine::rows::{delete, put, session_group};
use crate::ids::SessionKey;
use crate::outbox::account::Heard;
use crate::outbox::lane::{DeadLetter, Finished, Queued};
use crate::outbox::note::{
    Call, Crash, FailureKind, Found, Note, Post, PostError, Posted, SentNote,
};
use crate::store::Table;

/// So many sent notes of a session are remembered, the latest.
pub(super) const MAX_SENT: u64 = 1024;

impl Engine {
    /// Begins what can be begun. Returns the sessions whose turn it was.
    pub(super) fn fill_slots(&mut self, round: &mut Round, now: Timestamp) -> Vec<SessionKey> {
        let mut turns = Vec::new();
        for plugin in self.accounts.wanted() {
            while let Some(key) = self.accounts.next(&plugin, now) {
                turns.push(key.clone());
                let Some(live) = self.memory.sessions.get_mut(&key) else {
                    continue;
                };
                live.queued = false;
                let Some(head) = live.lane.head().filter(|_| live.lane.is_ready(now)) else {
                    continue;
                };
                if let Some(until) = self.accounts.limit_of(&plugin, &head.note.conversation, now) {
                    let held = live.lane.hold(now, until);
                    round.changes.extend(held.map(|head| progress_row(&key, head)));
                    continue;
                }
                let Some(head) = live.lane.start() else { continue };
                round.changes.push(progress_row(&key, head));
                let (note, attempt) = (head.note.clone(), head.progress.attempts);
                let unknown = head.progress.unknown;
                let probe = self.accounts.begin(&plugin, CallKind::Post, now);
                if probe {
                    round.accounts.insert(plugin.clone());
                }
                round.starts.push(Start { note, attempt, unknown, probe });
            }
        }
        turns
    }

    pub(super) fn start_post(&mut self, start: Start) {
        let Start { note, attempt, unknown, probe } = start;
        let call = self.call(&note.key, note.idempotency_key.clone(), attempt);
        let post = self.post.clone();
        self.posts.spawn(async move {
            let asked = if unknown { find(&*post, call.clone(), &note).await } else { None };
            let found = matches!(asked, Some(Ok(_)));
            let result = match asked {
                Some(answer) => answer,
                None => post.post_note(call, &note).await,
            };
            Input::Outcome(Outcome { note, probe, found, result })
        });
    }

    /// An attempt at something about a session.
    pub(super) fn call(&self, key: &SessionKey, idempotency_key: String, attempt: u32) -> Call {
        let timeout = self.settings.rules(&key.product).call_timeout;
        let (trace, span) = (rand::random::<u128>(), rand::random::<u64>());
        let traceparent = format!("00-{trace:032x}-{span:016x}-01");
        Call { idempotency_key, attempt, timeout, traceparent }
    }

    pub(super) fn end_post(&mut self, round: &mut Round, outcome: Outcome, now: Timestamp) {
        let random = (self.settings.jitter)();
        let call = accounts::Call {
            plugin: &outcome.note.plugin,
            conversation: Some(&outcome.note.conversation),
            kind: CallKind::Post,
            probe: outcome.probe,
            heard: Heard::of(&outcome.result),
        };
        if self.accounts.end(&call, now, random, &self.counters) {
            round.accounts.insert(outcome.note.plugin.clone());
        }
        if self.end_erased_post(round, &outcome, now) {
            return;
        }
        let Outcome { note, probe, found, result } = outcome;
        let rules = self.settings.rules(&note.key.product);
        let Some(live) = self.memory.sessions.get_mut(&note.key) else { return };
        let is_ours = |head: &Queued| head.note.idempotency_key == note.idempotency_key;
        if !live.lane.head().is_some_and(is_ours) {
            // Its session was erased, and its note is to be left at the platform.
            return;
        }
        round.touched.push(note.key.clone());
        live.touched = now;
        match live.lane.finish(result, probe, now, rules, random) {
            None => {}
            Some(Finished::Sent(posted)) => {
                self.counters.notes_posted.add(1);
                self.counters.notes_found.add(u64::from(found));
                self.sent(round, &note, posted, now);
            }
            Some(Finished::Retry { .. }) => {
                self.counters.attempts_failed.add(1);
                let head = live.lane.head();
                round.changes.extend(head.map(|head| progress_row(&note.key, head)));
            }
            Some(Finished::Dead(dead)) => self.bury(round, &note.key, &dead),
        }
    }

    /// The rows of a note that the platform took. A summary takes the place of what it covers; a note that
    /// a summary took the place of before, such as a dead letter that was sent again, goes right away.
    fn sent(&mut self, round: &mut Round, note: &Note, posted: Posted, now: Timestamp) {
        let (key, group) = (&note.key, session_group(&note.key));
        self.end_covered(round, note);
        round.changes.push(delete(Table::Outbox, group.clone(), note.seq));
        round.changes.push(delete(Table::Attempt, group.clone(), note.seq));
        if let Some(old) = note.seq.checked_sub(MAX_SENT) {
            round.changes.push(delete(Table::Sent, group.clone(), old));
        }
        let sent = SentNote::of(note, posted.note_id, now);
        let others = round.sent.remove(key).unwrap_or_default();
        if others.iter().any(|(seq, other)| sent.is_replaced_by(note.seq, other, *seq)) {
            self.replace(round, key, note.seq, sent, now);
            return;
        }
        round.changes.push(put(Table::Sent, group, note.seq, &sent));
        for (seq, other) in others {
            if !other.stays && other.is_replaced_by(seq, &sent, note.seq) {
                self.replace(round, key, seq, other, now);
            }
        }
    }

    /// Puts a dead letter on record, and the note out of its lane where it doesn't hold it.
    pub(super) fn bury(&mut self, round: &mut Round, key: &SessionKey, dead: &DeadLetter) {
        self.counters.notes_dead.add(1);
        tracing::error!(
            plugin = %dead.note.plugin,
            attempts = dead.attempts,
            reason = %dead.reason,
            holds_lane = dead.holds_lane,
            "outbox: a note is given up and kept as a dead letter"
        );
        let (group, seq) = (session_group(key), dead.note.seq);
        if dead.holds_lane {
            let head = self.memory.sessions.get(key).and_then(|live| live.lane.head());
            round.changes.extend(head.map(|head| progress_row(key, head)));
        } else {
            round.changes.push(delete(Table::Outbox, group.clone(), seq));
            round.changes.push(delete(Table::Attempt, group.clone(), seq));
        }
        round.changes.push(put(Table::Dead, group, seq, dead));
        round.touched.push(key.clone());
    }
}

/// Asks whether the platform has a note whose outcome isn't known. `None`: it is to be sent, because the
/// platform doesn't have it, or because nobody can say.
pub(super) async fn find(
    post: &dyn Post,
    call: Call,
    note: &Note,
) -> Option<Result<Posted, PostError>> {
    match post.find_note(call, note).await {
        Ok(Found::Yes(note_id)) => Some(Ok(Posted { note_id, pause: None })),
        Ok(Found::No | Found::Unsupported) => None,
        Err(PostError::Failed(failure)) => match failure.kind {
            FailureKind::Transient
            | FailureKind::RateLimited
            | FailureKind::Auth
            | FailureKind::NotFound => Some(Err(PostError::Failed(failure))),
            // The question is refused, not the note.
            FailureKind::Invalid | FailureKind::Permanent => None,
        },
        Err(error @ PostError::Unavailable { .. }) => Some(Err(error)),
        Err(error @ PostError::Crashed { crash: Crash::Timeout, .. }) => Some(Err(error)),
        Err(PostError::Crashed { .. }) => None,
    }
}
