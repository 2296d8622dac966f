//! What platforms and sinks answer.

use std::time::Duration;

use proptest::prelude::*;
use sidenote::outbox::note::{
    Crash, Failure, FailureKind, LimitScope, PostError, Posted, Redaction, Sent,
};
use sidenote_tests::sinks::SinkAnswer;
use sidenote_tests::world::{Answer, RedactionAnswer};

/// To a post.
pub(crate) fn of_post() -> impl Strategy<Value = Answer> {
    answer(vec![Ok(Posted { note_id: None, pause: None }); 2])
}

/// To a redaction.
pub(crate) fn of_redaction() -> impl Strategy<Value = RedactionAnswer> {
    answer(vec![
        Ok(Redaction::Removed),
        Ok(Redaction::Overwritten),
        Ok(Redaction::Unsupported),
        Ok(Redaction::Unsupported),
    ])
}

/// To what a sink is handed.
pub(crate) fn of_sink() -> impl Strategy<Value = SinkAnswer> {
    answer(vec![Ok(()); 2])
}

/// One of these, or a failure, after a while.
fn answer<T: std::fmt::Debug + Clone + 'static>(
    mut answers: Vec<Result<T, PostError>>,
) -> impl Strategy<Value = (Duration, Result<T, PostError>)> {
    answers.extend(failures().into_iter().map(Err));
    let latency = prop::sample::select(vec![0, 0, 10, 300, 1000, 5000]);
    (latency, prop::sample::select(answers))
        .prop_map(|(ms, answer)| (Duration::from_millis(ms), answer))
}

fn failures() -> Vec<PostError> {
    let failed = |kind, retry_after: Option<u64>| {
        PostError::Failed(Failure {
            kind,
            code: "x".to_owned(),
            message: "no".to_owned(),
            retry_after: retry_after.map(Duration::from_secs),
            scope: LimitScope::Conversation,
            sent: Sent::Unknown,
        })
    };
    let message = "no".to_owned();
    vec![
        failed(FailureKind::Transient, None),
        failed(FailureKind::Transient, None),
        failed(FailureKind::Transient, Some(20)),
        failed(FailureKind::RateLimited, Some(30)),
        failed(FailureKind::RateLimited, None),
        failed(FailureKind::Auth, None),
        failed(FailureKind::NotFound, None),
        failed(FailureKind::Invalid, None),
        failed(FailureKind::Permanent, None),
        PostError::Crashed { crash: Crash::Trap, message: message.clone() },
        PostError::Unavailable { message },
    ]
}
