//! How much memory this process has.

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

/// Looks again and again, on a thread of its own.
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
