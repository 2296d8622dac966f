//! `/mcp`: the Model Context Protocol, for agents that ask what a user did lately.
//!
//! Streamable HTTP without sessions: a request is answered by itself, nothing is kept of a client, and no
//! connection stays open. Who may ask is told by the bearer token, as with the context's other routes; the
//! `Host` header must name this host and web pages aren't served, so that no page can have a browser ask.

mod activity;
mod tools;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Extension, Request, State};
use axum::response::{IntoResponse, Response};
use http::uri::Authority;
use http::{StatusCode, Uri};
use http_body_util::Full;
use rmcp::transport::streamable_http_server::session::never::NeverSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};

use super::answer::{Refused, guarded};
use super::auth::Rule;
use super::backend::Backend;
use super::body;
use super::routes::{Peer, Routes};
use crate::config::Server;
use tools::Tools;

/// The protocol's server over what people did lately.
#[derive(Clone)]
pub(super) struct Mcp(StreamableHttpService<Tools, NeverSessionManager>);

impl Mcp {
    /// The server of a listener at `local`, where it is wanted.
    pub(super) fn of(
        backend: Arc<dyn Backend>,
        server: &Server,
        local: SocketAddr,
    ) -> Option<Self> {
        let wanted = server.mcp.as_ref()?;
        let this_machine = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
        let public = server.public_url.as_deref().and_then(|url| url.parse::<Uri>().ok());
        let public = public.as_ref().and_then(Uri::authority).map(|it| it.host().to_owned());
        let listener = (!local.ip().is_unspecified()).then(|| local.ip().to_string());
        let hosts = wanted.hosts.iter().cloned();
        let hosts = this_machine.into_iter().chain(public).chain(listener).chain(hosts);
        let config = StreamableHttpServerConfig::default()
            .with_legacy_session_mode(false)
            .with_json_response(true)
            .with_sse_keep_alive(None)
            .with_allowed_hosts(hosts)
            .enforce_origin_validation()
            .with_max_request_body_bytes(server.max_body_bytes);
        let tools = move || Ok(Tools::new(backend.clone()));
        let sessions = Arc::new(NeverSessionManager::default());
        Some(Self(StreamableHttpService::new(tools, sessions, config)))
    }
}

/// Whether a host can stand in the `Host` header, with or without a port.
pub(crate) fn is_host(text: &str) -> bool {
    text.parse::<Authority>().is_ok_and(|authority| !authority.as_str().contains('@'))
}

/// Answers a request of the protocol.
pub(super) async fn mcp(
    State(routes): State<Routes>,
    Extension(peer): Extension<Peer>,
    request: Request,
) -> Response {
    answer(&routes, peer, request).await.unwrap_or_else(Refused::into_response)
}

async fn answer(routes: &Routes, peer: Peer, request: Request) -> Result<Response, Refused> {
    let Some(Mcp(service)) = &routes.mcp else { return Err(Refused::not_found()) };
    routes.rule.check(peer.0, request.headers())?;
    if !matches!(routes.rule, Rule::Bearer(_)) {
        return Err(Refused::new(
            StatusCode::FORBIDDEN,
            "context_needs_token",
            "what people did is told to the bearer of a token only",
            "set `token` in [server] and send `Authorization: Bearer TOKEN`",
        ));
    }
    let (head, body) = request.into_parts();
    let read = Request::from_parts(head.clone(), body);
    let body = body::read(read, routes.max_body_bytes).await?;
    let request = Request::from_parts(head, Full::new(body));
    let answer = routes.within_deadline(service.handle(request)).await?;
    Ok(guarded(answer.map(Body::new)))
}
