//! A plugin's file is replaced while notes are on their way.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::process::Command;

use serde_json::Value;
use sidenote_tests::{Person, Rig, Setup, binary, eventually};

const PEOPLE: usize = 20;
const SWAPS: u64 = 6;

/// The component with something in it that means nothing: another version that does the same.
fn another(component: &[u8], number: u64) -> Vec<u8> {
    let name = format!("v{number}");
    let mut bytes = component.to_vec();
    // A custom section: 0, its length, the length of its name, its name.
    bytes.extend([0, name.len() as u8 + 1, name.len() as u8]);
    bytes.extend(name.as_bytes());
    bytes
}

/// What `sidenote plugin list` says of the plugin `bot`.
fn listed(rig: &Rig, json: bool) -> String {
    let config = rig.plugins_folder().join("list.toml");
    let text = r#"
[server]
token = { env = "API_TOKEN" }
[streams.all]
url = "http://127.0.0.1:1/"
[plugins.bot]
[products.p]
plugins = ["bot"]
"#;
    std::fs::write(&config, text).unwrap();
    let mut command = Command::new(binary());
    command.args(["plugin", "list", "--config"]).arg(config);
    command.args(json.then_some("--json"));
    command.env("API_TOKEN", "api-token");
    command.env("SIDENOTE__SERVER__LISTEN", rig.host().addr().to_string());
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn state(rig: &Rig) -> Value {
    let report: Value = serde_json::from_str(&listed(rig, true)).unwrap();
    let plugins = report["plugins"].as_array().unwrap();
    plugins.iter().find(|plugin| plugin["name"] == "bot").unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_note_is_lost_while_a_plugin_is_replaced_again_and_again() {
    let rig = Rig::start(Setup::default()).await;
    let file = rig.plugins_folder().join("webhook.wasm");
    let component = std::fs::read(&file).unwrap();
    let first = state(&rig);
    assert_eq!((&first["health"], &first["swaps"]), (&Value::from("loaded"), &Value::from(0)));

    let people: Vec<_> = (0..PEOPLE).map(|i| Person::new("p", format!("s{i}"))).collect();
    let mut conversations = Vec::new();
    for person in &people {
        conversations.push(rig.open(person).await);
    }
    let mut actions = 0;
    for swap in 1..=SWAPS {
        let put = |bytes: &[u8]| {
            let part = file.with_extension("part");
            std::fs::write(&part, bytes).unwrap();
            std::fs::rename(&part, &file).unwrap();
        };
        let mut next = another(&component, swap);
        if swap == 3 {
            // Half of it comes first, in the place where the whole is wanted.
            let half = next.len() / 2;
            std::fs::write(&file, &next[..half]).unwrap();
            while state(&rig)["refused"].is_null() {
                emit(&rig, &people, &mut actions).await;
            }
            let refused = state(&rig)["refused"].to_string();
            assert!(refused.contains("compile: "), "{refused}");
            assert!(listed(&rig, false).contains("file refused: compile: "));
            next.push(0);
            next.extend([1, 0]);
        }
        put(&next);
        while state(&rig)["swaps"] != swap {
            emit(&rig, &people, &mut actions).await;
        }
    }
    for (person, conversation) in people.iter().zip(&conversations) {
        rig.arrives(conversation, person, actions).await;
    }
    let last = state(&rig);
    assert_ne!(first["version"], last["version"]);
    assert_eq!((&last["failures"], &last["traps"]), (&Value::from(0), &Value::from(0)));
    assert_eq!(rig.host().counters().notes_dead, 0);
    eventually(|| match rig.host().counters().notes_posted {
        0 => Err("none was posted".to_owned()),
        _ => Ok(()),
    })
    .await;
    rig.end().await;
}

/// One action of everybody.
async fn emit(rig: &Rig, people: &[Person], actions: &mut u64) {
    for person in people {
        rig.emit(&person.batch(*actions..*actions + 1)).await;
    }
    *actions += 1;
}
