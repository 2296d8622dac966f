//! Never has a reason to offer help.

use sidenote_plugin::Trigger;
use sidenote_plugin::help::{Offer, TriggerContext};

/// The plugin.
pub struct Still;

impl Trigger for Still {
    fn evaluate(_: TriggerContext) -> Option<Offer> {
        None
    }
}

sidenote_plugin::export!(Still: Trigger);
