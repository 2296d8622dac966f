//! The stage: follows what is committed, and sees to what people write, one question of a session after the other.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use tokio::task::{JoinError, JoinSet};

use super::answer::{Parts, Seen};
use crate::backoff::Backoff;
use crate::clock::{Clock, Timestamp};
use crate::context::Recent;
use crate::engine::feed::{Committed, Next, What};
use crate::engine::{Closed, Handle};
use crate::ids::SessionKey;
use crate::llm::Replies;

/// Sessions that are seen to at once.
const TOGETHER: usize = 16;
/// Pause before a store that can't be read is asked again.
const PAUSE: Duration = Duration::from_secs(1);
/// Pauses before a question is seen to again.
const RETRY: Backoff = Backoff { initial: Duration::from_secs(1), max: Duration::from_secs(15) };

/// The stage: [`Replying::run`] runs it.
pub struct Replying {
    parts: Parts,
    /// The sessions in which something waits. What it is stays in the rows.
    sessions: HashMap<SessionKey, Waiting>,
    /// Those whose turn has come, in order.
    queue: VecDeque<SessionKey>,
    tasks: JoinSet<(SessionKey, Seen)>,
    jitter: fn() -> f64,
}

/// How far a session is.
#[derive(Default)]
struct Waiting {
    /// Whether it is being seen to, or in the queue.
    busy: bool,
    /// Whether something was asked meanwhile.
    again: bool,
    /// How often its oldest question was tried in vain.
    failures: u32,
    /// When it is seen to again.
    due: Option<Timestamp>,
}

impl Replying {
    /// Answers the people of this engine's products, as far as they have replies.
    pub fn new(engine: Handle, replies: Replies, recent: Recent, clock: Clock) -> Self {
        Self {
            parts: Parts { engine, replies, recent, clock },
            sessions: HashMap::new(),
            queue: VecDeque::new(),
            tasks: JoinSet::new(),
            jitter: rand::random,
        }
    }

    /// Takes chance from here, from 0 to 1: for tests.
    #[must_use]
    pub fn with_jitter(mut self, jitter: fn() -> f64) -> Self {
        self.jitter = jitter;
        self
    }

    /// Runs until the engine ends. Safe to be dropped at any moment: what was asked and not answered is in the rows, and
    /// asked again after the next start.
    ///
    /// # Errors
    /// A task panicked: a bug.
    pub async fn run(mut self) -> Result<(), JoinError> {
        let mut feed = self.parts.engine.feed();
        self.survey().await;
        loop {
            self.begin();
            let timer = self.sessions.values().filter_map(|waiting| waiting.due).min();
            let clock = self.parts.clock;
            let due = async {
                match timer {
                    Some(at) => tokio::time::sleep_until(clock.instant(at)).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                next = feed.next() => match next {
                    Ok(Next::Committed(committed)) => self.hear(&committed),
                    Ok(Next::Behind) => {
                        tracing::warn!("replies: they fell behind what is committed; the store is read again");
                        self.survey().await;
                    }
                    Err(Closed) => return Ok(()),
                },
                Some(ended) = self.tasks.join_next() => {
                    let (key, seen) = ended?;
                    self.end(key, seen);
                }
                () = due => self.take_due(),
            }
        }
    }

    fn hear(&mut self, committed: &Committed) {
        match &committed.what {
            What::Asked(_) => self.wants(committed.key.clone()),
            What::Gone => {
                // One that is being seen to ends by itself: nothing of it is found any more.
                if self.sessions.get(&committed.key).is_some_and(|waiting| !waiting.busy) {
                    self.sessions.remove(&committed.key);
                }
            }
            What::Batch(_)
            | What::Summary(_)
            | What::Person { .. }
            | What::Linked(_)
            | What::Help(_)
            | What::Offer(_)
            | What::Launch(_) => {}
        }
    }

    /// Something waits in a session. One whose pause isn't over waits on: its oldest question comes first.
    fn wants(&mut self, key: SessionKey) {
        let waiting = self.sessions.entry(key.clone()).or_default();
        if waiting.busy {
            waiting.again = true;
        } else if waiting.due.is_none() {
            waiting.busy = true;
            self.queue.push_back(key);
        }
    }

    /// Begins with as many sessions as may be seen to at once.
    fn begin(&mut self) {
        while self.tasks.len() < TOGETHER
            && let Some(key) = self.queue.pop_front()
        {
            let parts = self.parts.clone();
            self.tasks.spawn(async move {
                let seen = parts.see_to(&key).await;
                (key, seen)
            });
        }
    }

    fn end(&mut self, key: SessionKey, seen: Seen) {
        let Some(waiting) = self.sessions.get_mut(&key) else { return };
        let again = std::mem::take(&mut waiting.again);
        match seen {
            Seen::Nothing if !again => drop(self.sessions.remove(&key)),
            Seen::Nothing | Seen::Done => {
                waiting.failures = 0;
                self.queue.push_back(key);
            }
            Seen::Later(asked) => {
                waiting.failures += 1;
                let pause = RETRY.pause(waiting.failures, asked, (self.jitter)());
                // Whatever is asked for, people wait: what is too late is to be found out in time.
                let pause = pause.min(RETRY.max);
                (waiting.busy, waiting.due) = (false, Some(self.parts.clock.now() + pause));
            }
        }
    }

    fn take_due(&mut self) {
        let now = self.parts.clock.now();
        for (key, waiting) in &mut self.sessions {
            if waiting.due.is_some_and(|at| at <= now) {
                (waiting.due, waiting.busy) = (None, true);
                self.queue.push_back(key.clone());
            }
        }
    }

    /// Reads in which sessions something waits.
    async fn survey(&mut self) {
        loop {
            match self.parts.engine.sessions_asking().await {
                Ok(keys) => return keys.into_iter().for_each(|key| self.wants(key)),
                Err(error) => {
                    tracing::warn!("replies: what is stored can't be read: {error}");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }
}
