//! Takes over what is configured anew, while everything runs: all of it is loaded first, and then put in force at
//! once.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::error::AdmitError;
use super::folder;
use super::registry::Registry;
use super::slot::{Outcome, Slot};
use super::source::Stamp;
use crate::config::{Changes, Plugin as PluginConfig};
use crate::ids::PluginName;

/// Plugins that are loaded with what is configured for them, and not in force. Dropped, they were never there.
pub struct Prepared {
    registry: Arc<Registry>,
    loaded: Vec<(Arc<Slot>, Outcome)>,
    removed: Vec<PluginName>,
}

/// The files that plugins were loaded from, as they were before they were read.
pub struct Loaded(BTreeMap<String, Option<Stamp>>);

impl Registry {
    /// Loads the plugins that `changes` names as added or changed, with their `configured` settings, from their
    /// files as they are. What runs goes on.
    ///
    /// # Errors
    /// Every plugin that can't be used so, with the reason.
    pub async fn prepare(
        self: &Arc<Self>,
        changes: &Changes,
        configured: &BTreeMap<PluginName, PluginConfig>,
    ) -> Result<(Prepared, Loaded), Vec<(PluginName, AdmitError)>> {
        let mut by_file: BTreeMap<&str, Vec<Arc<Slot>>> = BTreeMap::new();
        for name in changes.to_load() {
            let Some((name, config)) = configured.get_key_value(name) else { continue };
            let slot = match self.slot(name) {
                Some(before) => before.succeeded_by(config.clone()),
                None => Slot::new(name.clone(), config.clone()),
            };
            by_file.entry(&config.file).or_default().push(slot);
        }
        let stamps = by_file.keys().map(|file| ((*file).to_owned(), stamp(&self.folder, file)));
        let files = Loaded(stamps.collect());
        let loading = by_file.into_iter().map(|(file, users)| self.load_file(file, users));
        let outcomes = futures_util::future::join_all(loading).await;
        let (mut loaded, mut failures) = (Vec::new(), Vec::new());
        for (slot, outcome) in outcomes.into_iter().flatten() {
            match outcome {
                Outcome::Refused(error) => failures.push((slot.name.clone(), error)),
                Outcome::Loaded(_) | Outcome::Same => loaded.push((slot, outcome)),
            }
        }
        if !failures.is_empty() {
            return Err(failures);
        }
        let removed = changes.removed.iter().map(|name| PluginName::from(name.as_str())).collect();
        Ok((Prepared { registry: self.clone(), loaded, removed }, files))
    }

    /// Has those files loaded again that changed since: while they were loaded, whoever watches the folder
    /// didn't know who uses them.
    pub fn look_again(&self, loaded: &Loaded) {
        for (file, before) in &loaded.0 {
            if stamp(&self.folder, file) != *before {
                self.want(file);
            }
        }
    }
}

impl Prepared {
    /// Puts them in the place of what ran under their names. Calls under way finish on that.
    pub fn put_in_force(self) {
        let Self { registry, loaded, removed } = self;
        for (slot, outcome) in loaded {
            slot.settle(outcome, &registry.reloads);
            if let Some(before) = registry.add(slot) {
                before.retire();
            }
        }
        for name in removed {
            if let Some(before) = registry.remove(&name) {
                before.retire();
            }
        }
        registry.progressed();
        registry.shadows.follow();
    }
}

fn stamp(folder: &Path, file: &str) -> Option<Stamp> {
    let about = folder::path(folder, file).ok()?.metadata().ok()?;
    Some(Stamp::of(&about))
}
