//! What holds of every platform's plugin, as tables: who is told from whom, what is read of odd webhooks and answers.
//! The plugins run on this machine, against a host in memory. A plugin whose folder has no row fails.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod answers;
mod doings;
mod identity;
mod lookups;
mod oddities;
mod rows;
