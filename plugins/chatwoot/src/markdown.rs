//! Chatwoot reads a message as a Liquid template first and shows it as Markdown then: text of people must
//! be neither.

use sidenote_plugin::text;

/// Most characters of a message.
const MOST: usize = 150_000;

/// A text that is shown as it is. One that is too long for a message is cut, with a mark.
pub(crate) fn plain(body: &str) -> String {
    let escaped = escape(&text::clean(body));
    if escaped.chars().count() <= MOST {
        return escaped;
    }
    // A backslash per character at the most.
    escape(&text::cut(body, MOST / 2))
}

/// Puts a backslash before whatever Markdown could take for markup. The ones before braces also part
/// `{{` and `{%`, so that Liquid finds nothing to fill in.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len() + text.len() / 8);
    let mut before = '\n';
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        let next = rest.clone().next().unwrap_or('\n');
        let markup = match c {
            '\\' | '`' | '*' | '[' | ']' | '<' | '>' | '~' | '|' | '{' => true,
            // `{%` is Liquid's.
            '%' => before == '{',
            // Within a word it is no markup, and ids are full of them.
            '_' => !(before.is_alphanumeric() && next.is_alphanumeric()),
            '#' | '-' | '+' | '=' => before == '\n',
            // Chatwoot looks for `(mention://user/1/…)` in the text itself and calls that agent.
            ':' => next == '/' && escaped.ends_with("mention"),
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
    fn what_people_wrote_is_no_markup_no_template_and_no_mention() {
        for (text, wanted) in [
            ("session_id: s_1", "session_id: s_1"),
            ("[1] clicked *Pay*", r"\[1\] clicked \*Pay\*"),
            ("_x_ and a__b", r"\_x\_ and a\_\_b"),
            ("{{contact.email}}", r"\{\{contact.email}}"),
            ("{% comment %}", r"\{\% comment %}"),
            ("50% off", "50% off"),
            ("# one\n- two\n3 - 2", "\\# one\n\\- two\n3 - 2"),
            ("![x](https://evil.example)", r"!\[x\](https://evil.example)"),
            ("(mention://user/1/Ann)", r"(mention\://user/1/Ann)"),
            ("`{{x}}`", r"\`\{\{x}}\`"),
            (r"a\b", r"a\\b"),
            ("<img src=x>", r"\<img src=x\>"),
        ] {
            assert_eq!(plain(text), wanted);
            assert!(!plain(text).contains("{{") && !plain(text).contains("{%"));
        }
    }

    #[test]
    fn a_text_that_is_too_long_once_escaped_is_cut_with_a_mark() {
        for text in ["x".repeat(MOST + 1), "*".repeat(MOST), "{{".repeat(MOST)] {
            let plain = plain(&text);
            assert!(plain.chars().count() <= MOST);
            assert!(plain.ends_with("\u{2026} \\[cut\\]"));
        }
        let fits = "x".repeat(MOST);
        assert_eq!(plain(&fits), fits);
    }
}
