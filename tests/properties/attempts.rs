//! Attempts at what stands in a lane, whatever it is: one at a time, in order, and no more than there is reason for.

use std::time::Duration;

use sidenote::engine::Decision;
use sidenote::outbox::note::{FailureKind, PostError};

use crate::history::{End, MAX_ATTEMPTS, Order};

/// Something that was sent, and what became of it.
#[derive(Debug)]
pub(crate) struct Sent {
    /// Its place in its lane.
    pub(crate) seq: u64,
    pub(crate) tries: Vec<Try>,
    /// Whether it is a dead letter.
    pub(crate) dead: bool,
}

/// An attempt as whoever was called saw it.
#[derive(Debug, Clone)]
pub(crate) struct Try {
    pub(crate) seq: u64,
    /// Its place among all calls of its kind.
    pub(crate) nth: usize,
    pub(crate) at: Duration,
    /// When it was answered; `None` where it was cut off.
    pub(crate) end: Option<Duration>,
    pub(crate) failed: Option<PostError>,
}

impl Try {
    /// Whether it was answered with success.
    pub(crate) fn arrived(&self) -> bool {
        self.failed.is_none() && self.end.is_some()
    }

    /// Whether the host died before its outcome can have been stored; `until` another one began.
    pub(crate) fn is_lost(&self, until: Duration, ends: &[End]) -> bool {
        let Some(end) = self.end else { return true };
        ends.iter().any(|cut| end <= cut.at && cut.at <= until && cut.behind_since <= end)
    }
}

impl Sent {
    /// Whether it arrived.
    pub(crate) fn arrived(&self) -> bool {
        self.tries.iter().any(Try::arrived)
    }

    /// Whether it arrived and the host can know.
    pub(crate) fn is_known_to_have_arrived(&self, ends: &[End]) -> bool {
        self.tries.iter().any(|tried| tried.arrived() && !tried.is_lost(Duration::MAX, ends))
    }
}

/// Judges one lane: what was sent, by place. `erased`: what was left of it is gone.
pub(crate) fn judge(
    sent: &[&Sent],
    ends: &[End],
    orders: &[&Order],
    erased: bool,
) -> Result<(), String> {
    let ordered = |decision, seq| orders.iter().any(|order| order.names(decision, seq));
    let mut last: Option<&Try> = None;
    for sent in sent {
        let told = |error| format!("number {}: {error}", sent.seq);
        let purged = ordered(Decision::Purge, sent.seq);
        if !sent.arrived() && !sent.dead && !purged && !erased {
            return Err(told("neither delivered nor a dead letter".to_owned()));
        }
        if sent.dead {
            may_be_dead(sent, ends).map_err(told)?;
        }
        sent.tries
            .windows(2)
            .try_for_each(|pair| follows(&pair[0], &pair[1], ends))
            .map_err(told)?;
        // What was sent again by order comes behind what went on without it.
        for tried in sent.tries.iter().filter(|_| !ordered(Decision::Retry, sent.seq)) {
            last.map_or(Ok(()), |before| follows(before, tried, ends)).map_err(told)?;
            last = Some(tried);
        }
    }
    let mut all: Vec<_> = sent.iter().flat_map(|sent| &sent.tries).collect();
    all.sort_by_key(|tried| tried.nth);
    all.windows(2).try_for_each(|pair| follows(pair[0], pair[1], ends))?;
    orders.iter().try_for_each(|order| stays_purged(order, &all, ends))
}

/// What was purged, all that an order names, is not sent any more.
fn stays_purged(order: &Order, tries: &[&Try], ends: &[End]) -> Result<(), String> {
    // What was answered last before a crash may not have been stored.
    let lost = |end: &End| (end.behind_since..=end.at).contains(&order.answered);
    if order.decision != Decision::Purge || order.done < order.named.len() || ends.iter().any(lost)
    {
        return Ok(());
    }
    let is_sent = |tried: &&&Try| order.named.contains_key(&tried.seq) && tried.nth >= order.calls;
    match tries.iter().find(is_sent) {
        Some(tried) => Err(format!("number {} was sent after it was purged", tried.seq)),
        None => Ok(()),
    }
}

/// Whether one attempt of a lane may follow another.
fn follows(before: &Try, after: &Try, ends: &[End]) -> Result<(), String> {
    let same = before.seq == after.seq;
    let Some(end) = before.end else {
        let cut_off = ends.iter().any(|cut| (before.at..=after.at).contains(&cut.at));
        return if cut_off { Ok(()) } else { Err("begun while one is in flight".to_owned()) };
    };
    if end > after.at {
        return Err("begun while one is in flight".to_owned());
    }
    // Its outcome was answered, but the host died before that was stored.
    if same && before.failed.is_none() && !before.is_lost(after.at, ends) {
        return Err(format!("sent again at {:?}, though it arrived at {end:?}", after.at));
    }
    Ok(())
}

/// Whether there was reason enough to make it a dead letter.
fn may_be_dead(sent: &Sent, ends: &[End]) -> Result<(), String> {
    let kind = |tried: &Try| match &tried.failed {
        Some(PostError::Failed(failure)) => Some(failure.kind),
        Some(PostError::Crashed { .. } | PostError::Unavailable { .. }) | None => None,
    };
    let is_refusal = |kind| {
        matches!(kind, FailureKind::NotFound | FailureKind::Invalid | FailureKind::Permanent)
    };
    let refused = sent.tries.iter().filter_map(kind).any(is_refusal);
    let counts = |tried: &&Try| match &tried.failed {
        Some(PostError::Failed(failure)) => failure.kind != FailureKind::RateLimited,
        Some(PostError::Unavailable { .. }) => false,
        Some(PostError::Crashed { .. }) | None => true,
    };
    let is_crash = |tried: &&Try| matches!(tried.failed, Some(PostError::Crashed { .. }));
    // An attempt may be on record whose bytes never left.
    let crashes = sent.tries.iter().filter(is_crash).count() + ends.len();
    let attempts = sent.tries.iter().filter(counts).count() + ends.len();
    if refused || crashes >= 3 || attempts >= MAX_ATTEMPTS {
        return Ok(());
    }
    Err(format!("a dead letter after {attempts} attempts and {crashes} crashes"))
}
