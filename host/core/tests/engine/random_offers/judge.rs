//! Compares a life with what must be.

use std::collections::HashSet;
use std::time::Duration;

use sidenote_core::engine::Work;
use sidenote_core::offers::log::{Decided, Log};
use sidenote_core::outbox::message::{Content, Job, Message};
use sidenote_core::rows::Table;

use super::{EXPIRES, Life, SESSIONS, times};
use crate::world::SECOND;

impl Life {
    /// Compares what is stored, and what is sent, with what must be.
    pub(super) fn judge(&mut self) {
        self.judge_ended();
        self.judge_calls();
        for (session, _) in SESSIONS {
            self.judge_standing(session);
        }
    }

    /// Messages that ended for want of time: those that nobody sent never came, of the others nobody knows.
    fn judge_ended(&mut self) {
        let waiting: HashSet<String> = self
            .world
            .all::<Job>(Table::Message)
            .iter()
            .map(|job| job.message.idempotency_key.clone())
            .collect();
        let gone: Vec<String> =
            self.on_the_way.keys().filter(|key| !waiting.contains(*key)).cloned().collect();
        for key in gone {
            let (message, made) = self.on_the_way.remove(&key).expect("it is one of them");
            let session = message.key.session.as_str();
            // It was erased.
            if !self.known[session].made.iter().any(|(of, _)| *of == key) {
                continue;
            }
            if self.sent.get(&key).is_some_and(|sent| sent.attempts > 0 && !sent.refused) {
                self.nobody_knows(&message);
                continue;
            }
            assert!(!self.platform.contains(&key), "the person has it");
            let least = EXPIRES - Duration::from_millis(500);
            let age = self.elapsed - made;
            assert!(age >= least || self.of_no_age.contains(&key), "it is late too early: {age:?}");
            self.known_mut(session).made.retain(|(of, _)| *of != key);
        }
    }

    /// A message was asked for until it wasn't any more.
    fn nobody_knows(&mut self, message: &Message) {
        let Content::Offer(offer) = &message.content else { return };
        let session = message.key.session.as_str();
        let log: Log = self.world.row(Table::Help, session, 1);
        let unknown = Decided::Unknown { seq: message.seq };
        let decision = log.decisions().find(|decision| decision.what == unknown);
        let at = decision.expect("it says so").at;
        assert!(self.world.now.since(at) <= SECOND, "it ended unseen at {at:?}");
        self.known_mut(session).model.lose(times(offer), at);
    }

    fn judge_calls(&mut self) {
        let mut under_way = HashSet::new();
        for call in self.world.calls.clone() {
            let Work::Message { message, unknown } = &call.work else { continue };
            let (key, session) = (&message.idempotency_key, message.key.session.as_str());
            if self.known[session].conversation.is_some() && self.is_waiting(message) {
                assert!(under_way.insert(session.to_owned()), "one message at a time");
            }
            if !self.seen.insert((key.clone(), call.attempt))
                || *unknown
                || message.content.is_repeatable()
            {
                continue;
            }
            let sent = self.sent.entry(key.clone()).or_default();
            assert!(sent.attempts == 0 || sent.refused, "it may have come, and is sent again");
            (sent.attempts, sent.refused) = (sent.attempts + 1, false);
            if let Some((_, made)) = self.on_the_way.get(key) {
                assert!(self.elapsed - *made < EXPIRES * 2, "it is sent late");
            }
        }
    }

    fn is_waiting(&self, message: &Message) -> bool {
        let jobs = self.jobs(message.key.session.as_str());
        jobs.iter().any(|job| job.message.idempotency_key == message.idempotency_key)
    }

    fn judge_standing(&mut self, session: &'static str) {
        let now = self.world.now;
        let wanted = self.known[session].model.at(now);
        let Some(help) = self.stored(session) else {
            return assert_eq!(wanted, ("thinking", None, false), "{session} isn't on record");
        };
        let standing = help.standing(None, now);
        let cools = standing.cooling_down && standing.state.as_str() == "thinking";
        assert_eq!((standing.state.as_str(), standing.until, cools), wanted, "{session}");
        assert!(standing.version >= self.known[session].version, "no change is lost");
        self.known_mut(session).version = standing.version;
        if let Some(offered) =
            help.offered().filter(|_| self.known[session].model.is_proactive(now))
        {
            let made = &self.known[session].made;
            let there = made.iter().any(|(key, _)| self.platform.contains(key));
            assert!(there, "the platform has no offer of {session}: {}", offered.seq);
        }
    }
}
