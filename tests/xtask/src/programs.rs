//! The test programs: cargo builds them, and they run side by side, for most of them wait for sockets and timers.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::book;
use crate::languages;
use crate::side_by_side::{self, Job};

/// The slowest ones come first, so that none of them is left alone at the end.
const FIRST: [&str; 5] = ["cli", "stores", "engine", "plugins", "sidenote"];
/// It has the plugins in each language, and is the longest: they are built while the others run.
const LAST: &str = "e2e";
/// They judge how long something takes, or how much memory: nothing runs beside them.
const ALONE: [&str; 2] = ["isolation", "hostile"];
/// Cargo's arguments for the lints.
const LINTS: [&str; 7] =
    ["clippy", "--workspace", "--all-targets", "--quiet", "--", "--deny", "warnings"];
/// How many tests of a program run at once.
const THREADS: &str = "RUST_TEST_THREADS";
/// Set to `build`: the lints run in the compiler that builds the tests. Cargo keeps what such a compiler made apart from
/// what other builds made, so it is for a machine on which nothing else was built.
const LINTS_IN: &str = "SIDENOTE_LINTS";

/// A test program.
pub(crate) struct Program {
    name: String,
    /// Of its package; it runs there, as `cargo test` would have it.
    folder: PathBuf,
    executable: PathBuf,
}

/// Whether the lints run in the compiler that builds the tests.
fn lints_in_build() -> bool {
    std::env::var_os(LINTS_IN).is_some_and(|place| place == "build")
}

/// A command of cargo that builds what the tests are.
fn cargo(root: &Path, args: &[&str]) -> Command {
    let mut cargo = Command::new("cargo");
    cargo.args(args).current_dir(root).env("CARGO_TARGET_DIR", root.join("target"));
    if lints_in_build() {
        // As `cargo clippy` does it, but for code instead of a check alone.
        cargo.env("RUSTC_WORKSPACE_WRAPPER", "clippy-driver");
        cargo.env("CLIPPY_ARGS", "--deny__CLIPPY_HACKERY__warnings");
    }
    cargo
}

/// Builds every test program of the workspace, and the binaries with them: built by themselves, their
/// dependencies would have other features.
pub(crate) fn build(root: &Path) -> Result<Vec<Program>, String> {
    let args = ["test", "--workspace", "--no-run", "--message-format=json-render-diagnostics"];
    crate::say("» cargo test --workspace --no-run");
    let built = cargo(root, &args).stderr(Stdio::inherit()).output();
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

/// Runs them, and the examples in the documentation. Beside them, in the time of the processors that waiting tests leave, a
/// plugin is built in each language, and the book, and the lints run unless the build had them.
pub(crate) fn test(root: &Path, host: &Path, mut programs: Vec<Program>) -> Result<(), String> {
    let place = |program: &Program| {
        FIRST.iter().position(|name| *name == program.name).unwrap_or(FIRST.len())
    };
    programs.sort_by_key(place);
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let output = root.join("target/test-output");
    let job = |program: Program| {
        let mut command = Command::new(&program.executable);
        command.env("CARGO_MANIFEST_DIR", &program.folder).env("SIDENOTE_BINARY", host);
        command.current_dir(&program.folder);
        if let Some(place) = crate::built::compiled() {
            command.env("SIDENOTE_COMPILED", place);
        }
        if std::env::var_os(THREADS).is_none() {
            // Most tests wait for sockets and timers.
            command.env(THREADS, (2 * processors).to_string());
        }
        // Two programs can have one name.
        let package = program.folder.file_name().unwrap_or_default().to_string_lossy();
        let name = format!("{}-of-{package}", program.name);
        Job { name, run: Box::new(move |said| crate::run_into(said, &mut command)) }
    };
    let (alone, others): (Vec<_>, Vec<_>) =
        programs.into_iter().partition(|program| ALONE.contains(&program.name.as_str()));
    let (last, others): (Vec<_>, Vec<_>) =
        others.into_iter().partition(|program| program.name == LAST);
    let mut others: Vec<_> = others.into_iter().map(job).collect();
    let mut docs = cargo(root, &["test", "--quiet", "--workspace", "--doc"]);
    let run = Box::new(move |said: &_| crate::run_into(said, &mut docs));
    others.push(Job { name: "examples-in-the-documentation".to_owned(), run });
    let mut lints = Vec::new();
    if !lints_in_build() {
        let mut clippy = Command::new("nice");
        clippy.args(["-n", "19", "cargo"]).args(LINTS).current_dir(root);
        let run = Box::new(move |said: &_| crate::run_into(said, &mut clippy));
        lints.push(Job { name: "lints".to_owned(), run });
    }
    let (done, lints) = std::thread::scope(|scope| {
        let lints = scope.spawn(|| side_by_side::run(&output, 1, lints));
        let languages = scope.spawn(|| languages::build(root, host, false));
        let book = scope.spawn(|| book::build(root));
        let done = [
            side_by_side::run(&output, processors, others),
            side_by_side::ended(languages, "languages"),
            side_by_side::run(&output, 1, last.into_iter().map(job).collect()),
            side_by_side::ended(book, "the book"),
        ];
        (done, side_by_side::ended(lints, "lints"))
    });
    let alone = side_by_side::run(&output, 1, alone.into_iter().map(job).collect());
    let failed = done.into_iter().chain([lints, alone]).filter_map(Result::err).collect::<Vec<_>>();
    if failed.is_empty() { Ok(()) } else { Err(failed.join(", and ")) }
}
