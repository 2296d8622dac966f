//! How the sources of a folder become a component.

use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::SystemTime;

use anyhow::Context;
use serde_json::Value;
use sidenote_terminal::Unusable;
use sidenote_terminal::output;
use tokio::process::Command;

/// Where builds leave components, below the folder.
const PLACES: [&str; 8] = [
    "",
    "dist",
    "build",
    "out",
    "target/wasm32-wasip2/release",
    "target/wasm32-wasip2/guest",
    "target/wasm32-wasip2/debug",
    "target/wasm32-wasip1/release",
];

/// A command that builds.
pub(super) struct Build {
    command: String,
    folder: PathBuf,
}

impl Build {
    /// The command that was given, or the folder's own. None for a component that something else builds.
    pub(super) fn find(
        path: &Path,
        folder: &Path,
        given: Option<&str>,
    ) -> Result<Option<Self>, Unusable> {
        let command = match given {
            Some(command) => command.to_owned(),
            None if !path.is_dir() => return Ok(None),
            None => usual(folder).ok_or_else(|| {
                Unusable(format!(
                    "{}: nothing in there says how it is built; say it with --build COMMAND",
                    folder.display()
                ))
            })?,
        };
        Ok(Some(Self { command, folder: folder.to_owned() }))
    }

    /// Builds; what the command says goes to stderr. Whether it succeeded.
    pub(super) async fn run(&self) -> anyhow::Result<bool> {
        let mut command = Command::new("sh");
        command.args(["-c", &self.command]).current_dir(&self.folder).kill_on_drop(true);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        let ended = command.output().await.context("`sh` can't be started")?;
        let said = String::from_utf8_lossy(&ended.stdout);
        if !said.trim().is_empty() {
            output::say(said.trim_end());
        }
        if !ended.status.success() {
            output::say(&format!(
                "the build failed ({}); waiting for the next change",
                ended.status
            ));
        }
        Ok(ended.status.success())
    }
}

impl fmt::Display for Build {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.command)
    }
}

/// How a folder is usually built, by what is in it.
fn usual(folder: &Path) -> Option<String> {
    let there = |name: &str| folder.join(name).is_file();
    let script = || {
        let text = std::fs::read_to_string(folder.join("package.json")).ok()?;
        let package: Value = serde_json::from_str(&text).ok()?;
        package["scripts"]["build"].as_str().map(|_| ())
    };
    let command = if there("build.sh") {
        "sh build.sh"
    } else if there("Makefile") {
        "make"
    } else if script().is_some() {
        "npm run --silent build"
    } else if there("build.py") {
        "python3 build.py"
    } else if there("Cargo.toml") {
        "cargo build --quiet --release --target wasm32-wasip2"
    } else {
        return None;
    };
    Some(command.to_owned())
}

/// The component that was built last.
pub(super) fn youngest(folder: &Path) -> Result<PathBuf, Unusable> {
    let files = PLACES.iter().flat_map(|place| {
        std::fs::read_dir(folder.join(place)).into_iter().flatten().flatten().map(|it| it.path())
    });
    let named = files.filter(|file| file.extension().is_some_and(|ending| ending == "wasm"));
    let components = named.filter(|file| is_component(file));
    let age = |file: &PathBuf| -> Option<SystemTime> {
        std::fs::metadata(file).and_then(|about| about.modified()).ok()
    };
    components.max_by_key(age).ok_or_else(|| {
        Unusable(format!(
            "{}: the build left no .wasm file in it; name the one that it makes with --component FILE",
            folder.display()
        ))
    })
}

/// Whether a file begins as a component does: some builds leave the core module beside it.
fn is_component(file: &Path) -> bool {
    let mut head = [0; 8];
    let read = std::fs::File::open(file).and_then(|mut file| file.read_exact(&mut head));
    read.is_ok() && head.starts_with(b"\0asm") && head[6..] == [1, 0]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_built_by_what_is_in_it() {
        for (file, content, wanted) in [
            ("build.sh", "", Some("sh build.sh")),
            ("Makefile", "", Some("make")),
            ("package.json", r#"{"scripts": {"build": "x"}}"#, Some("npm run --silent build")),
            ("package.json", r#"{"scripts": {"test": "x"}}"#, None),
            ("build.py", "", Some("python3 build.py")),
            ("Cargo.toml", "", Some("cargo build --quiet --release --target wasm32-wasip2")),
            ("README.md", "", None),
        ] {
            let folder = tempfile::tempdir().unwrap();
            std::fs::write(folder.path().join(file), content).unwrap();
            assert_eq!(usual(folder.path()).as_deref(), wanted, "{file} {content}");
        }
    }

    #[test]
    fn the_youngest_component_is_the_one_and_core_modules_are_none() {
        let folder = tempfile::tempdir().unwrap();
        assert!(youngest(folder.path()).is_err());
        let age = |file: &str, head: &[u8], seconds: u64| {
            let file = folder.path().join(file);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(&file, head).unwrap();
            let at = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
            std::fs::File::options().write(true).open(&file).unwrap().set_modified(at).unwrap();
            file
        };
        let (component, core) = (b"\0asm\x0d\0\x01\0", b"\0asm\x01\0\0\0");
        age("old.wasm", component, 1);
        let wanted = age("dist/bot.wasm", component, 2);
        age("build/core.wasm", core, 3);
        age("notes.txt", component, 4);
        assert_eq!(youngest(folder.path()).unwrap(), wanted);
    }
}
