//! Sinks: every batch and summary, in order, however the sinks, the host and the store behave.

mod decisions;
mod faults;
mod lanes;
mod random;

use std::sync::Arc;
use std::time::Duration;

use sidenote::config::Delivery;
use sidenote::outbox::note::{Crash, Failure, FailureKind, LimitScope, PostError, Sent};
use sidenote::store::Store;
use sidenote_tests::fresh_store;
use sidenote_tests::sinks::SinkAnswer;
use sidenote_tests::world::{BEGIN, Platform, World, settings_with};

/// A world whose product has these plugins; those named `sink…` are sinks, the others write.
fn world(plugins: &[&str], rules: &Delivery) -> World {
    start(fresh_store(), plugins, rules, Platform::new([]))
}

fn start(
    store: Arc<dyn Store>,
    plugins: &[&str],
    rules: &Delivery,
    platform: Arc<Platform>,
) -> World {
    let sinks: Vec<_> = plugins.iter().copied().filter(|name| name.starts_with("sink")).collect();
    platform.sinks.add(&sinks);
    World::start_with(BEGIN, store, platform, settings_with(rules, plugins))
}

/// A failure that a sink reports, at once.
fn fails(kind: FailureKind, retry_after: Option<f64>, sent: Sent) -> SinkAnswer {
    let failure = Failure {
        kind,
        code: "503".to_owned(),
        message: "no".to_owned(),
        retry_after: retry_after.map(Duration::from_secs_f64),
        scope: LimitScope::Account,
        sent,
    };
    (Duration::ZERO, Err(PostError::Failed(failure)))
}

fn unavailable() -> SinkAnswer {
    fails(FailureKind::Transient, None, Sent::Sent)
}

fn trap() -> SinkAnswer {
    let (crash, message) = (Crash::Trap, "unreachable".to_owned());
    (Duration::ZERO, Err(PostError::Crashed { crash, message }))
}

fn after(seconds: f64) -> SinkAnswer {
    (Duration::from_secs_f64(seconds), Ok(()))
}

fn numbers(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|n| n.to_string()).collect()
}
