//! What the platform saw, note by note.

use std::collections::BTreeMap;

use sidenote::outbox::note::{Note, NoteKind};

use crate::attempts::{Sent, Try};
use crate::history::{History, session_of, summary_in};
use crate::rows;
use crate::steps::SESSIONS;

/// A note, and what became of it.
pub(crate) struct Posted {
    pub(crate) session: usize,
    /// How often its session was erased before.
    pub(crate) era: usize,
    pub(crate) note: Note,
    pub(crate) sent: Sent,
}

/// Every note of every session, in the order of sessions, of what was erased between, and of places.
pub(crate) async fn collect(history: &History) -> Result<Vec<Posted>, String> {
    let mut notes: BTreeMap<(usize, usize, u64), Posted> = BTreeMap::new();
    for (nth, seen) in history.platform.posts().into_iter().enumerate() {
        let posted = entry(history, &mut notes, &seen.note)?;
        if posted.note != seen.note || seen.call.idempotency_key != seen.note.idempotency_key {
            return Err(format!("note {} changed between its attempts", seen.note.seq));
        }
        let failed = seen.answer.err();
        posted.sent.tries.push(Try { seq: seen.note.seq, nth, at: seen.at, end: seen.end, failed });
    }
    for session in 0..SESSIONS.len() {
        for letter in rows::dead(&history.store, session).await {
            let posted = entry(history, &mut notes, &letter.note)?;
            if posted.note != *letter.note {
                return Err(format!(
                    "note {} changed when it became a dead letter",
                    letter.note.seq
                ));
            }
            posted.sent.dead = true;
        }
    }
    Ok(notes.into_values().collect())
}

fn entry<'a>(
    history: &History,
    notes: &'a mut BTreeMap<(usize, usize, u64), Posted>,
    note: &Note,
) -> Result<&'a mut Posted, String> {
    let session = session_of(&note.key)?;
    let era = match note.kind {
        NoteKind::Summary => summary(note).and_then(|n| history.summaries.get(n)).map(|it| it.era),
        NoteKind::Actions => note
            .actions
            .unpack()
            .first()
            .and_then(|it| history.told.get(rows::number(it)))
            .map(|it| it.era),
        // Nobody is replied to in these histories.
        NoteKind::ForPeople => None,
    };
    let era = era.ok_or_else(|| format!("note {} tells what nobody told", note.seq))?;
    Ok(notes.entry((session, era, note.seq)).or_insert_with(|| Posted {
        session,
        era,
        note: note.clone(),
        sent: Sent { seq: note.seq, tries: Vec::new(), dead: false },
    }))
}

/// Which summary a note is.
pub(crate) fn summary(note: &Note) -> Option<usize> {
    if note.kind != NoteKind::Summary {
        return None;
    }
    note.body.lines().find_map(summary_in)
}
