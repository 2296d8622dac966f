//! One run of the binary under test.

use std::path::Path;
use std::process::Command;

use sidenote_tests::{binary, compiled};

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

/// Runs `sidenote` to its end with nothing in the environment but `env`, and where compiled components are kept.
pub(crate) fn sidenote(args: &[&str], env: &[(&str, &str)]) -> Run {
    let output = Command::new(binary())
        .args(args)
        .env_clear()
        .env("SIDENOTE_CACHE", compiled())
        .envs(env.iter().copied())
        .output()
        .expect("the binary runs");
    Run {
        code: output.status.code().expect("it ends by itself"),
        stdout: String::from_utf8(output.stdout).expect("it writes UTF-8"),
        stderr: String::from_utf8(output.stderr).expect("it writes UTF-8"),
    }
}
