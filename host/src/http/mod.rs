//! HTTP: webhooks and links in, health out.
//!
//! | route | who may | what |
//! |---|---|---|
//! | `POST`, `GET`, `HEAD` `/webhooks/{plugin}` | anyone; the plugin verifies the raw bytes | answered after the commit |
//! | `POST /ingest/{product_id}` | the connector that signs the raw bytes with the product's secret | takes an event; answered after the commit |
//! | `POST /sessions/link` | the bearer of `server.token`; without one, programs on this machine | links a session to a conversation |
//! | `GET /outbox` | as above; texts only for the bearer of a token | what waits and what was given up |
//! | `POST /outbox/retry`, `/outbox/purge` | as above | has notes sent again, or removes them for good |
//! | `POST /erase` | as `POST /sessions/link` | erases a person or a session of a product |
//! | `GET /plugins` | the same | how every plugin is |
//! | `GET /healthz` | anyone | 200 while the process lives, with the streams' state |
//! | `GET /readyz` | anyone | 200 when streams, store and plugins are ready, else 503 |
//!
//! Everything is bounded: connections, the time for a request's head and for its body, the body's size,
//! the time for an answer. The `Host` header means nothing here. Errors are JSON:
//! `{"error": {"code", "message", "next"}}`.

mod answer;
mod auth;
mod backend;
mod body;
mod erase;
mod health;
mod ingest;
mod link;
mod outbox;
mod plugins;
mod routes;
mod server;
mod webhook;

#[cfg(test)]
mod tests;

pub use backend::{
    Backend, LinkWish, Part, PluginReport, PluginsReport, PushAnswer, PushRequest, Readiness,
    StreamReadiness, StreamState, WebhookAnswer, WebhookRequest,
};
pub use server::{ServeError, serve};
