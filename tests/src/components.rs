//! Where the built components are.

use std::path::PathBuf;

/// The plugins as `cargo xtask guests` puts them into a folder.
pub fn components() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../target/plugins"))
}

/// Where the tests' hosts keep what they compiled: a debug host takes its time over it.
pub fn compiled() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../target/test-cache"))
}

/// The components that misbehave for the tests, as `cargo xtask guests` puts them into a folder.
pub fn test_guests() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../target/test-guests"))
}
