//! The configuration: one TOML file, further tables beside it, an environment overlay, and nothing that is
//! half right.
//!
//! [`Config::load`] parses, validates and builds. It reports every problem that it finds, each with
//! its line, its key and the remedy; a [`Config`] that exists is valid.
//!
//! | file | what it does |
//! |---|---|
//! | `model` | what the rest of the host gets, with the defaults |
//! | `load` | the files to a [`Config`] |
//! | `further` | which files of `plugins.d` are read with the main one |
//! | `source` | where it is read again from while the host runs |
//! | `plan` | what one configuration changes of another, and what of that needs a restart |
//! | `access` | what a command needs that asks a running host |
//! | `section` | reads the keys of one table; knows unknown keys and the environment overlay |
//! | `schema`, `tree`, `shape`, `trigger_rows` | the JSON Schema, made by asking the readers what they take |
//! | `scalar` | one value: durations, sizes, numbers, text |
//! | `sections`, `plugins`, `products`, `llm`, `mcp` | one function per table of the file |
//! | `registries` | where components in registries lie, what registries are asked with, whose signatures are trusted |
//! | `plugin_source`, `sources` | `[plugins.NAME.source]`: what it holds, and reading it |
//! | `context` | `[context]` |
//! | `dashboard` | `[dashboard]` |
//! | `offers` | `[products.ID.offers]`, and what is wrong with its triggers |
//! | `reply` | `[products.ID.reply]` |
//! | `identity` | `[identity]` |
//! | `tours` | `[tours.PRODUCT]` |
//! | `traces` | `[traces]` |
//! | `operator_events` | `[operator_events]` |
//! | `origin` | the web pages that may ask |
//! | `secret` | what is secret, and its value from the environment or a file, never from the text itself |
//! | `sha256` | what a content is known by |
//! | `host` | the hosts that a plugin may reach |
//! | `error` | what can be wrong |
//!
//! Every key and its default stands in `examples/sidenote.toml`, which a test keeps true. A scalar of
//! the file can be overridden by an environment variable: `SIDENOTE__` and the path of the key in
//! upper case, `__` between the parts, `_` for whatever isn't a letter or a digit:
//! `SIDENOTE__SERVER__LISTEN`, `SIDENOTE__STREAMS__MAIN__URL`.

mod access;
mod context;
mod dashboard;
mod error;
mod further;
mod host;
mod identity;
mod llm;
mod load;
mod mcp;
mod model;
mod offers;
mod operator_events;
mod origin;
mod plan;
mod plugin_source;
mod plugins;
mod products;
mod registries;
mod reply;
mod scalar;
mod schema;
mod secret;
mod section;
mod sections;
mod sha256;
mod shape;
mod source;
mod sources;
mod tours;
mod traces;
mod tree;
mod trigger_rows;

#[cfg(test)]
mod tests;

pub use access::Access;
pub use error::{ConfigErrors, Fault, Place, Problem, SecretFault, Warning};
pub use llm::{Llm, Provider, Summary};
pub use model::{
    Breaker, Cache, Compile, Config, Context, Dashboard, DeadHead, Delivery, History, Isolation,
    KvLimits, Mcp, Offers, Plugin, PluginLimits, PluginSecret, Product, Redis, Retention, Server,
    Store, Stream, TimerLimits,
};
pub use operator_events::{EventWebhook, OperatorEvents};
pub use origin::PageOrigin;
pub use plan::{Changes, NeedsRestart, Plan};
pub use plugin_source::{Origins, PluginSource, WriteKey};
pub use registries::{
    BadReference, Credentials, Pinned, Reference, RegistryAccess, SCHEME, Supply, TrustedKey,
};
pub use scalar::parse_duration;
pub use schema::schema;
pub use secret::Secret;
pub use sha256::Sha256;
pub use source::Source;
pub use traces::Traces;
