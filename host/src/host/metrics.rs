//! What the metrics are at this moment, gathered from all stages when somebody asks.

use super::api::ApiBackend;
use crate::engine::{LaneKind, StoreState, Totals};
use crate::http::{Backend, StreamState};
use crate::metrics::{Scrape, names};
use crate::plugin::{Health, PluginState, PluginTotals, ShadowTotals};
use crate::sources::{REASONS, REQUESTS};
use crate::stream::Status;

impl ApiBackend {
    /// The metrics. Waits a moment for the engine, and for nothing else.
    pub(super) async fn gather(&self) -> Scrape {
        let mut scrape = Scrape::default();
        scrape.tell(&names::BUILD, &[env!("CARGO_PKG_VERSION")]);
        scrape.level(&names::READY, &[], flag(self.readiness().is_ready()));
        let reloads = self.reloads().totals;
        scrape.count(&names::CONFIG_RELOADS, &["applied"], reloads.applied);
        scrape.count(&names::CONFIG_RELOADS, &["unchanged"], reloads.unchanged);
        scrape.count(&names::CONFIG_RELOADS, &["refused"], reloads.refused);
        for status in &self.shown().streams {
            self.stream_metrics(status, &mut scrape);
        }
        let counters = self.engine().counters();
        counted(counters.totals(), &mut scrape);
        for (reason, total) in counters.offer_refusals.totals() {
            scrape.count(&names::OFFERS_REFUSED, &[reason], total);
        }
        scrape.times(&names::DELIVERY_TIME, &["note"], counters.note_times.distribution());
        scrape.times(&names::DELIVERY_TIME, &["sink"], counters.sink_times.distribution());
        scrape.times(&names::DELIVERY_TIME, &["timer"], counters.timer_times.distribution());
        scrape.level(&names::TIMERS_WAITING, &[], self.registry().timers() as f64);
        scrape.times(&names::COMMIT_TIME, &[], counters.commit_times.distribution());
        for (why, total) in self.own_keys().refused() {
            scrape.count(&names::LOGINS_REFUSED, &[why.name()], total);
        }
        self.source_metrics(&mut scrape);
        self.store_metrics(&mut scrape);
        self.llm_metrics(&mut scrape);
        let events = self.shown().events.as_ref().map(|counts| counts.get()).unwrap_or_default();
        scrape.count(&names::OPERATOR_EVENTS, &["sent"], events.sent);
        scrape.count(&names::OPERATOR_EVENTS, &["dropped"], events.dropped);
        scrape.count(&names::OPERATOR_EVENTS, &["failed"], events.failed);
        let spans = self.registry().spans();
        scrape.count(&names::SPANS, &["sent"], spans.sent);
        scrape.count(&names::SPANS, &["dropped"], spans.dropped);
        scrape.count(&names::SPANS, &["failed"], spans.failed);
        self.plugin_metrics(&mut scrape);
        self.backlog_metrics(&mut scrape).await;
        scrape
    }

    fn source_metrics(&self, scrape: &mut Scrape) {
        let totals = self.sources().totals();
        for (outcome, total) in REQUESTS.iter().zip(totals.requests) {
            scrape.count(&names::SOURCE_RECEIVED, &[outcome], total);
        }
        for (reason, total) in REASONS.iter().zip(totals.left_out) {
            scrape.count(&names::SOURCE_LEFT_OUT, &[reason], total);
        }
        scrape.count(&names::SOURCE_EVENTS, &[], totals.accepted);
        let answered = totals.polls.saturating_sub(totals.polls_failed);
        scrape.count(&names::SOURCE_POLLS, &["answered"], answered);
        scrape.count(&names::SOURCE_POLLS, &["failed"], totals.polls_failed);
    }

    fn stream_metrics(&self, status: &Status, scrape: &mut Scrape) {
        let (name, now, snapshot) = (&**status.stream(), self.clock().now(), status.get());
        let state = match self.stream(status).state {
            StreamState::Connecting => "connecting",
            StreamState::Connected => "connected",
            StreamState::Waiting => "waiting",
            StreamState::Refused => "refused",
            StreamState::Stopped => "stopped",
        };
        scrape.state(&names::STREAM_STATE, &[name], state);
        if let Some(at) = snapshot.last_event_at {
            scrape.level(&names::STREAM_EVENT_AGE, &[name], now.since(at).as_secs_f64());
        }
        if let Some(lag) = snapshot.lag {
            scrape.level(&names::STREAM_LAG, &[name], lag.as_secs_f64());
        }
        let paused = snapshot.paused_since.map(|since| now.since(since)).unwrap_or_default();
        scrape.level(&names::STREAM_PAUSED, &[name], paused.as_secs_f64());
        let counters = snapshot.counters;
        scrape.count(&names::STREAM_EVENTS, &[name], counters.events);
        scrape.count(&names::STREAM_HEARTBEATS, &[name], counters.heartbeats);
        scrape.count(&names::STREAM_SKIPPED, &[name, "unusable"], counters.poison);
        scrape.count(&names::STREAM_SKIPPED, &[name, "oversized"], counters.oversized);
        scrape.count(&names::STREAM_SKIPPED, &[name, "repeated"], counters.duplicates);
        scrape.count(&names::STREAM_ACTIONS_DROPPED, &[name], counters.dropped_actions);
        scrape.count(&names::STREAM_RECONNECTS, &[name], counters.reconnects);
        scrape.count(&names::STREAM_PAUSES, &[name], counters.pauses);
    }

    fn store_metrics(&self, scrape: &mut Scrape) {
        let state = match self.engine().store_state() {
            StoreState::Serving => "serving",
            StoreState::Full => "full",
            StoreState::Away => "away",
            StoreState::Refused => "refused",
        };
        scrape.state(&names::STORE_STATE, &[], state);
        if let Some(file) = self.store().file() {
            scrape.times(&names::SYNC_TIME, &[], file.syncs);
            if let Some(bytes) = file.bytes {
                scrape.level(&names::STORE_BYTES, &[], bytes as f64);
            }
        }
        if let Some(journal) = self.journal() {
            scrape.level(&names::JOURNAL_RECORDS, &[], journal.len() as f64);
            scrape.level(&names::JOURNAL_BYTES, &[], journal.bytes() as f64);
        }
        let inbox = self.engine().inbox_level();
        scrape.level(&names::INBOX_INPUTS, &[], inbox.inputs as f64);
        scrape.level(&names::INBOX_BYTES, &[], inbox.bytes as f64);
    }

    fn llm_metrics(&self, scrape: &mut Scrape) {
        let shown = self.shown();
        let Some(totals) = shown.readers.replies.as_ref().map(|replies| replies.totals()) else {
            return;
        };
        scrape.count(&names::LLM_CALLS, &[], totals.calls());
        scrape.count(&names::LLM_FAILURES, &[], totals.failures());
        scrape.count(&names::LLM_TOKENS, &["in"], totals.tokens_in());
        scrape.count(&names::LLM_TOKENS, &["out"], totals.tokens_out());
    }

    fn plugin_metrics(&self, scrape: &mut Scrape) {
        let (registry, shown, now) = (self.registry(), self.shown(), self.clock().now());
        // A file that no table names may be listed under any name.
        for state in registry.states() {
            if shown.plugins.contains(&state.name) {
                let disabled = self.engine().disabled(&state.name).is_some();
                plugin_state(&state, disabled, scrape);
            }
        }
        for (name, totals) in registry.totals() {
            plugin_totals(&name, totals, scrape);
        }
        for (name, totals) in registry.shadow_totals() {
            shadow_totals(&name, &totals, scrape);
        }
        scrape.times(&names::COMPILE_TIME, &[], registry.compile_times());
        let files = registry.reloads();
        scrape.count(&names::PLUGIN_FILES, &["seen"], files.seen);
        scrape.count(&names::PLUGIN_FILES, &["read"], files.read);
        scrape.count(&names::PLUGIN_FILES, &["swapped"], files.swapped);
        scrape.count(&names::PLUGIN_FILES, &["refused"], files.refused);
        scrape.count(&names::PLUGIN_FILES, &["gone"], files.gone);
        let cache = registry.cache();
        scrape.count(&names::PLUGIN_CACHE, &["used"], cache.used);
        scrape.count(&names::PLUGIN_CACHE, &["stored"], cache.stored);
        scrape.count(&names::PLUGIN_CACHE, &["unsound"], cache.unsound);
        scrape.count(&names::PLUGIN_CACHE, &["removed"], cache.removed);
        let accounts = self.engine().accounts();
        for plugin in &shown.plugins {
            // Nothing was posted yet where there is no account: its breaker is closed.
            let account = accounts.iter().find(|account| account.plugin == *plugin);
            let breaker = account.map_or("closed", |account| account.breaker);
            scrape.state(&names::BREAKER_STATE, &[plugin], breaker);
            let failures = account.map_or(0, |account| account.failures);
            scrape.level(&names::BREAKER_FAILURES, &[plugin], f64::from(failures));
            let until = account.and_then(|account| account.limited_until).unwrap_or(0);
            let limited = until.saturating_sub(now.as_millis());
            scrape.level(&names::LIMITED, &[plugin], limited as f64 / 1e3);
        }
    }

    async fn backlog_metrics(&self, scrape: &mut Scrape) {
        let (backlog, shown, now) =
            (self.engine().backlog().await, self.shown(), self.clock().now());
        let of = |kind, meant: &dyn Fn(&str) -> bool| {
            let of_kind = backlog.iter().filter(|it| it.kind == kind && meant(&it.plugin));
            of_kind.fold((0, None), |(waiting, oldest), it| {
                (waiting + it.waiting, it.oldest.into_iter().chain(oldest).min())
            })
        };
        let kinds =
            [(LaneKind::Note, "note"), (LaneKind::Sink, "sink"), (LaneKind::Timer, "timer")];
        for (kind, word) in kinds {
            let mut tell = |plugin: &str, (waiting, oldest): (u64, Option<_>)| {
                let age = oldest.map(|oldest| now.since(oldest)).unwrap_or_default();
                scrape.level(&names::WAITING, &[plugin, word], waiting as f64);
                scrape.level(&names::OLDEST_WAITING, &[plugin, word], age.as_secs_f64());
            };
            for plugin in &shown.plugins {
                tell(plugin, of(kind, &|other| other == &**plugin));
            }
            tell(names::NOT_CONFIGURED, of(kind, &|other| !shown.plugins.contains(other)));
        }
    }
}

fn flag(is: bool) -> f64 {
    f64::from(u8::from(is))
}

fn plugin_state(plugin: &PluginState, disabled: bool, scrape: &mut Scrape) {
    let name = &*plugin.name;
    let state = match plugin.health {
        Health::NotConfigured => return,
        _ if disabled => "disabled",
        Health::Loaded => "loaded",
        Health::Compiling => "compiling",
        Health::Failed => "failed",
        Health::Unhealthy => "unhealthy",
        Health::HeldBack => "held_back",
    };
    scrape.state(&names::PLUGIN_STATE, &[name], state);
    scrape.level(&names::PLUGIN_WEBHOOKS_TRAP, &[name], flag(plugin.webhooks_trap));
    scrape.count(&names::PLUGIN_CALLS_BEGUN, &[name], plugin.calls);
    scrape.count(&names::PLUGIN_FAILURES, &[name], plugin.failures);
    scrape.count(&names::PLUGIN_TRAPS, &[name], plugin.traps);
    scrape.count(&names::PLUGIN_SWAPS, &[name], plugin.swaps);
    scrape.count(&names::WEBHOOKS_REPEATED, &[name], plugin.repeats);
}

fn plugin_totals(name: &str, totals: PluginTotals, scrape: &mut Scrape) {
    for call in totals.calls {
        for (outcome, total) in call.outcomes {
            scrape.count(&names::PLUGIN_CALLS, &[name, call.interface, outcome], total);
        }
        scrape.times(&names::PLUGIN_CALL_TIME, &[name, call.interface], call.times);
    }
    for (status, total) in totals.requests {
        scrape.count(&names::PLUGIN_REQUESTS, &[name, status], total);
    }
    for (queue, slots) in ["own", "webhooks"].into_iter().zip(totals.slots) {
        scrape.level(&names::PLUGIN_SLOTS, &[name, queue], slots.all as f64);
        scrape.level(&names::PLUGIN_SLOTS_BUSY, &[name, queue], slots.busy as f64);
    }
    scrape.count(&names::PLUGIN_STARTS, &[name], totals.starts);
}

fn shadow_totals(name: &str, totals: &ShadowTotals, scrape: &mut Scrape) {
    for (result, count) in
        [("same", totals.same), ("different", totals.different), ("by_chance", totals.by_chance)]
    {
        scrape.count(&names::SHADOW_COMPARED, &[name, result], count);
    }
    for (reason, count) in &totals.not_compared {
        scrape.count(&names::SHADOW_NOT_COMPARED, &[name, reason], *count);
    }
    scrape.count(&names::SHADOW_REFUSED, &[name], totals.refused_requests);
    scrape.count(&names::SHADOW_TRAPS, &[name], totals.traps);
}

/// What the engine counts. Every field is named, so that none is forgotten.
fn counted(totals: Totals, scrape: &mut Scrape) {
    let Totals {
        actions_accepted,
        dropped_no_session,
        dropped_unknown_product,
        dropped_window,
        summaries_sealed,
        summaries_unlinked,
        summaries_ignored,
        summaries_made,
        summaries_failed,
        summaries_discarded,
        offers_made,
        offers_delivered,
        offers_refused,
        offers_failed,
        offers_unknown,
        offers_late,
        replies_asked,
        replies_delivered,
        replies_drafted,
        replies_handed_over,
        replies_left_to_agents,
        replies_dropped,
        replies_refused,
        replies_late,
        replies_failed,
        replies_unknown,
        reply_questions_failed,
        offers_torn_down,
        tear_downs_failed,
        tear_downs_interrupted,
        messages_expired,
        message_attempts_failed,
        triggers_evaluated,
        triggers_failed,
        judge_asked,
        judge_refused,
        judge_failed,
        tours_shown,
        options_chosen,
        redactions_queued,
        redactions_done,
        redactions_failed,
        redactions_unsupported,
        redactions_dead,
        redactions_expired,
        redactions_waiting,
        kv_written,
        kv_dropped,
        timers_set,
        timers_cancelled,
        timers_due,
        timers_called,
        timer_attempts_failed,
        timers_dead,
        timers_erased,
        timers_expired,
        timers_dropped,
        timers_removed,
        notes_sealed,
        notes_gathered,
        notes_posted,
        attempts_failed,
        notes_found,
        notes_dead,
        notes_requeued,
        notes_purged,
        dead_expired,
        sink_deliveries_made,
        sink_deliveries_joined,
        sink_deliveries_accepted,
        sink_attempts_failed,
        sink_deliveries_dead,
        breakers_opened,
        plugins_disabled,
        links_made,
        links_refused,
        links_outranked,
        nobody_ids,
        webhooks_claimed,
        webhooks_unresolved,
        pushes_accepted,
        pushes_repeated,
        pushes_refused,
        pushes_unusable,
        pushed_actions_dropped,
        // The state of the store and the journal itself are told.
        store_full: _,
        store_away: _,
        store_refused: _,
        journalled: _,
        snapshots_left,
        sessions_erased,
        scrubs,
        scrub_due,
        history_dropped,
        context_forgotten,
        context_reread,
        history_expired,
        sessions_expired,
        sessions_in_memory,
        commits,
    } = totals;
    let counters = [
        (&names::ACTIONS_ACCEPTED, &[][..], actions_accepted),
        (&names::ACTIONS_DROPPED, &["no_session"], dropped_no_session),
        (&names::ACTIONS_DROPPED, &["unknown_product"], dropped_unknown_product),
        (&names::ACTIONS_DROPPED, &["window"], dropped_window),
        (&names::ACTIONS_DROPPED, &["pushed"], pushed_actions_dropped),
        (&names::PUSHED, &["accepted"], pushes_accepted),
        (&names::PUSHED, &["repeated"], pushes_repeated),
        (&names::PUSHED, &["refused"], pushes_refused),
        (&names::PUSHED, &["unusable"], pushes_unusable),
        (&names::LINKED, &["made"], links_made),
        (&names::LINKED, &["refused"], links_refused),
        (&names::LINKED, &["outranked"], links_outranked),
        (&names::WEBHOOKS_UNLINKED, &["claimed"], webhooks_claimed),
        (&names::WEBHOOKS_UNLINKED, &["unresolved"], webhooks_unresolved),
        (&names::NOBODY_IDS, &[], nobody_ids),
        (&names::SESSIONS_EXPIRED, &[], sessions_expired),
        (&names::SESSIONS_ERASED, &[], sessions_erased),
        (&names::NOTES_SEALED, &[], notes_sealed),
        (&names::NOTES_GATHERED, &[], notes_gathered),
        (&names::NOTES_POSTED, &[], notes_posted),
        (&names::NOTES_FOUND, &[], notes_found),
        (&names::NOTE_ATTEMPTS_FAILED, &[], attempts_failed),
        (&names::NOTES_DEAD, &[], notes_dead),
        (&names::NOTES_REQUEUED, &[], notes_requeued),
        (&names::NOTES_PURGED, &[], notes_purged),
        (&names::DEAD_EXPIRED, &[], dead_expired),
        (&names::SINK_DELIVERIES, &["made"], sink_deliveries_made),
        (&names::SINK_DELIVERIES, &["joined"], sink_deliveries_joined),
        (&names::SINK_DELIVERIES, &["accepted"], sink_deliveries_accepted),
        (&names::SINK_DELIVERIES, &["dead"], sink_deliveries_dead),
        (&names::SINK_ATTEMPTS_FAILED, &[], sink_attempts_failed),
        (&names::REDACTED, &["queued"], redactions_queued),
        (&names::REDACTED, &["done"], redactions_done),
        (&names::REDACTED, &["unsupported"], redactions_unsupported),
        (&names::REDACTED, &["dead"], redactions_dead),
        (&names::REDACTED, &["expired"], redactions_expired),
        (&names::REDACTIONS_FAILED, &[], redactions_failed),
        (&names::SUMMED_UP, &["sealed"], summaries_sealed),
        (&names::SUMMED_UP, &["unlinked"], summaries_unlinked),
        (&names::SUMMED_UP, &["ignored"], summaries_ignored),
        (&names::SUMMED_UP, &["made"], summaries_made),
        (&names::SUMMED_UP, &["failed"], summaries_failed),
        (&names::SUMMED_UP, &["discarded"], summaries_discarded),
        (&names::OFFERED, &["made"], offers_made),
        (&names::OFFERED, &["delivered"], offers_delivered),
        (&names::OFFERED, &["refused"], offers_refused),
        (&names::OFFERED, &["failed"], offers_failed),
        (&names::OFFERED, &["unknown"], offers_unknown),
        (&names::OFFERED, &["late"], offers_late),
        (&names::OFFERED, &["torn_down"], offers_torn_down),
        (&names::OFFERED, &["tear_down_failed"], tear_downs_failed),
        (&names::OFFERED, &["interrupted"], tear_downs_interrupted),
        (&names::TRIGGERS_EVALUATED, &[], triggers_evaluated),
        (&names::TRIGGERS_FAILED, &[], triggers_failed),
        (&names::JUDGE, &["asked"], judge_asked),
        (&names::JUDGE, &["refused"], judge_refused),
        (&names::JUDGE, &["failed"], judge_failed),
        (&names::TOURS_SHOWN, &[], tours_shown),
        (&names::OPTIONS_CHOSEN, &[], options_chosen),
        (&names::REPLIED, &["asked"], replies_asked),
        (&names::REPLIED, &["delivered"], replies_delivered),
        (&names::REPLIED, &["drafted"], replies_drafted),
        (&names::REPLIED, &["handed_over"], replies_handed_over),
        (&names::REPLIED, &["left_to_agent"], replies_left_to_agents),
        (&names::REPLIED, &["dropped"], replies_dropped),
        (&names::REPLIED, &["refused"], replies_refused),
        (&names::REPLIED, &["late"], replies_late),
        (&names::REPLIED, &["failed"], replies_failed),
        (&names::REPLIED, &["unknown"], replies_unknown),
        (&names::REPLY_QUESTIONS_FAILED, &[], reply_questions_failed),
        (&names::MESSAGES_EXPIRED, &[], messages_expired),
        (&names::MESSAGE_ATTEMPTS_FAILED, &[], message_attempts_failed),
        (&names::KV_WRITTEN, &[], kv_written),
        (&names::KV_DROPPED, &[], kv_dropped),
        (&names::TIMERS_TOTAL, &["set"], timers_set),
        (&names::TIMERS_TOTAL, &["cancelled"], timers_cancelled),
        (&names::TIMERS_TOTAL, &["due"], timers_due),
        (&names::TIMERS_TOTAL, &["called"], timers_called),
        (&names::TIMERS_TOTAL, &["dead"], timers_dead),
        (&names::TIMERS_DROPPED, &["erased"], timers_erased),
        (&names::TIMERS_DROPPED, &["expired"], timers_expired),
        (&names::TIMERS_DROPPED, &["session_gone"], timers_dropped),
        (&names::TIMERS_DROPPED, &["removed"], timers_removed),
        (&names::TIMER_ATTEMPTS_FAILED, &[], timer_attempts_failed),
        (&names::COMMITS, &[], commits),
        (&names::SCRUBS, &[], scrubs),
        (&names::SNAPSHOTS_LEFT, &[], snapshots_left),
        (&names::HISTORY_DROPPED, &[], history_dropped),
        (&names::HISTORY_EXPIRED, &[], history_expired),
        (&names::CONTEXT_FORGOTTEN, &[], context_forgotten),
        (&names::CONTEXT_REREAD, &[], context_reread),
        (&names::BREAKERS_OPENED, &[], breakers_opened),
    ];
    for (metric, labels, total) in counters {
        scrape.count(metric, labels, total);
    }
    let gauges = [
        (&names::SESSIONS_IN_MEMORY, sessions_in_memory),
        (&names::REDACTIONS_WAITING, redactions_waiting),
        (&names::SCRUB_DUE, scrub_due),
        (&names::PLUGINS_DISABLED, plugins_disabled),
    ];
    for (metric, level) in gauges {
        scrape.level(metric, &[], level as f64);
    }
}
