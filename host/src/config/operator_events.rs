//! `[operator_events]`.

use url::Url;

use super::error::Fault;
use super::scalar::{self, Refusal};
use super::secret::{self, Secret};
use super::section::Section;

/// `[operator_events]`: who is told of what a person must see to.
#[derive(Debug, Clone, PartialEq)]
pub struct OperatorEvents {
    /// Who is told beside the log.
    pub webhook: Option<EventWebhook>,
    /// So many dead letters are fine.
    pub dead_letters: usize,
}

/// Where events are sent.
#[derive(Debug, Clone, PartialEq)]
pub struct EventWebhook {
    /// The whole address.
    pub url: Url,
    /// What signs them.
    pub secret: Secret,
}

impl Default for OperatorEvents {
    fn default() -> Self {
        Self { webhook: None, dead_letters: 100 }
    }
}

/// `[operator_events]`.
pub(super) fn operator_events(section: Section<'_>) -> OperatorEvents {
    let default = OperatorEvents::default();
    let url = section.scalar("url", |value| {
        scalar::web_address(value).map_err(|refusal| match refusal {
            Refusal::Value { cause, .. } => Refusal::value(
                cause,
                "write an address such as \"https://hooks.example.com/sidenote\"",
            ),
            other @ Refusal::Type { .. } => other,
        })
    });
    let plaintext_allowed = section.scalar_or("allow_plaintext", false, scalar::boolean);
    if let Some(url) = &url
        && url.scheme() == "http"
        && !plaintext_allowed
        && !scalar::is_loopback(url)
    {
        section.refuse(
            "url",
            "http:// to another machine lets everyone on the way read what is wrong with this host",
            "use https://, or set allow_plaintext = true in this table if the network is private",
        );
    }
    let secret = secret::of_any_text(&section, "secret");
    if section.has("url") && !section.has("secret") {
        let example = "secret = { env = \"SIDENOTE_EVENTS_SECRET\" }".to_owned();
        section.report(section.place(), Fault::MissingKey { key: "secret".to_owned(), example });
    }
    let dead_letters = section.scalar_or("dead_letters", default.dead_letters, |value| {
        scalar::whole_up_to(value, 10_000, "write less").map(|number| number as usize)
    });
    section.finish();
    let webhook = url.zip(secret).map(|(url, secret)| EventWebhook { url, secret });
    OperatorEvents { webhook, dead_letters }
}
