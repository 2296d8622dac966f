//! The plugin stage.
