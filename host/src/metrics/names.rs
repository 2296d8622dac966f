//! Every metric: its name, unit, labels and help. What is told at `/metrics`, the page of the book and what the tests
//! hold the alerts and the dashboard to come from here.
//!
//! To add one, add it here, and have it told in `host/metrics.rs`; then write the page again (see `page`). A metric that
//! is renamed breaks somebody's alerts: say so in the changelog. A label's values come from the configuration or from a
//! list here, never from a stream, a platform or a person.

use crate::keys::REFUSED_LOGINS;
use crate::plugin::{CALL_OUTCOMES, CALLED, NOT_COMPARED, REQUEST_OUTCOMES};
use sidenote_core::offers::refusal::Refusal;

/// What every name begins with.
pub const PREFIX: &str = "sidenote";

/// A metric.
#[derive(Debug)]
pub struct Metric {
    /// What it is about, as a heading.
    pub group: &'static str,
    /// How it counts.
    pub kind: Kind,
    /// Its name without prefix, unit and suffix.
    name: &'static str,
    /// Its unit, where it has one.
    pub unit: Option<Unit>,
    /// Its labels.
    pub labels: &'static [&'static Label],
    /// What it tells, in a sentence.
    pub help: &'static str,
}

/// How a metric counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It only grows while the process lives.
    Counter,
    /// It goes up and down.
    Gauge,
    /// It counts durations into buckets.
    Histogram,
    /// It is always 1; its labels tell.
    Info,
}

/// What is measured in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Seconds.
    Seconds,
    /// Bytes.
    Bytes,
}

/// A label, and what its values can be.
#[derive(Debug)]
pub struct Label {
    /// Its name.
    pub name: &'static str,
    /// Its values.
    pub values: Values,
}

/// What a label's values can be: there are never more of them than the configuration or a list has.
#[derive(Debug)]
pub enum Values {
    /// The configured plugins.
    Plugins,
    /// The configured plugins, and [`NOT_CONFIGURED`] for those that aren't any more.
    PluginsOrNot,
    /// The configured streams.
    Streams,
    /// One of these.
    OneOf(&'static [&'static str]),
}

/// In the place of a plugin for which something waits and that isn't configured any more. No plugin has such a name.
pub const NOT_CONFIGURED: &str = "(not configured)";

impl Metric {
    /// The name with prefix and unit, without the suffix of its kind.
    pub fn family(&self) -> String {
        let unit = self.unit.map(Unit::name);
        [Some(PREFIX), Some(self.name), unit].into_iter().flatten().collect::<Vec<_>>().join("_")
    }

    /// The name as a query has it; that of a histogram without `_bucket`, `_sum` and `_count`.
    pub fn full_name(&self) -> String {
        let suffix = match self.kind {
            Kind::Counter => "_total",
            Kind::Info => "_info",
            Kind::Gauge | Kind::Histogram => "",
        };
        self.family() + suffix
    }

    /// The name without prefix, unit and suffix.
    pub(super) fn short_name(&self) -> &'static str {
        self.name
    }
}

impl Unit {
    /// As names have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Seconds => "seconds",
            Self::Bytes => "bytes",
        }
    }
}

const fn one_of(name: &'static str, values: &'static [&'static str]) -> Label {
    Label { name, values: Values::OneOf(values) }
}

static PLUGIN: Label = Label { name: "plugin", values: Values::Plugins };
static WAITS_FOR: Label = Label { name: "plugin", values: Values::PluginsOrNot };
static STREAM: Label = Label { name: "stream", values: Values::Streams };
static VERSION: Label = one_of("version", &[env!("CARGO_PKG_VERSION")]);
static STREAM_STATES: Label =
    one_of("state", &["connecting", "connected", "waiting", "refused", "stopped"]);
static SKIPPED: Label = one_of("reason", &["unusable", "oversized", "repeated"]);
static DROPPED: Label = one_of("reason", &["no_session", "unknown_product", "window", "pushed"]);
static PUSHES: Label = one_of("outcome", &["accepted", "repeated", "refused", "unusable"]);
static SOURCE_REQUESTS: Label = one_of("outcome", &crate::sources::REQUESTS);
static LEFT_OUT: Label = one_of("reason", &crate::sources::REASONS);
static POLLS: Label = one_of("outcome", &["answered", "failed"]);
static UNLINKED: Label = one_of("reason", &["claimed", "unresolved"]);
static LINKS: Label = one_of("outcome", &["made", "refused", "outranked"]);
static DELIVERED: Label = one_of("kind", &["note", "sink", "timer"]);
static TIMERS: Label = one_of("outcome", &["set", "cancelled", "due", "called", "dead"]);
static LOST_TIMERS: Label = one_of("reason", &["erased", "expired", "session_gone", "removed"]);
static SINKS: Label = one_of("outcome", &["made", "joined", "accepted", "dead"]);
static SENT_OUTCOMES: Label = one_of("outcome", &["sent", "dropped", "failed"]);
static SUMMARIES: Label =
    one_of("outcome", &["sealed", "unlinked", "ignored", "made", "failed", "discarded"]);
static REDACTIONS: Label = one_of("outcome", &["queued", "done", "unsupported", "dead", "expired"]);
static OFFERS: Label = one_of(
    "decision",
    &[
        "made",
        "delivered",
        "refused",
        "failed",
        "unknown",
        "late",
        "torn_down",
        "tear_down_failed",
        "interrupted",
    ],
);
static REFUSALS: Label = one_of("reason", &Refusal::CODES);
static JUDGED: Label = one_of("outcome", &["asked", "refused", "failed"]);
static REPLIES: Label = one_of(
    "decision",
    &[
        "asked",
        "delivered",
        "drafted",
        "handed_over",
        "left_to_agent",
        "dropped",
        "refused",
        "late",
        "failed",
        "unknown",
    ],
);
static STORE_STATES: Label = one_of("state", &["serving", "full", "away", "refused"]);
static PLUGIN_STATES: Label =
    one_of("state", &["loaded", "compiling", "failed", "unhealthy", "held_back", "disabled"]);
static INTERFACE: Label = one_of("interface", &CALLED);
static CALLS: Label = one_of("outcome", &CALL_OUTCOMES);
static REQUESTS: Label = one_of("status", &REQUEST_OUTCOMES);
static QUEUE: Label = one_of("queue", &["own", "webhooks"]);
static BREAKER_STATES: Label = one_of("state", &["closed", "open", "probing", "disabled"]);
static FILES: Label = one_of("event", &["seen", "read", "swapped", "refused", "gone"]);
static CACHE: Label = one_of("event", &["used", "stored", "unsound", "removed"]);
static LOGINS: Label = one_of("reason", &REFUSED_LOGINS);
static SHADOW_CALLS: Label = one_of("result", &["same", "different", "by_chance"]);
static SHADOW_LEFT_OUT: Label = one_of("reason", &NOT_COMPARED);
static RELOADS: Label = one_of("outcome", &["applied", "unchanged", "refused"]);
static TOKENS: Label = one_of("direction", &["in", "out"]);

macro_rules! metrics {
    ($($group:literal {$(
        $name:ident: $kind:ident $text:literal $(in $unit:ident)? $(by [$($label:ident),*])? = $help:literal;
    )*})*) => {
        $($(
            #[doc = $help]
            pub static $name: Metric = Metric {
                group: $group,
                kind: Kind::$kind,
                name: $text,
                unit: [$(Some(Unit::$unit),)? None][0],
                labels: &[$($(&$label),*)?],
                help: $help,
            };
        )*)*

        /// All of them, in the order in which they are told.
        pub static ALL: &[&Metric] = &[$($(&$name),*),*];
    };
}

metrics! {
    "The host" {
        BUILD: Info "build" by [VERSION] = "The version that runs.";
        READY: Gauge "ready" = "1 while `/readyz` answers 200.";
        LOGINS_REFUSED: Counter "logins_refused" by [LOGINS] = "Requests of the API that were refused for their key or token.";
        CONFIG_RELOADS: Counter "config_reloads" by [RELOADS] = "Reloads of the configuration.";
    }
    "Streams" {
        STREAM_STATE: Gauge "stream_state" by [STREAM, STREAM_STATES] = "1 for the state of the stream's connection, else 0.";
        STREAM_EVENT_AGE: Gauge "stream_last_event_age" in Seconds by [STREAM] = "Time since the stream's last valid event, heartbeats included.";
        STREAM_LAG: Gauge "stream_lag" in Seconds by [STREAM] = "Age of the stream's last batch or summary on arrival, by the connector's clock.";
        STREAM_PAUSED: Gauge "stream_paused" in Seconds by [STREAM] = "Time for which the stream has been paused because the inbox is full; 0 while it is read.";
        STREAM_EVENTS: Counter "stream_events" by [STREAM] = "Batches and summaries passed to the engine.";
        STREAM_HEARTBEATS: Counter "stream_heartbeats" by [STREAM] = "Heartbeats.";
        STREAM_SKIPPED: Counter "stream_events_skipped" by [STREAM, SKIPPED] = "Events of the stream that were skipped.";
        STREAM_ACTIONS_DROPPED: Counter "stream_actions_dropped" by [STREAM] = "Single actions that were left out of their batch because they are invalid.";
        STREAM_RECONNECTS: Counter "stream_reconnects" by [STREAM] = "Attempts to connect after the first.";
        STREAM_PAUSES: Counter "stream_pauses" by [STREAM] = "Pauses of the stream because the inbox was full.";
    }
    "What comes in" {
        ACTIONS_ACCEPTED: Counter "actions_accepted" = "Actions accepted: committed to the store.";
        ACTIONS_DROPPED: Counter "actions_dropped" by [DROPPED] = "Actions dropped: without a usable session, of a product that isn't configured, out of the window before a conversation opened, or unusable in a pushed event.";
        PUSHED: Counter "pushes" by [PUSHES] = "Pushed events.";
        SOURCE_RECEIVED: Counter "source_requests" by [SOURCE_REQUESTS] = "Requests to sources: accepted, answered without a key, refused for their key or their source's name, unusable for their plugin, or answered with a retry.";
        SOURCE_POLLS: Counter "source_polls" by [POLLS] = "Polls of sources.";
        SOURCE_EVENTS: Counter "source_events_accepted" = "Events of sources that have a line.";
        SOURCE_LEFT_OUT: Counter "source_events_left_out" by [LEFT_OUT] = "Events of sources without a line of their own: left out by the plugin, accepted before, of another product than their key's, or left out by the rules for lines.";
        LINKED: Counter "links" by [LINKS] = "Links of sessions to conversations.";
        WEBHOOKS_UNLINKED: Counter "webhooks_unlinked" by [UNLINKED] = "Webhook events that linked nothing: the identity was only claimed, or names nobody known.";
        NOBODY_IDS: Counter "nobody_ids" = "Ids that identify nobody (`undefined`, `null`, blanks) and count as missing.";
        INBOX_INPUTS: Gauge "inbox_inputs" = "Inputs that wait for the engine.";
        INBOX_BYTES: Gauge "inbox" in Bytes = "Bytes of inputs that aren't committed yet.";
        SESSIONS_IN_MEMORY: Gauge "sessions_in_memory" = "Sessions in memory.";
        SESSIONS_EXPIRED: Counter "sessions_expired" = "Sessions removed from the store after their retention.";
        SESSIONS_ERASED: Counter "sessions_erased" = "Sessions erased on request.";
    }
    "Notes and sinks" {
        WAITING: Gauge "deliveries_waiting" by [WAITS_FOR, DELIVERED] = "Notes, sink deliveries or due timers that can be delivered and aren't yet.";
        OLDEST_WAITING: Gauge "delivery_oldest_waiting" in Seconds by [WAITS_FOR, DELIVERED] = "Waiting time of the oldest of them; 0 if nothing waits.";
        DELIVERY_TIME: Histogram "delivery" in Seconds by [DELIVERED] = "Time from when it could be delivered (its oldest action accepted, and for a note its session linked; a dead letter sent again) until it was.";
        NOTES_SEALED: Counter "notes_sealed" = "Notes sealed.";
        NOTES_GATHERED: Counter "notes_gathered" = "Notes sealed that gathered actions while the platform was unavailable.";
        NOTES_POSTED: Counter "notes_posted" = "Notes posted.";
        NOTES_FOUND: Counter "notes_found" = "Notes that `finder` found at the platform after an attempt of unknown outcome.";
        NOTE_ATTEMPTS_FAILED: Counter "note_attempts_failed" = "Attempts at a note that are followed by another.";
        NOTES_DEAD: Counter "notes_dead" = "Notes that became dead letters.";
        NOTES_REQUEUED: Counter "notes_requeued" = "Dead letters that a person requeued, those of sinks and timers included.";
        NOTES_PURGED: Counter "notes_purged" = "Notes, sink deliveries and due timers that a person purged.";
        DEAD_EXPIRED: Counter "dead_letters_expired" = "Dead letters, those of sinks and timers included, removed after their retention.";
        SINK_DELIVERIES: Counter "sink_deliveries" by [SINKS] = "Sink deliveries that were stored, that gathered actions while they waited, that the sink accepted, and that died.";
        SINK_ATTEMPTS_FAILED: Counter "sink_attempts_failed" = "Attempts at a sink delivery that are followed by another.";
    }
    "Redactions and summaries" {
        REDACTED: Counter "redactions" by [REDACTIONS] = "Notes to redact, and their outcomes.";
        REDACTIONS_FAILED: Counter "redaction_attempts_failed" = "Attempts at redacting a note that are followed by another.";
        REDACTIONS_WAITING: Gauge "redactions_waiting" = "Notes that wait to be redacted, as far as they are in memory.";
        SUMMED_UP: Counter "summaries" by [SUMMARIES] = "Summaries that became notes, were of a session without a conversation or of no use; and those requested from a model.";
    }
    "Offers and replies" {
        OFFERED: Counter "offers" by [OFFERS] = "Decisions on offers. An offer that is made has another decision at its end.";
        OFFERS_REFUSED: Counter "offers_refused" by [REFUSALS] = "Offers that were refused before they were made.";
        TRIGGERS_EVALUATED: Counter "triggers_evaluated" = "Evaluations of a product's triggers.";
        TRIGGERS_FAILED: Counter "triggers_failed" = "Triggers that failed or took too long.";
        JUDGE: Counter "judge_questions" by [JUDGED] = "Requests to a model that judges an offer, and those that it answered with no or failed to answer.";
        TOURS_SHOWN: Counter "tours_shown" = "Tours that people accepted.";
        OPTIONS_CHOSEN: Counter "options_chosen" = "Answers of offers that people clicked or wrote.";
        REPLIED: Counter "replies" by [REPLIES] = "Messages of people that wait for a reply, and the result of each.";
        REPLY_QUESTIONS_FAILED: Counter "reply_questions_failed" = "Failed requests to the model for a reply.";
        MESSAGES_EXPIRED: Counter "messages_expired" = "Messages to a person that expired.";
        MESSAGE_ATTEMPTS_FAILED: Counter "message_attempts_failed" = "Attempts at a message that are followed by another, or by a lookup.";
        LLM_CALLS: Counter "llm_calls" = "Requests to the language model.";
        LLM_FAILURES: Counter "llm_failures" = "Requests to the language model that failed.";
        OPERATOR_EVENTS: Counter "operator_events" by [SENT_OUTCOMES] = "Operator events that were sent to the webhook, that were dropped because too many waited, and that it never accepted.";
        SPANS: Counter "trace_spans" by [SENT_OUTCOMES] = "Spans that were sent to the collector, that were dropped because too many waited, and that it refused or didn't receive.";
        LLM_TOKENS: Counter "llm_tokens" by [TOKENS] = "Tokens of requests and of responses, as far as the provider reports them.";
    }
    "The store" {
        STORE_STATE: Gauge "store_state" by [STORE_STATES] = "1 for the state of the store, else 0.";
        COMMITS: Counter "store_commits" = "Commits to the store.";
        COMMIT_TIME: Histogram "store_commit" in Seconds = "Duration of successful commits.";
        SYNC_TIME: Histogram "store_sync" in Seconds = "Duration of the syncs of the embedded store's file (fsync). A commit needs at least one.";
        STORE_BYTES: Gauge "store_file" in Bytes = "The length of the embedded store's file.";
        JOURNAL_RECORDS: Gauge "journal_records" = "Batches and summaries in the local journal that wait for the store.";
        JOURNAL_BYTES: Gauge "journal" in Bytes = "Used bytes of the local journal's capacity.";
        SCRUBS: Counter "store_scrubs" = "Rewrites of the store's files after an erasure.";
        SCRUB_DUE: Gauge "store_scrub_due" = "1 while erased data may be left in the store's files.";
        SNAPSHOTS_LEFT: Counter "snapshots_left" = "Sessions shared with autoplay-sdk that couldn't be updated.";
        HISTORY_DROPPED: Counter "history_dropped" = "Actions of the history that were replaced by later ones of their session.";
        HISTORY_EXPIRED: Counter "history_expired" = "Rows of the history removed after their retention.";
        CONTEXT_FORGOTTEN: Counter "context_forgotten" = "Sessions evicted from the contexts in memory.";
        CONTEXT_REREAD: Counter "context_reread" = "Resyncs of the contexts from the store because they fell behind.";
    }
    "Plugins" {
        PLUGIN_STATE: Gauge "plugin_state" by [PLUGIN, PLUGIN_STATES] = "1 for the state of the plugin, else 0.";
        PLUGIN_WEBHOOKS_TRAP: Gauge "plugin_webhooks_trap" by [PLUGIN] = "1 while webhooks make the plugin trap again and again.";
        PLUGIN_CALLS: Counter "plugin_calls" by [PLUGIN, INTERFACE, CALLS] = "Calls of the plugin's exports, by outcome. `busy` and `not_started` never reached the plugin.";
        PLUGIN_CALL_TIME: Histogram "plugin_call" in Seconds by [PLUGIN, INTERFACE] = "Duration of those calls, waiting for an instance included.";
        PLUGIN_CALLS_BEGUN: Counter "plugin_calls_begun" by [PLUGIN] = "Calls that were begun.";
        PLUGIN_FAILURES: Counter "plugin_failures" by [PLUGIN] = "Calls that the plugin answered with a failure or a rejection.";
        PLUGIN_TRAPS: Counter "plugin_traps" by [PLUGIN] = "Calls that ended in a trap or at a limit, and instances that didn't start.";
        PLUGIN_REQUESTS: Counter "plugin_requests" by [PLUGIN, REQUESTS] = "HTTP requests of the plugin: the class of the platform's status, or why there is none.";
        PLUGIN_SLOTS: Gauge "plugin_slots" by [PLUGIN, QUEUE] = "Maximum number of concurrent calls: the host's own, and webhooks.";
        PLUGIN_SLOTS_BUSY: Gauge "plugin_slots_busy" by [PLUGIN, QUEUE] = "Calls under way.";
        PLUGIN_STARTS: Counter "plugin_instance_starts" by [PLUGIN] = "Instances that were started.";
        KV_WRITTEN: Counter "kv_keys_written" = "Keys that plugins wrote: stored with the outcomes of their calls.";
        KV_DROPPED: Counter "kv_keys_dropped" = "Keys that plugins wrote of sessions that were erased or had expired meanwhile.";
        TIMERS_TOTAL: Counter "timers" by [TIMERS] = "Timers that plugins set and cancelled, that were due, that their plugins were called for, and that died.";
        TIMERS_DROPPED: Counter "timers_dropped" by [LOST_TIMERS] = "Timers that were dropped: with a session that was erased or expired, because it was gone when a call that set them ended, or by a person.";
        TIMERS_WAITING: Gauge "timers_waiting" = "Timers that aren't due.";
        TIMER_ATTEMPTS_FAILED: Counter "timer_attempts_failed" = "Attempts at calling a plugin for its timer that are followed by another.";
        PLUGIN_SWAPS: Counter "plugin_swaps" by [PLUGIN] = "Versions that were swapped in.";
        WEBHOOKS_REPEATED: Counter "plugin_webhooks_repeated" by [PLUGIN] = "Webhooks that were accepted before, and so had no effect.";
        COMPILE_TIME: Histogram "plugin_compile" in Seconds = "Duration of compiling plugins, refused ones included.";
        SHADOW_COMPARED: Counter "plugin_shadow_calls" by [PLUGIN, SHADOW_CALLS] = "Live calls that the plugin's shadow was given, by what came of it. A restart, a reload and a new shadow begin at 0.";
        SHADOW_NOT_COMPARED: Counter "plugin_shadow_calls_not_compared" by [PLUGIN, SHADOW_LEFT_OUT] = "Live calls that the plugin's shadow was not given.";
        SHADOW_REFUSED: Counter "plugin_shadow_requests_refused" by [PLUGIN] = "Requests of the plugin's shadow without a recorded response. They were refused; nothing was sent.";
        SHADOW_TRAPS: Counter "plugin_shadow_traps" by [PLUGIN] = "Calls in which the plugin's shadow trapped or exceeded a limit.";
        PLUGIN_FILES: Counter "plugin_files" by [FILES] = "Changes of plugin files, and their results.";
        PLUGIN_CACHE: Counter "plugin_cache" by [CACHE] = "Events of the cache of compiled plugins.";
        BREAKER_STATE: Gauge "breaker_state" by [PLUGIN, BREAKER_STATES] = "1 for the state of the breaker of the plugin's account, else 0.";
        BREAKER_FAILURES: Gauge "breaker_failures" by [PLUGIN] = "Failures since the last success.";
        LIMITED: Gauge "rate_limited" in Seconds by [PLUGIN] = "Remaining time of the platform's rate limit; 0 without one.";
        BREAKERS_OPENED: Counter "breakers_opened" = "Times that a breaker opened.";
        PLUGINS_DISABLED: Gauge "plugins_disabled" = "Plugins that are disabled: a person must enable them.";
    }
}
