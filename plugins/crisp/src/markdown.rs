//! Crisp shows a text as Markdown: what people wrote must not become markup, above all no link whose text
//! hides where it leads.

use sidenote_plugin::text;

/// Most characters of a message. Crisp states no limit; this is what we stay below.
const MOST: usize = 5000;
/// Most messages of a note.
pub(crate) const MOST_PARTS: u64 = 40;
/// Space for the line that a further message begins with.
const HEAD: usize = 30;

/// A text as messages, ready to be sent. Further ones say that they continue the first; a text that is too
/// long for all of them is cut, with a mark.
pub(crate) fn parts(body: &str) -> Vec<String> {
    // A backslash per character at the most.
    let mut parts = text::split(body, (MOST - HEAD) / 2);
    if parts.len() > MOST_PARTS as usize {
        parts.truncate(MOST_PARTS as usize - 1);
        parts.push("\u{2026} [cut]".to_owned());
    }
    let count = parts.len();
    for (index, part) in parts.iter_mut().enumerate() {
        let text = escape(part);
        *part = match index {
            0 => text,
            _ => format!("(continued, {} of {count})\n{text}", index + 1),
        };
    }
    parts
}

/// A text as one message; one that is too long is cut, with a mark.
pub(crate) fn plain(body: &str) -> String {
    escape(&text::cut(body, MOST / 2))
}

/// Puts a backslash before markup, and leaves alone what stands in every note: `[1]`, `session_id`.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len() + text.len() / 8);
    let mut before = '\n';
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        let next = rest.clone().next().unwrap_or('\n');
        let markup = match c {
            '\\' | '`' | '*' | '~' => true,
            '<' => next.is_ascii_alphabetic() || next == '/' || next == '!',
            // A link needs both brackets side by side.
            '(' => before == ']',
            '_' => !(before.is_alphanumeric() && next.is_alphanumeric()),
            '#' | '>' => before == '\n',
            _ => false,
        };
        if markup {
            escaped.push('\\');
        }
        escaped.push(c);
        before = c;
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_wrote_is_no_markup() {
        for (text, wanted) in [
            ("session_id: s_1\n[1] clicked Pay", "session_id: s_1\n[1] clicked Pay"),
            ("**now** _x_ ~~y~~ `z`", r"\*\*now\*\* \_x\_ \~\~y\~\~ \`z\`"),
            ("[your bank](https://evil.example)", r"[your bank]\(https://evil.example)"),
            ("# one\n> two # three", "\\# one\n\\> two # three"),
            ("<b>x</b> <https://a.example> 1 < 2", r"\<b>x\</b> \<https://a.example> 1 < 2"),
            (r"\", r"\\"),
        ] {
            assert_eq!(parts(text), [wanted]);
            assert_eq!(plain(text), wanted);
        }
    }

    #[test]
    fn a_long_note_is_several_messages_that_say_so() {
        let lines: Vec<_> = (0..300).map(|n| format!("[{n}] clicked *Pay*, then left")).collect();
        let parts = parts(&lines.join("\n"));
        assert!(parts.len() > 1);
        assert!(parts.iter().all(|part| part.chars().count() <= MOST));
        assert!(parts[1].starts_with(&format!("(continued, 2 of {})\n", parts.len())));
        let all = parts.concat();
        assert!(lines.iter().all(|line| all.contains(&escape(line))));
    }

    #[test]
    fn no_text_makes_too_many_messages_or_too_long_ones() {
        for text in ["*".repeat(1_000_000), "x y ".repeat(1_000_000)] {
            let parts = parts(&text);
            assert_eq!(parts.len(), MOST_PARTS as usize);
            assert!(parts.iter().chain([&plain(&text)]).all(|it| it.chars().count() <= MOST));
            assert!(parts.last().unwrap().ends_with("\u{2026} [cut]"));
            assert!(plain(&text).ends_with("\u{2026} [cut]"));
        }
    }
}
