//! `page-dwell`: somebody stays on a page and does little.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::context::{Context, Stay};
use crate::clock::Timestamp;

/// Longest page in metadata, in characters.
const MAX_PAGE: usize = 512;

/// Staying on a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageDwell {
    /// For so long at least; above 0.
    pub threshold: Duration,
    /// With at most so many actions; who does more is busy.
    pub max_actions: usize,
}

impl Default for PageDwell {
    fn default() -> Self {
        Self { threshold: Duration::from_secs(60), max_actions: 5 }
    }
}

impl PageDwell {
    /// What was found, as metadata; `None` where nothing was.
    pub(super) fn find(&self, context: &Context<'_>) -> Option<Map<String, Value>> {
        let stay = self.quiet_stay(context)?;
        let length = stay.length(context.now);
        if length < self.threshold {
            return None;
        }
        let mut found = Map::new();
        let page: String = stay.page.chars().take(MAX_PAGE).collect();
        found.insert("user_page_dwell_seconds".to_owned(), json!(rounded(length)));
        found.insert("user_page_dwell_action_count".to_owned(), json!(stay.actions));
        found.insert("user_page_dwell_max_actions".to_owned(), json!(self.max_actions));
        found.insert("dwell_threshold_seconds".to_owned(), json!(self.threshold.as_secs_f64()));
        found.insert("user_page_dwell_canonical_url".to_owned(), json!(page));
        Some(found)
    }

    /// When it is found if nothing is done until then; `None` where it won't be, or is already.
    pub(super) fn next_look(&self, context: &Context<'_>) -> Option<Timestamp> {
        let stay = self.quiet_stay(context)?;
        (stay.length(context.now) < self.threshold).then(|| stay.since + self.threshold)
    }

    fn quiet_stay<'a>(&self, context: &Context<'a>) -> Option<Stay<'a>> {
        context.stay.filter(|stay| stay.actions <= self.max_actions)
    }
}

/// Seconds, to the millisecond.
fn rounded(length: Duration) -> f64 {
    (length.as_secs_f64() * 1e3).round() / 1e3
}
