//! The manifest's fields and their bounds.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::error::{ConfigError, ManifestError, text};
use super::schema;
use crate::egress::{Asked, Pattern, Patterns};
use crate::plugin::clean::clean;
use crate::plugin::component_info::ComponentInfo;

/// Largest manifest, in bytes.
const MAX_BYTES: usize = 64 << 10;
const MAX_NAME_BYTES: usize = 64;
const MAX_HOSTS: usize = 64;
const MAX_HOST_BYTES: usize = 300;
const MAX_SECRETS: usize = 32;

/// The setting by which an operator says that the platform verifies who its users are.
pub(super) const IDENTITY_VERIFICATION: &str = "identity_verification";

/// What a plugin says of itself and asks for. It grants nothing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// What the plugin is called: letters, digits, `-`, `_` and `.`.
    pub name: String,
    /// The plugin's own version.
    pub version: String,
    /// What it does, in a sentence.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// The hosts that it wants to reach: `api.example.com`, `*.example.com`, `*` for whichever the
    /// operator names; `http://` and a port as in a grant.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<String>,
    /// The secrets that it needs, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub secrets: BTreeMap<String, SecretAsk>,
    /// A JSON Schema (2020-12) of its settings: an object of texts, numbers and booleans.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<Value>,
    /// What its `messenger` can do, where that isn't all or depends on settings.
    #[serde(default, skip_serializing_if = "MessengerAsk::is_all")]
    pub messenger: MessengerAsk,
    /// The interfaces that the component exports. Filled in by packing; empty where nobody packed it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub interfaces: Vec<String>,
}

/// What a plugin's `messenger` can do. It is read at the start, so that nothing is offered or answered in vain.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MessengerAsk {
    /// Why it makes no offers, where it makes none. Then `offer` fails with the code `offers-unsupported`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub offers_unsupported: String,
    /// The setting without which it makes no offers; empty for none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub offers_need: String,
    /// The setting without which it answers nobody; empty for none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub replies_need: String,
}

impl MessengerAsk {
    fn is_all(&self) -> bool {
        *self == Self::default()
    }
}

/// A secret that a plugin asks for.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecretAsk {
    /// What it is and where to get it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// The hosts that it is sent to, as in `hosts`; empty for one that only signs and verifies.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<String>,
    /// Whether the plugin runs without it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub optional: bool,
    /// Whether it verifies incoming webhooks. Of a plugin's secrets that do, one must be set, or every
    /// webhook is refused; the operator is told at the start.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub verifies: bool,
}

impl Manifest {
    /// The manifest of a component, from its section; `None` where it has none. Nothing is compiled.
    ///
    /// # Errors
    /// The component can't be read, or its manifest can't be used.
    pub fn read(component: &[u8]) -> Result<Option<Self>, ManifestError> {
        let component_info = ComponentInfo::of(component)?;
        let section = match &*component_info.manifests {
            [] => return Ok(None),
            [section] => section,
            several => return Err(ManifestError::Several(several.len())),
        };
        let manifest = Self::from_section(section.data)?;
        let exported = component_info.interfaces();
        if !manifest.interfaces.is_empty() && manifest.interfaces != exported {
            return Err(ManifestError::Interfaces {
                said: clean(&manifest.interfaces.join(", "), 400),
                exported: clean(&exported.join(", "), 400),
            });
        }
        Ok(Some(manifest))
    }

    /// Reads a manifest that is to be packed, in JSON.
    ///
    /// # Errors
    /// It can't be used, or names its interfaces itself.
    pub fn from_json(text: &str) -> Result<Self, ManifestError> {
        by_hand(Self::from_section(text.as_bytes())?)
    }

    /// Reads a manifest that is to be packed, in TOML.
    ///
    /// # Errors
    /// It can't be used, or names its interfaces itself.
    pub fn from_toml(text: &str) -> Result<Self, ManifestError> {
        if text.len() > MAX_BYTES {
            return Err(ManifestError::TooLarge(text.len()));
        }
        let manifest: Self = toml::from_str(text).map_err(|error| {
            let line = error.span().map_or(0, |span| text[..span.start].matches('\n').count()) + 1;
            ManifestError::Unreadable(clean(&format!("line {line}: {}", error.message()), 400))
        })?;
        manifest.check()?;
        by_hand(manifest)
    }

    pub(super) fn from_section(bytes: &[u8]) -> Result<Self, ManifestError> {
        if bytes.len() > MAX_BYTES {
            return Err(ManifestError::TooLarge(bytes.len()));
        }
        let unreadable =
            |error: serde_json::Error| ManifestError::Unreadable(clean(&error.to_string(), 400));
        // A list would be read as the fields in their order.
        let shape: Value = serde_json::from_slice(bytes).map_err(unreadable)?;
        if !shape.is_object() {
            return Err(ManifestError::Unreadable("it is no JSON object".to_owned()));
        }
        let secrets = shape.get("secrets").and_then(Value::as_object).into_iter().flatten();
        if let Some((name, _)) = secrets.into_iter().find(|(_, ask)| !ask.is_object()) {
            return Err(ManifestError::value(format!("secrets.{name}"), "must be an object"));
        }
        let manifest: Self = serde_json::from_slice(bytes).map_err(unreadable)?;
        manifest.check()?;
        Ok(manifest)
    }

    /// The section's content.
    ///
    /// # Errors
    /// It is too large.
    pub(super) fn to_section(&self) -> Result<Vec<u8>, ManifestError> {
        let bytes = serde_json::to_vec(self).expect("a manifest is made of text, lists and JSON");
        if bytes.len() > MAX_BYTES {
            return Err(ManifestError::TooLarge(bytes.len()));
        }
        Ok(bytes)
    }

    /// What it asks for of the egress.
    pub fn asked(&self) -> Asked {
        let patterns = |hosts| Patterns::parse(hosts).expect("a manifest's hosts were checked");
        let secrets = self.secrets.iter();
        Asked {
            hosts: patterns(&self.hosts),
            secrets: secrets.map(|(name, ask)| (name.clone(), patterns(&ask.hosts))).collect(),
        }
    }

    /// Checks an operator's settings against `config`. Where there is no `config`, anything goes.
    ///
    /// # Errors
    /// Every setting that doesn't fit; no value is in it.
    pub fn validate(&self, settings: &BTreeMap<String, String>) -> Result<(), ConfigError> {
        match &self.config {
            Some(schema) => schema::validate(schema, settings),
            None => Ok(()),
        }
    }

    fn check(&self) -> Result<(), ManifestError> {
        for (key, text) in [("name", &self.name), ("version", &self.version)] {
            let usual = |c: char| c.is_ascii_alphanumeric() || "-_.+".contains(c);
            if text.is_empty() || text.len() > MAX_NAME_BYTES || !text.chars().all(usual) {
                return Err(ManifestError::value(
                    key,
                    "must be 1 to 64 letters, digits, -, _, . or +",
                ));
            }
        }
        text("description", &self.description)?;
        hosts("hosts", &self.hosts)?;
        if self.secrets.len() > MAX_SECRETS {
            return Err(ManifestError::value("secrets", "names more than 32"));
        }
        for (name, ask) in &self.secrets {
            let key = format!("secrets.{name}");
            // As the configuration takes them.
            let usual = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
            if name.is_empty() || name.len() > MAX_NAME_BYTES || !name.chars().all(usual) {
                return Err(ManifestError::value(
                    key,
                    "must be 1 to 64 letters, digits, -, _ or .",
                ));
            }
            text(&format!("{key}.description"), &ask.description)?;
            hosts(&format!("{key}.hosts"), &ask.hosts)?;
            // A secret can't go where the plugin can't.
            let other = ask.hosts.iter().find(|host| {
                !self.hosts.contains(host) && !self.hosts.iter().any(|it| covers(it, host))
            });
            if let Some(other) = other {
                let cause = format!("holds \"{other}\", which isn't in `hosts`");
                return Err(ManifestError::value(format!("{key}.hosts"), cause));
            }
        }
        self.config.as_ref().map_or(Ok(()), schema::check)?;
        text("messenger.offers_unsupported", &self.messenger.offers_unsupported)?;
        let needs = [
            ("messenger.offers_need", &self.messenger.offers_need),
            ("messenger.replies_need", &self.messenger.replies_need),
        ];
        let known = self.config.as_ref().map(schema::properties);
        let is_known = |name: &str| known.as_ref().is_some_and(|known| known.contains_key(name));
        match needs.into_iter().find(|(_, name)| !name.is_empty() && !is_known(name)) {
            Some((key, _)) => Err(ManifestError::value(key, "names no setting of `config`")),
            None => Ok(()),
        }
    }
}

/// Whether a pattern means all that another does.
fn covers(pattern: &str, other: &str) -> bool {
    match (Pattern::parse(pattern), Pattern::parse(other)) {
        (Ok(Pattern::Any), Ok(_)) => true,
        (Ok(pattern), Ok(Pattern::One(origin))) => pattern.fits(&origin),
        (Ok(pattern @ Pattern::Below(_)), Ok(Pattern::Below(origin))) => pattern.fits(&origin),
        _ => false,
    }
}

fn by_hand(manifest: Manifest) -> Result<Manifest, ManifestError> {
    if manifest.interfaces.is_empty() { Ok(manifest) } else { Err(ManifestError::InterfacesByHand) }
}

fn hosts(key: &str, hosts: &[String]) -> Result<(), ManifestError> {
    if hosts.len() > MAX_HOSTS {
        return Err(ManifestError::value(key, "names more than 64"));
    }
    for host in hosts {
        if host.len() > MAX_HOST_BYTES {
            return Err(ManifestError::value(key, "names a host of more than 300 bytes"));
        }
        text(key, host)?;
    }
    Patterns::parse(hosts).map(drop).map_err(|(text, cause)| {
        let right = "write \"host\", \"host:port\", \"http://host:port\", \"*.domain\" or \"*\"";
        ManifestError::value(key, format!("holds \"{text}\", and {cause}; {right}"))
    })
}

#[cfg(test)]
mod tests;
