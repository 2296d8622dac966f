//! The stage: looks, logs, and has events sent.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::condition::{Condition, Event, Kind, Standing};
use super::webhook::{self, Webhook};
use crate::clock::Clock;
use crate::config;
use crate::http_client::{self, describe};

/// How often it is looked.
const EVERY: Duration = Duration::from_secs(5);
/// Events that wait to be sent at most.
const WAITING: usize = 256;

/// How the host stands, for whoever tells people.
#[async_trait::async_trait]
pub trait Look: Send + Sync + 'static {
    /// What a person must see to at this moment, but for dead letters.
    fn conditions(&self) -> Vec<Condition>;

    /// Whether there are more dead letters than this; `None` where that can't be known now.
    async fn has_more_dead_letters(&self, than: usize) -> Option<bool>;
}

/// Why events can't be sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("operator events: the HTTP client can't be set up: {0}; check the system's certificates")]
pub struct SetupError(String);

/// How many events became what.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct EventTotals {
    /// The other side has them.
    pub sent: u64,
    /// The other side never accepted them.
    pub failed: u64,
    /// Too many waited.
    pub dropped: u64,
}

#[derive(Default)]
struct Totals {
    sent: AtomicU64,
    failed: AtomicU64,
    dropped: AtomicU64,
}

/// Tells people of what they must see to.
pub struct OperatorEvents {
    dead_letters: usize,
    webhook: Option<Webhook>,
    /// The address of the pages that show more.
    pages: Option<String>,
    clock: Clock,
    totals: Arc<Totals>,
}

/// What was told.
#[derive(Clone)]
pub struct EventCounts(Arc<Totals>);

impl EventCounts {
    /// The totals.
    pub fn get(&self) -> EventTotals {
        let Totals { sent, failed, dropped } = &*self.0;
        let (sent, failed) = (sent.load(Relaxed), failed.load(Relaxed));
        EventTotals { sent, failed, dropped: dropped.load(Relaxed) }
    }
}

impl OperatorEvents {
    /// What `[operator_events]` asks for. `pages`: the address of the dashboard, where there is one. Nothing is connected
    /// to.
    ///
    /// # Errors
    /// The HTTP client can't be set up.
    pub fn new(
        config: &config::OperatorEvents,
        pages: Option<String>,
        clock: Clock,
    ) -> Result<Self, SetupError> {
        let webhook = config.webhook.as_ref().map(|config| {
            let client = http_client::builder(&config.url).build();
            let client = client.map_err(|error| SetupError(describe(error)))?;
            let key = webhook::key(config.secret.expose());
            Ok(Webhook { client, url: config.url.clone(), key, clock })
        });
        let (dead_letters, totals) = (config.dead_letters, Arc::default());
        Ok(Self { dead_letters, webhook: webhook.transpose()?, pages, clock, totals })
    }

    /// What is counted.
    pub fn counts(&self) -> EventCounts {
        EventCounts(self.totals.clone())
    }

    /// Looks, logs and sends until it is told to stop.
    pub async fn run(self, look: Arc<dyn Look>, stop: CancellationToken) {
        let (queue, waiting) = mpsc::channel(WAITING);
        let watch = async {
            let (mut standing, mut too_many) = (Standing::default(), false);
            loop {
                tokio::time::sleep(EVERY).await;
                let mut holding = look.conditions();
                // Where it can't be known, it is as it was.
                too_many = look.has_more_dead_letters(self.dead_letters).await.unwrap_or(too_many);
                holding.extend(too_many.then(|| self.dead_letters()));
                for event in standing.look(self.clock.now(), holding) {
                    self.tell(&event, &queue);
                }
            }
        };
        let told = async { tokio::join!(watch, self.send(waiting)) };
        stop.run_until_cancelled(told).await;
    }

    fn dead_letters(&self) -> Condition {
        let reason = format!("there are more than {} dead letters", self.dead_letters);
        Condition { kind: Kind::DeadLetters, subject: String::new(), reason }
    }

    fn tell(&self, event: &Event, queue: &mpsc::Sender<Bytes>) {
        let link = self.link(&event.condition);
        let Condition { kind, subject, reason } = &event.condition;
        let (link, name, next) = (link.as_deref(), kind.name(), kind.next());
        match event.over {
            None => tracing::warn!(event = name, subject, reason, link, "operator: {next}"),
            Some(_) => tracing::info!(event = name, subject, link, "operator: it is over"),
        }
        let body = webhook::body(event, link);
        if self.webhook.is_some() && queue.try_send(body).is_err() {
            self.totals.dropped.fetch_add(1, Relaxed);
        }
    }

    /// The page that shows it.
    fn link(&self, condition: &Condition) -> Option<String> {
        let page = match condition.kind {
            Kind::PluginDisabled | Kind::CredentialsRefused => "plugins",
            Kind::StreamStopped | Kind::StoreUnavailable => "",
            Kind::DeadLetters => "outbox?state=dead",
        };
        self.pages.as_ref().map(|pages| format!("{}/{page}", pages.trim_end_matches('/')))
    }

    async fn send(&self, mut waiting: mpsc::Receiver<Bytes>) {
        let Some(webhook) = &self.webhook else { return };
        while let Some(body) = waiting.recv().await {
            // The same for every try: whoever has it already knows it again.
            let id = format!("evt_{:032x}", rand::random::<u128>());
            match webhook.send(&id, &body).await {
                Ok(()) => self.totals.sent.fetch_add(1, Relaxed),
                Err(cause) => {
                    tracing::warn!(
                        "operator events: an event was not accepted: {cause}; check `url` in [operator_events]"
                    );
                    self.totals.failed.fetch_add(1, Relaxed)
                }
            };
        }
    }
}
