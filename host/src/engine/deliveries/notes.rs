//! Notes as deliveries: posted beside a conversation, one lane for all of a session.

use std::sync::Arc;

use super::kind::Counts;
use super::{Kind, Lanes, Outcome, Tables};
use crate::clock::Timestamp;
use crate::engine::accounts::CallKind;
use crate::engine::counters::Counters;
use crate::engine::inbox::Input;
use crate::engine::live::Live;
use crate::engine::round::{Engine, Round};
use crate::engine::rows::{delete, put, session_group};
use crate::outbox::note::{Call, Crash, FailureKind, Found, Note, PostError, Posted, SentNote};
use crate::post::Post;
use crate::store::Table;

/// So many sent notes of a session are remembered, the latest.
pub(in crate::engine) const MAX_SENT: u64 = 1024;

impl Kind for Note {
    const CALL: CallKind = CallKind::Post;
    const TABLES: Tables =
        Tables { queued: Table::Outbox, attempt: Table::Attempt, dead: Table::Dead };
    const LANE_PER_PLUGIN: bool = false;
    const DEAD: &'static str = "outbox: a note is given up and kept as a dead letter; `sidenote outbox retry` has it \
                                sent again";

    fn lanes_mut(live: &mut Live) -> &mut Lanes<Self> {
        &mut live.notes
    }

    fn counts(counters: &Counters) -> Counts<'_> {
        Counts {
            delivered: &counters.notes_posted,
            failed: &counters.attempts_failed,
            dead: &counters.notes_dead,
        }
    }

    /// Where an earlier attempt ended without an outcome, the platform is asked first.
    async fn call(
        post: &dyn Post,
        call: Call,
        item: &Self,
        unknown: bool,
    ) -> (bool, Result<Posted, PostError>) {
        let asked = if unknown { find(post, call.clone(), item).await } else { None };
        let found = matches!(asked, Some(Ok(_)));
        let result = match asked {
            Some(answer) => answer,
            None => post.post_note(call, item).await,
        };
        (found, result)
    }

    fn ended(outcome: Outcome<Self>) -> Input {
        Input::Outcome(outcome)
    }

    /// Its session may have been erased while the call was under way.
    fn ended_elsewhere(
        engine: &mut Engine,
        round: &mut Round,
        outcome: &Outcome<Self>,
        now: Timestamp,
    ) -> bool {
        engine.end_erased_post(round, outcome, now)
    }

    /// It is remembered as sent. A summary takes the place of what it covers; a note that a summary took the
    /// place of before, such as a dead letter that was sent again, goes right away.
    fn delivered(
        engine: &mut Engine,
        round: &mut Round,
        item: &Arc<Self>,
        found: bool,
        posted: Posted,
        now: Timestamp,
    ) {
        engine.counters.notes_found.add(u64::from(found));
        engine.end_covered(round, item);
        let (key, group, seq) = (&item.key, session_group(&item.key), item.seq);
        if let Some(old) = seq.checked_sub(MAX_SENT) {
            round.changes.push(delete(Table::Sent, group.clone(), old));
        }
        let sent = SentNote::of(item, posted.note_id, now);
        let others = round.sent.remove(key).unwrap_or_default();
        if others.iter().any(|(other_seq, other)| sent.is_replaced_by(seq, other, *other_seq)) {
            engine.replace(round, key, seq, sent, now);
            return;
        }
        round.changes.push(put(Table::Sent, group, seq, &sent));
        for (other_seq, other) in others {
            if !other.stays && other.is_replaced_by(other_seq, &sent, seq) {
                engine.replace(round, key, other_seq, other, now);
            }
        }
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
