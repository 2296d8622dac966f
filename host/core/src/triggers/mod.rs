//! Triggers: what in a session's latest actions is a reason to offer help. Pure: a context in, hits out.
//!
//! | module | owns |
//! |---|---|
//! | [`context`] | what triggers look at |
//! | [`pages`] | which pages somebody went to, in their order |
//! | [`ping_pong`], [`dwell`], [`sections`] | the built-in kinds |
//! | [`criteria`] | several triggers together |
//! | [`judge`] | what a model is asked about hits, and what its answer means |
//! | [`config`], [`configured`] | how triggers are written, and what can be wrong with that |
//!
//! A trigger decides and sends nothing. Plugins are asked by whoever evaluates: see [`Outcome::Ask`].

pub mod config;
pub mod configured;
pub mod context;
pub mod criteria;
pub mod dwell;
pub mod fault;
pub mod judge;
pub mod pages;
pub mod ping_pong;
pub mod sections;

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::clock::Timestamp;
use crate::ids::PluginName;
use crate::offers::content::{COOLDOWN_S, INTERACTION_TIMEOUT_S, NoOffer, Offer};
use context::Context;
use criteria::{Criteria, Holds};
use dwell::PageDwell;
use ping_pong::PingPong;
use sections::{PlaybookRow, SectionPlaybook};

/// The id of the built-in trigger of kind `ping-pong`.
pub const PING_PONG: &str = "canonical_url_ping_pong";
/// The id of the built-in trigger of kind `page-dwell`.
pub const PAGE_DWELL: &str = "user_page_dwell";
/// The id that a trigger of kind `section-playbook` has at autoplay-sdk.
pub const SECTION_PLAYBOOK: &str = "section_playbook_match";
/// What a ping-pong offers where nothing else is said.
pub const PING_PONG_TEXT: &str = "Need my expert help?";
/// What a page dwell offers where nothing else is said.
pub const PAGE_DWELL_TEXT: &str = "Still on this page — want a quick tip?";

/// Triggers that criteria can name without their being configured.
const BUILT_IN: [&str; 2] = [PING_PONG, PAGE_DWELL];

/// A trigger that criteria can name without its being configured, with its defaults.
fn built_in(id: &str) -> Option<Trigger> {
    match id {
        PING_PONG => Some(Trigger::of(PING_PONG, Kind::PingPong(PingPong::default()))),
        PAGE_DWELL => Some(Trigger::of(PAGE_DWELL, Kind::PageDwell(PageDwell::default()))),
        _ => None,
    }
}

/// Whether a hit is offered at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// At once.
    Instant,
    /// When a model finds that it helps at that moment.
    Judged,
}

impl Mode {
    /// The mode that is called so in a configuration.
    pub fn named(name: &str) -> Option<Self> {
        [Self::Instant, Self::Judged].into_iter().find(|mode| mode.name() == name)
    }

    /// What it is called in a configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::Instant => "instant",
            Self::Judged => "judged",
        }
    }
}

/// How long an offer waits, and how long no other is made afterwards.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Times {
    /// For the person, once the platform accepted it, in seconds.
    pub interaction_timeout_s: f64,
    /// Once it is over, in seconds.
    pub cooldown_s: f64,
}

impl Default for Times {
    fn default() -> Self {
        Self { interaction_timeout_s: INTERACTION_TIMEOUT_S, cooldown_s: COOLDOWN_S }
    }
}

/// An answer that can be clicked, as a configuration has it.
#[derive(Clone, PartialEq, Eq)]
pub struct Choice {
    /// What the person reads.
    pub label: String,
    /// The tour (`user_tour_id`) that it leads to.
    pub tour: Option<String>,
}

impl std::fmt::Debug for Choice {
    /// The label is left out.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Choice").field("tour", &self.tour).finish_non_exhaustive()
    }
}

/// One trigger of a product.
#[derive(Clone, PartialEq)]
pub struct Trigger {
    /// Its id, unique among the product's.
    pub id: String,
    /// Whether its hits are offered at once.
    pub mode: Mode,
    /// What it offers; `None` for what its kind offers by default. A plugin and a playbook have texts of their own.
    pub text: Option<String>,
    /// What can be clicked.
    pub options: Vec<Choice>,
    /// How long its offers wait.
    pub times: Times,
    /// Whether its own hits are offered. Otherwise it is a condition of criteria and nothing else.
    pub alone: bool,
    /// When it hits.
    pub kind: Kind,
}

impl std::fmt::Debug for Trigger {
    /// The text is left out.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Trigger")
            .field("id", &self.id)
            .field("mode", &self.mode)
            .field("options", &self.options)
            .field("times", &self.times)
            .field("alone", &self.alone)
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

/// When a trigger hits.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// Somebody goes back and forth between pages.
    PingPong(PingPong),
    /// Somebody stays on a page.
    PageDwell(PageDwell),
    /// Somebody is in a section for which something is offered.
    SectionPlaybook(SectionPlaybook),
    /// Other triggers hit together.
    Criteria(Criteria),
    /// A plugin that exports `trigger` says so.
    Plugin(PluginName),
}

impl Trigger {
    /// A trigger with the defaults for everything else.
    pub fn of(id: &str, kind: Kind) -> Self {
        Self {
            id: id.to_owned(),
            mode: Mode::Judged,
            text: None,
            options: Vec::new(),
            times: Times::default(),
            alone: true,
            kind,
        }
    }

    fn default_text(&self) -> &str {
        let of_kind = match self.kind {
            Kind::PingPong(_) => PING_PONG_TEXT,
            Kind::PageDwell(_) => PAGE_DWELL_TEXT,
            Kind::SectionPlaybook(_) | Kind::Criteria(_) | Kind::Plugin(_) => "",
        };
        let said = self.text.as_deref().filter(|text| !text.trim().is_empty());
        said.unwrap_or(of_kind)
    }

    /// A hit with this text and these options.
    fn hit(&self, text: &str, options: &[Choice], found: Map<String, Value>) -> Outcome {
        let options = options.iter().map(|choice| (choice.label.as_str(), choice.tour.as_deref()));
        let offer = Offer::new(&self.id, text, options).and_then(|offer| {
            offer.with_times(self.times.interaction_timeout_s, self.times.cooldown_s)
        });
        match offer {
            Ok(offer) => Outcome::Hit(Hit { offer, mode: self.mode, metadata: found }),
            Err(reason) => Outcome::Failed(Failure::NoOffer(reason)),
        }
    }

    fn own_hit(&self, found: Option<Map<String, Value>>) -> Outcome {
        found.map_or(Outcome::No, |found| self.hit(self.default_text(), &self.options, found))
    }

    /// What it says by itself; of criteria, what the others come to isn't known here.
    fn look(&self, context: &Context<'_>, answers: &Answers) -> Outcome {
        match &self.kind {
            Kind::PingPong(kind) => self.own_hit(kind.find(context)),
            Kind::PageDwell(kind) => self.own_hit(kind.find(context)),
            Kind::SectionPlaybook(kind) => match kind.find(context) {
                None => Outcome::No,
                Some((PlaybookRow { text, options }, found)) => {
                    let options = if options.is_empty() { &self.options } else { options };
                    self.hit(text, options, found)
                }
            },
            Kind::Criteria(_) => Outcome::No,
            Kind::Plugin(plugin) => match answers.0.get(plugin) {
                None => Outcome::Ask(plugin.clone()),
                Some(Answer::Nothing) => Outcome::No,
                Some(Answer::Failed(reason)) => Outcome::Failed(Failure::Plugin(reason.clone())),
                Some(Answer::Offer { text, options }) => self.hit(text, options, Map::new()),
            },
        }
    }
}

/// What plugins answered that were asked, by their names.
#[derive(Debug, Clone, Default)]
pub struct Answers(pub BTreeMap<PluginName, Answer>);

/// What a plugin answered.
#[derive(Clone, PartialEq, Eq)]
pub enum Answer {
    /// It wants this to be offered.
    Offer {
        /// The text.
        text: String,
        /// What can be clicked.
        options: Vec<Choice>,
    },
    /// It wants nothing.
    Nothing,
    /// It failed, or took too long; in words, without anything of the person.
    Failed(String),
}

impl std::fmt::Debug for Answer {
    /// The texts are left out: they may tell of the person.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Offer { .. } => "Offer(..)",
            Self::Nothing => "Nothing",
            Self::Failed(_) => "Failed(..)",
        })
    }
}

/// A trigger's wish that help be offered.
#[derive(Clone, PartialEq)]
pub struct Hit {
    /// The offer.
    pub offer: Offer,
    /// Whether it is made at once.
    pub mode: Mode,
    /// Which check matched, durations, counts, the section: what a person who looks at the decision wants to know.
    pub metadata: Map<String, Value>,
}

impl std::fmt::Debug for Hit {
    /// What was found is left out.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hit")
            .field("offer", &self.offer)
            .field("mode", &self.mode)
            .finish_non_exhaustive()
    }
}

/// What a trigger says of a context.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// Help is to be offered.
    Hit(Hit),
    /// It isn't.
    No,
    /// That depends on this plugin: ask it, and evaluate again with its answer.
    Ask(PluginName),
    /// It couldn't be said; to be counted. The other triggers are evaluated all the same.
    Failed(Failure),
}

/// Why a trigger couldn't say anything.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// What it wants to be offered is no offer.
    #[error("what it wants to be offered can't be: {0}")]
    NoOffer(NoOffer),
    /// The plugin failed.
    #[error("its plugin failed: {0}")]
    Plugin(String),
}

/// The triggers of a product, in their order.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Triggers(Vec<Trigger>);

impl Triggers {
    /// These triggers.
    ///
    /// # Errors
    /// Those that don't fit to the others: an id that stands twice, criteria that name what isn't there.
    pub fn of(triggers: Vec<Trigger>) -> Result<Self, Vec<config::ConfigError>> {
        let mut errors = Vec::new();
        let listed = triggers.into_iter().enumerate().collect();
        let joined = config::join(listed, &config::Path::top("triggers"), &mut errors);
        if errors.is_empty() { Ok(joined) } else { Err(errors) }
    }

    /// The triggers.
    pub fn iter(&self) -> impl Iterator<Item = &Trigger> {
        self.0.iter()
    }

    /// The plugins that are asked, as often as triggers name them.
    pub fn plugins(&self) -> impl Iterator<Item = &PluginName> {
        self.0.iter().filter_map(|trigger| match &trigger.kind {
            Kind::Plugin(plugin) => Some(plugin),
            Kind::PingPong(_)
            | Kind::PageDwell(_)
            | Kind::SectionPlaybook(_)
            | Kind::Criteria(_) => None,
        })
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The same without those that need a judge, where there is none. Criteria that name one of them keep it as a
    /// condition.
    #[must_use]
    pub fn without_judged(mut self) -> Self {
        for trigger in self.0.iter_mut().filter(|trigger| trigger.mode == Mode::Judged) {
            trigger.alone = false;
        }
        let named: Vec<_> = self
            .0
            .iter()
            .filter(|trigger| trigger.alone)
            .flat_map(|trigger| match &trigger.kind {
                Kind::Criteria(tree) => {
                    tree.leaves().into_iter().map(|leaf| leaf.trigger.clone()).collect()
                }
                Kind::PingPong(_)
                | Kind::PageDwell(_)
                | Kind::SectionPlaybook(_)
                | Kind::Plugin(_) => Vec::new(),
            })
            .collect();
        self.0.retain(|trigger| trigger.alone || named.contains(&trigger.id));
        self
    }

    /// What each trigger says that is offered alone, in order. `answers` are those of the plugins that were asked.
    pub fn evaluate(&self, context: &Context<'_>, answers: &Answers) -> Vec<(&Trigger, Outcome)> {
        let own: BTreeMap<&str, Outcome> = self
            .0
            .iter()
            .map(|trigger| (trigger.id.as_str(), trigger.look(context, answers)))
            .collect();
        let outcome = |trigger: &Trigger| match &trigger.kind {
            Kind::Criteria(tree) => self.of_criteria(trigger, tree, &own, context),
            Kind::PingPong(_) | Kind::PageDwell(_) | Kind::SectionPlaybook(_) | Kind::Plugin(_) => {
                own.get(trigger.id.as_str()).cloned().unwrap_or(Outcome::No)
            }
        };
        self.0
            .iter()
            .filter(|trigger| trigger.alone)
            .map(|trigger| (trigger, outcome(trigger)))
            .collect()
    }

    fn of_criteria(
        &self,
        trigger: &Trigger,
        tree: &Criteria,
        own: &BTreeMap<&str, Outcome>,
        context: &Context<'_>,
    ) -> Outcome {
        let of_leaf = |id: &str| match own.get(id) {
            Some(outcome) => outcome.clone(),
            None => {
                built_in(id).map_or(Outcome::No, |leaf| leaf.look(context, &Answers::default()))
            }
        };
        let holds = tree.holds(&|id| match of_leaf(id) {
            Outcome::Hit(_) => Holds::Yes,
            Outcome::Ask(plugin) => Holds::Depends(plugin),
            // A condition that can't be said doesn't hold; its failure is told at its own trigger.
            Outcome::No | Outcome::Failed(_) => Holds::No,
        });
        match holds {
            Holds::No => Outcome::No,
            Holds::Depends(plugin) => Outcome::Ask(plugin),
            Holds::Yes => {
                let mut conditions = Map::new();
                for leaf in tree.leaves() {
                    if let Outcome::Hit(hit) = of_leaf(&leaf.trigger) {
                        conditions.insert(leaf.trigger.clone(), hit.metadata.into());
                    }
                }
                let mut found = Map::new();
                found.insert("criteria_id".to_owned(), json!(tree.id()));
                found.insert("conditions".to_owned(), conditions.into());
                trigger.own_hit(Some(found))
            }
        }
    }

    /// When to look again although nothing is done until then: a page dwell is found by silence. `None` where
    /// silence changes nothing.
    pub fn next_look(&self, context: &Context<'_>) -> Option<Timestamp> {
        let of_kind = |kind: &Kind| match kind {
            Kind::PageDwell(kind) => kind.next_look(context),
            Kind::Criteria(tree) => {
                let named = |id: &str| self.0.iter().any(|trigger| trigger.id == id);
                let leaves = tree.leaves();
                let mut unnamed = leaves.iter().filter(|leaf| !named(&leaf.trigger));
                let dwells = unnamed.any(|leaf| leaf.trigger == PAGE_DWELL);
                dwells.then(PageDwell::default).and_then(|kind| kind.next_look(context))
            }
            Kind::PingPong(_) | Kind::SectionPlaybook(_) | Kind::Plugin(_) => None,
        };
        self.0.iter().filter_map(|trigger| of_kind(&trigger.kind)).min()
    }
}

#[cfg(test)]
mod tests;
