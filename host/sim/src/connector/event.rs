//! Events as they stand on the wire: good ones and odd ones.

use bytes::{BufMut, Bytes, BytesMut};
use serde::Serialize;
use sidenote::session::payload::{Action, ActionsPayload, SummaryPayload};

use super::behaviour::LineEnd;

/// One event of the stream, serialised once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event(Form);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Form {
    Data(Bytes),
    Comment(Bytes),
    Raw(Bytes),
}

impl Event {
    /// A batch of actions.
    pub fn actions(payload: &ActionsPayload) -> Self {
        #[derive(Serialize)]
        struct Wire<'a> {
            r#type: &'static str,
            product_id: &'a str,
            session_id: &'a Option<String>,
            user_id: &'a Option<String>,
            email: &'a Option<String>,
            #[serde(skip_serializing_if = "Option::is_none")]
            conversation_id: &'a Option<String>,
            actions: &'a [Action],
            count: usize,
            forwarded_at: f64,
        }
        Self::of(&Wire {
            r#type: "actions",
            product_id: &payload.product_id,
            session_id: &payload.session_id,
            user_id: &payload.user_id,
            email: &payload.email,
            conversation_id: &payload.conversation_id,
            actions: &payload.actions,
            count: payload.actions.len(),
            forwarded_at: payload.forwarded_at,
        })
    }

    /// A summary.
    pub fn summary(payload: &SummaryPayload) -> Self {
        #[derive(Serialize)]
        struct Wire<'a> {
            r#type: &'static str,
            product_id: &'a str,
            session_id: &'a Option<String>,
            summary: &'a str,
            replaces: u64,
            forwarded_at: f64,
        }
        Self::of(&Wire {
            r#type: "summary",
            product_id: &payload.product_id,
            session_id: &payload.session_id,
            summary: &payload.summary,
            replaces: payload.replaces,
            forwarded_at: payload.forwarded_at,
        })
    }

    /// Any text as the data of an event: JSON made elsewhere, or poison such as `[1, 2]` or `{nope`.
    pub fn data(text: impl Into<Bytes>) -> Self {
        Self(Form::Data(text.into()))
    }

    /// A comment, which a reader skips.
    pub fn comment(text: &str) -> Self {
        Self(Form::Comment(Bytes::copy_from_slice(text.as_bytes())))
    }

    /// A batch of one action whose description is so many bytes long.
    pub fn huge(product: &str, session: &str, bytes: usize) -> Self {
        Self::actions(&ActionsPayload {
            product_id: product.to_owned(),
            session_id: Some(session.to_owned()),
            actions: vec![Action { description: "x".repeat(bytes), ..Action::default() }],
            ..ActionsPayload::default()
        })
    }

    /// Bytes to be written as they are: half an event, a broken line.
    pub fn raw(bytes: impl Into<Bytes>) -> Self {
        Self(Form::Raw(bytes.into()))
    }

    fn of(wire: &impl Serialize) -> Self {
        Self(Form::Data(serde_json::to_vec(wire).expect("plain structs serialise").into()))
    }

    /// The event's data, as a connector pushes it; `None` of what is no event.
    pub fn pushed(&self) -> Option<Bytes> {
        match &self.0 {
            Form::Data(text) => Some(text.clone()),
            Form::Comment(_) | Form::Raw(_) => None,
        }
    }

    /// The bytes on the wire.
    pub(super) fn frame(&self, id: Option<u64>, line_end: LineEnd) -> Bytes {
        let end = line_end.bytes();
        match &self.0 {
            Form::Raw(bytes) => bytes.clone(),
            Form::Comment(text) => {
                let mut out = BytesMut::with_capacity(text.len() + 8);
                lines(&mut out, b": ", text, end);
                out.put_slice(end);
                out.freeze()
            }
            Form::Data(text) => {
                let mut out = BytesMut::with_capacity(text.len() + 40);
                if let Some(id) = id {
                    out.put_slice(b"id: ");
                    out.put_slice(id.to_string().as_bytes());
                    out.put_slice(end);
                }
                lines(&mut out, b"data: ", text, end);
                out.put_slice(end);
                out.freeze()
            }
        }
    }
}

/// The heartbeat, as the real connector sends it.
pub(super) fn heartbeat(line_end: LineEnd) -> Bytes {
    let mut out = BytesMut::with_capacity(40);
    for line in [&b"event: heartbeat"[..], b"data: {}", b""] {
        out.put_slice(line);
        out.put_slice(line_end.bytes());
    }
    out.freeze()
}

fn lines(out: &mut BytesMut, field: &[u8], text: &[u8], end: &[u8]) {
    for line in text.split(|byte| *byte == b'\n') {
        out.put_slice(field);
        out.put_slice(line);
        out.put_slice(end);
    }
}
