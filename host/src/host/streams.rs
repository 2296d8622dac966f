//! The streams that run: each a client that reads, and a feeder that hands over to the engine.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{RunError, flat};
use crate::clock::Clock;
use crate::config;
use crate::engine::Handle;
use crate::plugin::Registry;
use crate::stream::{Client, Position, Received, Status, StreamError, Succession};

/// Events of one stream that wait for the engine; while it is full, the stream is paused.
const STREAM_QUEUE: usize = 256;
/// How long a stream that is changed or removed may take to hand on what it has read. It takes that long only
/// while the engine takes nothing.
const WIND_DOWN: Duration = Duration::from_secs(5);
/// How long a client may take to end that is told to end at once.
const CUT: Duration = Duration::from_secs(5);

/// Every stream, by name.
pub(super) struct Streams {
    engine: Handle,
    registry: Arc<Registry>,
    clock: Clock,
    stop: CancellationToken,
    running: BTreeMap<String, Running>,
    tasks: JoinSet<Result<(), RunError>>,
}

struct Running {
    status: Status,
    /// Into the feeder, which ends when the last of these is dropped: one that takes a stream over goes on with
    /// the feeder that is there, behind what came before.
    sender: mpsc::Sender<Received>,
    succession: Succession,
    stop: CancellationToken,
}

/// Clients of streams that are to be started or replaced; none of them has connected.
pub(super) struct Prepared(Vec<(String, Client)>);

impl Streams {
    /// None yet. They end when `stop` is cancelled.
    pub(super) fn new(
        engine: Handle,
        registry: Arc<Registry>,
        clock: Clock,
        stop: CancellationToken,
    ) -> Self {
        Self { engine, registry, clock, stop, running: BTreeMap::new(), tasks: JoinSet::new() }
    }

    /// Makes the clients of these streams. Nothing is connected.
    ///
    /// # Errors
    /// The settings of one of them can't be used.
    pub(super) fn prepare<'s>(
        &self,
        streams: impl IntoIterator<Item = (&'s String, &'s config::Stream)>,
    ) -> Result<Prepared, StreamError> {
        let client = |(name, stream): (&'s String, &'s config::Stream)| {
            Ok((
                name.clone(),
                Client::new(name.as_str(), stream.clone(), self.clock)?.that_asks_on(),
            ))
        };
        Ok(Prepared(streams.into_iter().map(client).collect::<Result<_, _>>()?))
    }

    /// Ends those that are named and starts those that are prepared. One that takes the place of another goes on
    /// from where that ended.
    pub(super) async fn swap<'n>(
        &mut self,
        ends: impl IntoIterator<Item = &'n str>,
        starts: Prepared,
    ) {
        let ended = ends.into_iter().filter_map(|name| self.running.remove_entry(name));
        let ended = ended.map(|(name, mut running)| async move {
            let position = running.end(&name).await;
            (name, (position, running.sender))
        });
        let mut ended: BTreeMap<_, _> = join_all(ended).await.into_iter().collect();
        for (name, client) in starts.0 {
            let (position, sender) = match ended.remove(&name) {
                Some((position, sender)) => (position, sender),
                None => (None, self.feed()),
            };
            let client = match position {
                Some(position) => client.succeeding(position),
                None => client,
            };
            self.start(name, client, sender);
        }
    }

    /// How they stand.
    pub(super) fn statuses(&self) -> Vec<Status> {
        self.running.values().map(|running| running.status.clone()).collect()
    }

    /// Waits until something of them failed that must not: a panic. Streams that end otherwise don't count.
    pub(super) async fn failed(&mut self) -> RunError {
        loop {
            match self.tasks.join_next().await.map(flat) {
                Some(Err(error)) => return error,
                Some(Ok(())) => {}
                None => std::future::pending().await,
            }
        }
    }

    /// Waits until all have ended and everything that they read is handed over. `stop` must be cancelled.
    pub(super) async fn join(mut self) -> Result<(), RunError> {
        self.running.clear();
        super::join(&mut self.tasks).await
    }

    fn start(&mut self, name: String, client: Client, sender: mpsc::Sender<Received>) {
        let (client, succession) = client.with_succession();
        let (status, stop) = (client.status(), self.stop.child_token());
        let (registry, sink, stopped) = (self.registry.clone(), sender.clone(), stop.clone());
        self.tasks.spawn(async move {
            // Before, it isn't known which plugins are sinks.
            stopped.run_until_cancelled(registry.surveyed()).await;
            read(client, sink, stopped).await
        });
        self.running.insert(name, Running { status, sender, succession, stop });
    }

    /// Starts a feeder.
    fn feed(&mut self) -> mpsc::Sender<Received> {
        let (sender, receiver) = mpsc::channel(STREAM_QUEUE);
        self.tasks.spawn(feed(receiver, self.engine.clone()));
        sender
    }
}

impl Running {
    async fn end(&mut self, name: &str) -> Option<Position> {
        if let Some(position) = self.succession.wind_down(WIND_DOWN).await {
            return Some(position);
        }
        tracing::warn!(
            stream = name,
            "stream: it is ended while the engine takes nothing; what it had read and not handed over comes again if the connector sends it again"
        );
        self.stop.cancel();
        self.succession.ended(CUT).await
    }
}

/// Reads a stream until it is stopped. A stream that ends leaves the others and the webhooks alone:
/// it is logged and shows as not ready.
async fn read(
    client: Client,
    sink: mpsc::Sender<Received>,
    stop: CancellationToken,
) -> Result<(), RunError> {
    if let Err(error) = client.run(sink, stop).await {
        tracing::error!("{error}");
    }
    Ok(())
}

/// Hands what a stream reads to the engine; ends when the stream has ended and all is handed over.
async fn feed(mut events: mpsc::Receiver<Received>, engine: Handle) -> Result<(), RunError> {
    while let Some(event) = events.recv().await {
        if engine.accept(event.payload, event.bytes).await.is_err() {
            break;
        }
    }
    Ok(())
}
