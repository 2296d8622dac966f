//! The way into the engine for those who offer help, and reading how sessions stand.

use std::collections::BTreeSet;
use std::ops::Bound;
use std::time::Duration;

use tokio::sync::oneshot;

use crate::clock::Timestamp;
use crate::engine::core::Command;
use crate::engine::core::audit::{Act, Deed, Subject, SubjectKind};
use crate::engine::core::helping::{HelpCommand, HelpError, OfferWish, Turn};
use crate::engine::core::rows::{conversation_group, read, session_group, session_key};
use crate::engine::handle::Handle;
use crate::engine::inbox::Closed;
use crate::engine::inbox::{Asked, Reply};
use crate::engine::state::StoreState;
use crate::ids::{ProductId, SessionKey};
use crate::offers::help::{Heard, Help, Standing};
use crate::offers::log::{Decision, Log};
use crate::offers::refusal::Refusal;
use crate::offers::talk::Talk;
use crate::replies::answer::{NotReplied, Replied, ReplyWish};
use crate::replies::question::Question;
use crate::session::state::{Record, Target};
use crate::store::{Group, Key, StoreError, Table};

pub use crate::engine::core::helping::{self as commands, AsOf, HelpChange};

/// How long a change waits for its commit before it is said to be unavailable.
const PATIENCE: Duration = Duration::from_secs(10);
/// Where in its group a session's state stands.
const STATE: u64 = 0;
/// Where its decisions stand.
const LOG: u64 = 1;
/// Rows that are looked at at once.
const PAGE: usize = 1024;

/// How a session stands, for whoever offers help or asks.
#[derive(Debug, Clone, PartialEq)]
pub struct Helped {
    /// How it stands.
    pub standing: Standing,
    /// Where its notes go.
    pub target: Option<Target>,
    /// What was decided of its offers lately, the oldest first.
    pub decisions: Vec<Decision>,
}

/// A page of decisions.
#[derive(Debug, Default)]
pub struct Decisions {
    /// By session, in the order of their keys; of each the oldest first.
    pub sessions: Vec<(SessionKey, Vec<Decision>)>,
    /// Where the next page begins; `None`: there is none.
    pub next: Option<SessionKey>,
}

/// What waits for an answer in a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unanswered {
    /// What the person wrote, the oldest first.
    pub questions: Vec<Question>,
    /// The user, where known.
    pub user_id: Option<String>,
    /// When the latest message was heard that is answered in the conversation of the oldest question.
    pub answered_at: Option<Timestamp>,
}

impl Handle {
    /// Has an offer made, where everything allows it. Returns its number after the commit, or why there is none.
    ///
    /// # Errors
    /// The engine has ended, or waits for its store: the offer isn't made later.
    pub async fn offer(&self, wish: OfferWish) -> Result<Result<u64, Refusal>, Closed> {
        self.ask(Command::Offer(wish), None, Reply::Offered).await
    }

    /// Has an answer sent to a person, or noted for people. Returns after the commit what is under way, or why nothing
    /// is.
    ///
    /// # Errors
    /// The engine has ended, or waits for its store: nothing is sent later, and the question waits on.
    pub async fn reply(&self, wish: ReplyWish) -> Result<Result<Replied, NotReplied>, Closed> {
        self.ask(Command::Reply(wish), None, Reply::Replied).await
    }

    /// What a session's person wrote and waits for an answer, and who they are.
    ///
    /// # Errors
    /// The store can't be read.
    pub async fn questions(&self, key: &SessionKey) -> Result<Unanswered, StoreError> {
        let group = [session_group(key)];
        let rows = self.store.load(Table::Help, &group).await?;
        let help = rows[0].iter().find(|(n, _)| *n == STATE);
        let help = help.and_then(|(n, value)| read::<Help>(Table::Help, *n, value));
        let waiting = help.iter().flat_map(|help| help.questions().iter());
        let questions = waiting.filter(|it| it.answered_by.is_none()).cloned();
        let questions: Vec<Question> = questions.collect();
        let answered_at = match questions.first() {
            Some(oldest) => self.answered_at(&oldest.target).await?,
            None => None,
        };
        let sessions = self.store.load(Table::Session, &group).await?;
        let record = sessions[0].iter().find(|(n, _)| *n == 0);
        let record = record.and_then(|(n, value)| read::<Record>(Table::Session, *n, value));
        let user_id = record.and_then(|record| record.user_id);
        Ok(Unanswered { questions, user_id, answered_at })
    }

    /// When the latest message was heard that is answered in a conversation.
    async fn answered_at(
        &self,
        (plugin, conversation): &Target,
    ) -> Result<Option<Timestamp>, StoreError> {
        let group = [conversation_group(plugin, conversation)];
        let rows = self.store.load(Table::Talk, &group).await?;
        let talk = rows[0].first().and_then(|(n, value)| read::<Talk>(Table::Talk, *n, value));
        Ok(talk.and_then(|talk| talk.answered_at))
    }

    /// The sessions in which something waits for an answer, of products that have replies.
    ///
    /// # Errors
    /// The store can't be read.
    pub async fn sessions_asking(&self) -> Result<Vec<SessionKey>, StoreError> {
        let (settings, mut asking, mut after) = (self.settings(), Vec::new(), None);
        loop {
            let rows = self.store.scan(Table::Help, after.take(), PAGE).await?;
            let at_end = rows.len() < PAGE;
            after = rows.last().map(|(row, _)| row.clone());
            for (row, value) in rows.iter().filter(|(row, _)| row.number == STATE) {
                let answered = |key: &SessionKey| settings.replies(&key.product).is_some();
                let Some(key) = session_key(&row.group).filter(answered) else { continue };
                let help = read::<Help>(Table::Help, STATE, value);
                let waits = |help: Help| help.questions().iter().any(|it| it.answered_by.is_none());
                if help.is_some_and(waits) {
                    asking.push(key);
                }
            }
            if at_end {
                return Ok(asking);
            }
        }
    }

    /// Hands over something that happened in a conversation. Returns after the commit what it was to the sessions that
    /// are linked to it.
    ///
    /// # Errors
    /// The engine has ended, or waits for its store: whoever told it is to tell it again.
    pub async fn turn(&self, turn: Turn) -> Result<Vec<(SessionKey, Heard)>, Closed> {
        self.ask(Command::Turn(turn), None, Reply::Heard).await
    }

    /// Changes how a session is helped. Returns after the commit how it stands.
    ///
    /// # Errors
    /// Nothing changed, and why.
    pub async fn change_help(&self, command: HelpCommand) -> Result<Standing, HelpError> {
        let HelpCommand { key, change, .. } = &command;
        let subject = Subject::of(key.product.as_str(), SubjectKind::Session, key.session.as_str());
        let act = Act::Help { change: change.word().to_owned(), subject };
        let deed = self.deed(act, Some(&key.product));
        let changed = self.ask(Command::Help(command), deed, Reply::Helped).await;
        changed.unwrap_or(Err(HelpError::Unavailable))
    }

    /// How a session stands at `now`; `None` where nothing is known of it.
    ///
    /// # Errors
    /// The store can't be read.
    pub async fn helped(
        &self,
        key: &SessionKey,
        now: Timestamp,
    ) -> Result<Option<Helped>, StoreError> {
        let group = [session_group(key)];
        let sessions = self.store.load(Table::Session, &group).await?;
        let rows = self.store.load(Table::Help, &group).await?;
        let row = |number| rows[0].iter().find(|(n, _)| *n == number).map(|(_, value)| value);
        let record = sessions[0].iter().find(|(n, _)| *n == 0);
        let record = record.and_then(|(n, value)| read::<Record>(Table::Session, *n, value));
        let help = row(STATE).and_then(|value| read::<Help>(Table::Help, STATE, value));
        if record.is_none() && help.is_none() {
            return Ok(None);
        }
        let log = row(LOG).and_then(|value| read::<Log>(Table::Help, LOG, value));
        let link = record.and_then(|record| record.link);
        let settings = self.settings();
        let tours = settings.tours(&key.product).map(|tours| &tours.registry);
        Ok(Some(Helped {
            standing: help.unwrap_or_else(|| Help::new(now)).taken_up(now).standing(tours, now),
            target: link.map(|link| (link.plugin, link.conversation)),
            decisions: log.iter().flat_map(Log::decisions).cloned().collect(),
        }))
    }

    /// What was decided of offers lately: of some sessions, those behind `after`, and of these products where they are
    /// limited.
    ///
    /// # Errors
    /// The store can't be read.
    pub async fn offer_decisions(
        &self,
        after: Option<&SessionKey>,
        within: Option<&BTreeSet<ProductId>>,
    ) -> Result<Decisions, StoreError> {
        let row = |group, number| Key { table: Table::Help, group, number };
        // Before all sessions of a product: no session has an empty id.
        let before = |product: &ProductId| row(Group(product.shared(), "".into()), 0);
        let first = || within.and_then(BTreeSet::first).map(before);
        let mut after = after.map(|key| row(session_group(key), u64::MAX)).or_else(first);
        let allowed = |product: &ProductId| within.is_none_or(|within| within.contains(product));
        let mut decisions = Decisions::default();
        loop {
            let rows = self.store.scan(Table::Help, after.take(), PAGE).await?;
            for (row, value) in rows.iter().filter(|(row, _)| row.number == LOG) {
                let key = session_key(&row.group).filter(|key| allowed(&key.product));
                let Some(key) = key else { continue };
                if let Some(log) = read::<Log>(Table::Help, LOG, value) {
                    decisions.sessions.push((key, log.decisions().cloned().collect()));
                }
            }
            let last = rows.last().filter(|_| rows.len() == PAGE);
            let Some(last) = last.and_then(|(row, _)| session_key(&row.group)) else {
                return Ok(decisions);
            };
            if allowed(&last.product) {
                decisions.next = Some(last);
                return Ok(decisions);
            }
            // No place among another product's sessions is told: the next product of those is gone on with.
            let from = (Bound::Excluded(&last.product), Bound::Unbounded);
            let next = within.and_then(|within| within.range::<ProductId, _>(from).next());
            let Some(next) = next else { return Ok(decisions) };
            after = Some(before(next));
        }
    }

    /// Whether help is offered to anybody.
    pub fn offers_help(&self) -> bool {
        let settings = self.settings();
        settings.products().any(|product| settings.offers(product).is_some())
    }

    /// Asks the engine for something that is for this moment only.
    pub(super) async fn ask<T>(
        &self,
        command: Command,
        deed: Option<Deed>,
        reply: impl FnOnce(oneshot::Sender<T>) -> Reply,
    ) -> Result<T, Closed> {
        if self.store_state() != StoreState::Serving {
            return Err(Closed);
        }
        let (sender, answer) = oneshot::channel();
        let reply = reply(sender);
        let asked = Asked { command, reply, capacity: None, deed, once: None };
        let asked = async {
            self.inbox.send(asked.into()).await.map_err(|_| Closed)?;
            answer.await.map_err(|_| Closed)
        };
        tokio::time::timeout(PATIENCE, asked).await.map_err(|_| Closed)?
    }
}
