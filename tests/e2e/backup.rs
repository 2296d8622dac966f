//! A copy of the store while the host runs, and a new host on it.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Output;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::Value;
use sidenote::store::{EmbeddedStore, Store, Table};
use sidenote_tests::{Person, Rig, Setup, StoreKind, binary};

/// How many connectors push at once.
const PUSHERS: usize = 4;

/// Runs `sidenote backup` beside the rig's host.
async fn backup(rig: &Rig, to: &Path) -> Output {
    let url = rig.url("");
    let mut command = tokio::process::Command::new(binary());
    command.args(["backup", "--host", &url, "--json"]).arg(to);
    command.env("SIDENOTE_TOKEN", "api-token").output().await.expect("the binary runs")
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_was_answered_before_a_backup_under_load_is_lost_to_a_host_that_starts_on_it()
{
    let setup = Setup { process: true, pushed: true, ..Setup::default() };
    let mut rig = Rig::start(setup).await;
    let (stop, answered) = (AtomicBool::new(false), Mutex::new(Vec::new()));
    let push = async |pusher: usize| {
        let mut n = 0;
        while !stop.load(Ordering::Relaxed) {
            let person = Person::new("p", format!("s{pusher}-{n}"));
            assert_eq!(rig.push(&person, &person.batch(0..2)).await, 200);
            answered.lock().unwrap().push(person);
            n += 1;
        }
    };
    let copy = rig.plugins_folder().join("copy.redb");
    let operate = async {
        sidenote_tests::eventually(|| match answered.lock().unwrap().len() {
            0..=99 => Err("not yet under load".to_owned()),
            _ => Ok(()),
        })
        .await;
        let before = answered.lock().unwrap().clone();
        let made = backup(&rig, &copy).await;
        let during = answered.lock().unwrap().len();
        // Another one doesn't replace it.
        let again = backup(&rig, &copy).await;
        stop.store(true, Ordering::Relaxed);
        (before, during, made, again)
    };
    let pushers = futures_util::future::join_all((0..PUSHERS).map(push));
    let ((before, during, made, again), _) = tokio::join!(operate, pushers);
    let told = String::from_utf8_lossy(&made.stderr).into_owned();
    assert!(made.status.success(), "{told}");
    assert!(during > before.len(), "nothing waited for the copy");
    assert_eq!(again.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&again.stderr).contains("isn't replaced"));

    let found = std::fs::metadata(&copy).unwrap();
    assert_eq!(found.permissions().mode() & 0o777, 0o600);
    let json: Value = serde_json::from_slice(&made.stdout).unwrap();
    assert_eq!(json["bytes"], found.len());
    let left = std::fs::read_dir(rig.plugins_folder()).unwrap().flatten();
    let left: Vec<_> = left
        .map(|it| it.file_name())
        .filter(|it| it.to_string_lossy().starts_with(".tmp"))
        .collect();
    assert!(left.is_empty(), "{left:?}");

    let log = rig.get("/audit").await.1;
    let acts: Vec<_> =
        log["entries"].as_array().unwrap().iter().map(|it| &it["act"]["what"]).collect();
    assert_eq!(acts, ["backup"], "{log}");

    // The disk is lost; the copy is put in the file's place.
    rig.kill_host().await;
    rig.replace_store(&copy);
    rig.start_host().await;
    let mut conversations = Vec::new();
    // All of them are there; that they are whole is looked at with some.
    for person in before.iter().step_by(before.len() / 20) {
        let conversation = rig.conversation(person);
        rig.link(person, &conversation).await;
        conversations.push((person, conversation));
    }
    for (person, conversation) in &conversations {
        rig.arrives(conversation, person, 2).await;
    }
    let store = EmbeddedStore::open(&copy).unwrap();
    let rows = store.scan(Table::Open, None, usize::MAX).await.unwrap();
    for person in &before {
        let found = rows.iter().any(|(key, _)| *key.group.1 == *person.session);
        assert!(found, "{} is lost", person.session);
    }
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_without_a_file_is_not_copied_and_the_reason_is_told() {
    let rig = Rig::start(Setup { store: StoreKind::Memory, ..Setup::default() }).await;
    let to = rig.plugins_folder().join("copy.redb");
    let made = backup(&rig, &to).await;
    let told = String::from_utf8_lossy(&made.stderr).into_owned();
    assert_eq!(made.status.code(), Some(1), "{told}");
    assert!(told.contains("409") && told.contains("nothing to copy"), "{told}");
    assert!(!to.exists());
    let log = rig.get("/audit").await.1;
    assert_eq!(log["entries"][0]["outcome"]["reason"], "no_file", "{log}");
    rig.end().await;
}
