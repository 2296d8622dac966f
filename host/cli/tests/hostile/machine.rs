//! What the machine gives this process: memory, and the time that it asks for.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Bytes resident, as Linux tells.
pub(crate) fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    let kib: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kib * 1024
}

/// The most memory since it was made: looks again and again, on a thread of its own.
pub(crate) struct Peak(Arc<AtomicU64>);

impl Peak {
    pub(crate) fn watch() -> Self {
        let peak = Arc::new(AtomicU64::new(resident()));
        let weak = Arc::downgrade(&peak);
        std::thread::spawn(move || {
            while let Some(peak) = weak.upgrade() {
                peak.fetch_max(resident(), Relaxed);
                drop(peak);
                std::thread::sleep(Duration::from_millis(5));
            }
        });
        Self(peak)
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// For how long all threads together ran, and for how long they wanted to and others did.
pub(crate) fn ran_and_waited() -> (Duration, Duration) {
    let mut sums = [0_u64; 2];
    for task in std::fs::read_dir("/proc/self/task").unwrap().flatten() {
        // A thread may have ended since.
        let text = std::fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
        for (sum, nanos) in sums.iter_mut().zip(text.split_whitespace()) {
            *sum += nanos.parse::<u64>().unwrap();
        }
    }
    (Duration::from_nanos(sums[0]), Duration::from_nanos(sums[1]))
}
