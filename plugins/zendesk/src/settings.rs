//! `[plugins.NAME.config]`.

use std::time::Duration;

use serde::Deserialize;
use sidenote_plugin::{Failure, config};

/// Seconds between two notes in a ticket: Zendesk takes 30 updates in 10 minutes.
const PACE: u32 = 20;

/// The operator's settings.
pub(crate) struct Settings {
    /// The API's address, without a slash at its end.
    pub(crate) url: String,
    /// The agent's address, with the legacy API token.
    pub(crate) email: Option<String>,
    /// How long a ticket is left alone after a note.
    pub(crate) pace: Duration,
    /// What a ticket's external id is.
    pub(crate) external_id: ExternalId,
}

/// What a product puts into a ticket's external id.
#[derive(Deserialize, Default, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ExternalId {
    /// The session.
    #[default]
    Session,
    /// The user.
    User,
}

#[derive(Deserialize)]
struct Given {
    subdomain: Option<String>,
    email: Option<String>,
    pace: Option<u32>,
    external_id: Option<ExternalId>,
    url: Option<String>,
}

impl Settings {
    /// Reads them.
    pub(crate) fn load() -> Result<Self, Failure> {
        let given: Given = config::load()?;
        let url = match (given.url, given.subdomain) {
            (Some(url), _) => url.trim_end_matches('/').to_owned(),
            (None, Some(subdomain)) if is_label(&subdomain) => {
                format!("https://{subdomain}.zendesk.com")
            }
            (None, _) => {
                let what = "config key `subdomain` must be NAME of https://NAME.zendesk.com";
                return Err(Failure::config(what));
            }
        };
        Ok(Self {
            url,
            email: given.email,
            pace: Duration::from_secs(given.pace.unwrap_or(PACE).into()),
            external_id: given.external_id.unwrap_or_default(),
        })
    }
}

fn is_label(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

#[cfg(test)]
mod tests {
    use sidenote_plugin::test::Host;

    use super::*;

    #[test]
    fn the_address_comes_of_the_subdomain_or_the_url() {
        for (key, value, wanted) in [
            ("subdomain", "acme", Some("https://acme.zendesk.com")),
            ("url", "http://127.0.0.1:1/", Some("http://127.0.0.1:1")),
            ("subdomain", "evil.example/", None),
            ("subdomain", "", None),
            ("email", "a@example.com", None),
        ] {
            Host::new().config(key, value).install();
            let url = Settings::load().ok().map(|settings| settings.url);
            assert_eq!(url.as_deref(), wanted, "{key} {value}");
        }
    }
}
