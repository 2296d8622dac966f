//! What takes minutes to build and seldom changes is kept outside of the checkout, under a hash of what it was made of:
//! another checkout, and a clean one, has it without building it. `SIDENOTE_BUILT` names the folder; empty, nothing is kept.

use std::io;
use std::path::{Path, PathBuf};

/// The folder of them all.
const PLACE: &str = "SIDENOTE_BUILT";

/// What package managers and compilers put beside what they build: it isn't kept.
const LEFT_OUT: [&str; 3] = ["node_modules", ".venv", "target"];

/// Where something is kept, or would be.
pub(crate) struct Kept {
    name: String,
    /// `None` where nothing is kept.
    place: Option<PathBuf>,
}

impl Kept {
    /// Of a name, made of what has this hash.
    pub(crate) fn of(name: &str, made_of: &str) -> Self {
        let own = format!("{name}-{}-{made_of}", std::env::consts::ARCH);
        Self { name: name.to_owned(), place: folder().map(|folder| folder.join(own)) }
    }

    /// Copies what is kept to where it is wanted. Whether it was there.
    pub(crate) fn fetch(&self, to: &Path) -> Result<bool, String> {
        match &self.place {
            Some(place) if place.is_dir() => {
                copied(place, to).map_err(|error| format!("{}: {error}", place.display()))?;
                crate::say(&format!("{}: built before from the same files", self.name));
                Ok(true)
            }
            Some(_) | None => Ok(false),
        }
    }

    /// Keeps what was built, in place of what was made of other files. Where it can't be kept, that is said.
    pub(crate) fn keep(&self, built: &Path) {
        let Some(place) = &self.place else { return };
        if let Err(error) = self.put(built, place) {
            crate::say(&format!("{}: it isn't kept: {}: {error}", self.name, place.display()));
        }
    }

    fn put(&self, built: &Path, place: &Path) -> io::Result<()> {
        let folder = place.parent().unwrap_or(place);
        std::fs::create_dir_all(folder)?;
        let older = format!("{}-{}-", self.name, std::env::consts::ARCH);
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            // A hash has no hyphen: `my-js` isn't `my-js-quickjs`.
            if name.strip_prefix(&older).is_some_and(|hash| !hash.contains('-')) {
                std::fs::remove_dir_all(path)?;
            }
        }
        // A rename is one step: nobody finds half of it.
        let part = folder.join(format!(".part-{}-{}", self.name, std::process::id()));
        copied(built, &part)?;
        std::fs::rename(&part, place).or_else(|error| {
            std::fs::remove_dir_all(&part)?;
            // Another checkout was first.
            if place.is_dir() { Ok(()) } else { Err(error) }
        })
    }
}

/// Where the hosts of the tests keep the components that they compiled, named by what they were compiled from and for.
pub(crate) fn compiled() -> Option<PathBuf> {
    folder().map(|folder| folder.join("compiled"))
}

fn folder() -> Option<PathBuf> {
    match std::env::var_os(PLACE) {
        Some(place) => (!place.is_empty()).then(|| PathBuf::from(place)),
        None => {
            let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
            let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).or_else(home);
            cache.map(|cache| cache.join("sidenote-built"))
        }
    }
}

/// Copies a folder, what its links lead to in place of the links.
pub(crate) fn copied(from: &Path, to: &Path) -> io::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        if LEFT_OUT.iter().any(|name| entry.file_name() == *name) {
            continue;
        }
        if path.is_dir() {
            copied(&path, &target)?;
        } else {
            std::fs::copy(&path, &target)?;
        }
    }
    Ok(())
}
