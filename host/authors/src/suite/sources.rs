//! Sources: what they make of requests that anybody can send, and of being asked.

use std::time::Duration;

use sidenote::kv::CallKv;
use sidenote::plugin::{EventsReceived, PollError, PollSubject, SourceError, SourceRequest};

use super::check::{Check, Verdict};
use super::stage::{Needs, Stage};
use crate::suite::samples::{Hand, Sample};

/// The largest list that is tried, in bytes.
const HUGE: usize = 900 << 10;

/// A request of somebody who means harm, or of a broken program.
struct Stranger {
    name: &'static str,
    method: &'static str,
    path: &'static str,
    body: fn() -> Vec<u8>,
}

const STRANGERS: &[Stranger] = &[
    Stranger { name: "a source is sent nothing", method: "POST", path: "/", body: Vec::new },
    Stranger { name: "a source is asked for a page", method: "GET", path: "/", body: Vec::new },
    Stranger {
        name: "a source is called at a path that nobody knows",
        method: "POST",
        path: "/%00/..%2f/no-such-path",
        body: || b"{}".to_vec(),
    },
    Stranger {
        name: "a source is sent garbage",
        method: "POST",
        path: "/",
        body: || b"\x00\xff{[\"\\u".repeat(20),
    },
    Stranger {
        name: "a source is sent a list without an end",
        method: "POST",
        path: "/",
        body: || [b"[".repeat(HUGE / 2), b"]".repeat(HUGE / 2)].concat(),
    },
    Stranger {
        name: "a source is sent odd values",
        method: "POST",
        path: "/",
        body: || {
            br#"[null, 1e999, {"id": {}, "name": [], "user": -1, "at": "x", "properties": 7}, {"name": "\u0000\ud800"}]"#.to_vec()
        },
    },
];

pub(super) fn checks(samples: &[Sample]) -> Vec<Check> {
    let stranger = |stranger: &'static Stranger| {
        Check::new(stranger.name, Needs::Export("source"), move |stage| {
            Box::pin(survives(stage, stranger))
        })
    };
    let mut checks: Vec<_> = STRANGERS.iter().map(stranger).collect();
    for (at, sample) in samples.iter().enumerate() {
        let name = format!("a source reads {}", sample.name);
        checks.push(Check::new(name, Needs::Export("source"), move |stage| {
            Box::pin(reads_alike(stage, at))
        }));
    }
    checks.push(Check::new("a source is asked for everything", Needs::Export("source"), |stage| {
        Box::pin(is_asked(stage, None))
    }));
    checks.push(Check::new("a source is asked about a person", Needs::Export("source"), |stage| {
        let product = sidenote::ids::ProductId::new("product-1").expect("it is an id");
        let subject = PollSubject { product, user: "user/1 \u{fc}".to_owned() };
        Box::pin(is_asked(stage, Some(subject)))
    }));
    checks
}

/// Whatever it is sent, it answers or refuses, and invents nobody's events.
async fn survives(stage: &Stage<'_>, stranger: &Stranger) -> Verdict {
    // Where it reads something at all, as far as that is known.
    let path = match stage.samples.is_empty() || stranger.path != "/" {
        true => stranger.path.to_owned(),
        false => match sent(stage, 0) {
            Ok(sample) => sample.path,
            Err(why) => return Verdict::failed(why),
        },
    };
    let request = SourceRequest {
        method: stranger.method.to_owned(),
        path,
        query: String::new(),
        headers: vec![("content-type".to_owned(), "application/json".to_owned())],
        body: (stranger.body)().into(),
        received_at: stage.clock.now(),
    };
    match receive(stage, &request).await {
        Ok(received) => Verdict::ok(format!("answered {}", received.answer.status)),
        Err(SourceError::Rejected { kind, .. }) => Verdict::ok(format!("refused: {kind:?}")),
        Err(error) => Verdict::failed(error.to_string()),
    }
}

/// A request that was given, as the host hands it on: without what stands before the path below the source's name.
fn sent(stage: &Stage<'_>, at: usize) -> Result<SourceRequest, String> {
    let secret = |name: &str| {
        stage.bench.secrets().find(|(key, _)| *key == name).map(|(_, value)| value.to_owned())
    };
    let timestamp = stage.clock.now().as_millis() / 1000;
    let sent = stage.samples[at].request(&Hand { secret: &secret, timestamp })?;
    let called = sent.url.split_once("://").map_or(&*sent.url, |(_, rest)| rest);
    let called = called.find('/').map_or("/", |at| &called[at..]);
    let below = called.strip_prefix("/webhooks/plugin").unwrap_or(called);
    let (path, query) = below.split_once('?').unwrap_or((below, ""));
    Ok(SourceRequest {
        method: sent.method,
        path: if path.is_empty() { "/".to_owned() } else { path.to_owned() },
        query: query.to_owned(),
        headers: sent.headers,
        body: sent.body.into(),
        received_at: stage.clock.now(),
    })
}

/// The same request brings the same events, or what is sent again counts twice.
async fn reads_alike(stage: &Stage<'_>, at: usize) -> Verdict {
    let request = match sent(stage, at) {
        Ok(request) => request,
        Err(why) => return Verdict::failed(why),
    };
    let first = receive(stage, &request).await;
    // Long enough for what is made of a clock to differ.
    tokio::time::sleep(Duration::from_millis(20)).await;
    let again = receive(stage, &request).await;
    match (first, again) {
        (Ok(first), Ok(again)) if first.batches == again.batches => {
            let events: usize = first.batches.iter().map(|batch| batch.events.len()).sum();
            let nameless =
                first.batches.iter().flat_map(|batch| &batch.events).filter(|it| it.id.is_empty());
            match nameless.count() {
                0 => Verdict::ok(format!("{events} events, the same each time")),
                without => Verdict::warning(format!(
                    "{without} of {events} events have no id: sent again, they count again"
                )),
            }
        }
        (Ok(_), Ok(_)) => Verdict::failed(
            "the same request brings other events the second time: take ids and times from the request alone",
        ),
        (Err(error), _) | (_, Err(error)) => Verdict::failed(error.to_string()),
    }
}

async fn is_asked(stage: &Stage<'_>, about: Option<PollSubject>) -> Verdict {
    let registry = &stage.bench.registry;
    let asked = registry.poll_events(&stage.bench.name, stage.usual_call(), about.as_ref(), None);
    match asked.await {
        Ok(page) => {
            let events: usize = page.batches.iter().map(|batch| batch.events.len()).sum();
            Verdict::ok(format!("{events} events"))
        }
        // What the mock answers is no platform's answer.
        Err(PollError::Call(sidenote::outbox::note::PostError::Failed(failure))) => {
            Verdict::ok(format!("a failure: {}", failure.code))
        }
        Err(error) => {
            stage.crashed("poll", &error.to_string());
            Verdict::failed(error.to_string())
        }
    }
}

async fn receive(
    stage: &Stage<'_>,
    request: &SourceRequest,
) -> Result<EventsReceived, SourceError> {
    let received = stage
        .bench
        .registry
        .receive_events(&stage.bench.name, request, &CallKv::stored(None))
        .await;
    if let Err(SourceError::Crashed { code, message }) = &received {
        stage.crashed(code, message);
    }
    received
}
