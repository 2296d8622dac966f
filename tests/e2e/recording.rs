//! A stream recorded, its people masked, and served again to a host.

use std::path::Path;
use std::process::{Output, Stdio};

use serde_json::{Value, json};
use sidenote_sim::{Connector, ConnectorOptions, Emitted, Event};
use sidenote_tests::{DEADLINE, Rig, Setup, binary, components, eventually};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// What two people did, as a connector tells it.
fn events() -> Vec<Value> {
    let action = |title: &str, page: &str, at: f64| {
        json!({"type": "click", "title": title, "description": format!("{title} of Jane"), "index": 0,
            "canonical_url": format!("https://app.acme.example/users/jane/{page}"),
            "raw_url": format!("https://app.acme.example/users/jane/{page}?mail=jane@acme.example"),
            "timestamp_start": at, "timestamp_end": at})
    };
    let event = |session: &str, who: &str, actions: Vec<Value>| {
        json!({"type": "actions", "product_id": "p", "session_id": session, "user_id": who,
            "email": format!("{who}@acme.example"), "count": actions.len(), "forwarded_at": 1_700_000_000.0,
            "actions": actions, "plan_of_jane": "gold"})
    };
    vec![
        event(
            "s-jane",
            "jane",
            vec![action("Opened invoices", "invoices", 1.0), action("Paid", "pay", 2.0)],
        ),
        event("s-tom", "tom", vec![action("Opened plans", "plans", 3.0)]),
        event("s-jane", "jane", vec![action("Went back", "invoices", 4.0)]),
    ]
}

/// A connector that has told nothing yet, and a configuration that names it.
async fn connector(folder: &Path) -> Connector {
    let connector = Connector::start(ConnectorOptions::default()).await.expect("a free port");
    let text = format!(
        "[server]\nlisten = \"127.0.0.1:0\"\n[store]\nkind = \"memory\"\n[streams.main]\nurl = {:?}\ntoken = {{ env = \
         \"STREAM_TOKEN\" }}\n[plugins.w]\n[plugins.w.secrets]\nkey = {{ env = \"NOT_SET\", hosts = [] }}\n[products.p]\nplugins = [\"w\"]\n",
        connector.stream_url("p")
    );
    std::fs::write(folder.join("sidenote.toml"), text).expect("the folder takes a file");
    connector
}

async fn record(folder: &Path, connector: &Connector, args: &[&str]) -> Output {
    let mut command = Command::new(binary());
    command.args(["stream", "record"]).args(args).current_dir(folder).env_clear();
    let child = command
        .env("STREAM_TOKEN", connector.token())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("the binary runs");
    let told = async {
        for event in events() {
            let emitted = connector.emit("p", Event::data(event.to_string())).await;
            assert_eq!(emitted, Emitted::Queued);
        }
    };
    let (output, ()) = tokio::join!(child.wait_with_output(), told);
    output.expect("it ends")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("it writes UTF-8")
}

/// The data of each event of a recording.
fn recorded(file: &Path) -> Vec<Value> {
    let all = std::fs::read_to_string(file).expect("a recording");
    let lines = all.lines().skip(1).map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    let data = |line: Value| serde_json::from_str(line["data"].as_str().expect("a text"));
    lines.map(|line| data(line).expect("JSON")).collect()
}

async fn replaying(folder: &Path, args: &[&str]) -> (Child, String) {
    let mut child = Command::new(binary())
        .args(["stream", "replay", "masked.ndjson"])
        .args(args)
        .current_dir(folder)
        .env_clear()
        .env("SIDENOTE_REPLAY_TOKEN", "replay-token")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("the binary runs");
    let mut lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
    let mut table = String::new();
    while !table.contains("plugins = ") {
        let line = tokio::time::timeout(DEADLINE, lines.next_line()).await.expect("a table");
        table += &(line.expect("it writes UTF-8").expect("it goes on") + "\n");
    }
    (child, table)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_recorded_is_masked_and_a_host_writes_the_same_notes_of_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let connector = connector(folder.path()).await;
    let run = record(folder.path(), &connector, &["masked.ndjson", "--events", "3"]).await;
    assert_eq!(run.status.code(), Some(0), "{}", text(&run.stderr));
    let file = folder.path().join("masked.ndjson");
    let all = std::fs::read_to_string(&file).expect("a recording");
    for told in ["jane", "tom", "acme", "invoices", "Paid", "gold", "plan_of"] {
        assert!(!all.contains(told), "{told}: {all}");
    }
    let header: Value = serde_json::from_str(all.lines().next().expect("a header")).expect("JSON");
    assert_eq!(
        (&header["format"], &header["masked"]),
        (&"sidenote-recording".into(), &true.into())
    );
    let masked = recorded(&file);
    assert_eq!(masked.len(), 3);
    assert_eq!(masked[0]["user_id"], masked[2]["user_id"]);
    assert_ne!(masked[0]["user_id"], masked[1]["user_id"]);

    // Never over another file.
    let again = record(folder.path(), &connector, &["masked.ndjson", "--events", "3"]).await;
    assert_eq!(again.status.code(), Some(2), "{}", text(&again.stderr));
    assert_eq!(std::fs::read_to_string(&file).expect("a recording"), all);
    let plain =
        record(folder.path(), &connector, &["plain.ndjson", "--events", "3", "--no-mask"]).await;
    assert!(text(&plain.stderr).contains("holds people's data"), "{}", text(&plain.stderr));
    assert_eq!(recorded(&folder.path().join("plain.ndjson")), events());
    connector.shutdown().await;

    // A host reads it, beside the stream that it has.
    let (child, table) = replaying(folder.path(), &["--speed", "max"]).await;
    let product = masked[0]["product_id"].as_str().expect("a product").to_owned();
    assert!(table.contains(&format!("[products.{product}]")), "{table}");
    let tables = table.replace("PLUGIN", "bot");
    let secrets = vec![("SIDENOTE_REPLAY_TOKEN", "replay-token".to_owned())];
    let rig = Rig::start(Setup { tables, secrets, ..Setup::default() }).await;
    let mut conversations = Vec::new();
    for event in &masked[..2] {
        let session = event["session_id"].as_str().expect("a session");
        let opening = sidenote_sim::Opening::session(&product, session);
        conversations.push(rig.platform.open(opening).await.expect("the host accepts it"));
    }
    let output = tokio::time::timeout(DEADLINE, child.wait_with_output()).await;
    let output = output.expect("it ends when all was read").expect("it can be waited for");
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("all 3 events were read"), "{}", text(&output.stderr));
    let wanted = |session: &Value| -> Vec<Value> {
        let of = masked.iter().filter(|event| event["session_id"] == *session);
        of.flat_map(|event| event["actions"].as_array().expect("actions"))
            .map(|it| it["description"].clone())
            .collect()
    };
    for (event, conversation) in masked.iter().zip(&conversations) {
        let wanted = wanted(&event["session_id"]);
        eventually(|| {
            let notes = rig.platform.notes(conversation);
            let arrived: Vec<Value> = notes
                .iter()
                .flat_map(|note| note.actions.iter().map(|it| it.description.clone().into()))
                .collect();
            if arrived == wanted { Ok(()) } else { Err(format!("{arrived:?} isn't {wanted:?}")) }
        })
        .await;
    }
    rig.stop().await;

    // The demo tells it, too.
    let demo = Command::new(binary())
        .args(["stream", "replay", "masked.ndjson", "--to-demo", "--speed", "max", "--plugins"])
        .arg(components())
        .current_dir(folder.path())
        .env_clear()
        .output()
        .await
        .expect("the binary runs");
    let shown = text(&demo.stdout);
    assert_eq!(demo.status.code(), Some(0), "{shown}\n{}", text(&demo.stderr));
    assert!(shown.contains("4 actions, 2 conversations,"), "{shown}");
    assert!(shown.contains("Every action arrived once"), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_recorded_leaves_no_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let connector = connector(folder.path()).await;
    let run = async |args: &[&str], token: &str| {
        let mut command = Command::new(binary());
        command.args(["stream", "record", "x.ndjson"]).args(args).current_dir(folder.path());
        let output = command.env_clear().env("STREAM_TOKEN", token).output().await;
        let output = output.expect("the binary runs");
        assert!(!folder.path().join("x.ndjson").exists(), "{args:?}");
        (output.status.code(), text(&output.stderr))
    };
    let (code, said) = run(&[], "wrong").await;
    assert!(code == Some(1) && said.contains("401"), "{said}");
    let (code, said) = run(&["--stream", "other"], "wrong").await;
    assert!(code == Some(2) && said.contains("there is: main"), "{said}");
    let (code, said) = run(&["--for", "10"], "wrong").await;
    assert!(code == Some(2) && said.contains("has no unit"), "{said}");
    let pushed = "[server]\nlisten = \"127.0.0.1:0\"\n[store]\nkind = \"memory\"\n[plugins.w]\n[products.p]\nplugins = [\"w\"]\ningest_secret = { env = \"NOT_SET\" }\n";
    std::fs::write(folder.path().join("sidenote.toml"), pushed).expect("the folder takes a file");
    let (code, said) = run(&[], "wrong").await;
    assert!(code == Some(2) && said.contains("pushed"), "{said}");
    connector.shutdown().await;
}
