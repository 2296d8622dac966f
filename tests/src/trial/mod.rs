//! Trials of durable delivery: a host under load that is killed again and again, and a judge outside it.
//!
//! A [`Trial`] drives a host that is fed through its standard input (the program `taker`), so that it knows
//! to the batch what was *taken*: what the host said so of after its commit. It keeps all that in
//! [`Evidence`], together with what the platform saw, and [`judge`] says what of the promises didn't hold.

mod crowd;
mod evidence;
mod judge;
mod life;

pub use evidence::{Batch, Evidence, Kill, LinkWish};
pub use judge::{Verdict, judge};
pub use life::{End, Moment, Plan, Trial};
