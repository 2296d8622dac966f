//! Chatwoot's application API: where it is, who calls, and what its refusals mean.

use std::time::Duration;

use serde::Deserialize;
use sidenote_plugin::http::{Request, Response, encode, secret};
use sidenote_plugin::{Failure, FailureKind, LimitScope, config};

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
    if response.status == 422 && is_flooded(&response) {
        // The limit slides over a minute: some of these messages are a minute old before long.
        let message = "the conversation has more messages in a minute than Chatwoot takes";
        let failure = Failure::rate_limited("422", message, Some(Duration::from_secs(5)))
            .with_limit_scope(LimitScope::Conversation)
            .with_sent(sidenote_plugin::Sent::Sent);
        return Err(failure);
    }
    response.error_for_status().map_err(|mut failure| {
        failure.message = match failure.kind {
            FailureKind::Auth => {
                "Chatwoot refuses the token, or its agent isn't in the inbox".to_owned()
            }
            FailureKind::NotFound => "Chatwoot has no such conversation or message".to_owned(),
            FailureKind::Transient
            | FailureKind::RateLimited
            | FailureKind::Invalid
            | FailureKind::Permanent => format!("Chatwoot answered {}", failure.code),
        };
        failure
    })
}

/// Whether a refusal is for the number of messages in a minute. Chatwoot has no code for that, only words.
fn is_flooded(response: &Response) -> bool {
    #[derive(Deserialize)]
    struct Refusal {
        error: String,
    }
    let refusal: Option<Refusal> = serde_json::from_slice(&response.body).ok();
    refusal.is_some_and(|it| it.error.contains("Too many messages"))
}
