//! Answers to people's questions.

use std::sync::Arc;

use tokio::sync::Semaphore;

use super::caller::Caller;
use super::error::LlmError;
use crate::prompts::Prompts;

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

impl Replies {
    /// Answers with this model.
    pub fn new(caller: Caller, prompts: Arc<Prompts>) -> Self {
        Self { caller, prompts, permits: Arc::new(Semaphore::new(PARALLEL)) }
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
}
