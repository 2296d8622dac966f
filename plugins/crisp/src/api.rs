//! Crisp's REST API: where it is, who calls, and what its refusals mean.

use std::time::Duration;

use serde::Deserialize;
use sidenote_plugin::http::{Request, Response, encode};
use sidenote_plugin::{Failure, FailureKind, config};

/// How long to wait where Crisp says no and not for how long.
const PAUSE: Duration = Duration::from_secs(10);

/// The operator's settings.
#[derive(Deserialize)]
pub(crate) struct Settings {
    /// The website's id.
    pub(crate) website: String,
    identifier: String,
    name: Option<String>,
    url: Option<String>,
}

impl Settings {
    pub(crate) fn load() -> Result<Self, Failure> {
        let settings: Self = config::load()?;
        if settings.identifier.contains(':') || settings.website.is_empty() {
            let message = "config: `identifier` has no colon, and `website` isn't empty";
            return Err(Failure::config(message));
        }
        Ok(settings)
    }

    /// As whom messages are written.
    pub(crate) fn name(&self) -> &str {
        self.name.as_deref().unwrap_or("Sidenote")
    }

    /// The address of a conversation.
    pub(crate) fn conversation(&self, conversation: &str) -> String {
        let url = self.url.as_deref().unwrap_or("https://api.crisp.chat").trim_end_matches('/');
        let (website, conversation) = (encode(&self.website), encode(conversation));
        format!("{url}/v1/website/{website}/conversation/{conversation}")
    }

    /// Sends a request with the token, and takes no for an answer.
    pub(crate) fn send(&self, request: Request) -> Result<Response, Failure> {
        let request = request.basic_secret(&self.identifier, "token");
        let response = request.header("x-crisp-tier", "plugin").send()?;
        let status = response.status;
        response.error_for_status().map_err(|failure| match (status, failure.retry_after_ms) {
            // 420, "Enhance your calm", is a limit too.
            (420 | 429, None) => {
                Failure { kind: FailureKind::RateLimited, ..failure }.with_retry_after(PAUSE)
            }
            (420, Some(_)) => Failure { kind: FailureKind::RateLimited, ..failure },
            _ => failure,
        })
    }
}
