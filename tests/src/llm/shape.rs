//! How the providers are spoken to, as their documentation has it.

use axum::http::HeaderMap;
use serde_json::{Map, Value, json};

/// A provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// OpenAI's chat completions, as other servers have them: under `/v1`, with `max_tokens`.
    OpenAi,
    /// A gateway of OpenAI's kind whose model insists on `max_completion_tokens`.
    Gateway,
    /// The same at Azure: the deployment `m-1`, version `2024-10-21`.
    Azure,
    /// Anthropic's messages.
    Anthropic,
    /// Gemini's content generation.
    Gemini,
}

/// The one key that is right.
pub(super) const KEY: &str = "llm-key";
/// What a gateway says to `max_tokens`.
const UNSUPPORTED_MAX_TOKENS: &str = "max_tokens isn't supported";
/// The one model that there is.
pub(super) const MODEL: &str = "m-1";

/// What was asked, read out of a request that is right.
pub(super) struct Read {
    pub(super) system: String,
    pub(super) text: String,
}

/// Why a request isn't right: a status, and a sentence for the test's eyes.
pub(super) type Wrong = (u16, String);

impl Shape {
    /// `provider` of the configuration.
    pub fn provider(self) -> &'static str {
        match self {
            Self::OpenAi | Self::Gateway => "openai",
            Self::Azure => "azure",
            Self::Anthropic => "anthropic",
            Self::Gemini => "gemini",
        }
    }

    /// What stands behind the address in `base_url`.
    pub(super) fn base(self) -> &'static str {
        match self {
            Self::OpenAi | Self::Gateway => "/v1",
            Self::Azure | Self::Anthropic | Self::Gemini => "",
        }
    }

    fn target(self) -> String {
        match self {
            Self::OpenAi | Self::Gateway => "/v1/chat/completions".to_owned(),
            Self::Azure => {
                format!("/openai/deployments/{MODEL}/chat/completions?api-version=2024-10-21")
            }
            Self::Anthropic => "/v1/messages".to_owned(),
            Self::Gemini => format!("/v1beta/models/{MODEL}:generateContent"),
        }
    }

    /// Reads a request as the provider does: whatever isn't as documented is refused.
    pub(super) fn read(
        self,
        method: &str,
        target: &str,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Result<Read, Wrong> {
        let wrong = |status, why: &str| Err((status, why.to_owned()));
        if target != self.target() {
            return wrong(404, &format!("there is no {target}"));
        }
        if method != "POST" {
            return wrong(405, method);
        }
        let (name, expected) = match self {
            Self::OpenAi | Self::Gateway => ("authorization", format!("Bearer {KEY}")),
            Self::Azure => ("api-key", KEY.to_owned()),
            Self::Anthropic => ("x-api-key", KEY.to_owned()),
            Self::Gemini => ("x-goog-api-key", KEY.to_owned()),
        };
        if only(headers, name) != Some(&*expected) {
            return wrong(401, "the key is wrong");
        }
        if self == Self::Anthropic && only(headers, "anthropic-version") != Some("2023-06-01") {
            return wrong(400, "anthropic-version is wrong");
        }
        if only(headers, "content-type") != Some("application/json") {
            return wrong(415, "the content type is wrong");
        }
        let body: Value = serde_json::from_slice(body).map_err(|error| (400, error.to_string()))?;
        match self {
            Self::OpenAi => chat(&body, "max_tokens"),
            Self::Gateway if body.get("max_tokens").is_some() => wrong(400, UNSUPPORTED_MAX_TOKENS),
            Self::Gateway | Self::Azure => chat(&body, "max_completion_tokens"),
            Self::Anthropic => messages(&body),
            Self::Gemini => contents(&body),
        }
    }

    /// An answer with this text.
    pub(super) fn answer(self, text: &str) -> Value {
        match self {
            Self::OpenAi | Self::Gateway | Self::Azure => json!({
                "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": MODEL,
                "choices": [{
                    "index": 0, "finish_reason": "stop", "logprobs": null,
                    "message": {"role": "assistant", "content": text, "refusal": null},
                }],
                "usage": {"prompt_tokens": 21, "completion_tokens": 7, "total_tokens": 28},
            }),
            Self::Anthropic => json!({
                "id": "msg_1", "type": "message", "role": "assistant", "model": MODEL,
                "content": [{"type": "text", "text": text}],
                "stop_reason": "end_turn", "stop_sequence": null,
                "usage": {"input_tokens": 21, "output_tokens": 7},
            }),
            Self::Gemini => json!({
                "candidates": [{
                    "index": 0, "finishReason": "STOP",
                    "content": {"role": "model", "parts": [{"text": text}]},
                }],
                "usageMetadata": {
                    "promptTokenCount": 21, "candidatesTokenCount": 7, "totalTokenCount": 28,
                },
            }),
        }
    }

    /// An error; `said` stands in its message, as providers repeat what they were sent.
    pub(super) fn error(self, status: u16, said: &str) -> Value {
        match self {
            Self::Gateway if said == UNSUPPORTED_MAX_TOKENS => {
                json!({"error": {"code": "unsupported_parameter", "param": "max_tokens"}})
            }
            Self::OpenAi | Self::Gateway | Self::Azure => {
                json!({"error": {"message": said, "type": "an_error", "param": null, "code": null}})
            }
            Self::Anthropic => {
                json!({"type": "error", "error": {"type": "an_error", "message": said}})
            }
            Self::Gemini => {
                json!({"error": {"code": status, "message": said, "status": "AN_ERROR"}})
            }
        }
    }
}

fn only<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
}

/// The fields of an object that has these and, at will, those, and no others.
fn fields<'a>(
    what: &str,
    value: &'a Value,
    needed: &[&str],
    optional: &[&str],
) -> Result<&'a Map<String, Value>, Wrong> {
    let wrong = |why: String| (400, format!("{what}: {why}"));
    let fields = value.as_object().ok_or_else(|| wrong("it is no object".to_owned()))?;
    let known = |key: &&String| !needed.iter().chain(optional).any(|it| *it == key.as_str());
    if let Some(key) = fields.keys().find(known) {
        return Err(wrong(format!("it has {key}")));
    }
    match needed.iter().find(|key| !fields.contains_key(**key)) {
        Some(key) => Err(wrong(format!("it has no {key}"))),
        None => Ok(fields),
    }
}

fn text(what: &str, value: &Value) -> Result<String, Wrong> {
    let text = value.as_str().filter(|text| !text.is_empty());
    text.map(str::to_owned).ok_or_else(|| (400, format!("{what} is no text: {value}")))
}

fn tokens(value: &Value) -> Result<(), Wrong> {
    let count = value.as_u64().filter(|count| *count > 0);
    count.map(drop).ok_or_else(|| (400, format!("{value} is no number of tokens")))
}

fn model(value: &Value) -> Result<(), Wrong> {
    if value == MODEL { Ok(()) } else { Err((404, format!("there is no model {value}"))) }
}

/// One message of each role, in this order, the first at will.
fn turns(what: &str, value: &Value, roles: &[&str]) -> Result<Vec<String>, Wrong> {
    let list = value.as_array().ok_or_else(|| (400, format!("{what} is no list")))?;
    let mut texts = Vec::new();
    for message in list {
        let message = fields(what, message, &["role", "content"], &[])?;
        if !roles.iter().any(|role| message["role"] == *role) {
            return Err((400, format!("{what}: there is no role {}", message["role"])));
        }
        texts.push(format!(
            "{}:{}",
            text("role", &message["role"])?,
            text("content", &message["content"])?
        ));
    }
    Ok(texts)
}

fn chat(body: &Value, bound: &str) -> Result<Read, Wrong> {
    let body = fields("body", body, &["model", "messages", bound], &["stream"])?;
    model(&body["model"])?;
    tokens(&body[bound])?;
    if body.get("stream").is_some_and(|stream| *stream != false) {
        return Err((400, "no stream was to be asked for".to_owned()));
    }
    let turns = turns("messages", &body["messages"], &["system", "user"])?;
    match &turns[..] {
        [system, user] if system.starts_with("system:") && user.starts_with("user:") => {
            Ok(Read { system: system[7..].to_owned(), text: user[5..].to_owned() })
        }
        [user] if user.starts_with("user:") => {
            Ok(Read { system: String::new(), text: user[5..].to_owned() })
        }
        _ => Err((400, "one message of the system and one of the user, please".to_owned())),
    }
}

fn messages(body: &Value) -> Result<Read, Wrong> {
    let body = fields("body", body, &["model", "max_tokens", "messages"], &["system"])?;
    model(&body["model"])?;
    tokens(&body["max_tokens"])?;
    let turns = turns("messages", &body["messages"], &["user", "assistant"])?;
    let [user] = &turns[..] else { return Err((400, "one message, please".to_owned())) };
    let user = user.strip_prefix("user:").ok_or((400, "the user speaks first".to_owned()))?;
    let system = body.get("system").map_or(Ok(String::new()), |system| text("system", system))?;
    Ok(Read { system, text: user.to_owned() })
}

fn contents(body: &Value) -> Result<Read, Wrong> {
    let body = fields("body", body, &["contents"], &["systemInstruction", "generationConfig"])?;
    if let Some(config) = body.get("generationConfig") {
        tokens(&fields("generationConfig", config, &["maxOutputTokens"], &[])?["maxOutputTokens"])?;
    }
    let part = |content: &Value, role: Option<&str>| {
        let needed: &[&str] = if role.is_some() { &["role", "parts"] } else { &["parts"] };
        let content = fields("content", content, needed, &[])?;
        if role.is_some_and(|role| content["role"] != role) {
            return Err((400, format!("the role {} is wrong", content["role"])));
        }
        let [part] = content["parts"].as_array().map_or(&[][..], Vec::as_slice) else {
            return Err((400, "one part, please".to_owned()));
        };
        text("text", &fields("part", part, &["text"], &[])?["text"])
    };
    let [content] = body["contents"].as_array().map_or(&[][..], Vec::as_slice) else {
        return Err((400, "one content, please".to_owned()));
    };
    let system = body.get("systemInstruction");
    Ok(Read {
        system: system.map_or(Ok(String::new()), |system| part(system, None))?,
        text: part(content, Some("user"))?,
    })
}
