//! The real engine with a real store, a scripted way to the plugins, and time that a test owns.

use std::collections::{HashMap, HashSet, VecDeque};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use sidenote::clock::{Clock, Timestamp};
use sidenote::config::{Delivery, History, Product};
use sidenote::engine::core::rows::decode;
use sidenote::engine::link::{Identity, LinkCommand, LinkError, LinkMode, Linked, Who, Word};
use sidenote::engine::{Engine, EngineError, Gate, Handle, Settings, Summary};
use sidenote::ids::{ConversationId, PluginName, ProductId, SessionId, SessionKey};
use sidenote::outbox::lane::DeadLetter;
use sidenote::outbox::message::{Content, Message};
use sidenote::outbox::note::{
    Call, Crash, Failure, FailureKind, Found, LimitScope, Note, PostError, Posted, Redaction, Sent,
};
use sidenote::outbox::sink_delivery::{Roles, SinkDelivery};
use sidenote::post::Post;
use sidenote::session::payload::{Action, ActionsPayload, Payload, SummaryPayload};
use sidenote::session::state::Record;
use sidenote::store::{EmbeddedStore, Group, Journal, OpenError, PartitionStore, Store, Table};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::messages::Messages;
use crate::sinks::Sinks;

/// The wall clock when a world begins, in seconds.
pub const BEGIN: f64 = 1_700_000_000.0;

/// What a call is answered, after how long.
pub type Answer = (Duration, Result<Posted, PostError>);

/// A post as the platform sees it.
#[derive(Debug, Clone)]
pub struct Seen {
    /// When it began, from the world's start.
    pub at: Duration,
    /// When it was answered; `None` while it is under way, and where it was cut off.
    pub end: Option<Duration>,
    /// Whether it is answered with success.
    pub ok: bool,
    /// The answer.
    pub answer: Result<Posted, PostError>,
    /// The attempt.
    pub call: Call,
    /// The note.
    pub note: Note,
}

/// The scripted way to the plugins: remembers every post, answers from its script, then with success.
pub struct Platform {
    start: Instant,
    script: Mutex<VecDeque<Answer>>,
    slow: Mutex<HashMap<String, Duration>>,
    posts: Mutex<Vec<Seen>>,
    /// The keys that it says it has; `None` where it can't be asked.
    finder: Mutex<Option<HashSet<String>>>,
    asked: Mutex<Vec<String>>,
    redactions: Mutex<Redactions>,
    /// What people are sent.
    pub messages: Messages,
    /// The sinks beside it.
    pub sinks: Sinks,
}

/// What a platform of a test knows of notes that it can redact.
#[derive(Default)]
struct Redactions {
    /// Whether it says what it calls the notes that it takes, and redacts them.
    able: bool,
    script: VecDeque<RedactionAnswer>,
    asked: Vec<SeenRedaction>,
    /// The notes that people see: what it calls them, and their text.
    visible: Vec<(String, String)>,
    /// What it calls the notes that it took, by their keys: one that comes again is the same note.
    names: HashMap<String, String>,
    /// What happened, in order.
    log: Vec<String>,
    /// Whether the plugin is known to redact notes.
    exported: Option<bool>,
}

/// What a redaction is answered, after how long.
pub type RedactionAnswer = (Duration, Result<Redaction, PostError>);

/// A redaction as the platform sees it.
#[derive(Debug, Clone)]
pub struct SeenRedaction {
    /// When it began, from the world's start.
    pub at: Duration,
    /// When it was answered; `None` while it is under way, and where it was cut off.
    pub end: Option<Duration>,
    /// The answer.
    pub answer: Result<Redaction, PostError>,
    /// The attempt.
    pub call: Call,
    /// The conversation that the note is said to stand beside.
    pub conversation: ConversationId,
    /// What it calls the note.
    pub note_id: String,
}

impl Platform {
    /// A platform that answers the first calls as scripted.
    pub fn new(script: impl IntoIterator<Item = Answer>) -> Arc<Self> {
        let script = Mutex::new(script.into_iter().collect());
        let (slow, posts) = (Mutex::default(), Mutex::default());
        let (finder, asked) = (Mutex::default(), Mutex::default());
        let (redactions, messages) = (Mutex::default(), Messages::default());
        let (start, sinks) = (Instant::now(), Sinks::default());
        Arc::new(Self { start, script, slow, posts, finder, asked, redactions, messages, sinks })
    }

    /// A platform that names the notes that it takes, `n1` first, and redacts them as scripted, then
    /// with success.
    pub fn with_redactions(
        script: impl IntoIterator<Item = Answer>,
        redactions: impl IntoIterator<Item = RedactionAnswer>,
    ) -> Arc<Self> {
        let platform = Self::new(script);
        {
            let mut known = lock(&platform.redactions);
            known.able = true;
            known.script = redactions.into_iter().collect();
        }
        platform
    }

    /// From here on it says what it calls the notes that it takes, or doesn't.
    pub fn names_notes(&self, able: bool) {
        lock(&self.redactions).able = able;
    }

    /// Adds to the script of redactions.
    pub fn then_redacts(&self, answers: impl IntoIterator<Item = RedactionAnswer>) {
        lock(&self.redactions).script.extend(answers);
    }

    /// What it calls the notes that it took, by their keys, and whether people see them.
    pub fn named_notes(&self) -> HashMap<String, (String, bool)> {
        let known = lock(&self.redactions);
        let is_visible = |id: &String| known.visible.iter().any(|(visible, _)| visible == id);
        let named = |(key, id): (&String, &String)| (key.clone(), (id.clone(), is_visible(id)));
        known.names.iter().map(named).collect()
    }

    /// From here on it is known whether the plugin can redact notes at all.
    pub fn redacts(&self, exported: bool) {
        lock(&self.redactions).exported = Some(exported);
    }

    /// The redactions that were asked for, in the order in which they began.
    pub fn redactions(&self) -> Vec<SeenRedaction> {
        lock(&self.redactions).asked.clone()
    }

    /// The texts of the notes that people see, `conversation: line|line`, in the order of their posts.
    pub fn visible(&self) -> Vec<String> {
        lock(&self.redactions).visible.iter().map(|(_, text)| text.clone()).collect()
    }

    /// What happened, in order: `taken n1`, `asked for n1`, `gone n1`.
    pub fn log(&self) -> Vec<String> {
        lock(&self.redactions).log.clone()
    }

    /// Adds to the script.
    pub fn then(&self, answers: impl IntoIterator<Item = Answer>) {
        lock(&self.script).extend(answers);
    }

    /// Forgets what is left of the scripts: every further call succeeds.
    pub fn recover(&self) {
        lock(&self.script).clear();
        lock(&self.redactions).script.clear();
    }

    /// It can be asked for notes, and has those of these keys.
    pub fn finds(&self, keys: impl IntoIterator<Item = String>) {
        lock(&self.finder).get_or_insert_default().extend(keys);
    }

    /// The keys that it was asked for.
    pub fn asked(&self) -> Vec<String> {
        lock(&self.asked).clone()
    }

    /// Every post of this session takes so long, whatever the script says.
    pub fn slow_down(&self, session: &str, latency: Duration) {
        lock(&self.slow).insert(session.to_owned(), latency);
    }

    /// When it was made.
    pub fn start(&self) -> Instant {
        self.start
    }

    /// The posts so far, in the order in which they began.
    pub fn posts(&self) -> Vec<Seen> {
        lock(&self.posts).clone()
    }

    /// The posts so far, as `conversation: line|line`.
    pub fn lines(&self) -> Vec<String> {
        let lines = |note: &Note| note.body.lines().skip(3).collect::<Vec<_>>().join("|");
        let shown = |seen: &Seen| format!("{}: {}", seen.note.conversation, lines(&seen.note));
        lock(&self.posts).iter().map(shown).collect()
    }

    /// What was sent to people, as `conversation: text`.
    pub fn said(&self) -> Vec<String> {
        let text = |content: &Content| match content {
            Content::Offer(offer) | Content::Question(offer) => offer.text().to_owned(),
            Content::Reply(reply) => reply.text.as_str().to_owned(),
            Content::Removal { offer, .. } => format!("(offer {offer} is removed)"),
        };
        let said =
            |message: &Message| format!("{}: {}", message.conversation, text(&message.content));
        self.messages.seen().iter().map(|seen| said(&seen.message)).collect()
    }
}

#[async_trait::async_trait]
impl Post for Platform {
    async fn post_note(&self, call: Call, note: &Note) -> Result<Posted, PostError> {
        let (latency, answer) = lock(&self.script)
            .pop_front()
            .unwrap_or((Duration::ZERO, Ok(Posted { note_id: None, pause: None })));
        let slow = lock(&self.slow).get(note.key.session.as_str()).copied();
        let latency = slow.unwrap_or(latency);
        let seen = Seen {
            at: self.start.elapsed(),
            end: None,
            ok: answer.is_ok(),
            answer: answer.clone(),
            call,
            note: note.clone(),
        };
        let n = {
            let mut posts = lock(&self.posts);
            posts.push(seen);
            posts.len() - 1
        };
        tokio::time::sleep(latency).await;
        lock(&self.posts)[n].end = Some(self.start.elapsed());
        answer.map(|posted| self.named(note, posted))
    }

    async fn redact_note(
        &self,
        call: Call,
        _: &PluginName,
        conversation: &ConversationId,
        note_id: &str,
    ) -> Result<Redaction, PostError> {
        let (latency, answer, n) = {
            let mut known = lock(&self.redactions);
            let (latency, answer) =
                known.script.pop_front().unwrap_or((Duration::ZERO, Ok(Redaction::Removed)));
            known.asked.push(SeenRedaction {
                at: self.start.elapsed(),
                end: None,
                answer: answer.clone(),
                call,
                conversation: conversation.clone(),
                note_id: note_id.to_owned(),
            });
            known.log.push(format!("asked for {note_id}"));
            (latency, answer, known.asked.len() - 1)
        };
        tokio::time::sleep(latency).await;
        let mut known = lock(&self.redactions);
        known.asked[n].end = Some(self.start.elapsed());
        if matches!(answer, Ok(Redaction::Removed | Redaction::Overwritten)) {
            known.visible.retain(|(id, _)| id != note_id);
            known.log.push(format!("gone {note_id}"));
        }
        answer
    }

    async fn write_sink(&self, call: Call, delivery: &SinkDelivery) -> Result<(), PostError> {
        self.sinks.write(call, delivery).await
    }

    async fn send_message(&self, call: Call, message: &Message) -> Result<Posted, PostError> {
        self.messages.send(&call, message).await
    }

    fn offers(&self, _: &PluginName) -> Option<bool> {
        Some(true)
    }

    fn redacts(&self, _: &PluginName) -> Option<bool> {
        lock(&self.redactions).exported
    }

    fn roles(&self, plugin: &PluginName) -> Option<Roles> {
        self.sinks.roles(plugin)
    }

    async fn find_note(&self, call: Call, note: &Note) -> Result<Found, PostError> {
        let key = call.idempotency_key;
        // Who asks for a message has no text to show.
        if let Some(found) = self.messages.find(&key).filter(|_| note.body.is_empty()) {
            return Ok(found);
        }
        let found = match &*lock(&self.finder) {
            None => return Ok(Found::Unsupported),
            Some(has) if has.contains(&key) => Found::Yes(Some("found".to_owned())),
            Some(_) => Found::No,
        };
        lock(&self.asked).push(key);
        Ok(found)
    }
}

impl Platform {
    /// Gives a note that was taken its name, where it has them.
    fn named(&self, note: &Note, posted: Posted) -> Posted {
        let mut known = lock(&self.redactions);
        if !known.able || posted.note_id.is_some() {
            return posted;
        }
        if let Some(id) = known.names.get(&note.idempotency_key) {
            return Posted { note_id: Some(id.clone()), ..posted };
        }
        let id = format!("n{}", known.names.len() + 1);
        known.names.insert(note.idempotency_key.clone(), id.clone());
        known.log.push(format!("taken {id}"));
        let lines = note.body.lines().skip(3).collect::<Vec<_>>().join("|");
        known.visible.push((id.clone(), format!("{}: {lines}", note.conversation)));
        Posted { note_id: Some(id), ..posted }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("nothing panics while it holds this lock")
}

/// Success after a while.
pub fn ok_after(seconds: f64) -> Answer {
    (Duration::from_secs_f64(seconds), Ok(Posted { note_id: None, pause: None }))
}

/// A failure that the plugin reports.
pub fn failed(kind: FailureKind, retry_after: Option<Duration>) -> Answer {
    let (code, message) = ("503".to_owned(), "no".to_owned());
    let (scope, sent) = (LimitScope::Conversation, Sent::NotSent);
    let failure = Failure { kind, code, message, retry_after, scope, sent };
    (Duration::ZERO, Err(PostError::Failed(failure)))
}

/// A limit of the account or the conversation.
pub fn limited(scope: LimitScope, retry_after: Duration) -> Answer {
    let (code, message) = ("429".to_owned(), "slow down".to_owned());
    let (kind, sent) = (FailureKind::RateLimited, Sent::Sent);
    let retry_after = Some(retry_after);
    let failure = Failure { kind, code, message, retry_after, scope, sent };
    (Duration::ZERO, Err(PostError::Failed(failure)))
}

/// A trap.
pub fn crashed() -> Answer {
    let (crash, message) = (Crash::Trap, "unreachable".to_owned());
    (Duration::ZERO, Err(PostError::Crashed { crash, message }))
}

/// A running engine. The product is `p`, the plugin `bot`.
pub struct World {
    /// The way into the engine.
    pub handle: Handle,
    /// What was posted.
    pub platform: Arc<Platform>,
    /// Where the rows are.
    pub store: Arc<dyn Store>,
    engine: JoinSet<Result<(), EngineError>>,
}

impl World {
    /// Starts an engine at [`BEGIN`].
    pub fn start(store: Arc<dyn Store>, platform: Arc<Platform>, rules: Delivery) -> Self {
        Self::start_at(BEGIN, store, platform, rules)
    }

    /// Starts an engine whose wall clock shows `wall`, in seconds.
    pub fn start_at(
        wall: f64,
        store: Arc<dyn Store>,
        platform: Arc<Platform>,
        rules: Delivery,
    ) -> Self {
        Self::start_with(wall, store, platform, settings(&rules))
    }

    /// Starts an engine whose wall clock shows `wall`, in seconds.
    pub fn start_with(
        wall: f64,
        store: Arc<dyn Store>,
        platform: Arc<Platform>,
        settings: Settings,
    ) -> Self {
        let clock = Clock::starting_at(Timestamp::from_secs_f64(wall));
        let (handle, service) = Engine::new(store.clone(), platform.clone(), settings, clock);
        Self::run(handle, service, store, platform)
    }

    /// Starts an engine at [`BEGIN`] that keeps a history, and takes actions into this journal while its store
    /// is away.
    pub fn start_with_journal(
        store: Arc<dyn Store>,
        platform: Arc<Platform>,
        journal: Journal,
    ) -> Self {
        let clock = Clock::starting_at(Timestamp::from_secs_f64(BEGIN));
        let settings = settings(&Delivery::default()).with_history(History::default());
        let (handle, service) = Engine::new(store.clone(), platform.clone(), settings, clock);
        Self::run(handle, service.with_journal(journal), store, platform)
    }

    /// Starts an engine at [`BEGIN`] that works a partition.
    pub fn of_partition(
        store: Arc<PartitionStore>,
        platform: Arc<Platform>,
        rules: Delivery,
    ) -> Self {
        let clock = Clock::starting_at(Timestamp::from_secs_f64(BEGIN));
        let settings = settings(&rules);
        let (handle, service) = Engine::new(store.clone(), platform.clone(), settings, clock);
        Self::run(handle, service.of_partition(store.clone()), store, platform)
    }

    /// Starts an engine at [`BEGIN`] that shares this gate with others.
    pub fn start_through(
        gate: &Gate,
        store: Arc<dyn Store>,
        platform: Arc<Platform>,
        settings: Arc<Settings>,
    ) -> Self {
        let clock = Clock::starting_at(Timestamp::from_secs_f64(BEGIN));
        let (handle, service) =
            Engine::through(gate.clone(), store.clone(), platform.clone(), settings, clock);
        Self::run(handle, service, store, platform)
    }

    fn run(
        handle: Handle,
        service: Engine,
        store: Arc<dyn Store>,
        platform: Arc<Platform>,
    ) -> Self {
        let mut engine = JoinSet::new();
        engine.spawn(service.run());
        Self { handle, platform, store, engine }
    }

    /// One action of a session of product `p`; returns when it is taken.
    pub async fn act(&self, session: &str, text: &str) {
        self.take(batch(session, [action(text)])).await;
    }

    /// A batch; returns when it is taken.
    pub async fn take(&self, batch: ActionsPayload) {
        self.handle.accept_committed(batch, 100).await.expect("the engine runs");
    }

    /// A summary from the stream that replaces so many actions of a session of product `p`.
    pub async fn summary(&self, session: &str, text: &str, replaces: u64) {
        let summary = SummaryPayload {
            product_id: "p".to_owned(),
            session_id: Some(session.to_owned()),
            summary: text.to_owned(),
            replaces,
            ..SummaryPayload::default()
        };
        self.handle.accept(Payload::Summary(summary), 100).await.expect("the engine runs");
    }

    /// A summary of the host's own, which covers all actions of a session up to this ordinal.
    pub async fn summarize(&self, session: &str, text: &str, covers: u64) -> Summary {
        let session = SessionId::new(session).expect("not empty");
        let key = SessionKey { product: product("p"), session };
        self.handle.summarize(key, text.to_owned(), covers).await.expect("the engine runs")
    }

    /// A link as a platform's webhook makes it.
    pub async fn link(&self, session: &str, conversation: &str) -> Result<Linked, LinkError> {
        self.handle.link(wish(session, conversation, LinkMode::Auto)).await
    }

    /// What is stored of a session of product `p`.
    pub async fn record(&self, session: &str) -> Record {
        let group = Group("p".into(), session.into());
        let rows = self.store.load(Table::Session, &[group]).await.expect("the store answers");
        let record = |row: &(u64, Vec<u8>)| decode(&row.1).expect("a record");
        rows[0].first().map(record).unwrap_or_default()
    }

    /// How many rows a table has.
    pub async fn rows(&self, table: Table) -> usize {
        self.store.scan(table, None, usize::MAX).await.expect("the store answers").len()
    }

    /// The dead letters.
    pub async fn dead(&self) -> Vec<DeadLetter> {
        let rows = self.store.scan(Table::Dead, None, usize::MAX).await.expect("the store answers");
        rows.iter().map(|(_, value)| decode(value).expect("a dead letter")).collect()
    }

    /// Drains the engine and returns what was posted.
    pub async fn end(mut self) -> Vec<String> {
        self.handle.drain().await;
        while let Some(ended) = self.engine.join_next().await {
            ended.expect("no panic").expect("the engine drains");
        }
        self.platform.lines()
    }

    /// Waits for the engine to end by itself.
    pub async fn ended(&mut self) -> Result<(), EngineError> {
        self.engine.join_next().await.expect("the engine was started").expect("no panic")
    }

    /// Ends the engine at once, as a crash does; the rows stay.
    pub async fn crash(mut self) -> (Arc<dyn Store>, Arc<Platform>) {
        self.engine.shutdown().await;
        (self.store, self.platform)
    }
}

/// The settings of a world: products `p` and `q` with the plugin `bot`, no chance in the pauses.
pub fn settings(rules: &Delivery) -> Settings {
    let products =
        ["p", "q"].map(|id| (product(id), Product::of(vec!["bot".into()], rules.clone())));
    let mut settings = Settings::of_products(products);
    settings.jitter = || 1.0;
    settings
}

/// The same rules where each action is a note of its own, sealed at once, whatever is in front of it.
pub fn each_sealed(rules: Delivery) -> Delivery {
    Delivery { max_note_actions: 1, max_gathered_actions: 1, ..rules }
}

/// As [`settings`], with these plugins for both products, eight calls at a time each.
pub fn settings_with(rules: &Delivery, plugins: &[&str]) -> Settings {
    let plugins: Vec<PluginName> = plugins.iter().map(|name| (*name).into()).collect();
    let products = ["p", "q"].map(|id| (product(id), Product::of(plugins.clone(), rules.clone())));
    let mut settings = Settings::of_products(products);
    settings.jitter = || 1.0;
    plugins.into_iter().fold(settings, |settings, plugin| settings.with_concurrency(plugin, 2))
}

/// Opens a store in a file; waits until a crashed engine's last commit has let go of it.
pub async fn embedded(path: &Path) -> Arc<dyn Store> {
    let free = async {
        loop {
            match EmbeddedStore::open(path) {
                Ok(store) => return Arc::new(store),
                Err(OpenError::InUse(_)) => tokio::time::sleep(Duration::from_millis(1)).await,
                Err(error) => panic!("{error}"),
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(10), free).await.expect("the file is let go of")
}

/// Waits, by the test's clock.
pub async fn wait(seconds: f64) {
    tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
}

/// A product's id.
pub fn product(id: &str) -> ProductId {
    ProductId::new(id).expect("not empty")
}

/// A wish to link a session of product `p`.
pub fn wish(session: &str, conversation: &str, mode: LinkMode) -> LinkCommand {
    let key =
        SessionKey { product: product("p"), session: SessionId::new(session).expect("not empty") };
    let conversation = ConversationId::new(conversation).expect("not empty");
    let who = Who::Session(key);
    let (plugin, told) = ("bot".into(), Identity::default());
    LinkCommand { plugin, conversation, who, mode, told, word: Word::Operator }
}

/// An action with a text and nothing else.
pub fn action(text: &str) -> Action {
    Action { description: text.to_owned(), ..Action::default() }
}

/// A batch of a session of product `p`.
pub fn batch(session: &str, actions: impl IntoIterator<Item = Action>) -> ActionsPayload {
    ActionsPayload {
        product_id: "p".to_owned(),
        session_id: Some(session.to_owned()),
        actions: actions.into_iter().collect(),
        ..ActionsPayload::default()
    }
}
