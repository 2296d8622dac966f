//! `plugin add` and `plugin remove`: all of it or nothing, and nothing of what somebody else wrote.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use sidenote_tests::components;

use crate::sidenote::{Run, sidenote};

const TEXT: &str = r#"# Ours: this comment stays.
[server]
listen = "127.0.0.1:1"
[store]
kind = "memory"
[streams.main]
url = "https://connector.example.com/stream/p"
[plugins.other]
[products.p]
plugins = [ "other" ]   # and this one
"#;

fn files(folder: &Path) -> BTreeMap<String, (u32, Vec<u8>)> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            let inner = files(&path).into_iter();
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            found.extend(inner.map(|(file, it)| (format!("{name}/{file}"), it)));
        } else {
            let mode = path.metadata().expect("it is there").permissions().mode() & 0o777;
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            found.insert(name, (mode, std::fs::read(&path).expect("it is ours")));
        }
    }
    found
}

fn run(folder: &Path, command: &[&str], more: &[&str]) -> Run {
    let file = folder.join("sidenote.toml").to_str().expect("a plain name").to_owned();
    let all = [&["plugin"][..], command, &["--config", &file], more].concat();
    sidenote(&all, &[("BOT_TOKEN", "canary-secret")])
}

#[test]
fn a_plugin_is_added_whole_or_not_at_all_and_removed_without_a_trace() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    std::fs::write(folder.join("sidenote.toml"), TEXT).expect("a file can be written");
    let before = files(folder);
    let wasm = components().join("webhook.wasm").to_str().expect("a plain name").to_owned();
    let add = ["add", &wasm, "--name", "desk"];

    // What is missing, wrong or only looked at leaves nothing.
    let inspected = sidenote(&["plugin", "inspect", &wasm, "--json"], &[]);
    let manifest: serde_json::Value = serde_json::from_str(&inspected.stdout).expect("JSON");
    let secrets = manifest["manifest"]["secrets"].as_object().expect("it asks for some");
    let given: Vec<_> = secrets.keys().map(|name| format!("{name}=env:BOT_TOKEN")).collect();
    let mut full =
        vec!["--set", "url=https://desk.example.com/notes", "--grant", "desk.example.com"];
    for secret in &given {
        full.extend(["--secret", secret]);
    }
    let wrong = run(folder, &add, &[&full[..], &["--set", "nonsense=5"]].concat());
    assert_eq!((wrong.code, files(folder) == before), (1, true), "{}", wrong.stderr);
    let typed = run(folder, &add, &["--secret", "token=hunter2"]);
    assert_eq!((typed.code, files(folder) == before), (1, true));
    assert!(!typed.stderr.contains("hunter2"), "{}", typed.stderr);
    let dry = run(folder, &add, &[&full[..], &["--dry-run"]].concat());
    assert_eq!((dry.code, files(folder) == before), (0, true), "{}", dry.stderr);
    assert!(dry.stdout.contains("[plugins.desk.grants]"), "{}", dry.stdout);
    let nowhere = format!("{}=env:NOT_SET", secrets.keys().next().expect("one"));
    let unset = run(folder, &add, &[&full[..], &["--secret", &nowhere]].concat());
    assert_eq!((unset.code, files(folder) == before), (2, true), "{}", unset.stderr);

    let added = run(folder, &add, &[&full[..], &["--product", "p", "--product", "q"]].concat());
    assert_eq!(added.code, 0, "{}", added.stderr);
    assert!(added.stderr.contains("add \"desk\" to `plugins` of [products.p]"), "{}", added.stderr);
    assert!(added.stderr.contains("no host runs"), "{}", added.stderr);
    let now = files(folder);
    assert_eq!(now["sidenote.toml"], before["sidenote.toml"]);
    assert_eq!(now["plugins/desk.wasm"].1, std::fs::read(&wasm).expect("it is there"));
    let table = String::from_utf8(now["plugins.d/desk.toml"].1.clone()).expect("text");
    assert!(table.contains("[products.\"q\"]") && !table.contains("canary"), "{table}");
    let again = run(folder, &add, &full);
    assert_eq!((again.code, files(folder) == now), (1, true), "{}", again.stderr);

    let other = run(folder, &["remove", "other"], &["--yes"]);
    assert_eq!((other.code, files(folder) == now), (1, true));
    assert!(other.stderr.contains("`plugin add` didn't write"), "{}", other.stderr);
    let asked = run(folder, &["remove", "desk"], &[]);
    assert_eq!((asked.code, files(folder) == now), (2, true), "{}", asked.stderr);
    let used = TEXT.replace("[ \"other\" ]", "[ \"other\", \"desk\" ]");
    std::fs::write(folder.join("sidenote.toml"), &used).expect("a file can be written");
    let refused = run(folder, &["remove", "desk"], &["--yes"]);
    assert!(refused.code == 1 && refused.stderr.contains("serves p"), "{}", refused.stderr);
    std::fs::write(folder.join("sidenote.toml"), TEXT).expect("a file can be written");
    let removed = run(folder, &["remove", "desk"], &["--yes"]);
    assert_eq!((removed.code, files(folder) == before), (0, true), "{}", removed.stderr);
}
