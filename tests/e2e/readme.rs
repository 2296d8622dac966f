//! The README is a promise: its blocks are read from it and run.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use sidenote::config::Config;
use sidenote_sim::{
    Connector, ConnectorOptions, Emitted, Opening, Platform, PlatformOptions, post_json,
};
use sidenote_tests::{Person, binary, components, eventually};

const README: &str = include_str!("../../README.md");
const WEBHOOK: &str = include_str!("../../plugins/webhook/README.md");
const CI: &str = include_str!("../../.ci/run");

#[test]
fn the_two_commands_stand_first_and_alone_and_ci_runs_the_second() {
    let commands: Vec<_> = blocks("sh").collect();
    assert_eq!(commands, ["cargo xtask demo", "cargo xtask test"]);
    let fenced = README.find("```sh").unwrap();
    assert!(README[fenced..].starts_with("```sh\ncargo xtask demo\n```\n"));
    let last = CI.lines().rfind(|line| !line.trim().is_empty()).unwrap();
    assert_eq!(last, "exec cargo xtask test");
}

#[test]
fn the_note_that_is_shown_is_a_note() {
    let shown = blocks("").next().unwrap();
    assert!(shown.starts_with("session_id: ps_8f21\ntimestamp: "));
    let action = |text: &str, at: f64| sidenote::session::payload::Action {
        description: text.to_owned(),
        timestamp_start: Some(at),
        ..Default::default()
    };
    let at = 1_795_425_247.0;
    let actions = [
        action("Opened the invoice list", at),
        action("Clicked \"Export as CSV\"", at + 0.5),
        action("Saw the error \"Export failed (E-512)\"", at + 4.0),
    ];
    let now = sidenote::clock::Timestamp::default();
    let note = sidenote::session::note::format_note(Some("ps_8f21"), &actions, 3.0, now);
    assert_eq!(shown, note);
}

#[test]
fn the_webhook_plugins_block_is_a_configuration_also_with_its_options_on() {
    let block = blocks_of(WEBHOOK, "toml").next().unwrap();
    let rest = "\n[streams.main]\nurl = \"https://c.example\"\n[products.p]\nplugins = [\"bot\"]\n";
    let options: String =
        block.lines().map(|line| format!("{}\n", line.trim_start_matches("# "))).collect();
    for text in [block, options] {
        let config = Config::from_toml(&(text + rest), Path::new("."), &|name| {
            name.starts_with("BOT_").then(|| "secret".into())
        });
        assert_eq!(config.unwrap().plugins["bot"].hosts, ["bot.example.com"]);
    }
}

/// What a page does by these two blocks is shown with a real browser, in `sdks`.
#[test]
fn the_page_and_the_host_of_the_posthog_path_fit_together() {
    let (host, page) = (blocks("toml").nth(1).unwrap(), blocks("js").next().unwrap());
    let rest =
        "\n[plugins.bot]\nfile = \"webhook.wasm\"\n[products.my-product]\nplugins = [\"bot\"]\n";
    let config = Config::from_toml(&(host + rest), Path::new("."), &|_| None).unwrap();
    let source = format!("{:?}", config.plugins["posthog"].source);
    assert!(
        source.contains("my-product") && source.contains("https://app.example.com"),
        "{source}"
    );
    let key = page.split('"').nth(1).unwrap();
    assert!(README.contains(&format!("key = \"{key}\", product")), "{key}");
    assert!(page.contains("/sources/posthog\""), "{page}");
}

/// The section "Run it", step by step, with the addresses of this test in place of the examples'.
#[tokio::test(flavor = "multi_thread")]
async fn the_section_that_runs_it_works_as_written() {
    let (stream_token, signing, incoming) = ("stream-token", "signing-secret", "incoming-secret");
    let connector =
        Connector::start(ConnectorOptions { token: stream_token.into(), ..Default::default() });
    let connector = connector.await.unwrap();
    let options = PlatformOptions {
        signing_secret: signing.into(),
        webhook_secret: incoming.into(),
        ..Default::default()
    };
    let platform = Platform::start(options).await.unwrap();
    let stream_url = connector.stream_url("my-product");
    let folder = tempfile::tempdir().unwrap();

    // Step 2: the plugin into the folder.
    let copy = console("cp target/plugins");
    let file = copy.split_whitespace().find(|word| word.ends_with(".wasm")).unwrap();
    let file = Path::new(file).file_name().unwrap();
    std::fs::create_dir(folder.path().join("my-plugins")).unwrap();
    std::fs::copy(components().join(file), folder.path().join("my-plugins").join(file)).unwrap();

    // Step 3: the configuration.
    let port = sidenote_tests::free_address().port();
    let listen = format!("\n[server]\nlisten = \"127.0.0.1:{port}\"\n\n[streams.main]\n");
    let toml = blocks("toml").next().unwrap();
    let toml = replaced(&toml, "\n[streams.main]\n", &listen);
    let toml = replaced(&toml, "https://connector.example.com/stream/my-product", &stream_url);
    let toml = replaced(&toml, "https://bot.example.com/notes", &platform.notes_url());
    let granted = format!("hosts = [\"{}\"]\nprivate = true", platform.url());
    let toml = replaced(&toml, "hosts = [\"bot.example.com\"]", &granted);
    std::fs::write(folder.path().join("sidenote.toml"), toml).unwrap();

    // Step 4: check, smoke-test, run.
    let env = [
        ("STREAM_TOKEN", stream_token),
        ("BOT_SIGNING_SECRET", signing),
        ("BOT_INCOMING_SECRET", incoming),
    ];
    let sidenote = |command: &str| {
        let words = command.split_whitespace().skip_while(|word| *word != "sidenote").skip(1);
        let mut process = Command::new(binary());
        process.args(words.map(|word| {
            word.replace("https://connector.example.com/stream/my-product", &stream_url)
        }));
        process.current_dir(folder.path()).envs(env).env("SIDENOTE_STREAM_TOKEN", stream_token);
        process
    };
    let check = console("sidenote check");
    assert!(sidenote(&check).status().unwrap().success(), "{check}");

    let person = Person::new("my-product", "ps_8f21");
    let mut smoke_test = Running(sidenote(&console("sidenote smoke-test")).spawn().unwrap());
    assert!(connector.connected("my-product").await);
    assert_eq!(connector.emit_actions(&person.batch(0..1)).await, Emitted::Queued);
    eventually(|| match smoke_test.0.try_wait().unwrap() {
        Some(status) if status.success() => Ok(()),
        other => Err(format!("smoke-test: {other:?}")),
    })
    .await;

    let mut run =
        Running(sidenote(&console("sidenote run")).stderr(Stdio::null()).spawn().unwrap());
    assert!(connector.connected("my-product").await);
    assert_eq!(connector.emit_actions(&person.batch(1..3)).await, Emitted::Queued);

    // Step 5: the link, by hand.
    let curl = console("curl");
    let body = curl.split('\'').find(|part| part.starts_with('{')).unwrap();
    let wish: BTreeMap<String, Value> = serde_json::from_str(body).unwrap();
    assert_eq!(
        (&wish["product_id"], &wish["session_id"]),
        (&"my-product".into(), &"ps_8f21".into())
    );
    let conversation = platform.create(Opening::session("my-product", "ps_8f21")).unwrap();
    let body = replaced(body, wish["conversation_id"].as_str().unwrap(), &conversation);
    let url = curl.split_whitespace().find(|word| word.starts_with("http://")).unwrap();
    let url = replaced(url, "127.0.0.1:8787", &format!("127.0.0.1:{port}"));
    let answer = post_json(&url, &[], body.into()).await.unwrap();
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
    assert_eq!(connector.emit_actions(&person.batch(3..4)).await, Emitted::Queued);
    let expected: Vec<_> = (1..4).map(|n| person.marker(n)).collect();
    eventually(|| {
        let text: String =
            platform.notes(&conversation).iter().map(|note| note.body.clone()).collect();
        let arrived = expected.iter().all(|marker| text.contains(marker));
        if arrived { Ok(()) } else { Err(format!("{expected:?} in {text:?}")) }
    })
    .await;

    // SIGTERM ends it in order.
    let pid = run.0.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    eventually(|| match run.0.try_wait().unwrap() {
        Some(status) if status.success() => Ok(()),
        other => Err(format!("run: {other:?}")),
    })
    .await;
    connector.shutdown().await;
    platform.shutdown().await;
}

/// A child that doesn't outlive a failed test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        if matches!(self.0.try_wait(), Ok(None)) {
            self.0.kill().expect("a running child can be killed");
        }
    }
}

/// The fenced blocks of a language, without their indentation.
fn blocks(language: &str) -> impl Iterator<Item = String> {
    blocks_of(README, language)
}

fn blocks_of(text: &str, language: &str) -> impl Iterator<Item = String> {
    let mut blocks = Vec::new();
    let mut open: Option<(bool, usize, Vec<&str>)> = None;
    for line in text.lines() {
        let text = line.trim_start();
        match (&mut open, text.strip_prefix("```")) {
            (None, Some(info)) => {
                open = Some((info == language, line.len() - text.len(), Vec::new()))
            }
            (Some(_), Some(_)) => {
                if let Some((true, _, lines)) = open.take() {
                    blocks.push(lines.join("\n"));
                }
            }
            (Some((_, indent, lines)), None) => lines.push(line.get(*indent..).unwrap_or("")),
            (None, None) => {}
        }
    }
    blocks.into_iter()
}

/// The command of the console blocks that contains `part`, its continuation lines joined.
fn console(part: &str) -> String {
    let commands = blocks("console").collect::<Vec<_>>().join("\n").replace("\\\n", " ");
    let found = commands
        .lines()
        .filter_map(|line| line.strip_prefix("$ "))
        .find(|line| line.contains(part));
    found.unwrap_or_else(|| panic!("the README has no command `{part}`")).to_owned()
}

/// `text` with `from`, which must be there, replaced.
fn replaced(text: &str, from: &str, to: &str) -> String {
    assert!(text.contains(from), "the README says `{from}` no more: {text}");
    text.replace(from, to)
}
