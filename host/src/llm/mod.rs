//! Language models: one question, one text back.
//!
//! | part | what |
//! |---|---|
//! | [`Llm`] | what a model is: one async function; [`from_fn`] makes one of any such function |
//! | [`Caller`] | asks a model within a time and a size, tries again where that can help, logs and counts |
//! | [`Replies`] | answers people's questions, a bounded number at a time |
//! | [`HttpLlm`] | OpenAI and what speaks like it, Azure, Anthropic, Gemini |
//!
//! An error is read by its reason (`reason.rs`): what a person must see to is told from what passes and from
//! what is about the one question. What a model thought on the way is no part of its answer (`thoughts.rs`).
//!
//! What is asked and what is answered are customers' data: neither stands in a log line, an error or a
//! `Debug`. An answer is bounded in bytes, and in time however slowly it drips.

mod anthropic;
mod caller;
mod error;
mod gemini;
mod http;
mod model;
mod openai;
mod reason;
mod replies;
mod thoughts;

pub use caller::{Caller, Limits, Totals};
pub use error::{LlmError, Scope};
pub use http::{HttpLlm, SetupError};
pub use model::{Completion, FnLlm, Llm, from_fn};
pub use replies::{Drafted, Replies, ReplyError};
pub use thoughts::spoken;

pub use crate::prompts::Prompt;
