//! Slack's Web API: who calls, and what its refusals mean. Slack refuses with 200 and `"ok": false`.

use serde_json::Value;
use sidenote_plugin::http::{Request, encode};
use sidenote_plugin::{Failure, FailureKind, Sent, config};

/// A method that changes something, with its arguments as JSON.
pub(crate) fn post(method: &str, arguments: &impl serde::Serialize) -> Result<Value, Failure> {
    send(Request::post(address(method)).json(arguments)?)
}

/// A method that reads: those take no JSON.
pub(crate) fn get(method: &str, arguments: &[(&str, &str)]) -> Result<Value, Failure> {
    let pairs: Vec<_> =
        arguments.iter().map(|(name, value)| format!("{name}={}", encode(value))).collect();
    send(Request::get(format!("{}?{}", address(method), pairs.join("&"))))
}

fn address(method: &str) -> String {
    let url = config::get("url").filter(|url| !url.is_empty());
    let url = url.as_deref().unwrap_or("https://slack.com");
    format!("{}/api/{method}", url.trim_end_matches('/'))
}

fn send(request: Request) -> Result<Value, Failure> {
    let response = request.bearer_secret("token").send()?;
    if response.status == 429 {
        // Slack says in seconds when it takes calls of this method again.
        let failure = Failure::from_status(response.status, &response.headers);
        return Err(Failure { code: "ratelimited".to_owned(), ..failure });
    }
    let answer: Value = response.error_for_status()?.json()?;
    match answer["ok"].as_bool() {
        Some(true) => Ok(answer),
        Some(false) => Err(refusal(answer["error"].as_str().unwrap_or("unknown"))),
        None => Err(unreadable("`ok`")),
    }
}

/// An answer that lacks what it must have.
pub(crate) fn unreadable(what: &str) -> Failure {
    Failure::permanent("json", format!("Slack's answer has no {what}")).with_sent(Sent::Sent)
}

/// What an error code of Slack's means.
fn refusal(error: &str) -> Failure {
    let (kind, hint) = match error {
        "ratelimited" | "rate_limited" => (FailureKind::RateLimited, ""),
        "channel_not_found"
        | "thread_not_found"
        | "message_not_found"
        | "is_archived"
        | "cannot_reply_to_message" => (FailureKind::NotFound, ""),
        "not_in_channel" => (FailureKind::Auth, ": invite the app to the channel"),
        "missing_scope" => (FailureKind::Auth, ": add the scope to the app and install it again"),
        "invalid_auth"
        | "not_authed"
        | "token_revoked"
        | "token_expired"
        | "account_inactive"
        | "not_allowed_token_type"
        | "no_permission"
        | "access_denied"
        | "ekm_access_denied"
        | "org_login_required"
        | "team_access_not_granted"
        | "enterprise_is_restricted"
        | "restricted_action"
        | "restricted_action_read_only_channel"
        | "restricted_action_thread_only_channel"
        | "restricted_action_thread_locked"
        | "restricted_action_non_threadable_channel"
        | "cant_delete_message" => (FailureKind::Auth, ""),
        "internal_error"
        | "fatal_error"
        | "service_unavailable"
        | "request_timeout"
        | "team_added_to_org" => (FailureKind::Transient, ""),
        // `msg_too_long`, `no_text`, `metadata_too_large`, `invalid_arguments`, and all that is to come.
        _ => (FailureKind::Invalid, ""),
    };
    // Slack says of these two that part of it may have been done.
    let sent = match error {
        "internal_error" | "fatal_error" => Sent::Unknown,
        _ => Sent::Sent,
    };
    Failure::new(kind, error, format!("Slack answered {error}{hint}")).with_sent(sent)
}

#[cfg(test)]
mod tests {
    use sidenote_plugin::test::{self, Host};

    use super::*;

    #[test]
    fn refusals_with_200_become_kinds_of_failure() {
        use FailureKind::*;
        for (error, kind, sent) in [
            ("ratelimited", RateLimited, Sent::Sent),
            ("channel_not_found", NotFound, Sent::Sent),
            ("thread_not_found", NotFound, Sent::Sent),
            ("not_in_channel", Auth, Sent::Sent),
            ("invalid_auth", Auth, Sent::Sent),
            ("token_revoked", Auth, Sent::Sent),
            ("missing_scope", Auth, Sent::Sent),
            ("msg_too_long", Invalid, Sent::Sent),
            ("never_heard_of", Invalid, Sent::Sent),
            ("service_unavailable", Transient, Sent::Sent),
            ("internal_error", Transient, Sent::Unknown),
        ] {
            Host::new().respond(200, &format!(r#"{{"ok":false,"error":"{error}"}}"#)).install();
            let failure = get("auth.test", &[]).unwrap_err();
            let found = (failure.kind, failure.sent, &*failure.code);
            assert_eq!(found, (kind, sent, error));
        }
    }

    #[test]
    fn a_limit_says_how_long_to_wait() {
        let headers = vec![("retry-after".to_owned(), "30".to_owned())];
        let body = br#"{"ok":false,"error":"ratelimited"}"#.to_vec();
        Host::new().respond_with(Ok(test::Response { status: 429, headers, body })).install();
        let failure = get("auth.test", &[]).unwrap_err();
        let found = (failure.kind, failure.sent, failure.retry_after_ms);
        assert_eq!(found, (FailureKind::RateLimited, Sent::Sent, Some(30_000)));
    }

    #[test]
    fn arguments_are_encoded_and_the_token_stays_a_placeholder() {
        let host =
            Host::new().config("url", "https://slack-gov.com/").respond(200, r#"{"ok":true}"#);
        let host = host.install();
        get("conversations.replies", &[("channel", "C1&x"), ("ts", "1.2")]).unwrap();
        let request = &host.requests()[0];
        assert_eq!(
            request.url,
            "https://slack-gov.com/api/conversations.replies?channel=C1%26x&ts=1.2"
        );
        let token = ("authorization".to_owned(), "Bearer {{secret:token}}".to_owned());
        assert_eq!(request.headers, [token]);
    }

    #[test]
    fn an_answer_that_is_not_slacks_is_no_success() {
        for answer in ["<html>", "{}", r#"{"ok":"true"}"#] {
            Host::new().respond(200, answer).install();
            let failure = get("auth.test", &[]).unwrap_err();
            assert_eq!(failure.kind, FailureKind::Permanent, "{answer}");
        }
    }
}
