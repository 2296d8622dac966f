//! What one connection sends: events, heartbeats, and its end.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use tokio::sync::{OwnedMutexGuard, mpsc, watch};

use super::behaviour::{Behaviour, WhenUnread};
use super::event::heartbeat;
use super::product::{Item, Product};
use super::stats::{Counters, count};

/// One connection's side of a product's stream.
pub(super) struct Feed {
    pub(super) product: Arc<Product>,
    pub(super) reader: u64,
    pub(super) counters: Arc<Counters>,
    pub(super) behaviour: watch::Receiver<Behaviour>,
    pub(super) heartbeat: Option<Duration>,
    pub(super) when_unread: WhenUnread,
    pub(super) ids: bool,
}

impl Feed {
    /// The body of the answer.
    pub(super) fn body(self) -> UnsyncBoxBody<Bytes, Infallible> {
        count(&self.counters.connections);
        count(&self.counters.connected);
        let open = Open { feed: self, waiting: None, rest: Bytes::new(), sent: 0 };
        let pieces = stream::unfold(open, async |mut open| {
            let piece = open.next_piece().await?;
            Some((Ok::<_, Infallible>(Frame::data(piece)), open))
        });
        UnsyncBoxBody::new(StreamBody::new(pieces).boxed_unsync())
    }
}

struct Open {
    feed: Feed,
    waiting: Option<OwnedMutexGuard<mpsc::Receiver<Item>>>,
    rest: Bytes,
    sent: u64,
}

impl Open {
    /// The next bytes to be written at once; `None` ends the stream in good order.
    async fn next_piece(&mut self) -> Option<Bytes> {
        if self.rest.is_empty() {
            self.rest = self.next_frame().await?;
        } else {
            // Lets the piece before go to the socket by itself.
            tokio::task::yield_now().await;
        }
        let at_most = self.feed.behaviour.borrow().write_at_most.unwrap_or(usize::MAX).max(1);
        Some(self.rest.split_to(self.rest.len().min(at_most)))
    }

    async fn next_frame(&mut self) -> Option<Bytes> {
        if self.waiting.is_none() {
            self.waiting = Some(Arc::clone(&self.feed.product.waiting).lock_owned().await);
        }
        let waiting = self.waiting.as_mut().expect("locked above");
        loop {
            let (line_end, hang_up_after) = {
                let speaking =
                    self.feed.behaviour.wait_for(|behaviour| !behaviour.silent).await.ok()?;
                (speaking.line_end, speaking.hang_up_after)
            };
            if hang_up_after.is_some_and(|events| self.sent >= events) {
                return None;
            }
            let item = tokio::select! {
                biased;
                // Silence may have begun, or a limit may have been set, while nothing was to be sent.
                changed = self.feed.behaviour.changed() => match changed {
                    Ok(()) => continue,
                    Err(_) => return None,
                },
                item = waiting.recv() => item?,
                () = idle(self.feed.heartbeat) => {
                    count(&self.feed.counters.heartbeats);
                    return Some(heartbeat(line_end));
                }
            };
            match item {
                Item::Event(event) => {
                    self.sent += 1;
                    count(&self.feed.counters.events);
                    let id = self.feed.ids.then(|| self.feed.product.next_event_id());
                    return Some(event.frame(id, line_end));
                }
                Item::HangUp { reader } if reader == self.feed.reader => return None,
                Item::HangUp { .. } => {}
            }
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if let (Some(waiting), WhenUnread::Drop) = (&mut self.waiting, self.feed.when_unread) {
            while let Ok(item) = waiting.try_recv() {
                if let Item::Event(_) = item {
                    count(&self.feed.counters.dropped);
                }
            }
        }
        self.feed.product.leave(self.feed.reader);
        self.feed.counters.connected.fetch_sub(1, std::sync::atomic::Ordering::Relaxed);
    }
}

async fn idle(heartbeat: Option<Duration>) {
    match heartbeat {
        Some(after) => tokio::time::sleep(after).await,
        None => std::future::pending().await,
    }
}
