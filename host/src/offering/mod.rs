//! Offering help: follows what is committed, evaluates the triggers of its product, asks the judge where one is wanted,
//! and hands what comes of it to the engine, which has the last word.
//!
//! | file | what |
//! |---|---|
//! | `sessions` | what is known of each session at the moment: pure |
//! | `service` | the stage: follows the engine, evaluates |
//! | `rehearsal` | recorded events through the same, to see what would have been offered |
//! | `decide` | from hits to an offer: what is asked, in which order |
//!
//! It is off every hot path. The engine waits for none of it; what it misses is evaluated after the next batch.

mod decide;
pub mod rehearsal;
mod service;
mod sessions;

pub use decide::ask_plugin;
pub use service::Offering;
