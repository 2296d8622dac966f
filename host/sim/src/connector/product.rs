//! One product's stream: a bounded queue and at most one reader. A second reader takes over.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::{mpsc, watch};

use super::event::Event;
use crate::serve::Reset;

pub(super) enum Item {
    Event(Event),
    /// Closes the reader's connection in good order, after what was queued before.
    HangUp {
        reader: u64,
    },
}

pub(super) struct Product {
    pub(super) queue: mpsc::Sender<Item>,
    /// Held by the reader for as long as its connection lives.
    pub(super) waiting: Arc<tokio::sync::Mutex<mpsc::Receiver<Item>>>,
    next_event_id: AtomicU64,
    next_reader: AtomicU64,
    attached: watch::Sender<Option<Attached>>,
}

struct Attached {
    reader: u64,
    reset: Reset,
}

impl Product {
    pub(super) fn new(queued_events: usize) -> Self {
        let (queue, waiting) = mpsc::channel(queued_events.max(1));
        Self {
            queue,
            waiting: Arc::new(tokio::sync::Mutex::new(waiting)),
            next_event_id: AtomicU64::new(1),
            next_reader: AtomicU64::new(1),
            attached: watch::Sender::new(None),
        }
    }

    /// Attaches a reader. The one before it, if its connection still stands, is reset so that it lets go of the queue.
    pub(super) fn attach(&self, reset: Reset) -> u64 {
        let reader = self.next_reader.fetch_add(1, Ordering::Relaxed);
        if let Some(before) = self.attached.send_replace(Some(Attached { reader, reset })) {
            before.reset.now();
        }
        reader
    }

    /// Detaches it, unless another reader took it over.
    pub(super) fn leave(&self, reader: u64) {
        self.attached.send_if_modified(|attached| {
            attached.take_if(|attached| attached.reader == reader).is_some()
        });
    }

    pub(super) fn reader(&self) -> Option<u64> {
        self.attached.borrow().as_ref().map(|attached| attached.reader)
    }

    /// Waits until a reader is connected.
    pub(super) async fn read_by_someone(&self) {
        self.attached
            .subscribe()
            .wait_for(Option::is_some)
            .await
            .expect("the sender lives as long as self");
    }

    /// Resets the reader's connection, whatever is still queued for it.
    pub(super) fn reset(&self) -> bool {
        self.attached.borrow().as_ref().inspect(|attached| attached.reset.now()).is_some()
    }

    pub(super) fn next_event_id(&self) -> u64 {
        self.next_event_id.fetch_add(1, Ordering::Relaxed)
    }
}
