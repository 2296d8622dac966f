//! What comes of the answers of --answer that something is expected of: each is given to a note of its own, and the
//! plugin has to make of it what its author says.

use std::time::Duration;

use sidenote::outbox::note::{FailureKind, PostError};
use sidenote_sim::{MockExpectation, MockOutcome, MockTrouble};

use super::check::{Check, Verdict};
use super::next_step::next_step;
use super::posting::{kind, told};
use super::stage::{Needs, Stage, Try};

/// How long a call may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// The place of an answer, its status, and what is expected of it.
pub(super) type Expectation = (usize, u16, MockExpectation);

pub(super) fn checks(expectations: &[Expectation]) -> Vec<Check> {
    let check = |(place, status, expected): &Expectation| {
        let (place, expected) = (*place, expected.clone());
        let name = format!("answer {place} of --answer, {status}");
        Check::new(name, Needs::Posting, move |stage| {
            let expected = expected.clone();
            Box::pin(async move { answered(stage, place, &expected).await })
        })
    };
    expectations.iter().map(check).collect()
}

async fn answered(stage: &Stage<'_>, place: usize, expected: &MockExpectation) -> Verdict {
    let tried = stage.post_into(MockTrouble::Form(place), PATIENCE).await;
    let found = found(&tried);
    let wanted = words(wanted(expected.outcome), expected.retry_after_ms);
    // Where no wait is expected, any will do.
    let same = match &tried.outcome {
        Ok(_) => expected.outcome == MockOutcome::Posted,
        Err(PostError::Failed(failure)) => {
            failure_of(expected.outcome) == Some(failure.kind)
                && expected
                    .retry_after_ms
                    .is_none_or(|wait| failure.retry_after == Some(Duration::from_millis(wait)))
        }
        Err(PostError::Crashed { .. } | PostError::Unavailable { .. }) => false,
    };
    if !same {
        let text = format!("it is to be {wanted}, and is {found}");
        return Verdict::failed(text).with(tried.exchanges);
    }
    let looks = next_step(&tried.note, &tried.outcome, stage.bench.exports("finder"), &stage.rules);
    Verdict::ok(match tried.outcome {
        Ok(_) => found,
        Err(_) => format!("{found}; {}", looks.text),
    })
}

/// What came of it, in the words of what is expected.
fn found(tried: &Try) -> String {
    match &tried.outcome {
        Ok(_) => words("posted", None),
        Err(PostError::Failed(failure)) => {
            let wait = failure.retry_after.map(|wait| wait.as_millis());
            words(kind(failure.kind), wait.and_then(|wait| u64::try_from(wait).ok()))
        }
        Err(error @ (PostError::Crashed { .. } | PostError::Unavailable { .. })) => told(error),
    }
}

fn words(outcome: &str, wait: Option<u64>) -> String {
    match wait {
        Some(millis) => format!("{outcome}, {millis} ms"),
        None => outcome.to_owned(),
    }
}

fn wanted(outcome: MockOutcome) -> &'static str {
    failure_of(outcome).map_or("posted", kind)
}

fn failure_of(outcome: MockOutcome) -> Option<FailureKind> {
    match outcome {
        MockOutcome::Posted => None,
        MockOutcome::Transient => Some(FailureKind::Transient),
        MockOutcome::RateLimited => Some(FailureKind::RateLimited),
        MockOutcome::Auth => Some(FailureKind::Auth),
        MockOutcome::NotFound => Some(FailureKind::NotFound),
        MockOutcome::Invalid => Some(FailureKind::Invalid),
        MockOutcome::Permanent => Some(FailureKind::Permanent),
    }
}
