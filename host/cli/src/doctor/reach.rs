//! The way to one host: its name, a connection, its certificate, its clock. Nothing is sent but a `HEAD /` without any
//! secret.

use std::error::Error;
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use reqwest::Url;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme};
use rustls_platform_verifier::Verifier;
use sidenote::clock::Clock;

use super::facts::{PATIENCE, Way};

/// Days for which a certificate is looked at: one that is valid for longer is valid.
const LOOKED_AT: u64 = 30;
const DAY: u64 = 86_400;

/// How the way there is, and by how much the clock there is ahead of ours.
pub(super) async fn reach(host: &str, port: u16, tls: bool, clock: Clock) -> (Way, Option<f64>) {
    let addresses =
        match tokio::time::timeout(PATIENCE, tokio::net::lookup_host((bare(host), port))).await {
            Ok(Ok(addresses)) => addresses.collect::<Vec<_>>(),
            Ok(Err(error)) => return (Way::NoName(error.to_string()), None),
            Err(_) => return (Way::NoName("no answer in time".to_owned()), None),
        };
    let name = host.to_owned();
    let now = Duration::from_secs_f64(clock.now().as_secs_f64());
    let trying = tokio::task::spawn_blocking(move || {
        let mut last = Way::NoName("it has no address".to_owned());
        for address in addresses {
            let socket = match TcpStream::connect_timeout(&address, PATIENCE) {
                Ok(socket) => socket,
                Err(error) => {
                    last = Way::NoConnection(error.to_string());
                    continue;
                }
            };
            return match tls {
                false => Way::Plain,
                true => handshake(&name, socket, now).unwrap_or_else(Way::NoTls),
            };
        }
        last
    });
    let way = trying.await.unwrap_or_else(|error| Way::NoConnection(error.to_string()));
    let ahead = match &way {
        Way::Plain | Way::Tls { .. } => ahead(host, port, tls, clock).await,
        Way::NotTried | Way::NoName(_) | Way::NoConnection(_) | Way::NoTls(_) => None,
    };
    (way, ahead)
}

/// A client that carries nothing along, and follows nothing.
pub(super) fn client(url: &Url) -> Option<reqwest::Client> {
    sidenote::http_client::builder(url).timeout(PATIENCE).build().ok()
}

/// The innermost cause of an error: the ones around it say only that a request failed.
pub(super) fn cause(error: &dyn Error) -> String {
    let mut inner = error;
    while let Some(next) = inner.source() {
        inner = next;
    }
    inner.to_string()
}

/// What the host's `Date` says of its clock. Whole seconds: half of one is added.
async fn ahead(host: &str, port: u16, tls: bool, clock: Clock) -> Option<f64> {
    let scheme = if tls { "https" } else { "http" };
    let url = Url::parse(&format!("{scheme}://{host}:{port}/")).ok()?;
    let asked = client(&url)?.head(url).send().await.ok()?;
    let date = asked.headers().get(http::header::DATE)?.to_str().ok()?.to_owned();
    let there =
        httpdate::parse_http_date(&date).ok()?.duration_since(std::time::UNIX_EPOCH).ok()?;
    let there = there.as_secs_f64() + 0.5;
    Some(there - clock.now().as_secs_f64())
}

/// An address of the sixth version without the brackets that stand around it in URLs.
fn bare(host: &str) -> &str {
    host.trim_start_matches('[').trim_end_matches(']')
}

fn handshake(host: &str, mut socket: TcpStream, now: Duration) -> Result<Way, String> {
    let said = |error: std::io::Error| error.to_string();
    socket.set_read_timeout(Some(PATIENCE)).map_err(said)?;
    socket.set_write_timeout(Some(PATIENCE)).map_err(said)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let longevity = Arc::new(Longevity::of(provider.clone(), now)?);
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .dangerous()
        .with_custom_certificate_verifier(longevity.clone())
        .with_no_client_auth();
    let name = ServerName::try_from(bare(host).to_owned()).map_err(|error| error.to_string())?;
    let mut connection =
        ClientConnection::new(Arc::new(config), name).map_err(|error| error.to_string())?;
    while connection.is_handshaking() {
        connection.complete_io(&mut socket).map_err(said)?;
    }
    let days = longevity.days.load(std::sync::atomic::Ordering::Relaxed);
    Ok(Way::Tls { days })
}

/// Verifies as the host does, and tries how long the certificate will pass.
#[derive(Debug)]
struct Longevity {
    verifier: Verifier,
    now: Duration,
    days: std::sync::atomic::AtomicU64,
}

impl Longevity {
    fn of(provider: Arc<CryptoProvider>, now: Duration) -> Result<Self, String> {
        let verifier = Verifier::new(provider).map_err(|error| error.to_string())?;
        Ok(Self { verifier, now, days: Default::default() })
    }
}

impl ServerCertVerifier for Longevity {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let verify = |at| {
            self.verifier.verify_server_cert(
                end_entity,
                intermediates,
                server_name,
                ocsp_response,
                at,
            )
        };
        let verified = verify(now)?;
        let passes = |days: &u64| {
            verify(UnixTime::since_unix_epoch(self.now + Duration::from_secs(days * DAY))).is_ok()
        };
        let days = (1..=LOOKED_AT).take_while(passes).last().unwrap_or_default();
        self.days.store(days, std::sync::atomic::Ordering::Relaxed);
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verifier.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verifier.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.supported_verify_schemes()
    }
}
