//! Shadows: a new version of a plugin is given what the version that runs was given, and what it does is held against what
//! that did. Nothing of it leaves the machine.
//!
//! ```text
//! live call -> watch (records) -> its outcome, as ever
//!                  └─ queue ─> worker: the new version, on a tape -> difference -> sums -> report
//! ```
//!
//! | module | owns |
//! |---|---|
//! | `orders` | start, report, promote, drop; what a reload means for a shadow |
//! | `shadows` | the shadows by their plugins |
//! | `files` | the component of a shadow, kept over a restart, and put in the place of the one that runs |
//! | `watch` | records live calls; the queue and its bounds |
//! | `input` | what a call is given, and how it ends |
//! | `reads` | what a call read of the store |
//! | `worker` | gives the new version what was recorded, on a thread of its own |
//! | `moment` | the clock that a guest sees, and sees again |
//! | `meter` | how long a call computes |
//! | `difference` | pure: two versions held against each other |
//! | `sums` | pure: what was found so far, and the report |

pub(in crate::plugin) mod difference;
mod files;
pub(in crate::plugin) mod input;
pub(in crate::plugin) mod meter;
pub(in crate::plugin) mod moment;
mod orders;
pub(in crate::plugin) mod reads;
pub(in crate::plugin) mod shadows;
pub(in crate::plugin) mod sums;
pub(in crate::plugin) mod watch;
mod worker;

pub use difference::{Becomes, Difference, What};
pub use orders::{Promoted, ShadowError};
pub use shadows::{ShadowReport, ShadowState};
pub use sums::{
    CostReport, ExportReport, NOT_COMPARED, OldAndNew, Quantiles, SeenDifference, SeenTrap,
    ShadowTotals,
};
