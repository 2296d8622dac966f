//! A question to a model.

use std::fmt;
use std::sync::Arc;

/// A question, ready to be sent.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Prompt {
    /// The prompt file's name, for the log.
    pub name: Arc<str>,
    /// The prompt file's version, for the log.
    pub version: Arc<str>,
    /// What the model is told of its task and of what it must not take for orders; may be empty.
    pub system: String,
    /// What stands before the question: an earlier summary, fenced; may be empty.
    pub background: String,
    /// The question.
    pub text: String,
}

impl Prompt {
    /// Background and question as one text, as they are sent in one message.
    pub fn message(&self) -> String {
        if self.background.is_empty() {
            return self.text.clone();
        }
        format!("{}\n\n{}", self.background, self.text)
    }

    /// All of it as one text, for models that know no words of a system.
    pub fn whole(&self) -> String {
        format!("{}\n\n{}", self.system, self.message())
    }
}

impl fmt::Debug for Prompt {
    /// The texts are left out: they are customers' data.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prompt")
            .field("name", &self.name)
            .field("version", &self.version)
            .field("text_bytes", &self.text.len())
            .finish_non_exhaustive()
    }
}
