//! `wasi:http`, for guests that would rather use their language's own client: the same door.

use std::convert::Infallible;
use std::sync::Arc;

use http_body_util::{BodyExt, Full, Limited};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpHooks};

use super::instance::Outbound;
use crate::egress::{Alarm, Incoming, Outgoing, SendError};

/// Requests of one instance whose bodies the host holds at a time.
const IN_FLIGHT: usize = 4;
/// Responses of the largest size that an instance may leave unread.
const UNREAD: usize = 4;
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
            let (request, _lane) = whole(request, options, &outbound).await?;
            let response = outbound.send(request, &mut Alarm::default()).await.map_err(refused)?;
            let (response, held) = outbound.room.hold(response);
            Ok((response_of(response, held)?, Box::new(async { Ok(()) }) as Done))
        })
    }

    fn p2_outgoing_body_chunk_size(&mut self) -> usize {
        CHUNK_BYTES
    }
}

/// What one instance may have the host hold outside of the guest's memory: `wasi:http` lets a guest have
/// as many requests under way as it has handles. Cloning shares it.
#[derive(Clone)]
pub(super) struct Room {
    lanes: Arc<Semaphore>,
    /// In bytes.
    unread: Arc<Semaphore>,
}

impl Room {
    /// The room of an instance whose responses have at most this many bytes.
    pub(super) fn new(max_response_bytes: usize) -> Self {
        let unread = max_response_bytes.saturating_mul(UNREAD).min(Semaphore::MAX_PERMITS);
        Self {
            lanes: Arc::new(Semaphore::new(IN_FLIGHT)),
            unread: Arc::new(Semaphore::new(unread)),
        }
    }

    /// Takes room for a response until its body is dropped. Where too much lies unread its body is cut
    /// off: waiting for a guest that waits for this response would be for ever.
    fn hold(&self, mut response: Incoming) -> (Incoming, Option<OwnedSemaphorePermit>) {
        let held = u32::try_from(response.body.len())
            .ok()
            .and_then(|bytes| self.unread.clone().try_acquire_many_owned(bytes).ok());
        if held.is_none() {
            tracing::warn!(
                "a plugin leaves so much of its responses unread that the next one's body was left out"
            );
            response.truncate(0);
        }
        (response, held)
    }
}

/// The whole request, with the lane that it holds until it is answered. Waits no longer than the call:
/// a guest need not end a body that it began.
///
/// Bodies go through whole, as with our own `http`: secrets are looked for in what comes back.
async fn whole(
    request: http::Request<WasiBody>,
    options: Option<RequestOptions>,
    outbound: &Outbound,
) -> Result<(Outgoing, OwnedSemaphorePermit), Error> {
    let (head, body) = request.into_parts();
    let lane = timeout(outbound.clamp(None), outbound.room.lanes.clone().acquire_owned()).await;
    let lane = lane
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
    Ok((request, lane))
}

fn response_of(
    incoming: Incoming,
    held: Option<OwnedSemaphorePermit>,
) -> Result<http::Response<WasiBody>, Error> {
    let body = Full::new(incoming.body).map_err(move |never: Infallible| {
        // The room is given back with the body.
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
    use std::time::Duration;

    use bytes::Bytes;
    use http::HeaderMap;
    use tokio::time::Instant;

    use super::*;
    use crate::config::PluginLimits;
    use crate::egress::client::{Bounds, TRUNCATED};
    use crate::egress::{EgressClient, Grants, Network, SecretStore};
    use crate::plugin::guest_log::GuestLog;
    use crate::plugin::instance::Ground;

    const CALL: Duration = Duration::from_secs(5);

    fn outbound() -> Outbound {
        let grants = Grants::new("bot".into(), &[], false).unwrap();
        let secret_store = SecretStore::new("bot".into(), &Default::default()).unwrap();
        let bounds = Bounds { request: 100, headers: 100, response: 100 };
        let ground = Ground {
            name: "bot".into(),
            config: Default::default(),
            limits: PluginLimits::default(),
            door: EgressClient::new(Network::new().unwrap(), grants, secret_store, bounds),
            stdout: None,
            permits: Arc::new(crate::plugin::cpu_permits::CpuPermits::new()),
        };
        Outbound {
            ground: Arc::new(ground),
            log: GuestLog::new("bot".into(), 1000),
            deadline: Instant::now() + CALL,
            traceparent: None,
            room: Room::new(100),
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
        assert_eq!(outbound.room.lanes.available_permits(), IN_FLIGHT);
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_beyond_the_lanes_waits_for_one_before_its_body_is_read() {
        let outbound = outbound();
        let mut lanes = Vec::new();
        for _ in 0..IN_FLIGHT {
            lanes.push(whole(request(empty()), None, &outbound).await.unwrap().1);
        }
        let mut waiting = std::pin::pin!(whole(request(empty()), None, &outbound));
        assert!(timeout(Duration::from_secs(1), &mut waiting).await.is_err(), "no lane is free");
        lanes.pop();
        assert!(waiting.await.is_ok());
        let outcome = {
            lanes.push(whole(request(empty()), None, &outbound).await.unwrap().1);
            whole(request(empty()), None, &outbound).await
        };
        assert!(matches!(outcome, Err(Error::ConnectionLimitReached)));
    }

    #[test]
    fn responses_that_are_left_unread_are_bounded_and_cost_nothing_when_dropped() {
        let room = Room::new(100);
        let mut unread = Vec::new();
        for _ in 0..UNREAD {
            let (response, held) = room.hold(incoming(100));
            assert_eq!(response.body.len(), 100);
            unread.push(response_of(response, held).unwrap());
        }
        let (response, held) = room.hold(incoming(1));
        assert!(held.is_none());
        assert_eq!((response.status, response.body.len()), (200, 0));
        assert!(response.headers.contains_key(TRUNCATED));
        assert!(room.hold(incoming(0)).1.is_some(), "an empty body needs no room");
        unread.pop();
        let (response, _held) = room.hold(incoming(100));
        assert_eq!(response.body.len(), 100);
        assert!(!response.headers.contains_key(TRUNCATED));
    }
}
