//! Erasing: a session leaves everything, and what is to become of its notes at the platform goes on record.

use std::collections::HashSet;

use crate::engine::core::Core;
use crate::engine::deliveries::Posting;
use crate::engine::erase::{AtPlatform, EraseOrder, Erased, OF_SESSION, SessionRows};
use crate::engine::event::What;
use crate::engine::kept::{self, Wanted};
use crate::engine::rows::{Person, delete, session_group};
use crate::engine::tx::Tx;
use crate::ids::SessionKey;
use crate::outbox::attempt::Attempts;
use crate::outbox::redaction::{Job, State, Why};
use crate::rows::Rows;
use crate::session::state::Target;

impl Core {
    pub(super) fn erase(&mut self, mut order: EraseOrder, tx: &mut Tx) -> Erased {
        let wanted = Wanted { why: Why::Erased, erasure: Some(order.id), now: tx.now };
        let mut erased = Erased::default();
        for key in &order.keys {
            erased.add(self.erase_session(key, &order, wanted, tx));
        }
        let remembered = std::mem::take(&mut order.remembered);
        if erased.sessions > 0 || !remembered.is_empty() {
            self.scrub.want(tx, &self.counters);
        }
        tx.extend(remembered);
        self.counters.sessions_erased.add(erased.sessions);
        self.counters.timers_erased.add(erased.timers);
        erased
    }

    fn erase_session(
        &mut self,
        key: &SessionKey,
        order: &EraseOrder,
        wanted: Wanted,
        tx: &mut Tx,
    ) -> Erased {
        let group = session_group(key);
        let mut rows = SessionRows::default();
        for table in OF_SESSION {
            rows.add(table, tx.rows(table, &group));
        }
        let keep_notes = order.keep_notes;
        let notes = rows.at_platform(keep_notes, &|plugin| self.plugins.redacts(plugin));
        let forgotten = rows.forgotten(&notes, keep_notes);
        let erased = rows.tally(&notes, forgotten.as_ref());
        tx.discard(&OF_SESSION, &group);
        for table in OF_SESSION {
            let numbers = |rows: &Rows| rows.iter().map(|(number, _)| *number).collect::<Vec<_>>();
            let stored = tx.view.group(table, &group).map(numbers);
            let stored = stored.into_iter().flatten();
            tx.extend(stored.map(|number| delete(table, group.clone(), number)));
        }
        if let Some(forgotten) = &forgotten {
            let (notes, reason) = (forgotten.notes, forgotten.reason);
            tx.push(kept::forgotten(key, &forgotten.target, notes, reason, wanted));
        }
        let posting = self.forget(key, &rows, &order.persons, tx);
        for note in notes {
            self.redact_erased(key, note, posting, order, wanted, tx);
        }
        erased
    }

    /// What happens to a note at the platform whose session is erased. `posting` is the one whose
    /// post is under way.
    fn redact_erased(
        &mut self,
        key: &SessionKey,
        note: AtPlatform,
        posting: Option<Posting>,
        order: &EraseOrder,
        wanted: Wanted,
        tx: &mut Tx,
    ) {
        let AtPlatform { seq, sent, kept, ask, job } = note;
        if let Some(reason) = kept {
            tx.push(kept::row(&key.product, &sent, reason, wanted));
        }
        if !ask {
            self.deliveries.remove_redaction(key, seq, tx);
            self.counters.redactions_unsupported.add(u64::from(!order.keep_notes));
            return;
        }
        let posting = posting.filter(|post| post.seq == seq && sent.note_id.is_none());
        let job = match job {
            // What is in memory knows of an attempt that is under way.
            Some(job) => match self.deliveries.redaction(key, seq).cloned() {
                Some(live) => live,
                None if job.state == State::GivenUp => Job::new(job.note, Why::Erased, tx.now),
                None => job.taken_up(tx.now),
            },
            None => match posting {
                Some(post) => Job::of_post(sent, Why::Erased, post.unknown, tx.now),
                None => Job::new(sent, Why::Erased, tx.now),
            },
        };
        // What was tried before is part of what is erased.
        let note = job.note.without_its_story();
        let tries = Attempts::NONE;
        let job = Job { note, why: Why::Erased, erasure: wanted.erasure, tries, ..job };
        self.deliveries.add_redaction(key, seq, job, tx, &self.counters);
    }

    /// Takes a session out of the memory and the indexes. Returns which note of it is being posted at this moment.
    fn forget(
        &mut self,
        key: &SessionKey,
        rows: &SessionRows,
        persons: &[Person],
        tx: &mut Tx,
    ) -> Option<Posting> {
        tx.records.remove(key);
        self.history.forget(key);
        self.helping.forget(key);
        self.timers.forget(key);
        tx.tell(key, What::Gone);
        let posting = self.deliveries.forget_lanes(key);
        let record = self.sessions.begin_anew(key, tx.now).unwrap_or_default();
        let of_person = Person::of(record.user_id.as_deref(), record.email.as_deref());
        let mut known: HashSet<_> = of_person.chain(persons.iter().cloned()).collect();
        let mut targets: HashSet<Target> = record.past.into_iter().collect();
        targets.extend(record.link.map(|link| (link.plugin, link.conversation)));
        // Where the record can't be read, the notes say it.
        for note in rows.notes() {
            targets.insert((note.plugin.clone(), note.conversation.clone()));
            known.extend(Person::of(note.user_id.as_deref(), note.email.as_deref()));
        }
        known.extend(rows.in_sink_deliveries());
        known.extend(rows.in_timers());
        targets.extend(rows.sent().map(|(_, sent)| (sent.plugin, sent.conversation)));
        targets.iter().for_each(|target| self.directory.leave(target, key, tx));
        known.iter().for_each(|person| self.directory.forget_person(key, person, tx));
        posting
    }
}
