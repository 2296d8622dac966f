//! Posts: begun when their attempt is on record, ended by what came of them.

use std::sync::Arc;

use crate::clock::Timestamp;
use crate::engine::inbox::Outcome;
use crate::engine::live::progress_row;
use crate::engine::round::{Engine, Round, Start};
use crate::engine::rows::{SentRow, delete, put, session_group};
use crate::ids::SessionKey;
use crate::outbox::lane::{DeadLetter, Finished};
use crate::outbox::note::{Call, Crash, FailureKind, Found, Note, Post, PostError, Posted};
use crate::store::Table;

/// So many sent notes of a session are remembered, the latest.
const MAX_SENT: u64 = 256;

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
                let probe = self.accounts.begin(&plugin, now);
                if probe {
                    round.accounts.insert(plugin.clone());
                }
                round.starts.push(Start { key, note, attempt, unknown, probe });
            }
        }
        turns
    }

    pub(super) fn start_post(&mut self, start: Start) {
        let Start { key, note, attempt, unknown, probe } = start;
        let call = Call {
            idempotency_key: note.idempotency_key.clone(),
            attempt,
            timeout: self.settings.rules(&key.product).call_timeout,
            traceparent: format!(
                "00-{:032x}-{:016x}-01",
                rand::random::<u128>(),
                rand::random::<u64>()
            ),
        };
        let post = self.post.clone();
        let plugin = note.plugin.clone();
        self.posts.spawn(async move {
            let asked = if unknown { find(&*post, call.clone(), &note).await } else { None };
            let found = matches!(asked, Some(Ok(_)));
            let result = match asked {
                Some(answer) => answer,
                None => post.post_note(call, &note).await,
            };
            Outcome { key, plugin, probe, found, result }
        });
    }

    pub(super) fn end_post(&mut self, round: &mut Round, outcome: Outcome, now: Timestamp) {
        let rules = self.settings.rules(&outcome.key.product);
        let random = (self.settings.jitter)();
        let Some(live) = self.memory.sessions.get_mut(&outcome.key) else { return };
        let Some(note) = live.lane.head().map(|head| head.note.clone()) else { return };
        let changed = self.accounts.end(&outcome, &note.conversation, now, random, &self.counters);
        let Outcome { key, plugin, probe, found, result } = outcome;
        if changed {
            round.accounts.insert(plugin);
        }
        round.touched.push(key.clone());
        live.touched = now;
        match live.lane.finish(result, probe, now, rules, random) {
            None => {}
            Some(Finished::Sent(posted)) => {
                self.counters.notes_posted.add(1);
                self.counters.notes_found.add(u64::from(found));
                sent(round, &key, &note, posted, now);
            }
            Some(Finished::Retry { .. }) => {
                self.counters.attempts_failed.add(1);
                round.changes.extend(live.lane.head().map(|head| progress_row(&key, head)));
            }
            Some(Finished::Dead(dead)) => self.bury(round, &key, &dead),
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

/// The rows of a note that the platform took.
fn sent(round: &mut Round, key: &SessionKey, note: &Arc<Note>, posted: Posted, now: Timestamp) {
    let group = session_group(key);
    round.changes.push(delete(Table::Outbox, group.clone(), note.seq));
    round.changes.push(delete(Table::Attempt, group.clone(), note.seq));
    let row = SentRow {
        plugin: note.plugin.clone(),
        conversation: note.conversation.clone(),
        idempotency_key: note.idempotency_key.clone(),
        note_id: posted.note_id,
        at: now,
    };
    round.changes.push(put(Table::Sent, group.clone(), note.seq, &row));
    if let Some(old) = note.seq.checked_sub(MAX_SENT) {
        round.changes.push(delete(Table::Sent, group, old));
    }
}

/// Asks whether the platform has a note whose outcome isn't known. `None`: it is to be sent, because the
/// platform doesn't have it, or because nobody can say.
async fn find(post: &dyn Post, call: Call, note: &Note) -> Option<Result<Posted, PostError>> {
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
