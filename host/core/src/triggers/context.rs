//! What triggers look at: the latest actions of one person in one session, and the moment.

use std::time::Duration;

use super::pages::Visits;
use crate::clock::Timestamp;
use crate::engine::history::KeptBatch;
use crate::ids::{ConversationId, SessionKey};
use crate::session::event_time::usable;
use crate::session::payload::{Action, is_other_person};

/// How far back actions are looked at, by their arrival.
pub const LOOKBACK: Duration = Duration::from_secs(120);
/// Most actions that are looked at, the newest.
pub const MAX_ACTIONS: usize = 50;
/// A client's clock that seems to be behind by less counts as right: that is how long actions are on their way.
const USUAL_LAG: Duration = Duration::from_secs(10);

/// Whose actions they are, and what else is known of the session.
#[derive(Clone, Copy)]
pub struct Scope<'a> {
    /// The session.
    pub key: &'a SessionKey,
    /// The conversation that it is linked to, where it is.
    pub conversation: Option<&'a ConversationId>,
    /// The section that the application itself says the person is in, where it says so.
    pub section: Option<&'a str>,
    /// The latest summary, where there is one.
    pub summary: Option<&'a str>,
    /// How many actions the session has had.
    pub action_count: u64,
}

impl<'a> Scope<'a> {
    /// A session of which nothing else is known.
    pub fn of(key: &'a SessionKey) -> Self {
        Self { key, conversation: None, section: None, summary: None, action_count: 0 }
    }
}

/// Which actions are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    lookback: Duration,
    max_actions: usize,
}

impl Window {
    /// Actions of batches that arrived within `lookback`, that moment included; of them the newest `max_actions`.
    ///
    /// # Errors
    /// One of them is 0: nothing would ever be looked at.
    pub fn new(lookback: Duration, max_actions: usize) -> Result<Self, NoContext> {
        if lookback.is_zero() || max_actions == 0 {
            return Err(NoContext::Window);
        }
        Ok(Self { lookback, max_actions })
    }
}

impl Default for Window {
    fn default() -> Self {
        Self { lookback: LOOKBACK, max_actions: MAX_ACTIONS }
    }
}

/// Why there is nothing to look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoContext {
    /// The session or its product has no name.
    #[error("looking for offers: the {0} has no id; nothing is offered")]
    Nameless(&'static str),
    /// The window is empty.
    #[error(
        "looking for offers: the window has no length; give it a time and a number of actions above 0"
    )]
    Window,
}

/// An action as triggers see it.
#[derive(Clone, Copy)]
pub struct Seen<'a> {
    /// What was done.
    pub action: &'a Action,
    /// Its page, trimmed; empty where it is unknown.
    pub page: &'a str,
    /// When it began, by the host's clock.
    pub start: Timestamp,
    /// When it ended, by the host's clock; never before `start`.
    pub end: Timestamp,
}

impl Seen<'_> {
    /// How long it took.
    pub fn length(&self) -> Duration {
        self.end.since(self.start)
    }
}

/// The page that the person is on: the newest run of actions on one page.
#[derive(Clone, Copy)]
pub struct Stay<'a> {
    /// The page.
    pub page: &'a str,
    /// When its first action began.
    pub since: Timestamp,
    /// When its last action ended.
    pub until: Timestamp,
    /// How many actions there were.
    pub actions: usize,
}

impl Stay<'_> {
    /// How long the person has been there. Silence counts: who does nothing is still there.
    pub fn length(&self, now: Timestamp) -> Duration {
        now.max(self.until).since(self.since)
    }
}

/// What triggers look at.
///
/// Built from what is kept of a session, it borrows everything: it is built after each commit.
pub struct Context<'a> {
    /// Whose actions they are.
    pub scope: Scope<'a>,
    /// Who did them, as the product names them.
    pub user_id: Option<&'a str>,
    /// The person's e-mail address.
    pub email: Option<&'a str>,
    /// The actions, in the order in which they were accepted.
    pub actions: Vec<Seen<'a>>,
    /// The pages that they were on, one visit for each run of actions on a page.
    pub visits: Visits<'a>,
    /// Where the person is. It began before the window if nothing else was done since.
    pub stay: Option<Stay<'a>>,
    /// The moment.
    pub now: Timestamp,
}

impl<'a> Context<'a> {
    /// What there is of a session at `now` within the usual window. See [`Context::within`].
    ///
    /// # Errors
    /// The session or its product has no name.
    pub fn of(
        scope: Scope<'a>,
        batches: impl IntoIterator<Item = &'a KeptBatch>,
        now: Timestamp,
    ) -> Result<Self, NoContext> {
        Self::within(Window::default(), scope, batches, now)
    }

    /// What there is of a session at `now`. `batches` come the oldest first; one may be cut by the window's number
    /// of actions. Batches of another session are left out, and so is what was done before by another person.
    ///
    /// # Errors
    /// The session or its product has no name.
    pub fn within(
        window: Window,
        scope: Scope<'a>,
        batches: impl IntoIterator<Item = &'a KeptBatch>,
        now: Timestamp,
    ) -> Result<Self, NoContext> {
        for (what, id) in
            [("product", scope.key.product.as_str()), ("session", scope.key.session.as_str())]
        {
            if id.trim().is_empty() {
                return Err(NoContext::Nameless(what));
            }
        }
        let batches = of_one_person(scope.key, batches);
        let behind = lag(&batches);
        let newest: Vec<_> = batches
            .iter()
            .rev()
            .flat_map(|kept| kept.batch.actions.iter().rev().map(|action| (kept.at, action)))
            .take(window.max_actions)
            .map(|(at, action)| (at, seen(action, at, behind)))
            .collect();
        let stay = stay(&newest);
        // The window includes its first moment; what arrived later than now does too.
        let since = now - window.lookback;
        let mut actions: Vec<_> =
            newest.into_iter().filter(|(at, _)| *at >= since).map(|(_, seen)| seen).collect();
        actions.reverse();
        let known =
            |get: fn(&KeptBatch) -> Option<&str>| batches.iter().rev().find_map(|kept| get(kept));
        Ok(Self {
            scope,
            user_id: known(|kept| kept.batch.user_id.as_deref()),
            email: known(|kept| kept.batch.email.as_deref()),
            visits: Visits::of(actions.iter().map(|seen| seen.page)),
            actions,
            stay,
            now,
        })
    }
}

impl std::fmt::Debug for Context<'_> {
    /// What was done and by whom is left out.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context")
            .field("actions", &self.actions.len())
            .field("visits", &self.visits.len())
            .field("now", &self.now)
            .finish_non_exhaustive()
    }
}

/// The latest batches of the session that are of the person of the last one, the oldest first.
fn of_one_person<'a>(
    key: &SessionKey,
    batches: impl IntoIterator<Item = &'a KeptBatch>,
) -> Vec<&'a KeptBatch> {
    let is_of_session = |kept: &&KeptBatch| {
        let batch = &kept.batch;
        let session = batch.session_id.as_deref().is_none_or(|id| id == key.session.as_str());
        session && (batch.product_id.is_empty() || batch.product_id == key.product.as_str())
    };
    let mut batches: Vec<_> = batches.into_iter().filter(is_of_session).collect();
    let (mut user, mut email) = (None, None);
    let of_person = batches.iter().rev().take_while(|kept| {
        let told = (&kept.batch.user_id, &kept.batch.email);
        if is_other_person((&user, &email), told) {
            return false;
        }
        user = user.take().or_else(|| told.0.clone());
        email = email.take().or_else(|| told.1.clone());
        true
    });
    let others = batches.len() - of_person.count();
    batches.drain(..others);
    batches
}

/// By how much the clock that told the actions' times is behind the host's, in microseconds; below 0 where it is
/// ahead. An action can't have ended after it arrived, and the one that arrived soonest was on its way for seconds.
fn lag(batches: &[&KeptBatch]) -> i64 {
    let least = batches
        .iter()
        .flat_map(|kept| kept.batch.actions.iter().map(|action| (kept.at, action)))
        .filter_map(|(at, action)| {
            let (_, end) = told(action)?;
            Some(at.0.saturating_sub(end.0))
        })
        .min()
        .unwrap_or(0);
    let usual = i64::try_from(USUAL_LAG.as_micros()).unwrap_or(i64::MAX);
    if (0..=usual).contains(&least) { 0 } else { least }
}

/// An action that arrived at `at` and was told by a clock that is `behind`. Without a time, it was done then.
fn seen(action: &Action, at: Timestamp, behind: i64) -> Seen<'_> {
    let (start, end) = told(action).map_or((at, at), |(start, end)| {
        (Timestamp(start.0.saturating_add(behind)), Timestamp(end.0.saturating_add(behind)))
    });
    Seen { action, page: action.canonical_url.trim(), start, end }
}

/// The times that an action was told with; `None` where it has none.
fn told(action: &Action) -> Option<(Timestamp, Timestamp)> {
    let time = |time: Option<f64>| time.and_then(usable).map(Timestamp::from_secs_f64);
    let (start, end) = (time(action.timestamp_start), time(action.timestamp_end));
    let start = start.or(end)?;
    Some((start, end.unwrap_or(start).max(start)))
}

/// The newest run of actions on one page, of actions that come the newest first.
fn stay<'a>(newest: &[(Timestamp, Seen<'a>)]) -> Option<Stay<'a>> {
    let page = newest.first().map(|(_, seen)| seen.page).filter(|page| !page.is_empty())?;
    let run = || newest.iter().map(|(_, seen)| seen).take_while(|seen| seen.page == page);
    Some(Stay {
        page,
        since: run().map(|seen| seen.start).min()?,
        until: run().map(|seen| seen.end).max()?,
        actions: run().count(),
    })
}

#[cfg(test)]
mod tests;
