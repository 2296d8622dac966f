//! The single writer: one loop that owns every session and lane in memory.
//!
//! The loop works in rounds. A round takes what has arrived (batches, links, outcomes of posts, due
//! timers), lets the pure core decide, and stores all of it in **one** transaction. Only after the
//! commit are links answered and posts begun. So group commit falls out by itself: while a commit runs,
//! the next round's inputs gather. Nothing is true before it is stored, and an attempt is on record
//! before its bytes leave.
//!
//! Memory is bounded: the inbox by count and by bytes ([`Handle::take`] waits, and with it the stream),
//! sessions by eviction of idle ones, which are read back when something happens to them.

mod accounts;
mod apply;
mod away;
mod commit;
mod counters;
mod deliveries;
pub mod erase;
pub mod feed;
mod handle;
pub mod history;
mod inbox;
pub mod ledger;
pub mod link;
mod live;
mod recovery;
mod redact;
mod retention;
mod round;
mod rows;
mod settings;
mod shared;
mod sinks;
pub mod snapshot;

pub use counters::{Count, Counters, Totals};
pub use handle::{Closed, Handle, Summary, Unchanged};
pub use inbox::{Decision, LaneKind, NoteRef};
pub use round::{Engine, EngineError};
pub use settings::Settings;
