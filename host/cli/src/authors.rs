//! The commands that a build may leave out; where it does, what says so.

#[cfg(feature = "authors")]
pub(crate) use sidenote_authors::{PluginCommand, plugin};
#[cfg(feature = "demo")]
pub(crate) use sidenote_sim::{DemoArgs, ReplayArgs, demo, replay};

#[cfg(not(feature = "demo"))]
pub(crate) use crate::left_out::{DemoArgs, DemoArgs as ReplayArgs, demo, replay};
#[cfg(not(feature = "authors"))]
pub(crate) use crate::left_out::{PluginCommand, plugin};
