//! `GET /plugins`, `GET /plugins/{name}/logs`, `POST /plugins/{name}/disable` and `POST /plugins/{name}/enable`; `GET` and
//! `DELETE` of `/plugins/{name}/kv` and of `/plugins/{name}/timers`.

use std::time::Duration;

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use http::{StatusCode, Uri};
use serde_json::{Value, json};

use super::answer::{Refused, json_answer};
use super::backend::DisabledPlugin;
use super::json::{Fields, Json, Wanted};
use super::path::Path;
use super::products;
use super::query::{self, Asked, Query};
use super::state::ApiState;
use crate::access::Caller;
use crate::engine::kv::KvWant;
use crate::engine::people::{MOST_REASON, PluginSwitch, SwitchError, SwitchTo};
use crate::engine::timers::{TimerCursor, TimersWant};
use crate::plugin::{Promoted, ShadowError};
use crate::session::text::printable_line;

/// When to ask again while the store takes nothing.
const RETRY_AFTER: Duration = Duration::from_secs(2);

/// Values, or payloads, of one answer at most.
const MOST_VALUES: usize = 100;

/// How every plugin is. It names files and says why something failed: not for everybody.
pub(super) async fn list(State(api): State<ApiState>) -> Response {
    json_answer(StatusCode::OK, &json!(api.backend.plugins()))
}

/// The latest lines that a plugin wrote: they may tell what people did.
pub(super) async fn logs(
    State(api): State<ApiState>,
    Path(name): Path<String>,
    Query(Since { after, limit }): Query<Since>,
) -> Result<Response, Refused> {
    let lines = api.backend.plugin_lines(&name, after, limit);
    let lines = lines.ok_or_else(|| refused(SwitchError::Unknown))?;
    let next = lines.last().map_or(after, |line| line.number);
    Ok(json_answer(StatusCode::OK, &json!({"lines": lines, "next": next})))
}

/// From where on.
pub(super) struct Since {
    after: u64,
    limit: usize,
}

impl Asked for Since {
    fn read(uri: &Uri) -> Result<Self, Refused> {
        const NEXT: &str =
            "send, for example, ?limit=20&after=17, with `next` of the answer before, or nothing";
        let bad = |message: &'static str| {
            Refused::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_query", message, NEXT)
        };
        let mut since = Self { after: 0, limit: 200 };
        for (name, value) in query::pairs(uri, NEXT)? {
            match name.as_str() {
                "limit" => since.limit = query::limit(&value, NEXT)?,
                "after" => {
                    let after = value.parse().map_err(|_| bad("after must be a whole number"));
                    since.after = after?;
                }
                _ => return Err(bad("the lines take limit and after, and nothing else")),
            }
        }
        Ok(since)
    }

    fn within(self, caller: &Caller) -> Result<Self, Refused> {
        match caller.products.limit() {
            None => Ok(self),
            Some(_) => Err(products::whole_host(&caller.products)),
        }
    }
}

/// What a plugin keeps under keys: anything may stand in them.
pub(super) async fn kept(
    State(api): State<ApiState>,
    Path(name): Path<String>,
    Query(Kept { after, limit, values }): Query<Kept>,
) -> Result<Response, Refused> {
    let want = KvWant { plugin: name.as_str().into(), after, limit, values };
    let listing = api.within_deadline(api.backend.plugin_kv(&want)).await?;
    let listing = listing.map_err(|error| {
        // Its words can name files and addresses: they are the operator's.
        tracing::error!("http: what a plugin keeps can't be read: {error}");
        refused(SwitchError::Unavailable)
    })?;
    Ok(json_answer(StatusCode::OK, &json!(listing)))
}

/// Which of the keys.
pub(super) struct Kept {
    after: Option<String>,
    limit: usize,
    values: bool,
}

impl Asked for Kept {
    fn read(uri: &Uri) -> Result<Self, Refused> {
        const NEXT: &str = "send, for example, ?limit=20&after=KEY&values=true, with `next` of the answer before, or nothing";
        let bad = |message: &'static str| {
            Refused::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_query", message, NEXT)
        };
        let mut kept = Self { after: None, limit: 100, values: false };
        for (name, value) in query::pairs(uri, NEXT)? {
            match (name.as_str(), value.as_str()) {
                ("limit", _) => kept.limit = query::limit(&value, NEXT)?,
                ("after", _) => kept.after = Some(value),
                ("values", "true") => kept.values = true,
                ("values", "false") => kept.values = false,
                ("values", _) => return Err(bad("values must be true or false")),
                _ => return Err(bad("the keys take limit, after and values, and nothing else")),
            }
        }
        // Whole values are in the answer, each of them of some size.
        if kept.values {
            kept.limit = kept.limit.min(MOST_VALUES);
        }
        Ok(kept)
    }

    fn within(self, caller: &Caller) -> Result<Self, Refused> {
        match caller.products.limit() {
            None => Ok(self),
            Some(_) => Err(products::whole_host(&caller.products)),
        }
    }
}

/// Removes what a plugin keeps, but for what it keeps of sessions.
pub(super) async fn clear_kept(
    State(api): State<ApiState>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
) -> Result<Response, Refused> {
    let cleared = api.backend.clear_plugin_kv(name.as_str().into(), &caller.actor);
    let cleared = api.within_deadline(cleared).await?;
    let cleared = cleared.ok_or_else(|| refused(SwitchError::Unavailable))?;
    Ok(json_answer(StatusCode::OK, &json!({"plugin": name, "removed": cleared})))
}

/// Timers of a plugin: anything may stand in their names.
pub(super) async fn timers(
    State(api): State<ApiState>,
    Path(name): Path<String>,
    Query(Timers { after, limit, payloads }): Query<Timers>,
) -> Result<Response, Refused> {
    let want = TimersWant { plugin: name.as_str().into(), after, limit, payloads };
    let listing = api.within_deadline(api.backend.plugin_timers(&want)).await?;
    let listing = listing.map_err(|error| {
        tracing::error!("http: the timers of a plugin can't be read: {error}");
        refused(SwitchError::Unavailable)
    })?;
    Ok(json_answer(StatusCode::OK, &json!(listing)))
}

/// Which of the timers.
pub(super) struct Timers {
    after: Option<TimerCursor>,
    limit: usize,
    payloads: bool,
}

impl Asked for Timers {
    fn read(uri: &Uri) -> Result<Self, Refused> {
        const NEXT: &str = "send, for example, ?limit=20&after=NEXT&payloads=true, with `next` of the answer before, or nothing";
        let bad = |message: String| {
            Refused::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_query", message, NEXT)
        };
        let mut timers = Self { after: None, limit: 100, payloads: false };
        for (name, value) in query::pairs(uri, NEXT)? {
            match (name.as_str(), value.as_str()) {
                ("limit", _) => timers.limit = query::limit(&value, NEXT)?,
                ("after", _) => {
                    let after = TimerCursor::try_from(value);
                    timers.after = Some(after.map_err(|error| bad(format!("after: {error}")))?);
                }
                ("payloads", "true") => timers.payloads = true,
                ("payloads", "false") => timers.payloads = false,
                ("payloads", _) => return Err(bad("payloads must be true or false".to_owned())),
                _ => {
                    let message = "timers take limit, after and payloads, and nothing else";
                    return Err(bad(message.to_owned()));
                }
            }
        }
        // Whole payloads are in the answer, each of them of some size.
        if timers.payloads {
            timers.limit = timers.limit.min(MOST_VALUES);
        }
        Ok(timers)
    }

    fn within(self, caller: &Caller) -> Result<Self, Refused> {
        match caller.products.limit() {
            None => Ok(self),
            Some(_) => Err(products::whole_host(&caller.products)),
        }
    }
}

/// Removes the timers of a plugin that aren't due.
pub(super) async fn remove_timers(
    State(api): State<ApiState>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
) -> Result<Response, Refused> {
    let removed = api.backend.remove_plugin_timers(name.as_str().into(), &caller.actor);
    let removed = api.within_deadline(removed).await?;
    let removed = removed.ok_or_else(|| refused(SwitchError::Unavailable))?;
    Ok(json_answer(StatusCode::OK, &json!({"plugin": name, "removed": removed})))
}

/// How the shadow of a plugin is: what the new version does differently.
pub(super) async fn shadow(
    State(api): State<ApiState>,
    Path(name): Path<String>,
) -> Result<Response, Refused> {
    let report = api.backend.shadow(&name);
    let report = report.ok_or_else(|| shadow_refused(&name, &ShadowError::None))?;
    Ok(json_answer(StatusCode::OK, &json!(report)))
}

/// Has a new version of a plugin given what live calls are given.
pub(super) async fn start_shadow(
    State(api): State<ApiState>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
    Json(ShadowFile { file }): Json<ShadowFile>,
) -> Result<Response, Refused> {
    let started = api.backend.start_shadow(&name, &file, &caller.actor);
    let started = api.within_deadline(started).await?;
    let report = started.map_err(|error| shadow_refused(&name, &error))?;
    Ok(json_answer(StatusCode::OK, &json!(report)))
}

/// Has the shadow of a plugin take its place.
pub(super) async fn promote_shadow(
    State(api): State<ApiState>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
) -> Result<Response, Refused> {
    // Where nobody waits any more, its files are put in place all the same, and whoever watches the folder does the rest.
    let promoted = api.backend.promote_shadow(&name, &caller.actor);
    let promoted = api.within_deadline(promoted).await?;
    let Promoted { before, version } = promoted.map_err(|error| shadow_refused(&name, &error))?;
    let value = json!({"plugin": name, "before": before, "version": version});
    Ok(json_answer(StatusCode::OK, &value))
}

/// Ends the shadow of a plugin.
pub(super) async fn drop_shadow(
    State(api): State<ApiState>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
) -> Result<Response, Refused> {
    let dropped = api.within_deadline(api.backend.drop_shadow(&name, &caller.actor)).await?;
    dropped.map_err(|error| shadow_refused(&name, &error))?;
    Ok(json_answer(StatusCode::OK, &json!({"plugin": name, "dropped": true})))
}

/// The new version of a plugin.
pub(super) struct ShadowFile {
    file: String,
}

impl Wanted for ShadowFile {
    const EXAMPLE: &'static str =
        "send, for example, {\"file\": \"desk-2.wasm\"}, a file of the plugins folder";

    fn names() -> Vec<&'static str> {
        vec!["file"]
    }

    fn read(fields: &Fields) -> Result<Self, Refused> {
        match fields.get("file") {
            Some(Value::String(file)) if !file.is_empty() => Ok(Self { file: file.clone() }),
            _ => Err(fields.unusable("invalid_body", "file must be a file's name".to_owned())),
        }
    }

    fn within(self, caller: &Caller) -> Result<Self, Refused> {
        match caller.products.limit() {
            None => Ok(self),
            Some(_) => Err(products::whole_host(&caller.products)),
        }
    }
}

fn shadow_refused(plugin: &str, error: &ShadowError) -> Refused {
    let status = match error {
        ShadowError::Unknown | ShadowError::None => StatusCode::NOT_FOUND,
        ShadowError::NotRunning
        | ShadowError::Exists
        | ShadowError::Same
        | ShadowError::NotComparing
        | ShadowError::OfRegistry(_)
        | ShadowError::Pinned { .. }
        | ShadowError::Shared(_) => StatusCode::CONFLICT,
        ShadowError::Component(_) | ShadowError::AsksMore(_) => StatusCode::UNPROCESSABLE_ENTITY,
        ShadowError::Nowhere | ShadowError::NotKept(_) | ShadowError::NotPlaced(_) => {
            tracing::error!(plugin, "{error}");
            StatusCode::INTERNAL_SERVER_ERROR
        }
    };
    let next = "GET /plugins lists the plugins, GET /plugins/{name}/shadow tells of a shadow";
    Refused::new(status, error.code(), error.to_string(), next)
}

/// Has a plugin not called any more.
pub(super) async fn disable(
    State(api): State<ApiState>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
    Json(Why { reason }): Json<Why>,
) -> Result<Response, Refused> {
    switch(&api, &caller, &name, SwitchTo::Disabled { reason }).await
}

/// Has a plugin called again.
pub(super) async fn enable(
    State(api): State<ApiState>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
) -> Result<Response, Refused> {
    switch(&api, &caller, &name, SwitchTo::Enabled).await
}

async fn switch(
    api: &ApiState,
    caller: &Caller,
    name: &str,
    to: SwitchTo,
) -> Result<Response, Refused> {
    let order = PluginSwitch { plugin: name.into(), to };
    let switched = api.within_deadline(api.backend.switch_plugin(order, &caller.actor)).await?;
    let switched = switched.map_err(refused)?;
    let value = json!({
        "plugin": name,
        "changed": switched.changed,
        "disabled": switched.disabled.map(DisabledPlugin::from),
    });
    Ok(json_answer(StatusCode::OK, &value))
}

/// Why a plugin is disabled.
pub(super) struct Why {
    reason: Option<String>,
}

impl Wanted for Why {
    const EXAMPLE: &'static str =
        "send, for example, {\"reason\": \"the platform is being moved\"}, or {}";

    fn names() -> Vec<&'static str> {
        vec!["reason"]
    }

    fn read(fields: &Fields) -> Result<Self, Refused> {
        let reason = match fields.get("reason") {
            None | Some(Value::Null) => None,
            Some(Value::String(text)) if text.chars().count() <= MOST_REASON => Some(text),
            Some(_) => {
                let wanted = format!("reason must be a string of at most {MOST_REASON} characters");
                return Err(fields.unusable("invalid_body", wanted));
            }
        };
        let reason = reason.map(|text| printable_line(text.trim()).into_owned());
        Ok(Self { reason: reason.filter(|text| !text.is_empty()) })
    }

    fn within(self, caller: &Caller) -> Result<Self, Refused> {
        match caller.products.limit() {
            None => Ok(self),
            Some(_) => Err(products::whole_host(&caller.products)),
        }
    }
}

fn refused(error: SwitchError) -> Refused {
    match error {
        SwitchError::Unknown => Refused::new(
            StatusCode::NOT_FOUND,
            error.code(),
            "no plugin of this name is configured",
            "GET /plugins lists the plugins by their names in the configuration",
        ),
        SwitchError::Unavailable => {
            let message = "the store takes nothing at the moment";
            Refused::unavailable(error.code(), message, RETRY_AFTER)
        }
    }
}
