//! Content generation, as Gemini has it.

use serde_json::{Value, json};

use super::error::LlmError;
use super::http::malformed;
use super::model::{Completion, Prompt};

pub(super) fn body(prompt: &Prompt, most: u32) -> Value {
    let content = |text: &str| json!([{ "text": text }]);
    let mut body = json!({
        "contents": [{"role": "user", "parts": content(&prompt.message())}],
        "generationConfig": {"maxOutputTokens": most},
    });
    if !prompt.system.is_empty() {
        body["systemInstruction"] = json!({"parts": content(&prompt.system)});
    }
    body
}

pub(super) fn read(answer: &Value) -> Result<Completion, LlmError> {
    if let Some(reason) = answer["promptFeedback"]["blockReason"].as_str() {
        return Err(refused(reason));
    }
    let candidate = &answer["candidates"][0];
    let reason = candidate["finishReason"].as_str().unwrap_or_default();
    let parts = match (&candidate["content"]["parts"], reason) {
        (Value::Array(parts), "" | "STOP" | "MAX_TOKENS") => parts.as_slice(),
        (Value::Null, "STOP" | "MAX_TOKENS") => &[],
        (_, "" | "STOP" | "MAX_TOKENS") => {
            return Err(malformed("it has no candidates[0].content"));
        }
        (_, reason) => return Err(refused(reason)),
    };
    // What the model thought on the way isn't its answer.
    let said = parts.iter().filter(|part| part["thought"] != true);
    let text: Option<String> = said.map(|part| part["text"].as_str()).collect();
    let usage = &answer["usageMetadata"];
    Ok(Completion {
        text: text.ok_or_else(|| malformed("a part has no text"))?,
        tokens_in: usage["promptTokenCount"].as_u64(),
        tokens_out: usage["candidatesTokenCount"].as_u64(),
        cut: reason == "MAX_TOKENS",
    })
}

/// The reason is one of a list (`SAFETY`, `RECITATION`, …); anything else isn't repeated.
fn refused(reason: &str) -> LlmError {
    let is_word =
        reason.len() <= 40 && reason.bytes().all(|it| it.is_ascii_uppercase() || it == b'_');
    LlmError::Refused { code: is_word.then(|| reason.to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_systems_words_stand_apart_from_the_question() {
        let prompt =
            Prompt { system: "be brief".to_owned(), text: "what?".to_owned(), ..Prompt::default() };
        let expected = json!({
            "systemInstruction": {"parts": [{"text": "be brief"}]},
            "contents": [{"role": "user", "parts": [{"text": "what?"}]}],
            "generationConfig": {"maxOutputTokens": 7},
        });
        assert_eq!(body(&prompt, 7), expected);
    }

    #[test]
    fn answers_are_read_strictly() {
        let answered = |content: Value, reason: &str| {
            read(&json!({
                "candidates": [{"content": content, "finishReason": reason}],
                "usageMetadata": {"promptTokenCount": 11, "candidatesTokenCount": 3},
            }))
        };
        let text = |text: &str, cut| {
            let (tokens_in, tokens_out) = (Some(11), Some(3));
            Ok(Completion { text: text.to_owned(), tokens_in, tokens_out, cut })
        };
        let parts = json!({"parts": [{"text": "hm", "thought": true}, {"text": "yes"}]});
        assert_eq!(answered(parts.clone(), "STOP"), text("yes", false));
        assert_eq!(answered(json!({}), "MAX_TOKENS"), text("", true));
        let refused = |answer, word: &str| answer == Err(refused(word));
        assert!(refused(answered(parts, "SAFETY"), "SAFETY"));
        assert!(refused(read(&json!({"promptFeedback": {"blockReason": "OTHER"}})), "OTHER"));
        let malformed = |answer| matches!(answer, Err(LlmError::Malformed { .. }));
        assert!(malformed(answered(json!({"parts": [{"inlineData": {}}]}), "STOP")));
        assert!(malformed(read(&json!({}))));
    }
}
