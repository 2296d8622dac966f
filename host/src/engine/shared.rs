//! Sessions that are shared with autoplay-sdk: taken over when they are seen for the first time, kept
//! up to date and alive afterwards. What is shared is a copy: the rows are the truth.

use std::collections::HashSet;
use std::time::Duration;

use futures_util::future::join_all;

use crate::clock::Timestamp;
use crate::engine::live::Live;
use crate::engine::round::{Engine, Round};
use crate::engine::snapshot::{self, Imported};
use crate::ids::{ConversationId, SessionId, SessionKey};
use crate::session::identity::Tie;
use crate::session::link::{Identity, LinkMode};
use crate::session::payload::ActionsPayload;
use crate::store::{Snapshots, StoreError};

/// A session that is active has its copy renewed this often, far within the time that copies live.
const RENEWED: Duration = Duration::from_secs(600);

/// What a session's copy says, and since when.
pub(super) type Copy = (Option<ConversationId>, Timestamp);

impl Engine {
    /// Reads what is shared of sessions that have no record of ours.
    pub(super) async fn read_shared(
        &self,
        fresh: Vec<SessionKey>,
        now: Timestamp,
    ) -> Result<Vec<(SessionKey, Imported)>, StoreError> {
        let Some(snapshots) = self.snapshots.as_ref().filter(|_| !fresh.is_empty()) else {
            return Ok(Vec::new());
        };
        let ids: Vec<SessionId> = fresh.iter().map(|key| key.session.clone()).collect();
        let stored = match snapshots.read(&ids).await {
            Ok(stored) => stored,
            Err(error @ StoreError::Away(_)) => return Err(error),
            // Whatever stands under the SDK's keys, it stops nothing of ours.
            Err(
                StoreError::Full(error) | StoreError::Refused(error) | StoreError::Fatal(error),
            ) => {
                tracing::warn!("shared session: copies can't be read: {error}");
                return Ok(Vec::new());
            }
        };
        let imported = fresh.into_iter().zip(stored).filter_map(|(key, stored)| {
            match snapshot::import(&stored?, now) {
                Ok(imported) if self.is_of(&key, &imported) => Some((key, imported)),
                Ok(_) => None,
                Err(error) => {
                    tracing::warn!("shared session: it isn't taken over: {error}");
                    None
                }
            }
        });
        Ok(imported.collect())
    }

    /// Whether a copy is this very session's: the SDK's key doesn't say of which product.
    pub(super) fn is_of(&self, key: &SessionKey, imported: &Imported) -> bool {
        let of_product = match &imported.product {
            Some(product) => product == key.product.as_str(),
            None => self.settings.has_one_product(),
        };
        of_product && imported.session == key.session
    }

    /// Takes a shared session over: who it is, and its link by the first plugin of its product.
    pub(super) fn adopt(
        &mut self,
        round: &mut Round,
        key: &SessionKey,
        imported: Imported,
        now: Timestamp,
    ) {
        let Some(plugin) = self.writer_of(&key.product) else { return };
        let rules = self.settings.rules(&key.product);
        let Some(live) = self.memory.sessions.get_mut(key) else { return };
        let Imported { conversation, user_id, email, .. } = imported;
        let mut who = ActionsPayload { user_id, email, ..ActionsPayload::default() };
        let names = self.settings.names();
        self.counters.nobody_ids.add(names.clean_batch(&mut who));
        let is_one = |id: &ConversationId| names.names_somebody(id.as_str());
        let conversation = conversation.filter(is_one);
        let effects = live.session.on_actions(who, 0, now, rules, false);
        self.run_effects(round, key, effects, now);
        if let Some(conversation) = conversation {
            // The SDK links on whatever it is told, so nobody vouches for it.
            let told = (&Identity::default(), Tie::Claimed);
            match self.link_to(round, key, (plugin, conversation), LinkMode::Auto, told, now) {
                Ok(_) => tracing::info!("shared session: it is taken over with its conversation"),
                Err(error) => tracing::warn!("shared session: its link isn't taken over: {error}"),
            }
        }
    }

    /// Brings the copies of these sessions up to date, where that is due. What fails is tried again when
    /// the session's record changes next.
    pub(super) async fn share(&mut self, keys: &HashSet<SessionKey>, now: Timestamp) {
        let Some(snapshots) = self.snapshots.clone() else { return };
        let sessions = &self.memory.sessions;
        let due: Vec<_> = keys
            .iter()
            .filter_map(|key| Some((key, sessions.get(key)?)))
            .filter(|(_, live)| is_due(live, now))
            .collect();
        if due.is_empty() {
            return;
        }
        let ids: Vec<SessionId> = due.iter().map(|(key, _)| key.session.clone()).collect();
        let Ok(stored) = snapshots.read(&ids).await else {
            self.counters.snapshots_left.add(due.len() as u64);
            return;
        };
        let swaps = due.iter().zip(stored).map(|((key, live), stored)| {
            swap(&*snapshots, key, live, stored, self.settings.has_one_product(), now)
        });
        let swapped = join_all(swaps).await;
        let done: Vec<_> = due.into_iter().map(|(key, _)| key.clone()).zip(swapped).collect();
        for (key, swapped) in done {
            if !swapped {
                self.counters.snapshots_left.add(1);
            } else if let Some(live) = self.memory.sessions.get_mut(&key) {
                live.copy = Some((conversation(live), now));
            }
        }
    }
}

fn is_due(live: &Live, now: Timestamp) -> bool {
    live.copy
        .as_ref()
        .is_none_or(|(known, at)| *known != conversation(live) || now.since(*at) >= RENEWED)
}

fn conversation(live: &Live) -> Option<ConversationId> {
    live.session.record().link.as_ref().map(|link| link.conversation.clone())
}

/// Puts a session's state over its copy. `false`: it can't be read, is another product's, or somebody else
/// changed it meanwhile.
async fn swap(
    snapshots: &dyn Snapshots,
    key: &SessionKey,
    live: &Live,
    stored: Option<Vec<u8>>,
    one_product: bool,
    now: Timestamp,
) -> bool {
    let base = stored.as_deref();
    let nameless = base.is_some_and(|base| {
        snapshot::import(base, now).is_ok_and(|imported| imported.product.is_none())
    });
    if nameless && !one_product {
        return false;
    }
    match snapshot::export(live.session.record(), base, key, now) {
        Ok(new) => snapshots.swap(&key.session, base, &new).await.unwrap_or(false),
        Err(error) => {
            tracing::warn!("shared session: its copy is left as it is: {error}");
            false
        }
    }
}
