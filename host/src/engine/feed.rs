//! What was committed of sessions, told to whoever follows: in order. A slow subscriber is dropped to a
//! resync, never back-pressured.
//!
//! The engine tells it after the commit. What a follower hasn't read yet is bounded by count and by bytes;
//! one that falls further behind is told so ([`Next::Behind`]) and reads the store again: nothing is missed
//! in silence.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

pub use crate::engine::core::event::What;
use crate::engine::inbox::Closed;
use crate::ids::SessionKey;

/// What can wait for a follower.
const MOST: usize = 4096;
/// Bytes of it.
const MOST_BYTES: usize = 16 << 20;

/// Something that was committed of a session.
#[derive(Debug)]
pub struct Committed {
    /// Of which session.
    pub key: SessionKey,
    /// What.
    pub what: What,
    position: u64,
    _held: Held,
}

/// What a follower is told next.
#[derive(Debug)]
pub enum Next {
    /// Something was committed.
    Committed(Arc<Committed>),
    /// The follower was too slow, and something was left out. What it knows is to be read from the store
    /// again ([`super::Handle::history`], [`super::Handle::latest_sessions`]); what is told from here on was committed
    /// after this moment, or is in the store already: telling it twice must do no harm.
    Behind,
}

/// A follower's end of the feed.
pub struct Feed {
    /// `None` stands for something that didn't fit.
    receiver: broadcast::Receiver<Option<Arc<Committed>>>,
    told: Arc<AtomicU64>,
    position: u64,
}

impl Feed {
    /// The next thing. Safe to be dropped before it answers.
    ///
    /// # Errors
    /// The engine has ended.
    pub async fn next(&mut self) -> Result<Next, Closed> {
        match self.receiver.recv().await {
            Ok(Some(committed)) => {
                self.position = committed.position;
                Ok(Next::Committed(committed))
            }
            Ok(None) | Err(RecvError::Lagged(_)) => {
                self.receiver = self.receiver.resubscribe();
                self.position = self.told.load(Ordering::Acquire);
                Ok(Next::Behind)
            }
            Err(RecvError::Closed) => Err(Closed),
        }
    }

    /// The position of what was told last: see [`super::Handle::feed_position`].
    pub fn position(&self) -> u64 {
        self.position
    }
}

/// The engines' end of the feed. With the last one the feed ends.
#[derive(Clone)]
pub(super) struct Publisher {
    sender: broadcast::Sender<Option<Arc<Committed>>>,
    told: Arc<AtomicU64>,
    waiting: Arc<AtomicUsize>,
    /// Held while one thing is told: its position is that of its place.
    turn: Arc<Mutex<()>>,
}

/// What the handles have of it.
#[derive(Clone)]
pub(super) struct Listeners {
    sender: broadcast::WeakSender<Option<Arc<Committed>>>,
    told: Arc<AtomicU64>,
}

impl Listeners {
    pub(super) fn feed(&self) -> Feed {
        // The feed of an engine that has ended is one that ends at once.
        let receiver = match self.sender.upgrade() {
            Some(sender) => sender.subscribe(),
            None => broadcast::channel(1).1,
        };
        // Only from here on: what was counted by then is received, or in the store.
        Feed { receiver, told: self.told.clone(), position: self.position() }
    }

    pub(super) fn position(&self) -> u64 {
        self.told.load(Ordering::Acquire)
    }
}

impl Publisher {
    pub(super) fn new() -> Self {
        let sender = broadcast::Sender::new(MOST);
        Self { sender, told: Arc::default(), waiting: Arc::default(), turn: Arc::default() }
    }

    pub(super) fn listeners(&self) -> Listeners {
        Listeners { sender: self.sender.downgrade(), told: self.told.clone() }
    }

    /// Tells what was committed.
    pub(super) fn tell(&self, (key, what): (SessionKey, What)) {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let position = self.told.load(Ordering::Acquire) + 1;
        // Before it is sent: who subscribes in between counts what it hasn't received.
        self.told.store(position, Ordering::Release);
        if self.sender.receiver_count() > 0 {
            let bytes = what.bytes();
            let fits = self.waiting.load(Ordering::Acquire) + bytes <= MOST_BYTES;
            let committed = fits.then(|| {
                self.waiting.fetch_add(bytes, Ordering::AcqRel);
                let held = Held { bytes, waiting: self.waiting.clone() };
                Arc::new(Committed { key, what, position, _held: held })
            });
            // The last follower may have gone meanwhile: then nobody wants to know.
            drop(self.sender.send(committed));
        }
    }
}

/// What something takes of the feed's capacity while followers haven't dropped it.
#[derive(Debug)]
struct Held {
    bytes: usize,
    waiting: Arc<AtomicUsize>,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.waiting.fetch_sub(self.bytes, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use crate::engine::core::history::KeptBatch;
    use crate::ids::{ProductId, SessionId};
    use crate::session::payload::{Action, ActionsPayload};

    fn batch(first: u64, bytes: usize) -> (SessionKey, What) {
        let key = SessionKey {
            product: ProductId::new("p").unwrap(),
            session: SessionId::new("s").unwrap(),
        };
        let action = Action { description: "x".repeat(bytes), ..Action::default() };
        let batch = ActionsPayload { actions: vec![action], ..ActionsPayload::default() };
        (key, What::Batch(Arc::new(KeptBatch { first, at: Timestamp(0), batch })))
    }

    fn feed(publisher: &Publisher) -> Feed {
        Feed { receiver: publisher.sender.subscribe(), told: publisher.told.clone(), position: 0 }
    }

    async fn next(feed: &mut Feed) -> Option<u64> {
        match feed.next().await.unwrap() {
            Next::Committed(committed) => match &committed.what {
                What::Batch(batch) => Some(batch.first),
                What::Summary(_)
                | What::Person { .. }
                | What::Linked(_)
                | What::Help(_)
                | What::Offer(_)
                | What::Asked(_)
                | What::Launch(_)
                | What::Gone => unreachable!(),
            },
            Next::Behind => None,
        }
    }

    #[tokio::test]
    async fn a_follower_that_falls_behind_is_told_so_and_then_what_comes() {
        let publisher = Publisher::new();
        let mut feed = feed(&publisher);
        for n in 1..=MOST as u64 + 1 {
            publisher.tell(batch(n, 1));
        }
        assert_eq!(next(&mut feed).await, None);
        assert_eq!(feed.position(), MOST as u64 + 1);
        publisher.tell(batch(7, 1));
        assert_eq!(next(&mut feed).await, Some(7));
        assert_eq!(feed.position(), publisher.told.load(Ordering::Acquire));
    }

    #[tokio::test]
    async fn what_waits_is_bounded_by_bytes_too_and_room_comes_back() {
        let publisher = Publisher::new();
        let mut feed = feed(&publisher);
        for n in 1..=9 {
            publisher.tell(batch(n, MOST_BYTES / 8));
        }
        assert!(publisher.waiting.load(Ordering::Acquire) <= MOST_BYTES);
        let mut seen = Vec::new();
        while let Some(n) = next(&mut feed).await {
            seen.push(n);
        }
        assert!(!seen.is_empty() && seen.len() < 9, "{seen:?}, then: behind");
        assert_eq!(publisher.waiting.load(Ordering::Acquire), 0);
        publisher.tell(batch(10, MOST_BYTES / 8));
        assert_eq!(next(&mut feed).await, Some(10));
    }

    #[tokio::test]
    async fn without_a_follower_nothing_waits_and_with_the_engine_the_feed_ends() {
        let publisher = Publisher::new();
        publisher.tell(batch(1, 10));
        assert_eq!(publisher.waiting.load(Ordering::Acquire), 0);
        let mut feed = feed(&publisher);
        publisher.tell(batch(2, 10));
        drop(publisher);
        assert_eq!(next(&mut feed).await, Some(2));
        assert!(feed.next().await.is_err());
    }
}
