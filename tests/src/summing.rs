//! The real summarizer beside a world's engine, with a scripted model.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use sidenote::backoff::Backoff;
use sidenote::clock::{Clock, Timestamp};
use sidenote::config::{Delivery, History, Summary};
use sidenote::llm::{Caller, Completion, Limits, LlmError, Prompt, from_fn};
use sidenote::prompts::Prompts;
use sidenote::summary::Summarizer;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::world::{BEGIN, World, settings};

/// How long the model may take.
pub const TIMEOUT: Duration = Duration::from_secs(30);

/// What the model answers to a question, after how long.
pub type Said = (Duration, Result<String, LlmError>);

/// A question as the model got it.
#[derive(Debug, Clone)]
pub struct Asked {
    /// When, from the start.
    pub at: Duration,
    /// The whole message.
    pub message: String,
}

impl Asked {
    /// How many actions it lists.
    pub fn actions(&self) -> usize {
        self.message.lines().filter(|line| line.contains(". [0] ")).count()
    }
}

/// A running summarizer; it ends when it is dropped.
pub struct Summing {
    asked: Arc<Mutex<Vec<Asked>>>,
    _tasks: JoinSet<()>,
}

impl Summing {
    /// Sums up the sessions of a world whose engine keeps a history ([`keeping`]). `model` answers by the number of
    /// the question, from 0, and its text.
    pub fn start(
        world: &World,
        config: &Summary,
        model: impl Fn(usize, &str) -> Said + Send + Sync + 'static,
    ) -> Self {
        let (asked, start) = (Arc::new(Mutex::new(Vec::<Asked>::new())), Instant::now());
        let model = {
            let asked = asked.clone();
            let model = Arc::new(model);
            from_fn("scripted", move |prompt: Prompt| {
                let (asked, model) = (asked.clone(), model.clone());
                async move {
                    let message = prompt.message();
                    let n = {
                        let mut asked = asked.lock().expect("no holder panics");
                        asked.push(Asked { at: start.elapsed(), message: message.clone() });
                        asked.len() - 1
                    };
                    let (after, said) = model(n, &message);
                    tokio::time::sleep(after).await;
                    said.map(Completion::of)
                }
            })
        };
        let second = Duration::from_secs(1);
        let backoff = Backoff { initial: second, max: second };
        let limits = Limits { timeout: TIMEOUT, retries: 0, backoff, max_answer_bytes: 1 << 16 };
        let (caller, prompts) = (Caller::new(model, limits), Arc::new(Prompts::default()));
        let clock = Clock::starting_at(Timestamp::from_secs_f64(BEGIN));
        let summarizer = Summarizer::new(world.handle.clone(), caller, prompts, config, clock)
            .expect("the rules make sense")
            .with_jitter(|| 1.0);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move { summarizer.run().await.expect("no task panics") });
        Self { asked, _tasks: tasks }
    }

    /// The questions so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().expect("no holder panics").clone()
    }
}

/// The settings of a world whose engine keeps a history.
pub fn keeping(rules: &Delivery) -> sidenote::engine::Settings {
    settings(rules).with_history(History::default())
}

/// An answer at once.
pub fn says(text: &str) -> Said {
    (Duration::ZERO, Ok(text.to_owned()))
}

/// A failure at once.
pub fn fails() -> Said {
    (Duration::ZERO, Err(LlmError::unavailable("scripted")))
}

/// Nothing, for longer than anybody waits.
pub fn hangs() -> Said {
    (Duration::from_secs(1_000_000), Ok(String::new()))
}
