//! Notes as lines for people.

use std::io::{self, IsTerminal};
use std::process::{Command, Stdio};

use sidenote::engine::ledger::{Entry, EntryState};
use sidenote_terminal::output::{escaped, short};

/// Columns are cut no further than this.
const NARROWEST: usize = 8;

/// What the last column shall have, before the others are left as wide as they are.
const LAST: usize = 24;

const HEADS: [&str; 9] = [
    "STATE",
    "SEALED",
    "TRIES",
    "PRODUCT",
    "SESSION",
    "NOTE",
    "PLUGIN",
    "CONVERSATION",
    "NEXT, WHY",
];

/// The columns with names that others chose, which can be cut.
const NAMES: [usize; 4] = [3, 4, 6, 7];

/// The widths of the columns.
pub(super) struct Table {
    widths: [usize; HEADS.len() - 1],
    /// Of a whole line; the last column takes what is left.
    line: Option<usize>,
}

impl Table {
    /// A table for stdout, as wide as its terminal; nothing is cut where it isn't one.
    pub(super) fn for_stdout(first: &[Entry]) -> Self {
        Self::new(first, io::stdout().is_terminal().then(terminal_width))
    }

    /// A table whose columns fit these notes in lines of `line` characters.
    pub(super) fn new(first: &[Entry], line: Option<usize>) -> Self {
        let mut widths = [0; HEADS.len() - 1];
        for cells in first.iter().map(cells).chain([HEADS.map(str::to_owned)]) {
            for (width, cell) in widths.iter_mut().zip(&cells) {
                *width = (*width).max(cell.chars().count());
            }
        }
        if let Some(line) = line {
            let room = line.saturating_sub(LAST);
            while widths.iter().map(|width| width + 2).sum::<usize>() > room
                && let Some(widest) = NAMES.into_iter().max_by_key(|column| widths[*column])
                && widths[widest] > NARROWEST
            {
                widths[widest] -= 1;
            }
        }
        Self { widths, line }
    }

    /// The notes, a line each, and their texts where they have them; the heads before the first.
    pub(super) fn text(&self, entries: &[Entry], with_heads: bool) -> String {
        let mut lines = Vec::new();
        if with_heads {
            lines.push(self.line(&HEADS.map(str::to_owned)));
        }
        for entry in entries {
            lines.push(self.line(&cells(entry)));
            let text = entry.text.iter().flat_map(|text| text.0.lines());
            lines.extend(text.map(|line| format!("    | {}", escaped(line))));
        }
        lines.join("\n")
    }

    fn line(&self, cells: &[String; HEADS.len()]) -> String {
        let mut line = String::new();
        for (column, (width, cell)) in self.widths.iter().zip(cells).enumerate() {
            let cell = cut(cell, *width);
            let blanks = " ".repeat(width - cell.chars().count());
            // Numbers stand on the right.
            match column {
                2 | 5 => line.extend([blanks.as_str(), &cell, "  "]),
                _ => line.extend([cell.as_str(), &blanks, "  "]),
            }
        }
        let why = &cells[HEADS.len() - 1];
        line.push_str(&match self.line {
            Some(whole) => cut(why, whole.saturating_sub(line.chars().count()).max(1)),
            None => why.clone(),
        });
        line.truncate(line.trim_end().len());
        line
    }
}

fn cells(entry: &Entry) -> [String; HEADS.len()] {
    [
        entry.state.name().to_owned(),
        format!("{} ago", short(entry.age_seconds)),
        entry.attempts.to_string(),
        escaped(entry.product.as_str()),
        escaped(entry.session.as_str()),
        entry.seq.to_string(),
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

fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    text.chars().take(width.saturating_sub(1)).chain(['…']).collect()
}

/// The width of the terminal: asked of `stty`, since the standard library doesn't know it.
fn terminal_width() -> usize {
    const USUAL: usize = 120;
    let asked = || {
        let terminal = std::fs::File::open("/dev/tty").ok()?;
        let mut stty = Command::new("stty");
        stty.arg("size").stdin(terminal).stderr(Stdio::null());
        let size = String::from_utf8(stty.output().ok()?.stdout).ok()?;
        size.split_whitespace().nth(1)?.parse().ok()
    };
    let told = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    told.or_else(asked).filter(|columns| *columns > 0).unwrap_or(USUAL)
}
