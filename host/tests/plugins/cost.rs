//! What a call costs. Run it by itself, in release:
//! `cargo test --release -p sidenote --test plugins cost -- --ignored --nocapture`

use std::sync::Arc;
use std::time::Duration;

use sidenote::config::{Cache, Plugin};
use sidenote::plugin::Registry;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::guests::{built, post, registry, version};

const WARM_UP: usize = 200;
const ONE_BY_ONE: usize = 5_000;
const AT_ONCE: usize = 16;
const EACH_AT_ONCE: usize = 2_000;

/// One of the ways to post.
#[derive(Clone)]
enum Way {
    Native(reqwest::Client, String),
    Plugin { registry: Arc<Registry>, name: &'static str, body: String },
}

impl Way {
    async fn post(&self) {
        match self {
            Self::Native(client, url) => {
                let request = client.post(url).body("said {{secret:token}}");
                let answer = request.send().await.unwrap();
                assert_eq!(answer.bytes().await.unwrap().len(), 11);
            }
            Self::Plugin { registry, name, body } => {
                let id = post(registry, name, body).await.unwrap().note_id.unwrap();
                assert!(id.starts_with("200"), "{id}");
            }
        }
    }

    async fn median(&self, calls: usize) -> Duration {
        let mut took = Vec::with_capacity(calls);
        for _ in 0..calls {
            let started = Instant::now();
            self.post().await;
            took.push(started.elapsed());
        }
        took.sort();
        took[calls / 2]
    }

    async fn per_second(&self) -> f64 {
        let started = Instant::now();
        let mut clients = JoinSet::new();
        for _ in 0..AT_ONCE {
            let way = self.clone();
            clients.spawn(async move {
                for _ in 0..EACH_AT_ONCE {
                    way.post().await;
                }
            });
        }
        clients.join_all().await;
        (AT_ONCE * EACH_AT_ONCE) as f64 / started.elapsed().as_secs_f64()
    }
}

/// A server that does nothing but answer, on a thread of its own: its work is nobody's cost.
fn fast_server() -> String {
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            sender.send(listener.local_addr().unwrap()).unwrap();
            let mut clients = JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                clients.spawn(serve(socket));
            }
        });
    });
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
        plugin.secrets =
            [("token".to_owned(), crate::guests::secret("t", &[&format!("http://{address}")]))]
                .into();
        plugin
    };
    let registry =
        registry([("ours", granted("guest_probe.wasm")), ("wasi", granted("guest_wasi.wasm"))]);
    let registry = Arc::new(registry.await);
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let ours =
        Way::Plugin { registry: registry.clone(), name: "ours", body: format!("post-body {url}") };
    let wasi = Way::Plugin { registry, name: "wasi", body: format!("POST {address} /notes") };
    [("native reqwest", Way::Native(client, url)), ("our http", ours), ("wasi:http", wasi)]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a benchmark: it prints, and checks no figure"]
async fn a_post_through_a_plugin_against_a_native_one() {
    let ways = ways().await;
    for (_, way) in &ways {
        way.median(WARM_UP).await;
    }
    // In turns, so that a machine that gets slower does so for all of them.
    let mut medians = vec![Vec::new(); ways.len()];
    for _ in 0..5 {
        for ((_, way), medians) in ways.iter().zip(&mut medians) {
            medians.push(way.median(ONE_BY_ONE / 5).await);
        }
    }
    for ((name, way), mut medians) in ways.iter().zip(medians) {
        medians.sort();
        let rate = way.per_second().await;
        println!("{name:>14}: POST p50 {:?}, {AT_ONCE} at once {rate:.0}/s", medians[2]);
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
    for what in ["compiled", "cached", "cached", "cached"] {
        let started = Instant::now();
        let loaded = Registry::load_cached(&from, &Default::default(), &cache).await.unwrap();
        let took = started.elapsed();
        assert!(loaded.states().iter().all(|state| state.failed.is_none()));
        println!("start with five plugins, {what}: {took:?}");
    }
}
