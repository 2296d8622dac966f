//! What the engine counts. Every drop has its counter.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

use crate::histogram::Histogram;
use crate::offers::refusal::Refusal;

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// Running totals since the start of the process.
        #[derive(Debug, Default)]
        pub struct Counters {
            $($(#[$doc])* pub $name: Count,)*
            /// Offers that were refused, by reason.
            pub offer_refusals: RefusalCounts,
            /// From when a note's oldest action could have been posted (accepted, its session linked) until the platform
            /// had the note.
            pub note_times: Histogram,
            /// From the acceptance of a batch or summary until a sink had it.
            pub sink_times: Histogram,
            /// From the moment at which a timer was found to be due until its plugin had been called.
            pub timer_times: Histogram,
            /// How long commits took that succeeded.
            pub commit_times: Histogram,
        }

        /// The totals at one moment.
        #[derive(Debug, Clone, PartialEq, Eq, Serialize)]
        pub struct Totals {
            $($(#[$doc])* pub $name: u64,)*
        }

        impl Counters {
            /// The totals at this moment.
            pub fn totals(&self) -> Totals {
                Totals { $($name: self.$name.get(),)* }
            }
        }
    };
}

counters! {
    /// Actions accepted: committed to the store.
    actions_accepted,
    /// Actions dropped because their event has no session id.
    dropped_no_session,
    /// Actions dropped because no product of that id is configured, or the id can't be used.
    dropped_unknown_product,
    /// Actions that left the pre-link window before a conversation opened.
    dropped_window,
    /// Summaries that became notes.
    summaries_sealed,
    /// Summaries of sessions that are linked to no conversation: there was nothing to replace.
    summaries_unlinked,
    /// Summaries that can't be used: without a text, a session or a configured product, or behind one that
    /// covers more.
    summaries_ignored,
    /// Summaries that a model wrote and that were handed over.
    summaries_made,
    /// Questions for a summary that got no answer; they are asked again.
    summaries_failed,
    /// Answers that were of no use any more: their session was erased, or summarized already.
    summaries_discarded,
    /// Offers of help that were made: put on their way.
    offers_made,
    /// Offers that the platform took.
    offers_delivered,
    /// Offers that were refused before they were made, for whatever reason.
    offers_refused,
    /// Offers that the platform, or the plugin, refused for good.
    offers_failed,
    /// Offers of which nobody knows whether they came. They aren't made again.
    offers_unknown,
    /// Offers that weren't delivered in time and were dropped.
    offers_late,
    /// Messages of people that wait for an answer, or waited.
    replies_asked,
    /// Answers that the platform took.
    replies_delivered,
    /// Answers that were posted as notes for people: the product's replies are a dry run.
    replies_drafted,
    /// Messages that were handed over to people with a note.
    replies_handed_over,
    /// Messages that weren't answered because a human agent wrote.
    replies_left_to_agents,
    /// Messages that weren't answered because their conversation was closed, or their session went elsewhere.
    replies_dropped,
    /// Messages that nothing was asked about because too many of their session wait.
    replies_refused,
    /// Answers that weren't delivered in time and were dropped.
    replies_late,
    /// Answers that the platform, or the plugin, refused for good.
    replies_failed,
    /// Answers of which nobody knows whether they came. They aren't sent again.
    replies_unknown,
    /// Questions to the model for an answer that got none; they are asked again while there is time.
    reply_questions_failed,
    /// Offers that nobody answered and that the platform removed.
    offers_torn_down,
    /// Offers that nobody answered and that the platform didn't remove.
    tear_downs_failed,
    /// Offers that were to be removed when the person acted: their session stays as it is.
    tear_downs_interrupted,
    /// Messages to a person that ended for want of time: late, or nobody ever knew whether they came.
    messages_expired,
    /// Attempts at a message that are followed by another, or by a question for it.
    message_attempts_failed,
    /// Times that the triggers of a product were evaluated.
    triggers_evaluated,
    /// Triggers that failed or took too long; the others were evaluated all the same.
    triggers_failed,
    /// Questions to a model whether an offer helps at its moment.
    judge_asked,
    /// Of those, the ones that it said no to.
    judge_refused,
    /// Of those, the ones that got no answer that can be read: that is a no.
    judge_failed,
    /// Tours that people wanted to see.
    tours_shown,
    /// Answers of offers that people chose.
    options_chosen,
    /// Notes that were to be redacted: replaced by a summary, or of somebody who is erased.
    redactions_queued,
    /// Notes redacted: removed or overwritten, or not there any more.
    redactions_done,
    /// Attempts at redacting a note that are followed by another.
    redactions_failed,
    /// Notes that stay because the platform, or the plugin, can't redact notes.
    redactions_unsupported,
    /// Notes that could not be redacted and stay until a person sees to them.
    redactions_dead,
    /// Redactions that became dead letters, forgotten after their retention.
    redactions_expired,
    /// Notes that wait to be redacted at this moment, as far as they are in memory.
    redactions_waiting,
    /// Keys that plugins wrote, stored with the outcomes of their calls.
    kv_written,
    /// Keys that plugins wrote of sessions that were erased or had expired meanwhile: nothing of it is stored.
    kv_dropped,
    /// Timers that plugins set, stored with the outcomes of their calls.
    timers_set,
    /// Timers that plugins cancelled.
    timers_cancelled,
    /// Timers that were due: each became one delivery.
    timers_due,
    /// Due timers that their plugins were called for and answered.
    timers_called,
    /// Attempts at calling a plugin for its timer that are followed by another.
    timer_attempts_failed,
    /// Due timers that their plugins weren't called for in the end.
    timers_dead,
    /// Timers, due ones included, of sessions that were erased.
    timers_erased,
    /// Timers of sessions that expired.
    timers_expired,
    /// Timers that a call set of a session that was erased or had expired meanwhile: nothing of it is stored.
    timers_dropped,
    /// Timers that a person removed before they were due.
    timers_removed,
    /// Notes sealed.
    notes_sealed,
    /// Notes sealed in which actions gathered while the platform took nothing.
    notes_gathered,
    /// Notes posted.
    notes_posted,
    /// Attempts that are followed by another.
    attempts_failed,
    /// Notes that the platform had after an attempt without an outcome, as its plugin found.
    notes_found,
    /// Notes that became dead letters.
    notes_dead,
    /// Dead letters that a person had sent again, those of sinks included.
    notes_requeued,
    /// Notes that a person removed, and what waited for sinks.
    notes_purged,
    /// Dead letters, those of sinks included, removed after their retention.
    dead_expired,
    /// Batches and summaries that were put into the store for a sink, once per sink.
    sink_deliveries_made,
    /// Batches that joined one that waited for its sink already.
    sink_deliveries_joined,
    /// Batches and summaries that a sink took, as joined.
    sink_deliveries_accepted,
    /// Attempts at handing one to a sink that are followed by another.
    sink_attempts_failed,
    /// Batches and summaries that a sink was not given in the end.
    sink_deliveries_dead,
    /// Breakers that were opened.
    breakers_opened,
    /// Plugins that are disabled at this moment: a person must enable them.
    plugins_disabled,
    /// Links made.
    links_made,
    /// Links refused because the conversation is another person's.
    links_refused,
    /// Sessions that left a conversation which nobody had vouched for, because somebody vouched for another one
    /// or for another person there.
    links_outranked,
    /// Values that name nobody (`undefined`, `null`, blanks, …) and were read as missing.
    nobody_ids,
    /// Webhook events that linked nothing because who it is was only claimed.
    webhooks_claimed,
    /// Webhook events that linked nothing: no session or person was named, known or fitting.
    webhooks_unresolved,
    /// Pushed events accepted: committed to the store.
    pushes_accepted,
    /// Pushed events that had been accepted before.
    pushes_repeated,
    /// Pushed events refused: their signature doesn't fit, or no product of their name is pushed to.
    pushes_refused,
    /// Pushed events that are signed and can't be used.
    pushes_unusable,
    /// Actions left out of pushed events because they can't be used.
    pushed_actions_dropped,
    /// 1 while the disk is full.
    store_full,
    /// 1 while the store can't be reached.
    store_away,
    /// 1 while the store refuses what the host needs, until a person sees to it.
    store_refused,
    /// Batches that wait in the local journal until the store can be reached.
    journalled,
    /// Shared snapshots that could not be brought up to date.
    snapshots_left,
    /// Sessions erased because somebody wished it.
    sessions_erased,
    /// Times that the store's files were written anew after something was erased.
    scrubs,
    /// 1 while something of what was erased may be left in the store's files.
    scrub_due,
    /// Actions of the history that went for later ones of their session.
    history_dropped,
    /// Sessions that were left out of the contexts in memory, which were full.
    context_forgotten,
    /// Times that the contexts fell behind what was committed and were read from the store again.
    context_reread,
    /// Rows of the history removed after their time.
    history_expired,
    /// Sessions removed from the store after their retention.
    sessions_expired,
    /// Sessions in memory at this moment.
    sessions_in_memory,
    /// Commits to the store.
    commits,
}

/// One running total.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// Adds to it.
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    /// Adds to it, and says the total where it is worth a line in the log: at first, and each time that it
    /// has doubled.
    pub fn add_told(&self, n: u64) -> Option<u64> {
        let before = self.0.fetch_add(n, Ordering::Relaxed);
        let total = before.saturating_add(n);
        let doubled = before == 0 || before.ilog2() != total.ilog2();
        (n > 0 && doubled).then_some(total)
    }

    /// Sets it: for what goes up and down.
    pub fn set(&self, n: u64) {
        self.0.store(n, Ordering::Relaxed);
    }

    /// Its value.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Refused offers, counted by their reason.
#[derive(Debug, Default)]
pub struct RefusalCounts([Count; Refusal::CODES.len()]);

impl RefusalCounts {
    /// Counts a refusal.
    pub fn count(&self, refusal: Refusal) {
        let place = Refusal::CODES.iter().position(|code| *code == refusal.code());
        debug_assert!(place.is_some(), "{} is no code of a refusal", refusal.code());
        place.into_iter().for_each(|place| self.0[place].add(1));
    }

    /// Every reason code, and how many there were.
    pub fn totals(&self) -> impl Iterator<Item = (&'static str, u64)> {
        Refusal::CODES.into_iter().zip(self.0.iter().map(Count::get))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_is_told_at_first_and_when_it_has_doubled() {
        let count = Count::default();
        assert_eq!(count.add_told(0), None);
        let told: Vec<_> = (0..100).filter_map(|_| count.add_told(1)).collect();
        assert_eq!((told, count.get()), (vec![1, 2, 4, 8, 16, 32, 64], 100));
    }
}
