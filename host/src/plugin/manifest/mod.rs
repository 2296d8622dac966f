//! The manifest: what a plugin says of itself and asks for, in a custom section of its component.
//!
//! | module | owns |
//! |---|---|
//! | `model` | the manifest's fields and their bounds; reading it from a file or from a component |
//! | `schema` | `config`: which JSON Schemas are allowed, and settings checked against one |
//! | `effective` | what a plugin really gets: what it asks for and what the operator grants |
//! | `error` | why there is no manifest, and why settings don't fit it |
//! | `messenger` | whether a plugin can offer help and answer, as it is configured |
//! | `pack` | putting a manifest into a component |
//! | `config_snippet` | what a plugin asks for, as a configuration to paste |
//!
//! A manifest is read before anything is compiled, and nothing that it says is trusted: it can only ask.

mod config_snippet;
mod effective;
mod error;
mod messenger;
mod model;
mod pack;
mod schema;

pub use config_snippet::{belief, settings, toml};
pub use effective::{Effective, Mismatch, effective, imports_not_granted};
pub use error::{ConfigError, ManifestError, Violation};
pub use messenger::{Messenger, NoMessage};
pub use model::{Manifest, MessengerAsk, SecretAsk};
pub use pack::{PackError, pack};
