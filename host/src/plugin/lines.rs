//! The latest lines that a plugin wrote, for people who ask. In memory, bounded in lines and bytes.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use crate::clock::Clock;

/// Lines that are kept.
const MOST_LINES: usize = 200;
/// Bytes of their texts that are kept.
const MOST_BYTES: usize = 64 << 10;

/// A line that a plugin wrote: by `log`, or to a standard stream. Its text is cleaned of what steers a terminal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// Its number, counted from 1 since the start of the host.
    pub number: u64,
    /// When, in seconds since the Unix epoch.
    pub at: f64,
    /// `error`, `warn`, `info`, `debug`, `trace`.
    pub level: String,
    /// What it says.
    pub text: String,
}

/// The latest lines of one plugin, whatever its version.
#[derive(Default)]
pub(super) struct Lines(Mutex<Ring>);

#[derive(Default)]
struct Ring {
    lines: VecDeque<Line>,
    bytes: usize,
    written: u64,
}

impl Lines {
    /// Remembers a line; the oldest go for it.
    pub(super) fn add(&self, level: tracing::Level, text: &str) {
        let at = Clock::system().now().as_secs_f64();
        let level = level.as_str().to_ascii_lowercase();
        let mut ring = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        ring.written += 1;
        let number = ring.written;
        ring.bytes += text.len();
        ring.lines.push_back(Line { number, at, level, text: text.to_owned() });
        while ring.lines.len() > MOST_LINES || ring.bytes > MOST_BYTES {
            let Some(gone) = ring.lines.pop_front() else { break };
            ring.bytes -= gone.text.len();
        }
    }

    /// The latest `limit` lines behind the one of this number. A number that is still to come is one of another start:
    /// then all of them are.
    pub(super) fn behind(&self, number: u64, limit: usize) -> Vec<Line> {
        let ring = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let number = if number > ring.written { 0 } else { number };
        let new = ring.lines.iter().filter(|line| line.number > number);
        let skipped = new.clone().count().saturating_sub(limit);
        new.skip(skipped).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    #[test]
    fn the_latest_are_kept_within_both_bounds_and_told_from_where_somebody_was() {
        let lines = Lines::default();
        for n in 1..=300 {
            lines.add(Level::INFO, &n.to_string());
        }
        let all = lines.behind(0, 1000);
        assert_eq!((all.len(), all[0].number, &*all[199].text), (200, 101, "300"));
        assert_eq!(lines.behind(298, 1000).len(), 2);
        assert_eq!(lines.behind(0, 3)[0].number, 298);
        assert_eq!(lines.behind(300, 10), []);
        assert_eq!(lines.behind(301, 10).len(), 10, "a number of the start before");
        for _ in 0..20 {
            lines.add(Level::WARN, &"x".repeat(4096));
        }
        assert_eq!(lines.behind(0, 1000).len(), 16);
    }
}
