//! `sse_stream`: a connector on loopback plays the case's bytes, the real client reads them.
//!
//! A case without a tag is matched exactly, save what the promises of `defects.md` change on every
//! case, tagged or not. Each of these is applied by rule, never by name:
//!
//! - D16: an answer that is no good event stream never counts as connected.
//! - D17: an event that a later connection sends again is handed on once, and counted; the last id is
//!   sent on the next connection.
//! - D28: the waits start over after a good event, not after an answer.
//! - D55: every connection that was made is also lost, in order or not.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};
use sidenote::clock::Clock;
use sidenote::config::{self, Secret};
use sidenote::session::payload::Payload;
use sidenote::stream::{
    CancellationToken, Client, Counters, Interruption, Observer, Pause, Received, Status,
    StreamError, Wait,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

/// A client that has not ended by then is still running.
const DEADLINE: Duration = Duration::from_secs(30);

/// Runs one case; the error says what differs.
pub(crate) fn check(case: &Value) -> Result<(), String> {
    let given = Given::read(&case["given"])?;
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(text)?;
    let seen = runtime.block_on(run(&given))?;
    let then = &case["then"];
    check_requests(&given, then, &seen.requests)?;
    check_callbacks(&given, then, &seen)?;
    check_attempts(&given, then, &seen)?;
    check_end(then, &seen)
}

struct Given {
    connections: Vec<Vec<Step>>,
    registered: Vec<String>,
    stop_after: usize,
    token: String,
    initial: f64,
    max: f64,
    max_retries: Option<u32>,
}

/// One thing that the connector does on a connection.
#[derive(Clone)]
enum Step {
    Send(Vec<u8>),
    Abort,
}

/// What was seen of a run.
struct Seen {
    requests: Vec<Request>,
    callbacks: Vec<Value>,
    attempts: Vec<Attempt>,
    counters: Counters,
    /// `None`: still running.
    end: Option<Result<(), StreamError>>,
}

struct Request {
    line: String,
    headers: BTreeMap<String, String>,
}

/// One connection as an observer sees it.
#[derive(Default)]
struct Attempt {
    connected: usize,
    disconnected: usize,
    /// Whether the connector closed it in order.
    closed: bool,
    wait: Option<Wait>,
    /// Good events so far when it was over, those of earlier attempts included.
    good_events: u64,
}

impl Given {
    fn read(given: &Value) -> Result<Self, String> {
        let connections = array(&given["connections"])?
            .iter()
            .map(|steps| array(steps)?.iter().map(step).collect());
        let mut this = Self {
            connections: connections.collect::<Result<_, String>>()?,
            registered: array(&given["registered"])?
                .iter()
                .filter_map(Value::as_str)
                .map(str::to_owned)
                .collect(),
            stop_after: given["stop_after_attempts"].as_u64().ok_or("no stop_after_attempts")?
                as usize,
            token: "tok".to_owned(),
            initial: 1.0,
            max: 30.0,
            max_retries: None,
        };
        for (key, value) in given["client"].as_object().ok_or("no client")? {
            let number = || value.as_f64().ok_or_else(|| format!("client.{key} is no number"));
            match &**key {
                "token" => value.as_str().unwrap_or_default().clone_into(&mut this.token),
                "initial_backoff_s" => this.initial = number()?,
                "max_backoff_s" => this.max = number()?,
                "max_retries" if value.is_null() => {}
                "max_retries" => this.max_retries = Some(number()? as u32),
                other => return Err(format!("the client has no setting {other}")),
            }
        }
        Ok(this)
    }

    /// The steps of the `index`th connection; the last entry repeats.
    fn script(&self, index: usize) -> &[Step] {
        self.connections.get(index).or(self.connections.last()).map_or(&[], |steps| steps)
    }

    /// What the `index`th connection sends, as one text.
    fn sent(&self, index: usize) -> String {
        let bytes = self.script(index).iter().flat_map(|step| match step {
            Step::Send(bytes) => &bytes[..],
            Step::Abort => &[],
        });
        String::from_utf8_lossy(&bytes.copied().collect::<Vec<_>>()).into_owned()
    }

    /// Whether the `index`th connection is answered at all.
    fn answers(&self, index: usize) -> bool {
        self.sent(index).starts_with("HTTP/1.")
    }

    /// Whether the `index`th connection is answered with a good event stream.
    fn answers_well(&self, index: usize) -> bool {
        let sent = self.sent(index);
        let head = sent.split("\r\n\r\n").next().unwrap_or_default();
        let mut lines = head.split("\r\n");
        let status = lines.next().and_then(|line| line.split(' ').nth(1)).unwrap_or_default();
        let content_type = lines
            .filter_map(|line| line.split_once(':'))
            .find(|(name, _)| name.eq_ignore_ascii_case("content-type"))
            .and_then(|(_, value)| value.split(';').next())
            .unwrap_or_default();
        self.answers(index)
            && status.starts_with('2')
            && status != "204"
            && content_type.trim().eq_ignore_ascii_case("text/event-stream")
    }
}

fn step(step: &Value) -> Result<Step, String> {
    let bytes = |value: &Value| BASE64.decode(value.as_str().unwrap_or_default()).map_err(text);
    if let Some(sent) = step.get("send_b64") {
        Ok(Step::Send(bytes(sent)?))
    } else if let Some(sent) = step.get("send_fill") {
        let count = sent["count"].as_u64().ok_or("send_fill has no count")? as usize;
        let char = sent["char"].as_str().ok_or("send_fill has no char")?;
        let parts = ["prefix_b64", "middle_b64", "suffix_b64"].map(|part| bytes(&sent[part]));
        let parts = parts.into_iter().collect::<Result<Vec<_>, _>>()?;
        Ok(Step::Send(parts.join(char.repeat(count).as_bytes())))
    } else if step.get("abort").is_some() {
        Ok(Step::Abort)
    } else {
        Err(format!("unknown step {step}"))
    }
}

fn array(value: &Value) -> Result<&Vec<Value>, String> {
    value.as_array().ok_or_else(|| format!("{value} is no list"))
}

async fn run(given: &Given) -> Result<Seen, String> {
    let listener = TcpListener::bind("127.0.0.1:0").await.map_err(text)?;
    let address = listener.local_addr().map_err(text)?;
    let settings = config::Stream {
        token: Some(Secret::new(&*given.token)),
        idle_timeout: DEADLINE * 2,
        retry_initial: Duration::from_secs_f64(given.initial),
        retry_max: Duration::from_secs_f64(given.max),
        max_event_bytes: 64 << 20,
        ..config::Stream::at(format!("http://{address}/stream/p"))
    };
    let mut client = Client::new("vectors", settings, Clock::system()).map_err(text)?;
    if let Some(max_retries) = given.max_retries {
        client = client.with_max_retries(max_retries);
    }
    let status = client.status();
    let stop = CancellationToken::new();
    let recorder = Arc::new(Recorder {
        attempts: Mutex::default(),
        status: status.clone(),
        stop: stop.clone(),
        stop_after: given.stop_after,
    });
    let client = client.with_observer(recorder.clone());
    let (sink, mut received) = mpsc::channel(16);
    let (mut requests, mut callbacks) = (Vec::new(), Vec::new());
    let collect = async {
        while let Some(received) = received.recv().await {
            callbacks.push(callback(received));
        }
        std::future::pending::<()>().await;
    };
    let end = tokio::select! {
        end = client.run(sink, stop) => Some(end),
        Err(error) = serve(given, &listener, &mut requests) => return Err(format!("the connector failed: {error}")),
        () = collect => None,
        () = tokio::time::sleep(DEADLINE) => None,
    };
    while let Ok(received) = received.try_recv() {
        callbacks.push(callback(received));
    }
    let attempts = std::mem::take(&mut *recorder.attempts.lock().expect("no holder panics"));
    Ok(Seen { requests, callbacks, attempts, counters: status.get().counters, end })
}

/// Plays the scripts, one connection after the other. A client that hangs up early is its good right.
async fn serve(
    given: &Given,
    listener: &TcpListener,
    requests: &mut Vec<Request>,
) -> io::Result<Infallible> {
    loop {
        let (mut tcp, _) = listener.accept().await?;
        tcp.set_nodelay(true)?;
        requests.push(read_request(&mut tcp).await?);
        for step in given.script(requests.len() - 1) {
            let done = match step {
                Step::Send(bytes) => tcp.write_all(bytes).await,
                Step::Abort => tcp.set_zero_linger(),
            };
            if done.is_err() {
                break;
            }
            // Lets the client read each write by itself.
            tokio::task::yield_now().await;
        }
    }
}

async fn read_request(tcp: &mut TcpStream) -> io::Result<Request> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(tcp.read_u8().await?);
    }
    let head = String::from_utf8_lossy(&head);
    let mut lines = head.split("\r\n");
    Ok(Request {
        line: lines.next().unwrap_or_default().to_owned(),
        headers: lines
            .filter_map(|line| line.split_once(": "))
            .map(|(k, v)| (k.to_ascii_lowercase(), v.to_owned()))
            .collect(),
    })
}

/// Records each attempt, waits in no time, and stops the client in the wait that the case names.
struct Recorder {
    attempts: Mutex<Vec<Attempt>>,
    status: Status,
    stop: CancellationToken,
    stop_after: usize,
}

impl Recorder {
    /// The attempt under way; a finished one is followed by another.
    fn attempt(&self, change: impl FnOnce(&mut Attempt)) {
        let mut attempts = self.attempts.lock().expect("no holder panics");
        if attempts.last().is_none_or(|last| last.disconnected > 0 && last.wait.is_some()) {
            attempts.push(Attempt::default());
        }
        change(attempts.last_mut().expect("there is one"));
    }
}

impl Observer for Recorder {
    fn connected(&self) {
        self.attempt(|attempt| attempt.connected += 1);
    }

    fn disconnected(&self, why: &Interruption) {
        self.attempt(|attempt| {
            attempt.disconnected += 1;
            attempt.closed = *why == Interruption::Closed;
        });
    }

    fn pause(&self, wait: Wait) -> Pause {
        let Counters { events, heartbeats, duplicates, .. } = self.status.get().counters;
        self.attempt(|attempt| {
            attempt.wait = Some(wait);
            attempt.good_events = events + heartbeats + duplicates;
        });
        if self.attempts.lock().expect("no holder panics").len() >= self.stop_after {
            self.stop.cancel();
        }
        Box::pin(std::future::ready(()))
    }
}

/// A payload as autoplay-sdk shows it to a callback.
fn callback(received: Received) -> Value {
    match received.payload {
        Payload::Actions(payload) => {
            let actions: Vec<_> = payload
                .actions
                .iter()
                .map(|action| {
                    json!({
                        "title": action.title,
                        "description": action.description,
                        "canonical_url": action.canonical_url,
                        "index": action.index,
                        "type": action.kind,
                        "timestamp_start": action.timestamp_start.unwrap_or(0.0),
                        "timestamp_end": action.timestamp_end.unwrap_or(0.0),
                        "raw_url": action.raw_url,
                        "session_id": action.session_id,
                        "user_id": action.user_id,
                        "email": action.email,
                        "conversation_id": action.conversation_id,
                    })
                })
                .collect();
            let payload = json!({
                "product_id": payload.product_id,
                "session_id": payload.session_id,
                "user_id": payload.user_id,
                "email": payload.email,
                "count": actions.len(),
                "forwarded_at": payload.forwarded_at,
                "conversation_id": payload.conversation_id,
                "actions": actions,
            });
            json!({ "kind": "actions", "payload": payload })
        }
        Payload::Summary(payload) => json!({ "kind": "summary", "payload": {
            "product_id": payload.product_id,
            "session_id": payload.session_id,
            "summary": payload.summary,
            "replaces": payload.replaces,
            "forwarded_at": payload.forwarded_at,
        }}),
    }
}

fn check_requests(given: &Given, then: &Value, requests: &[Request]) -> Result<(), String> {
    let expected = array(&then["requests"])?;
    if requests.len() != expected.len() || then["attempts"].as_u64() != Some(requests.len() as u64)
    {
        return Err(format!("{} requests came, {} are expected", requests.len(), expected.len()));
    }
    for (index, (expected, request)) in expected.iter().zip(requests).enumerate() {
        if expected["line"].as_str() != Some(&request.line) {
            return Err(format!(
                "request {index} is {:?}, expected {}",
                request.line, expected["line"]
            ));
        }
        for name in ["accept", "authorization", "cache-control", "last-event-id"] {
            let (expected, actual) = (expected[name].as_str(), request.headers.get(name));
            let resumes = name == "last-event-id"
                && expected.is_none()
                && actual
                    .is_some_and(|id| (0..index).any(|earlier| sends_id(&given.sent(earlier), id)));
            if expected != actual.map(|value| &**value) && !resumes {
                return Err(format!(
                    "request {index}: header {name} is {actual:?}, expected {expected:?}"
                ));
            }
        }
    }
    Ok(())
}

fn sends_id(sent: &str, id: &str) -> bool {
    sent.split(['\r', '\n'])
        .any(|line| line.strip_prefix("id:").is_some_and(|value| value.trim_start() == id))
}

/// The callbacks in order. One that autoplay-sdk got a second time may be left out where the client
/// counted a duplicate (D17).
fn check_callbacks(given: &Given, then: &Value, seen: &Seen) -> Result<(), String> {
    let expected = array(&then["callbacks"])?;
    let is_registered = |kind: &Value| given.registered.iter().any(|name| kind == name);
    let mut actual =
        seen.callbacks.iter().filter(|callback| is_registered(&callback["kind"])).peekable();
    let mut left_out = 0;
    for (index, callback) in expected.iter().enumerate() {
        if actual.next_if(|actual| same(callback, actual)).is_some() {
            continue;
        }
        if !expected[..index].contains(callback) {
            let actual = actual.peek().map(|actual| shorten(actual));
            return Err(format!("callback {index} is {actual:?}, expected {}", shorten(callback)));
        }
        left_out += 1;
    }
    if let Some(more) = actual.next() {
        return Err(format!("a callback more than expected: {}", shorten(more)));
    }
    let counted = seen.counters.duplicates;
    let all_registered = ["actions", "summary"].iter().all(|kind| is_registered(&json!(kind)));
    if left_out > counted || (all_registered && left_out < counted) {
        return Err(format!(
            "{left_out} repeated callbacks are missing, {counted} duplicates were counted"
        ));
    }
    Ok(())
}

/// Equal, numbers by value and stand-ins spelt out.
fn same(expected: &Value, actual: &Value) -> bool {
    match (expected, actual) {
        (Value::Number(a), Value::Number(b)) => a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| same(a, b)))
        }
        (Value::Object(stand_in), Value::String(actual)) => {
            stand_in.get("$repeat").is_some_and(|repeat| {
                let count = repeat["count"].as_u64().unwrap_or_default() as usize;
                repeat["char"].as_str().is_some_and(|char| char.repeat(count) == *actual)
            })
        }
        _ => expected == actual,
    }
}

/// Connecting, losing and waiting, attempt by attempt.
fn check_attempts(given: &Given, then: &Value, seen: &Seen) -> Result<(), String> {
    let mut waits = array(&then["sleeps"])?.iter();
    // The base of the wait after each attempt, by autoplay-sdk's rule and by ours (D28).
    let (mut by_answer, mut by_event) = (given.initial, given.initial);
    let mut good_events = 0;
    let mut lifecycle = Vec::new();
    for (index, attempt) in seen.attempts.iter().enumerate() {
        let expected = usize::from(given.answers_well(index));
        if (attempt.connected, attempt.disconnected) != (expected, 1) {
            let (connected, lost) = (attempt.connected, attempt.disconnected);
            return Err(format!(
                "attempt {index}: {connected} connected, {lost} lost, expected {expected} and 1"
            ));
        }
        // As autoplay-sdk tells it: every answer connects (D16), an orderly end is not told (D55).
        let answered = given.answers(index);
        lifecycle.extend(answered.then_some("connect"));
        lifecycle.extend((!attempt.closed).then_some("disconnect"));
        let Some(wait) = attempt.wait else { continue };
        let next = waits.next().ok_or_else(|| format!("attempt {index}: no wait is expected"))?;
        if answered {
            by_answer = given.initial;
        }
        if attempt.good_events > good_events {
            by_event = given.initial;
        }
        good_events = attempt.good_events;
        let factor = if by_answer == by_event { 1.0 } else { by_event / by_answer };
        for (what, actual, expected) in [
            ("base", wait.base.as_secs_f64(), &next["base_s"]),
            ("largest jitter", wait.jitter_max.as_secs_f64(), &next["jitter_max_s"]),
        ] {
            let expected = expected.as_f64().ok_or("a sleep is no number")? * factor;
            if (actual - expected).abs() > 1e-6 {
                return Err(format!("wait {index}: {what} is {actual} s, expected {expected} s"));
            }
        }
        let least = next["jitter_min_s"].as_f64().ok_or("a sleep is no number")?;
        if wait.jitter > wait.jitter_max || wait.jitter.as_secs_f64() < least {
            return Err(format!("wait {index}: jitter {:?} is out of range", wait.jitter));
        }
        by_answer = (by_answer * 2.0).min(given.max);
        by_event = (by_event * 2.0).min(given.max);
    }
    if waits.next().is_some() {
        return Err("a wait is missing".to_owned());
    }
    if then["lifecycle"] != json!(lifecycle) {
        return Err(format!("life cycle {lifecycle:?}, expected {}", then["lifecycle"]));
    }
    Ok(())
}

fn check_end(then: &Value, seen: &Seen) -> Result<(), String> {
    let actual = match &seen.end {
        None => json!("still running"),
        Some(Ok(())) => json!("stopped"),
        Some(Err(StreamError::RetriesExhausted { max_retries, attempts, .. })) => {
            json!({ "raised": {
                "type": "SdkUpstreamError",
                "message": format!("autoplay_sdk: max_retries={max_retries} exhausted after {attempts} attempts"),
            }})
        }
        Some(Err(error)) => json!({ "raised": error.to_string() }),
    };
    if actual == then["end"] {
        Ok(())
    } else {
        Err(format!("it ended with {actual}, expected {}", then["end"]))
    }
}

fn shorten(value: &Value) -> String {
    value.to_string().chars().take(600).collect()
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
