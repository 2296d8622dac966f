//! How erasures are reached: through a running host, or in the store where none runs.

use serde_json::json;
use sidenote::engine::erase::kept::{KeptCursor, KeptFilter, KeptList};
use sidenote::engine::erase::{Erased, Erasure, Subject};

use crate::outbox::args::SourceArgs;
use crate::outbox::way::Way;

/// The way that was chosen.
pub(super) struct Reach(Way);

impl Reach {
    /// Finds out whether a host runs, unless the command line says it.
    pub(super) async fn of(source: &SourceArgs) -> anyhow::Result<Self> {
        Way::choose(source).await.map(Self)
    }

    /// Erases somebody, or counts what that would be.
    pub(super) async fn erase(&self, erasure: &Erasure, dry_run: bool) -> anyhow::Result<Erased> {
        match &self.0 {
            Way::Host(client) => {
                let (name, value) = match &erasure.subject {
                    Subject::Session(session) => ("session_id", session.as_str()),
                    Subject::User(id) => ("user_id", id.as_str()),
                    Subject::Email(address) => ("email", address.as_str()),
                };
                let body = json!({
                    "product_id": erasure.product.as_str(),
                    name: value,
                    "keep_notes": erasure.keep_notes,
                    "dry_run": dry_run,
                });
                client.post("/erase", &body).await
            }
            Way::Offline(offline) => {
                let erased = offline.erase(erasure, dry_run).await;
                offline.let_go().await;
                erased
            }
        }
    }

    /// Lists what stays at the platforms though it was to go.
    pub(super) async fn kept(
        &self,
        filter: &KeptFilter,
        limit: usize,
        after: Option<KeptCursor>,
    ) -> anyhow::Result<KeptList> {
        let client = match &self.0 {
            Way::Host(client) => client,
            Way::Offline(offline) => return offline.kept(filter, limit, after).await,
        };
        let mut query = vec![("limit", limit.to_string())];
        query.extend(filter.erasure.map(|id| ("erasure", id.to_string())));
        query.extend(filter.plugin.as_ref().map(|plugin| ("plugin", plugin.to_string())));
        query.extend(filter.product.as_ref().map(|id| ("product", id.as_str().to_owned())));
        query.extend(filter.replaced.then(|| ("replaced", "true".to_owned())));
        query.extend(after.map(|cursor| ("after", String::from(cursor))));
        client.get("/erase", &query).await
    }
}
