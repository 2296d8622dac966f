//! The engine's core: what is decided of sessions and deliveries, in one transaction at a time.
//!
//! ```text
//! core         handle(command, &mut Tx): it routes, and the rooms own their state
//!   sessions     record, link, open batch
//!   directory    whose sessions, whose conversation
//!   deliveries   one pipeline for every kind: note, sink delivery, due timer, message, redaction
//!   helping      how each session is helped, what is known of its conversation, limits of offers
//!   history      what is kept for context
//!   retention    what expires
//!   keys         the keys of the API
//!   audit        what people changed
//!   scrub        what erasures leave in files
//!   values       what plugins keep under keys
//!   plugin_timers  the timers that plugins set, until they are due
//! tx           rows, events, calls: filled by the rooms, spent by the driver
//! view         rows that were read for a transaction
//! gate         per process, shared by all engines: slots, rate limits, breaker of each account
//! ```
//!
//! A room's state is its own; only [`Core`] calls several. Whatever waits (the store, plugins, who asked) is the
//! driver's business.

pub mod audit;
mod call;
mod command;
mod core;
pub mod counters;
mod deliveries;
mod directory;
pub mod erase;
pub mod event;
mod gate;
pub mod helping;
pub mod history;
mod history_row;
pub mod kept;
mod key_row;
pub mod keys;
pub mod link;
pub mod message;
mod order;
pub mod place;
pub mod plugin_timers;
mod plugins;
pub mod resend;
mod retention;
pub mod rows;
mod scrub;
mod sessions;
mod settings;
pub mod snapshot;
pub mod switch;
pub mod tap;
mod timers;
mod tx;
pub mod values;
mod view;

pub use self::core::{Core, Recovery};
pub use call::{Call, Ended, Outcome, Work};
pub use command::{Answer, Command, PollMark, SourcePage, SourceRows};
pub use counters::{Count, Counters, RefusalCounts, Totals};
pub use deliveries::{Backlog, MAX_SENT};
pub use gate::{EngineId, Gate};
pub use order::{Decision, LaneKind, NoteRef};
pub use plugins::Plugins;
pub use settings::{MAX_WAITING_BYTES, Settings};
pub use tx::{Spent, Tx};
pub use view::{Missing, Page, PageOf, View};
