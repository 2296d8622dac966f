//! A person has a plugin not called, or called again.

use serde::{Deserialize, Serialize};

use crate::ids::PluginName;
use crate::outbox::account::Disabled;

/// Longest reason, in characters.
pub const MOST_REASON: usize = 200;

/// What a person wants of a plugin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PluginSwitch {
    /// Which.
    pub plugin: PluginName,
    /// What is to become of it.
    pub to: SwitchTo,
}

/// Whether a plugin is called.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum SwitchTo {
    /// It isn't: what is for it waits.
    Disabled {
        /// Why, in the person's words, for those who look at it later.
        reason: Option<String>,
    },
    /// It is, where nothing else is in its way.
    Enabled,
}

/// How a plugin stands behind a switch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Switched {
    /// Whether it stood otherwise before.
    pub changed: bool,
    /// That it isn't called; `None`: it is.
    pub disabled: Option<Disabled>,
}

/// Why nothing was switched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum SwitchError {
    /// No plugin of this name is configured.
    #[error("no plugin of this name is configured; `sidenote plugin list` shows those that are")]
    Unknown,
    /// The store can't take anything at the moment.
    #[error("the store takes nothing at the moment; ask again later")]
    Unavailable,
}

impl SwitchError {
    /// In one word, for programs and the audit log.
    pub fn code(self) -> &'static str {
        match self {
            Self::Unknown => "unknown_plugin",
            Self::Unavailable => "store_unavailable",
        }
    }
}
