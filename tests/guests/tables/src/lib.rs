//! A plugin like any other, but for a table of a million elements: see `build.rs`.

use sidenote_plugin::{Call, Failure, Note, Posted, Writer};

/// The plugin.
pub struct Tables;

impl Writer for Tables {
    fn post_note(_: Call, _: Note) -> Result<Posted, Failure> {
        Ok(Posted::with_id("alive"))
    }
}

sidenote_plugin::export!(Tables);
