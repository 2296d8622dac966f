//! The book's Rust, compiled and run. It is shown to people who write plugins, so it is written for them.

#[path = "../../../docs/snippets/failures.rs"]
mod failures;
#[path = "../../../docs/snippets/first.rs"]
mod first;
#[path = "../../../docs/snippets/incoming.rs"]
mod incoming;
#[path = "../../../docs/snippets/keeping.rs"]
mod keeping;
#[path = "../../../docs/snippets/sending.rs"]
mod sending;
#[path = "../../../docs/snippets/timing.rs"]
mod timing;

use std::collections::BTreeSet;

use super::blocks::snippets;

#[test]
fn every_rust_snippet_is_compiled() {
    let there = snippets("rs").into_iter().map(|file| {
        let name = file.file_name().expect("a file has a name").to_string_lossy().into_owned();
        format!("docs/snippets/{name}")
    });
    let compiled = include_str!("snippets.rs");
    let compiled = compiled.lines().filter_map(|line| line.strip_prefix("#[path = \"../../../"));
    let compiled = compiled.filter_map(|line| line.strip_suffix("\"]")).map(str::to_owned);
    assert_eq!(there.collect::<BTreeSet<_>>(), compiled.collect());
}
