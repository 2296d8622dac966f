//! What people do, for plugins that take or judge it.

use super::note::action;
use crate::plugin::bindings::v0_1::exports::sidenote::plugin::{sink, trigger};
use crate::plugin::help::TriggerContext;
use crate::session::payload::{ActionsPayload, SummaryPayload};

/// A batch; one without a session is none that a plugin could take.
pub(in crate::plugin) fn batch(batch: &ActionsPayload) -> Option<sink::Batch> {
    Some(sink::Batch {
        product_id: batch.product_id.clone(),
        session_id: batch.session_id.clone()?,
        user_id: batch.user_id.clone(),
        email: batch.email.clone(),
        conversation_id: batch.conversation_id.clone(),
        actions: batch.actions.iter().map(action).collect(),
        forwarded_at: known(batch.forwarded_at),
        extras: Vec::new(),
    })
}

/// A summary; one without a session is none that a plugin could take.
pub(in crate::plugin) fn summary(summary: &SummaryPayload) -> Option<sink::Summary> {
    Some(sink::Summary {
        product_id: summary.product_id.clone(),
        session_id: summary.session_id.clone()?,
        text: summary.summary.clone(),
        replaces: summary.replaces,
        forwarded_at: known(summary.forwarded_at),
        extras: Vec::new(),
    })
}

pub(in crate::plugin) fn context(context: &TriggerContext) -> trigger::Context {
    trigger::Context {
        product_id: context.key.product.as_str().to_owned(),
        session_id: context.key.session.as_str().to_owned(),
        user_id: context.user_id.clone(),
        email: context.email.clone(),
        conversation_id: context.conversation.as_ref().map(|id| id.as_str().to_owned()),
        actions: context.actions.iter().map(action).collect(),
        summary: context.summary.clone(),
        now_ms: context.now.as_millis(),
        extras: Vec::new(),
    }
}

/// The payloads write 0 for a time that nobody knows.
fn known(at: f64) -> Option<f64> {
    (at != 0.0).then_some(at)
}
