//! The types of [`Sink`](crate::Sink): what people do, as it comes in.
//!
//! ```
//! use sidenote_plugin::sink::{Batch, Summary};
//! use sidenote_plugin::{Call, Failure, Sink, http};
//!
//! struct Warehouse;
//!
//! impl Sink for Warehouse {
//!     fn write_actions(call: Call, batch: Batch) -> Result<(), Failure> {
//!         let row = serde_json::json!({ "session": batch.session_id, "actions": batch.actions.len() });
//!         http::Request::post("https://warehouse.example.com/rows")
//!             .header("idempotency-key", call.idempotency_key)
//!             .json(&row)?
//!             .send()?
//!             .error_for_status()
//!             .map(drop)
//!     }
//!
//!     fn write_summary(_: Call, _: Summary) -> Result<(), Failure> {
//!         Ok(())
//!     }
//! }
//!
//! sidenote_plugin::export!(Warehouse: Sink);
//! # fn main() {}
//! ```

pub use crate::bindings::sink::exports::sidenote::plugin::sink::{Batch, Summary};
