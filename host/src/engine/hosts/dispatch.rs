//! The other end of a handle whose commands go to whichever host has the partition.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{BoxFuture, join_all};
use sidenote_cluster::ids::{Member, Once, Partition, Payload};
use sidenote_cluster::input::Input as Sent;
use sidenote_cluster::partition::Partitions;
use sidenote_cluster::time::Times;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, timeout_at};

use super::adder::{Adder, AdderError, Adding};
use super::answers::{AnswerReader, Answering, Waiter, Waiters};
use super::find;
use super::keys::Keys;
use crate::engine::backlog::Askers;
use crate::engine::core::audit::{Deed, Outcome};
use crate::engine::core::erase::Erased;
use crate::engine::core::link::LinkError;
use crate::engine::core::message::{ReplyTo, Request};
use crate::engine::core::place::Place;
use crate::engine::core::{Answer, Command, Settings};
use crate::engine::handle::{CONTROL, Handle, INBOX, INBOX_KIB};
use crate::engine::inbox::{self, Asked, Change, Input, Reply};
use crate::engine::process::Process;
use crate::engine::progress::Turns;
use crate::engine::state::State;
use crate::ids::SessionKey;
use crate::post::Post;
use crate::store::{AllPartitions, Bells, SharedServer, StoreError};

/// Requests that wait for an answer at the same time; whoever asks beyond them is told to ask again.
const MOST_ASKED: usize = 4096;

/// The hosts that share a namespace, as one of them knows of them.
pub struct Hosts {
    /// What they share.
    pub server: Arc<SharedServer>,
    /// How many partitions there are.
    pub partitions: Partitions,
    /// This start of this host.
    pub me: Member,
    /// How long things last.
    pub times: Times,
    /// What tells of something new.
    pub bells: Arc<Bells>,
    /// How long an answer is waited for.
    pub patience: Duration,
}

/// What there is on this host.
pub struct Here {
    /// What its engines share.
    pub process: Process,
    /// Asked what plugins can do.
    pub post: Arc<dyn Post>,
    /// The engines' part of the configuration.
    pub settings: Arc<Settings>,
}

/// Adds what comes from a handle to the inboxes of partitions, and tells the answers. [`Dispatch::run`] it on a task of its
/// own.
pub struct Dispatch {
    inbox: mpsc::Receiver<Input>,
    control: mpsc::Receiver<Input>,
    in_force: watch::Sender<Arc<Settings>>,
    turns: Turns,
    router: Router,
    adder: Adder,
    reader: AnswerReader,
    answering: Answering,
    answers: mpsc::Sender<(ReplyTo, Answer)>,
    bells: Arc<Bells>,
}

/// Why nothing is sent to the partitions any more.
#[derive(Debug, thiserror::Error)]
pub enum DispatchError {
    /// The server failed for good.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A task panicked.
    #[error("hosts: a task ended in a panic: {0}. This is a bug; restart the host")]
    Panic(#[from] JoinError),
}

impl From<AdderError> for DispatchError {
    fn from(error: AdderError) -> Self {
        match error {
            AdderError::Store(error) => Self::Store(error),
            AdderError::Panic(error) => Self::Panic(error),
        }
    }
}

impl Dispatch {
    /// One for this host, and the handle on it.
    pub fn new(hosts: Hosts, here: Here) -> (Handle, Self) {
        let Hosts { server, partitions, me, times, bells, patience } = hosts;
        let Here { process, post, settings } = here;
        let (sender, inbox) = mpsc::channel(INBOX);
        let (orders, control) = mpsc::channel(CONTROL);
        let (in_force, settings) = watch::channel(settings);
        // Nothing of removed rows is left on the server.
        let (_, scrub_due) = watch::channel(false);
        let (state, store_state) = State::new(process.counters.clone());
        let rows = Arc::new(AllPartitions::new(server.clone(), partitions));
        let (told_keys, keys) = Keys::new(rows.clone());
        let turns = Turns::default();
        let handle = Handle {
            inbox: sender,
            control: orders,
            gate: process.gate.clone(),
            capacity: Arc::new(Semaphore::new(INBOX_KIB as usize)),
            counters: process.counters.clone(),
            settings,
            store: rows.clone(),
            post,
            scrub_due,
            store_state,
            listeners: process.publisher.listeners(),
            tap: process.tap.tap(),
            latest: process.latest.clone(),
            turns: turns.clone(),
            backlog: Askers::All(process.backlogs.clone()),
            keys: told_keys,
            by: None,
        };
        let waiters = Waiters::default();
        let (answers, answering) = Answering::new(server.clone(), me.clone(), waiters.clone());
        let reader = AnswerReader::new(server.clone(), me.clone(), waiters.clone(), &bells);
        let (add, handed) = mpsc::channel(INBOX);
        let adder = Adder::new(server, times, me.clone(), state, handed);
        let (asked, host) = (Arc::new(Semaphore::new(MOST_ASKED)), me.to_string());
        let router = Router { partitions, host, patience, rows, add, waiters, keys, asked };
        let dispatch = Self {
            inbox,
            control,
            in_force,
            turns,
            router,
            adder,
            reader,
            answering,
            answers,
            bells,
        };
        (handle, dispatch)
    }

    /// Where the engines of this host say what whoever asked is answered: for [`super::super::Intake`].
    pub fn answers(&self) -> mpsc::Sender<(ReplyTo, Answer)> {
        self.answers.clone()
    }

    /// Runs until it is drained, or stopped, or the server fails for good.
    ///
    /// # Errors
    /// As that says.
    pub async fn run(self) -> Result<(), DispatchError> {
        let Self { mut inbox, mut control, in_force, turns, router, adder, reader, .. } = self;
        let mut beside: JoinSet<Result<(), DispatchError>> = JoinSet::new();
        let keys = router.keys.clone();
        let bells = self.bells;
        beside.spawn(async move { Err(reader.run().await.into()) });
        beside.spawn(async move { Err(keys.run().await.into()) });
        beside.spawn(async move { match bells.run().await {} });
        beside.spawn(async move { adder.run().await.map_err(DispatchError::from) });
        let (answers, answering) = (self.answers, self.answering);
        beside.spawn(async move {
            answering.run().await;
            Ok(())
        });
        let (last, marks) = mpsc::unbounded_channel();
        let mut tasks = JoinSet::new();
        tasks.spawn(one_after_the_other(marks));
        let mut open = true;
        while open {
            turns.took_one();
            let input = tokio::select! {
                // An order comes behind all that was there before it.
                Some(order) = control.recv() => {
                    for _ in 0..INBOX {
                        let Ok(input) = inbox.try_recv() else { break };
                        router.route(input, &in_force, &last, &mut tasks).await;
                    }
                    order
                }
                input = inbox.recv() => input.unwrap_or_else(|| Command::Drain.into()),
                Some(ended) = tasks.join_next() => {
                    ended?;
                    continue;
                }
                Some(ended) = beside.join_next() => {
                    ended??;
                    continue;
                }
                () = turns.wanted() => continue,
            };
            if matches!(input.command(), Some(Command::Stop)) {
                return Ok(());
            }
            open = !matches!(input.command(), Some(Command::Drain));
            if open {
                router.route(input, &in_force, &last, &mut tasks).await;
            }
        }
        // What was handed over before is added still; the adder ends when nobody hands it anything any more.
        inbox.close();
        while let Some(input) = inbox.recv().await {
            router.route(input, &in_force, &last, &mut tasks).await;
        }
        drop((last, router));
        while let Some(ended) = tasks.join_next().await {
            ended?;
        }
        let ended = beside.join_next().await;
        // The engines answer until then.
        drop(answers);
        ended.unwrap_or(Ok(Ok(())))?
    }
}

/// What is done behind something else, in order. What waits here is bounded by the capacity that it takes.
type Last = mpsc::UnboundedSender<BoxFuture<'static, ()>>;

/// Does each when the one before is done.
async fn one_after_the_other(mut all: mpsc::UnboundedReceiver<BoxFuture<'static, ()>>) {
    while let Some(next) = all.recv().await {
        next.await;
    }
}

/// Where a part of a command goes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Of(Partition),
    /// Behind all others.
    Namespace,
}

/// Finds where commands go.
#[derive(Clone)]
struct Router {
    partitions: Partitions,
    /// By which name this host is answered.
    host: String,
    patience: Duration,
    rows: Arc<AllPartitions>,
    add: mpsc::Sender<Adding>,
    waiters: Waiters,
    keys: Keys,
    asked: Arc<Semaphore>,
}

/// A request whose answer is waited for.
struct Waits {
    reply: Reply,
    deed: Option<Deed>,
    once: Option<Once>,
    until: Instant,
    _place: OwnedSemaphorePermit,
    _capacity: Option<Arc<OwnedSemaphorePermit>>,
}

impl Router {
    async fn route(
        &self,
        input: Input,
        in_force: &watch::Sender<Arc<Settings>>,
        last: &Last,
        tasks: &mut JoinSet<()>,
    ) {
        let asked = match input {
            Input::Command(asked) => *asked,
            Input::Settings(change) => return change_settings(change, in_force),
            Input::Entry(_) => {
                debug_assert!(false, "no inbox is read here");
                return;
            }
        };
        let Asked { command, reply, capacity, deed, once } = asked;
        let once = once.map(Once::new);
        let capacity = capacity.map(Arc::new);
        if !matches!(reply, Reply::Nobody | Reply::Accepted(_)) {
            return self.ask((command, deed, once), (reply, capacity), tasks).await;
        }
        let accepted = if let Reply::Accepted(reply) = reply { Some(reply) } else { None };
        match command.place() {
            Place::Session(key) => {
                let to = find::of_session(self.partitions, &key);
                self.hand_over(to, (command, None, once), accepted, capacity).await;
            }
            Place::Namespace => {
                let to = self.partitions.of_namespace();
                self.hand_over(to, (command, deed, None), accepted, capacity).await;
            }
            Place::Each => self.hand_over_parts(command, accepted, capacity, last).await,
            // Whoever wants these waits for an answer.
            Place::OneOf(_) | Place::Person(_) | Place::Conversation(..) | Place::Here => {
                debug_assert!(false, "it is asked for");
            }
        }
    }

    /// Adds a command that nobody waits for longer than until it is in the inbox.
    async fn hand_over(
        &self,
        to: Partition,
        (command, deed, once): (Command, Option<Deed>, Option<Once>),
        tell: Option<oneshot::Sender<()>>,
        capacity: Option<Arc<OwnedSemaphorePermit>>,
    ) {
        if let Some(payload) = payload(&Request { command, deed, reply: None }, once) {
            self.add(Adding { to, payload, until: None, tell, _capacity: capacity }).await;
        }
    }

    async fn add(&self, adding: Adding) {
        if self.add.send(adding).await.is_err() {
            tracing::debug!("hosts: nothing is added any more: the host ends");
        }
    }

    /// Adds what a source brought, and how far that is once the rest is in.
    async fn hand_over_parts(
        &self,
        command: Command,
        accepted: Option<oneshot::Sender<()>>,
        capacity: Option<Arc<OwnedSemaphorePermit>>,
        last: &Last,
    ) {
        let (mut before, mut mark) = (Vec::new(), None);
        for (part, command) in self.split(command) {
            let to = match part {
                Part::Of(partition) => partition,
                Part::Namespace => {
                    mark = Some(command);
                    continue;
                }
            };
            let (tell, told) = oneshot::channel();
            self.hand_over(to, (command, None, None), Some(tell), capacity.clone()).await;
            before.push(told);
        }
        let router = self.clone();
        let behind = async move {
            if join_all(before).await.iter().any(Result::is_err) {
                return;
            }
            let to = router.partitions.of_namespace();
            match (mark, accepted) {
                (Some(mark), tell) => {
                    router.hand_over(to, (mark, None, None), tell, capacity).await
                }
                (None, Some(tell)) => {
                    tell.send(()).ok();
                }
                (None, None) => {}
            }
        };
        if last.send(Box::pin(behind)).is_err() {
            tracing::debug!("hosts: what a source brought has no mark: the host ends");
        }
    }

    fn split(&self, command: Command) -> Vec<(Part, Command)> {
        let of = |key: &_| Part::Of(find::of_session(self.partitions, key));
        command.split(of, Part::Namespace)
    }

    /// Has a command carried out whose answer is waited for.
    async fn ask(
        &self,
        (command, deed, once): (Command, Option<Deed>, Option<Once>),
        (reply, capacity): (Reply, Option<Arc<OwnedSemaphorePermit>>),
        tasks: &mut JoinSet<()>,
    ) {
        let Ok(place) = self.asked.clone().try_acquire_owned() else { return reply.unanswered() };
        let until = Instant::now() + self.patience;
        let waits = Waits { reply, deed, once, until, _place: place, _capacity: capacity };
        let router = self.clone();
        match command.place() {
            Place::Session(key) => {
                let to = find::of_session(self.partitions, &key);
                self.ask_at(&[to], command, waits, tasks).await;
            }
            Place::Namespace => {
                let changes_keys = matches!(command, Command::Key(_));
                let to = self.partitions.of_namespace();
                let waiters = self.request(&[to], command, &waits).await;
                tasks.spawn(async move {
                    let answer = waits.answer(waiters).await;
                    if changes_keys && let Err(error) = router.keys.read().await {
                        tracing::warn!("hosts: the keys that were changed can't be read: {error}");
                    }
                    waits.tell(answer);
                });
            }
            Place::Each => self.ask_each(command, waits, tasks).await,
            place @ (Place::OneOf(_) | Place::Person(_) | Place::Conversation(..)) => {
                tasks.spawn(async move { router.find_and_ask(place, command, waits).await });
            }
            Place::Here => debug_assert!(false, "it is never handed over here"),
        }
    }

    /// Asks these partitions the same, and tells their answers as one.
    async fn ask_at(
        &self,
        to: &[Partition],
        command: Command,
        waits: Waits,
        tasks: &mut JoinSet<()>,
    ) {
        let waiters = self.request(to, command, &waits).await;
        tasks.spawn(async move {
            let answer = waits.answer(waiters).await;
            waits.tell(answer);
        });
    }

    /// Asks each partition for its part, and the namespace's for its own behind them.
    async fn ask_each(&self, command: Command, waits: Waits, tasks: &mut JoinSet<()>) {
        let nothing = match matches!(command, Command::Erase(_)) {
            true => Answer::Erased(Erased::default()),
            false => Answer::Decided(0),
        };
        let (mut waiters, mut last) = (Vec::new(), None);
        for (part, command) in self.split(command) {
            match part {
                Part::Of(to) => waiters.extend(self.request(&[to], command, &waits).await),
                Part::Namespace => last = Some(command),
            }
        }
        let router = self.clone();
        tasks.spawn(async move {
            let mut answer = match waiters.is_empty() {
                true => Some(nothing),
                false => waits.answer(waiters).await,
            };
            if let (Some(sum), Some(last)) = (answer.take_if(|_| last.is_some()), last) {
                let to = router.partitions.of_namespace();
                let waiters = router.request(&[to], last, &waits).await;
                answer = waits.answer(waiters).await.and_then(|answer| sum.and(answer));
            }
            waits.tell(answer);
        });
    }

    /// Finds where a command goes that names no session, and asks there. What is said there is what counts: rows that were
    /// found are those of a moment before.
    async fn find_and_ask(&self, place: Place, command: Command, waits: Waits) {
        let to = match self.find(place).await {
            Ok(Found::At(to)) => to,
            Ok(Found::Several) => {
                if let Some(deed) = waits.deed.clone() {
                    let refused = Command::Audit(deed, Outcome::refused("ambiguous"));
                    let to = self.partitions.of_namespace();
                    self.hand_over(to, (refused, None, None), None, None).await;
                }
                return waits.tell(Some(Answer::Linked(Err(LinkError::Ambiguous))));
            }
            Err(error) => {
                tracing::warn!("hosts: it can't be found who has what a request is about: {error}");
                return waits.tell(None);
            }
        };
        let waiters = self.request(&to, command, &waits).await;
        let answer = waits.answer(waiters).await;
        waits.tell(answer);
    }

    async fn find(&self, place: Place) -> Result<Found, StoreError> {
        let of = |key: &SessionKey| find::of_session(self.partitions, key);
        // Where nobody is found, whoever is asked says so.
        let anybody = self.partitions.of_namespace();
        let to = match place {
            Place::OneOf(keys) if keys.len() > 1 => {
                let known = find::known(&self.rows, &keys).await?;
                if known.len() > 1 {
                    return Ok(Found::Several);
                }
                vec![known.first().map_or(anybody, of)]
            }
            Place::OneOf(keys) => vec![keys.first().map_or(anybody, of)],
            Place::Person(sought) => {
                vec![find::of_person(&self.rows, &sought).await?.as_ref().map_or(anybody, of)]
            }
            Place::Conversation(plugin, conversation) => {
                find::of_conversation(&self.rows, &plugin, &conversation).await?
            }
            Place::Session(key) => vec![of(&key)],
            Place::Namespace | Place::Each | Place::Here => vec![anybody],
        };
        Ok(Found::At(to))
    }

    /// Adds a request to the inboxes of these partitions. `None` stands for one that isn't sent.
    async fn request(
        &self,
        to: &[Partition],
        command: Command,
        waits: &Waits,
    ) -> Vec<Option<Waiter>> {
        let mut request = Request { command, deed: waits.deed.clone(), reply: None };
        let mut waiters = Vec::new();
        for to in to {
            let waiter = self.waiters.begin();
            request.reply = Some(ReplyTo { host: self.host.clone(), number: waiter.number() });
            let payload = payload(&request, waits.once);
            let sent = payload.is_some();
            if let Some(payload) = payload {
                let until = Some(waits.until);
                self.add(Adding { to: *to, payload, until, tell: None, _capacity: None }).await;
            }
            waiters.push(Some(waiter).filter(|_| sent));
        }
        waiters
    }
}

/// Where something was found.
enum Found {
    /// There.
    At(Vec<Partition>),
    /// In several sessions, of which one is meant.
    Several,
}

impl Waits {
    /// The answers as one; `None` where one of them doesn't come in time.
    async fn answer(&self, mut waiters: Vec<Option<Waiter>>) -> Option<Answer> {
        let waiters: Vec<_> = waiters.iter_mut().map(Option::as_mut).collect::<Option<_>>()?;
        let all = join_all(waiters.into_iter().map(Waiter::answer));
        let answers = timeout_at(self.until, all).await.ok()?;
        let mut sum: Option<Answer> = None;
        for answer in answers {
            let answer = answer?;
            sum = Some(match sum {
                Some(sum) => sum.and(answer)?,
                None => answer,
            });
        }
        sum
    }

    /// Tells it; without an answer, that there is none.
    fn tell(self, answer: Option<Answer>) {
        match answer {
            Some(answer) => self.reply.tell(answer),
            None => self.reply.unanswered(),
        }
    }
}

/// A request as an input of an inbox; `None` for one that can't be sent.
fn payload(request: &Request, once: Option<Once>) -> Option<Payload> {
    match request.encode() {
        Ok(bytes) => Some(Sent::work(once, Payload::new(&bytes)).encode()),
        Err(error) => {
            tracing::error!("{error}; it isn't carried out");
            None
        }
    }
}

/// Puts settings in force for what comes from here on. The engines are told theirs by whoever runs them.
fn change_settings(change: Change, in_force: &watch::Sender<Arc<Settings>>) {
    let Change { settings, swap, reply } = change;
    let Some(swap) = inbox::take(&swap) else { return };
    swap();
    in_force.send_replace(settings);
    if reply.send(()).is_err() {
        tracing::debug!("whoever asked for other settings didn't wait for them");
    }
}
