//! The text of a note: header, order, numbers, time bins. Total: every input gives a note.

use std::borrow::Cow;
use std::fmt::Write;

use time::OffsetDateTime;

use super::payload::Action;
use super::{event_time, text};
use crate::clock::Timestamp;

/// The two header lines and the blank line behind them.
///
/// An empty or missing id reads `unknown`. `at` is in seconds since the epoch; where it is missing or
/// unusable (see [`event_time::usable`]) the header says `now`.
///
/// ```
/// use sidenote::{clock::Timestamp, session::note::format_header};
/// assert_eq!(
///     format_header(Some("ps_1"), Some(1_700_000_000.0), Timestamp(0)),
///     "session_id: ps_1\ntimestamp: 2023-11-14 22:13:20 UTC\n\n",
/// );
/// ```
pub fn format_header(session_id: Option<&str>, at: Option<f64>, now: Timestamp) -> String {
    let mut out = String::with_capacity(96);
    write_header(&mut out, session_id, at, now);
    out
}

/// A note of actions.
///
/// The actions are ordered by their start (equal times keep their order) and numbered from 1; a blank
/// line parts two neighbours that don't start in the same `bin_seconds` (0 or NaN: no bins).
///
/// An action without a usable start keeps its place: it counts as starting with the action before it,
/// or with the first one that has a start. The header's time is the start of the first line, and `now`
/// where that one has none.
///
/// Descriptions go through [`text::description`], the session id through [`text::one_line`].
pub fn format_note(
    session_id: Option<&str>,
    actions: &[Action],
    bin_seconds: f64,
    now: Timestamp,
) -> String {
    let ordered = in_order(actions);
    let text_bytes: usize = actions.iter().map(|action| action.description.len() + 8).sum();
    let mut out = String::with_capacity(96 + text_bytes);
    write_header(
        &mut out,
        session_id,
        ordered.first().and_then(|(_, action)| action.timestamp_start),
        now,
    );

    let mut previous: Option<f64> = None;
    for (number, (start, action)) in ordered.into_iter().enumerate() {
        let bin = bin_of(start, bin_seconds);
        if let Some(previous) = previous {
            out.push_str(if previous == bin { "\n" } else { "\n\n" });
        }
        previous = Some(bin);
        let line: Cow<'_, str> = text::description(&action.description);
        write_infallibly(&mut out, format_args!("[{}] {line}", number + 1));
    }
    out
}

fn write_header(out: &mut String, session_id: Option<&str>, at: Option<f64>, now: Timestamp) {
    let id = session_id.filter(|id| !id.is_empty()).unwrap_or("unknown");
    let at = date(at.and_then(event_time::usable)).or_else(|| date(Some(now.as_secs_f64())));
    let at = at.unwrap_or(OffsetDateTime::UNIX_EPOCH);
    write_infallibly(
        out,
        format_args!(
            "session_id: {}\ntimestamp: {}-{:02}-{:02} {:02}:{:02}:{:02} UTC\n\n",
            text::one_line(id),
            at.year(),
            u8::from(at.month()),
            at.day(),
            at.hour(),
            at.minute(),
            at.second(),
        ),
    );
}

fn date(at: Option<f64>) -> Option<OffsetDateTime> {
    OffsetDateTime::from_unix_timestamp(event_time::whole_second(at?)?).ok()
}

/// The actions with the time that places them, ordered.
fn in_order(actions: &[Action]) -> Vec<(f64, &Action)> {
    let own = |action: &Action| action.timestamp_start.and_then(event_time::usable);
    let mut place = actions.iter().find_map(own).unwrap_or(0.0);
    let mut ordered = Vec::with_capacity(actions.len());
    for action in actions {
        place = own(action).unwrap_or(place);
        ordered.push((place, action));
    }
    // Usable times are finite, so every pair compares; -0.0 equals 0.0.
    ordered.sort_by(|(a, _), (b, _)| a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal));
    ordered
}

/// The bin's number, kept as a float: no width can make it overflow.
fn bin_of(start: f64, bin_seconds: f64) -> f64 {
    let bin = (start / bin_seconds).trunc();
    if bin.is_finite() { bin } else { 0.0 }
}

fn write_infallibly(out: &mut String, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("writing to a String can't fail");
}
