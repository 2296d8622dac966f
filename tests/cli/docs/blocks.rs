//! Every block is included from a file that a test checks.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use sidenote::config::Config;
use sidenote::plugin::Manifest;

use super::book::{Include, pages, root};

/// Folders whose files have tests of their own: examples are built and tried, plugins are tested where
/// they are.
const TESTED: [&str; 4] = ["examples", "plugins", "sdk-guest", "wit"];

/// The book's own snippets: every kind of file in it has its check.
const SNIPPETS: &str = "docs/snippets";

/// Includes of the pages.
fn includes() -> Vec<(String, Include)> {
    let mut found = Vec::new();
    for page in pages() {
        let own = page.own();
        let (blocks, _) = own.parts();
        let block = blocks.first().map(|block| block.lines.join("\n"));
        assert_eq!(block, None, "{}: a block that isn't included from a file", page.name());
        found.extend(page.includes().into_iter().map(|include| (page.name(), include)));
    }
    assert!(found.len() > 20, "the book has {} includes", found.len());
    found
}

#[test]
fn every_block_is_included_from_a_file_that_is_checked() {
    for (page, include) in includes() {
        assert!(!include.shown.trim().is_empty(), "{page}: {include:?} is empty");
        let file = include.file.strip_prefix(root()).expect("includes stay in the workspace");
        let tested = TESTED.iter().any(|folder| file.starts_with(folder));
        assert!(tested || file.starts_with(SNIPPETS), "{page}: who checks {}?", file.display());
        let extension = file.extension().and_then(|it| it.to_str()).unwrap_or_default();
        let checked = [
            "md", "rs", "toml", "json", "jsonl", "js", "mjs", "ts", "py", "go", "c", "console",
            "yml", "service", "wit", // The transcript.
            "txt", // And the container file.
            "",
        ];
        assert!(checked.contains(&extension), "{page}: nothing is known of .{extension}");
    }
}

/// The files of the book's own snippets that end in `extension`.
pub(super) fn snippets(extension: &str) -> Vec<PathBuf> {
    let folder = root().join(SNIPPETS);
    let files = std::fs::read_dir(&folder).expect("the snippets can be read");
    let files = files.map(|entry| entry.expect("an entry").path());
    let mut files: Vec<_> =
        files.filter(|path| path.extension().is_some_and(|it| it == extension)).collect();
    files.sort();
    assert!(!files.is_empty(), "no .{extension} in {}", folder.display());
    files
}

#[test]
fn every_snippet_is_in_the_book() {
    let used: BTreeSet<_> = includes().into_iter().map(|(_, include)| include.file).collect();
    for extension in ["rs", "toml", "console"] {
        for file in snippets(extension) {
            assert!(used.contains(&file), "{} isn't shown", file.display());
        }
    }
}

#[test]
fn every_configuration_loads_and_every_manifest_can_be_packed() {
    let (mut configurations, mut manifests) = (0, 0);
    for file in snippets("toml") {
        let text = std::fs::read_to_string(&file).expect("a snippet can be read");
        if file.file_name().is_some_and(|name| name.to_string_lossy().contains("manifest")) {
            let read = Manifest::from_toml(&text).map(drop);
            read.unwrap_or_else(|error| panic!("{}: {error}", file.display()));
            manifests += 1;
            continue;
        }
        let env = |name: &str| (!name.starts_with("SIDENOTE__")).then(|| "a-secret".to_owned());
        let read = Config::from_toml(&text, Path::new("."), &env).map(drop);
        read.unwrap_or_else(|errors| panic!("{}: {errors}", file.display()));
        configurations += 1;
    }
    assert!(configurations > 2 && manifests > 0, "{configurations} {manifests}");
}
