//! Reading a request's body: bounded in size and in time.

use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use bytes::Bytes;
use http::StatusCode;
use http::header::CONTENT_LENGTH;
use http_body_util::{BodyExt, LengthLimitError, Limited};

use super::answer::Refused;

/// How long a client may take to send a body.
const DEADLINE: Duration = Duration::from_secs(30);

/// Reads the body of `request`, up to `max` bytes.
pub(super) async fn read(request: Request, max: usize) -> Result<Bytes, Refused> {
    let declared = request
        .headers()
        .get(CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if declared.is_some_and(|declared| declared > max) {
        return Err(too_large(max));
    }
    let reading = Limited::<Body>::new(request.into_body(), max).collect();
    match tokio::time::timeout(DEADLINE, reading).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large(max)),
        Ok(Err(_)) => Err(Refused::new(
            StatusCode::BAD_REQUEST,
            "body_cut",
            "the body ended before it was whole",
            "send it again",
        )),
        Err(_) => Err(Refused::new(
            StatusCode::REQUEST_TIMEOUT,
            "body_timeout",
            "the body didn't come in time",
            "send it again",
        )),
    }
}

fn too_large(max: usize) -> Refused {
    Refused::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        "body_too_large",
        format!("the body is larger than {max} bytes"),
        "send less, or raise `max_body` in [server]",
    )
}
