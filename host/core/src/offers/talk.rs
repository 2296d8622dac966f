//! What is known of a conversation: who wrote when, whether it is closed, which triggers made offers in it. Nothing of
//! what was written.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::refusal::Refusal;
use crate::clock::Timestamp;
use crate::rules::Offers as Rules;
use crate::session::turn::Meaning;

/// So many triggers are remembered of a conversation.
const MAX_FIRED: usize = 256;
/// So many messages of a conversation are remembered by their marks.
const MAX_HEARD: usize = 64;
/// Typing is put on record once in so long.
const TYPING: Duration = Duration::from_secs(5);

/// A conversation.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Talk {
    /// When a human agent wrote or typed last.
    pub agent_at: Option<Timestamp>,
    /// Whether a human agent wrote since the conversation was opened, or opened again.
    pub has_agent: bool,
    /// When the person wrote or typed last.
    pub person_at: Option<Timestamp>,
    /// Whether it is closed.
    pub closed: bool,
    /// When the person's latest message that was answered here was heard: what they did since is new to whoever
    /// answers next.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answered_at: Option<Timestamp>,
    /// By trigger: until when it makes no other offer here.
    fired: BTreeMap<String, Timestamp>,
    /// Marks of the messages that were heard, the latest last, so that none is answered twice.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    heard: Vec<u64>,
    /// When something last changed.
    pub at: Timestamp,
}

impl Talk {
    /// What was stored, where the clock may have been set back since: nothing counts as later than now.
    #[must_use]
    pub fn taken_up(mut self, now: Timestamp) -> Self {
        let set_back = self.at.0.saturating_sub(now.0).max(0);
        let heard = [&mut self.agent_at, &mut self.person_at, &mut self.answered_at];
        for time in heard.into_iter().flatten().chain(self.fired.values_mut()) {
            time.0 = time.0.saturating_sub(set_back);
        }
        self.at = self.at.min(now);
        self
    }

    /// Something happened in it. `false`: nothing that must be stored.
    pub fn on_turn(&mut self, meaning: Meaning, now: Timestamp) -> bool {
        let soon = |at: Option<Timestamp>| at.is_some_and(|at| at <= now && now.since(at) < TYPING);
        match meaning {
            Meaning::PersonWrote => {
                self.person_at = Some(now);
                self.closed = false;
            }
            Meaning::PersonTypes if soon(self.person_at) => return false,
            Meaning::AgentTypes if soon(self.agent_at) => return false,
            Meaning::PersonTypes => self.person_at = Some(now),
            Meaning::AgentTypes => self.agent_at = Some(now),
            Meaning::AgentWrote => {
                self.agent_at = Some(now);
                self.has_agent = true;
            }
            Meaning::Closed => {
                self.closed = true;
                self.has_agent = false;
            }
            Meaning::Reopened => self.closed = false,
            Meaning::PersonReacted | Meaning::Nothing => return false,
        }
        self.at = now;
        true
    }

    /// A message with this [mark](crate::replies::question::mark) was heard. `false`: it was before.
    pub fn hear(&mut self, mark: u64) -> bool {
        if self.heard.contains(&mark) {
            return false;
        }
        let excess = (self.heard.len() + 1).saturating_sub(MAX_HEARD);
        self.heard.drain(..excess);
        self.heard.push(mark);
        true
    }

    /// A message that was heard at this moment is answered. One that was heard before another that is answered changes
    /// nothing.
    pub fn answered(&mut self, heard_at: Timestamp, now: Timestamp) {
        self.answered_at = self.answered_at.max(Some(heard_at));
        self.at = now;
    }

    /// Whether a trigger's help was offered here a short time ago.
    ///
    /// # Errors
    /// It was.
    pub fn check_trigger(&self, trigger: &str, now: Timestamp) -> Result<(), Refusal> {
        match self.fired.get(trigger) {
            Some(until) if *until > now => Err(Refusal::TriggerCoolingDown { until: *until }),
            Some(_) | None => Ok(()),
        }
    }

    /// Whether somebody writes, or wrote a short time ago.
    ///
    /// # Errors
    /// Who did.
    pub fn check_quiet(&self, rules: &Rules, now: Timestamp) -> Result<(), Refusal> {
        let quiet =
            |at: Option<Timestamp>, time| at.map(|at| at + time).filter(|until| *until > now);
        if let Some(until) = quiet(self.agent_at, rules.quiet_after_agent) {
            return Err(Refusal::AgentWrote { until });
        }
        match quiet(self.person_at, rules.quiet_after_person) {
            Some(until) => Err(Refusal::PersonActive { until }),
            None => Ok(()),
        }
    }

    /// A trigger's help is offered here.
    pub fn fire(&mut self, trigger: &str, cooldown: Duration, now: Timestamp) {
        self.fired.retain(|_, until| *until > now);
        while self.fired.len() >= MAX_FIRED
            && let Some(first) = self.fired.iter().min_by_key(|(_, until)| **until)
        {
            let first = first.0.clone();
            self.fired.remove(&first);
        }
        self.fired.insert(trigger.to_owned(), now + cooldown);
        self.at = now;
    }

    /// The help of a trigger was never offered: it may be at any time.
    pub fn undo(&mut self, trigger: &str, now: Timestamp) {
        self.fired.remove(trigger);
        self.at = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T: Timestamp = Timestamp(1_700_000_000_000_000);
    const S: Duration = Duration::from_secs(1);

    #[test]
    fn an_agent_or_the_person_keeps_offers_away_for_a_while() {
        let rules =
            Rules { quiet_after_agent: S * 100, quiet_after_person: S * 10, ..Rules::default() };
        let mut talk = Talk::default();
        assert_eq!(talk.check_quiet(&rules, T), Ok(()));
        assert!(talk.on_turn(Meaning::PersonTypes, T));
        assert!(!talk.on_turn(Meaning::PersonTypes, T + S), "typing is put on record now and then");
        assert_eq!(
            talk.check_quiet(&rules, T + S),
            Err(Refusal::PersonActive { until: T + S * 10 })
        );
        assert!(talk.on_turn(Meaning::AgentWrote, T + S));
        assert_eq!(
            talk.check_quiet(&rules, T + S * 50),
            Err(Refusal::AgentWrote { until: T + S * 101 })
        );
        assert_eq!(talk.check_quiet(&rules, T + S * 101), Ok(()));
        assert!(talk.has_agent);
        assert!(talk.on_turn(Meaning::Closed, T + S * 200));
        assert!(talk.closed && !talk.has_agent);
        assert!(talk.on_turn(Meaning::PersonWrote, T + S * 201));
        assert!(!talk.closed);
        assert!(!talk.on_turn(Meaning::Nothing, T + S * 202));
    }

    #[test]
    fn a_message_is_heard_once_as_long_as_it_is_remembered() {
        let mut talk = Talk::default();
        assert!(talk.hear(0) && !talk.hear(0));
        (1..=MAX_HEARD as u64).for_each(|mark| assert!(talk.hear(mark)));
        assert_eq!(talk.heard.len(), MAX_HEARD);
        assert!(!talk.hear(1) && talk.hear(0), "the oldest was forgotten");
    }

    #[test]
    fn a_trigger_waits_for_its_own_cooldown_and_for_no_others() {
        let mut talk = Talk::default();
        talk.fire("a", S * 30, T);
        assert_eq!(
            talk.check_trigger("a", T + S),
            Err(Refusal::TriggerCoolingDown { until: T + S * 30 })
        );
        assert_eq!(talk.check_trigger("b", T + S), Ok(()));
        assert_eq!(talk.check_trigger("a", T + S * 30), Ok(()));
        (0..MAX_FIRED as u64 * 2).for_each(|n| talk.fire(&n.to_string(), S * 30, T));
        assert!(talk.fired.len() <= MAX_FIRED);
    }

    #[test]
    fn after_the_clock_was_set_back_as_much_remains_as_did() {
        let mut talk = Talk::default();
        talk.fire("a", S * 30, T + S * 1000);
        talk.answered(T + S * 990, T + S * 1000);
        talk.answered(T + S * 980, T + S * 1000);
        let talk = talk.taken_up(T);
        assert_eq!(
            talk.check_trigger("a", T),
            Err(Refusal::TriggerCoolingDown { until: T + S * 30 })
        );
        assert_eq!(talk.answered_at, Some(T - S * 10));
    }
}
