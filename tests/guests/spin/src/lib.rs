//! Loops for ever where the last word of a note is `spin`, waits for ever where it is `sleep`.

use std::hint::black_box;
use std::time::Duration;

use sidenote_plugin::{Call, Failure, Note, Posted, Writer};

/// The plugin.
pub struct Spin;

impl Writer for Spin {
    fn post_note(_: Call, note: Note) -> Result<Posted, Failure> {
        match note.body.rsplit(' ').next().unwrap_or_default() {
            "spin" => {
                let mut turns = 0_u64;
                loop {
                    turns = black_box(turns.wrapping_add(1));
                }
            }
            "sleep" => loop {
                std::thread::sleep(Duration::from_secs(3600));
            },
            // Some dozens of ticks of computing, and back.
            "work" => {
                let mut turns = 0_u64;
                while turns < 100_000_000 {
                    turns = black_box(turns + 1);
                }
                Ok(Posted::with_id(turns.to_string()))
            }
            _ => Ok(Posted::with_id("alive")),
        }
    }
}

sidenote_plugin::export!(Spin);
