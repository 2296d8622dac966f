//! Calls of Zendesk's API, and what its answers mean for the host.

use std::time::Duration;

use serde::Serialize;
use serde_json::Value;
use sidenote_plugin::http::{Request, Response};
use sidenote_plugin::{Failure, FailureKind, LimitScope, Sent};

use crate::settings::Settings;

/// The secret with the OAuth access token, or with the legacy API token.
const TOKEN: &str = "token";
/// What a refusal without a time asks for: most limits are counted in minutes.
const WINDOW: Duration = Duration::from_secs(60);
/// Headers that tell what is left of the account's limit.
const LEFT: [&str; 2] = ["ratelimit-remaining", "x-rate-limit-remaining"];
/// What the headers of an endpoint's own limit begin with: `total=100; remaining=99; resets=41`.
const ENDPOINT: &str = "zendesk-ratelimit-";

/// Writes something.
pub(crate) fn put(
    settings: &Settings,
    path: &str,
    body: &impl Serialize,
) -> Result<Response, Failure> {
    let request = Request::put(format!("{}{path}", settings.url)).json(body)?;
    send(settings, request)
}

/// Reads something.
pub(crate) fn get(settings: &Settings, path: &str) -> Result<Response, Failure> {
    send(settings, Request::get(format!("{}{path}", settings.url)))
}

fn send(settings: &Settings, request: Request) -> Result<Response, Failure> {
    let request = match &settings.email {
        Some(email) => request.basic_secret(&format!("{email}/token"), TOKEN),
        None => request.bearer_secret(TOKEN),
    };
    let response = request.header("accept", "application/json").send()?;
    if response.is_success() { Ok(response) } else { Err(failure(&response)) }
}

/// An id as Zendesk gives them: a number. Anything else names no ticket and no comment.
pub(crate) fn id(id: &str) -> Result<u64, Failure> {
    let digits = !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit());
    id.parse().ok().filter(|_| digits).ok_or_else(|| {
        Failure::not_found("id", "this is no id of a Zendesk ticket or comment")
            .with_sent(Sent::NotSent)
    })
}

/// Until when nothing more is accepted, where an answer says that nothing is left of the account's limit.
pub(crate) fn exhausted(response: &Response) -> Option<Duration> {
    let reset: u64 = response.header("ratelimit-reset")?.trim().parse().ok()?;
    is_used_up(response).then_some(Duration::from_secs(reset))
}

fn is_used_up(response: &Response) -> bool {
    LEFT.iter().any(|name| response.header(name).is_some_and(|left| left.trim() == "0"))
}

/// Whether a limit of an endpoint for the whole account is used up.
fn is_endpoint_used_up(response: &Response) -> bool {
    let mut own = response.headers.iter().filter(|(name, _)| {
        name.get(..ENDPOINT.len()).is_some_and(|start| start.eq_ignore_ascii_case(ENDPOINT))
    });
    own.any(|(_, value)| value.split(';').any(|part| part.trim() == "remaining=0"))
}

fn failure(response: &Response) -> Failure {
    let mut failure = Failure::from_status(response.status, &response.headers);
    if let Some(code) = code(response) {
        failure.message = format!("Zendesk answered {}: {code}", response.status);
        failure.code = code;
    }
    match response.status {
        // Two updates of one ticket at the same time: neither is wrong.
        409 => failure.kind = FailureKind::Transient,
        429 => {
            // The limit that notes meet is the ticket's own. It is the account's where that one is used up.
            let account = is_used_up(response) || is_endpoint_used_up(response);
            let scope = if account { LimitScope::Account } else { LimitScope::Conversation };
            let pause = failure.retry_after_ms.map_or(WINDOW, Duration::from_millis);
            failure = failure.with_retry_after(pause).with_limit_scope(scope);
        }
        _ => {}
    }
    failure
}

/// Zendesk's own word for what is wrong: `error` is a text, or an object with a title.
fn code(response: &Response) -> Option<String> {
    let body: Value = response.json().ok()?;
    let error = body.get("error")?;
    let code = error.as_str().or_else(|| error.get("title")?.as_str())?;
    Some(code.chars().take(64).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, headers: &[(&str, &str)], body: &str) -> Response {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Response { status, headers: headers.collect(), body: body.as_bytes().to_vec() }
    }

    #[test]
    fn a_limit_is_the_tickets_unless_the_accounts_is_used_up() {
        for (headers, pause, scope) in [
            (&[("Retry-After", "93")][..], 93_000, "conversation"),
            (&[], 60_000, "conversation"),
            (&[("retry-after", "5"), ("ratelimit-remaining", "612")], 5_000, "conversation"),
            (&[("retry-after", "5"), ("ratelimit-remaining", "0")], 5_000, "account"),
            (&[("retry-after", "5"), ("X-Rate-Limit-Remaining", "0")], 5_000, "account"),
            (
                &[
                    ("retry-after", "5"),
                    ("Zendesk-RateLimit-tickets-update", "total=100; remaining=0; resets=5"),
                ],
                5_000,
                "account",
            ),
        ] {
            let failure = failure(&answer(429, headers, r#"{"error":"APIRateLimitExceeded"}"#));
            assert_eq!(failure.kind, FailureKind::RateLimited);
            assert_eq!(failure.retry_after_ms, Some(pause), "{headers:?}");
            assert_eq!(
                failure.extras,
                [("limit-scope".to_owned(), scope.to_owned())],
                "{headers:?}"
            );
        }
    }

    #[test]
    fn refusals_say_what_is_to_be_done() {
        use FailureKind::*;
        for (status, body, kind, code) in [
            (401, r#"{"error":"Couldn't authenticate you"}"#, Auth, "Couldn't authenticate you"),
            (403, r#"{"error":{"title":"Forbidden","message":"m"}}"#, Auth, "Forbidden"),
            (404, r#"{"error":"RecordNotFound"}"#, NotFound, "RecordNotFound"),
            (409, r#"{"error":"DatabaseConflict"}"#, Transient, "DatabaseConflict"),
            (422, r#"{"error":"RecordInvalid"}"#, Invalid, "RecordInvalid"),
            (503, "<html>", Transient, "503"),
        ] {
            let failure = failure(&answer(status, &[], body));
            assert_eq!((failure.kind, &*failure.code), (kind, code));
        }
    }

    #[test]
    fn an_id_is_a_number() {
        assert_eq!(id("35436"), Ok(35_436));
        for bad in ["", "1/2", "-1", "+1", " 1", "1e3", "99999999999999999999999"] {
            assert_eq!(id(bad).unwrap_err().kind, FailureKind::NotFound, "{bad}");
        }
    }
}
