//! A host whose plugins are still compiled.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::Value;
use sidenote::plugin::Compiler;
use sidenote_tests::{Person, Rig, Setup, binary, eventually};

/// A compiler that begins when the file `gate` is there.
fn patient(folder: &Path) -> Compiler {
    let (script, gate) = (folder.join("compiler"), folder.join("gate"));
    let (gate, binary) = (gate.display(), binary().display());
    let text = format!(
        "#!/bin/sh\nwhile [ ! -e '{gate}' ]; do sleep 0.05; done\nexec '{binary}' \"$@\"\n"
    );
    std::fs::write(&script, text).unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    Compiler::child(script)
}

async fn get(rig: &Rig, path: &str) -> (u16, Value) {
    let answer = reqwest::get(rig.url(path)).await.unwrap();
    (answer.status().as_u16(), serde_json::from_str(&answer.text().await.unwrap()).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_host_answers_while_a_plugin_is_compiled_and_notes_wait_without_an_attempt() {
    let folder = tempfile::tempdir().unwrap();
    let compiler = tokio::task::block_in_place(|| patient(folder.path()));
    let rig = Rig::start(Setup { compiler: Some(compiler), ..Setup::default() }).await;
    assert_eq!(get(&rig, "/healthz").await.0, 200);
    let (status, parts) = get(&rig, "/readyz").await;
    let bot = &parts["plugins"]["bot"];
    assert_eq!((status, &bot["ready"]), (503, &Value::from(false)));
    assert!(bot["cause"].as_str().unwrap().starts_with("it is being compiled"), "{bot}");
    let sent =
        reqwest::Client::new().post(rig.url("/webhooks/bot")).body("{}").send().await.unwrap();
    assert_eq!(sent.status().as_u16(), 503);
    assert!(sent.headers().contains_key("retry-after"));

    let anna = Person::new("p", "anna");
    let conversation = rig.conversation(&anna);
    rig.emit(&anna.batch(0..3)).await;
    let counted = |count: u64, wanted: u64| match count == wanted {
        true => Ok(()),
        false => Err(format!("{count} of {wanted}")),
    };
    eventually(|| counted(rig.host().counters().actions_accepted, 3)).await;
    rig.link(&anna, &conversation).await;
    eventually(|| counted(rig.host().counters().notes_sealed, 1)).await;
    let counters = rig.host().counters();
    assert_eq!((counters.notes_posted, counters.attempts_failed), (0, 0));
    assert_eq!(rig.arrived(&conversation), Vec::<String>::new());

    std::fs::write(folder.path().join("gate"), "").unwrap();
    rig.arrives(&conversation, &anna, 3).await;
    rig.host().loaded().await;
    assert_eq!(get(&rig, "/readyz").await.0, 200);
    assert_eq!(rig.host().counters().attempts_failed, 0);
    rig.end().await;
}
