//! What people write and is answered: one answer per message, none once a human agent has written, and each checked
//! again in the transaction that puts it on its way.

use std::sync::Arc;

use super::help::registry_of;
use crate::engine::core::Core;
use crate::engine::counters::Count;
use crate::engine::event::What;
use crate::engine::tx::Tx;
use crate::ids::SessionKey;
use crate::outbox::message::{Content, Ended, Job, Message};
use crate::replies::answer::{
    self, HandOver, NotReplied, Replied, Reply, ReplyText, ReplyWish, Response,
};
use crate::replies::question::{self, Question, id_of, mark, shortened};
use crate::rules::Reply as Rules;
use crate::session::state::Target;
use crate::session::turn::Meaning;

impl Core {
    /// The person wrote something: it waits for an answer, where their product has replies and no human agent is there.
    /// A message is heard once, however often its platform tells it.
    pub(super) fn ask(
        &mut self,
        target: &Target,
        named: Option<&str>,
        text: Option<&str>,
        tx: &mut Tx,
    ) {
        let Some(text) = text.map(str::trim).filter(|text| !text.is_empty()) else { return };
        let Some(key) = self.answered_session(target) else { return };
        let id = id_of(named, text, tx.now);
        let Some(talk) = self.helping.talk_mut(target) else { return };
        if !talk.hear(mark(&target.1, &id)) {
            return;
        }
        let (has_agent, closed) = (talk.has_agent, talk.closed);
        self.helping.save_talk(target, tx);
        if has_agent {
            self.counters.replies_left_to_agents.add(1);
            return;
        }
        let tours = self.registry(&key);
        let Some(help) = self.helping.get_mut(&key).filter(|_| !closed) else { return };
        let text = shortened(text, question::MAX_CHARS);
        let (target, at) = (target.clone(), tx.now);
        let asked = Question { id: id.clone(), text, target, at, answered_by: None };
        if !help.questions_mut().add(asked) {
            if let Some(total) = self.counters.replies_refused.add_told(1) {
                tracing::warn!(
                    total,
                    "replies: a message isn't answered, since as many of its session wait as may; this is said again \
                     when the total has doubled"
                );
            }
            return;
        }
        self.counters.replies_asked.add(1);
        self.helping.save(&key, registry_of(&tours), tx);
        self.sessions.touch(&key, tx.now);
        tx.tell(&key, What::Asked(id));
    }

    /// Whose session a message in a conversation is answered for: of several, the one that was active last.
    fn answered_session(&self, target: &Target) -> Option<SessionKey> {
        let answered = self.directory.sessions_in(target).into_iter().filter(|key| {
            let linked = self.sessions.get(key);
            linked.is_some_and(|session| session.is_linked_to(&target.0, &target.1))
                && self.settings.replies(&key.product).is_some()
        });
        answered.max_by_key(|key| self.sessions.record(key).map(|record| record.active_at))
    }

    /// Puts an answer on its way, or notes it for people; or says why not. A question that can't be answered any more
    /// waits no longer.
    pub(super) fn reply(&mut self, wish: ReplyWish, tx: &mut Tx) -> Result<Replied, NotReplied> {
        let ReplyWish { key, message_id, what } = wish;
        self.sessions.touch(&key, tx.now);
        let done = match self.check_reply(&key, &message_id, &what, tx) {
            Ok((rules, target)) => match what {
                Response::Text(text) if !rules.dry_run => {
                    let reply = Reply { text, answers: message_id };
                    return self.send_reply(&key, target, reply, &rules, tx);
                }
                what @ (Response::Text(_) | Response::HandOver { .. }) => {
                    self.note_reply(&key, &what, tx)
                }
            },
            Err(NotReplied::UnderWay) => return Err(NotReplied::UnderWay),
            Err(NotReplied::Gone) => return Err(NotReplied::Gone),
            Err(refused) => {
                self.count_left(refused).add(1);
                tracing::info!("{refused}; nothing is sent");
                if let (NotReplied::Late | NotReplied::NoMessenger, Response::Text(text)) =
                    (refused, what)
                {
                    self.note_unsent(&key, &message_id, text, tx);
                }
                Err(refused)
            }
        };
        self.forget_question(&key, &message_id, tx);
        done
    }

    fn check_reply(
        &mut self,
        key: &SessionKey,
        id: &str,
        what: &Response,
        tx: &Tx,
    ) -> Result<(Arc<Rules>, Target), NotReplied> {
        let help = self.helping.get_mut(key).ok_or(NotReplied::Gone)?;
        let asked = help.questions().get(id).ok_or(NotReplied::Gone)?;
        if asked.answered_by.is_some() {
            return Err(NotReplied::UnderWay);
        }
        let (target, at) = (asked.target.clone(), asked.at);
        let rules = self.settings.replies(&key.product).cloned().ok_or(NotReplied::Off)?;
        let session = self.sessions.get(key).ok_or(NotReplied::Gone)?;
        if !session.is_linked_to(&target.0, &target.1) {
            return Err(NotReplied::Moved);
        }
        // It was linked there in this very moment: what is known of that conversation wasn't read.
        let talk = self.helping.talk_mut(&target).ok_or(NotReplied::Moved)?;
        if talk.has_agent {
            return Err(NotReplied::AgentWrote);
        }
        if talk.closed {
            return Err(NotReplied::Closed);
        }
        match what {
            // People read a note whenever they come.
            Response::HandOver { .. } => {}
            Response::Text(_) if tx.now >= at + rules.expires => return Err(NotReplied::Late),
            Response::Text(_) if rules.dry_run => {}
            Response::Text(_) if self.plugins.offers(&target.0) == Some(false) => {
                return Err(NotReplied::NoMessenger);
            }
            Response::Text(_) => {}
        }
        Ok((rules, target))
    }

    fn send_reply(
        &mut self,
        key: &SessionKey,
        (plugin, conversation): Target,
        reply: Reply,
        rules: &Rules,
        tx: &mut Tx,
    ) -> Result<Replied, NotReplied> {
        let now = tx.now;
        let tours = self.registry(key);
        let after_note = self.sessions.record(key).map_or(0, |record| record.notes);
        let help = self.helping.get_mut(key).ok_or(NotReplied::Gone)?;
        let seq = help.number_message(now);
        help.questions_mut().answer(&reply.answers, seq);
        let asked_at = help.questions().get(&reply.answers).map_or(now, |asked| asked.at);
        self.helping.save(key, registry_of(&tours), tx);
        self.deliveries.add_message(
            Job::new(Arc::new(Message {
                key: key.clone(),
                seq,
                plugin,
                conversation,
                content: Content::Reply(reply),
                idempotency_key: Message::idempotency_key(key, seq, now),
                made_at: now,
                expires_at: asked_at + rules.expires,
                after_note,
            })),
            tx,
        );
        Ok(Replied::Sending(seq))
    }

    /// Tells people what isn't sent, behind what was done before.
    fn note_reply(
        &mut self,
        key: &SessionKey,
        what: &Response,
        tx: &mut Tx,
    ) -> Result<Replied, NotReplied> {
        let settings = self.settings.clone();
        let rules = settings.rules(&key.product);
        let session = self.sessions.get_mut(key, tx.now).ok_or(NotReplied::Gone)?;
        let (seq, effects) = session.on_word_to_people(answer::note(what), tx.now, rules);
        self.run_effects(key, effects, tx);
        let seq = seq.ok_or(NotReplied::Moved)?;
        let count = match what {
            Response::Text(_) => &self.counters.replies_drafted,
            Response::HandOver { .. } => &self.counters.replies_handed_over,
        };
        count.add(1);
        Ok(Replied::Noted(seq))
    }

    /// Takes how an answer ended. Its question leaves the row in the same transaction. Where the person certainly has no
    /// answer, people are told in it.
    pub(super) fn end_reply(&mut self, job: &Job, reply: &Reply, ended: Ended, tx: &mut Tx) {
        let Message { key, plugin, .. } = &*job.message;
        self.sessions.touch(key, tx.now);
        let came = matches!(ended, Ended::Delivered(..));
        let (count, unsent) = match ended {
            Ended::Delivered(..) => (&self.counters.replies_delivered, false),
            Ended::Late => (&self.counters.replies_late, true),
            Ended::Failed(reason) => {
                tracing::warn!(
                    %plugin,
                    attempts = job.attempts,
                    reason = &*reason,
                    "replies: an answer could not be sent; it isn't tried again"
                );
                (&self.counters.replies_failed, true)
            }
            Ended::Unknown => {
                tracing::warn!(
                    %plugin,
                    "replies: nobody knows whether an answer came to the person; it isn't sent again"
                );
                (&self.counters.replies_unknown, false)
            }
        };
        count.add(1);
        if unsent {
            self.note_unsent(key, &reply.answers, reply.text.clone(), tx);
        }
        if came {
            self.mark_answered(&job.message, &reply.answers, tx);
        }
        self.forget_question(key, &reply.answers, tx);
    }

    /// What the person did from the moment on at which they wrote this is new to whoever answers them next.
    fn mark_answered(&mut self, message: &Message, id: &str, tx: &mut Tx) {
        let asked = self.helping.get_mut(&message.key).and_then(|help| help.questions().get(id));
        let Some(heard_at) = asked.map(|asked| asked.at) else { return };
        let target = (message.plugin.clone(), message.conversation.clone());
        if let Some(talk) = self.helping.talk_mut(&target) {
            talk.answered(heard_at, tx.now);
            self.helping.save_talk(&target, tx);
        }
    }

    /// An answer was found and certainly didn't come to the person: people are told, unless they are in the conversation
    /// already, or it went on elsewhere.
    fn note_unsent(&mut self, key: &SessionKey, id: &str, draft: ReplyText, tx: &mut Tx) {
        let asked = self.helping.get_mut(key).and_then(|help| help.questions().get(id));
        let Some(target) = asked.map(|asked| asked.target.clone()) else { return };
        let linked = self.sessions.get(key);
        if !linked.is_some_and(|session| session.is_linked_to(&target.0, &target.1)) {
            return;
        }
        // A conversation that isn't in memory had nothing happen in it lately.
        let talk = self.helping.talk_mut(&target);
        if talk.is_some_and(|talk| talk.has_agent || talk.closed) {
            return;
        }
        let what = Response::HandOver { why: HandOver::Unsent, draft: Some(draft) };
        if let Err(refused) = self.note_reply(key, &what, tx) {
            tracing::warn!("{refused}; people aren't told of an answer that could not be sent");
        }
    }

    /// An attempt at an answer failed and is to be tried again: not where a human agent wrote meanwhile, or the
    /// conversation was closed.
    pub(super) fn retry_reply(&mut self, message: &Message, tx: &mut Tx) {
        let target = (message.plugin.clone(), message.conversation.clone());
        let Some(talk) = self.helping.talk_mut(&target) else { return };
        let refused = match (talk.has_agent, talk.closed) {
            (true, _) => NotReplied::AgentWrote,
            (false, true) => NotReplied::Closed,
            (false, false) => return,
        };
        // Which sessions the conversation has needn't be in memory: the message says whose it is.
        self.leave_questions_of(&message.key, &target, refused, tx);
    }

    /// A human agent wrote, or the conversation was closed: what waits there isn't answered any more, where no call for
    /// it is under way and none may have come.
    pub(super) fn leave_questions(&mut self, target: &Target, meaning: Meaning, tx: &mut Tx) {
        let refused = match meaning {
            Meaning::AgentWrote => NotReplied::AgentWrote,
            Meaning::Closed
            | Meaning::PersonWrote
            | Meaning::PersonTypes
            | Meaning::PersonReacted
            | Meaning::AgentTypes
            | Meaning::Reopened
            | Meaning::Nothing => NotReplied::Closed,
        };
        for key in self.directory.sessions_in(target) {
            self.leave_questions_of(&key, target, refused, tx);
        }
    }

    fn leave_questions_of(
        &mut self,
        key: &SessionKey,
        target: &Target,
        refused: NotReplied,
        tx: &mut Tx,
    ) {
        let unsent = self.deliveries.take_replies(key, target, tx);
        let tours = self.registry(key);
        let Some(help) = self.helping.get_mut(key) else { return };
        let questions = help.questions_mut();
        let mut left = questions.remove_unanswered(target);
        for job in unsent {
            if let Content::Reply(reply) = &job.message.content {
                left += usize::from(questions.remove(&reply.answers).is_some());
            }
        }
        if left > 0 {
            self.count_left(refused).add(left as u64);
            self.helping.save(key, registry_of(&tours), tx);
        }
    }

    fn forget_question(&mut self, key: &SessionKey, id: &str, tx: &mut Tx) {
        let tours = self.registry(key);
        let Some(help) = self.helping.get_mut(key) else { return };
        if help.questions_mut().remove(id).is_some() {
            self.helping.save(key, registry_of(&tours), tx);
        }
    }

    fn count_left(&self, refused: NotReplied) -> &Count {
        match refused {
            NotReplied::AgentWrote => &self.counters.replies_left_to_agents,
            NotReplied::Late => &self.counters.replies_late,
            NotReplied::NoMessenger => &self.counters.replies_failed,
            NotReplied::Off
            | NotReplied::Gone
            | NotReplied::UnderWay
            | NotReplied::Moved
            | NotReplied::Closed => &self.counters.replies_dropped,
        }
    }
}
