//! What a provider's error body says: its reason by a short word, whatever shape the body has. Sentences are
//! looked into where there is no word, and never repeated: they can hold what was asked.

use std::time::Duration;

use serde_json::Value;

use super::error::LlmError;

/// Longest word of a provider for what is wrong, in bytes.
const LONGEST_CODE: usize = 64;

/// What an error body says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Reason {
    /// The status that stands in the body, where the answer's own says nothing.
    pub(super) status: Option<u16>,
    /// The short word for people.
    pub(super) code: Option<String>,
    /// What the words come to.
    meaning: Option<Meaning>,
    /// How long the body asks to wait.
    pub(super) retry_after: Option<Duration>,
    /// What of the request isn't known or is refused.
    pub(super) unsupported: Option<Unsupported>,
}

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meaning {
    /// The key.
    Auth,
    /// The account, or what is set: a person must see to it.
    Setting,
    /// The model or the address.
    NotFound,
    /// Too much at once.
    RateLimited,
    /// The provider.
    Unavailable,
    /// This question.
    Refused,
}

/// A part of the request that a provider doesn't take, and that can be said otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unsupported {
    /// `max_tokens`.
    MaxTokens,
    /// `max_completion_tokens`.
    MaxCompletionTokens,
    /// `stream`.
    Stream,
    /// Words of the system apart from the user's.
    System,
}

/// What each provider's words mean. In small letters; those of Google are in capitals.
const WORDS: [(Meaning, &[&str]); 6] = [
    (
        Meaning::Auth,
        &[
            "invalid_api_key",
            "incorrect_api_key",
            "authentication_error",
            "permission_error",
            "invalid_authentication",
            "unauthorized",
            "unauthenticated",
            "permission_denied",
            "permissiondenied",
            "api_key_invalid",
            "api_key_expired",
            "api_key_service_blocked",
            "api_key_http_referrer_blocked",
            "api_key_ip_address_blocked",
            "api_key_android_app_blocked",
            "api_key_ios_app_blocked",
            "access_token_expired",
            "access_token_scope_insufficient",
            "access_token_type_unsupported",
            "account_deactivated",
            "invalid_organization",
            "accessdenied",
            "access_denied",
            "invalid_token",
            "invalidsubscriptionkey",
        ],
    ),
    (
        Meaning::Setting,
        &[
            "insufficient_quota",
            "billing_hard_limit_reached",
            "billing_not_active",
            "billing_error",
            "billing_disabled",
            "insufficient_balance",
            "insufficient_credits",
            "payment_required",
            "failed_precondition",
            "service_disabled",
            "consumer_suspended",
            "consumer_invalid",
            "user_project_denied",
            "location_policy_violated",
            "unsupported_country_region_territory",
            "unsupported_api_version",
            "operationnotsupported",
            "unsupported_parameter",
            "unsupported_value",
            "unknown_parameter",
            "invalid_parameter",
            "missing_required_parameter",
            "unimplemented",
            "model_not_supported",
        ],
    ),
    (
        Meaning::NotFound,
        &[
            "model_not_found",
            "deploymentnotfound",
            "not_found_error",
            "not_found",
            "resourcenotfound",
            "resource_not_found",
            "notfounderror",
            "model_not_available",
            "unknown_model",
            "unavailable_model",
        ],
    ),
    (
        Meaning::RateLimited,
        &[
            "rate_limit_exceeded",
            "rate_limit_error",
            "rate_limited",
            "resource_exhausted",
            "rate_limit_reached",
            "too_many_requests",
            "toomanyrequests",
            "tokens",
            "requests",
            "rate_limit_exceeded_error",
            "1302",
        ],
    ),
    (
        Meaning::Unavailable,
        &[
            "overloaded_error",
            "overloaded",
            "api_error",
            "server_error",
            "internal_error",
            "internal",
            "internalservererror",
            "internal_server_error",
            "unavailable",
            "service_unavailable",
            "serviceunavailable",
            "engine_overloaded",
            "timeout_error",
            "timeout",
            "deadline_exceeded",
            "aborted",
            "unknown",
            "model_overloaded",
            "server_is_overloaded",
            "slow_down",
        ],
    ),
    (
        Meaning::Refused,
        &[
            "content_filter",
            "content_policy_violation",
            "responsibleaipolicyviolation",
            "context_length_exceeded",
            "request_too_large",
            "string_above_max_length",
            "invalid_prompt",
            "tokens_limit_reached",
            "moderation_blocked",
        ],
    ),
];

impl Reason {
    /// Reads a body: an object with `error` or without, or a list that begins with one.
    pub(super) fn of(body: &Value) -> Self {
        let body = body.as_array().and_then(|list| list.first()).unwrap_or(body);
        let error = [&body["error"], &body["detail"], &body["errors"][0]]
            .into_iter()
            .find(|value| value.is_object() || value.is_string())
            .unwrap_or(body);
        let details = error["details"].as_array().map_or(&[][..], Vec::as_slice);
        let reasons = details.iter().map(|detail| &detail["reason"]);
        // The nearer to the cause the earlier.
        let words: Vec<&str> = reasons
            .chain([&error["innererror"]["code"], &error["code"], &error["status"], &error["type"]])
            .filter_map(Value::as_str)
            .collect();
        let said = error["message"].as_str().or(error.as_str()).unwrap_or_default();
        let said = said.to_lowercase();
        let meaning = words.iter().find_map(|word| meaning_of(word));
        let statuses = [&error["code"], &error["status"], &body["statusCode"], &body["code"]];
        Self {
            status: statuses.into_iter().find_map(status),
            code: words.into_iter().find_map(plain),
            meaning: meaning.or_else(|| meaning_of_sentence(&said)),
            retry_after: details.iter().find_map(|detail| seconds(&detail["retryDelay"])),
            unsupported: unsupported(error["param"].as_str(), &said),
        }
    }

    /// Whether a body that came with a good status says that there is no answer.
    pub(super) fn is_in(body: &Value) -> bool {
        let body = body.as_array().and_then(|list| list.first()).unwrap_or(body);
        let error = &body["error"];
        body["type"] == "error"
            || error.is_object()
            || error.as_str().is_some_and(|it| !it.is_empty())
    }

    /// The failure, where the answer came with this status; `asked` is what its headers ask to wait.
    pub(super) fn into_error(self, status: u16, asked: Option<Duration>) -> LlmError {
        let retry_after = asked.max(self.retry_after);
        let Self { status: inner, code, meaning, .. } = self;
        // A good status over an error is the gateway's: what stands in the body is the provider's.
        let status = if (200..300).contains(&status) { inner.unwrap_or(500) } else { status };
        let unavailable = |code: Option<String>| {
            let word = code.map(|code| format!(" ({code})")).unwrap_or_default();
            LlmError::Unavailable { cause: format!("it answered {status}{word}"), retry_after }
        };
        match (meaning, status) {
            // What a person must see to is told from what passes, whatever the status is.
            (Some(Meaning::Setting), _) | (_, 402) => LlmError::Setting { code },
            (Some(Meaning::Auth), 400..=499) | (_, 401 | 403) => LlmError::Auth { status },
            (Some(Meaning::NotFound), 400..=499) | (_, 404) => LlmError::NotFound { code },
            (Some(Meaning::RateLimited), 400..=499 | 503) | (_, 429) => {
                LlmError::RateLimited { retry_after }
            }
            (Some(Meaning::Refused), 400..=499) => LlmError::Refused { code },
            (Some(Meaning::Unavailable), _) | (_, 408 | 409 | 425 | 500..) => unavailable(code),
            (_, 405 | 410 | 411 | 415 | 426) => LlmError::Setting { code },
            (_, 400..=499) => LlmError::Refused { code },
            (_, other) => LlmError::Malformed { cause: format!("its status is {other}") },
        }
    }
}

fn meaning_of(word: &str) -> Option<Meaning> {
    let word = word.to_lowercase();
    WORDS.iter().find(|(_, words)| words.contains(&&*word)).map(|(meaning, _)| *meaning)
}

/// For providers that have sentences only.
fn meaning_of_sentence(said: &str) -> Option<Meaning> {
    let has = |words: &[&str]| words.iter().all(|word| said.contains(word));
    if has(&["api key", "valid"]) || has(&["api key", "expired"]) || has(&["incorrect api key"]) {
        return Some(Meaning::Auth);
    }
    if has(&["model", "not found"]) || has(&["model", "does not exist"]) {
        return Some(Meaning::NotFound);
    }
    None
}

fn unsupported(param: Option<&str>, said: &str) -> Option<Unsupported> {
    let param = param.map(str::to_lowercase).unwrap_or_default();
    let refused = [
        "unsupported",
        "not supported",
        "unrecognized",
        "unknown",
        "unexpected",
        "extra inputs",
        "not permitted",
        "not allowed",
        "not enabled",
        "does not support",
        "doesn't support",
        "invalid",
    ];
    let is_refused = refused.iter().any(|word| said.contains(word)) || said.is_empty();
    match param.as_str() {
        "max_tokens" => return Some(Unsupported::MaxTokens),
        "max_completion_tokens" => return Some(Unsupported::MaxCompletionTokens),
        "stream" => return Some(Unsupported::Stream),
        _ if !is_refused => return None,
        _ => {}
    }
    let role = param.starts_with("messages") && param.ends_with("role");
    let of_system = [
        "system role",
        "role 'system'",
        "'system'",
        "\"system\"",
        "system message",
        "system instruction",
        "developer instruction",
        "system prompt",
    ];
    // The name that is refused stands before the one that is proposed.
    let at = |name: &str| said.find(name);
    match (at("max_tokens"), at("max_completion_tokens")) {
        (Some(plain), Some(completion)) if plain < completion => Some(Unsupported::MaxTokens),
        (_, Some(_)) => Some(Unsupported::MaxCompletionTokens),
        (Some(_), None) => Some(Unsupported::MaxTokens),
        (None, None) if role || of_system.iter().any(|it| said.contains(it)) => {
            Some(Unsupported::System)
        }
        (None, None) => None,
    }
}

/// A status as a number or as text.
fn status(value: &Value) -> Option<u16> {
    let number = value.as_u64().or_else(|| value.as_str()?.parse().ok())?;
    u16::try_from(number).ok().filter(|status| (300..600).contains(status))
}

/// `37s`, `37.5s`.
fn seconds(value: &Value) -> Option<Duration> {
    let seconds: f64 = value.as_str()?.strip_suffix('s')?.parse().ok()?;
    Duration::try_from_secs_f64(seconds).ok()
}

/// A word that is surely one.
fn plain(word: &str) -> Option<String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    let fits = !word.is_empty() && word.len() <= LONGEST_CODE && word.bytes().all(plain);
    fits.then(|| word.to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn kind(status: u16, body: Value) -> &'static str {
        Reason::of(&body).into_error(status, None).kind()
    }

    /// Errors as the providers' documentation, or their servers, have them.
    #[test]
    fn every_providers_errors_are_read_by_their_reason() {
        let openai = |code: &str, kind: &str| json!({"error": {"message": "said", "type": kind, "param": null, "code": code}});
        let anthropic =
            |kind: &str| json!({"type": "error", "error": {"type": kind, "message": "said"}});
        let gemini = |code: u16, status: &str, reason: &str| {
            let details = json!([{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason, "domain": "googleapis.com"}]);
            json!({"error": {"code": code, "message": "said", "status": status, "details": details}})
        };
        let google = |code: u16, status: &str| json!({"error": {"code": code, "message": "said", "status": status}});
        let azure = |code: &str| json!({"error": {"code": code, "message": "said"}});
        let cases = [
            // OpenAI.
            (401, openai("invalid_api_key", "invalid_request_error"), "auth"),
            (429, openai("rate_limit_exceeded", "requests"), "rate_limited"),
            (429, openai("insufficient_quota", "insufficient_quota"), "setting"),
            (429, openai("billing_hard_limit_reached", "invalid_request_error"), "setting"),
            (404, openai("model_not_found", "invalid_request_error"), "not_found"),
            (400, openai("model_not_found", "invalid_request_error"), "not_found"),
            (400, openai("context_length_exceeded", "invalid_request_error"), "refused"),
            (400, openai("content_policy_violation", "invalid_request_error"), "refused"),
            (400, openai("unsupported_parameter", "invalid_request_error"), "setting"),
            (403, openai("unsupported_country_region_territory", "request_forbidden"), "setting"),
            (500, openai("server_error", "server_error"), "unavailable"),
            (
                400,
                json!({"error": {"message": "said", "type": "invalid_request_error"}}),
                "refused",
            ),
            // Gateways of its kind.
            (
                200,
                json!({"error": {"message": "Provider returned error", "code": 429}}),
                "rate_limited",
            ),
            (200, json!({"error": {"message": "said", "code": "429"}}), "rate_limited"),
            (200, json!({"error": {"message": "said", "code": 502}}), "unavailable"),
            (200, json!({"error": {"message": "said", "code": 401}}), "auth"),
            (200, json!({"error": {"message": "said", "code": 402}}), "setting"),
            (200, json!({"error": {"message": "said"}}), "unavailable"),
            (200, json!({"error": "said"}), "unavailable"),
            (402, json!({"error": {"message": "said", "code": 402}}), "setting"),
            (404, json!({"error": "model 'x' not found, try pulling it first"}), "not_found"),
            (
                400,
                json!({"object": "error", "message": "said", "type": "BadRequestError", "code": 400}),
                "refused",
            ),
            (
                404,
                json!({"object": "error", "message": "said", "type": "NotFoundError", "code": 404}),
                "not_found",
            ),
            (422, json!({"detail": [{"loc": ["body"], "msg": "said"}]}), "refused"),
            // Azure.
            (404, azure("DeploymentNotFound"), "not_found"),
            (401, json!({"statusCode": 401, "message": "said"}), "auth"),
            (400, azure("content_filter"), "refused"),
            (
                400,
                json!({"error": {"code": "content_filter", "status": 400, "innererror": {"code": "ResponsibleAIPolicyViolation"}}}),
                "refused",
            ),
            (403, azure("AccessDenied"), "auth"),
            (400, azure("OperationNotSupported"), "setting"),
            (429, azure("429"), "rate_limited"),
            // Anthropic.
            (401, anthropic("authentication_error"), "auth"),
            (403, anthropic("permission_error"), "auth"),
            (400, anthropic("invalid_request_error"), "refused"),
            (400, anthropic("billing_error"), "setting"),
            (404, anthropic("not_found_error"), "not_found"),
            (413, anthropic("request_too_large"), "refused"),
            (429, anthropic("rate_limit_error"), "rate_limited"),
            (500, anthropic("api_error"), "unavailable"),
            (529, anthropic("overloaded_error"), "unavailable"),
            (200, anthropic("overloaded_error"), "unavailable"),
            // Gemini.
            (400, gemini(400, "INVALID_ARGUMENT", "API_KEY_INVALID"), "auth"),
            (400, gemini(400, "INVALID_ARGUMENT", "API_KEY_EXPIRED"), "auth"),
            (403, gemini(403, "PERMISSION_DENIED", "SERVICE_DISABLED"), "setting"),
            (403, google(403, "PERMISSION_DENIED"), "auth"),
            (400, google(400, "FAILED_PRECONDITION"), "setting"),
            (400, google(400, "INVALID_ARGUMENT"), "refused"),
            (
                400,
                json!({"error": {"code": 400, "message": "API key not valid. Please pass a valid API key.", "status": "INVALID_ARGUMENT"}}),
                "auth",
            ),
            (401, google(401, "UNAUTHENTICATED"), "auth"),
            (404, google(404, "NOT_FOUND"), "not_found"),
            (429, google(429, "RESOURCE_EXHAUSTED"), "rate_limited"),
            (503, google(503, "UNAVAILABLE"), "unavailable"),
            (504, google(504, "DEADLINE_EXCEEDED"), "unavailable"),
            (200, json!([google(429, "RESOURCE_EXHAUSTED")]), "rate_limited"),
            // Whoever says nothing that is known.
            (400, json!(null), "refused"),
            (401, json!("no"), "auth"),
            (405, json!({}), "setting"),
            (408, json!({}), "unavailable"),
            (418, json!([]), "refused"),
            (302, json!({}), "malformed"),
        ];
        for (status, body, expected) in cases {
            assert_eq!(kind(status, body.clone()), expected, "{status} {body}");
        }
    }

    #[test]
    fn only_a_short_plain_word_of_an_error_is_repeated() {
        let said = |error: Value| Reason::of(&json!({ "error": error })).code;
        let some = |word: &str| Some(word.to_owned());
        assert_eq!(said(json!({"code": "model_not_found"})), some("model_not_found"));
        assert_eq!(said(json!({"code": 400, "status": "INVALID"})), some("INVALID"));
        assert_eq!(said(json!({"code": null, "type": "invalid"})), some("invalid"));
        assert_eq!(said(json!({"code": "Ann clicked Pay"})), None);
        assert_eq!(said(json!({"code": "x".repeat(65)})), None);
        assert_eq!(said(json!("no")), None);
    }

    #[test]
    fn a_wait_in_the_body_counts_as_one_in_the_head() {
        let body = json!({"error": {"code": 429, "details": [{"retryDelay": "37.5s"}]}});
        let reason = || Reason::of(&body);
        let half = Some(Duration::from_millis(37_500));
        assert_eq!(reason().into_error(429, None).retry_after(), half);
        let minute = Some(Duration::from_secs(60));
        assert_eq!(reason().into_error(429, minute).retry_after(), minute);
        assert_eq!(reason().into_error(429, Some(Duration::ZERO)).retry_after(), half);
    }

    #[test]
    fn a_part_of_the_request_that_is_not_taken_is_found() {
        let of = |error: Value| Reason::of(&json!({ "error": error })).unsupported;
        let cases = [
            (
                json!({"code": "unsupported_parameter", "param": "max_tokens"}),
                Some(Unsupported::MaxTokens),
            ),
            (
                json!({"message": "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."}),
                Some(Unsupported::MaxTokens),
            ),
            (
                json!({"message": "Unrecognized request argument supplied: max_completion_tokens"}),
                Some(Unsupported::MaxCompletionTokens),
            ),
            (
                json!({"message": "unknown field max_completion_tokens, did you mean max_tokens?"}),
                Some(Unsupported::MaxCompletionTokens),
            ),
            (
                json!({"code": "unknown_parameter", "param": "max_completion_tokens"}),
                Some(Unsupported::MaxCompletionTokens),
            ),
            (
                json!({"code": "unsupported_parameter", "param": "stream"}),
                Some(Unsupported::Stream),
            ),
            (
                json!({"code": "unsupported_value", "param": "messages[0].role", "message": "Unsupported value: 'messages[0].role' does not support 'system' with this model."}),
                Some(Unsupported::System),
            ),
            (json!("System role not supported"), Some(Unsupported::System)),
            (
                json!({"message": "Developer instruction is not enabled for models/m-1"}),
                Some(Unsupported::System),
            ),
            (json!({"message": "the question is too long"}), None),
            (json!({"code": "invalid_api_key"}), None),
        ];
        for (error, expected) in cases {
            assert_eq!(of(error.clone()), expected, "{error}");
        }
    }
}
