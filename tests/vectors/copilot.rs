//! `build_copilot_app`: the bridge's routes, over a socket.
//!
//! An answer may say more than autoplay-sdk's: whatever stands in autoplay-sdk's JSON stands in ours, and
//! whatever method it allows is allowed.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use sidenote::access::Actor;
use sidenote::clock::{Clock, Timestamp};
use sidenote::config::{self, Secret, Server};
use sidenote::context::{Recent, Settings, UserSettings};
use sidenote::engine::erase::{EraseError, Erased, Erasure};
use sidenote::engine::ledger::{Decided, Filter, LedgerError, Listing, Order, Want};
use sidenote::engine::link::{LinkError, Linked};
use sidenote::http::{
    Backend, LinkRequest, NoProduct, Part, PluginsReport, Readiness, WebhookAnswer, serve,
};
use sidenote::llm::Replies;
use sidenote::plugin::WebhookRequest;
use sidenote::session::payload::ActionsPayload;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::{compare, replies, values};

/// Wall clock of the vectors at the start.
const BEGIN: f64 = 1_700_000_000.0;
/// The clock here is behind the vectors' by so much, so that what takes real time isn't too late.
const LAG: f64 = 0.25;

pub(crate) fn check(case: &Value) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| error.to_string())?.block_on(run(case))
}

async fn run(case: &Value) -> Result<(), String> {
    let steps = case["when"]["steps"].as_array().ok_or("when.steps is no list")?;
    let results = case["then"]["results"].as_array().ok_or("then.results is no list")?;
    let (replies, asked) = replies::scripted(case)?;
    let bridge = Bridge::start(case, replies).await?;
    let (start, mut moved) = (tokio::time::Instant::now(), Duration::ZERO);
    for (step, (number, expected)) in steps.iter().zip((1..).zip(results)) {
        match step["op"].as_str() {
            Some("event") => {
                let event = values::input(&step["payload"]);
                let (batch, _) =
                    ActionsPayload::from_value(&event).map_err(|error| error.to_string())?;
                bridge.backend.recent.take(&batch);
            }
            Some("advance") => {
                moved += Duration::from_secs_f64(step["s"].as_f64().ok_or("no time")?);
                tokio::time::pause();
                tokio::time::advance(moved.saturating_sub(start.elapsed())).await;
                tokio::time::resume();
            }
            Some("request") => {
                let answer = bridge.request(step).await?;
                answer.says(&format!("step {number}"), &values::expected(expected))?;
            }
            other => return Err(format!("no such op: {other:?}")),
        }
    }
    asked.compare(&values::expected(&case["then"]["llm_prompts"]))
}

/// A listener with a bridge behind it.
struct Bridge {
    backend: Arc<Known>,
    address: std::net::SocketAddr,
    _serving: JoinSet<()>,
}

impl Bridge {
    async fn start(case: &Value, replies: Replies) -> Result<Self, String> {
        let lookback = case["given"]["config"]["lookback_seconds"].as_f64();
        let lookback = Duration::from_secs_f64(lookback.unwrap_or(300.0));
        let clock = Clock::starting_at(Timestamp::from_secs_f64(BEGIN - LAG));
        let max_actions = config::Context::default().max_actions;
        let settings = Settings { lookback: Some(lookback), max_actions, ..Settings::default() };
        let users = UserSettings { lookback, ..UserSettings::default() };
        let recent = Recent::new(settings, users, clock).map_err(|error| error.to_string())?;
        // Every case is of one product, with or without a name.
        let mut events = case["when"]["steps"].as_array().into_iter().flatten();
        let product = events.find_map(|step| step["payload"]["product_id"].as_str());
        let product = product.unwrap_or_default().into();
        let backend = Arc::new(Known { recent, product, replies });
        let listener = TcpListener::bind("127.0.0.1:0").await.map_err(|error| error.to_string())?;
        let address = listener.local_addr().map_err(|error| error.to_string())?;
        let server = Server { token: Some(Secret::new("token")), ..Server::default() };
        let mut serving = JoinSet::new();
        let served = serve(listener, backend.clone(), server, CancellationToken::new());
        serving.spawn(async move { served.await.expect("it serves until it is dropped") });
        Ok(Self { backend, address, _serving: serving })
    }

    async fn request(&self, step: &Value) -> Result<Answer, String> {
        let text = |key: &str| step[key].as_str().unwrap_or_default();
        let (method, path, body) = (text("method"), text("path"), text("body"));
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: bridge\r\nauthorization: Bearer token\r\n\
             connection: close\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        let exchange = async {
            let mut socket = TcpStream::connect(self.address).await?;
            socket.write_all(request.as_bytes()).await?;
            let mut answer = String::new();
            socket.read_to_string(&mut answer).await.map(|_| answer)
        };
        let answer: Result<String, std::io::Error> = exchange.await;
        Answer::read(&answer.map_err(|error| error.to_string())?)
    }
}

struct Answer {
    status: u64,
    headers: Vec<(String, String)>,
    body: String,
}

impl Answer {
    fn read(text: &str) -> Result<Self, String> {
        let (head, body) = text.split_once("\r\n\r\n").ok_or("no end of the head")?;
        let mut lines = head.lines();
        let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok());
        let header = |line: &str| {
            let (name, value) = line.split_once(": ")?;
            Some((name.to_ascii_lowercase(), value.to_owned()))
        };
        Ok(Self {
            status: status.ok_or("no status")?,
            headers: lines.filter_map(header).collect(),
            body: body.to_owned(),
        })
    }

    fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }

    fn says(&self, what: &str, reference: &Value) -> Result<(), String> {
        compare::same(&format!("{what}.status"), &self.status.into(), &reference["status"])?;
        let content_type = self.header("content-type");
        compare::same_text(
            &format!("{what}.content_type"),
            content_type,
            &reference["content_type"],
        )?;
        let allowed: Vec<_> = self.header("allow").split(", ").collect();
        if let Some(method) = reference["allow"].as_str()
            && !allowed.contains(&method)
        {
            return Err(format!("{what}.allow: {allowed:?} without {method}"));
        }
        if let Some(text) = reference.get("text") {
            return compare::same_text(&format!("{what}.text"), &self.body, text);
        }
        let json: Value = serde_json::from_str(&self.body).map_err(|error| error.to_string())?;
        for (key, value) in reference["json"].as_object().ok_or("autoplay-sdk has no JSON")? {
            compare::same(&format!("{what}.json.{key}"), &json[key], value)?;
        }
        Ok(())
    }
}

/// What is behind the routes: what people did, and who answers them.
struct Known {
    recent: Recent,
    product: Arc<str>,
    replies: Replies,
}

#[async_trait::async_trait]
impl Backend for Known {
    fn recent(&self) -> Option<Recent> {
        Some(self.recent.clone())
    }

    fn replies(&self) -> Option<Replies> {
        Some(self.replies.clone())
    }

    fn product(&self, _: Option<&str>) -> Result<Arc<str>, NoProduct> {
        Ok(self.product.clone())
    }

    async fn reset(&self, product: &str, user: &str, _: &Actor) -> Result<Erased, EraseError> {
        self.recent.reset(product, user);
        Ok(Erased::default())
    }

    fn readiness(&self) -> Readiness {
        Readiness { streams: Vec::new(), store: Part::Ready, plugins: Vec::new() }
    }

    async fn webhook(&self, _: &str, _: WebhookRequest) -> WebhookAnswer {
        WebhookAnswer::UnknownPlugin
    }

    async fn link(&self, _: LinkRequest, _: &Actor) -> Result<Linked, LinkError> {
        Err(LinkError::Unavailable)
    }

    async fn outbox(&self, _: &Filter, _: &Want) -> Result<Listing, LedgerError> {
        Err(sidenote::engine::Closed.into())
    }

    async fn preview(&self, _: &Order) -> Result<Decided, LedgerError> {
        Err(sidenote::engine::Closed.into())
    }

    async fn decide(&self, _: &Order, _: &Actor) -> Result<Decided, LedgerError> {
        Err(sidenote::engine::Closed.into())
    }

    async fn erase(&self, _: &Erasure, _: bool, _: &Actor) -> Result<Erased, EraseError> {
        Err(sidenote::engine::Closed.into())
    }

    fn plugins(&self) -> PluginsReport {
        unreachable!("no case asks for plugins")
    }
}
