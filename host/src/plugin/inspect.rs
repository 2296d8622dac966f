//! What a component is, asks for, and whether this host would take it; without a configuration.

use std::path::Path;
use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;

use super::clean::clean;
use super::compiler::Compiler;
use super::component_info::ComponentInfo;
use super::error::{AdmitError, LoadError};
use super::exports::Interface;
use super::kind;
use super::loader::Loader;
use super::manifest::{self, Manifest};
use super::pool::Shared;
use super::source::{self, Source};
use crate::config::Plugin as PluginConfig;
use crate::egress::Network;
use crate::ids::PluginName;

const MAX_NAME_BYTES: usize = 200;

/// What a component is. All text of the file in it is cleaned and bounded.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Inspection {
    /// The file's name.
    pub file: String,
    /// Its size, in bytes.
    pub size: u64,
    /// Its SHA-256, in hex, as `sha256` in `[plugins.NAME]` takes it.
    pub sha256: String,
    /// What it exports.
    pub exports: Exports,
    /// What it imports.
    pub imports: Imports,
    /// Its manifest; `None` where it has none, or one that can't be used.
    #[serde(serialize_with = "cleaned")]
    pub manifest: Option<Manifest>,
    /// What it asks for, as a configuration to paste.
    pub toml: String,
    /// Why this host wouldn't take it, with the stage and the next step; `None` where it would.
    pub refused: Option<String>,
}

/// What a component exports.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Exports {
    /// The interfaces that this host calls, by their short names.
    pub known: Vec<&'static str>,
    /// Everything else.
    pub unknown: Vec<String>,
}

/// What a component imports.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Imports {
    /// Of `sidenote:plugin`.
    pub sidenote: Vec<String>,
    /// Of WASI.
    pub wasi: Vec<String>,
    /// Everything else: no host has it.
    pub other: Vec<String>,
}

/// Reads a component and tries it out as [`Registry::load`](super::Registry::load) would, with default
/// limits and nothing granted.
///
/// # Errors
/// The file can't be read, or nothing at all can be tried on this machine.
pub async fn inspect(path: &Path) -> Result<Inspection, InspectError> {
    inspect_by(Compiler::in_process(), path).await
}

/// As [`inspect`], with another compiler.
///
/// # Errors
/// As [`inspect`].
pub async fn inspect_by(compiler: Compiler, path: &Path) -> Result<Inspection, InspectError> {
    let bytes = source::read(path)?;
    let file = path.file_name().unwrap_or_default().to_string_lossy();
    let (size, sha256) = (bytes.len() as u64, source::sha256(&bytes).to_string());
    // What can't be read has no parts, and the reason stands in `refused`.
    let component_info = ComponentInfo::of(&bytes).unwrap_or_default();
    let manifest = Manifest::read(&bytes).ok().flatten();
    let (exports, imports) = (exports(&component_info), imports(&component_info));
    let name = plugin_name(&file, manifest.as_ref());
    let own = component_info.own_imports();
    let toml = manifest::toml(&name, &clean(&file, 100), &sha256, (manifest.as_ref(), own));
    let loader = Loader::new(None, compiler, Network::new())?;
    let refused = try_out(&loader, bytes).await.err().map(|error| error.to_string());
    let file = clean(&file, MAX_NAME_BYTES);
    Ok(Inspection { file, size, sha256, exports, imports, manifest, toml, refused })
}

/// The names of what a component exports and imports, as it has them; nothing is compiled.
///
/// # Errors
/// It is no component.
pub fn names_of(bytes: &[u8]) -> Result<(Vec<String>, Vec<String>), AdmitError> {
    let kept = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    kind::look(bytes)?;
    let component_info =
        ComponentInfo::of(bytes).map_err(|error| AdmitError::Compile(error.to_string()))?;
    Ok((kept(&component_info.exports), kept(&component_info.imports)))
}

/// Why there is nothing to tell of a file.
#[derive(Debug, thiserror::Error)]
pub enum InspectError {
    /// The file can't be read.
    #[error(transparent)]
    Read(#[from] AdmitError),
    /// Nothing can be tried out here.
    #[error(transparent)]
    Load(#[from] LoadError),
}

/// Compile, link, probe, trial.
async fn try_out(loader: &Loader, bytes: Vec<u8>) -> Result<(), AdmitError> {
    let compiled = loader.compile(Source::of(bytes)?, loader.turn().await).await?;
    let (name, config) = (PluginName::from("inspected"), PluginConfig::of("inspected.wasm"));
    let shared = Arc::new(Shared::new(1));
    loader.pool(&compiled, &name, &config, shared, false).await.map(drop)
}

fn exports(component_info: &ComponentInfo<'_>) -> Exports {
    let known = |name: &&str| Interface::ALL.iter().any(|interface| interface.full() == *name);
    let has = |interface: &&Interface| component_info.exports.contains(&interface.full());
    Exports {
        known: Interface::ALL.iter().filter(has).map(|interface| interface.short()).collect(),
        unknown: names(component_info.exports.iter().filter(|name| !known(name))),
    }
}

fn imports(component_info: &ComponentInfo<'_>) -> Imports {
    let of =
        |wanted: fn(&str) -> bool| names(component_info.imports.iter().filter(|it| wanted(it)));
    Imports {
        sidenote: of(is_ours),
        wasi: of(|name| name.starts_with("wasi:")),
        other: of(|name| !is_ours(name) && !name.starts_with("wasi:")),
    }
}

fn is_ours(name: &str) -> bool {
    name.starts_with("sidenote:plugin/")
}

fn names<'a>(names: impl IntoIterator<Item = &'a &'a str>) -> Vec<String> {
    names.into_iter().map(|name| clean(name, MAX_NAME_BYTES)).collect()
}

/// A name for the configuration: the file's, as the plugins folder would use it, or the manifest's.
fn plugin_name(file: &str, manifest: Option<&Manifest>) -> String {
    let usual = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let stem = file.strip_suffix(".wasm").unwrap_or(file);
    if !stem.is_empty() && stem.len() <= 64 && stem.chars().all(usual) {
        return stem.to_owned();
    }
    manifest.map_or_else(|| "NAME".to_owned(), |manifest| manifest.name.clone())
}

fn cleaned<S: serde::Serializer>(
    manifest: &Option<Manifest>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let value = serde_json::to_value(manifest).map_err(serde::ser::Error::custom)?;
    clean_value(value).serialize(serializer)
}

fn clean_value(value: Value) -> Value {
    match value {
        Value::String(text) => clean(&text, 1000).into(),
        Value::Array(items) => items.into_iter().map(clean_value).collect(),
        Value::Object(fields) => {
            fields.into_iter().map(|(key, it)| (clean(&key, 200), clean_value(it))).collect()
        }
        value @ (Value::Null | Value::Bool(_) | Value::Number(_)) => value,
    }
}
