//! Content generation, as Gemini has it.

use serde_json::{Value, json};

use super::error::LlmError;
use super::model::Completion;
use crate::prompts::Prompt;

/// `system`: whether the system's words stand apart from the user's, which not every model takes.
pub(super) fn body(prompt: &Prompt, system: bool, most: u32) -> Value {
    let content = |text: &str| json!([{ "text": text }]);
    let apart = system || prompt.system.is_empty();
    let message = if apart { prompt.message() } else { prompt.whole() };
    let mut body = json!({
        "contents": [{"role": "user", "parts": content(&message)}],
        "generationConfig": {"maxOutputTokens": most},
    });
    if apart && !prompt.system.is_empty() {
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
    if REFUSALS.contains(&reason) {
        return Err(refused(reason));
    }
    if !candidate.is_object() {
        return Err(LlmError::malformed("it has no candidates[0]"));
    }
    let parts = candidate["content"]["parts"].as_array().map_or(&[][..], Vec::as_slice);
    // What the model thought on the way isn't its answer, and neither is what isn't text.
    let said = parts.iter().filter(|part| part["thought"] != true);
    let text: String = said.filter_map(|part| part["text"].as_str()).collect();
    let ended = matches!(reason, "" | "STOP" | "MAX_TOKENS" | "FINISH_REASON_UNSPECIFIED");
    if text.is_empty() && !ended {
        return Err(refused(reason));
    }
    let usage = &answer["usageMetadata"];
    Ok(Completion {
        text,
        tokens_in: usage["promptTokenCount"].as_u64(),
        tokens_out: usage["candidatesTokenCount"].as_u64(),
        cut: reason == "MAX_TOKENS",
    })
}

/// Why an answer ended that isn't to be used, whatever stands in it.
const REFUSALS: [&str; 7] =
    ["SAFETY", "RECITATION", "LANGUAGE", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "OTHER"];

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
        assert_eq!(body(&prompt, true, 7), expected);
        let together = json!({
            "contents": [{"role": "user", "parts": [{"text": "be brief\n\nwhat?"}]}],
            "generationConfig": {"maxOutputTokens": 7},
        });
        assert_eq!(body(&prompt, false, 7), together);
    }

    #[test]
    fn what_is_needed_is_read_and_what_is_not_known_is_passed_over() {
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
        let others = json!({"parts": [{"inlineData": {}}, {"text": 7}, null, {"text": "yes"}]});
        assert_eq!(answered(others, "SOMETHING_NEW"), text("yes", false));
        let nothing = json!({"parts": [{"functionCall": {}}]});
        assert!(refused(answered(nothing, "MALFORMED_FUNCTION_CALL"), "MALFORMED_FUNCTION_CALL"));
        assert!(malformed(read(&json!({}))));
    }
}
