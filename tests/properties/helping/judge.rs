//! Compares a life with what must be.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use sidenote::clock::Timestamp;
use sidenote::engine::core::rows::decode;
use sidenote::offers::help::Help;
use sidenote::offers::log::{Decided, Decision, Log};
use sidenote::offers::refusal::Refusal;
use sidenote::outbox::message::Content;
use sidenote::outbox::note::{FailureKind, NoteKind};
use sidenote::store::{Group, Key, Store, Table};
use sidenote_tests::messages::{SeenMessage, Taking};

use super::model::{Event, Model, Span};
use super::{
    Happened, Life, MIN_INTERVAL, PER_PRODUCT_MINUTE, QUIET_AGENT, QUIET_PERSON, SESSIONS, Sure,
    TYPING, key, times,
};
use crate::store::Faulty;

impl Life {
    /// Compares how every session is stored with what follows from what happened.
    pub(super) async fn observe(&mut self, happened: Option<Happened>) -> Result<(), String> {
        for (session, (name, _)) in SESSIONS.iter().enumerate() {
            let of_it = happened.as_ref().filter(|it| it.session == session);
            let observed = self.observe_one(session, of_it).await;
            observed.map_err(|error| format!("session {name}: {error}"))?;
        }
        Ok(())
    }

    async fn observe_one(
        &mut self,
        session: usize,
        happened: Option<&Happened>,
    ) -> Result<(), String> {
        let (help, log) = stored(&self.store, session).await;
        let now = self.clock().now();
        let mut events = Vec::new();
        for decision in log.decisions() {
            if let Some(event) = self.decided(session, decision)? {
                events.push((event, Span::at(decision.at)));
            }
        }
        let known = &mut self.known[session];
        let (before, mut after) = (&known.model, None::<Model>);
        let all = |events: &[(Event, Span)], from: &Model| {
            events.iter().fold(from.clone(), |model, (event, at)| model.after(event, *at))
        };
        let mut or = |model: Model| {
            after = Some(match after.take() {
                Some(other) => other.or(model),
                None => model,
            });
        };
        if let Some(Happened { event, within, .. }) = happened {
            for place in 0..=events.len() {
                let (earlier, later) = events.split_at(place);
                if earlier.iter().all(|(_, at)| at.0 <= within.1)
                    && later.iter().all(|(_, at)| at.0 >= within.0)
                {
                    or(all(later, &all(earlier, before).after(event, *within)));
                }
            }
        }
        if happened.is_none_or(|happened| happened.maybe) {
            or(all(&events, before));
        }
        let after = after.unwrap_or_else(|| all(&events, before));
        let told = happened.map(|happened| &happened.event);
        if after.is_impossible() {
            return Err(format!("{told:?} and {events:?} can't follow from {before:?}"));
        }
        let standing = help.unwrap_or_else(|| Help::new(now)).standing(None, now);
        let seen = after.seen(&standing, now);
        if seen.is_impossible() {
            return Err(format!(
                "{standing:?} at {now:?}; after {told:?} and {events:?} it is {after:?}"
            ));
        }
        known.model = seen;
        Ok(())
    }

    /// What a decision that wasn't looked at before means for the session; whether there was reason for it.
    fn decided(&mut self, session: usize, decision: &Decision) -> Result<Option<Event>, String> {
        let seq = match decision.what {
            Decided::Made { seq }
            | Decided::Delivered { seq }
            | Decided::Late { seq }
            | Decided::Failed { seq, .. }
            | Decided::Unknown { seq } => seq,
            Decided::TornDown { .. }
            | Decided::TearDownFailed { .. }
            | Decided::Interrupted { .. }
            | Decided::Refused(_) => return Ok(None),
        };
        if !self.known[session].decided.insert((seq, decision.what.word())) {
            return Ok(None);
        }
        let seen = self.platform.messages.seen();
        let base = self.known[session].base;
        let sends: Vec<&SeenMessage> = seen[base..]
            .iter()
            .filter(|seen| seen.message.key == key(session) && seen.message.seq == seq)
            .collect();
        let may_have_come = sends.iter().any(|seen| !seen.is_refused());
        let times = times(&decision.trigger)?;
        if let Decided::Made { .. } = decision.what {
            self.may_be_offered(session, seq)?;
        }
        let known = &mut self.known[session];
        Ok(Some(match &decision.what {
            Decided::Made { .. } => Event::Made,
            Decided::Delivered { .. } if !sends.iter().any(|seen| seen.arrived()) => {
                return Err(format!("offer {seq} is said to be there, and isn't"));
            }
            Decided::Delivered { .. } => {
                let first = sends.iter().find(|seen| !seen.is_refused());
                let at = first.map_or(Span::at(decision.at), |first| self.began(first, decision));
                Event::Delivered(times, at)
            }
            Decided::Late { .. } | Decided::Failed { .. } if may_have_come => {
                return Err(format!("offer {seq} may have come: {:?}", decision.what));
            }
            Decided::Failed { .. }
                if sends
                    .last()
                    .is_none_or(|last| last.taking != Taking::Refuses(FailureKind::Permanent)) =>
            {
                return Err(format!("offer {seq} wasn't refused for good"));
            }
            Decided::Late { .. } | Decided::Failed { .. } => {
                known.made.retain(|(of, _)| *of != seq);
                Event::Nothing
            }
            // An attempt may be on record whose bytes never left.
            Decided::Unknown { .. } if !may_have_come && self.clocks.len() == 1 => {
                return Err(format!("it is known that offer {seq} never came"));
            }
            Decided::Unknown { .. } => Event::Unknown(times),
            Decided::TornDown { .. }
            | Decided::TearDownFailed { .. }
            | Decided::Interrupted { .. }
            | Decided::Refused(_) => Event::Nothing,
        }))
    }

    /// Since when an offer stands that came with this call: since it was answered, or, where nobody heard that, since
    /// the call was begun.
    fn began(&self, first: &SeenMessage, decision: &Decision) -> Span {
        let this_life = self.clocks.last().is_some_and(|(since, _)| *since <= first.at);
        if this_life && first.taking == Taking::Takes && first.end.is_some() {
            return Span::at(decision.at);
        }
        let passed = self.elapsed() - first.at;
        Span(decision.at - passed - self.store.two_rounds() - self.full, decision.at)
    }

    /// An offer was made: nothing may have been in its way.
    fn may_be_offered(&mut self, session: usize, seq: u64) -> Result<(), String> {
        let (asked, now) = (self.asked, self.elapsed());
        let known = &mut self.known[session];
        let conversation = known.linked.clone().ok_or("it isn't linked")?;
        if known.made.iter().any(|(_, at)| now - *at < MIN_INTERVAL) {
            return Err(format!("too soon: {:?} before {now:?}", known.made));
        }
        let minute = Duration::from_secs(60);
        let lately = self.of_product.iter().filter(|at| now - **at < minute).count();
        if lately >= PER_PRODUCT_MINUTE as usize {
            return Err(format!("the product made {lately} within a minute"));
        }
        known.made.push((seq, asked));
        self.of_product.push(asked);
        let talk = self.talks.get(&conversation).cloned().unwrap_or_default();
        let quiet = |at: Option<Duration>, time| at.is_none_or(|at| now - at + TYPING >= time);
        if talk.closed == Sure::Yes {
            return Err("its conversation is closed".to_owned());
        }
        if !quiet(talk.person_at, QUIET_PERSON) || !quiet(talk.agent_at, QUIET_AGENT) {
            return Err("somebody wrote a moment ago".to_owned());
        }
        Ok(())
    }

    pub(super) fn may_be_refused(&self, session: usize, refusal: Refusal) -> Result<(), String> {
        let known = &self.known[session];
        let talk = known.linked.as_ref().and_then(|it| self.talks.get(it));
        let closed = talk.map_or(Sure::No, |talk| talk.closed);
        let wrong = match refusal {
            Refusal::NotLinked => known.linked.is_some(),
            Refusal::Ended => closed == Sure::No,
            Refusal::AgentWrote { .. } | Refusal::PersonActive { .. } => talk.is_none(),
            Refusal::Off | Refusal::NoMessenger | Refusal::MovedOn => true,
            Refusal::Pending
            | Refusal::State { .. }
            | Refusal::CoolingDown { .. }
            | Refusal::TriggerCoolingDown { .. }
            | Refusal::TooSoon { .. }
            | Refusal::SessionHour { .. }
            | Refusal::UserDay { .. }
            | Refusal::ProductMinute { .. }
            | Refusal::Breaker => false,
        };
        if wrong { Err(format!("nothing is so that it says {refusal:?}")) } else { Ok(()) }
    }

    /// Judges what the platform was sent, after the last host drained.
    pub(super) async fn judge_messages(&self) -> Result<(), String> {
        for table in [Table::Message, Table::Outbox] {
            let left = self.store.scan(table, None, usize::MAX).await.expect("the store answers");
            if !left.is_empty() {
                return Err(format!("{} rows of {table:?} are left", left.len()));
            }
        }
        let seen = self.platform.messages.seen();
        let mut by_key: BTreeMap<&str, Vec<&SeenMessage>> = BTreeMap::new();
        for message in &seen {
            by_key.entry(&message.message.idempotency_key).or_default().push(message);
        }
        for sends in by_key.values() {
            if let Some(again) = sends.windows(2).find(|pair| !pair[0].is_refused()) {
                return Err(format!("it may have come, and is sent again: {:?}", again[1]));
            }
        }
        for (n, message) in seen.iter().enumerate() {
            self.in_time(message)?;
            self.behind_its_notes(n, message)?;
            let conversation = message.message.conversation.as_str();
            let silenced = self.silenced.iter().any(|(of, from, until)| {
                of == conversation && *from <= n && until.is_none_or(|until| n < until)
            });
            if silenced && matches!(message.message.content, Content::Reply(_)) {
                return Err(format!("an answer behind an agent's back: {message:?}"));
            }
        }
        for session in 0..SESSIONS.len() {
            // What is under way when somebody is erased is nothing to what comes after it.
            let era = |n| {
                let erased = self.erasures.iter().filter(|it| it.session == session);
                erased.filter(|it| it.messages <= n).count()
            };
            let of_it = (0..).zip(&seen).filter(|(_, it)| it.message.key == key(session));
            let of_it: Vec<_> = of_it.map(|(n, it)| (era(n), it)).collect();
            let at_once = |pair: &&[(usize, &SeenMessage)]| {
                pair[0].0 == pair[1].0 && pair[0].1.end.is_some_and(|end| end > pair[1].1.at)
            };
            if let Some(pair) = of_it.windows(2).find(at_once) {
                return Err(format!("two messages at once: {pair:?}"));
            }
            let (help, _) = stored(&self.store, session).await;
            if help.is_some_and(|help| help.is_pending()) {
                return Err("something is said to be on its way in the end".to_owned());
            }
        }
        self.each_question_once(&seen)?;
        self.people_were_told()
    }

    /// No message is sent before it was made or when it is late, by the clock of the host that sends it.
    fn in_time(&self, seen: &SeenMessage) -> Result<(), String> {
        let mut lives = self.clocks.iter().rev();
        let Some((since, clock)) = lives.find(|(since, _)| *since <= seen.at) else {
            return Err("it was sent before the first life".to_owned());
        };
        let start = clock.now() - (self.platform.start().elapsed() - *since);
        let at = start + (seen.at - *since);
        let message = &seen.message;
        // What is stored late is sent a moment late.
        let late = message.expires_at + self.store.two_rounds() + self.full;
        if at < message.made_at || at >= late {
            let of = (message.made_at, message.expires_at);
            return Err(format!("sent at {at:?}, and it is of {of:?}"));
        }
        Ok(())
    }

    /// Notes that were there before a message went before it.
    fn behind_its_notes(&self, n: usize, seen: &SeenMessage) -> Result<(), String> {
        let message = &seen.message;
        let era = self.erasures.iter().filter(|it| key(it.session) == message.key);
        let eras: Vec<_> = era.collect();
        let era_of_message = eras.iter().filter(|it| it.messages <= n).count();
        for (place, post) in self.platform.posts().iter().enumerate() {
            let era = eras.iter().filter(|it| it.posts <= place).count();
            let before = post.note.key == message.key && post.note.seq <= message.after_note;
            if before && era == era_of_message && post.at > seen.at {
                return Err(format!("note {} came behind a message", post.note.seq));
            }
        }
        Ok(())
    }

    /// No question is answered by two messages.
    fn each_question_once(&self, seen: &[SeenMessage]) -> Result<(), String> {
        let mut answers: BTreeMap<(&str, &str), HashSet<&str>> = BTreeMap::new();
        for seen in seen {
            if let Content::Reply(reply) = &seen.message.content {
                let of = (seen.message.conversation.as_str(), reply.answers.as_str());
                answers.entry(of).or_default().insert(&seen.message.idempotency_key);
            }
        }
        match answers.iter().find(|(_, keys)| keys.len() > 1) {
            Some((question, _)) => Err(format!("two answers to {question:?}")),
            None => Ok(()),
        }
    }

    /// Each note for people that was promised was posted, where its session wasn't erased.
    fn people_were_told(&self) -> Result<(), String> {
        let posts = self.platform.posts();
        for (session, era, seq) in &self.noted {
            let told = posts.iter().any(|post| {
                (&post.note.key, post.note.seq) == (&key(*session), *seq)
                    && post.note.kind == NoteKind::ForPeople
            });
            if !told && self.known[*session].era == *era {
                return Err(format!("note {seq} for people was never posted"));
            }
        }
        Ok(())
    }
}

/// How a session is stored, and what was decided of its offers.
async fn stored(store: &Faulty, session: usize) -> (Option<Help>, Log) {
    let rows = help_rows(store, session).await;
    let row = |number| rows.iter().find(|(n, _)| *n == number).map(|(_, value)| value);
    let help = row(0).map(|value| decode(value).expect("a row can be read"));
    let log = row(1).map(|value| decode(value).expect("a row can be read"));
    (help, log.unwrap_or_default())
}

/// When the row of a session says that it was stored.
pub(super) async fn saved_at(store: &Faulty, session: usize) -> Option<Timestamp> {
    #[derive(serde::Deserialize)]
    struct Row {
        saved_at: Timestamp,
    }
    let rows = help_rows(store, session).await;
    let row = rows.iter().find(|(n, _)| *n == 0)?;
    Some(decode::<Row>(&row.1).expect("a row can be read").saved_at)
}

/// The rows of a session that say how it is helped, and what it is sent.
pub(super) async fn rows_of(store: &Faulty, session: usize) -> Vec<Key> {
    let mut keys = Vec::new();
    for table in [Table::Help, Table::Message] {
        let rows = store.load(table, &[group(session)]).await.expect("the store answers");
        let group = group(session);
        keys.extend(rows.iter().flatten().map(|(number, _)| Key {
            table,
            group: group.clone(),
            number: *number,
        }));
    }
    keys
}

async fn help_rows(store: &Faulty, session: usize) -> Vec<(u64, Vec<u8>)> {
    let rows = store.load(Table::Help, &[group(session)]).await;
    rows.expect("the store answers").pop().expect("one group was asked for")
}

fn group(session: usize) -> Group {
    let key = key(session);
    Group(key.product.shared(), key.session.shared())
}
