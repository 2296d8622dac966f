//! A chat platform that remembers: conversations, the notes beside them, and webhooks to the host, in
//! the format of the generic webhook plugin. It checks every request strictly and fails on demand.

mod answer;
mod desk;
mod exchange;
mod fault;
mod handle;
mod live;
mod message;
mod messages;
mod note;
mod options;
mod receive;
mod receiver;
mod redact;
mod stats;
mod webhook;

#[cfg(test)]
mod tests;

pub use exchange::{Ending, Exchange};
pub use fault::{Fault, Scope, Trouble};
pub use handle::Platform;
pub use live::Live;
pub use message::{Message, QuickReply};
pub use note::{Note, NoteAction, Redacted};
pub use options::{Keep, Opening, PlatformOptions};
pub use stats::PlatformStats;
pub use webhook::WebhookError;
