//! HTTP: webhooks and links in, health out.
//!
//! | route | what |
//! |---|---|
//! | `POST`, `GET`, `HEAD` `/webhooks/{plugin}` | the plugin verifies the raw bytes; answered after the commit |
//! | `POST /ingest/{product_id}` | accepts an event that the connector signed; answered after the commit |
//! | `/sources/{name}/…` | what people do, as a source's plugin reads it; answered after the commit |
//! | `POST /sessions/link` | links a session to a conversation |
//! | `GET`, `POST /sessions/{product_id}/{session_id}/help`, `GET /offers` | how sessions are helped, and what was decided of it |
//! | `GET /outbox` | what waits and the dead letters |
//! | `POST /outbox/retry`, `/outbox/purge` | has notes sent again, or removes them for good |
//! | `POST`, `GET /erase` | erases a person or a session of a product; what stays of it |
//! | `GET /plugins`, `GET /metrics` | how every plugin is; what is counted and measured, for Prometheus |
//! | `POST /admin/reset/{user_id}` | erases a user's sessions; posted notes stay |
//! | `GET /context/{user_id}` | what a user did lately, as text |
//! | `GET /users/{product_id}/{user_id}/live-activity` | the same as a list |
//! | `GET /reply/{user_id}` | a language model's answer to a user's question |
//! | `POST /streams/retry`, `/streams/{name}/retry` | has streams that wait connect at once |
//! | `/mcp` | what a user did for agents, as a tool of the Model Context Protocol |
//! | `POST /reload`, `GET /reload` | has the configuration read again; the result of that |
//! | `GET`, `POST /keys`, `DELETE /keys/{id}` | the keys of the API |
//! | `POST /backup` | a copy of the store |
//! | `GET /audit` | what people changed |
//! | `GET /openapi.json` | what the API is, for programs |
//! | `GET /healthz` | 200 while the process lives, with the streams' state |
//! | `GET /readyz` | 200 when streams, store and plugins are ready, else 503 |
//!
//! Who may is said by each row's rule: a scope, and how the request names its product (`gate`). Who asks is told by the
//! token or a key (`auth`), and travels with the request as a `Caller`; `products` narrows what they ask for.
//!
//! `routes` has the table that the router is made of, and `route` what a row of it is: there is no way to add an address
//! without saying who may call it. `gate` judges every request by that, before anything of its body is read. `json` reads
//! the bodies that say what is wanted. Errors are JSON:
//! `{"error": {"code", "message", "next"}}`, with autoplay-sdk's `detail` beside it where it has one.
//!
//! Everything is bounded: connections (`permits`), the time for a request's head and for its body, the body's
//! size, the time for an answer and for the client to take it (`wire`).

mod answer;
mod answered;
mod audit;
mod auth;
mod backend;
mod backup;
mod body;
mod context;
mod deliveries;
mod erase;
mod event_tokens;
mod events;
mod gate;
mod health;
mod help;
mod ingest;
mod json;
mod keys;
mod link;
mod mcp;
mod metrics;
mod openapi;
mod outbox;
mod page;
mod path;
mod permits;
mod plugins;
mod products;
mod query;
mod reload;
mod reload_record;
mod reply;
mod route;
mod routes;
mod server;
mod sources;
mod state;
mod streams;
mod tap;
mod webhook;
mod wire;

#[cfg(test)]
mod tests;

pub(crate) use answer::Refused;
pub use audit::audit_json;
pub(crate) use auth::{SEC_FETCH_SITE, comes_from_this_machine, is_this_machine};
pub use backend::{
    Backend, Backup, BackupFailure, DisabledPlugin, LinkRequest, NoProduct, Part, PluginReport,
    PluginsReport, PushAnswer, PushRequest, Readiness, StreamReadiness, StreamState, WebhookAnswer,
};
pub(crate) use body::read as read_body;
pub(crate) use gate::{Names, Peer, checked_host};
pub use help::decision_json;
pub use reload_record::{
    AskedBy, RefusalCode, Reload, ReloadCounts, ReloadOutcome, ReloadProblem, ReloadRefusal,
    Reloads,
};
pub use routes::openapi;
pub(crate) use server::serve_router;
pub use server::{ServeError, serve};
