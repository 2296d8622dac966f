//! `AsyncSessionSummarizer` and what is made of it: the vectors of `summarizer.json` on the real summarizer and
//! the real engine under paused time.
//!
//! What is compared: the questions to the model, the summaries, and what the platform sees, each in its order and
//! with its times. Between them there is no order: the engine posts notes while the model is asked.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use sidenote::backoff::Backoff;
use sidenote::clock::{Clock, Timestamp};
use sidenote::config::{Context, Delivery, History, Product, Summary};
use sidenote::context::{Recent, follow};
use sidenote::engine::erase::{Erasure, Subject};
use sidenote::engine::feed::{Next, What};
use sidenote::engine::link::{Identity, LinkCommand, LinkMode, Who, Word};
use sidenote::engine::{Engine, Handle, Settings};
use sidenote::ids::{ConversationId, PluginName, ProductId, SessionId, SessionKey};
use sidenote::llm::{Caller, Completion, Limits, LlmError, from_fn};
use sidenote::outbox::note::{
    Call, Failure, FailureKind, LimitScope, Note, NoteKind, PostError, Posted, Redaction, Sent,
};
use sidenote::post::Post;
use sidenote::prompts::{Prompts, Template};
use sidenote::session::payload::{Action, ActionsPayload};
use sidenote::store::MemoryStore;
use sidenote::summary::{Core, Found, Input, Rules, Summarizer};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::compare;
use crate::values::{expected, input};

/// What a `flush` takes: time for the tasks to come to rest.
const MOMENT: Duration = Duration::from_millis(2);
/// How far off a time may be: moments add up.
const TOLERANCE: f64 = 0.02;
const BEGIN: Timestamp = Timestamp(1_700_000_000_000_000);

/// Runs one case.
pub(crate) fn check(case: &Value) -> Result<(), String> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    runtime.block_on(run(&input(case), &expected(&case["then"])))
}

async fn run(case: &Value, then: &Value) -> Result<(), String> {
    let given = &case["given"];
    let config = config(&given["config"]);
    let made = Core::new(Rules::of(&config));
    match (&made, then.get("construct_error")) {
        (Ok(_), None) => {}
        (Err(_), Some(_)) => return Ok(()),
        (Ok(_), Some(error)) => return Err(format!("made, instead of the error {error}")),
        (Err(error), None) => return Err(format!("not made: {error}")),
    }
    let world = World::start(given, config)?;
    let ops = case["when"]["ops"].as_array().ok_or("when.ops is no list")?;
    for (n, op) in ops.iter().enumerate() {
        let returned = world.run(op).await?;
        let wanted = &then["results"][n];
        compare::same(&format!("results[{n}]"), &returned, &wanted["return"])?;
        let (now, at) = (world.log.now(), wanted["t_done"].as_f64().ok_or("no time")?);
        if (now - at).abs() > TOLERANCE {
            return Err(format!("results[{n}]: done at {now} instead of {at}"));
        }
    }
    world.log.compare(&then["events"])
}

fn config(given: &Value) -> Summary {
    let threshold = given["threshold"].as_i64().unwrap_or(10);
    Summary { threshold: usize::try_from(threshold).unwrap_or(0), ..Summary::default() }
}

/// What happened, with its time.
struct Log {
    start: Instant,
    events: Mutex<Vec<Value>>,
}

impl Log {
    fn now(&self) -> f64 {
        self.start.elapsed().as_secs_f64()
    }

    fn add(&self, mut event: Value) {
        event["t"] = self.now().into();
        self.events.lock().expect("no holder panics").push(event);
    }

    fn compare(&self, reference: &Value) -> Result<(), String> {
        let ours = self.events.lock().expect("no holder panics");
        let theirs = reference.as_array().ok_or("no events")?;
        for kinds in [
            &["llm_call", "llm_raise"][..],
            &["on_summary"],
            &["write_actions", "post_summary", "redact_old_notes"],
        ] {
            let of_kinds = |event: &&Value| kinds.iter().any(|kind| event["event"] == *kind);
            let (ours, theirs) = (ours.iter().filter(of_kinds), theirs.iter().filter(of_kinds));
            let (ours, theirs): (Vec<_>, Vec<_>) = (ours.collect(), theirs.collect());
            if ours.len() != theirs.len() {
                return Err(format!("{kinds:?}: {ours:?} instead of {theirs:?}"));
            }
            for (n, (ours, theirs)) in ours.into_iter().zip(theirs).enumerate() {
                let time = |event: &Value| event["t"].as_f64().unwrap_or(f64::NAN);
                if (time(ours) - time(theirs)).abs() > TOLERANCE {
                    return Err(format!(
                        "{kinds:?}[{n}]: at {} instead of {}",
                        time(ours),
                        time(theirs)
                    ));
                }
                let mut ours = ours.clone();
                ours["t"] = theirs["t"].clone();
                compare::same(&format!("{kinds:?}[{n}]"), &ours, theirs)?;
            }
        }
        Ok(())
    }
}

struct World {
    handle: Handle,
    recent: Recent,
    log: Arc<Log>,
    platform: Arc<Platform>,
    calls: Calls,
    /// Whether a conversation is there, beside which notes are written.
    linked: bool,
    rules: Rules,
    _tasks: JoinSet<()>,
}

impl World {
    fn start(given: &Value, config: Summary) -> Result<Self, String> {
        let text = |error: &dyn std::fmt::Display| error.to_string();
        let log = Arc::new(Log { start: Instant::now(), events: Mutex::default() });
        let clock = Clock::starting_at(BEGIN);
        let context = Context { lookback: Duration::from_secs(300), ..Context::default() };
        let recent = Recent::of(&context, Arc::default(), clock).map_err(|error| text(&error))?;
        let platform = Arc::new(Platform::new(given, log.clone(), recent.clone()));
        let debounce = given["config"]["debounce_ms"].as_f64().unwrap_or(0.0) / 1000.0;
        let delivery = Delivery {
            debounce: Duration::from_secs_f64(debounce),
            max_wait: Duration::from_secs(3600),
            ..Delivery::default()
        };
        let product = Product::of(vec!["bot".into()], delivery);
        let mut settings = Settings::of_products([(product_id(), product)]);
        settings.jitter = || 1.0;
        let settings = settings.with_history(History::default());
        let store = Arc::new(MemoryStore::new());
        let (handle, engine) = Engine::new(store, platform.clone(), settings, clock);

        let rules = Rules::of(&config);
        let calls = Calls::default();
        let caller = Caller::new(
            model(&given["llm"], log.clone(), calls.clone()),
            Limits {
                timeout: Duration::from_secs(3600),
                retries: 0,
                backoff: Backoff { initial: Duration::from_secs(1), max: Duration::from_secs(1) },
                max_answer_bytes: 1 << 20,
            },
        );
        let mut prompts = Prompts::default();
        if let Some(own) = given["config"]["prompt"].as_str().filter(|own| !own.is_empty()) {
            let template = Template::parse(own, &["actions"]);
            prompts.summary.content = template.map_err(|faults| format!("{faults:?}"))?;
        }
        let summarizer = Summarizer::new(handle.clone(), caller, Arc::new(prompts), &config, clock)
            .map_err(|error| text(&error))?
            .with_jitter(|| 1.0);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move { engine.run().await.expect("the engine runs") });
        tasks.spawn(async move { summarizer.run().await.expect("no task panics") });
        tasks.spawn(follow(handle.clone(), recent.clone()));
        let linked = given["kind"] != "summarizer";
        if !linked {
            tasks.spawn(tell(handle.clone(), log.clone()));
        }
        Ok(Self { handle, recent, log, platform, calls, linked, rules, _tasks: tasks })
    }

    async fn run(&self, op: &Value) -> Result<Value, String> {
        match op["op"].as_str() {
            Some("add") => {
                let mut payload = op["payload"].clone();
                payload["product_id"] = "p".into();
                let batch = ActionsPayload::from_value(&payload).map_err(|e| e.to_string())?.0;
                let session = batch.session_id.clone().ok_or("a batch without a session")?;
                if self.linked {
                    self.link(&session).await?;
                }
                self.platform.expect(batch.clone());
                self.handle.accept_committed(batch, 100).await.map_err(|e| e.to_string())?;
                // What is told of a commit is heard of at once.
                for _ in 0..20 {
                    tokio::task::yield_now().await;
                }
            }
            Some("flush") => loop {
                tokio::time::sleep(MOMENT).await;
                if !self.calls.are_under_way() {
                    break;
                }
            },
            Some("advance") => {
                let seconds = op["s"].as_f64().ok_or("no time")?;
                tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
            }
            Some("reset") => {
                let subject = Subject::Session(session_id(op)?);
                let erasure = Erasure { product: product_id(), subject, keep_notes: false };
                self.handle.erase(&erasure).await.map_err(|e| e.to_string())?;
            }
            Some("get_context") => {
                let key = SessionKey { product: product_id(), session: session_id(op)? };
                return self.waiting(&key).await.map(Value::from);
            }
            Some("active_sessions") => {
                let known = self.handle.latest_sessions(100).await.map_err(|e| e.to_string())?;
                let mut active = Vec::new();
                for (key, _) in known {
                    if !self.waiting(&key).await?.is_empty() {
                        active.push(key.session.to_string());
                    }
                }
                active.sort_unstable();
                return Ok(active.into());
            }
            Some("store_get") => {
                self.recent.caught_up(self.handle.feed_position()).await;
                let key = SessionKey { product: product_id(), session: session_id(op)? };
                return Ok(self.recent.session_activity(&key, self.recent.view()).into());
            }
            other => return Err(format!("no such op: {other:?}")),
        }
        Ok(Value::Null)
    }

    /// The actions that are too few for a summary, or whose question failed, as text.
    async fn waiting(&self, key: &SessionKey) -> Result<String, String> {
        let history = self.handle.history(key).await.map_err(|error| error.to_string())?;
        let oldest = history.uncovered().next();
        if oldest.is_some_and(|(_, action)| self.calls.last_failed(&action.to_text())) {
            return Ok(listed(history.uncovered().map(|(_, action)| action)));
        }
        let mut core = Core::new(self.rules.clone()).map_err(|error| error.to_string())?;
        let ends = history.batches.iter().map(|batch| batch.last()).collect();
        let found = Found { covered: history.covered(), ends };
        core.on_input(Input::Found(key.clone(), found), BEGIN);
        let Some((behind, _)) = core.too_few(key) else { return Ok(String::new()) };
        let few = history.uncovered().filter(|(n, _)| *n > behind);
        Ok(listed(few.map(|(_, action)| action)))
    }

    async fn link(&self, session: &str) -> Result<(), String> {
        let session = SessionId::new(session).map_err(|error| error.to_string())?;
        let key = SessionKey { product: product_id(), session };
        let conversation =
            ConversationId::new(key.session.as_str()).map_err(|error| error.to_string())?;
        let (who, mode, told) = (Who::Session(key), LinkMode::Auto, Identity::default());
        let (plugin, word) = ("bot".into(), Word::Operator);
        let request = LinkCommand { plugin, conversation, who, mode, told, word };
        self.handle.link(request).await.map(drop).map_err(|error| error.to_string())
    }
}

fn product_id() -> ProductId {
    ProductId::new("p").expect("not empty")
}

fn session_id(op: &Value) -> Result<SessionId, String> {
    SessionId::new(op["session_id"].as_str().unwrap_or_default()).map_err(|e| e.to_string())
}

/// Writes down the summaries that are committed.
async fn tell(handle: Handle, log: Arc<Log>) {
    let mut feed = handle.feed();
    while let Ok(next) = feed.next().await {
        let Next::Committed(committed) = next else { panic!("it fell behind") };
        if let What::Summary(summary) = &committed.what {
            let session = committed.key.session.as_str();
            log.add(json!({"event": "on_summary", "session_id": session, "summary": summary.text}));
        }
    }
}

/// Actions as autoplay-sdk lists them.
fn listed<'a>(actions: impl Iterator<Item = &'a Action>) -> String {
    let lines = (1..).zip(actions).map(|(n, action)| format!("{n}. {}", action.to_text()));
    lines.collect::<Vec<_>>().join("\n")
}

/// What the model was asked, and how it ended.
#[derive(Clone, Default)]
struct Calls(Arc<Mutex<Vec<(String, Answer)>>>);

#[derive(Clone, Copy, PartialEq)]
enum Answer {
    UnderWay,
    Given,
    Failed,
}

impl Calls {
    /// Takes down a question; its number.
    fn begin(&self, prompt: &str) -> usize {
        let mut calls = self.0.lock().expect("no holder panics");
        calls.push((prompt.to_owned(), Answer::UnderWay));
        calls.len() - 1
    }

    fn end(&self, n: usize, how: Answer) {
        self.0.lock().expect("no holder panics")[n].1 = how;
    }

    fn are_under_way(&self) -> bool {
        let calls = self.0.lock().expect("no holder panics");
        calls.iter().any(|(_, answer)| *answer == Answer::UnderWay)
    }

    /// Whether the last question that had this text in it failed.
    fn last_failed(&self, text: &str) -> bool {
        let calls = self.0.lock().expect("no holder panics");
        let last = calls.iter().rfind(|(prompt, _)| prompt.contains(text));
        last.is_some_and(|(_, answer)| *answer == Answer::Failed)
    }
}

/// The scripted model.
fn model(script: &Value, log: Arc<Log>, calls: Calls) -> impl sidenote::llm::Llm {
    let script = script.as_array().cloned().unwrap_or_default();
    from_fn("scripted", move |prompt| {
        let (n, calls) = (calls.begin(&prompt.text), calls.clone());
        let step = script.get(n).cloned().unwrap_or_default();
        let log = log.clone();
        async move {
            log.add(json!({"event": "llm_call", "prompt": prompt.text}));
            let latency = step["latency_s"].as_f64().unwrap_or(0.0);
            tokio::time::sleep(Duration::from_secs_f64(latency)).await;
            if step.get("raise").is_some_and(|raise| !raise.is_null()) {
                log.add(json!({"event": "llm_raise"}));
                calls.end(n, Answer::Failed);
                return Err(LlmError::unavailable("scripted"));
            }
            calls.end(n, Answer::Given);
            let reply = step["reply"].as_str().map_or_else(|| format!("SUM{n}"), str::to_owned);
            Ok(Completion::of(reply))
        }
    })
}

/// The conversation as autoplay-sdk's callbacks see it.
struct Platform {
    log: Arc<Log>,
    recent: Recent,
    shows_context: bool,
    is_told_of_actions: bool,
    joins_batches: bool,
    writes: Mutex<VecDeque<Value>>,
    overwrites: Mutex<VecDeque<Value>>,
    /// The batches of each session that weren't written yet.
    batches: Mutex<HashMap<String, VecDeque<ActionsPayload>>>,
    /// The sessions whose notes go at this moment.
    redacted: Mutex<Vec<(String, Duration)>>,
    posts: Mutex<u64>,
}

impl Platform {
    fn new(given: &Value, log: Arc<Log>, recent: Recent) -> Self {
        let script =
            |name: &str| Mutex::new(given[name].as_array().cloned().unwrap_or_default().into());
        Self {
            log,
            recent,
            shows_context: given["kind"] == "pipeline",
            is_told_of_actions: given["config"]["no_write_actions"] != true,
            joins_batches: given["config"]["debounce_ms"].as_f64().is_some_and(|ms| ms > 0.0),
            writes: script("write_actions"),
            overwrites: script("overwrite"),
            batches: Mutex::default(),
            redacted: Mutex::default(),
            posts: Mutex::default(),
        }
    }

    fn expect(&self, batch: ActionsPayload) {
        let session = batch.session_id.clone().unwrap_or_default();
        let mut batches = self.batches.lock().expect("no holder panics");
        batches.entry(session).or_default().push_back(batch);
    }

    /// The text of the batches that a note is made of.
    fn written(&self, note: &Note) -> String {
        let mut batches = self.batches.lock().expect("no holder panics");
        let waiting = batches.entry(note.key.session.to_string()).or_default();
        let mut actions = 0;
        let mut parts = Vec::new();
        while actions < note.actions.len() {
            let batch = waiting.pop_front().expect("a note tells of what was added");
            actions += batch.actions.len();
            parts.push(batch);
        }
        // autoplay-sdk numbers the actions anew wherever batches may be joined.
        if parts.len() == 1 && !self.joins_batches {
            return parts[0].to_text();
        }
        ActionsPayload::merge(parts).expect("batches of one session").to_text()
    }

    async fn play(&self, script: &Mutex<VecDeque<Value>>) -> Result<(), PostError> {
        let step = script.lock().expect("no holder panics").pop_front().unwrap_or_default();
        let latency = step["latency_s"].as_f64().unwrap_or(0.0);
        tokio::time::sleep(Duration::from_secs_f64(latency)).await;
        if step.get("raise").is_none_or(Value::is_null) {
            return Ok(());
        }
        Err(PostError::Failed(Failure {
            kind: FailureKind::Transient,
            code: "raised".to_owned(),
            message: String::new(),
            retry_after: None,
            scope: LimitScope::Conversation,
            sent: Sent::NotSent,
        }))
    }
}

#[async_trait::async_trait]
impl Post for Platform {
    async fn post_note(&self, _: Call, note: &Note) -> Result<Posted, PostError> {
        let session = note.key.session.as_str();
        match note.kind {
            NoteKind::Actions => {
                let text = self.written(note);
                let mut event =
                    json!({"event": "write_actions", "session_id": session, "text": text});
                if self.shows_context {
                    let activity = self.recent.session_activity(&note.key, self.recent.view());
                    event["context_store_at_that_moment"] = activity.into();
                }
                if self.is_told_of_actions {
                    self.log.add(event);
                }
                self.play(&self.writes).await?;
            }
            NoteKind::ForPeople => unreachable!("nobody is replied to"),
            NoteKind::Summary => {
                let (_, summary) = note.body.split_once("\n\n").expect("a header");
                let event =
                    json!({"event": "post_summary", "session_id": session, "summary": summary});
                self.log.add(event);
                self.play(&self.overwrites).await?;
            }
        }
        let mut posts = self.posts.lock().expect("no holder panics");
        *posts += 1;
        Ok(Posted { note_id: Some(format!("n{posts}")), pause: None })
    }

    async fn redact_note(
        &self,
        _: Call,
        _: &PluginName,
        conversation: &ConversationId,
        _: &str,
    ) -> Result<Redaction, PostError> {
        // autoplay-sdk redacts all notes in one call.
        let mut redacted = self.redacted.lock().expect("no holder panics");
        let one = (conversation.to_string(), self.log.start.elapsed());
        if !redacted.contains(&one) {
            redacted.push(one);
            let session = conversation.as_str();
            self.log.add(json!({"event": "redact_old_notes", "session_id": session}));
        }
        Ok(Redaction::Removed)
    }
}
