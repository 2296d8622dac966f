//! The types of [`Source`](crate::Source): what people do, as a tool or a product's own code tells it.
//!
//! A plugin says what happened and who did it. The host makes the words, masks personal data, and recognises what comes
//! again by the events' ids.
//!
//! ```
//! use serde_json::Value;
//! use sidenote_plugin::source::{Batch, Event, EventKind, Received, Rejection, Request, Response};
//! use sidenote_plugin::Source;
//!
//! struct Shop;
//!
//! impl Source for Shop {
//!     fn receive(request: Request) -> Result<Received, Rejection> {
//!         let Ok(body) = serde_json::from_slice::<Value>(&request.body) else {
//!             return Err(Rejection::malformed("the body is no JSON"));
//!         };
//!         let (Some(name), Some(user)) = (body["name"].as_str(), body["user"].as_str()) else {
//!             return Err(Rejection::malformed("`name` or `user` is missing"));
//!         };
//!         let mut event = Event::new(EventKind::Custom, name);
//!         event.identity.user_id = Some(user.to_owned());
//!         Ok(Received::new(Response::ok()).with(Batch::of([event])))
//!     }
//! }
//!
//! sidenote_plugin::export!(Shop: Source);
//! # fn main() {}
//! ```
//!
//! Its logic has unit tests like any other's, with [`test::request`](crate::test::request):
//!
//! ```
//! # use serde_json::Value;
//! # use sidenote_plugin::source::{Batch, Event, EventKind, Received, Rejection, Request, Response};
//! # use sidenote_plugin::Source;
//! # struct Shop;
//! # impl Source for Shop {
//! #     fn receive(request: Request) -> Result<Received, Rejection> {
//! #         let body: Value = serde_json::from_slice(&request.body).map_err(|_| Rejection::malformed("no JSON"))?;
//! #         let event = Event::new(EventKind::Custom, body["name"].as_str().unwrap_or_default());
//! #         Ok(Received::new(Response::ok()).with(Batch::of([event])))
//! #     }
//! # }
//! use sidenote_plugin::source::RejectionKind;
//! use sidenote_plugin::test;
//!
//! let sent = test::request("POST", "/", &[], r#"{"name": "Paid", "user": "u-1"}"#);
//! assert_eq!(Shop::receive(sent).unwrap().batches[0].events[0].name, "Paid");
//! let refused = Shop::receive(test::request("POST", "/", &[], "no")).unwrap_err();
//! assert_eq!(refused.kind, RejectionKind::Malformed);
//! ```

pub use crate::bindings::source::exports::sidenote::plugin::source::{
    Batch, Element, Event, EventKind, Identity, Ignored, Merge, Page, Received, Rejection,
    RejectionKind, Request, Response, Subject,
};

impl Request {
    /// The first value of a header, whatever the case of its name.
    pub fn header(&self, name: &str) -> Option<&str> {
        crate::http::find_header(&self.headers, name)
    }
}

impl Response {
    /// 200 with an empty JSON object: what a client takes for "it is there".
    pub fn ok() -> Self {
        Self::json("{}")
    }

    /// 200 with a text in JSON.
    pub fn json(body: impl Into<String>) -> Self {
        Self {
            status: 200,
            headers: vec![("content-type".to_owned(), "application/json".to_owned())],
            body: body.into().into_bytes(),
        }
    }
}

impl Received {
    /// Nothing happened; this is answered.
    pub fn new(response: Response) -> Self {
        Self {
            key: None,
            keyless: false,
            batches: Vec::new(),
            ignored: Vec::new(),
            response,
            extras: Vec::new(),
        }
    }

    /// Something that an SDK asks for before it sends anything, and before it says whose it is.
    pub fn keyless(response: Response) -> Self {
        Self { keyless: true, ..Self::new(response) }
    }

    /// The same, with a batch; one without events and merges is left out.
    #[must_use]
    pub fn with(mut self, batch: Batch) -> Self {
        if !batch.events.is_empty() || !batch.merges.is_empty() {
            self.batches.push(batch);
        }
        self
    }
}

impl Batch {
    /// Events of the product of the key.
    pub fn of(events: impl IntoIterator<Item = Event>) -> Self {
        Self {
            product_id: None,
            events: events.into_iter().collect(),
            merges: Vec::new(),
            extras: Vec::new(),
        }
    }
}

impl Event {
    /// Something that happened, of nobody and nowhere so far.
    pub fn new(kind: EventKind, name: impl Into<String>) -> Self {
        Self {
            id: String::new(),
            kind,
            name: name.into(),
            identity: Identity::nobody(),
            at: None,
            title: String::new(),
            description: String::new(),
            url: String::new(),
            page_title: String::new(),
            elements: Vec::new(),
            properties: String::new(),
            extras: Vec::new(),
        }
    }
}

impl Identity {
    /// Nobody that is known.
    pub fn nobody() -> Self {
        Self {
            session_id: None,
            anonymous_id: None,
            user_id: None,
            email: None,
            extras: Vec::new(),
        }
    }
}

impl Default for Page {
    /// Nothing happened, and there is no more.
    fn default() -> Self {
        Self {
            batches: Vec::new(),
            cursor: None,
            more: false,
            ignored: Vec::new(),
            extras: Vec::new(),
        }
    }
}

impl Rejection {
    /// A refusal of this kind. `message` is for the sender's log, without what people wrote.
    pub fn new(kind: RejectionKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    /// The body can't be read.
    pub fn malformed(message: impl Into<String>) -> Self {
        Self::new(RejectionKind::Malformed, message)
    }

    /// There is nothing at this path.
    pub fn not_found() -> Self {
        Self::new(RejectionKind::NotFound, "there is nothing at this path")
    }
}

impl Ignored {
    /// So many were left out, for this reason.
    pub fn new(reason: impl Into<String>, count: u32) -> Self {
        Self { reason: reason.into(), count }
    }
}
