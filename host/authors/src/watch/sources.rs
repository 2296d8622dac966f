//! Which files are sources, and whether they changed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::Metadata;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Most files that are looked at.
const MOST: usize = 20_000;
/// Folders in which no one writes by hand.
const OUTPUTS: [&str; 6] = ["target", "node_modules", "dist", "build", "out", "__pycache__"];
/// Files that no one writes by hand.
const MADE: [&str; 5] = ["wasm", "pyc", "o", "part", "lock"];

/// What a file looked like.
type Stamp = (u64, Option<SystemTime>);

/// Files that may change.
pub(super) struct Sources {
    path: PathBuf,
    whole_folder: bool,
    seen: BTreeMap<PathBuf, Stamp>,
    /// What changed during the last build.
    suspects: BTreeSet<PathBuf>,
    /// What every build writes: no source.
    outputs: BTreeSet<PathBuf>,
}

impl Sources {
    /// All that is written by hand below a folder.
    pub(super) fn below(folder: &Path) -> Self {
        Self::of(folder, true)
    }

    /// One file.
    pub(super) fn one(file: &Path) -> Self {
        Self::of(file, false)
    }

    fn of(path: &Path, whole_folder: bool) -> Self {
        let (seen, suspects, outputs) = Default::default();
        let mut sources = Self { path: path.to_owned(), whole_folder, seen, suspects, outputs };
        sources.seen = sources.stamps();
        sources
    }

    /// Whether something changed since the last look.
    pub(super) fn look(&mut self) -> bool {
        let found = self.stamps();
        let changed = differing(&self.seen, &found).any(|file| !self.outputs.contains(file));
        self.seen = found;
        changed
    }

    /// A build ended. What changed meanwhile is looked at as a change, for it may have been a hand's; what
    /// changes in two builds in a row is what the build writes.
    pub(super) fn built(&mut self) {
        let found = self.stamps();
        let meanwhile: BTreeSet<_> = differing(&self.seen, &found).cloned().collect();
        self.outputs.extend(meanwhile.intersection(&self.suspects).cloned());
        self.suspects = meanwhile;
    }

    fn stamps(&self) -> BTreeMap<PathBuf, Stamp> {
        let mut stamps = BTreeMap::new();
        if self.whole_folder {
            walk(&self.path, &mut stamps);
        } else if let Ok(about) = std::fs::metadata(&self.path) {
            stamps.insert(self.path.clone(), stamp(&about));
        }
        stamps
    }
}

/// The files that are in one of two looks only, or differ.
fn differing<'a>(
    before: &'a BTreeMap<PathBuf, Stamp>,
    after: &'a BTreeMap<PathBuf, Stamp>,
) -> impl Iterator<Item = &'a PathBuf> {
    let other = |(file, stamp): &(&PathBuf, &Stamp)| before.get(*file) != Some(*stamp);
    let gone = before.keys().filter(|file| !after.contains_key(*file));
    after.iter().filter(other).map(|(file, _)| file).chain(gone)
}

fn walk(folder: &Path, stamps: &mut BTreeMap<PathBuf, Stamp>) {
    // A folder that went away while it was looked at is one without files.
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    for entry in entries {
        let (path, name) = (entry.path(), entry.file_name());
        let name = name.to_string_lossy();
        if name.starts_with('.') || stamps.len() >= MOST {
            continue;
        }
        let made = path.extension().is_some_and(|ending| MADE.iter().any(|it| ending == *it));
        // Links aren't followed: one that leads upwards would never end.
        match entry.metadata() {
            Ok(about) if about.is_dir() && !OUTPUTS.contains(&&*name) => walk(&path, stamps),
            Ok(about) if about.is_file() && !made => {
                stamps.insert(path, stamp(&about));
            }
            Ok(_) | Err(_) => {}
        }
    }
}

fn stamp(about: &Metadata) -> Stamp {
    (about.len(), about.modified().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_by_hand_is_a_source_and_what_a_build_writes_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write("src/app.js", "1");
        let mut sources = Sources::below(folder.path());
        assert!(!sources.look());
        for name in ["node_modules/a/b.js", "dist/app.js", "bot.wasm", ".git/HEAD", "src/app.pyc"] {
            write(name, "made");
            assert!(!sources.look(), "{name}");
        }
        write("src/app.js", "12");
        assert!(sources.look());
        assert!(!sources.look());
        std::fs::remove_file(folder.path().join("src/app.js")).unwrap();
        assert!(sources.look());

        for (build, seen) in [("1", true), ("12", false), ("123", false)] {
            write("generated.txt", build);
            sources.built();
            assert_eq!(sources.look(), seen, "what two builds write is no source: {build}");
        }
        write("src/app.js", "by hand");
        assert!(sources.look());
    }

    #[test]
    fn one_file_is_watched_by_itself() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("bot.wasm");
        std::fs::write(&file, "1").unwrap();
        let mut sources = Sources::one(&file);
        std::fs::write(folder.path().join("other.wasm"), "1").unwrap();
        assert!(!sources.look());
        std::fs::write(&file, "12").unwrap();
        assert!(sources.look());
    }
}
