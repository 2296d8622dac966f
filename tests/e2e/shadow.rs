//! A new version of a plugin gets every live call, and nothing of it leaves: judged from outside, by what goes over the
//! sockets to the platform.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use sidenote_sim::{Fault, PlatformOptions, Scope};
use sidenote_tests::{DEADLINE, Person, Rig, Setup, test_guests};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::kills::from_environment;

/// What the new version sends and the other doesn't.
const MARKER: &str = "x-next-marker";

/// The version of the guest that does what this word says.
fn version(word: &str) -> Vec<u8> {
    let file = test_guests().join("guest_successor.wasm");
    let mut bytes = std::fs::read(&file)
        .unwrap_or_else(|error| panic!("{}: {error}; run `cargo xtask guests`", file.display()));
    let before = b"successor: live.";
    let at = bytes.windows(before.len()).position(|it| it == before).expect("the word is there");
    bytes[at + 11..at + 11 + word.len()].copy_from_slice(word.as_bytes());
    bytes
}

/// What lies between the host and the platform, and sees all that passes.
struct Wire {
    address: String,
    connections: Arc<AtomicU64>,
    /// What the host sent, all connections together.
    sent: Arc<Mutex<Vec<u8>>>,
    _passing: JoinSet<()>,
}

impl Wire {
    async fn before(platform: &str) -> Self {
        let to = platform.strip_prefix("http://").expect("it is http").to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = format!("http://{}", listener.local_addr().expect("it listens"));
        let (connections, sent) = (Arc::new(AtomicU64::new(0)), Arc::new(Mutex::new(Vec::new())));
        let (counted, seen) = (connections.clone(), sent.clone());
        let mut passing = JoinSet::new();
        passing.spawn(async move {
            let mut each = JoinSet::new();
            while let Ok((from, _)) = listener.accept().await {
                counted.fetch_add(1, Relaxed);
                each.spawn(pass(from, to.clone(), seen.clone()));
            }
        });
        Self { address, connections, sent, _passing: passing }
    }

    /// How many requests the host sent, by their first lines.
    fn requests(&self) -> usize {
        let sent = self.sent.lock().expect("nobody panics while it holds this");
        let first = b" HTTP/1.1\r\n";
        sent.windows(first.len()).filter(|it| it == first).count()
    }

    fn has(&self, text: &str) -> bool {
        let sent = self.sent.lock().expect("nobody panics while it holds this");
        let text = text.as_bytes();
        sent.windows(text.len()).any(|it| it.eq_ignore_ascii_case(text))
    }

    fn assert_nothing_left(&self) {
        for text in [MARKER, "of the new version", "kept from others", "stolen"] {
            assert!(!self.has(text), "`{text}` of the shadow left the machine");
        }
    }
}

async fn pass(from: TcpStream, to: String, seen: Arc<Mutex<Vec<u8>>>) {
    let Ok(to) = TcpStream::connect(to).await else { return };
    let ((mut from_read, mut from_write), (mut to_read, mut to_write)) =
        (from.into_split(), to.into_split());
    let back = async {
        drop(tokio::io::copy(&mut to_read, &mut from_write).await);
    };
    let there = async {
        let mut piece = vec![0; 16 << 10];
        while let Ok(length @ 1..) = from_read.read(&mut piece).await {
            let bytes = &piece[..length];
            seen.lock().expect("nobody panics while it holds this").extend_from_slice(bytes);
            if to_write.write_all(bytes).await.is_err() {
                return;
            }
        }
        drop(to_write.shutdown().await);
    };
    tokio::join!(back, there);
}

/// A rig whose bot is the guest, with the wire before its platform and a cache of its own.
struct Stage {
    rig: Rig,
    wire: Wire,
    _folders: [tempfile::TempDir; 2],
}

impl Stage {
    async fn start(more: Setup) -> Self {
        let components = tempfile::tempdir().expect("a folder");
        std::fs::write(components.path().join("webhook.wasm"), version("live")).expect("a file");
        let cache = tempfile::tempdir().expect("a folder");
        let setup = Setup {
            components: Some(components.path().to_owned()),
            delivery: format!(
                "max_wait = \"50ms\"\ndebounce = \"20ms\"\nretry_initial = \"100ms\"\n{}",
                more.delivery
            ),
            platform: PlatformOptions { exchanges: 10_000, ..more.platform.clone() },
            ..more
        };
        let mut rig = Rig::start(setup).await;
        let wire = Wire::before(&rig.platform.url()).await;
        let toml = rig.configuration().replace(&rig.platform.url(), &wire.address);
        let own = format!("cache_folder = {:?}", cache.path());
        let lines = toml.lines().map(|line| match line.starts_with("cache_folder") {
            true => own.as_str(),
            false => line,
        });
        let toml = lines.collect::<Vec<_>>().join("\n");
        rig.stop_host().await;
        rig.configure(toml);
        rig.start_host().await;
        Self { rig, wire, _folders: [components, cache] }
    }

    /// Puts this version into the plugins folder, and has it shadow the bot.
    async fn shadow(&self, word: &str) -> Value {
        let file = format!(".shadow-{word}.wasm");
        std::fs::write(self.rig.plugins_folder().join(&file), version(word)).expect("a file");
        let answer = self.rig.post("/plugins/bot/shadow", &json!({"file": file})).await;
        let report: Value = serde_json::from_slice(&answer.body).expect("JSON");
        assert_eq!(answer.status, 200, "{report}");
        std::fs::remove_file(self.rig.plugins_folder().join(&file)).expect("it is kept elsewhere");
        self.reported(|report| report["state"] == "comparing").await
    }

    async fn report(&self) -> Value {
        let (status, report) = self.rig.get("/plugins/bot/shadow").await;
        assert_eq!(status, 200, "{report}");
        report
    }

    /// Waits until the report is like that.
    async fn reported(&self, is: impl Fn(&Value) -> bool) -> Value {
        let began = Instant::now();
        loop {
            let report = self.report().await;
            if is(&report) {
                return report;
            }
            assert!(began.elapsed() < DEADLINE, "{report:#}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits until so many live calls were compared or left out.
    async fn compared(&self, calls: u64) -> Value {
        self.reported(|report| all_calls(report) >= calls).await
    }

    async fn drop_shadow(&self) {
        let (status, said) =
            self.rig.ask(Method::DELETE, "/plugins/bot/shadow", Some("api-token")).await;
        assert_eq!(status, 200, "{said}");
        assert_eq!(self.rig.get("/plugins/bot/shadow").await.0, 404);
    }

    /// People with linked conversations.
    async fn people(&self, count: usize) -> Vec<(Person, String)> {
        let mut people = Vec::new();
        for n in 0..count {
            let person = Person::new("p", format!("ann{n}"));
            let conversation = self.rig.conversation(&person);
            self.rig.link(&person, &conversation).await;
            people.push((person, conversation));
        }
        people
    }

    /// One action of everybody; waits until it arrived.
    async fn acts(&self, people: &[(Person, String)], n: u64) {
        for (person, _) in people {
            self.rig.emit(&person.batch(n..n + 1)).await;
        }
        for (person, conversation) in people {
            self.rig.arrives(conversation, person, n + 1).await;
        }
    }

    async fn live_version(&self) -> String {
        let (_, plugins) = self.rig.get("/plugins").await;
        let plugins = plugins["plugins"].as_array().expect("a list").clone();
        let bot = plugins.into_iter().find(|it| it["name"] == "bot").expect("it is there");
        bot["version"].as_str().unwrap_or_default().to_owned()
    }
}

fn all_calls(report: &Value) -> u64 {
    let left_out = report["totals"]["not_compared"].as_object();
    let left_out: u64 = left_out.into_iter().flatten().filter_map(|(_, it)| it.as_u64()).sum();
    report["totals"]["compared"].as_u64().unwrap_or_default() + left_out
}

fn short(component: &[u8]) -> String {
    sidenote::plugin::sha256(component).to_string()[..12].to_owned()
}

/// The differences of an export, each in a line.
fn told(report: &Value, export: &str) -> BTreeSet<String> {
    let exports = report["exports"].as_array().expect("a list");
    let of = exports.iter().find(|it| it["export"] == export);
    let found = of.and_then(|of| of["differences"].as_array()).into_iter().flatten();
    let line = |seen: &Value| {
        let parts = ["what", "at", "change", "from", "to"].map(|it| seen[it].as_str());
        parts.into_iter().flatten().collect::<Vec<_>>().join(" ")
    };
    found.map(line).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_header_and_a_retry_kind_that_changed_are_named_under_load_and_nothing_leaves() {
    let stage = Stage::start(Setup::default()).await;
    let people = stage.people(8).await;
    stage.acts(&people, 0).await;
    stage.shadow("next").await;
    let (posted, connections) =
        (stage.rig.platform.stats().notes, stage.wire.connections.load(Relaxed));
    let mut n = 1;
    for round in 0..6 {
        if round == 2 {
            stage.rig.platform.fail(Scope::Any, Fault::rate_limited(Duration::from_millis(200)), 4);
        }
        stage.acts(&people, n).await;
        n += 1;
    }
    let calls = stage.rig.platform.take_exchanges().len() as u64;
    assert!(stage.rig.platform.stats().notes > posted);
    let report = stage.compared(calls - posted).await;
    let found = told(&report, "post-note");
    let wanted = [
        "header x-next-marker added",
        "outcome rate-limited transient",
        "answer retry_after_ms removed",
    ];
    let wanted: BTreeSet<_> = wanted.into_iter().map(str::to_owned).collect();
    assert_eq!(found, wanted, "{report:#}");
    let of_header = report["exports"][0]["differences"].as_array().expect("a list");
    let of_header = of_header.iter().find(|it| it["at"] == MARKER).expect("it is there");
    let request = of_header["request"].as_str().expect("it is told");
    assert_eq!(request, format!("POST {}/notes", stage.wire.address));
    assert!(of_header["example"].as_str().is_some_and(|key| key.len() == 32), "{of_header}");
    let totals = &report["totals"];
    assert_eq!((&totals["refused_requests"], &totals["traps"]), (&json!(0), &json!(0)));
    assert_eq!(totals["different"], totals["compared"], "every call has the header more");
    let cost = &report["exports"][0]["cost"]["computed_ms"];
    for whose in ["live", "shadow"] {
        assert!(cost[whose]["p50"].as_f64().is_some_and(|it| it > 0.0), "{cost}");
    }
    // Nothing of a person, and no value, is in what is told.
    let text = report.to_string();
    for (person, conversation) in &people {
        for private in
            [&person.session, &person.user_id(), &person.email(), conversation, &person.marker(1)]
        {
            assert!(!text.contains(private.as_str()), "{private} is in {text}");
        }
    }
    assert!(!text.contains("of the new version"));

    // From outside: as many requests as the platform judged, none of them the shadow's.
    let judged = stage.rig.platform.stats();
    assert_eq!(stage.wire.requests() as u64, calls);
    assert_eq!(judged.malformed + judged.unsigned + judged.repeats, 0);
    stage.wire.assert_nothing_left();
    assert!(stage.wire.connections.load(Relaxed) <= connections + 8);
    let asked = reqwest::Client::new().get(stage.rig.url("/metrics")).bearer_auth("api-token");
    let metrics = asked.send().await.expect("it answers").text().await.expect("a text");
    let line = "sidenote_plugin_shadow_calls_total{plugin=\"bot\",result=\"different\"}";
    assert!(metrics.contains(line), "{metrics}");

    stage.drop_shadow().await;
    stage.acts(&people, n).await;
    let (_, log) = stage.rig.get("/audit").await;
    let acts: Vec<_> = log["entries"].as_array().expect("a list").iter().take(2).cloned().collect();
    assert_eq!(acts[0]["act"], json!({"what": "shadow_dropped", "plugin": "bot"}));
    assert_eq!(acts[1]["act"]["what"], "shadow_started");
    stage.rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_does_the_same_differs_by_chance_alone() {
    let mut stage = Stage::start(Setup::default()).await;
    let toml = stage
        .rig
        .configuration()
        .replace("private = true", "private = true\nkv = true\ntimer = true");
    let toml = toml.replace("[plugins.bot.config]", "[plugins.bot.config]\ncount = true");
    stage.rig.configure(toml);
    assert_eq!(stage.rig.reload().await.0, 200);
    let people = stage.people(3).await;
    stage.acts(&people, 0).await;
    // A word that means nothing to it: another version that does the same.
    stage.shadow("same").await;
    for n in 1..5 {
        stage.acts(&people, n).await;
    }
    let report = stage.compared(12).await;
    let totals = &report["totals"];
    // The number in `x-nonce` is another one each time; what is counted in `x-count` was read as the live call read it.
    assert_eq!(told(&report, "post-note"), BTreeSet::new(), "{report:#}");
    assert_eq!((&totals["by_chance"], &totals["different"]), (&json!(12), &json!(0)), "{report:#}");
    assert_eq!(totals["reads_beyond"], 0);
    stage.drop_shadow().await;
    stage.rig.end().await;
}

/// Versions that nobody should run: live notes are unhurt, nothing is left, all is told.
#[tokio::test(flavor = "multi_thread")]
async fn versions_that_misbehave_hurt_nobody_and_are_told() {
    let limits = "cpu_time = \"300ms\"\nmemory = \"16MiB\"".to_owned();
    let mut stage = Stage::start(Setup { limits, ..Setup::default() }).await;
    let toml = stage
        .rig
        .configuration()
        .replace("private = true", "private = true\nkv = true\ntimer = true");
    stage.rig.configure(toml);
    assert_eq!(stage.rig.reload().await.0, 200);
    let people = stage.people(2).await;
    let mut n = 0;
    for (word, wanted) in [
        ("trap", "outcome posted trap"),
        ("spin", "outcome posted cpu"),
        ("grow", "outcome posted memory"),
        ("ring", "request_extra"),
        ("hold", "kv plugin added"),
        ("read", ""),
    ] {
        let before = stage.rig.platform.stats().notes;
        stage.shadow(word).await;
        for _ in 0..4 {
            stage.acts(&people, n).await;
            n += 1;
        }
        assert_eq!(stage.rig.platform.stats().notes, before + 8, "{word}");
        let report = stage.compared(8).await;
        let found = told(&report, "post-note");
        assert!(wanted.is_empty() || found.contains(wanted), "{word}: {report:#}");
        let totals = &report["totals"];
        match word {
            "trap" => {
                let traps = &report["exports"][0]["traps"][0];
                let names = traps["backtrace"].as_array().expect("a list");
                // The component has no names: its functions are told by their numbers.
                let has = names.iter().all(|it| it.as_str().is_some_and(|it| !it.is_empty()));
                assert!(has && names.len() > 3 && traps["code"] == "trap", "{report:#}");
            }
            "ring" => {
                let refused = totals["refused_requests"].as_u64().unwrap_or_default();
                assert_eq!(
                    refused,
                    3 * totals["compared"].as_u64().unwrap_or_default(),
                    "{report:#}"
                );
                let text = report.to_string();
                assert!(!text.contains("somebody") && !text.contains("stolen"), "{text}");
            }
            "hold" => {
                assert!(
                    found.contains("timer added") && found.contains("kv session added"),
                    "{report:#}"
                );
            }
            "read" => assert!(totals["reads_beyond"].as_u64() > Some(0), "{report:#}"),
            _ => {}
        }
        stage.drop_shadow().await;
    }
    stage.wire.assert_nothing_left();
    assert_eq!(stage.rig.get("/plugins/bot/kv").await.1["keys"], 0);
    assert_eq!(stage.rig.get("/plugins/bot/timers").await.1["timers"], 0);
    let (_, plugins) = stage.rig.get("/plugins").await;
    let bot = &plugins["plugins"][0];
    assert_eq!((&bot["traps"], &bot["failures"]), (&json!(0), &json!(0)), "{bot}");
    stage.rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shadow_outlives_a_restart_follows_a_reload_and_is_promoted() {
    let mut stage = Stage::start(Setup::default()).await;
    let people = stage.people(2).await;
    stage.acts(&people, 0).await;
    stage.shadow("next").await;
    let second = stage.rig.post("/plugins/bot/shadow", &json!({"file": "webhook.wasm"})).await;
    assert_eq!(second.status, 409, "one at a time");
    stage.rig.stop_host().await;
    stage.rig.start_host().await;
    stage.reported(|report| report["state"] == "comparing").await;
    stage.acts(&people, 1).await;
    let report = stage.compared(2).await;
    assert!(told(&report, "post-note").contains("header x-next-marker added"), "{report:#}");

    // The plugin's file is replaced: it is compared anew, and says so.
    let file = stage.rig.plugins_folder().join("webhook.wasm");
    let put = |word: &str| {
        let part = file.with_extension("part");
        std::fs::write(&part, version(word)).expect("a file");
        std::fs::rename(&part, &file).expect("a file");
    };
    put("same");
    let anew = short(&version("same"));
    let report =
        stage.reported(|it| it["state"] == "comparing" && it["live_version"] == *anew).await;
    assert!(report["word"].as_str().is_some_and(|word| word.contains("reloaded")), "{report:#}");
    assert_eq!(report["totals"]["compared"], 0);
    stage.acts(&people, 2).await;
    stage.compared(2).await;
    stage.wire.assert_nothing_left();

    let answer = stage.rig.post("/plugins/bot/promote", &json!({})).await;
    let said: Value = serde_json::from_slice(&answer.body).expect("JSON");
    assert_eq!(answer.status, 200, "{said}");
    let next = short(&version("next"));
    assert_eq!((&said["before"], &said["version"]), (&json!(anew), &json!(next)));
    assert_eq!(std::fs::read(&file).expect("a file"), version("next"));
    assert_eq!(stage.live_version().await, next);
    assert_eq!(stage.report().await["state"], "ended");
    stage.acts(&people, 3).await;
    assert!(stage.wire.has(MARKER), "the new version runs");
    stage.rig.stop_host().await;
    stage.rig.start_host().await;
    assert_eq!(stage.live_version().await, next);
    assert_eq!(stage.rig.get("/plugins/bot/shadow").await.0, 404, "nothing is left of the shadow");
    for path in ["/plugins/bot/promote", "/plugins/none/promote"] {
        assert_eq!(stage.rig.post(path, &json!({})).await.status, 404, "{path}");
    }

    // A plugin that goes takes its shadow with it.
    stage.shadow("live").await;
    let toml = stage
        .rig
        .configuration()
        .replace("[plugins.bot", "[plugins.other")
        .replace("\"bot\"", "\"other\"");
    stage.rig.configure(toml);
    assert_eq!(stage.rig.reload().await.0, 200);
    let report = stage.reported(|report| report["state"] == "ended").await;
    assert!(report["word"].as_str().is_some_and(|word| word.contains("removed")), "{report:#}");
    stage.rig.stop_host().await;
    stage.rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_run_is_refused_and_why_is_said() {
    let mut stage = Stage::start(Setup::default()).await;
    let folder = stage.rig.plugins_folder().to_owned();
    let ask = async |stage: &Stage, file: &str| {
        let answer = stage.rig.post("/plugins/bot/shadow", &json!({"file": file})).await;
        (answer.status, serde_json::from_slice::<Value>(&answer.body).expect("JSON").to_string())
    };
    std::fs::write(folder.join("odd.wasm"), b"no component").expect("a file");
    std::fs::write(folder.join("same.wasm"), version("live")).expect("a file");
    for (file, status, word) in [
        ("gone.wasm", 422, "no such file"),
        ("../webhook.wasm", 422, "file name"),
        ("odd.wasm", 422, "no WebAssembly component"),
        ("same.wasm", 409, "the version that runs"),
    ] {
        let (found, said) = ask(&stage, file).await;
        assert_eq!(found, status, "{file}: {said}");
        assert!(said.contains(word), "{file}: {said}");
    }
    let (status, _) = stage.rig.ask(Method::DELETE, "/plugins/bot/shadow", None).await;
    assert_eq!(status, 401);

    // A pinned file isn't replaced.
    let hash = sidenote::plugin::sha256(&version("live"));
    let toml = stage
        .rig
        .configuration()
        .replace("[plugins.bot]", &format!("[plugins.bot]\nsha256 = \"{hash}\""));
    stage.rig.configure(toml);
    assert_eq!(stage.rig.reload().await.0, 200);
    stage.shadow("next").await;
    let answer = stage.rig.post("/plugins/bot/promote", &json!({})).await;
    let said = String::from_utf8_lossy(&answer.body).into_owned();
    assert_eq!(answer.status, 409, "{said}");
    assert!(
        said.contains("sha256")
            && said.contains(&sidenote::plugin::sha256(&version("next")).to_string()),
        "{said}"
    );
    stage.drop_shadow().await;
    stage.rig.end().await;
}

/// A process that is killed while a shadow is promoted has the old version or the new one, and goes on.
#[tokio::test(flavor = "multi_thread")]
async fn a_kill_while_it_is_promoted_leaves_one_of_both() {
    let kills = from_environment("SIDENOTE_KILLS").unwrap_or(4);
    let mut stage = Stage::start(Setup { process: true, ..Setup::default() }).await;
    let people = stage.people(1).await;
    let file = stage.rig.plugins_folder().join("webhook.wasm");
    let (mut runs, mut other, mut promoted) = ("live", "next", 0);
    for n in 0..kills {
        stage.shadow(other).await;
        let pause = Duration::from_micros(u64::from(rand::random::<u16>()) / 2);
        let nothing = json!({});
        let promote = stage.rig.try_post("/plugins/bot/promote", &nothing);
        let _unanswered = tokio::time::timeout(pause, promote).await;
        stage.rig.kill_host().await;
        let found = std::fs::read(&file).expect("one of both");
        assert!(found == version(runs) || found == version(other), "kill {n} left something else");
        stage.rig.start_host().await;
        let began = Instant::now();
        while stage.live_version().await.is_empty() {
            assert!(began.elapsed() < DEADLINE, "nothing runs after kill {n}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        if stage.live_version().await == short(&version(other)) {
            promoted += 1;
            (runs, other) = (other, runs);
        } else {
            assert_eq!(stage.live_version().await, short(&version(runs)), "kill {n}");
            stage.reported(|report| report["state"] == "comparing").await;
            stage.drop_shadow().await;
        }
        stage.acts(&people, n).await;
    }
    println!("shadow: {kills} kills while it was promoted, {promoted} of them behind the rename");
    stage.rig.end().await;
}

/// Live notes' p99 with a shadow beside them, and without. `SIDENOTE_SHADOW_NOTES` says how many notes each measure has;
/// with it the ratio may be 1.2, without it what a machine that does other things allows.
#[tokio::test(flavor = "multi_thread")]
async fn live_notes_arrive_as_soon_with_a_shadow_as_without() {
    let notes = from_environment("SIDENOTE_SHADOW_NOTES");
    let (each, most) = (notes.unwrap_or(240), if notes.is_some() { 1.2 } else { 3.0 });
    let stage = Stage::start(Setup { process: true, ..Setup::default() }).await;
    let people = stage.people(12).await;
    let mut n = 0;
    let mut measure = async |stage: &Stage, notes: u64| {
        let mut times = Vec::new();
        while (times.len() as u64) < notes {
            let began = Instant::now();
            for (person, _) in &people {
                stage.rig.emit(&person.batch(n..n + 1)).await;
            }
            for (_, conversation) in &people {
                while stage.rig.platform.notes(conversation).len() as u64 <= n {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                times.push(began.elapsed());
            }
            n += 1;
        }
        times.sort();
        times[times.len() * 99 / 100]
    };
    measure(&stage, each / 4).await;
    // By turns: what else the machine does strikes both.
    let (mut without, mut with) = (Vec::new(), Vec::new());
    for _ in 0..4 {
        without.push(measure(&stage, each / 4).await);
        stage.shadow("next").await;
        with.push(measure(&stage, each / 4).await);
        stage.drop_shadow().await;
    }
    let middle = |times: &mut Vec<Duration>| {
        times.sort();
        (times[1] + times[2]) / 2
    };
    let (without, with) = (middle(&mut without), middle(&mut with));
    let ratio = with.as_secs_f64() / without.as_secs_f64();
    println!(
        "shadow: p99 of live notes {without:.1?} without, {with:.1?} with one: {ratio:.2}, {each} notes each"
    );
    assert!(ratio < most, "{ratio}");
    stage.wire.assert_nothing_left();
    stage.rig.end().await;
}
