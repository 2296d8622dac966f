//! Agents that ask over the Model Context Protocol: a client that this project didn't write lists the tool and
//! calls it.

use std::path::PathBuf;
use std::process::Output;

use serde_json::{Value, json};
use sidenote_tests::{DEADLINE, Person, Rig, Setup, npm_package};
use tokio::process::Command;
use tokio::time::{Instant, sleep, timeout};

/// The inspector's command line, in its package.
const INSPECTOR: &str = "node_modules/@modelcontextprotocol/inspector/cli/build/cli.js";

/// The inspector, and the server that it asks.
struct Inspector {
    program: PathBuf,
    url: String,
}

impl Inspector {
    async fn of(rig: &Rig) -> Self {
        Self { program: npm_package("inspector").await.join(INSPECTOR), url: rig.url("/mcp") }
    }

    async fn run(&self, token: &str, words: &[&str]) -> Output {
        let mut command = Command::new("node");
        let header = format!("Authorization: Bearer {token}");
        command.arg(&self.program).args(["--cli", &self.url, "--transport", "http"]);
        command.args(["--header", &header, "--method"]).args(words).kill_on_drop(true);
        let output = timeout(DEADLINE, command.output()).await.expect("it answers in time");
        output.expect("Node.js runs")
    }

    async fn ask(&self, words: &[&str]) -> Value {
        let output = self.run("api-token", words).await;
        let text = String::from_utf8_lossy(&output.stdout);
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{words:?}: {text}{told}");
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}{told}"))
    }

    /// Calls the tool with arguments, `name=value` each.
    async fn call(&self, arguments: &[&str]) -> Value {
        let mut words = vec!["tools/call", "--tool-name", "get_live_user_activity"];
        words.extend(arguments.iter().flat_map(|argument| ["--tool-arg", argument]));
        self.ask(&words).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_of_somebody_elses_lists_the_tool_and_calls_it() {
    let tables = "[context]\nlookback = \"10m\"\n[mcp]".to_owned();
    let rig = Rig::start(Setup { tables, process: true, ..Setup::default() }).await;
    let inspector = Inspector::of(&rig).await;
    let ann = Person::new("p", "ann");
    rig.emit(&ann.batch(0..3)).await;
    let user = format!("user_id={}", ann.user_id());

    let listed = inspector.ask(&["tools/list"]).await;
    let names: Vec<_> = listed["tools"].as_array().expect("tools").iter().collect();
    let [tool] = names.as_slice() else { panic!("{listed}") };
    assert_eq!(tool["name"], "get_live_user_activity");
    assert_eq!(tool["inputSchema"]["properties"]["limit"]["maximum"], 1000);

    let deadline = Instant::now() + DEADLINE;
    let (told, text) = loop {
        let result = inspector.call(&[&user, "product_id=p", "limit=2", "query=Why?"]).await;
        let told = &result["structuredContent"];
        if told["actions"][1]["description"] == ann.marker(2) {
            break (told.clone(), result["content"][0]["text"].clone());
        }
        assert!(Instant::now() < deadline, "{result}");
        sleep(std::time::Duration::from_millis(100)).await;
    };
    assert_eq!((&told["count"], &told["product_id"]), (&json!(2), &json!("p")));
    assert_eq!(told["actions"][0]["description"], ann.marker(1));
    let text = text.as_str().expect("text");
    assert!(text.contains(&ann.marker(2)) && text.ends_with("Why?"), "{text}");
    assert!(!text.contains(&ann.marker(0)), "{text}");

    let refused = inspector.call(&[&user]).await;
    assert_eq!(refused["isError"], true);
    let text = refused["content"][0]["text"].as_str().expect("text");
    let error: Value = serde_json::from_str(text).expect("JSON");
    assert_eq!(error["error"]["code"], "which_product");

    for token in ["wrong", ""] {
        let output = inspector.run(token, &["tools/list"]).await;
        let told = [output.stdout, output.stderr].concat();
        let told = String::from_utf8_lossy(&told);
        assert!(!output.status.success(), "{told}");
        assert!(told.contains("unauthorized"), "{told}");
        assert!(!told.contains(tool["name"].as_str().expect("a name")), "{told}");
    }
    rig.stop().await;
}
