//! What is posted when: the vectors of `delivery.json` on the real engine under paused time.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use sidenote::clock::{Clock, Timestamp};
use sidenote::config::{Delivery, Product};
use sidenote::engine::core::rows::decode;
use sidenote::engine::link::{Identity, LinkCommand, LinkMode, Who, Word};
use sidenote::engine::{Engine, Handle, Settings};
use sidenote::ids::{ConversationId, ProductId, SessionId, SessionKey};
use sidenote::outbox::note::{
    Call, Failure, FailureKind, LimitScope, Note, PostError, Posted, Sent,
};
use sidenote::post::Post;
use sidenote::session::payload::ActionsPayload;
use sidenote::session::state::Record;
use sidenote::store::{Group, MemoryStore, Store, Table};
use tokio::time::Instant;

use crate::values::{input, is_yes};

/// Timers tick in milliseconds.
const TICK: f64 = 0.0025;

/// Runs one case.
pub(crate) fn check(case: &Value) -> Result<(), String> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
    runtime.map_err(|e| e.to_string())?.block_on(run(&input(case)))
}

async fn run(case: &Value) -> Result<(), String> {
    let platform = Arc::new(Platform::new(&case["given"]["posts"]));
    let product = Product::of(vec!["bot".into()], rules(&case["given"]["writer"]));
    let mut settings =
        Settings::of_products([(ProductId::new("p").map_err(|e| e.to_string())?, product)]);
    settings.jitter = || 1.0;
    let store = Arc::new(MemoryStore::new());
    let clock = Clock::starting_at(Timestamp::from_secs_f64(1_700_000_000.0));
    let (handle, engine) = Engine::new(store.clone(), platform.clone(), settings, clock);
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(async move { engine.run().await.map_err(|e| e.to_string()) });

    let timeline = case["when"]["timeline"].as_array().ok_or("no timeline")?;
    for (n, step) in timeline.iter().enumerate() {
        let at = Duration::from_secs_f64(step["at"].as_f64().ok_or("no time")?);
        tokio::time::sleep_until(platform.start + at).await;
        let failed = do_step(&handle, step).await.err();
        let expected = case["then"]["steps"][n].get("error");
        if failed.is_some() != expected.is_some() {
            return Err(format!("step {n}: {failed:?}, expected {expected:?}"));
        }
    }
    let last = timeline.last().and_then(|step| step["at"].as_f64()).unwrap_or(0.0);
    let until = case["given"]["until"].as_f64().unwrap_or(last + 10.0);
    tokio::time::sleep_until(platform.start + Duration::from_secs_f64(until)).await;
    platform.compare(&case["then"]["posts"])?;
    compare_states(&*store, &case["then"]["end"]["states"]).await
}

fn rules(writer: &Value) -> Delivery {
    let seconds = |name: &str, default: Duration| {
        writer[name].as_f64().map_or(default, Duration::from_secs_f64)
    };
    let defaults = Delivery::default();
    let debounce = seconds("post_link_debounce_s", defaults.debounce);
    Delivery {
        debounce,
        // autoplay-sdk knows no longest wait and no fullest note (D43): ours must not cut in where its
        // debounce is long or many actions come together.
        max_wait: defaults.max_wait.max(debounce * 10),
        max_note_actions: defaults.pre_link_max_actions,
        pre_link_window: seconds("pre_link_window_s", defaults.pre_link_window),
        bin_seconds: writer["bin_seconds"].as_f64().unwrap_or(defaults.bin_seconds),
        ..defaults
    }
}

async fn do_step(handle: &Handle, step: &Value) -> Result<(), String> {
    match step["op"].as_str() {
        Some("actions") => {
            let mut event = step.clone();
            event["product_id"] = "p".into();
            let batch = ActionsPayload::from_value(&event).map_err(|e| e.to_string())?.0;
            handle.accept_committed(batch, 100).await.map_err(|e| e.to_string())
        }
        Some("chatbot_event" | "linked") => {
            let id = |name: &str| step[name].as_str().unwrap_or("").to_owned();
            let session = SessionId::new(id("session_id")).map_err(|e| e.to_string())?;
            let product = ProductId::new("p").map_err(|e| e.to_string())?;
            let request = LinkCommand {
                plugin: "bot".into(),
                conversation: ConversationId::new(id("conversation_id"))
                    .map_err(|e| e.to_string())?,
                who: Who::Session(SessionKey { product, session }),
                mode: LinkMode::Auto,
                told: Identity::default(),
                word: Word::Operator,
            };
            handle.link(request).await.map(drop).map_err(|e| e.to_string())
        }
        Some("inspect") => Ok(()),
        other => Err(format!("unknown operation {other:?}")),
    }
}

async fn compare_states(store: &dyn Store, states: &Value) -> Result<(), String> {
    for (name, state) in states.as_object().into_iter().flatten() {
        let group = Group("p".into(), name.as_str().into());
        let rows = store.load(Table::Session, &[group]).await.map_err(|e| e.to_string())?;
        let record: Record = match rows[0].first() {
            Some((_, value)) => decode(value).map_err(|e| e.to_string())?,
            None => Record::default(),
        };
        let conversation = record.link.map(|link| link.conversation.as_str().to_owned());
        if conversation.as_deref() != state["conversation_id"].as_str() {
            return Err(format!("session {name}: linked to {conversation:?}, expected {state}"));
        }
    }
    Ok(())
}

/// The recording writer of the vectors.
struct Platform {
    start: Instant,
    script: Mutex<VecDeque<Value>>,
    posts: Mutex<Vec<Seen>>,
}

#[derive(Debug)]
struct Seen {
    at: f64,
    conversation: String,
    body: String,
    outcome: &'static str,
    end: Option<f64>,
}

impl Platform {
    fn new(script: &Value) -> Self {
        Self {
            start: Instant::now(),
            script: Mutex::new(script.as_array().into_iter().flatten().cloned().collect()),
            posts: Mutex::default(),
        }
    }

    fn compare(&self, expected: &Value) -> Result<(), String> {
        let mut posts = self.posts.lock().map_err(|e| e.to_string())?;
        let mut expected = expected.as_array().ok_or("no posts")?.clone();
        // Posts of different sessions that begin at the same moment have no order.
        let session = |body: &str| body.lines().next().map(str::to_owned);
        let moment = |at: f64| (at / TICK / 2.0).round() as i64;
        posts.sort_by_key(|post| (moment(post.at), session(&post.body)));
        expected.sort_by_key(|post| {
            (moment(post["t"].as_f64().unwrap_or(0.0)), post["body"].as_str().and_then(session))
        });
        let near = |got: Option<f64>, expected: &Value| match (got, expected.as_f64()) {
            (Some(got), Some(expected)) => (got - expected).abs() < TICK,
            (got, expected) => got.is_none() == expected.is_none(),
        };
        let same = |got: &Seen, expected: &Value| {
            near(Some(got.at), &expected["t"])
                && near(got.end, &expected["t_end"])
                && expected["conversation_id"] == *got.conversation
                && expected["body"] == *got.body
                && expected["outcome"] == got.outcome
        };
        let mismatch = (0..posts.len().max(expected.len())).find(
            |n| !matches!((posts.get(*n), expected.get(*n)), (Some(a), Some(b)) if same(a, b)),
        );
        mismatch.map_or(Ok(()), |n| {
            Err(format!("post {n}: got {:?}, expected {:?}", posts.get(n), expected.get(n)))
        })
    }
}

#[async_trait::async_trait]
impl Post for Platform {
    async fn post_note(&self, _: Call, note: &Note) -> Result<Posted, PostError> {
        let step =
            self.script.lock().expect("no test panics with it").pop_front().unwrap_or_default();
        let outcome = match (step.get("raise"), step.get("result")) {
            (Some(raise), _) if !raise.is_null() => "raised",
            (_, Some(result)) if !is_yes(result) => "falsy",
            _ => "ok",
        };
        let n = {
            let mut posts = self.posts.lock().expect("no test panics with it");
            posts.push(Seen {
                at: self.start.elapsed().as_secs_f64(),
                conversation: note.conversation.to_string(),
                body: note.body.clone(),
                outcome: "in_flight",
                end: None,
            });
            posts.len() - 1
        };
        tokio::time::sleep(Duration::from_secs_f64(step["latency_s"].as_f64().unwrap_or(0.0)))
            .await;
        let mut posts = self.posts.lock().expect("no test panics with it");
        posts[n].end = Some(self.start.elapsed().as_secs_f64());
        posts[n].outcome = outcome;
        if outcome == "ok" {
            return Ok(Posted { note_id: None, pause: None });
        }
        Err(PostError::Failed(Failure {
            kind: FailureKind::Transient,
            code: outcome.to_owned(),
            message: String::new(),
            retry_after: None,
            scope: LimitScope::Account,
            sent: Sent::Unknown,
        }))
    }
}
