//! What would come of a request, for whoever tries a source out: nothing is accepted and nothing is remembered.

use std::collections::BTreeMap;

use sidenote_sources::{Memory, Settings, SettingsError, Wording};

use super::keys::Keys;
use crate::config::PluginSource;
use crate::kv::CallKv;
use crate::plugin::{EventsReceived, Registry, SourceError, SourceRequest};
use crate::session::identity::Names;
use crate::session::payload::ActionsPayload;

/// What would come of it.
#[derive(Debug)]
pub struct Rehearsed {
    /// The name of the key that it has, where that is known.
    pub key: Option<String>,
    /// Whether it is answered without one.
    pub keyless: bool,
    /// The status of the plugin's answer.
    pub status: u16,
    /// What would be accepted, a batch per session.
    pub sessions: Vec<ActionsPayload>,
    /// Why something has no line of its own, and how often: the plugin's words, or those of the host.
    pub left_out: Vec<(String, u64)>,
}

/// Reads the words of a source from a text, as they stand below `[plugins.NAME.source.words]`.
///
/// # Errors
/// They can't be used; the table is named.
pub fn words(text: &str) -> Result<Settings, SettingsError> {
    let words = Settings::parse(text)?;
    Wording::new(&words)?;
    Ok(words)
}

/// Has a plugin read a request, and puts what it brings into words by the rules of its source. `now` is the request's.
///
/// # Errors
/// The plugin refuses it, or failed.
///
/// # Panics
/// Where the words of the rules can't be used; those of a configuration are checked.
pub async fn rehearse(
    registry: &Registry,
    name: &str,
    rules: &PluginSource,
    names: &Names,
    request: &SourceRequest,
) -> Result<Rehearsed, SourceError> {
    let keys = Keys::of(&rules.keys);
    let received = registry.receive_events(name, request, &CallKv::stored(None)).await?;
    let EventsReceived { key, keyless, batches, ignored, answer } = received;
    let holder = keys.holder_in(&request.query, &request.headers);
    let holder = holder.or_else(|| keys.holder(&key.as_ref()?.0));
    let product = holder.as_ref().map(|holder| &holder.product).or(rules.product.as_ref());
    let product = product.or_else(|| rules.keys.values().next().map(|key| &key.product));
    let product = product.map_or("product", |product| product.as_str());
    let wording = Wording::new(&rules.words).expect("the configuration was checked");
    let wording = wording.with_names(names.clone());
    let mut memory = Memory::default();
    let mut left_out: BTreeMap<String, u64> = BTreeMap::new();
    for (reason, count) in ignored {
        *left_out.entry(reason).or_default() += u64::from(count);
    }
    let mut sessions = Vec::new();
    for batch in batches {
        let worded = wording.words(&mut memory, batch, product, request.received_at);
        for (reason, count) in worded.left_out {
            *left_out.entry(reason.words().to_owned()).or_default() += u64::from(count);
        }
        sessions.extend(worded.sessions);
    }
    Ok(Rehearsed {
        key: holder.map(|holder| holder.name),
        keyless,
        status: answer.status,
        sessions,
        left_out: left_out.into_iter().collect(),
    })
}
