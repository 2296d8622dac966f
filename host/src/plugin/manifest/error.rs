//! Why there is no manifest, and why settings don't fit it.

use crate::plugin::clean::clean;
use crate::plugin::component_info::ComponentError;
use crate::visible::steers;

const MAX_TEXT_BYTES: usize = 1000;

/// Why there is no manifest to be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// The component can't be read.
    #[error("manifest: {0}")]
    Component(#[from] ComponentError),
    /// There are several.
    #[error("manifest: there are {0} of them; leave one, or run `sidenote plugin pack --replace`")]
    Several(usize),
    /// It is too large.
    #[error("manifest: it has {0} bytes and at most 65536 are allowed; shorten it")]
    TooLarge(usize),
    /// It has no key that it must have, a key that isn't known, or a value of another type.
    #[error("manifest: {0}")]
    Unreadable(String),
    /// A value can't be used.
    #[error("manifest: `{key}` {cause}")]
    Value {
        /// The key, as a path.
        key: String,
        /// What is wrong with it, and what would be right.
        cause: String,
    },
    /// `interfaces` stands in a file that is to be packed.
    #[error(
        "manifest: `interfaces` isn't written by hand; leave it out, packing fills it in from the component"
    )]
    InterfacesByHand,
    /// `interfaces` doesn't say what the component exports.
    #[error(
        "manifest: `interfaces` says {said} and the component exports {exported}; pack it again with `sidenote plugin pack --replace`"
    )]
    Interfaces {
        /// What the manifest says.
        said: String,
        /// What the component exports.
        exported: String,
    },
}

impl ManifestError {
    pub(super) fn value(key: impl Into<String>, cause: impl Into<String>) -> Self {
        Self::Value { key: clean(&key.into(), 200), cause: clean(&cause.into(), 400) }
    }
}

/// The settings of a plugin don't fit its manifest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
pub struct ConfigError(pub Vec<Violation>);

/// A setting that doesn't fit. Its value isn't told.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
#[error("config: `{key}` {wrong}; expected {expected}")]
pub struct Violation {
    /// The setting's key.
    pub key: String,
    /// What is wrong with it.
    pub wrong: String,
    /// What would be right.
    pub expected: String,
}

/// A text for people, on one line.
pub(super) fn text(key: &str, text: &str) -> Result<(), ManifestError> {
    if text.len() > MAX_TEXT_BYTES {
        return Err(ManifestError::value(key, "is longer than 1000 bytes"));
    }
    if text.chars().any(steers) {
        return Err(ManifestError::value(key, "holds a line break or a control character"));
    }
    Ok(())
}
