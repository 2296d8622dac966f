//! What a model is asked, what it answers, and what it is.

use std::fmt;

use super::error::LlmError;
use crate::prompts::Prompt;

/// A model: one question, one text back.
///
/// Whoever implements it needn't care for time-outs, sizes, retries or the log: [`Caller`](super::Caller)
/// does. A call that is dropped must end.
#[async_trait::async_trait]
pub trait Llm: Send + Sync + 'static {
    /// What the model is called in the log.
    fn model(&self) -> &str;

    /// Asks once.
    ///
    /// # Errors
    /// There is no usable answer; the kind says what can be done.
    async fn complete(&self, prompt: &Prompt) -> Result<Completion, LlmError>;
}

/// An answer.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Completion {
    /// The text.
    pub text: String,
    /// Tokens of the question, where the provider says.
    pub tokens_in: Option<u64>,
    /// Tokens of the answer, where the provider says.
    pub tokens_out: Option<u64>,
    /// Whether the answer ended because it may not be longer.
    pub cut: bool,
}

impl Completion {
    /// An answer of which nothing but the text is known.
    pub fn of(text: impl Into<String>) -> Self {
        Self { text: text.into(), ..Self::default() }
    }
}

impl fmt::Debug for Completion {
    /// The text is left out: it tells of customers.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Completion")
            .field("text_bytes", &self.text.len())
            .field("tokens_in", &self.tokens_in)
            .field("tokens_out", &self.tokens_out)
            .field("cut", &self.cut)
            .finish()
    }
}

/// A model made of a function, for a library that has its own way to one.
///
/// ```
/// use sidenote::llm::{Completion, Llm, Prompt, from_fn};
///
/// let echo = from_fn("echo", |prompt: Prompt| async move { Ok(Completion::of(prompt.text)) });
/// assert_eq!(echo.model(), "echo");
/// ```
pub fn from_fn<F, A>(model: impl Into<String>, call: F) -> FnLlm<F>
where
    F: Fn(Prompt) -> A + Send + Sync + 'static,
    A: Future<Output = Result<Completion, LlmError>> + Send + 'static,
{
    FnLlm { model: model.into(), call }
}

/// What [`from_fn`] makes.
pub struct FnLlm<F> {
    model: String,
    call: F,
}

#[async_trait::async_trait]
impl<F, A> Llm for FnLlm<F>
where
    F: Fn(Prompt) -> A + Send + Sync + 'static,
    A: Future<Output = Result<Completion, LlmError>> + Send + 'static,
{
    fn model(&self) -> &str {
        &self.model
    }

    async fn complete(&self, prompt: &Prompt) -> Result<Completion, LlmError> {
        (self.call)(prompt.clone()).await
    }
}
