//! Notes on the standard output of `sidenote run`, and nothing else there.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use sidenote_sim::{Connector, ConnectorOptions, Emitted, post_json};
use sidenote_tests::{DEADLINE, Person, binary, components};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStderr, ChildStdout, Command};

/// A host whose only plugin is the console.
struct Host {
    child: Child,
    stdout: Lines<BufReader<ChildStdout>>,
    stderr: Option<Lines<BufReader<ChildStderr>>>,
    connector: Connector,
    addr: String,
    _folder: tempfile::TempDir,
}

impl Host {
    async fn start(grants: &str, settings: &str) -> Self {
        let connector = Connector::start(ConnectorOptions::default()).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let file = "console.wasm";
        std::fs::copy(components().join(file), folder.path().join(file)).unwrap();
        let toml = format!(
            "plugins_folder = \".\"\n[server]\nlisten = \"127.0.0.1:0\"\n[store]\nkind = \"memory\"\n\
             [streams.main]\nurl = \"{}\"\ntoken = {{ env = \"TOKEN\" }}\n\
             [plugins.console.grants]\n{grants}\n[plugins.console.config]\n{settings}\n\
             [products.p]\nplugins = [\"console\"]\n",
            connector.stream_url("main"),
        );
        let config = folder.path().join("sidenote.toml");
        std::fs::write(&config, toml).unwrap();
        let program = tokio::task::spawn_blocking(binary).await.unwrap();
        let mut child = Command::new(program)
            .args(["--log-json", "run", "--config"])
            .arg(&config)
            .current_dir(folder.path())
            .env_clear()
            .env("TOKEN", ConnectorOptions::default().token)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut stderr = BufReader::new(child.stderr.take().unwrap()).lines();
        let listening = async {
            loop {
                let line = stderr.next_line().await.unwrap().expect("it listens before it ends");
                let value: Value = serde_json::from_str(&line).unwrap_or_default();
                if value["fields"]["message"] == "sidenote is running" {
                    return value["fields"]["addr"].as_str().unwrap().to_owned();
                }
            }
        };
        let addr = tokio::time::timeout(DEADLINE, listening).await.unwrap();
        assert!(connector.connected("main").await);
        Self { child, stdout, stderr: Some(stderr), connector, addr, _folder: folder }
    }

    /// Has somebody say something in a conversation.
    async fn act(&self, session: &str, text: &str) {
        let person = Person::new("p", session);
        let wish = json!({"product_id": "p", "session_id": session, "conversation_id": "c-1"});
        let url = format!("http://{}/sessions/link", self.addr);
        let answer = post_json(&url, &[], wish.to_string().into()).await.unwrap();
        assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
        let said = person.saying([(0, text.to_owned())]);
        let event = sidenote_sim::Event::actions(&said);
        assert_eq!(self.connector.emit("main", event).await, Emitted::Queued);
    }

    async fn next_line(&mut self) -> String {
        let line = tokio::time::timeout(DEADLINE, self.stdout.next_line()).await;
        line.expect("a line in time").unwrap().expect("the host runs")
    }

    /// The next line of the log that a guest wrote.
    async fn guest_line(&mut self) -> String {
        let stderr = self.stderr.as_mut().expect("the log is read");
        let found = async {
            loop {
                let line = stderr.next_line().await.unwrap().expect("the host runs");
                let value: Value = serde_json::from_str(&line).unwrap_or_default();
                if value["target"] == "sidenote::guest" {
                    return value["fields"]["message"].as_str().unwrap().to_owned();
                }
            }
        };
        tokio::time::timeout(DEADLINE, found).await.expect("a line in time")
    }

    /// Ends it and returns what else stood on the standard output.
    async fn end(mut self) -> Vec<String> {
        let id = self.child.id().unwrap().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().await.unwrap().success());
        let mut rest = Vec::new();
        let reading = async {
            while let Some(line) = self.stdout.next_line().await.unwrap() {
                rest.push(line);
            }
        };
        tokio::time::timeout(DEADLINE + Duration::from_secs(5), reading).await.unwrap();
        self.connector.shutdown().await;
        rest
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_granted_standard_output_gets_notes_as_json_lines_and_nothing_else() {
    let mut host = Host::start("stdout = true", "").await;
    host.act("s-1", "clicked \u{9b}2J Pay\u{202e}").await;
    let line = host.next_line().await;
    let steers = |c: char| c.is_control() || c == '\u{202e}';
    assert!(!line.contains(steers), "nothing in it steers a terminal: {line}");
    let note: Value = serde_json::from_str(&line).unwrap();
    assert_eq!((&note["type"], &note["conversation_id"]), (&json!("note"), &json!("c-1")));
    assert!(note["body"].as_str().unwrap().contains("Pay\u{fffd}"), "{line}");
    // What steers was taken out at the door, wherever it stood.
    assert_eq!(note["actions"][0]["description"], "clicked \u{fffd}2J Pay\u{fffd}");
    assert_eq!(host.end().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_text_for_people_is_printed_without_what_steers_a_terminal() {
    let mut host = Host::start("stdout = true", "format = \"pretty\"").await;
    host.act("s-1", "clicked Pay\u{202e}").await;
    let head = host.next_line().await;
    assert!(head.starts_with("── c-1 · note 1 (actions) of u-s-1 · "), "{head}");
    let rest = host.end().await;
    let text = rest.iter().find(|line| line.contains("Pay")).unwrap();
    assert_eq!(text, "  [1] clicked Pay\u{fffd}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_granted_goes_to_the_log() {
    let mut host = Host::start("", "").await;
    host.act("s-1", "clicked Pay").await;
    let line = host.guest_line().await;
    assert!(line.starts_with("{\"type\":\"note\"") && line.contains("clicked Pay"), "{line}");
    assert_eq!(host.end().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_nobody_reads_any_more_ends_nothing() {
    let mut host = Host::start("stdout = true", "").await;
    drop(host.stderr.take());
    // Each is a line of the log.
    for path in ["nowhere", "sessions/link", "erase", "outbox/retry"] {
        let url = format!("http://{}/{path}", host.addr);
        let answer = post_json(&url, &[], "not json".into()).await.unwrap();
        assert!((400..500).contains(&answer.status), "{path}: {}", answer.status);
    }
    host.act("s-1", "clicked Pay").await;
    assert!(host.next_line().await.contains("clicked Pay"));
    assert_eq!(host.end().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erasure_says_that_the_notes_of_a_plugin_without_redactor_stay_and_lists_them() {
    let mut host = Host::start("stdout = true", "").await;
    for n in 0..3 {
        host.act("s-1", &format!("clicked {n}")).await;
        host.next_line().await;
    }
    let erase = async |dry_run: bool| {
        let wish = json!({"product_id": "p", "session_id": "s-1", "dry_run": dry_run});
        let url = format!("http://{}/erase", host.addr);
        let answer = post_json(&url, &[], wish.to_string().into()).await.unwrap();
        serde_json::from_slice::<Value>(&answer.body).unwrap()
    };
    let kept = json!([{"plugin": "console", "reason": "no_redactor", "notes": 3}]);
    for dry_run in [true, false] {
        let answer = erase(dry_run).await;
        assert_eq!((&answer["redactions"], &answer["left"]), (&json!(0), &json!(3)), "{answer}");
        assert_eq!(answer["kept"], kept, "{answer}");
    }
    let url = format!("http://{}", host.addr);
    let program = tokio::task::spawn_blocking(binary).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let list = |more: &'static [&'static str]| {
        let mut command = Command::new(program);
        command.args(["erase", "--list", "--host", &url]).args(more);
        command.env_clear().current_dir(folder.path());
        async move { command.output().await.unwrap() }
    };
    let listed = list(&[]).await;
    let said = String::from_utf8_lossy(&listed.stderr).into_owned();
    assert_eq!(listed.status.code(), Some(0), "{said}");
    assert!(said.contains("3 notes at the platforms though they were to go"), "{said}");
    assert!(
        said.contains("plugin console: 3 notes, for the plugin exports no `redactor`"),
        "{said}"
    );
    let listed = list(&["--json"]).await;
    let notes = String::from_utf8(listed.stdout).unwrap();
    assert_eq!(notes.lines().count(), 3, "{notes}");
    assert!(notes.contains("\"conversation\":\"c-1\"") && !notes.contains("s-1"), "{notes}");
    host.end().await;
}

#[test]
fn the_block_of_the_readme_is_a_configuration() {
    let readme = include_str!("../../plugins/console/README.md");
    let block = readme.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let toml = format!("{block}\n[streams.main]\nurl = \"https://c.example\"\n");
    let config = sidenote::config::Config::from_toml(&toml, std::path::Path::new("."), &|_| None);
    let config = config.unwrap();
    assert!(config.plugins["console"].allow_stdout);
    assert_eq!(config.plugins["console"].config["format"], "json");
}
