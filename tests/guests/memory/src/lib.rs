//! Allocates without end where the body of a note is `eat`.

use std::hint::black_box;

use sidenote_plugin::{Call, Failure, Note, Posted, Writer};

/// The plugin.
pub struct Memory;

impl Writer for Memory {
    fn post_note(_: Call, note: Note) -> Result<Posted, Failure> {
        if note.body != "eat" {
            return Ok(Posted::with_id("alive"));
        }
        let mut eaten: Vec<Vec<u8>> = Vec::new();
        loop {
            eaten.push(black_box(vec![1; 1 << 20]));
        }
    }
}

sidenote_plugin::export!(Memory);
