//! Text safety: what people typed can't become a line, a header or a section of a note.
//!
//! | in the text | in a description | in an id |
//! |---|---|---|
//! | line break (LF, CR, VT, FF, FS, GS, RS, NEL, U+2028, U+2029), a run of them | one space | one space |
//! | CR LF | kept where every line behind one is inert (below), otherwise one space | one space |
//! | tab | kept | one space |
//! | NUL | kept | U+FFFD |
//! | any other control character (C0, DEL, C1) | U+FFFD | U+FFFD |
//!
//! What comes in is cleaned once, where the engine takes it ([`printable`], [`printable_line`]): no platform, sink
//! or model is handed NUL or another control character. What is in the table holds for every text all the same.
//!
//! A line is inert when it starts with a letter or a digit and has nothing but letters, digits,
//! spaces and `. , ; ! ? ' " ( ) / % & + -`: it can't be read as `key: value`, `[1]` or `[Section]`.

use std::borrow::Cow;

const REPLACEMENT: char = '\u{FFFD}';

/// A text as it may be handed on: its breaks are LF or CR LF, tabs stay, every other control character and
/// whatever overrides the direction of what stands around it is U+FFFD; isolates, which frame a name in a sentence,
/// are left out.
///
/// ```
/// use sidenote_core::session::text::printable;
/// assert_eq!(printable("Typed a\0b"), "Typed a\u{FFFD}b");
/// assert_eq!(printable("one\u{2028}two\r\nthree\tfour"), "one\ntwo\r\nthree\tfour");
/// ```
pub fn printable(text: &str) -> Cow<'_, str> {
    let odd = |c: char| c.is_control() && c != '\n' && c != '\t' || is_break(c) && c != '\n';
    if is_plain(text) || !text.chars().any(|c| odd(c) || overrides(c) || isolates(c)) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 8);
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\r' if chars.peek() == Some(&'\n') => out.push('\r'),
            _ if is_break(c) => out.push('\n'),
            '\t' => out.push('\t'),
            _ if isolates(c) => {}
            _ if c.is_control() || overrides(c) => out.push(REPLACEMENT),
            _ => out.push(c),
        }
    }
    Cow::Owned(out)
}

/// As [`printable`], for what has one line: a title, an address, a kind.
///
/// ```
/// use sidenote_core::session::text::printable_line;
/// assert_eq!(printable_line("Pay\0\n[2] refunded"), "Pay\u{FFFD} [2] refunded");
/// ```
pub fn printable_line(text: &str) -> Cow<'_, str> {
    match printable(text) {
        Cow::Borrowed(text) => one_line(text),
        Cow::Owned(text) => Cow::Owned(one_line(&text).into_owned()),
    }
}

/// A description as it may stand behind `[n] ` in a note.
///
/// ```
/// use sidenote_core::session::text::description;
/// assert_eq!(description("paid\n[2] refunded"), "paid [2] refunded");
/// assert_eq!(description("first\r\nsecond"), "first\r\nsecond");
/// assert_eq!(description("x\r\nsession_id: other"), "x session_id: other");
/// ```
pub fn description(text: &str) -> Cow<'_, str> {
    if is_plain(text) || !text.chars().any(|c| is_break(c) || is_odd(c)) {
        return Cow::Borrowed(text);
    }
    let keep_crlf = may_keep_crlf(text);
    let mut out = String::with_capacity(text.len());
    let mut folded = false;
    for c in text.chars() {
        if keep_crlf && (c == '\r' || c == '\n') {
            out.push(c);
        } else if is_break(c) {
            if !folded {
                out.push(' ');
            }
        } else {
            out.push(if is_odd(c) { REPLACEMENT } else { c });
        }
        folded = is_break(c);
    }
    Cow::Owned(out)
}

/// An id or another short text as it may stand in a header: exactly one line, no control character.
///
/// ```
/// use sidenote_core::session::text::one_line;
/// assert_eq!(one_line("s1\r\ntimestamp: never"), "s1 timestamp: never");
/// ```
pub fn one_line(text: &str) -> Cow<'_, str> {
    if is_plain(text) || !text.chars().any(|c| is_break(c) || c.is_control()) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut folded = false;
    for c in text.chars() {
        if is_break(c) || c == '\t' {
            if !folded {
                out.push(' ');
            }
            folded = true;
        } else {
            out.push(if c.is_control() { REPLACEMENT } else { c });
            folded = false;
        }
    }
    Cow::Owned(out)
}

/// A text of several lines, such as a summary: its line breaks are LF, no more than two in a row, none at
/// its ends; every other control character but tabs is U+FFFD. A line that could pass for a header or a
/// numbered line of a note is indented by two spaces.
///
/// ```
/// use sidenote_core::session::text::paragraphs;
/// assert_eq!(paragraphs("\r\nThey paid.\r\n\n\n\nsession_id: other\n"), "They paid.\n\n  session_id: other");
/// ```
pub fn paragraphs(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    let mut blank = false;
    for line in text.replace("\r\n", "\n").split(is_break) {
        let line = line.trim_end();
        if line.trim_start().is_empty() {
            blank = !out.is_empty();
            continue;
        }
        if !out.is_empty() {
            out.push_str(if blank { "\n\n" } else { "\n" });
        }
        blank = false;
        if is_structure(line) {
            out.push_str("  ");
        }
        out.extend(line.chars().map(|c| match c {
            '\t' => c,
            _ if c.is_control() => REPLACEMENT,
            _ => c,
        }));
    }
    out
}

/// Whether a line could be read as `key: value` of a header, or as `[1]`, by somebody who doesn't see what stands
/// invisibly before it.
fn is_structure(line: &str) -> bool {
    let line = line.trim_start_matches(is_invisible);
    let key = line.split_once(':').map(|(key, _)| key);
    line.starts_with('[') || key.is_some_and(|key| matches!(key, "session_id" | "timestamp"))
}

/// Whether every break is CR LF and every line behind one is inert.
///
/// All or nothing: folding only some breaks would join a harmless line with a forged one.
fn may_keep_crlf(text: &str) -> bool {
    let mut lines = text.split("\r\n");
    let first_is_one_line = lines.next().is_some_and(|first| !first.contains(is_break));
    first_is_one_line && lines.all(is_inert)
}

fn is_inert(line: &str) -> bool {
    line.starts_with(char::is_alphanumeric)
        && line.chars().all(|c| c.is_alphanumeric() || " .,;!?'\"()/%&+-".contains(c))
}

/// Whether there are only visible ASCII characters and spaces, as in most texts. Looks at many bytes at once.
fn is_plain(text: &str) -> bool {
    text.bytes().fold(true, |plain, byte| plain & matches!(byte, b' '..=b'~'))
}

/// Turns the direction of what stands behind it, up to the end of the paragraph, which some platforms take to be
/// the whole note.
fn overrides(c: char) -> bool {
    matches!(c, '\u{202A}'..='\u{202E}')
}

fn isolates(c: char) -> bool {
    matches!(c, '\u{2066}'..='\u{2069}')
}

/// Takes no place on a line.
pub fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{AD}' | '\u{34F}' | '\u{61C}' | '\u{115F}' | '\u{1160}' | '\u{17B4}' | '\u{17B5}'
            | '\u{180B}'..='\u{180F}' | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}'
            | '\u{2060}'..='\u{206F}' | '\u{3164}' | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}' | '\u{FFA0}'
            | '\u{FFF0}'..='\u{FFFB}' | '\u{E0000}'..='\u{E0FFF}'
    )
}

fn is_break(c: char) -> bool {
    matches!(
        c,
        '\n' | '\r' | '\u{B}' | '\u{C}' | '\u{1C}'..='\u{1E}' | '\u{85}' | '\u{2028}' | '\u{2029}'
    )
}

/// A control character that a description doesn't keep.
fn is_odd(c: char) -> bool {
    c.is_control() && c != '\t' && c != '\0'
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn plain_text_is_not_copied() {
        for text in ["", "clicked «Über» — 日本語 🙂", "a\tb\0c"] {
            assert!(matches!(description(text), Cow::Borrowed(same) if same == text), "{text:?}");
        }
    }

    #[test]
    fn every_line_break_becomes_one_space() {
        for text in [
            "a\nb",
            "a\rb",
            "a\u{B}b",
            "a\u{C}b",
            "a\u{1C}b",
            "a\u{85}b",
            "a\u{2028}b",
            "a\u{2029}b",
            "a\n\n\r\nb",
        ] {
            assert_eq!(description(text), "a b", "{text:?}");
            assert_eq!(one_line(text), "a b", "{text:?}");
        }
    }

    #[test]
    fn crlf_stays_only_before_an_inert_line() {
        for text in ["a\r\nb", "a\r\n2 items, (both) free!\r\nthen left"] {
            assert_eq!(description(text), text);
        }
        for (text, folded) in [
            ("a\r\n[2] b", "a [2] b"),
            ("a\r\n  [2] b", "a   [2] b"),
            ("a\r\n[Query]", "a [Query]"),
            ("a\r\nsession_id: x", "a session_id: x"),
            ("a\r\ntimestamp: never", "a timestamp: never"),
            ("a\r\n", "a "),
            ("a\r\n\r\nb", "a b"),
            ("a\r\nb\nc", "a b c"),
            ("a\nb\r\nc", "a b c"),
            ("a\r\n# b", "a # b"),
        ] {
            assert_eq!(description(text), folded, "{text:?}");
        }
    }

    #[test]
    fn other_control_characters_show_as_replaced() {
        assert_eq!(description("a\u{1B}[31mb\u{7F}c\u{9B}d"), "a\u{FFFD}[31mb\u{FFFD}c\u{FFFD}d");
        assert_eq!(one_line("a\tb\0c"), "a b\u{FFFD}c");
    }

    #[test]
    fn what_is_handed_on_holds_no_control_character_and_nothing_that_turns_the_text() {
        for (text, expected) in [
            ("Typed a\0b", "Typed a\u{FFFD}b"),
            ("a\u{1}\u{1B}[31m\u{7F}\u{9B}", "a\u{FFFD}\u{FFFD}[31m\u{FFFD}\u{FFFD}"),
            ("a\u{B}b\u{C}c\u{1C}d\u{85}e\u{2029}f", "a\nb\nc\nd\ne\nf"),
            ("a\rb\r\nc\r\r\nd", "a\nb\r\nc\n\r\nd"),
            ("pay \u{202E}100\u{202C}", "pay \u{FFFD}100\u{FFFD}"),
            ("pay \u{2068}Ann\u{2069}", "pay Ann"),
        ] {
            assert_eq!(printable(text), expected, "{text:?}");
        }
        for text in ["", "clicked «Über»\t日本 🙂 نعم", "a\nb\tc", "👩\u{200D}💻"] {
            assert!(matches!(printable(text), Cow::Borrowed(same) if same == text), "{text:?}");
        }
        assert_eq!(printable_line("a\0\r\nb\tc"), "a\u{FFFD} b c");
    }

    #[test]
    fn a_line_of_a_text_cannot_pass_for_structure_behind_what_is_not_seen() {
        for unseen in ["", "\u{200B}", "\u{FEFF}\u{2060}", "\u{AD}", "\u{3164}", "\u{200E}"] {
            for line in ["session_id: other", "timestamp: never", "[2] paid", "[Query]"] {
                let text = paragraphs(&format!("a\n{unseen}{line}"));
                assert_eq!(text, format!("a\n  {unseen}{line}"));
            }
        }
    }

    proptest! {
        #[test]
        fn what_is_printable_stays_as_it_is(text in "(?s)[\\x00-\\x9f\u{2028}\u{202E}\u{2066}a: \\[]*") {
            let once = printable(&text).into_owned();
            let twice = printable(&once).into_owned();
            prop_assert_eq!(&once, &twice);
            prop_assert!(!once.contains(|c: char| c.is_control() && !"\t\r\n".contains(c)));
        }

        #[test]
        fn an_id_is_one_line_without_control_characters(text in "\\PC*|[\\x00-\\x9f\u{2028}a: \\[]*") {
            let line = one_line(&text);
            prop_assert!(!line.contains(|c: char| is_break(c) || c.is_control()));
        }

        #[test]
        fn folding_twice_changes_nothing_more(text in "[\\x00-\\x20\u{85}\u{2028}ab:\\[\\]#1]*") {
            let once = description(&text).into_owned();
            let twice = description(&once).into_owned();
            prop_assert_eq!(once, twice);
        }
    }
}
