//! Where the built components are.

use std::path::PathBuf;

/// The plugins as `cargo xtask guests` puts them into a folder.
pub fn components() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../target/plugins"))
}

/// Where the tests' hosts keep what they compiled: a debug host takes its time over it. `SIDENOTE_COMPILED` names another
/// folder, which outlives the checkout.
pub fn compiled() -> PathBuf {
    let own = || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../target/test-cache"));
    std::env::var_os("SIDENOTE_COMPILED").map_or_else(own, PathBuf::from)
}

/// The components that misbehave for the tests, as `cargo xtask guests` puts them into a folder.
pub fn test_guests() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../target/test-guests"))
}
