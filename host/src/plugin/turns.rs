//! Guests that compute for long take turns, so that the rest of the machine is free for everybody else.
//!
//! A guest that answers quickly never meets this. One that has computed for a while in one call goes on
//! only while it has one of a few seats: half as many as there are processors. It gives its seat up after
//! a slice where others wait, and loses it when it isn't seen any more: it waits for the host, or its call
//! has ended.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// A guest may compute for so many ticks of a call before it needs a seat.
pub(super) const QUICK: u32 = 4;
/// How long a seat is kept while others wait.
const SLICE: Duration = Duration::from_millis(20);
/// How often one that waits looks for a seat.
const RETRY: Duration = Duration::from_millis(5);
/// A guest that wasn't seen for so long doesn't compute.
const GONE: Duration = Duration::from_millis(15);

/// The seats of one engine.
pub(super) struct Turns {
    seats: Mutex<Seats>,
    most: usize,
    /// A guest was interrupted since it was last asked.
    interrupted: AtomicBool,
}

#[derive(Default)]
struct Seats {
    taken: Vec<Seat>,
    /// Guests that look for a seat.
    waiting: usize,
    next: u64,
}

struct Seat {
    guest: u64,
    since: Instant,
    seen: Instant,
}

/// Counts a guest that looks for a seat, until it has one or its call is given up.
struct Waiting<'a>(&'a Turns);

impl Turns {
    /// Seats for half of the processors, one at least.
    pub(super) fn new() -> Self {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        Self::of((processors / 2).max(1))
    }

    fn of(most: usize) -> Self {
        Self { seats: Mutex::default(), most, interrupted: AtomicBool::new(false) }
    }

    /// A name for a guest.
    pub(super) fn guest(&self) -> u64 {
        let mut seats = self.seats();
        seats.next += 1;
        seats.next
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
        if self.sit(guest, Instant::now()) {
            return;
        }
        let waiting = Waiting::begin(self);
        loop {
            tokio::time::sleep(RETRY).await;
            if self.sit(guest, Instant::now()) {
                drop(waiting);
                return;
            }
        }
    }

    /// Whether the guest has a seat.
    fn sit(&self, guest: u64, now: Instant) -> bool {
        let most = self.most;
        let mut seats = self.seats();
        seats.taken.retain(|seat| now.duration_since(seat.seen) < GONE || seat.guest == guest);
        let wanted = seats.waiting > 0;
        if let Some(place) = seats.taken.iter().position(|seat| seat.guest == guest) {
            let seat = &mut seats.taken[place];
            seat.seen = now;
            if !(wanted && now.duration_since(seat.since) >= SLICE) {
                return true;
            }
            seats.taken.swap_remove(place);
            return false;
        }
        let free = seats.taken.len() < most;
        if free {
            seats.taken.push(Seat { guest, since: now, seen: now });
        }
        free
    }

    fn seats(&self) -> std::sync::MutexGuard<'_, Seats> {
        // Nothing panics half way through a change.
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<'a> Waiting<'a> {
    fn begin(turns: &'a Turns) -> Self {
        turns.seats().waiting += 1;
        Self(turns)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.seats().waiting -= 1;
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
        let (turns, start) = (Turns::of(1), Instant::now());
        assert!(turns.sit(1, start));
        assert!(!turns.sit(2, at(1, start)), "it is taken");
        for tick in 1..=100 {
            assert!(turns.sit(1, at(tick * 5, start)), "nobody waits");
        }
        assert!(!turns.sit(2, at(510, start)));
        assert!(turns.sit(2, at(520, start)), "the first isn't seen any more");
    }

    #[tokio::test(start_paused = true)]
    async fn guests_that_compute_take_turns_and_all_come_to_it() {
        let turns = std::sync::Arc::new(Turns::of(1));
        let mut guests = tokio::task::JoinSet::new();
        for _ in 0..5 {
            let turns = turns.clone();
            guests.spawn(async move {
                let (guest, mut ticks) = (turns.guest(), 0);
                let end = Instant::now() + Duration::from_secs(5);
                while Instant::now() < end {
                    turns.take(guest).await;
                    ticks += 1;
                    tokio::time::sleep(RETRY).await;
                }
                ticks
            });
        }
        let ticks: Vec<i32> = guests.join_all().await;
        assert!(ticks.iter().all(|ticks| *ticks > 50), "{ticks:?}");
        assert!(ticks.iter().sum::<i32>() <= 1005, "one at a time: {ticks:?}");
        assert_eq!(turns.seats().waiting, 0);
    }
}
