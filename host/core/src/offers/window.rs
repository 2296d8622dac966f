//! So many within a time: the limits on offers.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;

/// An hour.
pub const HOUR: Duration = Duration::from_secs(3600);
/// A day.
pub const DAY: Duration = Duration::from_secs(24 * 3600);
/// A minute.
pub const MINUTE: Duration = Duration::from_secs(60);

/// When something happened, the latest last. It holds no more than the limit that it is asked about.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Window(Vec<Timestamp>);

impl Window {
    /// Until when no more may happen, where `limit` did within `width`; a limit of 0 is none.
    pub fn full(&self, limit: u32, width: Duration, now: Timestamp) -> Option<Timestamp> {
        let limit = limit as usize;
        if limit == 0 || self.0.len() < limit {
            return None;
        }
        // The one that must leave the window before there is capacity for another.
        let until = self.0[self.0.len() - limit] + width;
        (until > now).then_some(until)
    }

    /// It happens now. What left the window of `width` is forgotten.
    pub fn push(&mut self, now: Timestamp, width: Duration) {
        let oldest = now - width;
        self.0.retain(|at| *at > oldest);
        self.0.push(now);
    }

    /// What happened at this moment is undone.
    pub fn undo(&mut self, at: Timestamp) {
        if let Some(place) = self.0.iter().rposition(|it| *it == at) {
            self.0.remove(place);
        }
    }

    /// The latest.
    pub fn last(&self) -> Option<Timestamp> {
        self.0.last().copied()
    }

    /// Nothing counts as later than now: the clock may have been set back. `true`: something would have.
    pub fn clamp(&mut self, now: Timestamp) -> bool {
        let ahead = self.last().is_some_and(|at| at > now);
        self.0.iter_mut().for_each(|at| *at = (*at).min(now));
        ahead
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: Duration = Duration::from_secs(1);

    #[test]
    fn a_window_is_full_until_the_oldest_that_counts_leaves_it() {
        let mut window = Window::default();
        let at = |secs: u64| Timestamp(1_000_000_000) + S * secs as u32;
        assert_eq!(window.full(1, MINUTE, at(0)), None);
        window.push(at(0), MINUTE);
        window.push(at(10), MINUTE);
        assert_eq!(window.full(0, MINUTE, at(10)), None, "0 is no limit");
        assert_eq!(window.full(3, MINUTE, at(10)), None);
        assert_eq!(window.full(2, MINUTE, at(10)), Some(at(60)));
        assert_eq!(window.full(1, MINUTE, at(10)), Some(at(70)));
        assert_eq!(window.full(2, MINUTE, at(60)), None, "the end itself is outside");
        window.push(at(61), MINUTE);
        assert_eq!(window.0, [at(10), at(61)]);
        window.undo(at(61));
        assert_eq!(window.last(), Some(at(10)));
    }

    #[test]
    fn a_clock_that_was_set_back_makes_nothing_later_than_now() {
        let mut window = Window::default();
        window.push(Timestamp(90), S);
        assert!(window.clamp(Timestamp(5)) && !window.clamp(Timestamp(5)));
        assert_eq!(window.full(1, S, Timestamp(5)), Some(Timestamp(5) + S));
    }
}
