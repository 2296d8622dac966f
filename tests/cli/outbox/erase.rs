//! `sidenote erase` with no host running.

use serde_json::{Value, json};

use super::filled::{Filled, PERSONAL, TOKEN};
use crate::sidenote::{Run, sidenote};

fn erase(filled: &Filled, args: &[&str]) -> Run {
    let config = filled.config().display().to_string();
    sidenote(&[&["erase"], args, &["--config", &config]].concat(), &[("API_TOKEN", TOKEN)])
}

fn counts(run: &Run) -> Value {
    assert_eq!(run.code, 0, "{}", run.stderr);
    serde_json::from_str(run.stdout.trim()).expect("counts as JSON")
}

#[tokio::test]
async fn somebody_is_erased_from_a_store_and_from_its_files() {
    let filled = Filled::store().await;
    let before = filled.rows().await;
    let who = ["--product", "p", "--user", PERSONAL[1]];
    let dry = counts(&erase(&filled, &[&who[..], &["--dry-run", "--json"]].concat()));
    // The one that was in flight at a crash may be at the platform.
    let expected = json!({"sessions": 3, "actions": 0, "notes": 3, "parcels": 0, "redactions": 1, "left": 0, "dry_run": true});
    assert_eq!(dry, expected);
    assert!(filled.rows().await == before, "a dry run has changed rows");

    let done = erase(&filled, &[&who[..], &["--yes", "--json"]].concat());
    assert_eq!(counts(&done)["sessions"], 3);
    for text in PERSONAL {
        assert!(!done.stderr.contains(text) && !done.stdout.contains(text), "{}", done.stderr);
    }
    let email = ["--product", "q", "--email", "ZOE@example.com", "--yes", "--json"];
    assert_eq!(counts(&erase(&filled, &email))["sessions"], 1, "of the other product");
    let bytes = std::fs::read(filled.path()).expect("the store's file");
    for text in PERSONAL {
        let found = bytes.windows(text.len()).any(|window| window == text.as_bytes());
        assert!(!found, "{text} is in the file");
    }
    assert_eq!(counts(&erase(&filled, &[&who[..], &["--yes", "--json"]].concat()))["sessions"], 0);
}

#[tokio::test]
async fn an_erasure_that_is_not_said_clearly_is_refused_and_changes_nothing() {
    let filled = Filled::store().await;
    let before = filled.rows().await;
    for args in [
        &["--product", "p"][..],
        &["--user", "u"],
        &["--product", "p", "--user", "u", "--email", "e"],
        &["--product", "p", "--user", ""],
        // Nobody can be asked.
        &["--product", "p", "--user", PERSONAL[1]],
    ] {
        let run = erase(&filled, args);
        assert_eq!((run.code, run.stdout.as_str()), (2, ""), "{args:?}: {}", run.stderr);
    }
    assert!(filled.rows().await == before);
}
