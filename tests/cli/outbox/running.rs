//! `outbox` beside a running host.

use std::time::Duration;

use serde_json::Value;
use sidenote::config::Config;
use sidenote::host::Host;
use sidenote_tests::components;

use super::filled::{Filled, TOKEN};

#[tokio::test(flavor = "multi_thread")]
async fn a_running_host_gives_the_same_list_as_its_store() {
    let filled = Filled::store().await;
    // A host would post the note of the crash; the others wait for hours.
    let args = ["list", "--older-than", "1h", "--json"];
    let offline = filled.outbox(&args);
    assert_eq!((offline.code, offline.stdout.lines().count()), (0, 4), "{}", offline.stderr);

    let host = start(&filled).await;
    let address = host.addr().to_string();
    let env = [("SIDENOTE__SERVER__LISTEN", address.as_str())];
    let online = filled.outbox_with(&args, &env);
    assert_eq!(online.code, 0, "{}", online.stderr);
    assert!(online.stderr.contains(&format!("asking the host at http://{address}")));
    assert_eq!(without_age(&online.stdout), without_age(&offline.stdout));

    let url = format!("http://{address}");
    let named = filled.outbox(&[&args[..], &["--host", &url]].concat());
    assert_eq!(without_age(&named.stdout), without_age(&offline.stdout), "{}", named.stderr);

    for args in [&["list", "--state", "dead"][..], &["retry", "--state", "dead", "--dry-run"]] {
        let run = filled.outbox_with(args, &env);
        assert_eq!((run.code, run.stdout.lines().count()), (0, 2), "{args:?}: {}", run.stderr);
        assert!(run.stdout.contains("503: no") && !run.stdout.contains("Typed"), "{}", run.stdout);
    }
    let run = filled.outbox_with(&["list", "--state", "dead", "--show-text"], &env);
    assert!(run.stdout.contains("    | [1] Typed a secret"), "{} {}", run.stdout, run.stderr);

    // The store belongs to the host: nobody opens it beside.
    let run = filled.outbox_with(&["list", "--offline"], &env);
    assert_eq!((run.code, run.stdout.as_str()), (1, ""));
    assert!(run.stderr.contains("a host runs; leave --offline out"), "{}", run.stderr);

    host.shutdown(Duration::from_secs(5)).await.expect("the host stops");
    let offline_again = filled.outbox(&args);
    assert_eq!(without_age(&offline_again.stdout), without_age(&offline.stdout));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_token_is_refused_and_shown_nowhere() {
    let filled = Filled::store().await;
    let host = start(&filled).await;
    let address = host.addr().to_string();
    let env = [("SIDENOTE__SERVER__LISTEN", address.as_str()), ("API_TOKEN", "hunter2")];
    for args in [&["list"][..], &["retry", "--all"], &["purge", "--all", "--yes"]] {
        let run = filled.outbox_with(args, &env);
        assert_eq!((run.code, run.stdout.as_str()), (1, ""), "{args:?}");
        assert!(run.stderr.contains("401 Unauthorized"), "{args:?}: {}", run.stderr);
        assert!(run.stderr.contains("isn't the right one"), "{args:?}: {}", run.stderr);
        assert!(!run.stderr.contains("hunter2") && !run.stderr.contains(TOKEN), "{}", run.stderr);
    }
    host.shutdown(Duration::from_secs(5)).await.expect("the host stops");
    assert_eq!(filled.outbox(&["list", "--older-than", "1h", "--json"]).stdout.lines().count(), 4);
}

#[tokio::test]
async fn an_address_where_no_host_is_is_said_to_be_so() {
    let filled = Filled::store().await;
    let run = filled.outbox(&["list", "--host", "http://127.0.0.1:1"]);
    assert_eq!((run.code, run.stdout.as_str()), (1, ""));
    assert!(
        run.stderr.contains("the host at http://127.0.0.1:1/ can't be asked"),
        "{}",
        run.stderr
    );
}

/// A host on the store, on any free port.
pub(super) async fn start(filled: &Filled) -> Host {
    let component = components().join("webhook.wasm");
    std::fs::copy(&component, filled.folder().join("webhook.wasm"))
        .expect("the components are built with `cargo xtask guests`");
    let text = std::fs::read_to_string(filled.config()).expect("the configuration is there");
    let text = text.replace("127.0.0.1:1", "127.0.0.1:0");
    let env = |name: &str| (name == "API_TOKEN").then(|| TOKEN.to_owned());
    let config = Config::from_toml(&text, filled.folder(), &env);
    let config = config.unwrap_or_else(|errors| panic!("{errors}"));
    Host::start(config).await.unwrap_or_else(|error| panic!("{error}"))
}

/// The notes without what changes with every look.
fn without_age(list: &str) -> Vec<Value> {
    let note = |line: &str| {
        let mut note: Value = serde_json::from_str(line).expect("a line is an object");
        assert!(note["age_seconds"].take().is_number(), "{line}");
        note
    };
    list.lines().map(note).collect()
}
