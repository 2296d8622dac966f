//! Watches live calls for a shadow: what a call was given, asked and answered goes into the shadow's queue behind its end.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use super::difference::Ending;
use super::input::{Input, of_crash};
use super::meter::Meter;
use super::reads::Reads;
use super::sums::{Compared, Cost, ShadowTotals, Sums, Why};
use crate::clock::Timestamp;
use crate::config::Sha256;
use crate::egress::{Exchange, Recorder};
use crate::kv::{CallKv, Writes};
use crate::outbox::note::Crash;
use crate::plugin::stopped::Stopped;

/// Calls that wait for a shadow.
pub(in crate::plugin) const MOST_WAITING: usize = 256;
/// What they take together, in bytes.
pub(in crate::plugin) const MOST_BYTES: usize = 16 << 20;
/// What is kept of one call, in bytes.
const MOST_OF_CALL: usize = 4 << 20;
/// What a recording takes beside its texts.
const OWN_BYTES: usize = 2 << 10;

/// A shadow, as live calls see it.
pub(in crate::plugin) struct Comparison {
    /// The version that runs, whose calls are recorded.
    pub(in crate::plugin) live: Sha256,
    queue: mpsc::Sender<Recording>,
    capacity: Arc<Semaphore>,
    sums: Mutex<Sums>,
    /// Whether the shadow pauses: its queue isn't filled meanwhile.
    paused: AtomicBool,
}

/// A live call as it was.
pub(in crate::plugin) struct Recording {
    /// What it was given.
    pub(in crate::plugin) input: Input,
    /// What it could read and write, as it stood before the call.
    pub(in crate::plugin) kv: CallKv,
    /// How many timers the plugin had.
    pub(in crate::plugin) timers: u64,
    /// When the export was called.
    pub(in crate::plugin) at: Timestamp,
    /// What its clock showed.
    pub(in crate::plugin) readings: Arc<[Timestamp]>,
    /// What was left of its time.
    pub(in crate::plugin) left: Duration,
    /// What it asked the network.
    pub(in crate::plugin) exchanges: Arc<[Exchange]>,
    /// What it read of the store.
    pub(in crate::plugin) reads: Reads,
    /// What it keeps.
    pub(in crate::plugin) written: Writes,
    /// How it ended.
    pub(in crate::plugin) ending: Ending,
    /// What it cost.
    pub(in crate::plugin) cost: Cost,
    _held: OwnedSemaphorePermit,
}

/// A live call that is watched.
pub(in crate::plugin) struct Watch {
    comparison: Arc<Comparison>,
    kv: CallKv,
    timers: u64,
    begun: OnceLock<(Timestamp, Duration)>,
    ended: AtomicBool,
    memory_bytes: AtomicUsize,
    readings: OnceLock<Vec<Timestamp>>,
    /// Records what it asks the network.
    pub(in crate::plugin) recorder: Recorder,
    /// What it reads of the store.
    pub(in crate::plugin) reads: Reads,
    /// How long it computes.
    pub(in crate::plugin) meter: Meter,
}

impl Comparison {
    /// A shadow of this version, and its queue.
    pub(in crate::plugin) fn of(live: Sha256) -> (Arc<Self>, mpsc::Receiver<Recording>) {
        let (queue, recordings) = mpsc::channel(MOST_WAITING);
        let comparison = Self {
            live,
            queue,
            capacity: Arc::new(Semaphore::new(MOST_BYTES)),
            sums: Mutex::default(),
            paused: AtomicBool::new(false),
        };
        (Arc::new(comparison), recordings)
    }

    /// Watches a call that may keep this, of a plugin that has so many timers.
    pub(in crate::plugin) fn watch(self: &Arc<Self>, kv: &CallKv, timers: u64) -> Watch {
        Watch {
            comparison: self.clone(),
            kv: as_it_stands(kv),
            timers,
            begun: OnceLock::new(),
            ended: AtomicBool::new(false),
            memory_bytes: AtomicUsize::new(0),
            readings: OnceLock::new(),
            recorder: Recorder::default(),
            reads: Reads::default(),
            meter: Meter::default(),
        }
    }

    /// What was found so far.
    pub(in crate::plugin) fn sums(&self) -> MutexGuard<'_, Sums> {
        self.sums.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The totals.
    pub(in crate::plugin) fn totals(&self) -> ShadowTotals {
        self.sums().totals()
    }

    /// A call was compared.
    pub(super) fn add(&self, compared: Compared) {
        self.sums().add(compared);
    }

    /// A call isn't compared.
    pub(in crate::plugin) fn leave_out(&self, why: Why) {
        self.sums().leave_out(why);
    }

    /// From here on the shadow pauses, or goes on.
    pub(super) fn pause(&self, paused: bool) {
        self.paused.store(paused, Relaxed);
    }

    fn take(&self, recording: Result<Recording, Why>) {
        let taken = recording.and_then(|recording| {
            self.queue.try_send(recording).map_err(|full| match full {
                TrySendError::Full(_) => Why::QueueFull,
                TrySendError::Closed(_) => Why::ShadowPaused,
            })
        });
        if let Err(why) = taken {
            self.leave_out(why);
        }
    }
}

impl Watch {
    /// The export is called at this moment, with what is left of the call's time.
    pub(in crate::plugin) fn begins(&self, left: Duration, at: Timestamp) {
        self.begun.set((at, left)).ok();
    }

    /// The guest has returned, its instance has so much memory, and its clock showed this.
    pub(in crate::plugin) fn returns(&self, memory_bytes: usize, readings: Vec<Timestamp>) {
        self.memory_bytes.store(memory_bytes, Relaxed);
        self.readings.set(readings).ok();
    }

    /// The call has ended, so. What it was given is asked for only where it is kept.
    pub(in crate::plugin) fn ends(
        &self,
        input: impl FnOnce() -> Input,
        ended: Result<Ending, &Stopped>,
        written: Writes,
    ) {
        if !self.ended.swap(true, Relaxed) {
            self.comparison.take(self.recording(input, ended, written));
        }
    }

    fn recording(
        &self,
        input: impl FnOnce() -> Input,
        ended: Result<Ending, &Stopped>,
        written: Writes,
    ) -> Result<Recording, Why> {
        let ending = ended.or_else(|stopped| match stopped {
            // A platform that hangs can cause it, and a shadow never waits for one.
            Stopped::Busy { .. }
            | Stopped::Start { .. }
            | Stopped::Crashed { crash: Crash::Timeout, .. } => Err(Why::LiveStopped),
            Stopped::Crashed { crash, .. } => Ok(of_crash(*crash)),
        })?;
        let (at, left) = *self.begun.get().ok_or(Why::LiveStopped)?;
        if self.comparison.paused.load(Relaxed) {
            return Err(Why::ShadowPaused);
        }
        if self.comparison.queue.capacity() == 0 {
            return Err(Why::QueueFull);
        }
        let exchanges = self.recorder.take().ok_or(Why::TooLarge)?;
        if !self.reads.is_whole() {
            return Err(Why::TooLarge);
        }
        let input = input();
        let of_exchanges: usize = exchanges.iter().map(Exchange::bytes).sum();
        let of_kv = written.bytes() + self.kv.written().bytes() + self.reads.bytes();
        let bytes = OWN_BYTES + of_exchanges + of_kv + input.bytes();
        if bytes > MOST_OF_CALL {
            return Err(Why::TooLarge);
        }
        let permits = u32::try_from(bytes).map_err(|_| Why::TooLarge)?;
        let held = self.comparison.capacity.clone().try_acquire_many_owned(permits);
        Ok(Recording {
            input,
            kv: self.kv.clone(),
            timers: self.timers,
            at,
            readings: self.readings.get().map(|it| it.as_slice().into()).unwrap_or_default(),
            left,
            exchanges: exchanges.into(),
            reads: self.reads.clone(),
            written,
            ending,
            cost: Cost {
                computed: self.meter.computed(),
                memory_bytes: self.memory_bytes.load(Relaxed),
            },
            _held: held.map_err(|_| Why::QueueFull)?,
        })
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        // The call was let go.
        if !*self.ended.get_mut() {
            self.comparison.leave_out(Why::LiveStopped);
        }
    }
}

/// What a call may read and write, apart from what it writes now.
pub(super) fn as_it_stands(kv: &CallKv) -> CallKv {
    let session = kv.session().cloned();
    if !kv.is_stored() {
        return CallKv::read_only(session);
    }
    let copy = CallKv::stored(session);
    copy.keep(kv.written());
    copy
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::webhook::WebhookRequest;

    fn input(bytes: usize) -> Input {
        Input::Webhook(WebhookRequest {
            method: "POST".to_owned(),
            url: "https://host/webhooks/bot".to_owned(),
            headers: Vec::new(),
            body: vec![b'x'; bytes],
        })
    }

    fn call(comparison: &Arc<Comparison>, bytes: usize) {
        let watch = comparison.watch(&CallKv::read_only(None), 0);
        watch.begins(Duration::from_secs(1), Timestamp(1));
        watch.ends(|| input(bytes), Ok(Ending::default()), Writes::default());
    }

    fn left_out(comparison: &Comparison, why: Why) -> u64 {
        comparison.totals().not_compared.get(why.word()).copied().unwrap_or_default()
    }

    #[tokio::test]
    async fn what_waits_is_bounded_in_number_and_what_is_dropped_is_counted() {
        let (comparison, mut recordings) = Comparison::of(Sha256([0; 32]));
        (0..MOST_WAITING + 10).for_each(|_| call(&comparison, 10));
        assert_eq!(left_out(&comparison, Why::QueueFull), 10);
        let mut taken = 0;
        while recordings.try_recv().is_ok() {
            taken += 1;
        }
        assert_eq!(taken, MOST_WAITING);
        call(&comparison, 10);
        assert!(recordings.try_recv().is_ok(), "there is capacity again");
    }

    #[tokio::test]
    async fn what_waits_is_bounded_in_bytes() {
        let (comparison, mut recordings) = Comparison::of(Sha256([0; 32]));
        let large = 3 << 20;
        (0..10).for_each(|_| call(&comparison, large));
        assert_eq!(
            left_out(&comparison, Why::QueueFull),
            10 - (MOST_BYTES / (large + OWN_BYTES)) as u64
        );
        drop(recordings.try_recv().unwrap());
        call(&comparison, large);
        assert!(left_out(&comparison, Why::QueueFull) <= 5);
        call(&comparison, MOST_OF_CALL + 1);
        assert_eq!(left_out(&comparison, Why::TooLarge), 1);
    }

    #[tokio::test]
    async fn calls_that_say_nothing_of_a_version_are_counted_and_left_out() {
        let (comparison, mut recordings) = Comparison::of(Sha256([0; 32]));
        let kv = CallKv::read_only(None);
        drop(comparison.watch(&kv, 0));
        for stopped in [
            Stopped::Busy { waited: Duration::ZERO },
            Stopped::Start { message: String::new() },
            Stopped::Crashed { crash: Crash::Timeout, message: String::new() },
        ] {
            let watch = comparison.watch(&kv, 0);
            watch.begins(Duration::from_secs(1), Timestamp(1));
            watch.ends(|| input(1), Err(&stopped), Writes::default());
        }
        assert_eq!(left_out(&comparison, Why::LiveStopped), 4);
        comparison.pause(true);
        call(&comparison, 1);
        assert_eq!(left_out(&comparison, Why::ShadowPaused), 1);
        comparison.pause(false);
        let watch = comparison.watch(&kv, 0);
        watch.begins(Duration::from_secs(1), Timestamp(1));
        let trap = Stopped::Crashed { crash: Crash::Trap, message: String::new() };
        watch.ends(|| input(1), Err(&trap), Writes::default());
        assert_eq!(recordings.try_recv().unwrap().ending.word, "trap");
        assert!(recordings.try_recv().is_err());
    }

    #[test]
    fn what_the_call_writes_later_isnt_in_what_it_began_with() {
        let kv = CallKv::stored(None);
        let copy = as_it_stands(&kv);
        let mut writes = Writes::default();
        writes.put(crate::kv::Scope::Plugin, "a", Some(vec![1]));
        kv.keep(writes);
        assert!(copy.written().is_empty() && copy.is_stored());
    }
}
