//! The API of a running host.

use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use reqwest::{RequestBuilder, Response, StatusCode, Url};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use sidenote::config::Secret;
use sidenote::http_client;
use sidenote_terminal::output::escaped;

/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(3);

/// How long an answer may take: longer than the host's own bound.
const ANSWER: Duration = Duration::from_secs(75);

/// How long an answer may go on that is followed.
const FOLLOWED: Duration = Duration::from_secs(365 * 24 * 3600);

/// How long a health check may take.
const HEALTH: Duration = Duration::from_secs(5);

/// Most bytes of an answer: more than a host sends.
const MOST_BYTES: usize = 64 << 20;

/// A host's API.
pub(crate) struct Client {
    client: reqwest::Client,
    url: Url,
    token: Option<Secret>,
}

/// Nobody answered.
#[derive(Debug, thiserror::Error)]
#[error("no answer")]
pub(crate) struct Unreached;

/// The host can't answer at the moment.
#[derive(Debug, thiserror::Error)]
#[error("not at the moment")]
pub(crate) struct Busy;

/// Whether somebody answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Presence {
    Answers,
    Nobody,
}

impl Client {
    /// The API at an address.
    pub(super) fn new(url: Url, token: Option<Secret>) -> anyhow::Result<Self> {
        let client = http_client::builder(&url).connect_timeout(CONNECT).timeout(ANSWER).build();
        let client = client.context("the HTTP client can't be set up")?;
        Ok(Self { client, url, token })
    }

    /// Its address.
    pub(crate) fn url(&self) -> &Url {
        &self.url
    }

    /// Whether a host answers there. The token isn't sent.
    pub(crate) async fn presence(&self) -> Presence {
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

    /// Asks for something.
    pub(crate) async fn get<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, String)],
    ) -> anyhow::Result<T> {
        let mut url = self.address(path)?;
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        self.ask(self.client.get(url)).await
    }

    /// What is answered, whatever it is: the status and the body.
    pub(crate) async fn look(&self, path: &str) -> anyhow::Result<(u16, Vec<u8>)> {
        let (status, body) = self.answer(self.client.get(self.address(path)?)).await?;
        Ok((status.as_u16(), body))
    }

    /// Has something done.
    pub(crate) async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> anyhow::Result<T> {
        self.ask(self.client.post(self.address(path)?).json(body)).await
    }

    /// Has something removed.
    pub(crate) async fn delete<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        self.ask(self.client.delete(self.address(path)?)).await
    }

    /// Has something done of which the host tells as JSON under `told` where it refuses too.
    pub(crate) async fn post_told(&self, path: &str, told: &str) -> anyhow::Result<Value> {
        let (status, body) = self.answer(self.client.post(self.address(path)?)).await?;
        let value: Value = serde_json::from_slice(&body).unwrap_or_default();
        if !status.is_success() && value.get(told).is_none() {
            return Err(self.refused(status, &value));
        }
        Ok(value)
    }

    fn address(&self, path: &str) -> anyhow::Result<Url> {
        let base = self.url.as_str().trim_end_matches('/');
        Url::parse(&format!("{base}{path}")).context("the host's address can't be used")
    }

    async fn ask<T: DeserializeOwned>(&self, request: RequestBuilder) -> anyhow::Result<T> {
        let (status, body) = self.answer(request).await?;
        if status == StatusCode::OK {
            return serde_json::from_slice(&body).with_context(|| {
                format!("what answers at {} isn't a host of this version", self.url)
            });
        }
        Err(self.refused(status, &serde_json::from_slice(&body).unwrap_or_default()))
    }

    /// The answer of an address that goes on telling, for as long as it is read.
    ///
    /// # Errors
    /// [`Unreached`] where nobody answered, [`Busy`] where the host can't at the moment; otherwise asking again
    /// means nothing.
    pub(crate) async fn follow(
        &self,
        path: &str,
        query: &[(&str, String)],
    ) -> anyhow::Result<Response> {
        let mut url = self.address(path)?;
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let answer = self.sent(self.client.get(url).timeout(FOLLOWED)).await.context(Unreached)?;
        let status = answer.status();
        if status == StatusCode::OK {
            return Ok(answer);
        }
        let body = self.body(answer).await.context(Unreached)?;
        let refused = self.refused(status, &serde_json::from_slice(&body).unwrap_or_default());
        Err(if status == StatusCode::SERVICE_UNAVAILABLE { refused.context(Busy) } else { refused })
    }

    /// Has something sent that is a file, for as long as it takes.
    pub(crate) async fn have_sent(&self, path: &str) -> anyhow::Result<Response> {
        let request = self.client.post(self.address(path)?).timeout(FOLLOWED);
        let answer = self.sent(request).await?;
        let status = answer.status();
        if status == StatusCode::OK {
            return Ok(answer);
        }
        let body = self.body(answer).await?;
        Err(self.refused(status, &serde_json::from_slice(&body).unwrap_or_default()))
    }

    /// A text that isn't JSON.
    pub(crate) async fn text(&self, path: &str) -> anyhow::Result<String> {
        let (status, body) = self.answer(self.client.get(self.address(path)?)).await?;
        if status == StatusCode::OK {
            return String::from_utf8(body).context("the answer is no text");
        }
        Err(self.refused(status, &serde_json::from_slice(&body).unwrap_or_default()))
    }

    /// What is answered as JSON under these statuses, whatever each means.
    pub(crate) async fn get_any(
        &self,
        path: &str,
        statuses: &[StatusCode],
    ) -> anyhow::Result<Value> {
        let (status, body) = self.answer(self.client.get(self.address(path)?)).await?;
        let value: Value = serde_json::from_slice(&body).unwrap_or_default();
        if statuses.contains(&status) { Ok(value) } else { Err(self.refused(status, &value)) }
    }

    async fn answer(&self, request: RequestBuilder) -> anyhow::Result<(StatusCode, Vec<u8>)> {
        let answer = self.sent(request).await?;
        Ok((answer.status(), self.body(answer).await?))
    }

    async fn sent(&self, request: RequestBuilder) -> anyhow::Result<Response> {
        let request = match &self.token {
            Some(token) => request.bearer_auth(token.expose()),
            None => request,
        };
        let sent = request.send().await.map_err(reqwest::Error::without_url);
        sent.with_context(|| {
            format!(
                "the host at {} can't be asked; is `sidenote run` running there? Name another with --host URL",
                self.url
            )
        })
    }

    async fn body(&self, mut answer: Response) -> anyhow::Result<Vec<u8>> {
        let mut body = Vec::new();
        while let Some(bytes) = answer
            .chunk()
            .await
            .map_err(reqwest::Error::without_url)
            .context("the answer broke off; ask again")?
        {
            body.extend_from_slice(&bytes);
            if body.len() > MOST_BYTES {
                bail!("the answer is too long for a host's; check the address {}", self.url);
            }
        }
        Ok(body)
    }

    /// Why a host refuses, from what it says.
    fn refused(&self, status: StatusCode, value: &Value) -> anyhow::Error {
        let (Some(message), Some(next)) =
            (value["error"]["message"].as_str(), value["error"]["next"].as_str())
        else {
            return anyhow!("what answers at {} isn't a host: it says {status}", self.url);
        };
        let (message, next) = (escaped(message), escaped(next));
        if status == StatusCode::UNAUTHORIZED {
            return anyhow!(
                "the host refuses ({status}): {message}; the token is taken from --token, from SIDENOTE_TOKEN, or from `token` in [server], and must be the one that the host was started with, or a key of the host (`sidenote key list`)"
            );
        }
        anyhow!("the host refuses ({status}): {message}; {next}")
    }
}
