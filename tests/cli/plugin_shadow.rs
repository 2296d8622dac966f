//! `plugin shadow`, `plugin promote` and `plugin drop` beside a running host.

use std::path::Path;

use serde_json::{Value, json};
use sidenote_tests::{DEADLINE, Person, Rig, Setup};
use tokio::time::Instant;

use crate::sidenote::{Run, sidenote};

/// What the rig's configuration names.
const SECRETS: [(&str, &str); 4] = [
    ("API_TOKEN", "api-token"),
    ("STREAM_TOKEN", "stream"),
    ("SIGNING", "signing"),
    ("INCOMING", "incoming"),
];

/// Another version that does the same: a custom section is added.
fn another(component: &[u8]) -> Vec<u8> {
    [component, &[0, 3, 2, b'v', b'2']].concat()
}

/// The same component with a manifest that asks for another host.
fn greedy(folder: &Path, component: &str) -> String {
    let (manifest, out) = (folder.join("manifest.json"), folder.join("greedy.wasm"));
    let text = json!({"name": "bot", "version": "3.0.0", "hosts": ["elsewhere.example"]});
    std::fs::write(&manifest, text.to_string()).expect("a file");
    let [manifest, out] = [&manifest, &out].map(|path| path.to_str().expect("a path"));
    let run = sidenote(
        &["plugin", "pack", component, "-o", out, "--manifest", manifest, "--replace"],
        &[],
    );
    assert_eq!(run.code, 0, "{}", run.stderr);
    out.to_owned()
}

async fn plugin(rig: &Rig, args: &[&str]) -> Run {
    let (url, config) = (rig.url("/"), rig.plugins_folder().join("sidenote.toml"));
    let args: Vec<String> = ["plugin"].iter().chain(args).map(|arg| (*arg).to_owned()).collect();
    let run = tokio::task::spawn_blocking(move || {
        let mut args: Vec<_> = args.iter().map(String::as_str).collect();
        let config = config.to_str().expect("a path of the test's");
        args.extend(["--host", &url, "--token", "api-token", "--config", config]);
        sidenote(&args, &SECRETS)
    });
    run.await.expect("no panic")
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).expect("it is there").map(|it| it.expect("an entry"));
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.filter(|name| name.contains("shadow")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_version_is_tried_told_of_and_promoted_or_dropped() {
    let rig = Rig::start(Setup::default()).await;
    let file = rig.plugins_folder().join("webhook.wasm");
    let component = std::fs::read(&file).expect("the plugin");
    let new = tempfile::tempdir().expect("a folder");
    let new_file = new.path().join("bot-2.wasm");
    std::fs::write(&new_file, another(&component)).expect("a file");
    let new_file = new_file.to_str().expect("a path of the test's");

    for args in [&["shadow", "bot"][..], &["promote", "bot"], &["drop", "bot"]] {
        let run = plugin(&rig, args).await;
        assert_eq!((run.code, &*run.stdout), (1, ""), "{args:?}: {}", run.stderr);
        assert!(run.stderr.contains("starts one"), "{args:?}: {}", run.stderr);
    }
    let run = plugin(&rig, &["shadow", "none", new_file]).await;
    assert!(run.code == 1 && run.stderr.contains("no plugin of this name"), "{}", run.stderr);
    let run = plugin(&rig, &["shadow", "bot", file.to_str().expect("a path")]).await;
    assert!(run.code == 1 && run.stderr.contains("the version that runs"), "{}", run.stderr);

    let greedy = greedy(new.path(), new_file);
    let run = plugin(&rig, &["shadow", "bot", &greedy]).await;
    assert!(run.code == 1 && run.stderr.contains("asks for more"), "{}", run.stderr);
    assert!(run.stderr.contains("elsewhere.example"), "{}", run.stderr);
    assert!(plugin(&rig, &["shadow", "bot"]).await.stderr.contains("starts one"));

    let run = plugin(&rig, &["shadow", "bot", new_file]).await;
    assert_eq!((run.code, &*run.stdout), (0, ""), "{}", run.stderr);
    assert!(run.stderr.contains("is given every live call of bot"), "{}", run.stderr);
    assert_eq!(names(rig.plugins_folder()), [""; 0], "what was put there is gone");
    let run = plugin(&rig, &["shadow", "bot", new_file]).await;
    assert!(run.code == 1 && run.stderr.contains("has one already"), "{}", run.stderr);

    let person = Person::new("p", "s");
    let conversation = rig.open(&person).await;
    rig.emit(&person.batch(0..1)).await;
    rig.arrives(&conversation, &person, 1).await;
    let began = Instant::now();
    let shown = loop {
        let run = plugin(&rig, &["shadow", "bot"]).await;
        assert_eq!(run.code, 0, "{}", run.stderr);
        if run.stdout.contains("post-note: 1 calls, 0 different") {
            break run.stdout;
        }
        assert!(began.elapsed() < DEADLINE, "{}", run.stdout);
    };
    assert!(shown.contains(": comparing beside ") && shown.contains("0 different"), "{shown}");
    let run = plugin(&rig, &["shadow", "bot", "--json"]).await;
    let report: Value = serde_json::from_str(&run.stdout).expect("one object");
    assert_eq!(
        (&report["state"], &report["totals"]["different"]),
        (&json!("comparing"), &json!(0))
    );

    let run = plugin(&rig, &["promote", "bot", "--json"]).await;
    let promoted: Value = serde_json::from_str(&run.stdout).expect("one object");
    assert_eq!((run.code, &promoted["version"]), (0, &report["version"]), "{}", run.stderr);
    assert_eq!(std::fs::read(&file).expect("the plugin"), another(&component));
    assert!(plugin(&rig, &["shadow", "bot"]).await.stdout.contains("it was promoted"));

    std::fs::write(new_file, &component).expect("a file");
    assert_eq!(plugin(&rig, &["shadow", "bot", new_file]).await.code, 0);
    let run = plugin(&rig, &["drop", "bot"]).await;
    assert!(run.code == 0 && run.stderr.contains("bot runs as before"), "{}", run.stderr);
    assert_eq!(names(rig.plugins_folder()), [""; 0]);
    rig.stop().await;
}
