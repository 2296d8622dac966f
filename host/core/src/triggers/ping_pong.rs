//! `ping-pong`: somebody goes back and forth between pages.

use serde_json::{Map, Value, json};

use super::context::Context;
use super::pages::Part;

/// Different pages that hesitation takes, where nothing else is said.
pub const MIN_PAGES: usize = 3;

/// Going back and forth: from a page to another and straight back, or over several pages back to one of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PingPong {
    /// Where it counts.
    pub part: Part,
    /// So many returns at least; 1 or more.
    pub min_cycles: usize,
    /// Whether hesitation counts too, and with how many different pages.
    pub hesitation: Option<usize>,
}

impl Default for PingPong {
    fn default() -> Self {
        Self { part: Part::everywhere(), min_cycles: 1, hesitation: Some(MIN_PAGES) }
    }
}

impl PingPong {
    /// What was found, as metadata; `None` where nothing was.
    pub(super) fn find(&self, context: &Context<'_>) -> Option<Map<String, Value>> {
        let visits = &context.visits;
        if !self.part.was_visited(visits) {
            return None;
        }
        let mut matched = Vec::new();
        if visits.returns(&self.part) >= self.min_cycles.max(1) {
            matched.push("strict_ping_pong");
        }
        if self.hesitation.is_some_and(|pages| visits.hesitates(&self.part, pages, 1)) {
            matched.push("hesitation_distinct_with_revisit");
        }
        if matched.is_empty() {
            return None;
        }
        let mut found = Map::new();
        found.insert("matched".to_owned(), json!(matched));
        found.insert("min_cycles".to_owned(), json!(self.min_cycles));
        if let Some(pages) = self.hesitation {
            found.insert("hesitation_min_distinct".to_owned(), json!(pages));
        }
        if !self.part.is_everywhere() {
            found.insert("scoped_canonical_url_contains".to_owned(), json!(self.part.text()));
        }
        Some(found)
    }
}
