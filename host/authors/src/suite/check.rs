//! What a check is, and what can come of one.

use futures_util::future::BoxFuture;
use sidenote_sim::MockExchange;

use super::stage::{Needs, Stage};

/// What a check does.
type Work = dyn for<'a> Fn(&'a Stage<'a>) -> BoxFuture<'a, Verdict> + Send + Sync;

/// One check.
pub(super) struct Check {
    /// Its name.
    pub(super) name: String,
    /// Without what it can't run.
    pub(super) needs: Needs,
    /// Whether the others are of no use where it fails.
    pub(super) is_first: bool,
    work: Box<Work>,
}

impl Check {
    /// A check. `work` is told in the table of each group.
    pub(super) fn new(
        name: impl Into<String>,
        needs: Needs,
        work: impl for<'a> Fn(&'a Stage<'a>) -> BoxFuture<'a, Verdict> + Send + Sync + 'static,
    ) -> Self {
        Self { name: name.into(), needs, is_first: false, work: Box::new(work) }
    }

    /// The same, without which the others are of no use.
    pub(super) fn first(self) -> Self {
        Self { is_first: true, ..self }
    }

    pub(super) async fn run(&self, stage: &Stage<'_>) -> Verdict {
        (self.work)(stage).await
    }
}

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mark {
    Ok,
    Warning,
    Failed,
    Skipped,
}

impl Mark {
    /// As it is printed.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        }
    }
}

/// What came of a check.
#[derive(Debug)]
pub(super) struct Verdict {
    pub(super) mark: Mark,
    /// What was seen, or why not.
    pub(super) detail: String,
    /// What was said meanwhile, where the check failed.
    pub(super) exchanges: Vec<MockExchange>,
}

impl Verdict {
    fn new(mark: Mark, detail: impl Into<String>) -> Self {
        Self { mark, detail: detail.into(), exchanges: Vec::new() }
    }

    /// All is well.
    pub(super) fn ok(detail: impl Into<String>) -> Self {
        Self::new(Mark::Ok, detail)
    }

    /// It works, and could be better.
    pub(super) fn warning(detail: impl Into<String>) -> Self {
        Self::new(Mark::Warning, detail)
    }

    /// It must not be used like that.
    pub(super) fn failed(detail: impl Into<String>) -> Self {
        Self::new(Mark::Failed, detail)
    }

    /// It couldn't be tried.
    pub(super) fn skipped(why: impl Into<String>) -> Self {
        Self::new(Mark::Skipped, why)
    }

    /// With what was said.
    pub(super) fn with(mut self, exchanges: Vec<MockExchange>) -> Self {
        self.exchanges = exchanges;
        self
    }
}
