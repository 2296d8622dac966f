//! A sink: every batch and every summary as lines of JSON, posted to a URL. The format of the lines is in
//! this folder's `README.md` and in `schema/`.

mod lines;
mod post;

use sidenote_plugin::sink::{Batch, Summary};
use sidenote_plugin::{Call, Failure, Sink};

/// The plugin.
pub struct JsonLines;

impl Sink for JsonLines {
    fn write_actions(call: Call, batch: Batch) -> Result<(), Failure> {
        post::send(&call, &lines::of_batch(&call.idempotency_key, &batch)?)
    }

    fn write_summary(call: Call, summary: Summary) -> Result<(), Failure> {
        post::send(&call, &[lines::of_summary(&call.idempotency_key, &summary)?])
    }
}

sidenote_plugin::export!(
    JsonLines: Sink;
    manifest = include_str!("../manifest.json")
);
