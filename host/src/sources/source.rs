//! One source: its rules, its words, and what it remembers.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sidenote_sources::{Batch, Memory, SettingsError, Wording};

use super::counts::{Counts, Left};
use super::keys::Keys;
use super::rates::{Rate, Rates};
use super::seen::{Claim, Seen, UnderWay};
use super::told::Told;
use crate::clock::Timestamp;
use crate::config::PluginSource;
use crate::ids::{PluginName, ProductId};
use crate::session::identity::Names;
use crate::session::payload::ActionsPayload;

/// A source as it is configured, with what it remembers.
pub(super) struct Source {
    pub(super) name: PluginName,
    pub(super) rules: PluginSource,
    pub(super) keys: Keys,
    wording: Wording,
    /// What it was told so far, and who is who.
    pub(super) told: Told,
    rates: Arc<Mutex<Rates>>,
}

/// Batches of actions that wait for their commit, each with its size.
pub(super) struct Ready {
    pub(super) batches: Vec<(ActionsPayload, usize)>,
    pub(super) claim: Claim,
}

impl Source {
    /// A source of this name, which goes on with what `before` remembers.
    ///
    /// # Errors
    /// Its words can't be made by these rules.
    pub(super) fn new(
        name: PluginName,
        rules: PluginSource,
        names: &Names,
        before: Option<&Self>,
    ) -> Result<Self, SettingsError> {
        let wording = Wording::new(&rules.words)?.with_names(names.clone());
        let told = before.map(|it| it.told.clone()).unwrap_or_default();
        let rates = before.map(|it| it.rates.clone()).unwrap_or_default();
        Ok(Self { name, keys: Keys::of(&rules.keys), rules, wording, told, rates })
    }

    /// Takes a request of so many bytes from what a key may send.
    ///
    /// # Errors
    /// It has sent as much as it may; when it may again.
    pub(super) fn take(&self, key: &str, bytes: usize, now: Timestamp) -> Result<(), Duration> {
        let PluginSource { max_requests, max_bytes, .. } = self.rules;
        let rate = Rate { requests: f64::from(max_requests), bytes: max_bytes as f64 };
        let mut rates = self.rates.lock().unwrap_or_else(PoisonError::into_inner);
        rates.take(key, bytes, rate, now)
    }

    /// The products that its events may be of.
    pub(super) fn products(&self) -> BTreeSet<ProductId> {
        let of_keys = self.rules.keys.values().map(|key| &key.product);
        of_keys.chain(&self.rules.product).cloned().collect()
    }

    /// Makes what is to be stored of batches: without repeats and without those of products that aren't `allowed`, in
    /// words. `usual` is the product of those that name none.
    ///
    /// # Errors
    /// [`UnderWay`]; nothing is remembered then.
    pub(super) fn ready(
        &self,
        (seen, memory): (&Seen, &mut Memory),
        mut batches: Vec<Batch>,
        (usual, allowed): (&ProductId, &BTreeSet<ProductId>),
        counts: &Counts,
        now: Timestamp,
    ) -> Result<Ready, UnderWay> {
        for batch in &mut batches {
            let product = batch.product_id.get_or_insert_with(|| usual.as_str().to_owned());
            if !allowed.iter().any(|it| it.as_str() == product) {
                counts.leave_out(Left::Product, batch.events.len() as u64);
                batch.events.clear();
                batch.merges.clear();
            }
        }
        let (claim, repeats) = seen.claim(&mut batches)?;
        counts.leave_out(Left::Repeated, repeats);
        let mut ready = Vec::new();
        for batch in batches.into_iter().filter(|it| !it.events.is_empty() || !it.merges.is_empty())
        {
            let events = batch.events.len() as u64;
            let worded = self.wording.words(memory, batch, usual.as_str(), now);
            let mut unsaid = 0;
            for (reason, count) in worded.left_out {
                counts.unsaid(reason, u64::from(count));
                unsaid += u64::from(count);
            }
            counts.accept(events.saturating_sub(unsaid));
            ready.extend(worded.sessions.into_iter().map(|batch| {
                let bytes = size(&batch);
                (batch, bytes)
            }));
        }
        Ok(Ready { batches: ready, claim })
    }
}

/// What a batch takes, about.
fn size(batch: &ActionsPayload) -> usize {
    let actions = batch.actions.iter().map(|action| {
        let texts = [&action.title, &action.description, &action.canonical_url, &action.raw_url];
        texts.iter().map(|text| text.len()).sum::<usize>() + 64
    });
    actions.sum::<usize>() + 128
}
