//! Answers on their way back: left under a key of the host that asked, which looks there when it is told to, and now and
//! then by itself.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sidenote_cluster::ids::Member;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::{Instant, sleep};

use crate::engine::core::Answer;
use crate::engine::core::message::ReplyTo;
use crate::store::{AnswerPlace, Bells, SharedServer, StoreError};

/// Answers that can wait to be left.
const WAITING: usize = 1024;

/// Answers that are left, or read, at once.
const TOGETHER: usize = 256;

/// How long it is tried to leave an answer. Whoever waits for it has been told by then to ask again.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long answers are kept for a host that doesn't read them.
const KEPT: Duration = Duration::from_secs(60);

/// Pause before a server that is away is tried again.
const PAUSE: Duration = Duration::from_millis(250);

/// How often a host that waits looks by itself.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// The requests of this host that wait for an answer.
#[derive(Clone, Default)]
pub(super) struct Waiters(Arc<Mutex<Waiting>>);

#[derive(Default)]
struct Waiting {
    next: u64,
    by_number: HashMap<u64, oneshot::Sender<Answer>>,
    /// Somebody began to wait.
    begun: Arc<Notify>,
}

/// One that waits, until it is dropped.
pub(super) struct Waiter {
    all: Waiters,
    number: u64,
    answer: oneshot::Receiver<Answer>,
}

impl Waiters {
    fn lock(&self) -> std::sync::MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One more.
    pub(super) fn begin(&self) -> Waiter {
        let (sender, answer) = oneshot::channel();
        let mut waiting = self.lock();
        waiting.next += 1;
        let number = waiting.next;
        waiting.by_number.insert(number, sender);
        waiting.begun.notify_one();
        Waiter { all: self.clone(), number, answer }
    }

    /// Tells the one of this number, where it still waits.
    fn tell(&self, number: u64, answer: Answer) {
        let waiter = self.lock().by_number.remove(&number);
        if let Some(waiter) = waiter {
            // It may have gone in this moment.
            drop(waiter.send(answer));
        }
    }

    fn is_empty(&self) -> bool {
        self.lock().by_number.is_empty()
    }
}

impl Waiter {
    /// By which number the answer finds it.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// The answer; `None` where this release can't read it.
    pub(super) async fn answer(&mut self) -> Option<Answer> {
        (&mut self.answer).await.ok()
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        self.all.lock().by_number.remove(&self.number);
    }
}

/// Leaves the answers of this host's engines for the hosts that asked.
pub struct Answering {
    server: Arc<SharedServer>,
    me: Member,
    waiters: Waiters,
    answers: mpsc::Receiver<(ReplyTo, Answer)>,
}

impl Answering {
    pub(super) fn new(
        server: Arc<SharedServer>,
        me: Member,
        waiters: Waiters,
    ) -> (mpsc::Sender<(ReplyTo, Answer)>, Self) {
        let (sender, answers) = mpsc::channel(WAITING);
        (sender, Self { server, me, waiters, answers })
    }

    /// Leaves them until all engines have ended.
    pub async fn run(mut self) {
        let mut some = Vec::with_capacity(TOGETHER);
        while self.answers.recv_many(&mut some, TOGETHER).await > 0 {
            let mut by_host: BTreeMap<String, Vec<Vec<u8>>> = BTreeMap::new();
            for (to, answer) in some.drain(..) {
                if to.host == self.me.to_string() {
                    self.waiters.tell(to.number, answer);
                } else {
                    by_host.entry(to.host).or_default().push(packed(to.number, &answer));
                }
            }
            for (host, answers) in by_host {
                self.leave(&host, &answers).await;
            }
        }
    }

    async fn leave(&self, host: &str, answers: &[Vec<u8>]) {
        let Some(host) = Member::parse(host) else {
            tracing::debug!("hosts: an answer is for nobody: no host is called so");
            return;
        };
        let until = Instant::now() + PATIENCE;
        while let Err(error) = self.server.answer(&host, KEPT, answers).await {
            let passes = matches!(error, StoreError::Away(_));
            if !passes || Instant::now() >= until {
                tracing::warn!(answers = answers.len(), "hosts: answers aren't left: {error}");
                return;
            }
            sleep(PAUSE).await;
        }
    }
}

/// An answer, behind the number of its request.
fn packed(number: u64, answer: &Answer) -> Vec<u8> {
    let mut bytes = number.to_be_bytes().to_vec();
    bytes.extend(answer.encode());
    bytes
}

fn unpacked(bytes: &[u8]) -> Option<(u64, Answer)> {
    let (number, answer) = bytes.split_first_chunk::<8>()?;
    Some((u64::from_be_bytes(*number), Answer::decode(answer).ok()?))
}

/// Reads the answers to this host's requests.
pub struct AnswerReader {
    server: Arc<SharedServer>,
    me: Member,
    waiters: Waiters,
    bell: Arc<Notify>,
    read: AnswerPlace,
}

impl AnswerReader {
    pub(super) fn new(
        server: Arc<SharedServer>,
        me: Member,
        waiters: Waiters,
        bells: &Bells,
    ) -> Self {
        let bell = Arc::default();
        bells.ring_for_answers(&me, &bell);
        Self { server, me, waiters, bell, read: AnswerPlace::default() }
    }

    /// Reads until the server fails for good.
    pub async fn run(mut self) -> StoreError {
        let begun = self.waiters.lock().begun.clone();
        loop {
            let waits = !self.waiters.is_empty();
            tokio::select! {
                () = self.bell.notified() => {}
                () = begun.notified(), if !waits => continue,
                () = sleep(LOOK_EVERY), if waits => {}
            }
            match self.read().await {
                Ok(()) => {}
                Err(error @ (StoreError::Fatal(_) | StoreError::Lost(_))) => return error,
                // What is there is found when the server is back.
                Err(_) => sleep(PAUSE).await,
            }
        }
    }

    async fn read(&mut self) -> Result<(), StoreError> {
        loop {
            let some = self.server.answers(&self.me, self.read, TOGETHER).await?;
            let all = some.len() < TOGETHER;
            for (place, bytes) in some {
                self.read = place;
                match unpacked(&bytes) {
                    Some((number, answer)) => self.waiters.tell(number, answer),
                    None => tracing::warn!("hosts: an answer can't be read by this release"),
                }
            }
            if all {
                return Ok(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_that_waits_is_told_once_and_one_that_has_gone_is_forgotten() {
        let waiters = Waiters::default();
        let (mut first, second) = (waiters.begin(), waiters.begin());
        let (number, answer) = unpacked(&packed(first.number(), &Answer::Decided(3))).unwrap();
        waiters.tell(number, answer);
        waiters.tell(first.number(), Answer::Decided(4));
        assert!(matches!(first.answer().await, Some(Answer::Decided(3))));
        assert!(!waiters.is_empty());
        drop(second);
        assert!(waiters.is_empty());
    }

    #[test]
    fn what_is_no_answer_is_none() {
        for bytes in [&b""[..], b"1234567", b"12345678", b"12345678\x09x"] {
            assert!(unpacked(bytes).is_none());
        }
    }
}
