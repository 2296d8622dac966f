//! Answers: JSON, never cached, and errors that say what to do.

use std::borrow::Cow;
use std::time::Duration;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderValue, StatusCode};
use serde_json::{Value, json};

/// A JSON answer.
pub(super) fn json_answer(status: StatusCode, value: &Value) -> Response {
    let mut response = Response::new(Body::from(value.to_string()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    guarded(response)
}

/// Marks an answer as not to be cached and not to be guessed at by browsers.
pub(super) fn guarded(mut response: Response) -> Response {
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// An error answer: `{"error": {"code", "message", "next"}}`, and a `detail` beside it where autoplay-sdk
/// has one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refused {
    status: StatusCode,
    code: Cow<'static, str>,
    message: Cow<'static, str>,
    next: Cow<'static, str>,
    extra: Option<Extra>,
    detail: Option<Box<Value>>,
}

/// A header that an error has beside the usual ones.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Extra {
    Allow(String),
    Challenge,
    RetryAfterSeconds(u64),
}

impl Refused {
    pub(super) fn new(
        status: StatusCode,
        code: impl Into<Cow<'static, str>>,
        message: impl Into<Cow<'static, str>>,
        next: impl Into<Cow<'static, str>>,
    ) -> Self {
        let (code, message, next) = (code.into(), message.into(), next.into());
        Self { status, code, message, next, extra: None, detail: None }
    }

    /// Status, what is wrong, and what to do: for whoever says it in another form.
    pub(crate) fn into_parts(self) -> (StatusCode, Cow<'static, str>, Cow<'static, str>) {
        (self.status, self.message, self.next)
    }

    pub(super) fn method_not_allowed(allowed: &[&str]) -> Self {
        let allowed = allowed.join(", ");
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "method_not_allowed",
            "this address doesn't take this method",
            format!("use {allowed}"),
        )
        .with(Extra::Allow(allowed))
        .with_detail(json!("Method Not Allowed"))
    }

    pub(super) fn unauthorized(message: &'static str, next: &'static str) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", message, next).with(Extra::Challenge)
    }

    pub(super) fn unavailable(
        code: &'static str,
        message: &'static str,
        retry_after: Duration,
    ) -> Self {
        // Whole seconds, at least one: 0 would invite a client to hammer.
        let seconds = retry_after.as_secs() + u64::from(retry_after.subsec_nanos() > 0);
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            code,
            message,
            "send the same request again after the time in Retry-After",
        )
        .with(Extra::RetryAfterSeconds(seconds.max(1)))
    }

    /// Says it in autoplay-sdk's words too, for its clients.
    pub(super) fn with_detail(mut self, detail: Value) -> Self {
        self.detail = Some(Box::new(detail));
        self
    }

    fn with(mut self, extra: Extra) -> Self {
        self.extra = Some(extra);
        self
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let mut value =
            json!({"error": {"code": self.code, "message": self.message, "next": self.next}});
        if let Some(detail) = self.detail {
            value["detail"] = *detail;
        }
        let mut response = json_answer(self.status, &value);
        let headers = response.headers_mut();
        match self.extra {
            Some(Extra::Allow(allowed)) => {
                let allowed = HeaderValue::from_str(&allowed);
                headers.insert(ALLOW, allowed.expect("methods are plain words"))
            }
            Some(Extra::Challenge) => {
                headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
            }
            Some(Extra::RetryAfterSeconds(seconds)) => {
                headers.insert(RETRY_AFTER, HeaderValue::from(seconds))
            }
            None => None,
        };
        response
    }
}
