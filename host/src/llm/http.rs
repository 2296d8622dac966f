//! A model behind an HTTP interface.

use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Response, StatusCode, Url, redirect};
use serde_json::Value;

use super::error::LlmError;
use super::model::{Completion, Llm, Prompt};
use super::{anthropic, gemini, openai};
use crate::clock::Clock;
use crate::config::{self, Provider};
use crate::stream::{describe, retry_after};

/// How long making a connection may take, name lookup and TLS included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long an unused connection is kept.
const IDLE: Duration = Duration::from_secs(60);
/// Room for what stands around an answer's text, in bytes.
const AROUND: usize = 64 << 10;
/// Longest word of a provider for what is wrong, in bytes.
const LONGEST_CODE: usize = 64;

/// A model of a provider, over HTTP: no redirects, no proxy, the key in one header and nowhere else.
pub struct HttpLlm {
    model: String,
    url: Url,
    headers: HeaderMap,
    speech: Speech,
    max_output_tokens: u32,
    max_body_bytes: usize,
    client: reqwest::Client,
    clock: Clock,
}

/// Why a model can't be asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SetupError {
    /// The address can't be used.
    #[error(
        "llm: `base_url` can't be used: {cause}; write an address such as \"https://api.openai.com/v1\""
    )]
    Address {
        /// Why not.
        cause: String,
    },
    /// The key can't be sent.
    #[error("llm: the API key has characters that a header can't have; check what was copied")]
    Key,
    /// The HTTP client can't be set up.
    #[error("llm: the HTTP client can't be set up: {cause}; check the system's certificates")]
    Client {
        /// The library's words.
        cause: String,
    },
}

/// How a provider is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Speech {
    OpenAi(openai::Bound),
    Anthropic,
    Gemini,
}

impl HttpLlm {
    /// The model that a configuration names. Nothing is connected to.
    ///
    /// # Errors
    /// Address, key or the system's TLS set-up can't be used.
    pub fn new(config: &config::Llm, clock: Clock) -> Result<Self, SetupError> {
        let (url, speech) = address(config)?;
        crate::stream::install_tls();
        let mut builder = reqwest::Client::builder()
            .redirect(redirect::Policy::none())
            .no_proxy()
            .connect_timeout(CONNECT_TIMEOUT)
            .pool_idle_timeout(IDLE);
        if url.scheme() == "http" {
            builder = builder.tls_certs_only([]);
        }
        let client =
            builder.build().map_err(|error| SetupError::Client { cause: describe(error) })?;
        Ok(Self {
            model: config.model.clone(),
            url,
            headers: headers(config)?,
            speech,
            max_output_tokens: config.max_output_tokens,
            // Text in JSON can be six times as long as what it says: `\u00e9`.
            max_body_bytes: config.max_answer_bytes.saturating_mul(6).saturating_add(AROUND),
            client,
            clock,
        })
    }

    fn body(&self, prompt: &Prompt) -> Value {
        match self.speech {
            Speech::OpenAi(bound) => {
                openai::body(&self.model, prompt, bound, self.max_output_tokens)
            }
            Speech::Anthropic => anthropic::body(&self.model, prompt, self.max_output_tokens),
            Speech::Gemini => gemini::body(prompt, self.max_output_tokens),
        }
    }

    fn read(&self, answer: &Value) -> Result<Completion, LlmError> {
        match self.speech {
            Speech::OpenAi(_) => openai::read(answer),
            Speech::Anthropic => anthropic::read(answer),
            Speech::Gemini => gemini::read(answer),
        }
    }

    fn refused(&self, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> LlmError {
        let retry_after = milliseconds(headers).or_else(|| retry_after(headers, self.clock.now()));
        let code = serde_json::from_slice(body).ok().and_then(|answer| code(&answer));
        match status.as_u16() {
            429 => LlmError::RateLimited { retry_after },
            401 | 403 => LlmError::Auth { status: status.as_u16() },
            404 => LlmError::NotFound { code },
            408 | 409 | 425 | 500.. => {
                let cause = format!("it answered {}", status.as_u16());
                LlmError::Unavailable { cause, retry_after }
            }
            400..=499 => LlmError::Refused { code },
            other => LlmError::Malformed { cause: format!("its status is {other}") },
        }
    }
}

#[async_trait::async_trait]
impl Llm for HttpLlm {
    fn model(&self) -> &str {
        &self.model
    }

    async fn complete(&self, prompt: &Prompt) -> Result<Completion, LlmError> {
        let request = self.client.post(self.url.clone()).headers(self.headers.clone());
        let sent = request.json(&self.body(prompt)).send().await;
        let response = sent.map_err(|error| LlmError::unavailable(describe(error)))?;
        let (status, headers) = (response.status(), response.headers().clone());
        let body = bounded(response, self.max_body_bytes).await?;
        if !status.is_success() {
            return Err(self.refused(status, &headers, &body));
        }
        // The library's words for what isn't JSON name a place, and nothing that stands there.
        let answer = serde_json::from_slice(&body)
            .map_err(|error| malformed(format!("it isn't JSON (column {})", error.column())))?;
        self.read(&answer)
    }
}

impl std::fmt::Debug for HttpLlm {
    /// The key is left out.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HttpLlm").field("model", &self.model).finish_non_exhaustive()
    }
}

pub(super) fn malformed(cause: impl Into<String>) -> LlmError {
    LlmError::Malformed { cause: cause.into() }
}

/// Reads a body up to a bound, so that no answer takes more memory than that.
async fn bounded(mut response: Response, most: usize) -> Result<Vec<u8>, LlmError> {
    let mut body = Vec::new();
    loop {
        let chunk = response.chunk().await;
        match chunk.map_err(|error| LlmError::unavailable(describe(error)))? {
            None => return Ok(body),
            Some(chunk) if body.len() + chunk.len() > most => {
                return Err(LlmError::TooLong { most });
            }
            Some(chunk) => body.extend_from_slice(&chunk),
        }
    }
}

/// Where a question goes.
fn address(config: &config::Llm) -> Result<(Url, Speech), SetupError> {
    let bad = |cause: &str| SetupError::Address { cause: cause.to_owned() };
    let base = config.base_url.as_deref().or(config.provider.default_url());
    let base = base.ok_or_else(|| bad("it is missing"))?;
    let mut url = Url::parse(base).map_err(|error| bad(&error.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err(bad("it is neither http:// nor https://"));
    }
    let generate = format!("{}:generateContent", config.model.trim_start_matches("models/"));
    let (parts, speech): (Vec<&str>, _) = match config.provider {
        Provider::OpenAi => {
            // What only speaks like OpenAI knows the bound by its first name.
            let bound = match url.host_str() {
                Some("api.openai.com") => openai::Bound::Completion,
                Some(_) | None => openai::Bound::Plain,
            };
            (vec!["chat", "completions"], Speech::OpenAi(bound))
        }
        Provider::Azure => (
            vec!["openai", "deployments", &config.model, "chat", "completions"],
            Speech::OpenAi(openai::Bound::Completion),
        ),
        Provider::Anthropic => (vec!["v1", "messages"], Speech::Anthropic),
        Provider::Gemini => (vec!["v1beta", "models", &generate], Speech::Gemini),
    };
    url.path_segments_mut().map_err(|()| bad("it has no path"))?.pop_if_empty().extend(parts);
    if let Some(version) = &config.api_version
        && config.provider == Provider::Azure
    {
        url.query_pairs_mut().append_pair("api-version", version);
    }
    Ok((url, speech))
}

fn headers(config: &config::Llm) -> Result<HeaderMap, SetupError> {
    let mut headers = HeaderMap::new();
    if config.provider == Provider::Anthropic {
        let version = config.api_version.as_deref().unwrap_or(anthropic::VERSION);
        let version = HeaderValue::from_str(version).map_err(|_| SetupError::Key)?;
        headers.insert(HeaderName::from_static("anthropic-version"), version);
    }
    let Some(key) = &config.api_key else { return Ok(headers) };
    let (name, value) = match config.provider {
        Provider::OpenAi => ("authorization", format!("Bearer {}", key.expose())),
        Provider::Azure => ("api-key", key.expose().to_owned()),
        Provider::Anthropic => ("x-api-key", key.expose().to_owned()),
        Provider::Gemini => ("x-goog-api-key", key.expose().to_owned()),
    };
    let mut value = HeaderValue::from_str(&value).map_err(|_| SetupError::Key)?;
    value.set_sensitive(true);
    headers.insert(HeaderName::from_static(name), value);
    Ok(headers)
}

/// A wait in milliseconds, as OpenAI and Azure have it beside `Retry-After`.
fn milliseconds(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get("retry-after-ms")?.to_str().ok()?;
    value.trim().parse().ok().map(Duration::from_millis)
}

/// The short word that a provider has for what is wrong. Its sentences are left out: they can repeat what
/// was asked.
fn code(answer: &Value) -> Option<String> {
    let error = &answer["error"];
    let words = [&error["code"], &error["status"], &error["type"]];
    let word = words.into_iter().find_map(Value::as_str)?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    (!word.is_empty() && word.len() <= LONGEST_CODE && word.bytes().all(plain))
        .then(|| word.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Secret;

    fn config(provider: Provider, base_url: Option<&str>) -> config::Llm {
        config::Llm {
            base_url: base_url.map(str::to_owned),
            api_key: Some(Secret::new("sk-1")),
            ..config::Llm::of(provider, "m-1")
        }
    }

    #[test]
    fn a_question_goes_to_the_providers_address() {
        let azure = config::Llm {
            api_version: Some("2024-10-21".to_owned()),
            ..config(Provider::Azure, Some("https://r.openai.azure.com/"))
        };
        let cases = [
            (config(Provider::OpenAi, None), "https://api.openai.com/v1/chat/completions"),
            (
                config(Provider::OpenAi, Some("http://127.0.0.1:11434/v1/")),
                "http://127.0.0.1:11434/v1/chat/completions",
            ),
            (
                azure,
                "https://r.openai.azure.com/openai/deployments/m-1/chat/completions?api-version=2024-10-21",
            ),
            (config(Provider::Anthropic, None), "https://api.anthropic.com/v1/messages"),
            (
                config(Provider::Gemini, None),
                "https://generativelanguage.googleapis.com/v1beta/models/m-1:generateContent",
            ),
        ];
        for (config, expected) in cases {
            assert_eq!(address(&config).expect("an address").0.as_str(), expected);
        }
        assert!(address(&config(Provider::Azure, None)).is_err());
        assert!(address(&config(Provider::OpenAi, Some("ftp://x"))).is_err());
    }

    #[test]
    fn a_models_name_stays_one_part_of_the_path() {
        let odd = config::Llm { model: "../admin?x".to_owned(), ..config(Provider::Gemini, None) };
        let (url, _) = address(&odd).expect("an address");
        assert!(url.path().starts_with("/v1beta/models/..%2Fadmin%3Fx:"), "{url}");
    }

    #[test]
    fn the_key_is_in_one_header_and_in_no_debug() {
        let expected = [
            (Provider::OpenAi, "authorization", "Bearer sk-1"),
            (Provider::Azure, "api-key", "sk-1"),
            (Provider::Anthropic, "x-api-key", "sk-1"),
            (Provider::Gemini, "x-goog-api-key", "sk-1"),
        ];
        for (provider, name, value) in expected {
            let headers = headers(&config(provider, None)).expect("headers");
            assert_eq!(headers.get(name).expect("the key"), value);
            assert!(!format!("{headers:?}").contains("sk-1"));
        }
        let no_key = config::Llm { api_key: None, ..config(Provider::OpenAi, None) };
        assert!(headers(&no_key).expect("headers").is_empty());
        let broken = config::Llm { api_key: Some(Secret::new("a\nb")), ..no_key };
        assert_eq!(headers(&broken), Err(SetupError::Key));
    }

    #[test]
    fn only_a_short_plain_word_of_an_error_is_repeated() {
        let said = |error: Value| code(&serde_json::json!({ "error": error }));
        let some = |word: &str| Some(word.to_owned());
        assert_eq!(said(serde_json::json!({"code": "model_not_found"})), some("model_not_found"));
        assert_eq!(said(serde_json::json!({"code": 400, "status": "INVALID"})), some("INVALID"));
        assert_eq!(said(serde_json::json!({"code": null, "type": "invalid"})), some("invalid"));
        assert_eq!(said(serde_json::json!({"code": "Ann clicked Pay"})), None);
        assert_eq!(said(serde_json::json!({"code": "x".repeat(65)})), None);
        assert_eq!(said(serde_json::json!("no")), None);
    }
}
