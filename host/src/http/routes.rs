//! The addresses.

use std::net::SocketAddr;
use std::sync::{Arc, LazyLock};

use axum::response::Response;
use http::StatusCode;
use serde_json::{Value, json};

use super::answer::{Refused, json_answer};
use super::backend::Backend;
use super::gate::Access::{Agents, Anyone, Browser, Needs, Signed, Source};
use super::gate::Of::{AnyProduct, Body, Filter, Host, Path, Tool, User};
use super::mcp::{self, Mcp};
use super::route::{GuardedRouter, Route};
use super::state::ApiState;
use super::{
    audit, backup, context, deliveries, erase, events, health, help, ingest, keys, link, metrics,
    outbox, plugins, reload, reply, sources, streams, tap, webhook,
};
use crate::access::Scope::{Admin, Operate, Read, Text};
use crate::config::Server;

/// The OpenAPI document of the HTTP API, as `GET /openapi.json` answers it.
pub fn openapi() -> &'static Value {
    static DOCUMENT: LazyLock<Value> = LazyLock::new(|| super::openapi::document(&table()));
    &DOCUMENT
}

/// Tells it.
async fn document() -> Response {
    json_answer(StatusCode::OK, openapi())
}

/// Every address. The router, the list in a 404 and the tests of access are made of it.
pub(super) fn table() -> [Route; 51] {
    const GET: &[&str] = &["GET", "HEAD"];
    const POST: &[&str] = &["POST"];
    const ANY: &[&str] = &[];
    [
        Route::new("/webhooks/{plugin}", &["GET", "HEAD", "POST"], Signed, webhook::webhook),
        Route::new("/ingest/{product_id}", POST, Signed, ingest::ingest),
        Route::new("/sources/{name}", ANY, Source, sources::source),
        Route::new("/sources/{name}/", ANY, Source, sources::source),
        Route::new("/sources/{name}/{*rest}", ANY, Source, sources::source),
        Route::new("/sessions/link", POST, Needs(Operate, Body("product_id")), link::link),
        Route::new(HELP, GET, Needs(Read, Path), help::show),
        Route::new(HELP, POST, Needs(Operate, Path), help::change),
        Route::new(EVENTS, POST, Needs(Operate, Path), events::token),
        Route::new(EVENTS, &["GET"], Browser, events::events),
        Route::new(TIMELINE, GET, Needs(Read, Path), deliveries::timeline),
        Route::new("/offers", GET, Needs(Read, Filter("after_product")), help::list),
        Route::new("/outbox", GET, Needs(Read, Filter("product")), outbox::list),
        Route::new("/outbox/retry", POST, Needs(Operate, Body("product")), outbox::retry),
        Route::new("/outbox/purge", POST, Needs(Operate, Body("product")), outbox::purge),
        Route::new(DELIVERY, GET, Needs(Read, Path), deliveries::show),
        Route::new(RESEND, POST, Needs(Operate, Path), deliveries::resend),
        Route::new("/erase", GET, Needs(Admin, Filter("product")), erase::list),
        Route::new("/erase", POST, Needs(Admin, Body("product_id")), erase::erase),
        Route::new("/plugins", GET, Needs(Read, Host), plugins::list),
        Route::new("/plugins/{name}/logs", GET, Needs(Text, Host), plugins::logs),
        Route::new("/plugins/{name}/disable", POST, Needs(Operate, Host), plugins::disable),
        Route::new("/plugins/{name}/enable", POST, Needs(Operate, Host), plugins::enable),
        Route::new("/plugins/{name}/kv", GET, Needs(Text, Host), plugins::kept),
        Route::new("/plugins/{name}/kv", &["DELETE"], Needs(Operate, Host), plugins::clear_kept),
        Route::new("/plugins/{name}/timers", GET, Needs(Text, Host), plugins::timers),
        Route::new(
            "/plugins/{name}/timers",
            &["DELETE"],
            Needs(Operate, Host),
            plugins::remove_timers,
        ),
        Route::new(SHADOW, GET, Needs(Read, Host), plugins::shadow),
        Route::new(SHADOW, POST, Needs(Operate, Host), plugins::start_shadow),
        Route::new(SHADOW, &["DELETE"], Needs(Operate, Host), plugins::drop_shadow),
        Route::new("/plugins/{name}/promote", POST, Needs(Operate, Host), plugins::promote_shadow),
        Route::new("/metrics", GET, Needs(Read, Host), metrics::metrics),
        Route::new("/tap", &["GET"], Needs(Read, Filter("product")), tap::tap),
        Route::new("/tap/text", &["GET"], Needs(Text, Filter("product")), tap::text),
        Route::new("/reload", GET, Needs(Read, Host), reload::last),
        Route::new("/reload", POST, Needs(Operate, Host), reload::reload),
        Route::new("/streams/retry", POST, Needs(Operate, Host), streams::retry_all),
        Route::new("/streams/{name}/retry", POST, Needs(Operate, Host), streams::retry),
        Route::new("/context/{user_id}", GET, Needs(Text, User), context::context),
        // A HEAD would ask the model for nothing.
        Route::new("/reply/{user_id}", &["GET"], Needs(Text, User), reply::reply),
        Route::new(LIVE_ACTIVITY, GET, Needs(Text, Path), context::live_activity),
        Route::new("/admin/reset/{user_id}", POST, Needs(Admin, User), context::reset),
        Route::new("/keys", GET, Needs(Admin, Host), keys::list),
        Route::new("/keys", POST, Needs(Admin, Host), keys::make),
        Route::new("/keys/{id}", &["DELETE"], Needs(Admin, Host), keys::revoke),
        Route::new("/backup", POST, Needs(Admin, Host), backup::backup),
        Route::new("/audit", GET, Needs(Admin, Host), audit::list),
        Route::new(MCP, &[], Agents(Text, Tool), mcp::mcp),
        Route::new(OPENAPI, GET, Needs(Read, AnyProduct), document),
        Route::new("/healthz", GET, Anyone, health::alive),
        Route::new("/readyz", GET, Anyone, health::ready),
    ]
}

pub(super) const EVENTS: &str = "/sessions/{product_id}/{session_id}/events";
pub(super) const SHADOW: &str = "/plugins/{name}/shadow";
pub(super) const HELP: &str = "/sessions/{product_id}/{session_id}/help";
pub(super) const TIMELINE: &str = "/sessions/{product_id}/{session_id}/timeline";
pub(super) const DELIVERY: &str = "/deliveries/{product_id}/{session_id}/{number}";
pub(super) const RESEND: &str = "/deliveries/{product_id}/{session_id}/{number}/resend";
pub(super) const LIVE_ACTIVITY: &str = "/users/{product_id}/{user_id}/live-activity";
pub(super) const OPENAPI: &str = "/openapi.json";
/// There only where it is wanted.
pub(super) const MCP: &str = "/mcp";

/// The addresses over `backend`, for a listener at `local`.
pub(super) fn router(
    backend: Arc<dyn Backend>,
    server: &Server,
    local: SocketAddr,
) -> GuardedRouter {
    let mcp = Mcp::of(backend.clone(), server, local);
    let wanted = |route: Route| match route.path {
        MCP => mcp.clone().map(|mcp| route.with(mcp)),
        _ => Some(route),
    };
    let routes = table().into_iter().filter_map(wanted);
    GuardedRouter::new(routes, nowhere, ApiState::new(backend, server, local))
}

fn nowhere() -> Refused {
    static NEXT: LazyLock<String> = LazyLock::new(|| format!("the addresses are {}", addresses()));
    Refused::new(StatusCode::NOT_FOUND, "not_found", "there is no such address", &**NEXT)
        .with_detail(json!("Not Found"))
}

/// All addresses, for whoever called none of them.
fn addresses() -> String {
    let mut routes = Vec::from(table());
    // The first row of an address says how it is tried first.
    routes.dedup_by_key(|route| route.path);
    let named = |route: &Route| match route.methods.iter().find(|method| **method != "HEAD") {
        Some(&"GET") | None => route.path.to_owned(),
        Some(method) => format!("{method} {}", route.path),
    };
    let named: Vec<_> = routes.iter().map(named).collect();
    let (last, others) = named.split_last().expect("there are some");
    format!("{} and {last}", others.join(", "))
}
