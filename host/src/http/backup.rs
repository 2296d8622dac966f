//! `POST /backup`: a copy of the store, while the host runs.

use std::time::Duration;

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, StatusCode};
use tokio_util::io::ReaderStream;

use super::answer::{Refused, guarded};
use super::backend::BackupFailure;
use super::state::ApiState;
use crate::access::Caller;
use crate::store::BackupError;

/// When to ask again while the store, or another copy, is in the way.
const RETRY_AFTER: Duration = Duration::from_secs(30);

/// How much of the file is in memory on its way, in bytes.
const PIECE: usize = 64 << 10;

/// What the file's bytes hash to (RFC 9530), so that who has them knows that they have all of them.
const CONTENT_DIGEST: HeaderName = HeaderName::from_static("content-digest");

/// Copies the store, and answers the copy. There is no deadline: a large store takes its time.
pub(super) async fn backup(
    State(api): State<ApiState>,
    Extension(caller): Extension<Caller>,
) -> Result<Response, Refused> {
    let copy = api.backend.backup(&caller.actor).await.map_err(refused)?;
    let file = tokio::fs::File::from_std(copy.file);
    let mut response = Response::new(Body::from_stream(ReaderStream::with_capacity(file, PIECE)));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(copy.bytes));
    let digest = format!("sha-256=:{}:", STANDARD.encode(copy.sha256));
    headers.insert(CONTENT_DIGEST, HeaderValue::try_from(digest).expect("base64 is ASCII"));
    Ok(guarded(response))
}

fn refused(failure: BackupFailure) -> Refused {
    let code = failure.code();
    match failure {
        BackupFailure::Store(BackupError::NoFile) => Refused::new(
            StatusCode::CONFLICT,
            code,
            "the store's rows aren't in a file of this host's",
            "with `kind = \"redis\"` copy the server's own files; with `memory` there is nothing to copy",
        ),
        BackupFailure::Store(BackupError::Full(_)) => Refused::new(
            StatusCode::INSUFFICIENT_STORAGE,
            code,
            "there is no space for a copy beside the store's file",
            "free as much space there as the file takes, and half of that again",
        ),
        BackupFailure::Store(BackupError::Failed(_)) => {
            Refused::unavailable(code, "the copy failed; the log says why", RETRY_AFTER)
        }
        BackupFailure::Busy => {
            Refused::unavailable(code, "another copy is being made", RETRY_AFTER)
        }
        BackupFailure::OffRecord => Refused::unavailable(
            code,
            "the store takes nothing at the moment, so that the copy can't be put on record",
            RETRY_AFTER,
        ),
    }
}
