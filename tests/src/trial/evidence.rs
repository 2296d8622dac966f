//! What a trial has seen, from outside the host.

use std::collections::HashMap;

use sidenote::clock::Timestamp;
use sidenote::outbox::lane::DeadLetter;
use sidenote_sim::Exchange;

/// All that a [judge](super::judge) goes by. Sessions have names that are theirs in all products.
#[derive(Debug, Clone, Default)]
pub struct Evidence {
    /// The batches that the host was sent.
    pub batches: Vec<Batch>,
    /// The links that the host was asked for, by session, in the order of asking.
    pub links: HashMap<String, Vec<LinkWish>>,
    /// When the host was killed, ascending.
    pub kills: Vec<Kill>,
    /// What came to the platform, in the order in which it came.
    pub exchanges: Vec<Exchange>,
    /// The notes that were given up.
    pub dead: Vec<DeadLetter>,
}

/// A batch of actions `first..first + count` of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// The session.
    pub session: String,
    /// The number of its first action.
    pub first: u64,
    /// How many actions it has.
    pub count: u64,
    /// When it was sent.
    pub emitted: Timestamp,
    /// Whether the host said that it is taken.
    pub taken: bool,
}

/// A link that the host was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkWish {
    /// The conversation.
    pub conversation: String,
    /// When the host said that it is made; `None` where its answer never came.
    pub made: Option<Timestamp>,
}

/// A kill: at some moment between the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kill {
    /// Before it was asked for.
    pub before: Timestamp,
    /// When the process was gone.
    pub after: Timestamp,
}

impl Evidence {
    /// How many actions were taken.
    pub fn actions_accepted(&self) -> u64 {
        self.batches.iter().filter(|batch| batch.taken).map(|batch| batch.count).sum()
    }
}
