//! Waiting for something that other tasks bring about.

use std::time::Duration;

use sidenote::engine::Totals;
use sidenote::host::Host;
use tokio::time::{Instant, sleep};

/// How long anything may take on a slow, busy machine.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// How often is looked.
const INTERVAL: Duration = Duration::from_millis(10);

/// Waits until `look` finds nothing missing.
///
/// # Panics
/// With what is missing when [`DEADLINE`] has passed.
pub async fn eventually(mut look: impl FnMut() -> Result<(), String>) {
    let deadline = Instant::now() + DEADLINE;
    while let Err(missing) = look() {
        assert!(Instant::now() < deadline, "after {DEADLINE:?}: {missing}");
        sleep(INTERVAL).await;
    }
}

/// Waits until the host has counted so many. What a platform shows comes before the host's commit of its outcome, and only
/// the commit counts.
///
/// # Panics
/// When it hasn't in time, or has counted more.
pub async fn counts(host: &Host, what: &str, count: impl Fn(&Totals) -> u64, expected: u64) {
    eventually(|| match count(&host.counters()) {
        counted if counted < expected => Err(format!("{counted} of {expected} {what}")),
        _ => Ok(()),
    })
    .await;
    assert_eq!(count(&host.counters()), expected, "{what}");
}
