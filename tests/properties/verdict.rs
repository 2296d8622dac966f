//! Judges what became of a history's actions.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use sidenote::engine::{Decision, LaneKind};
use sidenote::outbox::note::NoteKind;
use sidenote::store::Table;

use crate::history::{History, MAX_GATHERED, MAX_WAITING, Moment, Told, WINDOW, action_in, key};
use crate::posts::{self, Posted};
use crate::steps::{CONVERSATIONS, SESSIONS};
use crate::{attempts, erasures, redactions, rows, sinks, summaries};

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
    for table in [Table::Outbox, Table::Attempt, Table::SinkQueue, Table::SinkAttempt] {
        let left = rows::count(&history.store, table).await;
        if left > 0 {
            return Err(format!("{left} rows of {table:?} are left after all troubles ended"));
        }
    }
    erasures::nothing_is_left(history).await?;
    let notes = posts::collect(history).await?;
    let mut fates = vec![Fate::Gone; history.told.len()];
    for session in 0..SESSIONS.len() {
        let told = |error| format!("session {session}: {error}");
        for era in 0..=history.sessions[session].era {
            judge_notes(history, &notes, (session, era), &mut fates)
                .map_err(|error| told(format!("era {era}: {error}")))?;
        }
        for n in rows::open(&history.store, session).await {
            place(&mut fates, n, Fate::Waits).map_err(told)?;
        }
        in_order(history, session, &fates).map_err(told)?;
        judge_link(history, session).await.map_err(told)?;
    }
    judge_drops(history, &fates)?;
    redactions::judge(history, &notes).await?;
    sinks::judge(history).await
}

/// The notes of a session between two erasures.
fn judge_notes(
    history: &History,
    notes: &[Posted],
    of: (usize, usize),
    fates: &mut [Fate],
) -> Result<(), String> {
    let (session, era) = of;
    let notes: Vec<_> = notes.iter().filter(|it| (it.session, it.era) == of).collect();
    let orders: Vec<_> = history
        .orders
        .iter()
        .filter(|it| ((it.session, it.era), it.lane) == (of, LaneKind::Note))
        .collect();
    let sent: Vec<_> = notes.iter().map(|posted| &posted.sent).collect();
    attempts::judge(&sent, &history.ends, &orders, history.is_erased(session, era))?;
    let mut places = BTreeMap::new();
    for posted in &notes {
        let told = |error| format!("note {}: {error}", posted.note.seq);
        match posted.note.kind {
            NoteKind::Summary => summaries::judge_note(history, posted).map_err(told)?,
            NoteKind::Actions => judge_note(history, posted, fates).map_err(told)?,
            NoteKind::ForPeople => return Err(told("nobody is replied to".to_owned())),
        }
        erasures::stays_erased(history, posted).map_err(told)?;
        let actions = posted.note.actions.unpack();
        let actions = actions.iter().map(rows::number);
        places.extend(actions.map(|action| (action, posted.note.seq)));
    }
    summaries::in_order(history, &notes, &places)
}

fn judge_note(history: &History, posted: &Posted, fates: &mut [Fate]) -> Result<(), String> {
    let note = &posted.note;
    if note.actions.is_empty() || note.actions.len() > MAX_GATHERED {
        return Err(format!("it has {} actions", note.actions.len()));
    }
    let mut lines = note.body.lines().filter(|line| line.starts_with('['));
    for (n, action) in note.actions.unpack().iter().enumerate() {
        if lines.next() != Some(&format!("[{}] {}", n + 1, action.description)) {
            return Err(format!("it reads {:?}", note.body));
        }
        let number = rows::number(action);
        let told = &history.told[number];
        let belongs = [told.belongs, told.or].into_iter().flatten();
        let fits = belongs.map(|n| CONVERSATIONS[n]).any(|it| it == note.conversation.as_str());
        if (told.session, told.era) != (posted.session, posted.era) || !fits {
            let conversation = &note.conversation;
            return Err(format!("action {number}, {told:?}, is in a note for {conversation}"));
        }
        place(fates, number, Fate::Note(note.seq))?;
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
    let mut last = (0, 0);
    let of_session = history.told.iter().zip(fates).enumerate();
    for (n, (told, fate)) in of_session.filter(|(_, (told, _))| told.session == session) {
        let seq = match fate {
            Fate::Note(seq) => *seq,
            Fate::Waits => u64::MAX,
            Fate::Gone => continue,
        };
        if (told.era, seq) < last {
            return Err(format!("action {n} is told in note {seq}, after note {}", last.1));
        }
        last = (told.era, seq);
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
    let purges = purges.filter(|order| order.lane == LaneKind::Note);
    let lines = purges.flat_map(|order| order.named.values()).flat_map(|named| &named.lines);
    let purged: BTreeSet<usize> = lines.filter_map(|line| action_in(line)).collect();
    let (mut gone, mut erased) = (0, 0);
    for (n, (told, fate)) in history.told.iter().zip(fates).enumerate() {
        let until = told.linked.unwrap_or_else(|| (history.moment(), history.moment()));
        let waited = told.linked.is_some() || told.belongs.is_none();
        match fate {
            Fate::Gone if history.is_erased(told.session, told.era) => erased += 1,
            Fate::Gone if told.accepted && !purged.contains(&n) => {
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
    // What was erased may have been dropped before.
    let most = if history.ends.is_empty() { gone + erased } else { u64::MAX };
    if !(gone..=most).contains(&history.dropped) {
        return Err(format!("{gone} actions are gone, and {} counted", history.dropped));
    }
    Ok(())
}

/// How many actions its session had told before its link, from this one's batch on.
fn behind(history: &History, n: usize) -> usize {
    let this = &history.told[n];
    let waits_with_it = |told: &&Told| {
        (told.session, told.era) == (this.session, this.era)
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
