//! Calls of Intercom's API, and what its answers mean for the host.

use std::time::Duration;

use serde::Serialize;
use sidenote_plugin::http::{Request, Response};
use sidenote_plugin::{Failure, FailureKind, LimitScope, clock};

use crate::settings::Settings;

/// The secret with the access token.
const TOKEN: &str = "token";
/// What a refusal without a moment asks for: limits are counted in windows of 10 seconds.
const WINDOW: Duration = Duration::from_secs(10);
/// Longest id, in bytes.
const MAX_ID: usize = 64;

/// Posts JSON.
pub(crate) fn post(
    settings: &Settings,
    path: &str,
    body: &impl Serialize,
) -> Result<Response, Failure> {
    let request = Request::post(format!("{}{path}", settings.url)).json(body)?;
    send(settings, request)
}

/// Reads something.
pub(crate) fn get(settings: &Settings, path: &str) -> Result<Response, Failure> {
    send(settings, Request::get(format!("{}{path}", settings.url)))
}

fn send(settings: &Settings, request: Request) -> Result<Response, Failure> {
    let response = request
        .bearer_secret(TOKEN)
        .header("intercom-version", &*settings.version)
        .header("accept", "application/json")
        .send()?;
    if response.is_success() { Ok(response) } else { Err(failure(&response)) }
}

/// An id as Intercom gives them, fit for an address. Anything else names no conversation of its.
pub(crate) fn id(id: &str) -> Result<&str, Failure> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if id.is_empty() || id.len() > MAX_ID || !id.bytes().all(plain) {
        let failure =
            Failure::not_found("conversation-id", "this is no id of an Intercom conversation");
        return Err(failure.with_sent(sidenote_plugin::Sent::NotSent));
    }
    Ok(id)
}

/// Until when nothing more is accepted, where an answer says that nothing is left of the limit.
pub(crate) fn exhausted(response: &Response) -> Option<Duration> {
    let left: u64 = response.header("x-ratelimit-remaining")?.trim().parse().ok()?;
    reset(response).filter(|_| left == 0)
}

/// How long it is until `X-RateLimit-Reset`, in seconds since the epoch.
fn reset(response: &Response) -> Option<Duration> {
    let at: u64 = response.header("x-ratelimit-reset")?.trim().parse().ok()?;
    Some(Duration::from_millis(at.saturating_mul(1000).saturating_sub(clock::now_ms())))
}

fn failure(response: &Response) -> Failure {
    let mut failure = Failure::from_status(response.status, &response.headers);
    let errors = response.list(&["errors"]).unwrap_or_default();
    if let Some(code) = errors.iter().find_map(|error| error["code"].as_str()) {
        failure.message = format!("Intercom answered {}: {code}", response.status);
        // The operator can mend these, so the note doesn't become a dead letter for them.
        if code.contains("admin") || code == "intercom_version_invalid" {
            failure.kind = FailureKind::Auth;
        }
        failure.code = code.to_owned();
    }
    if response.status == 429 {
        let told = failure.retry_after_ms.map(Duration::from_millis);
        let pause = reset(response).into_iter().chain(told).max().unwrap_or(WINDOW);
        failure = failure.with_retry_after(pause).with_limit_scope(LimitScope::Account);
    }
    failure
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, headers: &[(&str, &str)], code: &str) -> Response {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let body =
            format!(r#"{{"type":"error.list","errors":[{{"code":"{code}","message":"m"}}]}}"#);
        Response { status, headers: headers.collect(), body: body.into_bytes() }
    }

    #[test]
    fn a_limit_is_waited_out_until_its_reset() {
        let host = sidenote_plugin::test::Host::new();
        host.at(1_700_000_000);
        host.install();
        for (headers, wanted) in [
            (&[("X-RateLimit-Reset", "1700000007")][..], 7_000),
            (&[("x-ratelimit-reset", "1700000007"), ("retry-after", "9")], 9_000),
            (&[("x-ratelimit-reset", "1600000000")], 0),
            (&[("x-ratelimit-reset", "soon")], 10_000),
            (&[], 10_000),
        ] {
            let failure = failure(&answer(429, headers, "rate_limit_exceeded"));
            assert_eq!(failure.kind, FailureKind::RateLimited);
            assert_eq!(failure.code, "rate_limit_exceeded");
            assert_eq!(failure.retry_after_ms, Some(wanted), "{headers:?}");
            assert_eq!(failure.extras, [("limit-scope".to_owned(), "account".to_owned())]);
        }
    }

    #[test]
    fn a_limit_that_is_used_up_is_seen_before_it_is_met() {
        let host = sidenote_plugin::test::Host::new();
        host.at(1_700_000_000);
        host.install();
        for (left, wanted) in [("0", Some(Duration::from_secs(5))), ("1", None), ("x", None)] {
            let headers = [("x-ratelimit-remaining", left), ("x-ratelimit-reset", "1700000005")];
            assert_eq!(exhausted(&answer(200, &headers, "")), wanted, "{left}");
        }
        assert_eq!(exhausted(&answer(200, &[("x-ratelimit-remaining", "0")], "")), None);
    }

    #[test]
    fn refusals_say_what_is_to_be_done() {
        use FailureKind::*;
        for (status, code, kind) in [
            (401, "unauthorized", Auth),
            (403, "api_plan_restricted", Auth),
            (404, "not_found", NotFound),
            (404, "admin_not_found", Auth),
            (400, "intercom_version_invalid", Auth),
            (422, "parameter_invalid", Invalid),
            (500, "server_error", Transient),
        ] {
            let failure = failure(&answer(status, &[], code));
            assert_eq!((failure.kind, &*failure.code), (kind, code), "{status}");
        }
        let odd = Response { status: 502, headers: Vec::new(), body: b"<html>".to_vec() };
        assert_eq!((failure(&odd).kind, &*failure(&odd).code), (Transient, "502"));
    }

    #[test]
    fn an_id_cannot_lead_elsewhere() {
        for good in ["215470001", "abc-1_2"] {
            assert_eq!(id(good), Ok(good));
        }
        for bad in ["", "1/../2", "1?x=y", "a b", "1#", "%2e", "ü", &"1".repeat(65)] {
            assert_eq!(id(bad).unwrap_err().kind, FailureKind::NotFound, "{bad}");
        }
    }
}
