//! What people do, for plugins that take or judge it.

use super::wit;
use crate::outbox::due_timer::DueTimer;
use crate::plugin::bindings::v0_1::exports::sidenote::plugin::{on_timer, sink, trigger};
use crate::plugin::help::TriggerContext;
use crate::session::payload::{ActionsPayload, SummaryPayload};

/// A batch; one without a session is none that a plugin could take. `actions` are those of the batch.
pub(in crate::plugin) fn batch<'a>(
    batch: &'a ActionsPayload,
    actions: &'a [wit::Action<'a>],
) -> Option<sink::Batch<'a>> {
    Some(sink::Batch {
        product_id: &batch.product_id,
        session_id: batch.session_id.as_deref()?,
        user_id: batch.user_id.as_deref(),
        email: batch.email.as_deref(),
        conversation_id: batch.conversation_id.as_deref(),
        actions,
        forwarded_at: known(batch.forwarded_at),
        extras: &[],
    })
}

/// A summary; one without a session is none that a plugin could take.
pub(in crate::plugin) fn summary(summary: &SummaryPayload) -> Option<sink::Summary<'_>> {
    Some(sink::Summary {
        product_id: &summary.product_id,
        session_id: summary.session_id.as_deref()?,
        text: &summary.summary,
        replaces: summary.replaces,
        forwarded_at: known(summary.forwarded_at),
        extras: &[],
    })
}

/// `actions` are those of the context.
pub(in crate::plugin) fn context<'a>(
    context: &'a TriggerContext,
    actions: &'a [wit::Action<'a>],
) -> trigger::Context<'a> {
    trigger::Context {
        product_id: context.key.product.as_str(),
        session_id: context.key.session.as_str(),
        user_id: context.user_id.as_deref(),
        email: context.email.as_deref(),
        conversation_id: context.conversation.as_ref().map(|id| id.as_str()),
        actions,
        summary: context.summary.as_deref(),
        now_ms: context.now.as_millis(),
        extras: &[],
    }
}

pub(in crate::plugin) fn timer(timer: &DueTimer) -> on_timer::DueTimer<'_> {
    on_timer::DueTimer {
        name: &timer.name,
        payload: &timer.payload.0,
        at_ms: timer.at.as_millis(),
        product_id: timer.key.product.as_str(),
        session_id: timer.key.session.as_str(),
        conversation_id: timer.conversation.as_ref().map(|id| id.as_str()),
        user_id: timer.user_id.as_deref(),
        email: timer.email.as_deref(),
        extras: &[],
    }
}

/// The payloads write 0 for a time that nobody knows.
fn known(at: f64) -> Option<f64> {
    (at != 0.0).then_some(at)
}
