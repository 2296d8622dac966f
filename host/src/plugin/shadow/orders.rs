//! What people order of shadows, and how a shadow follows changes of its plugin.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::files::{Folder, Kept};
use super::shadows::{Entry, Running, ShadowReport, Stage};
use super::sums::ShadowTotals;
use super::watch::Comparison;
use super::worker::{self, Versions};
use crate::config::Sha256;
use crate::ids::PluginName;
use crate::plugin::blocking::{Ended, on_thread};
use crate::plugin::error::AdmitError;
use crate::plugin::manifest::{self, Manifest, Mismatch};
use crate::plugin::place::Place;
use crate::plugin::pool::{Pool, Shared};
use crate::plugin::registry::Registry;
use crate::plugin::review;
use crate::plugin::slot::{Outcome, Slot};
use crate::plugin::source::{self, Source};
use crate::plugin::{folder, signed};

/// How long the disk may take.
const DISK: Duration = Duration::from_secs(30);

/// Why a shadow isn't started, promoted or dropped.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ShadowError {
    /// No plugin has this name.
    #[error("shadow: no plugin of this name is configured")]
    Unknown,
    /// The plugin doesn't run.
    #[error(
        "shadow: the plugin itself doesn't run, so there are no calls to compare; see `sidenote plugin list`"
    )]
    NotRunning,
    /// It has one.
    #[error("shadow: the plugin has one already; promote it or drop it first")]
    Exists,
    /// It has none.
    #[error("shadow: the plugin has none; `sidenote plugin shadow NAME FILE` starts one")]
    None,
    /// The new version can't be used.
    #[error("shadow: the new version can't be used: {0}")]
    Component(#[from] AdmitError),
    /// It is what runs.
    #[error("shadow: this is the version that runs")]
    Same,
    /// It wants more than the plugin is granted.
    #[error("shadow: the new version asks for more than the plugin is granted; nothing was started. {}", .0.join("\n"))]
    AsksMore(Vec<String>),
    /// There is no folder to keep it in.
    #[error("shadow: there is no folder to keep it in; set `cache_folder`")]
    Nowhere,
    /// It can't be kept.
    #[error(
        "shadow: it can't be kept: {0}; look at the disk and the permissions of `cache_folder`"
    )]
    NotKept(String),
    /// It can't be put in the place of the plugin's file.
    #[error(
        "shadow: it can't be put in the place of the plugin's file: {0}. Everything is as it was; look at the permissions of `plugins_folder`, or copy the file there yourself"
    )]
    NotPlaced(String),
    /// Nothing was compared yet.
    #[error("shadow: it isn't compared yet; wait until its state is `comparing`")]
    NotComparing,
    /// The plugin's file is in a registry.
    #[error(
        "shadow: the plugin's component comes from a registry; push the new version there, and write its digest into `file` of [plugins.{0}]"
    )]
    OfRegistry(PluginName),
    /// The plugin's file is pinned.
    #[error(
        "shadow: `sha256` in [plugins.{plugin}] pins the version that runs; write {sha256} there, put the new file in its place, then `sidenote reload`"
    )]
    Pinned {
        /// The plugin.
        plugin: PluginName,
        /// The hash of the new version.
        sha256: Sha256,
    },
    /// Others use the file, too.
    #[error("shadow: {} use the same file, and would be changed with it; name another `file` in one of the tables", .0.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" and "))]
    Shared(Vec<PluginName>),
}

impl ShadowError {
    /// In a word.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unknown => "unknown_plugin",
            Self::NotRunning => "not_running",
            Self::Exists => "shadow_exists",
            Self::None => "no_shadow",
            Self::Component(_) => "component",
            Self::Same => "same_version",
            Self::AsksMore(_) => "asks_more",
            Self::Nowhere => "nowhere_kept",
            Self::NotKept(_) => "not_kept",
            Self::NotPlaced(_) => "not_placed",
            Self::NotComparing => "not_comparing",
            Self::OfRegistry(_) => "of_registry",
            Self::Pinned { .. } => "pinned",
            Self::Shared(_) => "shared_file",
        }
    }
}

/// A shadow that took its plugin's place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Promoted {
    /// The version that ran, in short.
    pub before: String,
    /// The one that runs.
    pub version: String,
}

impl Registry {
    /// Starts a shadow of a plugin: a file of the plugins folder, which is checked as if it were to run. It is compared as
    /// soon as it is compiled.
    ///
    /// # Errors
    /// Nothing was started.
    pub async fn shadow(&self, plugin: &str, file: &str) -> Result<ShadowReport, ShadowError> {
        let _changing = self.shadows.changing.lock().await;
        let slot = self.slot(plugin).ok_or(ShadowError::Unknown)?;
        let live = slot.pool().map_err(|_| ShadowError::NotRunning)?;
        if self.shadows.plugins().contains(&slot.name) {
            return Err(ShadowError::Exists);
        }
        let shadows = self.shadow_folder().ok_or(ShadowError::Nowhere)?;
        let place = Place::file(folder::path(&self.folder, file)?);
        let (Source { bytes, version }, _) = self.loader.read(&place).await?;
        if version == live.version() {
            return Err(ShadowError::Same);
        }
        let asked = asked_by(&slot, &bytes)?;
        let more = more(&asked, &live.ground().unmet);
        if !more.is_empty() {
            return Err(ShadowError::AsksMore(more));
        }
        let started_at = self.clock().now().as_secs_f64();
        let kept = shadows.kept(slot.name.clone(), version, started_at);
        let (keeper, what) = (shadows, kept.clone());
        on_disk(move || {
            let signature = signed::read(&signed::beside(&place.path)).ok();
            keeper.keep(&what, &bytes, signature.as_deref())
        })
        .await?
        .map_err(|error| ShadowError::NotKept(error.to_string()))?;
        self.shadows.put(&slot.name, Entry { kept, stage: Stage::Compiling, word: None });
        tracing::info!(
            plugin,
            version = source::short(version),
            "shadow: a new version is tried on live calls; nothing of it leaves"
        );
        self.shadows.follow();
        self.shadow_report(plugin).ok_or(ShadowError::None)
    }

    /// How the shadow of a plugin is, or the last one since the start was.
    pub fn shadow_report(&self, plugin: &str) -> Option<ShadowReport> {
        self.shadows.report(plugin)
    }

    /// The totals of the shadows that compare.
    pub fn shadow_totals(&self) -> Vec<(PluginName, ShadowTotals)> {
        self.shadows.totals()
    }

    /// Has the version that is compared take its plugin's place, as if its file were replaced.
    ///
    /// # Errors
    /// Everything is as it was.
    pub async fn promote_shadow(&self, plugin: &str) -> Result<Promoted, ShadowError> {
        let _changing = self.shadows.changing.lock().await;
        let slot = self.slot(plugin).ok_or(ShadowError::Unknown)?;
        let there = self.shadows.look(plugin, |entry| {
            let is_comparing = matches!(entry.stage, Stage::Comparing(_));
            let is_there = !matches!(entry.stage, Stage::Ended);
            (entry.kept.clone(), is_there, is_comparing)
        });
        let (kept, is_comparing) = match there {
            Some((kept, true, is_comparing)) => (kept, is_comparing),
            Some((_, false, _)) | None => return Err(ShadowError::None),
        };
        let name = &slot.name;
        if slot.config.registry.is_some() {
            return Err(ShadowError::OfRegistry(name.clone()));
        }
        if slot.config.sha256.is_some() {
            return Err(ShadowError::Pinned { plugin: name.clone(), sha256: kept.sha256 });
        }
        let file = slot.config.file.clone();
        let users = self.users(&file);
        if users.len() > 1 {
            return Err(ShadowError::Shared(users.iter().map(|it| it.name.clone()).collect()));
        }
        if !is_comparing {
            return Err(ShadowError::NotComparing);
        }
        let before = slot.pool().map_err(|_| ShadowError::NotRunning)?.version();
        let shadows = self.shadow_folder().ok_or(ShadowError::Nowhere)?;
        let (promoted, target) = (kept.sha256, file.clone());
        on_disk(move || shadows.promote(&kept, &target))
            .await?
            .map_err(|error| ShadowError::NotPlaced(error.to_string()))?;
        let mut refused = None;
        for (slot, outcome) in self.load_file(&file, users).await {
            if let Outcome::Refused(error) = &outcome {
                refused = Some(error.clone());
            }
            slot.settle(outcome, &self.reloads);
        }
        self.progressed();
        if let Some(error) = refused {
            // It was admitted with the same settings before: something changed meanwhile, and what runs goes on.
            self.shadows.become_(plugin, Stage::Ended, Some(error.to_string()));
            return Err(error.into());
        }
        let version = source::short(promoted);
        let word = format!("it was promoted: version {version} runs");
        self.shadows.become_(plugin, Stage::Ended, Some(word));
        let before = source::short(before);
        tracing::info!(plugin, version, before, "shadow: it was promoted, and runs");
        Ok(Promoted { before, version })
    }

    /// Ends the shadow of a plugin, and removes what is kept of it.
    ///
    /// # Errors
    /// There is none, or it can't be removed.
    pub async fn drop_shadow(&self, plugin: &str) -> Result<(), ShadowError> {
        let _changing = self.shadows.changing.lock().await;
        let is_there = self.shadows.look(plugin, |entry| !matches!(entry.stage, Stage::Ended));
        if is_there != Some(true) {
            return Err(ShadowError::None);
        }
        self.remove_kept(plugin).await?;
        self.shadows.forget(plugin);
        tracing::info!(plugin, "shadow: it was dropped");
        Ok(())
    }

    /// Does what was cut off of a promotion by the end of the process before. Called before a plugin is read.
    pub fn finish_promotions(&self) {
        if let Some(folder) = self.shadow_folder() {
            folder.finish();
        }
    }

    /// Works on the shadows until it is told to stop: goes on with those that there were before a restart once the plugins
    /// run, and has each follow what its plugin becomes.
    pub async fn run_shadows(&self, stop: CancellationToken) {
        let always = async {
            self.resume_shadows().await;
            loop {
                self.follow_shadows().await;
                self.shadows.changed.notified().await;
            }
        };
        stop.run_until_cancelled(always).await;
        self.shadows.rest();
    }

    async fn resume_shadows(&self) {
        let Some(folder) = self.shadow_folder() else { return };
        let Ok(all) = on_disk(move || folder.all()).await else { return };
        {
            let _changing = self.shadows.changing.lock().await;
            for kept in all {
                let name = kept.plugin.clone();
                // One that was started meanwhile is there.
                if self.shadows.look(&name, |_| ()).is_none() {
                    self.shadows.put(&name, Entry { kept, stage: Stage::Compiling, word: None });
                }
            }
        }
        self.loaded().await;
    }

    /// Has every shadow be of its plugin as that is now.
    async fn follow_shadows(&self) {
        if self.shadows.plugins().is_empty() {
            return;
        }
        let _changing = self.shadows.changing.lock().await;
        for plugin in self.shadows.plugins() {
            self.follow_shadow(&plugin).await;
        }
    }

    async fn follow_shadow(&self, plugin: &PluginName) {
        let Some(slot) = self.slot(plugin) else {
            return self.end_shadow(plugin, "its plugin was removed from the configuration").await;
        };
        let Ok(live) = slot.pool() else {
            let word = "the plugin itself doesn't run; it goes on when that does";
            return self.shadows.become_(plugin, Stage::Waiting, Some(word.to_owned()));
        };
        let looked = self.shadows.look(plugin, |entry| match &entry.stage {
            Stage::Comparing(running) => {
                let is_same =
                    running.comparison.live == live.version() && Arc::ptr_eq(&running.slot, &slot);
                (entry.kept.clone(), is_same, true)
            }
            Stage::Compiling | Stage::Waiting | Stage::Ended => (entry.kept.clone(), false, false),
        });
        let Some((kept, is_same, was_comparing)) = looked else { return };
        if is_same {
            return;
        }
        if kept.sha256 == live.version() {
            return self.end_shadow(plugin, "it is the version that runs").await;
        }
        let version = source::short(live.version());
        let word = was_comparing.then(|| {
            format!("the plugin was reloaded (version {version}): calls are compared anew since")
        });
        if let Some(word) = &word {
            tracing::info!(%plugin, "shadow: {word}");
        }
        self.shadows.become_(plugin, Stage::Compiling, word.clone());
        match self.start_shadow(&slot, live, &kept).await {
            Ok(running) => {
                tracing::info!(%plugin, version = source::short(kept.sha256), live = version, "shadow: live calls are compared");
                self.shadows.become_(plugin, Stage::Comparing(running), word);
            }
            Err(error) => self.end_shadow(plugin, &error.to_string()).await,
        }
    }

    /// Compiles it, and has live calls compared from here on.
    async fn start_shadow(
        &self,
        slot: &Arc<Slot>,
        live: Arc<Pool>,
        kept: &Kept,
    ) -> Result<Running, ShadowError> {
        let folder = self.shadow_folder().ok_or(ShadowError::Nowhere)?;
        let place = Place::file(folder.component(&kept.plugin));
        let capacity = self.loader.capacity().await;
        let (source, _) = self.loader.read(&place).await?;
        if source.version != kept.sha256 {
            return Err(AdmitError::Changing.into());
        }
        let compiled = match self.loader.cached(&source).await? {
            Some(compiled) => compiled,
            None => {
                let turn = self.loader.turn().await;
                self.loader.compile(source, turn).await?
            }
        };
        drop(capacity);
        compiled.check_settings(&slot.config)?;
        let shared = Arc::new(Shared::new(1));
        let new = self.loader.pool(&compiled, &slot.name, &slot.config, shared, true);
        let new = Arc::new(new.await?);
        let more = more(&new.ground().unmet, &live.ground().unmet);
        if !more.is_empty() {
            return Err(ShadowError::AsksMore(more));
        }
        let exported: BTreeSet<_> = new.admitted().interfaces().into_iter().collect();
        let missing = live.admitted().interfaces().into_iter();
        let missing = missing.filter(|name| !exported.contains(name)).map(str::to_owned);
        let missing_exports = missing.collect();
        let (comparison, recordings) = Comparison::of(live.version());
        let (stop, store) = (CancellationToken::new(), self.store().map(Arc::downgrade));
        let versions = Versions { new, live, store };
        worker::start(comparison.clone(), recordings, versions, stop.clone())
            .map_err(|error| AdmitError::Read(error.to_string()))?;
        let since = self.clock().now().as_secs_f64();
        Ok(Running { comparison, slot: slot.clone(), since, missing_exports, stop })
    }

    async fn end_shadow(&self, plugin: &PluginName, word: &str) {
        tracing::warn!(%plugin, "shadow: it ended: {word}");
        self.shadows.become_(plugin, Stage::Ended, Some(word.to_owned()));
        if let Err(error) = self.remove_kept(plugin).await {
            tracing::warn!(%plugin, "shadow: what is kept of it can't be removed: {error}");
        }
    }

    async fn remove_kept(&self, plugin: &str) -> Result<(), ShadowError> {
        let folder = self.shadow_folder().ok_or(ShadowError::Nowhere)?;
        let plugin = plugin.to_owned();
        let removed = on_disk(move || folder.remove(&plugin)).await?;
        removed.map_err(|error| ShadowError::NotKept(error.to_string()))
    }

    fn shadow_folder(&self) -> Option<Folder> {
        Some(Folder::at(self.loader.shadows()?.to_owned(), &self.folder))
    }
}

/// What a component asks for and a plugin isn't granted.
fn asked_by(slot: &Slot, component: &[u8]) -> Result<Vec<Mismatch>, AdmitError> {
    let manifest = Manifest::read(component)?;
    if let Some(manifest) = &manifest {
        manifest.validate(&slot.config.config)?;
    }
    let effective = manifest::effective(&slot.name, &slot.config, manifest.as_ref())?;
    let imports = review::own_imports(component);
    let imports = manifest::imports_not_granted(&slot.name, &slot.config, imports);
    Ok(effective.mismatches.into_iter().chain(imports).collect())
}

/// What the new version isn't granted, but for what the one that runs isn't granted either: an operator who left a host
/// out did so for both.
fn more(new: &[Mismatch], live: &[Mismatch]) -> Vec<String> {
    let hosts_before = || {
        live.iter().flat_map(|mismatch| match mismatch {
            Mismatch::HostsNotGranted { hosts, .. } => hosts.as_slice(),
            Mismatch::NoManifest
            | Mismatch::KvNotGranted { .. }
            | Mismatch::TimerNotGranted { .. }
            | Mismatch::HostNotAsked { .. }
            | Mismatch::SecretNotSet { .. }
            | Mismatch::WebhooksRefused { .. }
            | Mismatch::PeopleUnverified { .. }
            | Mismatch::SecretNotGranted { .. }
            | Mismatch::SecretNotAsked { .. }
            | Mismatch::SecretHostNotAsked { .. } => &[],
        })
    };
    let known = |mismatch: &Mismatch| match mismatch {
        Mismatch::HostsNotGranted { hosts, .. } => {
            hosts.iter().all(|host| hosts_before().any(|before| before == host))
        }
        Mismatch::SecretNotGranted { name, hosts, .. } => live.iter().any(|it| {
            matches!(it, Mismatch::SecretNotGranted { name: of, hosts: before, .. }
                if of == name && hosts.iter().all(|host| before.contains(host)))
        }),
        Mismatch::SecretNotSet { name, optional, .. } => {
            let is_of =
                |it: &Mismatch| matches!(it, Mismatch::SecretNotSet { name: of, .. } if of == name);
            *optional || live.iter().any(is_of)
        }
        Mismatch::KvNotGranted { .. } | Mismatch::TimerNotGranted { .. } => live.contains(mismatch),
        Mismatch::NoManifest
        | Mismatch::HostNotAsked { .. }
        | Mismatch::WebhooksRefused { .. }
        | Mismatch::PeopleUnverified { .. }
        | Mismatch::SecretNotAsked { .. }
        | Mismatch::SecretHostNotAsked { .. } => true,
    };
    new.iter().filter(|mismatch| !known(mismatch)).map(ToString::to_string).collect()
}

async fn on_disk<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, AdmitError> {
    match on_thread("plugin-shadow-disk", DISK, work).await? {
        Ended::Done(done) => Ok(done),
        Ended::Panicked => Err(AdmitError::Read("work on the disk failed".to_owned())),
        Ended::TooLate => Err(AdmitError::Read(format!("the disk took longer than {DISK:?}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(hosts: &[&str]) -> Mismatch {
        let hosts = hosts.iter().map(|host| (*host).to_owned()).collect();
        Mismatch::HostsNotGranted { hosts, toml: "hosts".to_owned() }
    }

    fn not_set(name: &str, optional: bool) -> Mismatch {
        let (name, description) = (name.to_owned(), String::new());
        Mismatch::SecretNotSet { name, description, optional, toml: "secret".to_owned() }
    }

    #[test]
    fn what_the_version_that_runs_isnt_granted_either_is_no_more() {
        let live = [hosts(&["a.example", "b.example"]), not_set("old", false)];
        assert!(more(&[hosts(&["a.example"]), not_set("old", false)], &live).is_empty());
        assert!(more(&[Mismatch::NoManifest, not_set("new", true)], &live).is_empty());
        for asks in [
            hosts(&["a.example", "c.example"]),
            not_set("new", false),
            Mismatch::KvNotGranted { toml: "kv".to_owned() },
            Mismatch::TimerNotGranted { toml: "timer".to_owned() },
        ] {
            let told = more(std::slice::from_ref(&asks), &live);
            assert_eq!(told, [asks.to_string()]);
        }
    }
}
