//! What people wrote, made fit for a platform: escaped, cut, split.
//!
//! ```
//! use sidenote_plugin::text;
//! assert_eq!(text::escape_html("<b>Tom & \"Jerry\"</b>"), "&lt;b&gt;Tom &amp; &quot;Jerry&quot;&lt;/b&gt;");
//! assert_eq!(text::cut("clicked Pay, then Cancel", 18), "clicked Pay… [cut]");
//! assert_eq!(text::split("one\ntwo\nthree", 8), ["one\ntwo", "three"]);
//! ```

use std::borrow::Cow;

/// What a text that was cut ends with, so that nobody takes it for the whole.
const MARK: &str = "… [cut]";

/// A text without control characters, of which each but line ends and tabs becomes U+FFFD: there are platforms
/// that answer 500 to U+0000. What else is in this module does the same.
///
/// ```
/// assert_eq!(sidenote_plugin::text::clean("a\0b\tc\n\u{85}"), "a\u{FFFD}b\tc\n\u{FFFD}");
/// ```
pub fn clean(text: &str) -> Cow<'_, str> {
    if text.chars().any(is_odd) {
        Cow::Owned(text.replace(is_odd, "\u{FFFD}"))
    } else {
        Cow::Borrowed(text)
    }
}

fn is_odd(c: char) -> bool {
    c.is_control() && !matches!(c, '\n' | '\r' | '\t')
}

/// A text that HTML shows as it is, between tags and in attributes. Line breaks stay line breaks.
pub fn escape_html(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len() + text.len() / 8);
    for c in clean(text).chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            _ => escaped.push(c),
        }
    }
    escaped
}

/// A text of at most `most` characters. Where something is cut off, `… [cut]` at the end shows it; a
/// limit that is too small for that gets none. Cut before you escape: the cut could go through an entity.
pub fn cut(text: &str, most: usize) -> String {
    let text = &*clean(text);
    if at(text, most) == text.len() {
        return text.to_owned();
    }
    match most.checked_sub(MARK.chars().count()) {
        Some(room) if room > 0 => format!("{}{MARK}", text[..at(text, room)].trim_end()),
        Some(_) | None => text[..at(text, most)].to_owned(),
    }
}

/// A text in pieces of at most `most` characters, parted at line ends where possible, else at blanks,
/// else anywhere. The line end or the blank between two pieces is left out. There is always a piece, and
/// none is empty but that of an empty text.
pub fn split(text: &str, most: usize) -> Vec<String> {
    let most = most.max(1);
    let mut pieces = Vec::new();
    let text = clean(text);
    let mut rest = &*text;
    loop {
        let end = at(rest, most);
        if end == rest.len() {
            break;
        }
        // What follows the piece may be the line end, so it is looked at too.
        let next = rest[end..].chars().next().map_or(0, char::len_utf8);
        let window = &rest[..end + next];
        let place = |wanted: char| window.rfind(wanted).filter(|place| *place > 0);
        let (piece, skipped) = match place('\n').or_else(|| place(' ')) {
            Some(place) => (place, 1),
            None => (end, 0),
        };
        pieces.push(rest[..piece].to_owned());
        rest = &rest[piece + skipped..];
    }
    if !rest.is_empty() || pieces.is_empty() {
        pieces.push(rest.to_owned());
    }
    pieces
}

/// Where the first `most` characters end, in bytes.
fn at(text: &str, most: usize) -> usize {
    text.char_indices().nth(most).map_or(text.len(), |(place, _)| place)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_text_has_at_most_so_many_characters_and_shows_the_cut() {
        for (text, most, wanted) in [
            ("short", 5, "short"),
            ("", 0, ""),
            ("longer than that", 12, "longe… [cut]"),
            ("blank  before the cut", 14, "blank… [cut]"),
            ("äöüäöüäöüäöü", 10, "äöü… [cut]"),
            ("no room", 6, "no roo"),
            ("no room here", 7, "no room"),
            ("nothing", 0, ""),
        ] {
            assert_eq!(cut(text, most), wanted, "{text} {most}");
            assert!(cut(text, most).chars().count() <= most);
        }
    }

    #[test]
    fn pieces_end_at_lines_then_at_blanks_then_anywhere() {
        let cases: [(&str, usize, &[&str]); 9] = [
            ("", 5, &[""]),
            ("fits", 4, &["fits"]),
            ("one\ntwo", 3, &["one", "two"]),
            ("one two three", 8, &["one two", "three"]),
            ("a b\nlonger line", 6, &["a b", "longer", "line"]),
            ("unbroken", 3, &["unb", "rok", "en"]),
            ("äöü€\nß", 4, &["äöü€", "ß"]),
            ("ends\n", 4, &["ends"]),
            ("ab", 0, &["a", "b"]),
        ];
        for (text, most, wanted) in cases {
            assert_eq!(split(text, most), wanted, "{text:?} {most}");
        }
    }

    #[test]
    fn splitting_loses_nothing_but_the_blanks_between() {
        let text =
            "\n\nOpened /cart\n   clicked  “Pay” 💳💳💳\n\nveryveryveryverylongword x ".repeat(7);
        let bare = |text: &str| text.split_whitespace().collect::<String>();
        for most in 1..80 {
            let pieces = split(&text, most);
            assert!(pieces.iter().all(|it| (1..=most).contains(&it.chars().count())), "{most}");
            assert_eq!(bare(&pieces.concat()), bare(&text), "{most}");
        }
    }

    #[test]
    fn no_control_character_passes_whatever_is_done_with_a_text() {
        let odd = "typed \0 \u{1b}[31m \u{7f} \u{9f}\tend\r\n";
        let texts = [cut(odd, 100), cut(odd, 16), escape_html(odd), split(odd, 100).concat()];
        for text in texts.iter().map(String::as_str).chain([&*clean(odd)]) {
            assert!(!text.contains(is_odd), "{text:?}");
            assert!(text.contains("typed \u{FFFD} "), "{text:?}");
        }
        assert!(matches!(clean("a\tb\r\nc"), Cow::Borrowed(_)));
    }

    #[test]
    fn markup_is_shown_and_not_followed() {
        assert_eq!(escape_html("a<'b'>\n&amp;"), "a&lt;&#39;b&#39;&gt;\n&amp;amp;");
    }
}
