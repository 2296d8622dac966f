//! Schemathesis against a running host: requests made from its OpenAPI document, right ones and wrong ones, and each answer
//! held against the document.
//!
//! `SIDENOTE_SCHEMATHESIS=long` makes many more requests, of another seed each time.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::{Value, json};
use sidenote_sim::{Fault, Scope};
use sidenote_tests::{DEADLINE, Person, Rig, Setup, StoreKind, pypi_package};
use tokio::process::Command;

/// Operations that aren't asked, and why.
const LEFT_OUT: [(&str, &str); 4] = [
    ("followEvents", "its answer goes on for an hour"),
    ("tap", "its answer doesn't end"),
    ("tapText", "its answer doesn't end"),
    ("mcp", "it has a protocol of its own, which another test's client speaks"),
];

/// The form that is asked each time: the same requests.
const SHORT: [&str; 6] = [
    "--generation-deterministic",
    "--no-shrink",
    "--phases",
    "coverage,fuzzing",
    "--max-examples",
    "6",
];

/// What is held of each answer.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,negative_data_rejection,ignored_auth";

#[tokio::test(flavor = "multi_thread")]
async fn a_running_host_answers_as_its_document_says() {
    let programs = match pypi_package("schemathesis").await {
        Ok(programs) => programs,
        Err(why) => {
            println!("left out: schemathesis can't be had from PyPI: {why}");
            return;
        }
    };
    let rig = populated().await;
    let schemathesis = Schemathesis { program: programs.join("schemathesis"), rig: &rig };
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(&file, false_document(&rig).await).expect("it is written");
    let location = file.path().to_str().expect("a plain name");
    let only = ["--include-operation-id", "isAlive", "--include-operation-id", "listOutbox"];
    let (fits, said) = schemathesis.ask(location, &[&only[..], &SHORT].concat()).await;
    assert!(!fits, "a false document isn't noticed: {said}");
    for found in ["Response violates schema", "Undocumented status code"] {
        assert!(said.contains(found), "{found} isn't noticed: {said}");
    }

    let excluded = LEFT_OUT.iter().flat_map(|(id, _)| ["--exclude-operation-id", id]);
    let how = match std::env::var_os("SIDENOTE_SCHEMATHESIS").is_some_and(|how| how == "long") {
        true => &["--phases", "coverage,fuzzing", "--max-examples", "300"][..],
        false => &SHORT,
    };
    let how: Vec<_> = excluded.chain(how.iter().copied()).collect();
    // From a file: given the document's address, it selects one operation fewer.
    let (_, served) = rig.get("/openapi.json").await;
    std::fs::write(&file, served.to_string()).expect("it is written");
    let (fits, said) = schemathesis.ask(location, &how).await;
    assert!(fits, "{said}");
    let all: usize = served["paths"].as_object().expect("addresses").values().map(methods).sum();
    let asked = format!("Tested: {}", all - LEFT_OUT.len());
    assert!(said.contains(&asked), "not {asked}, of {all}: {said}");
    println!("{said}");
    // It still does what it is there for.
    let (status, health) = rig.get("/readyz").await;
    assert_eq!(status, 200, "{health}");
    rig.stop().await;
}

/// The program, and whom it asks.
struct Schemathesis<'r> {
    program: PathBuf,
    rig: &'r Rig,
}

impl Schemathesis<'_> {
    /// Whether the host answers as a document says, and what the program says of it.
    async fn ask(&self, document: &str, how: &[&str]) -> (bool, String) {
        let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemathesis/schemathesis.toml");
        let mut asking = Command::new(&self.program);
        asking.arg("--config-file").arg(config).arg("run").arg(document).args(how);
        asking.arg("--url").arg(self.rig.url(""));
        asking.args(["--header", "Authorization: Bearer api-token", "--checks", CHECKS]);
        asking.args(["--request-timeout", "30", "--continue-on-failure", "--no-color"]);
        asking.args(["--output-truncate", "false", "--warnings", "off"]);
        // It keeps what it found where it runs, and asks that again.
        let folder = tempfile::tempdir().expect("a folder");
        let asking = asking.current_dir(folder.path()).stdin(Stdio::null());
        let asked = asking.kill_on_drop(true).output().await;
        let asked = asked.expect("schemathesis runs");
        let said = [asked.stdout, asked.stderr].concat();
        (asked.status.success(), String::from_utf8_lossy(&said).into_owned())
    }
}

fn methods(address: &Value) -> usize {
    address.as_object().map_or(0, serde_json::Map::len)
}

/// The host's document with two lies: the one that shows that bodies are looked at, and the one for statuses.
async fn false_document(rig: &Rig) -> String {
    let (_, mut document) = rig.get("/openapi.json").await;
    let alive = &mut document["paths"]["/healthz"]["get"]["responses"]["200"];
    alive["content"]["application/json"]["schema"]["properties"]["status"] =
        json!({ "type": "integer" });
    let outbox = document["paths"]["/outbox"]["get"]["responses"].as_object_mut();
    outbox.expect("it has answers").remove("422");
    document.to_string()
}

/// A host with sessions, links, notes, a dead letter and a key.
async fn populated() -> Rig {
    let setup = Setup {
        store: StoreKind::Embedded,
        process: true,
        tables: "[context]\n".to_owned(),
        ..Setup::default()
    };
    let rig = Rig::start(setup).await;
    let (delivered, dead) = (Person::new("p", "s"), Person::new("p", "t"));
    let conversation = rig.open(&delivered).await;
    rig.emit(&delivered.batch(0..3)).await;
    rig.arrives(&conversation, &delivered, 3).await;
    rig.open(&dead).await;
    rig.platform.fail(Scope::Any, Fault::status(400), 1);
    rig.emit(&dead.batch(0..2)).await;
    let begun = tokio::time::Instant::now();
    while rig.get("/outbox?state=dead").await.1["entries"] == json!([]) {
        assert!(begun.elapsed() < DEADLINE, "no note became a dead letter");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let key = json!({ "name": "grafana", "scopes": ["read"], "all_products": true });
    let made = rig.post("/keys", &key).await;
    assert_eq!(made.status, 200, "a key is made");
    rig
}
