//! The plugins folder: which files are plugins, and under which name.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::clean::clean;
use super::error::{AdmitError, LoadError};
use super::signed::EXTENSION as SIGNATURE;
use super::source::Stamp;

/// Most files of the folder that are looked at.
const MAX_FILES: usize = 256;

/// A look at the folder.
#[derive(Debug, Default)]
pub(super) struct Look {
    /// The files whose names end in `.wasm`, those that are configured, and the signatures beside these.
    pub(super) files: BTreeMap<String, Stamp>,
    /// Files beyond the most that are looked at.
    pub(super) left_out: usize,
}

impl Look {
    /// The components among the files.
    pub(super) fn components(&self) -> BTreeSet<String> {
        self.files.keys().filter(|file| !file.ends_with(SIGNATURE)).cloned().collect()
    }

    /// Says where more is left out than before.
    pub(super) fn warn_of_left_out(&self, before: usize) {
        if self.left_out > before {
            tracing::warn!(
                left_out = self.left_out,
                limit = MAX_FILES,
                "the plugins folder holds too many files; the last ones are left out"
            );
        }
    }
}

/// Looks at the folder. One that isn't there is empty: the plugins that are configured say so themselves.
pub(super) fn look(folder: &Path, configured: &BTreeSet<String>) -> Result<Look, LoadError> {
    let unreadable = |cause| LoadError::Folder { folder: folder.to_owned(), cause };
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Look::default()),
        Err(error) => return Err(unreadable(error)),
    };
    let mut others = BTreeSet::new();
    for entry in entries {
        let Ok(name) = entry.map_err(unreadable)?.file_name().into_string() else {
            continue;
        };
        if name.ends_with(".wasm") && !name.starts_with('.') && !configured.contains(&name) {
            others.insert(name);
        }
    }
    let left_out = others.len().saturating_sub(MAX_FILES);
    let signatures = configured.iter().map(|file| format!("{file}{SIGNATURE}"));
    let names = others.into_iter().take(MAX_FILES).chain(configured.iter().cloned());
    let names = names.chain(signatures);
    let stamped = names.filter_map(|name| {
        let about = path(folder, &name).ok()?.metadata().ok()?;
        Some((name, Stamp::of(&about)))
    });
    Ok(Look { files: stamped.collect(), left_out })
}

/// Says of a file that nobody configured that it isn't used.
pub(super) fn tell_stray(file: &str) {
    let next = next_step(file, suggested_name(file, |_| false));
    tracing::info!(
        file = clean(file, 100),
        "plugins: a file isn't configured, so it isn't used; {next}"
    );
}

/// What makes a plugin of a file that nobody configured.
pub(super) fn next_step(file: &str, name: &str) -> String {
    let file = clean(file, 100);
    format!(
        "to use it, add to the configuration: [plugins.{name}] file = {file:?}; `sidenote plugin inspect` prints the whole table, with what it asks for"
    )
}

/// A name for the plugin of a file: its stem, where that can be one and is free.
pub(super) fn suggested_name(file: &str, is_taken: impl Fn(&str) -> bool) -> &str {
    let stem = file.strip_suffix(".wasm").unwrap_or(file);
    if is_name(stem) && !is_taken(stem) { stem } else { "NAME" }
}

/// Letters, digits, `-`, `_` and `.`: what needs no escaping in logs, addresses and TOML.
fn is_name(stem: &str) -> bool {
    !stem.is_empty() && stem.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
}

/// The file in the folder; a name that would lead out of it is refused.
pub(super) fn path(folder: &Path, file: &str) -> Result<PathBuf, AdmitError> {
    let mut parts = Path::new(file).components();
    match (parts.next(), parts.next()) {
        (Some(std::path::Component::Normal(name)), None) if name == file => Ok(folder.join(name)),
        _ => Err(AdmitError::BadFileName(clean(file, 100))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_nobody_configured_is_told_with_the_table_that_uses_it() {
        let is_taken = |name: &str| name == "bot";
        let cases = [
            ("other-1.wasm", "[plugins.other-1] file = \"other-1.wasm\""),
            ("bot.wasm", "[plugins.NAME] file = \"bot.wasm\""),
            ("a b.wasm", "[plugins.NAME] file = \"a b.wasm\""),
            (".wasm", "[plugins.NAME] file = \".wasm\""),
        ];
        for (file, wanted) in cases {
            let told = next_step(file, suggested_name(file, is_taken));
            assert!(told.contains(wanted), "{told}");
        }
        assert!(!next_step("x\n.wasm", "NAME").contains('\n'));
    }

    #[test]
    fn a_file_is_never_looked_for_outside_the_folder() {
        let folder = Path::new("/plugins");
        assert_eq!(path(folder, "a.wasm").unwrap(), Path::new("/plugins/a.wasm"));
        for file in ["", ".", "..", "../a.wasm", "a/b.wasm", "/etc/passwd", "./a.wasm", "a.wasm/"] {
            assert!(matches!(path(folder, file), Err(AdmitError::BadFileName(_))), "{file}");
        }
    }
}
