//! The addresses, and what their handlers share.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::handler::Handler;
use axum::routing::{MethodFilter, MethodRouter, any, on};
use axum::{Router, middleware};
use http::Method;

use super::answer::Refused;
use super::backend::Backend;
use super::gate::{self, Access, Before, Gate, Place};
use super::{
    context, erase, health, ingest, link, mcp, outbox, plugins, reload, reply, streams, webhook,
};
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
    pub(super) gate: Gate,
    pub(super) max_body_bytes: usize,
    /// Where it is wanted.
    pub(super) mcp: Option<mcp::Mcp>,
    /// Without a slash at its end.
    pub(super) public_url: Arc<str>,
}

/// One address: whoever adds one says who may call it.
pub(super) struct Route {
    pub(super) path: &'static str,
    /// Empty where the handler itself answers to every method.
    pub(super) methods: &'static [&'static str],
    pub(super) access: Access,
    answers: MethodRouter<Routes>,
}

impl Route {
    fn new<T: 'static>(
        path: &'static str,
        methods: &'static [&'static str],
        access: Access,
        handler: impl Handler<T, Routes>,
    ) -> Self {
        let refused = async move || Refused::method_not_allowed(methods);
        let filter = methods.iter().filter_map(|method| {
            let method = Method::from_bytes(method.as_bytes()).ok()?;
            MethodFilter::try_from(method).ok()
        });
        let answers = match filter.reduce(MethodFilter::or) {
            None => any(handler),
            // A HEAD would be answered as a GET.
            Some(filter) if methods.contains(&"GET") && !methods.contains(&"HEAD") => {
                on(filter, handler).head(refused)
            }
            Some(filter) => on(filter, handler),
        };
        Self { path, methods, access, answers }
    }
}

/// Every address. The router, the log's words, the list in a 404 and the tests of access are made of it.
pub(super) fn table() -> [Route; 18] {
    use Access::{Agents, Anyone, Bearer, Owner, Signed};
    const GET: &[&str] = &["GET", "HEAD"];
    const POST: &[&str] = &["POST"];
    [
        Route::new("/webhooks/{plugin}", &["GET", "HEAD", "POST"], Signed, webhook::webhook),
        Route::new("/ingest/{product_id}", POST, Signed, ingest::ingest),
        Route::new("/sessions/link", POST, Owner, link::link),
        Route::new("/outbox", GET, Owner, outbox::list),
        Route::new("/outbox/retry", POST, Owner, outbox::retry),
        Route::new("/outbox/purge", POST, Owner, outbox::purge),
        Route::new("/erase", &["GET", "HEAD", "POST"], Owner, erase::erase),
        Route::new("/plugins", GET, Owner, plugins::list),
        Route::new("/reload", &["GET", "HEAD", "POST"], Owner, reload::reload),
        Route::new("/streams/retry", POST, Owner, streams::retry_all),
        Route::new("/streams/{name}/retry", POST, Owner, streams::retry),
        Route::new("/context/{user_id}", GET, Bearer, context::context),
        // A HEAD would ask the model for nothing.
        Route::new("/reply/{user_id}", &["GET"], Bearer, reply::reply),
        Route::new(LIVE_ACTIVITY, GET, Bearer, context::live_activity),
        Route::new("/admin/reset/{user_id}", POST, Owner, context::reset),
        Route::new(MCP, &[], Agents, mcp::mcp),
        Route::new("/healthz", GET, Anyone, health::alive),
        Route::new("/readyz", GET, Anyone, health::ready),
    ]
}

const LIVE_ACTIVITY: &str = "/users/{product_id}/{user_id}/live-activity";
/// There only where it is wanted.
const MCP: &str = "/mcp";

/// All addresses, for whoever called none of them.
pub(super) fn addresses() -> String {
    let named = |route: Route| match route.methods.iter().find(|method| **method != "HEAD") {
        // GET is what is tried first.
        Some(&"GET") | None => route.path.to_owned(),
        Some(method) => format!("{method} {}", route.path),
    };
    let named = table().map(named);
    let (last, others) = named.split_last().expect("there are some");
    format!("{} and {last}", others.join(", "))
}

impl Routes {
    /// The addresses over `backend`, for a listener at `local`.
    pub(super) fn router(backend: Arc<dyn Backend>, server: &Server, local: SocketAddr) -> Router {
        let routes = Self {
            mcp: mcp::Mcp::of(backend.clone(), server, local),
            backend,
            gate: Gate::of(server, local),
            max_body_bytes: server.max_body_bytes,
            public_url: server
                .public_url
                .as_deref()
                .map_or_else(|| format!("http://{local}"), str::to_owned)
                .into(),
        };
        let before = |access, place| {
            let before = Before { gate: routes.gate.clone(), access, place };
            middleware::from_fn_with_state(before, gate::pass)
        };
        let wanted = |route: &Route| route.path != MCP || routes.mcp.is_some();
        let mut router = Router::new();
        for Route { path, methods, access, answers } in table().into_iter().filter(wanted) {
            let place = Some(Place(path));
            let mut answers = answers.layer(before(access, place));
            if !methods.is_empty() {
                let other = any(async move || Refused::method_not_allowed(methods));
                let other = other.layer(before(Access::Anyone, place)).with_state(());
                answers = answers.fallback_service(other);
            }
            router = router.route(path, answers);
        }
        let nowhere = async || Refused::not_found();
        let nowhere = any(nowhere).layer(before(Access::Anyone, None));
        router.fallback_service(nowhere.with_state(())).with_state(routes)
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
