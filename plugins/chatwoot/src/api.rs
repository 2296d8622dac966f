//! Chatwoot's application API: where it is, who calls, and what its refusals mean.

use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;
use sidenote_plugin::http::{Request, Response, encode, secret};
use sidenote_plugin::{Failure, FailureKind, LimitScope, Sent, config};

/// How long to wait where Chatwoot says no and not for how long. Its limits slide over a minute.
const PAUSE: Duration = Duration::from_secs(10);

/// The operator's settings.
#[derive(Deserialize)]
pub(crate) struct Settings {
    url: String,
    /// The account's number.
    pub(crate) account: u64,
}

impl Settings {
    pub(crate) fn load() -> Result<Self, Failure> {
        config::load()
    }

    /// The address of a conversation's messages.
    pub(crate) fn messages(&self, conversation: &str) -> String {
        let (url, account) = (self.url.trim_end_matches('/'), self.account);
        let conversation = encode(conversation);
        format!("{url}/api/v1/accounts/{account}/conversations/{conversation}/messages")
    }
}

/// Sends a request with the token, and takes no for an answer.
pub(crate) fn send(request: Request) -> Result<Response, Failure> {
    let response = request.header("api_access_token", secret("token")).send()?;
    let flooded = response.status == 422 && is_flooded(&response);
    response.error_for_status().map_err(|failure| match failure.kind {
        FailureKind::Invalid if flooded => {
            let message = "the conversation has more messages in a minute than Chatwoot takes";
            let limited = Failure::rate_limited("422", message, Some(PAUSE)).with_sent(Sent::Sent);
            limited.with_limit_scope(LimitScope::Conversation)
        }
        FailureKind::RateLimited if failure.retry_after_ms.is_none() => {
            failure.with_retry_after(PAUSE)
        }
        FailureKind::Auth => {
            let message = "Chatwoot refuses the token, or its agent isn't in the inbox".to_owned();
            Failure { message, ..failure }
        }
        FailureKind::NotFound
        | FailureKind::Transient
        | FailureKind::RateLimited
        | FailureKind::Invalid
        | FailureKind::Permanent => failure,
    })
}

/// Whether a refusal is for the number of messages in a minute. Chatwoot has no code for that, only words.
fn is_flooded(response: &Response) -> bool {
    let refusal: Value = response.json().unwrap_or_default();
    // `error` in some answers, `message` in others.
    let mut words = [&refusal["error"], &refusal["message"]].into_iter().filter_map(Value::as_str);
    words.any(|words| words.contains("Too many messages"))
}
