//! Where the built components are.

use std::path::PathBuf;

/// The plugins folder that `cargo xtask guests` fills.
pub fn components() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../target/plugins"))
}

/// What is missing, and how to get it; `None` when `file` is there.
pub fn missing_component(file: &str) -> Option<String> {
    let path = components().join(file);
    (!path.is_file()).then(|| {
        format!("{} is missing: build the components with `cargo xtask guests`", path.display())
    })
}
