//! One JSON object a line.

use std::borrow::Cow;

use serde::Serialize;
use sidenote_plugin::json::{NoteBody, OfferBody};
use sidenote_plugin::text::clean;
use sidenote_plugin::{Call, Failure, Sent};

use crate::Message;

/// A message as a line, with its end.
pub(crate) fn line(call: &Call, message: &Message<'_>) -> Result<String, Failure> {
    let (r#type, content) = match *message {
        Message::Note(note) => ("note", Content::Note(note.into())),
        Message::Offer { conversation_id, offer } => {
            ("offer", Content::Offer { conversation_id, offer: offer.into() })
        }
        Message::Reply { conversation_id, text } => {
            ("reply", Content::Reply { conversation_id, text: clean(text) })
        }
    };
    let key = &*call.idempotency_key;
    let line = Line { r#type, content, idempotency_key: key, attempt: call.attempt };
    let mut line = serde_json::to_string(&line)
        .map_err(|error| Failure::invalid("json", error.to_string()).with_sent(Sent::NotSent))?;
    line.push('\n');
    Ok(line)
}

/// The fields and names of the generic webhook's posts.
#[derive(Serialize)]
struct Line<'a> {
    r#type: &'static str,
    #[serde(flatten)]
    content: Content<'a>,
    idempotency_key: &'a str,
    attempt: u32,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Content<'a> {
    Note(NoteBody<'a>),
    Offer {
        conversation_id: &'a str,
        #[serde(flatten)]
        offer: OfferBody<'a>,
    },
    Reply {
        conversation_id: &'a str,
        text: Cow<'a, str>,
    },
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use sidenote_plugin::help::Offer;
    use sidenote_plugin::{Action, test};

    use super::*;

    fn read(message: &Message<'_>) -> Value {
        let text = line(&test::call(), message).unwrap();
        assert!(text.ends_with('\n') && text.lines().count() == 1, "{text}");
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn a_note_is_one_line_whatever_people_wrote() {
        let mut note = test::note("clicked \"Pay\"\r\n{\"type\":\"note\"}\u{2028}");
        note.actions.push(Action {
            index: 3,
            kind: "click".to_owned(),
            title: "Click".to_owned(),
            description: "a\nb".to_owned(),
            canonical_url: String::new(),
            raw_url: String::new(),
            started_at: Some(1.5),
            ended_at: None,
        });
        let value = read(&Message::Note(&note));
        assert_eq!(
            value,
            json!({
                "type": "note", "product_id": "p-1", "session_id": "s-1", "conversation_id": "c-1",
                "user_id": "u-1", "email": "ann@example.com", "kind": "actions", "seq": 1,
                "body": "clicked \"Pay\"\r\n{\"type\":\"note\"}\u{2028}",
                "actions": [{
                    "index": 3, "type": "click", "title": "Click", "description": "a\nb",
                    "canonical_url": "", "raw_url": "", "timestamp_start": 1.5, "timestamp_end": null,
                }],
                "idempotency_key": "key-1", "attempt": 1,
            })
        );
    }

    #[test]
    fn what_the_person_sees_is_told_by_its_type() {
        let offer = Offer::new("Trouble?").quick_reply("yes", "Yes");
        let value = read(&Message::Offer { conversation_id: "c-2", offer: &offer });
        assert_eq!((&value["type"], &value["text"]), (&json!("offer"), &json!("Trouble?")));
        assert_eq!(value["quick_replies"], json!([{"id": "yes", "label": "Yes"}]));
        let value = read(&Message::Reply { conversation_id: "c-2", text: "Try again" });
        assert_eq!(value["type"], "reply");
        assert_eq!(
            (&value["conversation_id"], &value["text"]),
            (&json!("c-2"), &json!("Try again"))
        );
    }
}
