//! `sidenote outbox` against a running host: a person looks at what was refused and has it sent again.

use std::process::Output;
use std::time::Duration;

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

#[tokio::test(flavor = "multi_thread")]
async fn every_attempt_is_told_over_a_restart_and_a_note_is_sent_once_more_on_purpose() {
    let (delivery, tables) = ("retry_initial = \"200ms\"".to_owned(), "[context]\n".to_owned());
    let mut rig = Rig::start(Setup { delivery, tables, ..Setup::default() }).await;
    let person = Person::new("p", "s");
    let conversation = rig.open(&person).await;
    rig.platform.fail(Scope::Any, Fault::status(500), 1);
    rig.platform.fail(Scope::Any, Fault::rate_limited(Duration::from_secs(2)), 1);
    rig.emit(&person.batch(0..2)).await;
    eventually(|| match rig.host().counters().attempts_failed {
        2 => Ok(()),
        failed => Err(format!("{failed} attempts failed")),
    })
    .await;
    let (code, listed, said) = outbox(&rig, &["list", "--json"]).await;
    assert_eq!((code, &listed[0]["id"]), (0, &json!("p/s/1")), "{said}");
    rig.stop_host().await;
    rig.start_host().await;
    rig.arrives(&conversation, &person, 2).await;
    eventually(|| match rig.host().counters().notes_posted {
        1 => Ok(()),
        posted => Err(format!("{posted} notes are on record as posted")),
    })
    .await;

    let (code, shown, said) = outbox(&rig, &["show", "p/s/1", "--json"]).await;
    assert_eq!((code, shown.len()), (0, 1), "{said}");
    let delivery = &shown[0];
    assert_eq!((&delivery["state"], &delivery["actions"]), (&json!("delivered"), &json!(2)));
    let attempts = delivery["attempts"].as_array().expect("a list");
    let told = |name: &str| attempts.iter().map(|it| it[name].clone()).collect::<Vec<_>>();
    assert_eq!(told("status"), ["transient", "rate_limited", "sent"], "{delivery}");
    assert_eq!(told("decision"), ["again", "again", "delivered"]);
    assert_eq!(told("attempt"), [1, 2, 3]);
    assert_eq!(told("code")[..2], ["500", "429"]);
    for attempt in attempts {
        assert!(attempt["duration_ms"].is_u64(), "{attempt}");
        let version = attempt["version"].as_str().expect("the registry knows it");
        assert!(version.contains('+') || version.len() == 8, "{version}");
    }
    // The API tells the same, and no text of it.
    let same: Value = get(&rig, "/deliveries/p/s/1").await;
    assert_eq!(&same, delivery);
    let (code, moments, said) = outbox(&rig, &["timeline", "p", "s", "--json"]).await;
    assert_eq!(code, 0, "{said}");
    let happened = |what: &str| moments.iter().filter(|moment| moment["what"] == what).count();
    assert_eq!((happened("linked"), happened("made"), happened("attempt")), (1, 1, 3));
    assert_eq!(happened("actions"), 1, "{moments:?}");
    let text = &rig.platform.notes(&conversation)[0].body;
    let line = text.lines().last().expect("it says something");
    assert!(!format!("{delivery}{moments:?}").contains(line), "{line}");

    let (code, would, said) = outbox(&rig, &["resend", "p/s/1", "--dry-run", "--json"]).await;
    assert_eq!(
        (code, &would[0]["id"], &would[0]["actions"]),
        (0, &json!(null), &json!(2)),
        "{said}"
    );
    let (code, resent, said) = outbox(&rig, &["resend", "p/s/1", "--yes", "--json"]).await;
    assert_eq!((code, &resent[0]["id"]), (0, &json!("p/s/2")), "{said}");
    eventually(|| match rig.platform.notes(&conversation).len() {
        2 => Ok(()),
        notes => Err(format!("{notes} notes are at the platform")),
    })
    .await;
    let again = &rig.platform.notes(&conversation)[1];
    assert!(again.body.contains(line), "{}", again.body);
    eventually(|| match rig.host().counters().notes_posted {
        2 => Ok(()),
        posted => Err(format!("{posted} notes are on record as posted")),
    })
    .await;
    let second: Value = get(&rig, "/deliveries/p/s/2").await;
    assert_eq!((&second["resent_of"], &second["state"]), (&json!("p/s/1"), &json!("delivered")));
    assert_ne!(second["idempotency_key"], delivery["idempotency_key"]);
    rig.stop().await;
}

async fn get(rig: &Rig, path: &str) -> Value {
    let asked = reqwest::Client::new().get(rig.url(path)).bearer_auth(TOKEN).send().await;
    asked.expect("the host answers").json().await.expect("it answers with JSON")
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
