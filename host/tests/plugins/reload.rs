//! Files that change while everything runs.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use sidenote::config::{Cache, Plugin, Sha256};
use sidenote::plugin::{Health, PluginState, Registry};
use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::guests::{answer_of, built, eventually, id, plugin, post, version};

/// A registry whose folder is watched.
struct Watched {
    registry: Arc<Registry>,
    folder: TempDir,
    stop: CancellationToken,
    tasks: JoinSet<()>,
}

impl Watched {
    /// Starts with version 0 as `bot.wasm`.
    async fn start(bot: Plugin) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("plugins")).unwrap();
        std::fs::write(folder.path().join("plugins/bot.wasm"), version(0)).unwrap();
        Self::start_in(folder, bot).await
    }

    async fn start_in(folder: TempDir, bot: Plugin) -> Self {
        let cache = Cache::at(folder.path().join("cache"));
        let plugins = [("bot".into(), bot)].into();
        let from = folder.path().join("plugins");
        let registry = Registry::load_cached(&from, &plugins, &cache).await.unwrap();
        let registry = Arc::new(registry);
        let (watched, stop) = (registry.clone(), CancellationToken::new());
        let stopped = stop.clone();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move { watched.watch(Duration::from_millis(5), stopped).await });
        Self { registry, folder, stop, tasks }
    }

    fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join("plugins").join(file)
    }

    /// Puts a whole file in the place of another.
    fn put(&self, file: &str, bytes: &[u8]) {
        put(&self.path(file), bytes);
    }

    fn state(&self, name: &str) -> PluginState {
        let states = self.registry.states();
        states.into_iter().find(|state| &*state.name == name).unwrap()
    }

    async fn answers(&self, number: usize) {
        let wanted = answer_of(number);
        eventually(&wanted, async || id(&self.registry, "bot", "version").await == wanted).await;
    }

    async fn end(mut self) {
        self.stop.cancel();
        while let Some(ended) = self.tasks.join_next().await {
            ended.unwrap();
        }
    }
}

fn put(path: &Path, bytes: &[u8]) {
    let part = path.with_extension("part");
    std::fs::write(&part, bytes).unwrap();
    std::fs::rename(&part, path).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_swaps_under_load_lose_no_note_and_each_is_answered_by_one_version() {
    const SWAPS: usize = 100;
    /// So few that all but the first ones come out of the cache, and so many that what stood there before
    /// can be told from what stands there.
    const VERSIONS: usize = 7;
    let mut bot = plugin("bot.wasm");
    bot.limits.concurrency = 4;
    let watched = Watched::start(bot).await;
    let (ended, posted) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let (swapped, written) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let mut load = JoinSet::new();
    for client in 0..4 {
        let (registry, ended, posted) = (watched.registry.clone(), ended.clone(), posted.clone());
        let (swapped, written) = (swapped.clone(), written.clone());
        load.spawn(async move {
            while !ended.load(Relaxed) {
                // So that there are calls under way in every swap.
                let body = if client == 0 { "version" } else { "slow-version 20" };
                let at_least = swapped.load(Relaxed);
                let answer = post(&registry, "bot", body).await;
                let at_most = written.load(Relaxed);
                let answer = answer.unwrap_or_else(|error| panic!("lost: {error:?}"));
                let answer = answer.note_id.unwrap();
                let fits = (at_least..=at_most).any(|swap| answer == answer_of(swap % VERSIONS));
                assert!(fits, "{answer} between swap {at_least} and {at_most}");
                posted.fetch_add(1, Relaxed);
            }
        });
    }
    for swap in 1..=SWAPS {
        let bytes = version(swap % VERSIONS);
        if swap % 10 == 3 {
            // A broken one in between.
            let before = watched.registry.reloads().refused;
            watched.put("bot.wasm", &bytes[..50_000]);
            eventually("refused", async || watched.registry.reloads().refused > before).await;
            assert!(watched.state("bot").refused.unwrap().starts_with("compile: "));
        }
        written.store(swap, Relaxed);
        if swap % 10 == 6 {
            // One that is written slowly, in its place.
            let mut file = std::fs::File::create(watched.path("bot.wasm")).unwrap();
            for piece in bytes.chunks(20_000) {
                std::io::Write::write_all(&mut file, piece).unwrap();
                tokio::time::sleep(Duration::from_millis(3)).await;
            }
        } else {
            watched.put("bot.wasm", &bytes);
        }
        eventually("swapped", async || watched.state("bot").swaps == swap as u64).await;
        swapped.store(swap, Relaxed);
        let answer = id(&watched.registry, "bot", "version").await;
        assert_eq!(answer, answer_of(swap % VERSIONS), "whoever asks then gets that version");
    }
    ended.store(true, Relaxed);
    load.join_all().await;
    let state = watched.state("bot");
    assert_eq!((state.swaps, state.failures, state.traps), (SWAPS as u64, 0, 0));
    assert_eq!((state.failed, state.refused), (None, None));
    assert!(posted.load(Relaxed) > 4 * SWAPS, "{posted:?}: there was no load");
    assert!(watched.registry.cache().used >= (SWAPS - VERSIONS) as u64);
    watched.end().await;
}

#[tokio::test]
async fn a_broken_file_leaves_what_runs_and_says_why_until_a_good_one_comes() {
    let watched = Watched::start(plugin("bot.wasm")).await;
    let before = watched.state("bot");
    let good = version(1);
    let misfit = std::fs::read(built("guest_misfit.wasm")).unwrap();
    let tables = std::fs::read(built("guest_tables.wasm")).unwrap();
    let cases: [(&str, &[u8], &str); 6] = [
        ("half", &good[..good.len() / 2], "compile: "),
        ("text", b"no component at all", "compile: it is no WebAssembly component"),
        ("empty", b"", "compile: it is no WebAssembly component"),
        ("artifact", b"\x7fELF\x02\x01\x01\0 compiled", "compile: it is no WebAssembly component"),
        ("misfit", &misfit, "probe: "),
        ("too much at its start", &tables, "trial: it can't be started: "),
    ];
    for (what, bytes, wanted) in cases {
        watched.put("bot.wasm", bytes);
        eventually(what, async || {
            watched.state("bot").refused.is_some_and(|why| why.starts_with(wanted))
        })
        .await;
        let state = watched.state("bot");
        assert_eq!((state.failed, &state.version), (None, &before.version), "{what}");
        watched.answers(0).await;
    }
    watched.put("bot.wasm", &good);
    watched.answers(1).await;
    let state = watched.state("bot");
    assert_eq!((state.refused, state.swaps), (None, 1));
    assert_ne!(state.version, before.version);

    // The same again under another inode is no swap.
    let read = watched.registry.reloads().read;
    watched.put("bot.wasm", &good);
    eventually("read", async || watched.registry.reloads().read > read).await;
    watched.answers(1).await;
    assert_eq!(watched.state("bot").swaps, 1);
    watched.end().await;
}

#[tokio::test]
async fn a_file_that_stays_half_is_taken_when_the_rest_comes() {
    let watched = Watched::start(plugin("bot.wasm")).await;
    let bytes = version(1);
    let mut file = std::fs::File::create(watched.path("bot.wasm")).unwrap();
    std::io::Write::write_all(&mut file, &bytes[..bytes.len() / 2]).unwrap();
    eventually("refused", async || watched.state("bot").refused.is_some()).await;
    watched.answers(0).await;
    std::io::Write::write_all(&mut file, &bytes[bytes.len() / 2..]).unwrap();
    watched.answers(1).await;
    assert_eq!(watched.state("bot").refused, None);
    watched.end().await;
}

#[tokio::test]
async fn a_file_that_is_removed_leaves_what_runs_and_a_new_one_takes_over() {
    let watched = Watched::start(plugin("bot.wasm")).await;
    std::fs::remove_file(watched.path("bot.wasm")).unwrap();
    eventually("gone", async || watched.registry.reloads().gone == 1).await;
    watched.answers(0).await;
    let refused = watched.state("bot").refused.unwrap();
    assert!(refused.starts_with("read: there is no such file"), "{refused}");
    watched.put("bot.wasm", &version(2));
    watched.answers(2).await;
    assert_eq!(watched.state("bot").refused, None);

    // Nor does a folder that goes away.
    std::fs::rename(watched.folder.path().join("plugins"), watched.folder.path().join("away"))
        .unwrap();
    eventually("gone", async || watched.registry.reloads().gone == 2).await;
    watched.answers(2).await;
    watched.end().await;
}

#[tokio::test]
async fn a_plugin_that_could_not_be_loaded_runs_when_its_file_comes_and_a_stray_one_is_listed() {
    let folder = tempfile::tempdir().unwrap();
    let watched = Watched::start_in(folder, plugin("bot.wasm")).await;
    assert!(watched.state("bot").failed.is_some());
    std::fs::create_dir(watched.folder.path().join("plugins")).unwrap();
    watched.put("bot.wasm", &version(7));
    watched.put("stray.wasm", &version(8));
    eventually("runs", async || watched.state("bot").version.is_some()).await;
    watched.answers(7).await;
    eventually("the stray file is listed", async || watched.registry.states().len() == 2).await;
    let stray = watched.state("stray");
    assert_eq!((stray.health, stray.version), (Health::NotConfigured, None));
    assert!(stray.next_step.unwrap().contains("[plugins.stray]"));
    assert!(post(&watched.registry, "stray", "version").await.is_err());
    std::fs::remove_file(watched.path("stray.wasm")).unwrap();
    eventually("the stray file is gone", async || watched.registry.states().len() == 1).await;
    watched.end().await;
}

#[tokio::test]
async fn a_pinned_file_is_refused_at_the_start_and_when_it_changes() {
    use sha2::Digest;
    let pin = |bytes: &[u8]| Some(Sha256(sha2::Sha256::digest(bytes).into()));
    let mut bot = plugin("bot.wasm");
    bot.sha256 = pin(&version(1));
    let watched = Watched::start(bot.clone()).await;
    let failed = watched.state("bot").failed.unwrap();
    let found = pin(&version(0)).unwrap();
    assert!(failed.starts_with(&format!("pin: its sha256 is {found}")), "{failed}");
    watched.put("bot.wasm", &version(1));
    eventually("runs", async || watched.state("bot").version.is_some()).await;
    watched.answers(1).await;
    watched.put("bot.wasm", &version(2));
    eventually("refused", async || watched.state("bot").refused.is_some()).await;
    assert!(watched.state("bot").refused.unwrap().starts_with("pin: "));
    watched.answers(1).await;
    watched.end().await;
}

#[tokio::test]
async fn a_call_under_way_ends_on_the_version_that_it_began_with() {
    let mut bot = plugin("bot.wasm");
    bot.limits.concurrency = 1;
    let watched = Watched::start(bot).await;
    let slow = async {
        let answer = id(&watched.registry, "bot", "slow-version 3000").await;
        (answer, watched.state("bot").swaps)
    };
    let swap = async {
        watched.put("bot.wasm", &version(1));
        eventually("swapped", async || watched.state("bot").swaps == 1).await;
        // The one place is taken: the limit holds for both versions together.
        id(&watched.registry, "bot", "version").await
    };
    let (slow, next) = tokio::join!(slow, swap);
    assert_eq!(slow, (answer_of(0), 1), "the swap came while it ran");
    assert_eq!(next, answer_of(1));
    // What was kept of the old version is gone with it: its instances' count begins anew.
    assert_eq!(id(&watched.registry, "bot", "count").await, "2");
    watched.end().await;
}
