//! The types of [`Sink`](crate::Sink): what people do, as it comes in.
//!
//! ```
//! use sidenote_plugin::json::ActionBody;
//! use sidenote_plugin::sink::{Batch, Summary};
//! use sidenote_plugin::{Call, Failure, Sink, http};
//!
//! struct Warehouse;
//!
//! impl Sink for Warehouse {
//!     fn write_actions(call: Call, batch: Batch) -> Result<(), Failure> {
//!         let actions: Vec<_> = batch.actions.iter().map(ActionBody::from).collect();
//!         let row = serde_json::json!({ "session": batch.session_id, "actions": actions });
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
//!
//! The host hands over the batches and summaries of a session in order, one at a time, each with an
//! idempotency key that stays the same when it is handed over again: keep to it, or pass it on. A sink that
//! was told of a failure decides nothing itself: the host tries again, waits, or keeps it for a person.
//!
//! Its logic has unit tests like any other's, with [`test::batch`](crate::test::batch) and
//! [`test::summary`](crate::test::summary):
//!
//! ```
//! # use sidenote_plugin::json::ActionBody;
//! # use sidenote_plugin::sink::{Batch, Summary};
//! # use sidenote_plugin::{Call, Failure, Sink, http};
//! # struct Warehouse;
//! # impl Sink for Warehouse {
//! #     fn write_actions(call: Call, batch: Batch) -> Result<(), Failure> {
//! #         let actions: Vec<_> = batch.actions.iter().map(ActionBody::from).collect();
//! #         let row = serde_json::json!({ "session": batch.session_id, "actions": actions });
//! #         http::Request::post("https://warehouse.example.com/rows").json(&row)?.send()?.error_for_status().map(drop)
//! #     }
//! #     fn write_summary(_: Call, _: Summary) -> Result<(), Failure> { Ok(()) }
//! # }
//! use sidenote_plugin::FailureKind;
//! use sidenote_plugin::test::{self, Host};
//!
//! let host = Host::new().respond(200, "").respond(429, "").install();
//! Warehouse::write_actions(test::call(), test::batch(["clicked Pay"])).unwrap();
//! let body: serde_json::Value = serde_json::from_slice(&host.requests()[0].body).unwrap();
//! assert_eq!(body["actions"][0]["description"], "clicked Pay");
//! let failure = Warehouse::write_actions(test::call(), test::batch(["clicked Pay"])).unwrap_err();
//! assert_eq!(failure.kind, FailureKind::RateLimited);
//! ```

pub use crate::bindings::sink::exports::sidenote::plugin::sink::{Batch, Summary};
