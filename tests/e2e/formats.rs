//! A store that a later build wrote, under today's. Earlier ones are in `tests/engine/formats.rs`.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;
use sidenote::store::FORMAT;
use sidenote_tests::binary;

fn check_upgrade(file: &Path) -> (Output, Value) {
    let run = Command::new(binary())
        .args(["check", "--upgrade", "--json", "--store"])
        .arg(file)
        .output()
        .expect("the binary runs");
    let told = serde_json::from_slice(&run.stdout).unwrap_or_default();
    (run, told)
}

#[test]
fn a_store_of_a_later_format_is_refused_with_the_way_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("later.redb");
    drop(sidenote::store::EmbeddedStore::open(&path).unwrap());
    let file = redb::Database::open(&path).unwrap();
    let writing = file.begin_write().unwrap();
    let table = redb::TableDefinition::<&str, u64>::new("sidenote");
    writing.open_table(table).unwrap().insert("format", FORMAT + 1).unwrap();
    writing.commit().unwrap();
    drop(file);
    let (run, told) = check_upgrade(&path);
    assert_eq!((run.status.code(), &told["ok"]), (Some(1), &false.into()), "{told}");

    let config = folder.path().join("sidenote.toml");
    let text = "[store]\npath = \"later.redb\"\n[streams.s]\nurl = \"https://connector.invalid\"\n[plugins.bot]\nfile = \"bot.wasm\"\n[products.p]\nplugins = [\"bot\"]\n";
    std::fs::write(&config, text).unwrap();
    let run = Command::new(binary()).arg("run").arg("--config").arg(&config).output().unwrap();
    let said = String::from_utf8_lossy(&run.stderr);
    assert_eq!(run.status.code(), Some(1), "{said}");
    assert!(said.contains(&format!("has the format {}", FORMAT + 1)), "{said}");
    assert!(said.contains("put a copy from before the upgrade in its place"), "{said}");
    assert_eq!(check_upgrade(&path).1["format"], FORMAT + 1, "it was left as it is");
}
