//! Every page is in the summary, every link leads somewhere.

use std::collections::BTreeSet;

use super::book::{Page, pages, root, src};

/// Pages at the top of the repository.
const ROOTS: [&str; 5] =
    ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"];

/// What an operator does, by the headings of the book.
const TASKS: [&str; 8] = [
    "Install and start",
    "Secure the host",
    "Watch the host",
    "Scale",
    "Upgrade and go back",
    "Back up and restore",
    "Respond to an incident",
    "Erase a person",
];

#[test]
fn the_summary_has_every_page_once_and_nothing_else() {
    let summary = Page::read(src().join("SUMMARY.md"));
    let listed = summary.links();
    let once: BTreeSet<_> = listed.iter().map(|link| summary.path_of(link)).collect();
    assert_eq!(once.len(), listed.len(), "a page is listed twice");
    // What stands at the top of the repository is in it as well.
    let roots = ROOTS.map(|name| root().join(name));
    let there = pages().into_iter().map(|page| page.path).chain(roots);
    assert_eq!(once, there.filter(|path| *path != summary.path).collect());
}

/// What operators have to do has a page or a heading that says so.
#[test]
fn every_task_of_an_operator_has_its_heading() {
    let headings: Vec<_> = pages()
        .iter()
        .filter(|page| page.name().contains("/operators/"))
        .flat_map(|page| page.own().parts().1.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>())
        .filter(|line| line.starts_with('#'))
        .collect();
    for task in TASKS {
        assert!(headings.iter().any(|it| it.trim_start_matches(['#', ' ']) == task), "{task}");
    }
}

#[test]
fn every_decision_is_in_the_index_and_has_its_four_parts() {
    let index = Page::read(root().join("docs/decisions/index.md"));
    let listed: BTreeSet<_> = index.links().iter().map(|link| index.path_of(link)).collect();
    let records = pages()
        .into_iter()
        .filter(|page| page.name().contains("/decisions/") && page.path != index.path);
    for record in records {
        assert!(listed.contains(&record.path), "{} isn't in the index", record.name());
        let parts = ["## Context", "## Decision", "## Consequences", "## Considered"];
        let places = parts.map(|part| record.text.find(part));
        assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{}", record.name());
    }
}

#[test]
fn every_plugin_has_a_page() {
    let there: BTreeSet<_> = pages().into_iter().map(|page| page.path).collect();
    let plugins = std::fs::read_dir(root().join("plugins")).expect("the plugins can be read");
    for plugin in plugins {
        let name = plugin.expect("a plugin").file_name();
        let page = src().join("plugins").join(&name).with_extension("md");
        assert!(there.contains(&page), "{} isn't in the book", name.display());
        let text = Page::read(page).text;
        assert!(text.contains("**Tried against** "), "{}: tried against what?", name.display());
    }
}

#[test]
fn every_link_and_its_anchor_lead_somewhere() {
    let mut followed = 0;
    let roots = ROOTS.map(|name| Page::read(root().join(name)));
    for page in pages().iter().chain(&roots) {
        for link in page.links() {
            if link.starts_with("https://") {
                continue;
            }
            let (file, anchor) = match link.split_once('#') {
                Some((file, anchor)) => (file, Some(anchor)),
                None => (&*link, None),
            };
            let path = if file.is_empty() { page.path.clone() } else { page.path_of(file) };
            assert!(path.exists(), "{}: {link} leads nowhere", page.name());
            if let Some(anchor) = anchor {
                let ids = Page::read(path).ids();
                assert!(ids.iter().any(|id| id == anchor), "{}: {link}: {ids:?}", page.name());
            }
            followed += 1;
        }
    }
    assert!(followed > 100, "{followed} links");
}

/// The README leads to the questions, and each answer to a page: two clicks.
#[test]
fn what_people_ask_first_is_answered_two_clicks_from_the_readme() {
    let readme = Page::read(root().join("README.md"));
    assert!(readme.links().iter().any(|link| link == "docs/src/questions.md"));
    assert!(readme.text.lines().count() <= 200, "the README is for somebody who has ten minutes");
    let questions = Page::read(src().join("questions.md"));
    let rows = questions.text.lines().filter(|line| line.ends_with(" |") && line.contains("? |"));
    let rows: Vec<_> = rows.collect();
    assert_eq!(rows.len(), 12, "{rows:?}");
    assert!(rows.iter().all(|row| row.contains("](")), "{rows:?}");
}
