//! The lanes of a session's sinks, in memory.

use std::collections::HashMap;
use std::sync::Arc;

use crate::clock::Timestamp;
use crate::config::Delivery;
use crate::engine::rows::{put, read, session_group};
use crate::ids::{PluginName, SessionKey};
use crate::outbox::lane::{DeadLetter, IN_MEMORY, Lane, Progress, Queued};
use crate::outbox::parcel::Parcel;
use crate::store::{Change, Key, Rows, Store, StoreError, Table};

/// Rows that are read at once when a lane is refilled: those of other sinks stand between them.
const PARCELS_AT_ONCE: usize = 64;

/// The lanes of a session's sinks: those to which anything was sent since the session is in memory.
#[derive(Default)]
pub(in crate::engine) struct SinkLanes(Vec<SinkLane>);

/// What waits for one sink.
pub(in crate::engine) struct SinkLane {
    pub(super) plugin: PluginName,
    pub(super) lane: Lane<Parcel>,
    /// Whether it stands in its sink's ready queue.
    pub(super) queued: bool,
    /// The parcel that was made last, which more actions may join.
    pub(super) last: Option<Arc<Parcel>>,
}

impl SinkLane {
    fn new(plugin: PluginName, lane: Lane<Parcel>) -> Self {
        Self { plugin, lane, queued: false, last: None }
    }

    /// No more actions may join the parcel of this number.
    pub(super) fn forget(&mut self, seq: u64) {
        self.last.take_if(|last| last.seq == seq);
    }
}

impl SinkLanes {
    /// The lanes from their rows, in order.
    pub(in crate::engine) fn load(parcels: Rows, progress: Rows, now: Timestamp) -> Self {
        if parcels.is_empty() {
            return Self::default();
        }
        let progress: HashMap<u64, Progress> = progress
            .into_iter()
            .filter_map(|(n, v)| Some((n, read(Table::ParcelAttempt, n, &v)?)))
            .collect();
        let mut queued: Vec<(PluginName, Vec<Queued<Parcel>>)> = Vec::new();
        for (number, value) in parcels {
            let Some(parcel) = read::<Parcel>(Table::Parcel, number, &value) else { continue };
            let progress = progress.get(&number).cloned().unwrap_or(Progress::FRESH);
            let plugin = parcel.plugin.clone();
            let parcel = Queued { note: Arc::new(parcel), progress: progress.by_the_clock_at(now) };
            match queued.iter_mut().find(|(name, _)| *name == plugin) {
                Some((_, of_sink)) => of_sink.push(parcel),
                None => queued.push((plugin, vec![parcel])),
            }
        }
        let lane = |(plugin, of_sink)| SinkLane::new(plugin, Lane::load(of_sink));
        Self(queued.into_iter().map(lane).collect())
    }

    /// Reads the next parcels of the lanes that have none left in memory.
    pub(in crate::engine) async fn refill(
        &mut self,
        store: &dyn Store,
        key: &SessionKey,
    ) -> Result<(), StoreError> {
        for sink in &mut self.0 {
            let Some(after) = sink.lane.wants_after() else { continue };
            let parcels = next_parcels(store, key, &sink.plugin, after).await?;
            let group = session_group(key);
            let progress = store.load(Table::ParcelAttempt, &[group]).await?;
            let progress: HashMap<u64, Progress> = progress
                .into_iter()
                .flatten()
                .filter_map(|(n, v)| Some((n, read(Table::ParcelAttempt, n, &v)?)))
                .collect();
            sink.lane.refill(parcels.into_iter().map(|parcel| {
                let number = parcel.seq;
                let progress = progress.get(&number).cloned().unwrap_or(Progress::FRESH);
                (number, Some(Queued { note: Arc::new(parcel), progress }))
            }));
        }
        Ok(())
    }

    /// The lane of a sink; made where there is none.
    pub(super) fn of(&mut self, plugin: &PluginName) -> &mut SinkLane {
        let place = self.0.iter().position(|sink| sink.plugin == *plugin);
        let place = place.unwrap_or_else(|| {
            self.0.push(SinkLane::new(plugin.clone(), Lane::default()));
            self.0.len() - 1
        });
        &mut self.0[place]
    }

    /// The lane of a sink, if it has one.
    pub(super) fn get_mut(&mut self, plugin: &PluginName) -> Option<&mut SinkLane> {
        self.0.iter_mut().find(|sink| sink.plugin == *plugin)
    }

    /// The sinks whose lane's head can be sent and doesn't wait for its turn yet. It does from here on.
    pub(in crate::engine) fn take_ready(&mut self, now: Timestamp) -> Vec<PluginName> {
        let ready = self.0.iter_mut().filter(|sink| !sink.queued && sink.lane.is_ready(now));
        let queue = |sink: &mut SinkLane| {
            sink.queued = true;
            sink.plugin.clone()
        };
        ready.map(queue).collect()
    }

    /// Gives up what could not be delivered for too long, and what crashed too often.
    pub(in crate::engine) fn take_expired(
        &mut self,
        now: Timestamp,
        rules: &Delivery,
    ) -> Vec<DeadLetter<Parcel>> {
        self.0.iter_mut().filter_map(|sink| sink.lane.take_expired(now, rules)).collect()
    }

    /// Gives up what was in flight in too many crashes; asked after a start.
    pub(in crate::engine) fn take_poisoned(
        &mut self,
        now: Timestamp,
        rules: &Delivery,
    ) -> Vec<DeadLetter<Parcel>> {
        self.0.iter_mut().filter_map(|sink| sink.lane.take_poisoned(now, rules)).collect()
    }

    /// When something is to be done for one of them.
    pub(in crate::engine) fn next_timer(&self, rules: &Delivery) -> Option<Timestamp> {
        self.0.iter().filter_map(|sink| sink.lane.next_timer(sink.queued, rules)).min()
    }

    /// Whether one of them must be refilled from the store.
    pub(in crate::engine) fn is_hungry(&self) -> bool {
        self.0.iter().any(|sink| sink.lane.wants_after().is_some())
    }

    /// Whether the session can leave the memory as far as its sinks go. `hard`: even where they wait for a
    /// person.
    pub(in crate::engine) fn is_idle(&self, hard: bool) -> bool {
        self.0.iter().all(|sink| {
            let idle = sink.lane.is_empty() || hard && sink.lane.waits_for_a_person();
            idle && !sink.queued
        })
    }

    /// The host ends while their heads are in flight. The rows that say so.
    pub(in crate::engine) fn cut(&mut self, key: &SessionKey) -> Vec<Change> {
        let cut = self.0.iter_mut().filter_map(|sink| sink.lane.cut());
        cut.map(|head| progress_row(key, head)).collect()
    }
}

/// The next parcels of a sink behind this number, as many as a lane has in memory.
async fn next_parcels(
    store: &dyn Store,
    key: &SessionKey,
    plugin: &PluginName,
    after: u64,
) -> Result<Vec<Parcel>, StoreError> {
    let group = session_group(key);
    let mut next = Key { table: Table::Parcel, group: group.clone(), number: after };
    let mut found = Vec::new();
    loop {
        let rows = store.scan(Table::Parcel, Some(next), PARCELS_AT_ONCE).await?;
        let at_end =
            rows.len() < PARCELS_AT_ONCE || rows.last().is_some_and(|(row, _)| row.group != group);
        let last = rows.last().map(|(row, _)| row.clone());
        let of_session = rows.into_iter().filter(|(row, _)| row.group == group);
        let parcels =
            of_session.filter_map(|(row, value)| read::<Parcel>(Table::Parcel, row.number, &value));
        found.extend(parcels.filter(|parcel| parcel.plugin == *plugin));
        match last {
            Some(last) if !at_end && found.len() < IN_MEMORY => next = last,
            Some(_) | None => break,
        }
    }
    found.truncate(IN_MEMORY);
    Ok(found)
}

/// The row of a lane's head.
pub(super) fn progress_row(key: &SessionKey, queued: &Queued<Parcel>) -> Change {
    put(Table::ParcelAttempt, session_group(key), queued.note.seq, &queued.progress)
}
