//! A plugin in every language, as a stranger begins it: `sidenote plugin new`, its own build, the contract
//! suite, and then into the folder of a host that runs.
//!
//! `cargo xtask test` does the first two steps and leaves the plugins in `target/languages`.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use hmac::{Hmac, Mac};
use serde_json::Value;
use sha2::Sha256;
use sidenote_sim::post_json;
use sidenote_tests::{Person, Rig, Setup, binary, compiled, eventually};

/// Built in every run.
const ALWAYS: [&str; 5] = ["rust", "js", "js-quickjs", "python", "c"];
/// Built with `SIDENOTE_LANGUAGES=all`, and left alone where they are up to date.
const ASKED_FOR: [&str; 2] = ["ts", "go"];

const TOKEN: &str = "bot-token";
const INCOMING: &str = "bot-incoming";

/// The plugins that are there.
fn plugins() -> Vec<(&'static str, PathBuf)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/languages");
    let all = std::env::var_os("SIDENOTE_LANGUAGES").is_some_and(|which| which == "all");
    let mut plugins = Vec::new();
    for language in ALWAYS.iter().chain(&ASKED_FOR) {
        let place = folder.join(format!("my-{language}"));
        if place.join(format!("my-{language}.wasm")).is_file() {
            plugins.push((*language, place));
        } else {
            let needed = all || ALWAYS.contains(language);
            assert!(!needed, "{} isn't built; run `cargo xtask test`", place.display());
        }
    }
    plugins
}

#[test]
fn every_language_passes_the_contract_suite() {
    // A run waits for most of its time.
    let runs = plugins().into_iter().map(|(language, folder)| {
        let run = Command::new(binary())
            .args(["plugin", "test", &format!("my-{language}.wasm"), "--webhook", "webhooks"])
            .current_dir(&folder)
            .env("SIDENOTE_CACHE", compiled())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        (language, run)
    });
    for (language, run) in runs.collect::<Vec<_>>() {
        let output = run.wait_with_output().unwrap();
        let shown = String::from_utf8_lossy(&output.stdout);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{language}:\n{shown}\n{said}");
    }
}

#[test]
fn every_trigger_passes_the_contract_suite() {
    for (language, way) in [("rust", ""), ("js", ""), ("js", "-quickjs")] {
        let name = format!("my-{language}-trigger{way}");
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/languages").join(&name);
        let output = Command::new(binary())
            .args(["plugin", "test", &format!("{name}.wasm")])
            .current_dir(&folder)
            .env("SIDENOTE_CACHE", compiled())
            .output()
            .unwrap();
        let shown = String::from_utf8_lossy(&output.stdout);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{language}:\n{shown}\n{said}");
        assert!(shown.contains("an offer for: the same click again and again"), "{shown}");
    }
}

/// Writers in languages without a template.
#[test]
fn every_sample_passes_the_contract_suite() {
    let runs = ["cpp-writer", "zig-writer"].map(|name| {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/languages").join(name);
        let component = folder.join("example-writer.wasm");
        assert!(component.is_file(), "{} isn't built; run `cargo xtask test`", component.display());
        let run = Command::new(binary())
            .args(["plugin", "test", "example-writer.wasm", "--json"])
            .current_dir(&folder)
            .env("SIDENOTE_CACHE", compiled())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        (name, run)
    });
    for (name, run) in runs {
        let output = run.wait_with_output().unwrap();
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert!(output.status.success(), "{name}: {report:#}");
        assert_eq!(report["counts"]["warning"], 0, "{name}: {report:#}");
    }
}

#[test]
fn every_source_passes_the_contract_suite() {
    for name in ["my-rust-source", "my-js-source-quickjs", "my-python-source"] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/languages").join(name);
        let output = Command::new(binary())
            .args(["plugin", "test", &format!("{name}.wasm"), "--webhook", "requests"])
            .current_dir(&folder)
            .env("SIDENOTE_CACHE", compiled())
            .output()
            .unwrap();
        let shown = String::from_utf8_lossy(&output.stdout);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{name}:\n{shown}\n{said}");
        assert!(shown.contains("a source reads paid: 2 events, the same each time"), "{shown}");
    }
}

#[test]
fn the_configuration_that_is_written_along_is_right() {
    for (language, folder) in plugins() {
        let output = Command::new(binary())
            .args(["check", "--config", "sidenote.toml"])
            .current_dir(&folder)
            .env_clear()
            .envs([("STREAM_TOKEN", "t"), ("BOT_TOKEN", TOKEN), ("BOT_INCOMING_SECRET", INCOMING)])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{language}:\n{said}");
    }
}

/// The largest answer that the bot gives, and the platforms of real life with it.
const LARGE: usize = 8 << 20;

/// Each language twice: as it is, and where an answer of [`LARGE`] is allowed.
fn names(language: &str) -> [(String, &'static str); 2] {
    [(format!("my-{language}"), ""), (format!("roomy-{language}"), "max_response = \"9MiB\"")]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_dropped_into_a_running_host_brings_a_note_and_its_webhook_links_and_a_large_answer_is_read()
 {
    let bot = Bot::start();
    let plugins = plugins();
    let tables = plugins.iter().map(|(language, _)| tables(language, bot.addr)).collect();
    let rig = Rig::start(Setup { tables, ..Setup::default() }).await;
    for (language, folder) in &plugins {
        let file = format!("my-{language}.wasm");
        let part = rig.plugins_folder().join("part");
        std::fs::copy(folder.join(&file), &part).unwrap();
        std::fs::rename(&part, rig.plugins_folder().join(&file)).unwrap();
    }
    let mut people = Vec::new();
    for (name, _) in plugins.iter().flat_map(|(language, _)| names(language)) {
        let person = Person::new(name.clone().leak(), format!("of-{name}"));
        link(&rig, &bot, &name, &person.session).await;
        rig.emit(&person.batch(0..3)).await;
        arrived_once(&bot, &name, &person, 0..3).await;
        people.push((name, person));
    }
    bot.large.store(true, Relaxed);
    for (name, person) in &people {
        rig.emit(&person.batch(3..6)).await;
        arrived_once(&bot, name, person, 3..6).await;
    }
    for (name, person) in &people {
        // An outcome that isn't known would have been tried again meanwhile.
        arrived_once(&bot, name, person, 0..6).await;
    }
    let (status, report) = rig.get("/plugins").await;
    assert_eq!(status, 200, "{report}");
    let states = report["plugins"].as_array().unwrap();
    assert!(states.len() >= people.len(), "{report}");
    for state in states {
        assert_eq!((&state["traps"], &state["failures"]), (&0.into(), &0.into()), "{state}");
    }
    assert_eq!(rig.host().counters().notes_dead, 0);
    rig.stop().await;
}

/// The bot tells of the conversation until the host has the plugin.
async fn link(rig: &Rig, bot: &Bot, name: &str, session: &str) {
    let url = format!("http://{}/webhooks/{name}", rig.host().addr());
    let body = serde_json::json!({
        "event": "opened",
        "conversation": format!("conversation-{name}"),
        "session": session,
        "product": name,
    })
    .to_string();
    let signature = format!("sha256={}", bot.signature(body.as_bytes()));
    let mut answered = 0;
    // A debug host compiles one after the other, and takes its time.
    let deadline = tokio::time::Instant::now() + 4 * sidenote_tests::DEADLINE;
    while answered != 200 {
        assert!(tokio::time::Instant::now() < deadline, "{name}: webhook: {answered}");
        let headers = [("x-bot-signature", &*signature)];
        answered = post_json(&url, &headers, body.clone().into()).await.unwrap().status;
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

/// Waits for what a person did, and sees that the bot has it once.
async fn arrived_once(bot: &Bot, name: &str, person: &Person, actions: std::ops::Range<u64>) {
    let wanted: Vec<_> = actions.map(|n| person.marker(n)).collect();
    eventually(|| {
        let posts = bot.posts();
        let conversation = format!("conversation-{name}");
        let text: String = posts
            .iter()
            .filter(|post| post["conversation"] == *conversation)
            .filter_map(|post| post["text"].as_str())
            .collect();
        for marker in &wanted {
            let times = text.matches(marker).count();
            assert!(times < 2, "{name}: {marker} is there {times} times");
            if times == 0 {
                return Err(format!("{name}: {marker} in {text:?}"));
            }
        }
        Ok(())
    })
    .await;
}

/// What an operator writes for the plugins of a language and their products, which are called like them.
fn tables(language: &str, bot: SocketAddr) -> String {
    let table = |(name, limits)| {
        format!(
            r#"
[plugins.{name}]
file = "my-{language}.wasm"
config = {{ url = "http://{bot}/notes" }}
grants = {{ hosts = ["http://{bot}"], private = true }}
limits = {{ {limits} }}
[plugins.{name}.secrets]
token = {{ env = "SIGNING", hosts = ["http://{bot}"] }}
incoming = {{ env = "INCOMING", hosts = [] }}
[products.{name}]
plugins = ["{name}"]
"#
        )
    };
    names(language).map(table).concat()
}

/// A bot on a thread of its own: it takes every note that carries its token.
struct Bot {
    addr: SocketAddr,
    posts: Arc<Mutex<Vec<Value>>>,
    /// Whether its answers have [`LARGE`] bytes.
    large: Arc<AtomicBool>,
}

impl Bot {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let posts = Arc::<Mutex<Vec<Value>>>::default();
        let large = Arc::<AtomicBool>::default();
        let shared = (Arc::clone(&posts), Arc::clone(&large));
        std::thread::spawn(move || {
            for socket in listener.incoming() {
                let (posts, large) = shared.clone();
                std::thread::spawn(move || serve(&socket.unwrap(), &posts, &large));
            }
        });
        Self { addr, posts, large }
    }

    fn posts(&self) -> Vec<Value> {
        self.posts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// As the bot signs its webhooks.
    fn signature(&self, body: &[u8]) -> String {
        let secret = sidenote_sim::PlatformOptions::default().webhook_secret;
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
        mac.update(body);
        hex::encode(mac.finalize().into_bytes())
    }
}

/// Answers the requests of a connection until it is closed.
fn serve(socket: &TcpStream, posts: &Mutex<Vec<Value>>, large: &AtomicBool) {
    let bearer = format!("Bearer {}", sidenote_sim::PlatformOptions::default().signing_secret);
    let mut reader = BufReader::new(socket);
    loop {
        let (mut length, mut genuine, mut line) = (0, false, String::new());
        while reader.read_line(&mut line).is_ok_and(|read| read > 2) {
            let (name, value) = line.trim_end().split_once(": ").unwrap_or_default();
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = value.parse().unwrap(),
                "authorization" => genuine = value == bearer,
                _ => {}
            }
            line.clear();
        }
        let mut body = vec![0; length];
        if length == 0 || reader.read_exact(&mut body).is_err() {
            return;
        }
        let padding = "x".repeat(if large.load(Relaxed) { LARGE } else { 0 });
        let (status, answer) = if genuine {
            ("200 OK", format!(r#"{{"padding":"{padding}","id":"n1"}}"#))
        } else {
            ("401 No", "{}".to_owned())
        };
        if genuine {
            let post = serde_json::from_slice(&body).unwrap();
            posts.lock().unwrap_or_else(PoisonError::into_inner).push(post);
        }
        let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n", answer.len());
        let mut socket = socket;
        if socket
            .write_all(head.as_bytes())
            .and_then(|()| socket.write_all(answer.as_bytes()))
            .is_err()
        {
            return;
        }
    }
}
