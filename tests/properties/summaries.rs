//! Where summaries stand among the notes of their session.

use std::collections::BTreeMap;

use crate::history::{History, Told};
use crate::posts::{self, Posted};
use crate::steps::CONVERSATIONS;

/// A summary's note says what was told, where it belongs.
pub(crate) fn judge_note(history: &History, posted: &Posted) -> Result<(), String> {
    let number = posts::summary(&posted.note).ok_or("it says nothing of a summary")?;
    let told = history.summaries.get(number).ok_or("nobody told this summary")?;
    let conversation = told.conversation.map(|n| CONVERSATIONS[n]);
    if told.session != posted.session || conversation != Some(posted.note.conversation.as_str()) {
        let conversation = &posted.note.conversation;
        return Err(format!("summary {number}, {told:?}, is in a note for {conversation}"));
    }
    if posted.note.actions.is_empty() { Ok(()) } else { Err("it has actions".to_owned()) }
}

/// What a summary tells of comes before it, and what was told later behind it. `places` are the numbers of the notes
/// that the actions are in.
pub(crate) fn in_order(
    history: &History,
    notes: &[&Posted],
    places: &BTreeMap<usize, u64>,
) -> Result<(), String> {
    let mut before = None;
    for posted in notes {
        let Some(number) = posts::summary(&posted.note) else { continue };
        let (told, seq) = (&history.summaries[number], posted.note.seq);
        if before.is_some_and(|before| before >= number) {
            return Err(format!("summary {number} comes behind {before:?}"));
        }
        before = Some(number);
        let wholly = |batch: usize| {
            let of_batch = history.told.iter().filter(|it| it.batch == batch);
            of_batch.clone().all(|it| it.accepted && it.ordinal <= told.through)
        };
        for (action, place) in places {
            let Told { session, era, batch, ordinal, .. } = history.told[*action];
            if (session, era) != (posted.session, posted.era) || ordinal == 0 {
                continue;
            }
            if *action < told.behind && wholly(batch) && *place > seq {
                return Err(format!(
                    "action {action} is told in note {place}, behind summary {number} that covers it, note {seq}"
                ));
            }
            if *action >= told.behind && *place < seq {
                return Err(format!(
                    "action {action} is told in note {place}, before summary {number} that came first, note {seq}"
                ));
            }
        }
    }
    Ok(())
}
