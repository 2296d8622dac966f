//! How a note is found again: its key, written so that nobody sees it.
//!
//! Intercom takes no key of ours and keeps nothing of HTML that it doesn't know: no comment, no attribute, no
//! hidden element. What it keeps is text. So 64 bits of the key stand in the text, as that many characters of
//! no width: ZWNJ for 0 and ZWJ for 1. Persian, Hindi and emoji need both, so they aren't stripped.

const ZERO: char = '\u{200C}';
const ONE: char = '\u{200D}';
/// Bits of a marker.
const BITS: usize = 64;
/// How else HTML may write them.
const NAMES: [(&str, char); 8] = [
    ("&zwnj;", ZERO),
    ("&#8204;", ZERO),
    ("&#x200c;", ZERO),
    ("&#x200C;", ZERO),
    ("&zwj;", ONE),
    ("&#8205;", ONE),
    ("&#x200d;", ONE),
    ("&#x200D;", ONE),
];

/// The marker of a key.
pub(crate) fn of(key: &str) -> String {
    let digest = digest(0, key);
    (0..BITS).rev().map(|bit| if digest >> bit & 1 == 1 { ONE } else { ZERO }).collect()
}

/// Whether HTML holds the marker of a key.
pub(crate) fn is_in(html: &str, key: &str) -> bool {
    let marker = of(key);
    html.contains(&marker) || (html.contains('&') && plain(html).contains(&marker))
}

/// Whether a text holds the marker of any key: no person writes 64 such characters in a row.
pub(crate) fn is_any_in(html: &str) -> bool {
    let mut row = 0;
    plain(html).chars().any(|c| {
        row = if matches!(c, ZERO | ONE) { row + 1 } else { 0 };
        row == BITS
    })
}

/// A digest of a text (FNV-1a); another `start` makes another one.
pub(crate) fn digest(start: u64, text: &str) -> u64 {
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3);
    text.bytes().fold(0xCBF2_9CE4_8422_2325 ^ start, step)
}

fn plain(html: &str) -> String {
    NAMES
        .iter()
        .fold(html.to_owned(), |html, (name, c)| html.replace(name, c.encode_utf8(&mut [0; 4])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marker_is_found_however_html_writes_it() {
        let marker = of("key-1");
        assert_eq!(marker.chars().count(), 64);
        let named = marker.replace(ZERO, "&zwnj;").replace(ONE, "&#8205;");
        for html in [format!("<p>{marker}text</p>"), format!("<div><p>{named}text</p>")] {
            assert!(is_in(&html, "key-1"), "{html:?}");
            assert!(!is_in(&html, "key-2"), "{html:?}");
        }
        assert!(!is_in("<p>text &amp; text</p>", "key-1"));
    }

    #[test]
    fn a_text_of_ours_is_told_from_others_by_any_marker() {
        assert!(is_any_in(&format!("<p>{}text</p>", of("whichever"))));
        let persian = "\u{200C}نمی\u{200C}خواهم 👩\u{200D}👩\u{200D}👧".repeat(40);
        for other in ["", "<p>text</p>", &*persian, &of("key")[3..]] {
            assert!(!is_any_in(other));
        }
    }

    #[test]
    fn keys_that_are_alike_have_markers_that_are_not() {
        let markers: std::collections::BTreeSet<String> =
            (0..10_000).map(|n| of(&format!("{n:032x}"))).collect();
        assert_eq!(markers.len(), 10_000);
    }
}
