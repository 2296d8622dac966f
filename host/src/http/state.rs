//! What the handlers share.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::answer::Refused;
use super::answered::Answered;
use super::backend::Backend;
use super::event_tokens::EventTokens;
use super::gate::Gate;
use crate::config::Server;

/// How long the rest of the host may take for an answer. Plugins have tighter deadlines of their own;
/// this one keeps a fault elsewhere from holding connections for ever.
const DEADLINE: Duration = Duration::from_secs(60);

/// The state of every handler.
#[derive(Clone)]
pub(super) struct ApiState {
    pub(super) backend: Arc<dyn Backend>,
    pub(super) gate: Gate,
    pub(super) max_body_bytes: usize,
    pub(super) events: EventTokens,
    /// Up to when questions of conversations were answered.
    pub(super) answered: Answered,
    /// Without a slash at its end.
    pub(super) public_url: Arc<str>,
}

impl ApiState {
    /// Of a listener at `local`.
    pub(super) fn new(backend: Arc<dyn Backend>, server: &Server, local: SocketAddr) -> Self {
        let listener = || format!("http://{local}");
        let public_url = server.public_url.clone().unwrap_or_else(listener).into();
        let (gate, max_body_bytes) =
            (Gate::of(server, local, backend.clone()), server.max_body_bytes);
        let (events, answered) = (EventTokens::new(), Answered::new());
        Self { backend, gate, max_body_bytes, events, answered, public_url }
    }

    /// Waits for the rest of the host, but not for ever.
    pub(super) async fn within_deadline<T>(
        &self,
        call: impl Future<Output = T>,
    ) -> Result<T, Refused> {
        tokio::time::timeout(DEADLINE, call).await.map_err(|_| {
            tracing::error!(deadline = ?DEADLINE, "http: the host didn't answer a request in time; the client was told to send it again");
            Refused::unavailable("timeout", "the host didn't answer in time", Duration::from_secs(5))
        })
    }
}
