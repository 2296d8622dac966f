//! Calls of the plugins' exports: one function per export, each within its deadline.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::time::Instant;
use tracing::Instrument;

use super::admit::Live;
use super::bindings::v0_1::sidenote::plugin::types as wit;
use super::convert;
use super::counters::{answer_outcome, stopped_outcome};
use super::exports::{Interface, call};
use super::help::{Offer, QuickReply, TriggerContext};
use super::pool::{Around, Pool, Queue, Stopped};
use super::registry::{NoPool, Registry};
use super::shadow::input::{Input, Says, good, of_offer, of_result, of_webhook};
use super::shadow::meter::metered;
use super::webhook::{ReceiveError, Received, WebhookEvent, WebhookRequest};
use crate::ids::{ConversationId, PluginName};
use crate::kv::{CallKv, Writes};
use crate::offers::content::OfferOption;
use crate::once::Claimed;
use crate::outbox::due_timer::DueTimer;
use crate::outbox::message::{self, Message};
use crate::outbox::note::{
    Call, Failure, FailureKind, Found, LimitScope, Note, PostError, Posted, Redaction, Sent,
};
use crate::outbox::sink_delivery::{Content, Roles, SinkDelivery};
use crate::post::Post;
use crate::session::payload::{ActionsPayload, SummaryPayload};
use crate::traces::Span;

/// What a plugin that was too busy asks for.
const BUSY_PAUSE: Duration = Duration::from_millis(250);

/// What a plugin that is being compiled asks for.
const COMPILING_PAUSE: Duration = Duration::from_secs(1);

fn quick_reply(option: &OfferOption) -> QuickReply {
    QuickReply { id: option.id.clone(), label: option.label.clone() }
}

#[async_trait::async_trait]
impl Post for Registry {
    async fn post_note(&self, call: Call, note: &Note) -> Result<Posted, PostError> {
        let plugin = &*note.plugin;
        let given = |call| Input::Note(call, Box::new(note.clone()));
        let posted = self.ask(plugin, Interface::Writer, call, given, async |live, call| {
            let list = note.actions.list();
            let actions = convert::actions(&list);
            call!(live.writer.call_post_note(call, convert::note(note, &actions)))
        });
        Ok(kept(plugin, convert::posted(posted.await?)))
    }

    async fn find_note(&self, call: Call, note: &Note) -> Result<Found, PostError> {
        let plugin = &*note.plugin;
        if !self.exports(plugin, Interface::Finder)? {
            return Ok(Found::Unsupported);
        }
        let (conversation, key) = (note.conversation.as_str(), &*note.idempotency_key);
        let given = |call| Input::Find(call, note.conversation.clone(), key.to_owned());
        let found = self.ask(plugin, Interface::Finder, call, given, async |live, call| {
            call!(live.finder.call_find_note(call, conversation, key))
        });
        Ok(kept(plugin, convert::found(found.await?)))
    }

    async fn redact_note(
        &self,
        call: Call,
        plugin: &PluginName,
        conversation: &ConversationId,
        note_id: &str,
    ) -> Result<Redaction, PostError> {
        if !self.exports(plugin, Interface::Redactor)? {
            return Ok(Redaction::Unsupported);
        }
        let given = |call| Input::Redact(call, conversation.clone(), note_id.to_owned());
        let (conversation, note_id) = (conversation.as_str(), note_id.to_owned());
        let redaction = self.ask(plugin, Interface::Redactor, call, given, async |live, call| {
            call!(live.redactor.call_redact_note(call, conversation, &note_id))
        });
        redaction.await.map(convert::redaction)
    }

    async fn write_sink(&self, call: Call, delivery: &SinkDelivery) -> Result<(), PostError> {
        match &delivery.content {
            Content::Actions(batch) => self.write_actions(&delivery.plugin, call, batch).await,
            Content::Summary(summary) => self.write_summary(&delivery.plugin, call, summary).await,
        }
    }

    async fn wake(&self, call: Call, timer: &DueTimer) -> Result<(), PostError> {
        let plugin = &*timer.plugin;
        if !self.exports(plugin, Interface::OnTimer)? {
            let message = "the plugin doesn't export `on-timer` any more".to_owned();
            return Err(PostError::Failed(never_sent(FailureKind::Invalid, "on-timer", message)));
        }
        let given = |call| Input::Wake(call, Box::new(timer.clone()));
        let woken = self.ask(plugin, Interface::OnTimer, call, given, async |live, call| {
            call!(live.on_timer.call_wake(call, convert::timer(timer)))
        });
        woken.await
    }

    fn redacts(&self, plugin: &PluginName) -> Option<bool> {
        self.exports(plugin, Interface::Redactor).ok()
    }

    async fn send_message(&self, call: Call, message: &Message) -> Result<Posted, PostError> {
        let offer = match &message.content {
            message::Content::Offer(offer) | message::Content::Question(offer) => offer,
            message::Content::Reply(reply) => {
                let text = reply.text.as_str();
                return self.reply(&message.plugin, call, &message.conversation, text).await;
            }
            message::Content::Removal { .. } => {
                let message = "an offer is removed by the plugin's redactor".to_owned();
                return Err(PostError::Unavailable { message });
            }
        };
        let offer = Offer {
            text: offer.text().to_owned(),
            quick_replies: offer.options().iter().map(quick_reply).collect(),
        };
        self.offer(&message.plugin, call, &message.conversation, &offer).await
    }

    fn offers(&self, plugin: &PluginName) -> Option<bool> {
        self.exports(plugin, Interface::Messenger).ok()
    }

    fn is_coming(&self, plugin: &PluginName) -> bool {
        matches!(self.pool(plugin, Queue::Posts), Err(NoPool::Compiling))
    }

    fn version(&self, plugin: &PluginName) -> Option<Arc<str>> {
        Some(self.pool(plugin, Queue::Posts).ok()?.told())
    }

    fn roles(&self, plugin: &PluginName) -> Option<Roles> {
        Self::roles(self, plugin)
    }
}

impl Registry {
    /// Has a plugin offer help in a conversation. `call` is as for [`Post::post_note`].
    ///
    /// # Errors
    /// As [`Post::post_note`].
    pub async fn offer(
        &self,
        plugin: &str,
        call: Call,
        conversation: &ConversationId,
        offer: &Offer,
    ) -> Result<Posted, PostError> {
        let quick_replies = convert::quick_replies(&offer.quick_replies);
        let given = |call| Input::Offer(call, conversation.clone(), offer.clone());
        let (conversation, offer) = (conversation.as_str(), convert::offer(offer, &quick_replies));
        let posted = self.ask(plugin, Interface::Messenger, call, given, async |live, call| {
            call!(live.messenger.call_offer(call, conversation, offer))
        });
        Ok(kept(plugin, convert::posted(posted.await?)))
    }

    /// Has a plugin answer a person in a conversation. `call` is as for [`Post::post_note`].
    ///
    /// # Errors
    /// As [`Post::post_note`].
    pub async fn reply(
        &self,
        plugin: &str,
        call: Call,
        conversation: &ConversationId,
        text: &str,
    ) -> Result<Posted, PostError> {
        let given = |call| Input::Reply(call, conversation.clone(), text.to_owned());
        let conversation = conversation.as_str();
        let posted = self.ask(plugin, Interface::Messenger, call, given, async |live, call| {
            call!(live.messenger.call_reply(call, conversation, text))
        });
        Ok(kept(plugin, convert::posted(posted.await?)))
    }

    /// Hands a batch to a sink. `call` is as for [`Post::post_note`].
    ///
    /// # Errors
    /// As [`Post::post_note`]; a batch without a session is invalid.
    pub async fn write_actions(
        &self,
        plugin: &str,
        call: Call,
        batch: &ActionsPayload,
    ) -> Result<(), PostError> {
        let given = |call| Input::Actions(call, Box::new(batch.clone()));
        let actions = convert::actions(&batch.actions);
        let batch = convert::batch(batch, &actions).ok_or_else(no_session)?;
        let written = self.ask(plugin, Interface::Sink, call, given, async |live, call| {
            call!(live.sink.call_write_actions(call, batch))
        });
        written.await
    }

    /// Hands a summary to a sink. `call` is as for [`Post::post_note`].
    ///
    /// # Errors
    /// As [`Post::post_note`]; a summary without a session is invalid.
    pub async fn write_summary(
        &self,
        plugin: &str,
        call: Call,
        summary: &SummaryPayload,
    ) -> Result<(), PostError> {
        let given = |call| Input::Summary(call, Box::new(summary.clone()));
        let summary = convert::summary(summary).ok_or_else(no_session)?;
        let written = self.ask(plugin, Interface::Sink, call, given, async |live, call| {
            call!(live.sink.call_write_summary(call, summary))
        });
        written.await
    }

    /// Asks a trigger whether to offer help. Ends within `timeout` and the plugin's `call_timeout`.
    ///
    /// # Errors
    /// As [`Post::post_note`]; an offer that can't be used is invalid. Nothing was sent in any case.
    pub async fn evaluate(
        &self,
        plugin: &str,
        context: &TriggerContext,
        timeout: Duration,
    ) -> Result<Option<Offer>, PostError> {
        let pool = self.callable(plugin, Interface::Trigger)?;
        let whole = timeout.min(pool.call_timeout());
        let kv = CallKv::read_only(Some(context.key.clone()));
        let (around, watch) = self.around(&pool, &kv, None);
        let given = || Input::Evaluate(Box::new(context.clone()));
        let actions = convert::actions(&context.actions);
        let context = convert::context(context, &actions);
        let evaluate = async |live: &mut Live, left| {
            if let Some(watch) = &watch {
                watch.begins(left, self.clock().now());
            }
            call!(live.trigger.call_evaluate(context))
        };
        let queue = (Queue::Posts, Interface::Trigger);
        let evaluated = run(&pool, queue, whole, around, evaluate, |_| "answered").await;
        if let Some(watch) = watch {
            watch.ends(given, evaluated.as_ref().map(of_offer), Writes::default());
        }
        let offer = evaluated.map_err(post_error)?;
        offer.map(convert::given_offer).transpose().map_err(|odd| {
            pool.counters().failures.fetch_add(1, Relaxed);
            PostError::Failed(never_sent(FailureKind::Invalid, "answer", odd.to_owned()))
        })
    }

    /// Whether a plugin can be asked about webhooks, whatever they hold.
    ///
    /// # Errors
    /// As of [`Registry::receive`], where it can't.
    pub fn reads_webhooks(&self, plugin: &str) -> Result<(), ReceiveError> {
        self.webhook_reader(plugin).map(drop)
    }

    /// Has a plugin verify a webhook and say what it means, whether or not it was accepted before. Nothing
    /// is remembered of it. Ends within the plugin's `call_timeout`.
    ///
    /// # Errors
    /// [`ReceiveError`]; nothing may be done on account of such a request.
    pub async fn receive(
        &self,
        plugin: &str,
        request: WebhookRequest,
    ) -> Result<Vec<WebhookEvent>, ReceiveError> {
        Ok(self.receive_once(plugin, request).await?.events)
    }

    /// As [`Registry::receive`], and says whether the request was accepted before, by this or an earlier
    /// version of the plugin: see [`Received`].
    ///
    /// # Errors
    /// [`ReceiveError`]; nothing may be done on account of such a request.
    pub async fn receive_once(
        &self,
        plugin: &str,
        request: WebhookRequest,
    ) -> Result<Received, ReceiveError> {
        let pool = self.webhook_reader(plugin)?;
        let (around, watch) = self.around(&pool, &CallKv::read_only(None), None);
        let given = || Input::Webhook(request.clone());
        let headers = convert::headers(&request.headers);
        let request = convert::request(&request, &headers);
        let whole = pool.call_timeout();
        let receive = async |live: &mut Live, left| {
            if let Some(watch) = &watch {
                watch.begins(left, self.clock().now());
            }
            let received = call!(live.webhook.call_receive(request))?;
            Ok((received, std::mem::take(&mut live.store.data_mut().verified)))
        };
        let queue = (Queue::Webhooks, Interface::Webhook);
        let received = run(&pool, queue, whole, around, receive, |(received, _)| {
            if received.is_ok() { "answered" } else { "rejected" }
        });
        let received = received.await;
        if let Some(watch) = watch {
            let ended = received.as_ref().map(|(received, _)| of_webhook(received));
            watch.ends(given, ended, Writes::default());
        }
        let (received, verified) = received.map_err(|stopped| match stopped {
            Stopped::Busy { .. } | Stopped::Start { .. } => ReceiveError::Unavailable,
            Stopped::Crashed { crash, message } => {
                ReceiveError::Crashed { code: crash.code().to_owned(), message }
            }
        })?;
        let answer = match received {
            Ok(events) => convert::events(events),
            Err(rejection) => Err(convert::rejection(rejection)),
        };
        if answer.is_err() {
            pool.counters().failures.fetch_add(1, Relaxed);
        }
        let (events, unknown) = answer?;
        if let Some(key) = unknown
            && pool.is_first_unknown_word()
        {
            tracing::warn!(
                plugin,
                key,
                "webhook: an event was left out, because this host doesn't know what its `{key}` says: the plugin is newer than the host; further ones are left out without a line"
            );
        }
        let claim = match pool.accepted().claim(verified.into_digests(), self.clock().now()) {
            Claimed::New(claim) => Some(claim),
            Claimed::Repeat => {
                pool.counters().repeats.fetch_add(1, Relaxed);
                tracing::debug!(plugin, "webhook: it was accepted before; its events mean nothing");
                None
            }
            Claimed::UnderWay => return Err(ReceiveError::UnderWay),
        };
        Ok(Received { events, claim, clock: self.clock() })
    }

    fn webhook_reader(&self, plugin: &str) -> Result<Arc<Pool>, ReceiveError> {
        let pool = self.pool(plugin, Queue::Webhooks).map_err(|missing| match missing {
            NoPool::Unknown => ReceiveError::NoSuchPlugin,
            NoPool::Compiling | NoPool::Failed(_) => ReceiveError::Unavailable,
        })?;
        if pool.admitted().exports(Interface::Webhook) {
            Ok(pool)
        } else {
            Err(ReceiveError::NoWebhook)
        }
    }

    /// Calls an export that takes a `call` and answers a result: leases an instance, calls it within
    /// the time of the call and of the plugin, counts and reads its failure. What it was `given` is asked for where a
    /// shadow is to be given the same.
    pub(super) async fn ask<R: Says>(
        &self,
        plugin: &str,
        interface: Interface,
        call: Call,
        given: impl FnOnce(Call) -> Input,
        export: impl AsyncFnOnce(&mut Live, wit::Call<'_>) -> wasmtime::Result<Result<R, wit::Failure>>,
    ) -> Result<R, PostError> {
        let pool = self.callable(plugin, interface)?;
        let whole = call.timeout.min(pool.call_timeout());
        let (around, watch) = self.around(&pool, &call.kv, self.traces().place(&call.traceparent));
        let at = (Queue::Posts, interface);
        let mut written = Writes::default();
        let export = async |live: &mut Live, left| {
            let now = self.clock().now();
            if let Some(watch) = &watch {
                watch.begins(left, now);
            }
            let call = convert::call(&call, left, now);
            let answer = export(live, call).await?;
            written = live.store.data_mut().kv.take_written();
            Ok(answer)
        };
        let answer = run(&pool, at, whole, around, export, answer_outcome).await;
        if let Some(watch) = watch {
            let ended = answer.as_ref().map(|answer| of_result(answer, good(interface)));
            watch.ends(|| given(call.clone()), ended, written.clone());
        }
        let answer = answer.map_err(post_error)?;
        // A call that is made again writes again.
        if answer.as_ref().err().is_none_or(convert::is_final) {
            call.kv.keep(written);
        }
        answer.map_err(|failure| {
            pool.counters().failures.fetch_add(1, Relaxed);
            PostError::Failed(convert::failure(failure))
        })
    }

    /// Whether a plugin that can be called has this export.
    fn exports(&self, plugin: &str, interface: Interface) -> Result<bool, PostError> {
        Ok(self.running(plugin)?.admitted().exports(interface))
    }

    /// A plugin that can be called and has this export.
    fn callable(&self, plugin: &str, interface: Interface) -> Result<Arc<Pool>, PostError> {
        let pool = self.running(plugin)?;
        if pool.admitted().exports(interface) {
            return Ok(pool);
        }
        let message = format!("the plugin `{plugin}` doesn't export `{}`", interface.short());
        Err(PostError::Unavailable { message })
    }

    fn running(&self, plugin: &str) -> Result<Arc<Pool>, PostError> {
        self.pool(plugin, Queue::Posts).map_err(|missing| match missing {
            NoPool::Unknown => {
                PostError::Unavailable { message: format!("there is no plugin `{plugin}`") }
            }
            NoPool::Compiling => PostError::Failed(compiling(plugin)),
            NoPool::Failed(why) => PostError::Unavailable { message: why },
        })
    }
}

/// Leases an instance, has it called with what is left of the time, and gives it back or drops it. Counts how the call
/// ended, an answer by its `outcome`.
pub(super) async fn run<R>(
    pool: &Pool,
    (queue, interface): (Queue, Interface),
    whole: Duration,
    around: Around,
    export: impl AsyncFnOnce(&mut Live, Duration) -> wasmtime::Result<R>,
    outcome: impl FnOnce(&R) -> &'static str,
) -> Result<R, Stopped> {
    let began = Instant::now();
    let span = around.place.as_ref().and_then(|place| place.begin("call"));
    let place = span.as_ref().map(Span::context).cloned().or(around.place);
    let ended = call_instance(pool, queue, whole, Around { place, ..around }, export).await;
    let outcome = ended.as_ref().map_or_else(stopped_outcome, outcome);
    pool.counters().ended(interface, outcome, began.elapsed());
    if let Some(mut span) = span {
        span.tell("sidenote.plugin", pool.name());
        span.tell("sidenote.plugin.version", pool.short_version());
        span.tell("sidenote.interface", interface.short());
        span.end((outcome != "answered").then_some(outcome));
    }
    ended
}

async fn call_instance<R>(
    pool: &Pool,
    queue: Queue,
    whole: Duration,
    around: Around,
    export: impl AsyncFnOnce(&mut Live, Duration) -> wasmtime::Result<R>,
) -> Result<R, Stopped> {
    let log = pool.span(around.place.as_ref());
    let watch = around.watch.clone();
    let mut lease = pool.lease(queue, whole, around).await?;
    let deadline = lease.deadline;
    let left = deadline.saturating_duration_since(Instant::now());
    let called = export(&mut lease.warm.live, left).instrument(log.clone());
    let called = metered(watch.as_deref().map(|watch| &watch.meter), called);
    let outcome = lease.warm.alarm.until(deadline, called).await;
    if let Some(watch) = watch {
        let state = lease.warm.live.store.data();
        watch.returns(state.memory.bytes(), state.moment.take());
    }
    // What the guest left without a line break is logged now.
    log.in_scope(|| lease.settle(outcome))
}

/// What was read of an answer, with a line in the log for an id that can't be kept.
fn kept<R>(plugin: &str, (read, odd): (R, Option<&'static str>)) -> R {
    if let Some(reason) = odd {
        tracing::warn!(plugin, reason, "a note id was left out");
    }
    read
}

fn post_error(stopped: Stopped) -> PostError {
    match stopped {
        Stopped::Busy { waited } => PostError::Failed(busy(waited)),
        // The call never reached a guest: it is as good as before, and the instance may start next time.
        Stopped::Start { message } => {
            PostError::Failed(never_sent(FailureKind::Transient, "start", message))
        }
        Stopped::Crashed { crash, message } => PostError::Crashed { crash, message },
    }
}

fn no_session() -> PostError {
    let message = "it has no session".to_owned();
    PostError::Failed(never_sent(FailureKind::Invalid, "session", message))
}

fn busy(waited: Duration) -> Failure {
    let message = format!(
        "no instance of the plugin was free within {waited:?}; raise its concurrency if this lasts"
    );
    Failure {
        retry_after: Some(BUSY_PAUSE),
        scope: LimitScope::Conversation,
        // It uses up no attempt: the call is as good as before, there are only too many at a time.
        ..never_sent(FailureKind::RateLimited, "busy", message)
    }
}

/// It isn't the platform that is away, and the plugin is there in a moment: no breaker opens, no attempt is
/// used up, and nobody asks meanwhile.
fn compiling(plugin: &str) -> Failure {
    Failure {
        retry_after: Some(COMPILING_PAUSE),
        ..never_sent(
            FailureKind::RateLimited,
            "compiling",
            format!("the plugin `{plugin}` is being compiled"),
        )
    }
}

/// A failure of the host's own.
fn never_sent(kind: FailureKind, code: &str, message: String) -> Failure {
    Failure {
        kind,
        code: code.to_owned(),
        message,
        retry_after: None,
        scope: LimitScope::Account,
        sent: Sent::NotSent,
    }
}
