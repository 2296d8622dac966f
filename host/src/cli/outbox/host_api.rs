//! The API of a running host, as the command uses it.

use std::time::Duration;

use anyhow::{Context, bail};
use reqwest::{Client, RequestBuilder, StatusCode, Url};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::table::escaped;
use crate::config::Secret;
use crate::engine::Decision;
use crate::engine::erase::{Erased, Erasure, Whom};
use crate::engine::ledger::{Decided, Filter, Listing, Order, Want};

/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(3);

/// How long an answer may take: longer than the host's own bound.
const ANSWER: Duration = Duration::from_secs(75);

/// How long a health check may take.
const HEALTH: Duration = Duration::from_secs(5);

/// Most bytes of an answer: more than a host sends.
const MOST_BYTES: usize = 64 << 20;

/// A host's API.
pub(in crate::cli) struct HostApi {
    client: Client,
    url: Url,
    token: Option<Secret>,
}

/// Whether somebody answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Presence {
    Answers,
    Nobody,
}

impl HostApi {
    /// The API at an address.
    pub(in crate::cli) fn new(url: Url, token: Option<Secret>) -> anyhow::Result<Self> {
        // Neither a redirect nor a proxy may carry the token elsewhere.
        let client = Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .connect_timeout(CONNECT)
            .timeout(ANSWER)
            .build();
        let client = client.context("the HTTP client can't be set up")?;
        Ok(Self { client, url, token })
    }

    /// Its address.
    pub(in crate::cli) fn url(&self) -> &Url {
        &self.url
    }

    /// Whether a host answers there.
    pub(super) async fn presence(&self) -> Presence {
        let Ok(url) = self.address("/healthz") else { return Presence::Nobody };
        match self.client.get(url).timeout(HEALTH).send().await {
            // Something else may listen on the port: a host says how its streams are.
            Ok(answer) => match answer.json::<Value>().await {
                Ok(value) if value.get("streams").is_some() => Presence::Answers,
                Ok(_) | Err(_) => Presence::Nobody,
            },
            Err(_) => Presence::Nobody,
        }
    }

    /// Lists notes.
    pub(super) async fn list(&self, filter: &Filter, want: &Want) -> anyhow::Result<Listing> {
        let mut url = self.address("/outbox")?;
        url.query_pairs_mut()
            .extend_pairs(filter.fields())
            .append_pair("limit", &want.limit.to_string())
            .extend_pairs(want.text.then_some(("text", "true")))
            .extend_pairs(want.after.clone().map(|cursor| ("after", String::from(cursor))));
        self.ask(self.client.get(url)).await
    }

    /// Carries out an order, or says what it would mean.
    pub(super) async fn decide(&self, order: &Order, dry_run: bool) -> anyhow::Result<Decided> {
        let url = self.address(match order.decision {
            Decision::Retry => "/outbox/retry",
            Decision::Purge => "/outbox/purge",
        })?;
        let fields = order.filter.fields().into_iter();
        let mut body: Map<_, _> =
            fields.map(|(name, value)| (name.to_owned(), json!(value))).collect();
        body.insert("dry_run".to_owned(), json!(dry_run));
        if order.filter.is_empty() {
            body.insert("all".to_owned(), json!(true));
        }
        if let Some(until) = order.until {
            body.insert("until".to_owned(), json!(until.as_secs_f64()));
        }
        if let Some(after) = &order.after {
            body.insert("after".to_owned(), json!(after));
        }
        self.ask(self.client.post(url).json(&body)).await
    }

    /// Erases somebody, or counts what that would be.
    pub(super) async fn erase(&self, erasure: &Erasure, dry_run: bool) -> anyhow::Result<Erased> {
        let (name, value) = match &erasure.whom {
            Whom::Session(session) => ("session_id", session.as_str()),
            Whom::User(id) => ("user_id", id.as_str()),
            Whom::Email(address) => ("email", address.as_str()),
        };
        let body = json!({
            "product_id": erasure.product.as_str(),
            name: value,
            "keep_notes": erasure.keep_notes,
            "dry_run": dry_run,
        });
        self.ask(self.client.post(self.address("/erase")?).json(&body)).await
    }

    /// Has streams connect at once: the one of this name, or all. Answers how they stood.
    pub(in crate::cli) async fn retry_streams(
        &self,
        name: Option<&str>,
    ) -> anyhow::Result<Map<String, Value>> {
        let mut url = self.address("/streams")?;
        if let Ok(mut path) = url.path_segments_mut() {
            path.extend(name).push("retry");
        }
        self.ask(self.client.post(url)).await
    }

    fn address(&self, path: &str) -> anyhow::Result<Url> {
        let base = self.url.as_str().trim_end_matches('/');
        Url::parse(&format!("{base}{path}")).context("the host's address can't be used")
    }

    async fn ask<T: DeserializeOwned>(&self, request: RequestBuilder) -> anyhow::Result<T> {
        let request = match &self.token {
            Some(token) => request.bearer_auth(token.expose()),
            None => request,
        };
        let sent = request.send().await.map_err(reqwest::Error::without_url);
        let mut answer =
            sent.with_context(|| format!("the host at {} can't be asked", self.url))?;
        let status = answer.status();
        let mut body = Vec::new();
        while let Some(bytes) = answer
            .chunk()
            .await
            .map_err(reqwest::Error::without_url)
            .context("the answer broke off")?
        {
            body.extend_from_slice(&bytes);
            if body.len() > MOST_BYTES {
                bail!("the answer is too long for a host's; check the address {}", self.url);
            }
        }
        if status == StatusCode::OK {
            return serde_json::from_slice(&body).with_context(|| {
                format!("what answers at {} isn't a host of this version", self.url)
            });
        }
        let value: Value = serde_json::from_slice(&body).unwrap_or_default();
        match (value["error"]["message"].as_str(), value["error"]["next"].as_str()) {
            (Some(message), Some(next)) => {
                bail!("the host refuses ({status}): {}; {}", escaped(message), escaped(next))
            }
            _ => bail!("what answers at {} isn't a host: it says {status}", self.url),
        }
    }
}
