//! What one call asked of the network and was answered: recorded where requests leave, and replayed to a call that
//! must reach nobody.
//!
//! A recording has requests as the guest wrote them, before secrets are put in, and answers as the guest got them, after
//! secrets are taken out.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http::{HeaderMap, Method};
use url::Url;

use super::{Incoming, Outgoing, SendError};
use crate::address::Origin;

/// Exchanges of one call that are recorded.
const MOST_EXCHANGES: usize = 64;

/// One request of a call, and what came of it.
#[derive(Clone)]
pub(crate) struct Exchange {
    /// The request.
    pub(crate) request: Asked,
    /// What the guest got; `None` while there is no answer.
    pub(crate) answer: Option<Result<Incoming, SendError>>,
}

/// A request as the guest wrote it.
#[derive(Clone)]
pub(crate) struct Asked {
    /// The method.
    pub(crate) method: Method,
    /// The address.
    pub(crate) url: String,
    /// The headers.
    pub(crate) headers: HeaderMap,
    /// The body.
    pub(crate) body: Bytes,
}

/// What stands beside the network for one call. Cloning shares it.
#[derive(Clone, Default)]
pub(crate) enum Tape {
    /// Nothing.
    #[default]
    None,
    /// What is asked and answered is recorded.
    Record(Recorder),
    /// Answers come from a recording alone.
    Play(Player),
}

/// Records the exchanges of a call. Cloning shares it.
#[derive(Clone, Default)]
pub(crate) struct Recorder(Arc<Mutex<Recorded>>);

#[derive(Default)]
struct Recorded {
    exchanges: Vec<Exchange>,
    /// There were more than are recorded.
    is_short: bool,
}

/// Answers from a recording, and keeps what was asked. Cloning shares it.
#[derive(Clone)]
pub(crate) struct Player(Arc<Mutex<Playing>>);

struct Playing {
    recorded: Arc<[Exchange]>,
    used: Vec<bool>,
    asked: Vec<Played>,
    /// There were more than are kept.
    is_short: bool,
}

/// A request that was answered from a recording, or refused.
pub(crate) struct Played {
    /// The request.
    pub(crate) request: Asked,
    /// The recorded exchange that answered it, by its place; `None`: it has no counterpart, and was refused.
    pub(crate) counterpart: Option<usize>,
    /// Whether the host would have let it out.
    pub(crate) is_granted: bool,
}

impl Asked {
    pub(super) fn of(request: &Outgoing) -> Self {
        Self {
            method: request.method.clone(),
            url: request.url.clone(),
            headers: request.headers.clone(),
            body: request.body.clone(),
        }
    }

    /// Whether this is the same method and address.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        self.method == other.method
            && (self.url == other.url
                || normal(&self.url).is_some_and(|it| Some(it) == normal(&other.url)))
    }

    /// How much memory it takes, about.
    fn bytes(&self) -> usize {
        self.url.len() + headers_bytes(&self.headers) + self.body.len()
    }
}

fn normal(url: &str) -> Option<Url> {
    let mut url = Url::parse(url).ok()?;
    url.set_fragment(None);
    Some(url)
}

fn headers_bytes(headers: &HeaderMap) -> usize {
    headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum()
}

impl Exchange {
    /// How much memory it takes, about.
    pub(crate) fn bytes(&self) -> usize {
        let answer = match &self.answer {
            Some(Ok(answer)) => headers_bytes(&answer.headers) + answer.body.len(),
            Some(Err(_)) | None => 0,
        };
        self.request.bytes() + answer
    }
}

impl Recorder {
    /// A request is about to be sent. Its place among those of the call.
    pub(super) fn asks(&self, request: &Outgoing) -> Option<usize> {
        let mut recorded = self.open();
        if recorded.exchanges.len() == MOST_EXCHANGES {
            recorded.is_short = true;
            return None;
        }
        recorded.exchanges.push(Exchange { request: Asked::of(request), answer: None });
        Some(recorded.exchanges.len() - 1)
    }

    /// What came of it.
    pub(super) fn answered(&self, place: Option<usize>, answer: &Result<Incoming, SendError>) {
        let Some(place) = place else { return };
        if let Some(exchange) = self.open().exchanges.get_mut(place) {
            exchange.answer = Some(answer.clone());
        }
    }

    /// What was recorded; `None` where that isn't all.
    pub(crate) fn take(&self) -> Option<Vec<Exchange>> {
        let recorded = std::mem::take(&mut *self.open());
        (!recorded.is_short).then_some(recorded.exchanges)
    }

    fn open(&self) -> MutexGuard<'_, Recorded> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Player {
    /// A recording to answer from.
    pub(crate) fn of(recorded: Arc<[Exchange]>) -> Self {
        let used = vec![false; recorded.len()];
        Self(Arc::new(Mutex::new(Playing { recorded, used, asked: Vec::new(), is_short: false })))
    }

    /// What is answered to a request that the host has `judged`: as the recorded one, in order, or that there is no
    /// connection.
    pub(super) fn answer(
        &self,
        asked: Asked,
        judged: Result<Origin, SendError>,
        timeout: std::time::Duration,
    ) -> Result<Incoming, SendError> {
        let mut playing = self.open();
        let free = |(place, exchange): (usize, &Exchange)| {
            (!playing.used[place] && exchange.request.is_like(&asked)).then_some(place)
        };
        let counterpart = playing.recorded.iter().enumerate().find_map(free);
        let recorded = counterpart.and_then(|place| playing.recorded[place].answer.clone());
        if let Some(place) = counterpart {
            playing.used[place] = true;
        }
        if playing.asked.len() < MOST_EXCHANGES {
            let is_granted = judged.is_ok();
            playing.asked.push(Played { request: asked, counterpart, is_granted });
        } else {
            playing.is_short = true;
        }
        drop(playing);
        let origin = judged?;
        match (counterpart, recorded) {
            (Some(_), Some(answer)) => answer,
            // The live call ended before it was answered.
            (Some(_), None) => Err(SendError::Timeout { origin, after: timeout }),
            (None, _) => {
                let cause = "the version that runs didn't send this request, and nothing of a shadow is sent";
                Err(SendError::Connect { origin, cause: cause.to_owned() })
            }
        }
    }

    /// What was asked so far, and whether that is all.
    pub(crate) fn take(&self) -> (Vec<Played>, bool) {
        let mut playing = self.open();
        let is_whole = !playing.is_short;
        (std::mem::take(&mut playing.asked), is_whole)
    }

    fn open(&self) -> MutexGuard<'_, Playing> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
