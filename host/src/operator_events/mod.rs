//! Operator events: what a person must see to is logged in one line and sent to a webhook, when it begins and when it is
//! over.
//!
//! It is looked every few seconds at how the host stands, so nothing is missed by a restart: what still holds then is
//! told again. What is so only for a moment isn't over before it has stayed away for a while.

mod condition;
mod service;
mod webhook;

pub use condition::{Condition, Kind};
pub use service::{EventCounts, EventTotals, Look, OperatorEvents, SetupError};
