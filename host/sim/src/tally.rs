//! Judges what arrived by the actions' markers: every one once, in order, and how late.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use sidenote::clock::Timestamp;

use super::histogram::Histogram;
use super::marker::Marker;

/// What the tally assumes and how much it remembers.
#[derive(Debug, Clone)]
pub struct TallyOptions {
    /// A note is due this long after its last action …
    pub debounce: Duration,
    /// … or this long after its first one, whichever comes first.
    pub max_wait: Duration,
    /// A note with so many actions is due at once.
    pub max_note_actions: usize,
    /// Most sessions judged; actions of further ones are counted as unjudged.
    pub max_sessions: usize,
}

impl Default for TallyOptions {
    fn default() -> Self {
        Self {
            debounce: Duration::from_millis(150),
            max_wait: Duration::from_secs(2),
            max_note_actions: usize::MAX,
            max_sessions: 100_000,
        }
    }
}

/// Sums over all sessions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Notes judged.
    pub notes: u64,
    /// Actions that arrived, every arrival counted.
    pub arrived: u64,
    /// Arrivals of an action that had arrived before.
    pub doubled: u64,
    /// Arrivals of an action after a later one of its session, and arrivals ahead of a gap.
    pub out_of_order: u64,
    /// Actions skipped so far: a later one of the session has arrived, they haven't.
    pub skipped: u64,
    /// Actions in a note of another session than their own.
    pub misplaced: u64,
    /// Actions that weren't judged: too many sessions, or too many gaps in one.
    pub unjudged: u64,
}

impl Totals {
    /// Actions that have arrived at least once.
    pub fn distinct(&self) -> u64 {
        self.arrived - self.doubled - self.unjudged - self.misplaced
    }
}

/// Most gaps remembered of one session.
const MAX_GAPS: usize = 4096;

/// The judge. Pure: it is told what arrived and when.
#[derive(Debug, Default)]
pub struct Tally {
    options: TallyOptions,
    sessions: HashMap<Box<str>, Seen>,
    totals: Totals,
    lateness: Histogram,
}

#[derive(Debug, Default)]
struct Seen {
    next: u64,
    gaps: BTreeSet<u64>,
}

impl Tally {
    /// A tally that has seen nothing.
    pub fn new(options: TallyOptions) -> Self {
        Self { options, ..Self::default() }
    }

    /// Judges the text of a note of `session` that arrived at `now`.
    pub fn note(&mut self, session: &str, body: &str, now: Timestamp) {
        self.totals.notes += 1;
        let (mut first, mut last, mut count) = (None, None, 0);
        for marker in Marker::find_all(body) {
            self.action(session, &marker);
            first = first.or(marker.emitted);
            last = marker.emitted.or(last);
            count += 1;
        }
        if let (Some(first), Some(last)) = (first, last) {
            let due = if count >= self.options.max_note_actions {
                last
            } else {
                (last + self.options.debounce).min(first + self.options.max_wait)
            };
            self.lateness.record(now.since(due));
        }
    }

    /// Sums over all sessions.
    pub fn totals(&self) -> Totals {
        self.totals
    }

    /// How late notes arrived, against the moment at which they were due. Only notes whose markers
    /// tell when their actions were emitted count.
    pub fn lateness(&self) -> &Histogram {
        &self.lateness
    }

    /// How many of a session's actions have arrived without a gap.
    pub fn complete_up_to(&self, session: &str) -> u64 {
        self.sessions.get(session).map_or(0, |seen| seen.gaps.first().copied().unwrap_or(seen.next))
    }

    fn action(&mut self, session: &str, marker: &Marker<'_>) {
        self.totals.arrived += 1;
        if marker.session != session {
            self.totals.misplaced += 1;
            return;
        }
        if !self.sessions.contains_key(session) {
            if self.sessions.len() >= self.options.max_sessions {
                self.totals.unjudged += 1;
                return;
            }
            self.sessions.insert(session.into(), Seen::default());
        }
        let seen = self.sessions.get_mut(session).expect("inserted above");
        if marker.n < seen.next {
            if seen.gaps.remove(&marker.n) {
                self.totals.skipped -= 1;
                self.totals.out_of_order += 1;
            } else {
                self.totals.doubled += 1;
            }
            return;
        }
        let gap = marker.n - seen.next;
        if gap > 0 {
            if gap > (MAX_GAPS - seen.gaps.len()) as u64 {
                self.totals.unjudged += 1;
                return;
            }
            seen.gaps.extend(seen.next..marker.n);
            self.totals.skipped += gap;
            self.totals.out_of_order += 1;
        }
        seen.next = marker.n + 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(notes: &[(&str, &str)]) -> Tally {
        let mut tally = Tally::default();
        for (session, body) in notes {
            tally.note(session, body, Timestamp(0));
        }
        tally
    }

    #[test]
    fn what_arrives_once_in_order_leaves_no_complaint() {
        let tally = tally(&[("s", "[1] a-s-0\n[2] a-s-1"), ("t", "[1] a-t-0"), ("s", "[1] a-s-2")]);
        assert_eq!(tally.totals(), Totals { notes: 3, arrived: 4, ..Totals::default() });
        assert_eq!(
            (tally.complete_up_to("s"), tally.complete_up_to("t"), tally.complete_up_to("u")),
            (3, 1, 0)
        );
    }

    #[test]
    fn a_repeat_is_doubled() {
        let totals = tally(&[("s", "a-s-0 a-s-1"), ("s", "a-s-0 a-s-1")]).totals();
        assert_eq!((totals.doubled, totals.out_of_order, totals.distinct()), (2, 0, 2));
    }

    #[test]
    fn a_gap_is_skipped_until_it_is_filled() {
        let gap = tally(&[("s", "a-s-0 a-s-2")]);
        assert_eq!(
            (gap.totals().skipped, gap.totals().out_of_order, gap.complete_up_to("s")),
            (1, 1, 1)
        );
        let filled = tally(&[("s", "a-s-0 a-s-2"), ("s", "a-s-1")]);
        assert_eq!((filled.totals().skipped, filled.totals().out_of_order), (0, 2));
        assert_eq!((filled.totals().doubled, filled.complete_up_to("s")), (0, 3));
    }

    #[test]
    fn an_action_in_a_foreign_note_is_misplaced() {
        let totals = tally(&[("s", "a-t-0")]).totals();
        assert_eq!((totals.misplaced, totals.distinct()), (1, 0));
    }

    #[test]
    fn what_is_beyond_the_bounds_is_counted_as_unjudged() {
        let mut tally = Tally::new(TallyOptions { max_sessions: 1, ..TallyOptions::default() });
        tally.note("s", "a-s-0", Timestamp(0));
        tally.note("t", "a-t-0", Timestamp(0));
        tally.note("s", "a-s-1000000", Timestamp(0));
        assert_eq!(tally.totals().unjudged, 2);
        assert_eq!(tally.totals().distinct(), 1);
    }

    #[test]
    fn lateness_counts_from_the_moment_the_note_was_due() {
        let ms = |ms: i64| Timestamp(ms * 1000);
        // (first, last, arrival, late by at least, late by at most)
        for (first, last, arrival, at_least, at_most) in
            [(0, 0, 160, 10, 11), (0, 100, 260, 10, 11), (0, 1990, 2010, 10, 11), (0, 0, 100, 0, 0)]
        {
            let body = format!("a-s-0@{} a-s-1@{}", ms(first).0, ms(last).0);
            let mut tally = Tally::default();
            tally.note("s", &body, ms(arrival));
            let late = tally.lateness().percentile(50.0).as_millis();
            assert!((at_least..=at_most).contains(&late), "{body} at {arrival}: {late} ms");
        }
    }
}
