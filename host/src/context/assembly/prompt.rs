//! The placeholders that prompts of autoplay-sdk have for what was put together.

use super::Assembly;
use super::read::Article;
use super::text::one_line_title;

const NONE: &str = "(none)";
/// So many titles are named.
const TITLES: usize = 5;
/// Longest title, in characters.
const MAX_TITLE: usize = 200;

/// Why an answer is made of what it is made of, for prompts that ask for it. By default nothing was chosen: all that was
/// put together is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reasoning<'a> {
    /// What the person wants.
    pub intent: &'a str,
    /// What was chosen for it; blank: nothing.
    pub sources: &'a str,
    /// Why.
    pub explanation: &'a str,
    /// A task that the person is at; may be empty.
    pub task: &'a str,
}

impl Default for Reasoning<'_> {
    fn default() -> Self {
        Self {
            intent: "Single-pass RAG; routing call not used.",
            sources: NONE,
            explanation: "Use all provided context blocks below.",
            task: "",
        }
    }
}

impl Assembly {
    /// The names of [`Assembly::values`].
    pub const PLACEHOLDERS: [&str; 8] = [
        "user_question",
        "first_question",
        "selected_task_context",
        "conversation_history",
        "reasoning_intent",
        "reasoning_sources",
        "reasoning_explanation",
        "selected_context",
    ];

    /// What the placeholders of a prompt stand for. `question`: the question as it is asked.
    pub fn values(&self, question: &str, reasoning: Reasoning<'_>) -> [(&'static str, String); 8] {
        let question = question.trim();
        let first = self.first_question.trim();
        let [user, opening, task, history, intent, sources, explanation, context] =
            Self::PLACEHOLDERS;
        [
            (user, question.to_owned()),
            (opening, if first.is_empty() { question } else { first }.to_owned()),
            (task, reasoning.task.trim().to_owned()),
            (history, or_none(&self.history)),
            (intent, reasoning.intent.to_owned()),
            (sources, reasoning.sources.to_owned()),
            (explanation, reasoning.explanation.to_owned()),
            (context, or_none(&self.selected_context())),
        ]
    }
}

/// What there is, shortly, for a model that chooses what an answer is made of. What there is none of is told as such.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Previews {
    /// What was done.
    pub activity: String,
    /// What the knowledge base has.
    pub knowledge: String,
}

/// Previews of an assembly. `articles` are named by their titles; without any the knowledge stands as it is.
pub fn previews(assembly: &Assembly, articles: &[Article]) -> Previews {
    let (since, lately) = (assembly.since.trim(), assembly.recent_activity.trim());
    let since = Some(since).filter(|text| !text.is_empty());
    let since = since.map(|text| format!("Most recent actions (since last chat message):\n{text}"));
    let activity = match since {
        None => or_none(lately),
        Some(since) if lately.is_empty() => since,
        Some(since) => format!("{since}\n\nEarlier in session / broader activity:\n{lately}"),
    };
    let titles = articles.iter().enumerate().take(TITLES).map(|(place, article)| {
        let title: String = one_line_title(article, place).chars().take(MAX_TITLE).collect();
        format!("- {title}")
    });
    let titles = titles.collect::<Vec<_>>().join("\n");
    let knowledge = if titles.is_empty() { or_none(&assembly.knowledge) } else { titles };
    Previews { activity, knowledge }
}

fn or_none(text: &str) -> String {
    match text.trim() {
        "" => NONE.to_owned(),
        text => text.to_owned(),
    }
}
