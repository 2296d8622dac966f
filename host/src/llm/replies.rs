//! Answers to people's questions.

use std::sync::Arc;

use tokio::sync::Semaphore;

use super::caller::{Caller, Totals};
use super::error::LlmError;
use crate::prompts::{HAND_OVER, Prompts};

/// Questions that are answered at the same time.
const PARALLEL: usize = 32;

/// Answers questions, knowing what whoever asks did lately: a cheap handle.
#[derive(Debug, Clone)]
pub struct Replies {
    caller: Caller,
    prompts: Arc<Prompts>,
    permits: Arc<Semaphore>,
}

/// Why a question wasn't answered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReplyError {
    /// As many questions as there may be are being answered.
    #[error("reply: {PARALLEL} questions are being answered; ask again in a moment")]
    Busy,
    /// The model gave no answer.
    #[error(transparent)]
    Llm(#[from] LlmError),
}

/// An answer that the person gets by itself, unless the model isn't sure of it.
#[derive(Clone, PartialEq, Eq)]
pub struct Drafted {
    /// What it says; may be blank where the model isn't sure.
    pub text: String,
    /// Whether the model is sure of it, as far as it says.
    pub sure: bool,
}

impl Drafted {
    /// Reads an answer: the model isn't sure of one that has a line [`HAND_OVER`] in it.
    fn of(answer: &str) -> Self {
        let is_mark = |line: &&str| line.trim() == HAND_OVER;
        let sure = !answer.lines().any(|line| is_mark(&line));
        let lines: Vec<_> = answer.lines().filter(|line| !is_mark(line)).collect();
        Self { text: lines.join("\n").trim().to_owned(), sure }
    }
}

impl std::fmt::Debug for Drafted {
    /// The text is left out: it is customers' data.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Drafted").field("sure", &self.sure).finish_non_exhaustive()
    }
}

impl Replies {
    /// Answers with this model.
    pub fn new(caller: Caller, prompts: Arc<Prompts>) -> Self {
        Self { caller, prompts, permits: Arc::new(Semaphore::new(PARALLEL)) }
    }

    /// What was counted of the model, whoever asked it.
    pub fn totals(&self) -> &Totals {
        self.caller.totals()
    }

    /// The answer to a user's question. `context` is what they did lately, as text.
    ///
    /// # Errors
    /// There is none.
    pub async fn reply(
        &self,
        user_id: &str,
        context: &str,
        query: &str,
    ) -> Result<String, ReplyError> {
        let _permit = self.permits.try_acquire().map_err(|_| ReplyError::Busy)?;
        let prompt = self.prompts.reply(user_id, context, query);
        Ok(self.caller.ask(&prompt).await?.text)
    }

    /// As [`Replies::reply`], for an answer that goes to the person by itself: the model is told how it says that a
    /// human had better see to the question.
    ///
    /// # Errors
    /// There is none.
    pub async fn draft(
        &self,
        user_id: &str,
        context: &str,
        query: &str,
    ) -> Result<Drafted, ReplyError> {
        let _permit = self.permits.try_acquire().map_err(|_| ReplyError::Busy)?;
        let prompt = self.prompts.reply_to_person(user_id, context, query);
        Ok(Drafted::of(&self.caller.ask(&prompt).await?.text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_model_is_unsure_of_an_answer_with_the_line_and_of_no_other() {
        let drafted = |text: &str, sure| Drafted { text: text.to_owned(), sure };
        for (answer, wanted) in [
            ("Open Settings.", drafted("Open Settings.", true)),
            ("[[HANDOVER]]", drafted("", false)),
            (" [[HANDOVER]] \nPerhaps:\nbilling", drafted("Perhaps:\nbilling", false)),
            ("Write [[HANDOVER]] for it.", drafted("Write [[HANDOVER]] for it.", true)),
        ] {
            assert_eq!(Drafted::of(answer), wanted, "{answer}");
        }
    }
}
