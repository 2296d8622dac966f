//! Calls of the plugins' exports: one function per export, each within its deadline.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use http::HeaderValue;
use tokio::time::timeout_at;
use tracing::Instrument;

use super::convert;
use super::pool::{Queue, Stopped};
use super::registry::{NoPool, Registry};
use super::webhook::{ReceiveError, WebhookEvent, WebhookRequest};
use crate::outbox::note::{
    Call, Crash, Failure, FailureKind, LimitScope, Note, Post, PostError, Posted, Sent,
};

/// What a plugin that was too busy asks for.
const BUSY_PAUSE: Duration = Duration::from_millis(250);

impl Registry {
    /// Has a plugin verify a webhook and say what it means. Ends within the plugin's `call_timeout`.
    ///
    /// # Errors
    /// [`ReceiveError`]; nothing may be done on account of such a request.
    pub async fn receive(
        &self,
        plugin: &str,
        request: WebhookRequest,
    ) -> Result<Vec<WebhookEvent>, ReceiveError> {
        let pool = self.pool(plugin).map_err(|missing| match missing {
            NoPool::Unknown => ReceiveError::NoSuchPlugin,
            NoPool::Failed(_) => ReceiveError::Unavailable,
        })?;
        let crashed = |crash: Crash, message| ReceiveError::Crashed {
            code: crash.code().to_owned(),
            message,
        };
        let stopped = |stopped| match stopped {
            Stopped::Busy { .. } | Stopped::Start { .. } => ReceiveError::Unavailable,
            Stopped::Crashed { crash, message } => crashed(crash, message),
        };
        if !pool.admitted().reads_webhooks() {
            return Err(ReceiveError::NoWebhook);
        }
        let mut lease =
            pool.lease(Queue::Webhooks, pool.call_timeout(), None).await.map_err(stopped)?;
        let request = convert::request(request);
        let deadline = lease.deadline;
        let live = &mut lease.warm.live;
        let Some(webhook) = &live.webhook else {
            return Err(ReceiveError::NoWebhook);
        };
        let received = webhook.call_receive(&mut live.store, &request);
        let outcome = timeout_at(deadline, received.instrument(pool.span())).await;
        let answer = match lease.settle(outcome).map_err(stopped)? {
            Ok(events) => convert::events(events),
            Err(rejection) => Err(convert::rejection(rejection)),
        };
        if answer.is_err() {
            pool.counters().failures.fetch_add(1, Relaxed);
        }
        answer
    }
}

#[async_trait::async_trait]
impl Post for Registry {
    async fn post_note(&self, call: Call, note: &Note) -> Result<Posted, PostError> {
        let unavailable = |message: String| PostError::Unavailable { message };
        let pool = self.pool(&note.plugin).map_err(|missing| match missing {
            NoPool::Unknown => unavailable(format!("there is no plugin `{}`", note.plugin)),
            NoPool::Failed(why) => unavailable(why),
        })?;
        if !pool.admitted().writes() {
            return Err(unavailable(format!(
                "the plugin `{}` doesn't export `writer`",
                note.plugin
            )));
        }
        let stopped = |stopped| match stopped {
            Stopped::Busy { waited } => PostError::Failed(busy(waited)),
            Stopped::Start { message } => PostError::Failed(no_start(message)),
            Stopped::Crashed { crash, message } => PostError::Crashed { crash, message },
        };
        let whole = call.timeout.min(pool.call_timeout());
        let traceparent =
            HeaderValue::from_str(&call.traceparent).ok().filter(|value| !value.is_empty());
        let mut lease = pool.lease(Queue::Posts, whole, traceparent).await.map_err(stopped)?;
        let deadline = lease.deadline;
        let left = deadline.saturating_duration_since(tokio::time::Instant::now());
        let call = convert::call(Call { timeout: left, ..call }, self.clock().now());
        let live = &mut lease.warm.live;
        let Some(writer) = &live.writer else {
            return Err(unavailable(format!(
                "the plugin `{}` doesn't export `writer`",
                note.plugin
            )));
        };
        let outcome = timeout_at(
            deadline,
            writer
                .call_post_note(&mut live.store, &call, &convert::note(note))
                .instrument(pool.span()),
        )
        .await;
        match lease.settle(outcome).map_err(stopped)? {
            Ok(posted) => {
                let (posted, odd) = convert::posted(posted);
                if let Some(reason) = odd {
                    tracing::warn!(plugin = %note.plugin, reason, "a note id was left out");
                }
                Ok(posted)
            }
            Err(failure) => {
                pool.counters().failures.fetch_add(1, Relaxed);
                Err(PostError::Failed(convert::failure(failure)))
            }
        }
    }
}

/// The note never reached a guest: it is as good as before, and the instance may start next time.
fn no_start(message: String) -> Failure {
    Failure {
        kind: FailureKind::Transient,
        code: "start".to_owned(),
        message,
        retry_after: None,
        scope: LimitScope::Account,
        sent: Sent::NotSent,
    }
}

fn busy(waited: Duration) -> Failure {
    Failure {
        // It burns no attempt: the note is as good as before, there are only too many at a time.
        kind: FailureKind::RateLimited,
        code: "busy".to_owned(),
        message: format!(
            "no instance of the plugin was free within {waited:?}; raise its concurrency if this lasts"
        ),
        retry_after: Some(BUSY_PAUSE),
        scope: LimitScope::Conversation,
        sent: Sent::NotSent,
    }
}
