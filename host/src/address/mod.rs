//! Where a request goes, and how far away that is. Pure.

mod origin;
mod reach;

pub use origin::Origin;
pub use reach::{Reach, RefusedAddress, admit, is_on_this_machine, reach};
