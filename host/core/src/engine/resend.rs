//! Sending a note once more on purpose: what is to be sent is made of what the session's history has.

use serde::{Deserialize, Serialize};

use std::time::Duration;

use super::history_row::{KeptBatch, KeptSummary, SUMMARY};
use super::rows::read;
use crate::ids::SessionKey;
use crate::outbox::note::{NoteKind, SentNote};
use crate::rows::Table;
use crate::rules::History;
use crate::session::link::Link;
use crate::session::payload::Action;
use crate::session::repeat::Repeat;
use crate::session::state::Target;

/// A note that was delivered is to be sent once more, as a note of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResendOrder {
    /// Its session.
    pub key: SessionKey,
    /// Its number.
    pub seq: u64,
}

/// A note that waits because another one was to be sent once more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resent {
    /// Its number.
    pub seq: u64,
    /// Where it goes.
    pub target: Target,
}

/// Why a note isn't sent once more. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum ResendError {
    /// Nothing is known of it.
    #[error(
        "no such note is on record as delivered: it never was, it was redacted or erased, or it is too old"
    )]
    NotFound,
    /// It isn't delivered yet.
    #[error("the note waits to be delivered; it is sent when its turn comes")]
    Waits,
    /// It is a dead letter.
    #[error("the note is a dead letter; `sidenote outbox retry` has it sent again")]
    Dead,
    /// It was redacted, or should have been.
    #[error(
        "the note was redacted, or is to be: a summary took its place, or its person was erased"
    )]
    Redacted,
    /// It says what was found once: a draft, or that somebody waits.
    #[error("the note told people something of its moment, which isn't kept")]
    NotRepeatable,
    /// The session has no conversation.
    #[error("the session is linked to no conversation any more; link it first")]
    NotLinked,
    /// What it told isn't all there any more.
    #[error("what the note tells of isn't kept any more: {}", kept(.0.as_ref()))]
    NotKept(Option<History>),
}

impl ResendError {
    /// A short word for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotFound => "unknown_delivery",
            Self::Waits => "waits",
            Self::Dead => "dead_letter",
            Self::Redacted => "redacted",
            Self::NotRepeatable => "not_repeatable",
            Self::NotLinked => "not_linked",
            Self::NotKept(_) => "not_kept",
        }
    }
}

fn kept(history: Option<&History>) -> String {
    match history {
        Some(History { keep, max_actions, .. }) => format!(
            "`keep` in [context] keeps it, for {} s as configured, and `keep_actions` the latest {max_actions} actions of a session",
            keep.as_secs()
        ),
        None => format!(
            "the section [context] keeps it, for {} s where its `keep` says nothing else, and isn't configured",
            History::default().keep.max(Duration::from_secs(1)).as_secs()
        ),
    }
}

/// The rows of a session that a resend is decided by.
pub trait Rows {
    /// A row.
    fn row(&self, table: Table, number: u64) -> Option<Vec<u8>>;

    /// All that is kept of the session, the lowest number first.
    fn history(&self) -> Vec<(u64, Vec<u8>)>;
}

/// The tables that [`Rows`] are of.
pub const TABLES: [Table; 5] =
    [Table::Dead, Table::Outbox, Table::Redact, Table::Sent, Table::History];

/// What is to be sent once more for a note, to the session's conversation of now.
///
/// # Errors
/// [`ResendError`], in the order in which it is asked.
pub fn plan(
    of: u64,
    rows: &dyn Rows,
    link: Option<&Link>,
    rules: Option<&History>,
) -> Result<Repeat, ResendError> {
    let has = |table| rows.row(table, of).is_some();
    if has(Table::Dead) {
        return Err(ResendError::Dead);
    }
    if has(Table::Outbox) {
        return Err(ResendError::Waits);
    }
    if has(Table::Redact) {
        return Err(ResendError::Redacted);
    }
    let sent = rows.row(Table::Sent, of).ok_or(ResendError::NotFound)?;
    let sent = read::<SentNote>(Table::Sent, of, &sent).ok_or(ResendError::NotFound)?;
    if sent.stays {
        return Err(ResendError::Redacted);
    }
    let not_kept = || ResendError::NotKept(rules.cloned());
    let (kind, through) = (sent.kind, sent.through);
    let (actions, text) = match kind {
        NoteKind::ForPeople => return Err(ResendError::NotRepeatable),
        NoteKind::Actions => {
            let actions = actions_of(&sent, &rows.history()).ok_or_else(not_kept)?;
            (actions, None)
        }
        NoteKind::Summary => {
            let row = rows.history().into_iter().find(|(number, _)| *number == SUMMARY);
            let kept = row.and_then(|(n, value)| read::<KeptSummary>(Table::History, n, &value));
            let kept = kept.filter(|kept| kept.covers == through).ok_or_else(not_kept)?;
            (Vec::new(), Some(kept.text))
        }
    };
    let link = link.cloned().ok_or(ResendError::NotLinked)?;
    Ok(Repeat { of, link, kind, actions, text, through })
}

/// The actions of a note, if all of them are kept.
fn actions_of(sent: &SentNote, history: &[(u64, Vec<u8>)]) -> Option<Vec<Action>> {
    // A row of an earlier version doesn't say how many there are.
    let count = u64::from(sent.actions);
    let first = sent.through.checked_sub(count.checked_sub(1)?)?;
    let mut actions = Vec::new();
    for (number, value) in history.iter().filter(|(number, _)| *number != SUMMARY) {
        if *number > sent.through {
            break;
        }
        let Some(batch) = read::<KeptBatch>(Table::History, *number, value) else { continue };
        let batch = KeptBatch { first: *number, ..batch };
        let meant = batch.actions().filter(|(n, _)| (first..=sent.through).contains(n));
        actions.extend(meant.map(|(_, action)| action.clone()));
    }
    (actions.len() as u64 == count).then_some(actions)
}
