//! How several hosts share one set of rows on Redis: pure, inputs and `now` in, calls out.
//!
//! Sessions are spread over partitions. Each has one owner at a time, by a lease with an epoch, and an inbox that any host
//! adds to. The owner applies what is in the inbox in commits that hold rows, how far the inbox was read, and what is to
//! be told to other partitions.
//!
//! | module | owns |
//! |---|---|
//! | [`ids`] | the typed names and numbers |
//! | [`time`] | moments, and how long things last |
//! | [`partition`] | which partition something belongs to |
//! | [`placement`] | which host is to have which partition |
//! | [`members`] | who is there |
//! | [`call`] | what is asked of the server, and what that answers |
//! | [`lease`] | a lease: asked for, kept, let go, lost |
//! | [`outgoing`] | what one producer adds to one inbox |
//! | [`inbox`] | what is read of a partition's inbox |
//! | [`input`], [`row`] | the form of what is in inboxes and rows |
//! | [`seen`] | which events a partition has seen |
//! | [`claims`] | which session has a conversation or a person's name |
//! | [`outbox`] | what a partition tells others |
//! | [`owner`] | a partition in the hands of its owner |
//! | [`reader`] | the two readers of a stream |
//! | [`node`] | a host: all of these together |
//! | [`rules`] | the rules of it all, each of which breaks something where it is left out |
//!
//! With the feature `faults`, which is for tests, a rule can be left out, and `model` is what the scripts do on the server,
//! as a state machine.

#![deny(unsafe_code)]

pub mod call;
pub mod claims;
pub mod ids;
pub mod inbox;
pub mod input;
pub mod lease;
pub mod members;
#[cfg(feature = "faults")]
pub mod model;
pub mod node;
pub mod outbox;
pub mod outgoing;
pub mod owner;
pub mod partition;
pub mod placement;
pub mod reader;
pub mod row;
pub mod rules;
pub mod seen;
pub mod time;
