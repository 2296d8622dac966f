//! What the platform saw, note by note.

use std::collections::BTreeMap;

use sidenote::engine::Decision;
use sidenote::outbox::note::{FailureKind, Note, PostError};
use sidenote_tests::world::Seen;

use crate::history::{End, History, MAX_ATTEMPTS, Order, key};
use crate::rows;
use crate::steps::SESSIONS;

/// A note, all that the platform saw of it, and whether it was given up.
pub(crate) struct Sent {
    pub(crate) note: Note,
    pub(crate) seen: Vec<Seen>,
    pub(crate) dead: bool,
}

/// Every note of every session, by session and place.
pub(crate) async fn collect(history: &History) -> Result<BTreeMap<(usize, u64), Sent>, String> {
    let mut notes: BTreeMap<(usize, u64), Sent> = BTreeMap::new();
    for seen in history.platform.posts() {
        let place = place(&seen.note)?;
        let sent = notes.entry(place).or_insert_with(|| Sent {
            note: seen.note.clone(),
            seen: Vec::new(),
            dead: false,
        });
        if sent.note != seen.note || seen.call.idempotency_key != sent.note.idempotency_key {
            return Err(format!("note {place:?} changed between its attempts"));
        }
        sent.seen.push(seen);
    }
    for session in 0..SESSIONS.len() {
        for letter in rows::dead(&history.store, session).await {
            let place = place(&letter.note)?;
            let sent = notes.entry(place).or_insert_with(|| Sent {
                note: (*letter.note).clone(),
                seen: Vec::new(),
                dead: false,
            });
            if sent.note != *letter.note {
                return Err(format!("note {place:?} changed when it was given up"));
            }
            sent.dead = true;
        }
    }
    Ok(notes)
}

/// All that the platform saw of one session, in the order in which it began.
pub(crate) fn of_session(history: &History, session: usize) -> Vec<Seen> {
    let mut seen = history.platform.posts();
    seen.retain(|seen| seen.note.key == key(session));
    seen
}

/// Judges the attempts at the notes of one session: those at each, and `all` in the order in which they began.
pub(crate) fn judge(
    notes: &[&Sent],
    all: &[Seen],
    ends: &[End],
    orders: &[&Order],
) -> Result<(), String> {
    let ordered = |decision, seq| orders.iter().any(|order| order.names(decision, seq));
    let mut last: Option<&Seen> = None;
    for sent in notes {
        let place = sent.note.seq;
        let delivered = sent.seen.iter().any(|seen| seen.ok && seen.end.is_some());
        if !delivered && !sent.dead && !ordered(Decision::Purge, place) {
            return Err(format!("note {place} was neither delivered nor given up"));
        }
        if sent.dead {
            may_be_dead(sent, ends).map_err(|error| format!("note {place}: {error}"))?;
        }
        let told = |error| format!("note {place}: {error}");
        sent.seen
            .windows(2)
            .try_for_each(|pair| follows(&pair[0], &pair[1], ends))
            .map_err(told)?;
        // What was sent again by order comes behind what went on without it.
        for seen in sent.seen.iter().filter(|_| !ordered(Decision::Retry, place)) {
            last.map_or(Ok(()), |before| follows(before, seen, ends)).map_err(told)?;
            last = Some(seen);
        }
    }
    all.windows(2).try_for_each(|pair| follows(&pair[0], &pair[1], ends))?;
    orders.iter().try_for_each(|order| stays_purged(order, all, ends))
}

/// What was purged, every note of an order, is not sent any more.
fn stays_purged(order: &Order, seen: &[Seen], ends: &[End]) -> Result<(), String> {
    // What was answered last before a crash may not have been stored.
    let lost = |end: &End| (end.behind_since..=end.at).contains(&order.answered);
    if order.decision != Decision::Purge || order.done < order.named.len() || ends.iter().any(lost)
    {
        return Ok(());
    }
    let is_sent =
        |seen: &&Seen| order.named.contains_key(&seen.note.seq) && seen.at > order.answered;
    match seen.iter().find(is_sent) {
        Some(seen) => Err(format!("note {} was sent after it was purged", seen.note.seq)),
        None => Ok(()),
    }
}

/// Whether one attempt of a lane may follow another.
fn follows(before: &Seen, after: &Seen, ends: &[End]) -> Result<(), String> {
    let same = before.note.seq == after.note.seq;
    let Some(end) = before.end else {
        let cut_off = ends.iter().any(|cut| (before.at..=after.at).contains(&cut.at));
        return if cut_off { Ok(()) } else { Err("begun while one is in flight".to_owned()) };
    };
    if end > after.at {
        return Err("begun while one is in flight".to_owned());
    }
    // Its outcome was answered, but the host died before that was stored.
    let unknown =
        ends.iter().any(|cut| end <= cut.at && cut.at <= after.at && cut.behind_since <= end);
    if same && before.ok && !unknown {
        return Err(format!("sent again at {:?}, though it arrived at {end:?}", after.at));
    }
    Ok(())
}

/// Whether there was reason enough to give a note up.
fn may_be_dead(sent: &Sent, ends: &[End]) -> Result<(), String> {
    let refused = sent.seen.iter().any(|seen| match &seen.answer {
        Err(PostError::Failed(failure)) => matches!(
            failure.kind,
            FailureKind::NotFound | FailureKind::Invalid | FailureKind::Permanent
        ),
        Ok(_) | Err(PostError::Crashed { .. } | PostError::Unavailable { .. }) => false,
    });
    let counts = |seen: &&Seen| match &seen.answer {
        Err(PostError::Failed(failure)) => failure.kind != FailureKind::RateLimited,
        Err(PostError::Unavailable { .. }) => false,
        Err(PostError::Crashed { .. }) | Ok(_) => true,
    };
    let crashes =
        sent.seen.iter().filter(|seen| matches!(seen.answer, Err(PostError::Crashed { .. })));
    // An attempt may be on record whose bytes never left.
    let crashes = crashes.count() + ends.len();
    let attempts = sent.seen.iter().filter(counts).count() + ends.len();
    if refused || crashes >= 3 || attempts >= MAX_ATTEMPTS {
        return Ok(());
    }
    Err(format!("given up after {attempts} attempts and {crashes} crashes"))
}

fn place(note: &Note) -> Result<(usize, u64), String> {
    let is_its = |(product, session, _): &(&str, &str, Option<&str>)| {
        note.key.product.as_str() == *product && note.key.session.as_str() == *session
    };
    let session = SESSIONS.iter().position(is_its);
    Ok((session.ok_or_else(|| format!("a note of {:?}, whom nobody told of", note.key))?, note.seq))
}
