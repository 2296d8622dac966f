//! What holds of every command.

use std::collections::BTreeSet;

use super::examples::EXAMPLES;
use super::page::{leaves, page};
use super::{example, tree};

/// Commands without `--json`, and why they have none.
const WITHOUT_JSON: &[(&str, &str)] = &[
    ("run", "it prints nothing but its log, which `--log-json` makes objects of"),
    ("demo", "a story for people"),
    ("plugin new", "what it makes are files"),
    ("plugin pack", "what it makes is a file"),
    ("plugin watch", "for a person at work; `plugin call --json` is for programs"),
    ("plugin wit", "what it prints is WIT"),
    ("stream record", "what it makes is a file, each line of which is an object"),
    ("stream replay", "what it prints is TOML to paste"),
    ("generate completions", "what it prints is a script"),
    ("generate man", "what it prints is a page"),
    ("generate openapi", "what it prints is a document of JSON"),
    ("generate config-schema", "what it prints is a document of JSON"),
];

#[test]
fn the_tree_is_sound() {
    tree().debug_assert();
}

#[test]
fn every_command_that_prints_data_has_json_and_the_others_have_a_reason() {
    let mut tree = tree();
    tree.build();
    let leaves = leaves(&tree);
    assert!(leaves.len() > 15, "{} commands", leaves.len());
    for (path, command) in &leaves {
        let has = command.get_arguments().any(|it| it.get_long() == Some("json"));
        let excused = WITHOUT_JSON.iter().any(|(name, _)| name == path);
        assert!(has != excused, "{path}: --json {has}, in the list of those without {excused}");
    }
    // A build may leave commands out.
    if cfg!(feature = "authors") {
        let paths: BTreeSet<_> = leaves.iter().map(|(path, _)| &**path).collect();
        for (path, _) in WITHOUT_JSON {
            assert!(paths.contains(path), "{path} is in the list and is no command");
        }
    }
}

#[test]
fn every_command_has_an_example_that_can_be_read() {
    let mut built = tree();
    built.build();
    for (path, command) in leaves(&built) {
        let line = example(&path).unwrap_or_else(|| panic!("{path} has no example"));
        assert!(line.starts_with(&format!("sidenote {path}")), "{path}: {line}");
        let help = command.clone().render_help().to_string();
        assert!(help.contains(line), "{path}: {help}");
        let read = tree().try_get_matches_from(line.split(' '));
        assert!(read.is_ok(), "{line}: {}", read.unwrap_err());
    }
    if cfg!(feature = "authors") {
        let paths: BTreeSet<_> = leaves(&built).into_iter().map(|(path, _)| path).collect();
        for (path, _) in EXAMPLES {
            assert!(paths.contains(*path), "{path} has an example and is no command");
        }
    }
}

#[cfg(feature = "authors")]
#[test]
fn the_page_of_the_book_is_that_of_the_help() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/src/operators/commands.md");
    let page = page();
    if std::env::var_os("SIDENOTE_COMMANDS").is_some_and(|what| what == "write") {
        std::fs::write(path, &page).unwrap();
    }
    let committed = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        committed == page,
        "docs/src/operators/commands.md isn't what the help makes of it: SIDENOTE_COMMANDS=write writes it again"
    );
}
