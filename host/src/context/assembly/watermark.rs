//! Up to when a conversation's person was answered.

use std::hash::Hash;
use std::num::NonZeroUsize;

use lru::LruCache;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::clock::Timestamp;
use crate::session::event_time::usable;

/// When the person's latest message that was answered was written. It never goes back: a message that comes late makes
/// nothing new again that was told before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Watermark(Option<Timestamp>);

impl Watermark {
    /// Of a conversation in which the latest message that was answered is of this time.
    pub fn at(answered: Option<Timestamp>) -> Self {
        Self(answered)
    }

    /// Since when what was done is new to the conversation; `None` where nothing was answered.
    pub fn cutoff(self) -> Option<Timestamp> {
        self.0
    }

    /// A message of this time was answered.
    pub fn advance(&mut self, at: Timestamp) {
        self.0 = self.0.max(Some(at));
    }
}

/// The watermarks of conversations, by whatever names a conversation: those that were used last.
pub struct Watermarks<K: Hash + Eq> {
    marks: LruCache<K, Watermark>,
}

impl<K: Hash + Eq> Watermarks<K> {
    /// Without any; at most so many are kept.
    pub fn new(most: NonZeroUsize) -> Self {
        Self { marks: LruCache::new(most) }
    }

    /// The watermark of a conversation; one that isn't known was never answered.
    pub fn of(&mut self, conversation: &K) -> Watermark {
        self.marks.get(conversation).copied().unwrap_or_default()
    }

    /// A message of this time was answered in a conversation.
    pub fn advance(&mut self, conversation: K, at: Timestamp) {
        self.marks.get_or_insert_mut(conversation, Watermark::default).advance(at);
    }

    /// Forgets a conversation.
    pub fn forget(&mut self, conversation: &K) {
        self.marks.pop(conversation);
    }
}

impl<K: Hash + Eq> std::fmt::Debug for Watermarks<K> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watermarks").field("conversations", &self.marks.len()).finish()
    }
}

/// When a message was written, as a platform says it: a number of seconds, also as a text; otherwise `received`.
pub fn inbound_at(created_at: &Value, received: Timestamp) -> Timestamp {
    let text = created_at.as_str().and_then(|text| text.trim().parse().ok());
    let secs = created_at.as_f64().or(text).and_then(usable);
    secs.map_or(received, Timestamp::from_secs_f64)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_late_message_moves_nothing_back() {
        let mut mark = Watermark::default();
        assert_eq!(mark.cutoff(), None);
        for (at, cutoff) in [(10, 10), (30, 30), (20, 30), (30, 30), (40, 40)] {
            mark.advance(Timestamp(at));
            assert_eq!(mark.cutoff(), Some(Timestamp(cutoff)));
        }
    }

    #[test]
    fn no_more_conversations_are_known_than_there_may_be() {
        let mut marks = Watermarks::new(NonZeroUsize::new(2).unwrap());
        for conversation in ["a", "b", "c"] {
            marks.advance(conversation, Timestamp(1));
        }
        assert_eq!(marks.of(&"a"), Watermark::default());
        assert_eq!(marks.of(&"c").cutoff(), Some(Timestamp(1)));
        marks.forget(&"c");
        assert_eq!(marks.of(&"c"), Watermark::default());
    }

    #[test]
    fn a_time_that_is_none_is_the_moment_of_arrival() {
        let received = Timestamp(7_000_000);
        for odd in [json!(null), json!("soon"), json!(true), json!("nan"), json!([]), json!(1e300)]
        {
            assert_eq!(inbound_at(&odd, received), received, "{odd}");
        }
        assert_eq!(inbound_at(&json!(" 12.5 "), received), Timestamp(12_500_000));
        assert_eq!(
            inbound_at(&json!(1_700_000_000_123_u64), received),
            Timestamp(1_700_000_000_123_000)
        );
    }
}
