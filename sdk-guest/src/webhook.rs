//! The types of [`Webhook`](crate::Webhook): requests in, events out.

pub use crate::bindings::webhook::exports::sidenote::plugin::webhook::{
    Answer, Event, Rejection, Request, Turn,
};

impl Request {
    /// The first value of a header, whatever the case of its name.
    pub fn header(&self, name: &str) -> Option<&str> {
        crate::http::find_header(&self.headers, name)
    }

    /// The body as JSON; a body that doesn't fit is rejected with 400, code `body`.
    pub fn json<T: serde::de::DeserializeOwned>(&self) -> Result<T, Rejection> {
        serde_json::from_slice(&self.body).map_err(|error| {
            // Serde's text may quote what people wrote, so only the place is told.
            let place = format!("line {}, column {}", error.line(), error.column());
            Rejection::new(400, "body", format!("the body isn't the JSON expected, at {place}"))
        })
    }
}

impl Turn {
    /// A turn of a conversation, with nothing said about whose it is.
    pub fn new(conversation_id: impl Into<String>) -> Self {
        Self {
            conversation_id: conversation_id.into(),
            session_id: None,
            external_user_id: None,
            email: None,
            product_id: None,
            text: None,
            extras: Vec::new(),
        }
    }
}

impl Answer {
    /// Status 200 with a plain text: what most challenges want back.
    pub fn text(body: impl Into<String>) -> Self {
        Self { status: 200, content_type: "text/plain".to_owned(), body: body.into().into_bytes() }
    }

    /// Status 200 with a JSON text.
    pub fn json(body: &serde_json::Value) -> Self {
        let body = body.to_string().into_bytes();
        Self { status: 200, content_type: "application/json".to_owned(), body }
    }
}

impl Rejection {
    /// A rejection with a status of 400 to 599, a short code, and a message for the operator.
    pub fn new(status: u16, code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { status, code: code.into(), message: message.into() }
    }

    /// 401, code `signature`: the request can't be verified.
    pub fn unverified(message: impl Into<String>) -> Self {
        Self::new(401, "signature", message)
    }
}
