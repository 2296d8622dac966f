//! From bytes to events of bounded size.
//!
//! A *block* is the lines up to a blank one. [`Blocks`] collects one block at a time, keeps only the
//! lines that mean something (`data`, `event`, `id`, `retry`), and drops a block that grows over its
//! limit, so that nothing unbounded is ever held. A whole block is parsed by eventsource-stream.
//! Handing it whole blocks, line by line, rather than the raw stream also fixes what the parser alone
//! would do: stall for ever on invalid UTF-8, panic on a byte order mark, wait for the byte after a CR,
//! lose the `retry` of a block without data, hide whether an id is the event's own, and copy the rest of
//! a block once per line.

use std::convert::Infallible;

use eventsource_stream::{Event, Eventsource};
use futures_util::{FutureExt, StreamExt, stream};

/// Collects blocks out of chunks that may be cut anywhere, also inside a character.
pub(super) struct Blocks {
    limit: usize,
    /// The kept lines of the block under way, each ended with LF, and the line under way.
    kept: Vec<u8>,
    /// Where the line under way starts in `kept`.
    line_start: usize,
    /// Whether the line under way has no byte yet, kept or not.
    line_is_empty: bool,
    /// The line under way means nothing: its bytes are dropped.
    skip_line: bool,
    /// The block under way is over its limit: its bytes are dropped.
    skip_block: bool,
    /// The last byte was a CR: an LF that follows belongs to it.
    after_cr: bool,
    /// How many bytes of a byte order mark were seen; `None` once past the start of the stream.
    bom_bytes: Option<usize>,
    has_data: bool,
    has_id: bool,
}

/// What came out of the bytes.
#[derive(Debug, PartialEq)]
pub(super) enum Found {
    /// A whole block.
    Block(Block),
    /// A block went over the limit; the rest of it is dropped.
    Oversized,
}

/// A whole block with at least one line that means something.
#[derive(Debug, PartialEq)]
pub(super) struct Block {
    text: String,
    /// Whether it holds data; without, it is no event and only its `id` and `retry` count.
    pub(super) has_data: bool,
    /// Whether it sets the id.
    pub(super) has_id: bool,
}

const BOM: &[u8] = b"\xef\xbb\xbf";
/// With so many bytes of a line it is clear whether its field means something: `event:`.
const LONGEST_FIELD: usize = 6;

impl Blocks {
    /// Blocks of at most `limit` bytes, counted over the kept lines.
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit,
            kept: Vec::new(),
            line_start: 0,
            line_is_empty: true,
            skip_line: false,
            skip_block: false,
            after_cr: false,
            bom_bytes: Some(0),
            has_data: false,
            has_id: false,
        }
    }

    /// Reads on in `chunk`, which is shortened by what was read, up to the next find; `None` when the
    /// chunk is used up. A block that the stream's end cuts off is never found.
    pub(super) fn next_in(&mut self, chunk: &mut &[u8]) -> Option<Found> {
        while !chunk.is_empty() {
            if self.in_bom(chunk) {
                continue;
            }
            if std::mem::take(&mut self.after_cr) && chunk[0] == b'\n' {
                *chunk = &chunk[1..];
                continue;
            }
            let end = memchr::memchr2(b'\r', b'\n', chunk);
            let (piece, rest) = chunk.split_at(end.unwrap_or(chunk.len()));
            *chunk = rest;
            if self.take(piece) {
                return Some(Found::Oversized);
            }
            if let Some((end, rest)) = chunk.split_first() {
                *chunk = rest;
                self.after_cr = *end == b'\r';
                if let Some(found) = self.end_line() {
                    return Some(found);
                }
            }
        }
        None
    }

    /// How much memory is held, in bytes.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.kept.capacity()
    }

    /// Swallows a byte order mark at the very start, which may come in pieces. What only began like one
    /// is given back to the line.
    fn in_bom(&mut self, chunk: &mut &[u8]) -> bool {
        let Some(seen) = self.bom_bytes else {
            return false;
        };
        if chunk[0] == BOM[seen] {
            *chunk = &chunk[1..];
            self.bom_bytes = (seen + 1 < BOM.len()).then_some(seen + 1);
            return true;
        }
        self.bom_bytes = None;
        self.take(&BOM[..seen]);
        false
    }

    /// Adds to the line under way. True when this took the block over its limit, which is known once
    /// the line's field is.
    fn take(&mut self, piece: &[u8]) -> bool {
        self.line_is_empty &= piece.is_empty();
        if self.skip_block || self.skip_line {
            return false;
        }
        let known = self.kept.len() - self.line_start;
        let (head, tail) = piece.split_at(piece.len().min(LONGEST_FIELD.saturating_sub(known)));
        self.kept.extend_from_slice(head);
        let line = &self.kept[self.line_start..];
        if line.len() < LONGEST_FIELD {
            return false;
        }
        if !head.is_empty() && field(line).is_none() {
            self.kept.truncate(self.line_start);
            self.skip_line = true;
            return false;
        }
        if self.over_limit(tail.len()) {
            return true;
        }
        self.kept.extend_from_slice(tail);
        false
    }

    fn end_line(&mut self) -> Option<Found> {
        let blank = std::mem::replace(&mut self.line_is_empty, true);
        self.skip_line = false;
        if blank {
            return self.end_block().map(Found::Block);
        }
        match field(&self.kept[self.line_start..]) {
            Some(_) if self.over_limit(0) => return Some(Found::Oversized),
            Some(field) => {
                self.has_data |= field == Field::Data;
                self.has_id |= field == Field::Id;
                self.kept.push(b'\n');
            }
            None => self.kept.truncate(self.line_start),
        }
        self.line_start = self.kept.len();
        None
    }

    /// Gives the block up when so many more bytes are too many.
    fn over_limit(&mut self, more: usize) -> bool {
        let over = self.kept.len() + more > self.limit;
        if over {
            self.clear();
            self.skip_block = true;
        }
        over
    }

    fn end_block(&mut self) -> Option<Block> {
        self.skip_block = false;
        let (has_data, has_id) = (self.has_data, self.has_id);
        let kept = self.clear();
        let text = String::from_utf8(kept)
            .unwrap_or_else(|invalid| String::from_utf8_lossy(invalid.as_bytes()).into_owned());
        (!text.is_empty()).then_some(Block { text, has_data, has_id })
    }

    /// Starts over with no memory held, and returns what was kept.
    fn clear(&mut self) -> Vec<u8> {
        self.line_start = 0;
        self.has_data = false;
        self.has_id = false;
        std::mem::take(&mut self.kept)
    }
}

impl Block {
    /// Size of its kept lines, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.text.len()
    }

    /// The event as eventsource-stream reads it; `None` is never expected, see the module's text.
    pub(super) fn parse(&self) -> Option<Event> {
        let data = if self.has_data { "" } else { "data:\n" };
        let lines = self.text.split_inclusive('\n').chain([data, "\n"]).map(Ok::<_, Infallible>);
        stream::iter(lines).eventsource().next().now_or_never()??.ok()
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Field {
    Data,
    Event,
    Id,
    Retry,
}

/// The field of a line, or of a start of a line at least [`LONGEST_FIELD`] long; `None` where the line
/// means nothing: a comment, an unknown field, an id with a NUL, a retry that is no number.
fn field(line: &[u8]) -> Option<Field> {
    let (name, value) = match line.iter().position(|byte| *byte == b':') {
        Some(colon) => (&line[..colon], &line[colon + 1..]),
        None => (line, &[][..]),
    };
    let value = value.strip_prefix(b" ").unwrap_or(value);
    match name {
        b"data" => Some(Field::Data),
        b"event" => Some(Field::Event),
        b"id" => (!value.contains(&0)).then_some(Field::Id),
        b"retry" => value.iter().all(u8::is_ascii_digit).then_some(Field::Retry),
        _ => None,
    }
}
