//! What becomes of the files in the plugins folder.

use std::path::Path;

use sidenote::outbox::note::PostError;
use sidenote::plugin::{Health, PluginState, Registry};
use tempfile::TempDir;

use crate::guests::{assert_alive, built, plugin, post};

fn folder(files: &[(&str, &[u8])]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        std::fs::write(folder.path().join(name), bytes).unwrap();
    }
    folder
}

fn state(registry: &Registry, name: &str) -> PluginState {
    registry
        .states()
        .into_iter()
        .find(|state| &*state.name == name)
        .unwrap_or_else(|| panic!("no {name}"))
}

#[tokio::test]
async fn a_bad_file_says_why_and_stops_no_other() {
    let core_module = b"\0asm\x01\0\0\0";
    let empty_component = b"\0asm\x0d\0\x01\0";
    let good = std::fs::read(built("guest_trap.wasm")).unwrap();
    let cut = &good[..good.len() / 2];
    let misfit = std::fs::read(built("guest_misfit.wasm")).unwrap();
    let stranger = std::fs::read(built("guest_stranger.wasm")).unwrap();
    let folder = folder(&[
        ("core.wasm", core_module),
        ("empty.wasm", empty_component),
        ("text.wasm", b"(component)"),
        ("artifact.wasm", b"\x7fELF\x02\x01\x01\0 compiled elsewhere"),
        ("cut.wasm", cut),
        ("misfit.wasm", &misfit),
        ("stranger.wasm", &stranger),
        ("good.wasm", &good),
        ("notes.txt", b"no plugin"),
    ]);
    let bad = ["core", "empty", "text", "artifact", "cut", "misfit", "stranger"];
    let bad = bad.map(|name| (name.into(), plugin(&format!("{name}.wasm"))));
    let plugins = [
        ("gone".into(), plugin("gone.wasm")),
        ("outside".into(), plugin("../good.wasm")),
        ("misgranted".into(), {
            let mut plugin = plugin("good.wasm");
            plugin.hosts = vec!["https://api.example.com/path".to_owned()];
            plugin
        }),
        ("tight".into(), {
            let mut plugin = plugin("good.wasm");
            plugin.limits.memory_bytes = 64 << 10;
            plugin
        }),
        ("fine".into(), plugin("good.wasm")),
    ];
    let plugins = plugins.into_iter().chain(bad).collect();
    let registry = Registry::load(folder.path(), &plugins).await.unwrap();
    let cases = [
        ("core", "compile: it is a core module"),
        (
            "empty",
            "probe: it exports none of sidenote:plugin/writer@0.1.0, sidenote:plugin/redactor@0.1.0, sidenote:plugin/finder@0.1.0, sidenote:plugin/webhook@0.1.0, sidenote:plugin/messenger@0.1.0, sidenote:plugin/sink@0.1.0, sidenote:plugin/trigger@0.1.0, sidenote:plugin/source@0.1.0, sidenote:plugin/on-timer@0.1.0; it exports nothing",
        ),
        ("text", "compile: it is no WebAssembly component"),
        ("artifact", "compile: it is no WebAssembly component"),
        ("cut", "compile: "),
        ("misfit", "probe: its `sidenote:plugin/writer@0.1.0` doesn't fit: "),
        ("stranger", "link: it imports `acme:shell/run@1.0.0`, which no host gives"),
        ("tight", "trial: it can't be started: "),
        ("gone", "read: there is no such file"),
        ("outside", "read: `../good.wasm` is no file name"),
        ("misgranted", "grants: `https://api.example.com/path` in hosts can't be used"),
    ];
    for (name, wanted) in cases {
        let failed = state(&registry, name).failed.unwrap_or_else(|| panic!("{name} runs"));
        assert!(failed.starts_with(wanted), "{name}: {failed}");
        let Err(PostError::Unavailable { message }) = post(&registry, name, "x").await else {
            panic!("{name}")
        };
        assert!(message.starts_with(wanted), "{name}: {message}");
    }
    assert_alive(&registry, "fine").await;
    let names: Vec<_> = registry.states().iter().map(|state| state.name.to_string()).collect();
    assert!(
        !names.contains(&"good".to_owned()),
        "a file that is configured is no stray: {names:?}"
    );
    assert!(!names.contains(&"notes".to_owned()), "{names:?}");
}

#[tokio::test]
async fn a_file_that_nobody_configured_is_listed_with_the_table_that_uses_it_and_not_loaded() {
    let good = std::fs::read(built("guest_probe.wasm")).unwrap();
    let folder = folder(&[("my-probe.wasm", &good), ("bot.wasm", &good), ("a b.wasm", &good)]);
    let bot = [("bot".into(), plugin("other.wasm"))].into();
    let registry = Registry::load(folder.path(), &bot).await.unwrap();
    let strays: Vec<_> = registry
        .states()
        .into_iter()
        .filter(|state| state.health == Health::NotConfigured)
        .map(|state| {
            assert_eq!((state.version, state.failed, state.calls), (None, None, 0));
            (state.name.to_string(), state.file, state.next_step.unwrap())
        })
        .collect();
    let wanted =
        [("NAME", "a b.wasm"), ("NAME", "bot.wasm"), ("my-probe", "my-probe.wasm")].into_iter();
    assert_eq!(strays.len(), wanted.len());
    for ((name, file, next), (wanted, wanted_file)) in strays.into_iter().zip(wanted) {
        assert_eq!((&*name, &*file), (wanted, wanted_file));
        assert!(next.contains(&format!("[plugins.{name}] file = \"{file}\"")), "{next}");
    }
    let Err(PostError::Unavailable { message }) = post(&registry, "my-probe", "x").await else {
        panic!("a stray file is called")
    };
    assert_eq!(message, "there is no plugin `my-probe`");
}

#[tokio::test]
async fn an_unknown_plugin_and_a_missing_interface_are_told() {
    let good = std::fs::read(built("guest_probe.wasm")).unwrap();
    let folder = folder(&[("probe.wasm", &good)]);
    let probe = [("probe".into(), plugin("probe.wasm"))].into();
    let registry = Registry::load(folder.path(), &probe).await.unwrap();
    let Err(PostError::Unavailable { message }) = post(&registry, "nobody", "x").await else {
        panic!()
    };
    assert_eq!(message, "there is no plugin `nobody`");
    let request = sidenote::plugin::WebhookRequest {
        method: "POST".into(),
        url: "/".into(),
        headers: Vec::new(),
        body: Vec::new(),
    };
    assert_eq!(
        registry.receive("probe", request).await,
        Err(sidenote::plugin::ReceiveError::NoWebhook)
    );
}

#[cfg(unix)]
#[tokio::test]
async fn what_is_no_regular_file_is_refused_at_once() {
    let folder = folder(&[]);
    let path = |name: &str| folder.path().join(name);
    std::os::unix::fs::symlink("/dev/zero", path("endless.wasm")).unwrap();
    assert!(
        std::process::Command::new("mkfifo").arg(path("pipe.wasm")).status().unwrap().success()
    );
    std::fs::create_dir(path("folder.wasm")).unwrap();
    let large = std::fs::File::create(path("large.wasm")).unwrap();
    large.set_len((64 << 20) + 1).unwrap();
    let names = ["endless", "pipe", "folder", "large"];
    let plugins = names.map(|name| (name.into(), plugin(&format!("{name}.wasm")))).into();
    let loading = Registry::load(folder.path(), &plugins);
    let registry = tokio::time::timeout(std::time::Duration::from_secs(10), loading).await;
    let registry = registry.expect("nothing is waited for").unwrap();
    for name in names {
        let wanted = if name == "large" { "read: it has " } else { "read: it is no regular file" };
        let failed = state(&registry, name).failed.unwrap();
        assert!(failed.starts_with(wanted), "{name}: {failed}");
    }
}

#[tokio::test]
async fn a_folder_that_is_not_there_is_empty() {
    let plugins = [("bot".into(), plugin("bot.wasm"))].into();
    let registry = Registry::load(Path::new("/nowhere/at/all"), &plugins).await.unwrap();
    assert!(state(&registry, "bot").failed.unwrap().starts_with("read: there is no such file"));
}
