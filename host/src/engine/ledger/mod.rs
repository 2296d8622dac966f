//! The outbox as people see it: what waits, dead letters, and their decisions about it.
//!
//! Everything is read from the rows, page by page, so that a table of any size takes little memory, and
//! it works without a running engine. Changes go through the engine alone, which knows what is in flight.
//!
//! What is shown of a note says where it stands and what it is, never what it says: the text comes only
//! where it is asked for, the person never.

mod account;
mod age;
mod attempt;
mod cursor;
mod decide;
mod delivery;
mod entry;
mod failures;
mod filter;
mod list;
mod resend;
mod rows;
#[cfg(test)]
mod tests;
mod timeline;
mod waiting;
mod walk;

pub use account::Account;
pub use age::{InvalidAge, parse_age};
pub use attempt::{AttemptEntry, BytesLeft, Decision as AttemptDecision};
pub use cursor::{Cursor, InvalidCursor};
pub use decide::{By, Decided, LedgerError, MOST_SHOWN, Order, carry_out, preview};
pub use delivery::{Delivery, DeliveryState, RedactionEnd, RedactionEntry, delivery};
pub use entry::{Entry, EntryKind, EntryState, Text};
pub use failures::{Failure, Failures, failures};
pub use filter::{Filter, FilterError};
pub use list::{Listing, Want, list};
pub use resend::{Repeat, ResendFailure, preview_resend, resend};
pub use timeline::{
    Happened, InvalidMoment, Moment, MomentCursor, Timeline, TimelineWant, timeline,
};
pub use waiting::{Waiting, waiting};
