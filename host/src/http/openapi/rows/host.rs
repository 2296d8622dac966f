//! The host itself: health, plugins, streams, reload, keys, and what is signed.

use serde_json::{Value, json};

use super::{Operation, Row, Schemas};
use crate::access::{Actor, Scope};
use crate::engine::kv::KvListing;
use crate::engine::people::{Act, MOST_REASON, Outcome};
use crate::engine::timers::TimerListing;
use crate::http::openapi::schema::{
    beside, count, limit, list, map, nullable, number, object, object_with, one_of, text, told,
    truth,
};
use crate::http::{PluginsReport, Reload, Reloads, keys, plugins, routes};
use crate::keys::ListedKey;
use crate::metrics::Format;
use crate::plugin::ShadowReport;

pub(super) fn rows(schemas: &mut Schemas) -> Vec<Row> {
    let ready = ready();
    let key = schemas.of::<ListedKey>();
    vec![
        ("GET", "/webhooks/{plugin}", webhook("getWebhook")),
        ("POST", "/webhooks/{plugin}", webhook("postWebhook").raw("*/*", json!({}))),
        ("POST", "/ingest/{product_id}", ingest()),
        ("POST", "/sources/{name}", source("sendToSourceByName")),
        ("POST", "/sources/{name}/", source("sendToSource")),
        ("POST", "/sources/{name}/{*rest}", source("sendToSourceBelow")),
        (
            "GET",
            "/plugins",
            Operation::new("listPlugins", "How each plugin is", schemas.of::<PluginsReport>()),
        ),
        ("GET", "/plugins/{name}/logs", lines()),
        ("POST", "/plugins/{name}/disable", disable()),
        (
            "POST",
            "/plugins/{name}/enable",
            Operation::new("enablePlugin", "Has a plugin called again", switched()).refuses(&[404]),
        ),
        (
            "GET",
            "/plugins/{name}/kv",
            Operation::new(
                "listPluginKv",
                "What a plugin keeps under keys, its sessions' left out",
                schemas.of::<KvListing>(),
            )
            .query("limit", &limit(), "Keys of an answer at most; 100 where values are wanted.")
            .query("after", &text(), "`next` of the answer before.")
            .query("values", &truth(), "Whether the values are told too."),
        ),
        (
            "DELETE",
            "/plugins/{name}/kv",
            Operation::new(
                "clearPluginKv",
                "Removes what a plugin keeps under keys, its sessions' left out",
                object(&[("plugin", text()), ("removed", count())]),
            ),
        ),
        (
            "GET",
            "/plugins/{name}/timers",
            Operation::new(
                "listPluginTimers",
                "Timers of a plugin that aren't due, in the order of their sessions",
                schemas.of::<TimerListing>(),
            )
            .query("limit", &limit(), "Timers of an answer at most; 100 where payloads are wanted.")
            .query("after", &text(), "`next` of the answer before.")
            .query("payloads", &truth(), "Whether the payloads are told too."),
        ),
        (
            "DELETE",
            "/plugins/{name}/timers",
            Operation::new(
                "removePluginTimers",
                "Removes the timers of a plugin that aren't due",
                object(&[("plugin", text()), ("removed", count())]),
            ),
        ),
        (
            "GET",
            routes::SHADOW,
            Operation::new(
                "getPluginShadow",
                "What a new version of a plugin does differently",
                schemas.of::<ShadowReport>(),
            )
            .refuses(&[404]),
        ),
        (
            "POST",
            routes::SHADOW,
            Operation::new(
                "startPluginShadow",
                "Gives a new version of a plugin what live calls are given; nothing of it leaves",
                schemas.of::<ShadowReport>(),
            )
            .body::<plugins::ShadowFile>(&["file"], &[("file", text())])
            .refuses(&[404, 409, 422, 500]),
        ),
        (
            "DELETE",
            routes::SHADOW,
            Operation::new(
                "dropPluginShadow",
                "Ends the shadow of a plugin",
                object(&[("plugin", text()), ("dropped", truth())]),
            )
            .refuses(&[404, 500]),
        ),
        (
            "POST",
            "/plugins/{name}/promote",
            Operation::new(
                "promotePluginShadow",
                "Has the shadow of a plugin take its place",
                object(&[("plugin", text()), ("before", text()), ("version", text())]),
            )
            .refuses(&[404, 409, 422, 500]),
        ),
        (
            "GET",
            "/metrics",
            Operation::plain("getMetrics", "What is counted and measured, for Prometheus")
                .sends(Format::Prometheus.content_type(), "In the form that is asked for.")
                .refuses(&[500]),
        ),
        ("GET", "/tap", tap("tap", "What happens, live, without what people did")),
        ("GET", "/tap/text", tap("tapText", "What happens, live, with what people did")),
        (
            "GET",
            "/reload",
            Operation::new("getReloads", "The results of reloads", schemas.of::<Reloads>()),
        ),
        ("POST", "/reload", reload(schemas)),
        (
            "POST",
            "/streams/retry",
            Operation::new("retryStreams", "Has all streams connect at once", streams()),
        ),
        (
            "POST",
            "/streams/{name}/retry",
            Operation::new("retryStream", "Has a stream connect at once", streams())
                .refuses(&[404]),
        ),
        (
            "GET",
            "/keys",
            Operation::new(
                "listKeys",
                "The keys, without their secrets",
                object(&[("keys", list(&key))]),
            ),
        ),
        ("POST", "/keys", make(&key)),
        (
            "DELETE",
            "/keys/{id}",
            Operation::new(
                "revokeKey",
                "Revokes a key",
                object(&[("id", text()), ("name", text())]),
            )
            .refuses(&[404]),
        ),
        (
            "POST",
            "/backup",
            Operation::plain("backup", "Copies the store, while the host runs")
                .sends(
                    "application/octet-stream",
                    "The file of a store; `Content-Digest` has its SHA-256.",
                )
                .refuses(&[409, 507]),
        ),
        ("GET", "/audit", audit(schemas)),
        (
            "GET",
            routes::OPENAPI,
            Operation::new("getOpenapi", "This document", json!({ "type": "object" })),
        ),
        ("GET", "/healthz", Operation::new("isAlive", "200 while the process lives", alive())),
        (
            "GET",
            "/readyz",
            Operation::new("isReady", "Whether everything is ready", ready.clone()).answers(
                503,
                "Something isn't ready.",
                ready,
            ),
        ),
    ]
}

fn lines() -> Operation {
    let level = one_of(&["error", "warn", "info", "debug", "trace"]);
    let line = object(&[("number", count()), ("at", number()), ("level", level), ("text", text())]);
    let answer = object(&[("lines", list(&line)), ("next", count())]);
    Operation::new("getPluginLogs", "The latest lines that a plugin wrote", answer)
        .query("limit", &limit(), "Lines of an answer at most.")
        .query("after", &count(), "`next` of the answer before.")
        .refuses(&[404])
}

fn disable() -> Operation {
    let reason = json!({ "type": ["string", "null"], "maxLength": MOST_REASON });
    Operation::new("disablePlugin", "Has a plugin not called any more", switched())
        .body::<plugins::Why>(&[], &[("reason", reason)])
        .refuses(&[404])
}

fn switched() -> Value {
    let disabled = object(&[("since", number()), ("reason", nullable(&text()))]);
    object(&[("plugin", text()), ("changed", truth()), ("disabled", nullable(&disabled))])
}

fn webhook(id: &'static str) -> Operation {
    let accepted = object(&[("status", one_of(&["accepted"]))]);
    Operation::plain(id, "A chat platform tells what happened; the plugin verifies it")
        .answers(
            200,
            "It is committed, or it means nothing. A plugin may answer bytes of its own.",
            json!({ "anyOf": [accepted, {}] }),
        )
        .refuses(&[404, 408, 413, 502])
        .by_plugin()
}

fn ingest() -> Operation {
    let accepted = object(&[("status", one_of(&["accepted"])), ("dropped_actions", count())]);
    let repeated = object(&[("status", one_of(&["repeated"]))]);
    Operation::new(
        "ingest",
        "Accepts an event that the connector signed (`X-Connector-Signature`)",
        json!({ "anyOf": [accepted, repeated] }),
    )
    .raw("application/json", json!({ "type": "object" }))
    .refuses(&[401, 404])
}

fn source(id: &'static str) -> Operation {
    Operation::plain(id, "Accepts what people did, as the source's plugin reads it; any method")
        .raw("application/json", json!({}))
        .by_plugin()
}

fn tap(id: &'static str, summary: &'static str) -> Operation {
    Operation::plain(id, summary)
        .query("product", &text(), "Of this product.")
        .query("session", &text(), "Of this session.")
        .query("plugin", &text(), "Of this plugin.")
        .query(
            "only",
            &text(),
            "Some of `events`, `notes`, `attempts`, `links`, `offers`, with commas between them.",
        )
        .sends("text/event-stream", "Events, until the client or the host ends.")
}

fn reload(schemas: &mut Schemas) -> Operation {
    let reload = schemas.of::<Reload>();
    let waits = object(&[("result", one_of(&["under_way"])), ("next", text())]);
    let of = json!({ "$ref": "#/components/schemas/Refused" });
    let refused = beside(&of, &[("reload", reload.clone())]);
    // The gate's own errors have no `reload`.
    let perhaps = json!({ "anyOf": [refused, of] });
    Operation::new("reload", "Has the configuration read again", reload)
        .answers(202, "It takes long; GET returns the result.", waits)
        .answers(409, "It needs a restart, or there is no file.", refused.clone())
        .answers(422, "Something is wrong with it; all goes on as before.", refused)
        .answers(503, "Not at the moment.", perhaps)
}

fn streams() -> Value {
    object(&[("streams", map(&stream()))])
}

fn stream() -> Value {
    object(&[
        ("state", one_of(&["connecting", "connected", "waiting", "refused", "stopped"])),
        ("last_event_age_seconds", nullable(&number())),
        ("cause", nullable(&text())),
        ("next_attempt_in_seconds", nullable(&number())),
    ])
}

fn alive() -> Value {
    object(&[("status", one_of(&["ok", "degraded"])), ("streams", map(&stream()))])
}

fn ready() -> Value {
    let last_error = object(&[
        ("at", number()),
        ("kind", text()),
        ("code", text()),
        ("ongoing", truth()),
        ("since", nullable(&number())),
        ("failures", count()),
    ]);
    let part = object_with(&[("ready", truth())], &[("cause", text())]);
    let plugin =
        object_with(&[("ready", truth())], &[("cause", text()), ("last_error", last_error)]);
    object(&[
        ("status", one_of(&["ready", "not_ready"])),
        ("streams", map(&stream())),
        ("store", part),
        ("plugins", map(&plugin)),
    ])
}

fn make(key: &Value) -> Operation {
    let scopes = list(&one_of(&Scope::ALL.map(Scope::name)));
    let life = json!({ "type": "integer", "minimum": 1, "maximum": keys::LONGEST_S });
    let name = json!({ "type": "string", "pattern": "^[A-Za-z0-9._-]{1,64}$" });
    let secret = told(text(), "What is sent as a bearer; told this once.");
    Operation::new(
        "makeKey",
        "Makes a key, and tells its secret",
        beside(key, &[("secret", secret)]),
    )
    .body::<keys::Wish>(
        &["name", "scopes"],
        &[
            ("name", name),
            ("scopes", scopes),
            ("products", told(list(&text()), "Instead of `all_products`.")),
            ("all_products", truth()),
            ("expires_in_s", told(life, "Without it, the key doesn't expire.")),
        ],
    )
    .refuses(&[409])
}

fn audit(schemas: &mut Schemas) -> Operation {
    let entry = object(&[
        ("at", number()),
        ("by", schemas.of::<Actor>()),
        ("act", schemas.of::<Act>()),
        ("product", nullable(&text())),
        ("outcome", schemas.of::<Outcome>()),
    ]);
    let answer = object(&[("entries", list(&entry)), ("next", nullable(&text()))]);
    Operation::new("listAudit", "What people changed, the newest first", answer)
        .query("limit", &limit(), "Entries of an answer at most.")
        .query("after", &text(), "`next` of the answer before, unchanged.")
}
