//! What a person must see to at this moment, gathered from all stages.

use super::api::{ApiBackend, BY_OPERATOR};
use crate::engine::StoreState;
use crate::http::{Backend, StreamState};
use crate::operator_events::{Condition, Kind, Look};
use crate::outbox::trouble::FaultKind;
use crate::plugin::Health;
use crate::store::{StoreError, Table};

#[async_trait::async_trait]
impl Look for ApiBackend {
    fn conditions(&self) -> Vec<Condition> {
        let condition = |kind, subject: &str, reason: &str| Condition {
            kind,
            subject: subject.to_owned(),
            reason: reason.to_owned(),
        };
        let mut found = Vec::new();
        let shown = self.shown();
        for state in self.registry().states() {
            // The whole reason is in the log; it may name files.
            let reason = match state.health {
                _ if self.engine().disabled(&state.name).is_some() => BY_OPERATOR,
                Health::Failed => "it can't be loaded; see the log",
                Health::HeldBack => "it traps again and again; see the log",
                Health::Loaded | Health::Compiling | Health::NotConfigured | Health::Unhealthy => {
                    continue;
                }
            };
            if shown.plugins.contains(&state.name) {
                found.push(condition(Kind::PluginDisabled, &state.name, reason));
            }
        }
        for (plugin, error) in self.last_errors() {
            if error.kind == FaultKind::Auth && error.is_ongoing() {
                let reason = format!("the platform answers {}", error.code);
                found.push(condition(Kind::CredentialsRefused, &plugin, &reason));
            }
        }
        for status in &shown.streams {
            let stream = self.stream(status);
            if matches!(stream.state, StreamState::Refused | StreamState::Stopped) {
                let reason = stream.cause.as_deref().unwrap_or("the connector ended it");
                found.push(condition(Kind::StreamStopped, &stream.name, reason));
            }
        }
        let store = match self.engine().store_state() {
            StoreState::Serving => return found,
            StoreState::Full => "the disk is full",
            StoreState::Away => "the server can't be reached",
            StoreState::Refused => "the server refuses what the host needs",
        };
        found.push(condition(Kind::StoreUnavailable, "", store));
        found
    }

    async fn has_more_dead_letters(&self, than: usize) -> Option<bool> {
        let mut found = 0;
        for table in [Table::Dead, Table::SinkDead, Table::TimerDead] {
            let rows = self.store().scan(table, None, than + 1 - found).await;
            found += rows.map_err(|_: StoreError| ()).ok()?.len();
            if found > than {
                return Some(true);
            }
        }
        Some(false)
    }
}
