//! The text of a note: header, order, numbers, time bins. Total: every input gives a note.

use std::borrow::Cow;
use std::fmt::Write;

use time::OffsetDateTime;

use super::payload::Action;
use super::{event_time, text};
use crate::clock::Timestamp;
use crate::ids::SessionKey;

/// The text of a note: of these actions, in bins of so many seconds, or of this text.
pub fn body(
    key: &SessionKey,
    actions: &[Action<impl AsRef<str>>],
    text: Option<&str>,
    bin_seconds: f64,
    now: Timestamp,
) -> String {
    let session = Some(key.session.as_str());
    match text {
        None => format_note(session, actions, bin_seconds, now),
        Some(text) => format_summary(session, text, now),
    }
}

/// The two header lines and the blank line behind them.
///
/// An empty or missing id reads `unknown`. `at` is in seconds since the epoch; where it is missing or
/// unusable (see [`event_time::usable`]) the header says `now`.
///
/// ```
/// use sidenote_core::{clock::Timestamp, session::note::format_header};
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
pub fn format_note<Text: AsRef<str>>(
    session_id: Option<&str>,
    actions: &[Action<Text>],
    bin_seconds: f64,
    now: Timestamp,
) -> String {
    let ordered = in_order(actions);
    let text_bytes: usize =
        actions.iter().map(|action| action.description.as_ref().len() + 8).sum();
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
        let line: Cow<'_, str> = text::description(action.description.as_ref());
        write_infallibly(&mut out, format_args!("[{}] {line}", number + 1));
    }
    out
}

/// A note of a summary: the header, and the text as [`text::paragraphs`] leaves it.
pub fn format_summary(session_id: Option<&str>, summary: &str, now: Timestamp) -> String {
    let mut out = String::with_capacity(96 + summary.len());
    write_header(&mut out, session_id, None, now);
    out.push_str(&text::paragraphs(summary));
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
fn in_order<Text>(actions: &[Action<Text>]) -> Vec<(f64, &Action<Text>)> {
    let own = |action: &Action<Text>| action.timestamp_start.and_then(event_time::usable);
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

/// The number of the bin that holds the start: bins go on below zero, each as wide as the others. Kept as a
/// float: no width can make it overflow.
fn bin_of(start: f64, bin_seconds: f64) -> f64 {
    // The rest is exact where a quotient may be rounded up into the next bin.
    let rest = start % bin_seconds;
    let is_below = rest != 0.0 && (rest < 0.0) != (bin_seconds < 0.0);
    let bin = ((start - rest) / bin_seconds).round() - f64::from(u8::from(is_below));
    if bin.is_finite() { bin } else { 0.0 }
}

fn write_infallibly(out: &mut String, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("writing to a String can't fail");
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: Timestamp = Timestamp(1_700_000_000_000_000);

    fn action(description: &str, timestamp_start: Option<f64>) -> Action {
        Action { description: description.to_owned(), timestamp_start, ..Action::default() }
    }

    fn lines(actions: &[Action], bin_seconds: f64) -> String {
        let note = format_note(Some("s1"), actions, bin_seconds, NOW);
        note.split_once("\n\n").unwrap().1.to_owned()
    }

    #[test]
    fn an_action_without_a_usable_start_keeps_its_place() {
        let actions = [
            action("none", None),
            action("late", Some(50.0)),
            action("with late", Some(f64::NAN)),
            action("early", Some(5.0)),
            action("with early", Some(1e18)),
        ];
        assert_eq!(
            lines(&actions, 3.0),
            "[1] early\n[2] with early\n\n[3] none\n[4] late\n[5] with late"
        );
    }

    #[test]
    fn the_header_has_the_first_lines_start_or_now() {
        let header_of = |actions: &[Action]| {
            format_note(None, actions, 3.0, NOW).lines().nth(1).unwrap().to_owned()
        };
        let now = "timestamp: 2023-11-14 22:13:20 UTC";
        assert_eq!(header_of(&[]), now);
        assert_eq!(header_of(&[action("a", None), action("b", Some(9.0))]), now);
        assert_eq!(
            header_of(&[action("a", Some(9.0)), action("b", None)]),
            "timestamp: 1970-01-01 00:00:09 UTC"
        );
        assert_eq!(
            header_of(&[action("a", Some(1_600_000_000_000.0))]),
            "timestamp: 2020-09-13 12:26:40 UTC"
        );
    }

    #[test]
    fn every_bin_is_as_wide_as_the_others_below_zero_too() {
        for (starts, bin_seconds, expected) in [
            (&[-4.0, -3.0, -0.5, 0.5][..], 3.0, "[1] a\n\n[2] b\n[3] c\n\n[4] d"),
            (&[-0.5, 0.0][..], 1.0, "[1] a\n\n[2] b"),
            (&[-1.5, -0.5, 0.5][..], -1.0, "[1] a\n\n[2] b\n\n[3] c"),
            (&[0.2, 0.3][..], 0.1, "[1] a\n[2] b"),
            (&[0.5, 0.6][..], 0.3, "[1] a\n\n[2] b"),
            (&[-1.0, 1.0][..], f64::INFINITY, "[1] a\n\n[2] b"),
        ] {
            let named = ["a", "b", "c", "d"].into_iter().zip(starts);
            let actions: Vec<_> = named.map(|(name, at)| action(name, Some(*at))).collect();
            assert_eq!(lines(&actions, bin_seconds), expected, "{starts:?} {bin_seconds}");
        }
    }

    #[test]
    fn no_bin_width_can_fail() {
        let actions = [action("a", Some(1.0)), action("b", Some(1e11))];
        for bin_seconds in [0.0, -0.0, f64::NAN, f64::INFINITY, f64::MIN_POSITIVE * f64::EPSILON] {
            assert_eq!(lines(&actions, bin_seconds), "[1] a\n[2] b", "{bin_seconds}");
        }
        assert_eq!(lines(&actions, 1e-300), "[1] a\n\n[2] b");
    }

    #[test]
    fn a_clock_that_is_out_of_range_still_gives_a_header() {
        for now in [Timestamp(i64::MIN), Timestamp(i64::MAX)] {
            let header = format_header(None, None, now);
            assert_eq!(header, "session_id: unknown\ntimestamp: 1970-01-01 00:00:00 UTC\n\n");
        }
    }

    /// Lines that a reader takes for structure: blank ones, `[…`, and `key: …`.
    fn structural_lines(note: &str) -> usize {
        let is_break = |c: char| matches!(c, '\n' | '\r' | '\u{B}'..='\u{C}' | '\u{1C}'..='\u{1E}' | '\u{85}' | '\u{2028}' | '\u{2029}');
        // A CR LF is one break, not an empty line.
        note.replace("\r\n", "\n")
            .split(is_break)
            .map(str::trim_start)
            .filter(|line| {
                let key = line.split(':').next().unwrap_or_default();
                let is_header = line.contains(':') && !key.contains(' ');
                line.is_empty() || line.starts_with('[') || line.starts_with('#') || is_header
            })
            .count()
    }

    proptest! {
        #[test]
        fn no_text_adds_a_line_that_could_be_read_as_structure(
            session in "[a\\x00-\\x20\u{85}\u{2028}:\\[\\]1]{0,12}",
            texts in prop::collection::vec(
                prop_oneof![
                    "[a-c\\x00-\\x20\u{85}\u{2028}\u{2029}:\\[\\]1#]{0,16}",
                    "(a|\r\n|\r|\n|\\[2\\] |session_id: x|timestamp: |\\[Query\\]| |b c){0,6}",
                ],
                0..6,
            ),
        ) {
            let actions: Vec<Action> = (0u8..)
                .zip(&texts)
                .map(|(n, text)| action(text, Some(f64::from(n) * 2.0)))
                .collect();
            let plain: Vec<Action> = actions
                .iter()
                .map(|a| Action { description: "x".to_owned(), ..a.clone() })
                .collect();
            let note = format_note(Some(&session), &actions, 3.0, NOW);
            let expected = format_note(Some("s"), &plain, 3.0, NOW);
            prop_assert_eq!(structural_lines(&note), structural_lines(&expected), "{}", note);
        }
    }
}
