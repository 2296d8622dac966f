//! A plugin in every language, as a stranger begins it: `sidenote plugin new`, its own build, the contract
//! suite, and then into the folder of a host that runs.
//!
//! `cargo xtask test` does the first two steps and leaves the plugins in `target/languages`.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
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

/// Written for this repository, in languages without a template: built in every run.
const SAMPLES: [&str; 2] = ["cpp-writer", "zig-writer"];
/// Of `tests/toolchains`, by toolchains that no template has. Built with `SIDENOTE_LANGUAGES=all`, and left alone where they
/// are up to date.
const TOOLCHAINS: [&str; 6] = ["assemblyscript", "bare", "composed", "nim", "waki", "wstd"];
/// Beside them, the engines of a writer in JavaScript that keeps values and sets timers.
const KEEPERS: [&str; 2] = ["starlingmonkey", "quickjs"];

/// Where what `cargo xtask test` built lies.
fn built() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/languages")
}

/// Whether all of them must be there.
fn all_are_asked_for() -> bool {
    std::env::var_os("SIDENOTE_LANGUAGES").is_some_and(|which| which == "all")
}

/// The folder of a plugin in a language, where it is there.
fn plugin(language: &str) -> Option<PathBuf> {
    let place = built().join(format!("my-{language}"));
    let needed = all_are_asked_for() || ALWAYS.contains(&language);
    there(&place.join(format!("my-{language}.wasm")), needed).then_some(place)
}

/// The plugins that are there.
fn plugins() -> Vec<(&'static str, PathBuf)> {
    let named = |language| Some((language, plugin(language)?));
    ALWAYS.into_iter().chain(ASKED_FOR).filter_map(named).collect()
}

/// The file of a sample, or of a toolchain's writer, where it is there.
fn writer(name: &str) -> Option<PathBuf> {
    let sample = SAMPLES.contains(&name);
    let file = if sample {
        built().join(name).join("example-writer.wasm")
    } else {
        built().join(format!("toolchains/{name}-writer.wasm"))
    };
    there(&file, sample || all_are_asked_for()).then_some(file)
}

#[expect(clippy::print_stderr, reason = "a run says what it left out")]
fn there(file: &Path, needed: bool) -> bool {
    let there = file.is_file();
    assert!(there || !needed, "{} isn't built; run `cargo xtask test`", file.display());
    if !there {
        eprintln!("left out: {} isn't built; SIDENOTE_LANGUAGES=all builds it", file.display());
    }
    there
}

/// Runs the contract suite. `warnings` may be there.
fn passes_the_contract_suite(folder: &Path, words: &[&str], warnings: u64) {
    let output = Command::new(binary())
        .args(["plugin", "test", "--json"])
        .args(words)
        .current_dir(folder)
        .env("SIDENOTE_CACHE", compiled())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    assert!(output.status.success(), "{words:?}: {report:#}\n{said}");
    assert!(report["counts"]["warning"].as_u64().unwrap() <= warnings, "{words:?}: {report:#}");
}

/// A test of its own for each language with a template.
macro_rules! languages_that_pass {
    ($($test:ident: $language:literal,)*) => {
        mod a_plugin_passes_the_contract_suite {
            $(
                #[test]
                fn $test() {
                    if let Some(folder) = super::plugin($language) {
                        let file = concat!("my-", $language, ".wasm");
                        super::passes_the_contract_suite(&folder, &[file, "--webhook", "webhooks"], 0);
                    }
                }
            )*

            #[test]
            fn none_is_left_out() {
                let mut tested = [$($language),*];
                let mut known: Vec<_> = super::ALWAYS.into_iter().chain(super::ASKED_FOR).collect();
                tested.sort_unstable();
                known.sort_unstable();
                assert_eq!(known, tested);
            }
        }
    };
}

languages_that_pass! {
    rust: "rust",
    javascript_on_starlingmonkey: "js",
    javascript_on_quickjs: "js-quickjs",
    typescript: "ts",
    python_with_a_dependency: "python",
    c: "c",
    go: "go",
}

/// A test of its own for each writer in a language without a template.
macro_rules! writers_that_pass {
    ($($test:ident: $name:literal, $warnings:literal;)*) => {
        mod a_writer_passes_the_contract_suite {
            $(
                #[test]
                fn $test() {
                    if let Some(file) = super::writer($name) {
                        let file = file.to_str().unwrap();
                        super::passes_the_contract_suite(&super::built(), &[file], $warnings);
                    }
                }
            )*

            #[test]
            fn none_is_left_out() {
                let mut tested = [$($name),*];
                let mut known: Vec<_> = super::SAMPLES.into_iter().chain(super::TOOLCHAINS).chain(super::KEEPERS).collect();
                tested.sort_unstable();
                known.sort_unstable();
                assert_eq!(known, tested);
            }
        }
    };
}

writers_that_pass! {
    cpp_23: "cpp-writer", 0;
    zig: "zig-writer", 0;
    nim: "nim", 0;
    assemblyscript: "assemblyscript", 0;
    rust_bare: "bare", 0;
    rust_with_wstd: "wstd", 0;
    // It keeps a handle of each request, so its instance is replaced now and then.
    rust_with_waki: "waki", 1;
    two_components_composed_by_wac: "composed", 0;
    javascript_on_starlingmonkey_that_keeps_values_and_sets_timers: "starlingmonkey", 0;
    javascript_on_quickjs_that_keeps_values_and_sets_timers: "quickjs", 0;
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

#[tokio::test(flavor = "multi_thread")]
async fn a_writer_without_a_template_brings_each_note_once_also_behind_a_large_answer() {
    let bot = Bot::start();
    let writers: Vec<_> = SAMPLES
        .into_iter()
        .chain(TOOLCHAINS)
        .filter_map(|name| Some((name, writer(name)?)))
        .collect();
    let tables = writers.iter().map(|(name, _)| writer_tables(name, bot.addr)).collect();
    let rig = Rig::start(Setup { tables, ..Setup::default() }).await;
    for (name, file) in &writers {
        let part = rig.plugins_folder().join("part");
        std::fs::copy(file, &part).unwrap();
        std::fs::rename(&part, rig.plugins_folder().join(format!("{name}.wasm"))).unwrap();
    }
    let mut people = Vec::new();
    for (product, _) in writers.iter().flat_map(|(name, _)| writer_names(name)) {
        let person = Person::new(product.clone().leak(), format!("of-{product}"));
        rig.emit(&person.batch(0..3)).await;
        rig.link(&person, &format!("conversation-{product}")).await;
        arrived_once(&bot, &product, &person, 0..3).await;
        people.push((product, person));
    }
    bot.large.store(true, Relaxed);
    for (product, person) in &people {
        rig.emit(&person.batch(3..6)).await;
        arrived_once(&bot, product, person, 3..6).await;
    }
    for (product, person) in &people {
        arrived_once(&bot, product, person, 0..6).await;
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

/// A writer twice, as [`names`] has a language.
fn writer_names(name: &str) -> [(String, &'static str); 2] {
    [(name.to_owned(), ""), (format!("roomy-{name}"), "max_response = \"9MiB\"")]
}

fn writer_tables(name: &str, bot: SocketAddr) -> String {
    let table = |(plugin, limits)| {
        format!(
            r#"
[plugins.{plugin}]
file = "{name}.wasm"
config = {{ url = "http://{bot}/notes" }}
grants = {{ hosts = ["http://{bot}"], private = true }}
limits = {{ {limits} }}
[plugins.{plugin}.secrets]
token = {{ env = "SIGNING", hosts = ["http://{bot}"] }}
[products.{plugin}]
plugins = ["{plugin}"]
"#
        )
    };
    writer_names(name).map(table).concat()
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
