//! What the operator is told: a platform that refuses, what waits at a stop, notes that stay.

use std::process::Output;

use serde_json::{Value, json};
use sidenote_sim::{Fault, PlatformOptions, Scope};
use sidenote_tests::{DEADLINE, Log, Person, Rig, Setup, binary, eventually};

use crate::replays::{INCOMING, Signed};

/// The token of a rig's host.
const TOKEN: &str = "api-token";

fn setup(delivery: &str) -> Setup {
    Setup { process: true, delivery: delivery.to_owned(), ..Setup::default() }
}

/// `sidenote` against the rig's host, from a folder with no configuration and with nothing but the token in
/// the environment.
async fn sidenote(rig: &Rig, args: &[&str]) -> Output {
    let program = tokio::task::spawn_blocking(binary).await.expect("the binary is there");
    let folder = tempfile::tempdir().expect("a folder");
    let mut command = tokio::process::Command::new(program);
    command.args(args).arg("--host").arg(rig.url(""));
    command.env_clear().env("SIDENOTE_TOKEN", TOKEN).current_dir(folder.path());
    tokio::time::timeout(DEADLINE, command.output()).await.expect("in time").expect("it runs")
}

async fn logged(log: &Log, message: &str, lines: usize) -> Vec<Value> {
    eventually(|| match log.lines(message).len() {
        found if found >= lines => Ok(()),
        found => Err(format!("{found} lines begin with `{message}`")),
    })
    .await;
    log.lines(message)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_platform_that_refuses_the_token_is_told_once_when_it_begins_and_when_it_ends() {
    let rig = Rig::start(setup("retry_initial = \"50ms\"\nretry_max = \"100ms\"")).await;
    let person = Person::new("p", "s");
    let conversation = rig.open(&person).await;
    assert_eq!(rig.get("/readyz").await.0, 200);
    rig.platform.fail(Scope::Any, Fault::status(401), 1000);
    rig.emit(&person.batch(0..2)).await;
    let log = rig.log();
    let began = logged(&log, "outbox: the platform refuses", 1).await;
    let fields = &began[0]["fields"];
    assert_eq!((&fields["plugin"], &fields["kind"]), (&json!("bot"), &json!("auth")));
    assert!(fields["code"].as_str().is_some_and(|code| code.contains("401")), "{fields}");
    assert!(
        fields["message"].as_str().is_some_and(|text| text.contains("outbox retry")),
        "{fields}"
    );
    assert_eq!(began[0]["level"], "ERROR");

    let failures = async || {
        let (_, plugins) = rig.get("/plugins").await;
        plugins["plugins"][0]["last_error"]["failures"].as_u64().unwrap_or_default()
    };
    while failures().await < 3 {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert_eq!(log.lines("outbox: the platform refuses").len(), 1, "it is said once");
    let (status, ready) = rig.get("/readyz").await;
    let bot = &ready["plugins"]["bot"];
    assert_eq!(
        (status, &bot["ready"], &bot["last_error"]["kind"]),
        (503, &json!(false), &json!("auth"))
    );
    assert_eq!(bot["last_error"]["ongoing"], true);
    let listed = sidenote(&rig, &["plugin", "list"]).await;
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    assert!(listed.contains("  last error ") && listed.contains("auth, "), "{listed}");

    rig.platform.heal();
    rig.arrives(&conversation, &person, 2).await;
    let ended = logged(&log, "outbox: the platform takes", 1).await;
    assert!(ended[0]["fields"]["failures"].as_u64() >= Some(3), "{}", ended[0]);
    let (status, ready) = rig.get("/readyz").await;
    assert_eq!((status, &ready["plugins"]["bot"]["last_error"]["ongoing"]), (200, &json!(false)));
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_says_how_many_notes_wait_and_a_dead_letter_whose_it_is() {
    let mut rig = Rig::start(setup("retry_initial = \"1h\"\nretry_max = \"1h\"")).await;
    let (dead, waits) = (Person::new("p", "s-dead"), Person::new("p", "s-waits"));
    let conversation = rig.open(&dead).await;
    rig.platform.fail(Scope::Any, Fault::status(422), 1);
    rig.emit(&dead.batch(0..1)).await;
    let log = rig.log();
    let letters = logged(&log, "outbox: a note became a dead letter", 1).await;
    let fields = &letters[0]["fields"];
    let named = (&fields["product"], &fields["session"], &fields["conversation"]);
    assert_eq!(named, (&json!("p"), &json!(dead.session.as_str()), &json!(conversation)));
    rig.open(&waits).await;
    rig.platform.fail(Scope::Any, Fault::status(503), 1000);
    rig.emit(&waits.batch(0..1)).await;
    logged(&log, "outbox: the platform fails", 1).await;
    rig.stop_host().await;
    let stopped = logged(&log, "host: stopped", 1).await;
    let fields = &stopped[0]["fields"];
    assert_eq!((&fields["plugin"], &fields["notes"]), (&json!("bot"), &json!(1)));
    rig.platform.heal();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_host_is_asked_with_its_address_and_token_alone() {
    let rig = Rig::start(setup("")).await;
    for args in [&["outbox", "list"][..], &["plugin", "list"], &["erase", "--list"]] {
        let run = sidenote(&rig, args).await;
        let said = String::from_utf8_lossy(&run.stderr).into_owned();
        assert_eq!(run.status.code(), Some(0), "{args:?}: {said}");
    }
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_that_only_claims_says_once_what_to_write_and_forged_ones_fill_no_log() {
    let platform =
        PlatformOptions { webhook_secret: INCOMING.to_owned(), ..PlatformOptions::default() };
    let rig = Rig::start(Setup { platform, ..setup("") }).await;
    let log = rig.log();
    for n in 0..3 {
        let claim = json!({
            "event": "opened", "product_id": "p", "conversation_id": format!("c-{n}"),
            "user_id": format!("ann-{n}"), "verified": false,
        });
        assert_eq!(Signed::new(&claim).send(&rig).await.status, 200);
    }
    let told = logged(&log, "webhook: nothing was linked", 1).await;
    let said = told[0]["fields"]["message"].as_str().expect("a message");
    assert!(said.contains("[plugins.bot]") && said.contains("accept_claims = true"), "{said}");
    for _ in 0..30 {
        assert_eq!(rig.post("/webhooks/bot", &json!({"event": "opened"})).await.status, 401);
    }
    let refused = logged(&log, "webhook: refused by the plugin", 1).await;
    assert_eq!((refused.len(), log.lines("webhook: nothing was linked").len()), (1, 1));
    rig.stop().await;
}
