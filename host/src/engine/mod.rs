//! The engine: a driver around the core, and what is read beside it.
//!
//! ```text
//! driver   loads rows, runs the core, commits, then acts: calls, answers, events
//! core     decides: sidenote_core::engine
//! query    reads only: the ledger of deliveries, the history, what stays of erasures, the audit log
//! ```
//!
//! The driver's loop works in rounds. A round takes what has arrived (batches, links, outcomes of calls, due
//! timers), lets the core decide, and stores all of it in **one** transaction. Only after the
//! commit are links answered and calls begun. So group commit falls out by itself: while a commit runs,
//! the next round's inputs gather. Nothing is true before it is stored, and an attempt is on record
//! before its bytes leave.
//!
//! Memory is bounded: the inbox by count and by bytes ([`Handle::accept`] waits, and with it the stream),
//! sessions by eviction of idle ones, which are read back when something happens to them.

mod away;
mod backlog;
mod brought;
mod calls;
mod commit;
mod driver;
pub mod erase;
pub mod feed;
mod handle;
pub mod helping;
pub mod history;
pub mod hosts;
mod inbox;
mod intake;
pub mod kv;
pub mod latest;
pub mod ledger;
pub mod people;
mod process;
mod progress;
mod sessions;
mod shared;
mod state;
pub mod tap;
pub mod timers;
mod traced;

pub use driver::{Engine, EngineError};
pub use handle::{Handle, InboxLevel, Unchanged};
pub use inbox::{Closed, Summary};
pub use intake::{Intake, IntakeError};
pub use process::Process;
pub use sidenote_core::engine as core;
pub use sidenote_core::engine::{
    Backlog, Count, Counters, Decision, Gate, LaneKind, NoteRef, Settings, Totals, link,
};
pub use state::StoreState;

use crate::config::Config;

/// The engine's part of a configuration.
pub fn settings(config: &Config) -> Settings {
    let mut settings = Settings::of_products(config.products.clone())
        .with_fallback(config.delivery.clone())
        .with_names((*config.names).clone());
    for (name, plugin) in &config.plugins {
        settings = settings
            .with_concurrency(name.clone(), plugin.limits.concurrency)
            .with_breaker(name.clone(), plugin.breaker)
            .with_belief(name.clone(), plugin.belief);
    }
    for (product, tours) in &config.tours {
        settings = settings.with_tours(product.clone(), tours.clone());
    }
    settings.retention = config.retention.clone();
    settings.history = config.context.as_ref().map(|context| context.history.clone());
    settings.max_waiting_bytes = config.waiting_memory;
    settings.jitter = rand::random::<f64>;
    settings
}
