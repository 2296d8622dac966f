//! Shared parts of the end-to-end tests: a rig of sockets with a real host in it, people who act in
//! it, and patience with a deadline.

mod acting;
mod components;
mod patience;
mod rig;

pub use acting::Person;
pub use components::{components, missing_component};
pub use patience::{DEADLINE, eventually};
pub use rig::{Setup, Rig};
