//! What happens, told live to operators who watch: behind the commit. A slow follower misses things and is told so.
//!
//! What a follower hasn't read yet is bounded by count; of one that falls further behind the oldest is left out, and it
//! is told how much. While nobody follows, a transaction costs one atomic load and nothing is put down.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use super::Closed;
pub use crate::engine::core::tap::{Group, Happened, Happening, Job, Next};

/// What can wait for a follower.
const MOST_WAITING: usize = 1024;

/// Followers at once.
pub const MOST_FOLLOWERS: usize = 16;

/// As many follow as may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{MOST_FOLLOWERS} follow what happens already, and no more may")]
pub struct TooMany;

/// What a follower is told next.
#[derive(Debug, Clone)]
pub enum Told {
    /// Something happened.
    Happened(Arc<Happened>),
    /// The follower was too slow: so many things were left out here.
    Missed(u64),
}

/// The engine's end. With it the followers' end.
pub struct Teller {
    sender: broadcast::Sender<Arc<Happened>>,
    followers: Arc<AtomicUsize>,
}

impl Default for Teller {
    fn default() -> Self {
        Self { sender: broadcast::Sender::new(MOST_WAITING), followers: Arc::default() }
    }
}

impl Teller {
    /// Whether anybody follows.
    pub fn is_followed(&self) -> bool {
        self.followers.load(Ordering::Acquire) > 0
    }

    /// Tells what happened.
    pub fn tell(&self, happened: Vec<Happened>) {
        for happened in happened {
            // The last follower may have gone meanwhile: then nobody wants to know.
            drop(self.sender.send(Arc::new(happened)));
        }
    }

    /// What handles have of it.
    pub fn tap(&self) -> Tap {
        Tap { sender: self.sender.downgrade(), followers: self.followers.clone() }
    }
}

/// Where one begins to follow.
#[derive(Clone)]
pub struct Tap {
    sender: broadcast::WeakSender<Arc<Happened>>,
    followers: Arc<AtomicUsize>,
}

impl Tap {
    /// Follows what happens from here on.
    ///
    /// # Errors
    /// As many follow as may.
    pub fn follow(&self) -> Result<Follower, TooMany> {
        let more = |followers: usize| (followers < MOST_FOLLOWERS).then_some(followers + 1);
        let place = self.followers.fetch_update(Ordering::AcqRel, Ordering::Acquire, more);
        place.map_err(|_| TooMany)?;
        let place = Place(self.followers.clone());
        // What an engine that has ended tells is over at once.
        let receiver = match self.sender.upgrade() {
            Some(sender) => sender.subscribe(),
            None => broadcast::channel(1).1,
        };
        Ok(Follower { receiver, _place: place })
    }
}

/// A follower's end.
pub struct Follower {
    receiver: broadcast::Receiver<Arc<Happened>>,
    _place: Place,
}

impl Follower {
    /// What is told next. Safe to be dropped before it answers.
    ///
    /// # Errors
    /// The engine has ended.
    pub async fn next(&mut self) -> Result<Told, Closed> {
        match self.receiver.recv().await {
            Ok(happened) => Ok(Told::Happened(happened)),
            Err(RecvError::Lagged(missed)) => Ok(Told::Missed(missed)),
            Err(RecvError::Closed) => Err(Closed),
        }
    }
}

/// One of the places of followers, until it is dropped.
struct Place(Arc<AtomicUsize>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn happened(actions: usize) -> Happened {
        let what = Happening::Accepted { actions, titles: Vec::new() };
        Happened { at: 0.0, product: "p".to_owned(), session: "s".to_owned(), what }
    }

    async fn actions(follower: &mut Follower) -> usize {
        match follower.next().await.unwrap() {
            Told::Happened(it) => {
                let Happening::Accepted { actions, .. } = &it.what else {
                    panic!("only events are told here")
                };
                *actions
            }
            Told::Missed(missed) => panic!("{missed} were missed"),
        }
    }

    #[tokio::test]
    async fn one_that_falls_behind_is_told_how_much_it_missed_and_goes_on() {
        let teller = Teller::default();
        assert!(!teller.is_followed());
        let mut follower = teller.tap().follow().unwrap();
        assert!(teller.is_followed());
        teller.tell((0..MOST_WAITING + 7).map(happened).collect());
        match follower.next().await.unwrap() {
            Told::Missed(missed) => assert_eq!(missed, 7),
            Told::Happened(_) => panic!("the oldest are left out"),
        }
        assert_eq!(actions(&mut follower).await, 7);
        drop(follower);
        assert!(!teller.is_followed());
    }

    #[tokio::test]
    async fn so_many_follow_and_no_more_and_a_place_comes_back() {
        let teller = Teller::default();
        let tap = teller.tap();
        let mut all: Vec<_> = (0..MOST_FOLLOWERS).map(|_| tap.follow().unwrap()).collect();
        assert_eq!(tap.follow().err(), Some(TooMany));
        drop(all.pop());
        let mut last = tap.follow().unwrap();
        teller.tell(vec![happened(3)]);
        drop(teller);
        assert_eq!(actions(&mut last).await, 3);
        assert!(last.next().await.is_err(), "it ends with the engine");
        drop((all, last));
        assert!(tap.follow().unwrap().next().await.is_err());
    }
}
