//! Summarizes sessions: when enough actions of a session wait, a model is asked, and its text takes the place of
//! the notes that tell of them.
//!
//! ```text
//! what was committed ─▶ core ─ ask these actions ─▶ prompt ─▶ llm
//!                        ▲ └─ hand over, covers up to N ─▶ engine: posts, confirms, then redacts
//!                        └── answered, failed, handed over
//! ```
//!
//! - [`Core`] decides and is pure: it counts actions by their ordinals and holds none of them.
//! - [`Actions`] makes the text of a prompt, bounded, each action one line.
//! - [`Summarizer`] runs it: reads what the engine committed, reads the actions from the store when they are
//!   asked for, calls the model on tasks of its own.
//!
//! What holds: one summary of a session at a time, in order; a bounded number of sessions at once; no action is
//! left out or told of twice; what waits is in the store, so a restart goes on where the last run ended; nothing
//! else waits for a model.

mod core;
mod listing;
mod service;

pub use self::core::{Ask, AskId, Core, Effect, Failure, Found, Input, InvalidRules, Rules};
pub use listing::{Actions, Listed};
pub use service::Summarizer;
