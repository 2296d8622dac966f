//! The test programs: cargo builds them, and they run side by side, for most of them wait for sockets and timers.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::side_by_side::{self, Job};

/// The slowest ones come first, so that none of them is left alone at the end.
const FIRST: [&str; 6] = ["e2e", "cli", "plugins", "stores", "sidenote", "engine"];
/// They judge how long something takes, or how much memory: nothing runs beside them.
const ALONE: [&str; 2] = ["isolation", "hostile"];
/// Cargo's arguments for the lints.
const LINTS: [&str; 7] =
    ["clippy", "--workspace", "--all-targets", "--quiet", "--", "--deny", "warnings"];
/// How many tests of a program run at once.
const THREADS: &str = "RUST_TEST_THREADS";

/// A test program.
pub(crate) struct Program {
    name: String,
    /// Of its package; it runs there, as `cargo test` would have it.
    folder: PathBuf,
    executable: PathBuf,
}

/// Builds every test program of the workspace, and the binaries with them: built by themselves, their
/// dependencies would have other features.
pub(crate) fn build(root: &Path) -> Result<Vec<Program>, String> {
    let mut cargo = Command::new("cargo");
    cargo.args(["test", "--workspace", "--no-run", "--message-format=json-render-diagnostics"]);
    let cargo = cargo.current_dir(root).env("CARGO_TARGET_DIR", root.join("target"));
    crate::say("» cargo test --workspace --no-run");
    let built = cargo.stderr(Stdio::inherit()).output();
    let built = built.map_err(|error| format!("cargo: {error}"))?;
    if !built.status.success() {
        return Err(format!("cargo test --no-run: {}", built.status));
    }
    let messages = String::from_utf8_lossy(&built.stdout);
    let programs = messages.lines().filter_map(|line| program(&serde_json::from_str(line).ok()?));
    Ok(programs.collect())
}

/// What cargo's message is about, if that is a test program.
fn program(message: &Value) -> Option<Program> {
    message["profile"]["test"].as_bool().filter(|test| *test)?;
    let executable = PathBuf::from(message["executable"].as_str()?);
    let manifest = Path::new(message["manifest_path"].as_str()?);
    let name = message["target"]["name"].as_str()?.to_owned();
    Some(Program { name, folder: manifest.parent()?.to_owned(), executable })
}

/// Runs them, and the examples in the documentation. The lints run beside them, in the time of the processors that
/// waiting tests leave.
pub(crate) fn test(root: &Path, host: &Path, mut programs: Vec<Program>) -> Result<(), String> {
    let place = |program: &Program| {
        FIRST.iter().position(|name| *name == program.name).unwrap_or(FIRST.len())
    };
    programs.sort_by_key(place);
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = std::env::var(THREADS).unwrap_or_else(|_| processors.to_string());
    let output = root.join("target/test-output");
    let job = |program: Program| {
        let mut command = Command::new(&program.executable);
        command.env("CARGO_MANIFEST_DIR", &program.folder).env("SIDENOTE_BINARY", host);
        command.env(THREADS, &threads).current_dir(&program.folder);
        // Two programs can have one name.
        let package = program.folder.file_name().unwrap_or_default().to_string_lossy();
        let name = format!("{}-of-{package}", program.name);
        Job { name, run: Box::new(move |said| crate::run_into(said, &mut command)) }
    };
    let (alone, others): (Vec<_>, Vec<_>) =
        programs.into_iter().partition(|program| ALONE.contains(&program.name.as_str()));
    let mut others: Vec<_> = others.into_iter().map(job).collect();
    let mut docs = Command::new("cargo");
    docs.args(["test", "--quiet", "--workspace", "--doc"]).current_dir(root);
    docs.env("CARGO_TARGET_DIR", root.join("target"));
    let run = Box::new(move |said: &_| crate::run_into(said, &mut docs));
    others.push(Job { name: "examples-in-the-documentation".to_owned(), run });
    let mut clippy = Command::new("nice");
    clippy.args(["-n", "19", "cargo"]).args(LINTS).current_dir(root);
    let run = Box::new(move |said: &_| crate::run_into(said, &mut clippy));
    let lints = vec![Job { name: "lints".to_owned(), run }];
    let (done, lints) = std::thread::scope(|scope| {
        let lints = scope.spawn(|| side_by_side::run(&output, 1, lints));
        let done = side_by_side::run(&output, processors, others);
        (done, lints.join().unwrap_or_else(|_| Err("failed: lints".to_owned())))
    });
    let alone = side_by_side::run(&output, 1, alone.into_iter().map(job).collect());
    let failed: Vec<_> = [done, lints, alone].into_iter().filter_map(Result::err).collect();
    if failed.is_empty() { Ok(()) } else { Err(failed.join(", and ")) }
}
