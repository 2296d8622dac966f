//! What the dashboard's pages ask of the host.

use super::api::ApiBackend;
use crate::dashboard::{PluginStanding, Session, Source, Standing, StreamStanding};
use crate::engine::latest::Attempted;
use crate::engine::ledger::{self, Account, Failures, LedgerError, TimelineWant};
use crate::engine::{LaneKind, StoreState};
use crate::http::{Backend, PluginReport};
use crate::ids::{ProductId, SessionKey};
use crate::session::state::Record;
use crate::store::StoreError;

/// Moments of a session that are shown at most.
const MOMENTS: usize = 2000;

#[async_trait::async_trait]
impl Source for ApiBackend {
    async fn standing(&self) -> Standing {
        let backlog = self.engine().backlog().await;
        let (readiness, totals) = (self.readiness(), self.registry().totals());
        let accounts = self.engine().accounts();
        let plugin = |report: PluginReport| {
            let name = report.state.name.clone();
            let part = readiness.plugins.iter().find(|(known, _)| *known == name);
            let account = accounts.iter().find(|account| account.plugin == name).cloned();
            let of_plugin = totals.iter().find(|(known, _)| *known == name).map(|(_, it)| it);
            let calls = of_plugin.iter().flat_map(|it| &it.calls);
            let waits = backlog.iter().filter(|it| it.plugin == name);
            PluginStanding {
                part: part.map(|(_, part)| part.clone()),
                account: account.map(Account::from),
                times: calls.map(|call| (call.interface, call.times.clone())).collect(),
                slots: of_plugin.map(|it| it.slots),
                waiting: waits.clone().map(|it| it.waiting).sum(),
                oldest: waits
                    .filter(|it| it.kind == LaneKind::Note)
                    .filter_map(|it| it.oldest)
                    .min(),
                report,
            }
        };
        let now = self.clock().now();
        let stream = |status: &_| {
            let (readiness, snapshot) = (self.stream(status), status.get());
            let paused = snapshot.paused_since.map(|since| now.since(since));
            StreamStanding { readiness, lag: snapshot.lag, paused }
        };
        Standing {
            now,
            streams: self.shown().streams.iter().map(stream).collect(),
            plugins: self.plugins().plugins.into_iter().map(plugin).collect(),
            store_is_away: self.engine().store_state() == StoreState::Away,
            totals: self.engine().counters().totals(),
            store: readiness.store.clone(),
        }
    }

    async fn failures(&self) -> Result<Failures, LedgerError> {
        self.check_open()?;
        Ok(ledger::failures(self.store(), self.clock().now()).await?)
    }

    fn latest_attempts(&self) -> Vec<Attempted> {
        self.engine().latest_attempts()
    }

    async fn session(&self, key: &SessionKey, texts: bool) -> Result<Option<Session>, StoreError> {
        let (now, want) =
            (self.clock().now(), TimelineWant { limit: MOMENTS, text: texts, after: None });
        let Some(timeline) = ledger::timeline(self.store(), key, &want, now).await? else {
            return Ok(None);
        };
        let record = self.engine().stored(key).await?;
        let help = self.engine().helped(key, now).await?.map(|helped| helped.standing);
        Ok(Some(Session { record, help, timeline }))
    }

    async fn find_sessions(
        &self,
        product: &ProductId,
        text: &str,
    ) -> Result<Vec<(SessionKey, Record)>, StoreError> {
        self.engine().find_sessions(product, text).await
    }

    fn products(&self) -> Vec<ProductId> {
        self.engine().settings().products().cloned().collect()
    }
}
