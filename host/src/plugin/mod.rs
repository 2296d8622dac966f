//! Components: found in a folder, admitted, kept warm, called within limits.
//!
//! ```text
//! load:   take_in: source (read, pin) -> cache or compiler -> admit (link, probe, trial) -> Registry
//! reload: watch -> the same, in the background -> swapped in, or the old one goes on
//! call:   Registry -> pool (queue, warm instance) -> guest -> imports -> egress
//! ```
//!
//! | module | owns |
//! |---|---|
//! | [`registry`] | the plugins by name; what the rest of the host calls |
//! | `folder` | which files are plugins, and under which name |
//! | [`inspect`] | what a file is and whether it would be taken, without a configuration |
//! | [`review`] | what a start would say of a file and its configuration, without compiling |
//! | [`manifest`] | what a plugin says of itself and asks for, and what it gets |
//! | `component_info` | what a component says of itself without being compiled |
//! | `bindings` | the plugin interface, generated, one module per frozen version |
//! | `exports` | which of the interfaces a component has |
//! | `watch` | pure: which files of the folder changed and have come to rest |
//! | `reload` | looks at the folder again and again, and has changed files taken in |
//! | `take_in` | takes files in, those of the start and changed ones |
//! | `kind` | what a file is by its first bytes, and the words for what is no component |
//! | `source` | a file's bytes, and which version they are |
//! | `loader` | from a file to a pool |
//! | [`compiler`] | a process that compiles, its limits, and what isn't compiled at all |
//! | `cache` | compiled components in a private folder |
//! | `artifact` | one compiled component: its seal, and the only unsafe call |
//! | `admit` | from a component to one that fits, or to an error that says what to do |
//! | `calls` | one function per export that the host calls |
//! | `pool` | one version's warm instances, the queue, the deadline, what is done after a crash |
//! | `supervise` | pure: holds back a plugin that does nothing but trap |
//! | `engine` | the settings of the engine, and the tick that lets it stop a loop |
//! | `instance` | the state of one instance and its limits |
//! | `cpu_permits` | who may compute when several compute for long |
//! | `imports` | what a guest can ask of the host |
//! | `wasi_http` | `wasi:http`, led to the same door as our `http` |
//! | `guest_log` | a guest's lines in the host's log, bounded |
//! | `stdout` | a guest's standard output in the host's, where that is granted |
//! | `verified` | what a webhook is known by, so that a repeat means nothing |
//! | `configure` | takes over what is configured anew |
//! | `convert` | between the host's types and the interface's; bounds on what a guest says |
//!
//! Nothing that a guest does stops another: an instance that traps, hangs, loops or eats memory is
//! dropped with its call, and the next call gets a fresh one.

mod admit;
mod artifact;
mod bindings;
mod cache;
mod calls;
mod clean;
pub mod compiler;
mod component_info;
mod configure;
mod convert;
mod cpu_permits;
mod engine;
mod exports;
mod folder;
mod guest_log;
mod handles;
pub mod help;
mod hmac;
mod imports;
pub mod inspect;
mod instance;
mod kind;
mod loader;
pub mod manifest;
mod memory;
mod pool;
pub mod redaction;
pub mod registry;
mod reload;
pub mod review;
mod source;
mod state;
mod stdout;
mod supervise;
mod take_in;
mod verified;
mod wasi_http;
mod watch;
pub mod webhook;

pub use admit::AdmitError;
pub use cache::CacheTotals;
pub use compiler::Compiler;
pub use configure::Prepared;
pub use help::{Offer, QuickReply, TriggerContext};
pub use inspect::{Exports, Imports, InspectError, Inspection, inspect, inspect_by};
pub use kind::NotAComponent;
pub use manifest::{Manifest, ManifestError};
pub use redaction::Redaction;
pub use registry::{LoadError, Registry};
pub use reload::ReloadTotals;
pub use review::{Finding, exports_redactor, review, roles};
pub(crate) use source::Stamp;
pub use source::{read, sha256};
pub use state::{Health, InstanceState, PluginState};
pub(crate) use watch::{Change, Watch};
pub use webhook::{
    ReceiveError, Received, WebhookAnswer, WebhookEvent, WebhookRequest, WebhookTurn,
};
