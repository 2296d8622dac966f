//! Sinks: every batch and every summary of a product, for each plugin of it that takes them.
//!
//! What came in is put into the store in the commit that takes it, once per sink. Where no product has a sink,
//! nothing here is asked.

use std::sync::Arc;

use crate::clock::Timestamp;
use crate::engine::deliveries::Place;
use crate::engine::round::{Engine, Round};
use crate::engine::rows::{put, session_group};
use crate::ids::{PluginName, ProductId, SessionKey};
use crate::outbox::sink_delivery::{Content, Roles, SinkDelivery};
use crate::session::payload::{ActionsPayload, SummaryPayload};
use crate::store::Table;

/// What a product's plugins do with what comes in.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct PluginRoles {
    /// Those that take batches and summaries.
    pub(super) sinks: Vec<PluginName>,
    /// The first that posts notes; without one nothing waits for a conversation.
    pub(super) writer: Option<PluginName>,
}

impl Engine {
    /// What the plugins of a product do. Asked once per round: they can be swapped at any time.
    pub(super) fn roles(
        &mut self,
        round: &mut Round,
        product: &ProductId,
        now: Timestamp,
    ) -> Arc<PluginRoles> {
        if let Some(roles) = round.plugin_roles.get(product) {
            return roles.clone();
        }
        let mut roles = PluginRoles::default();
        let settings = self.settings.clone();
        let configured = settings.product(product).map(|product| &*product.plugins);
        for plugin in configured.unwrap_or_default() {
            let (of_plugin, learned) = self.accounts.roles(plugin, self.post.roles(plugin), now);
            if learned {
                round.accounts.insert(plugin.clone());
            }
            // Of one that never ran it isn't known that it posts no notes.
            let Roles { writer, sink } = of_plugin.unwrap_or(Roles::WRITER);
            if sink {
                self.memory.has_sinks = true;
                roles.sinks.push(plugin.clone());
            }
            if writer && roles.writer.is_none() {
                roles.writer = Some(plugin.clone());
            }
        }
        let roles = Arc::new(roles);
        round.plugin_roles.insert(product.clone(), roles.clone());
        roles
    }

    /// The first plugin of a product that posts notes.
    pub(super) fn writer_of(&self, product: &ProductId) -> Option<PluginName> {
        let writes = |plugin: &&PluginName| {
            let roles = self.post.roles(plugin).or_else(|| self.accounts.known_roles(plugin));
            roles.is_none_or(|roles| roles.writer)
        };
        self.settings.product(product)?.plugins.iter().find(writes).cloned()
    }

    /// The batch as sinks are to have it: with who it is, as far as the session knows.
    pub(super) fn send_batch(
        &mut self,
        round: &mut Round,
        key: &SessionKey,
        sinks: &[PluginName],
        mut batch: ActionsPayload,
        now: Timestamp,
    ) {
        if batch.actions.is_empty() {
            return;
        }
        let Some(live) = self.memory.sessions.get(key) else { return };
        let record = live.session.record();
        batch.user_id = batch.user_id.or_else(|| record.user_id.clone());
        batch.email = batch.email.or_else(|| record.email.clone());
        for plugin in sinks {
            if !self.join(round, key, plugin, &batch, now) {
                self.send(round, key, plugin, Content::Actions(batch.clone()), now);
            }
        }
    }

    /// A summary for the sinks.
    pub(super) fn send_summary(
        &mut self,
        round: &mut Round,
        key: &SessionKey,
        sinks: &[PluginName],
        summary: &SummaryPayload,
        now: Timestamp,
    ) {
        for plugin in sinks {
            self.send(round, key, plugin, Content::Summary(summary.clone()), now);
        }
    }

    fn send(
        &mut self,
        round: &mut Round,
        key: &SessionKey,
        plugin: &PluginName,
        content: Content,
        now: Timestamp,
    ) {
        let Some(live) = self.memory.sessions.get_mut(key) else { return };
        let seq = live.session.number_sink_delivery();
        let delivery = Arc::new(SinkDelivery::new(key, seq, plugin, content, now));
        round.changes.push(put(Table::SinkQueue, session_group(key), seq, &*delivery));
        let sink = live.sinks.of(plugin);
        sink.lane.push(delivery.clone());
        sink.last = Some(delivery);
        live.touched = now;
        round.records.insert(key.clone());
        round.touched.push(key.clone());
        self.counters.sink_deliveries_made.add(1);
    }

    /// Adds a batch to the sink delivery that waits last, where enough wait already or the sink takes none.
    fn join(
        &mut self,
        round: &mut Round,
        key: &SessionKey,
        plugin: &PluginName,
        batch: &ActionsPayload,
        now: Timestamp,
    ) -> bool {
        let rules = self.settings.rules(&key.product);
        let Some(live) = self.memory.sessions.get_mut(key) else { return false };
        let Place { lane, last, .. } = live.sinks.of(plugin);
        let held = !lane.is_empty() && !self.accounts.allows(plugin, now);
        if !held && !lane.is_congested(now, rules) {
            return false;
        }
        let joined = last.as_ref().and_then(|last| last.joined(batch, rules.max_gathered_actions));
        let Some(joined) = joined.map(Arc::new).filter(|joined| lane.amend(joined.clone())) else {
            return false;
        };
        round.changes.push(put(Table::SinkQueue, session_group(key), joined.seq, &*joined));
        *last = Some(joined);
        live.touched = now;
        round.touched.push(key.clone());
        self.counters.sink_deliveries_joined.add(1);
        true
    }
}
