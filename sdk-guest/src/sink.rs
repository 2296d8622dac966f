//! The types of [`Sink`](crate::Sink): what people do, as it comes in.

pub use crate::bindings::sink::exports::sidenote::plugin::sink::{Batch, Summary};
