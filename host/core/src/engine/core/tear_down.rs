//! An offer that nobody answered is removed from the platform, as a delivery like any other.

use std::sync::Arc;

use super::Core;
use super::help::registry_of;
use crate::engine::tx::Tx;
use crate::ids::SessionKey;
use crate::offers::help::Over;
use crate::offers::log::Decided;
use crate::offers::tear_down::Torn;
use crate::outbox::message::{Content, Ended, Job, Message};

impl Core {
    /// The state of an offer ended by time: it is removed from the platform, where its product wants that, nobody
    /// answered it and its plugin can.
    pub(super) fn tear_down(&mut self, key: &SessionKey, over: Over, tx: &mut Tx) {
        let Over { offered, tear_down } = over;
        let rules = self.settings.offers(&key.product).filter(|rules| rules.tear_down).cloned();
        let (Some(rules), Some(decided), Some(message_id)) = (rules, tear_down, offered.message_id)
        else {
            return;
        };
        let (plugin, conversation) = offered.target;
        if offered.answered || self.plugins.redacts(&plugin) == Some(false) {
            return;
        }
        let (now, tours) = (tx.now, self.registry(key));
        let Some(help) = self.helping.get_mut(key) else { return };
        let seq = help.number_message(now);
        help.begin_tear_down(decided, now);
        self.helping.save(key, registry_of(&tours), tx);
        let trigger = offered.offer.trigger().to_owned();
        self.deliveries.add_message(
            Job::new(Arc::new(Message {
                key: key.clone(),
                seq,
                plugin,
                conversation,
                content: Content::Removal { offer: offered.seq, trigger, message_id },
                idempotency_key: Message::idempotency_key(key, seq, now),
                made_at: now,
                expires_at: now + rules.expires,
                after_note: 0,
            })),
            tx,
        );
    }

    /// The person acted: what they answered, or may answer, isn't removed any more, unless the call is under way.
    pub(super) fn cancel_removals(&mut self, key: &SessionKey, tx: &mut Tx) {
        for job in self.deliveries.cancel_removals(key, tx) {
            self.end_removal(&job.message, Ended::Late, tx);
        }
    }

    /// The call that was to remove an offer is over, or isn't made. It is looked again at the session: who acted
    /// meanwhile keeps it as it is.
    pub(super) fn end_removal(&mut self, message: &Message, ended: Ended, tx: &mut Tx) {
        let Content::Removal { offer: seq, trigger, .. } = &message.content else { return };
        let (key, seq, now) = (&message.key, *seq, tx.now);
        let (removed, reason) = match ended {
            Ended::Delivered(..) => (true, None),
            Ended::Failed(reason) => (false, Some(reason)),
            Ended::Late => (false, Some("its time was over".to_owned())),
            Ended::Unknown => (false, Some("the platform can't remove it".to_owned())),
        };
        let tours = self.registry(key);
        let Some(help) = self.helping.get_mut(key) else { return };
        let (what, count) = match help.end_tear_down(removed, now) {
            Torn::Completed => (Decided::TornDown { seq }, &self.counters.offers_torn_down),
            Torn::RemovalFailed => {
                (Decided::TearDownFailed { seq }, &self.counters.tear_downs_failed)
            }
            Torn::Interrupted { .. } => {
                (Decided::Interrupted { seq }, &self.counters.tear_downs_interrupted)
            }
        };
        count.add(1);
        if let (Decided::TearDownFailed { .. }, Some(reason)) = (&what, reason) {
            tracing::warn!(
                plugin = %message.plugin,
                trigger = &**trigger,
                reason = &*reason,
                "offers: an offer that nobody answered could not be removed from the platform; it stays there"
            );
        }
        self.helping.save(key, registry_of(&tours), tx);
        self.tell_help(key, tx);
        let rules = self.settings.offers(&key.product).cloned().unwrap_or_default();
        self.note_decision(key, trigger, what, &rules, tx);
    }
}
