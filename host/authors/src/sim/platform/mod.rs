//! A chat platform that remembers: conversations, the notes beside them, and webhooks to the host, in
//! the format of the generic webhook plugin. It checks every request strictly and fails on demand.

mod answer;
mod desk;
mod exchange;
mod fault;
mod handle;
mod note;
mod options;
mod receive;
mod redact;
mod stats;
mod webhook;

#[cfg(test)]
mod tests;

pub use exchange::{Ending, Exchange};
pub use fault::{Fault, Scope, Trouble};
pub use handle::{Live, Platform};
pub use note::{Note, NoteAction};
pub use options::{Keep, Opening, PlatformOptions};
pub use redact::Redacted;
pub use stats::PlatformStats;
pub use webhook::WebhookError;
