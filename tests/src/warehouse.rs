//! A place where lines of JSON are posted to: a strict server on loopback, with a memory.
//!
//! What doesn't keep to `plugins/jsonl-http/README.md` is refused with 422 and on record.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::Value;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::vendor::hex_sha256;

/// The fields of the two kinds of lines.
const ACTION: [&str; 17] = [
    "event",
    "delivery",
    "line",
    "product_id",
    "session_id",
    "user_id",
    "email",
    "conversation_id",
    "forwarded_at",
    "index",
    "type",
    "title",
    "description",
    "canonical_url",
    "raw_url",
    "timestamp_start",
    "timestamp_end",
];
const SUMMARY: [&str; 8] =
    ["event", "delivery", "line", "product_id", "session_id", "text", "replaces", "forwarded_at"];

/// So long after a limit was told, posts may come that were under way when it was.
const UNDER_WAY: Duration = Duration::from_millis(700);

/// What a post meets instead of success.
#[derive(Debug, Clone, Copy)]
pub struct Refusal {
    /// The status; 0 for none at all.
    pub status: u16,
    /// Until when nothing may come.
    pub retry_after: Option<Duration>,
    /// Whether the lines are kept all the same.
    pub taken: bool,
}

impl Refusal {
    /// This status, and nothing is kept.
    pub fn status(status: u16) -> Self {
        Self { status, retry_after: None, taken: false }
    }

    /// Nothing may come for so long; whole seconds.
    pub fn limit(retry_after: Duration) -> Self {
        Self { retry_after: Some(retry_after), ..Self::status(429) }
    }

    /// No answer, ever.
    pub fn silence() -> Self {
        Self::status(0)
    }

    /// The lines are kept, and who posts them can't know.
    #[must_use]
    pub fn but_taken(self) -> Self {
        Self { taken: true, ..self }
    }
}

/// What it counted.
#[derive(Debug, Clone, Copy, Default)]
pub struct WarehouseStats {
    /// Posts that came.
    pub posts: u64,
    /// Posts that met a refusal.
    pub refused: u64,
    /// Posts of which everything was there already.
    pub repeats: u64,
}

/// A running warehouse.
pub struct Warehouse {
    url: String,
    shelf: Arc<Shelf>,
    _server: JoinSet<()>,
}

struct Shelf {
    token: String,
    signing: String,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    refusals: VecDeque<Refusal>,
    /// From when until when nothing may come.
    closed: Option<(Instant, Instant)>,
    /// The bodies by key, as they came first.
    bodies: HashMap<String, Bytes>,
    /// The lines that are kept, in the order in which they came first.
    lines: Vec<Value>,
    names: BTreeSet<(String, u64)>,
    violations: Vec<String>,
    stats: WarehouseStats,
}

impl Warehouse {
    /// Starts one that wants this bearer token and signatures with this secret.
    ///
    /// # Panics
    /// When there is no free port.
    pub async fn start(token: &str, signing: &str) -> Self {
        let shelf = Arc::new(Shelf {
            token: token.to_owned(),
            signing: signing.to_owned(),
            kept: Mutex::default(),
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("it is bound"));
        let router = Router::new().fallback(take).with_state(shelf.clone());
        let mut server = JoinSet::new();
        server.spawn(async move {
            axum::serve(listener, router).await.expect("a listener goes on");
        });
        Self { url, shelf, _server: server }
    }

    /// `http://127.0.0.1:PORT`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The next posts meet these.
    pub fn refuse(&self, refusals: impl IntoIterator<Item = Refusal>) {
        self.shelf.lock().refusals.extend(refusals);
    }

    /// Forgets the refusals that nobody has met.
    pub fn heal(&self) {
        self.shelf.lock().refusals.clear();
    }

    /// The lines of a session, each once, in the order in which they came first.
    pub fn lines(&self, product: &str, session: &str) -> Vec<Value> {
        let of = |line: &&Value| line["product_id"] == product && line["session_id"] == session;
        self.shelf.lock().lines.iter().filter(of).cloned().collect()
    }

    /// What was said of a session: the descriptions of its actions, the texts of its summaries.
    pub fn said(&self, product: &str, session: &str) -> Vec<String> {
        let text = |line: &Value| {
            let text = line["description"].as_str().or(line["text"].as_str());
            text.unwrap_or_default().to_owned()
        };
        self.lines(product, session).iter().map(text).collect()
    }

    /// What it counted.
    pub fn stats(&self) -> WarehouseStats {
        self.shelf.lock().stats
    }

    /// What wasn't as it must be.
    pub fn violations(&self) -> Vec<String> {
        self.shelf.lock().violations.clone()
    }
}

async fn take(
    State(shelf): State<Arc<Shelf>>,
    method: Method,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let refusal = {
        let mut kept = shelf.lock();
        kept.stats.posts += 1;
        let now = Instant::now();
        if kept.closed.is_some_and(|(from, until)| from < now && now < until) {
            kept.violations.push("a post came before the moment that was asked for".to_owned());
        }
        match shelf.read(&kept, &method, &headers, &body) {
            Err(violation) => {
                kept.violations.push(violation.clone());
                return (StatusCode::UNPROCESSABLE_ENTITY, violation).into_response();
            }
            Ok((key, lines)) => {
                let refusal = kept.refusals.pop_front();
                kept.bodies.insert(key, body);
                kept.stats.refused += u64::from(refusal.is_some());
                if let Some(wait) = refusal.and_then(|refusal| refusal.retry_after) {
                    kept.closed = Some((now + UNDER_WAY, now + wait));
                }
                if refusal.is_none_or(|refusal| refusal.taken) {
                    kept.keep(lines);
                }
                refusal
            }
        }
    };
    let Some(refusal) = refusal else { return StatusCode::NO_CONTENT.into_response() };
    let Ok(status) = StatusCode::from_u16(refusal.status) else {
        return std::future::pending().await;
    };
    match refusal.retry_after {
        None => status.into_response(),
        Some(wait) => (status, [("retry-after", wait.as_secs().to_string())]).into_response(),
    }
}

impl Shelf {
    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The key and the lines of a post that is as it must be.
    fn read(
        &self,
        kept: &Kept,
        method: &Method,
        headers: &HeaderMap,
        body: &Bytes,
    ) -> Result<(String, Vec<Value>), String> {
        let header = |name: &str| {
            let mut values = headers.get_all(name).iter();
            let value = values.next().and_then(|value| value.to_str().ok());
            match (value, values.next()) {
                (Some(value), None) => Ok(value.to_owned()),
                _ => Err(format!("{name} isn't there once")),
            }
        };
        if *method != Method::POST {
            return Err(format!("{method} isn't POST"));
        }
        if header("content-type")? != "application/x-ndjson" {
            return Err("the content type is another one".to_owned());
        }
        if header("authorization")? != format!("Bearer {}", self.token) {
            return Err("the token is another one".to_owned());
        }
        let timestamp = header("x-sidenote-timestamp")?;
        let signature = hex_sha256(&self.signing, &[timestamp.as_bytes(), b".", body]);
        let wanted = format!("sha256={signature}");
        if header("x-sidenote-signature")? != wanted {
            return Err("the signature is wrong".to_owned());
        }
        header("traceparent")?;
        let key = header("idempotency-key")?;
        if kept.bodies.get(&key).is_some_and(|before| before != body) {
            return Err("a key came with another body before".to_owned());
        }
        let text = std::str::from_utf8(body).map_err(|error| error.to_string())?;
        let text = text.strip_suffix('\n').ok_or("the last line has no end")?;
        let lines: Result<Vec<Value>, _> = text.split('\n').map(line).collect();
        let lines = lines?;
        for (number, line) in (0..).zip(&lines) {
            if line["delivery"] != key.as_str() || line["line"] != number {
                return Err("a line has another delivery or place than its post".to_owned());
            }
            if line["session_id"] != lines[0]["session_id"] {
                return Err("lines of two sessions are in one post".to_owned());
            }
        }
        Ok((key, lines))
    }
}

impl Kept {
    fn keep(&mut self, lines: Vec<Value>) {
        let mut fresh = false;
        for line in lines {
            let delivery = line["delivery"].as_str().unwrap_or_default().to_owned();
            if self.names.insert((delivery, line["line"].as_u64().unwrap_or_default())) {
                fresh = true;
                self.lines.push(line);
            }
        }
        self.stats.repeats += u64::from(!fresh);
    }
}

fn line(text: &str) -> Result<Value, String> {
    let value: Value = serde_json::from_str(text).map_err(|error| format!("a line: {error}"))?;
    let fields: &[&str] = match value["event"].as_str() {
        Some("action") => &ACTION,
        Some("summary") => &SUMMARY,
        _ => return Err("a line has another event".to_owned()),
    };
    let found: BTreeSet<&str> =
        value.as_object().into_iter().flatten().map(|(name, _)| name.as_str()).collect();
    if found != fields.iter().copied().collect() {
        return Err(format!("a line has the fields {found:?}"));
    }
    Ok(value)
}
