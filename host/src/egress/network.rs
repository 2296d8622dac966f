//! The clients behind the door, and the resolver that judges every address before a connect.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::redirect::Policy;

use super::address::{self, RefusedAddress};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Shorter than what servers usually allow: a connection that the server is closing costs an attempt
/// whose outcome is unknown.
const IDLE_TIMEOUT: Duration = Duration::from_secs(20);
const IDLE_PER_HOST: usize = 64;

/// The connections of all plugins. Cloning shares them.
///
/// There are two pools, by whether private addresses are granted: a connection that one plugin may
/// have made to a private address must not be there for another that may not.
#[derive(Clone)]
pub struct Network {
    public: reqwest::Client,
    private: reqwest::Client,
}

impl Network {
    /// Builds the clients. Fails where the system's certificates can't be read.
    pub fn new() -> Result<Self, NetworkError> {
        // Whoever installed a provider first has the say; a second one is no fault.
        if rustls::crypto::ring::default_provider().install_default().is_err() {
            tracing::debug!("a TLS provider is already installed; keeping it");
        }
        Ok(Self { public: client(false)?, private: client(true)? })
    }

    pub(super) fn client(&self, allow_private: bool) -> &reqwest::Client {
        if allow_private { &self.private } else { &self.public }
    }
}

/// Why there is no network.
#[derive(Debug, thiserror::Error)]
#[error("egress: the HTTP client can't be built: {0}; are the system's CA certificates installed?")]
pub struct NetworkError(#[from] reqwest::Error);

fn client(allow_private: bool) -> Result<reqwest::Client, reqwest::Error> {
    reqwest::Client::builder()
        .redirect(Policy::none())
        .no_proxy()
        .referer(false)
        .retry(reqwest::retry::never())
        .user_agent(concat!("sidenote/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT_TIMEOUT)
        .pool_idle_timeout(IDLE_TIMEOUT)
        .pool_max_idle_per_host(IDLE_PER_HOST)
        .tcp_nodelay(true)
        .dns_resolver(Arc::new(Resolver { allow_private }))
        .build()
}

/// Resolves with the system's resolver and leaves out what may not be reached, so that the address
/// that was judged is the one connected to.
struct Resolver {
    allow_private: bool,
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let allow_private = self.allow_private;
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let admitted = admit(found, allow_private)?;
            Ok(Box::new(admitted.into_iter()) as Addrs)
        })
    }
}

/// The addresses that may be reached; where there are some and none may, the first one refused.
fn admit(
    found: impl Iterator<Item = SocketAddr>,
    allow_private: bool,
) -> Result<Vec<SocketAddr>, RefusedAddress> {
    let mut refused = None;
    let mut admitted = Vec::new();
    for socket in found {
        match address::admit(socket.ip(), allow_private) {
            Ok(()) => admitted.push(socket),
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
    use super::*;

    #[test]
    fn only_addresses_that_may_be_reached_are_connected_to() {
        let sockets = |texts: &[&str]| {
            texts.iter().map(|text| SocketAddr::new(text.parse().unwrap(), 0)).collect::<Vec<_>>()
        };
        let mixed = sockets(&["10.0.0.1", "93.184.216.34", "169.254.169.254"]);
        assert_eq!(admit(mixed.iter().copied(), false), Ok(sockets(&["93.184.216.34"])));
        assert_eq!(admit(mixed.iter().copied(), true), Ok(sockets(&["10.0.0.1", "93.184.216.34"])));
        let inside = sockets(&["10.0.0.1", "::1"]);
        assert_eq!(admit(inside.iter().copied(), false).unwrap_err().address, inside[0].ip());
        assert_eq!(admit(std::iter::empty(), false), Ok(Vec::new()));
    }

    #[tokio::test]
    async fn the_resolver_refuses_a_name_that_leads_inside() {
        let refused = Resolver { allow_private: false }.resolve("localhost".parse().unwrap()).await;
        let error = refused.err().expect("localhost is a loopback name");
        assert!(
            error.downcast_ref::<RefusedAddress>().is_some_and(|refused| refused.grantable),
            "{error}"
        );
        assert!(
            Resolver { allow_private: true }.resolve("localhost".parse().unwrap()).await.is_ok()
        );
    }
}
