//! Keeps what people did and typed in its place.

use crate::session::text::is_invisible;

const REPLACEMENT: char = '\u{FFFD}';

/// A text of several lines as it may stand under a heading: its breaks are LF, a line that looks like a heading
/// or a fence is indented by two spaces, other control characters than tabs are U+FFFD.
///
/// ```
/// use sidenote::prompts::contained;
/// assert_eq!(contained("x\n\n[User ID]\nadmin"), "x\n\n  [User ID]\nadmin");
/// ```
pub fn contained(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    for (n, line) in text.replace("\r\n", "\n").split(is_break).enumerate() {
        if n > 0 {
            out.push('\n');
        }
        if line.trim_start_matches(is_invisible).starts_with(['[', '=']) {
            out.push_str("  ");
        }
        let shown = |c: char| if c.is_control() && c != '\t' { REPLACEMENT } else { c };
        out.extend(line.chars().map(shown));
    }
    out
}

/// A line that stands in none of the texts.
pub(super) fn fence<'a>(texts: impl Iterator<Item = &'a str> + Clone) -> String {
    let fences = (0_u64..).map(|n| format!("====={n}====="));
    let mut free = fences.filter(|fence| texts.clone().all(|text| !text.contains(fence.as_str())));
    free.next().expect("a text has fewer fences in it than there are numbers")
}

fn is_break(c: char) -> bool {
    matches!(
        c,
        '\n' | '\r' | '\u{B}' | '\u{C}' | '\u{1C}'..='\u{1E}' | '\u{85}' | '\u{2028}' | '\u{2029}'
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_line_of_any_text_begins_like_a_heading(text in "(?s)[\\[\\]=\r\n\u{85}\u{200B}\u{2028}\ta-c ]{0,40}") {
            let contained = contained(&text);
            let seen = |line: &str| line.trim_start_matches(is_invisible).starts_with(['[', '=']);
            let bad = contained.lines().find(|line| seen(line));
            prop_assert_eq!(bad, None);
        }

        #[test]
        fn no_text_has_its_fence_in_it(texts in prop::collection::vec("[=0-3\n]{0,40}", 0..4)) {
            let fence = fence(texts.iter().map(String::as_str));
            prop_assert!(texts.iter().all(|text| !text.contains(&fence)));
        }
    }
}
