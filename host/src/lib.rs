//! Sidenote reads a live stream of what people do in a product and writes it as a note beside the
//! conversation that they open with support.
//!
//! The way of the data, one direction, one module per stage:
//!
//! ```text
//! connector --SSE--> stream -> engine(core, store) -> plugin -> egress -> chat platform
//! chat platform --webhook--> http -> plugin (parse) -> engine (link)
//! ```
//!
//! | module | owns | knows nothing of |
//! |---|---|---|
//! | [`stream`] | the connection, resume, back-off | sessions |
//! | [`engine`] | the single writer: loads rows, runs the core, commits, then acts | what is decided, how rows are stored, how notes are posted |
//! | [`context`] | what people did lately, as text for a chatbot: read from the engine's history, then told by its feed | sockets, prompts |
//! | [`llm`] | language models: one question, one text back | what is asked |
//! | [`prompts`] | what models are asked, checked at the start | who asks |
//! | [`summary`] | when a session is summarized (pure), and the calls of the model | how notes are made |
//! | [`store`] | rows, one transaction per commit | the meaning of the rows |
//! | [`plugin`] | components, instances, limits | sessions |
//! | [`oci`] | components in registries: asked for within bounds, believed by their digests | what runs |
//! | [`egress`] | the only door to the network for plugins | what is sent |
//! | [`http`] | webhooks in, links in, health out | how notes are made |
//! | [`sources`] | what people do, as other tools tell it through a plugin | how notes are made, what a tool's format is |
//! | [`operator_events`] | what a person must see to, logged and sent to a webhook | how the host comes to stand so |
//! | `dashboard` | the operators' pages, on a listener of their own | how notes are made |
//! | [`traces`] | spans of deliveries, sent by OTLP | who delivers |
//! | [`config`] | the TOML file: parse, validate, build | what runs |
//! | [`host`] | builds the stages from a configuration, starts and stops them in order | what they do |
//!
//! What is decided is in a crate of its own, `sidenote_core`: [`session`], [`offers`], [`outbox`], [`rules`], [`ids`] and the engine's core
//! ([`engine::core`]).
//!
//! [`post`] is the way to the plugins as the engine sees it, [`clock`] is time as a value, [`ids`] the typed names that everything is keyed by, [`access`] who may do what, [`keys`] the keys that say so, [`address`] where a request
//! goes and how far away that is, [`once`] what comes again and counts once, [`backoff`] the pauses between attempts, [`see`] where a message leads in the book,
//! [`http_client`] what the host's own HTTP clients have in common, [`telemetry`] the log's set-up and what keeps it
//! short, [`tls`] the one provider of it, [`visible`] which characters may be shown.

// The one exception is in `plugin::artifact`, which loads what was compiled before.
#![deny(unsafe_code)]

pub mod address;
pub mod clock;
pub mod config;
pub mod context;
mod dashboard;
pub mod egress;
pub mod engine;
pub mod host;
pub mod http;
pub mod http_client;
pub mod keys;
pub mod llm;
pub mod metrics;
pub mod oci;
pub mod offering;
pub mod once;
pub mod operator_events;
pub mod plugin;
pub mod post;
pub mod prompts;
pub mod replying;
pub mod sources;
pub mod store;
pub mod stream;
pub mod summary;
pub mod telemetry;
pub mod tls;
pub mod traces;
pub mod visible;

pub use sidenote_core::{
    access, backoff, bytes, histogram, ids, kv, offers, outbox, replies, rules, see, session,
    timer, triggers,
};
