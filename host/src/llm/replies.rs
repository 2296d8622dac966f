//! Answers to people's questions.

use std::sync::Arc;

use tokio::sync::Semaphore;

use super::caller::Caller;
use super::error::LlmError;
use crate::prompts::Prompts;

/// Questions that are answered at the same time.
const SEATS: usize = 32;

/// Answers questions, knowing what whoever asks did lately: a cheap handle.
#[derive(Debug, Clone)]
pub struct Replies {
    caller: Caller,
    prompts: Arc<Prompts>,
    seats: Arc<Semaphore>,
}

/// Why a question wasn't answered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReplyError {
    /// As many questions as there may be are being answered.
    #[error("reply: {SEATS} questions are being answered; ask again in a moment")]
    Busy,
    /// The model gave no answer.
    #[error(transparent)]
    Llm(#[from] LlmError),
}

impl Replies {
    /// Answers with this model.
    pub fn new(caller: Caller, prompts: Arc<Prompts>) -> Self {
        Self { caller, prompts, seats: Arc::new(Semaphore::new(SEATS)) }
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
        let _seat = self.seats.try_acquire().map_err(|_| ReplyError::Busy)?;
        let prompt = self.prompts.reply(user_id, context, query);
        Ok(self.caller.ask(&prompt).await?.text)
    }
}
