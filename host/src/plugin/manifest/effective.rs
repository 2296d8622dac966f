//! What a plugin really gets: what its manifest asks for and what the operator grants.

use std::fmt;

use super::config_snippet;
use super::model::{IDENTITY_VERIFICATION, Manifest, SecretAsk};
use super::schema;
use crate::config::{Plugin as PluginConfig, PluginSecret};
use crate::egress::{Asked, BadGrant, Grants, Origins, Pattern, Patterns, SecretStore};
use crate::ids::PluginName;
use crate::plugin::clean::clean;
use crate::plugin::component_info::OwnImports;

/// What a plugin really gets.
#[derive(Debug)]
pub struct Effective {
    /// What it may reach.
    pub grants: Grants,
    /// The secrets that it may use.
    pub secret_store: SecretStore,
    /// Where the manifest and the operator want different things.
    pub mismatches: Vec<Mismatch>,
}

/// Brings a manifest and an operator's configuration together: a plugin gets what both want, and what
/// the operator grants where there is no manifest.
///
/// # Errors
/// A grant that can't be read.
pub fn effective(
    name: &PluginName,
    config: &PluginConfig,
    manifest: Option<&Manifest>,
) -> Result<Effective, BadGrant> {
    let grants = Grants::new(name.clone(), &config.hosts, config.allow_private)?;
    let secret_store = SecretStore::new(name.clone(), &config.secrets)?;
    let Some(manifest) = manifest else {
        return Ok(Effective { grants, secret_store, mismatches: vec![Mismatch::NoManifest] });
    };
    let asked = manifest.asked();
    let mismatches = mismatches(name, config, manifest, &asked, grants.hosts())?;
    let Asked { hosts, secrets } = asked;
    Ok(Effective {
        grants: grants.limited_to(hosts),
        secret_store: secret_store.limited_to(secrets),
        mismatches,
    })
}

/// Something that a manifest and an operator's configuration want differently. The text says what
/// follows and what to do, with TOML ready to paste where the operator can do it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mismatch {
    /// There is no manifest.
    NoManifest,
    /// Hosts that the plugin asks for aren't granted.
    HostsNotGranted {
        /// As the manifest writes them.
        hosts: Vec<String>,
        /// The table with them.
        toml: String,
    },
    /// The plugin imports `kv`, and may keep nothing.
    KvNotGranted {
        /// The table with it.
        toml: String,
    },
    /// The plugin imports `timer`, and may set none.
    TimerNotGranted {
        /// The table with it.
        toml: String,
    },
    /// A host is granted that the plugin doesn't ask for.
    HostNotAsked {
        /// As a grant is written.
        host: String,
    },
    /// A secret that the plugin asks for isn't set.
    SecretNotSet {
        /// Its name.
        name: String,
        /// What the manifest says of it.
        description: String,
        /// Whether the plugin runs without it.
        optional: bool,
        /// The table with it.
        toml: String,
    },
    /// None of the secrets is set that verify incoming webhooks.
    WebhooksRefused {
        /// Their names.
        names: Vec<String>,
        /// The table of the first.
        toml: String,
    },
    /// Nothing vouches for the people that its webhooks tell of, and claims aren't accepted.
    PeopleUnverified {
        /// What to write, either way.
        toml: String,
    },
    /// A secret that the plugin asks for may not go where it asks for.
    SecretNotGranted {
        /// Its name.
        name: String,
        /// As the manifest writes them.
        hosts: Vec<String>,
        /// The table with them.
        toml: String,
    },
    /// A secret is set that the plugin doesn't ask for.
    SecretNotAsked {
        /// Its name.
        name: String,
    },
    /// A secret may go to a host that the plugin doesn't ask for.
    SecretHostNotAsked {
        /// Its name.
        name: String,
        /// As a grant is written.
        host: String,
    },
}

impl Mismatch {
    /// Whether the plugin does all that it is for all the same.
    pub fn is_harmless(&self) -> bool {
        match self {
            Self::NoManifest => true,
            Self::SecretNotSet { optional, .. } => *optional,
            Self::HostsNotGranted { .. }
            | Self::KvNotGranted { .. }
            | Self::TimerNotGranted { .. }
            | Self::HostNotAsked { .. }
            | Self::WebhooksRefused { .. }
            | Self::PeopleUnverified { .. }
            | Self::SecretNotGranted { .. }
            | Self::SecretNotAsked { .. }
            | Self::SecretHostNotAsked { .. } => false,
        }
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoManifest => f.write_str(
                "manifest: the component has none, so what is granted in the configuration counts alone",
            ),
            Self::HostsNotGranted { hosts, toml } => {
                let hosts = hosts.join(", ");
                write!(f, "manifest: it asks to reach {hosts}, which isn't granted; to grant it:\n{toml}")
            }
            Self::KvNotGranted { toml } => {
                write!(f, "kv: it imports it, and may keep nothing; to grant it:\n{toml}")
            }
            Self::TimerNotGranted { toml } => {
                write!(f, "timer: it imports it, and may set none; to grant it:\n{toml}")
            }
            Self::HostNotAsked { host } => write!(
                f,
                "manifest: it doesn't ask for {host}, so the grant opens nothing; remove it, or ask the plugin's author"
            ),
            Self::SecretNotSet { name, description, optional, toml } => {
                let what = if description.is_empty() {
                    String::new()
                } else {
                    format!(" ({description})")
                };
                let runs = if *optional { "; it runs without" } else { "" };
                write!(f, "manifest: it asks for the secret `{name}`{what}, which isn't set{runs}; to set it:\n{toml}")
            }
            Self::WebhooksRefused { names, toml } => {
                let names = names.join("` or `");
                write!(f, "manifest: no secret `{names}` is set, so every webhook is refused; to set it:\n{toml}")
            }
            Self::PeopleUnverified { toml } => write!(
                f,
                "webhooks: nothing vouches for the user ids and addresses that the platform tells, so nobody is linked by them, only by a session's id; switch the platform's identity verification on and say so, or accept what visitors say of themselves:\n{toml}"
            ),
            Self::SecretNotGranted { name, hosts, toml } => {
                let hosts = hosts.join(", ");
                write!(f, "manifest: it asks to send the secret `{name}` to {hosts}, which isn't granted; to grant it:\n{toml}")
            }
            Self::SecretNotAsked { name } => write!(
                f,
                "manifest: it doesn't ask for the secret `{name}`, so it doesn't get it; remove it, or ask the plugin's author"
            ),
            Self::SecretHostNotAsked { name, host } => write!(
                f,
                "manifest: it doesn't ask to send the secret `{name}` to {host}, so the grant opens nothing; remove it, or ask the plugin's author"
            ),
        }
    }
}

/// What a plugin imports that isn't granted.
pub fn imports_not_granted(
    plugin: &PluginName,
    config: &PluginConfig,
    imports: OwnImports,
) -> Vec<Mismatch> {
    let toml = |key| format!("{}\n{key} = true", config_snippet::grants_table(plugin));
    let kv = (imports.kv && !config.allow_kv).then(|| Mismatch::KvNotGranted { toml: toml("kv") });
    let timer = (imports.timer && !config.allow_timer)
        .then(|| Mismatch::TimerNotGranted { toml: toml("timer") });
    kv.into_iter().chain(timer).collect()
}

fn mismatches(
    plugin: &PluginName,
    config: &PluginConfig,
    manifest: &Manifest,
    asked: &Asked,
    granted: &Origins,
) -> Result<Vec<Mismatch>, BadGrant> {
    let mut found = Vec::new();
    let missing = not_granted(&asked.hosts, granted);
    if !missing.is_empty() {
        let line = hosts_line(&asked.hosts, granted, &missing);
        let toml = format!("{}\n{line}", config_snippet::grants_table(plugin));
        found.push(Mismatch::HostsNotGranted { hosts: shown(&missing), toml });
    }
    let not_asked = |asked: &Patterns, granted: &Origins| -> Vec<String> {
        let others = granted.iter().filter(|origin| !asked.fits(origin));
        others.map(ToString::to_string).collect()
    };
    let others = not_asked(&asked.hosts, granted);
    found.extend(others.into_iter().map(|host| Mismatch::HostNotAsked { host }));
    let set =
        |name: &String| config.secrets.get(name).filter(|secret| !secret.value.expose().is_empty());
    let verifying: Vec<_> =
        manifest.secrets.iter().filter(|(_, ask)| ask.verifies).map(|(name, _)| name).collect();
    let refused = !verifying.is_empty() && verifying.iter().all(|name| set(name).is_none());
    if refused {
        let toml = config_snippet::secret(plugin, verifying[0], &asked.secrets[verifying[0]]);
        let names = verifying.iter().map(|name| (*name).clone()).collect();
        found.push(Mismatch::WebhooksRefused { names, toml });
    }
    let verifies_people = manifest
        .config
        .as_ref()
        .is_some_and(|schema| schema::properties(schema).contains_key(IDENTITY_VERIFICATION));
    let is_verified = config.config.get(IDENTITY_VERIFICATION).is_some_and(|it| it == "true");
    if verifies_people && !refused && !is_verified && !config.belief.accept_claims {
        let toml = config_snippet::belief(plugin);
        found.push(Mismatch::PeopleUnverified { toml });
    }
    for (name, ask) in &manifest.secrets {
        let wanted = &asked.secrets[name];
        let Some(PluginSecret { hosts, .. }) = set(name) else {
            // Of those that verify webhooks one is enough, and it is told above that none is there.
            if !ask.verifies {
                found.push(not_set(plugin, name, ask, wanted));
            }
            continue;
        };
        let granted = Origins::parse(hosts)?;
        let missing = not_granted(wanted, &granted);
        if !missing.is_empty() {
            let table = config_snippet::secret_table(plugin, name);
            let toml = format!("{table}\n{}", hosts_line(wanted, &granted, &missing));
            let (name, hosts) = (name.clone(), shown(&missing));
            found.push(Mismatch::SecretNotGranted { name, hosts, toml });
        }
        let others = not_asked(wanted, &granted).into_iter();
        found.extend(others.map(|host| Mismatch::SecretHostNotAsked { name: name.clone(), host }));
    }
    let unasked = config.secrets.keys().filter(|name| !manifest.secrets.contains_key(*name));
    found.extend(unasked.map(|name| Mismatch::SecretNotAsked { name: name.clone() }));
    Ok(found)
}

fn not_set(plugin: &PluginName, name: &str, ask: &SecretAsk, wanted: &Patterns) -> Mismatch {
    Mismatch::SecretNotSet {
        name: name.to_owned(),
        description: clean(&ask.description, 200),
        optional: ask.optional,
        toml: config_snippet::secret(plugin, name, wanted),
    }
}

/// What is asked for and not granted. Of those below a domain, or of any, one host is enough: only the
/// operator knows which.
fn not_granted<'a>(asked: &'a Patterns, granted: &Origins) -> Vec<&'a Pattern> {
    asked.iter().filter(|pattern| !granted.iter().any(|origin| pattern.fits(origin))).collect()
}

fn shown(patterns: &[&Pattern]) -> Vec<String> {
    let shown = |pattern: &&Pattern| match pattern {
        Pattern::Any => "a host that you name".to_owned(),
        Pattern::Below(_) | Pattern::One(_) => pattern.to_string(),
    };
    patterns.iter().map(shown).collect()
}

/// The list with what is missing, without what isn't asked for.
fn hosts_line(asked: &Patterns, granted: &Origins, missing: &[&Pattern]) -> String {
    let kept = granted.iter().filter(|origin| asked.fits(origin)).map(ToString::to_string);
    let hosts: Vec<_> = kept.chain(missing.iter().map(|pattern| pattern.example())).collect();
    format!("hosts = {}", config_snippet::list(&hosts))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Secret;

    fn strings(list: &[&str]) -> Vec<String> {
        list.iter().map(|text| (*text).to_owned()).collect()
    }

    fn config(hosts: &[&str], secrets: &[(&str, &str, &[&str])]) -> PluginConfig {
        let secret = |(name, value, hosts): &(&str, &str, &[&str])| {
            let secret = PluginSecret { value: Secret::new(*value), hosts: strings(hosts) };
            ((*name).to_owned(), secret)
        };
        PluginConfig {
            secrets: secrets.iter().map(secret).collect(),
            hosts: strings(hosts),
            ..PluginConfig::of("bot.wasm")
        }
    }

    fn manifest() -> Manifest {
        Manifest::from_json(
            r#"{
                "name": "desk", "version": "1.0.0",
                "hosts": ["*.desk.example", "files.example"],
                "secrets": {
                    "token": {"description": "API token", "hosts": ["*.desk.example"]},
                    "incoming": {"optional": true}
                }
            }"#,
        )
        .unwrap()
    }

    fn told(config: &PluginConfig, manifest: Option<&Manifest>) -> Vec<String> {
        let effective = effective(&"bot".into(), config, manifest).unwrap();
        effective.mismatches.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn that_nothing_vouches_for_people_is_said_where_the_plugin_could_be_told() {
        let manifest = Manifest::from_json(
            r#"{"name": "desk", "version": "1.0.0", "config": {"type": "object", "properties": {
                "identity_verification": {"type": "boolean"}
            }}}"#,
        );
        let manifest = manifest.unwrap();
        let mut config = config(&[], &[]);
        let [told] = &*told(&config, Some(&manifest)) else { panic!("it is said") };
        assert!(told.contains("[plugins.bot.config]\nidentity_verification = true\n"), "{told}");
        assert!(told.contains("[plugins.bot]\naccept_claims = true"), "{told}");
        config.belief.accept_claims = true;
        assert_eq!(super::tests::told(&config, Some(&manifest)), [""; 0]);
        config.belief.accept_claims = false;
        config.config.insert("identity_verification".to_owned(), "true".to_owned());
        assert_eq!(super::tests::told(&config, Some(&manifest)), [""; 0]);
    }

    #[test]
    fn without_a_manifest_the_operator_counts_alone_and_it_is_said() {
        let config = config(&["a.example"], &[("token", "t", &["a.example"])]);
        let effective = effective(&"bot".into(), &config, None).unwrap();
        assert_eq!(effective.mismatches, [Mismatch::NoManifest]);
        let origin = crate::address::Origin::parse("a.example").unwrap();
        assert!(effective.grants.admit(&origin).is_ok());
        assert_eq!(effective.secret_store.fill(b"{{secret:token}}", &origin).unwrap(), b"t");
    }

    #[test]
    fn what_both_want_is_all_there_is() {
        let config = config(
            &["acme.desk.example", "evil.example"],
            &[("token", "t0ken", &["acme.desk.example", "evil.example"]), ("other", "o", &[])],
        );
        let effective = effective(&"bot".into(), &config, Some(&manifest())).unwrap();
        let origin = |text| crate::address::Origin::parse(text).unwrap();
        assert!(effective.grants.admit(&origin("acme.desk.example")).is_ok());
        for host in ["evil.example", "files.example", "other.desk.example"] {
            assert!(effective.grants.admit(&origin(host)).is_err(), "{host}");
        }
        let token = |host| effective.secret_store.fill(b"{{secret:token}}", &origin(host));
        assert_eq!(token("acme.desk.example").unwrap(), b"t0ken");
        assert!(token("evil.example").is_err());
        assert!(effective.secret_store.key("other").is_err());
    }

    #[test]
    fn nothing_is_said_where_both_want_the_same() {
        let config = config(
            &["acme.desk.example", "files.example"],
            &[("token", "t", &["acme.desk.example"]), ("incoming", "i", &[])],
        );
        assert_eq!(told(&config, Some(&manifest())), Vec::<String>::new());
    }

    #[test]
    fn that_every_webhook_is_refused_is_told_where_no_verifying_secret_is_set() {
        let manifest = Manifest::from_json(
            r#"{
                "name": "desk", "version": "1.0.0",
                "secrets": {
                    "incoming": {"optional": true, "verifies": true},
                    "older": {"optional": true, "verifies": true}
                }
            }"#,
        )
        .unwrap();
        let effective = |config| effective(&"bot".into(), &config, Some(&manifest)).unwrap();
        for unset in [config(&[], &[]), config(&[], &[("incoming", "", &[])])] {
            let told = effective(unset).mismatches;
            let [mismatch] = &*told else { panic!("{told:?}") };
            assert!(!mismatch.is_harmless());
            assert_eq!(
                mismatch.to_string(),
                "manifest: no secret `incoming` or `older` is set, so every webhook is refused; \
                 to set it:\n[plugins.bot.secrets.incoming]\nenv = \"BOT_INCOMING\""
            );
        }
        for set in ["incoming", "older"] {
            assert_eq!(effective(config(&[], &[(set, "k", &[])])).mismatches, []);
        }
    }

    #[test]
    fn each_difference_is_told_with_the_way_out() {
        let config =
            config(&["evil.example"], &[("token", "t", &["evil.example"]), ("other", "o", &[])]);
        insta::assert_snapshot!(told(&config, Some(&manifest())).join("\n\n"));
        let bare = self::config(&[], &[]);
        insta::assert_snapshot!(told(&bare, Some(&manifest())).join("\n\n"));
    }
}
