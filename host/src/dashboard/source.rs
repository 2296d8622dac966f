//! What the pages ask of the rest of the host, beside what the API's routes ask.

use std::time::Duration;

use crate::clock::Timestamp;
use crate::engine::Totals;
use crate::engine::latest::Attempted;
use crate::engine::ledger::{Account, Failures, LedgerError, Timeline};
use crate::histogram::Distribution;
use crate::http::{Backend, Part, PluginReport, StreamReadiness};
use crate::ids::{ProductId, SessionKey};
use crate::offers::help::Standing as Help;
use crate::plugin::Slots;
use crate::session::state::Record;
use crate::store::StoreError;

/// What is behind the pages.
#[async_trait::async_trait]
pub(crate) trait Source: Backend {
    /// How everything stands. Waits for little.
    async fn standing(&self) -> Standing;

    /// What fails, in groups.
    async fn failures(&self) -> Result<Failures, LedgerError>;

    /// The attempts that ended last, the latest first.
    fn latest_attempts(&self) -> Vec<Attempted>;

    /// What is known of a session, with what people did only where `texts` says so.
    async fn session(&self, key: &SessionKey, texts: bool) -> Result<Option<Session>, StoreError>;

    /// The sessions of a product that a text names: an id, a user or an address.
    async fn find_sessions(
        &self,
        product: &ProductId,
        text: &str,
    ) -> Result<Vec<(SessionKey, Record)>, StoreError>;

    /// The configured products.
    fn products(&self) -> Vec<ProductId>;
}

/// What is known of a session.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Session {
    /// What is stored of it; `None` where the record is gone and only deliveries are left.
    pub(crate) record: Option<Record>,
    /// How help stands.
    pub(crate) help: Option<Help>,
    /// What happened, the oldest first.
    pub(crate) timeline: Timeline,
}

/// How everything stands at one moment.
#[derive(Debug, Clone)]
pub(crate) struct Standing {
    /// The moment.
    pub(crate) now: Timestamp,
    /// Every configured stream.
    pub(crate) streams: Vec<StreamStanding>,
    /// Whether the store takes commits.
    pub(crate) store: Part,
    /// Whether the store's server is away, and what comes in is kept in the journal meanwhile.
    pub(crate) store_is_away: bool,
    /// Every plugin of the folder.
    pub(crate) plugins: Vec<PluginStanding>,
    /// What was counted since the start.
    pub(crate) totals: Totals,
}

/// How a stream stands.
#[derive(Debug, Clone)]
pub(crate) struct StreamStanding {
    /// Its connection.
    pub(crate) readiness: StreamReadiness,
    /// How old the last batch or summary was when it came.
    pub(crate) lag: Option<Duration>,
    /// Since when reading is paused because the host is busy.
    pub(crate) paused: Option<Duration>,
}

/// How a plugin stands.
#[derive(Debug, Clone)]
pub(crate) struct PluginStanding {
    /// As `GET /plugins` tells it.
    pub(crate) report: PluginReport,
    /// Whether it is ready; `None` for a file that no table names.
    pub(crate) part: Option<Part>,
    /// How its account stands, where anything was posted.
    pub(crate) account: Option<Account>,
    /// How long the calls of each of its exports took.
    pub(crate) times: Vec<(&'static str, Distribution)>,
    /// Calls that may be under way at the same time, and that are: the host's own, then webhooks.
    pub(crate) slots: Option<[Slots; 2]>,
    /// What waits for it.
    pub(crate) waiting: u64,
    /// Since when the oldest of that waits.
    pub(crate) oldest: Option<Timestamp>,
}
