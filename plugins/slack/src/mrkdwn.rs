//! Text in Slack's markup.

use sidenote_plugin::text;

/// Most characters of a message: Slack advises so many, and cuts a longer one somewhere.
pub(crate) const MOST: usize = 4000;
/// Most messages of a note. Their ids have to fit into the note's id.
const MOST_PARTS: usize = 40;
/// Space for the line that a further message begins with, and for an escape that goes on there.
const HEAD: usize = 40;

/// A text that Slack shows as it is: without `<` there are no mentions, no `<!channel>`, no links.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// A text as messages, ready to be sent. Further ones say that they continue the first; a text that is too
/// long for all of them is cut, with a mark.
pub(crate) fn parts(body: &str) -> Vec<String> {
    let mut parts = text::split(&escape(body), MOST - HEAD);
    for index in 1..parts.len() {
        // A word without end can be parted within an escape: all of it goes to the next message.
        let part = &mut parts[index - 1];
        if let Some(place) = part.rfind('&').filter(|place| !part[*place..].contains(';')) {
            let begun = part.split_off(place);
            parts[index].insert_str(0, &begun);
        }
    }
    if parts.len() > MOST_PARTS {
        parts.truncate(MOST_PARTS - 1);
        parts.push("\u{2026} [cut]".to_owned());
    }
    let count = parts.len();
    for (index, part) in parts.iter_mut().enumerate().skip(1) {
        *part = format!("(continued, {} of {count})\n{part}", index + 1);
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_called_and_nothing_is_a_link() {
        let text = "<!channel> <@U1> <https://evil.example|your bank> &lt; @here";
        let wanted =
            "&lt;!channel&gt; &lt;@U1&gt; &lt;https://evil.example|your bank&gt; &amp;lt; @here";
        assert_eq!(parts(text), [wanted]);
    }

    #[test]
    fn a_long_note_is_several_messages_that_say_so() {
        let lines: Vec<_> = (0..400).map(|n| format!("[{n}] clicked <Pay> & left")).collect();
        let parts = parts(&lines.join("\n"));
        assert!(parts.len() > 1);
        assert!(parts.iter().all(|part| part.chars().count() <= MOST));
        assert!(parts[1].starts_with(&format!("(continued, 2 of {})\n", parts.len())));
        let all = parts.concat();
        assert!(lines.iter().all(|line| all.contains(&escape(line))));
    }

    #[test]
    fn no_text_makes_too_many_messages_or_too_long_ones() {
        for text in ["&".repeat(1_000_000), "x y ".repeat(1_000_000), "<\n".repeat(200_000)] {
            let parts = parts(&text);
            assert!(parts.len() <= MOST_PARTS, "{}", parts.len());
            assert!(parts.iter().all(|part| part.chars().count() <= MOST));
            assert!(parts.last().unwrap().ends_with("\u{2026} [cut]"));
        }
        assert_eq!(parts(""), [""]);
    }

    #[test]
    fn an_escape_is_never_parted() {
        for lead in 0..6 {
            let text = format!("{}{}", "x".repeat(lead), "&<>".repeat(2000));
            let parts = parts(&text);
            assert!(parts.len() > 1 && parts.iter().all(|part| part.chars().count() <= MOST));
            let bodies = parts.iter().map(|part| part.rsplit('\n').next().unwrap());
            let shown = |part: &str| {
                let bare = part.replace("&lt;", "<").replace("&gt;", ">");
                assert_eq!(bare.matches('&').count(), bare.matches("&amp;").count(), "{lead}");
                bare.replace("&amp;", "&")
            };
            assert_eq!(bodies.map(shown).collect::<String>(), text);
        }
    }
}
