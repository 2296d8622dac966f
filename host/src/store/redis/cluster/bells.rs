//! Notices of the server that there is something new under a key. One that gets lost costs time and nothing else: whoever
//! waits for one looks by itself too, at longer intervals.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use futures_util::StreamExt;
use redis::aio::{PubSubSink, PubSubStream};
use redis::{RedisResult, Value};
use sidenote_cluster::ids::{Member, Partition};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout};

use super::super::failure::Failure;
use super::SharedServer;
use crate::store::StoreError;

/// How often a connection on which nothing comes is asked whether it is one.
const PING_EVERY: Duration = Duration::from_secs(5);

/// The pause before another connection is made.
const PAUSE: Duration = Duration::from_millis(500);

/// The bells that are to be rung, by the channel. Whoever drops one isn't rung any more.
type Wanted = BTreeMap<String, Weak<Notify>>;

/// Rings bells when the server tells of something new.
pub struct Bells {
    shared: Arc<SharedServer>,
    wanted: Mutex<Wanted>,
    changed: Notify,
}

impl Bells {
    /// Of this server. They ring while [`Bells::run`] runs.
    pub fn new(shared: Arc<SharedServer>) -> Self {
        Self { shared, wanted: Mutex::default(), changed: Notify::new() }
    }

    /// Rings this when something was added to a partition's inbox.
    pub fn ring_for_inbox(&self, of: Partition, bell: &Arc<Notify>) {
        self.want(self.shared.names.inbox(of), bell);
    }

    /// Rings this when a host was answered.
    pub fn ring_for_answers(&self, to: &Member, bell: &Arc<Notify>) {
        self.want(self.shared.names.answers(to), bell);
    }

    fn want(&self, channel: String, bell: &Arc<Notify>) {
        let mut wanted = self.wanted.lock().unwrap_or_else(PoisonError::into_inner);
        wanted.insert(channel, Arc::downgrade(bell));
        drop(wanted);
        self.changed.notify_one();
    }

    /// What is wanted still.
    fn wanted(&self) -> Wanted {
        let mut wanted = self.wanted.lock().unwrap_or_else(PoisonError::into_inner);
        wanted.retain(|_, bell| bell.strong_count() > 0);
        wanted.clone()
    }

    /// Listens, over one connection after the other.
    pub async fn run(&self) -> Infallible {
        let mut tries = 0;
        loop {
            let began = Instant::now();
            let Err(error) = self.listen(tries).await;
            // Who isn't let listen at all is told once.
            if tries == 0 || began.elapsed() >= PING_EVERY {
                tracing::warn!(
                    "hosts: notices aren't heard, so requests take up to half a lease until they are again: {error}"
                );
            }
            tries += 1;
            sleep(PAUSE).await;
        }
    }

    async fn listen(&self, n: usize) -> Result<Infallible, StoreError> {
        let (mut sink, mut stream) = self.shared.server.listen(n).await?.split();
        let mut heard = Wanted::new();
        loop {
            let wanted = self.wanted();
            self.subscribe(&mut sink, &heard, &wanted).await?;
            heard = wanted;
            self.hear(&mut sink, &mut stream, &heard).await?;
        }
    }

    /// Changes what is heard. What came before it was is found because the bell is rung once.
    async fn subscribe(
        &self,
        sink: &mut PubSubSink,
        heard: &Wanted,
        wanted: &Wanted,
    ) -> Result<(), StoreError> {
        for channel in heard.keys().filter(|channel| !wanted.contains_key(*channel)) {
            self.within(sink.unsubscribe(channel)).await?;
        }
        for (channel, bell) in wanted {
            let same = heard.get(channel).is_some_and(|before| before.ptr_eq(bell));
            if !heard.contains_key(channel) {
                self.within(sink.subscribe(channel)).await?;
            }
            if !same {
                ring(bell);
            }
        }
        Ok(())
    }

    /// Rings until other bells are wanted.
    async fn hear(
        &self,
        sink: &mut PubSubSink,
        stream: &mut PubSubStream,
        heard: &Wanted,
    ) -> Result<(), StoreError> {
        loop {
            tokio::select! {
                notice = stream.next() => {
                    let notice = notice.ok_or_else(ended)?;
                    if let Some(bell) = heard.get(notice.get_channel_name()) {
                        ring(bell);
                    }
                }
                () = self.changed.notified() => return Ok(()),
                () = sleep(PING_EVERY) => drop::<Value>(self.within(sink.ping()).await?),
            }
        }
    }

    async fn within<T>(
        &self,
        asked: impl Future<Output = RedisResult<T>>,
    ) -> Result<T, StoreError> {
        let patience = self.shared.server.timeout();
        let failure = match timeout(patience, asked).await {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(error)) => Failure::Error(error),
            Err(_) => Failure::Timeout(patience),
        };
        Err(failure.into_store_error())
    }
}

fn ring(bell: &Weak<Notify>) {
    if let Some(bell) = bell.upgrade() {
        bell.notify_one();
    }
}

fn ended() -> StoreError {
    StoreError::Away("the Redis server has closed the connection for notices".to_owned())
}
