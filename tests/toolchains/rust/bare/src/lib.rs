//! A writer over wit-bindgen alone.

use shared::{Call, Failure, Guest, Note, Posted};

struct Writer;

shared::export!(Writer with_types_in shared);

impl Guest for Writer {
    fn post_note(call: Call, note: Note) -> Result<Posted, Failure> {
        shared::post(&call, &note)
    }
}
