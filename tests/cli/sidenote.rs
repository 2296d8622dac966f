//! The binary under test, and one run of it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// What came of a run.
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Run {
    /// Everything, for a snapshot, with `folder` as `DIR`.
    pub(crate) fn shown_in(&self, folder: &Path) -> String {
        self.shown().replace(&folder.display().to_string(), "DIR")
    }

    /// Everything, for a snapshot.
    pub(crate) fn shown(&self) -> String {
        let part = |name: &str, text: &str| {
            if text.is_empty() {
                String::new()
            } else {
                format!("--- {name}\n{}\n", text.trim_end())
            }
        };
        format!(
            "exit code {}\n{}{}",
            self.code,
            part("stdout", &self.stdout),
            part("stderr", &self.stderr)
        )
    }
}

/// Runs `sidenote` to its end with nothing in the environment but `env`.
pub(crate) fn sidenote(args: &[&str], env: &[(&str, &str)]) -> Run {
    let output = Command::new(binary())
        .args(args)
        .env_clear()
        .envs(env.iter().copied())
        .output()
        .expect("the binary runs");
    Run {
        code: output.status.code().expect("it ends by itself"),
        stdout: String::from_utf8(output.stdout).expect("it writes UTF-8"),
        stderr: String::from_utf8(output.stderr).expect("it writes UTF-8"),
    }
}

/// The binary in the folder that this test was built into. `cargo test` doesn't build binaries of other
/// packages, so it is built here: nothing to do when it is up to date.
fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        let test = std::env::current_exe().expect("a test knows its own file");
        let profile = test.ancestors().nth(2).expect("TARGET/PROFILE/deps/test");
        let target = profile.parent().expect("TARGET/PROFILE");
        let name = match profile.file_name().and_then(|name| name.to_str()) {
            Some("debug") | None => "dev",
            Some(name) => name,
        };
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut build = Command::new(cargo);
        build.args(["build", "--quiet", "--package", "sidenote", "--bin", "sidenote"]);
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
