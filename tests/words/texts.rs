//! Where public text stands.

use std::path::{Path, PathBuf};

use crate::source;

/// A line of public text.
pub(crate) struct Line {
    /// Its file, from the workspace's folder.
    pub(crate) file: String,
    pub(crate) number: usize,
    pub(crate) text: String,
    /// How the text goes on in the next line, without what marks a comment.
    pub(crate) next: String,
}

/// Files, or folders with all that is in them.
const PUBLIC: [&str; 12] = [
    "README.md",
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "docs",
    "examples",
    "plugins",
    "sdk-guest",
    "host",
    "wit/README.md",
    "tests/README.md",
    "tests/cli/snapshots",
    "tests/platforms/README.md",
];

/// What is made by tools, or is not text of ours: how a path begins.
const NOT_OURS: [&str; 6] = [
    // Generated from the interface, which is frozen.
    "docs/src/wit/",
    "examples/c-bot/bindings/",
    "examples/cpp-writer/bindings/",
    "examples/zig-writer/bindings/",
    "examples/go-bot/third_party/",
    "examples/go-bot/wit_exports.go",
];

/// Which texts are read, by how the file's name ends. Of Rust only comments and texts in quotes are.
const WHOLE: [&str; 13] =
    ["md", "toml", "json", "console", "snap", "sh", "py", "js", "mjs", "ts", "go", "c", "h"];

/// The workspace's folder.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests' folder is in it").to_owned()
}

/// Every line of public text.
pub(crate) fn all() -> Vec<Line> {
    let (mut lines, mut places) = (Vec::new(), Vec::new());
    places.extend(PUBLIC.map(|place| root().join(place)).into_iter().filter(|it| it.exists()));
    while let Some(place) = places.pop() {
        let name =
            place.strip_prefix(root()).expect("it is in the workspace").display().to_string();
        if is_passed_over(&name) {
            continue;
        }
        if place.is_dir() {
            let entries = std::fs::read_dir(&place).expect("the workspace's folders can be read");
            places.extend(entries.map(|entry| entry.expect("an entry").path()));
            continue;
        }
        let extension = place.extension().and_then(|it| it.to_str()).unwrap_or_default();
        let read = || std::fs::read_to_string(&place).expect("a text can be read");
        let numbered: Vec<(usize, String)> = match extension {
            it if WHOLE.contains(&it) => (1..).zip(read().lines().map(str::to_owned)).collect(),
            "rs" => source::texts(&read()),
            _ => continue,
        };
        for (n, (number, text)) in numbered.iter().enumerate() {
            let behind = numbered.get(n + 1).filter(|(next, _)| *next == number + 1);
            let next = behind.map_or_else(String::new, |(_, text)| bare(text).to_owned());
            lines.push(Line { file: name.clone(), number: *number, text: text.clone(), next });
        }
    }
    assert!(lines.len() > 10_000, "there are {} lines", lines.len());
    lines
}

/// A line without what marks it as a comment.
fn bare(line: &str) -> &str {
    line.trim_start().trim_start_matches(['/', '!', '#', '*']).trim_start()
}

/// What is built, fetched or generated, and tests: nobody who uses it reads them.
fn is_passed_over(name: &str) -> bool {
    let mut parts = name.split('/');
    NOT_OURS.iter().any(|it| name.starts_with(it))
        || parts.any(|it| matches!(it, "target" | "node_modules" | "snapshots" | "tests" | "test"))
            && !name.starts_with("tests/")
        || name.contains("/sidenote_plugin_")
        || name.ends_with("tests.rs")
        || name.ends_with("package-lock.json")
}
