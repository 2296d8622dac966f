//! `POST /ingest/{product_id}`: what a connector pushes. The signature is the authentication.

use axum::extract::{Request, State};
use axum::response::Response;
use http::StatusCode;
use http::header::HeaderName;
use serde_json::json;

use super::answer::{Refused, json_answer};
use super::backend::{PushAnswer, PushRequest};
use super::body;
use super::path::Path;
use super::state::ApiState;
use crate::session::payload::PayloadError;
use crate::stream::push::PushError;

/// Holds the signature of the body.
const SIGNATURE: HeaderName = HeaderName::from_static("x-connector-signature");

const EXAMPLE: &str = "send, for example, {\"type\": \"actions\", \"product_id\": \"P\", \"session_id\": \"S\", \"actions\": []}";

/// Takes an event. Answers after the commit.
pub(super) async fn ingest(
    State(api): State<ApiState>,
    Path(product): Path<String>,
    request: Request,
) -> Result<Response, Refused> {
    let signatures = request.headers().get_all(SIGNATURE).iter();
    let signatures: Vec<_> = signatures.map(|value| value.as_bytes().to_vec()).collect();
    if let Some(answer) = api.backend.refuses_push(&product, !signatures.is_empty()) {
        return response(answer);
    }
    let body = body::read(request, api.max_body_bytes).await?;
    let push = PushRequest { product, signatures, body };
    response(api.within_deadline(api.backend.ingest(push)).await?)
}

fn response(answer: PushAnswer) -> Result<Response, Refused> {
    match answer {
        PushAnswer::Accepted { dropped_actions } => {
            let value = json!({"status": "accepted", "dropped_actions": dropped_actions});
            Ok(json_answer(StatusCode::OK, &value))
        }
        PushAnswer::Repeat => Ok(json_answer(StatusCode::OK, &json!({"status": "repeated"}))),
        PushAnswer::Refused(error) => Err(refused(error)),
        PushAnswer::Unavailable { retry_after } => Err(Refused::unavailable(
            "unavailable",
            "nothing can be accepted at the moment",
            retry_after,
        )),
    }
}

fn refused(error: PushError) -> Refused {
    let unusable = |code: &'static str, message: &'static str, next: &'static str| {
        Refused::new(StatusCode::UNPROCESSABLE_ENTITY, code, message, next)
    };
    match error {
        PushError::NoProduct => Refused::new(
            StatusCode::NOT_FOUND,
            "not_pushed",
            "no product of this name takes pushed events",
            "check the product's id in the address, and set `ingest_secret` in [products.ID]",
        ),
        PushError::Signature => Refused::new(
            StatusCode::UNAUTHORIZED,
            "signature",
            "a signature is missing, or it doesn't fit the body",
            "send `X-Connector-Signature: sha256=HEX`, the HMAC-SHA256 of the raw body under `ingest_secret` in lower-case hexadecimal digits; each such header must fit",
        ),
        PushError::NotText => {
            Refused::new(StatusCode::BAD_REQUEST, "invalid_json", "the body isn't UTF-8", EXAMPLE)
        }
        PushError::Payload(PayloadError::NotJson { line, column }) => Refused::new(
            StatusCode::BAD_REQUEST,
            "invalid_json",
            format!("the body isn't JSON (line {line}, column {column})"),
            EXAMPLE,
        ),
        PushError::Payload(PayloadError::NotAnObject) => {
            unusable("invalid_body", "the body must be a JSON object", EXAMPLE)
        }
        PushError::Payload(PayloadError::UnknownType) => unusable(
            "unknown_type",
            "the event's type is neither \"actions\" nor \"summary\"",
            EXAMPLE,
        ),
        PushError::OtherProduct => unusable(
            "other_product",
            "the body's product_id isn't the product in the address",
            "send each product's events to its own address",
        ),
        PushError::NoSession => unusable(
            "missing_field",
            "session_id is missing, or it can't be used",
            "send the session that the actions belong to; actions of nobody are never pooled",
        ),
        PushError::NoSummary => {
            unusable("missing_field", "the summary has no text", "leave it out, or send its text")
        }
    }
}
