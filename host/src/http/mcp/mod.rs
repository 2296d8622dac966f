//! `/mcp`: the Model Context Protocol, for agents that ask what a user did lately.
//!
//! Streamable HTTP without sessions: a request is answered by itself, nothing is kept of a client, and no
//! connection stays open. Who may ask is told by the bearer token, as with the context's other routes; the
//! `Host` header must name this host, and web pages are served only where their origin is allowed, so that no page
//! can have a browser ask. Whoever takes JSON, in whatever words, is answered in JSON.

mod accept;
mod activity;
mod tools;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::header::{ACCEPT, ORIGIN};
use http::{HeaderValue, Method, StatusCode, Uri};
use http_body_util::Full;
use rmcp::transport::streamable_http_server::session::never::NeverSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};

use super::answer::{Refused, guarded};
use super::backend::Backend;
use super::body;
use super::page;
use super::state::ApiState;
use crate::config::Server;
use tools::Tools;

/// The two forms in which the protocol has answers. Its library wants both to be named; the one is sent.
const BOTH: HeaderValue = HeaderValue::from_static("application/json, text/event-stream");

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

/// Answers a request of the protocol.
pub(super) async fn mcp(
    State(api): State<ApiState>,
    Extension(Mcp(service)): Extension<Mcp>,
    request: Request,
) -> Result<Response, Refused> {
    if request.method() == Method::OPTIONS && request.headers().contains_key(ORIGIN) {
        // A browser asks first whether its page may; the gate let it pass because the page may.
        let mut answer = guarded(StatusCode::NO_CONTENT.into_response());
        page::may_ask(answer.headers_mut());
        return Ok(answer);
    }
    if request.method() == Method::POST && !accept::takes_json(request.headers()) {
        return Err(Refused::new(
            StatusCode::NOT_ACCEPTABLE,
            "not_acceptable",
            "the answer is JSON, which the Accept header excludes",
            "send `Accept: application/json, text/event-stream`, or none",
        ));
    }
    let (mut head, body) = request.into_parts();
    let read = Request::from_parts(head.clone(), body);
    let body = body::read(read, api.max_body_bytes).await?;
    head.headers.insert(ACCEPT, BOTH);
    // The gate compared it, and more closely than the library would.
    head.headers.remove(ORIGIN);
    let request = Request::from_parts(head, Full::new(body));
    let answer = api.within_deadline(service.handle(request)).await?;
    Ok(guarded(answer.map(Body::new)))
}
