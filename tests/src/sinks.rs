//! A strict sink: it remembers all that it is handed, and panics at what no host may do.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sidenote::ids::{PluginName, SessionKey};
use sidenote::outbox::note::{Call, PostError};
use sidenote::outbox::sink_delivery::{Content, Roles, SinkDelivery};
use tokio::time::Instant;

/// What a call of a sink is answered, after how long, and whether the sink keeps what it was handed.
pub type SinkAnswer = (Duration, Result<(), PostError>);

/// A hand-over as the sink sees it.
#[derive(Debug, Clone)]
pub struct Handed {
    /// When it began, from the start.
    pub at: Duration,
    /// When it was answered; `None` while it is under way, and where it was cut off.
    pub end: Option<Duration>,
    /// The attempt.
    pub call: Call,
    /// What was handed over.
    pub delivery: SinkDelivery,
    /// Whether it is answered with success.
    pub ok: bool,
    /// The answer.
    pub answer: Result<(), PostError>,
}

/// The sinks of a test.
pub struct Sinks {
    start: Instant,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    roles: HashMap<PluginName, Option<Roles>>,
    scripts: HashMap<PluginName, VecDeque<SinkAnswer>>,
    handed: Vec<Handed>,
    /// What was handed over under each key, as it came first.
    by_key: HashMap<String, Content>,
    under_way: HashSet<(PluginName, SessionKey)>,
    /// What each sink keeps: the lines of each key, once, in the order in which they came first.
    kept: Vec<(PluginName, SessionKey, Vec<String>)>,
    keys: HashSet<String>,
}

impl Default for Sinks {
    fn default() -> Self {
        Self { start: Instant::now(), known: Mutex::default() }
    }
}

impl Sinks {
    /// What a plugin can do; `None`: it can't be loaded.
    pub fn set_roles(&self, plugin: &str, roles: Option<Roles>) {
        self.lock().roles.insert(plugin.into(), roles);
    }

    /// Makes these plugins sinks and nothing else.
    pub fn add(&self, plugins: &[&str]) {
        for plugin in plugins {
            self.set_roles(plugin, Some(Roles { writer: false, sink: true }));
        }
    }

    /// The next answers of a sink; it succeeds at once behind them.
    pub fn script(&self, plugin: &str, answers: impl IntoIterator<Item = SinkAnswer>) {
        self.lock().scripts.entry(plugin.into()).or_default().extend(answers);
    }

    /// Forgets what is left of the scripts.
    pub fn recover(&self) {
        self.lock().scripts.clear();
    }

    /// Every hand-over, in the order in which they began.
    pub fn handed(&self) -> Vec<Handed> {
        self.lock().handed.clone()
    }

    /// The hand-overs to one sink.
    pub fn handed_to(&self, plugin: &str) -> Vec<Handed> {
        let of_sink = |handed: &Handed| *handed.delivery.plugin == *plugin;
        self.handed().into_iter().filter(of_sink).collect()
    }

    /// What a sink has of a session: the texts of the actions, summaries as `summary: text`, each once.
    pub fn kept(&self, plugin: &str, session: &str) -> Vec<String> {
        let known = self.lock();
        let of = known
            .kept
            .iter()
            .filter(|(name, key, _)| **name == *plugin && key.session.as_str() == session);
        of.flat_map(|(_, _, lines)| lines.clone()).collect()
    }

    /// A session was erased: what comes of its id is another one's, whatever is under way.
    pub fn forget(&self, session: &SessionKey) {
        self.lock().under_way.retain(|(_, key)| key != session);
    }

    pub(crate) fn roles(&self, plugin: &PluginName) -> Option<Roles> {
        self.lock().roles.get(plugin).copied().unwrap_or(Some(Roles::WRITER))
    }

    pub(crate) async fn write(&self, call: Call, delivery: &SinkDelivery) -> Result<(), PostError> {
        let lane = (delivery.plugin.clone(), delivery.key.clone());
        let (latency, answer, n) = {
            let mut known = self.lock();
            assert_eq!(call.idempotency_key, delivery.idempotency_key);
            let first = known
                .by_key
                .entry(delivery.idempotency_key.clone())
                .or_insert_with(|| delivery.content.clone());
            assert!(*first == delivery.content, "what is sent under a key never changes");
            assert!(known.under_way.insert(lane.clone()), "one at a time of a session");
            let answer = known.scripts.get_mut(&delivery.plugin).and_then(VecDeque::pop_front);
            let (latency, answer) = answer.unwrap_or((Duration::ZERO, Ok(())));
            let (at, delivery, ok) = (self.start.elapsed(), delivery.clone(), answer.is_ok());
            known.handed.push(Handed { at, end: None, call, delivery, ok, answer: answer.clone() });
            (latency, answer, known.handed.len() - 1)
        };
        // A call that is cut off is under way no more.
        let _free = Free { sinks: self, lane };
        tokio::time::sleep(latency).await;
        let kept = match &answer {
            Ok(()) => true,
            Err(error) => error.is_unknown(),
        };
        let mut known = self.lock();
        known.handed[n].end = Some(self.start.elapsed());
        if kept && known.keys.insert(delivery.idempotency_key.clone()) {
            known.kept.push((
                delivery.plugin.clone(),
                delivery.key.clone(),
                lines(&delivery.content),
            ));
        }
        answer
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Free<'a> {
    sinks: &'a Sinks,
    lane: (PluginName, SessionKey),
}

impl Drop for Free<'_> {
    fn drop(&mut self) {
        self.sinks.lock().under_way.remove(&self.lane);
    }
}

/// What a sink delivery tells.
pub fn lines(content: &Content) -> Vec<String> {
    match content {
        Content::Actions(batch) => {
            batch.actions.iter().map(|action| action.description.clone()).collect()
        }
        Content::Summary(summary) => vec![format!("summary: {}", summary.summary)],
    }
}
