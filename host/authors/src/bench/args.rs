//! What a component on the bench is given on the command line.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Args;
use sidenote::config::{Cache, Config, Plugin as PluginConfig};
use sidenote::egress::Detour;
use sidenote::ids::PluginName;
use sidenote::plugin::Manifest;
use sidenote_terminal::Unusable;

use super::{MOCK, origin};

/// The variables that override a configuration: none of them is a secret.
const OVERLAY: &str = "SIDENOTE__";

/// What a component is given.
#[derive(Args)]
pub(crate) struct BenchArgs {
    /// A file with its table [plugins.NAME]; other content is ignored
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The table of --config, if there are several
    #[arg(long, value_name = "NAME", requires = "config")]
    plugin: Option<String>,
    /// A setting, which overrides --config
    #[arg(long, value_name = "KEY=VALUE", value_parser = pair)]
    pub(super) set: Vec<(String, String)>,
    /// Redirect the plugin's requests to a host, for a plugin without a setting for its platform's
    /// URL: the grants and secrets of the host still apply
    #[arg(long = "host", value_name = "HOST=ADDRESS", value_parser = pair)]
    pub(super) hosts: Vec<(String, String)>,
    /// A worthless secret. Others can see a command line: put real ones into --config
    #[arg(long = "secret", value_name = "NAME=VALUE", value_parser = pair)]
    pub(super) secrets: Vec<(String, String)>,
    /// The cache folder of compiled components; `sidenote` in the user's cache folder by default
    #[arg(long, value_name = "DIR", env = "SIDENOTE_CACHE", hide_env_values = true)]
    cache: Option<PathBuf>,
}

impl BenchArgs {
    /// The cache of compiled components. None where no folder is named, and the user has none.
    pub(super) fn cache(&self) -> Option<Cache> {
        self.cache.clone().or_else(users_cache).map(Cache::at)
    }

    /// The plugin's name and configuration. With a mock, its address is filled in and secrets that aren't
    /// in the environment are made up.
    pub(super) fn plugin(
        &self,
        file: &Path,
        mock: Option<&str>,
        manifest: Option<&Manifest>,
    ) -> anyhow::Result<(PluginName, PluginConfig)> {
        let (name, mut config) = match &self.config {
            Some(config) => self.configured(file, config, mock)?,
            None => (name(file, manifest), PluginConfig::of("plugin.wasm")),
        };
        for (key, value) in &self.set {
            config.config.insert(key.clone(), filled(value, mock)?);
        }
        Ok((name, config))
    }

    fn configured(
        &self,
        component: &Path,
        file: &Path,
        mock: Option<&str>,
    ) -> anyhow::Result<(PluginName, PluginConfig)> {
        let text = std::fs::read_to_string(file)
            .map_err(|error| Unusable(format!("{} can't be read: {error}", file.display())))?;
        let text = match mock {
            Some(address) => text.replace(MOCK, address),
            None => text,
        };
        let known = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let made_up = |name: &str| {
            known(name)
                .or_else(|| (!name.starts_with(OVERLAY)).then(|| super::grants::made_up(name)))
        };
        let env: &dyn Fn(&str) -> Option<String> = if mock.is_some() { &made_up } else { &known };
        let mut plugins = Config::plugins_from_toml(file.to_owned(), &text, env)?;
        self.chosen(component, file, &mut plugins)
    }

    /// The table that is meant: the one that is named, the only one, or the only one of this file.
    fn chosen(
        &self,
        component: &Path,
        file: &Path,
        plugins: &mut BTreeMap<PluginName, PluginConfig>,
    ) -> anyhow::Result<(PluginName, PluginConfig)> {
        let own = component.file_name().and_then(|name| name.to_str());
        let names: Vec<_> = match &self.plugin {
            Some(name) => plugins.keys().filter(|it| ***it == *name).cloned().collect(),
            None if plugins.len() == 1 => plugins.keys().cloned().collect(),
            None => {
                let fits = |(_, plugin): &(&PluginName, &PluginConfig)| Some(&*plugin.file) == own;
                plugins.iter().filter(fits).map(|(name, _)| name.clone()).collect()
            }
        };
        let there: Vec<_> = plugins.keys().map(|name| format!("[plugins.{name}]")).collect();
        let there =
            if there.is_empty() { "no [plugins.NAME]".to_owned() } else { there.join(", ") };
        match &*names {
            [name] => Ok(plugins.remove_entry(name).expect("its name was found among them")),
            [] | [..] => Err(Unusable(format!(
                "{} has {there}; name the one that is meant with --plugin NAME",
                file.display()
            ))
            .into()),
        }
    }

    /// Where requests to some hosts are led.
    pub(super) fn detours(&self, mock: Option<&str>) -> anyhow::Result<Vec<Detour>> {
        let detour = |(from, to): &(String, String)| {
            Ok(Detour { from: origin(from)?, to: origin(&filled(to, mock)?)? })
        };
        self.hosts.iter().map(detour).collect()
    }
}

impl std::fmt::Debug for BenchArgs {
    /// Settings and secrets are left out.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BenchArgs").field("config", &self.config).finish_non_exhaustive()
    }
}

/// `{mock}` and the mock's address in its place.
fn filled(text: &str, mock: Option<&str>) -> Result<String, Unusable> {
    match mock {
        Some(address) => Ok(text.replace(MOCK, address)),
        None if text.contains(MOCK) => {
            Err(Unusable(format!("there is no mock here for {MOCK}; write an address")))
        }
        None => Ok(text.to_owned()),
    }
}

/// `KEY=VALUE`.
fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        Some(_) | None => Err("it must be written as KEY=VALUE".to_owned()),
    }
}

/// What the plugin is called: as its manifest says, or as its file is.
fn name(file: &Path, manifest: Option<&Manifest>) -> PluginName {
    let usual = |name: &&str| {
        let usual = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        !name.is_empty() && name.len() <= 64 && name.chars().all(usual)
    };
    let stem = file.file_stem().and_then(|stem| stem.to_str());
    let named = manifest.map(|manifest| manifest.name.as_str());
    named.or(stem).filter(usual).unwrap_or("plugin").into()
}
/// `$XDG_CACHE_HOME/sidenote`, or `~/.cache/sidenote`.
fn users_cache() -> Option<PathBuf> {
    let folder = |name| std::env::var_os(name).map(PathBuf::from).filter(|it| it.is_absolute());
    let caches = folder("XDG_CACHE_HOME").or_else(|| Some(folder("HOME")?.join(".cache")))?;
    Some(caches.join("sidenote"))
}
