//! `POST /offers` and `POST /replies`: what the person sees, and `POST /find`: what the platform has by its key.

use std::sync::Arc;

use http::{HeaderMap, HeaderValue, StatusCode};
use serde_json::{Value, json};
use sidenote::clock::Timestamp;

use super::answer::{Answer, Handling, json, no_such_conversation};
use super::exchange::Ending;
use super::message::Message;
use super::receiver::{Receiver, Refusal};
use crate::serve::Reset;
use crate::signature::DELIVERY;

/// Longest text that a person is shown, in characters.
const MAX_TEXT: usize = 4096;
/// Most answers that can be clicked.
const MAX_REPLIES: usize = 3;

impl Receiver {
    /// Checks a message: signed, whole, and what a chat can show.
    pub(super) fn check_message(
        &self,
        kind: &str,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Result<Message, Refusal> {
        self.verify(headers, body)?;
        let malformed = |error| Refusal::Malformed(StatusCode::BAD_REQUEST, error);
        let message: Message = serde_json::from_slice(body)
            .map_err(|_| malformed("the body isn't a message in JSON"))?;
        if key_of(headers) != Some(&*message.idempotency_key) {
            return Err(malformed("X-Sidenote-Delivery isn't the message's idempotency key"));
        }
        let replies = &message.quick_replies;
        let mut ids: Vec<_> = replies.iter().map(|reply| &reply.id).collect();
        ids.sort();
        ids.dedup();
        let fits = message.kind == kind
            && message.attempt > 0
            && !message.text.trim().is_empty()
            && message.text.chars().count() <= MAX_TEXT
            && replies.len() <= MAX_REPLIES
            && ids.len() == replies.len()
            && replies.iter().all(|reply| !reply.id.is_empty() && !reply.label.trim().is_empty());
        if fits {
            Ok(message)
        } else {
            Err(malformed("a field of the message is empty or too long"))
        }
    }

    /// Takes a message, or lets it fail on demand as a note does.
    pub(super) async fn handle_message(
        self: Arc<Self>,
        message: Message,
        began: Timestamp,
        reset: &Reset,
    ) -> Answer {
        let begun = self.desk().begin(&message.conversation_id, None, began);
        let Some(begun) = begun else { return no_such_conversation() };
        let handling = Handling {
            receiver: Arc::clone(&self),
            conversation: (&*message.conversation_id).into(),
            exchange: begun.exchange,
            ending: Ending::Broken,
        };
        if !self.options.answers_after.is_zero() {
            tokio::time::sleep(self.options.answers_after).await;
        }
        let take = || match self.desk().take_message(message, self.clock.now()) {
            Some((id, repeat)) => json(StatusCode::CREATED, &json!({ "id": id, "repeat": repeat })),
            None => no_such_conversation(),
        };
        let mut answer = match begun.fault {
            None => take(),
            Some(fault) => self.fail(fault, None, take, reset).await,
        };
        handling.until_sent(&mut answer);
        answer
    }

    /// Whether there is a note or a message with the key of the request.
    pub(super) fn find(&self, headers: &HeaderMap, body: &[u8]) -> Result<Answer, Refusal> {
        self.verify(headers, body)?;
        let malformed = |error| Refusal::Malformed(StatusCode::BAD_REQUEST, error);
        let asked: Value =
            serde_json::from_slice(body).map_err(|_| malformed("the body isn't JSON"))?;
        let conversation = asked["conversation_id"].as_str();
        let (Some(conversation), Some(key)) = (conversation, key_of(headers)) else {
            return Err(malformed("conversation_id or X-Sidenote-Delivery is missing"));
        };
        let found = self.desk().find(conversation, key);
        Ok(json(StatusCode::OK, &json!({ "found": found.is_some(), "id": found })))
    }
}

fn key_of(headers: &HeaderMap) -> Option<&str> {
    headers.get(DELIVERY).and_then(|value: &HeaderValue| value.to_str().ok())
}
