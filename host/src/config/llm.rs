//! `[llm]`, `[summary]` and `[prompts]`.

use std::path::Path;
use std::time::Duration;

use super::error::{Fault, Place};
use super::scalar::{self, Refusal, Scalar};
use super::secret::{self, Secret};
use super::section::Section;
use crate::prompts::{PromptProblem, Prompts};

/// `[llm]`: the language model that writes summaries and answers.
#[derive(Debug, Clone, PartialEq)]
pub struct Llm {
    /// How it is spoken to.
    pub provider: Provider,
    /// Where it is; the provider's own address by default.
    pub base_url: Option<String>,
    /// The model's name; at Azure, the deployment's.
    pub model: String,
    /// The key; none for servers that need none.
    pub api_key: Option<Secret>,
    /// The version of the interface, for Azure (`api-version`) and Anthropic (`anthropic-version`).
    pub api_version: Option<String>,
    /// How long one question may take, all tries and pauses included.
    pub timeout: Duration,
    /// Longest answer, in tokens.
    pub max_output_tokens: u32,
    /// Longest answer, in bytes; a longer one is none.
    pub max_answer_bytes: usize,
    /// Tries after the first one, where the failure is one that passes.
    pub retries: u32,
    /// First pause between tries; it doubles.
    pub retry_initial: Duration,
    /// Longest pause between tries.
    pub retry_max: Duration,
}

impl Llm {
    /// A model with the defaults for everything else.
    pub fn of(provider: Provider, model: impl Into<String>) -> Self {
        Self {
            provider,
            base_url: None,
            model: model.into(),
            api_key: None,
            api_version: None,
            timeout: Duration::from_secs(30),
            max_output_tokens: 1024,
            max_answer_bytes: 64 << 10,
            retries: 2,
            retry_initial: Duration::from_millis(500),
            retry_max: Duration::from_secs(8),
        }
    }
}

/// How a model is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Provider {
    /// OpenAI and what speaks like it: Ollama, vLLM and others.
    OpenAi,
    /// OpenAI's models at Azure.
    Azure,
    /// Anthropic.
    Anthropic,
    /// Google's Gemini.
    Gemini,
}

impl Provider {
    /// Where the provider is; `None` where every customer has an address of their own.
    pub fn default_url(self) -> Option<&'static str> {
        match self {
            Self::OpenAi => Some("https://api.openai.com/v1"),
            Self::Azure => None,
            Self::Anthropic => Some("https://api.anthropic.com"),
            Self::Gemini => Some("https://generativelanguage.googleapis.com"),
        }
    }

    /// Its name in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::OpenAi => "openai",
            Self::Azure => "azure",
            Self::Anthropic => "anthropic",
            Self::Gemini => "gemini",
        }
    }
}

/// `[summary]`: when a session is summarized.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// Whether sessions are summarized, where there is a model.
    pub enabled: bool,
    /// A session is summarized when so many actions of it wait for that.
    pub threshold: usize,
    /// Sessions that are summarized at the same time.
    pub parallel: usize,
    /// Most actions in one prompt.
    pub max_prompt_actions: usize,
    /// Most bytes of actions in one prompt.
    pub max_prompt_bytes: usize,
    /// First pause after a failure; it doubles.
    pub retry_initial: Duration,
    /// Longest pause after a failure.
    pub retry_max: Duration,
    /// After so many refusals in a row a session waits for more actions.
    pub max_attempts: u32,
}

impl Default for Summary {
    fn default() -> Self {
        Self {
            enabled: true,
            threshold: 10,
            parallel: 4,
            max_prompt_actions: 200,
            max_prompt_bytes: 32 << 10,
            retry_initial: Duration::from_secs(5),
            retry_max: Duration::from_secs(600),
            max_attempts: 5,
        }
    }
}

/// `[llm]`; `None` where it isn't there.
pub(super) fn llm(section: Section<'_>) -> Option<Llm> {
    if !section.is_present() {
        return None;
    }
    let provider = section.required("provider", "provider = \"openai\"", provider);
    let model = section.required("model", "model = \"gpt-4o-mini\"", scalar::text);
    let provider = provider.unwrap_or(Provider::OpenAi);
    let default = Llm::of(provider, model.unwrap_or_default());
    let url =
        section.scalar("base_url", |value| scalar::web_address(value).map_err(address_wanted));
    let api_key = secret::bearer(&section, "api_key");
    let plaintext_allowed = section.scalar_or("allow_plaintext", false, scalar::boolean);
    if let Some(url) = &url
        && url.scheme() == "http"
        && !plaintext_allowed
        && !scalar::is_loopback(url)
    {
        section.refuse(
            "base_url",
            "http:// to another machine lets everyone on the way read the key and what people did",
            "use https://, or set allow_plaintext = true in this table if the network is private",
        );
    }
    let missing = |key: &str, example: &str| {
        if !section.has(key) {
            let fault = Fault::MissingKey { key: key.to_owned(), example: example.to_owned() };
            section.report(section.place(), fault);
        }
    };
    if provider == Provider::Azure {
        missing("base_url", "base_url = \"https://RESOURCE.openai.azure.com\"");
        missing("api_version", "api_version = \"2024-10-21\"");
    }
    // A local server of OpenAI's kind has no key.
    let local = provider == Provider::OpenAi && url.is_some();
    if !local {
        missing("api_key", "api_key = { env = \"SIDENOTE_LLM_KEY\" }");
    }
    let llm = Llm {
        base_url: url.map(|url| url.to_string()),
        api_key,
        api_version: section.scalar("api_version", scalar::text),
        timeout: section.scalar_or("timeout", default.timeout, scalar::duration),
        max_output_tokens: section.scalar_or(
            "max_output_tokens",
            default.max_output_tokens,
            |value| scalar::up_to(value, 1_000_000),
        ),
        max_answer_bytes: section.scalar_or("max_answer", default.max_answer_bytes, scalar::size),
        retries: section.scalar_or("retries", default.retries, |value| {
            scalar::whole_up_to(value, 10, "write less")
        }),
        retry_initial: section.scalar_or("retry_initial", default.retry_initial, scalar::duration),
        retry_max: section.scalar_or("retry_max", default.retry_max, scalar::duration),
        ..default
    };
    section.in_order(("retry_initial", llm.retry_initial), ("retry_max", llm.retry_max));
    section.finish();
    Some(llm)
}

/// `[summary]`. `without_history`: there is a model, and no history that sessions could be
/// summarized from.
pub(super) fn summary(section: Section<'_>, without_history: bool) -> Summary {
    let default = Summary::default();
    let number = |key: &str, default: usize, most: u32| {
        section.scalar_or(key, default, |value| {
            scalar::up_to(value, most).map(|number| number as usize)
        })
    };
    let summary = Summary {
        enabled: section.scalar_or("enabled", default.enabled, scalar::boolean),
        threshold: number("threshold", default.threshold, 10_000),
        parallel: number("parallel", default.parallel, 256),
        max_prompt_actions: number("max_prompt_actions", default.max_prompt_actions, 10_000),
        max_prompt_bytes: section.scalar_or("max_prompt", default.max_prompt_bytes, scalar::size),
        retry_initial: section.scalar_or("retry_initial", default.retry_initial, scalar::duration),
        retry_max: section.scalar_or("retry_max", default.retry_max, scalar::duration),
        max_attempts: section
            .scalar_or("max_attempts", default.max_attempts, |value| scalar::up_to(value, 1000)),
    };
    section.in_order(("retry_initial", summary.retry_initial), ("retry_max", summary.retry_max));
    if summary.enabled && without_history {
        let fault = Fault::MissingTable {
            table: "context".to_owned(),
            cause: "sessions are summarized from what is kept of them".to_owned(),
            example:
                "[context]\n\nor, for answers without summaries,\n\n[summary]\nenabled = false"
                    .to_owned(),
        };
        section.report(section.place(), fault);
    }
    if summary.threshold > summary.max_prompt_actions {
        let key = if section.has("threshold") { "threshold" } else { "max_prompt_actions" };
        section.refuse(
            key,
            format!(
                "a session waits for {} actions, and a prompt holds {}",
                summary.threshold, summary.max_prompt_actions
            ),
            "make threshold the smaller one",
        );
    }
    section.finish();
    summary
}

/// `[prompts]`: the built-in ones, and those of a folder.
pub(super) fn prompts(section: Section<'_>, base: &Path) -> Prompts {
    let folder = section.scalar("folder", scalar::text);
    let loaded = folder.map_or(Ok(Prompts::default()), |it| Prompts::load(&base.join(it)));
    let prompts = loaded.unwrap_or_else(|problems| {
        for PromptProblem { file, line, fault } in problems {
            let place = line.map_or(Place::File(file.clone()), |line| Place::Line(file, line));
            section.report(place, Fault::Prompt(fault));
        }
        Prompts::default()
    });
    section.finish();
    prompts
}

fn provider(value: Scalar<'_>) -> Result<Provider, Refusal> {
    let known = [Provider::OpenAi, Provider::Azure, Provider::Anthropic, Provider::Gemini];
    scalar::word(value, &known.map(|provider| (provider.name(), provider)), |other| {
        Refusal::value(
            format!("there is no provider \"{other}\""),
            "write \"openai\" (also Ollama, vLLM and others with `base_url`), \"azure\", \"anthropic\" or \"gemini\"",
        )
    })
}

/// The same refusal with an example that fits.
fn address_wanted(refusal: Refusal) -> Refusal {
    match refusal {
        Refusal::Value { cause, .. } => Refusal::Value {
            cause,
            next: "write an address such as \"http://127.0.0.1:11434/v1\", the key in `api_key`"
                .to_owned(),
        },
        Refusal::Type { found, want } => Refusal::Type { found, want },
    }
}
