//! The latest actions and the summary of each session.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use lru::LruCache;

use crate::clock::Timestamp;
use crate::engine::history::KeptBatch;
use crate::session::payload::{Action, ActionsPayload};

/// So many actions of one session are kept at most, the latest.
pub(super) const MAX_KEPT: usize = 1000;

/// How far the activity source's clock is believed to be ahead of the host's.
const SKEW: Duration = Duration::from_secs(60);

/// What is kept, and what is shown where a reader doesn't say.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// How far back actions and summaries count; `None` for as long as the session is kept.
    pub lookback: Option<Duration>,
    /// How many actions are shown, the latest, 1 at least; `None` for all.
    pub max_actions: Option<usize>,
    /// How many sessions are kept, at least 1.
    pub max_sessions: usize,
    /// About how many bytes of them are kept; the session that was used last always is.
    pub max_bytes: usize,
    /// Whether the summary is shown.
    pub include_summary: bool,
    /// Whether the actions are shown.
    pub include_actions: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            lookback: None,
            max_actions: None,
            max_sessions: 10_000,
            max_bytes: 256 << 20,
            include_summary: true,
            include_actions: true,
        }
    }
}

/// Settings that nothing can be done with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("context: {setting} must be {wanted}")]
pub struct InvalidSettings {
    /// Which.
    pub setting: &'static str,
    /// What it must be.
    pub wanted: &'static str,
}

/// What of a session is shown.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct View {
    /// As [`Settings::lookback`].
    pub lookback: Option<Duration>,
    /// As [`Settings::max_actions`].
    pub max_actions: Option<usize>,
    /// As [`Settings::include_summary`].
    pub include_summary: bool,
    /// As [`Settings::include_actions`].
    pub include_actions: bool,
}

impl Settings {
    /// What a reader sees who doesn't say what.
    pub fn view(&self) -> View {
        View {
            lookback: self.lookback,
            max_actions: self.max_actions,
            include_summary: self.include_summary,
            include_actions: self.include_actions,
        }
    }
}

/// A session: two names that are never glued together. Blanks around them don't count.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    /// The product; empty where the source names none.
    pub product: Arc<str>,
    /// The session.
    pub session: Arc<str>,
}

impl Place {
    /// The place of a session; `None` without a session's name: what nobody can tell apart is not pooled.
    pub fn new(product: &str, session: &str) -> Option<Self> {
        let (product, session) = (product.trim(), session.trim());
        (!session.is_empty()).then(|| Self { product: product.into(), session: session.into() })
    }

    /// The place that a batch belongs to.
    pub fn of(batch: &ActionsPayload) -> Option<Self> {
        Self::new(&batch.product_id, batch.session_id.as_deref()?)
    }
}

/// The contexts of all sessions.
///
/// ```
/// use sidenote::clock::Timestamp;
/// use sidenote::context::{Contexts, Settings};
/// use sidenote::session::payload::{Action, ActionsPayload};
///
/// let mut contexts = Contexts::new(Settings::default())?;
/// let action = Action {
///     kind: "click".to_owned(),
///     description: "Clicked Export".to_owned(),
///     canonical_url: "/invoices".to_owned(),
///     ..Action::default()
/// };
/// let batch = ActionsPayload {
///     product_id: "shop".to_owned(),
///     session_id: Some("s1".to_owned()),
///     actions: vec![action],
///     ..ActionsPayload::default()
/// };
/// let now = Timestamp::from_secs_f64(1.0);
/// contexts.add(&batch, now);
/// let text = contexts.enrich(Some("shop"), "s1", "How do I?", contexts.settings().view(), now);
/// assert_eq!(
///     text,
///     "[Session context]\nRecent activity:\n1. [0] click: Clicked Export — /invoices\n\n[Query]\nHow do I?"
/// );
/// # Ok::<(), sidenote::context::InvalidSettings>(())
/// ```
pub struct Contexts {
    settings: Settings,
    sessions: LruCache<Place, Context>,
    /// The products that know a session of a name.
    products: HashMap<Arc<str>, BTreeSet<Arc<str>>>,
    /// Of all sessions.
    bytes: usize,
    forgotten: u64,
}

#[derive(Default)]
struct Context {
    actions: VecDeque<Numbered>,
    /// About so many bytes are in them.
    held: usize,
    /// Whether one may count from an earlier moment than one in front of it.
    mixed: bool,
    summary: Option<(Timestamp, String)>,
    /// The ordinal of the last action that is known.
    last: u64,
    /// The ordinal of the last action that a summary covers.
    covered: u64,
    /// As of the last change.
    bytes: usize,
}

/// An action, and from when on it counts. The actions of a session are counted from 1.
struct Numbered {
    ordinal: u64,
    at: Timestamp,
    /// The batch that it came in, which is in memory once for all of its actions, and for whoever else reads it.
    batch: Arc<KeptBatch>,
    /// Its place there.
    place: usize,
}

impl Numbered {
    fn action(&self) -> &Action {
        &self.batch.batch.actions[self.place]
    }

    /// About so many bytes.
    fn size(&self) -> usize {
        let Action { title, description, canonical_url, kind, raw_url, .. } = self.action();
        let texts = [title, description, canonical_url, kind, raw_url];
        let text = texts.iter().map(|text| text.len()).sum::<usize>();
        size_of::<Self>() + size_of::<Action>() + text
    }
}

impl Contexts {
    /// With nothing in it.
    ///
    /// # Errors
    /// A setting that nothing can be done with.
    pub fn new(settings: Settings) -> Result<Self, InvalidSettings> {
        let invalid = |setting, wanted| InvalidSettings { setting, wanted };
        if settings.lookback.is_some_and(|lookback| lookback.is_zero()) {
            return Err(invalid("lookback", "longer than nothing"));
        }
        if settings.max_actions == Some(0) {
            return Err(invalid("max_actions", "1 at least"));
        }
        let most = NonZeroUsize::new(settings.max_sessions)
            .ok_or_else(|| invalid("max_sessions", "1 at least"))?;
        let (sessions, products) = (LruCache::new(most), HashMap::new());
        Ok(Self { settings, sessions, products, bytes: 0, forgotten: 0 })
    }

    /// The settings.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Takes a batch, its actions numbered on from what is known of the session; one without a session is
    /// left out.
    pub fn add(&mut self, batch: &ActionsPayload, now: Timestamp) {
        let Some(place) = Place::of(batch) else { return };
        let first = self.open(place.clone()).last + 1;
        let at = sent_at(batch.forwarded_at, now);
        self.insert(&place, &Arc::new(KeptBatch { first, at, batch: batch.clone() }), now);
    }

    /// Takes a batch of this very session, as it was accepted. Actions that are known, or that a summary covers,
    /// change nothing: they may come twice.
    pub fn add_kept(&mut self, place: &Place, batch: &Arc<KeptBatch>) {
        self.insert(place, batch, batch.at);
    }

    fn insert(&mut self, session: &Place, batch: &Arc<KeptBatch>, now: Timestamp) {
        let lookback = self.settings.lookback;
        self.change(session, |context| {
            for (place, (ordinal, _)) in batch.actions().enumerate() {
                if ordinal > context.last {
                    context.last = ordinal;
                    let (at, batch) = (batch.at, batch.clone());
                    context.push(Numbered { ordinal, at, batch, place });
                }
            }
            while context.actions.len() > MAX_KEPT {
                context.pop();
            }
            context.expire(lookback, now);
        });
    }

    /// Puts a summary in the place of the oldest `covers` actions and of the summary before it. An empty
    /// text is no summary.
    pub fn summarize(&mut self, place: &Place, text: &str, covers: usize, now: Timestamp) {
        let context = self.open(place.clone());
        let covered = covers.min(context.actions.len()).checked_sub(1);
        let through = covered.map_or(context.covered, |last| context.actions[last].ordinal);
        self.summarize_through(place, text, through, now);
    }

    /// As [`Contexts::summarize`], where the summary covers the actions up to this ordinal. One that covers
    /// less than the summary before it changes nothing: a summary may come twice.
    pub fn summarize_through(&mut self, place: &Place, text: &str, through: u64, at: Timestamp) {
        self.change(place, |context| {
            if through < context.covered {
                return;
            }
            context.covered = through;
            context.last = context.last.max(through);
            context.retain(|known| known.ordinal > through);
            context.summary = (!text.is_empty()).then(|| (at, text.to_owned()));
        });
    }

    /// The context of a session as text; empty where there is none. Without a product it is the session
    /// that was sent without one, else the only one of that name.
    pub fn get(
        &mut self,
        product: Option<&str>,
        session: &str,
        view: View,
        now: Timestamp,
    ) -> String {
        let place = self.find(product, session);
        place.map_or_else(String::new, |place| self.text_of(&place, view, now))
    }

    /// The context of this very session as text; empty where there is none.
    pub fn text_of(&mut self, place: &Place, view: View, now: Timestamp) -> String {
        self.sessions.get(place).map_or_else(String::new, |context| context.to_text(view, now))
    }

    /// A question with its context before it; the question alone where there is none.
    pub fn enrich(
        &mut self,
        product: Option<&str>,
        session: &str,
        query: &str,
        view: View,
        now: Timestamp,
    ) -> String {
        with_question(&self.get(product, session, view, now), query)
    }

    /// The actions of a session that a reader sees, with the times from which on they count.
    pub fn actions(
        &mut self,
        place: &Place,
        view: View,
        now: Timestamp,
    ) -> Vec<(Timestamp, Action)> {
        let Some(context) = self.sessions.get(place) else { return Vec::new() };
        context.shown(view, now).map(|known| (known.at, known.action().clone())).collect()
    }

    /// Forgets this very session.
    pub fn forget(&mut self, place: &Place) {
        let gone = self.sessions.pop(place);
        self.bytes -= gone.map_or(0, |context| context.bytes);
        self.unlist(place);
    }

    /// Forgets a session: in all products, where none is named.
    pub fn reset(&mut self, product: Option<&str>, session: &str) {
        let session = session.trim();
        let products = self.products.get(session).cloned().unwrap_or_default();
        // What came without a product may be of any of them.
        let meant = |known: &&Arc<str>| {
            product.is_none_or(|product| known.is_empty() || ***known == *product.trim())
        };
        for product in products.iter().filter(meant) {
            self.forget(&Place { product: product.clone(), session: session.into() });
        }
    }

    /// Forgets the sessions in which nothing counts any more.
    pub fn sweep(&mut self, now: Timestamp) {
        let Some(lookback) = self.settings.lookback else { return };
        let mut old = Vec::new();
        for (place, context) in self.sessions.iter_mut() {
            context.expire(Some(lookback), now);
            self.bytes -= context.bytes;
            context.bytes = context.size();
            self.bytes += context.bytes;
            if context.actions.is_empty() && context.summary.is_none() {
                old.push(place.clone());
            }
        }
        old.iter().for_each(|place| self.forget(place));
    }

    /// The sessions that are kept, the one used longest ago first.
    pub fn places(&self) -> impl Iterator<Item = &Place> {
        self.sessions.iter().rev().map(|(place, _)| place)
    }

    /// How many sessions were forgotten for want of capacity.
    pub fn forgotten(&self) -> u64 {
        self.forgotten
    }

    fn open(&mut self, place: Place) -> &mut Context {
        if !self.sessions.contains(&place) {
            let listed = self.products.entry(place.session.clone()).or_default();
            listed.insert(place.product.clone());
            if let Some((place, context)) = self.sessions.push(place.clone(), Context::default()) {
                self.left_out(&place, &context);
            }
        }
        self.sessions.get_mut(&place).expect("it was put there if it was missing")
    }

    /// Changes a session, and frees capacity for what it has grown by.
    fn change(&mut self, place: &Place, change: impl FnOnce(&mut Context)) {
        let context = self.open(place.clone());
        let before = context.bytes;
        change(context);
        context.bytes = context.size();
        let after = context.bytes;
        self.bytes = self.bytes - before + after;
        while self.bytes > self.settings.max_bytes
            && self.sessions.len() > 1
            && let Some((place, context)) = self.sessions.pop_lru()
        {
            self.left_out(&place, &context);
        }
    }

    fn left_out(&mut self, place: &Place, context: &Context) {
        self.forgotten += 1;
        self.bytes -= context.bytes;
        self.unlist(place);
    }

    fn unlist(&mut self, place: &Place) {
        let Some(products) = self.products.get_mut(&place.session) else { return };
        products.remove(&place.product);
        if products.is_empty() {
            self.products.remove(&place.session);
        }
    }

    fn find(&self, product: Option<&str>, session: &str) -> Option<Place> {
        let product = product.map_or("", str::trim);
        let place = Place::new(product, session)?;
        if !product.is_empty() {
            return Some(place);
        }
        let holds = |place: &Place| {
            let context = self.sessions.peek(place);
            context.is_some_and(|known| !known.actions.is_empty() || known.summary.is_some())
        };
        if holds(&place) {
            return Some(place);
        }
        // A session of which everything has expired is kept for a while, and stands in nobody's way.
        let named = self.products.get(session)?.iter().filter(|product| !product.is_empty());
        let place = |product: &Arc<str>| Place { product: product.clone(), ..place.clone() };
        let mut named = named.map(place).filter(holds);
        match (named.next(), named.next()) {
            (Some(only), None) => Some(only),
            (None, _) | (Some(_), Some(_)) => None,
        }
    }
}

impl std::fmt::Debug for Contexts {
    /// What people did is left out: it is customers' data.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Contexts")
            .field("settings", &self.settings)
            .field("sessions", &self.sessions.len())
            .finish_non_exhaustive()
    }
}

impl Context {
    fn size(&self) -> usize {
        let summary = self.summary.as_ref().map_or(0, |(_, text)| text.len());
        size_of::<Self>() + summary + self.held
    }

    fn push(&mut self, known: Numbered) {
        self.mixed |= self.actions.back().is_some_and(|last| known.at < last.at);
        self.held += known.size();
        self.actions.push_back(known);
    }

    fn pop(&mut self) {
        if let Some(known) = self.actions.pop_front() {
            self.held -= known.size();
        }
    }

    fn retain(&mut self, wanted: impl Fn(&Numbered) -> bool) {
        self.actions.retain(wanted);
        self.held = self.actions.iter().map(Numbered::size).sum();
        self.mixed = !self.actions.iter().is_sorted_by_key(|known| known.at);
    }

    fn expire(&mut self, lookback: Option<Duration>, now: Timestamp) {
        let Some(lookback) = lookback else { return };
        let is_old = |at: Timestamp| now.since(at) > lookback;
        // What comes in order, as nearly all does, leaves in order: the others aren't looked at.
        while self.actions.front().is_some_and(|known| is_old(known.at)) {
            self.pop();
        }
        if self.mixed {
            self.retain(|known| !is_old(known.at));
        }
        self.summary.take_if(|(at, _)| is_old(*at));
    }

    fn shown(&self, view: View, now: Timestamp) -> impl Iterator<Item = &Numbered> {
        let counts = move |known: &&Numbered| {
            view.lookback.is_none_or(|lookback| now.since(known.at) <= lookback)
        };
        let all = self.actions.iter().filter(counts).count();
        let skipped = view.max_actions.map_or(0, |most| all.saturating_sub(most));
        self.actions.iter().filter(counts).skip(skipped)
    }

    fn to_text(&self, view: View, now: Timestamp) -> String {
        let mut parts = Vec::new();
        let fresh = |at: Timestamp| view.lookback.is_none_or(|lookback| now.since(at) <= lookback);
        if let Some((_, text)) =
            self.summary.as_ref().filter(|(at, _)| view.include_summary && fresh(*at))
        {
            parts.push(format!("Summary: {text}"));
        }
        if view.include_actions {
            let lines: Vec<_> = (1..)
                .zip(self.shown(view, now))
                .map(|(place, known)| format!("{place}. {}", known.action().to_text()))
                .collect();
            if !lines.is_empty() {
                parts.push(format!("Recent activity:\n{}", lines.join("\n")));
            }
        }
        parts.join("\n\n")
    }
}

/// A question with its context before it; the question alone where there is none.
pub(super) fn with_question(context: &str, query: &str) -> String {
    if context.is_empty() {
        return query.to_owned();
    }
    format!("[Session context]\n{context}\n\n[Query]\n{query}")
}

/// When a batch was sent, by a clock that may be wrong: at most [`SKEW`] from now, and `now` where nobody
/// says.
pub(super) fn sent_at(forwarded_at: f64, now: Timestamp) -> Timestamp {
    if forwarded_at > 0.0 { Timestamp::from_secs_f64(forwarded_at).min(now + SKEW) } else { now }
}

#[cfg(test)]
mod tests;
