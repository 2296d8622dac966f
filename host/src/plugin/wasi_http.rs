//! `wasi:http`, for guests that would rather use their language's own client: the same door.

use http_body_util::{BodyExt, Full, Limited};
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpHooks};

use super::instance::Outbound;
use crate::egress::door::MAX_REQUEST_BYTES;
use crate::egress::{Incoming, Outgoing, SendError};

type Done = Box<dyn Future<Output = Result<(), Error>> + Send>;

impl WasiHttpHooks for Outbound {
    fn set_host_header(&mut self) -> bool {
        false
    }

    fn send_request(
        &mut self,
        request: http::Request<WasiBody>,
        options: Option<RequestOptions>,
        _done: Done,
    ) -> Box<dyn Future<Output = Result<(http::Response<WasiBody>, Done), Error>> + Send> {
        let outbound = self.clone();
        Box::new(async move {
            let request = whole(request, options, &outbound).await?;
            let response = outbound.send(request).await.map_err(refused)?;
            Ok((response_of(response)?, Box::new(async { Ok(()) }) as Done))
        })
    }
}

/// Bodies go through whole, as with our own `http`: secrets are looked for in what comes back.
async fn whole(
    request: http::Request<WasiBody>,
    options: Option<RequestOptions>,
    outbound: &Outbound,
) -> Result<Outgoing, Error> {
    let (head, body) = request.into_parts();
    let body = Limited::new(body, MAX_REQUEST_BYTES).collect().await;
    let body =
        body.map_err(|_| Error::HttpRequestBodySize(Some(MAX_REQUEST_BYTES as u64)))?.to_bytes();
    Ok(Outgoing {
        method: head.method,
        url: head.uri.to_string(),
        headers: head.headers,
        body,
        // There is no way to ask for it in wasi:http.
        secrets_in_body: false,
        timeout: outbound.clamp(options.and_then(|options| options.first_byte_timeout)),
    })
}

fn response_of(incoming: Incoming) -> Result<http::Response<WasiBody>, Error> {
    let body = Full::new(incoming.body).map_err(Error::from).boxed_unsync();
    let mut response = http::Response::new(body);
    *response.status_mut() =
        http::StatusCode::from_u16(incoming.status).map_err(|_| Error::HttpProtocolError)?;
    *response.headers_mut() = incoming.headers;
    Ok(response)
}

/// The nearest word of wasi:http; the whole text is in the log, or in the error where it takes one.
fn refused(error: SendError) -> Error {
    match error {
        SendError::Denied(_) => Error::HttpRequestDenied,
        SendError::Secret(error) => Error::InternalError(Some(error.to_string())),
        SendError::Invalid(cause) => Error::InternalError(Some(cause)),
        SendError::Connect { .. } => Error::ConnectionRefused,
        SendError::Timeout { .. } => Error::HttpResponseTimeout,
        SendError::TooLarge { limit, .. } => Error::HttpRequestBodySize(Some(limit as u64)),
        SendError::Broken { .. } => Error::ConnectionTerminated,
    }
}
