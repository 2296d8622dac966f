//! Messages, as Anthropic has them.

use serde_json::{Value, json};

use super::error::LlmError;
use super::model::Completion;
use crate::prompts::Prompt;

/// The version of the interface that is spoken.
pub(super) const VERSION: &str = "2023-06-01";

pub(super) fn body(model: &str, prompt: &Prompt, most: u32) -> Value {
    let messages = json!([{"role": "user", "content": prompt.message()}]);
    let mut body = json!({"model": model, "max_tokens": most, "messages": messages});
    if !prompt.system.is_empty() {
        body["system"] = prompt.system.clone().into();
    }
    body
}

pub(super) fn read(answer: &Value) -> Result<Completion, LlmError> {
    let reason = answer["stop_reason"].as_str().unwrap_or_default();
    if reason == "refusal" {
        return Err(LlmError::Refused { code: Some(reason.to_owned()) });
    }
    let blocks =
        answer["content"].as_array().ok_or_else(|| LlmError::malformed("it has no content"))?;
    // Blocks of other kinds, thoughts among them, are none of the answer.
    let said = blocks.iter().filter(|block| block["type"] == "text");
    Ok(Completion {
        text: said.filter_map(|block| block["text"].as_str()).collect(),
        tokens_in: answer["usage"]["input_tokens"].as_u64(),
        tokens_out: answer["usage"]["output_tokens"].as_u64(),
        cut: matches!(reason, "max_tokens" | "model_context_window_exceeded"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_systems_words_stand_apart_from_the_question() {
        let prompt =
            Prompt { system: "be brief".to_owned(), text: "what?".to_owned(), ..Prompt::default() };
        let expected = json!({
            "model": "m",
            "max_tokens": 7,
            "system": "be brief",
            "messages": [{"role": "user", "content": "what?"}],
        });
        assert_eq!(body("m", &prompt, 7), expected);
        let bare = Prompt { text: "what?".to_owned(), ..Prompt::default() };
        assert!(body("m", &bare, 7).get("system").is_none());
    }

    #[test]
    fn what_is_needed_is_read_and_what_is_not_known_is_passed_over() {
        let answered = |content: Value, reason: &str| {
            let usage = json!({"input_tokens": 11, "output_tokens": 3});
            read(&json!({"content": content, "stop_reason": reason, "usage": usage}))
        };
        let text = |text: &str, cut| {
            let (tokens_in, tokens_out) = (Some(11), Some(3));
            Ok(Completion { text: text.to_owned(), tokens_in, tokens_out, cut })
        };
        let block = json!({"type": "text", "text": "yes"});
        let thought = json!({"type": "thinking", "thinking": "hm"});
        assert_eq!(answered(json!([thought, block]), "end_turn"), text("yes", false));
        assert_eq!(answered(json!([block, block]), "max_tokens"), text("yesyes", true));
        assert_eq!(answered(json!([]), "end_turn"), text("", false));
        assert!(matches!(answered(json!([block]), "refusal"), Err(LlmError::Refused { .. })));
        let malformed = |answer| matches!(answer, Err(LlmError::Malformed { .. }));
        let others =
            json!([{"type": "text"}, {"type": "something_new", "text": "x"}, 7, null, block]);
        assert_eq!(answered(others, "something_new"), text("yes", false));
        let redacted = json!([{"type": "redacted_thinking", "data": "hm"}]);
        assert_eq!(answered(redacted, "max_tokens"), text("", true));
        assert!(malformed(answered(json!("yes"), "end_turn")));
        assert!(malformed(read(&json!({"type": "error"}))));
    }
}
