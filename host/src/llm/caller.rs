//! Asks a model: within a time, within a size, again where that can help; each try is logged.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use super::error::LlmError;
use super::model::{Completion, Llm};
use super::thoughts::spoken;
use crate::backoff::Backoff;
use crate::prompts::Prompt;
use crate::session::text::printable;

/// What a call may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The whole call: all tries and the pauses between them.
    pub timeout: Duration,
    /// Tries after the first one, where the failure is one that passes.
    pub retries: u32,
    /// The pauses between tries.
    pub backoff: Backoff,
    /// Longest text, in bytes.
    pub max_answer_bytes: usize,
}

/// Running totals of a model.
#[derive(Debug, Default)]
pub struct Totals {
    calls: AtomicU64,
    failures: AtomicU64,
    tokens_in: AtomicU64,
    tokens_out: AtomicU64,
}

impl Totals {
    /// Tries that were made.
    pub fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }

    /// Tries that failed.
    pub fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    /// Tokens of all questions, as far as the provider says.
    pub fn tokens_in(&self) -> u64 {
        self.tokens_in.load(Ordering::Relaxed)
    }

    /// Tokens of all answers, as far as the provider says.
    pub fn tokens_out(&self) -> u64 {
        self.tokens_out.load(Ordering::Relaxed)
    }
}

/// A cheap handle on a model. What it is asked is never logged, and what it answers neither.
#[derive(Clone)]
pub struct Caller {
    llm: Arc<dyn Llm>,
    limits: Limits,
    totals: Arc<Totals>,
}

impl Caller {
    /// Asks this model within these limits.
    pub fn new(llm: impl Llm, limits: Limits) -> Self {
        Self { llm: Arc::new(llm), limits, totals: Arc::default() }
    }

    /// What the model is called.
    pub fn model(&self) -> &str {
        self.llm.model()
    }

    /// The limits.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// The running totals.
    pub fn totals(&self) -> &Totals {
        &self.totals
    }

    /// Asks until there is an answer, the tries are used up, or the time is.
    ///
    /// # Errors
    /// There is no answer; the last try's error.
    pub async fn ask(&self, prompt: &Prompt) -> Result<Completion, LlmError> {
        let end = Instant::now() + self.limits.timeout;
        let mut tries = 0;
        loop {
            let error = match self.once(prompt, end).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            tries += 1;
            let pause = self.limits.backoff.pause(tries, error.retry_after(), rand::random());
            // A pause that outlasts the call is the caller's to wait for.
            if !error.is_passing() || tries > self.limits.retries || Instant::now() + pause >= end {
                return Err(error);
            }
            tokio::time::sleep(pause).await;
        }
    }

    async fn once(&self, prompt: &Prompt, end: Instant) -> Result<Completion, LlmError> {
        let begin = Instant::now();
        let answer = tokio::time::timeout_at(end, self.llm.complete(prompt)).await;
        let answer = answer.unwrap_or(Err(LlmError::TimedOut { after: self.limits.timeout }));
        let answer = answer.and_then(|answer| self.check(answer));
        self.record(prompt, &answer, begin.elapsed());
        answer
    }

    /// What may be shown of an answer: neither thoughts nor what steers what shows it.
    fn check(&self, answer: Completion) -> Result<Completion, LlmError> {
        let said = spoken(&answer.text);
        let text = printable(&said).into_owned();
        let most = self.limits.max_answer_bytes;
        match text.len() {
            _ if text.trim().is_empty() => Err(LlmError::Empty),
            bytes if bytes > most => Err(LlmError::TooLong { most }),
            _ => Ok(Completion { text, ..answer }),
        }
    }

    fn record(&self, prompt: &Prompt, answer: &Result<Completion, LlmError>, took: Duration) {
        let add = |count: &AtomicU64, more: u64| count.fetch_add(more, Ordering::Relaxed);
        add(&self.totals.calls, 1);
        let latency_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        let (name, version, model) = (&*prompt.name, &*prompt.version, self.model());
        match answer {
            Ok(Completion { tokens_in, tokens_out, cut, .. }) => {
                add(&self.totals.tokens_in, tokens_in.unwrap_or(0));
                add(&self.totals.tokens_out, tokens_out.unwrap_or(0));
                tracing::info!(
                    prompt = name,
                    version,
                    model,
                    tokens_in,
                    tokens_out,
                    latency_ms,
                    cut,
                    "llm: answered"
                );
            }
            Err(error) => {
                add(&self.totals.failures, 1);
                let kind = error.kind();
                tracing::warn!(prompt = name, version, model, latency_ms, kind, "{error}");
            }
        }
    }
}

impl std::fmt::Debug for Caller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Caller")
            .field("model", &self.model())
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::llm::from_fn;

    fn limits() -> Limits {
        let backoff = Backoff { initial: Duration::from_secs(1), max: Duration::from_secs(4) };
        let timeout = Duration::from_secs(30);
        Limits { timeout, retries: 2, backoff, max_answer_bytes: 20 }
    }

    /// A model that answers in turn, each after so many seconds; it repeats its last answer.
    fn scripted(answers: Vec<(u64, Result<&'static str, LlmError>)>) -> Caller {
        let answers = Arc::new(Mutex::new((0, answers)));
        let llm = from_fn("fake", move |_| {
            let answers = answers.clone();
            async move {
                let (latency, answer) = {
                    let (next, answers) = &mut *answers.lock().unwrap();
                    *next += 1;
                    answers[(*next - 1).min(answers.len() - 1)].clone()
                };
                tokio::time::sleep(Duration::from_secs(latency)).await;
                answer.map(Completion::of)
            }
        });
        Caller::new(llm, limits())
    }

    async fn ask(caller: &Caller) -> Result<String, LlmError> {
        caller.ask(&Prompt::default()).await.map(|answer| answer.text)
    }

    fn away() -> LlmError {
        LlmError::unavailable("it is down")
    }

    #[tokio::test(start_paused = true)]
    async fn what_passes_is_tried_again_and_what_does_not_is_not() {
        let caller = scripted(vec![(0, Err(away())), (0, Err(away())), (0, Ok("yes"))]);
        assert_eq!(ask(&caller).await, Ok("yes".to_owned()));
        assert_eq!((caller.totals().calls(), caller.totals().failures()), (3, 2));

        let caller = scripted(vec![(0, Err(away()))]);
        assert_eq!(ask(&caller).await, Err(away()));
        assert_eq!(caller.totals().calls(), 3, "a first try and two more");

        let auth = LlmError::Auth { status: 401 };
        let caller = scripted(vec![(0, Err(auth.clone())), (0, Ok("yes"))]);
        assert_eq!(ask(&caller).await, Err(auth));
    }

    #[tokio::test(start_paused = true)]
    async fn all_tries_and_pauses_share_one_time_out() {
        let begin = Instant::now();
        let caller = scripted(vec![(20, Err(away())), (20, Ok("late"))]);
        assert_eq!(ask(&caller).await, Err(LlmError::TimedOut { after: limits().timeout }));
        assert_eq!(begin.elapsed(), limits().timeout);
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_that_the_provider_asks_for_is_kept_or_left_to_whoever_asked() {
        let limited = |secs| LlmError::RateLimited { retry_after: Some(Duration::from_secs(secs)) };
        let begin = Instant::now();
        let caller = scripted(vec![(0, Err(limited(10))), (0, Ok("yes"))]);
        assert_eq!(ask(&caller).await, Ok("yes".to_owned()));
        assert!(begin.elapsed() >= Duration::from_secs(10));

        let begin = Instant::now();
        let caller = scripted(vec![(0, Err(limited(60))), (0, Ok("yes"))]);
        assert_eq!(ask(&caller).await, Err(limited(60)));
        assert_eq!((begin.elapsed(), caller.totals().calls()), (Duration::ZERO, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_without_text_or_with_too_much_of_it_is_none() {
        assert_eq!(ask(&scripted(vec![(0, Ok(" \n\t"))])).await, Err(LlmError::Empty));
        assert_eq!(
            ask(&scripted(vec![(0, Ok("<think>hm</think>\n"))])).await,
            Err(LlmError::Empty)
        );
        let long = scripted(vec![(0, Ok("more than twenty bytes of text"))]);
        assert_eq!(ask(&long).await, Err(LlmError::TooLong { most: 20 }));
    }

    #[tokio::test(start_paused = true)]
    async fn thoughts_and_control_characters_are_never_handed_on() {
        let text = "<think>\nThis person seems slow.\n</think>\n\nThey\0 paid.\u{1b}";
        let caller = scripted(vec![(0, Ok(text))]);
        assert_eq!(ask(&caller).await, Ok("They\u{fffd} paid.\u{fffd}".to_owned()));
    }

    /// A zero, a past date or nothing in `Retry-After`: the pauses double all the same.
    #[tokio::test(start_paused = true)]
    async fn a_wait_that_is_none_shortens_no_pause_between_tries() {
        let none = || Err(LlmError::RateLimited { retry_after: Some(Duration::ZERO) });
        let caller = scripted(vec![(0, none()), (0, none()), (0, Ok("yes"))]);
        let begin = Instant::now();
        assert_eq!(ask(&caller).await, Ok("yes".to_owned()));
        let least = (limits().backoff.initial + limits().backoff.initial * 2) / 2;
        assert!(begin.elapsed() >= least, "{:?}", begin.elapsed());
        let huge = Err(LlmError::RateLimited { retry_after: Some(Duration::MAX) });
        let caller = scripted(vec![(0, huge.clone())]);
        assert_eq!(ask(&caller).await.map(drop), huge.map(drop));
    }

    /// What is written to the log, as text.
    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn each_try_is_one_line_of_the_log_and_nothing_that_was_said_is_in_it() {
        let written = Written::default();
        let writer = written.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .with_max_level(tracing::Level::TRACE)
            .finish();
        let guard = tracing::subscriber::set_default(subscriber);
        let prompt = Prompt {
            name: "summary".into(),
            version: "7".into(),
            system: "hunter2".to_owned(),
            background: "hunter2".to_owned(),
            text: "Ann typed hunter2".to_owned(),
        };
        let mut caller = scripted(Vec::new());
        let mut text = String::new();
        // A test beside this one may be the first to come by one of the lines, and tracing then holds for a moment that
        // nobody wants it.
        for _ in 0..1000 {
            tracing::callsite::rebuild_interest_cache();
            caller = scripted(vec![(0, Err(away())), (2, Ok("she typed hunter2"))]);
            caller.ask(&prompt).await.expect("an answer");
            text = String::from_utf8(std::mem::take(&mut *written.0.lock().unwrap())).unwrap();
            if text.lines().count() == 2 {
                break;
            }
            std::thread::yield_now();
        }
        drop(guard);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 2, "{text}");
        for line in &lines {
            let named = ["prompt=\"summary\"", "version=\"7\"", "model=\"fake\"", "latency_ms="];
            assert!(named.iter().all(|field| line.contains(field)), "{line}");
        }
        assert!(lines[0].contains("WARN") && lines[0].contains("unavailable"), "{text}");
        assert!(lines[1].contains("INFO") && lines[1].contains("latency_ms=2000"), "{text}");
        assert!(!format!("{text}{prompt:?}{caller:?}").contains("hunter2"), "{text}");
    }
}
