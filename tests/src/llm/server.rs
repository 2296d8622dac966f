//! A model on a socket.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{Request, Response};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::shape::{KEY, MODEL, Shape};

/// Largest request, in bytes.
const MAX_REQUEST: usize = 8 << 20;
/// How often a dripping answer drips.
const DRIP: Duration = Duration::from_millis(50);

/// A running model. It ends when it is dropped.
pub struct LlmServer {
    shape: Shape,
    address: SocketAddr,
    desk: Arc<Mutex<Desk>>,
    _tasks: JoinSet<()>,
}

/// What it does with a question.
#[derive(Debug, Clone, PartialEq)]
pub enum Behaviour {
    /// Answers with this text.
    Answer(String),
    /// Answers with this text after so long.
    Late(Duration, String),
    /// Fails with this status, and asks for so many seconds where it says.
    Fail(u16, Option<u64>),
    /// Answers with a body that is said to be encoded so.
    Encoded(String),
    /// Fails with this status and body.
    FailWith(u16, String),
    /// Never answers.
    Hang,
    /// Answers byte by byte, and never ends.
    Drip,
    /// Answers 200 with this body.
    Body(String),
}

/// A question that was asked rightly.
#[derive(Debug, Clone, PartialEq)]
pub struct Question {
    /// What the model was told of its task.
    pub system: String,
    /// What the user's message says.
    pub text: String,
    /// When it came, from the server's start.
    pub at: Duration,
}

struct Desk {
    start: Instant,
    script: VecDeque<Behaviour>,
    always: Option<Behaviour>,
    questions: Vec<Question>,
    refusals: Vec<String>,
    /// The encodings that were asked for.
    encodings: Vec<String>,
}

impl LlmServer {
    /// Starts a model that does these things in turn, and then answers `SUM0`, `SUM1` and so on, by the number of
    /// the question.
    ///
    /// # Panics
    /// When no port is free.
    pub async fn start(shape: Shape, script: impl IntoIterator<Item = Behaviour>) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a listener has an address");
        let desk = Arc::new(Mutex::new(Desk {
            start: Instant::now(),
            script: script.into_iter().collect(),
            always: None,
            questions: Vec::new(),
            refusals: Vec::new(),
            encodings: Vec::new(),
        }));
        let served = desk.clone();
        let app = Router::new().fallback(move |request: Request<Body>| {
            let desk = served.clone();
            async move { handle(shape, &desk, request).await }
        });
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            axum::serve(listener, app).await.expect("serving never ends by itself");
        });
        Self { shape, address, desk, _tasks: tasks }
    }

    /// The table `[llm]` of a host that asks it, with further keys.
    pub fn table(&self, keys: &str) -> String {
        let version = match self.shape {
            Shape::Azure => "api_version = \"2024-10-21\"\n",
            Shape::OpenAi | Shape::Gateway | Shape::Anthropic | Shape::Gemini => "",
        };
        format!(
            "[llm]\nprovider = \"{}\"\nmodel = \"{MODEL}\"\nbase_url = \"http://{}{}\"\napi_key = {{ env = \"LLM_KEY\" }}\n{version}{keys}\n",
            self.shape.provider(),
            self.address,
            self.shape.base(),
        )
    }

    /// The key, and the variable that it is in.
    pub fn secret() -> (&'static str, String) {
        ("LLM_KEY", KEY.to_owned())
    }

    /// Adds to what it does.
    pub fn then(&self, script: impl IntoIterator<Item = Behaviour>) {
        self.desk().script.extend(script);
    }

    /// Does this with every question from here on; with `None`, as at the start.
    pub fn always(&self, behaviour: Option<Behaviour>) {
        let mut desk = self.desk();
        desk.script.clear();
        desk.always = behaviour;
    }

    /// The questions so far that were asked rightly.
    pub fn questions(&self) -> Vec<Question> {
        self.desk().questions.clone()
    }

    /// The requests that were refused for what they are.
    pub fn refusals(&self) -> Vec<String> {
        self.desk().refusals.clone()
    }

    /// The encodings that each request asked for.
    pub fn encodings(&self) -> Vec<String> {
        self.desk().encodings.clone()
    }

    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().expect("no holder panics")
    }
}

async fn handle(shape: Shape, desk: &Mutex<Desk>, request: Request<Body>) -> Response<Body> {
    let (head, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, MAX_REQUEST).await else {
        return json(413, &shape.error(413, "too large"));
    };
    let target = head.uri.path_and_query().map_or("/", |target| target.as_str());
    let read = shape.read(head.method.as_str(), target, &head.headers, &body);
    let (n, said, behaviour) = {
        let mut desk = desk.lock().expect("no holder panics");
        let encoding = head.headers.get("accept-encoding").and_then(|it| it.to_str().ok());
        desk.encodings.push(encoding.unwrap_or_default().to_owned());
        let read = match read {
            Ok(read) => read,
            Err((status, why)) => {
                desk.refusals.push(why.clone());
                return json(status, &shape.error(status, &why));
            }
        };
        let (n, at, said) = (desk.questions.len(), desk.start.elapsed(), read.text.clone());
        desk.questions.push(Question { system: read.system, text: read.text, at });
        let behaviour = desk.script.pop_front().or_else(|| desk.always.clone());
        (n, said, behaviour)
    };
    match behaviour.unwrap_or_else(|| Behaviour::Answer(format!("SUM{n}"))) {
        Behaviour::Answer(text) => json(200, &shape.answer(&text)),
        Behaviour::Late(after, text) => {
            tokio::time::sleep(after).await;
            json(200, &shape.answer(&text))
        }
        Behaviour::Fail(status, retry_after) => {
            let mut response = json(status, &shape.error(status, &said));
            if let Some(seconds) = retry_after {
                response.headers_mut().insert("retry-after", seconds.into());
            }
            response
        }
        Behaviour::Encoded(encoding) => {
            let mut response = json(200, &shape.answer("odd bytes"));
            let encoding = encoding.parse().expect("a test's encoding is a header");
            response.headers_mut().insert("content-encoding", encoding);
            response
        }
        Behaviour::FailWith(status, body) => {
            let body = serde_json::from_str(&body).expect("a test's body is JSON");
            json(status, &body)
        }
        Behaviour::Hang => std::future::pending().await,
        Behaviour::Drip => dripping(),
        Behaviour::Body(body) => {
            let mut response = Response::new(Body::from(body));
            response
                .headers_mut()
                .insert("content-type", "application/json".parse().expect("plain"));
            response
        }
    }
}

fn json(status: u16, value: &serde_json::Value) -> Response<Body> {
    let mut response = Response::new(Body::from(value.to_string()));
    *response.status_mut() = status.try_into().expect("a status");
    response.headers_mut().insert("content-type", "application/json".parse().expect("plain"));
    response
}

/// One byte after the other, for ever: each read makes progress, and the answer never ends.
fn dripping() -> Response<Body> {
    let drip = |()| async {
        tokio::time::sleep(DRIP).await;
        Some((Ok::<_, Infallible>(Bytes::from_static(b" ")), ()))
    };
    Response::new(Body::from_stream(futures_util::stream::unfold((), drip)))
}
