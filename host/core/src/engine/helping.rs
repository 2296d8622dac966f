//! Helping people: how each session and each conversation stands, and how often help was offered. In memory as far as
//! something happened lately; what waits for a moment stays there until then.

use serde::{Deserialize, Serialize};

use std::collections::HashMap;
use std::time::Duration;

use super::rows::{person_group, put, read, session_group};
use super::timers::Timers;
use super::tx::Tx;
use super::view::{Missing, View};
use crate::clock::Timestamp;
use crate::engine::rows::{Person, conversation_group};
use crate::ids::{ConversationId, PluginName, ProductId, SessionKey};
use crate::offers::content::Offer;
use crate::offers::help::Help;
use crate::offers::log::{Decided, Decision, Log};
use crate::offers::talk::Talk;
use crate::offers::window::Window;
use crate::rows::{Change, Group, Key, Table};
use crate::session::fsm::{FsmError, Interaction};
use crate::session::state::Target;
use crate::session::tour::TourRegistry;
use crate::session::turn::Meaning;

/// Where in its group a session's state stands.
const STATE: u64 = 0;
/// Where the decisions of its offers stand.
const LOG: u64 = 1;

/// What a trigger wants to be offered.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct OfferWish {
    /// Whose session.
    pub key: SessionKey,
    /// What is to be offered.
    pub offer: Offer,
    /// What was judged, where that took a while: where it isn't so any more, the offer is refused.
    pub as_of: Option<AsOf>,
    /// It is only asked whether it could be made: before a judge is asked about it, which costs something.
    pub ask_only: bool,
}

/// What a verdict is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AsOf {
    /// The version of the session's [`Help`]; 0 where it had none.
    pub version: u64,
    /// The conversation that it was linked to.
    pub target: Target,
}

/// Something that happened in a conversation.
#[derive(Clone, Serialize, Deserialize)]
pub struct Turn {
    /// The plugin that told of it.
    pub plugin: PluginName,
    /// Where.
    pub conversation: ConversationId,
    /// What it means.
    pub meaning: Meaning,
    /// The answer that was clicked, where the platform names it.
    pub option_id: Option<String>,
    /// What was written.
    pub text: Option<String>,
    /// What the platform calls the message, where it says.
    pub message_id: Option<String>,
}

impl std::fmt::Debug for Turn {
    /// The text is left out: people wrote it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Turn")
            .field("plugin", &self.plugin)
            .field("meaning", &self.meaning)
            .field("option_id", &self.option_id)
            .finish_non_exhaustive()
    }
}

/// How a session is helped is to be changed by the program around the product, or by an operator.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct HelpCommand {
    /// Whose session.
    pub key: SessionKey,
    /// The version that was read; where it is another one meanwhile, nothing is changed. `None`: whatever it is.
    pub expect: Option<u64>,
    /// What is to change.
    pub change: HelpChange,
}

/// A change of how a session is helped.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum HelpChange {
    /// The person did something.
    Interaction(Interaction),
    /// Help was offered, elsewhere than here.
    ToProactive,
    /// The person asked for help, elsewhere than here.
    ToReactive,
    /// A tour begins.
    StartTour(Option<String>),
    /// The tour ends.
    StopTour,
    /// No offers for so many seconds; `None`: for the session's own time.
    StartCooldown(Option<f64>),
    /// Offers may be made at once.
    ClearCooldown,
}

impl HelpChange {
    /// A word for the audit.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Interaction(_) => "interaction",
            Self::ToProactive => "to_proactive",
            Self::ToReactive => "to_reactive",
            Self::StartTour(_) => "start_tour",
            Self::StopTour => "stop_tour",
            Self::StartCooldown(_) => "start_cooldown",
            Self::ClearCooldown => "clear_cooldown",
        }
    }
}

/// Why nothing changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum HelpError {
    /// Nothing is known of the session.
    #[error("help: no such session is known; check the product's and the session's id")]
    NotFound,
    /// It changed since it was read.
    #[error("help: the session changed meanwhile and is at version {0}; read it again")]
    Version(u64),
    /// The state doesn't allow it.
    #[error(transparent)]
    State(FsmError),
    /// No help may be offered yet.
    #[error("help: the session cools down; clear the cooldown first, or wait")]
    CoolingDown,
    /// The engine waits for its store, or has ended.
    #[error("help: the host can't change anything at the moment; try again")]
    Unavailable,
}

/// What is in memory.
#[derive(Default)]
pub(super) struct Helping {
    help: HashMap<SessionKey, Help>,
    logs: HashMap<SessionKey, Log>,
    talks: HashMap<Target, Talk>,
    times: HashMap<Group, Window>,
    /// When a state ends.
    timers: Timers,
}

impl Helping {
    /// Reads how these sessions stand, where that isn't in memory.
    pub(super) fn load<'a>(
        &mut self,
        view: &View,
        keys: impl IntoIterator<Item = &'a SessionKey>,
        tx: &mut Tx,
    ) -> Result<(), Missing> {
        let missing = keys.into_iter().filter(|key| !self.help.contains_key(*key));
        let missing: Vec<_> = missing.cloned().collect();
        if missing.is_empty() {
            return Ok(());
        }
        let groups: Vec<_> = missing.iter().map(session_group).collect();
        let rows = view.load(Table::Help, &groups)?;
        for ((key, group), rows) in missing.into_iter().zip(groups).zip(rows) {
            let row = |number| rows.iter().find(|(n, _)| *n == number).map(|(_, value)| value);
            let help = row(STATE).map(|value| (value, read::<Help>(Table::Help, STATE, value)));
            if let Some((value, None)) = help {
                // Set aside, so that nothing overwrites it.
                let number = tx.now.as_millis();
                tx.push(Change::Put(Key { table: Table::Help, group, number }, value.clone()));
            }
            let help = help.and_then(|(_, help)| help).map(|help| {
                let set_back = help.is_ahead(tx.now);
                let help = help.taken_up(tx.now);
                if set_back {
                    // Or each start until the clock shows that time again would count from it anew.
                    tx.push(put(Table::Help, session_group(&key), STATE, &help));
                }
                help
            });
            let log = row(LOG).and_then(|value| read::<Log>(Table::Help, LOG, value));
            self.help.insert(key.clone(), help.unwrap_or_else(|| Help::new(tx.now)));
            self.logs.insert(key, log.unwrap_or_default());
        }
        Ok(())
    }

    /// Reads what is known of these conversations, where that isn't in memory.
    pub(super) fn load_talks<'a>(
        &mut self,
        view: &View,
        targets: impl IntoIterator<Item = &'a Target>,
        tx: &mut Tx,
    ) -> Result<(), Missing> {
        let missing = targets.into_iter().filter(|target| !self.talks.contains_key(*target));
        let missing: Vec<_> = missing.cloned().collect();
        let groups: Vec<_> = missing.iter().map(|(p, c)| conversation_group(p, c)).collect();
        let rows = view.load(Table::Talk, &groups)?;
        for (target, rows) in missing.into_iter().zip(rows) {
            let talk = rows.first().and_then(|(n, value)| read::<Talk>(Table::Talk, *n, value));
            let talk = talk.unwrap_or_default();
            let set_back = talk.at > tx.now;
            self.talks.insert(target.clone(), talk.taken_up(tx.now));
            if set_back {
                self.save_talk(&target, tx);
            }
        }
        Ok(())
    }

    /// Reads when offers were made, where that isn't in memory.
    pub(super) fn load_times<'a>(
        &mut self,
        view: &View,
        groups: impl IntoIterator<Item = &'a Group>,
        tx: &mut Tx,
    ) -> Result<(), Missing> {
        let missing = groups.into_iter().filter(|group| !self.times.contains_key(*group));
        let missing: Vec<_> = missing.cloned().collect();
        let rows = view.load(Table::OfferTimes, &missing)?;
        for (group, rows) in missing.into_iter().zip(rows) {
            let times = rows.first().and_then(|(n, it)| read::<Window>(Table::OfferTimes, *n, it));
            let mut times = times.unwrap_or_default();
            let set_back = times.clamp(tx.now);
            self.times.insert(group.clone(), times);
            if set_back {
                self.save_times(&group, tx);
            }
        }
        Ok(())
    }

    /// How a session stands, as far as it was read.
    pub(super) fn get_mut(&mut self, key: &SessionKey) -> Option<&mut Help> {
        self.help.get_mut(key)
    }

    /// What is known of a conversation, as far as it was read.
    pub(super) fn talk_mut(&mut self, target: &Target) -> Option<&mut Talk> {
        self.talks.get_mut(target)
    }

    /// When offers were made, as far as it was read.
    pub(super) fn times(&mut self, group: &Group) -> &mut Window {
        self.times.entry(group.clone()).or_default()
    }

    /// Puts on record how a session stands, and has its timer set. A state ends by itself; a cooldown is over when it
    /// is looked at.
    pub(super) fn save(&mut self, key: &SessionKey, tours: Option<&TourRegistry>, tx: &mut Tx) {
        let Some(help) = self.help.get(key) else { return };
        tx.push(put(Table::Help, session_group(key), STATE, help));
        self.settle(key, tours);
    }

    /// Sets the timer of a session.
    pub(super) fn settle(&mut self, key: &SessionKey, tours: Option<&TourRegistry>) {
        let helping = |help: &&Help| help.fsm().state() != crate::session::fsm::State::Thinking;
        let at = self.help.get(key).filter(helping).and_then(|help| help.next_timer(tours));
        self.timers.set(key, at);
    }

    /// Puts on record what is known of a conversation.
    pub(super) fn save_talk(&mut self, target: &Target, tx: &mut Tx) {
        if let Some(talk) = self.talks.get(target) {
            tx.push(put(Table::Talk, conversation_group(&target.0, &target.1), 0, talk));
        }
    }

    /// Puts on record when offers were made.
    pub(super) fn save_times(&mut self, group: &Group, tx: &mut Tx) {
        if let Some(times) = self.times.get(group) {
            tx.push(put(Table::OfferTimes, group.clone(), 0, times));
        }
    }

    /// Puts a decision on record, and returns it.
    pub(super) fn decide(
        &mut self,
        key: &SessionKey,
        trigger: &str,
        what: Decided,
        keep: Duration,
        tx: &mut Tx,
    ) -> Decision {
        let log = self.logs.entry(key.clone()).or_default();
        let decision = log.push(trigger, what, keep, tx.now).clone();
        tx.push(put(Table::Help, session_group(key), LOG, log));
        decision
    }

    /// The next moment at which a state ends.
    pub(super) fn next_timer(&self) -> Option<Timestamp> {
        self.timers.next()
    }

    /// Takes the sessions whose state is to end.
    pub(super) fn take_due(&mut self, now: Timestamp) -> Vec<SessionKey> {
        self.timers.take_due(now)
    }

    /// A session is gone.
    pub(super) fn forget(&mut self, key: &SessionKey) {
        self.help.remove(key);
        self.logs.remove(key);
        self.timers.set(key, None);
    }

    /// A conversation's row expired.
    pub(super) fn forget_talk(&mut self, group: &Group) {
        self.talks.retain(|(p, c), _| conversation_group(p, c) != *group);
    }

    /// Takes out of memory what can be read again: of sessions that aren't in memory, conversations, limits. What waits
    /// for a moment or an outcome stays.
    pub(super) fn evict(&mut self, is_live: impl Fn(&SessionKey) -> bool) {
        let timers = &self.timers;
        self.help.retain(|key, help| is_live(key) || help.is_pending() || timers.has(key));
        let help = &self.help;
        self.logs.retain(|key, _| help.contains_key(key));
        self.talks.clear();
        self.times.clear();
    }
}

/// Where it is counted how many offers a product made.
pub(super) fn times_of_product(product: &ProductId) -> Group {
    Group(product.shared(), "".into())
}

/// Where it is counted how many offers a person had.
pub(super) fn times_of_person(
    product: &ProductId,
    user_id: Option<&str>,
    email: Option<&str>,
) -> Option<Group> {
    Person::of(user_id, email).next().map(|person| person_group(product, &person))
}
