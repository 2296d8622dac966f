//! What people did, as analytics tools and a product's own code tell it, in words that people read.
//!
//! A source's plugin parses what it is sent into events ([`Batch`]); [`Wording::words`] makes of them what the
//! connector would have sent ([`Worded`]). From there on it is the way of every event.
//!
//! | module | owns |
//! |---|---|
//! | `event` | what plugins tell |
//! | `people` | which session an event belongs to, and whose it is |
//! | `told`, `label`, `page`, `address` | what an element, a page and an address are called |
//! | `fold` | what is one thing to people though it is told as several |
//! | `words` | the line of an event |
//! | `rules` | what the operator says of it |
//! | `mask`, `forms` | personal data and secrets |
//! | `output` | what comes out |
//!
//! Everything is a value: there is no clock, task, socket or store in here, and a test of the workspace holds the crate
//! to that. Whatever comes in, nothing panics, and what comes out is bounded.

#![deny(unsafe_code)]

mod address;
mod event;
mod fold;
mod forms;
mod label;
mod mask;
mod output;
mod page;
mod people;
mod rules;
mod told;
mod wording;
mod words;

pub use event::{Batch, Element, Event, Identity, Kind, Merge};
pub use mask::Masks;
pub use output::{Reason, Worded};
pub use people::{Whom, forgotten};
pub use rules::{OneOrMany, PageSettings, RuleSettings, Settings, SettingsError, Unsaid};
pub use wording::{Memory, Wording};
