//! When plugins are asked: for everything, as often as the operator says, and for what one person did when they open a
//! conversation.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::commits::{GoesOn, NotAccepted};
use super::counts::Left;
use super::service::SourceService;
use super::source::Source;
use crate::backoff::Backoff;
use crate::engine::core::PollMark;
use crate::engine::link::LinkCommand;
use crate::ids::{PluginName, ProductId};
use crate::kv::{CallKv, Writes};
use crate::outbox::note::{Call, PostError};
use crate::plugin::{EventsPage, PollError, PollSubject};
use crate::store::StoreError;

/// How often it is looked what is due.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// How long one question may take.
const QUESTION: Duration = Duration::from_secs(20);
/// How long a page's commit is waited for.
const COMMIT: Duration = Duration::from_secs(30);
/// So many pages are asked for in a row, before the next turn.
const PAGES: usize = 1000;
/// Longest pause behind failures, where the source is asked more often.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// What a question brought, and what the plugin wrote under its keys.
type Asked = (EventsPage, Writes);

/// When a source is asked next.
struct Turn {
    due: Instant,
    under_way: bool,
    failures: u32,
}

/// Why a source brought nothing, or not all.
#[derive(Debug, thiserror::Error)]
enum NotAsked {
    /// The plugin said nothing.
    #[error(transparent)]
    Plugin(#[from] PollError),
    /// What it said isn't stored.
    #[error("source: what it found couldn't be stored; it is asked again")]
    NotAccepted,
    /// Where it goes on can't be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl NotAsked {
    /// In one word.
    fn code(&self) -> &str {
        match self {
            Self::Plugin(PollError::Call(PostError::Failed(failure))) => &failure.code,
            Self::Plugin(PollError::Call(PostError::Crashed { crash, .. })) => crash.code(),
            Self::Plugin(PollError::Call(PostError::Unavailable { .. })) => "unavailable",
            Self::Plugin(PollError::Answer(_)) => "answer",
            Self::NotAccepted | Self::Store(_) => "store",
        }
    }

    /// How long the other side asked to be left alone.
    fn asked_pause(&self) -> Option<Duration> {
        match self {
            Self::Plugin(PollError::Call(PostError::Failed(failure))) => failure.retry_after,
            Self::Plugin(_) | Self::NotAccepted | Self::Store(_) => None,
        }
    }
}

impl From<NotAccepted> for NotAsked {
    fn from(_: NotAccepted) -> Self {
        Self::NotAccepted
    }
}

impl SourceService {
    /// Asks the sources that are to be asked, until `stop`. What is being stored then is stored.
    pub(crate) async fn run_polls(&self, stop: CancellationToken) {
        let mut turns: BTreeMap<PluginName, Turn> = BTreeMap::new();
        let mut asked = JoinSet::new();
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                Some(ended) = asked.join_next() => {
                    if let Ok((name, ended)) = ended {
                        self.end_turn(&mut turns, name, ended);
                    }
                }
                () = sleep(LOOK_EVERY) => {}
            }
            let sources = self.sources();
            turns.retain(|name, turn| turn.under_way || sources.contains_key(name));
            for (name, source) in sources.iter() {
                if source.rules.poll_every.is_none() || !self.may_ask(name) {
                    continue;
                }
                let now = Instant::now();
                let fresh = || Turn { due: now, under_way: false, failures: 0 };
                let turn = turns.entry(name.clone()).or_insert_with(fresh);
                if turn.under_way || turn.due > now {
                    continue;
                }
                turn.under_way = true;
                let (service, source, name) = (self.clone(), source.clone(), name.clone());
                asked.spawn(async move { (name, service.ask_for_all(&source).await) });
            }
        }
    }

    fn may_ask(&self, name: &str) -> bool {
        self.is_serving()
            && self.engine().may_ask(name)
            && self.registry().receives_events(name).is_ok()
    }

    fn end_turn(
        &self,
        turns: &mut BTreeMap<PluginName, Turn>,
        name: PluginName,
        ended: Result<(), NotAsked>,
    ) {
        let every = self.sources().get(&name).and_then(|source| source.rules.poll_every);
        let (Some(turn), Some(every)) = (turns.get_mut(&name), every) else {
            turns.remove(&name);
            return;
        };
        turn.under_way = false;
        let pause = match ended {
            Ok(()) => {
                turn.failures = 0;
                every
            }
            Err(error) => {
                turn.failures = turn.failures.saturating_add(1);
                self.tell(&name, &error);
                let backoff = Backoff { initial: every, max: LONGEST_PAUSE.max(every) };
                backoff.pause(turn.failures, error.asked_pause(), rand::random())
            }
        };
        turn.due = Instant::now() + pause;
    }

    fn tell(&self, name: &str, error: &NotAsked) {
        self.refusals().say("poll", name, error.code(), || {
            tracing::warn!(source = name, "{error}; it is asked again");
        });
    }

    /// Asks for everything behind what was stored last, page by page. Each page and where the next one begins are stored
    /// in one commit.
    async fn ask_for_all(&self, source: &Arc<Source>) -> Result<(), NotAsked> {
        // The configuration refuses a source that is asked and has none.
        let Some(usual) = source.rules.product.clone() else { return Ok(()) };
        let stored = self.engine().poll_mark(&source.name).await?;
        let mut cursor = stored.and_then(|mark| mark.cursor);
        for _ in 0..PAGES {
            let asked = self.ask_once(source, None, cursor.as_deref()).await?;
            let next = asked.0.cursor.clone().or_else(|| cursor.clone());
            let moves = next != cursor;
            let mark = || GoesOn::All(PollMark { cursor: next.clone(), at: self.clock().now() });
            let more = asked.0.more;
            self.take_page(source, asked, &usual, moves.then(mark)).await?;
            // What says that there is more and doesn't go on would be asked for ever.
            if !more || !moves {
                break;
            }
            cursor = next;
        }
        Ok(())
    }

    /// Has the sources asked that know what a person did, and the conversation linked again that they opened: what is
    /// found may be all that there is of them. `products` are those that may be meant.
    pub(crate) fn opened(&self, products: &[ProductId], user: &str, link: &LinkCommand) {
        for (name, source) in self.sources().iter() {
            if !source.rules.ask_when_opened || !self.may_ask(name) {
                continue;
            }
            let of_source = source.products();
            for product in products.iter().filter(|product| of_source.contains(product)) {
                let subject = PollSubject { product: product.clone(), user: user.to_owned() };
                let Some(asking) = self.subjects().begin(name, &subject) else { continue };
                let (service, source, link) = (self.clone(), source.clone(), link.clone());
                self.under_way().spawn(async move {
                    for pause in [Duration::ZERO, source.rules.ask_again_after] {
                        sleep(pause).await;
                        service.ask_about(&source, &subject, &link).await;
                    }
                    drop(asking);
                });
            }
        }
    }

    async fn ask_about(&self, source: &Arc<Source>, subject: &PollSubject, link: &LinkCommand) {
        let asked = async {
            let cursor = self.cursor_of(source, subject).await?;
            let asked = self.ask_once(source, Some(subject), cursor.as_deref()).await?;
            let next = asked.0.cursor.clone().filter(|next| Some(next) != cursor.as_ref());
            let goes_on = next.map(|next| GoesOn::Of(subject.clone(), next));
            self.take_page(source, asked, &subject.product, goes_on).await
        };
        match asked.await {
            Ok(()) => {
                if let Err(error) = self.engine().link(link.clone()).await {
                    tracing::debug!(source = %source.name, "source: no link made: {error}");
                }
            }
            Err(error) => self.tell(&source.name, &error),
        }
    }

    /// Where the question about a person goes on.
    async fn cursor_of(
        &self,
        source: &Source,
        subject: &PollSubject,
    ) -> Result<Option<String>, NotAccepted> {
        let turn = source.told.turn(self.engine(), &source.name).await?;
        let cursor = turn.memory.cursor(subject.product.as_str(), &subject.user);
        Ok(cursor.map(str::to_owned))
    }

    async fn ask_once(
        &self,
        source: &Source,
        about: Option<&PollSubject>,
        cursor: Option<&str>,
    ) -> Result<Asked, NotAsked> {
        let call = Call {
            idempotency_key: format!("poll-{:032x}", rand::random::<u128>()),
            attempt: 1,
            timeout: QUESTION,
            traceparent: traceparent(),
            kv: CallKv::stored(None),
        };
        let kv = call.kv.clone();
        let page = self.registry().poll_events(&source.name, call, about, cursor).await;
        self.counts().polled(page.is_err());
        Ok((page?, kv.written()))
    }

    async fn take_page(
        &self,
        source: &Arc<Source>,
        (page, written): Asked,
        usual: &ProductId,
        goes_on: Option<GoesOn>,
    ) -> Result<(), NotAsked> {
        let left_out = page.ignored.iter().map(|(_, count)| u64::from(*count)).sum();
        self.counts().leave_out(Left::Plugin, left_out);
        let (products, deadline) = (source.products(), Instant::now() + COMMIT);
        let beside = (goes_on, written);
        self.accept(source, page.batches, (usual, products), beside, deadline).await?;
        Ok(())
    }
}

/// A trace of its own that nobody keeps.
fn traceparent() -> String {
    let (trace, span) = (rand::random::<u128>().max(1), rand::random::<u64>().max(1));
    format!("00-{trace:032x}-{span:016x}-00")
}
