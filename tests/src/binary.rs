//! The binary under test.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// Names a binary that is up to date.
const BUILT: &str = "SIDENOTE_BINARY";

/// The binary that the variable `SIDENOTE_BINARY` names, or the one in the folder that this test was built into. A
/// test of this package alone doesn't build binaries of others, so it is built here: nothing to do when it is up to
/// date.
///
/// # Panics
/// When it can't be built.
pub fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        if let Some(built) = std::env::var_os(BUILT) {
            return built.into();
        }
        let own = std::env::current_exe().expect("a program knows its own file");
        let folder = own.parent().expect("TARGET/PROFILE/deps/TEST or TARGET/PROFILE/PROGRAM");
        let profile = match folder.ends_with("deps") {
            true => folder.parent().expect("TARGET/PROFILE/deps"),
            false => folder,
        };
        let target = profile.parent().expect("TARGET/PROFILE");
        let name = match profile.file_name().and_then(|name| name.to_str()) {
            Some("debug") | None => "dev",
            Some(name) => name,
        };
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut build = Command::new(cargo);
        build.args(["build", "--quiet", "--package", "sidenote-cli", "--bin", "sidenote"]);
        build.args(["--profile", name, "--target-dir"]).arg(target);
        // What cargo tells a test about its package makes build scripts run again, and much with them.
        for (variable, _) in std::env::vars_os() {
            let name = variable.to_string_lossy();
            if name.starts_with("CARGO_") && name != "CARGO_HOME" || name == "LD_LIBRARY_PATH" {
                build.env_remove(variable);
            }
        }
        let status = build.current_dir(env!("CARGO_MANIFEST_DIR")).status().expect("cargo runs");
        assert!(status.success(), "the binary can't be built");
        profile.join(format!("sidenote{}", std::env::consts::EXE_SUFFIX))
    })
}
