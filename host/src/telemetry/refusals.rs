//! One line for what anybody can cause as often as he likes, then a count per minute.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// So long no second line is written of the same refusal.
pub(crate) const WINDOW: Duration = Duration::from_secs(60);
/// Most refusals that are told apart; the rest is counted together.
const MOST: usize = 256;

/// What was refused lately: by what was asked, who is meant (a plugin, a product, an address), and why.
#[derive(Debug, Default)]
pub struct Refusals(Mutex<HashMap<Key, Seen>>);

type Key = (&'static str, String, String);

#[derive(Debug)]
struct Seen {
    since: Instant,
    untold: u64,
}

/// Refusals of one kind that no line was written of.
#[derive(Debug, PartialEq, Eq)]
struct Untold {
    key: Key,
    count: u64,
}

impl Refusals {
    /// Has `line` write one where none was written for a minute, else counts.
    pub fn say(&self, what: &'static str, whom: &str, why: &str, line: impl FnOnce()) {
        let (first, told) = self.count((what, whom.to_owned(), why.to_owned()), Instant::now());
        told.iter().for_each(Untold::tell);
        if first {
            line();
        }
    }

    /// Writes the counts of the minutes that are over.
    pub fn tell(&self) {
        self.due(Instant::now()).iter().for_each(Untold::tell);
    }

    /// Whether a line is due, and what is to be told before it.
    fn count(&self, mut key: Key, now: Instant) -> (bool, Option<Untold>) {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.len() >= MOST && !seen.contains_key(&key) {
            key = (key.0, "others".to_owned(), "any".to_owned());
        }
        match seen.entry(key) {
            Entry::Vacant(entry) => {
                entry.insert(Seen { since: now, untold: 0 });
                (true, None)
            }
            Entry::Occupied(mut entry) if now.duration_since(entry.get().since) < WINDOW => {
                entry.get_mut().untold += 1;
                (false, None)
            }
            Entry::Occupied(mut entry) => {
                let Seen { untold, .. } = entry.insert(Seen { since: now, untold: 0 });
                let key = entry.key().clone();
                (true, (untold > 0).then_some(Untold { key, count: untold }))
            }
        }
    }

    /// What is to be told of the minutes that are over. What stayed away for one is forgotten.
    fn due(&self, now: Instant) -> Vec<Untold> {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut due = Vec::new();
        seen.retain(|key, it| {
            if now.duration_since(it.since) < WINDOW {
                return true;
            }
            if it.untold == 0 {
                return false;
            }
            due.push(Untold { key: key.clone(), count: it.untold });
            *it = Seen { since: now, untold: 0 };
            true
        });
        due
    }
}

impl Untold {
    fn tell(&self) {
        let Self { key: (what, whom, why), count } = self;
        tracing::info!(what, whom, why, count, window = ?WINDOW, "the same was refused again and again since its last line");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(whom: &str) -> Key {
        ("webhook", whom.to_owned(), "signature".to_owned())
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_of_a_minute_has_a_line_and_the_others_are_counted() {
        let (refusals, start) = (Refusals::default(), Instant::now());
        assert_eq!(refusals.count(key("a"), start), (true, None));
        for _ in 0..1000 {
            assert_eq!(refusals.count(key("a"), start + WINDOW / 2), (false, None));
        }
        assert_eq!(refusals.count(key("b"), start), (true, None), "another has its own line");
        assert!(refusals.due(start + WINDOW / 2).is_empty());
        // Whether or not more come, the count is told once the minute is over.
        let told = Untold { key: key("a"), count: 1000 };
        assert_eq!(refusals.due(start + WINDOW), [told]);
        assert_eq!(refusals.count(key("a"), start + WINDOW), (false, None));
        let told = Untold { key: key("a"), count: 1 };
        assert_eq!(refusals.count(key("a"), start + 3 * WINDOW), (true, Some(told)));
        assert!(refusals.due(start + 5 * WINDOW).is_empty());
        assert!(refusals.0.lock().unwrap().is_empty(), "nothing is kept of what is over");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_told_apart_is_bounded() {
        let (refusals, start) = (Refusals::default(), Instant::now());
        let lines = (0..10_000).filter(|n| refusals.count(key(&n.to_string()), start).0).count();
        assert_eq!(lines, MOST + 1);
    }
}
