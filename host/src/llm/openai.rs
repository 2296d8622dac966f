//! Chat completions, as OpenAI, Azure, Ollama, vLLM and many others have them.

use serde_json::{Value, json};

use super::error::LlmError;
use super::model::Completion;
use super::reason::{Reason, Unsupported};
use crate::prompts::Prompt;

/// How a server of OpenAI's kind is spoken to. Most differ from the first one in something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Dialect {
    /// What the bound on an answer's tokens is called.
    pub(super) bound: Bound,
    /// Whether the system's words stand in a message of their own.
    pub(super) system: bool,
    /// Whether it is said that no stream is wanted.
    pub(super) stream: bool,
}

/// What the bound on an answer's tokens is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bound {
    /// `max_completion_tokens`, which OpenAI's later models insist on.
    Completion,
    /// `max_tokens`, which everybody else knows.
    Plain,
}

impl Dialect {
    /// The usual one with this bound.
    pub(super) fn with(bound: Bound) -> Self {
        Self { bound, system: true, stream: true }
    }

    /// The same without what is refused; `None` where it is without it already.
    pub(super) fn without(self, unsupported: Unsupported) -> Option<Self> {
        let other = match unsupported {
            Unsupported::MaxTokens => Self { bound: Bound::Completion, ..self },
            Unsupported::MaxCompletionTokens => Self { bound: Bound::Plain, ..self },
            Unsupported::Stream => Self { stream: false, ..self },
            Unsupported::System => Self { system: false, ..self },
        };
        (other != self).then_some(other)
    }
}

pub(super) fn body(model: &str, prompt: &Prompt, dialect: Dialect, most: u32) -> Value {
    let message = |role: &str, content: &str| json!({"role": role, "content": content});
    let messages = match (&*prompt.system, dialect.system) {
        ("", _) => vec![message("user", &prompt.message())],
        (system, true) => vec![message("system", system), message("user", &prompt.message())],
        (_, false) => vec![message("user", &prompt.whole())],
    };
    let bound = match dialect.bound {
        Bound::Completion => "max_completion_tokens",
        Bound::Plain => "max_tokens",
    };
    let mut body = json!({"model": model, "messages": messages, bound: most});
    if dialect.stream {
        body["stream"] = false.into();
    }
    body
}

pub(super) fn read(answer: &Value) -> Result<Completion, LlmError> {
    let choice = &answer["choices"][0];
    if choice["error"].is_object() {
        return Err(Reason::of(choice).into_error(200, None));
    }
    let message = &choice["message"];
    let reason = choice["finish_reason"].as_str().unwrap_or_default();
    let refusal = message["refusal"].as_str().is_some_and(|it| !it.is_empty());
    if reason == "content_filter" || refusal {
        return Err(LlmError::Refused { code: Some("content_filter".to_owned()) });
    }
    if reason == "error" {
        return Err(LlmError::unavailable("it broke off in the middle of its answer"));
    }
    let text = match &message["content"] {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().filter_map(said).collect(),
        // A model that used all its tokens for thinking says nothing.
        Value::Null if message.is_object() => String::new(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => {
            return Err(LlmError::malformed("it has no choices[0].message.content"));
        }
    };
    Ok(Completion {
        text,
        tokens_in: answer["usage"]["prompt_tokens"].as_u64(),
        tokens_out: answer["usage"]["completion_tokens"].as_u64(),
        cut: reason == "length",
    })
}

/// What a part of the content says. Thoughts and whatever else isn't text are passed over.
fn said(part: &Value) -> Option<&str> {
    let is_text = matches!(part["type"].as_str(), None | Some("text" | "output_text"));
    part.as_str().or_else(|| part["text"].as_str().filter(|_| is_text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_question_is_one_message_of_the_user_behind_the_systems() {
        let prompt = Prompt {
            system: "be brief".to_owned(),
            background: "before".to_owned(),
            text: "what?".to_owned(),
            ..Prompt::default()
        };
        assert_eq!(
            body("m", &prompt, Dialect::with(Bound::Plain), 7),
            json!({
                "model": "m",
                "messages": [
                    {"role": "system", "content": "be brief"},
                    {"role": "user", "content": "before\n\nwhat?"},
                ],
                "max_tokens": 7,
                "stream": false,
            })
        );
        let bare = Prompt { text: "what?".to_owned(), ..Prompt::default() };
        let body = body("m", &bare, Dialect::with(Bound::Completion), 7);
        assert_eq!(body["messages"], json!([{"role": "user", "content": "what?"}]));
        assert_eq!(body["max_completion_tokens"], 7);
    }

    #[test]
    fn what_a_server_does_not_take_is_said_otherwise() {
        let prompt =
            Prompt { system: "be brief".to_owned(), text: "what?".to_owned(), ..Prompt::default() };
        let usual = Dialect::with(Bound::Plain);
        let odd = [Unsupported::System, Unsupported::Stream, Unsupported::MaxTokens]
            .into_iter()
            .try_fold(usual, Dialect::without)
            .expect("each is new");
        assert_eq!(
            body("m", &prompt, odd, 7),
            json!({
                "model": "m",
                "messages": [{"role": "user", "content": "be brief\n\nwhat?"}],
                "max_completion_tokens": 7,
            })
        );
        assert_eq!(odd.without(Unsupported::System), None, "it is without it already");
        assert_eq!(usual.without(Unsupported::MaxCompletionTokens), None);
    }

    fn answered(message: Value, reason: &str) -> Result<Completion, LlmError> {
        read(&json!({
            "choices": [{"message": message, "finish_reason": reason}],
            "usage": {"prompt_tokens": 11, "completion_tokens": 3},
        }))
    }

    #[test]
    fn what_is_needed_is_read_and_what_is_not_known_is_passed_over() {
        let text = |text: &str, cut| {
            let (tokens_in, tokens_out) = (Some(11), Some(3));
            Ok(Completion { text: text.to_owned(), tokens_in, tokens_out, cut })
        };
        assert_eq!(answered(json!({"content": "yes"}), "stop"), text("yes", false));
        assert_eq!(answered(json!({"content": "ye"}), "length"), text("ye", true));
        let parts =
            json!({"content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]});
        assert_eq!(answered(parts, "stop"), text("ab", false));
        let thoughts = json!({"content": [
            {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]},
            {"type": "reasoning", "text": "hm"},
            {"type": "something_new", "text": 7},
            "a",
            {"text": "b"},
        ], "reasoning_content": "hm", "reasoning": "hm"});
        assert_eq!(answered(thoughts, "stop"), text("ab", false));
        for nothing in [
            json!({"content": null}),
            json!({"reasoning_content": "hm"}),
            json!({"content": null, "refusal": null}),
        ] {
            assert_eq!(answered(nothing, "length"), text("", true));
        }
        assert_eq!(answered(json!({"content": "yes"}), "something_new"), text("yes", false));

        let refused = |answer| matches!(answer, Err(LlmError::Refused { .. }));
        assert!(refused(answered(json!({"content": "x"}), "content_filter")));
        assert!(refused(answered(json!({"content": null, "refusal": "no"}), "stop")));
        let broken = json!({"choices": [{"error": {"code": 502}, "message": {"content": "y"}}]});
        assert_eq!(read(&broken).map_err(|error| error.kind()), Err("unavailable"));
        assert_eq!(
            answered(json!({"content": "y"}), "error").map_err(|error| error.kind()),
            Err("unavailable")
        );
        let malformed = |answer| matches!(answer, Err(LlmError::Malformed { .. }));
        assert!(malformed(answered(json!({"content": 5}), "stop")));
        assert!(malformed(read(&json!({"choices": []}))));
        assert!(malformed(read(&json!("yes"))));
    }
}
