//! The way to the plugins, as the engine sees it.

use std::sync::Arc;

use crate::ids::{ConversationId, PluginName};
use crate::outbox::due_timer::DueTimer;
use crate::outbox::message::Message;
use crate::outbox::note::{Call, Found, Note, PostError, Posted, Redaction};
use crate::outbox::sink_delivery::{Roles, SinkDelivery};

/// The way to the plugins, as the outbox sees it.
#[async_trait::async_trait]
pub trait Post: Send + Sync + 'static {
    /// Posts one note, once. Ends within `call.timeout` plus a small grace.
    async fn post_note(&self, call: Call, note: &Note) -> Result<Posted, PostError>;

    /// Asks whether the platform has a note whose outcome isn't known, by its key. Ends as
    /// [`Post::post_note`] does.
    async fn find_note(&self, call: Call, note: &Note) -> Result<Found, PostError> {
        let (_, _) = (call, note);
        Ok(Found::Unsupported)
    }

    /// Redacts a note that was posted before, by what the platform calls it. Asked again for the same
    /// note, it answers the same. Ends as [`Post::post_note`] does.
    async fn redact_note(
        &self,
        call: Call,
        plugin: &PluginName,
        conversation: &ConversationId,
        note_id: &str,
    ) -> Result<Redaction, PostError> {
        let (_, _, _, _) = (call, plugin, conversation, note_id);
        Ok(Redaction::Unsupported)
    }

    /// Hands a sink delivery to its sink, once. Ends as [`Post::post_note`] does.
    async fn write_sink(&self, call: Call, delivery: &SinkDelivery) -> Result<(), PostError> {
        let (_, plugin) = (call, &delivery.plugin);
        Err(PostError::Unavailable { message: format!("the plugin `{plugin}` is no sink") })
    }

    /// Calls a plugin for its timer, once. Ends as [`Post::post_note`] does.
    async fn wake(&self, call: Call, timer: &DueTimer) -> Result<(), PostError> {
        let (_, plugin) = (call, &timer.plugin);
        Err(PostError::Unavailable { message: format!("the plugin `{plugin}` has no timers") })
    }

    /// Sends a message that the person sees, once. Ends as [`Post::post_note`] does.
    async fn send_message(&self, call: Call, message: &Message) -> Result<Posted, PostError> {
        let (_, plugin) = (call, &message.plugin);
        Err(PostError::Unavailable { message: format!("the plugin `{plugin}` sends no messages") })
    }

    /// Whether a plugin can offer help. `None` where that isn't known.
    fn offers(&self, _: &PluginName) -> Option<bool> {
        Some(false)
    }

    /// Whether a plugin can redact notes at all. `None` where that isn't known.
    fn redacts(&self, _: &PluginName) -> Option<bool> {
        None
    }

    /// Whether a plugin is being made ready, so that nothing is begun with it until it is.
    fn is_coming(&self, _: &PluginName) -> bool {
        false
    }

    /// Which version of a plugin its next call is made with: what its manifest says, `+`, and the first digits of its
    /// content's hash. `None` where that isn't known.
    fn version(&self, _: &PluginName) -> Option<Arc<str>> {
        None
    }

    /// What a plugin can do; `None` where that isn't known, because it can't be loaded.
    fn roles(&self, _: &PluginName) -> Option<Roles> {
        Some(Roles::WRITER)
    }
}
