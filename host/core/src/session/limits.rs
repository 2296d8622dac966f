//! How long help goes on, and how long it is quiet afterwards.

use serde::{Deserialize, Serialize};

/// A session's own limits, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Limits {
    /// Help ends when nothing happened for longer than this.
    pub interaction_timeout_s: f64,
    /// No help is offered for this long afterwards; 0 or less: no time at all.
    pub cooldown_period_s: f64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { interaction_timeout_s: 20.0, cooldown_period_s: 60.0 }
    }
}
