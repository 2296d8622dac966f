//! A deadline that costs nothing to set again and again.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::Poll;

use tokio::time::{Instant, Sleep, sleep_until};

/// A timer that is kept from one deadline to the next, for whoever has one after the other.
///
/// Most work is done long before its deadline. The runtime's own `timeout` enters a timer and takes it
/// out again each time, and wakes the thread that waits for timers where it is the nearest one. This one
/// stays where it was while deadlines get later, and is moved only when it rings too early.
#[derive(Default)]
pub(crate) struct Alarm(Option<Pin<Box<Sleep>>>);

impl Alarm {
    /// Does work until the deadline; `None` where it isn't done by then.
    pub(crate) async fn until<F: Future>(
        &mut self,
        deadline: Instant,
        work: F,
    ) -> Option<F::Output> {
        let mut work = pin!(work);
        poll_fn(|context| {
            if let Poll::Ready(done) = work.as_mut().poll(context) {
                return Poll::Ready(Some(done));
            }
            let sleep = self.0.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
            if sleep.deadline() > deadline {
                sleep.as_mut().reset(deadline);
            }
            // Work that uses up its share of a turn must not keep the timer from its own.
            while pin!(tokio::task::unconstrained(sleep.as_mut())).poll(context).is_ready() {
                if sleep.deadline() >= deadline {
                    return Poll::Ready(None);
                }
                sleep.as_mut().reset(deadline);
            }
            Poll::Pending
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::sleep;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    async fn rings_after(alarm: &mut Alarm, time: Duration) {
        let started = Instant::now();
        let outcome = alarm.until(started + time, std::future::pending::<()>()).await;
        assert_eq!((outcome, started.elapsed()), (None, time));
    }

    #[tokio::test(start_paused = true)]
    async fn it_rings_at_each_deadline_whatever_the_one_before_was() {
        let mut alarm = Alarm::default();
        for seconds in [5, 1, 30, 2] {
            rings_after(&mut alarm, seconds * SECOND).await;
        }
        for (done, next) in [(10, 1), (10, 60), (1, 10)] {
            let quick = alarm.until(Instant::now() + done * SECOND, async { "done" }).await;
            assert_eq!(quick, Some("done"));
            rings_after(&mut alarm, next * SECOND).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn it_does_not_ring_for_the_work_after_the_one_it_was_set_for() {
        let mut alarm = Alarm::default();
        for _ in 0..100 {
            let work = sleep(SECOND / 2);
            assert_eq!(alarm.until(Instant::now() + SECOND, work).await, Some(()));
        }
        sleep(SECOND * 10).await;
        assert_eq!(alarm.until(Instant::now() + SECOND, sleep(SECOND / 2)).await, Some(()));
        rings_after(&mut alarm, SECOND).await;
    }

    #[tokio::test(start_paused = true)]
    async fn work_that_never_rests_is_stopped_all_the_same() {
        let mut alarm = Alarm::default();
        let restless = async {
            let semaphore = tokio::sync::Semaphore::new(1);
            loop {
                // Each takes of the share of a turn.
                drop(semaphore.acquire().await);
                tokio::time::advance(Duration::from_millis(1)).await;
            }
        };
        let started = Instant::now();
        assert_eq!(alarm.until(started + SECOND, restless).await, None::<()>);
        assert!(started.elapsed() < 2 * SECOND, "{:?}", started.elapsed());
    }
}
