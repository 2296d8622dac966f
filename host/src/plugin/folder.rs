//! The plugins folder: which files are plugins, and under which name.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::admit::AdmitError;
use super::clean::clean;
use super::registry::LoadError;
use super::source::Stamp;
use crate::config::Plugin as PluginConfig;
use crate::ids::PluginName;

/// Most files of the folder that are looked at.
const MAX_FILES: usize = 256;

/// A look at the folder.
#[derive(Debug, Default)]
pub(super) struct Look {
    /// The files whose names end in `.wasm`, and those that are configured.
    pub(super) files: BTreeMap<String, Stamp>,
    /// Files for which there is no room.
    pub(super) left_out: usize,
}

impl Look {
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
    let names = others.into_iter().take(MAX_FILES).chain(configured.iter().cloned());
    let stamped = names.filter_map(|name| {
        let about = path(folder, &name).ok()?.metadata().ok()?;
        Some((name, Stamp::of(&about)))
    });
    Ok(Look { files: stamped.collect(), left_out })
}

/// What is configured, and a bare use of every file that isn't.
pub(super) fn wanted<'a>(
    plugins: &BTreeMap<PluginName, PluginConfig>,
    files: impl Iterator<Item = &'a String>,
) -> BTreeMap<PluginName, PluginConfig> {
    let mut wanted = plugins.clone();
    for file in files.filter(|file| !plugins.values().any(|plugin| plugin.file == **file)) {
        if let Some((name, config)) = bare_use(file) {
            wanted.entry(name).or_insert(config);
        }
    }
    wanted
}

/// The use of a file that nobody configured, under its stem: it may compute, and reach nothing.
pub(super) fn bare_use(file: &str) -> Option<(PluginName, PluginConfig)> {
    let stem = file.strip_suffix(".wasm")?;
    if !is_name(stem) {
        let file = clean(file, 100);
        tracing::warn!(
            file,
            "this file name can't be a plugin's name; rename it, or name it in `file`"
        );
        return None;
    }
    Some((stem.into(), PluginConfig::of(file)))
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
    fn a_file_that_nobody_configured_gets_its_stem_as_name() {
        let configured = [("bot".into(), PluginConfig::of("webhook.wasm"))].into();
        let files = ["webhook.wasm", "other-1.wasm", "bot.wasm", ".wasm", "a b.wasm", "x\n.wasm"];
        let files = files.map(str::to_owned);
        let wanted = wanted(&configured, files.iter());
        let names: Vec<_> = wanted.iter().map(|(name, plugin)| (&**name, &*plugin.file)).collect();
        assert_eq!(names, [("bot", "webhook.wasm"), ("other-1", "other-1.wasm")]);
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
