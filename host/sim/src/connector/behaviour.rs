//! What a connector is told at its start, and the manners that can change while it runs.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

/// What a connector is told at its start.
#[derive(Clone)]
pub struct ConnectorOptions {
    /// Where it listens: a free port of 127.0.0.1 by default.
    pub listen: SocketAddr,
    /// The bearer token that a reader must show.
    pub token: String,
    /// A heartbeat is sent after this long without an event; `None` sends none.
    pub heartbeat: Option<Duration>,
    /// What happens to events while no reader is connected.
    pub when_unread: WhenUnread,
    /// Events that wait for the socket, per product; [`emit`](super::Connector::emit) waits when they are full.
    pub queued_events: usize,
    /// Whether events carry an `id`.
    pub ids: bool,
    /// The manners to begin with.
    pub behaviour: Behaviour,
}

impl Default for ConnectorOptions {
    fn default() -> Self {
        Self {
            listen: (Ipv4Addr::LOCALHOST, 0).into(),
            token: "connector-token".to_owned(),
            heartbeat: Some(Duration::from_secs(5)),
            when_unread: WhenUnread::Wait,
            queued_events: 1024,
            ids: true,
            behaviour: Behaviour::default(),
        }
    }
}

impl std::fmt::Debug for ConnectorOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ConnectorOptions")
            .field("listen", &self.listen)
            .field("heartbeat", &self.heartbeat)
            .field("when_unread", &self.when_unread)
            .field("queued_events", &self.queued_events)
            .field("ids", &self.ids)
            .field("behaviour", &self.behaviour)
            .finish_non_exhaustive()
    }
}

/// What happens to events while no reader is connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenUnread {
    /// They wait for the next reader, up to the queue's bound.
    Wait,
    /// They are dropped and counted, as by the real connector.
    Drop,
}

/// The manners of a connector; see [`Connector::behave`](super::Connector::behave).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Behaviour {
    /// How lines end.
    pub line_end: LineEnd,
    /// Bytes are written in pieces of at most this size, whatever they cut through.
    pub write_at_most: Option<usize>,
    /// A connection is closed in good order after so many events.
    pub hang_up_after: Option<u64>,
    /// Connections stay open and nothing at all is sent; events wait.
    pub silent: bool,
}

/// How lines end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LineEnd {
    /// `\n`.
    #[default]
    Lf,
    /// `\r\n`.
    CrLf,
}

impl LineEnd {
    pub(super) fn bytes(self) -> &'static [u8] {
        match self {
            Self::Lf => b"\n",
            Self::CrLf => b"\r\n",
        }
    }
}
