//! Many calls: on one warm instance, and at the same time.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::future::join_all;
use sidenote::config::{Isolation, PluginLimits};
use sidenote::plugin::InstanceState;

use super::check::{Check, Verdict};
use super::posting::told;
use super::stage::{Needs, Stage};

/// How long a call may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// Calls before anything is compared: what a runtime sets up once is there by then.
const WARM_UP: usize = 30;
/// Calls that are compared.
const CALLS: usize = 100;
/// What each of them brings along: a leak of it is seen.
const NOTE: usize = 16 << 10;
/// Growth over the calls that are compared that is worth a word.
const NOTABLE: usize = 1 << 20;
const AT_A_TIME: usize = 16;

pub(super) fn checks() -> Vec<Check> {
    vec![
        Check::new("100 calls on one instance", Needs::Posting, |stage| Box::pin(many(stage))),
        Check::new("16 calls at the same time", Needs::Posting, |stage| Box::pin(together(stage))),
    ]
}

async fn many(stage: &Stage<'_>) -> Verdict {
    let config = &stage.bench.config;
    if config.isolation == Isolation::Call {
        return Verdict::skipped("isolation = \"call\": an instance serves one call");
    }
    if config.limits.calls_per_instance <= (WARM_UP + CALLS + 1) as u64 {
        return Verdict::skipped("calls_per_instance is too small for it");
    }
    let mut seen = Vec::with_capacity(WARM_UP + CALLS);
    for number in 1..=WARM_UP + CALLS {
        let (note, _) = stage.note(&"x".repeat(NOTE));
        let (outcome, _) = stage.attempt(&note, 1, PATIENCE).await;
        stage.mock.take();
        if let Err(error) = outcome {
            return Verdict::failed(format!("call {number} failed: {}", told(&error)));
        }
        // The one that was called last.
        seen.push(stage.bench.registry.instances(&stage.bench.name).last().copied());
    }
    judge(&seen, &config.limits)
}

/// Judges an instance by how it was after each call; `None` where it wasn't kept.
fn judge(seen: &[Option<InstanceState>], limits: &PluginLimits) -> Verdict {
    let dropped = seen.iter().filter(|state| state.is_none()).count();
    let held = seen.iter().flatten().map(|state| state.handles).max().unwrap_or_default();
    if dropped > 0 {
        return Verdict::warning(format!(
            "the host replaced its instance {dropped} times in {} calls, for it keeps more and more handles (streams, requests, responses): drop them; where a language's own HTTP client keeps them, `sidenote:plugin/http` has none",
            seen.len()
        ));
    }
    let (Some(Some(before)), Some(Some(after))) = (seen.get(WARM_UP - 1), seen.last()) else {
        return Verdict::failed("no instance was kept between calls");
    };
    if after.handles > before.handles {
        return Verdict::warning(format!(
            "it kept {} handles after {WARM_UP} calls and {} after {CALLS} more ({held} at most): drop every request, response and stream",
            before.handles, after.handles
        ));
    }
    let grown = after.memory_bytes.saturating_sub(before.memory_bytes);
    let text = format!(
        "memory {} after {WARM_UP} calls, {} after {CALLS} more",
        mebibytes(before.memory_bytes),
        mebibytes(after.memory_bytes),
    );
    // What it comes to when the instance has served as long as it may.
    let calls = usize::try_from(limits.calls_per_instance).unwrap_or(usize::MAX);
    let at_the_end = after.memory_bytes.saturating_add((grown / CALLS).saturating_mul(calls));
    if at_the_end > limits.memory_bytes {
        return Verdict::failed(format!(
            "{text}: going on like that, it meets its limit of {} before its {calls} calls are done",
            mebibytes(limits.memory_bytes)
        ));
    }
    if grown >= NOTABLE { Verdict::warning(text) } else { Verdict::ok(text) }
}

async fn together(stage: &Stage<'_>) -> Verdict {
    let notes: Vec<_> = (0..AT_A_TIME).map(|_| stage.note("clicked \"Pay\"")).collect();
    let outcomes = join_all(notes.iter().map(|(note, _)| stage.attempt(note, 1, PATIENCE))).await;
    let exchanges = stage.mock.take();
    let mut ids = BTreeSet::new();
    for ((note, word), (outcome, _)) in notes.iter().zip(outcomes) {
        let posted = match outcome {
            Ok(posted) => posted,
            Err(error) => return Verdict::failed(told(&error)).with(exchanges),
        };
        let carrying: Vec<_> = exchanges.iter().filter(|it| it.carries(word)).collect();
        if carrying.len() != 1 {
            let text =
                format!("the text of one went out {} times, and once is right", carrying.len());
            return Verdict::failed(text).with(exchanges);
        }
        let others = notes.iter().map(|(other, _)| &other.idempotency_key);
        let mut others = others.filter(|key| **key != note.idempotency_key);
        if others.any(|key| {
            carrying[0].carries(key) || carrying[0].headers.iter().any(|(_, it)| it.contains(key))
        }) {
            return Verdict::failed("a request has the key of another note").with(exchanges);
        }
        if let Some(id) = posted.note_id
            && !ids.insert(id)
        {
            return Verdict::failed("two notes got the same id").with(exchanges);
        }
    }
    Verdict::ok("each went out once, with its own key")
}

fn mebibytes(bytes: usize) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}
