//! The lanes of one kind of delivery of a session, in memory.

use std::collections::HashMap;
use std::sync::Arc;

use super::kind::Kind;
use super::pipeline::{
    Counts, Finished, FirstAttempt, Pipeline, READ_AT_ONCE, Sealer, Started, Turn, Waiting,
};
use crate::clock::Timestamp;
use crate::engine::counters::Counters;
use crate::engine::rows::{delete, put, read, session_group};
use crate::engine::tap::{Happening, Job};
use crate::engine::tx::Tx;
use crate::engine::view::{Missing, View};
use crate::ids::{PluginName, SessionKey, shown};
use crate::outbox::attempt::{Attempts, Course};
use crate::outbox::delivery_id::DeliveryId;
use crate::outbox::lane::{self, DeadLetter, IN_MEMORY, Lane, Progress, Queued};
use crate::outbox::note::{Note, PostError, Posted};
use crate::rows::{Change, Key, Rows};
use crate::rules::Delivery;
use crate::see::See;

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
    /// The plugin by which goes what is due and not sealed yet: it is when the lane is free and its turn comes.
    unsealed: Option<PluginName>,
}

impl<K> Default for Lanes<K> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<K: Kind> Place<K> {
    fn new(plugin: PluginName, lane: Lane<K>) -> Self {
        Self { plugin, lane, queued: false, last: None, unsealed: None }
    }

    /// Nothing more may join what has this number.
    pub(in crate::engine) fn forget(&mut self, seq: u64) {
        self.last.take_if(|last| last.seq() == seq);
    }
}

impl<K: Kind> Lanes<K> {
    /// The lanes from their rows, in order.
    pub(in crate::engine) fn load(items: &Rows, attempts: &Rows, now: Timestamp) -> Self {
        if items.is_empty() {
            return Self::default();
        }
        let progress = progress::<K>(attempts);
        let mut lanes: Vec<(PluginName, Vec<Queued<K>>)> = Vec::new();
        for (number, value) in items {
            let Some(item) = read::<K>(K::TABLES.queued, *number, value) else { continue };
            let progress = progress.get(number).cloned();
            let progress = progress.unwrap_or_else(|| item.first_progress());
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

    /// Since when the head of a plugin's lane waits, where that is known.
    pub(super) fn waits_since(&self, plugin: &PluginName) -> Option<Timestamp> {
        let place = self.0.iter().find(|place| place.is_of(plugin))?;
        place.lane.head().and_then(waits_since)
    }

    /// What waits in each lane: by which plugin it goes, how many, and since when the first waits; `None` where that is
    /// an open batch, or has to be read.
    pub(super) fn waiting(&self) -> impl Iterator<Item = (&PluginName, usize, Option<Timestamp>)> {
        self.0.iter().filter_map(|place| match (place.lane.head(), &place.unsealed) {
            (Some(head), _) => {
                let since = waits_since(head).unwrap_or(head.note.sealed_at());
                Some((head.note.plugin(), place.lane.len(), Some(since)))
            }
            (None, Some(plugin)) => Some((plugin, place.lane.len() + 1, None)),
            (None, None) if place.lane.is_empty() => None,
            (None, None) => Some((&place.plugin, place.lane.len(), None)),
        })
    }

    /// Takes out what was in flight in too many crashes; asked after a start.
    pub(in crate::engine) fn take_poisoned(
        &mut self,
        now: Timestamp,
        rules: &Delivery,
    ) -> Vec<DeadLetter<K>> {
        self.iter_mut().filter_map(|lane| lane.take_poisoned(now, rules)).collect()
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

    /// Whether something waits for its turn to be sealed.
    pub(in crate::engine) fn has_unsealed(&self) -> bool {
        let waits = |place: &Place<K>| place.queued && place.lane.is_empty();
        self.0.iter().any(|place| waits(place) && place.unsealed.is_some())
    }

    /// Whether an attempt at this very item is under way.
    pub(super) fn is_in_flight(&self, item: &K) -> bool {
        let place = self.0.iter().find(|place| place.is_of(item.plugin()));
        place.and_then(|place| place.lane.head()).is_some_and(|head| {
            head.note.idempotency_key() == item.idempotency_key()
                && head.progress.state == lane::State::InFlight
        })
    }

    /// Ends the attempt at the head of an item's lane.
    pub(super) fn finish(
        &mut self,
        item: &K,
        result: Result<Posted, PostError>,
        course: &Course,
        now: Timestamp,
        rules: &Delivery,
    ) -> Option<Finished<Self>> {
        let place = self.get_mut(item.plugin())?;
        let head = place.lane.head();
        if head.is_none_or(|head| head.note.idempotency_key() != item.idempotency_key()) {
            // Its session was erased, and nothing waits for it.
            return None;
        }
        Some(match place.lane.finish(result, course, now, rules)? {
            lane::Finished::Sent(posted, tries) => {
                place.forget(item.seq());
                Finished::Done((posted, tries))
            }
            lane::Finished::Retry { at } => {
                Finished::Retry(place.lane.head().map(attempt_row), Some(at))
            }
            lane::Finished::Dead(dead) => Finished::Dead(dead),
        })
    }
}

impl<K: Kind> Waiting for Lanes<K> {
    type Done = (Posted, Attempts);
    type Dead = DeadLetter<K>;
    const CALL: crate::engine::gate::CallKind = K::CALL;

    fn counts(counters: &Counters) -> Counts<'_> {
        K::counts(counters)
    }

    fn take_ready(&mut self, now: Timestamp) -> Vec<PluginName> {
        let queue = |place: &mut Place<K>| {
            let plugin = place.ready_for(now).filter(|_| !place.queued)?.clone();
            place.queued = true;
            Some(plugin)
        };
        self.0.iter_mut().filter_map(queue).collect()
    }

    fn is_unsealed(&self) -> bool {
        self.has_unsealed()
    }

    fn turn(&mut self, plugin: &PluginName, now: Timestamp) -> Turn {
        let Some(place) = self.get_mut(plugin) else { return Turn::Nothing };
        place.queued = false;
        match place.ready_for(now) {
            None => Turn::Nothing,
            // What it waited for left the lane, and what is the head goes another way.
            Some(other) if other != plugin => {
                let other = other.clone();
                place.queued = true;
                Turn::By(other)
            }
            Some(_) => match place.lane.head() {
                Some(head) => Turn::Now(head.note.conversation().cloned()),
                None => Turn::Unsealed,
            },
        }
    }

    fn seal(
        &mut self,
        key: &SessionKey,
        first: FirstAttempt,
        sealer: &mut dyn Sealer,
        tx: &mut Tx,
    ) {
        self.0.iter_mut().for_each(|place| place.unsealed = None);
        if let Some(item) = K::seal(key, first, sealer, tx) {
            tx.push(put(K::TABLES.queued, session_group(key), item.seq(), &*item));
            self.of(item.plugin()).lane.push(item.clone());
        }
    }

    fn hold(
        &mut self,
        _: &SessionKey,
        plugin: &PluginName,
        now: Timestamp,
        until: Timestamp,
    ) -> Option<Change> {
        self.get_mut(plugin)?.lane.hold(now, until).map(attempt_row)
    }

    fn start(&mut self, _: &SessionKey, plugin: &PluginName, now: Timestamp) -> Option<Started> {
        let head = self.get_mut(plugin)?.lane.start(now)?;
        let work = K::work(&head.note, head.progress.unknown);
        let row = (!head.is_begun()).then(|| attempt_row(head));
        Some(Started { row, work, attempt: head.progress.attempts, limit: None })
    }

    fn take_spent(&mut self, now: Timestamp, rules: &Delivery) -> Vec<DeadLetter<K>> {
        self.iter_mut().filter_map(|lane| lane.take_expired(now, rules)).collect()
    }

    /// It leaves its lane, or holds it.
    fn dead_letter(&mut self, key: &SessionKey, dead: DeadLetter<K>, tx: &mut Tx) {
        let (plugin, seq) = (dead.note.plugin(), dead.note.seq());
        let id = DeliveryId { key: key.clone(), kind: K::ID, seq }.to_string();
        let see = match dead.reason.starts_with("expired") {
            true => See::Expired,
            false => See::DeadLetter,
        };
        tracing::error!(
            %plugin,
            product = shown(key.product.as_str()),
            session = shown(key.session.as_str()),
            conversation = dead.note.conversation().map(|id| shown(id.as_str())),
            item = seq,
            id = shown(&id),
            attempts = dead.attempts,
            reason = %dead.reason,
            holds_lane = dead.holds_lane,
            "{} {see}", K::DEAD
        );
        let attempts = dead.attempts;
        tx.happens(key, || Happening::Dead { job: Job::in_lane(K::LANE, seq, plugin), attempts });
        if let Some(place) = self.get_mut(plugin) {
            place.forget(seq);
            if dead.holds_lane {
                tx.extend(place.lane.head().map(attempt_row));
            }
        }
        if !dead.holds_lane {
            remove::<K>(tx, key, seq);
        }
        tx.push(put(K::TABLES.dead, session_group(key), seq, &dead));
        tx.undelivered(K::work(&dead.note, false));
    }

    fn next_timer(&self, rules: &Delivery) -> Option<Timestamp> {
        self.0.iter().filter_map(|place| place.lane.next_timer(place.queued, rules)).min()
    }

    fn cut(&mut self, _: &SessionKey) -> Vec<Change> {
        self.iter_mut().filter_map(|lane| lane.cut().map(attempt_row)).collect()
    }

    fn is_empty(&self) -> bool {
        self.is_idle(false)
    }
}

impl<K: Kind> Pipeline<Lanes<K>> {
    /// Reads what comes next in the lanes of a session that have nothing left in memory. Returns whether there
    /// were any.
    pub(in crate::engine) fn refill(
        &mut self,
        view: &View,
        key: &SessionKey,
    ) -> Result<bool, Missing> {
        let Some(lanes) = self.get_mut(key).filter(|lanes| lanes.is_hungry()) else {
            return Ok(false);
        };
        let mut read = Vec::new();
        for place in &lanes.0 {
            let Some(after) = place.lane.wants_after() else { continue };
            let items = next::<K>(view, key, &place.plugin, after)?;
            // What stands behind the head was never tried; what a person had tried again has a row all the same.
            let attempts = view.load(K::TABLES.attempt, &[session_group(key)])?;
            read.push((place.plugin.clone(), items, progress::<K>(attempts[0])));
        }
        for (plugin, items, progress) in read {
            let Some(place) = lanes.get_mut(&plugin) else { continue };
            place.lane.refill(items.into_iter().map(|(number, item)| {
                let queued = item.map(|item| {
                    let progress = progress.get(&number).cloned();
                    let progress = progress.unwrap_or_else(|| item.first_progress());
                    Queued { note: Arc::new(item), progress }
                });
                (number, queued)
            }));
        }
        Ok(true)
    }
}

/// What waited waits no more.
pub(super) fn remove<K: Kind>(tx: &mut Tx, key: &SessionKey, seq: u64) {
    for table in [K::TABLES.queued, K::TABLES.attempt] {
        tx.push(delete(table, session_group(key), seq));
    }
}

impl Pipeline<Lanes<Note>> {
    /// A batch of a session is due and goes by this plugin; `None`: no batch is.
    pub(in crate::engine) fn want_turn(&mut self, key: &SessionKey, plugin: Option<&PluginName>) {
        match plugin {
            Some(plugin) => self.open(key).of(plugin).unsealed = Some(plugin.clone()),
            None => {
                let lanes = self.get_mut(key).into_iter();
                lanes.flat_map(|lanes| &mut lanes.0).for_each(|place| place.unsealed = None);
            }
        }
    }

    /// Seals what waits for its turn with a plugin. Its sessions are touched. `false`: some is to be read back first.
    pub(in crate::engine) fn seal_waiting(
        &mut self,
        plugin: &PluginName,
        sealer: &mut dyn Sealer,
        tx: &mut Tx,
    ) -> bool {
        let mut unloaded = 0;
        for key in self.waiting_for(plugin) {
            let Some(lanes) = self.get_mut(&key).filter(|lanes| lanes.has_unsealed()) else {
                continue;
            };
            if sealer.is_loaded(&key) {
                lanes.seal(&key, FirstAttempt::Waits, sealer, tx);
                tx.touched.push(key);
            } else if unloaded < READ_AT_ONCE {
                sealer.read_back(&key);
                unloaded += 1;
            }
        }
        unloaded == 0
    }
}

impl<K: Kind> Place<K> {
    /// The plugin by which goes what can be tried.
    fn ready_for(&self, now: Timestamp) -> Option<&PluginName> {
        match self.lane.head() {
            Some(head) => self.lane.is_ready(now).then(|| head.note.plugin()),
            None => self.unsealed.as_ref().filter(|_| self.lane.is_empty()),
        }
    }

    fn is_of(&self, plugin: &PluginName) -> bool {
        !K::LANE_PER_PLUGIN || self.plugin == *plugin
    }
}

/// Since when it waits: from a person's wish on, where it was a dead letter.
fn waits_since<K: Kind>(queued: &Queued<K>) -> Option<Timestamp> {
    queued.progress.requeued.or_else(|| queued.note.waits_since())
}

fn progress<K: Kind>(rows: &Rows) -> HashMap<u64, Progress> {
    let read = |(n, value): &(u64, Vec<u8>)| Some((*n, read(K::TABLES.attempt, *n, value)?));
    rows.iter().filter_map(read).collect()
}

/// What comes next in a lane behind this number, as many as a lane has in memory. A row that can't be read is
/// `None`; where other lanes' rows stand between, it is passed over.
fn next<K: Kind>(
    view: &View,
    key: &SessionKey,
    plugin: &PluginName,
    after: u64,
) -> Result<Vec<(u64, Option<K>)>, Missing> {
    let (table, group) = (K::TABLES.queued, session_group(key));
    let at_once = if K::LANE_PER_PLUGIN { AMONG_OTHERS } else { IN_MEMORY };
    let mut next = Key { table, group: group.clone(), number: after };
    let mut found = Vec::new();
    loop {
        let rows = view.scan(table, Some(next), at_once)?;
        let at_end = rows.len() < at_once || rows.last().is_some_and(|(row, _)| row.group != group);
        for (row, value) in rows.iter().filter(|(row, _)| row.group == group) {
            let item = read::<K>(table, row.number, value);
            let other = |item: &K| item.plugin() != plugin;
            if K::LANE_PER_PLUGIN && item.as_ref().is_none_or(other) {
                continue;
            }
            found.push((row.number, item));
        }
        match rows.last() {
            Some((last, _)) if !at_end && found.len() < IN_MEMORY => next = last.clone(),
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
