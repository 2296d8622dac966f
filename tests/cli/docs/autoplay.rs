//! The chapter for who comes from autoplay-sdk, held against what is there.

use super::book::{root, src};

/// The names that autoplay-sdk 0.13.0 exports.
const NAMES: &str = include_str!("../../data/autoplay_sdk_names.txt");

/// What of the host stands in the place of a class: a table of the configuration or a route.
const IN_PLACE: [(&str, &str); 9] = [
    ("ContextStore", "[context]"),
    ("AsyncContextStore", "[context]"),
    ("SessionSummarizer", "[summary]"),
    ("AsyncSessionSummarizer", "[llm]"),
    ("compose_chat_pipeline", "[summary]"),
    ("DEFAULT_PROMPT", "[prompts]"),
    ("build_copilot_app", "/reply/{user_id}"),
    ("WebhookReceiver", "/ingest/{product_id}"),
    ("ConnectorClient", "[streams."),
];

fn page(name: &str) -> String {
    let path = src().join("autoplay-sdk").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn every_key() -> String {
    std::fs::read_to_string(root().join("examples/sidenote.toml")).expect("every key")
}

fn routes() -> String {
    std::fs::read_to_string(root().join("host/src/http/routes.rs")).expect("the routes")
}

/// Whether a table of the configuration or a route is there.
fn is_there(what: &str) -> bool {
    match what.starts_with('[') {
        true => every_key().lines().any(|line| line.trim_start_matches("# ").starts_with(what)),
        false => routes().contains(&format!("\"{what}\"")),
    }
}

/// The two cells of the row that has a name in its first.
fn row(page: &str, name: &str) -> Option<(String, String)> {
    let quoted = format!("`{name}");
    page.lines().filter(|line| line.starts_with("| ")).find_map(|line| {
        let mut cells = line.trim_matches('|').splitn(2, " | ");
        let (left, right) = (cells.next()?.trim(), cells.next()?.trim());
        left.contains(&quoted).then(|| (left.to_owned(), right.to_owned()))
    })
}

#[test]
fn every_public_name_of_the_sdk_has_its_row() {
    let page = page("classes.md");
    let missing: Vec<_> = NAMES.lines().filter(|name| row(&page, name).is_none()).collect();
    assert!(NAMES.lines().count() > 70 && missing.is_empty(), "{missing:?}");
}

#[test]
fn what_is_there_is_not_denied_and_what_is_not_is() {
    let page = page("classes.md");
    for (name, what) in IN_PLACE {
        let (_, right) = row(&page, name).unwrap_or_else(|| panic!("{name} has no row"));
        assert!(is_there(what), "{what} isn't there, and {name} is said to be in its place");
        assert!(!right.starts_with('—'), "{name} is denied, and {what} is there: {right}");
    }
}

#[test]
fn every_route_and_table_that_the_chapter_names_is_there() {
    let (mut named, keys) = (0, every_key());
    for name in ["index.md", "classes.md", "recipes.md", "moving.md"] {
        let page = page(name);
        for code in page.split('`').skip(1).step_by(2) {
            let route = code.strip_prefix("GET ").or_else(|| code.strip_prefix("POST "));
            if let Some(route) = route {
                // A place in the address is written in braces, or in capitals.
                let parts = |route: &str| -> Vec<String> {
                    let is_place = |part: &str| {
                        part.starts_with('{') || part.chars().all(|c| c.is_ascii_uppercase())
                    };
                    let part = |part: &str| {
                        if is_place(part) && !part.is_empty() {
                            "{}".to_owned()
                        } else {
                            part.to_owned()
                        }
                    };
                    route.split('/').map(part).collect()
                };
                let routes = routes();
                let mut known =
                    routes.split('"').skip(1).step_by(2).filter(|it| it.starts_with('/'));
                assert!(known.any(|it| parts(it) == parts(route)), "{name}: no route {route}");
                named += 1;
            } else if let Some(table) =
                code.strip_prefix('[').and_then(|it| it.split([']', '.']).next())
            {
                let is_table = |line: &str| {
                    line.trim_start_matches("# ")
                        .strip_prefix('[')
                        .is_some_and(|it| it.starts_with(table))
                };
                assert!(keys.lines().any(is_table), "{name}: no table [{table}]");
                named += 1;
            }
        }
    }
    assert!(named > 15, "{named}");
}

#[test]
fn the_list_of_what_is_missing_names_nothing_that_is_there() {
    let page = page("index.md");
    let (_, missing) = page.split_once("## What Sidenote doesn't have").expect("the list");
    for there in [
        "context",
        "summar",
        "/reply",
        "/admin/reset",
        "MCP",
        "sink",
        "WebhookReceiver",
        "ingest",
        "offers",
        "tours",
    ] {
        assert!(!missing.contains(there), "`{there}` is said to be missing:\n{missing}");
    }
}
