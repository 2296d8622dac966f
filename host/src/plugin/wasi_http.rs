//! `wasi:http`, for guests that would rather use their language's own client: the same egress.

use std::convert::Infallible;

use http_body_util::{BodyExt, Full, Limited};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpHooks};

use super::outbound::Outbound;
use crate::egress::{Alarm, Incoming, Outgoing, SendError};

/// A request's body goes to the host in pieces no larger than this.
const CHUNK_BYTES: usize = 64 << 10;

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
            let (request, _permit) = whole(request, options, &outbound).await?;
            let response = outbound.send(request, &mut Alarm::default()).await.map_err(refused)?;
            let (response, held) = outbound.capacity.hold(response);
            Ok((response_of(response, held)?, Box::new(async { Ok(()) }) as Done))
        })
    }

    fn p2_outgoing_body_chunk_size(&mut self) -> usize {
        CHUNK_BYTES
    }
}

/// The whole request, with the permit that it holds until it is answered. Waits no longer than the call:
/// a guest need not end a body that it began.
///
/// Bodies go through whole, as with our own `http`: secrets are looked for in what comes back.
async fn whole(
    request: http::Request<WasiBody>,
    options: Option<RequestOptions>,
    outbound: &Outbound,
) -> Result<(Outgoing, OwnedSemaphorePermit), Error> {
    let (head, body) = request.into_parts();
    let permits = outbound.capacity.requests.clone();
    let permit = timeout(outbound.clamp(None), permits.acquire_owned()).await;
    let permit = permit
        .map_err(|_| Error::ConnectionLimitReached)?
        .map_err(|_| Error::InternalError(Some("the instance is gone".to_owned())))?;
    let limit = outbound.ground.limits.max_request_bytes;
    let body = Limited::new(body, limit).collect();
    let body =
        timeout(outbound.clamp(None), body).await.map_err(|_| Error::ConnectionWriteTimeout)?;
    let body = body.map_err(|_| Error::HttpRequestBodySize(Some(limit as u64)))?.to_bytes();
    let request = Outgoing {
        method: head.method,
        url: head.uri.to_string(),
        headers: head.headers,
        body,
        // There is no way to ask for it in wasi:http.
        secrets_in_body: false,
        timeout: outbound.clamp(options.and_then(|options| options.first_byte_timeout)),
    };
    Ok((request, permit))
}

fn response_of(
    incoming: Incoming,
    held: Option<OwnedSemaphorePermit>,
) -> Result<http::Response<WasiBody>, Error> {
    let body = Full::new(incoming.body).map_err(move |never: Infallible| {
        // The capacity is given back with the body.
        let _held = &held;
        Error::from(never)
    });
    let body = body.boxed_unsync();
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use bytes::Bytes;
    use http::HeaderMap;
    use tokio::time::Instant;

    use super::*;
    use crate::config::PluginLimits;
    use crate::egress::client::{Bounds, TRUNCATED};
    use crate::egress::{EgressClient, Grants, Network, SecretStore};
    use crate::plugin::ground::Ground;
    use crate::plugin::guest_log::GuestLog;
    use crate::plugin::outbound::{Capacity, REQUESTS, UNREAD};

    const CALL: Duration = Duration::from_secs(5);

    fn outbound() -> Outbound {
        let grants = Grants::new("bot".into(), &[], false).unwrap();
        let secret_store = SecretStore::new("bot".into(), &Default::default()).unwrap();
        let bounds = Bounds { request: 100, headers: 100, response: 100 };
        let ground = Ground {
            kv: false,
            timer: false,
            wakes: false,
            name: "bot".into(),
            config: Default::default(),
            limits: PluginLimits::default(),
            egress: EgressClient::new(Network::new(), grants, secret_store, bounds),
            stdout: None,
            permits: Arc::new(crate::plugin::cpu_permits::CpuPermits::new()),
            lines: Arc::default(),
            unmet: Vec::new(),
            is_shadow: false,
            counters: Arc::default(),
            samples: None,
        };
        Outbound {
            ground: Arc::new(ground),
            log: GuestLog::new("bot".into(), 1000, Arc::default()),
            deadline: Instant::now() + CALL,
            place: None,
            tape: crate::egress::Tape::None,
            capacity: Capacity::new(100),
        }
    }

    fn request(body: WasiBody) -> http::Request<WasiBody> {
        http::Request::post("https://api.example.com/").body(body).unwrap()
    }

    fn empty() -> WasiBody {
        Full::default().map_err(Error::from).boxed_unsync()
    }

    fn incoming(bytes: usize) -> Incoming {
        Incoming { status: 200, headers: HeaderMap::new(), body: vec![b'x'; bytes].into() }
    }

    fn endless() -> WasiBody {
        let pieces = futures_util::stream::pending::<Result<Bytes, std::io::Error>>();
        axum::body::Body::from_stream(pieces)
            .map_err(|error| Error::InternalError(Some(error.to_string())))
            .boxed_unsync()
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_never_ends_is_waited_for_until_the_calls_deadline() {
        let outbound = outbound();
        let started = Instant::now();
        let outcome = whole(request(endless()), None, &outbound).await;
        assert!(matches!(outcome, Err(Error::ConnectionWriteTimeout)));
        assert!(started.elapsed() < CALL, "{:?}", started.elapsed());
        assert_eq!(outbound.capacity.requests.available_permits(), REQUESTS);
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_beyond_the_capacity_waits_for_its_turn_before_its_body_is_read() {
        let outbound = outbound();
        let mut permits = Vec::new();
        for _ in 0..REQUESTS {
            permits.push(whole(request(empty()), None, &outbound).await.unwrap().1);
        }
        let mut waiting = std::pin::pin!(whole(request(empty()), None, &outbound));
        assert!(timeout(Duration::from_secs(1), &mut waiting).await.is_err(), "no permit is free");
        permits.pop();
        assert!(waiting.await.is_ok());
        let outcome = {
            permits.push(whole(request(empty()), None, &outbound).await.unwrap().1);
            whole(request(empty()), None, &outbound).await
        };
        assert!(matches!(outcome, Err(Error::ConnectionLimitReached)));
    }

    #[test]
    fn responses_that_are_left_unread_are_bounded_and_cost_nothing_when_dropped() {
        let capacity = Capacity::new(100);
        let mut unread = Vec::new();
        for _ in 0..UNREAD {
            let (response, held) = capacity.hold(incoming(100));
            assert_eq!(response.body.len(), 100);
            unread.push(response_of(response, held).unwrap());
        }
        let (response, held) = capacity.hold(incoming(1));
        assert!(held.is_none());
        assert_eq!((response.status, response.body.len()), (200, 0));
        assert!(response.headers.contains_key(TRUNCATED));
        assert!(capacity.hold(incoming(0)).1.is_some(), "an empty body needs no capacity");
        unread.pop();
        let (response, _held) = capacity.hold(incoming(100));
        assert_eq!(response.body.len(), 100);
        assert!(!response.headers.contains_key(TRUNCATED));
    }
}
