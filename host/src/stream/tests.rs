//! The client against a connector on loopback that misbehaves on demand.

mod answers;
mod backing_off;
mod blocks;
mod connector;
mod parsing;
mod pausing;
mod refusing;
mod resuming;
mod stopping;
mod succeeding;
