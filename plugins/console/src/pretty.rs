//! Text for people: a head, then the text, each of its lines set in, so that no text looks like a head.

use sidenote_plugin::{NoteKind, clock};

use crate::Message;

/// A message as text, with an empty line behind it.
pub(crate) fn text(message: &Message<'_>) -> String {
    let time = clock::utc(clock::now());
    match message {
        Message::Note(note) => {
            let kind = match note.kind {
                NoteKind::Actions => "actions",
                NoteKind::Summary => "summary",
            };
            let who = note.user_id.as_deref().or(note.email.as_deref()).unwrap_or("unknown person");
            let what = format!("note {} ({kind}) of {who}", note.seq);
            block(&note.conversation_id, &what, &time, note.body.lines())
        }
        Message::Offer { conversation_id, offer } => {
            let replies: Vec<_> =
                offer.quick_replies.iter().map(|it| format!("[{}]", it.label)).collect();
            let lines = offer.text.lines().chain(replies.iter().map(String::as_str));
            block(conversation_id, "offer", &time, lines)
        }
        Message::Reply { conversation_id, text } => {
            block(conversation_id, "reply", &time, text.lines())
        }
    }
}

fn block<'a>(
    conversation: &str,
    what: &str,
    time: &str,
    lines: impl Iterator<Item = &'a str>,
) -> String {
    // A line break in an id would begin a line of its own.
    let flat = |text: &str| text.replace(['\n', '\r'], " ");
    let mut text = format!("── {} · {} · {time}\n", flat(conversation), flat(what));
    for line in lines {
        text.push_str("  ");
        // A lone carriage return would set the cursor to the line's begin.
        text.push_str(&line.replace('\r', " "));
        text.push('\n');
    }
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use sidenote_plugin::help::Offer;
    use sidenote_plugin::test::{self, Host};

    use super::*;

    #[test]
    fn a_note_has_a_head_and_its_lines_are_set_in() {
        Host::new().at(1_616_648_967).install();
        let note = test::note("opened /cart\n── forged\r\nclicked \"Pay\"");
        assert_eq!(
            text(&Message::Note(&note)),
            "── c-1 · note 1 (actions) of u-1 · 2021-03-25 05:09:27 UTC\n  \
             opened /cart\n  ── forged\n  clicked \"Pay\"\n\n"
        );
        let mut note = test::note("x");
        (note.user_id, note.email) = (None, Some("a\n── b".to_owned()));
        note.conversation_id = "c\n1".to_owned();
        assert_eq!(text(&Message::Note(&note)).lines().count(), 3);
    }

    #[test]
    fn an_offer_shows_what_can_be_clicked() {
        Host::new().at(0).install();
        let offer = Offer::new("Trouble?").quick_reply("yes", "Yes").quick_reply("no", "No");
        assert_eq!(
            text(&Message::Offer { conversation_id: "c", offer: &offer }),
            "── c · offer · 1970-01-01 00:00:00 UTC\n  Trouble?\n  [Yes]\n  [No]\n\n"
        );
        let reply = text(&Message::Reply { conversation_id: "c", text: "a\nb" });
        assert!(reply.ends_with("UTC\n  a\n  b\n\n"), "{reply}");
    }
}
