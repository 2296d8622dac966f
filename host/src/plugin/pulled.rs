//! What was pulled from registries, kept by the digest of its manifest: a start needs no registry for it.
//!
//! Two files for each: the manifest as it came, and the component. Both are held against their digests each time, so it
//! doesn't matter who can write here. The manifest is written last: where it is, the component was whole.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use super::source;
use crate::config::{Pinned, Sha256};
use crate::oci::Pulled;
use crate::oci::layout::{self, Layer, MAX_MANIFEST_BYTES};

/// Most bytes of what is kept although nothing uses it any more: the versions to go back to.
const MAX_UNUSED_BYTES: u64 = 512 << 20;

/// The folder.
#[derive(Debug, Clone)]
pub(super) struct Kept {
    folder: PathBuf,
}

impl Kept {
    /// What is kept in this folder. It is made when something is to be kept.
    pub(super) fn at(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// The folder.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The file of a component, whether or not it is there.
    pub(super) fn component(&self, digest: Sha256) -> PathBuf {
        self.folder.join(format!("{digest}.wasm"))
    }

    /// What the manifest says of a component that is kept whole; `None` where it has to be pulled. Waits for the disk.
    pub(super) fn find(&self, pinned: &Pinned) -> Option<Layer> {
        let manifest = match read(&self.manifest(pinned.digest)) {
            Ok(manifest) => manifest,
            Err(error) if error.kind() == ErrorKind::NotFound => return None,
            Err(error) => return self.unsound(pinned, &error.to_string()),
        };
        if layout::hash(&manifest) != pinned.digest {
            return self.unsound(pinned, "the manifest doesn't fit its digest");
        }
        let Ok(layer) = layout::read(&manifest) else {
            return self.unsound(pinned, "the manifest isn't a component's");
        };
        match source::read(&self.component(pinned.digest)) {
            Ok(component) if layout::hash(&component) == layer.sha256 => Some(layer),
            Ok(_) => self.unsound(pinned, "the component doesn't fit its digest"),
            Err(error) => self.unsound(pinned, &error.to_string()),
        }
    }

    /// Keeps what was pulled, and of what isn't in use only the latest. Waits for the disk.
    pub(super) fn keep(&self, pulled: &Pulled, in_use: &BTreeSet<Sha256>) -> std::io::Result<()> {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)?;
        self.write(&self.component(pulled.digest), &pulled.component)?;
        self.write(&self.manifest(pulled.digest), &pulled.manifest)?;
        self.sweep(pulled.digest, in_use);
        Ok(())
    }

    fn manifest(&self, digest: Sha256) -> PathBuf {
        self.folder.join(format!("{digest}.json"))
    }

    fn unsound(&self, pinned: &Pinned, cause: &str) -> Option<Layer> {
        tracing::warn!(%pinned, folder = %self.folder.display(), cause, "plugins: what was pulled before can't be used; it is pulled again");
        None
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> std::io::Result<()> {
        let mut file = tempfile::Builder::new().prefix(".part-").tempfile_in(&self.folder)?;
        file.write_all(bytes)?;
        // It is there for when no registry is: a power loss mustn't take it.
        file.as_file().sync_all()?;
        file.persist(path)?;
        Ok(())
    }

    /// Removes what nothing uses and was pulled longest ago, until the rest fits. What a crash left goes with it.
    fn sweep(&self, just_kept: Sha256, in_use: &BTreeSet<Sha256>) {
        let mut unused: BTreeMap<String, (SystemTime, u64, Vec<PathBuf>)> = BTreeMap::new();
        let used: BTreeSet<_> =
            in_use.iter().chain([&just_kept]).map(ToString::to_string).collect();
        for entry in std::fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            let (path, Ok(about)) = (entry.path(), entry.metadata()) else { continue };
            let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            if used.contains(&stem) || !about.is_file() {
                continue;
            }
            let modified = about.modified().unwrap_or(UNIX_EPOCH);
            let (latest, bytes, paths) = unused.entry(stem).or_insert((modified, 0, Vec::new()));
            *latest = modified.max(*latest);
            *bytes += about.len();
            paths.push(path);
        }
        let mut sets: Vec<_> = unused.into_values().collect();
        sets.sort_by_key(|(latest, ..)| *latest);
        let mut bytes: u64 = sets.iter().map(|(_, bytes, _)| bytes).sum();
        for (_, size, paths) in sets {
            if bytes <= MAX_UNUSED_BYTES {
                break;
            }
            bytes = bytes.saturating_sub(size);
            for path in paths {
                match std::fs::remove_file(&path) {
                    Ok(()) => {
                        tracing::debug!(file = %path.display(), "plugins: what nothing uses is removed")
                    }
                    Err(error) => {
                        tracing::warn!(file = %path.display(), %error, "plugins: what nothing uses can't be removed")
                    }
                }
            }
        }
    }
}

fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_MANIFEST_BYTES).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Reference;

    fn pulled(component: &[u8]) -> Pulled {
        let manifest = layout::write(component, b"{}", Some("s".to_owned()), BTreeMap::new());
        let layer = layout::read(&manifest).unwrap();
        Pulled { digest: layout::hash(&manifest), manifest, layer, component: component.to_vec() }
    }

    fn pinned(pulled: &Pulled) -> Pinned {
        Reference::parse("ghcr.io/acme/desk:1").unwrap().at(pulled.digest)
    }

    #[test]
    fn what_is_kept_is_found_as_long_as_it_fits_its_digests() {
        let folder = tempfile::tempdir().unwrap();
        let kept = Kept::at(folder.path().join("pulled"));
        let (one, other) = (pulled(b"one"), pulled(b"other"));
        assert_eq!(kept.find(&pinned(&one)), None);
        kept.keep(&one, &BTreeSet::new()).unwrap();
        assert_eq!(kept.find(&pinned(&one)), Some(one.layer.clone()));
        assert_eq!(kept.find(&pinned(&other)), None);

        std::fs::write(kept.component(one.digest), b"two").unwrap();
        assert_eq!(kept.find(&pinned(&one)), None, "another component");
        kept.keep(&one, &BTreeSet::new()).unwrap();
        assert!(kept.find(&pinned(&one)).is_some(), "pulled again");

        std::fs::write(kept.manifest(one.digest), &other.manifest).unwrap();
        assert_eq!(kept.find(&pinned(&one)), None, "another manifest");
        kept.keep(&one, &BTreeSet::new()).unwrap();
        std::fs::remove_file(kept.component(one.digest)).unwrap();
        assert_eq!(kept.find(&pinned(&one)), None, "no component");
    }

    #[test]
    fn what_nothing_uses_is_kept_up_to_a_bound() {
        let folder = tempfile::tempdir().unwrap();
        let kept = Kept::at(folder.path().to_owned());
        let all: Vec<_> = [b"a", b"b", b"c"].iter().map(|it| pulled(*it)).collect();
        for (nth, it) in all.iter().enumerate() {
            kept.keep(it, &BTreeSet::new()).unwrap();
            // Two of them fit, three don't.
            let file = File::options().write(true).open(kept.component(it.digest)).unwrap();
            file.set_len(MAX_UNUSED_BYTES / 5 * 2).unwrap();
            let at = UNIX_EPOCH + std::time::Duration::from_secs(nth as u64 * 1000);
            file.set_modified(at).unwrap();
            File::options()
                .write(true)
                .open(kept.manifest(it.digest))
                .unwrap()
                .set_modified(at)
                .unwrap();
        }
        let is_there = |nth: usize| kept.component(all[nth].digest).exists();
        kept.keep(&pulled(b"d"), &BTreeSet::from([all[0].digest])).unwrap();
        assert_eq!([0, 1, 2].map(is_there), [true, true, true], "one of the three is in use");
        kept.keep(&pulled(b"e"), &BTreeSet::new()).unwrap();
        assert_eq!(
            [0, 1, 2].map(is_there),
            [false, true, true],
            "what was pulled longest ago goes"
        );
    }
}
