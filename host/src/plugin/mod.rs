//! Components: found in a folder, admitted, kept warm, called within limits.
//!
//! ```text
//! load:  folder -> admit (compile, link, probe, trial) -> Plugin in the Registry
//! call:  Registry -> pool (queue, warm instance) -> guest -> imports -> egress
//! ```
//!
//! | module | owns |
//! |---|---|
//! | [`registry`] | the plugins by name; what the rest of the host calls |
//! | `folder` | which files are plugins, and under which name |
//! | [`inspect`] | what a file is and whether it would be taken, without a configuration |
//! | [`manifest`] | what a plugin says of itself and asks for, and what it gets |
//! | `anatomy` | what a component says of itself without being compiled |
//! | `admit` | from a file to a component that fits, or to an error that says what to do |
//! | `bindings` | the plugin interface, generated, one module per frozen version |
//! | `exports` | which of the interfaces a component has |
//! | `calls` | one function per export that the host calls |
//! | `pool` | warm instances, the queue, the deadline, what is done after a crash |
//! | `engine` | the settings of the engine, and the tick that lets it stop a loop |
//! | `instance` | the state of one instance and its limits |
//! | `imports` | what a guest can ask of the host |
//! | `wasi_http` | `wasi:http`, led to the same door as our `http` |
//! | `guest_log` | a guest's lines in the host's log, bounded |
//! | `convert` | between the host's types and the interface's; bounds on what a guest says |
//!
//! Nothing that a guest does stops another: an instance that traps, hangs, loops or eats memory is
//! dropped with its call, and the next call gets a fresh one.

mod admit;
mod anatomy;
mod bindings;
mod calls;
mod clean;
mod convert;
mod engine;
mod exports;
mod folder;
mod guest_log;
pub mod help;
mod hmac;
mod imports;
pub mod inspect;
mod instance;
pub mod manifest;
mod memory;
mod pool;
pub mod redaction;
pub mod registry;
mod wasi_http;
pub mod webhook;

pub use admit::{AdmitError, read};
pub use help::{Offer, QuickReply, TriggerContext};
pub use inspect::{Exports, Imports, InspectError, Inspection, inspect};
pub use manifest::{Manifest, ManifestError};
pub use redaction::Redaction;
pub use registry::{LoadError, PluginState, Registry};
pub use webhook::{ReceiveError, WebhookAnswer, WebhookEvent, WebhookRequest, WebhookTurn};
