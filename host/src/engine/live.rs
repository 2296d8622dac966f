//! Sessions and lanes in memory, read from the store when something happens to them.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use crate::clock::Timestamp;
use crate::config::Delivery;
use crate::engine::rows::{put, read, session_group};
use crate::ids::{ConversationId, PluginName, SessionKey};
use crate::outbox::lane::{Lane, Progress, Queued};
use crate::session::batch::Entry;
use crate::session::link::Owners;
use crate::session::state::{Record, Session};
use crate::store::{Change, Store, StoreError, Table};

/// A session with its lane.
pub(super) struct Live {
    pub(super) session: Session,
    pub(super) lane: Lane,
    /// Whether the lane stands in its plugin's ready queue.
    pub(super) queued: bool,
    /// When something last happened to it.
    pub(super) touched: Timestamp,
    timer: Option<Timestamp>,
}

/// All that is in memory.
#[derive(Default)]
pub(super) struct Memory {
    pub(super) sessions: HashMap<SessionKey, Live>,
    pub(super) owners: HashMap<(PluginName, ConversationId), Owners>,
    timers: BTreeSet<(Timestamp, SessionKey)>,
}

impl Memory {
    /// Reads the sessions that aren't in memory. Rows that can't be read are set aside by the changes
    /// that are returned, so that nothing overwrites them.
    pub(super) async fn load_sessions(
        &mut self,
        store: &dyn Store,
        keys: &HashSet<SessionKey>,
        now: Timestamp,
    ) -> Result<Vec<Change>, StoreError> {
        let missing: Vec<_> = keys
            .iter()
            .filter(|key| !self.sessions.contains_key(*key))
            .cloned()
            .collect();
        if missing.is_empty() {
            return Ok(Vec::new());
        }
        let groups: Vec<_> = missing.iter().map(session_group).collect();
        let records = store.load(Table::Session, &groups).await?;
        let open = store.load(Table::Open, &groups).await?;
        let notes = store.load(Table::Outbox, &groups).await?;
        let progress = store.load(Table::Attempt, &groups).await?;
        let rows = records.into_iter().zip(open).zip(notes).zip(progress);
        let mut aside = Vec::new();
        for ((key, group), (((records, open), notes), progress)) in
            missing.into_iter().zip(groups).zip(rows)
        {
            let record = records
                .into_iter()
                .find(|(number, _)| *number == 0)
                .map(|(_, value)| value);
            let readable = record
                .as_deref()
                .map(|value| read::<Record>(Table::Session, 0, value));
            if let (Some(None), Some(value)) = (&readable, record.as_ref()) {
                let key = crate::store::Key {
                    table: Table::Session,
                    group,
                    number: now.as_millis(),
                };
                aside.push(Change::Put(key, value.clone()));
            }
            let open = open
                .into_iter()
                .filter_map(|(n, v)| Some((n, read::<Entry>(Table::Open, n, &v)?)));
            let progress: HashMap<u64, Progress> = progress
                .into_iter()
                .filter_map(|(n, v)| Some((n, read(Table::Attempt, n, &v)?)))
                .collect();
            let queued = notes.into_iter().filter_map(|(number, value)| {
                let note = Arc::new(read(Table::Outbox, number, &value)?);
                let progress = progress.get(&number).copied().unwrap_or(Progress::FRESH);
                Some(Queued { note, progress })
            });
            let live = Live {
                session: Session::load(key.clone(), readable.flatten(), open.collect()),
                lane: Lane::load(queued),
                queued: false,
                touched: now,
                timer: None,
            };
            self.sessions.insert(key, live);
        }
        Ok(aside)
    }

    /// Reads the owners of conversations that aren't in memory.
    pub(super) async fn load_owners(
        &mut self,
        store: &dyn Store,
        wanted: HashSet<(PluginName, ConversationId)>,
    ) -> Result<(), StoreError> {
        let missing: Vec<_> = wanted
            .into_iter()
            .filter(|key| !self.owners.contains_key(key))
            .collect();
        if missing.is_empty() {
            return Ok(());
        }
        let groups: Vec<_> = missing
            .iter()
            .map(|(plugin, id)| crate::engine::rows::conversation_group(plugin, id))
            .collect();
        let rows = store.load(Table::Conversation, &groups).await?;
        for (key, rows) in missing.into_iter().zip(rows) {
            let owners = rows
                .first()
                .and_then(|(n, value)| read(Table::Conversation, *n, value));
            self.owners.insert(key, owners.unwrap_or_default());
        }
        Ok(())
    }

    /// Sets the session's timer to what it and its lane wait for.
    pub(super) fn set_timer(&mut self, key: &SessionKey, rules: &Delivery) {
        let Some(live) = self.sessions.get_mut(key) else {
            return;
        };
        let timer = [live.session.next_timer(rules), live.lane.next_timer()]
            .into_iter()
            .flatten()
            .min();
        if live.timer == timer {
            return;
        }
        if let Some(at) = live.timer {
            self.timers.remove(&(at, key.clone()));
        }
        if let Some(at) = timer {
            self.timers.insert((at, key.clone()));
        }
        live.timer = timer;
    }

    /// The next moment at which something is due.
    pub(super) fn next_timer(&self) -> Option<Timestamp> {
        self.timers.first().map(|(at, _)| *at)
    }

    /// Takes the sessions whose timer is due.
    pub(super) fn due(&mut self, now: Timestamp) -> Vec<SessionKey> {
        let mut due = Vec::new();
        while self.timers.first().is_some_and(|(at, _)| *at <= now) {
            if let Some((_, key)) = self.timers.pop_first() {
                if let Some(live) = self.sessions.get_mut(&key) {
                    live.timer = None;
                }
                due.push(key);
            }
        }
        due
    }

    /// Forgets sessions that have nothing to do and weren't touched since `before`. They are read back
    /// from the store when something happens to them.
    pub(super) fn evict(&mut self, before: Timestamp) {
        self.sessions.retain(|_, live| {
            live.touched > before || live.timer.is_some() || live.queued || !live.lane.is_empty()
        });
        self.owners.clear();
    }
}

/// The row of a lane's head, or of a note behind it.
pub(super) fn progress_row(key: &SessionKey, queued: &Queued) -> Change {
    put(
        Table::Attempt,
        session_group(key),
        queued.note.seq,
        &queued.progress,
    )
}
