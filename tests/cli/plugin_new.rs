//! `sidenote plugin new`: what is written, and what is refused.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;

use crate::sidenote::{Run, sidenote};

fn new(args: &[&str]) -> Run {
    sidenote(&[&["plugin", "new"], args].concat(), &[])
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Every file below a folder, with `/` and in order.
fn files(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if path.is_dir() {
            found.extend(files(&path).into_iter().map(|below| format!("{name}/{below}")));
        } else {
            found.push(name);
        }
    }
    found.sort();
    found
}

#[test]
fn a_plugin_is_written_with_its_name_and_the_next_steps_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("written");
    let run = new(&["my-own", "--lang", "js", "--dir", text(&place)]);
    insta::assert_snapshot!("plugin_new", run.shown_in(folder.path()));
    insta::assert_snapshot!("plugin_new_files", files(&place).join("\n"));
    let manifest = std::fs::read_to_string(place.join("manifest.json")).unwrap();
    assert!(manifest.contains(r#""name": "my-own""#), "{manifest}");
}

#[test]
fn every_language_is_whole_and_its_build_can_be_run() {
    let folder = tempfile::tempdir().unwrap();
    let languages = [
        ("rust", true),
        ("js", false),
        ("ts", false),
        ("python", false),
        ("c", false),
        ("go", true),
    ];
    for (language, has_script) in languages {
        let place = folder.path().join(language);
        let run = new(&["my-own", "--lang", language, "--dir", text(&place)]);
        assert_eq!(run.code, 0, "{language}: {}", run.stderr);
        let files = files(&place);
        for needed in ["AGENTS.md", "INTERFACE.md", "README.md", "manifest.json", "sidenote.toml"] {
            assert!(files.iter().any(|file| file == needed), "{language}: {needed} in {files:?}");
        }
        for needed in ["wit/types.wit", "wit/writer.wit", "webhooks/opened.json"] {
            assert!(files.iter().any(|file| file == needed), "{language}: {needed} in {files:?}");
        }
        if has_script {
            use std::os::unix::fs::PermissionsExt;
            let script = std::fs::metadata(place.join("build.sh")).unwrap();
            assert_eq!(script.permissions().mode() & 0o111, 0o111, "{language}");
        }
    }
}

#[test]
fn a_trigger_is_written_where_there_is_a_template_and_refused_elsewhere() {
    let folder = tempfile::tempdir().unwrap();
    for (language, source) in [("rust", "src/lib.rs"), ("js", "src/trigger.js")] {
        let place = folder.path().join(language);
        let args = ["my-own", "--lang", language, "--kind", "trigger", "--dir", text(&place)];
        let run = new(&args);
        assert_eq!(run.code, 0, "{language}: {}", run.stderr);
        let files = files(&place);
        for needed in [source, "INTERFACE.md", "manifest.json", "wit/trigger.wit"] {
            assert!(files.iter().any(|file| file == needed), "{language}: {needed} in {files:?}");
        }
        assert!(!run.stdout.contains("--webhook"), "{}", run.stdout);
    }
    let place = folder.path().join("none");
    let run = new(&["my-own", "--lang", "go", "--kind", "trigger", "--dir", text(&place)]);
    assert_ne!(run.code, 0);
    assert!(run.stderr.contains("--lang rust"), "{}", run.stderr);
    assert!(!place.exists());
}

#[test]
fn what_cannot_be_written_is_refused_and_nothing_is() {
    let folder = tempfile::tempdir().unwrap();
    let full = folder.path().join("full");
    std::fs::create_dir(&full).unwrap();
    std::fs::write(full.join("mine"), "mine").unwrap();
    let place = folder.path().join("place");
    let mut shown = String::new();
    for args in [
        &["my-own", "--lang", "c", "--dir", text(&full)][..],
        &["My_Own", "--lang", "c", "--dir", text(&place)],
        &["my-own", "--dir", text(&place)],
        &["my-own", "--lang", "cobol", "--dir", text(&place)],
        &["my-own", "--lang", "c", "--sdk-path", "sdk", "--dir", text(&place)],
        &["my-own", "--lang", "rust", "--sdk-path", "nowhere", "--dir", text(&place)],
    ] {
        let run = new(args);
        assert_ne!(run.code, 0, "{args:?}");
        shown.push_str(&run.shown_in(folder.path()));
    }
    insta::assert_snapshot!("plugin_new_refused", shown);
    assert_eq!(files(&full), ["mine"]);
    assert!(!place.exists());
}
