//! `sidenote erase` with no host running.

use std::path::PathBuf;

use serde_json::{Value, json};
use sidenote_tests::{components, files_with};

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
    let expected = json!({
        "sessions": 3, "actions": 0, "notes": 3, "sink_deliveries": 0, "timers": 0, "redactions": 1, "left": 0, "kept": [],
        "erasure": null, "dry_run": true,
    });
    assert_eq!(dry, expected);
    assert!(filled.rows().await == before, "a dry run has changed rows");

    let done = erase(&filled, &[&who[..], &["--yes", "--json"]].concat());
    assert_eq!(counts(&done)["sessions"], 3);
    for text in PERSONAL {
        assert!(!done.stderr.contains(text) && !done.stdout.contains(text), "{}", done.stderr);
    }
    let email = ["--product", "q", "--email", "ZOE@example.com", "--yes", "--json"];
    assert_eq!(counts(&erase(&filled, &email))["sessions"], 1, "of the other product");
    for text in PERSONAL {
        assert_eq!(files_with(filled.folder(), text), Vec::<PathBuf>::new(), "{text}");
    }
    assert_eq!(counts(&erase(&filled, &[&who[..], &["--yes", "--json"]].concat()))["sessions"], 0);
}

#[tokio::test]
async fn what_a_plugin_file_cannot_take_back_is_told_before_and_listed_after() {
    let filled = Filled::store().await;
    // A component without a redactor in the place of the plugin; no host has loaded it.
    std::fs::copy(components().join("console.wasm"), filled.folder().join("webhook.wasm"))
        .expect("the components are built with `cargo xtask guests`");
    let who = ["--product", "p", "--user", PERSONAL[1]];
    let kept = json!([{"plugin": "bot", "reason": "no_redactor", "notes": 1}]);
    let dry = counts(&erase(&filled, &[&who[..], &["--dry-run", "--json"]].concat()));
    assert_eq!((&dry["redactions"], &dry["left"], &dry["kept"]), (&json!(0), &json!(1), &kept));
    let run = erase(&filled, &[&who[..], &["--yes", "--json"]].concat());
    let done = counts(&run);
    assert_eq!((&done["left"], &done["kept"]), (&json!(1), &kept));
    let id = done["erasure"].as_str().expect("a name");
    let told = format!(
        "  plugin bot: 1 note, for the plugin exports no `redactor`\nwhat stays is listed by `sidenote erase --list --erasure {id}`"
    );
    assert!(run.stderr.contains(&told), "{}", run.stderr);

    let list = erase(&filled, &["--list", "--erasure", id, "--json"]);
    assert_eq!(list.code, 0, "{}", list.stderr);
    let note: Value = serde_json::from_str(list.stdout.trim()).expect("one note");
    assert_eq!((&note["conversation"], &note["product"]), (&json!("c-4"), &json!("p")));
    let shown = erase(&filled, &["--list"]);
    for text in PERSONAL.into_iter().chain(["flying"]) {
        assert!(!shown.stdout.contains(text) && !list.stdout.contains(text), "{}", shown.stdout);
    }
    assert!(shown.stdout.contains("no_redactor") && shown.stdout.contains(id), "{}", shown.stdout);
    let other = erase(&filled, &["--list", "--erasure", "0000000000000001"]);
    assert_eq!((other.code, other.stdout.as_str()), (0, ""));
    assert!(other.stderr.contains("0 notes at the platforms"), "{}", other.stderr);
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
        &["--list", "--user", "u"],
        &["--list", "--yes"],
        &["--list", "--erasure", "ann"],
        &["--product", "p", "--user", "u", "--yes", "--replaced"],
        // Nobody can be asked.
        &["--product", "p", "--user", PERSONAL[1]],
    ] {
        let run = erase(&filled, args);
        assert_eq!((run.code, run.stdout.as_str()), (2, ""), "{args:?}: {}", run.stderr);
    }
    assert!(filled.rows().await == before);
}
