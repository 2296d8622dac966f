//! Write a Sidenote plugin in Rust: implement [`Writer`], name it in [`export!`], and
//! `cargo build --target wasm32-wasip2` makes a component to drop into the plugins folder.
//!
//! ```
//! use sidenote_plugin::{Call, Failure, Note, Posted, Writer, config, http, log};
//!
//! struct Bot;
//!
//! impl Writer for Bot {
//!     fn post_note(call: Call, note: Note) -> Result<Posted, Failure> {
//!         let url = config::require("url")?;
//!         let response = http::Request::post(format!("{url}/notes"))
//!             .bearer_secret("token")
//!             .header("idempotency-key", call.idempotency_key)
//!             .json(&serde_json::json!({ "conversation": note.conversation_id, "text": note.body }))?
//!             .send()?
//!             .error_for_status()?;
//!         #[derive(serde::Deserialize)]
//!         struct Answer {
//!             id: String,
//!         }
//!         log::debug!({ status = response.status }, "posted");
//!         // The platform has the note, also where its answer can't be read.
//!         Ok(match response.json() {
//!             Ok(Answer { id }) => Posted::with_id(id),
//!             Err(_) => Posted::without_id(),
//!         })
//!     }
//! }
//!
//! sidenote_plugin::export!(Bot);
//! # fn main() {}
//! ```
//!
//! What else a plugin can do is a trait each, and named in the macro: [`Webhook`] reads a platform's
//! webhooks, [`Redactor`] redacts notes, [`Finder`] keeps a note from being sent twice, [`Messenger`]
//! writes what the person sees, [`Sink`] takes what people do, [`Trigger`] says when to offer help, [`Source`]
//! brings what people do: `export!(Bot: Writer, Webhook, Finder)`.
//!
//! What is to be there in a later call is kept by the host: [`kv`]. A plugin that has something to do later sets a
//! [`timer`], and implements [`OnTimer`].
//!
//! Off WebAssembly the same code runs against a host in memory ([`test::Host`]), so that a plugin's
//! logic has ordinary unit tests.

extern crate self as sidenote_plugin;

#[doc(hidden)]
pub mod bindings;
pub mod clock;
pub mod config;
pub mod crypto;
mod export;
mod failure;
pub mod help;
pub mod http;
pub mod json;
pub mod kv;
pub mod log;
pub mod sink;
pub mod source;
#[cfg(not(target_arch = "wasm32"))]
pub mod test;
pub mod text;
pub mod timer;
pub mod webhook;

pub use bindings::host::sidenote::plugin::types::{
    Action, Call, Extras, Failure, FailureKind, Note, NoteId, NoteKind, Posted, Sent,
};
pub use bindings::redactor::exports::sidenote::plugin::redactor::Redaction;
#[doc(hidden)]
pub use export::bytes_of;
pub use export::{Finder, Messenger, OnTimer, Redactor, Sink, Source, Trigger, Webhook, Writer};
pub use failure::{LimitScope, Outlook};
#[doc(hidden)]
pub use wit_bindgen;
