//! Guests that compute for long take permits, so that the rest of the machine is free for everybody else.
//!
//! A guest that answers quickly never meets this. One that has computed for a while in one call goes on
//! only while it has one of a few permits: half as many as there are processors. It gives its permit up after
//! a slice where others wait, and loses it when it isn't seen any more: it waits for the host, or its call
//! has ended.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// A guest may compute for so many ticks of a call before it needs a permit.
pub(super) const QUICK: u32 = 4;
/// How long a permit is kept while others wait.
const SLICE: Duration = Duration::from_millis(20);
/// How often one that waits looks for a permit.
const RETRY: Duration = Duration::from_millis(5);
/// A guest that wasn't seen for so long doesn't compute.
const GONE: Duration = Duration::from_millis(15);

/// The permits of one engine.
pub(super) struct CpuPermits {
    permits: Mutex<Permits>,
    most: usize,
    /// A guest was interrupted since it was last asked.
    interrupted: AtomicBool,
}

#[derive(Default)]
struct Permits {
    held: Vec<Permit>,
    /// Guests that look for a permit.
    waiting: usize,
    next: u64,
}

struct Permit {
    guest: u64,
    since: Instant,
    seen: Instant,
}

/// Counts a guest that looks for a permit, until it has one or its call is dropped.
struct Waiting<'a>(&'a CpuPermits);

impl CpuPermits {
    /// Permits for half of the processors, one at least.
    pub(super) fn new() -> Self {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        Self::of((processors / 2).max(1))
    }

    fn of(most: usize) -> Self {
        Self { permits: Mutex::default(), most, interrupted: AtomicBool::new(false) }
    }

    /// A name for a guest.
    pub(super) fn guest(&self) -> u64 {
        let mut permits = self.permits();
        permits.next += 1;
        permits.next
    }

    /// Tells that a guest computes: a tick found it at it.
    pub(super) fn interrupted(&self) {
        self.interrupted.store(true, Relaxed);
    }

    /// Whether a guest was interrupted since the last time that this was asked.
    pub(super) fn is_computing(&self) -> bool {
        self.interrupted.swap(false, Relaxed)
    }

    /// Waits until the guest may compute for another tick.
    pub(super) async fn take(&self, guest: u64) {
        // Tokio's own yield looks at timers and sockets before the guest goes on.
        tokio::task::yield_now().await;
        if self.has_permit(guest, Instant::now()) {
            return;
        }
        let waiting = Waiting::begin(self);
        loop {
            tokio::time::sleep(RETRY).await;
            if self.has_permit(guest, Instant::now()) {
                drop(waiting);
                return;
            }
        }
    }

    /// Whether the guest has a permit, one that it gets at this moment where one is free.
    fn has_permit(&self, guest: u64, now: Instant) -> bool {
        let most = self.most;
        let mut permits = self.permits();
        permits
            .held
            .retain(|permit| now.duration_since(permit.seen) < GONE || permit.guest == guest);
        let wanted = permits.waiting > 0;
        if let Some(place) = permits.held.iter().position(|permit| permit.guest == guest) {
            let permit = &mut permits.held[place];
            permit.seen = now;
            if !(wanted && now.duration_since(permit.since) >= SLICE) {
                return true;
            }
            permits.held.swap_remove(place);
            return false;
        }
        let free = permits.held.len() < most;
        if free {
            permits.held.push(Permit { guest, since: now, seen: now });
        }
        free
    }

    fn permits(&self) -> std::sync::MutexGuard<'_, Permits> {
        // Nothing panics half way through a change.
        self.permits.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<'a> Waiting<'a> {
    fn begin(permits: &'a CpuPermits) -> Self {
        permits.permits().waiting += 1;
        Self(permits)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.permits().waiting -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64, start: Instant) -> Instant {
        start + Duration::from_millis(millis)
    }

    #[tokio::test(start_paused = true)]
    async fn a_seat_is_kept_while_nobody_waits_and_lost_when_its_guest_is_gone() {
        let (permits, start) = (CpuPermits::of(1), Instant::now());
        assert!(permits.has_permit(1, start));
        assert!(!permits.has_permit(2, at(1, start)), "another has it");
        for tick in 1..=100 {
            assert!(permits.has_permit(1, at(tick * 5, start)), "nobody waits");
        }
        assert!(!permits.has_permit(2, at(510, start)));
        assert!(permits.has_permit(2, at(520, start)), "the first isn't seen any more");
    }

    #[tokio::test(start_paused = true)]
    async fn guests_that_compute_take_turns_and_all_come_to_it() {
        let permits = std::sync::Arc::new(CpuPermits::of(1));
        let mut guests = tokio::task::JoinSet::new();
        for _ in 0..5 {
            let permits = permits.clone();
            guests.spawn(async move {
                let (guest, mut ticks) = (permits.guest(), 0);
                let end = Instant::now() + Duration::from_secs(5);
                while Instant::now() < end {
                    permits.take(guest).await;
                    ticks += 1;
                    tokio::time::sleep(RETRY).await;
                }
                ticks
            });
        }
        let ticks: Vec<i32> = guests.join_all().await;
        assert!(ticks.iter().all(|ticks| *ticks > 50), "{ticks:?}");
        assert!(ticks.iter().sum::<i32>() <= 1005, "one at a time: {ticks:?}");
        assert_eq!(permits.permits().waiting, 0);
    }
}
