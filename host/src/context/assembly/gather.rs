//! Which sources are asked, and in which order.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use super::Assembly;
use super::budget::{Budgets, first, newest};
use super::read::{Article, Read, Turn, read_text};
use super::source::{self, Ask, Missing, Source, Why};
use super::text::{history_text, knowledge_text};

/// Who is asked. What isn't there isn't asked and isn't missed.
#[derive(Clone, Default)]
pub struct Sources {
    /// What was done lately.
    pub activity: Option<Arc<dyn Source>>,
    /// What was done since.
    pub since: Option<Arc<dyn Source>>,
    /// A memory of what was done and said ([`Ask::Live`], [`Ask::Turns`]).
    pub memory: Option<Arc<dyn Source>>,
    /// A knowledge base.
    pub knowledge: Option<Arc<dyn Source>>,
}

/// How they are asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// How long each may take.
    pub per_source: Duration,
    /// How long all may take together.
    pub in_all: Duration,
    /// Whether what a memory knows of what was done stands before what the activity's own source knows.
    pub prefer_memory: bool,
    /// Whether that source isn't asked where a memory knows something.
    pub memory_is_enough: bool,
    /// How long the parts may be.
    pub budgets: Budgets,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            per_source: Duration::from_secs(2),
            in_all: Duration::from_secs(5),
            prefer_memory: true,
            memory_is_enough: true,
            budgets: Budgets::default(),
        }
    }
}

/// A question, and who asks it where. A blank value is none.
#[derive(Clone, PartialEq, Default)]
pub struct Question {
    /// In which product.
    pub product: String,
    /// In which session, or whose activity it is about: as the sources know it.
    pub session: Option<String>,
    /// In which conversation.
    pub conversation: Option<String>,
    /// The person's address.
    pub email: Option<String>,
    /// What they ask.
    pub text: String,
    /// When they were answered last ([`Watermark`](super::Watermark)), in seconds since the epoch.
    pub cutoff: Option<f64>,
    /// What of the knowledge base is theirs.
    pub knowledge: Knowledge,
}

/// What of a knowledge base is asked.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Knowledge {
    /// What it calls the product, where that is something else.
    pub product: Option<String>,
    /// Which part of it.
    pub id: Option<String>,
}

impl std::fmt::Debug for Question {
    /// Who asks, and what, is left out.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Question").field("product", &self.product).finish_non_exhaustive()
    }
}

/// Puts together what is known.
#[derive(Clone, Default)]
pub struct Assembler {
    /// Who is asked.
    pub sources: Sources,
    /// How.
    pub settings: Settings,
}

impl std::fmt::Debug for Assembler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Assembler").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Assembler {
    /// What is known about a question. It always comes to something, at the latest when its time is over.
    pub async fn assemble(&self, question: &Question) -> Assembly {
        let mut run = Run {
            assembler: self,
            question,
            session: question.session.as_deref().filter(|session| !session.trim().is_empty()),
            deadline: Instant::now() + self.settings.in_all,
            missing: Vec::new(),
        };
        let Known { live, turns, local, since } = run.activity().await;
        let (preferred, other) =
            if self.settings.prefer_memory { (live, local) } else { (local, live) };
        let activity = if preferred.is_empty() { other } else { preferred };
        let articles = run.articles(&activity).await;
        let parts = Parts { since, activity, turns, articles };
        self.within_budgets(question, parts, run.missing)
    }

    /// The parts, each within its budget and all within theirs: the earlier ones come first.
    fn within_budgets(&self, question: &Question, parts: Parts, missing: Vec<Missing>) -> Assembly {
        let budgets = &self.settings.budgets;
        let mut left = budgets.all;
        let mut most = |own: usize, make: &dyn Fn(usize) -> String| {
            let part = make(own.min(left));
            left -= part.len();
            part
        };
        let text = question.text.trim();
        let asked = |turn: &&Turn| turn.role.eq_ignore_ascii_case("user");
        let mut before = parts.turns.iter().filter(asked).map(|turn| turn.content.trim());
        let first_question = before.find(|asked| !asked.is_empty()).unwrap_or(text);
        Assembly {
            question: most(budgets.question, &|most| first(text, most)),
            since: most(budgets.since, &|most| newest(&parts.since, most)),
            history: most(budgets.history, &|most| history_text(&parts.turns, most)),
            recent_activity: most(budgets.activity, &|most| newest(&parts.activity, most)),
            knowledge: most(budgets.knowledge, &|most| knowledge_text(&parts.articles, most)),
            first_question: first(first_question, budgets.question),
            missing,
        }
    }
}

/// What the sources answered.
struct Parts {
    since: String,
    activity: String,
    turns: Vec<Turn>,
    articles: Vec<Article>,
}

/// One question under way.
struct Run<'a> {
    assembler: &'a Assembler,
    question: &'a Question,
    session: Option<&'a str>,
    deadline: Instant,
    missing: Vec<Missing>,
}

/// What is known of what was done and said.
#[derive(Default)]
struct Known {
    live: String,
    turns: Vec<Turn>,
    local: String,
    since: String,
}

impl Run<'_> {
    async fn activity(&mut self) -> Known {
        let Some(session) = self.session.map(str::to_owned) else { return Known::default() };
        // Nobody is known by a blank address.
        let user = named(self.question.email.as_deref()).unwrap_or(&session).to_owned();
        let conversation = named(self.question.conversation.as_deref()).map(str::to_owned);
        let Sources { activity, since, memory, .. } = &self.assembler.sources;
        let live = Ask::Live { session: session.clone(), user: user.clone() };
        let turns = Ask::Turns { session: session.clone(), conversation, user };
        let lately = Ask::Activity { session: session.clone() };
        let cutoff = self.question.cutoff.filter(|cutoff| cutoff.is_finite());
        let since = since.as_ref().filter(|_| cutoff.is_some());
        let later = Ask::ActivitySince { session, cutoff: cutoff.unwrap_or_default() };
        // The activity's own source waits for the memory only where the memory may be enough.
        let waits = memory.is_some() && self.assembler.settings.memory_is_enough;
        let at_once = |source: Option<&Arc<dyn Source>>| source.filter(|_| !waits).cloned();
        let (live, turns, mut local, mut delta) = tokio::join!(
            self.ask(memory.clone(), &live),
            self.ask(memory.clone(), &turns),
            self.ask(at_once(activity.as_ref()), &lately),
            self.ask(at_once(since), &later),
        );
        let live = self.take(live, read_text);
        if waits && live.is_empty() {
            (local, delta) = tokio::join!(
                self.ask(activity.clone(), &lately),
                self.ask(since.cloned(), &later),
            );
        }
        Known {
            live,
            turns: self.take(turns, Turn::read_list),
            local: self.take(local, read_text),
            since: self.take(delta, read_text),
        }
    }

    async fn articles(&mut self, activity: &str) -> Vec<Article> {
        let knowledge = &self.question.knowledge;
        let ask = Ask::Knowledge {
            product: self.question.product.clone(),
            knowledge_product: named(knowledge.product.as_deref()).map(str::to_owned),
            knowledge_id: named(knowledge.id.as_deref()).map(str::to_owned),
            session: self.session.map(str::to_owned),
            query: self.question.text.clone(),
            activity: activity.to_owned(),
        };
        let answer = self.ask(self.assembler.sources.knowledge.clone(), &ask).await;
        self.take(answer, Article::read_list)
    }

    /// `None`: there is no such source.
    async fn ask(&self, source: Option<Arc<dyn Source>>, ask: &Ask) -> Option<Answer> {
        let per_source = self.assembler.settings.per_source;
        let answer = source::ask(&*source?, ask, per_source, self.deadline).await;
        Some(answer.map(|answer| (ask.slot(), answer)))
    }

    /// What an answer says; what it doesn't is missing.
    fn take<T: Default>(&mut self, answer: Option<Answer>, read: fn(&Value) -> Read<T>) -> T {
        match answer {
            None => T::default(),
            Some(Err(missing)) => {
                self.missing.push(missing);
                T::default()
            }
            Some(Ok((slot, answer))) => {
                let (read, unread) = read(&answer);
                if unread > 0 {
                    self.missing.push(Missing { slot, why: Why::Unreadable(unread) });
                }
                read
            }
        }
    }
}

type Answer = Result<(source::Slot, Value), Missing>;

/// A name that says something.
fn named(name: Option<&str>) -> Option<&str> {
    name.map(str::trim).filter(|name| !name.is_empty())
}
