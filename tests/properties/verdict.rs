//! Judges what became of a history's actions.

use std::collections::BTreeSet;
use std::time::Duration;

use sidenote::engine::Decision;
use sidenote::store::Table;

use crate::history::{History, MAX_GATHERED, MAX_WAITING, Moment, Told, WINDOW, key};
use crate::posts::{self, Sent};
use crate::rows;
use crate::steps::{CONVERSATIONS, SESSIONS};

/// What became of an action.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fate {
    /// It is in this note of its session.
    Note(u64),
    /// It waits for a link in the store.
    Waits,
    /// It is nowhere.
    Gone,
}

/// Judges a history after its last host drained.
pub(crate) async fn judge(history: &History) -> Result<(), String> {
    for table in [Table::Outbox, Table::Attempt] {
        let left = rows::count(&history.store, table).await;
        if left > 0 {
            return Err(format!("{left} rows of {table:?} are left after all troubles ended"));
        }
    }
    let notes = posts::collect(history).await?;
    let mut fates = vec![Fate::Gone; history.told.len()];
    for session in 0..SESSIONS.len() {
        let told = |error| format!("session {session}: {error}");
        let notes: Vec<_> =
            notes.iter().filter(|((of, _), _)| *of == session).map(|(_, sent)| sent).collect();
        let orders: Vec<_> = history.orders.iter().filter(|it| it.session == session).collect();
        let all = posts::of_session(history, session);
        posts::judge(&notes, &all, &history.ends, &orders).map_err(told)?;
        for sent in notes {
            judge_note(history, session, sent, &mut fates).map_err(told)?;
        }
        for n in rows::open(&history.store, session).await {
            place(&mut fates, n, Fate::Waits).map_err(told)?;
        }
        in_order(history, session, &fates).map_err(told)?;
        judge_link(history, session).await.map_err(told)?;
    }
    judge_drops(history, &fates)
}

fn judge_note(
    history: &History,
    session: usize,
    sent: &Sent,
    fates: &mut [Fate],
) -> Result<(), String> {
    let (seq, actions) = (sent.note.seq, &sent.note.actions);
    if actions.is_empty() || actions.len() > MAX_GATHERED {
        return Err(format!("note {seq} has {} actions", actions.len()));
    }
    let mut lines = sent.note.body.lines().filter(|line| line.starts_with('['));
    for (n, action) in actions.iter().enumerate() {
        if lines.next() != Some(&format!("[{}] {}", n + 1, action.description)) {
            return Err(format!("note {seq} reads {:?}", sent.note.body));
        }
        let number = rows::number(action);
        let told = &history.told[number];
        let belongs = told.belongs.map(|conversation| CONVERSATIONS[conversation]);
        if told.session != session || belongs != Some(sent.note.conversation.as_str()) {
            let conversation = &sent.note.conversation;
            return Err(format!("action {number}, {told:?}, is in a note for {conversation}"));
        }
        place(fates, number, Fate::Note(seq))?;
    }
    Ok(())
}

fn place(fates: &mut [Fate], action: usize, fate: Fate) -> Result<(), String> {
    match std::mem::replace(&mut fates[action], fate) {
        Fate::Gone => Ok(()),
        other @ (Fate::Note(_) | Fate::Waits) => {
            Err(format!("action {action} is in two places, {other:?} and {fate:?}"))
        }
    }
}

/// Notes tell a session's actions in the order in which they were told.
fn in_order(history: &History, session: usize, fates: &[Fate]) -> Result<(), String> {
    let mut last = 0;
    let of_session = history.told.iter().zip(fates).enumerate();
    for (n, (_, fate)) in of_session.filter(|(_, (told, _))| told.session == session) {
        let seq = match fate {
            Fate::Note(seq) => *seq,
            Fate::Waits => u64::MAX,
            Fate::Gone => continue,
        };
        if seq < last {
            return Err(format!("action {n} is told in note {seq}, after note {last}"));
        }
        last = seq;
    }
    Ok(())
}

/// The stored link and its index say what was answered.
async fn judge_link(history: &History, session: usize) -> Result<(), String> {
    let told = &history.sessions[session];
    let stored = rows::record(&history.store, session).await;
    let linked = stored.link.as_ref().map(|link| link.conversation.as_str().to_owned());
    let expected = told.linked.map(|conversation| CONVERSATIONS[conversation]);
    if linked.as_deref() != expected {
        return Err(format!("its stored link is {linked:?}, and {expected:?} was answered"));
    }
    let Some(conversation) = expected else { return Ok(()) };
    let owners = rows::owners(&history.store, conversation).await;
    let user = SESSIONS[session].2.filter(|_| told.known);
    let as_told = owners
        .iter()
        .any(|owner| owner.key == key(session) && owner.who.user_id.as_deref() == user);
    if as_told { Ok(()) } else { Err(format!("{conversation} doesn't know it: {owners:?}")) }
}

/// What is gone may be gone, and was counted.
fn judge_drops(history: &History, fates: &[Fate]) -> Result<(), String> {
    let purges = history.orders.iter().filter(|order| order.decision == Decision::Purge);
    let purged: BTreeSet<usize> =
        purges.flat_map(|order| order.named.values().flatten().copied()).collect();
    let mut gone = 0;
    for (n, (told, fate)) in history.told.iter().zip(fates).enumerate() {
        let until = told.linked.unwrap_or_else(|| (history.moment(), history.moment()));
        let waited = told.linked.is_some() || told.belongs.is_none();
        match fate {
            Fate::Gone if told.taken && !purged.contains(&n) => {
                gone += 1;
                let behind = behind(history, n);
                if !waited || (longest(told.when.0, until.1) <= WINDOW && behind <= MAX_WAITING) {
                    return Err(format!("action {n} is lost: {told:?}"));
                }
            }
            Fate::Note(_) if told.linked.is_some() && shortest(told.when.1, until.0) > WINDOW => {
                return Err(format!("action {n} was told though its time was over: {told:?}"));
            }
            Fate::Gone | Fate::Note(_) | Fate::Waits => {}
        }
    }
    let exact = history.ends.is_empty();
    if history.dropped < gone || (exact && history.dropped != gone) {
        return Err(format!("{gone} actions are gone, and {} counted", history.dropped));
    }
    Ok(())
}

/// How many actions its session had told before its link, from this one's batch on.
fn behind(history: &History, n: usize) -> usize {
    let this = &history.told[n];
    let waits_with_it = |told: &&Told| {
        told.session == this.session
            && told.batch >= this.batch
            && (told.linked.is_some() || told.belongs.is_none())
    };
    history.told.iter().filter(waits_with_it).count()
}

/// The longest that can have passed between two moments by the host's clocks: one that was set back may
/// be set right later.
fn longest(from: Moment, to: Moment) -> Duration {
    to.at.saturating_sub(from.at) + (to.forward - from.forward)
}

/// The shortest.
fn shortest(from: Moment, to: Moment) -> Duration {
    longest(from, to).saturating_sub(to.back - from.back)
}
