//! How a plugin's account stands with its platform.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::ids::PluginName;
use crate::outbox::account::AccountState;

/// How a plugin's account stands. Times are seconds since the Unix epoch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Account {
    /// The plugin.
    pub plugin: PluginName,
    /// Whether its notes are posted: `closed` (they are), `open`, `probing`, `disabled`.
    pub breaker: Cow<'static, str>,
    /// When one is tried again, where none is posted because of failures.
    pub until: Option<f64>,
    /// Until when none is posted because the platform asked for it.
    pub limited_until: Option<f64>,
    /// How many posts have failed since the last success.
    pub failures: u32,
}

impl From<AccountState> for Account {
    fn from(state: AccountState) -> Self {
        let seconds = |millis: u64| millis as f64 / 1000.0;
        Self {
            plugin: state.plugin,
            breaker: state.breaker.into(),
            until: state.until.map(seconds),
            limited_until: state.limited_until.map(seconds),
            failures: state.failures,
        }
    }
}
