//! What Sidenote decides, and nothing of how it runs: inputs and `now` in, effects out.
//!
//! | module | owns |
//! |---|---|
//! | [`session`] | payloads, note text, the open batch, links, the state machine of proactive help |
//! | [`outbox`] | lanes, attempts, retries, dead letters; accounts, limits, breakers |
//! | [`engine`] | the transactions: which of them does what, in which order |
//! | [`offers`] | what an offer of help says, and when one may be made |
//! | [`replies`] | which messages of people wait for an answer, and what one may say |
//! | [`triggers`] | what is a reason to offer help, and what a judge is asked about it |
//! | [`rules`] | what a configuration says of them |
//! | [`rows`] | the form in which everything is kept |
//! | [`kv`], [`timer`] | what plugins keep under keys of their own, and the timers that they set |
//! | [`bytes`], [`short`] | bytes in rows, and as few of them as will do |
//! | [`access`] | scopes, products, who asks |
//! | [`ids`] | the typed names that everything is keyed by |
//! | [`backoff`] | the pauses between attempts |
//! | [`see`] | where a message leads in the book |
//! | [`clock`] | time as a value |
//! | [`histogram`] | how long things took, for people |
//!
//! There is no clock, task, lock, socket or store in here: the crate names no dependency that has one, and a test of the
//! workspace holds it to that.

#![deny(unsafe_code)]

pub mod access;
pub mod backoff;
pub mod bytes;
pub mod clock;
pub mod engine;
pub mod histogram;
pub mod ids;
pub mod kv;
pub mod offers;
pub mod outbox;
pub mod replies;
pub mod rows;
pub mod rules;
pub mod see;
pub mod session;
pub mod short;
pub mod timer;
pub mod triggers;
