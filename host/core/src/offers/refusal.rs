//! Why no offer is made.

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::session::fsm::State;

/// Why an offer is refused, in the order in which it is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "reason")]
pub enum Refusal {
    /// The product offers no help.
    Off,
    /// The session is linked to no conversation: there is nowhere to offer anything.
    NotLinked,
    /// The conversation was closed.
    Ended,
    /// The plugin of the conversation can't offer help.
    NoMessenger,
    /// Another offer is on its way.
    Pending,
    /// Somebody is being helped already.
    State {
        /// How.
        state: State,
    },
    /// Help was offered or given a short time ago.
    CoolingDown {
        /// Until when.
        until: Timestamp,
    },
    /// This trigger's help was offered in this conversation a short time ago.
    TriggerCoolingDown {
        /// Until when.
        until: Timestamp,
    },
    /// The session's last offer was too short a time ago (`min_interval`).
    TooSoon {
        /// Until when.
        until: Timestamp,
    },
    /// The session had its offers of the hour (`per_session_hour`).
    SessionHour {
        /// Until when.
        until: Timestamp,
    },
    /// The person had their offers of the day (`per_user_day`).
    UserDay {
        /// Until when.
        until: Timestamp,
    },
    /// The product made its offers of the minute (`per_product_minute`).
    ProductMinute {
        /// Until when.
        until: Timestamp,
    },
    /// The platform takes nothing at the moment.
    Breaker,
    /// A human agent wrote in the conversation (`quiet_after_agent`).
    AgentWrote {
        /// Until when.
        until: Timestamp,
    },
    /// The person writes, or wrote (`quiet_after_person`).
    PersonActive {
        /// Until when.
        until: Timestamp,
    },
    /// The session went on while it was judged: its conversation or its state isn't the one that was judged.
    MovedOn,
}

impl Refusal {
    /// Every reason code.
    pub const CODES: [&'static str; 18] = [
        "v2_state_thinking",
        "v2_state_proactive_assistance",
        "v2_state_reactive_assistance",
        "v2_cooldown_active",
        "off",
        "not_linked",
        "conversation_ended",
        "no_messenger",
        "offer_pending",
        "trigger_cooldown",
        "min_interval",
        "per_session_hour",
        "per_user_day",
        "per_product_minute",
        "breaker_open",
        "agent_wrote",
        "person_active",
        "moved_on",
    ];

    /// The reason code. The first two are those that clients of autoplay-sdk know.
    pub fn code(self) -> &'static str {
        match self {
            Self::State { state: State::Thinking } => "v2_state_thinking",
            Self::State { state: State::Proactive } => "v2_state_proactive_assistance",
            Self::State { state: State::Reactive } => "v2_state_reactive_assistance",
            Self::CoolingDown { .. } => "v2_cooldown_active",
            Self::Off => "off",
            Self::NotLinked => "not_linked",
            Self::Ended => "conversation_ended",
            Self::NoMessenger => "no_messenger",
            Self::Pending => "offer_pending",
            Self::TriggerCoolingDown { .. } => "trigger_cooldown",
            Self::TooSoon { .. } => "min_interval",
            Self::SessionHour { .. } => "per_session_hour",
            Self::UserDay { .. } => "per_user_day",
            Self::ProductMinute { .. } => "per_product_minute",
            Self::Breaker => "breaker_open",
            Self::AgentWrote { .. } => "agent_wrote",
            Self::PersonActive { .. } => "person_active",
            Self::MovedOn => "moved_on",
        }
    }

    /// When it is over, where time alone ends it.
    pub fn until(self) -> Option<Timestamp> {
        match self {
            Self::CoolingDown { until }
            | Self::TriggerCoolingDown { until }
            | Self::TooSoon { until }
            | Self::SessionHour { until }
            | Self::UserDay { until }
            | Self::ProductMinute { until }
            | Self::AgentWrote { until }
            | Self::PersonActive { until } => Some(until),
            Self::Off
            | Self::NotLinked
            | Self::Ended
            | Self::NoMessenger
            | Self::Pending
            | Self::State { .. }
            | Self::Breaker
            | Self::MovedOn => None,
        }
    }
}
