//! What a plugin that is tried out may reach, and its secrets.

use std::collections::BTreeMap;

use sidenote::address::Origin;
use sidenote::config::{Plugin as PluginConfig, PluginSecret, Secret};
use sidenote::egress::{Detour, Pattern};
use sidenote::plugin::Manifest;

use super::BenchArgs;
use super::settings::origin_in;

/// The hosts that a plugin knows by itself, led to the mock: those whose addresses are its settings, those
/// that its manifest names, and below a domain those that a setting names.
pub(super) fn fixed_hosts(
    manifest: Option<&Manifest>,
    settings: &BTreeMap<String, String>,
    mock: &Origin,
) -> Vec<Detour> {
    let asked = manifest.map(Manifest::asked);
    let asks = |origin: &Origin| asked.as_ref().is_none_or(|asked| asked.hosts.fits(origin));
    let mut hosts: Vec<_> = settings.values().filter_map(|value| origin_in(value)).collect();
    hosts.retain(asks);
    for pattern in asked.iter().flat_map(|asked| asked.hosts.iter()) {
        match pattern {
            Pattern::Any => {}
            Pattern::One(origin) => hosts.push(origin.clone()),
            Pattern::Below(_) => {
                let below =
                    |label: &String| Origin::parse(&pattern.example().replacen("NAME", label, 1));
                let labels = settings.values().filter(|value| is_label(value));
                hosts.extend(labels.filter_map(|label| below(label).ok()));
            }
        }
    }
    let mut detours: Vec<Detour> = Vec::new();
    for from in hosts {
        if !detours.iter().any(|detour| detour.from == from) {
            detours.push(Detour { from, to: mock.clone() });
        }
    }
    detours
}

fn is_label(value: &str) -> bool {
    !value.is_empty() && value.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
}

/// Grants the mock, what is led there, and nothing else: nothing that is tried out reaches a platform.
pub(super) fn grant_only(
    config: &mut PluginConfig,
    manifest: Option<&Manifest>,
    mock: &Origin,
    detours: &mut Vec<Detour>,
) {
    // The name that stands for the mock where a plugin takes https only.
    let stand_in = super::settings::stand_in();
    if config.config.values().any(|value| value.contains(&stand_in.host)) {
        detours.push(Detour { from: stand_in, to: mock.clone() });
    }
    let asked = manifest.map(Manifest::asked);
    let asks = |origin: &&Origin| asked.as_ref().is_none_or(|asked| asked.hosts.fits(origin));
    let hosts = detours.iter().map(|detour| &detour.from).chain([mock]).filter(asks);
    let hosts: Vec<_> = hosts.map(Origin::to_string).collect();
    let asked = asked.unwrap_or_default();
    for (name, secret) in &mut config.secrets {
        // One that only signs goes nowhere here either.
        let goes = match (manifest, asked.secrets.get(name)) {
            (Some(_), Some(hosts)) => hosts.iter().next().is_some(),
            (Some(_), None) | (None, _) => !secret.hosts.is_empty(),
        };
        secret.hosts = if goes { hosts.clone() } else { Vec::new() };
    }
    config.hosts = hosts;
    // The mock listens on this machine; no other host is granted that isn't led there.
    config.allow_private = true;
}

/// Gives the secrets of the command line: they may go wherever the plugin may, unless its manifest says
/// that they go nowhere.
pub(super) fn give_secrets(
    config: &mut PluginConfig,
    manifest: Option<&Manifest>,
    args: &BenchArgs,
) {
    for (name, value) in &args.secrets {
        let secret = secret(config, manifest, name, value);
        config.secrets.insert(name.clone(), secret);
    }
}

/// As [`give_secrets`], and makes up those that the manifest names and nobody gave. Says which.
pub(super) fn fill_secrets(
    config: &mut PluginConfig,
    manifest: Option<&Manifest>,
    args: &BenchArgs,
) -> Vec<String> {
    give_secrets(config, manifest, args);
    let mut chosen = Vec::new();
    for name in manifest.into_iter().flat_map(|manifest| manifest.secrets.keys()) {
        if !config.secrets.contains_key(name) {
            let secret = secret(config, manifest, name, &made_up(name));
            config.secrets.insert(name.clone(), secret);
            chosen.push(format!("secret {name} is made up"));
        }
    }
    chosen
}

fn secret(
    config: &PluginConfig,
    manifest: Option<&Manifest>,
    name: &str,
    value: &str,
) -> PluginSecret {
    let ask = manifest.and_then(|manifest| manifest.secrets.get(name));
    let stays = ask.is_some_and(|ask| ask.hosts.is_empty());
    let hosts = if stays { Vec::new() } else { config.hosts.clone() };
    PluginSecret { value: Secret::new(value), hosts }
}

/// A worthless secret, which stands nowhere else.
pub(super) fn made_up(name: &str) -> String {
    let name: String = name.chars().filter(char::is_ascii_alphanumeric).take(32).collect();
    format!("made-up-{name}-{:016x}", rand::random::<u64>())
}
