//! Shared parts of the tests: a [`world`] around the real engine under the test's own time, and a rig of
//! sockets with a real host in it, people who act in it, and patience with a deadline.

mod acting;
mod components;
mod patience;
mod rig;
pub mod world;

pub use acting::Person;
pub use components::{components, missing_component};
pub use patience::{DEADLINE, eventually};
pub use rig::{Rig, Setup};
