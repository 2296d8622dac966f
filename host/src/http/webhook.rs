//! `/webhooks/{plugin}`: raw bytes to the plugin, its verdict back.

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, StatusCode};
use serde_json::json;

use super::answer::{Refused, guarded, json_answer};
use super::backend::WebhookAnswer;
use super::body;
use super::path::Path;
use super::state::ApiState;
use crate::plugin::WebhookRequest;

/// Longest text of a plugin in an answer, in characters.
const LONGEST_MESSAGE: usize = 500;

/// Hands a webhook to its plugin. Answers after the commit.
pub(super) async fn webhook(
    State(api): State<ApiState>,
    Path(plugin): Path<String>,
    request: Request,
) -> Result<Response, Refused> {
    if let Some(answer) = api.backend.refuses_webhook(&plugin) {
        return response(answer);
    }
    let called = request.uri().path_and_query().map_or("/", |called| called.as_str());
    let url = format!("{}{called}", api.public_url);
    let method = request.method().to_string();
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let headers =
        request.headers().iter().map(|(name, value)| (name.to_string(), text(value))).collect();
    let body = body::read(request, api.max_body_bytes).await?.into();
    let request = WebhookRequest { method, url, headers, body };
    response(api.within_deadline(api.backend.webhook(&plugin, request)).await?)
}

fn response(answer: WebhookAnswer) -> Result<Response, Refused> {
    match answer {
        WebhookAnswer::Accepted => Ok(json_answer(StatusCode::OK, &json!({"status": "accepted"}))),
        WebhookAnswer::Answer { status, content_type, body } => {
            let mut response = Response::new(Body::from(body));
            *response.status_mut() = StatusCode::from_u16(status)
                .ok()
                .filter(|status| status.as_u16() >= 200)
                .ok_or_else(nonsense)?;
            if !content_type.is_empty() {
                response.headers_mut().insert(
                    CONTENT_TYPE,
                    HeaderValue::from_str(&content_type).map_err(|_| nonsense())?,
                );
            }
            Ok(guarded(response))
        }
        WebhookAnswer::Rejected { status, code, message } => {
            let status = StatusCode::from_u16(status)
                .ok()
                .filter(|status| status.is_client_error() || status.is_server_error());
            let message: String = message.chars().take(LONGEST_MESSAGE).collect();
            let code: String = code.chars().take(LONGEST_MESSAGE).collect();
            let next = "check the plugin's signing secret and what the platform sends";
            Err(Refused::new(status.unwrap_or(StatusCode::BAD_REQUEST), code, message, next))
        }
        WebhookAnswer::UnknownPlugin => Err(Refused::new(
            StatusCode::NOT_FOUND,
            "unknown_plugin",
            "no plugin of this name reads webhooks",
            "the address is /webhooks/NAME with the NAME of [plugins.NAME] in the configuration",
        )),
        WebhookAnswer::PluginFailed { code } => Err(Refused::new(
            StatusCode::BAD_GATEWAY,
            "plugin_failed",
            format!("the plugin failed ({code})"),
            "see the host's log; send the request again",
        )),
        WebhookAnswer::Unavailable { retry_after } => Err(Refused::unavailable(
            "unavailable",
            "nothing can be accepted at the moment",
            retry_after,
        )),
    }
}

fn nonsense() -> Refused {
    Refused::new(
        StatusCode::BAD_GATEWAY,
        "plugin_failed",
        "the plugin's answer can't be sent (its status or content type is unusable)",
        "see the plugin's webhook function",
    )
}
