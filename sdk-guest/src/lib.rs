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
//!         let answer: Answer = response.json()?;
//!         log::debug!({ status = response.status }, "posted");
//!         Ok(Posted::with_id(answer.id))
//!     }
//! }
//!
//! sidenote_plugin::export!(Bot);
//! # fn main() {}
//! ```
//!
//! A plugin that reads a platform's webhooks too implements [`Webhook`] and says so:
//! `export!(Bot: Writer, Webhook)`.
//!
//! Off WebAssembly the same code runs against a host in memory ([`test::Host`]), so that a plugin's
//! logic has ordinary unit tests.

extern crate self as sidenote_plugin;

#[doc(hidden)]
pub mod bindings;
pub mod config;
pub mod crypto;
mod export;
mod failure;
pub mod http;
pub mod log;
#[cfg(not(target_arch = "wasm32"))]
pub mod test;
pub mod webhook;

pub use bindings::host::sidenote::plugin::types::{
    Action, Call, Extras, Failure, FailureKind, Note, NoteKind, Posted, Sent,
};
pub use export::{Webhook, Writer};
#[doc(hidden)]
pub use wit_bindgen;
