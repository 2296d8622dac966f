//! What is old leaves: rows by their age, sessions out of memory.

use std::collections::{HashMap, HashSet};

use serde::de::DeserializeOwned;

use crate::clock::Timestamp;
use crate::engine::core::Core;
use crate::engine::core::load::entries;
use crate::engine::event::What;
use crate::engine::history::{self, actions_of};
use crate::engine::kept::KeptRow;
use crate::engine::retention::{Age, Retention};
use crate::engine::rows::{delete, put, read, session_group, session_key};
use crate::engine::tx::Tx;
use crate::engine::view::{Missing, Page, View};
use crate::ids::SessionKey;
use crate::offers::talk::Talk;
use crate::offers::window::{DAY, Window};
use crate::outbox::due_timer::DueTimer;
use crate::outbox::lane::DeadLetter;
use crate::outbox::note::Note;
use crate::outbox::redaction::{Job, State, Why};
use crate::outbox::sink_delivery::SinkDelivery;
use crate::rows::{Group, Key, Rows, Table};
use crate::session::batch::StoredEntry;
use crate::session::state::Record;

impl Core {
    /// Removes what has expired among the next rows of every table, where that is due. `true`: it was.
    ///
    /// # Errors
    /// Rows are missing. Nothing changed; to be asked again with them.
    pub fn expire(&mut self, tx: &mut Tx) -> Result<bool, Missing> {
        if self.retention.at() > tx.now {
            return Ok(false);
        }
        let view = std::mem::take(&mut tx.view);
        let expired = self.expire_pages(&view, tx);
        tx.view = view;
        expired.map(|()| true)
    }

    /// The store is away: the pages are looked at from their beginning when it is back.
    pub fn put_off_expiry(&mut self, now: Timestamp) {
        self.retention = Retention::new(now);
    }

    fn expire_pages(&mut self, view: &View, tx: &mut Tx) -> Result<(), Missing> {
        let pages = self.retention.pages(view)?;
        let of = |wanted: Table| {
            let page = pages.iter().find(|(table, _)| *table == wanted);
            page.map(|(_, page)| *page).expect("every table has its page")
        };
        let gone = self.old_sessions(of(Table::Session), tx.now);
        let groups: Vec<_> = gone.iter().map(|(key, _)| session_group(key)).collect();
        let old = self.old_history(of(Table::History), tx.now);
        let of_old: HashSet<_> = old.iter().map(|(row, _)| &row.group).collect();
        let of_old: Vec<_> =
            of_old.into_iter().filter(|it| !groups.contains(it)).cloned().collect();
        let waiting = view.load(Table::Open, &of_old)?;
        let waiting: HashMap<_, _> = of_old.iter().zip(waiting).collect();
        // The last read.
        let [open, sent, kept, help, values, timers] = view.load_all(
            [
                Table::Open,
                Table::Sent,
                Table::History,
                Table::Help,
                Table::SessionValue,
                Table::Timer,
            ],
            &groups,
        )?;
        self.expire_records(of(Table::Session), tx);
        for (place, (key, record)) in gone.iter().enumerate() {
            let group = session_group(key);
            for (row, value) in open[place] {
                let entry = read::<StoredEntry>(Table::Open, *row, value);
                let actions = entry.map_or(0, |entry| entry.count() as u64);
                self.counters.dropped_window.add(actions);
                tx.push(delete(Table::Open, group.clone(), *row));
            }
            tx.extend(sent[place].iter().map(|(row, _)| delete(Table::Sent, group.clone(), *row)));
            tx.extend(help[place].iter().map(|(row, _)| delete(Table::Help, group.clone(), *row)));
            let values = values[place].iter();
            tx.extend(values.map(|(row, _)| delete(Table::SessionValue, group.clone(), *row)));
            let timers = timers[place].iter();
            tx.extend(timers.map(|(row, _)| delete(Table::Timer, group.clone(), *row)));
            self.counters.timers_expired.add(self.timers.forget(key));
            history::remove_all(tx, &group, kept[place]);
            self.history.forget(key);
            self.helping.forget(key);
            tx.tell(key, What::Gone);
            tx.push(delete(Table::Session, group, 0));
            self.directory.forget(key, record, tx);
        }
        self.counters.sessions_expired.add(gone.len() as u64);
        self.expire_dead::<Note>(of(Table::Dead), tx);
        self.expire_dead::<SinkDelivery>(of(Table::SinkDead), tx);
        self.expire_dead::<DueTimer>(of(Table::TimerDead), tx);
        self.expire_redactions(of(Table::Redact), tx);
        self.expire_kept(of(Table::Kept), tx);
        self.expire_history(&old, &waiting, tx);
        self.expire_talks(of(Table::Talk), tx);
        self.expire_times(of(Table::OfferTimes), tx);
        self.expire_ended(of(Table::Ended), tx);
        self.expire_remembered(of(Table::SourceSeen), tx);
        self.expire_remembered(of(Table::SourcePerson), tx);
        self.keys.expire(tx);
        self.audit.expire(tx);
        let looked_at =
            pages.iter().map(|(_, page)| (page.len(), page.last().map(|(key, _)| key.clone())));
        self.retention.go_on(looked_at.collect(), tx.now);
        self.gate.open().sweep(tx.now);
        Ok(())
    }

    /// A session in memory is busy or was touched a moment ago; it is passed over.
    fn old_sessions(&self, page: &Page, now: Timestamp) -> Vec<(SessionKey, Record)> {
        let oldest = now - self.settings.retention.sessions;
        let old = page.iter().filter(|(row, _)| row.number == 0).filter_map(|(row, value)| {
            let key = session_key(&row.group).filter(|key| !self.sessions.has(key))?;
            let record = read::<Record>(Table::Session, 0, value)?;
            (record.active_at < oldest).then_some((key, record))
        });
        old.collect()
    }

    /// A record that was set aside as unreadable has another number, its time in milliseconds.
    fn expire_records(&self, page: &Page, tx: &mut Tx) {
        let oldest = (tx.now - self.settings.retention.sessions).as_millis();
        for (row, _) in page {
            let in_memory = session_key(&row.group).is_none_or(|key| self.sessions.has(&key));
            if row.number != 0 && row.number < oldest && !in_memory {
                tx.push(delete(Table::Session, row.group.clone(), row.number));
            }
        }
    }

    /// Dead letters of a kind.
    fn expire_dead<T: DeserializeOwned>(&self, page: &Page, tx: &mut Tx) {
        let oldest = tx.now - self.settings.retention.dead_letters;
        for (row, value) in page {
            let letter = read::<DeadLetter<T>>(row.table, row.number, value);
            let Some(letter) = letter else { continue };
            // One that holds its lane waits for a person, however long.
            if letter.at < oldest && !letter.holds_lane {
                self.counters.dead_expired.add(1);
                tx.push(delete(row.table, row.group.clone(), row.number));
            }
        }
    }

    /// Redactions that are dead letters.
    fn expire_redactions(&mut self, page: &Page, tx: &mut Tx) {
        let oldest = tx.now - self.settings.retention.dead_letters;
        for (row, value) in page {
            let Some(job) = read::<Job>(Table::Redact, row.number, value) else { continue };
            if job.state == State::GivenUp && job.decided < oldest {
                self.counters.redactions_expired.add(1);
                if job.why == Why::Erased {
                    self.scrub.want(tx, &self.counters);
                }
                tx.push(delete(Table::Redact, row.group.clone(), row.number));
            }
        }
    }

    /// Notes that stay: what is left of an erasure is on record as long as dead letters are kept, what a summary was
    /// to replace as long as its session is.
    fn expire_kept(&self, page: &Page, tx: &mut Tx) {
        let retention = &self.settings.retention;
        for (row, value) in page {
            let Some(kept) = read::<KeptRow>(Table::Kept, row.number, value) else { continue };
            let oldest = match kept.why {
                Why::Erased => tx.now - retention.dead_letters,
                Why::Replaced => tx.now - retention.sessions,
            };
            if kept.at < oldest {
                tx.push(delete(Table::Kept, row.group.clone(), row.number));
            }
        }
    }

    /// What is kept of sessions and is old. What a run with a history left behind goes too where none is kept.
    fn old_history<'a>(&self, page: &'a Page, now: Timestamp) -> Vec<&'a (Key, Vec<u8>)> {
        let history = self.settings.history.as_ref();
        let oldest = now - history.map_or(self.settings.retention.sessions, |it| it.keep);
        let is_old = |(row, value): &&(Key, Vec<u8>)| {
            let age = read::<Age>(Table::History, row.number, value);
            age.is_some_and(|age| age.at < oldest)
        };
        page.iter().filter(is_old).collect()
    }

    /// Removes what is kept of sessions and is old. `waiting` are the rows of their open batches: what waits for a note
    /// keeps its actions.
    fn expire_history(
        &mut self,
        old: &[&(Key, Vec<u8>)],
        waiting: &HashMap<&Group, &Rows>,
        tx: &mut Tx,
    ) {
        for (row, value) in old {
            let open = waiting.get(&row.group).map_or_else(Vec::new, |rows| entries(rows));
            let of_row = open.into_iter().find(|(_, it)| it.kept_under() == Some(row.number));
            let actions = of_row.as_ref().and_then(|_| actions_of(value));
            if let Some(((place, entry), actions)) = of_row.zip(actions)
                && let Some(entry) = entry.with(actions)
            {
                tx.push(put(Table::Open, row.group.clone(), place, &entry.here()));
                let session = session_key(&row.group);
                if let Some(session) = session.and_then(|key| self.sessions.peek_mut(&key)) {
                    session.is_here(place);
                }
            }
            if let Some(key) = session_key(&row.group) {
                self.history.expire(&key, row.number);
            }
            self.counters.history_expired.add(1);
            tx.push(delete(Table::History, row.group.clone(), row.number));
        }
    }

    /// What is known of conversations in which nothing happens any more.
    fn expire_talks(&mut self, page: &Page, tx: &mut Tx) {
        let oldest = tx.now - self.settings.retention.sessions;
        for (row, value) in page {
            let talk = read::<Talk>(Table::Talk, row.number, value);
            if talk.is_some_and(|talk| talk.at < oldest) {
                self.helping.forget_talk(&row.group);
                tx.push(delete(Table::Talk, row.group.clone(), row.number));
            }
        }
    }

    /// When offers were made, once no limit looks so far back.
    fn expire_times(&mut self, page: &Page, tx: &mut Tx) {
        let oldest = tx.now - DAY;
        for (row, value) in page {
            let times = read::<Window>(Table::OfferTimes, row.number, value);
            if times.is_some_and(|times| times.last().is_none_or(|last| last < oldest)) {
                tx.push(delete(Table::OfferTimes, row.group.clone(), row.number));
            }
        }
    }

    /// What ended: it is on record as long as dead letters are.
    fn expire_ended(&self, page: &Page, tx: &mut Tx) {
        let oldest = tx.now - self.settings.retention.dead_letters;
        for (row, value) in page {
            let age = read::<Age>(Table::Ended, row.number, value);
            if age.is_some_and(|age| age.at < oldest) {
                tx.push(delete(Table::Ended, row.group.clone(), row.number));
            }
        }
    }

    /// What sources remember, as long as sessions are kept: of people who don't turn up, and what no tool sends again.
    fn expire_remembered(&self, page: &Page, tx: &mut Tx) {
        let oldest = tx.now - self.settings.retention.sessions;
        for (row, value) in page {
            let age = read::<Age>(row.table, row.number, value);
            if age.is_some_and(|age| age.at < oldest) {
                tx.push(delete(row.table, row.group.clone(), row.number));
            }
        }
    }

    /// Takes idle sessions out of memory. `swept`: rows were looked at for what has expired; else only where more are
    /// in memory than there should be. Returns which went.
    pub fn evict(&mut self, swept: bool, now: Timestamp) -> Vec<SessionKey> {
        let mut gone = Vec::new();
        if swept {
            gone = self.evict_before(now - self.settings.idle, false);
        }
        if self.sessions.len() > self.max_live {
            gone.extend(self.evict_before(now, true));
            // Where most are busy, the next look is due when there are many more.
            self.max_live = self.settings.max_live.max(self.sessions.len() / 4 * 5);
        }
        self.counters.sessions_in_memory.set(self.sessions.len() as u64);
        gone
    }

    /// Takes all sessions out of memory that have nothing to do at this moment.
    pub fn evict_waiting(&mut self, now: Timestamp) {
        self.evict_before(now, true);
    }

    fn evict_before(&mut self, before: Timestamp, hard: bool) -> Vec<SessionKey> {
        let deliveries = &self.deliveries;
        let is_idle = |key: &SessionKey, timers| deliveries.is_idle(key, timers, hard);
        let gone = self.sessions.evict(before, hard, is_idle);
        for key in &gone {
            self.deliveries.forget_lanes(key);
        }
        self.directory.clear();
        let sessions = &self.sessions;
        self.helping.evict(|key| sessions.has(key));
        self.history.retain(|key| sessions.has(key));
        gone
    }
}
