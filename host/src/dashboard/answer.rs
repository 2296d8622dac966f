//! Answers: pages, and refusals that say what to do as pages too.

use std::borrow::Cow;
use std::time::Duration;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, LOCATION, REFERRER_POLICY, RETRY_AFTER,
    SET_COOKIE, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use maud::{Markup, html};

use super::pages::layout;
use super::wording;
use crate::engine::ledger::LedgerError;
use crate::http::Refused;
use crate::store::StoreError;

/// What a page may do: show itself, with the style sheet and the script of this host.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";
/// So that pages of other origins in the same browser share no process with these.
const OPENER: HeaderName = HeaderName::from_static("cross-origin-opener-policy");
const RESOURCE: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// When to come again while the store can't be read.
const COME_AGAIN: Duration = Duration::from_secs(2);

/// A page.
pub(super) fn page(status: StatusCode, markup: Markup) -> Response {
    let mut response = Response::new(Body::from(markup.into_string()));
    *response.status_mut() = status;
    let html = HeaderValue::from_static("text/html; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, html);
    response
}

/// Sends a browser to another page.
pub(super) fn see_other(path: &str) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SEE_OTHER;
    if let Ok(path) = HeaderValue::from_str(path) {
        response.headers_mut().insert(LOCATION, path);
    }
    response
}

/// Has the browser remember something.
pub(super) fn set_cookie(response: &mut Response, cookie: &str) {
    if let Ok(cookie) = HeaderValue::from_str(cookie) {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
}

/// What every answer says to the browser. Pages aren't kept by it; what is kept says so itself.
pub(super) fn protect(headers: &mut HeaderMap) {
    let fixed = [
        (CONTENT_SECURITY_POLICY, POLICY),
        (REFERRER_POLICY, "no-referrer"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (OPENER, "same-origin"),
        (RESOURCE, "same-origin"),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
}

/// Why there is no page.
pub(super) enum Refusal {
    /// Nobody is logged in. `next`: the page that was wanted.
    LogIn {
        /// Its path and query.
        next: Option<String>,
    },
    /// The page was come to from another site, so that the browser held the cookie back: it is asked for once more.
    Again,
    /// Something else.
    Said(Box<Said>),
}

/// A refusal in words.
pub(super) struct Said {
    status: StatusCode,
    message: Cow<'static, str>,
    next: Cow<'static, str>,
    come_again: Option<Duration>,
}

impl Refusal {
    pub(super) fn new(
        status: StatusCode,
        message: impl Into<Cow<'static, str>>,
        next: impl Into<Cow<'static, str>>,
    ) -> Self {
        let (message, next) = (message.into(), next.into());
        Self::Said(Box::new(Said { status, message, next, come_again: None }))
    }

    /// The same, for now.
    pub(super) fn for_now(
        status: StatusCode,
        message: impl Into<Cow<'static, str>>,
        come_again: Duration,
    ) -> Self {
        let next = format!("Come again in {}.", wording::span(come_again)).into();
        let message = message.into();
        Self::Said(Box::new(Said { status, message, next, come_again: Some(come_again) }))
    }

    pub(super) fn not_found(message: &'static str, next: &'static str) -> Self {
        Self::new(StatusCode::NOT_FOUND, message, next)
    }

    pub(super) fn unusable(message: impl Into<Cow<'static, str>>, next: &'static str) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, message, next)
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        // Its words can name files and addresses.
        tracing::error!("dashboard: the store can't be read: {error}");
        let message = "The store can't be read at the moment; the log says why.";
        Self::for_now(StatusCode::SERVICE_UNAVAILABLE, message, COME_AGAIN)
    }
}

impl From<LedgerError> for Refusal {
    fn from(error: LedgerError) -> Self {
        match error {
            LedgerError::Store(error) => error.into(),
            LedgerError::Closed(_) => {
                let message = "The host is shutting down.";
                Self::for_now(StatusCode::SERVICE_UNAVAILABLE, message, COME_AGAIN)
            }
        }
    }
}

impl From<Refused> for Refusal {
    fn from(refused: Refused) -> Self {
        let (status, message, next) = refused.into_parts();
        let said = |text: &str| format!("{}.", wording::capital(text));
        Self::new(status, said(&message), said(&next))
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        match self {
            Self::LogIn { next } => {
                let next = next.filter(|next| next != "/");
                let pairs = next.iter().map(|next| ("next", next.as_str()));
                see_other(&wording::address("/login", pairs))
            }
            Self::Again => page(
                StatusCode::OK,
                html! {
                    (maud::DOCTYPE)
                    html lang="en" {
                        head {
                            meta charset="utf-8";
                            meta http-equiv="refresh" content="0";
                            title { "Sidenote" }
                        }
                        body { p { "One moment." } }
                    }
                },
            ),
            Self::Said(said) => {
                let Said { status, message, next, come_again } = *said;
                let body = html! {
                    h1 { (status.canonical_reason().unwrap_or("Refused")) }
                    p { (message) }
                    p.next { (next) }
                    p { a href="/" { "To the first page" } }
                };
                let mut response = page(status, layout::bare("Refused", body));
                if let Some(after) = come_again {
                    let seconds = HeaderValue::from(after.as_secs().max(1));
                    response.headers_mut().insert(RETRY_AFTER, seconds);
                }
                response
            }
        }
    }
}
