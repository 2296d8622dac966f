//! A vendor, a model, a sink, a collector and a webhook in one, which keep what they are sent and say it again where they
//! refuse it.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde_json::json;
use sidenote_tests::eventually;
use tokio::task::JoinSet;

/// What is answered.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    /// This status, with these words in a header and a body that has all that was sent too.
    Echo(u16, String),
    /// What a model says.
    Model(String),
    /// 200 with this body.
    Body(String),
}

#[derive(Default)]
struct Desk {
    scripts: BTreeMap<&'static str, VecDeque<Answer>>,
    /// What the model says where nothing else is to be answered.
    says: Option<String>,
    /// What was answered by a script.
    answered: String,
    heads: BTreeMap<String, String>,
    bodies: BTreeMap<String, Vec<u8>>,
}

/// A server that runs until it is dropped.
pub(crate) struct Mirror {
    addr: SocketAddr,
    desk: Arc<Mutex<Desk>>,
    _task: JoinSet<()>,
}

pub(crate) const NOTES: &str = "/notes";
pub(crate) const LINES: &str = "/lines";
pub(crate) const MODEL: &str = "/llm/chat/completions";
pub(crate) const HOOK: &str = "/hook";
pub(crate) const TRACES: &str = "/v1/traces";

impl Mirror {
    pub(crate) async fn start() -> Self {
        let desk: Arc<Mutex<Desk>> = Arc::default();
        let app = Router::new().fallback(answer).with_state(desk.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let addr = listener.local_addr().expect("it is bound");
        let mut task = JoinSet::new();
        task.spawn(async move { axum::serve(listener, app).await.expect("it serves") });
        Self { addr, desk, _task: task }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Answers the next requests to an address with these, in turn.
    pub(crate) fn script(&self, path: &'static str, answers: impl IntoIterator<Item = Answer>) {
        self.desk().scripts.entry(path).or_default().extend(answers);
    }

    /// The model says this from here on.
    pub(crate) fn says(&self, text: String) {
        self.desk().says = Some(text);
    }

    /// Waits until all answers of an address were given.
    pub(crate) async fn is_through(&self, path: &str) {
        eventually(|| match self.desk().scripts.get(path) {
            Some(left) if !left.is_empty() => Err(format!("{path}: {left:?} wait")),
            Some(_) | None => Ok(()),
        })
        .await;
    }

    /// What was answered by scripts.
    pub(crate) fn answered(&self) -> String {
        self.desk().answered.clone()
    }

    /// What came to an address, heads and bodies.
    pub(crate) fn seen(&self, path: &str) -> String {
        let desk = self.desk();
        let head = desk.heads.get(path).cloned().unwrap_or_default();
        let body = desk.bodies.get(path).map(|body| String::from_utf8_lossy(body).into_owned());
        format!("{head}{}", body.unwrap_or_default())
    }

    /// The bodies that came to an address.
    pub(crate) fn bodies(&self, path: &str) -> Vec<u8> {
        self.desk().bodies.get(path).cloned().unwrap_or_default()
    }

    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn answer(
    State(desk): State<Arc<Mutex<Desk>>>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let path = uri.path().to_owned();
    let mut desk = desk.lock().unwrap_or_else(PoisonError::into_inner);
    let head = format!("{headers:?}");
    desk.heads.entry(path.clone()).or_default().push_str(&head);
    desk.bodies.entry(path.clone()).or_default().extend_from_slice(&body);
    let scripted = desk.scripts.get_mut(&*path).and_then(VecDeque::pop_front);
    if let Some(answer) = &scripted {
        desk.answered.push_str(&format!("{answer:?}"));
    }
    let says = desk.says.clone().unwrap_or_else(|| "Nothing to say.".to_owned());
    let answer = scripted.unwrap_or(match &*path {
        MODEL => Answer::Model(says),
        TRACES => Answer::Body(String::new()),
        _ => Answer::Body("{}".to_owned()),
    });
    match answer {
        Answer::Echo(status, words) => {
            let status = StatusCode::from_u16(status).expect("a status");
            let sent = String::from_utf8_lossy(&body);
            let said = json!({"error": {"message": words, "head": head, "sent": sent}});
            (status, [("x-said", words)], said.to_string()).into_response()
        }
        Answer::Model(text) => {
            let message = json!({"role": "assistant", "content": text, "refusal": null});
            let choice = json!({"index": 0, "finish_reason": "stop", "message": message});
            let usage = json!({"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2});
            let body = json!({"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], "usage": usage});
            ([("content-type", "application/json")], body.to_string()).into_response()
        }
        Answer::Body(body) => body.into_response(),
    }
}
