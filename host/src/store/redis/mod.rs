//! Rows on a Redis server: for several hosts, of which one writes and the others stand by.
//!
//! | key | type | what is in it |
//! |---|---|---|
//! | `NS:{FIRST\|SECOND}:TABLE` | hash | the rows of one group of one table: number → value |
//! | `NS:index:TABLE` | sorted set, all scores 0 | the groups of the table that have rows, in their order |
//! | `NS:lease` | string, expires | who writes; ends by itself 10 s after the last sign of life |
//! | `NS:fence` | hash | `epoch`: how often the lease changed hands; `holder`: by whom last; `seq`: their last commit; `layout`: 1 |
//! | `autoplay:session_state:SESSION` | string, expires | the session as autoplay-sdk shares it, unless `sdk_sessions` is off |
//!
//! `NS` is the configured namespace. `FIRST` and `SECOND` are the two names of the group, escaped so that
//! no two groups meet; what stands in braces is the hash tag, so that all rows of a session share a slot.
//! A member of an index is the two names in a form whose bytes sort as the pair does.
//!
//! A commit is one script: it checks the epoch, then changes everything or nothing. Whoever takes the
//! lease raises the epoch, so nothing that a host sends after it lost the lease is stored, however late
//! it arrives. Every attempt at a commit has a higher number (`seq`) than the one before: one that was
//! believed lost and arrives late, over a connection of its own, changes nothing any more.
//!
//! What the server's user must be let do is asked before anything is written (`needs.rs`). A refusal later on
//! isn't an absence: the host says so and takes nothing until it is lifted.
//!
//! A commit touches several sessions at once, so one server holds everything: a Redis Cluster is refused.

mod checks;
mod cluster;
mod commit;
mod failure;
mod keys;
mod lease;
mod line;
mod needs;
mod reading;
mod rows;
mod server;
mod snapshots;

pub use checks::Warning;
pub use cluster::{AllPartitions, AnswerPlace, Bells, Beside, Owner, PartitionStore, SharedServer};
pub use failure::OpenError;
pub use rows::RedisStore;
