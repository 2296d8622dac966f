//! The recorded requests, and the way from one to its lines: the plugin, then the words.

use std::collections::HashSet;
use std::io::Read;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use serde::Deserialize;
use sidenote_core::clock::Timestamp;
use sidenote_plugin::Source;
use sidenote_plugin::source as wit;
use sidenote_sources::{Batch, Element, Event, Identity, Kind, Memory, Merge, Settings, Wording};

/// A request as it was recorded.
#[derive(Clone, Deserialize)]
#[serde(default)]
pub(crate) struct Recorded {
    pub name: String,
    pub about: String,
    pub method: String,
    pub path: String,
    pub query: serde_json::Map<String, serde_json::Value>,
    pub headers: std::collections::BTreeMap<String, String>,
    pub received_at_ms: u64,
    pub body_text: String,
    pub body_base64: String,
}

impl Default for Recorded {
    fn default() -> Self {
        Self {
            name: String::new(),
            about: String::new(),
            method: String::new(),
            path: String::new(),
            query: serde_json::Map::new(),
            headers: std::collections::BTreeMap::new(),
            // What was made by hand has none.
            received_at_ms: 1_795_943_210_000,
            body_text: String::new(),
            body_base64: String::new(),
        }
    }
}

pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/sources")
}

/// The requests of a client.
pub(crate) fn of(client: &str) -> Vec<Recorded> {
    let file = folder().join(format!("{client}.jsonl"));
    let text = std::fs::read_to_string(file).expect("a file of requests");
    text.lines().map(|line| serde_json::from_str(line).expect("a request")).collect()
}

impl Recorded {
    /// As the host hands it over: unpacked by its first bytes.
    pub(crate) fn request(&self) -> wit::Request {
        let mut body = self.body_text.clone().into_bytes();
        if !self.body_base64.is_empty() {
            let engine = base64::engine::general_purpose::STANDARD;
            body = engine.decode(&self.body_base64).expect("base64");
        }
        if body.starts_with(&[0x1f, 0x8b]) {
            let mut plain = Vec::new();
            flate2::read::GzDecoder::new(&*body).read_to_end(&mut plain).expect("gzip");
            body = plain;
        }
        let pairs = self
            .query
            .iter()
            .map(|(name, value)| format!("{name}={}", value.as_str().unwrap_or_default()));
        wit::Request {
            method: self.method.clone(),
            path: self.path.clone(),
            query: pairs.collect::<Vec<_>>().join("&"),
            headers: self
                .headers
                .iter()
                .map(|(name, value)| (name.to_lowercase(), value.clone()))
                .collect(),
            body,
            received_at_ms: self.received_at_ms,
            extras: Vec::new(),
        }
    }
}

/// The plugin that reads a client's requests.
pub(crate) fn receive(
    client: &str,
    request: wit::Request,
) -> Result<wit::Received, wit::Rejection> {
    match client.split('-').next() {
        Some("posthog") => sidenote_posthog::PostHog::receive(request),
        Some("amplitude") => sidenote_amplitude::Amplitude::receive(request),
        _ => sidenote_segment::Segment::receive(request),
    }
}

/// What a plugin said, as the host takes it.
pub(crate) fn batch(from: wit::Batch) -> Batch {
    Batch {
        product_id: from.product_id,
        events: from.events.into_iter().map(event).collect(),
        merges: from.merges.into_iter().map(|it| Merge { from: it.from, into: it.into }).collect(),
    }
}

fn event(from: wit::Event) -> Event {
    let extra = |key: &str| {
        from.extras.iter().find(|(name, _)| name == key).map(|(_, value)| value.clone())
    };
    let (conversation_id, heading, message) =
        (extra("conversation-id"), extra("heading"), extra("message"));
    Event {
        id: from.id,
        kind: match from.kind {
            wit::EventKind::Custom => Kind::Custom,
            wit::EventKind::Page => Kind::Page,
            wit::EventKind::Screen => Kind::Screen,
            wit::EventKind::Click => Kind::Click,
            wit::EventKind::Change => Kind::Change,
            wit::EventKind::Submit => Kind::Submit,
            wit::EventKind::RageClick => Kind::RageClick,
            wit::EventKind::DeadClick => Kind::DeadClick,
            wit::EventKind::Error => Kind::Error,
            wit::EventKind::Identity => Kind::Identity,
        },
        name: from.name,
        identity: Identity {
            session_id: from.identity.session_id,
            anonymous_id: from.identity.anonymous_id,
            user_id: from.identity.user_id,
            email: from.identity.email,
        },
        at: from.at,
        title: from.title,
        description: from.description,
        url: from.url,
        page_title: from.page_title,
        elements: from
            .elements
            .into_iter()
            .map(|it| Element { tag: it.tag, text: it.text, attributes: it.attributes })
            .collect(),
        properties: serde_json::from_str(&from.properties).unwrap_or_default(),
        conversation_id,
        heading: heading.unwrap_or_default(),
        message: message.unwrap_or_default(),
    }
}

/// A host that has taken the requests of a client so far.
pub(crate) struct Taken {
    client: String,
    wording: Wording,
    memory: Memory,
    seen: HashSet<String>,
    /// Whether what came before is told again.
    again: bool,
}

impl Taken {
    pub(crate) fn new(client: &str) -> Self {
        let wording = Wording::new(&Settings::default()).expect("the defaults are right");
        Self {
            client: client.to_owned(),
            wording,
            memory: Memory::default(),
            seen: HashSet::new(),
            again: false,
        }
    }

    /// One that tells again what came before.
    pub(crate) fn again(client: &str) -> Self {
        Self { again: true, ..Self::new(client) }
    }

    /// What a request becomes, for people to read.
    pub(crate) fn take(&mut self, request: wit::Request) -> Vec<String> {
        let now = Timestamp(i64::try_from(request.received_at_ms).expect("a time") * 1000);
        let mut lines = Vec::new();
        let received = match receive(&self.client, request) {
            Ok(received) => received,
            Err(refused) => {
                return vec![format!("refused, {:?}: {}", refused.kind, refused.message)];
            }
        };
        let location = received.response.headers.iter().find(|(name, _)| name == "location");
        let to = location.map(|(_, to)| format!(" to {to}")).unwrap_or_default();
        let key = if received.keyless {
            ", without a key"
        } else if received.key.is_none() {
            ", no key in the body"
        } else {
            ""
        };
        if received.keyless || !to.is_empty() || received.batches.is_empty() {
            let body = String::from_utf8_lossy(&received.response.body)
                .chars()
                .take(200)
                .collect::<String>();
            lines.push(format!("answered {}{to}{key}: {body}", received.response.status));
        }
        for from in received.batches {
            let mut batch = batch(from);
            let before = batch.events.len();
            batch
                .events
                .retain(|it| self.again || it.id.is_empty() || self.seen.insert(it.id.clone()));
            let repeats = before - batch.events.len();
            let worded = self.wording.words(&mut self.memory, batch, "p", now);
            for session in worded.sessions {
                let who = session.user_id.as_deref().unwrap_or("nobody known");
                let email = session.email.map(|it| format!(", {it}")).unwrap_or_default();
                lines.push(format!(
                    "session {} of {who}{email}",
                    session.session_id.expect("a session")
                ));
                for action in session.actions {
                    let ago = now.as_secs_f64() - action.timestamp_start.expect("a time");
                    lines.push(format!(
                        "  {ago:.1} s ago: {} — {}",
                        action.description, action.raw_url
                    ));
                }
            }
            for (reason, count) in worded.left_out {
                lines.push(format!("left out {count}: {}", reason.words()));
            }
            if repeats > 0 {
                lines.push(format!("left out {repeats}: came before"));
            }
        }
        for ignored in received.ignored {
            lines.push(format!("ignored {}: {}", ignored.count, ignored.reason));
        }
        lines
    }
}
