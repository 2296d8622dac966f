//! What the host hands over, as bodies to post.

use std::borrow::Cow;

use serde::Serialize;

use crate::help::Offer;
use crate::text::clean;
use crate::{Action, Note, NoteKind};

/// An action as JSON, with the names that it has on the activity stream. What people typed has no control
/// characters but line ends and tabs ([`clean`]): there are stores that a U+0000 breaks.
///
/// ```
/// use sidenote_plugin::json::ActionBody;
/// use sidenote_plugin::test;
///
/// let batch = test::batch(["clicked Pay"]);
/// let body = serde_json::to_value(ActionBody::from(&batch.actions[0]))?;
/// assert_eq!(body, serde_json::json!({
///     "index": 0, "type": "click", "title": "Click", "description": "clicked Pay",
///     "canonical_url": "https://app.example/cart", "raw_url": "https://app.example/cart?id=7",
///     "timestamp_start": 1_700_000_000.25, "timestamp_end": 1_700_000_000.5,
/// }));
/// # Ok::<(), serde_json::Error>(())
/// ```
///
/// With fields of its own beside them, it is a `#[serde(flatten)]` field of a struct.
#[derive(Debug, Clone, Serialize)]
pub struct ActionBody<'a> {
    index: i64,
    r#type: Cow<'a, str>,
    title: Cow<'a, str>,
    description: Cow<'a, str>,
    canonical_url: Cow<'a, str>,
    raw_url: Cow<'a, str>,
    timestamp_start: Option<f64>,
    timestamp_end: Option<f64>,
}

impl<'a> From<&'a Action> for ActionBody<'a> {
    fn from(action: &'a Action) -> Self {
        Self {
            index: action.index,
            r#type: clean(&action.kind),
            title: clean(&action.title),
            description: clean(&action.description),
            canonical_url: clean(&action.canonical_url),
            raw_url: clean(&action.raw_url),
            timestamp_start: action.started_at,
            timestamp_end: action.ended_at,
        }
    }
}

/// A whole note as JSON, its actions as [`ActionBody`].
///
/// ```
/// use sidenote_plugin::json::NoteBody;
/// use sidenote_plugin::test;
///
/// let body = serde_json::to_value(NoteBody::from(&test::note("clicked Pay")))?;
/// assert_eq!(body, serde_json::json!({
///     "product_id": "p-1", "session_id": "s-1", "conversation_id": "c-1", "user_id": "u-1",
///     "email": "ann@example.com", "kind": "actions", "seq": 1, "body": "clicked Pay", "actions": [],
/// }));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, Serialize)]
pub struct NoteBody<'a> {
    product_id: &'a str,
    session_id: &'a str,
    conversation_id: &'a str,
    user_id: Option<&'a str>,
    email: Option<&'a str>,
    kind: &'static str,
    seq: u64,
    body: Cow<'a, str>,
    actions: Vec<ActionBody<'a>>,
}

impl<'a> From<&'a Note> for NoteBody<'a> {
    fn from(note: &'a Note) -> Self {
        Self {
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
            body: clean(&note.body),
            actions: note.actions.iter().map(ActionBody::from).collect(),
        }
    }
}

/// An offer of help as JSON.
///
/// ```
/// use sidenote_plugin::help::Offer;
/// use sidenote_plugin::json::OfferBody;
///
/// let offer = Offer::new("Trouble?").quick_reply("yes", "Yes, please");
/// let body = serde_json::to_value(OfferBody::from(&offer))?;
/// assert_eq!(body, serde_json::json!({
///     "text": "Trouble?", "quick_replies": [{ "id": "yes", "label": "Yes, please" }],
/// }));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, Serialize)]
pub struct OfferBody<'a> {
    text: Cow<'a, str>,
    quick_replies: Vec<QuickReplyBody<'a>>,
}

#[derive(Debug, Clone, Serialize)]
struct QuickReplyBody<'a> {
    id: &'a str,
    label: &'a str,
}

impl<'a> From<&'a Offer> for OfferBody<'a> {
    fn from(offer: &'a Offer) -> Self {
        let replies = offer.quick_replies.iter();
        Self {
            text: clean(&offer.text),
            quick_replies: replies
                .map(|reply| QuickReplyBody { id: &reply.id, label: &reply.label })
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::test;

    #[test]
    fn nothing_that_people_typed_has_a_control_character() {
        let odd = "a\0b\u{1b}c\n";
        let mut actions = test::batch([odd]).actions;
        let fields: [fn(&mut Action) -> &mut String; 4] = [
            |it| &mut it.kind,
            |it| &mut it.title,
            |it| &mut it.canonical_url,
            |it| &mut it.raw_url,
        ];
        for field in fields {
            *field(&mut actions[0]) = odd.to_owned();
        }
        let mut note = test::note(odd);
        note.actions = actions;
        let body = serde_json::to_value(NoteBody::from(&note)).unwrap();
        let cleaned = Value::from("a\u{FFFD}b\u{FFFD}c\n");
        assert_eq!(body["body"], cleaned);
        for name in ["type", "title", "description", "canonical_url", "raw_url"] {
            assert_eq!(body["actions"][0][name], cleaned, "{name}");
        }
        let offer = serde_json::to_value(OfferBody::from(&Offer::new(odd))).unwrap();
        assert_eq!(offer["text"], cleaned);
    }

    #[test]
    fn a_note_says_of_what_kind_it_is_and_null_of_what_is_not_known() {
        let mut note = test::note("all in all");
        (note.kind, note.user_id, note.email) = (NoteKind::Summary, None, None);
        note.actions = test::batch(["x"]).actions;
        note.actions[0].started_at = None;
        let body = serde_json::to_value(NoteBody::from(&note)).unwrap();
        assert_eq!(body["kind"], "summary");
        for unknown in [&body["user_id"], &body["email"], &body["actions"][0]["timestamp_start"]] {
            assert_eq!(unknown, &Value::Null);
        }
        assert!(body.get("user_id").is_some(), "the names are there all the same");
    }
}
