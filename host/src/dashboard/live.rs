//! `GET /live`: the parts of the first page that have changed, as server-sent events, at most once a second. Nothing of
//! what people did is in them.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use bytes::Bytes;
use futures_util::stream;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, StatusCode};
use serde_json::json;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Dashboard;
use super::answer::Refusal;
use super::login::Scope;
use super::pages::overview;
use super::visitor::Visitor;

/// How often is looked.
const EVERY: Duration = Duration::from_secs(1);
/// After so many looks without a change a line is sent that says nothing, so that nobody on the way takes the connection
/// for dead.
const QUIET: u32 = 15;
/// Pages that are told at once.
const MOST: usize = 64;

/// How many more pages can be told.
pub(super) struct Followers(Arc<Semaphore>);

impl Default for Followers {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(MOST)))
    }
}

/// What one page was told.
struct Follower {
    dashboard: Dashboard,
    visitor: Visitor,
    told: BTreeMap<&'static str, String>,
    has_ended: bool,
    is_first: bool,
    _permit: OwnedSemaphorePermit,
}

/// Tells a page what changes, until its login or the host ends.
pub(super) async fn follow(
    State(dashboard): State<Dashboard>,
    Extension(visitor): Extension<Visitor>,
) -> Result<Response, Refusal> {
    let permit = dashboard.followers.0.clone().try_acquire_owned().map_err(|_| {
        let message = "As many pages are told live as may be.";
        Refusal::for_now(StatusCode::SERVICE_UNAVAILABLE, message, Duration::from_secs(10))
    })?;
    let follower = Follower {
        dashboard,
        visitor,
        told: BTreeMap::new(),
        has_ended: false,
        is_first: true,
        _permit: permit,
    };
    let lines = stream::unfold(follower, |mut follower| async move {
        let lines = follower.next().await?;
        Some((Ok::<_, Infallible>(lines), follower))
    });
    let mut response = Response::new(Body::from_stream(lines));
    let form = HeaderValue::from_static("text/event-stream");
    response.headers_mut().insert(CONTENT_TYPE, form);
    Ok(response)
}

impl Follower {
    /// The next lines; `None` at the end.
    async fn next(&mut self) -> Option<Bytes> {
        let stop = self.dashboard.stop.clone();
        if self.has_ended {
            return None;
        }
        if std::mem::take(&mut self.is_first) {
            // The page was rendered a moment ago, but perhaps not in this very one.
            return stop.run_until_cancelled(self.changed()).await;
        }
        for _ in 0..QUIET {
            stop.run_until_cancelled(tokio::time::sleep(EVERY)).await?;
            if !self.may_go_on() {
                self.has_ended = true;
                return Some(Bytes::from_static(b"event: ended\ndata: \n\n"));
            }
            let changed = stop.run_until_cancelled(self.changed()).await?;
            if !changed.is_empty() {
                return Some(changed);
            }
        }
        Some(Bytes::from_static(b": \n\n"))
    }

    fn may_go_on(&mut self) -> bool {
        let dashboard = &self.dashboard;
        let login = dashboard.logins.get(&self.visitor.id, false, dashboard.source.now());
        let caller = login.and_then(|login| dashboard.keys.still(&login.proof));
        match caller.filter(|caller| caller.may(Scope::Read)) {
            Some(caller) => {
                self.visitor.caller = caller;
                true
            }
            None => false,
        }
    }

    /// The parts that aren't as they were told last.
    async fn changed(&mut self) -> Bytes {
        let gathered = self.dashboard.pulse.latest(&*self.dashboard.source).await;
        let mut lines = String::new();
        for (name, markup) in overview::parts(&gathered, &self.visitor.caller) {
            let html = markup.into_string();
            if self.told.get(name) == Some(&html) {
                continue;
            }
            let part = json!({ "name": name, "html": html });
            lines.push_str(&format!("event: part\ndata: {part}\n\n"));
            self.told.insert(name, html);
        }
        Bytes::from(lines)
    }
}
