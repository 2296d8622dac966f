//! `sidenote plugin`: what people see of a component.

use std::path::{Path, PathBuf};

use serde_json::Value;
use sidenote_tests::{components, test_guests};

use crate::sidenote::{Run, sidenote};

fn run(args: &[&str]) -> Run {
    sidenote(&[&["plugin"], args].concat(), &[])
}

fn text(path: &Path) -> &str {
    path.to_str().expect("paths of the tests are text")
}

/// What a run showed, without what differs from build to build.
fn steady(run: &Run, folder: &Path, file: &Path) -> String {
    let told = run_json(&["inspect", text(file), "--json"]);
    let sum = told["sha256"].as_str().expect("a sum");
    let size = format!("{} bytes", told["size"]);
    run.shown_in(folder).replace(sum, "SHA256").replace(&size, "SIZE bytes")
}

fn run_json(args: &[&str]) -> Value {
    serde_json::from_str(&run(args).stdout).expect("JSON")
}

/// The tests' copy of a component, in a folder of its own.
fn copied(from: PathBuf) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join(from.file_name().expect("a name"));
    std::fs::copy(&from, &file)
        .unwrap_or_else(|error| panic!("{}: {error}; run `cargo xtask guests`", from.display()));
    (folder, file)
}

#[test]
fn inspect_tells_what_a_plugin_is_and_how_to_use_it() {
    let (folder, file) = copied(components().join("webhook.wasm"));
    let shown = run(&["inspect", text(&file)]);
    insta::assert_snapshot!("inspect_webhook", steady(&shown, folder.path(), &file));

    let json = run_json(&["inspect", text(&file), "--json"]);
    assert_eq!(json["manifest"]["name"], "webhook");
    assert_eq!(
        json["exports"]["known"],
        serde_json::json!(["writer", "redactor", "finder", "webhook", "messenger"])
    );
    assert_eq!(json["refused"], Value::Null);
}

#[test]
fn inspect_says_why_a_component_would_not_be_taken_and_fails() {
    let (folder, file) = copied(test_guests().join("guest_stranger.wasm"));
    let shown = run(&["inspect", text(&file)]);
    insta::assert_snapshot!("inspect_stranger", steady(&shown, folder.path(), &file));
    let gone = run(&["inspect", text(&folder.path().join("gone.wasm"))]);
    insta::assert_snapshot!("inspect_gone", gone.shown_in(folder.path()));
}

#[test]
fn pack_puts_a_manifest_in_and_inspect_shows_it() {
    let (folder, file) = copied(test_guests().join("guest_echo.wasm"));
    let manifest = folder.path().join("manifest.toml");
    let toml = r#"
name = "echo"
version = "1.2.3"
description = "Tells what it was given."
hosts = ["*.example.com", "http://plain.example:8080"]

[secrets.token]
description = "API token"
hosts = ["*.example.com"]

[config]
type = "object"
required = ["region"]

[config.properties.region]
type = "string"
enum = ["eu", "us"]
description = "where the account is"

[config.properties.retries]
type = "integer"
default = 3
"#;
    std::fs::write(&manifest, toml).expect("a manifest");
    let packed = folder.path().join("packed.wasm");
    let pack = |more: &[&str]| run(&[&["pack", text(&file), "-o", text(&packed)], more].concat());
    let done = pack(&["--manifest", text(&manifest)]);
    insta::assert_snapshot!("pack", steady(&done, folder.path(), &packed));
    let shown = run(&["inspect", text(&packed)]);
    insta::assert_snapshot!("inspect_packed", steady(&shown, folder.path(), &packed));

    let bytes = std::fs::read(&packed).expect("the packed file");
    assert_eq!(pack(&["--manifest", text(&manifest)]).code, 0);
    assert_eq!(std::fs::read(&packed).expect("the packed file"), bytes);
}

#[test]
fn pack_says_what_is_wrong_and_writes_nothing() {
    let (folder, file) = copied(components().join("webhook.wasm"));
    let out = folder.path().join("out.wasm");
    let manifest = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("a manifest");
        path
    };
    let good = manifest("good.json", r#"{"name": "bot", "version": "1.0.0"}"#);
    let unknown = manifest("unknown.toml", "name = \"bot\"\nversion = \"1\"\nhost = [\"a\"]");
    let by_hand =
        manifest("by_hand.json", r#"{"name": "bot", "version": "1", "interfaces": ["x"]}"#);
    let yaml = manifest("manifest.yaml", "name: bot");
    let mut shown = String::new();
    for path in [&good, &unknown, &by_hand, &yaml, &folder.path().join("gone.toml")] {
        let run = run(&["pack", text(&file), "-o", text(&out), "--manifest", text(path)]);
        assert_eq!(run.code, 1, "{}", path.display());
        shown.push_str(&run.shown_in(folder.path()));
    }
    insta::assert_snapshot!("pack_failures", shown);
    assert!(!out.exists());

    let replaced =
        run(&["pack", text(&file), "-o", text(&out), "--manifest", text(&good), "--replace"]);
    assert_eq!(replaced.code, 0, "{}", replaced.stderr);
    assert_eq!(run_json(&["inspect", text(&out), "--json"])["manifest"]["name"], "bot");
}
