//! Chat completions, as OpenAI, Azure, Ollama, vLLM and many others have them.

use serde_json::{Value, json};

use super::error::LlmError;
use super::http::malformed;
use super::model::{Completion, Prompt};

/// What the bound on an answer's tokens is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bound {
    /// `max_completion_tokens`, which OpenAI's later models insist on.
    Completion,
    /// `max_tokens`, which everybody else knows.
    Plain,
}

pub(super) fn body(model: &str, prompt: &Prompt, bound: Bound, most: u32) -> Value {
    let message = |role: &str, content: &str| json!({"role": role, "content": content});
    let mut messages = Vec::new();
    if !prompt.system.is_empty() {
        messages.push(message("system", &prompt.system));
    }
    messages.push(message("user", &prompt.message()));
    let bound = match bound {
        Bound::Completion => "max_completion_tokens",
        Bound::Plain => "max_tokens",
    };
    json!({"model": model, "messages": messages, bound: most, "stream": false})
}

pub(super) fn read(answer: &Value) -> Result<Completion, LlmError> {
    let choice = &answer["choices"][0];
    let message = &choice["message"];
    let reason = choice["finish_reason"].as_str().unwrap_or_default();
    if reason == "content_filter" || message["refusal"].as_str().is_some_and(|it| !it.is_empty()) {
        return Err(LlmError::Refused { code: Some("content_filter".to_owned()) });
    }
    let text = match &message["content"] {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().filter_map(|part| part["text"].as_str()).collect(),
        // A model that used all its tokens for thinking says nothing.
        Value::Null if !reason.is_empty() => String::new(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => {
            return Err(malformed("it has no choices[0].message.content"));
        }
    };
    Ok(Completion {
        text,
        tokens_in: answer["usage"]["prompt_tokens"].as_u64(),
        tokens_out: answer["usage"]["completion_tokens"].as_u64(),
        cut: reason == "length",
    })
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
            body("m", &prompt, Bound::Plain, 7),
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
        let body = body("m", &bare, Bound::Completion, 7);
        assert_eq!(body["messages"], json!([{"role": "user", "content": "what?"}]));
        assert_eq!(body["max_completion_tokens"], 7);
    }

    fn answered(message: Value, reason: &str) -> Result<Completion, LlmError> {
        read(&json!({
            "choices": [{"message": message, "finish_reason": reason}],
            "usage": {"prompt_tokens": 11, "completion_tokens": 3},
        }))
    }

    #[test]
    fn answers_are_read_strictly() {
        let text = |text: &str, cut| {
            let (tokens_in, tokens_out) = (Some(11), Some(3));
            Ok(Completion { text: text.to_owned(), tokens_in, tokens_out, cut })
        };
        assert_eq!(answered(json!({"content": "yes"}), "stop"), text("yes", false));
        assert_eq!(answered(json!({"content": "ye"}), "length"), text("ye", true));
        let parts =
            json!({"content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]});
        assert_eq!(answered(parts, "stop"), text("ab", false));
        assert_eq!(answered(json!({"content": null}), "length"), text("", true));

        let refused = |answer| matches!(answer, Err(LlmError::Refused { .. }));
        assert!(refused(answered(json!({"content": "x"}), "content_filter")));
        assert!(refused(answered(json!({"content": null, "refusal": "no"}), "stop")));
        let malformed = |answer| matches!(answer, Err(LlmError::Malformed { .. }));
        assert!(malformed(answered(json!({"content": 5}), "stop")));
        assert!(malformed(read(&json!({"choices": []}))));
        assert!(malformed(read(&json!("yes"))));
    }
}
