//! The lanes of one kind of delivery of a session, in memory.

use std::collections::HashMap;
use std::sync::Arc;

use super::Kind;
use crate::clock::Timestamp;
use crate::config::Delivery;
use crate::engine::rows::{put, read, session_group};
use crate::ids::{PluginName, SessionKey};
use crate::outbox::lane::{DeadLetter, IN_MEMORY, Lane, Progress, Queued};
use crate::store::{Change, Key, Rows, Store, StoreError};

/// Rows that are read at once when one of several lanes is refilled: those of others stand between them.
const AMONG_OTHERS: usize = 64;

/// A session's lanes: those in which anything was put since the session is in memory.
pub(in crate::engine) struct Lanes<K>(Vec<Place<K>>);

/// A lane and what it is doing.
pub(in crate::engine) struct Place<K> {
    /// Whose lane it is, where each plugin has its own; else the plugin of what was put into it first.
    plugin: PluginName,
    pub(in crate::engine) lane: Lane<K>,
    /// Whether it stands in its plugin's ready queue.
    pub(in crate::engine) queued: bool,
    /// What was put into it last, which more may join.
    pub(in crate::engine) last: Option<Arc<K>>,
}

impl<K> Default for Lanes<K> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<K: Kind> Place<K> {
    fn new(plugin: PluginName, lane: Lane<K>) -> Self {
        Self { plugin, lane, queued: false, last: None }
    }

    /// Nothing more may join what has this number.
    pub(in crate::engine) fn forget(&mut self, seq: u64) {
        self.last.take_if(|last| last.seq() == seq);
    }
}

impl<K: Kind> Lanes<K> {
    /// The lanes from their rows, in order.
    pub(in crate::engine) fn load(items: Rows, attempts: Rows, now: Timestamp) -> Self {
        if items.is_empty() {
            return Self::default();
        }
        let progress = progress::<K>(attempts);
        let mut lanes: Vec<(PluginName, Vec<Queued<K>>)> = Vec::new();
        for (number, value) in items {
            let Some(item) = read::<K>(K::TABLES.queued, number, &value) else { continue };
            let progress = progress.get(&number).cloned().unwrap_or(Progress::FRESH);
            let plugin = item.plugin().clone();
            let queued = Queued { note: Arc::new(item), progress: progress.by_the_clock_at(now) };
            match lanes.iter_mut().find(|(name, _)| !K::LANE_PER_PLUGIN || *name == plugin) {
                Some((_, of_lane)) => of_lane.push(queued),
                None => lanes.push((plugin, vec![queued])),
            }
        }
        let place = |(plugin, of_lane)| Place::new(plugin, Lane::load(of_lane));
        Self(lanes.into_iter().map(place).collect())
    }

    /// Reads what comes next in the lanes that have nothing left in memory.
    pub(in crate::engine) async fn refill(
        &mut self,
        store: &dyn Store,
        key: &SessionKey,
    ) -> Result<(), StoreError> {
        for place in &mut self.0 {
            let Some(after) = place.lane.wants_after() else { continue };
            let items = next::<K>(store, key, &place.plugin, after).await?;
            // What stands behind the head was never tried; what a person had tried again has a row all the same.
            let attempts = store.load(K::TABLES.attempt, &[session_group(key)]).await?;
            let progress = progress::<K>(attempts.into_iter().flatten().collect());
            place.lane.refill(items.into_iter().map(|(number, item)| {
                let progress = progress.get(&number).cloned().unwrap_or(Progress::FRESH);
                (number, item.map(|item| Queued { note: Arc::new(item), progress }))
            }));
        }
        Ok(())
    }

    /// The lane in which a plugin's deliveries stand; made where there is none.
    pub(in crate::engine) fn of(&mut self, plugin: &PluginName) -> &mut Place<K> {
        let place = self.0.iter().position(|place| place.is_of(plugin));
        let place = place.unwrap_or_else(|| {
            self.0.push(Place::new(plugin.clone(), Lane::default()));
            self.0.len() - 1
        });
        &mut self.0[place]
    }

    /// The lane in which a plugin's deliveries stand, if there is one.
    pub(in crate::engine) fn get_mut(&mut self, plugin: &PluginName) -> Option<&mut Place<K>> {
        self.0.iter_mut().find(|place| place.is_of(plugin))
    }

    /// The lanes.
    pub(in crate::engine) fn iter(&self) -> impl Iterator<Item = &Lane<K>> {
        self.0.iter().map(|place| &place.lane)
    }

    /// The lanes.
    pub(in crate::engine) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Lane<K>> {
        self.0.iter_mut().map(|place| &mut place.lane)
    }

    /// The plugins of the heads that can be tried and don't wait for their turn yet. They do from here on.
    pub(in crate::engine) fn take_ready(&mut self, now: Timestamp) -> Vec<PluginName> {
        let ready = self.0.iter_mut().filter(|place| !place.queued && place.lane.is_ready(now));
        let queue = |place: &mut Place<K>| {
            place.queued = true;
            place.lane.head().map_or_else(|| place.plugin.clone(), |it| it.note.plugin().clone())
        };
        ready.map(queue).collect()
    }

    /// Gives up what could not be delivered for too long.
    pub(in crate::engine) fn take_expired(
        &mut self,
        now: Timestamp,
        rules: &Delivery,
    ) -> Vec<DeadLetter<K>> {
        self.iter_mut().filter_map(|lane| lane.take_expired(now, rules)).collect()
    }

    /// Gives up what was in flight in too many crashes; asked after a start.
    pub(in crate::engine) fn take_poisoned(
        &mut self,
        now: Timestamp,
        rules: &Delivery,
    ) -> Vec<DeadLetter<K>> {
        self.iter_mut().filter_map(|lane| lane.take_poisoned(now, rules)).collect()
    }

    /// When something is to be done for one of them.
    pub(in crate::engine) fn next_timer(&self, rules: &Delivery) -> Option<Timestamp> {
        self.0.iter().filter_map(|place| place.lane.next_timer(place.queued, rules)).min()
    }

    /// Whether one of them must be refilled from the store.
    pub(in crate::engine) fn is_hungry(&self) -> bool {
        self.iter().any(|lane| lane.wants_after().is_some())
    }

    /// Whether the session can leave the memory as far as they go. `hard`: even where they wait for a person.
    pub(in crate::engine) fn is_idle(&self, hard: bool) -> bool {
        self.0.iter().all(|place| {
            let idle = place.lane.is_empty() || hard && place.lane.waits_for_a_person();
            idle && !place.queued
        })
    }

    /// The host ends while their heads are in flight. The rows that say so.
    pub(in crate::engine) fn cut(&mut self) -> Vec<Change> {
        self.iter_mut().filter_map(|lane| lane.cut().map(attempt_row)).collect()
    }
}

impl<K: Kind> Place<K> {
    fn is_of(&self, plugin: &PluginName) -> bool {
        !K::LANE_PER_PLUGIN || self.plugin == *plugin
    }
}

fn progress<K: Kind>(rows: Rows) -> HashMap<u64, Progress> {
    let read = |(n, value): (u64, Vec<u8>)| Some((n, read(K::TABLES.attempt, n, &value)?));
    rows.into_iter().filter_map(read).collect()
}

/// What comes next in a lane behind this number, as many as a lane has in memory. A row that can't be read is
/// `None`; where other lanes' rows stand between, it is passed over.
async fn next<K: Kind>(
    store: &dyn Store,
    key: &SessionKey,
    plugin: &PluginName,
    after: u64,
) -> Result<Vec<(u64, Option<K>)>, StoreError> {
    let (table, group) = (K::TABLES.queued, session_group(key));
    let at_once = if K::LANE_PER_PLUGIN { AMONG_OTHERS } else { IN_MEMORY };
    let mut next = Key { table, group: group.clone(), number: after };
    let mut found = Vec::new();
    loop {
        let rows = store.scan(table, Some(next), at_once).await?;
        let at_end = rows.len() < at_once || rows.last().is_some_and(|(row, _)| row.group != group);
        let last = rows.last().map(|(row, _)| row.clone());
        for (row, value) in rows.into_iter().filter(|(row, _)| row.group == group) {
            let item = read::<K>(table, row.number, &value);
            let other = |item: &K| item.plugin() != plugin;
            if K::LANE_PER_PLUGIN && item.as_ref().is_none_or(other) {
                continue;
            }
            found.push((row.number, item));
        }
        match last {
            Some(last) if !at_end && found.len() < IN_MEMORY => next = last,
            Some(_) | None => break,
        }
    }
    found.truncate(IN_MEMORY);
    Ok(found)
}

/// The row that says how far the attempts are.
pub(in crate::engine) fn attempt_row<K: Kind>(queued: &Queued<K>) -> Change {
    let Queued { note, progress } = queued;
    put(K::TABLES.attempt, session_group(note.key()), note.seq(), progress)
}
