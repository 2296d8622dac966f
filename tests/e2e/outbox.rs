//! `sidenote outbox` against a running host: a person looks at what was refused and has it sent again.

use std::process::Output;

use serde_json::{Value, json};
use sidenote_sim::{Fault, Scope};
use sidenote_tests::{DEADLINE, Person, Rig, Setup, binary, eventually};

/// The token of a rig's host.
const TOKEN: &str = "api-token";

/// The command needs a configuration for the token alone.
const CONFIG: &str = r#"
[server]
token = { env = "API_TOKEN" }
[streams.main]
url = "https://connector.invalid/stream"
[plugins.bot]
[products.p]
plugins = ["bot"]
"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_note_is_seen_and_sent_again_by_a_person() {
    let rig = Rig::start(Setup::default()).await;
    let person = Person::new("p", "s");
    let conversation = rig.open(&person).await;
    rig.platform.fail(Scope::Any, Fault::status(400), 1);
    rig.emit(&person.batch(0..2)).await;
    let letters = rig.dead_letters(1).await;

    let (code, notes, _) = outbox(&rig, &["list", "--json"]).await;
    assert_eq!((code, notes.len()), (0, 1));
    assert_eq!((&notes[0]["state"], &notes[0]["session"]), (&json!("dead"), &json!("s")));
    assert!(notes[0]["reason"].as_str().is_some_and(|reason| reason.contains("400")), "{notes:?}");
    assert_eq!(notes[0]["idempotency_key"], json!(letters[0].note.idempotency_key));
    assert!(notes[0].get("text").is_none(), "{notes:?}");

    let (code, done, said) = outbox(&rig, &["retry", "--reason", "400", "--json"]).await;
    assert_eq!((code, &done[0]["done"]), (0, &json!(1)), "{said}");
    rig.arrives(&conversation, &person, 2).await;
    rig.dead_letters(0).await;
    let (_, notes, said) = outbox(&rig, &["list", "--json"]).await;
    assert!(notes.is_empty(), "{notes:?}");
    assert!(said.ends_with("no note matches\n"), "{said}");
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purged_note_is_never_sent_and_those_behind_it_are() {
    let delivery = "retry_initial = \"1h\"\nretry_max = \"1h\"".to_owned();
    let rig = Rig::start(Setup { delivery, ..Setup::default() }).await;
    let person = Person::new("p", "s");
    let conversation = rig.open(&person).await;
    rig.platform.fail(Scope::Any, Fault::status(503), 1);
    rig.emit(&person.saying([(0, "unwanted".to_owned())])).await;
    eventually(|| match rig.host().counters().attempts_failed {
        1 => Ok(()),
        failed => Err(format!("{failed} attempts failed")),
    })
    .await;
    let (code, done, said) = outbox(&rig, &["purge", "--session", "s", "--yes", "--json"]).await;
    assert_eq!((code, &done[0]["done"]), (0, &json!(1)), "{said}");
    rig.emit(&person.batch(0..2)).await;
    rig.arrives(&conversation, &person, 2).await;
    assert!(rig.platform.notes(&conversation).iter().all(|note| !note.body.contains("unwanted")));
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_note_that_waits_for_hours_is_sent_at_once_on_request() {
    let delivery = "retry_initial = \"1h\"\nretry_max = \"1h\"".to_owned();
    let rig = Rig::start(Setup { delivery, ..Setup::default() }).await;
    let person = Person::new("p", "s");
    let conversation = rig.open(&person).await;
    rig.platform.fail(Scope::Any, Fault::status(503), 1);
    rig.emit(&person.batch(0..2)).await;
    eventually(|| match rig.host().counters().attempts_failed {
        1 => Ok(()),
        failed => Err(format!("{failed} attempts failed")),
    })
    .await;
    let (code, notes, said) = outbox(&rig, &["list", "--state", "retry_at", "--json"]).await;
    assert_eq!((code, notes.len()), (0, 1), "{said}");
    let (code, _, said) = outbox(&rig, &["retry", "--all"]).await;
    assert_eq!(code, 0, "{said}");
    rig.arrives(&conversation, &person, 2).await;
    rig.end().await;
}

/// Runs the command against the rig's host: exit code, objects on stdout, what was said.
async fn outbox(rig: &Rig, args: &[&str]) -> (i32, Vec<Value>, String) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let config = folder.path().join("sidenote.toml");
    std::fs::write(&config, CONFIG).expect("the folder takes a file");
    let host = format!("http://{}", rig.host().addr());
    let binary = tokio::task::spawn_blocking(binary).await.expect("the binary is there");
    let mut command = tokio::process::Command::new(binary);
    command.arg("outbox").args(args).args(["--host", &host, "--config"]).arg(&config);
    command.env_clear().env("API_TOKEN", TOKEN).kill_on_drop(true);
    let ended = tokio::time::timeout(DEADLINE, command.output()).await;
    let Output { status, stdout, stderr } = ended.expect("it ends in time").expect("it runs");
    let stdout = String::from_utf8(stdout).expect("it writes UTF-8");
    let objects = stdout.lines().filter_map(|line| serde_json::from_str(line).ok());
    let said = String::from_utf8_lossy(&stderr).into_owned();
    (status.code().expect("it ends by itself"), objects.collect(), said)
}
