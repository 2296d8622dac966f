//! What comes again and counts once: what was seen lately, and what is being accepted. Pure: time and bounds are
//! inputs.

mod claims;
mod seen;

pub use claims::{Claim, Claimed, Claims};
pub use seen::{Digest, Limits, Seen};
