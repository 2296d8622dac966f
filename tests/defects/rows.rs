//! Checks `rows.toml` against the sources: no row is forgotten and no named test is missing.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    tests: Vec<String>,
}

#[test]
fn every_row_has_tests_that_exist() {
    let rows: BTreeMap<String, Row> = toml::from_str(include_str!("rows.toml")).unwrap();
    let ids: BTreeSet<String> = rows.keys().cloned().collect();
    assert_eq!(ids, all_ids());

    let sources = test_functions();
    for (id, row) in &rows {
        assert!(!row.tests.is_empty(), "{id} has no test");
        for test in &row.tests {
            assert!(
                test.starts_with(&format!("{}_", id.to_lowercase())),
                "{test} isn't named after {id}"
            );
            assert!(sources.contains(test), "{id} names {test}, which is no test function");
        }
    }
}

#[test]
fn every_test_that_is_named_after_a_row_is_listed() {
    let rows: BTreeMap<String, Row> = toml::from_str(include_str!("rows.toml")).unwrap();
    let listed: BTreeSet<String> = rows.into_values().flat_map(|row| row.tests).collect();
    let named_after_a_row = |name: &String| {
        let number = name.strip_prefix('d').and_then(|rest| rest.split_once('_'));
        number.is_some_and(|(digits, _)| {
            digits.len() >= 2 && digits.bytes().all(|byte| byte.is_ascii_digit())
        })
    };
    let unlisted: Vec<_> = test_functions()
        .into_iter()
        .filter(named_after_a_row)
        .filter(|name| !listed.contains(name))
        .collect();
    assert_eq!(unlisted, Vec::<String>::new());
}

/// Rows of parts that aren't there yet: limits of offers, what a person has learned of a product.
const LATER: [u32; 8] = [89, 90, 91, 92, 93, 94, 98, 100];

/// Rows D01 to D101; 22 and 35 don't exist.
fn all_ids() -> BTreeSet<String> {
    let rows = (1..=101).filter(|row| ![22, 35].contains(row) && !LATER.contains(row));
    rows.map(|row| format!("D{row:02}")).collect()
}

/// The names of all test functions of the workspace.
fn test_functions() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for (_, text) in sources(&["host/src", "tests", "plugins", "sdk-guest"]) {
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        for (at, line) in lines.iter().enumerate() {
            let attributes = lines[..at].iter().rev().take_while(|line| line.starts_with("#["));
            let is_test = attributes
                .clone()
                .any(|line| line.starts_with("#[test]") || line.starts_with("#[tokio::test"));
            let signature = line.strip_prefix("async ").unwrap_or(line).strip_prefix("fn ");
            if let Some((name, _)) =
                signature.filter(|_| is_test).and_then(|signature| signature.split_once('('))
            {
                names.insert(name.to_owned());
            }
        }
    }
    names
}

/// The Rust files below some folders of the workspace, with their text.
pub(crate) fn sources(folders: &[&str]) -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut files = Vec::new();
    for folder in folders {
        rust_files(&root.join(folder), &mut files);
    }
    let text = |file: &PathBuf| std::fs::read_to_string(file).expect("a source can be read");
    files.into_iter().map(|file| (file.clone(), text(&file))).collect()
}

fn rust_files(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a source folder can be read") {
        let path = entry.expect("an entry can be read").path();
        if path.is_dir() && path.file_name().is_some_and(|name| name != "target") {
            rust_files(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}
