//! The clients of the egress, and the resolver that judges every address before a connect.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::header::HOST;
use http::uri::{Authority, Scheme};
use http::{HeaderValue, Uri};
use http_body_util::Full;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::Name;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt;
use tokio::net::TcpStream;
use tower::Service;

use super::grant::Origins;
use crate::address::{self, Origin, RefusedAddress};

/// For the name, the connection and TLS together.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Shorter than what servers usually allow: a connection that the server is closing costs an attempt
/// whose outcome is unknown.
const IDLE_TIMEOUT: Duration = Duration::from_secs(20);
const IDLE_PER_HOST: usize = 64;
/// A server that is gone is noticed, also while nothing is sent.
const KEEPALIVE: Duration = Duration::from_secs(15);
const KEEPALIVE_RETRIES: u32 = 3;
const UNACKNOWLEDGED: Duration = Duration::from_secs(30);

/// Sends a request and leaves everything else to the egress: no redirects, no proxies, no cookies, and
/// nothing is sent again that may have arrived.
pub(super) type Client = hyper_util::client::legacy::Client<Connector, Full<Bytes>>;

/// The connections of all plugins. Cloning shares them.
///
/// There are two pools, by whether private addresses are granted: a connection that one plugin may
/// have made to a private address must not be there for another that may not.
#[derive(Clone)]
pub struct Network {
    public: Client,
    private: Client,
    /// Empty but where a plugin is tried out: no configuration fills it.
    detours: Arc<[Detour]>,
    /// Why no server can be verified: then nothing is reached by https.
    unverified: Option<NetworkError>,
}

/// A host whose requests are led to a fake, so that a plugin that knows one host only can be tried
/// out without it. Everything is decided for the host that the plugin names, grants and secrets
/// included; then the connection is made to the fake instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Detour {
    /// The host that the plugin names.
    pub from: Origin,
    /// What is connected to.
    pub to: Origin,
}

impl Default for Network {
    fn default() -> Self {
        Self::new()
    }
}

impl Network {
    /// Builds the clients. Where the system has no CA certificates there is plain HTTP only: what needs more is
    /// refused by [`Network::reaches`].
    #[must_use]
    pub fn new() -> Self {
        Self::with_lookup(&(Arc::new(ask_system) as Lookup))
    }

    /// The same over another resolver.
    fn with_lookup(lookup: &Lookup) -> Self {
        crate::tls::install_provider();
        let (tls, unverified) = match ClientConfig::builder().with_platform_verifier() {
            Ok(verifying) => (verifying, None),
            // No server passes this.
            Err(error) => {
                let nobody = ClientConfig::builder().with_root_certificates(RootCertStore::empty());
                (nobody, Some(NetworkError(error)))
            }
        };
        let tls = tls.with_no_client_auth();
        let client = |allow_private| client(lookup, allow_private, tls.clone());
        let (public, private) = (client(false), client(true));
        Self { public, private, detours: Arc::default(), unverified }
    }

    /// Whether what is granted can be reached at all.
    ///
    /// # Errors
    /// One of the origins is asked by https, and the system has no CA certificates.
    pub fn reaches(&self, origins: &Origins) -> Result<(), NetworkError> {
        let fake = |origin: &Origin| self.detours.iter().find(|detour| detour.from == *origin);
        let asked = origins.iter().map(|origin| fake(origin).map_or(origin, |detour| &detour.to));
        match &self.unverified {
            Some(error) if asked.clone().any(|origin| origin.https) => Err(error.clone()),
            Some(_) | None => Ok(()),
        }
    }

    /// The same, with some hosts stood in for. For trying plugins out only.
    #[must_use]
    pub fn with_detours(self, detours: Vec<Detour>) -> Self {
        Self { detours: detours.into(), ..self }
    }

    /// Leads a request that was admitted to its fake. Returns whether there is one.
    pub(super) fn lead<B>(&self, origin: &Origin, request: &mut http::Request<B>) -> bool {
        let Some(detour) = self.detours.iter().find(|detour| detour.from == *origin) else {
            return false;
        };
        let Origin { https, host, port } = &detour.to;
        let mut parts = request.uri().clone().into_parts();
        // An address with credentials isn't admitted, so this is host and port.
        let named = parts.authority.take();
        let scheme = if *https { Scheme::HTTPS } else { Scheme::HTTP };
        parts.scheme = Some(scheme);
        parts.authority = Some(
            Authority::try_from(format!("{host}:{port}")).expect("an origin's host is a URL's"),
        );
        *request.uri_mut() = Uri::from_parts(parts).expect("it had all parts before");
        if let Some(named) = named.and_then(|named| HeaderValue::from_str(named.as_str()).ok()) {
            request.headers_mut().insert(HOST, named);
        }
        true
    }

    pub(super) fn client(&self, allow_private: bool) -> &Client {
        if allow_private { &self.private } else { &self.public }
    }
}

/// Why no server can be verified.
#[derive(Debug, Clone, thiserror::Error)]
#[error(
    "egress: no server can be verified, and a host is granted by https: {0}; install the system's CA certificates (`ca-certificates`) or name a file of them in SSL_CERT_FILE, then start the host again"
)]
pub struct NetworkError(rustls::Error);

fn client(lookup: &Lookup, allow_private: bool, tls: ClientConfig) -> Client {
    let mut http =
        HttpConnector::new_with_resolver(Resolver { lookup: lookup.clone(), allow_private });
    http.enforce_http(false);
    http.set_nodelay(true);
    http.set_keepalive(Some(KEEPALIVE));
    http.set_keepalive_interval(Some(KEEPALIVE));
    http.set_keepalive_retries(Some(KEEPALIVE_RETRIES));
    #[cfg(target_os = "linux")]
    http.set_tcp_user_timeout(Some(UNACKNOWLEDGED));
    let https = HttpsConnectorBuilder::new()
        .with_tls_config(tls)
        .https_or_http()
        .enable_http1()
        .wrap_connector(http);
    hyper_util::client::legacy::Client::builder(TokioExecutor::new())
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE_TIMEOUT)
        .pool_max_idle_per_host(IDLE_PER_HOST)
        .build(Connector { https: Arc::new(https), allow_private })
}

/// Connects within [`CONNECT_TIMEOUT`]. Cheap to clone, which is done for every request.
#[derive(Clone)]
pub(super) struct Connector {
    https: Arc<HttpsConnector<HttpConnector<Resolver>>>,
    allow_private: bool,
}

impl Service<Uri> for Connector {
    type Response = MaybeHttpsStream<TokioIo<TcpStream>>;
    type Error = Box<dyn std::error::Error + Send + Sync>;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        // The one below always is.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let (mut https, allow_private) = ((*self.https).clone(), self.allow_private);
        Box::pin(async move {
            // An address that is written out is never shown to the resolver.
            if let Some(ip) = uri.host().and_then(literal) {
                address::admit(ip, allow_private)?;
            }
            tokio::time::timeout(CONNECT_TIMEOUT, https.call(uri)).await.map_err(|_| {
                let text = format!("there was none within {CONNECT_TIMEOUT:?}");
                io::Error::new(io::ErrorKind::TimedOut, text)
            })?
        })
    }
}

fn literal(host: &str) -> Option<IpAddr> {
    host.trim_start_matches('[').trim_end_matches(']').parse().ok()
}

/// Tells all addresses of a name.
type Lookup = Arc<dyn Fn(String) -> Answer + Send + Sync>;
type Answer = BoxFuture<'static, io::Result<Vec<IpAddr>>>;

fn ask_system(name: String) -> Answer {
    Box::pin(async move {
        Ok(tokio::net::lookup_host((name, 0)).await?.map(|socket| socket.ip()).collect())
    })
}

/// Leaves out of what a name resolves to what may not be reached, so that the address that was judged is
/// the one connected to. It is asked once per connect.
#[derive(Clone)]
pub(super) struct Resolver {
    lookup: Lookup,
    allow_private: bool,
}

impl Service<Name> for Resolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = Box<dyn std::error::Error + Send + Sync>;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let (found, allow_private) = ((self.lookup)(name.as_str().to_owned()), self.allow_private);
        Box::pin(async move {
            let admitted = admit(found.await?, allow_private)?;
            // Port 0 stands for the one of the address that was asked for.
            let sockets: Vec<_> = admitted.into_iter().map(|ip| SocketAddr::new(ip, 0)).collect();
            Ok(sockets.into_iter())
        })
    }
}

/// The addresses that may be reached; where there are some and none may, the first one refused.
fn admit(found: Vec<IpAddr>, allow_private: bool) -> Result<Vec<IpAddr>, RefusedAddress> {
    let mut refused = None;
    let mut admitted = Vec::new();
    for ip in found {
        match address::admit(ip, allow_private) {
            Ok(()) => admitted.push(ip),
            Err(error) => refused = refused.or(Some(error)),
        }
    }
    match refused {
        Some(error) if admitted.is_empty() => Err(error),
        _ => Ok(admitted),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

    use http::{HeaderMap, Method};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio::task::JoinSet;

    use super::*;
    use crate::egress::alarm::Alarm;
    use crate::egress::client::{Bounds, Incoming, Outgoing, Tape};
    use crate::egress::{Denial, EgressClient, Grants, SecretStore, SendError};

    /// Public by its kind, and given to nobody: the packets end at the first router.
    const PUBLIC: &str = "3ffe::1";

    fn ips(texts: &[&str]) -> Vec<IpAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    /// A listener on loopback, and ways to it by names that resolve to what a test says.
    struct Site {
        port: u16,
        connects: Arc<AtomicUsize>,
        asked: Arc<AtomicUsize>,
        _tasks: JoinSet<()>,
    }

    impl Site {
        async fn start() -> Self {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let port = listener.local_addr().unwrap().port();
            let (connects, mut tasks) = (Arc::new(AtomicUsize::new(0)), JoinSet::new());
            let count = connects.clone();
            tasks.spawn(async move {
                loop {
                    let (mut stream, _) = listener.accept().await.unwrap();
                    count.fetch_add(1, SeqCst);
                    let answer = b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n";
                    if stream.read(&mut [0; 1024]).await.is_ok_and(|read| read > 0) {
                        stream.write_all(answer).await.unwrap();
                    }
                }
            });
            Self { port, connects, asked: Arc::default(), _tasks: tasks }
        }

        /// A client for `name`, which resolves to one answer after the other, and to the last one from then
        /// on.
        fn client(&self, name: &str, private: bool, answers: &[&[&str]]) -> EgressClient {
            let mut answers: Vec<_> = answers.iter().map(|answer| ips(answer)).collect();
            answers.reverse();
            let (answers, asked) = (Mutex::new(answers), self.asked.clone());
            let lookup = move |_: String| -> Answer {
                asked.fetch_add(1, SeqCst);
                let mut answers = answers.lock().unwrap();
                let answer = match answers.len() {
                    0 | 1 => answers.first().cloned().unwrap_or_default(),
                    _ => answers.pop().unwrap_or_default(),
                };
                Box::pin(async { Ok(answer) })
            };
            let network = Network::with_lookup(&(Arc::new(lookup) as Lookup));
            let grants = Grants::new("bot".into(), &[self.origin(name)], private).unwrap();
            let secret_store = SecretStore::new("bot".into(), &Default::default()).unwrap();
            EgressClient::new(
                network,
                grants,
                secret_store,
                Bounds { request: 100, headers: 100, response: 100 },
            )
        }

        fn origin(&self, name: &str) -> String {
            format!("http://{name}:{}", self.port)
        }

        async fn send(&self, client: &EgressClient, name: &str) -> Result<Incoming, SendError> {
            let request = Outgoing {
                method: Method::GET,
                url: self.origin(name),
                headers: HeaderMap::new(),
                body: Bytes::new(),
                secrets_in_body: false,
                timeout: Duration::from_millis(500),
            };
            client.send(request, &mut Alarm::default(), &Tape::None).await
        }

        /// Each listener's queue is in order: once one's own connect is counted, all before it are.
        async fn connects(&self) -> usize {
            let before = self.connects.load(SeqCst);
            let own = tokio::net::TcpStream::connect(("127.0.0.1", self.port)).await.unwrap();
            while self.connects.load(SeqCst) == before {
                tokio::task::yield_now().await;
            }
            drop(own);
            self.connects.fetch_sub(1, SeqCst) - 1
        }
    }

    /// Neither refused nor answered: an attempt at the public address, which leads nowhere.
    fn assert_tried(outcome: Result<Incoming, SendError>) {
        let error = outcome.unwrap_err();
        assert!(matches!(error, SendError::Connect { .. } | SendError::Timeout { .. }), "{error}");
    }

    #[tokio::test]
    async fn a_granted_name_that_resolves_inside_is_denied_whatever_it_is_called() {
        let site = Site::start().await;
        for name in [
            "bot.example",
            "localhost.",
            "any.localhost",
            "ip6-localhost",
            "127.0.0.1.nip.example",
            "metadata.google.internal",
            "metadata",
            "kubernetes.default.svc.cluster.local",
            "host.docker.internal",
            "xn--nxasmq6b.example",
        ] {
            for inside in [
                "127.0.0.1",
                "127.9.9.9",
                "0.0.0.0",
                "::1",
                "::",
                "::ffff:127.0.0.1",
                "64:ff9b::7f00:1",
                "2002:7f00:1::",
                "10.0.0.1",
                "100.64.0.1",
                "fd12::1",
                "fe80::1",
            ] {
                let client = site.client(name, false, &[&[inside]]);
                let error = site.send(&client, name).await.unwrap_err();
                let denied = matches!(error, SendError::Denied(Denial::Private { .. }));
                assert!(denied, "{name} at {inside}: {error}");
            }
            for never in
                ["169.254.169.254", "::ffff:169.254.169.254", "100.100.100.200", "fd00:ec2::254"]
            {
                let client = site.client(name, true, &[&[never]]);
                let error = site.send(&client, name).await.unwrap_err();
                let denied = matches!(error, SendError::Denied(Denial::Never { .. }));
                assert!(denied, "{name} at {never}: {error}");
            }
        }
        assert_eq!(site.asked.load(SeqCst), 10 * 16);
        assert_eq!(site.connects().await, 0);
    }

    #[tokio::test]
    async fn an_answer_that_flips_from_public_to_loopback_is_denied_when_it_has_flipped() {
        let site = Site::start().await;
        let client = site.client("flip.example", false, &[&[PUBLIC], &["127.0.0.1"]]);
        assert_tried(site.send(&client, "flip.example").await);
        assert_eq!(site.asked.load(SeqCst), 1, "the address that was judged is the one tried");
        let error = site.send(&client, "flip.example").await.unwrap_err();
        assert!(matches!(error, SendError::Denied(Denial::Private { .. })), "{error}");
        assert_eq!((site.asked.load(SeqCst), site.connects().await), (2, 0));
    }

    #[tokio::test]
    async fn a_name_is_resolved_once_for_a_connect() {
        let site = Site::start().await;
        let answers: [&[&str]; 2] = [&["127.0.0.1"], &["169.254.169.254"]];
        let client = site.client("flip.example", true, &answers);
        assert_eq!(site.send(&client, "flip.example").await.unwrap().status, 204);
        assert_eq!((site.asked.load(SeqCst), site.connects().await), (1, 1));
        let error = site.send(&client, "flip.example").await.unwrap_err();
        assert!(matches!(error, SendError::Denied(Denial::Never { .. })), "{error}");
        assert_eq!((site.asked.load(SeqCst), site.connects().await), (2, 1));
    }

    #[tokio::test]
    async fn of_a_mixed_answer_only_what_may_be_reached_is_tried() {
        let site = Site::start().await;
        let mixed: [&[&str]; 3] =
            [&[PUBLIC, "127.0.0.1"], &["127.0.0.1", PUBLIC], &["::ffff:127.0.0.1", PUBLIC, "::1"]];
        for answer in mixed {
            let client = site.client("mixed.example", false, &[answer]);
            assert_tried(site.send(&client, "mixed.example").await);
        }
        assert_eq!(site.connects().await, 0);
        let client = site.client("mixed.example", true, &[&["169.254.169.254", "127.0.0.1"]]);
        assert_eq!(site.send(&client, "mixed.example").await.unwrap().status, 204);
        assert_eq!(site.connects().await, 1);
    }

    #[test]
    fn only_addresses_that_may_be_reached_are_connected_to() {
        let mixed = || ips(&["10.0.0.1", "93.184.216.34", "169.254.169.254"]);
        assert_eq!(admit(mixed(), false), Ok(ips(&["93.184.216.34"])));
        assert_eq!(admit(mixed(), true), Ok(ips(&["10.0.0.1", "93.184.216.34"])));
        let inside = ips(&["10.0.0.1", "::1"]);
        assert_eq!(admit(inside.clone(), false).unwrap_err().address, inside[0]);
        assert_eq!(admit(Vec::new(), false), Ok(Vec::new()));
    }

    #[tokio::test]
    async fn a_name_of_the_systems_that_leads_inside_is_refused() {
        let resolver =
            |allow_private| Resolver { lookup: Arc::new(ask_system) as Lookup, allow_private };
        let refused = resolver(false).call("localhost".parse().unwrap()).await;
        let error = refused.expect_err("localhost is a loopback name");
        let refused = error.downcast_ref::<RefusedAddress>();
        assert!(refused.is_some_and(|refused| refused.grantable), "{error}");
        assert!(resolver(true).call("localhost".parse().unwrap()).await.is_ok());
    }

    #[test]
    fn without_certificates_what_is_asked_by_https_is_out_of_reach() {
        let origins = |list: &[&str]| {
            Origins::parse(&list.iter().map(ToString::to_string).collect::<Vec<_>>()).unwrap()
        };
        let https = origins(&["http://127.0.0.1:9", "bot.example"]);
        assert!(Network::new().reaches(&https).is_ok());
        let none = NetworkError(rustls::Error::General("none".to_owned()));
        let network = Network { unverified: Some(none), ..Network::new() };
        assert!(network.reaches(&origins(&["http://127.0.0.1:9"])).is_ok());
        assert!(network.reaches(&https).is_err());
        let detour = Detour {
            from: Origin::parse("bot.example").unwrap(),
            to: Origin::parse("http://127.0.0.1:9").unwrap(),
        };
        assert!(network.with_detours(vec![detour]).reaches(&https).is_ok());
    }

    #[tokio::test]
    async fn a_detour_leads_what_was_admitted_to_its_stand_in_and_opens_nothing() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let detour = |from: &str| Detour {
            from: Origin::parse(from).unwrap(),
            to: Origin::parse(&format!("http://127.0.0.1:{port}")).unwrap(),
        };
        let detours = vec![detour("api.example.com"), detour("b.example:8443")];
        let network = Network::new().with_detours(detours);
        let granted = ["api.example.com".to_owned()];
        let secret = |hosts: &[&str]| crate::config::PluginSecret {
            value: crate::config::Secret::new("s3cr3t"),
            hosts: hosts.iter().map(|host| (*host).to_owned()).collect(),
        };
        let secrets = [
            ("token".to_owned(), secret(&["api.example.com"])),
            ("other".to_owned(), secret(&["127.0.0.1"])),
        ];
        let grants = Grants::new("bot".into(), &granted, false).unwrap();
        let secret_store = SecretStore::new("bot".into(), &secrets.into()).unwrap();
        let bounds = Bounds { request: 100, headers: 100, response: 100 };
        let client = EgressClient::new(network, grants, secret_store, bounds);
        let send = async |url: &str, token: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert("x-token", http::HeaderValue::from_static(token));
            let (body, timeout) = (Bytes::new(), Duration::from_secs(10));
            let (method, url) = (Method::GET, url.to_owned());
            let secrets_in_body = false;
            let request = Outgoing { method, url, headers, body, secrets_in_body, timeout };
            client.send(request, &mut Alarm::default(), &Tape::None).await
        };
        for (url, token) in [
            ("https://b.example:8443/", "x"),
            ("http://api.example.com/", "x"),
            (&*format!("http://127.0.0.1:{port}/"), "x"),
        ] {
            let error = send(url, token).await.expect_err("it isn't granted");
            assert!(matches!(error, SendError::Denied(_)), "{url}: {error}");
        }
        let error = send("https://api.example.com/", "{{secret:other}}").await.err();
        assert!(matches!(error, Some(SendError::Secret(_))), "{error:?}");

        let serving = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = vec![0; 1024];
            let read = stream.read(&mut head).await.unwrap();
            stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
            String::from_utf8(head[..read].to_vec()).unwrap()
        };
        let asked = send("https://api.example.com/a?b=c", "{{secret:token}}");
        let (head, answer) = tokio::join!(serving, asked);
        assert_eq!(answer.unwrap().status, 204);
        assert!(head.starts_with("GET /a?b=c HTTP/1.1\r\n"), "{head}");
        let lines: Vec<_> = head.to_lowercase().lines().map(str::to_owned).collect();
        assert!(lines.contains(&"host: api.example.com".to_owned()), "{head}");
        assert!(lines.contains(&"x-token: s3cr3t".to_owned()), "{head}");
    }
}
