//! What the engine asks of plugins before it sends them anything.

use std::collections::HashMap;
use std::sync::Arc;

use super::gate::Gate;
use super::settings::Settings;
use super::tx::Tx;
use crate::ids::{PluginName, ProductId};
use crate::outbox::sink_delivery::Roles;

/// What is known of the plugins at this moment. Answers at once.
pub trait Plugins: Send + Sync {
    /// Whether a plugin can redact notes at all. `None` where that isn't known.
    fn redacts(&self, plugin: &PluginName) -> Option<bool>;

    /// Whether a plugin is being made ready, so that nothing is begun with it until it is.
    fn is_coming(&self, plugin: &PluginName) -> bool;

    /// Whether a plugin can offer help. `None` where that isn't known.
    fn offers(&self, plugin: &PluginName) -> Option<bool>;

    /// What a plugin can do; `None` where that isn't known, because it can't be loaded.
    fn roles(&self, plugin: &PluginName) -> Option<Roles>;
}

/// What a product's plugins do with what comes in.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct PluginRoles {
    /// Those that take batches and summaries.
    pub(super) sinks: Vec<PluginName>,
    /// The first that posts notes; without one nothing waits for a conversation.
    pub(super) writer: Option<PluginName>,
}

/// What the plugins of products do, asked once per transaction: they can be swapped at any time.
#[derive(Default)]
pub(super) struct RolesAsked(HashMap<ProductId, Arc<PluginRoles>>);

impl RolesAsked {
    /// What the plugins of a product do.
    pub(super) fn of(
        &mut self,
        product: &ProductId,
        plugins: &dyn Plugins,
        settings: &Settings,
        gate: &Gate,
        tx: &mut Tx,
    ) -> Arc<PluginRoles> {
        if let Some(roles) = self.0.get(product) {
            return roles.clone();
        }
        let mut roles = PluginRoles::default();
        let configured = settings.product(product).map(|product| &*product.plugins);
        let mut accounts = gate.open();
        for plugin in configured.unwrap_or_default() {
            let (of_plugin, learned) = accounts.roles(plugin, plugins.roles(plugin), tx.now);
            if learned {
                tx.accounts.insert(plugin.clone());
            }
            // Of one that never ran it isn't known that it posts no notes.
            let Roles { writer, sink } = of_plugin.unwrap_or(Roles::WRITER);
            if sink {
                roles.sinks.push(plugin.clone());
            }
            if writer && roles.writer.is_none() {
                roles.writer = Some(plugin.clone());
            }
        }
        let roles = Arc::new(roles);
        self.0.insert(product.clone(), roles.clone());
        roles
    }

    /// Forgets what was asked: a transaction ends.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

/// The first plugin of a product that posts notes.
pub(super) fn writer_of(
    product: &ProductId,
    plugins: &dyn Plugins,
    settings: &Settings,
    gate: &Gate,
) -> Option<PluginName> {
    let writes = |plugin: &&PluginName| {
        let roles = plugins.roles(plugin).or_else(|| gate.open().known_roles(plugin));
        roles.is_none_or(|roles| roles.writer)
    };
    settings.product(product)?.plugins.iter().find(writes).cloned()
}
