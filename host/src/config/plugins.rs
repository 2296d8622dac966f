//! `[plugins.NAME]`: which component, what it is told, what it is granted, what it may use.

use std::collections::BTreeMap;

use super::error::Fault;
use super::host::{Host, Reach};
use super::model::{Breaker, Isolation, KvLimits, Plugin, PluginLimits, PluginSecret, TimerLimits};
use super::plugin_source::PluginSource;
use super::registries::{self, Pinned, SCHEME};
use super::scalar::{self, Refusal, Scalar};
use super::secret::{self, Secret};
use super::section::Section;
use super::sha256::Sha256;
use super::sources::{self, plugin_source};
use crate::ids::PluginName;
use crate::session::identity::{Belief, UserIds};

/// `[plugins]`: every plugin by its name. Two names may use the same file, for two accounts.
pub(super) fn plugins(parent: Section<'_>) -> BTreeMap<PluginName, Plugin> {
    let read = |(name, section): (String, Section<'_>)| {
        parent.check_name("plugin", &name);
        let plugin = plugin(section, &name);
        (PluginName::from(name), plugin)
    };
    parent.sections().into_iter().map(read).collect()
}

/// A webhook's signature is checked over its whole body: what a plugin can't hand to the host for that, it
/// can't take.
pub(super) fn too_large_body(
    plugins: &BTreeMap<PluginName, Plugin>,
    max_body: usize,
) -> Option<Fault> {
    let (name, plugin) = plugins.iter().min_by_key(|(_, it)| it.limits.max_handover_bytes)?;
    let most = plugin.limits.max_handover_bytes.saturating_sub(AROUND_A_BODY);
    (max_body > most).then(|| Fault::BadValue {
        key: "max_body".to_owned(),
        cause: format!(
            "{max_body} bytes are more than the plugin \"{name}\" can have checked: its max_handover ({}) less {AROUND_A_BODY} for what stands around a body",
            plugin.limits.max_handover_bytes
        ),
        next: format!(
            "lower it to {most}, or raise `max_handover` in [plugins.{name}.limits] to {}",
            max_body.saturating_add(AROUND_A_BODY)
        ),
    })
}

/// What a signature may cover beside the body, in bytes: the address, headers.
const AROUND_A_BODY: usize = 64 << 10;

fn plugin(section: Section<'_>, name: &str) -> Plugin {
    let (file, registry) =
        section.scalar_or("file", (format!("{name}.wasm"), None), file_or_reference);
    let granted = grants(section.section("grants"));
    let source = plugin_source(section.section("source"));
    let limits = limits(section.section("limits"), source.as_ref());
    let plugin = Plugin {
        file,
        registry,
        sha256: section.scalar("sha256", sha256),
        config: settings(section.section("config")),
        secrets: secrets(section.section("secrets"), &granted),
        hosts: granted.hosts.iter().map(Host::to_string).collect(),
        allow_private: granted.private,
        allow_stdout: granted.stdout,
        allow_kv: granted.kv,
        allow_timer: granted.timer,
        isolation: section.scalar_or("isolation", Isolation::default(), isolation),
        limits,
        breaker: breaker(section.section("breaker")),
        belief: Belief {
            user_ids: section.scalar_or("user_ids", UserIds::default(), user_ids),
            accept_claims: section.scalar_or("accept_claims", false, scalar::boolean),
        },
        source,
    };
    section.finish();
    plugin
}

struct Grants {
    hosts: Vec<Host>,
    private: bool,
    stdout: bool,
    kv: bool,
    timer: bool,
    /// The table's name, for errors elsewhere.
    table: String,
}

fn grants(section: Section<'_>) -> Grants {
    let private = section.scalar_or("private", false, scalar::boolean);
    let stdout = section.scalar_or("stdout", false, scalar::boolean);
    let kv = section.scalar_or("kv", false, scalar::boolean);
    let timer = section.scalar_or("timer", false, scalar::boolean);
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
    Grants { hosts: seen, private, stdout, kv, timer, table }
}

const HOSTS: &str = "a list of hosts, for example [\"api.example.com\"]";

/// The least that a secret has in bytes which is sent somewhere.
const SHORTEST_SENT: usize = 6;

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
    // One that goes nowhere doesn't come back.
    if !hosts.is_empty() && value.len() < SHORTEST_SENT {
        section.refuse(
            name,
            format!("the secret \"{name}\" is shorter than {SHORTEST_SENT} bytes, and may go to a host: what comes back from there holds so short a text by chance, so that it couldn't be kept from the plugin"),
            "have the platform issue a longer one, or leave `hosts` out where it only signs",
        );
    }
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

fn limits(section: Section<'_>, source: Option<&PluginSource>) -> PluginLimits {
    let default = source.map_or_else(PluginLimits::default, sources::limits);
    let number = |key: &str, default: usize, most: u32| {
        section.scalar_or(key, default, |value| {
            scalar::up_to(value, most).map(|number| number as usize)
        })
    };
    let size = |key: &str, default: usize| section.scalar_or(key, default, scalar::size);
    let time = |key: &str, default| section.scalar_or(key, default, scalar::duration);
    let limits = PluginLimits {
        memory_bytes: size("memory", default.memory_bytes),
        table_elements: number("table_elements", default.table_elements, 10_000_000),
        memories: number("memories", default.memories, 10_000),
        tables: number("tables", default.tables, 10_000),
        core_instances: number("core_instances", default.core_instances, 10_000),
        handles: number("handles", default.handles, 1_000_000),
        call_timeout: time("call_timeout", default.call_timeout),
        cpu_time: time("cpu_time", default.cpu_time),
        concurrency: number("concurrency", default.concurrency, 1000),
        warm_instances: number("warm_instances", default.warm_instances, 1250),
        calls_per_instance: section.scalar_or(
            "calls_per_instance",
            default.calls_per_instance,
            scalar::count,
        ),
        instance_age: time("instance_age", default.instance_age),
        max_request_bytes: size("max_request", default.max_request_bytes),
        max_response_bytes: size("max_response", default.max_response_bytes),
        max_header_bytes: size("max_header", default.max_header_bytes),
        max_handover_bytes: size("max_handover", default.max_handover_bytes),
        max_log_bytes: size("max_log", default.max_log_bytes),
        kv: KvLimits {
            keys: number("kv_keys", default.kv.keys, 100_000),
            bytes: size("kv_bytes", default.kv.bytes),
            value_bytes: size("kv_value", default.kv.value_bytes),
            session_keys: number("kv_session_keys", default.kv.session_keys, 1000),
            session_bytes: size("kv_session_bytes", default.kv.session_bytes),
        },
        timer: TimerLimits {
            timers: number("timers", default.timer.timers, 1_000_000),
            of_session: number("timers_session", default.timer.of_session, 1000),
            payload_bytes: size("timer_payload", default.timer.payload_bytes),
            ahead: time("timer_ahead", default.timer.ahead),
        },
    };
    // A request passes from the guest to the host in one piece.
    let least = limits.max_request_bytes.saturating_add(limits.max_header_bytes);
    if limits.max_handover_bytes < least {
        section.refuse(
            "max_handover",
            format!(
                "max_handover ({}) is less than max_request and max_header together ({least})",
                limits.max_handover_bytes
            ),
            "raise it, or lower those",
        );
    }
    section.finish();
    limits
}

fn breaker(section: Section<'_>) -> Breaker {
    let default = Breaker::default();
    let breaker = Breaker {
        failures: section.scalar_or("failures", default.failures, failures),
        pause_initial: section.scalar_or("pause_initial", default.pause_initial, scalar::duration),
        pause_max: section.scalar_or("pause_max", default.pause_max, scalar::duration),
        disable_after: section.scalar_or("disable_after", default.disable_after, scalar::duration),
    };
    section.in_order(("pause_initial", breaker.pause_initial), ("pause_max", breaker.pause_max));
    section.finish();
    breaker
}

/// 0 included: a breaker that never opens.
fn failures(value: Scalar<'_>) -> Result<u32, Refusal> {
    scalar::whole_up_to(value, 1000, "write less")
}

fn isolation(value: Scalar<'_>) -> Result<Isolation, Refusal> {
    let words = [("instance", Isolation::Instance), ("call", Isolation::Call)];
    scalar::word(value, &words, |other| {
        Refusal::value(
            format!("\"{other}\" is neither \"instance\" nor \"call\""),
            "write one of them",
        )
    })
}

fn user_ids(value: Scalar<'_>) -> Result<UserIds, Refusal> {
    let words = [
        ("matching", UserIds::Matching),
        ("product", UserIds::Product),
        ("platform", UserIds::Platform),
    ];
    scalar::word(value, &words, |other| {
        Refusal::value(
            format!("\"{other}\" is none of \"matching\", \"product\" and \"platform\""),
            "write \"product\" where the platform's user ids are the product's, \"platform\" where they are its own, and \"matching\" where they may be either",
        )
    })
}

fn sha256(value: Scalar<'_>) -> Result<Sha256, Refusal> {
    value.is(serde_json::json!({"pattern": "^[0-9A-Fa-f]{64}$"}));
    let text = scalar::text(value)?;
    let mut digest = [0; 32];
    hex::decode_to_slice(&text, &mut digest).map_err(|_| {
        Refusal::value(
            "it isn't a SHA-256 in 64 hexadecimal digits",
            "write what `sha256sum` says of the file, or leave the key out",
        )
    })?;
    Ok(Sha256(digest))
}

/// A file of the plugins folder, not a path out of it; or a component in a registry, by its digest.
fn file_or_reference(value: Scalar<'_>) -> Result<(String, Option<Pinned>), Refusal> {
    value.is(serde_json::json!({
        "pattern": "^([^/\\\\]+\\.wasm|oci://[^/]+/[^@]+@sha256:[0-9a-f]{64})$"
    }));
    let text = scalar::text(value)?;
    if text.starts_with(SCHEME) {
        let pinned = registries::pinned(&text)?;
        return Ok((text, Some(pinned)));
    }
    if text.contains(['/', '\\']) {
        return Err(Refusal::value(
            format!("\"{text}\" is a path"),
            "write a file's name; the folder is `plugins_folder`, and what lies in a registry begins with \"oci://\"",
        ));
    }
    if !text.ends_with(".wasm") || text.len() <= ".wasm".len() {
        return Err(Refusal::value(
            format!("\"{text}\" isn't a .wasm file"),
            "write, for example, \"webhook.wasm\"",
        ));
    }
    Ok((text, None))
}
