//! What needs a language model: summaries and answers.

use std::sync::Arc;

use crate::backoff::Backoff;
use crate::clock::Clock;
use crate::config::{self, Config};
use crate::engine::Handle;
use crate::host::StartError;
use crate::llm::{Caller, HttpLlm, Limits, Replies};
use crate::prompts::Prompts;
use crate::summary::Summarizer;

/// The parts that need a model, where there is one.
pub(super) struct Language {
    pub(super) replies: Option<Replies>,
    pub(super) summarizer: Option<Summarizer>,
    pub(super) judge: Option<(Caller, Arc<Prompts>)>,
}

impl Language {
    /// Builds them, and says in one line what there is. Nothing is asked.
    pub(super) fn of(config: &Config, engine: &Handle, clock: Clock) -> Result<Self, StartError> {
        let Some(llm) = &config.llm else {
            tracing::info!("summaries and answers are off: no [llm] names a language model");
            return Ok(Self { replies: None, summarizer: None, judge: None });
        };
        let caller = Caller::new(HttpLlm::new(llm, clock)?, limits(llm));
        let prompts = Arc::new(config.prompts.clone());
        let summarizer = (config.summary.enabled && config.context.is_some()).then(|| {
            let (engine, caller, prompts) = (engine.clone(), caller.clone(), prompts.clone());
            Summarizer::new(engine, caller, prompts, &config.summary, clock)
        });
        let summarizer = summarizer.transpose()?;
        tracing::info!(
            provider = llm.provider.name(),
            model = llm.model,
            summaries = summarizer.is_some(),
            answers = config.context.is_some(),
            "a language model is there"
        );
        let judge = Some((caller.clone(), prompts.clone()));
        Ok(Self { replies: Some(Replies::new(caller, prompts)), summarizer, judge })
    }
}

fn limits(llm: &config::Llm) -> Limits {
    Limits {
        timeout: llm.timeout,
        retries: llm.retries,
        backoff: Backoff { initial: llm.retry_initial, max: llm.retry_max },
        max_answer_bytes: llm.max_answer_bytes,
    }
}
