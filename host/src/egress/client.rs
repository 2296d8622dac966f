//! One request of one plugin, through every gate.

mod tape;

pub(crate) use tape::{Asked, Exchange, Played, Player, Recorder, Tape};

use std::borrow::Cow;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, header};
use http_body_util::{BodyExt, Full};
use hyper::body::{Body as _, Incoming as Body};
use tokio::time::Instant;
use url::Url;

use super::alarm::Alarm;
use super::coding;
use super::grant::{Denial, Grants};
use super::network::Network;
use super::secret_store::{SecretError, SecretStore};
use crate::address::{Origin, RefusedAddress};

/// The header that tells a plugin of a response whose body was cut off at the limit. Only the host sets
/// it.
pub const TRUNCATED: HeaderName = HeaderName::from_static("x-sidenote-truncated");
const MAX_URL_BYTES: usize = 8 << 10;
const USER_AGENT: &str = concat!("sidenote/", env!("CARGO_PKG_VERSION"));

/// The way to the network of one plugin.
pub struct EgressClient {
    /// `None`: nothing leaves, whatever is asked.
    network: Option<Network>,
    grants: Arc<Grants>,
    secret_store: Arc<SecretStore>,
    bounds: Bounds,
    /// What was asked last: many plugins ask one address again and again, and reading it is a twentieth of
    /// what a call costs.
    last: Mutex<Option<Arc<Address>>>,
}

/// An address that can be asked, as far as its form goes.
struct Address {
    /// As the guest wrote it.
    text: String,
    /// In its normal form: what is sent is what is judged.
    uri: Uri,
    origin: Origin,
}

/// How large an exchange may be, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// The request's body.
    pub request: usize,
    /// The names and values of the request's headers together, secrets included.
    pub headers: usize,
    /// The response's body: the rest is cut off.
    pub response: usize,
}

/// A request of a plugin.
pub struct Outgoing {
    /// The method.
    pub method: Method,
    /// The whole address.
    pub url: String,
    /// Headers. Those that are the host's (see [`is_hosts_own`]) are left out.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
    /// Whether placeholders in the body are replaced.
    pub secrets_in_body: bool,
    /// How long the whole exchange may take.
    pub timeout: Duration,
}

/// The whole response, with the plugin's secrets taken out where they stand as they are.
#[derive(Clone)]
pub struct Incoming {
    /// The status.
    pub status: u16,
    /// The headers; with [`TRUNCATED`] where the body was larger than allowed.
    pub headers: HeaderMap,
    /// The body, as far as the limit.
    pub body: Bytes,
}

impl Incoming {
    /// Leaves of the body what fits in `limit` bytes, and says so. The status stands: to fail an
    /// exchange that the other side took would have it done twice, or dead-lettered.
    pub fn truncate(&mut self, limit: usize) {
        if self.body.len() > limit {
            self.body.truncate(limit);
            self.mark_truncated();
        }
    }

    fn mark_truncated(&mut self) {
        self.headers.insert(TRUNCATED, HeaderValue::from_static("true"));
        // It tells of the whole body; a client that compares would take this for a broken exchange.
        self.headers.remove(header::CONTENT_LENGTH);
    }
}

/// Headers that the host sets by itself: those of the connection, of the message's framing, `host`, which
/// would otherwise lead past the grants at a shared front, and those that ask for another writing of the
/// answer, in which secrets couldn't be found.
pub fn is_hosts_own(name: &HeaderName) -> bool {
    const OWN: [&str; 17] = [
        "accept-encoding",
        "accept-charset",
        "a-im",
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "http2-settings",
        "expect",
        "host",
        "content-length",
        "alt-used",
    ];
    OWN.contains(&name.as_str())
}

impl Address {
    fn read(text: &str) -> Result<Self, SendError> {
        if text.len() > MAX_URL_BYTES {
            return Err(SendError::Invalid("the address is longer than 8 KiB".to_owned()));
        }
        // They would be left out in silence, and another address called than the one that was written.
        if text.contains(char::is_control) {
            return Err(SendError::Invalid(
                "the address holds a line break or a control character".to_owned(),
            ));
        }
        let mut url = Url::parse(text)
            .map_err(|error| SendError::Invalid(format!("the address can't be read: {error}")))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(SendError::Invalid(
                "the address holds credentials; use {{secret:NAME}} in a header".to_owned(),
            ));
        }
        url.set_fragment(None);
        let origin = Origin::of(&url).ok_or_else(|| {
            SendError::Invalid("the address is neither http nor https".to_owned())
        })?;
        let uri = Uri::try_from(String::from(url))
            .map_err(|error| SendError::Invalid(format!("the address can't be sent: {error}")))?;
        Ok(Self { text: text.to_owned(), uri, origin })
    }
}

impl EgressClient {
    /// The network access of one plugin, with its grants and secrets.
    pub fn new(
        network: Network,
        grants: Grants,
        secret_store: SecretStore,
        bounds: Bounds,
    ) -> Self {
        let (grants, secret_store) = (Arc::new(grants), Arc::new(secret_store));
        Self { network: Some(network), grants, secret_store, bounds, last: Mutex::default() }
    }

    /// The same grants and secrets over no network: requests are judged as they would be, and answered from a recording
    /// alone.
    pub(crate) fn without_network(&self) -> Self {
        Self {
            network: None,
            grants: self.grants.clone(),
            secret_store: self.secret_store.clone(),
            bounds: self.bounds,
            last: Mutex::default(),
        }
    }

    /// How large an exchange may be.
    pub fn bounds(&self) -> Bounds {
        self.bounds
    }

    /// The plugin's secrets.
    pub fn secret_store(&self) -> &SecretStore {
        &self.secret_store
    }

    /// Sends one request and waits for the whole response, or for as much of its body as is allowed. The
    /// alarm is for its time, and may have been used before. What stands on the tape, or comes on it, is said in `tape`.
    ///
    /// # Errors
    /// [`SendError`]; its [`SendError::may_have_arrived`] says whether the request may have arrived.
    pub(crate) async fn send(
        &self,
        mut request: Outgoing,
        alarm: &mut Alarm,
        tape: &Tape,
    ) -> Result<Incoming, SendError> {
        match (&self.network, tape) {
            (Some(network), Tape::None) => self.exchange(network, request, alarm).await,
            (Some(network), Tape::Record(recorder)) => {
                let place = recorder.asks(&request);
                let outcome = self.exchange(network, request, alarm).await;
                recorder.answered(place, &outcome);
                outcome
            }
            (Some(_) | None, Tape::Play(player)) => {
                let (asked, timeout) = (Asked::of(&request), request.timeout);
                let judged = self.judge(&mut request).map(|address| address.origin.clone());
                player.answer(asked, judged, timeout)
            }
            (None, Tape::None | Tape::Record(_)) => {
                let origin = self.judge(&mut request)?.origin.clone();
                let cause = "nothing of a shadow is sent".to_owned();
                Err(SendError::Connect { origin, cause })
            }
        }
    }

    /// Where a request goes, if it may; what is the host's is put in.
    fn judge(&self, request: &mut Outgoing) -> Result<Arc<Address>, SendError> {
        let address = self.address(&request.url)?;
        self.grants.admit(&address.origin)?;
        self.prepare(request, &address.origin)?;
        Ok(address)
    }

    async fn exchange(
        &self,
        network: &Network,
        mut request: Outgoing,
        alarm: &mut Alarm,
    ) -> Result<Incoming, SendError> {
        let address = self.judge(&mut request)?;
        let origin = &address.origin;

        let mut prepared = http::Request::new(Full::new(request.body));
        *prepared.method_mut() = request.method;
        *prepared.uri_mut() = address.uri.clone();
        *prepared.headers_mut() = request.headers;
        // A fake is on this machine.
        let allow_private = network.lead(origin, &mut prepared) || self.grants.allow_private();
        let exchange = async {
            let response = network.client(allow_private).request(prepared).await;
            self.receive(response.map_err(|error| self.broken(origin, error))?, origin).await
        };
        let deadline = Instant::now() + request.timeout;
        let outcome = alarm.until(deadline, exchange).await.unwrap_or_else(|| {
            Err(SendError::Timeout { origin: origin.clone(), after: request.timeout })
        });
        match &outcome {
            Ok(response) => {
                tracing::debug!(plugin = %self.grants.plugin(), host = %origin, status = response.status, "egress")
            }
            Err(error) => {
                tracing::debug!(plugin = %self.grants.plugin(), host = %origin, %error, "egress")
            }
        }
        outcome
    }

    fn address(&self, text: &str) -> Result<Arc<Address>, SendError> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(address) = last.as_ref().filter(|address| address.text == text) {
            return Ok(address.clone());
        }
        let address = Arc::new(Address::read(text)?);
        *last = Some(address.clone());
        Ok(address)
    }

    /// Drops the headers that are the host's, and puts the secrets in.
    fn prepare(&self, request: &mut Outgoing, origin: &Origin) -> Result<(), SendError> {
        if request.body.len() > self.bounds.request {
            return Err(SendError::TooLarge { what: "request", limit: self.bounds.request });
        }
        if request.method == Method::CONNECT {
            return Err(SendError::Invalid("CONNECT would open a tunnel".to_owned()));
        }
        for part in [header::RANGE, header::IF_RANGE] {
            if request.headers.contains_key(&part) {
                return Err(SendError::Invalid(format!(
                    "the header `{part}` asks for a part of an answer; several parts may hold a secret that none of them shows, so ask for the whole"
                )));
            }
        }
        let own: Vec<_> =
            request.headers.keys().filter(|name| is_hosts_own(name)).cloned().collect();
        for name in own {
            request.headers.remove(name);
        }
        let mut bytes = 0;
        for (name, value) in &mut request.headers {
            if SecretStore::has_placeholder(value.as_bytes()) {
                let filled = self.secret_store.fill_header(name, value.as_bytes(), origin)?;
                // The value is left out of the message: it holds the secret.
                *value = HeaderValue::from_bytes(&filled).map_err(|_| {
                    SendError::Invalid(format!(
                        "a secret makes the header `{name}` invalid; is there a line break in it?"
                    ))
                })?;
                value.set_sensitive(true);
            }
            bytes += name.as_str().len() + value.len();
        }
        if bytes > self.bounds.headers {
            return Err(SendError::TooLarge { what: "request head", limit: self.bounds.headers });
        }
        let headers = &mut request.headers;
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        headers.entry(header::ACCEPT).or_insert(HeaderValue::from_static("*/*"));
        headers.entry(header::USER_AGENT).or_insert(HeaderValue::from_static(USER_AGENT));
        if request.secrets_in_body && SecretStore::has_placeholder(&request.body) {
            request.body = self.secret_store.fill(&request.body, origin)?.into();
        }
        Ok(())
    }

    async fn receive(
        &self,
        response: http::Response<Body>,
        origin: &Origin,
    ) -> Result<Incoming, SendError> {
        let limit = self.bounds.response;
        // A little more is read than is handed on, to see a secret that the cut goes through.
        let enough = limit.saturating_add(self.secret_store.reach().max(1));
        let (head, mut rest) = response.into_parts();
        let (status, mut headers) = (head.status, head.headers);
        let broken = |error: hyper::Error| SendError::Broken {
            cause: self.cause(&error),
            origin: origin.clone(),
        };
        // Most bodies come in one piece, which is then handed on as it is.
        let first = chunk(&mut rest).await.map_err(broken)?.unwrap_or_default();
        let mut body = first;
        let second =
            if body.len() < enough { chunk(&mut rest).await.map_err(broken)? } else { None };
        if let Some(second) = second {
            let mut whole = BytesMut::from(body);
            let mut piece = Some(second);
            while let Some(bytes) = piece {
                let left = enough.saturating_sub(whole.len());
                whole.extend_from_slice(&bytes[..bytes.len().min(left)]);
                if bytes.len() >= left {
                    break;
                }
                piece = chunk(&mut rest).await.map_err(broken)?;
            }
            body = whole.freeze();
        }
        let is_cut = body.len() >= enough;
        let unpacked = coding::unpack(status, &mut headers, body, enough, is_cut);
        let withheld = unpacked.as_ref().err().copied();
        let mut body = unpacked.unwrap_or_default();
        let truncated = body.len() > limit || is_cut;
        match self.secret_store.scrub_until(&body, limit) {
            Cow::Owned(scrubbed) => {
                body = scrubbed.into();
                // It tells of the body as it was: how long the secret is, for one.
                headers.remove(header::CONTENT_LENGTH);
            }
            Cow::Borrowed(_) => body.truncate(limit),
        }
        self.scrub_headers(&mut headers, origin);
        // The body was unpacked from its transfer coding: these would only mislead.
        headers.remove(header::TRANSFER_ENCODING);
        headers.remove(header::CONNECTION);
        headers.remove(TRUNCATED);
        let mut incoming = Incoming { status: status.as_u16(), headers, body };
        if let Some(reason) = withheld {
            // The status stands: what was asked for may have been done.
            tracing::warn!(plugin = %self.grants.plugin(), host = %origin, "left out the body of a response: {reason}");
            incoming.mark_truncated();
        } else if truncated {
            tracing::warn!(plugin = %self.grants.plugin(), host = %origin, limit, "cut off a response that is larger than max_response");
            incoming.mark_truncated();
        }
        Ok(incoming)
    }

    /// Takes secrets out of names and values.
    fn scrub_headers(&self, headers: &mut HeaderMap, origin: &Origin) {
        let named: Vec<_> = headers
            .keys()
            .filter(|name| self.secret_store.stands_in_name(name.as_str()))
            .cloned()
            .collect();
        for name in &named {
            headers.remove(name);
        }
        if !named.is_empty() {
            tracing::warn!(plugin = %self.grants.plugin(), host = %origin, left_out = named.len(), "a server put a secret into the name of a header; the header was left out");
        }
        let values: Vec<_> = headers.values().map(HeaderValue::as_bytes).collect();
        let scrubbed = self.secret_store.scrub_values(&values);
        for (value, scrubbed) in headers.values_mut().zip(scrubbed) {
            if let Some(scrubbed) = scrubbed {
                *value = HeaderValue::from_bytes(&scrubbed)
                    .unwrap_or(HeaderValue::from_static("[secret]"));
            }
        }
    }

    fn broken(&self, origin: &Origin, error: hyper_util::client::legacy::Error) -> SendError {
        if let Some(refused) = refused_address(&error) {
            return self.grants.refused(origin, refused).into();
        }
        let (origin, cause) = (origin.clone(), self.cause(&error));
        if error.is_connect() {
            SendError::Connect { origin, cause }
        } else {
            SendError::Broken { origin, cause }
        }
    }

    /// The innermost cause: the outer ones only say that there was one.
    fn cause(&self, error: &(dyn std::error::Error + 'static)) -> String {
        let mut cause = error;
        while let Some(source) = cause.source() {
            cause = source;
        }
        self.secret_store.scrub_text(cause.to_string())
    }
}

/// The next piece of a body.
async fn chunk(body: &mut Body) -> Result<Option<Bytes>, hyper::Error> {
    // Known by the length that was announced, most often: nothing is left to wait for.
    while !body.is_end_stream() {
        match body.frame().await.transpose()? {
            None => break,
            Some(frame) => {
                // Trailers are left out.
                if let Ok(bytes) = frame.into_data() {
                    return Ok(Some(bytes));
                }
            }
        }
    }
    Ok(None)
}

/// A message as it may be shown: its headers and its body hold secrets and people's words.
fn outline(
    f: &mut std::fmt::Formatter<'_>,
    what: &str,
    headers: &HeaderMap,
    body: &Bytes,
) -> std::fmt::Result {
    write!(f, "{what} with {} headers and {} bytes", headers.len(), body.len())
}

impl std::fmt::Debug for Outgoing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        outline(f, self.method.as_str(), &self.headers, &self.body)
    }
}

impl std::fmt::Debug for Incoming {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        outline(f, &self.status.to_string(), &self.headers, &self.body)
    }
}

impl std::fmt::Debug for EgressClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EgressClient").field("grants", &self.grants).finish_non_exhaustive()
    }
}

/// Why there is no response.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SendError {
    /// The grants don't allow it.
    #[error(transparent)]
    Denied(#[from] Denial),
    /// A secret is missing or isn't granted.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The request can't be sent as it is.
    #[error("egress: the request can't be sent: {0}")]
    Invalid(String),
    /// No connection could be made.
    #[error("egress: no connection to {origin}: {cause}")]
    Connect {
        /// Where to.
        origin: Origin,
        /// Why not.
        cause: String,
    },
    /// It took too long. The request may have arrived.
    #[error("egress: {origin} didn't answer within {after:?}")]
    Timeout {
        /// Where to.
        origin: Origin,
        /// How long was waited.
        after: Duration,
    },
    /// The request's body or head is larger than allowed.
    #[error("egress: the {what} is larger than {limit} bytes")]
    TooLarge {
        /// Which part.
        what: &'static str,
        /// The limit, in bytes.
        limit: usize,
    },
    /// The connection broke. The request may have arrived.
    #[error("egress: the exchange with {origin} broke: {cause}")]
    Broken {
        /// With whom.
        origin: Origin,
        /// Why.
        cause: String,
    },
}

impl SendError {
    /// Whether the request may have arrived; where not, it certainly hasn't.
    pub fn may_have_arrived(&self) -> bool {
        match self {
            Self::Denied(_)
            | Self::Secret(_)
            | Self::Invalid(_)
            | Self::Connect { .. }
            | Self::TooLarge { .. } => false,
            Self::Timeout { .. } | Self::Broken { .. } => true,
        }
    }
}

/// The refusal of the resolver, where that is what stopped a connect.
fn refused_address(error: &(dyn std::error::Error + 'static)) -> Option<RefusedAddress> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(refused) = error.downcast_ref::<RefusedAddress>() {
            return Some(*refused);
        }
        cause = error.source();
    }
    None
}
