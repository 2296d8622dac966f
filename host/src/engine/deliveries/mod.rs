//! The delivery pipeline: what is sealed waits in a lane, is tried, and is delivered or becomes a dead letter.
//!
//! It is written once, for every [`Kind`] of delivery: notes beside conversations, batches and summaries for
//! sinks. A kind says which tables hold it, how a call is made and what a success means beyond the end of its
//! rows; lanes, attempts, retries, expiry, dead letters and what people decide about them are the same for all.
//! A new kind is a file beside [`notes`] and a triple of tables.
//!
//! Each kind has lanes of its own: a sink that is slow or away holds up neither notes nor other sinks.

mod attempts;
mod kind;
mod lanes;
pub(super) mod notes;
mod orders;
mod sinks;

pub(super) use attempts::Outcome;
pub(super) use kind::{Kind, Tables};
pub(super) use lanes::{Lanes, Place, attempt_row};
