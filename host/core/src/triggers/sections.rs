//! `section-playbook`: which part of an application somebody is in, and what is offered there.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::Choice;
use super::context::{Context, Seen};
use crate::clock::Timestamp;

/// The section of pages that no rule covers.
pub const OTHER: &str = "other";

/// Pages whose address begins with a text belong to a section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SectionRule {
    /// How the address begins.
    pub prefix: String,
    /// The section's name.
    pub section: String,
}

/// The sections of an application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sections {
    rules: Vec<SectionRule>,
    other: String,
}

impl Default for Sections {
    fn default() -> Self {
        Self::of([])
    }
}

impl Sections {
    /// Sections by rules of which the first that fits counts. A rule with a blank half covers nothing.
    pub fn of(rules: impl IntoIterator<Item = SectionRule>) -> Self {
        let rules = rules.into_iter().map(|SectionRule { prefix, section }| SectionRule {
            prefix: prefix.trim().to_owned(),
            section: section.trim().to_owned(),
        });
        let rules = rules.filter(|rule| !rule.prefix.is_empty() && !rule.section.is_empty());
        Self { rules: rules.collect(), other: OTHER.to_owned() }
    }

    /// The same with another name for what no rule covers; a blank one is [`OTHER`].
    #[must_use]
    pub fn with_other(mut self, name: &str) -> Self {
        if !name.trim().is_empty() {
            name.trim().clone_into(&mut self.other);
        }
        self
    }

    /// The section of a page; `None` where no rule covers it.
    pub fn section(&self, page: &str) -> Option<&str> {
        let page = page.trim();
        let rule = self.rules.iter().find(|rule| page.starts_with(&rule.prefix))?;
        Some(&rule.section)
    }

    /// Whether there is no rule.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }
}

/// How somebody was in one section.
#[derive(Debug, Clone, PartialEq)]
pub struct SectionTime {
    /// How often.
    pub visits: u64,
    /// What they did there took so long, a length for each visit. Pauses between actions don't count.
    pub dwell: Vec<Duration>,
    /// When the first action there began.
    pub first: Timestamp,
    /// When the last action there ended.
    pub last: Timestamp,
}

/// How somebody was in the sections of an application.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Metrics {
    /// By the section's name.
    pub sections: BTreeMap<String, SectionTime>,
    /// The section of the last action; empty where there is none.
    pub current: String,
}

impl Metrics {
    /// The metrics of some actions. Without rules there are no sections.
    pub fn of(actions: &[Seen<'_>], sections: &Sections) -> Self {
        let mut metrics = Self::default();
        if sections.is_empty() {
            return metrics;
        }
        for seen in actions {
            let section = sections.section(seen.page).unwrap_or(&sections.other);
            let is_new_visit = metrics.current != section;
            if is_new_visit {
                section.clone_into(&mut metrics.current);
            }
            let time = metrics.sections.entry(section.to_owned()).or_insert(SectionTime {
                visits: 0,
                dwell: Vec::new(),
                first: seen.start,
                last: seen.end,
            });
            time.first = time.first.min(seen.start);
            time.last = time.last.max(seen.end);
            match time.dwell.last_mut() {
                Some(dwell) if !is_new_visit => *dwell = dwell.saturating_add(seen.length()),
                Some(_) | None => {
                    time.visits += 1;
                    time.dwell.push(seen.length());
                }
            }
        }
        metrics
    }

    /// The section with the longest dwell of those that `is_wanted`; among equals the one with more visits, then
    /// the first by name.
    pub fn top(&self, is_wanted: impl Fn(&str) -> bool) -> Option<&str> {
        let wanted = self.sections.iter().filter(|(name, _)| is_wanted(name));
        // The names come in order: the first of equals stays.
        let best = wanted.fold(None, |best: Option<(&String, (Duration, u64))>, (name, time)| {
            let rank = (time.dwell.iter().sum(), time.visits);
            match best {
                Some((_, high)) if high >= rank => best,
                Some(_) | None => Some((name, rank)),
            }
        });
        best.map(|(name, _)| name.as_str())
    }
}

/// What is offered in one section.
#[derive(Clone, PartialEq, Eq)]
pub struct PlaybookRow {
    /// The text.
    pub text: String,
    /// What can be clicked; the trigger's own options where it is empty.
    pub options: Vec<Choice>,
}

impl std::fmt::Debug for PlaybookRow {
    /// The text is left out.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PlaybookRow").field("options", &self.options).finish_non_exhaustive()
    }
}

/// Being in a section for which something is offered.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SectionPlaybook {
    /// The sections.
    pub sections: Sections,
    /// What is offered, by the section's name.
    pub playbook: BTreeMap<String, PlaybookRow>,
}

impl SectionPlaybook {
    /// The section whose row counts, with the row: the one that is said, else that with the longest dwell, else that
    /// of the last action; each only if the playbook has it.
    pub fn choose<'p>(
        &'p self,
        said: Option<&str>,
        metrics: &Metrics,
    ) -> Option<(&'p str, &'p PlaybookRow)> {
        let row = |name: &str| {
            let (name, row) = self.playbook.get_key_value(name.trim())?;
            Some((name.as_str(), row))
        };
        said.and_then(row)
            .or_else(|| metrics.top(|name| self.playbook.contains_key(name)).and_then(row))
            .or_else(|| row(&metrics.current))
    }

    /// The row that counts, and what was found, as metadata; `None` where nothing was.
    pub(super) fn find(&self, context: &Context<'_>) -> Option<(&PlaybookRow, Map<String, Value>)> {
        let metrics = Metrics::of(&context.actions, &self.sections);
        let (name, row) = self.choose(context.scope.section, &metrics)?;
        let mut found = Map::new();
        found.insert("section_id".to_owned(), json!(name));
        Some((row, found))
    }
}
