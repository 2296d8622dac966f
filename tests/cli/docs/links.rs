//! Every page is in the summary, every link leads somewhere.

use std::collections::BTreeSet;

use super::book::{Page, pages, root, src};

#[test]
fn the_summary_has_every_page_once_and_nothing_else() {
    let summary = Page::read(src().join("SUMMARY.md"));
    let listed = summary.links();
    let once: BTreeSet<_> = listed.iter().map(|link| summary.path_of(link)).collect();
    assert_eq!(once.len(), listed.len(), "a page is listed twice");
    let there: BTreeSet<_> = pages().into_iter().map(|page| page.path).collect();
    let there = there.into_iter().filter(|path| *path != summary.path).collect();
    assert_eq!(once, there);
}

#[test]
fn every_plugin_has_a_page() {
    let there: BTreeSet<_> = pages().into_iter().map(|page| page.path).collect();
    let plugins = std::fs::read_dir(root().join("plugins")).expect("the plugins can be read");
    for plugin in plugins {
        let name = plugin.expect("a plugin").file_name();
        let page = src().join("plugins").join(&name).with_extension("md");
        assert!(there.contains(&page), "{} isn't in the book", name.display());
    }
}

#[test]
fn every_link_and_its_anchor_lead_somewhere() {
    let mut followed = 0;
    let roots = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"];
    let roots = roots.map(|name| Page::read(root().join(name)));
    for page in pages().iter().chain(&roots).map(Page::expanded) {
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
                let ids = Page::read(path).expanded().ids();
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
