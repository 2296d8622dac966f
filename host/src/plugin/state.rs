//! How a plugin is, for people and for `/plugins`.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::clean::clean;
use super::folder;
use crate::ids::PluginName;

/// How a plugin is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct PluginState {
    /// Its name.
    pub name: PluginName,
    /// Its file in the plugins folder, or where in a registry it lies.
    pub file: String,
    /// The version that runs: the first twelve digits of the file's SHA-256.
    pub version: Option<String>,
    /// The interfaces that it exports, by their short names: `writer`, `webhook`.
    pub interfaces: Vec<Cow<'static, str>>,
    /// Whether it runs.
    pub health: Health,
    /// Until when its calls are held back, where they are. Seconds since the Unix epoch.
    pub held_back_until: Option<f64>,
    /// Whether webhooks make it trap again and again, and so are held back for a moment each time. Whoever
    /// sends them may be anyone: nothing else is held back for it.
    #[serde(default)]
    pub webhooks_trap: bool,
    /// Why it doesn't run, with the stage and the next step; `None` where it does.
    pub failed: Option<String>,
    /// Why what stands in its file isn't what runs: it was refused, or it is gone.
    pub refused: Option<String>,
    /// What makes a plugin of a file that isn't configured.
    #[serde(default)]
    pub next_step: Option<String>,
    /// Calls since the start.
    pub calls: u64,
    /// Calls that the plugin answered with a failure or a rejection.
    pub failures: u64,
    /// Calls that ended in a trap or at a limit.
    pub traps: u64,
    /// Webhooks that were accepted before, and so meant nothing.
    #[serde(default)]
    pub repeats: u64,
    /// Versions that were swapped in since the start.
    pub swaps: u64,
    /// How long a call takes in the mean of those since the start, in milliseconds: the plugin's computing, and its
    /// waiting for an instance and for the platform. `None` before the first.
    #[serde(default)]
    pub mean_call_ms: Option<f64>,
    /// The last call that was stopped or ended in a trap since the start, whatever the version.
    #[serde(default)]
    pub last_trap: Option<LastTrap>,
}

/// A call that was stopped or ended in a trap. Nothing of what the plugin said or was given is in it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct LastTrap {
    /// When, in seconds since the Unix epoch.
    pub at: f64,
    /// `trap`, `timeout`, `cpu` or `memory`.
    pub code: Cow<'static, str>,
    /// The version of the plugin that was called: the first twelve digits of its file's SHA-256.
    pub version: String,
    /// The names of the functions that were under way, the innermost first, as the component has them.
    pub backtrace: Vec<String>,
}

impl PluginState {
    /// A file of the folder that nobody configured.
    pub(super) fn stray(file: &str, is_taken: impl Fn(&str) -> bool) -> Self {
        let name = folder::suggested_name(file, is_taken);
        Self {
            name: name.into(),
            file: clean(file, 100),
            version: None,
            interfaces: Vec::new(),
            health: Health::NotConfigured,
            held_back_until: None,
            webhooks_trap: false,
            failed: None,
            refused: None,
            next_step: Some(folder::next_step(file, name)),
            calls: 0,
            failures: 0,
            traps: 0,
            repeats: 0,
            swaps: 0,
            mean_call_ms: None,
            last_trap: None,
        }
    }
}

/// How an instance between two calls is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InstanceState {
    /// Calls that it has answered.
    pub calls: u64,
    /// Linear memory that it has, in bytes. It never shrinks.
    pub memory_bytes: usize,
    /// Handles that it holds: streams, requests, responses.
    pub handles: usize,
}

/// Whether a plugin runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Health {
    /// It runs.
    Loaded,
    /// It is being compiled, or waits for its turn; its notes wait for it.
    Compiling,
    /// A file that no table of the configuration names: it isn't read.
    NotConfigured,
    /// It couldn't be loaded.
    Failed,
    /// It trapped again and again; the next call shows whether it has recovered.
    Unhealthy,
    /// It trapped again and again, and its calls are held back for a while.
    HeldBack,
}

/// The results of changed files since the start.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
pub struct ReloadTotals {
    /// Changes that were seen: a file is new, or is another one.
    pub seen: u64,
    /// Files that had come to rest and were read.
    pub read: u64,
    /// Plugins that got another version.
    pub swapped: u64,
    /// Plugins that kept what they had, because what stood in the file can't be used.
    pub refused: u64,
    /// Files that went away; what was loaded of them goes on.
    pub gone: u64,
}
