//! A way to the server that can go dead without a word.

use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Passes bytes on until the connections that are open are cut: then they stay open, and nothing passes.
pub(super) struct Relay {
    pub(super) addr: SocketAddr,
    cut: watch::Sender<u32>,
    _relaying: JoinSet<()>,
}

impl Relay {
    /// Before the server at this address.
    pub(super) async fn start(server: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let (cut, cuts) = watch::channel(0);
        let mut relaying = JoinSet::new();
        let server = server.to_owned();
        relaying.spawn(async move {
            let mut lines = JoinSet::new();
            while let Ok((mut here, _)) = listener.accept().await {
                let mut there = TcpStream::connect(&server).await.unwrap();
                let mut cuts = cuts.clone();
                cuts.mark_unchanged();
                lines.spawn(async move {
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut here, &mut there) => {}
                        _ = cuts.changed() => std::future::pending().await,
                    }
                });
            }
        });
        Self { addr, cut, _relaying: relaying }
    }

    pub(super) fn cut(&self) {
        self.cut.send_modify(|cuts| *cuts += 1);
    }
}
