//! One JSON object a line.

use serde::Serialize;
use sidenote_plugin::{Action, Call, Failure, NoteKind, Sent};

use crate::Message;

/// A message as a line, with its end.
pub(crate) fn line(call: &Call, message: &Message<'_>) -> Result<String, Failure> {
    let key = &*call.idempotency_key;
    let written = match message {
        Message::Note(note) => serde_json::to_string(&NoteLine {
            r#type: "note",
            product_id: &note.product_id,
            session_id: &note.session_id,
            conversation_id: &note.conversation_id,
            user_id: note.user_id.as_deref(),
            email: note.email.as_deref(),
            kind: match note.kind {
                NoteKind::Actions => "actions",
                NoteKind::Summary => "summary",
            },
            seq: note.seq,
            body: &note.body,
            actions: note.actions.iter().map(action).collect(),
            idempotency_key: key,
            attempt: call.attempt,
        }),
        Message::Offer { conversation_id, offer } => serde_json::to_string(&OfferLine {
            r#type: "offer",
            conversation_id,
            text: &offer.text,
            quick_replies: offer
                .quick_replies
                .iter()
                .map(|reply| QuickReply { id: &reply.id, label: &reply.label })
                .collect(),
            idempotency_key: key,
            attempt: call.attempt,
        }),
        Message::Reply { conversation_id, text } => serde_json::to_string(&ReplyLine {
            r#type: "reply",
            conversation_id,
            text,
            idempotency_key: key,
            attempt: call.attempt,
        }),
    };
    let mut line = written
        .map_err(|error| Failure::invalid("json", error.to_string()).with_sent(Sent::NotSent))?;
    line.push('\n');
    Ok(line)
}

fn action(action: &Action) -> ActionLine<'_> {
    ActionLine {
        index: action.index,
        r#type: &action.kind,
        title: &action.title,
        description: &action.description,
        canonical_url: &action.canonical_url,
        raw_url: &action.raw_url,
        timestamp_start: action.started_at,
        timestamp_end: action.ended_at,
    }
}

/// The fields and names of the generic webhook's note.
#[derive(Serialize)]
struct NoteLine<'a> {
    r#type: &'static str,
    product_id: &'a str,
    session_id: &'a str,
    conversation_id: &'a str,
    user_id: Option<&'a str>,
    email: Option<&'a str>,
    kind: &'static str,
    seq: u64,
    body: &'a str,
    actions: Vec<ActionLine<'a>>,
    idempotency_key: &'a str,
    attempt: u32,
}

#[derive(Serialize)]
struct ActionLine<'a> {
    index: i64,
    r#type: &'a str,
    title: &'a str,
    description: &'a str,
    canonical_url: &'a str,
    raw_url: &'a str,
    timestamp_start: Option<f64>,
    timestamp_end: Option<f64>,
}

#[derive(Serialize)]
struct OfferLine<'a> {
    r#type: &'static str,
    conversation_id: &'a str,
    text: &'a str,
    quick_replies: Vec<QuickReply<'a>>,
    idempotency_key: &'a str,
    attempt: u32,
}

#[derive(Serialize)]
struct QuickReply<'a> {
    id: &'a str,
    label: &'a str,
}

#[derive(Serialize)]
struct ReplyLine<'a> {
    r#type: &'static str,
    conversation_id: &'a str,
    text: &'a str,
    idempotency_key: &'a str,
    attempt: u32,
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use sidenote_plugin::help::Offer;
    use sidenote_plugin::test;

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
