//! The project's commands, for people and for CI: `cargo xtask demo`, `cargo xtask test`, …
//!
//! Each one installs or builds what it needs first, so that a fresh machine needs nothing by hand.

mod book;
mod built;
mod debian;
mod docs;
mod javascript;
mod languages;
mod made_of;
mod pages;
mod programs;
mod release;
mod side_by_side;
mod steps;
mod tools;

use std::ffi::OsStr;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use steps::Steps;

const USAGE: &str = "\
cargo xtask demo [ARGS…]   build everything the demo needs and run `sidenote demo ARGS…`
cargo xtask test           run every test; check formatting, lints and licences
cargo xtask guests         build the WebAssembly components: plugins and test guests
cargo xtask docs           write what the book's pages are made of: the plugin interface from wit/, and what they include
cargo xtask book           build the book as a site with a search, in target/book/html, and follow every link of it
cargo xtask release [--target TARGET] [--out DIR]   a static binary with all that belongs to it, as an archive
cargo xtask languages      build a plugin in every language that `plugin new` knows, and measure them: a table
cargo xtask load [ARGS…]   the load test, release build
cargo xtask bench [ARGS…]  the benchmarks of all stores as one table, release build
cargo xtask soak [ARGS…]   a long trial with kills and restarts (--minutes N), release build
";

/// The WebAssembly target of every plugin.
const TARGET: &str = "wasm32-wasip2";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (command, rest) = match args.split_first() {
        Some((command, rest)) => (command.as_str(), rest),
        None => ("help", &[][..]),
    };
    let done = match command {
        "demo" => demo(rest),
        "test" => test(),
        "guests" => guests().and_then(|_| javascript::build(&root(), run)),
        "docs" => docs::write(&root()).and_then(|()| pages::write(&root())),
        "book" => book::build(&root()),
        "release" => release::release(rest),
        "languages" => languages(rest),
        "load" => measure("load", rest),
        "bench" => measure("bench", rest),
        "soak" => measure("soak", rest),
        _ => Err(USAGE.to_owned()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            say(&message);
            ExitCode::FAILURE
        }
    }
}

fn demo(args: &[String]) -> Result<(), String> {
    say("demo: 1 of 2: building its plugin, `webhook`");
    let plugins = components(&["sidenote-webhook".to_owned()])?;
    say(
        "demo: 2 of 2: building the host; some minutes the first time, most of them for its dependencies",
    );
    // Without what serves authors of plugins.
    let only = ["--no-default-features", "--features", "demo"];
    cargo([&["build", "--package", "sidenote-cli"][..], &only].concat())?;
    let folder = [OsStr::new("demo"), OsStr::new("--plugins"), plugins.as_os_str()];
    run(Command::new(host()).args(folder).args(args))
}

fn test() -> Result<(), String> {
    let mut steps = Steps::new();
    let done = test_steps(&mut steps);
    say(&steps.report());
    done
}

fn test_steps(steps: &mut Steps) -> Result<(), String> {
    steps.take("formatting", || cargo(["fmt", "--all", "--check"]))?;
    let programs = std::thread::scope(|scope| {
        // They come while cargo builds.
        let of_debian = scope.spawn(|| debian::programs(run, say));
        steps.take("building the components", guests)?;
        steps.take("building the component in JavaScript", || javascript::build(&root(), run))?;
        let programs = steps.take("building the tests", || programs::build(&root()))?;
        steps
            .take("programs of Debian", || side_by_side::ended(of_debian, "programs of Debian"))?;
        Ok::<_, String>(programs)
    })?;
    steps.take("a plugin in each language, the book, testing and lints", || {
        programs::test(&root(), &host(), programs)
    })?;
    let deny = steps.take("cargo-deny", tools::deny)?;
    steps.take("licences", || {
        run(Command::new(deny).args(["deny", "check", "licenses", "bans", "sources"]))
    })
}

/// A plugin in every language, and what it costs.
fn languages(args: &[String]) -> Result<(), String> {
    cargo(["build", "--quiet", "--package", "sidenote-cli"])?;
    languages::build(&root(), &host(), true)?;
    measure("languages", args)
}

/// The host's binary, once it is built.
fn host() -> PathBuf {
    root().join("target/debug/sidenote")
}

/// Runs a program that measures, with all that it starts built as for a release.
fn measure(program: &str, args: &[String]) -> Result<(), String> {
    let plugins = guests()?;
    // Together: built one by one, their dependencies would have other features.
    let packages = ["--package", "sidenote-cli", "--package", "sidenote-tests"];
    cargo([&["build", "--release", "--quiet", "--bins"][..], &packages].concat())?;
    let program = root().join("target/release").join(program);
    run(Command::new(program).arg("--plugins").arg(plugins).args(args))
}

/// Builds every component: the plugins into a plugins folder, which is returned, and the guests of the tests into
/// one of their own.
fn guests() -> Result<PathBuf, String> {
    components(&guest_packages()?)
}

/// Builds the components of these packages, and puts each where it belongs. The plugins folder is returned.
fn components(packages: &[String]) -> Result<PathBuf, String> {
    add_target()?;
    let mut build = vec!["build".to_owned(), "--quiet".to_owned(), "--profile=guest".to_owned()];
    build.push(format!("--target={TARGET}"));
    build.extend(packages.iter().map(|name| format!("--package={name}")));
    cargo(&build)?;
    let built = root().join("target").join(TARGET).join("guest");
    let (plugins, test_guests) = (root().join("target/plugins"), root().join("target/test-guests"));
    for folder in [&plugins, &test_guests] {
        std::fs::create_dir_all(folder)
            .map_err(|error| format!("{}: {error}", folder.display()))?;
    }
    for name in packages {
        let component = name.replace('-', "_");
        let from = built.join(format!("{component}.wasm"));
        let to = match name.strip_prefix("sidenote-") {
            Some(plugin) => plugins.join(format!("{plugin}.wasm")),
            None => test_guests.join(format!("{component}.wasm")),
        };
        // A rename is one step: a host that watches the folder never sees half a file.
        let part = to.with_extension("part");
        let copied = std::fs::copy(&from, &part).and_then(|_| std::fs::rename(&part, &to));
        copied.map_err(|error| format!("{} → {}: {error}", from.display(), to.display()))?;
    }
    Ok(plugins)
}

/// The packages below `plugins/` and `tests/guests/`.
fn guest_packages() -> Result<Vec<String>, String> {
    let mut names = Vec::new();
    for folder in ["plugins", "tests/guests"] {
        let folder = root().join(folder);
        let Ok(entries) = std::fs::read_dir(&folder) else {
            continue;
        };
        for entry in entries.flatten() {
            let manifest = entry.path().join("Cargo.toml");
            let Ok(text) = std::fs::read_to_string(&manifest) else {
                continue;
            };
            let name =
                text.lines().find_map(|line| line.strip_prefix("name = \"")?.strip_suffix('"'));
            names.push(
                name.ok_or_else(|| format!("{}: no package name", manifest.display()))?.to_owned(),
            );
        }
    }
    names.sort();
    Ok(names)
}

/// Adds the WebAssembly target where it is missing.
fn add_target() -> Result<(), String> {
    let listed =
        Command::new("rustup").args(["target", "list", "--installed"]).current_dir(root()).output();
    let listed =
        listed.map_err(|error| format!("rustup: {error}; install it from https://rustup.rs"))?;
    if String::from_utf8_lossy(&listed.stdout).lines().any(|line| line == TARGET) {
        return Ok(());
    }
    run(Command::new("rustup").args(["target", "add", TARGET]))
}

fn cargo<T: AsRef<OsStr>>(args: impl IntoIterator<Item = T>) -> Result<(), String> {
    run(Command::new("cargo").args(args))
}

fn run(command: &mut Command) -> Result<(), String> {
    command.env("CARGO_TARGET_DIR", root().join("target"));
    let words = command.get_args().map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ");
    let shown = format!("{} {words}", command.get_program().to_string_lossy());
    say(&format!("» {shown}"));
    let status =
        command.current_dir(root()).status().map_err(|error| format!("{shown}: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("{shown}: {status}")) }
}

/// Runs a command; what it says goes into a file.
fn run_into(said: &File, command: &mut Command) -> Result<(), String> {
    let shown = command.get_program().to_string_lossy().into_owned();
    let failed = |error| format!("{shown}: {error}");
    let (out, err) = (said.try_clone().map_err(failed)?, said.try_clone().map_err(failed)?);
    let status = command.stdout(out).stderr(err).status().map_err(failed)?;
    if status.success() { Ok(()) } else { Err(format!("{shown}: {status}")) }
}

/// The workspace's folder.
fn root() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.ancestors().nth(2).unwrap_or(package).to_owned()
}

#[expect(clippy::print_stderr, reason = "this is a command line")]
fn say(message: &str) {
    eprintln!("{message}");
}
