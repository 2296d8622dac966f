//! Reading a request's body: bounded in size and in time.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use bytes::{Bytes, BytesMut};
use http::StatusCode;
use http::header::CONTENT_LENGTH;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use tokio::time::{Instant, timeout_at};

use super::answer::Refused;
use super::permits::ConnectionPermit;

/// How long a client may take to send a body.
const DEADLINE: Duration = Duration::from_secs(30);
/// How long it may send as slowly as it likes.
const GRACE: Duration = Duration::from_secs(5);
/// What it has to send after that at least, in bytes per second since the beginning of it.
const LEAST_RATE: usize = 1024;

/// Reads the body of `request`, up to `max` bytes.
pub(crate) async fn read(request: Request, max: usize) -> Result<Bytes, Refused> {
    read_within(request, max, "send less, or raise `max_body` in [server]").await
}

/// As [`read`]; `next` is what to do where it is larger.
pub(super) async fn read_within(
    request: Request,
    max: usize,
    next: &'static str,
) -> Result<Bytes, Refused> {
    let declared = request
        .headers()
        .get(CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if declared.is_some_and(|declared| declared > max) {
        return Err(too_large(max, next));
    }
    let permit = request.extensions().get::<Arc<ConnectionPermit>>().cloned();
    if let Some(permit) = &permit {
        permit.waits();
    }
    let read = pieces(Limited::new(request.into_body(), max), max, next).await;
    if let Some(permit) = &permit {
        permit.works();
    }
    read
}

async fn pieces(mut body: Limited<Body>, max: usize, next: &'static str) -> Result<Bytes, Refused> {
    let (begun, mut read) = (Instant::now(), BytesMut::new());
    loop {
        match timeout_at(begun + allowed(read.len()), body.frame()).await {
            Ok(None) => return Ok(read.freeze()),
            Ok(Some(Ok(frame))) => {
                if let Ok(bytes) = frame.into_data() {
                    read.extend_from_slice(&bytes);
                }
            }
            Ok(Some(Err(error))) if error.is::<LengthLimitError>() => {
                return Err(too_large(max, next));
            }
            Ok(Some(Err(_))) => {
                return Err(Refused::new(
                    StatusCode::BAD_REQUEST,
                    "body_cut",
                    "the body ended before it was whole",
                    "send it again",
                ));
            }
            Err(_) => {
                return Err(Refused::new(
                    StatusCode::REQUEST_TIMEOUT,
                    "body_timeout",
                    "the body didn't come in time",
                    "send it again, faster than 1 KiB per second and within 30 s",
                ));
            }
        }
    }
}

/// When more than this must have come.
fn allowed(read: usize) -> Duration {
    let millis = (read as u64).saturating_mul(1000) / LEAST_RATE as u64;
    (GRACE + Duration::from_millis(millis)).min(DEADLINE)
}

/// Says that a body is larger than it may be.
pub(super) fn too_large(max: usize, next: &'static str) -> Refused {
    Refused::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        "body_too_large",
        format!("the body is larger than {max} bytes"),
        next,
    )
}
