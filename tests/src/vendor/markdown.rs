//! Markdown as chat platforms show it.

/// What a person reads of a text in Markdown: without the marks, links by their text, and with whatever stands
/// behind a backslash as it is.
pub fn readable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut before = '\n';
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let after = &rest[c.len_utf8()..];
        let next = after.chars().next().unwrap_or('\n');
        if c == '\\' && next.is_ascii_punctuation() {
            shown.push(next);
            before = next;
            rest = &after[1..];
            continue;
        }
        rest = after;
        match c {
            '*' | '`' => {}
            '~' if next == '~' => rest = &after[1..],
            '_' if !(before.is_alphanumeric() && next.is_alphanumeric()) => {}
            '#' | '>' if before == '\n' => {}
            ']' if next == '(' => {
                let link = after.find(')').map_or(after.len(), |end| end + 1);
                rest = &after[link..];
            }
            '<' if next.is_ascii_alphabetic() || next == '/' || next == '!' => {
                let tag = after.find('>').map_or(after.len(), |end| end + 1);
                rest = &after[tag..];
            }
            _ => shown.push(c),
        }
        before = c;
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_go_and_what_is_escaped_stays() {
        for (text, wanted) in [
            ("**now** _x_ `y` ~~z~~", "now x y z"),
            (r"\*\*now\*\* \_x\_ \`y\` \~\~z\~\~", "**now** _x_ `y` ~~z~~"),
            ("session_id: s_1\n[1] clicked", "session_id: s_1\n[1] clicked"),
            (r"\[1\] clicked", "[1] clicked"),
            ("[your bank](https://evil.example) ok", "[your bank ok"),
            (r"[your bank]\(https://evil.example)", "[your bank](https://evil.example)"),
            ("a <img src=x> b < c", "a  b < c"),
            (r"C:\x and C:\\x", r"C:\x and C:\x"),
            ("# head\n> said", " head\n said"),
        ] {
            assert_eq!(readable(text), wanted);
        }
    }
}
