//! What becomes of notes at the platform that a summary replaces, or whose session was erased.

use std::collections::BTreeMap;

use sidenote::engine::erase::kept::{self, KeptFilter};
use sidenote::outbox::note::{FailureKind, NoteKind, PostError};
use sidenote_tests::world::SeenRedaction;

use crate::history::{History, Summary};
use crate::posts::{self, Posted};
use crate::rows;

/// More than any history leaves.
const ALL: usize = 100_000;

/// No note is redacted without a reason, and every one that has to go is gone, or on record as staying.
pub(crate) async fn judge(history: &History, notes: &[Posted]) -> Result<(), String> {
    let named = history.platform.named_notes();
    let redactions = history.platform.redactions();
    for seen in &redactions {
        let of_name = |posted: &&Posted| {
            named.get(&posted.note.idempotency_key).is_some_and(|(id, _)| *id == seen.note_id)
        };
        let posted = notes.iter().find(of_name).ok_or("a note is redacted that nobody posted")?;
        may_be_redacted(history, notes, posted, seen).map_err(|error| {
            format!("session {}, note {}: {error}", posted.session, posted.note.seq)
        })?;
    }
    let filter = KeptFilter { replaced: true, ..KeptFilter::default() };
    let list = kept::list(&*history.store, &filter, ALL, None).await;
    let list = list.map_err(|error| error.to_string())?;
    if list.waiting > 0 {
        return Err(format!("{} notes wait to be redacted", list.waiting));
    }
    // A note without a name can only be counted.
    let mut nameless: BTreeMap<&str, i64> = BTreeMap::new();
    for kept in list.notes.iter().filter(|kept| kept.note_id.is_none()) {
        *nameless.entry(kept.conversation.as_str()).or_default() += kept.notes as i64;
    }
    for posted in notes.iter().filter(|posted| must_go(history, notes, posted)) {
        let conversation = posted.note.conversation.as_str();
        let is_gone = named.get(&posted.note.idempotency_key).is_some_and(|(id, visible)| {
            let not_found = |seen: &SeenRedaction| seen.note_id == *id && is_not_found(seen);
            let is_kept = list.notes.iter().any(|kept| kept.note_id.as_ref() == Some(id));
            !visible || is_kept || redactions.iter().any(not_found)
        });
        let left = nameless.entry(conversation).or_default();
        *left -= i64::from(!is_gone);
        if *left < 0 && !is_gone {
            return Err(format!(
                "session {}, note {}: it was to go, stays in {conversation} and isn't on record",
                posted.session, posted.note.seq
            ));
        }
    }
    Ok(())
}

fn is_not_found(seen: &SeenRedaction) -> bool {
    let Err(PostError::Failed(failure)) = &seen.answer else { return false };
    failure.kind == FailureKind::NotFound && seen.end.is_some()
}

/// A note goes when its session was erased, or behind a summary that tells of all of it.
fn may_be_redacted(
    history: &History,
    notes: &[Posted],
    posted: &Posted,
    seen: &SeenRedaction,
) -> Result<(), String> {
    let erased = history.erasures.iter().any(|erasure| {
        erasure.session == posted.session
            && erasure.era >= posted.era
            && !erasure.keep_notes
            && erasure.asked <= seen.at
    });
    let arrived_before = |summary: &Posted| {
        summary.sent.tries.iter().any(|tried| tried.arrived() && tried.end <= Some(seen.at))
    };
    let mut summaries = notes.iter().filter(|summary| covers(history, summary, posted));
    if erased || summaries.any(arrived_before) {
        return Ok(());
    }
    Err(format!("redacted at {:?}, and nothing has taken its place", seen.at))
}

/// Whether a note is at the platform, as far as the host can know, and has to go.
fn must_go(history: &History, notes: &[Posted], posted: &Posted) -> bool {
    let is_sure = |posted: &Posted| posted.sent.is_known_to_have_arrived(&history.ends);
    if history.is_erased(posted.session, posted.era) {
        // Of what arrived unheard and was tried again without success nobody knows.
        let heard = is_sure(posted) || posted.sent.tries.last().is_some_and(|last| last.arrived());
        return posted.sent.arrived() && heard && !may_be_lost(history, posted);
    }
    is_sure(posted)
        && notes.iter().any(|summary| is_sure(summary) && covers(history, summary, posted))
}

/// Whether a note that arrived unheard can have left the host's memory: it was purged, or became poison.
fn may_be_lost(history: &History, posted: &Posted) -> bool {
    let purged = history.orders.iter().any(|order| {
        (order.session, order.era) == (posted.session, posted.era)
            && order.names(sidenote::engine::Decision::Purge, posted.note.seq)
    });
    !posted.sent.is_known_to_have_arrived(&history.ends) && (purged || history.ends.len() >= 3)
}

/// Whether a note is a summary that takes the place of another note beside the same conversation.
fn covers(history: &History, summary: &Posted, posted: &Posted) -> bool {
    let Some(told) = told(history, summary) else { return false };
    let same = (summary.session, summary.era) == (posted.session, posted.era)
        && summary.note.conversation == posted.note.conversation;
    same && match posted.note.kind {
        NoteKind::Summary => posted.note.seq < summary.note.seq,
        NoteKind::ForPeople => false,
        NoteKind::Actions => {
            let ordinal = |action| history.told[rows::number(action)].ordinal;
            posted.note.actions.unpack().iter().map(ordinal).all(|it| it > 0 && it <= told.through)
        }
    }
}

fn told<'a>(history: &'a History, posted: &Posted) -> Option<&'a Summary> {
    history.summaries.get(posts::summary(&posted.note)?)
}
