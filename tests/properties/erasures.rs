//! After an erasure nothing is left of a session, and nothing of it is posted.

use sidenote::store::Table;

use crate::history::{History, action_in, key, summary_in};
use crate::posts::Posted;
use crate::rows;
use crate::steps::{CONVERSATIONS, SESSIONS};

/// In no row is anything of what was erased. Of a session of which nothing was told since, only what is to be
/// redacted has a row.
pub(crate) async fn nothing_is_left(history: &History) -> Result<(), String> {
    for line in rows::lines(&history.store).await {
        let of_action = action_in(&line).and_then(|n| history.told.get(n));
        let of_summary = summary_in(&line).and_then(|n| history.summaries.get(n));
        let of_action = of_action.map(|told| (told.session, told.era));
        let of = of_action.or(of_summary.map(|told| (told.session, told.era)));
        if of.is_some_and(|(session, era)| history.is_erased(session, era)) {
            return Err(format!("{line} is in a row after it was erased"));
        }
    }
    let in_index = rows::in_index(&history.store).await;
    for n in 0..SESSIONS.len() {
        let session = &history.sessions[n];
        if session.era == 0 || session.touched {
            continue;
        }
        let left = rows::of_session(&history.store, n).await;
        if let Some(row) = left.iter().find(|row| row.table != Table::Redact) {
            return Err(format!("session {n} was erased, and {row:?} is left"));
        }
        if in_index.contains(&key(n)) {
            return Err(format!("session {n} was erased, and its person knows it"));
        }
        for conversation in CONVERSATIONS {
            let owners = rows::owners(&history.store, conversation).await;
            if owners.iter().any(|owner| owner.key == key(n)) {
                return Err(format!("session {n} was erased, and {conversation} knows it"));
            }
        }
    }
    Ok(())
}

/// No attempt at a note begins after its session was erased.
pub(crate) fn stays_erased(history: &History, posted: &Posted) -> Result<(), String> {
    let of = (posted.session, posted.era);
    let Some(erasure) = history.erasures.iter().find(|it| (it.session, it.era) == of) else {
        return Ok(());
    };
    match posted.sent.tries.iter().find(|tried| tried.nth >= erasure.posts) {
        Some(tried) => Err(format!("posted at {:?}, after it was erased", tried.at)),
        None => Ok(()),
    }
}
