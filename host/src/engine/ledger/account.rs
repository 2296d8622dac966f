//! How a plugin's account stands with its platform.

use serde::{Deserialize, Serialize};

use crate::ids::PluginName;

/// How a plugin's account stands. Times are seconds since the Unix epoch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Account {
    /// The plugin.
    pub plugin: PluginName,
    /// Whether its notes are posted.
    pub breaker: BreakerState,
    /// Until when none is posted because of failures; `None` while they are.
    pub until: Option<f64>,
    /// Until when none is posted because the platform asked for it.
    pub limited_until: Option<f64>,
    /// How many posts failed in a row.
    pub failures: u32,
}

/// Whether the notes of a plugin are posted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BreakerState {
    /// They are.
    Closed,
    /// They wait for the next probe.
    Open,
    /// One is posted, the others wait for what comes of it.
    Probing,
    /// They wait for a person.
    Disabled,
}
