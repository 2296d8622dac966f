//! The same job by hand, for the benchmarks to compare with: a service that somebody writes for one connector and one
//! chat platform. Nothing in it is durable, retried, bounded, limited or isolated, and there is no plugin.
//!
//! It reads the configuration of a rig's host, and says where it listens in the same way.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use axum::extract::{Json, State};
use axum::routing::post;
use eventsource_stream::Eventsource;
use futures_util::StreamExt;
use hmac::{Hmac, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use sidenote::clock::Clock;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;

const DEBOUNCE: Duration = Duration::from_millis(150);
const MAX_WAIT: Duration = Duration::from_secs(2);
/// Posts under way at once: as many as a host makes with the load's `concurrency`.
const POSTS: usize = 32;

#[derive(Deserialize)]
struct Batch {
    product_id: String,
    session_id: String,
    actions: Vec<Action>,
}

#[derive(Deserialize, Serialize)]
struct Action {
    title: String,
    description: String,
    canonical_url: String,
    index: i64,
    r#type: String,
    timestamp_start: Option<f64>,
}

#[derive(Deserialize)]
struct Opened {
    conversation_id: String,
    session_id: Option<String>,
}

#[derive(Serialize)]
struct Note<'a> {
    product_id: &'a str,
    session_id: &'a str,
    conversation_id: &'a str,
    kind: &'static str,
    seq: u64,
    body: String,
    actions: &'a [Action],
    idempotency_key: &'a str,
    attempt: u32,
}

struct Session {
    product: String,
    conversation: Option<String>,
    waiting: Vec<Action>,
    first: Instant,
    last: Instant,
    notes: u64,
    /// Whether a post is under way, or waits for its turn.
    busy: bool,
    /// Whether it is among the timers.
    timed: bool,
}

enum Input {
    Batch(Batch),
    Opened(Opened),
}

struct Platform {
    client: reqwest::Client,
    url: String,
    secret: String,
}

#[tokio::main]
async fn main() -> Result<()> {
    rustls::crypto::ring::default_provider().install_default().ok();
    let file = std::env::args_os().nth(1).context("usage: peer CONFIG")?;
    let toml: toml::Value = toml::from_str(&std::fs::read_to_string(PathBuf::from(file))?)?;
    let text = |path: &[&str]| {
        let value = path.iter().try_fold(&toml, |value, key| value.get(key));
        value.and_then(toml::Value::as_str).map(str::to_owned).context("a rig's configuration")
    };
    let platform = Arc::new(Platform {
        client: reqwest::Client::builder().pool_max_idle_per_host(POSTS).build()?,
        url: text(&["plugins", "bot", "config", "url"])?,
        secret: std::env::var("SIGNING")?,
    });
    let (inputs, waiting) = mpsc::channel(4096);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let addr = listener.local_addr()?;
    let routes =
        axum::Router::new().route("/webhooks/bot", post(opened)).with_state(inputs.clone());
    let mut beside = JoinSet::new();
    beside.spawn(async move { axum::serve(listener, routes).await.context("the webhooks") });
    let stream = text(&["streams", "all", "url"])?;
    let stream = platform.client.get(stream).bearer_auth(std::env::var("STREAM_TOKEN")?);
    say(&format!(r#"{{"fields":{{"message":"sidenote is running","addr":"{addr}"}}}}"#));
    beside.spawn(read(stream, inputs));
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        done = work(waiting, platform) => done,
        _ = terminate.recv() => Ok(()),
        Some(ended) = beside.join_next() => ended?,
    }
}

async fn opened(State(inputs): State<mpsc::Sender<Input>>, Json(opened): Json<Opened>) {
    inputs.send(Input::Opened(opened)).await.ok();
}

async fn read(request: reqwest::RequestBuilder, inputs: mpsc::Sender<Input>) -> Result<()> {
    let answer = request.header("accept", "text/event-stream").send().await?.error_for_status()?;
    let mut events = answer.bytes_stream().eventsource();
    while let Some(event) = events.next().await {
        if let Ok(batch) = serde_json::from_str(&event?.data) {
            inputs.send(Input::Batch(batch)).await?;
        }
    }
    Ok(())
}

async fn work(mut inputs: mpsc::Receiver<Input>, platform: Arc<Platform>) -> Result<()> {
    let mut sessions: HashMap<Arc<str>, Session> = HashMap::new();
    let mut timers: BinaryHeap<Reverse<(Instant, Arc<str>)>> = BinaryHeap::new();
    let mut ready: VecDeque<Arc<str>> = VecDeque::new();
    let mut posts: JoinSet<Result<Arc<str>>> = JoinSet::new();
    loop {
        let timer = timers.peek().map(|Reverse((at, _))| *at);
        let timer = timer.unwrap_or_else(|| Instant::now() + Duration::from_secs(3600));
        let touched: Arc<str> = tokio::select! {
            Some(input) = inputs.recv() => take(&mut sessions, input),
            Some(posted) = posts.join_next() => {
                let name = posted??;
                if let Some(session) = sessions.get_mut(&name) {
                    session.busy = false;
                }
                name
            }
            () = tokio::time::sleep_until(timer) => {
                let Some(Reverse((_, name))) = timers.pop() else { continue };
                if let Some(session) = sessions.get_mut(&name) {
                    session.timed = false;
                }
                name
            }
        };
        if let Some(session) = sessions.get_mut(&touched)
            && session.conversation.is_some()
            && !session.waiting.is_empty()
            && !session.busy
        {
            let due = (session.last + DEBOUNCE).min(session.first + MAX_WAIT);
            if due <= Instant::now() {
                session.busy = true;
                ready.push_back(touched);
            } else if !std::mem::replace(&mut session.timed, true) {
                timers.push(Reverse((due, touched)));
            }
        }
        while posts.len() < POSTS
            && let Some(name) = ready.pop_front()
            && let Some(session) = sessions.get_mut(&name)
        {
            let Some(conversation) = session.conversation.clone() else { continue };
            session.notes += 1;
            let (seq, product) = (session.notes, session.product.clone());
            let actions = std::mem::take(&mut session.waiting);
            let platform = platform.clone();
            posts.spawn(async move {
                platform.post(&product, &name, &conversation, seq, &actions).await?;
                Ok(name)
            });
        }
    }
}

/// Returns the session that it is of.
fn take(sessions: &mut HashMap<Arc<str>, Session>, input: Input) -> Arc<str> {
    let now = Instant::now();
    let fresh = |product| Session {
        product,
        conversation: None,
        waiting: Vec::new(),
        first: now,
        last: now,
        notes: 0,
        busy: false,
        timed: false,
    };
    match input {
        Input::Batch(Batch { product_id, session_id, actions }) => {
            let name: Arc<str> = session_id.into();
            let session = sessions.entry(name.clone()).or_insert_with(|| fresh(product_id));
            if session.waiting.is_empty() {
                session.first = now;
            }
            session.last = now;
            session.waiting.extend(actions);
            name
        }
        Input::Opened(Opened { conversation_id, session_id }) => {
            let name: Arc<str> = session_id.unwrap_or_default().into();
            let session = sessions.entry(name.clone()).or_insert_with(|| fresh("p".to_owned()));
            session.conversation = Some(conversation_id);
            name
        }
    }
}

impl Platform {
    async fn post(
        &self,
        product: &str,
        session: &str,
        conversation: &str,
        seq: u64,
        actions: &[Action],
    ) -> Result<()> {
        let mut body = String::from("What they did\n");
        for (number, action) in actions.iter().enumerate() {
            body.push_str(&format!("{}. {}\n", number + 1, action.description));
        }
        let key = format!("{session}-{seq}");
        let note = Note {
            product_id: product,
            session_id: session,
            conversation_id: conversation,
            kind: "actions",
            seq,
            body,
            actions,
            idempotency_key: &key,
            attempt: 1,
        };
        let body = serde_json::to_vec(&note)?;
        let seconds = Clock::system().now().as_millis() / 1000;
        let mut mac = Hmac::<Sha256>::new_from_slice(self.secret.as_bytes())?;
        mac.update(format!("{seconds}.").as_bytes());
        mac.update(&body);
        let signature = format!("sha256={}", hex::encode(mac.finalize().into_bytes()));
        let request = self.client.post(&self.url).header("content-type", "application/json");
        let request = request
            .header("x-sidenote-timestamp", seconds)
            .header("x-sidenote-signature", signature)
            .header("x-sidenote-delivery", &key);
        request.body(body).send().await?.error_for_status()?.bytes().await?;
        Ok(())
    }
}

#[expect(clippy::print_stderr, reason = "the rig reads it")]
fn say(line: &str) {
    eprintln!("{line}");
}
