//! Notes as lines for people.

use std::io::{self, IsTerminal};

use comfy_table::{ColumnConstraint, Width};
use rustix::termios::tcgetwinsize;
use sidenote::engine::ledger::{Entry, EntryState};
use sidenote_terminal::output::{escaped, short};

use crate::table;

const HEADS: [&str; 7] = ["STATE", "SEALED", "TRIES", "ID", "PLUGIN", "CONVERSATION", "NEXT, WHY"];

/// The columns that are never cut: the host chose what is in them.
const WHOLE: [usize; 3] = [0, 1, 2];
const NUMBERS: [usize; 1] = [2];
/// What the last column has at least, before names are left as long as they are.
const WHY: u16 = 26;

/// The notes, a line each, and their texts where they have them; the heads before the first. On a terminal they are
/// cut to its width.
pub(super) fn for_stdout(entries: &[Entry], with_heads: bool) -> String {
    text(entries, with_heads, io::stdout().is_terminal().then(terminal_width))
}

/// The same in lines of `width` characters.
pub(super) fn text(entries: &[Entry], with_heads: bool, width: Option<u16>) -> String {
    let heads = with_heads.then_some(HEADS);
    let mut drawn = table::drawn(heads, entries.iter().map(cells), &NUMBERS, width);
    for column in WHOLE {
        if let Some(column) = drawn.column_mut(column) {
            column.set_constraint(ColumnConstraint::ContentWidth);
        }
    }
    if let Some(why) = drawn.column_mut(HEADS.len() - 1) {
        why.set_constraint(ColumnConstraint::LowerBoundary(Width::Fixed(WHY)));
    }
    let mut drawn = table::lines(&drawn);
    let mut lines: Vec<_> = drawn.by_ref().take(usize::from(with_heads)).collect();
    for (line, entry) in drawn.zip(entries) {
        lines.push(line);
        let text = entry.text.iter().flat_map(|text| text.0.lines());
        lines.extend(text.map(|line| format!("    | {}", escaped(line))));
    }
    lines.join("\n")
}

fn cells(entry: &Entry) -> [String; HEADS.len()] {
    [
        entry.state.name().to_owned(),
        format!("{} ago", short(entry.age_seconds)),
        entry.attempts.to_string(),
        entry.id.to_string(),
        escaped(&entry.plugin),
        entry.conversation.as_ref().map_or_else(|| "(sink)".to_owned(), |id| escaped(id.as_str())),
        why(entry),
    ]
}

/// When it is tried again, and why it is where it is.
fn why(entry: &Entry) -> String {
    let now = entry.sealed_at + entry.age_seconds;
    let wait = entry.waits_until.map(|at| match at - now {
        wait if wait > 0.0 => format!("in {}", short(wait)),
        _ => "at once".to_owned(),
    });
    let wait = wait.map(|wait| match entry.state {
        EntryState::HeldUntil => format!("{wait}, as the platform asked"),
        EntryState::Due
        | EntryState::InFlight
        | EntryState::RetryAt
        | EntryState::GivenUp
        | EntryState::Dead => wait,
    });
    let reason = entry.reason.as_deref().map(escaped);
    wait.into_iter().chain(reason).collect::<Vec<_>>().join("; ")
}

/// The width of the terminal.
fn terminal_width() -> u16 {
    const USUAL: u16 = 120;
    let told = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    let asked = || Some(tcgetwinsize(io::stdout()).ok()?.ws_col);
    told.or_else(asked).filter(|columns| *columns > 0).unwrap_or(USUAL)
}
