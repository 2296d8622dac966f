//! A model behind an HTTP interface.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use reqwest::Response;
use reqwest::header::{ACCEPT_ENCODING, HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;
use url::Url;

use super::error::LlmError;
use super::model::{Completion, Llm};
use super::reason::{Reason, Unsupported};
use super::{anthropic, gemini, openai};
use crate::clock::Clock;
use crate::config::{self, Provider};
use crate::http_client::{self, PLAIN, describe, encoding, retry_after};
use crate::prompts::Prompt;

/// How long an unused connection is kept.
const IDLE: Duration = Duration::from_secs(60);
/// Bytes for what stands around an answer's text.
const AROUND: usize = 64 << 10;
/// How often one question is said otherwise because a part of it is refused: once for each part.
const OTHER_WORDS: usize = 3;

/// A model of a provider, over HTTP: no redirects, no proxy, the key in one header and nowhere else.
pub struct HttpLlm {
    model: String,
    url: Url,
    headers: HeaderMap,
    /// As it was found to be understood last.
    speech: Mutex<Speech>,
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
    OpenAi(openai::Dialect),
    Anthropic,
    Gemini {
        /// Whether the system's words stand apart.
        system: bool,
    },
}

impl Speech {
    /// The same without what is refused; `None` where that can't be said otherwise.
    fn without(self, unsupported: Unsupported) -> Option<Self> {
        match self {
            Self::OpenAi(dialect) => dialect.without(unsupported).map(Self::OpenAi),
            Self::Gemini { system: true } if unsupported == Unsupported::System => {
                Some(Self::Gemini { system: false })
            }
            Self::Anthropic | Self::Gemini { .. } => None,
        }
    }
}

impl HttpLlm {
    /// The model that a configuration names. Nothing is connected to.
    ///
    /// # Errors
    /// Address, key or the system's TLS set-up can't be used.
    pub fn new(config: &config::Llm, clock: Clock) -> Result<Self, SetupError> {
        let (url, speech) = address(config)?;
        let client = http_client::builder(&url).pool_idle_timeout(IDLE).build();
        let client = client.map_err(|error| SetupError::Client { cause: describe(error) })?;
        Ok(Self {
            model: config.model.clone(),
            url,
            headers: headers(config)?,
            speech: Mutex::new(speech),
            max_output_tokens: config.max_output_tokens,
            // Text in JSON can be six times as long as what it says: `\u00e9`.
            max_body_bytes: config.max_answer_bytes.saturating_mul(6).saturating_add(AROUND),
            client,
            clock,
        })
    }

    fn body(&self, speech: Speech, prompt: &Prompt) -> Value {
        match speech {
            Speech::OpenAi(dialect) => {
                openai::body(&self.model, prompt, dialect, self.max_output_tokens)
            }
            Speech::Anthropic => anthropic::body(&self.model, prompt, self.max_output_tokens),
            Speech::Gemini { system } => gemini::body(prompt, system, self.max_output_tokens),
        }
    }

    /// Asks in these words. An error comes with what of them is refused.
    async fn ask(
        &self,
        speech: Speech,
        prompt: &Prompt,
    ) -> Result<Completion, (LlmError, Option<Unsupported>)> {
        let plainly = |error: LlmError| (error, None);
        let request = self.client.post(self.url.clone()).headers(self.headers.clone());
        let sent = request.json(&self.body(speech, prompt)).send().await;
        let response = sent.map_err(|error| plainly(LlmError::unavailable(describe(error))))?;
        let (status, headers) = (response.status(), response.headers().clone());
        let body = bounded(response, self.max_body_bytes).await.map_err(plainly)?;
        if let Some(encoding) = encoding(&headers) {
            let cause = format!("it is encoded ({encoding}), though the plain one is asked for");
            return Err(plainly(LlmError::unavailable(cause)));
        }
        let answer: Result<Value, _> = serde_json::from_slice(&body);
        if !status.is_success() {
            let reason = Reason::of(&answer.unwrap_or_default());
            let unsupported =
                reason.unsupported.filter(|_| matches!(status.as_u16(), 400 | 404 | 422 | 501));
            let asked = retry_after(&headers, self.clock.now());
            return Err((reason.into_error(status.as_u16(), asked), unsupported));
        }
        // The library's words for what isn't JSON name a place, and nothing that stands there.
        let not_json = |error: serde_json::Error| {
            plainly(LlmError::malformed(format!("it isn't JSON (column {})", error.column())))
        };
        let answer = answer.map_err(not_json)?;
        if Reason::is_in(&answer) {
            let (reason, asked) = (Reason::of(&answer), retry_after(&headers, self.clock.now()));
            let unsupported = reason.unsupported;
            return Err((reason.into_error(status.as_u16(), asked), unsupported));
        }
        let read = match speech {
            Speech::OpenAi(_) => openai::read(&answer),
            Speech::Anthropic => anthropic::read(&answer),
            Speech::Gemini { .. } => gemini::read(&answer),
        };
        read.map_err(plainly)
    }
}

#[async_trait::async_trait]
impl Llm for HttpLlm {
    fn model(&self) -> &str {
        &self.model
    }

    async fn complete(&self, prompt: &Prompt) -> Result<Completion, LlmError> {
        let known = *self.speech.lock().unwrap_or_else(PoisonError::into_inner);
        let mut speech = known;
        let mut tries = vec![known];
        loop {
            let (error, unsupported) = match self.ask(speech, prompt).await {
                Ok(answer) => {
                    self.remember(known, speech);
                    return Ok(answer);
                }
                Err(failure) => failure,
            };
            let other = unsupported.and_then(|it| speech.without(it));
            match other.filter(|other| !tries.contains(other) && tries.len() <= OTHER_WORDS) {
                Some(other) => {
                    speech = other;
                    tries.push(other);
                }
                // Other words are to be found only where a part is refused; then every question needs them.
                None if unsupported.is_some() && tries.len() > 1 => {
                    let code = Some("unsupported_parameter".to_owned());
                    return Err(LlmError::Setting { code });
                }
                None => return Err(error),
            }
        }
    }
}

impl HttpLlm {
    /// The provider took these words, so that the next question is asked in them.
    fn remember(&self, known: Speech, taken: Speech) {
        if known == taken {
            return;
        }
        *self.speech.lock().unwrap_or_else(PoisonError::into_inner) = taken;
        tracing::info!(
            model = self.model,
            "llm: the provider doesn't take a part of the request as it is usually written; it is written otherwise from here on"
        );
    }
}

impl std::fmt::Debug for HttpLlm {
    /// The key is left out.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HttpLlm").field("model", &self.model).finish_non_exhaustive()
    }
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
            (vec!["chat", "completions"], Speech::OpenAi(openai::Dialect::with(bound)))
        }
        Provider::Azure => (
            vec!["openai", "deployments", &config.model, "chat", "completions"],
            Speech::OpenAi(openai::Dialect::with(openai::Bound::Completion)),
        ),
        Provider::Anthropic => (vec!["v1", "messages"], Speech::Anthropic),
        Provider::Gemini => (vec!["v1beta", "models", &generate], Speech::Gemini { system: true }),
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
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static(PLAIN));
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
        assert_eq!(headers(&no_key).expect("headers").len(), 1, "the encoding alone");
        let broken = config::Llm { api_key: Some(Secret::new("a\nb")), ..no_key };
        assert_eq!(headers(&broken), Err(SetupError::Key));
    }
}
