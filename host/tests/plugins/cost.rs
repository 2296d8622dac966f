//! What a call costs. Run it by itself, in release:
//! `cargo test --release -p sidenote --test plugins cost -- --ignored --nocapture`

use std::sync::Arc;
use std::time::Duration;

use sidenote::config::{Cache, Plugin};
use sidenote::outbox::note::Note;
use sidenote::plugin::Registry;
use sidenote::post::Post;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::guests::{built, call, note, plugin, registry, version};

const ROUNDS: usize = 9;
const ONE_BY_ONE: usize = 2_000;
const AT_ONCE: usize = 16;
const EACH_AT_ONCE: usize = 500;
const USER_AGENT: &str = concat!("sidenote/", env!("CARGO_PKG_VERSION"));
const TRACEPARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
/// The name of the server's thread.
const SERVER: &str = "cost-server";

/// One of the ways to post. The note is there before: the outbox hands one over that it holds.
#[derive(Clone)]
enum Way {
    Native(reqwest::Client, String),
    Plugin(Arc<Registry>, Arc<Note>),
}

impl Way {
    async fn post(&self) {
        match self {
            Self::Native(client, url) => {
                let request = client.post(url).header("traceparent", TRACEPARENT);
                let request = request.body("said {{secret:token}}");
                let answer = request.send().await.unwrap();
                assert_eq!(answer.bytes().await.unwrap().len(), 11);
            }
            Self::Plugin(registry, note) => {
                let posted = registry.post_note(call(Duration::from_secs(10)), note).await;
                let id = posted.unwrap().note_id.unwrap();
                assert!(id.starts_with("200"), "{id}");
            }
        }
    }

    /// How long a call takes in the median, and the processor time of each: one after the other, in a task,
    /// as the host makes them.
    async fn one_by_one(&self, calls: usize) -> Figures {
        let way = self.clone();
        let mut task = JoinSet::new();
        let before = processor_time();
        task.spawn(async move {
            let mut took = Vec::with_capacity(calls);
            for _ in 0..calls {
                let started = Instant::now();
                way.post().await;
                took.push(started.elapsed());
            }
            took.sort();
            took[calls / 2]
        });
        let median = task.join_next().await.unwrap().unwrap();
        Figures {
            value: micros(median),
            processor: micros(processor_time() - before) / calls as f64,
        }
    }

    /// How many calls a second there are with several at the same time, and the processor time of each.
    async fn at_once(&self, each: usize) -> Figures {
        let (started, before) = (Instant::now(), processor_time());
        let mut clients = JoinSet::new();
        for _ in 0..AT_ONCE {
            let way = self.clone();
            clients.spawn(async move {
                for _ in 0..each {
                    way.post().await;
                }
            });
        }
        clients.join_all().await;
        let calls = (AT_ONCE * each) as f64;
        Figures {
            value: calls / started.elapsed().as_secs_f64(),
            processor: micros(processor_time() - before) / calls,
        }
    }
}

/// What was measured in one round, and the processor time of a call in microseconds.
#[derive(Clone, Copy)]
struct Figures {
    value: f64,
    processor: f64,
}

fn micros(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// For how long the threads of this process ran, but for the server's.
fn processor_time() -> Duration {
    let mut nanos = 0;
    for task in std::fs::read_dir("/proc/self/task").unwrap().flatten() {
        // A thread may have ended since.
        let read = |file| std::fs::read_to_string(task.path().join(file)).unwrap_or_default();
        if read("comm").trim() != SERVER {
            let schedstat = read("schedstat");
            nanos += schedstat.split(' ').next().map_or(0, |ran| ran.parse().unwrap_or(0));
        }
    }
    Duration::from_nanos(nanos)
}

/// A server that does nothing but answer, on a thread of its own: its work is nobody's cost.
fn fast_server() -> String {
    let (sender, receiver) = std::sync::mpsc::channel();
    let server = std::thread::Builder::new().name(SERVER.to_owned());
    let serve_all = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            sender.send(listener.local_addr().unwrap()).unwrap();
            let mut clients = JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                clients.spawn(serve(socket));
            }
        });
    };
    server.spawn(serve_all).unwrap();
    receiver.recv().unwrap().to_string()
}

/// Answers every request of a connection.
async fn serve(mut socket: TcpStream) {
    socket.set_nodelay(true).unwrap();
    let mut read = Vec::new();
    loop {
        while let Some(length) = request(&read) {
            read.drain(..length);
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 11\r\n\r\n{\"id\":\"n1\"}";
            socket.write_all(answer).await.unwrap();
        }
        match socket.read_buf(&mut read).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
    }
}

/// How long the first request is, where it is there as a whole.
fn request(read: &[u8]) -> Option<usize> {
    let head = read.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let text = String::from_utf8_lossy(&read[..head]).to_lowercase();
    if text.contains("transfer-encoding: chunked") {
        let end = read[head..].windows(5).position(|window| window == b"0\r\n\r\n")?;
        return Some(head + end + 5);
    }
    let length = text
        .split_once("content-length:")
        .map_or(0, |(_, rest)| rest.lines().next().unwrap().trim().parse::<usize>().unwrap());
    (read.len() >= head + length).then_some(head + length)
}

async fn ways() -> [(&'static str, Way); 3] {
    let address = fast_server();
    let url = format!("http://{address}/notes");
    let granted = |file: &str| {
        let mut plugin = Plugin::of(file);
        plugin.hosts = vec![format!("http://{address}")];
        plugin.allow_private = true;
        plugin.secrets = [(
            "token".to_owned(),
            crate::guests::secret("xoxb-2f7c1e9a4b6d8035", &[&format!("http://{address}")]),
        )]
        .into();
        plugin
    };
    let registry =
        registry([("ours", granted("guest_probe.wasm")), ("wasi", granted("guest_wasi.wasm"))]);
    let registry = Arc::new(registry.await);
    // The same bytes are sent every way.
    let client = reqwest::Client::builder().no_proxy().user_agent(USER_AGENT).build().unwrap();
    let ours = Way::Plugin(registry.clone(), Arc::new(note("ours", &format!("post-body {url}"))));
    let wasi = Way::Plugin(registry, Arc::new(note("wasi", &format!("POST {address} /notes"))));
    [("native reqwest", Way::Native(client, url)), ("our http", ours), ("wasi:http", wasi)]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a benchmark: it prints, and checks no figure"]
async fn a_post_through_a_plugin_against_a_native_one() {
    let mut ways = ways().await.to_vec();
    if let Ok(only) = std::env::var("SIDENOTE_COST_ONLY") {
        ways.retain(|(name, _)| name.contains(&only));
    }
    for (_, way) in &ways {
        way.at_once(EACH_AT_ONCE).await;
    }
    // In turns, so that a machine that gets slower does so for all of them.
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        let mut round = Vec::new();
        for (_, way) in &ways {
            round.push([way.one_by_one(ONE_BY_ONE).await, way.at_once(EACH_AT_ONCE).await]);
        }
        rounds.push(round);
    }
    for (at, (name, _)) in ways.iter().enumerate() {
        // Ratios are taken within a round.
        let of = |what: usize, figure: fn(&Figures) -> f64| {
            let own = median(rounds.iter().map(|round| figure(&round[at][what])));
            let ratio =
                rounds.iter().map(|round| figure(&round[at][what]) / figure(&round[0][what]));
            (own, median(ratio))
        };
        let (value, cpu) = (|it: &Figures| it.value, |it: &Figures| it.processor);
        let [p50, p50_cpu, rate, rate_cpu] = [of(0, value), of(0, cpu), of(1, value), of(1, cpu)];
        println!(
            "{name:>14}: POST p50 {:.0} µs ({:.2}), processor {:.1} µs ({:.2}); {AT_ONCE} at once {:.0}/s ({:.2}), processor {:.1} µs ({:.2})",
            p50.0, p50.1, p50_cpu.0, p50_cpu.1, rate.0, rate.1, rate_cpu.0, rate_cpu.1
        );
    }
}

#[tokio::test]
#[ignore = "a benchmark: it prints, and checks no figure"]
async fn a_start_with_five_cached_plugins() {
    let folder = tempfile::tempdir().unwrap();
    let from = folder.path().join("plugins");
    std::fs::create_dir(&from).unwrap();
    std::fs::write(from.join("one.wasm"), version(1)).unwrap();
    for file in ["guest_probe.wasm", "guest_wasi.wasm", "guest_trap.wasm", "guest_echo.wasm"] {
        std::fs::copy(built(file), from.join(file)).unwrap();
    }
    let cache = Cache::at(folder.path().join("cache"));
    let files = std::fs::read_dir(&from).unwrap();
    let files = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    let five = files.map(|file| (file.as_str().into(), plugin(&file))).collect();
    for what in ["compiled", "cached", "cached", "cached"] {
        let started = Instant::now();
        let loaded = Registry::load_cached(&from, &five, &cache).await.unwrap();
        let took = started.elapsed();
        assert!(loaded.states().iter().all(|state| state.failed.is_none()));
        println!("start with five plugins, {what}: {took:?}");
    }
}
