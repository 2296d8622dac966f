//! Compiled components that are kept.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use sidenote::config::Cache;
use sidenote::plugin::{CacheTotals, Registry};
use tempfile::TempDir;

use crate::guests::{answer_of, id, plugin, version};

struct Folders(TempDir);

impl Folders {
    fn new(versions: &[usize]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("plugins")).unwrap();
        for number in versions {
            let path = folder.path().join(format!("plugins/v{number}.wasm"));
            std::fs::write(path, version(*number)).unwrap();
        }
        Self(folder)
    }

    fn cache(&self) -> Cache {
        Cache::at(self.0.path().join("cache"))
    }

    /// Starts, checks that every version answers, and says what the cache did.
    async fn start_with(&self, cache: &Cache) -> CacheTotals {
        let from = self.0.path().join("plugins");
        let files = from.read_dir().unwrap().map(|file| file.unwrap().file_name());
        let files = files.filter_map(|file| file.into_string().ok());
        let plugins = files
            .filter_map(|file| Some((file.strip_suffix(".wasm")?.into(), plugin(&file))))
            .collect();
        let registry = Registry::load_cached(&from, &plugins, cache).await.unwrap();
        assert!(!registry.states().is_empty());
        for state in registry.states() {
            assert_eq!(state.failed, None, "{}", state.name);
            let number: usize = state.name[1..].parse().unwrap();
            assert_eq!(id(&registry, &state.name, "version").await, answer_of(number));
        }
        registry.cache()
    }

    async fn start(&self) -> CacheTotals {
        self.start_with(&self.cache()).await
    }

    fn artifacts(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.cache().folder).unwrap();
        let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        paths
    }
}

fn totals(used: u64, stored: u64, unsound: u64) -> CacheTotals {
    CacheTotals { used, stored, unsound, removed: 0 }
}

#[tokio::test]
async fn the_second_start_compiles_nothing() {
    let folders = Folders::new(&[1, 2]);
    assert_eq!(folders.start().await, totals(0, 2, 0));
    assert_eq!(folders.start().await, totals(2, 0, 0));
    // Another content under the same name is another component.
    std::fs::write(folders.0.path().join("plugins/v2.wasm"), version(1)).unwrap();
    std::fs::rename(
        folders.0.path().join("plugins/v2.wasm"),
        folders.0.path().join("plugins/v1.wasm"),
    )
    .unwrap();
    assert_eq!(folders.start().await, totals(1, 0, 0));

    let mode = |path: &Path| path.metadata().unwrap().mode() & 0o777;
    assert_eq!(mode(&folders.cache().folder), 0o700);
    for path in folders.artifacts() {
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
}

#[tokio::test]
async fn an_artifact_that_is_not_sound_is_compiled_again_and_replaced() {
    let folders = Folders::new(&[1]);
    folders.start().await;
    let [path] = &folders.artifacts()[..] else { panic!() };
    let sound = std::fs::read(path).unwrap();
    let flipped = |at: usize| {
        let mut bytes = sound.clone();
        bytes[at] ^= 0x40;
        bytes
    };
    // A seal that is whole, over what wasmtime of another version would have made.
    let sealed = |artifact: &[u8]| {
        let key = hex::decode(path.file_stem().unwrap().to_str().unwrap()).unwrap();
        let checksum = Sha256::new().chain_update(key).chain_update(artifact).finalize();
        [b"sidenote-artifact\x01", &checksum[..], artifact].concat()
    };
    let artifact = &sound[b"sidenote-artifact\x01".len() + 32..];
    assert_eq!(sealed(artifact), sound, "the test knows the form");
    let mut foreign = artifact.to_vec();
    let version = foreign.windows(4).position(|window| window == b"\0\x0248");
    let at = version.expect("wasmtime writes its version into what it compiles");
    foreign[at..at + 4].copy_from_slice(b"\0\x0247");
    let cases = [
        ("a flipped bit in the code", flipped(sound.len() / 2)),
        ("a flipped bit in the seal", flipped(20)),
        ("cut short", sound[..sound.len() - 1].to_vec()),
        ("empty", Vec::new()),
        ("something else", b"#!/bin/sh\n".to_vec()),
        ("of another version", sealed(&foreign)),
        ("no artifact", sealed(b"\x7fELF nothing")),
        ("a seal over nothing", sealed(b"")),
    ];
    for (what, bytes) in cases {
        assert_ne!(bytes, sound, "{what}");
        std::fs::write(path, bytes).unwrap();
        assert_eq!(folders.start().await, totals(0, 1, 1), "{what}");
        assert_eq!(std::fs::read(path).unwrap().len(), sound.len(), "{what}: replaced");
        assert_eq!(folders.start().await, totals(1, 0, 0), "{what}");
    }
}

#[tokio::test]
async fn an_artifact_that_others_could_have_written_is_not_used() {
    let folders = Folders::new(&[1]);
    folders.start().await;
    let [path] = &folders.artifacts()[..] else { panic!() };
    std::fs::set_permissions(path, PermissionsExt::from_mode(0o620)).unwrap();
    assert_eq!(folders.start().await, totals(0, 1, 1));
    assert_eq!(folders.start().await, totals(1, 0, 0), "it was replaced");
    // Only root can give a file away.
    if std::os::unix::fs::chown(path, Some(12345), None).is_ok() {
        assert_eq!(folders.start().await, totals(0, 1, 1));
        assert_eq!(folders.start().await, totals(1, 0, 0));
    }
}

#[tokio::test]
async fn a_folder_that_is_not_private_is_not_used_and_everything_runs_without() {
    let folders = Folders::new(&[1]);
    folders.start().await;
    let cache = folders.cache().folder;
    for mode in [0o720, 0o702, 0o1777] {
        std::fs::set_permissions(&cache, PermissionsExt::from_mode(mode)).unwrap();
        assert_eq!(folders.start().await, totals(0, 0, 0), "{mode:o}");
    }
    // Others may see what is there.
    std::fs::set_permissions(&cache, PermissionsExt::from_mode(0o755)).unwrap();
    assert_eq!(folders.start().await, totals(1, 0, 0));
    if std::os::unix::fs::chown(&cache, Some(12345), None).is_ok() {
        assert_eq!(folders.start().await, totals(0, 0, 0), "somebody else's");
    }
    let file = folders.0.path().join("file");
    std::fs::write(&file, "").unwrap();
    assert_eq!(folders.start_with(&Cache::at(file)).await, totals(0, 0, 0), "no folder");
}

#[tokio::test]
async fn what_was_used_longest_ago_makes_room() {
    let folders = Folders::new(&[1]);
    folders.start().await;
    let size = folders.artifacts()[0].metadata().unwrap().len() as usize;
    let first = folders.artifacts();
    std::fs::write(folders.0.path().join("plugins/v2.wasm"), version(2)).unwrap();
    folders.start().await;
    let second: Vec<_> =
        folders.artifacts().into_iter().filter(|path| !first.contains(path)).collect();
    // The first is used again, the second isn't.
    std::fs::remove_file(folders.0.path().join("plugins/v2.wasm")).unwrap();
    folders.start().await;
    std::fs::write(folders.0.path().join("plugins/v3.wasm"), version(3)).unwrap();
    let tight = Cache { max_bytes: size * 5 / 2, ..folders.cache() };
    assert_eq!(folders.start_with(&tight).await.removed, 1);
    assert!(first[0].exists() && !second[0].exists());
    assert_eq!(folders.artifacts().len(), 2);

    let tiny = Cache { max_bytes: 1000, ..folders.cache() };
    folders.start_with(&tiny).await;
    assert_eq!(folders.artifacts(), [] as [PathBuf; 0], "none fits");
}

#[tokio::test]
async fn nothing_compiled_is_taken_from_the_plugins_folder() {
    let folders = Folders::new(&[1]);
    folders.start().await;
    let sealed = std::fs::read(&folders.artifacts()[0]).unwrap();
    let artifact = &sealed[b"sidenote-artifact\x01".len() + 32..];
    let from = tempfile::tempdir().unwrap();
    std::fs::write(from.path().join("sealed.wasm"), &sealed).unwrap();
    std::fs::write(from.path().join("compiled.wasm"), artifact).unwrap();
    std::fs::write(from.path().join("compiled.cwasm"), artifact).unwrap();
    let plugins = ["sealed", "compiled"].map(|name| (name.into(), plugin(&format!("{name}.wasm"))));
    let registry = Registry::load_cached(from.path(), &plugins.into(), &folders.cache()).await;
    let states = registry.unwrap().states();
    assert_eq!(states.len(), 2);
    for state in states {
        let failed = state.failed.unwrap();
        assert!(failed.starts_with("compile: it is no WebAssembly component"), "{failed}");
    }
}
