//! Where the built components are.

use std::path::PathBuf;

/// The folder that `cargo xtask guests` fills.
pub fn components() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../target/plugins"))
}
