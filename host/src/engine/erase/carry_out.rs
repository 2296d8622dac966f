//! What an erasure does to the rows and to what is in memory.

use std::collections::{HashMap, HashSet};

use super::find::{self, AtPlatform, Forgotten, SessionRows};
use super::kept::{self, Reason, Wanted};
use super::{Erased, Order};
use crate::clock::Timestamp;
use crate::engine::deliveries::Outcome;
use crate::engine::feed::What;
use crate::engine::round::{Answer, Engine, Round};
use crate::engine::rows::{
    Person, conversation_group, delete, person_group, put, session_group, session_number,
};
use crate::engine::snapshot;
use crate::ids::SessionKey;
use crate::outbox::lane::{Lane, State as Attempt};
use crate::outbox::redaction::{Job, State, Why};
use crate::store::{StoreError, Table};

/// A shared copy that somebody else changes all the time is given up after so many looks.
const LOOKS: usize = 8;

impl Engine {
    /// Reads what is to be erased. The copies of these sessions that autoplay-sdk shares go first:
    /// were they there afterwards, the sessions would be taken over from them again.
    pub(in crate::engine) async fn load_erased(
        &self,
        keys: HashSet<SessionKey>,
        now: Timestamp,
    ) -> Result<HashMap<SessionKey, SessionRows>, StoreError> {
        if keys.is_empty() {
            return Ok(HashMap::new());
        }
        let keys: Vec<_> = keys.into_iter().collect();
        for key in &keys {
            self.remove_copy(key, now).await?;
        }
        Ok(find::load(&*self.store, &keys).await?.into_iter().collect())
    }

    async fn remove_copy(&self, key: &SessionKey, now: Timestamp) -> Result<(), StoreError> {
        let Some(snapshots) = &self.snapshots else { return Ok(()) };
        for _ in 0..LOOKS {
            let read = snapshots.read(std::slice::from_ref(&key.session)).await?;
            let Some(stored) = read.into_iter().flatten().next() else { return Ok(()) };
            match snapshot::import(&stored, now) {
                Ok(imported) if self.is_of(key, &imported) => {}
                Ok(_) => return Ok(()),
                Err(error) => {
                    tracing::warn!("erase: a shared session is left: {error}");
                    return Ok(());
                }
            }
            if snapshots.remove(&key.session, &stored).await? {
                return Ok(());
            }
        }
        tracing::warn!("erase: a shared session is left: somebody else changes it all the time");
        Ok(())
    }

    pub(in crate::engine) fn erase(&mut self, round: &mut Round, order: Order, now: Timestamp) {
        let Order { keys, persons, keep_notes, id, reply } = order;
        let wanted = Wanted { why: Why::Erased, erasure: Some(id), now };
        let mut erased = Erased::default();
        for key in keys {
            let Some(rows) = round.erased.remove(&key) else { continue };
            erased.add(self.erase_session(round, &key, rows, &persons, keep_notes, wanted));
        }
        if erased.sessions > 0 {
            self.want_scrub(round, now);
        }
        self.counters.sessions_erased.add(erased.sessions);
        round.answers.push(Answer::Erased(reply, erased));
    }

    fn erase_session(
        &mut self,
        round: &mut Round,
        key: &SessionKey,
        mut rows: SessionRows,
        persons: &[Person],
        keep_notes: bool,
        wanted: Wanted,
    ) -> Erased {
        rows.absorb(key, &mut round.changes);
        let notes = rows.at_platform(keep_notes, &|plugin| self.post.redacts(plugin));
        let forgotten = rows.forgotten(&notes, keep_notes);
        let erased = rows.tally(&notes, forgotten.as_ref());
        let group = session_group(key);
        for (table, number) in std::mem::take(&mut rows.stored) {
            round.changes.push(delete(table, group.clone(), number));
        }
        if let Some(Forgotten { target: (plugin, conversation), notes, reason }) = &forgotten {
            let target = (plugin, conversation);
            round.changes.push(kept::forgotten(key, target, *notes, *reason, wanted));
        }
        let posting = self.forget(round, key, &rows, persons, wanted.now);
        for note in notes {
            let AtPlatform { seq, sent, kept, ask, job } = note;
            if let Some(reason) = kept {
                round.changes.push(kept::row(&key.product, &sent, reason, wanted));
            }
            if !ask {
                self.redactions.change(key, |queue| queue.remove(seq));
                self.counters.redactions_unsupported.add(u64::from(!keep_notes));
                continue;
            }
            let is_known = job.is_some() || sent.note_id.is_some();
            let job = match job {
                // What is in memory knows of an attempt that is under way.
                Some(job) => match self.redactions.job(key, seq).cloned() {
                    Some(live) => live,
                    None if job.state == State::GivenUp => {
                        Job::new(job.note, Why::Erased, wanted.now)
                    }
                    None => job.taken_up(wanted.now),
                },
                None if !is_known && posting == Some(seq) => {
                    Job::of_post(sent, Why::Erased, wanted.now)
                }
                None => Job::new(sent, Why::Erased, wanted.now),
            };
            let job = Job { why: Why::Erased, erasure: wanted.erasure, ..job };
            self.queue_redaction(round, key, seq, job);
        }
        erased
    }

    /// Takes a session out of the memory and the indexes. Returns the number of its note that is being
    /// posted at this moment.
    fn forget(
        &mut self,
        round: &mut Round,
        key: &SessionKey,
        rows: &SessionRows,
        persons: &[Person],
        now: Timestamp,
    ) -> Option<u64> {
        round.records.remove(key);
        self.history_indexes.forget(key);
        round.told.push((key.clone(), What::Gone));
        let live = self.memory.begin_anew(key, now);
        let record = live.as_ref().map(|live| live.session.record().clone()).unwrap_or_default();
        let mut targets: HashSet<_> = record.past.into_iter().collect();
        targets.extend(record.link.map(|link| (link.plugin, link.conversation)));
        let of_person = Person::of(record.user_id.as_deref(), record.email.as_deref());
        let mut known: HashSet<_> = of_person.chain(persons.iter().cloned()).collect();
        // Where the record can't be read, the notes say it.
        for note in rows.notes() {
            targets.insert((note.plugin.clone(), note.conversation.clone()));
            known.extend(Person::of(note.user_id.as_deref(), note.email.as_deref()));
        }
        known.extend(rows.in_sink_deliveries());
        targets.extend(rows.sent().map(|(_, sent)| (sent.plugin, sent.conversation)));
        let number = session_number(key);
        for target in targets {
            let group = conversation_group(&target.0, &target.1);
            round.changes.push(delete(Table::Conversation, group, number));
            if let Some(owners) = self.memory.owners.get_mut(&target) {
                owners.remove(key);
            }
        }
        for person in known {
            self.memory.forget_person(&key.product, &person, key);
            let group = person_group(&key.product, &person);
            round.changes.push(delete(Table::Person, group, number));
        }
        let heads = live.iter().flat_map(|live| live.notes.iter()).filter_map(Lane::head);
        let mut posting = heads.filter(|head| head.progress.state == Attempt::InFlight);
        posting.next().map(|head| head.note.seq)
    }

    /// Takes the outcome of a post whose session was erased meanwhile. `false`: it is another one's.
    pub(in crate::engine) fn end_erased_post(
        &mut self,
        round: &mut Round,
        outcome: &Outcome,
        now: Timestamp,
    ) -> bool {
        let Outcome { item: note, result, .. } = outcome;
        let job = self.redactions.job(&note.key, note.seq);
        let ours = |job: &&Job| {
            job.state == State::Posting && job.note.idempotency_key == note.idempotency_key
        };
        let Some(job) = job.filter(ours) else { return false };
        let group = session_group(&note.key);
        let note_id = match result {
            Ok(posted) => posted.note_id.clone(),
            Err(_) => None,
        };
        let unknown = result.as_ref().is_err_and(|error| error.is_unknown());
        if note_id.is_none() && !unknown {
            let job = job.clone();
            self.redactions.change(&note.key, |queue| queue.remove(note.seq));
            round.changes.push(delete(Table::Redact, group, note.seq));
            match result {
                Ok(_) => self.leave(round, &note.key, note.seq, job, Reason::NoNoteId, now),
                // It never came there.
                Err(_) => round.changes.push(kept::gone(&job.note)),
            }
            self.want_scrub(round, now);
            return true;
        }
        let changed = self.redactions.change(&note.key, |queue| {
            let job = queue.posted(note.seq, note_id)?;
            Some(put(Table::Redact, group, note.seq, job))
        });
        round.changes.extend(changed.flatten());
        true
    }
}
