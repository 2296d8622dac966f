//! What is known when somebody asks, put together for the model that answers: what they did since they wrote last, what
//! they did lately, what was said before, and what the knowledge base has about it.
//!
//! Each part comes from a [`Source`]. Sources that need nothing of each other are asked at once, each within a time of
//! its own and all of them within one; a source that fails, is late or answers nonsense is left out and told of, and
//! the others stay. Each part has a budget: what is newest, or fits best, is kept, and the cut is stated. A part without
//! content has no heading. The forms of the texts are autoplay-sdk's.
//!
//! | file | what |
//! |---|---|
//! | `source` | what a source is asked, and how long it may take |
//! | `gather` | which sources are asked, in which order |
//! | `read` | what a source's answer says |
//! | `text` | the parts as text |
//! | `budget` | how long they may be |
//! | `prompt` | the placeholders of a prompt |
//! | `watermark` | up to when a conversation's person was answered |

mod budget;
mod gather;
mod prompt;
mod read;
mod source;
mod text;
mod watermark;

pub use budget::Budgets;
pub use gather::{Assembler, Knowledge, Question, Settings, Sources};
pub use prompt::{Previews, Reasoning, previews};
pub use read::{Article, Turn};
pub use source::{Ask, Missing, Slot, Source, SourceError, Why};
pub use text::{history_text, knowledge_text};
pub use watermark::{Watermark, Watermarks, inbound_at};

/// What is known, in its parts. Empty: there is nothing of it.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Assembly {
    /// What the person did since they wrote last.
    pub since: String,
    /// What they did lately.
    pub recent_activity: String,
    /// What was said before, under its heading.
    pub history: String,
    /// What the knowledge base has about the question, under its heading.
    pub knowledge: String,
    /// The question.
    pub question: String,
    /// The first thing that the person asked in this conversation.
    pub first_question: String,
    /// The sources that were left out, and why.
    pub missing: Vec<Missing>,
}

impl std::fmt::Debug for Assembly {
    /// The texts are left out: they are customers' data.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Assembly")
            .field("since_bytes", &self.since.len())
            .field("recent_activity_bytes", &self.recent_activity.len())
            .field("history_bytes", &self.history.len())
            .field("knowledge_bytes", &self.knowledge.len())
            .field("question_bytes", &self.question.len())
            .field("missing", &self.missing)
            .finish_non_exhaustive()
    }
}
