//! What this host adds to the inboxes of partitions: each once, in the order in which it came.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use sidenote_cluster::call::{Add, Added, Answer, Call};
use sidenote_cluster::ids::{Member, Partition, Payload, Producer};
use sidenote_cluster::outgoing::{Outcome, Outgoing};
use sidenote_cluster::rules::Rules;
use sidenote_cluster::time::{Moment, Times};
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, sleep, sleep_until};

use crate::engine::state::{State, StoreState};
use crate::store::{SharedServer, StoreError};

/// Pause before a server that is away is asked again whether it is there.
const PAUSE: Duration = Duration::from_millis(500);

/// So many wait together for one add.
const TOGETHER: usize = 64;

/// Bytes of them.
const TOGETHER_BYTES: usize = 1 << 20;

/// Something for an inbox.
pub(super) struct Adding {
    /// Of which partition.
    pub(super) to: Partition,
    /// What.
    pub(super) payload: Payload,
    /// When nobody waits for it any more: what wasn't sent by then never is. `None`: it is sent whenever that can be.
    pub(super) until: Option<Instant>,
    /// Who is told that it is in.
    pub(super) tell: Option<oneshot::Sender<()>>,
    /// What it takes of the capacity of those who bring it.
    pub(super) _capacity: Option<Arc<OwnedSemaphorePermit>>,
}

/// Adds what it is handed. Run it on a task of its own.
pub(super) struct Adder {
    server: Arc<SharedServer>,
    times: Times,
    me: Member,
    state: State,
    handed: mpsc::Receiver<Adding>,
    queues: BTreeMap<Partition, Queue>,
    calls: JoinSet<Came>,
    next: u64,
    began: Instant,
    /// How many a server has lost for good, as it was told last.
    lost: u64,
}

/// What is for one partition.
struct Queue {
    outgoing: Outgoing<u64>,
    waiting: VecDeque<Adding>,
    /// Those that were sent and aren't known to be in.
    sent: HashMap<u64, Adding>,
}

/// What came of a call.
enum Came {
    Added(Add, Result<Answer, StoreError>),
    /// The server was asked whether it is there.
    There(Result<(), StoreError>),
}

/// Why nothing is added any more.
#[derive(Debug, thiserror::Error)]
pub(super) enum AdderError {
    /// The server failed for good.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A task panicked.
    #[error("hosts: a call of the server ended in a panic: {0}. This is a bug; restart the host")]
    Panic(#[from] JoinError),
}

impl Adder {
    /// One that adds under the name of this start of this host, and says in `state` how the server serves.
    pub(super) fn new(
        server: Arc<SharedServer>,
        times: Times,
        me: Member,
        state: State,
        handed: mpsc::Receiver<Adding>,
    ) -> Self {
        Self {
            server,
            times,
            me,
            state,
            handed,
            queues: BTreeMap::new(),
            calls: JoinSet::new(),
            next: 0,
            began: Instant::now(),
            lost: 0,
        }
    }

    /// Adds until nobody hands it anything any more, and all that was handed over has been in an inbox for long enough to
    /// outlive a failover of the server.
    pub(super) async fn run(mut self) -> Result<(), AdderError> {
        let mut open = true;
        while open || !self.is_empty() {
            let due = self.queues.values().filter_map(|queue| queue.outgoing.due()).min();
            let due = due.map(|due| self.began + Duration::from_millis(due.millis()));
            let is_away = self.state.get() != StoreState::Serving && self.calls.is_empty();
            tokio::select! {
                handed = self.handed.recv(), if open => match handed {
                    Some(adding) => self.take(adding),
                    None => open = false,
                },
                Some(came) = self.calls.join_next() => self.came(came?)?,
                () = sleep_until(due.unwrap_or(self.began)), if due.is_some() => self.send_all(),
                () = sleep(PAUSE), if is_away => {
                    let server = self.server.clone();
                    self.calls.spawn(async move { Came::There(server.is_there().await) });
                }
            }
        }
        Ok(())
    }

    fn is_empty(&self) -> bool {
        let is_empty = |queue: &Queue| queue.outgoing.is_empty() && queue.waiting.is_empty();
        self.calls.is_empty() && self.queues.values().all(is_empty)
    }

    /// Takes all that was handed over, and sends what can be.
    fn take(&mut self, first: Adding) {
        let mut to = BTreeSet::new();
        let mut next = Some(first);
        while let Some(adding) = next {
            to.insert(adding.to);
            self.queue(adding.to).waiting.push_back(adding);
            next = self.handed.try_recv().ok();
        }
        to.into_iter().for_each(|partition| self.send(partition));
    }

    fn queue(&mut self, to: Partition) -> &mut Queue {
        let (times, me) = (self.times, self.me.clone());
        let new = || {
            let outgoing = Outgoing::new(times, Rules::all(), to, Producer::Host(me, 0), None);
            Queue { outgoing, waiting: VecDeque::new(), sent: HashMap::new() }
        };
        self.queues.entry(to).or_insert_with(new)
    }

    fn send_all(&mut self) {
        let all: Vec<Partition> = self.queues.keys().copied().collect();
        all.into_iter().for_each(|partition| self.send(partition));
    }

    fn send(&mut self, to: Partition) {
        let now = self.now();
        let next = &mut self.next;
        let Some(queue) = self.queues.get_mut(&to) else { return };
        queue.fill(next);
        if let Some(add) = queue.outgoing.tick(now) {
            let server = self.server.clone();
            self.calls.spawn(async move {
                let answer = server.call(&Call::Add(add.clone())).await;
                Came::Added(add, answer)
            });
        }
    }

    fn came(&mut self, came: Came) -> Result<(), StoreError> {
        match came {
            Came::There(answer) => {
                self.is_passing(answer)?;
            }
            Came::Added(add, answer) => {
                let answer = self.is_passing(answer)?.and_then(Answer::add);
                self.added(&add, answer);
                self.send(add.partition);
            }
        }
        Ok(())
    }

    /// The answer; `None` where there is none for now.
    fn is_passing<T>(&self, answer: Result<T, StoreError>) -> Result<Option<T>, StoreError> {
        let (state, error) = match answer {
            Ok(answer) => {
                self.state.has_room();
                self.state.set(StoreState::Serving);
                return Ok(Some(answer));
            }
            Err(error @ StoreError::Full(_)) => (StoreState::Full, error),
            Err(error @ StoreError::Away(_)) => (StoreState::Away, error),
            Err(error @ StoreError::Refused(_)) => (StoreState::Refused, error),
            Err(error @ (StoreError::Lost(_) | StoreError::Fatal(_))) => return Err(error),
        };
        if self.state.get() != state {
            tracing::error!("{error}; nothing is added to inboxes, requests are answered 503");
        }
        self.state.set(state);
        Ok(None)
    }

    fn added(&mut self, add: &Add, answer: Option<Added>) {
        let now = self.now();
        let Some(queue) = self.queues.get_mut(&add.partition) else { return };
        for outcome in queue.outgoing.answered(now, add, answer) {
            match outcome {
                Outcome::In(number) => {
                    if let Some(tell) = queue.sent.remove(&number).and_then(|it| it.tell) {
                        // Whoever handed it over may have gone.
                        tell.send(()).ok();
                    }
                }
                Outcome::Settled(_) => {}
                Outcome::Fenced(_) => debug_assert!(false, "it reads no stream"),
            }
        }
        let lost: u64 = self.queues.values().map(|queue| queue.outgoing.lost()).sum();
        if lost > self.lost {
            tracing::error!(
                inputs = lost - self.lost,
                "hosts: the Redis server has lost what it had acknowledged longer ago than it is kept here"
            );
            self.lost = lost;
        }
    }

    fn now(&self) -> Moment {
        Moment::from_millis(u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX))
    }
}

impl Queue {
    /// Has the next ones sent, where nothing is under way. So nothing is in the hands of the protocol that wasn't sent:
    /// what nobody waits for any more can be left out.
    fn fill(&mut self, next: &mut u64) {
        if !self.outgoing.is_idle() {
            return;
        }
        let now = Instant::now();
        let (mut count, mut bytes) = (0, 0);
        while let Some(adding) = self.waiting.pop_front() {
            if adding.until.is_some_and(|until| until <= now) {
                continue;
            }
            bytes += adding.payload.bytes().len();
            let fits = count < TOGETHER && (count == 0 || bytes <= TOGETHER_BYTES);
            if !fits || self.outgoing.push(adding.payload.clone(), *next).is_err() {
                self.waiting.push_front(adding);
                return;
            }
            self.sent.insert(*next, adding);
            *next += 1;
            count += 1;
        }
    }
}
