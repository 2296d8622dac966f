//! How long a call computes: the time that its thread spends on it, its waiting left out.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::Poll;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// What a call computed so far.
#[derive(Default)]
pub(in crate::plugin) struct Meter(AtomicU64);

impl Meter {
    /// So long.
    pub(in crate::plugin) fn computed(&self) -> Duration {
        Duration::from_nanos(self.0.load(Relaxed))
    }
}

/// How long this thread has computed since it began.
pub(in crate::plugin) fn thread_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or_default())
}

/// Does work, and adds to the meter, where there is one, how long it computes.
pub(in crate::plugin) async fn metered<F: Future>(meter: Option<&Meter>, work: F) -> F::Output {
    let mut work = pin!(work);
    poll_fn(|context| {
        let Some(meter) = meter else { return work.as_mut().poll(context) };
        let began = thread_time();
        let polled: Poll<F::Output> = work.as_mut().poll(context);
        let spent = thread_time().saturating_sub(began);
        meter.0.fetch_add(u64::try_from(spent.as_nanos()).unwrap_or(u64::MAX), Relaxed);
        polled
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_a_call_waits_for_costs_it_nothing() {
        let meter = Meter::default();
        metered(Some(&meter), tokio::time::sleep(Duration::from_millis(300))).await;
        assert!(meter.computed() < Duration::from_millis(100), "{:?}", meter.computed());
        let until = thread_time() + Duration::from_millis(50);
        metered(Some(&meter), async { while thread_time() < until {} }).await;
        assert!(meter.computed() >= Duration::from_millis(49), "{:?}", meter.computed());
    }
}
