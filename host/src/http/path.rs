//! What stands in a request's address.

use axum::extract::{self, FromRequestParts};
use http::StatusCode;
use http::request::Parts;
use serde::de::DeserializeOwned;

use super::answer::Refused;
use super::state::ApiState;

/// The parts of an address that a route names. Those that aren't text are refused as everything else is.
pub(super) struct Path<T>(pub(super) T);

impl<T: DeserializeOwned + Send> FromRequestParts<ApiState> for Path<T> {
    type Rejection = Refused;

    async fn from_request_parts(head: &mut Parts, api: &ApiState) -> Result<Self, Refused> {
        let path = extract::Path::from_request_parts(head, api).await;
        path.map(|extract::Path(parts)| Self(parts)).map_err(|_| {
            Refused::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "invalid_id",
                "an id in the path isn't UTF-8",
                "encode it as UTF-8 with %, a slash as %2F",
            )
        })
    }
}
