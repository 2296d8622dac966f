//! The plugins folder: which files are plugins, and under which name.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::admit::AdmitError;
use super::clean::clean;
use super::registry::LoadError;
use crate::config::{Breaker, Plugin as PluginConfig, PluginLimits};
use crate::ids::PluginName;

/// Most files of the folder that are looked at.
const MAX_FILES: usize = 256;

/// The file names of the folder that end in `.wasm`. A folder that isn't there is empty: the plugins
/// that are configured say so themselves.
pub(super) fn files(folder: &Path) -> Result<BTreeSet<String>, LoadError> {
    let unreadable = |cause| LoadError::Folder { folder: folder.to_owned(), cause };
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(BTreeSet::new()),
        Err(error) => return Err(unreadable(error)),
    };
    let mut names = BTreeSet::new();
    for entry in entries {
        let Ok(name) = entry.map_err(unreadable)?.file_name().into_string() else {
            continue;
        };
        if name.ends_with(".wasm") && !name.starts_with('.') {
            names.insert(name);
        }
    }
    let over = names.len().saturating_sub(MAX_FILES);
    if over > 0 {
        tracing::warn!(
            over,
            limit = MAX_FILES,
            "the plugins folder holds too many files; the last ones are left out"
        );
    }
    Ok(names.into_iter().take(MAX_FILES).collect())
}

/// What is configured, and a bare use of every file that isn't.
pub(super) fn wanted(
    plugins: &BTreeMap<PluginName, PluginConfig>,
    files: BTreeSet<String>,
) -> BTreeMap<PluginName, PluginConfig> {
    let mut wanted = plugins.clone();
    for file in files {
        let used = plugins.values().any(|plugin| plugin.file == file);
        let Some(stem) = file.strip_suffix(".wasm").filter(|_| !used) else {
            continue;
        };
        if !is_name(stem) {
            let file = clean(&file, 100);
            tracing::warn!(
                file,
                "this file name can't be a plugin's name; rename it, or name it in `file`"
            );
            continue;
        }
        wanted.entry(stem.into()).or_insert_with(|| bare(file.clone()));
    }
    wanted
}

/// Letters, digits, `-`, `_` and `.`: what needs no escaping in logs, addresses and TOML.
fn is_name(stem: &str) -> bool {
    !stem.is_empty() && stem.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
}

/// A plugin that nobody configured: it may compute, and reach nothing.
fn bare(file: String) -> PluginConfig {
    PluginConfig {
        file,
        config: BTreeMap::new(),
        secrets: BTreeMap::new(),
        hosts: Vec::new(),
        allow_private: false,
        limits: PluginLimits::default(),
        breaker: Breaker::default(),
    }
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
        let configured = [("bot".into(), bare("webhook.wasm".to_owned()))].into();
        let files = ["webhook.wasm", "other-1.wasm", "bot.wasm", ".wasm", "a b.wasm", "x\n.wasm"];
        let wanted = wanted(&configured, files.map(str::to_owned).into());
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
