//! What a start would say of a plugin's file and its configuration, without compiling anything.

use std::fmt;
use std::path::Path;

use super::component_info::{ComponentInfo, OwnImports};
use super::error::AdmitError;
use super::exports::{Interface, roles_of};
use super::loader::{admissible, check_pin};
use super::manifest::{self, Manifest, Messenger, Mismatch};
use super::place::Place;
use super::pulled::Kept;
use super::source::Source;
use crate::config::{Config, Plugin as PluginConfig, Supply};
use crate::ids::PluginName;
use crate::outbox::sink_delivery::Roles;

/// Something that a start would say of a plugin. Its text says what to do, with TOML to paste where that is
/// it.
#[derive(Debug)]
pub enum Finding {
    /// The plugin won't run.
    Refused(AdmitError),
    /// It was never pulled on this machine: a start asks this registry for it. Nothing else is known of it.
    ToBePulled(String),
    /// It will run, and can't do what it is for: nothing that it asks for is granted, or a secret that it
    /// needs isn't set.
    Useless(Mismatch),
    /// It will run, without a part of what it asks for or with grants that open nothing.
    Odd(Mismatch),
    /// It will run and do all that it is for.
    Harmless(Mismatch),
}

impl Finding {
    /// Whether it is to be put right before the plugin is of any use.
    pub fn is_problem(&self) -> bool {
        match self {
            Self::Refused(_) | Self::Useless(_) => true,
            Self::ToBePulled(_) | Self::Odd(_) | Self::Harmless(_) => false,
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(error) => error.fmt(f),
            Self::ToBePulled(host) => write!(
                f,
                "it was never pulled on this machine, so what it asks for isn't known; the start pulls it from {host}"
            ),
            Self::Useless(mismatch) | Self::Odd(mismatch) | Self::Harmless(mismatch) => {
                mismatch.fmt(f)
            }
        }
    }
}

/// Reads a plugin's file and holds its manifest against its configuration, in the order of a start: what
/// would refuse it ends the review. Waits for the disk.
pub fn review(config: &Config, name: &PluginName, plugin: &PluginConfig) -> Vec<Finding> {
    let place = match &plugin.registry {
        None => Place::file(config.plugin_path(plugin)),
        Some(pinned) => {
            let kept = Kept::at(config.cache.pulled());
            let Some(layer) = kept.find(pinned) else {
                return vec![Finding::ToBePulled(pinned.reference.host.clone())];
            };
            Place::kept(&kept, pinned, layer)
        }
    };
    mismatches(&place, &config.supply, name, plugin)
        .unwrap_or_else(|refused| vec![Finding::Refused(refused)])
}

/// What the plugin of a file can do with what people do, by its exports' names; `None` for a file that
/// can't be read. Waits for the disk.
pub fn roles(path: &Path) -> Option<Roles> {
    let source = Source::read(path).ok()?;
    Some(roles_of(&ComponentInfo::of(&source.bytes).ok()?.interfaces()))
}

/// Whether the plugin of a file can redact notes, by its exports' names; `None` for a file that can't be
/// read. Waits for the disk.
pub fn exports_redactor(path: &Path) -> Option<bool> {
    let source = Source::read(path).ok()?;
    let exports = ComponentInfo::of(&source.bytes).ok()?.interfaces();
    Some(exports.iter().any(|name| name == Interface::Redactor.full()))
}

/// Whether the plugin of a file is a source, by its exports' names; `None` for a file that can't be read. Waits for the
/// disk.
pub fn exports_source(path: &Path) -> Option<bool> {
    let source = Source::read(path).ok()?;
    let exports = ComponentInfo::of(&source.bytes).ok()?.interfaces();
    Some(exports.iter().any(|name| name == Interface::Source.full()))
}

/// What a component imports that needs a grant by its name, as far as it can be read.
pub fn own_imports(component: &[u8]) -> OwnImports {
    ComponentInfo::of(component).map(|info| info.own_imports()).unwrap_or_default()
}

/// What the plugin of a file can say to a person, as it is configured; `None` for a file that can't be read. Waits for
/// the disk.
pub fn messenger(path: &Path, config: &PluginConfig) -> Option<Messenger> {
    let source = Source::read(path).ok()?;
    let exports = ComponentInfo::of(&source.bytes).ok()?.interfaces();
    let is_exported = exports.iter().any(|name| name == Interface::Messenger.full());
    let manifest = Manifest::read(&source.bytes).ok()?;
    Some(Messenger::of(is_exported, manifest.as_ref(), &config.config))
}

fn mismatches(
    place: &Place,
    supply: &Supply,
    name: &PluginName,
    config: &PluginConfig,
) -> Result<Vec<Finding>, AdmitError> {
    let source = admissible(place, supply)?;
    check_pin(&source, config)?;
    let manifest = Manifest::read(&source.bytes)?;
    if let Some(manifest) = &manifest {
        manifest.validate(&config.config)?;
    }
    let effective = manifest::effective(name, config, manifest.as_ref())?;
    let imports = manifest::imports_not_granted(name, config, own_imports(&source.bytes));
    let judge = |mismatch: Mismatch| match manifest.as_ref() {
        Some(manifest) if is_useless(&mismatch, manifest) => Finding::Useless(mismatch),
        Some(_) | None if mismatch.is_harmless() => Finding::Harmless(mismatch),
        Some(_) | None => Finding::Odd(mismatch),
    };
    Ok(effective.mismatches.into_iter().chain(imports).map(judge).collect())
}

/// Whether nothing is left of what was asked for. An operator may well grant one host of several: those of
/// the region that is used.
fn is_useless(mismatch: &Mismatch, manifest: &Manifest) -> bool {
    match mismatch {
        Mismatch::HostsNotGranted { hosts, .. } => hosts.len() == manifest.hosts.len(),
        Mismatch::SecretNotGranted { name, hosts, .. } => {
            manifest.secrets.get(name).is_some_and(|ask| hosts.len() == ask.hosts.len())
        }
        Mismatch::SecretNotSet { optional, .. } => !optional,
        Mismatch::NoManifest
        | Mismatch::KvNotGranted { .. }
        | Mismatch::TimerNotGranted { .. }
        | Mismatch::WebhooksRefused { .. }
        | Mismatch::PeopleUnverified { .. }
        | Mismatch::HostNotAsked { .. }
        | Mismatch::SecretNotAsked { .. }
        | Mismatch::SecretHostNotAsked { .. } => false,
    }
}
