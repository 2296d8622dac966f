//! `GET /sessions/{product_id}/{session_id}/events`: what the session's browser is to show, as server-sent events, and
//! the short-lived token that lets it ask.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt};
use http::header::CONTENT_TYPE;
use http::{HeaderValue, StatusCode, Uri};
use serde_json::json;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use super::answer::{Refused, guarded, json_answer};
use super::event_tokens::TOKEN_LASTS;
use super::help::key;
use super::path::Path;
use super::query;
use super::state::ApiState;
use crate::offers::launch::LaunchEvent;

/// How long one answer goes on; the browser asks again then.
const ANSWER_LASTS: Duration = Duration::from_secs(3600);
/// How often a line is sent that says nothing, so that nobody on the way takes the connection for dead.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// When to ask again while as many are told as may be.
const RETRY_AFTER: Duration = Duration::from_secs(10);

/// Makes a token for the browser of one session.
pub(super) async fn token(
    State(api): State<ApiState>,
    Path((product, session)): Path<(String, String)>,
) -> Result<Response, Refused> {
    let key = key(product, session)?;
    let token = api.events.make(&key, api.backend.now());
    let value = json!({ "token": token, "expires_in_s": TOKEN_LASTS.as_secs() });
    Ok(json_answer(StatusCode::OK, &value))
}

/// Tells the session's browser what to show, from here on.
pub(super) async fn events(
    State(api): State<ApiState>,
    Path((product, session)): Path<(String, String)>,
    uri: Uri,
) -> Result<Response, Refused> {
    const NEXT: &str = "send ?token=TOKEN, with the answer of POST to the same address";
    let key = key(product, session)?;
    let mut token = None;
    for (name, value) in query::pairs(&uri, NEXT)? {
        if name != "token" || token.replace(value).is_some() {
            let message = "events take one token and nothing else";
            let status = StatusCode::UNPROCESSABLE_ENTITY;
            return Err(Refused::new(status, "invalid_query", message, NEXT));
        }
    }
    if !token.is_some_and(|token| api.events.allows(&key, &token, api.backend.now())) {
        let message = "the token of these events is missing, over or another session's";
        return Err(Refused::new(StatusCode::UNAUTHORIZED, "event_token", message, NEXT));
    }
    let permit = api.events.permits.clone().try_acquire_owned().map_err(|_| {
        Refused::unavailable(
            "too_many_browsers",
            "as many browsers are told as may be",
            RETRY_AFTER,
        )
    })?;
    let lines = lines(api.backend.launches(&key), permit);
    let mut response = Response::new(Body::from_stream(lines));
    let form = HeaderValue::from_static("text/event-stream");
    response.headers_mut().insert(CONTENT_TYPE, form);
    Ok(guarded(response))
}

/// The events as lines, with one that says nothing now and then.
fn lines(
    launches: BoxStream<'static, LaunchEvent>,
    permit: OwnedSemaphorePermit,
) -> impl futures_util::Stream<Item = Result<Bytes, Infallible>> {
    let end = Instant::now() + ANSWER_LASTS;
    let first = stream::once(async { Ok(Bytes::from_static(b": ready\n\n")) });
    first.chain(stream::unfold((launches, permit), move |(mut launches, permit)| async move {
        let line = tokio::select! {
            launch = launches.next() => Bytes::from(launch?.to_sse()),
            () = tokio::time::sleep(HEARTBEAT) => Bytes::from_static(b": \n\n"),
            () = tokio::time::sleep_until(end) => return None,
        };
        Some((Ok(line), (launches, permit)))
    }))
}
