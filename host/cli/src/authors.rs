//! What serves authors; in a build without the feature `authors`, what says that it is left out.

#[cfg(feature = "authors")]
pub(crate) use sidenote_authors::{DemoArgs, PluginCommand, demo, plugin};

#[cfg(not(feature = "authors"))]
pub(crate) use crate::left_out::{DemoArgs, PluginCommand, demo, plugin};
