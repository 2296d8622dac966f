//! The files of the templates, compiled in from the examples. A test compares the lists with the folders.

use super::{Kind, Language};

/// What the Rust example says of where the SDK is.
pub(super) const SDK_PLACE: &str = "../../sdk-guest";

/// A file of a template.
#[derive(Debug, Clone)]
pub(crate) struct File<T> {
    /// Where it goes, below the plugin's folder.
    pub(crate) path: &'static str,
    /// What it holds.
    pub(crate) text: T,
}

impl File<&str> {
    /// The same, with a text that can be changed.
    pub(super) fn owned(&self) -> File<String> {
        File { path: self.path, text: self.text.to_owned() }
    }
}

/// The files of a language, without those that all of a kind share; `None` where there is no such template.
pub(super) fn of(language: Language, kind: Kind) -> Option<&'static [File<&'static str>]> {
    match (language, kind) {
        (Language::Rust, Kind::Bot) => Some(RUST),
        (Language::Rust, Kind::Trigger) => Some(RUST_TRIGGER),
        (Language::Rust, Kind::Source) => Some(RUST_SOURCE),
        (Language::Js, Kind::Bot) => Some(JAVASCRIPT),
        (Language::Js, Kind::Trigger) => Some(JAVASCRIPT_TRIGGER),
        (Language::Js, Kind::Source) => Some(JAVASCRIPT_SOURCE),
        (Language::Ts, Kind::Bot) => Some(TYPESCRIPT),
        (Language::Python, Kind::Bot) => Some(PYTHON),
        (Language::Python, Kind::Source) => Some(PYTHON_SOURCE),
        (Language::C, Kind::Bot) => Some(C),
        (Language::Go, Kind::Bot) => Some(GO),
        (Language::Other, Kind::Bot) => Some(OTHER),
        (Language::Ts | Language::C | Language::Go | Language::Other, Kind::Source) => None,
        (
            Language::Ts | Language::Python | Language::C | Language::Go | Language::Other,
            Kind::Trigger,
        ) => None,
    }
}

/// The package of a language that its templates import, as a copy; Rust's is put together in `sdk`.
pub(super) fn package(language: Language) -> &'static [File<&'static str>] {
    match language {
        Language::Js | Language::Ts => NPM,
        Language::Python => PYPI,
        Language::Rust | Language::C | Language::Go | Language::Other => &[],
    }
}

/// What every language of a kind has.
pub(super) fn shared(kind: Kind) -> &'static [File<&'static str>] {
    match kind {
        Kind::Bot => SHARED,
        Kind::Trigger => SHARED_TRIGGER,
        Kind::Source => SHARED_SOURCE,
    }
}

/// Files of a folder of the repository, which keep their place in it below another.
macro_rules! files {
    ($from:literal => $to:literal: $($path:literal),+ $(,)?) => {
        &[$(File {
            path: concat!($to, $path),
            text: include_str!(concat!("../../../../", $from, "/", $path)),
        }),+]
    };
}

const SHARED_TRIGGER: &[File<&str>] = files! {
    "examples/shared-trigger" => "":
    "INTERFACE.md",
    "manifest.json",
    "sidenote.toml",
};

const SHARED_SOURCE: &[File<&str>] = files! {
    "examples/shared-source" => "":
    "INTERFACE.md",
    "manifest.json",
    "requests/paid.json",
    "sidenote.toml",
};

const SHARED: &[File<&str>] = files! {
    "examples/shared" => "":
    "INTERFACE.md",
    "manifest.json",
    "sidenote.toml",
    "webhooks/closed.json",
    "webhooks/no-conversation.json",
    "webhooks/numbers.json",
    "webhooks/opened.json",
    "webhooks/replied.json",
};

/// The interface.
pub(crate) const WIT: &[File<&str>] = files! {
    "wit/frozen/0.1.0" => "wit/":
    "config.wit",
    "crypto.wit",
    "finder.wit",
    "http.wit",
    "kv.wit",
    "log.wit",
    "messenger.wit",
    "package.wit",
    "redactor.wit",
    "sink.wit",
    "source.wit",
    "timer.wit",
    "trigger.wit",
    "types.wit",
    "webhook.wit",
    "worlds.wit",
    "writer.wit",
};

/// The SDK for Rust, but for its `Cargo.toml`.
pub(super) const SDK: &[File<&str>] = files! {
    "sdk-guest" => "sidenote-plugin/":
    "src/bindings.rs",
    "src/clock.rs",
    "src/config.rs",
    "src/crypto.rs",
    "src/export.rs",
    "src/failure.rs",
    "src/help.rs",
    "src/http.rs",
    "src/json.rs",
    "src/json/bodies.rs",
    "src/json/repair.rs",
    "src/kv.rs",
    "src/lib.rs",
    "src/log.rs",
    "src/sink.rs",
    "src/source.rs",
    "src/test.rs",
    "src/text.rs",
    "src/timer.rs",
    "src/webhook.rs",
};

/// The package for JavaScript and TypeScript, as npm has it.
pub(super) const NPM: &[File<&str>] = files! {
    "sdk-guest/js" => "sidenote-plugin/":
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "README.md",
    "package.json",
    "src/config.d.ts",
    "src/config.js",
    "src/engine.d.ts",
    "src/engine.js",
    "src/failure.d.ts",
    "src/failure.js",
    "src/http.d.ts",
    "src/http.js",
    "src/kv.d.ts",
    "src/kv.js",
    "src/source.d.ts",
    "src/source.js",
    "src/text.d.ts",
    "src/text.js",
    "src/timer.d.ts",
    "src/timer.js",
    "src/types.d.ts",
    "src/values.d.ts",
    "src/values.js",
    "src/webhook.d.ts",
    "src/webhook.js",
    "testing/imports/config.js",
    "testing/imports/crypto.js",
    "testing/imports/http.js",
    "testing/imports/kv.js",
    "testing/imports/log.js",
    "testing/imports/timer.js",
    "testing/index.d.ts",
    "testing/index.js",
    "testing/register.js",
};

/// The package for Python, as its source distribution has it.
pub(super) const PYPI: &[File<&str>] = files! {
    "sdk-guest/python" => "sidenote-plugin/":
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "README.md",
    "pyproject.toml",
    "src/sidenote_plugin/__init__.py",
    "src/sidenote_plugin/config.py",
    "src/sidenote_plugin/failure.py",
    "src/sidenote_plugin/http.py",
    "src/sidenote_plugin/py.typed",
    "src/sidenote_plugin/source.py",
    "src/sidenote_plugin/testing.py",
    "src/sidenote_plugin/text.py",
    "src/sidenote_plugin/values.py",
    "src/sidenote_plugin/webhook.py",
};

const RUST: &[File<&str>] = files! {
    "examples/rust-bot" => "":
    ".gitignore",
    "AGENTS.md",
    "Cargo.toml",
    "README.md",
    "build.sh",
    "src/lib.rs",
    "src/tests.rs",
};

const RUST_TRIGGER: &[File<&str>] = files! {
    "examples/rust-trigger" => "":
    ".gitignore",
    "AGENTS.md",
    "Cargo.toml",
    "README.md",
    "build.sh",
    "src/lib.rs",
    "src/tests.rs",
};

const RUST_SOURCE: &[File<&str>] = files! {
    "examples/rust-source" => "":
    ".gitignore",
    "AGENTS.md",
    "Cargo.toml",
    "README.md",
    "build.sh",
    "src/lib.rs",
    "src/tests.rs",
};

const JAVASCRIPT_TRIGGER: &[File<&str>] = files! {
    "examples/javascript-trigger" => "":
    ".gitignore",
    "AGENTS.md",
    "README.md",
    "build.mjs",
    "package-lock.json",
    "package.json",
    "src/trigger.js",
    "test/trigger.test.mjs",
};

const JAVASCRIPT_SOURCE: &[File<&str>] = files! {
    "examples/javascript-source" => "":
    ".gitignore",
    "AGENTS.md",
    "README.md",
    "build.mjs",
    "package-lock.json",
    "package.json",
    "src/source.js",
    "test/source.test.mjs",
};

const PYTHON_SOURCE: &[File<&str>] = files! {
    "examples/python-source" => "":
    ".gitignore",
    "AGENTS.md",
    "README.md",
    "app.py",
    "build.py",
    "requirements-build.txt",
    "requirements.txt",
    "tests/test_source.py",
};

const JAVASCRIPT: &[File<&str>] = files! {
    "examples/javascript-bot" => "":
    ".gitignore",
    "AGENTS.md",
    "README.md",
    "build.mjs",
    "package-lock.json",
    "package.json",
    "src/bot.js",
    "test/bot.test.mjs",
};

const TYPESCRIPT: &[File<&str>] = files! {
    "examples/typescript-bot" => "":
    ".gitignore",
    "AGENTS.md",
    "README.md",
    "build.mjs",
    "package-lock.json",
    "package.json",
    "src/bot.ts",
    "test/bot.test.mjs",
    "tsconfig.json",
};

const PYTHON: &[File<&str>] = files! {
    "examples/python-bot" => "":
    ".gitignore",
    "AGENTS.md",
    "README.md",
    "app.py",
    "build.py",
    "requirements-build.txt",
    "requirements.txt",
    "tests/test_bot.py",
};

const C: &[File<&str>] = files! {
    "examples/c-bot" => "":
    ".gitignore",
    "AGENTS.md",
    "Makefile",
    "README.md",
    "bindings/chatbot_plugin.c",
    "bindings/chatbot_plugin.h",
    "requirements.txt",
    "src/bot.c",
    "src/failure.c",
    "src/failure.h",
    "src/json.c",
    "src/json.h",
    "tests/json_test.c",
};

const OTHER: &[File<&str>] = files! {
    "examples/other-bot" => "":
    ".gitignore",
    "AGENTS.md",
    "README.md",
};

const GO: &[File<&str>] = files! {
    "examples/go-bot" => "":
    ".gitignore",
    "AGENTS.md",
    "README.md",
    "bot/bot_test.go",
    "bot/failure.go",
    "bot/host.go",
    "bot/notes.go",
    "bot/webhook.go",
    "build.sh",
    "export_sidenote_plugin_webhook/webhook.go",
    "export_sidenote_plugin_writer/writer.go",
    "go.mod",
    "sidenote_plugin_config/empty.s",
    "sidenote_plugin_config/wit_bindings.go",
    "sidenote_plugin_crypto/empty.s",
    "sidenote_plugin_crypto/wit_bindings.go",
    "sidenote_plugin_http/empty.s",
    "sidenote_plugin_http/wit_bindings.go",
    "sidenote_plugin_log/empty.s",
    "sidenote_plugin_log/wit_bindings.go",
    "sidenote_plugin_types/empty.s",
    "sidenote_plugin_types/wit_bindings.go",
    "sidenote_plugin_webhook/empty.s",
    "sidenote_plugin_webhook/wit_bindings.go",
    "sidenote_plugin_writer/empty.s",
    "sidenote_plugin_writer/wit_bindings.go",
    "third_party/go-pkg/LICENSE",
    "third_party/go-pkg/go.mod",
    "third_party/go-pkg/wit/runtime/empty.s",
    "third_party/go-pkg/wit/runtime/runtime.go",
    "third_party/go-pkg/wit/types/option.go",
    "third_party/go-pkg/wit/types/result.go",
    "third_party/go-pkg/wit/types/tuple.go",
    "third_party/go-pkg/wit/types/unit.go",
    "wit_exports.go",
};

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::{Path, PathBuf};

    use super::*;

    /// What builds leave in a folder, by its own `.gitignore`.
    fn left_by_builds(folder: &Path) -> Vec<String> {
        let text = std::fs::read_to_string(folder.join(".gitignore")).unwrap_or_default();
        text.lines().map(|line| line.trim_matches('/').to_owned()).collect()
    }

    /// The files below a folder. Links right in it lead to what all share.
    fn walk(folder: &Path, links: bool, skip: &[String], found: &mut BTreeSet<PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            let skipped = skip.iter().any(|skip| match skip.strip_prefix('*') {
                Some(ending) => name.ends_with(ending),
                None => skip == name,
            });
            match path.is_dir() {
                _ if skipped || (!links && path.is_symlink()) => {}
                true => walk(&path, true, skip, found),
                false => assert!(found.insert(path)),
            }
        }
    }

    /// Asserts that a list names the files of a folder, every one.
    fn names_all(from: &str, to: &str, files: &[File<&str>], more: &[&str]) {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(from);
        let mut skip = left_by_builds(&root);
        skip.extend(more.iter().map(|name| (*name).to_owned()));
        let mut there = BTreeSet::new();
        walk(&root, false, &skip, &mut there);
        let listed: BTreeSet<_> =
            files.iter().map(|file| root.join(file.path.strip_prefix(to).unwrap())).collect();
        assert_eq!(listed, there, "{from}");
    }

    #[test]
    fn every_file_of_the_folders_is_in_its_template() {
        for (folder, files) in [
            ("rust", RUST),
            ("javascript", JAVASCRIPT),
            ("typescript", TYPESCRIPT),
            ("python", PYTHON),
            ("c", C),
            ("go", GO),
            ("other", OTHER),
        ] {
            names_all(&format!("examples/{folder}-bot"), "", files, &[]);
        }
        names_all("examples/rust-trigger", "", RUST_TRIGGER, &[]);
        names_all("examples/rust-source", "", RUST_SOURCE, &[]);
        names_all("examples/javascript-trigger", "", JAVASCRIPT_TRIGGER, &[]);
        names_all("examples/javascript-source", "", JAVASCRIPT_SOURCE, &[]);
        names_all("examples/python-source", "", PYTHON_SOURCE, &[]);
        names_all("examples/shared", "", SHARED, &[]);
        names_all("examples/shared-source", "", SHARED_SOURCE, &[]);
        names_all("examples/shared-trigger", "", SHARED_TRIGGER, &[]);
        names_all("wit/frozen/0.1.0", "wit/", WIT, &["SHA256SUMS"]);
        let others = ["Cargo.toml", "README.md", "js", "python"];
        names_all("sdk-guest", "sidenote-plugin/", SDK, &others);
        let left_out = [".gitignore", "node_modules", "test"];
        names_all("sdk-guest/js", "sidenote-plugin/", NPM, &left_out);
        names_all("sdk-guest/python", "sidenote-plugin/", PYPI, &[".gitignore", "tests"]);
    }
}
