//! Components: found in a folder, admitted, kept warm, called within limits.
//!
//! ```text
//! load:   take_in: source (read, pin) -> cache or compiler -> admit (link, probe, trial) -> Slot
//! reload: watch -> the same, in the background -> swapped in, or the old one goes on
//! call:   Registry -> Slot -> pool (queue, warm instance) -> guest -> imports -> egress
//! ```
//!
//! From the top down; a module knows those below it, never one above.
//!
//! | module | owns |
//! |---|---|
//! | `calls` | one function per export that the host calls |
//! | `configure` | takes over what is configured anew |
//! | `reload` | looks at the folder again and again, and has changed files loaded |
//! | `take_in` | takes files in, those of the start and changed ones |
//! | [`registry`] | the plugins by name |
//! | `inspect` | what a file is and whether it would be loaded, without a configuration |
//! | `review` | what a start would say of a file and its configuration, without compiling |
//! | `slot` | one plugin by its name: what runs under it, and what comes in its place |
//! | `loader` | from a file to a pool |
//! | `pool` | one version's warm instances, the queue, the deadline, what is done after a crash |
//! | `admit` | from a component to one that fits, or to an error that says what to do |
//! | `imports` | what a guest can ask of the host |
//! | `exports` | which of the interfaces a component has |
//! | `convert` | between the host's types and the interface's; bounds on what a guest says |
//! | `kv` | what a guest keeps under keys: reads of the store, the writes of the call under way |
//! | `timer` | the timers that a guest sets, in the same way |
//! | `instance` | the state of one instance and its limits |
//! | `wasi_http` | `wasi:http`, led to the same egress as our `http` |
//! | `outbound` | what goes out of an instance, and how much of it the host holds |
//! | `ground` | what every instance of a plugin shares |
//! | [`compiler`] | a process that compiles, its limits, and what isn't compiled at all |
//! | `engine` | the settings of the engine, and the tick that lets it stop a loop |
//! | `features` | which parts of WebAssembly a plugin may use |
//! | `handles`, `memory`, `cpu_permits` | bounds: what a guest holds, its memory, who may compute for long |
//! | `guest_log` | a guest's lines in the host's log, bounded |
//! | `stdout` | a guest's standard output in the host's, where that is granted |
//! | `cache` | compiled components in a private folder |
//! | `artifact` | one compiled component: its seal, and the only unsafe call |
//! | `state` | how plugins are, for people |
//! | `watch` | pure: which files of the folder changed and have come to rest |
//! | `folder` | which files are plugins, and under which name |
//! | `source` | a file's bytes, and which version they are |
//! | `fetch` | finds a component, and pulls what isn't kept |
//! | `place` | where a component is on this machine: in the folder, or pulled and kept |
//! | `pulled` | what was pulled from registries, kept by its digest |
//! | `signed` | whether somebody who is trusted signed a component |
//! | `blocking` | work that blocks, on a thread of its own |
//! | `error` | why a file is no plugin, and why there are no plugins at all |
//! | [`manifest`] | what a plugin says of itself and asks for, and what it gets |
//! | `component_info` | what a component says of itself without being compiled |
//! | `kind` | what a file is by its first bytes, and the words for what is no component |
//! | [`help`], [`webhook`], `receiving` | offers, webhooks and what sources bring as the host sees them |
//! | `source_calls` | the functions of sources |
//! | `samples` | what a plugin that is tried out computes |
//! | `shadow` | new versions that are given what live calls are given, and reach nobody |
//! | `trial` | what plugins keep while they are tried out |
//! | `trap`, `backtrace` | what a call that ended in a trap is told as, and where in the guest it was |
//! | `supervise` | pure: holds back a plugin that does nothing but trap |
//! | `verified` | what a webhook is known by, so that a repeat means nothing |
//! | `hmac` | signs and verifies with a plugin's secrets |
//! | `tally`, `counters` | totals since the start |
//! | `bindings` | the plugin interface, generated, one module per frozen version |
//! | `clean` | a stranger's text, for one line of a log or a terminal |
//!
//! Below them all are the egress, the store, the configuration and the core: payloads and the outcomes of calls are the
//! core's types, and `convert` is where they meet the interface's.
//!
//! Nothing that a guest does stops another: an instance that traps, hangs, loops or eats memory is
//! dropped with its call, and the next call gets a fresh one.

mod admit;
mod artifact;
mod backtrace;
mod bindings;
mod blocking;
mod cache;
mod calls;
mod clean;
pub mod compiler;
mod component_info;
mod configure;
mod convert;
mod counters;
mod cpu_permits;
mod engine;
mod error;
mod exports;
mod features;
mod fetch;
mod folder;
mod ground;
mod guest_log;
mod handles;
pub mod help;
mod hmac;
mod imports;
pub mod inspect;
mod instance;
mod interface;
mod kind;
mod kv;
mod lines;
mod loader;
pub mod manifest;
mod memory;
mod outbound;
mod place;
mod pool;
mod pulled;
mod receiving;
pub mod registry;
mod reload;
pub mod review;
mod samples;
mod shadow;
mod signed;
mod slot;
mod source;
mod source_calls;
mod state;
mod stdout;
mod stopped;
mod supervise;
mod take_in;
mod tally;
mod timer;
mod trap;
mod trial;
mod verified;
mod wasi_http;
mod watch;
pub mod webhook;

pub use cache::CacheTotals;
pub use compiler::Compiler;
pub use component_info::OwnImports;
pub use configure::Prepared;
pub use counters::{CALL_OUTCOMES, CALLED, CallTotals, PluginTotals, REQUEST_OUTCOMES, Slots};
pub use error::{AdmitError, LoadError};
pub use help::{Offer, QuickReply, TriggerContext};
pub use inspect::{Exports, Imports, InspectError, Inspection, inspect, inspect_by, names_of};
pub use kind::NotAComponent;
pub use lines::Line;
pub use manifest::{Manifest, ManifestError};
pub use receiving::{
    EventsPage, EventsReceived, KeyText, PollSubject, SourceAnswer, SourceError, SourceRejection,
    SourceRequest,
};
pub use registry::Registry;
pub use review::{
    Finding, exports_redactor, exports_source, messenger, own_imports, review, roles,
};
pub use samples::{Sample, Samples};
pub use shadow::{
    Becomes, CostReport, Difference, ExportReport, NOT_COMPARED, OldAndNew, Promoted, Quantiles,
    SeenDifference, SeenTrap, ShadowError, ShadowReport, ShadowState, ShadowTotals, What,
};
pub use signed::{beside as signature_file, by_one_of as signed_by, read as read_signature};
pub(crate) use source::Stamp;
pub use source::{MAX_COMPONENT_BYTES, read, sha256};
pub use source_calls::PollError;
pub use state::{Health, InstanceState, LastTrap, PluginState, ReloadTotals};
pub use trial::TrialKv;
pub(crate) use watch::{Change, Watch};
pub use webhook::{
    ReceiveError, Received, WebhookAnswer, WebhookEvent, WebhookRequest, WebhookTurn,
};
