//! `plugin timers` beside a running host: the timers that a plugin set are shown and removed.

use serde_json::{Value, json};
use sidenote_tests::{DEADLINE, Person, Rig, Setup, eventually};
use tokio::time::Instant;

use crate::sidenote::{Run, sidenote};

/// A sink beside the bot.
const TABLES: &str = r#"
[plugins.waker]
file = "guest_waker.wasm"

[plugins.waker.grants]
timer = true
"#;

async fn timers(rig: &Rig, more: &[&str]) -> Run {
    let url = rig.url("/");
    let args = ["plugin", "timers", "waker", "--host", &url, "--token", "api-token"];
    let args: Vec<String> = args.iter().chain(more).map(|arg| (*arg).to_owned()).collect();
    let run = tokio::task::spawn_blocking(move || {
        let args: Vec<_> = args.iter().map(String::as_str).collect();
        sidenote(&args, &[])
    });
    run.await.expect("no panic")
}

/// Waits until so many are shown: what a plugin set is counted before its commit has ended.
async fn shows(rig: &Rig, count: usize) {
    let deadline = Instant::now() + DEADLINE;
    while timers(rig, &[]).await.stdout.lines().count() != count {
        assert!(Instant::now() < deadline, "{count} timers aren't shown in time");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn timers_are_shown_without_payloads_and_removed_when_that_is_confirmed() {
    let (beside, files) = (&["waker"][..], &["guest_waker.wasm"][..]);
    let tables = TABLES.to_owned();
    let rig = Rig::start(Setup { beside, files, tables, ..Setup::default() }).await;
    let person = Person::new("p", "s");
    // The first is too far ahead, and refused.
    let orders = "do:at b 4102444799000 secret;after a 3600000".to_owned();
    rig.emit(&person.saying([(0, orders)])).await;
    eventually(|| match rig.host().counters().sink_deliveries_accepted {
        1 => Ok(()),
        other => Err(format!("{other} deliveries are accepted")),
    })
    .await;
    shows(&rig, 1).await;
    let run = timers(&rig, &[]).await;
    assert_eq!((run.code, run.stdout.lines().count()), (0, 1), "{}", run.stderr);
    assert!(run.stdout.trim_end().ends_with("  p/s  a"), "{}", run.stdout);
    assert!(run.stderr.contains("waker has 1 timers that aren't due"), "{}", run.stderr);
    rig.emit(&person.saying([(1, "do:after b 7200000 secret".to_owned())])).await;
    eventually(|| match rig.host().counters().timers_set {
        2 => Ok(()),
        other => Err(format!("{other} timers are set")),
    })
    .await;
    shows(&rig, 2).await;
    let run = timers(&rig, &["--payloads", "--limit", "1"]).await;
    assert_eq!((run.code, run.stdout.lines().count()), (0, 1), "{}", run.stderr);
    let place = run.stderr.split("--after ").nth(1).expect("there are more").trim().to_owned();
    let run = timers(&rig, &["--payloads", "--after", &place]).await;
    assert!(run.stdout.trim_end().ends_with("p/s  b = secret"), "{}", run.stdout);
    let run = timers(&rig, &["--json"]).await;
    let listing: Value = serde_json::from_str(&run.stdout).expect("one object");
    assert_eq!((&listing["timers"], &listing["listed"][1]["bytes"]), (&json!(2), &json!(6)));
    assert!(!run.stdout.contains("secret"), "{}", run.stdout);

    let run = timers(&rig, &["--remove"]).await;
    assert_eq!((run.code, &*run.stdout), (1, ""));
    assert!(run.stderr.contains("2 timers of waker would be removed"), "{}", run.stderr);
    assert_eq!(timers(&rig, &["--yes"]).await.code, 2, "there is nothing to confirm");
    let run = timers(&rig, &["--remove", "--yes", "--json"]).await;
    let removed: Value = serde_json::from_str(&run.stdout).expect("one object");
    assert_eq!((run.code, removed), (0, json!({"plugin": "waker", "removed": 2})));
    assert!(timers(&rig, &[]).await.stderr.contains("waker has 0 timers"));
    rig.stop().await;
}
