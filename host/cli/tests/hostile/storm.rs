//! Thousands of hostile calls, and what they must not achieve.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use sidenote::config::Plugin;
use sidenote::plugin::{ReceiveError, Registry, WebhookRequest};
use sidenote::post::Post;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::guests::{built, call, id, note, plugin, version};
use crate::machine::{Peak, ran_and_waited, resident};
use crate::server::Server;
use crate::wishes::wishes;

/// The tests measure the process.
pub(crate) static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// Enemies at the same time, each a plugin of its own.
const ENEMIES: usize = 8;
/// What each of them may have.
const MEMORY: usize = 16 << 20;
/// How long a hostile call may take.
const DEADLINE: Duration = Duration::from_millis(250);
/// How late a stop may come, and for how long a wish may keep a thread. The worst is printed. Without
/// optimisation what the host itself does takes several times as long.
const GRACE: Duration = Duration::from_millis(if cfg!(debug_assertions) { 250 } else { 50 });
/// How late on a machine that gives this process less time than it asks for.
const BUSY_GRACE: Duration = Duration::from_secs(3);
/// What the host may take beyond what the plugins are granted.
const MARGIN: u64 = 32 << 20;
/// How much later the slowest hundredth of a neighbour's calls may be, whatever the ratio says: nothing but
/// the ratio counts where the host is optimised.
const NOISE: Duration = Duration::from_millis(if cfg!(debug_assertions) { 25 } else { 0 });
/// Calls of the neighbour at the same time.
const NEIGHBOURS: usize = 4;
/// How often quiet and storm take turns: a machine that gets slower does so for both.
const TURNS: usize = 8;
/// Calls of each neighbour in a quiet turn.
const QUIET_CALLS: usize = 30;

fn calls() -> usize {
    std::env::var("SIDENOTE_HOSTILE_CALLS").map_or(2_000, |calls| calls.parse().unwrap())
}

/// A folder with enemies, with files that are no plugins, and with a neighbour. The neighbour's platform is
/// another than that of the enemies: what those make of theirs is nothing that the host could help.
async fn load(platform: &Server, neighbours: &Server) -> Registry {
    let folder = tempfile::tempdir().unwrap();
    let path = |file: &str| folder.path().join(file);
    let good = version(1);
    std::fs::write(path("hostile.wasm"), &good).unwrap();
    std::fs::write(path("truncated.wasm"), &good[..good.len() / 3]).unwrap();
    std::fs::write(path("artifact.wasm"), b"\x7fELF\x02\x01\x01\0 compiled").unwrap();
    std::fs::File::create(path("huge.wasm")).unwrap().set_len(3 << 30).unwrap();
    // 60 MiB that mean nothing: a custom section, which is left alone.
    let mut padded = [&good[..], &[0]].concat();
    padded.extend(leb128((60 << 20) + 2));
    padded.extend([1, b'x']);
    padded.resize(padded.len() + (60 << 20), 0);
    std::fs::write(path("padded.wasm"), &padded).unwrap();
    for file in ["guest_misfit.wasm", "guest_stranger.wasm", "guest_tables.wasm"] {
        std::fs::copy(built(file), path(file)).unwrap();
    }
    let granted = |file: &str, platform: &Server| {
        let mut granted = plugin(file);
        granted.hosts = vec![platform.grant()];
        granted.allow_private = true;
        granted
    };
    let enemy = || -> Plugin {
        let mut enemy = granted("hostile.wasm", platform);
        enemy.limits.memory_bytes = MEMORY;
        enemy.limits.cpu_time = Duration::from_millis(100);
        enemy.limits.call_timeout = DEADLINE;
        enemy.limits.concurrency = 1;
        enemy
    };
    let mut good_one = granted("hostile.wasm", neighbours);
    good_one.limits.concurrency = NEIGHBOURS;
    let enemies = (0..ENEMIES).map(|number| (format!("enemy-{number}").into(), enemy()));
    let useless = [
        "truncated",
        "artifact",
        "huge",
        "padded",
        "guest_misfit",
        "guest_stranger",
        "guest_tables",
    ];
    let useless = useless.map(|name| (name.into(), granted(&format!("{name}.wasm"), platform)));
    let plugins = enemies.chain([("neighbour".into(), good_one)]).chain(useless).collect();
    let registry = Registry::load(folder.path(), &plugins).await.unwrap();
    for state in registry.states() {
        let name = &*state.name;
        let runs = name.starts_with("enemy") || ["neighbour", "padded"].contains(&name);
        assert_eq!(state.failed.is_none(), runs, "{name}: {:?}", state.failed);
    }
    registry
}

/// A platform isn't in the host's process: here it has at least a thread of its own.
fn server_elsewhere() -> Server {
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            sender.send(Server::start().await).unwrap();
            std::future::pending::<()>().await;
        });
    });
    receiver.recv().unwrap()
}

fn leb128(mut number: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let byte = (number & 0x7f) as u8;
        number >>= 7;
        if number == 0 {
            bytes.push(byte);
            return bytes;
        }
        bytes.push(byte | 0x80);
    }
}

/// How long the neighbour's calls take, until told to end: each goes to the network and back.
async fn neighbour(
    registry: &Arc<Registry>,
    server: &Server,
    ended: impl Fn(usize) -> bool + Clone + Send + 'static,
) -> Vec<Duration> {
    let mut clients = JoinSet::new();
    for _ in 0..NEIGHBOURS {
        let (registry, ended) = (registry.clone(), ended.clone());
        let body = format!("get {}", server.url("/wait/50"));
        clients.spawn(async move {
            let mut took = Vec::new();
            while !ended(took.len()) {
                let started = Instant::now();
                assert_eq!(id(&registry, "neighbour", &body).await, "200 11");
                took.push(started.elapsed());
            }
            took
        });
    }
    let mut took = clients.join_all().await.concat();
    took.sort();
    took
}

/// Whether the machine gave the process much less time than it asked for. Its own threads, of which there
/// are more than processors, wait for each other for a fifth of their time.
fn is_busy(ran: Duration, waited: Duration) -> bool {
    waited >= ran / 3
}

fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    sorted[(sorted.len() * percent / 100).min(sorted.len() - 1)]
}

/// One enemy's share: after each hostile call it must be able to answer an ordinary one.
async fn storm(
    registry: Arc<Registry>,
    server: Arc<Server>,
    number: usize,
    share: std::ops::Range<usize>,
    worst: Arc<std::sync::Mutex<(Duration, String)>>,
    crashed: Arc<AtomicUsize>,
) {
    let name = format!("enemy-{number}");
    let wishes = wishes(&server);
    for turn in share {
        let (wish, may) = &wishes[(turn * 7 + number * 5) % wishes.len()];
        let started = Instant::now();
        if turn % 10 == 9 {
            let body = ["panic", "spin", "events"][turn / 10 % 3];
            let request = WebhookRequest {
                method: "POST".into(),
                url: "/".into(),
                headers: Vec::new(),
                body: body.into(),
            };
            let outcome = registry.receive(&name, request).await;
            // After five traps in a row its webhooks are held back for a moment.
            let is_crash = matches!(outcome, Err(ReceiveError::Crashed { .. }));
            let held_back = matches!(outcome, Err(ReceiveError::Unavailable));
            assert!(is_crash || held_back, "{body}: {outcome:?}");
            crashed.fetch_add(usize::from(is_crash), Relaxed);
        } else {
            let outcome = registry.post_note(call(DEADLINE), &note(&name, wish)).await;
            may.check(wish, &outcome);
            crashed.fetch_add(usize::from(outcome.is_err()), Relaxed);
        }
        let late = started.elapsed().saturating_sub(DEADLINE);
        {
            let mut worst = worst.lock().unwrap();
            if late > worst.0 {
                *worst = (late, wish.clone());
            }
        }
        // Busy: its own calls before it may not have been cleared away yet.
        let alive = registry.post_note(call(Duration::from_secs(10)), &note(&name, "alive")).await;
        match alive {
            Ok(posted) => assert_eq!(posted.note_id.as_deref(), Some("alive"), "after {wish}"),
            Err(error) => {
                let text = format!("{error:?}");
                assert!(text.contains("Timeout") || text.contains("Cpu"), "after {wish}: {text}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn enemies_stop_neither_the_host_nor_a_neighbour_and_get_no_more_than_they_may() {
    let _alone = ALONE.lock().await;
    let server = Arc::new(server_elsewhere());
    let platform = server_elsewhere();
    let registry = Arc::new(load(&server, &platform).await);
    // Connections, instances and the allocator are warm before anything is measured.
    neighbour(&registry, &platform, |calls| calls == QUIET_CALLS).await;
    let (before, peak) = (resident(), Peak::watch());
    let ran_before = ran_and_waited();

    let (worst, crashed) = (Arc::default(), Arc::new(AtomicUsize::new(0)));
    let (mut quiet, mut stormy) = (Vec::new(), Vec::new());
    let started = Instant::now();
    for turn in 0..TURNS {
        quiet.extend(neighbour(&registry, &platform, |calls| calls == QUIET_CALLS).await);
        let mut enemies = JoinSet::new();
        for number in 0..ENEMIES {
            let share = calls() / ENEMIES / 2;
            let share = share * turn / TURNS..share * (turn + 1) / TURNS;
            let (registry, server) = (registry.clone(), server.clone());
            let (worst, crashed) = (Arc::clone(&worst), Arc::clone(&crashed));
            enemies.spawn(storm(registry, server, number, share, worst, crashed));
        }
        let over = Arc::new(AtomicBool::new(false));
        let calm = over.clone();
        let wait = async {
            while let Some(enemy) = enemies.join_next().await {
                enemy.unwrap();
            }
            over.store(true, Relaxed);
        };
        let measured = neighbour(&registry, &platform, move |_| calm.load(Relaxed));
        stormy.extend(tokio::join!(measured, wait).0);
    }
    quiet.sort();
    stormy.sort();

    let (ran, waited) = ran_and_waited();
    let (ran, waited) = (ran - ran_before.0, waited.saturating_sub(ran_before.1));
    let grown = peak.bytes().saturating_sub(before);
    let allowed = (ENEMIES * MEMORY) as u64 + MARGIN;
    let (late, wish) = worst.lock().unwrap().clone();
    let [quiet_p50, quiet_p99] = [50, 99].map(|percent| percentile(&quiet, percent));
    let [stormy_p50, stormy_p99] = [50, 99].map(|percent| percentile(&stormy, percent));
    println!(
        "{} calls in {:?}, {crashed:?} stopped or failed; memory grew by {} MiB of {} MiB; the latest stop came {late:?} after its deadline ({wish})",
        calls(),
        started.elapsed(),
        grown >> 20,
        allowed >> 20,
    );
    println!(
        "the neighbour's p50 was {stormy_p50:?} (quiet: {quiet_p50:?}), its p99 {stormy_p99:?} (quiet: {quiet_p99:?}, {:+.0} %), over {} calls ({}); the process ran for {ran:?} and waited for the machine for {waited:?}",
        (stormy_p99.as_secs_f64() / quiet_p99.as_secs_f64() - 1.0) * 100.0,
        stormy.len(),
        quiet.len(),
    );
    assert!(grown <= allowed, "{} MiB of {} MiB", grown >> 20, allowed >> 20);
    let busy = is_busy(ran, waited);
    let grace = if busy { BUSY_GRACE } else { GRACE };
    assert!(late <= grace, "{late:?} ({wish})");
    // On a machine that is busy with other things this would be their latency.
    if !busy {
        let allowed = quiet_p99.mul_f64(1.2).max(quiet_p99 + NOISE);
        assert!(stormy_p99 <= allowed, "{stormy_p99:?}, was {quiet_p99:?}");
    } else {
        println!("the machine is busy: the neighbour's latency isn't judged");
    }
    for seen in server.seen() {
        assert!(seen.header("x-injected").is_none() && !seen.path.contains("admin"));
    }
    let neighbour = registry.states().into_iter().find(|state| &*state.name == "neighbour");
    assert_eq!(neighbour.unwrap().traps, 0);
}

/// One thread on purpose: whatever a wish does, the thread must come back to the others.
#[tokio::test]
async fn no_wish_keeps_a_thread_to_itself() {
    let _alone = ALONE.lock().await;
    let server = server_elsewhere();
    let registry = load(&server, &server).await;
    let mut worst = Vec::new();
    let before = ran_and_waited();
    for (wish, may) in wishes(&server) {
        let longest = Arc::new(std::sync::Mutex::new(Duration::ZERO));
        let mut ruler = JoinSet::new();
        let measured = longest.clone();
        ruler.spawn(async move {
            let mut before = Instant::now();
            loop {
                tokio::task::yield_now().await;
                let gap = before.elapsed();
                before = Instant::now();
                let mut longest = measured.lock().unwrap();
                *longest = gap.max(*longest);
            }
        });
        tokio::task::yield_now().await;
        let outcome = registry.post_note(call(DEADLINE), &note("enemy-0", &wish)).await;
        may.check(&wish, &outcome);
        tokio::task::yield_now().await;
        ruler.shutdown().await;
        worst.push((*longest.lock().unwrap(), wish));
        assert_eq!(id(&registry, "enemy-0", "alive").await, "alive");
    }
    worst.sort();
    worst.reverse();
    for (gap, wish) in worst.iter().take(5) {
        println!("{gap:?} without a turn for others: {wish}");
    }
    let (ran, waited) = ran_and_waited();
    let busy = is_busy(ran - before.0, waited.saturating_sub(before.1));
    let most = if busy { BUSY_GRACE } else { 2 * GRACE };
    assert!(worst[0].0 <= most, "{:?}", worst[0]);
}
