//! The addresses, and what their handlers share.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::{MethodFilter, any, get, on, post};

use super::answer::Refused;
use super::auth::Rule;
use super::backend::Backend;
use super::{context, erase, health, ingest, link, mcp, outbox, plugins, reply, streams, webhook};
use crate::config::Server;

/// How long the rest of the host may take for an answer. Plugins have tighter deadlines of their own;
/// this one keeps a fault elsewhere from holding connections for ever.
const DEADLINE: Duration = Duration::from_secs(60);

/// The client's address, put into each request by the accept loop.
#[derive(Debug, Clone, Copy)]
pub(super) struct Peer(pub(super) SocketAddr);

/// What the handlers share.
#[derive(Clone)]
pub(super) struct Routes {
    pub(super) backend: Arc<dyn Backend>,
    pub(super) rule: Rule,
    pub(super) max_body_bytes: usize,
    /// Where it is wanted.
    pub(super) mcp: Option<mcp::Mcp>,
    /// Without a slash at its end.
    pub(super) public_url: Arc<str>,
}

impl Routes {
    /// The addresses over `backend`, for a listener at `local`.
    pub(super) fn router(backend: Arc<dyn Backend>, server: &Server, local: SocketAddr) -> Router {
        let routes = Self {
            mcp: mcp::Mcp::of(backend.clone(), server, local),
            backend,
            rule: Rule::of(server.token.clone(), local),
            max_body_bytes: server.max_body_bytes,
            public_url: server
                .public_url
                .as_deref()
                .map_or_else(|| format!("http://{local}"), str::to_owned)
                .into(),
        };
        let webhooks =
            on(MethodFilter::POST.or(MethodFilter::GET).or(MethodFilter::HEAD), webhook::webhook);
        Router::new()
            .route(
                "/webhooks/{plugin}",
                webhooks.fallback(|| async { Refused::method_not_allowed("GET, HEAD, POST") }),
            )
            .route(
                "/ingest/{product_id}",
                post(ingest::ingest).fallback(|| async { Refused::method_not_allowed("POST") }),
            )
            .route(
                "/sessions/link",
                post(link::link).fallback(|| async { Refused::method_not_allowed("POST") }),
            )
            .route(
                "/outbox",
                get(outbox::list).fallback(|| async { Refused::method_not_allowed("GET, HEAD") }),
            )
            .route(
                "/outbox/retry",
                post(outbox::retry).fallback(|| async { Refused::method_not_allowed("POST") }),
            )
            .route(
                "/outbox/purge",
                post(outbox::purge).fallback(|| async { Refused::method_not_allowed("POST") }),
            )
            .route(
                "/erase",
                post(erase::erase).fallback(|| async { Refused::method_not_allowed("POST") }),
            )
            .route(
                "/streams/retry",
                post(streams::retry_all).fallback(|| async { Refused::method_not_allowed("POST") }),
            )
            .route(
                "/streams/{name}/retry",
                post(streams::retry).fallback(|| async { Refused::method_not_allowed("POST") }),
            )
            .route(
                "/context/{user_id}",
                get(context::context)
                    .fallback(|| async { Refused::method_not_allowed("GET, HEAD") }),
            )
            .route(
                "/users/{product_id}/{user_id}/live-activity",
                get(context::live_activity)
                    .fallback(|| async { Refused::method_not_allowed("GET, HEAD") }),
            )
            .route(
                "/admin/reset/{user_id}",
                post(context::reset).fallback(|| async { Refused::method_not_allowed("POST") }),
            )
            .route("/mcp", any(mcp::mcp))
            .route(
                "/reply/{user_id}",
                // A HEAD would ask the model for nothing.
                get(reply::reply)
                    .head(|| async { Refused::method_not_allowed("GET") })
                    .fallback(|| async { Refused::method_not_allowed("GET") }),
            )
            .route(
                "/plugins",
                get(plugins::list).fallback(|| async { Refused::method_not_allowed("GET, HEAD") }),
            )
            .route(
                "/healthz",
                get(health::alive).fallback(|| async { Refused::method_not_allowed("GET, HEAD") }),
            )
            .route(
                "/readyz",
                get(health::ready).fallback(|| async { Refused::method_not_allowed("GET, HEAD") }),
            )
            .fallback(|| async { Refused::not_found() })
            .with_state(routes)
    }

    /// Waits for the rest of the host, but not for ever.
    pub(super) async fn within_deadline<T>(
        &self,
        call: impl Future<Output = T>,
    ) -> Result<T, Refused> {
        tokio::time::timeout(DEADLINE, call).await.map_err(|_| {
            tracing::error!(deadline = ?DEADLINE, "http: the host didn't answer a request in time; the client was told to send it again");
            Refused::unavailable("timeout", "the host didn't answer in time", Duration::from_secs(5))
        })
    }
}
