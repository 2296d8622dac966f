//! Time: always an input, and always the host's monotonic clock.

use std::ops::Add;
use std::time::Duration;

/// A moment of the host's monotonic clock, in milliseconds since some beginning of its own. The clock must go on
/// while the machine sleeps (`CLOCK_BOOTTIME`): a lease does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(u64);

impl Moment {
    /// The moment `ms` milliseconds after the beginning.
    #[must_use]
    pub const fn from_millis(ms: u64) -> Self {
        Self(ms)
    }

    /// Milliseconds after the beginning.
    #[must_use]
    pub const fn millis(self) -> u64 {
        self.0
    }
}

impl Add<Duration> for Moment {
    type Output = Self;

    fn add(self, span: Duration) -> Self {
        Self(self.0.saturating_add(millis(span)))
    }
}

/// A span in whole milliseconds.
#[must_use]
pub fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// How long things last. All follow from the lease, so that they fit together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    lease: Duration,
    remember: Duration,
}

impl Times {
    /// Those of a lease that lasts so long; 10 s is what the measurements were made with.
    #[must_use]
    pub const fn of_lease(lease: Duration) -> Self {
        Self { lease, remember: Duration::from_secs(3600) }
    }

    /// With ids of events remembered for so long. It must be longer than the longest pause of a host and the longest
    /// wait in an inbox together.
    #[must_use]
    pub const fn remembering(self, remember: Duration) -> Self {
        Self { remember, ..self }
    }

    /// A holder that shows no sign of life for so long is taken over.
    #[must_use]
    pub const fn lease(&self) -> Duration {
        self.lease
    }

    /// How often a host tells that it is there.
    pub(crate) fn beat(&self) -> Duration {
        self.lease / 10
    }

    /// How often a lease is renewed.
    pub(crate) fn renewal(&self) -> Duration {
        self.lease * 3 / 10
    }

    /// How often a lease that another one has is asked for.
    pub(crate) fn ask(&self) -> Duration {
        self.lease / 10
    }

    /// Work that takes no turn for so long is hung: its lease isn't renewed.
    pub(crate) fn stall(&self) -> Duration {
        self.lease / 2
    }

    /// A host whose work hung gets nothing for so long.
    pub(crate) fn apart(&self) -> Duration {
        self.lease * 6
    }

    /// What is left between a call's deadline and the lease's end.
    pub(crate) fn margin(&self) -> Duration {
        self.lease / 10
    }

    /// An answered add is kept for so long, to be sent again where the server lost it.
    pub(crate) fn window(&self) -> Duration {
        self.lease
    }

    /// How long the second reader keeps what it read.
    pub(crate) fn ring(&self) -> Duration {
        self.lease * 2
    }

    /// How long a reader that takes over waits for events that the one before had already.
    pub(crate) fn ahead(&self) -> Duration {
        self.lease / 4
    }

    /// A producer that added nothing for so long and whose host is gone is forgotten.
    pub(crate) fn forget(&self) -> Duration {
        self.remember + self.lease
    }

    /// How long the ids of events are remembered.
    pub(crate) const fn remember(&self) -> Duration {
        self.remember
    }

    /// How often an inbox is read unasked. Renewals tell of entries too, and whoever runs a host rings.
    pub(crate) fn poll(&self) -> Duration {
        self.lease / 2
    }

    /// When what failed is tried again.
    pub(crate) fn retry(&self) -> Duration {
        self.lease / 40
    }
}

impl Default for Times {
    fn default() -> Self {
        Self::of_lease(Duration::from_secs(10))
    }
}
