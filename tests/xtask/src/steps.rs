//! Steps with a name, and how long each took: where the time of a run goes.

use std::time::{Duration, Instant};

/// The steps of a run so far.
pub(crate) struct Steps(Vec<(&'static str, Duration)>);

impl Steps {
    /// No steps yet.
    pub(crate) fn new() -> Self {
        Self(Vec::new())
    }

    /// Takes a step, and remembers how long it took, also where it fails.
    #[expect(clippy::disallowed_methods, reason = "this is a shell; nothing is decided by it")]
    pub(crate) fn take<T>(
        &mut self,
        name: &'static str,
        step: impl FnOnce() -> Result<T, String>,
    ) -> Result<T, String> {
        let began = Instant::now();
        let done = step();
        self.0.push((name, began.elapsed()));
        done
    }

    /// A line for each step, and one for all of them.
    pub(crate) fn report(&self) -> String {
        let line = |name: &str, time: Duration| format!("{:>8.1} s  {name}\n", time.as_secs_f64());
        let all = self.0.iter().map(|(_, time)| *time).sum();
        let lines: String = self.0.iter().map(|(name, time)| line(name, *time)).collect();
        lines + &line("all of it", all)
    }
}
