//! The timers that a plugin sets: that it is called for them, and that it bears that none can be set.

use std::sync::Arc;

use sidenote::bytes::Bytes;
use sidenote::ids::ConversationId;
use sidenote::outbox::due_timer::DueTimer;
use sidenote::outbox::note::{FailureKind, PostError};
use sidenote::post::Post;

use super::check::{Check, Verdict};
use super::posting::told;
use super::stage::{Needs, Stage, session};

/// The export that is called for a timer.
const ON_TIMER: &str = "on-timer";

/// The checks of a plugin that sets timers, or would be called for them; none of others.
pub(super) fn checks(stage: &Stage<'_>) -> Vec<Check> {
    match (stage.bench.imports_timer, stage.bench.exports(ON_TIMER)) {
        (false, false) => Vec::new(),
        (true, true) => vec![
            Check::new("is called for its timers", Needs::Posting, |stage| Box::pin(wakes(stage))),
            Check::new("is called for an odd timer", Needs::Nothing, |stage| {
                Box::pin(bears_an_odd_one(stage))
            }),
            Check::new("no timer can be set", Needs::Posting, |stage| Box::pin(bears_it(stage))),
        ],
        (true, false) => vec![Check::new("its timers", Needs::Nothing, |_| {
            Box::pin(async {
                Verdict::warning(
                    "it imports `timer` and doesn't export `on-timer`: what it sets is refused (`unhandled`)",
                )
            })
        })],
        (false, true) => vec![Check::new("its timers", Needs::Nothing, |_| {
            Box::pin(async {
                Verdict::warning(
                    "it exports `on-timer` and doesn't import `timer`: nothing ever sets one, so it is never called",
                )
            })
        })],
    }
}

async fn wakes(stage: &Stage<'_>) -> Verdict {
    let posted = stage.post("clicked \"Pay\"").await;
    if let Err(error) = posted.outcome {
        return Verdict::failed(told(&error));
    }
    let set = match stage.bench.kept.take_timers().await {
        Ok(set) => set,
        Err(error) => return Verdict::failed(error.to_string()),
    };
    if set.is_empty() {
        return Verdict::skipped("it sets none for a note");
    }
    let timers = set.len();
    for (_, row) in set {
        let timer = timer(stage, &row.name, row.payload);
        if let Err(error) = wake(stage, &timer).await {
            return Verdict::failed(told(&error));
        }
    }
    Verdict::ok(format!("{timers} of the timers that it sets for a note"))
}

/// What no version of the plugin set, or one that is long gone: it may refuse it, and not trap.
async fn bears_an_odd_one(stage: &Stage<'_>) -> Verdict {
    for (name, payload) in [("", &b""[..]), ("never-set", &[0xff, 0, b'{'][..])] {
        match wake(stage, &timer(stage, name, Bytes(payload.to_vec()))).await {
            Ok(()) | Err(PostError::Failed(_)) => {}
            Err(error) => return Verdict::failed(told(&error)),
        }
    }
    Verdict::ok("one that it never set, with a payload of no form")
}

async fn bears_it(stage: &Stage<'_>) -> Verdict {
    let (name, limits) = (&stage.bench.name, &stage.bench.config.limits.timer);
    if let Err(error) = stage.bench.kept.fill_timers(name, &session(), limits.of_session).await {
        return Verdict::failed(error.to_string());
    }
    let full = stage.post("clicked \"Pay\"").await;
    drop(stage.bench.kept.take_timers().await);
    match &full.outcome {
        Ok(_) => Verdict::ok("its session has as many as it may: it posts all the same"),
        Err(PostError::Failed(failure)) => match failure.kind {
            FailureKind::Transient | FailureKind::RateLimited | FailureKind::Auth => Verdict::ok(
                "its session has as many as it may: it fails for now, and is tried again",
            ),
            FailureKind::NotFound | FailureKind::Invalid | FailureKind::Permanent => {
                Verdict::warning(
                    "it gives the note up for good where its session has as many timers as it may: go on without one where timer says `full`",
                )
            }
        },
        Err(error) => Verdict::failed(told(error)),
    }
}

fn timer(stage: &Stage<'_>, name: &str, payload: Bytes) -> DueTimer {
    let (key, now) = (session(), stage.clock.now());
    DueTimer {
        idempotency_key: DueTimer::idempotency_key(&key, 1, &stage.bench.name, now),
        key,
        seq: 1,
        plugin: stage.bench.name.clone(),
        name: Arc::from(name),
        payload,
        at: now,
        conversation: ConversationId::new("conversation-1").ok(),
        user_id: Some("user-1".to_owned()),
        email: None,
        sealed_at: now,
    }
}

async fn wake(stage: &Stage<'_>, timer: &DueTimer) -> Result<(), PostError> {
    let call = stage.call(&timer.idempotency_key, 1, std::time::Duration::from_secs(20));
    let woken = stage.bench.registry.wake(call, timer).await;
    stage.keep_written().await;
    stage.look_for_crash(&woken);
    woken
}
