//! Waiting for something that other tasks bring about.

use std::time::Duration;

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
