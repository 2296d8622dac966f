//! What can happen to an exchange: silence, connections that break, answers that can't be read.

use std::time::Duration;

use sidenote::outbox::note::{Crash, FailureKind, PostError, Sent};
use sidenote_sim::MockTrouble;

use super::check::{Check, Verdict};
use super::next_step::{Fate, next_step, time};
use super::posting::{kind, told};
use super::stage::{Needs, Stage, Try};

/// How long a call may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long one may take that meets silence.
const DEADLINE: Duration = Duration::from_secs(1);
/// How much later it may end: a machine has other things to do as well.
const GRACE: Duration = Duration::from_secs(2);
/// More than any plugin is given of an answer.
const FLOOD: u64 = 8 << 20;

pub(super) fn checks() -> Vec<Check> {
    vec![
        Check::new("no answer before the deadline", Needs::Posting, |stage| {
            Box::pin(silence(stage))
        }),
        Check::new("connection refused", Needs::Posting, |stage| Box::pin(closed(stage))),
        Check::new("connection reset", Needs::Posting, |stage| {
            Box::pin(broken(stage, MockTrouble::Reset))
        }),
        Check::new("connection lost during the answer", Needs::Posting, |stage| {
            Box::pin(broken(stage, MockTrouble::Half))
        }),
        Check::new("an empty answer", Needs::Posting, |stage| {
            Box::pin(taken(stage, MockTrouble::Body(Vec::new())))
        }),
        Check::new("an answer of garbage", Needs::Posting, |stage| {
            Box::pin(taken(stage, MockTrouble::Body(b"<html>\xff\xfe\x00{\"id\":".to_vec())))
        }),
        Check::new("an answer without end", Needs::Posting, |stage| {
            Box::pin(taken(stage, MockTrouble::Flood(FLOOD)))
        }),
    ]
}

async fn silence(stage: &Stage<'_>) -> Verdict {
    let tried = stage.post_into(MockTrouble::Silence, DEADLINE).await;
    if tried.took > DEADLINE + GRACE {
        let text = format!(
            "it ended after {}, {} after its deadline",
            time(tried.took),
            time(tried.took - DEADLINE)
        );
        return Verdict::failed(text).with(tried.exchanges);
    }
    match &tried.outcome {
        Err(PostError::Crashed { crash: Crash::Timeout, .. }) => {
            let text = looks(stage, &tried);
            Verdict::ok(format!("stopped at its deadline; {text}"))
        }
        Ok(_)
        | Err(PostError::Failed(_) | PostError::Crashed { .. } | PostError::Unavailable { .. }) => {
            outcome_unknown(stage, tried)
        }
    }
}

async fn broken(stage: &Stage<'_>, trouble: MockTrouble) -> Verdict {
    let half = trouble == MockTrouble::Half;
    let tried = stage.post_into(trouble, PATIENCE).await;
    // The status was there: who goes by it alone isn't wrong.
    if half && tried.outcome.is_ok() {
        return Verdict::ok("posted, by the status alone");
    }
    outcome_unknown(stage, tried)
}

/// The request left, and its outcome is unknown.
fn outcome_unknown(stage: &Stage<'_>, tried: Try) -> Verdict {
    let failed = |text: String| Verdict::failed(text).with(tried.exchanges.clone());
    let failure = match &tried.outcome {
        Ok(_) => {
            return failed(
                "it says that it posted the note, and there was no answer: the note may be lost"
                    .to_owned(),
            );
        }
        Err(PostError::Failed(failure)) => failure,
        Err(error @ (PostError::Crashed { .. } | PostError::Unavailable { .. })) => {
            return failed(told(error));
        }
    };
    let said = kind(failure.kind);
    let text = looks(stage, &tried);
    if failure.kind != FailureKind::Transient {
        return failed(format!(
            "{said}, and transient is right: it passes, and the note must be sent again; {text}"
        ));
    }
    match failure.sent {
        Sent::Unknown => Verdict::ok(format!("{said}; {text}")),
        Sent::NotSent | Sent::Sent => failed(format!(
            "{said}, and it says that the platform doesn't have the note: the request had left, so `sent` is `unknown`; {text}"
        )),
    }
}

async fn closed(stage: &Stage<'_>) -> Verdict {
    if let Err(error) = stage.mock.close().await {
        return Verdict::skipped(format!("the mock can't refuse connections here: {error}"));
    }
    let tried = stage.post("clicked \"Pay\"").await;
    if let Err(error) = stage.mock.open().await {
        return Verdict::failed(format!("the mock can't take connections again: {error}"));
    }
    let text = looks(stage, &tried);
    let failure = match &tried.outcome {
        Ok(_) => {
            return Verdict::failed(
                "it says that it posted the note, and nobody was there: the note is lost",
            );
        }
        Err(PostError::Failed(failure)) => failure,
        Err(error @ (PostError::Crashed { .. } | PostError::Unavailable { .. })) => {
            return Verdict::failed(told(error));
        }
    };
    let said = kind(failure.kind);
    if failure.kind != FailureKind::Transient {
        return Verdict::failed(format!(
            "{said}, and transient is right: it passes, and the note must be sent again; {text}"
        ));
    }
    match failure.sent {
        Sent::NotSent => Verdict::ok(format!("{said}, nothing was sent; {text}")),
        // `fetch` of some languages doesn't tell.
        Sent::Unknown => {
            Verdict::ok(format!("{said}, it doesn't say that nothing was sent; {text}"))
        }
        Sent::Sent => Verdict::failed(format!(
            "{said}, and it says that the platform answered: nobody was there"
        )),
    }
}

/// The platform took the note and said it badly.
async fn taken(stage: &Stage<'_>, trouble: MockTrouble) -> Verdict {
    let tried = stage.post_into(trouble, PATIENCE).await;
    let failure = match &tried.outcome {
        Ok(posted) => {
            return Verdict::ok(match &posted.note_id {
                Some(id) => format!("posted, id {id:?}"),
                None => "posted, without an id".to_owned(),
            });
        }
        Err(PostError::Failed(failure)) => failure,
        Err(error @ (PostError::Crashed { .. } | PostError::Unavailable { .. })) => {
            return Verdict::failed(told(error)).with(tried.exchanges);
        }
    };
    let said = kind(failure.kind);
    let next_step =
        next_step(&tried.note, &tried.outcome, stage.bench.exports("finder"), &stage.rules);
    let text = next_step.text;
    match next_step.fate {
        Fate::Posted | Fate::Dead => Verdict::warning(format!("{said}, and the platform answered 200: it has the note; {text}")),
        Fate::Again { unknown: true, .. } if stage.bench.exports("finder") => {
            Verdict::warning(format!("{said}, and the platform answered 200: it has the note; {text}"))
        }
        Fate::Again { .. } => Verdict::failed(format!(
            "{said}, and the platform answered 200: it has the note and gets it again; take it as posted, without an id; {text}"
        ))
        .with(tried.exchanges),
    }
}

fn looks(stage: &Stage<'_>, tried: &Try) -> String {
    next_step(&tried.note, &tried.outcome, stage.bench.exports("finder"), &stage.rules).text
}
