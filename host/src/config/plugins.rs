//! `[plugins.NAME]`: which component, what it is told, what it is granted, what it may use.

use std::collections::BTreeMap;

use super::error::Fault;
use super::host::{Host, Reach};
use super::model::{Breaker, Plugin, PluginLimits, PluginSecret, Secret};
use super::scalar::{self, Refusal, Scalar};
use super::secret;
use super::section::Section;
use super::sections::{check_name, in_order, up_to};
use crate::ids::PluginName;

/// `[plugins]`: every plugin by its name. Two names may use the same file, for two accounts.
pub(super) fn plugins(parent: Section<'_>) -> BTreeMap<PluginName, Plugin> {
    let read = |(name, section): (String, Section<'_>)| {
        check_name(&parent, "plugin", &name);
        let plugin = plugin(section, &name);
        (PluginName::from(name), plugin)
    };
    parent.sections().into_iter().map(read).collect()
}

fn plugin(section: Section<'_>, name: &str) -> Plugin {
    let file = section.scalar_or("file", format!("{name}.wasm"), file_name);
    let granted = grants(section.section("grants"));
    let plugin = Plugin {
        file,
        config: settings(section.section("config")),
        secrets: secrets(section.section("secrets"), &granted),
        hosts: granted.hosts.iter().map(Host::to_string).collect(),
        allow_private: granted.private,
        limits: limits(section.section("limits")),
        breaker: breaker(section.section("breaker")),
    };
    section.finish();
    plugin
}

struct Grants {
    hosts: Vec<Host>,
    private: bool,
    /// The table's name, for errors elsewhere.
    table: String,
}

fn grants(section: Section<'_>) -> Grants {
    let private = section.scalar_or("private", false, scalar::boolean);
    let hosts = section.list("hosts", HOSTS, Host::read).unwrap_or_default();
    let mut seen: Vec<Host> = Vec::new();
    for (place, host) in hosts {
        let problem = match host.reach() {
            Reach::Never => Some((
                format!("\"{host}\" is an address of cloud metadata, which is never granted"),
                "remove it",
            )),
            Reach::Private if !private => Some((
                format!("\"{host}\" is on this machine or a private network"),
                "add `private = true` to this table",
            )),
            Reach::Private | Reach::Public if seen.contains(&host) => {
                Some((format!("\"{host}\" stands here twice"), "remove one"))
            }
            Reach::Private | Reach::Public => None,
        };
        if let Some((cause, next)) = problem {
            let fault = Fault::BadValue { key: "hosts".to_owned(), cause, next: next.to_owned() };
            section.report(place, fault);
        }
        seen.push(host);
    }
    let table = section.name();
    section.finish();
    Grants { hosts: seen, private, table }
}

const HOSTS: &str = "a list of hosts, for example [\"api.example.com\"]";

fn secrets(section: Section<'_>, granted: &Grants) -> BTreeMap<String, PluginSecret> {
    let names = section.names();
    names
        .into_iter()
        .filter_map(|name| Some((name.clone(), plugin_secret(&section, &name, granted)?)))
        .collect()
}

fn plugin_secret(section: &Section<'_>, name: &str, granted: &Grants) -> Option<PluginSecret> {
    if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
    {
        section.refuse(name, "this can't be a secret's name", "use letters, digits, -, _ and .");
    }
    let inner = secret::open(section, name)?;
    let hosts = inner.list("hosts", HOSTS, Host::read).unwrap_or_default();
    for (place, host) in &hosts {
        if !granted.hosts.contains(host) {
            let fault = Fault::BadValue {
                key: "hosts".to_owned(),
                cause: format!(
                    "the secret \"{name}\" may go to \"{host}\", which the plugin may not reach"
                ),
                next: format!(
                    "grant it with `hosts = [\"{host}\"]` in [{}], or remove it here",
                    granted.table
                ),
            };
            inner.report(place.clone(), fault);
        }
    }
    let value = secret::value(section, name, &inner);
    inner.finish();
    let (value, _) = value?;
    Some(PluginSecret {
        value: Secret::new(value),
        hosts: hosts.iter().map(|(_, host)| host.to_string()).collect(),
    })
}

fn settings(section: Section<'_>) -> BTreeMap<String, String> {
    let names = section.names();
    names
        .into_iter()
        .filter_map(|name| Some((name.clone(), section.scalar(&name, scalar::setting)?)))
        .collect()
}

fn limits(section: Section<'_>) -> PluginLimits {
    let default = PluginLimits::default();
    let limits = PluginLimits {
        memory_bytes: section.scalar_or("memory", default.memory_bytes, scalar::size),
        call_timeout: section.scalar_or("call_timeout", default.call_timeout, scalar::duration),
        cpu_time: section.scalar_or("cpu_time", default.cpu_time, scalar::duration),
        concurrency: section.scalar_or("concurrency", default.concurrency, |value| {
            up_to(value, 1000).map(|number| number as usize)
        }),
        calls_per_instance: section.scalar_or(
            "calls_per_instance",
            default.calls_per_instance,
            scalar::count,
        ),
        max_response_bytes: section.scalar_or(
            "max_response",
            default.max_response_bytes,
            scalar::size,
        ),
        max_log_bytes: section.scalar_or("max_log", default.max_log_bytes, scalar::size),
    };
    section.finish();
    limits
}

fn breaker(section: Section<'_>) -> Breaker {
    let default = Breaker::default();
    let breaker = Breaker {
        failures: section.scalar_or("failures", default.failures, |value| up_to(value, 1000)),
        pause_initial: section.scalar_or("pause_initial", default.pause_initial, scalar::duration),
        pause_max: section.scalar_or("pause_max", default.pause_max, scalar::duration),
        disable_after: section.scalar_or("disable_after", default.disable_after, scalar::duration),
    };
    in_order(&section, ("pause_initial", breaker.pause_initial), ("pause_max", breaker.pause_max));
    section.finish();
    breaker
}

/// A file of the plugins folder, not a path out of it.
fn file_name(value: Scalar<'_>) -> Result<String, Refusal> {
    let text = scalar::text(value)?;
    if text.contains(['/', '\\']) {
        return Err(Refusal::value(
            format!("\"{text}\" is a path"),
            "write a file's name; the folder is `plugins_folder`",
        ));
    }
    if !text.ends_with(".wasm") || text.len() <= ".wasm".len() {
        return Err(Refusal::value(
            format!("\"{text}\" isn't a .wasm file"),
            "write, for example, \"webhook.wasm\"",
        ));
    }
    Ok(text)
}
