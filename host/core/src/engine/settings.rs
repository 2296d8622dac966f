//! What the engine must know of the configuration.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::ids::{PluginName, ProductId};
use crate::offers::tours::Tours;
use crate::rules::{Breaker, Delivery, History, Offers, Product, Reply, Retention};
use crate::session::identity::{Belief, Names};

/// Of [`Settings::max_waiting_bytes`], the default.
pub const MAX_WAITING_BYTES: usize = 24 << 20;

/// The engine's part of the configuration.
#[derive(Debug, Clone)]
pub struct Settings {
    products: BTreeMap<ProductId, Product>,
    /// Holds for what was accepted of a product that isn't configured any more.
    fallback: Delivery,
    concurrency: BTreeMap<PluginName, usize>,
    /// Plugins without rules have no breaker.
    breakers: BTreeMap<PluginName, Breaker>,
    /// What the plugins' platforms are believed, where that isn't the default.
    beliefs: BTreeMap<PluginName, Belief>,
    names: Arc<Names>,
    tours: BTreeMap<ProductId, Arc<Tours>>,
    /// An idle session leaves the memory after this long.
    pub idle: Duration,
    /// At most so many sessions are in memory beyond the busy ones.
    pub max_live: usize,
    /// Actions that wait to become notes take at most so many bytes of memory; beyond that they are in the store alone
    /// until their turn comes.
    pub max_waiting_bytes: usize,
    /// How long rows are kept.
    pub retention: Retention,
    /// What is kept of what was accepted lately; `None` for nothing.
    pub history: Option<History>,
    /// Gives the jitter of pauses between attempts, `0.0..=1.0`; the middle where nothing else is set.
    pub jitter: fn() -> f64,
    /// Whether notes are posted.
    posting: bool,
}

impl Settings {
    /// Settings for these products, with one post at a time for each plugin.
    pub fn of_products(products: impl IntoIterator<Item = (ProductId, Product)>) -> Self {
        Self {
            products: products.into_iter().collect(),
            fallback: Delivery::default(),
            concurrency: BTreeMap::new(),
            breakers: BTreeMap::new(),
            beliefs: BTreeMap::new(),
            names: Arc::default(),
            tours: BTreeMap::new(),
            idle: Duration::from_secs(60),
            max_live: 100_000,
            max_waiting_bytes: MAX_WAITING_BYTES,
            retention: Retention::default(),
            history: None,
            jitter: || 0.5,
            posting: true,
        }
    }

    /// Goes by this for a product that isn't configured any more.
    #[must_use]
    pub fn with_fallback(mut self, rules: Delivery) -> Self {
        self.fallback = rules;
        self
    }

    /// Has no note posted: for an engine that only carries out what a person decides.
    #[must_use]
    pub fn without_posting(mut self) -> Self {
        self.posting = false;
        self
    }

    /// Keeps what is taken for whoever reads it.
    #[must_use]
    pub fn with_history(mut self, rules: History) -> Self {
        self.history = Some(rules);
        self
    }

    /// Lets a plugin have so many posts under way.
    #[must_use]
    pub fn with_concurrency(mut self, plugin: impl Into<PluginName>, posts: usize) -> Self {
        self.concurrency.insert(plugin.into(), posts);
        self
    }

    /// Gives a plugin a breaker.
    #[must_use]
    pub fn with_breaker(mut self, plugin: impl Into<PluginName>, rules: Breaker) -> Self {
        self.breakers.insert(plugin.into(), rules);
        self
    }

    /// Says what a plugin's platform is believed.
    #[must_use]
    pub fn with_belief(mut self, plugin: impl Into<PluginName>, belief: Belief) -> Self {
        self.beliefs.insert(plugin.into(), belief);
        self
    }

    /// Says which names mean somebody.
    #[must_use]
    pub fn with_names(mut self, names: Names) -> Self {
        self.names = Arc::new(names);
        self
    }

    /// Gives a product tours that people can be shown.
    #[must_use]
    pub fn with_tours(mut self, product: ProductId, tours: Tours) -> Self {
        self.tours.insert(product, Arc::new(tours));
        self
    }

    /// The tours of a product.
    pub fn tours(&self, product: &ProductId) -> Option<&Arc<Tours>> {
        self.tours.get(product)
    }

    /// What a plugin's platform is believed.
    pub fn belief(&self, plugin: &str) -> Belief {
        self.beliefs.get(plugin).copied().unwrap_or_default()
    }

    /// Which names mean somebody.
    pub fn names(&self) -> &Arc<Names> {
        &self.names
    }

    /// When a plugin's calls are held back.
    pub(super) fn breaker(&self, plugin: &PluginName) -> Option<&Breaker> {
        self.breakers.get(plugin)
    }

    /// When the notes of a product are sealed and retried; `None` for a product that isn't served.
    pub fn delivery(&self, product: &ProductId) -> Option<&Delivery> {
        self.product(product).map(|product| &product.delivery)
    }

    /// As [`Settings::delivery`]; for a product that isn't served, the settings under which what was
    /// accepted of it before is sent all the same.
    pub fn rules(&self, product: &ProductId) -> &Delivery {
        self.delivery(product).unwrap_or(&self.fallback)
    }

    /// When help may be offered to the people of a product; `None` where it isn't.
    pub fn offers(&self, product: &ProductId) -> Option<&Arc<Offers>> {
        self.product(product)?.offers.as_ref()
    }

    /// How what the people of a product write is answered; `None` where it isn't.
    pub fn replies(&self, product: &ProductId) -> Option<&Arc<Reply>> {
        self.product(product)?.reply.as_ref()
    }

    /// Whether anything is posted.
    pub fn posts(&self) -> bool {
        self.posting
    }

    /// Whether a plugin is configured.
    pub fn has_plugin(&self, plugin: &str) -> bool {
        self.concurrency.contains_key(plugin)
            || self.products.values().any(|it| it.plugins.iter().any(|name| **name == *plugin))
    }

    /// Whether one product only is served: what names none is of it.
    pub fn has_one_product(&self) -> bool {
        self.products.len() == 1
    }

    /// The configured products.
    pub fn products(&self) -> impl Iterator<Item = &ProductId> {
        self.products.keys()
    }

    /// A product's configuration.
    pub fn product(&self, product: &ProductId) -> Option<&Product> {
        self.products.get(product)
    }

    /// The configured products that a plugin serves.
    pub fn products_of(&self, plugin: &str) -> Vec<ProductId> {
        let serves = |product: &Product| product.plugins.iter().any(|name| **name == *plugin);
        self.products
            .iter()
            .filter(|(_, product)| serves(product))
            .map(|(id, _)| id.clone())
            .collect()
    }

    /// Whether a plugin serves a product.
    pub fn serves(&self, plugin: &str, product: &ProductId) -> bool {
        self.product(product)
            .is_some_and(|product| product.plugins.iter().any(|name| **name == *plugin))
    }

    /// How many posts a plugin may have under way: what it works on, and as many again and again that
    /// wait at its door, so that it isn't idle while the next ones are put on record.
    pub(super) fn slots(&self, plugin: &PluginName) -> usize {
        if !self.posting {
            return 0;
        }
        self.concurrency.get(plugin).map_or(1, |concurrency| concurrency * 4)
    }
}
