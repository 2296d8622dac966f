//! Where the host listens: sockets of its own, or those that a supervisor opened for it.

use std::net::{SocketAddr, TcpListener};

use super::StartError;

/// Sockets that are open already, in place of those that the configuration names.
#[derive(Debug, Default)]
pub struct Sockets {
    /// In place of `server.listen`.
    pub server: Option<TcpListener>,
    /// In place of `dashboard.listen`.
    pub dashboard: Option<TcpListener>,
}

/// A listener of a table, and where it is. What is open already must be where the table says: who may call is judged by
/// that, and commands ask there.
pub(super) async fn bound(
    table: &'static str,
    addr: SocketAddr,
    given: Option<TcpListener>,
) -> Result<(tokio::net::TcpListener, SocketAddr), StartError> {
    let unusable = |cause| StartError::Listen { table, addr, cause };
    let listener = match given {
        None => tokio::net::TcpListener::bind(addr).await.map_err(unusable)?,
        Some(given) => {
            let open = given.local_addr().map_err(unusable)?;
            if open != addr {
                return Err(StartError::OtherSocket { table, addr, open });
            }
            given.set_nonblocking(true).map_err(unusable)?;
            tokio::net::TcpListener::from_std(given).map_err(unusable)?
        }
    };
    let local = listener.local_addr().map_err(unusable)?;
    Ok((listener, local))
}
