//! `plugin kv` beside a running host: what a plugin keeps is shown and removed.

use serde_json::{Value, json};
use sidenote_tests::{DEADLINE, Person, Rig, Setup, eventually};
use tokio::time::Instant;

use crate::sidenote::{Run, sidenote};

/// A sink beside the bot.
const TABLES: &str = r#"
[plugins.keeper]
file = "guest_keeper.wasm"

[plugins.keeper.grants]
kv = true
"#;

async fn kv(rig: &Rig, more: &[&str]) -> Run {
    let url = rig.url("/");
    let args = ["plugin", "kv", "keeper", "--host", &url, "--token", "api-token"];
    let args: Vec<String> = args.iter().chain(more).map(|arg| (*arg).to_owned()).collect();
    let run = tokio::task::spawn_blocking(move || {
        let args: Vec<_> = args.iter().map(String::as_str).collect();
        sidenote(&args, &[])
    });
    run.await.expect("no panic")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_plugin_keeps_is_shown_without_values_and_removed_when_that_is_confirmed() {
    let (beside, files) = (&["keeper"][..], &["guest_keeper.wasm"][..]);
    let tables = TABLES.to_owned();
    let rig = Rig::start(Setup { beside, files, tables, ..Setup::default() }).await;
    let person = Person::new("p", "s");
    rig.emit(&person.saying([(0, "do:set p token abc;set p other 1;set s own 1".to_owned())]))
        .await;
    eventually(|| match rig.host().counters().sink_deliveries_accepted {
        1 => Ok(()),
        other => Err(format!("{other} deliveries are accepted")),
    })
    .await;
    // The outcome is counted before its commit has ended.
    let deadline = Instant::now() + DEADLINE;
    let mut run = kv(&rig, &[]).await;
    while run.stdout.is_empty() && Instant::now() < deadline {
        run = kv(&rig, &[]).await;
    }
    assert_eq!(
        (run.code, &*run.stdout),
        (0, "       6  other\n       8  token\n"),
        "{}",
        run.stderr
    );
    assert!(run.stderr.contains("keeper keeps 2 keys, 14 bytes"), "{}", run.stderr);
    let run = kv(&rig, &["--values", "--limit", "1"]).await;
    assert_eq!((run.code, &*run.stdout), (0, "       6  other = 1\n"));
    assert!(run.stderr.contains("--after other"), "{}", run.stderr);
    let run = kv(&rig, &["--json", "--after", "other"]).await;
    let listing: Value = serde_json::from_str(&run.stdout).expect("one object");
    assert_eq!(listing["listed"][0]["key"], "token");
    assert_eq!(listing["listed"][0]["value"], Value::Null);

    let run = kv(&rig, &["--clear"]).await;
    assert_eq!((run.code, &*run.stdout), (1, ""));
    assert!(run.stderr.contains("2 keys of keeper would be removed"), "{}", run.stderr);
    assert_eq!(kv(&rig, &["--yes"]).await.code, 2, "there is nothing to confirm");
    let run = kv(&rig, &["--clear", "--yes", "--json"]).await;
    let removed: Value = serde_json::from_str(&run.stdout).expect("one object");
    assert_eq!((run.code, removed), (0, json!({"plugin": "keeper", "removed": 2})));
    assert!(kv(&rig, &[]).await.stderr.contains("keeper keeps 0 keys"));
    rig.stop().await;
}
