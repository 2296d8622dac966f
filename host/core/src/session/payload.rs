//! What the connector sends: actions and summaries, parsed totally.
//!
//! Every field is coerced or read as missing, nothing of another type passes through, and an odd field
//! never takes its action, nor an odd action its batch:
//!
//! | field | taken as it is | coerced | read as missing and counted |
//! |---|---|---|---|
//! | text (`title`, `description`, `canonical_url`, `type`, `raw_url`, `product_id`, `summary`) | text | numbers to their text, `true` to `True`; null, `false` and 0 to empty | lists, objects |
//! | ids (`session_id`, `user_id`, `email`, `conversation_id`) | text | whole numbers to their text; of a batch or a summary, but for its conversation: empty, `false` and 0 to missing | lists, objects, booleans, fractions |
//! | times (`timestamp_start`, `timestamp_end`, `forwarded_at`) | what [`event_time::usable`](super::event_time::usable) takes | numeric text and booleans to numbers, milliseconds to seconds | everything else |
//! | `index`, `replaces` | whole numbers in range | numeric text, booleans; fractions are cut off | everything else |
//! | `actions` | lists | null, `false`, 0 and empty to no actions | anything else: one action dropped |
//! | one of the actions | objects | | anything else: one action dropped |
//! | `count`, unknown fields | ignored: the length of the list counts | | |

mod read;
// One piece of code with what plugins read webhooks and answers with.
#[path = "../../../../sdk-guest/src/json/repair.rs"]
mod repair;

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use super::action::Action;
use super::text;

/// Reads one event of the stream.
///
/// Beyond JSON it takes what other writers put into their JSON: an unpaired surrogate escape reads as
/// U+FFFD, and `NaN`, `Infinity` and numbers out of range read as missing.
///
/// # Errors
/// The event can't be used at all: it is to be counted and skipped, those behind it are not affected.
///
/// ```
/// use sidenote_core::session::payload::{Payload, parse_event};
/// let parsed = parse_event(r#"{"type":"actions","session_id":"s1","actions":[{"description":"Paid"},null]}"#)?;
/// assert_eq!(parsed.dropped_actions, 1);
/// let Payload::Actions(batch) = parsed.payload else { unreachable!() };
/// assert_eq!(batch.actions[0].description, "Paid");
/// # Ok::<(), sidenote_core::session::payload::PayloadError>(())
/// ```
pub fn parse_event(data: &str) -> Result<Parsed, PayloadError> {
    read::event(data)
}

/// Reads an id that stands in JSON elsewhere as the ids of an event are read: text, or a whole number as its
/// text. `None` for null and for an empty text.
///
/// # Errors
/// It is neither: what it is, in words.
pub fn read_id(value: &Value) -> Result<Option<String>, &'static str> {
    read::id(value)
}

/// An event that was read, and what of it could not be.
#[derive(Debug, Clone, PartialEq)]
pub struct Parsed {
    /// The event.
    pub payload: Payload,
    /// Actions left out because they are not objects.
    pub dropped_actions: usize,
    /// Fields read as missing because of their type or value.
    pub unusable_fields: usize,
}

/// An event of the stream that means something.
#[derive(Debug, Clone, PartialEq)]
pub enum Payload {
    /// `type: "actions"`.
    Actions(ActionsPayload),
    /// `type: "summary"`.
    Summary(SummaryPayload),
}

/// Why an event can't be used. The event's text is left out: it is customers' data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PayloadError {
    /// The data is not JSON.
    #[error(
        "reading an event: the data isn't JSON (line {line}, column {column}); the event is skipped"
    )]
    NotJson {
        /// Line of the data, from 1.
        line: usize,
        /// Column of the line, from 1.
        column: usize,
    },
    /// The data is JSON, but not an object.
    #[error("reading an event: the data isn't a JSON object; the event is skipped")]
    NotAnObject,
    /// `type` is neither `actions` nor `summary`.
    #[error(
        "reading an event: its type is neither \"actions\" nor \"summary\"; the event is skipped"
    )]
    UnknownType,
}

impl Action {
    /// Reads an action by the policy of this module.
    ///
    /// # Errors
    /// [`PayloadError::NotAnObject`].
    pub fn from_value(value: &Value) -> Result<Self, PayloadError> {
        read::action(value)
    }
}

/// A batch of actions of one session.
#[derive(Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ActionsPayload {
    /// The product.
    pub product_id: String,
    /// The session; `None` where the connector doesn't know it.
    pub session_id: Option<String>,
    /// The user, where known.
    pub user_id: Option<String>,
    /// The user's e-mail address, where known.
    pub email: Option<String>,
    /// The conversation, where the connector knows it.
    pub conversation_id: Option<String>,
    /// What was done, in the order sent.
    #[serde(with = "super::packed")]
    pub actions: Vec<Action>,
    /// When the connector sent it, seconds since the epoch by its clock; 0 where that is unknown.
    pub forwarded_at: f64,
}

impl ActionsPayload {
    /// Reads a batch by the policy of this module, and says how many actions were dropped.
    ///
    /// # Errors
    /// [`PayloadError::NotAnObject`].
    pub fn from_value(value: &Value) -> Result<(Self, usize), PayloadError> {
        read::actions_payload(value)
    }

    /// Joins batches of one session into one: the actions in the order given, numbered from 0, with the
    /// latest `forwarded_at` and the first user, e-mail address and conversation that are named.
    ///
    /// The first batch sets the scope: its product, its session and, where it names one, its user.
    ///
    /// # Errors
    /// No batch, or one of another scope. Nothing was joined.
    pub fn merge(payloads: Vec<Self>) -> Result<Self, MergeError> {
        let mut rest = payloads.into_iter();
        let mut merged = rest.next().ok_or(MergeError::Empty)?;
        let user = merged.user_id.clone();
        let email = merged.email.clone();
        merged.conversation_id = merged.conversation_id.filter(|id| !id.is_empty());
        for payload in rest {
            if payload.product_id != merged.product_id {
                return Err(MergeError::Product);
            }
            if payload.session_id != merged.session_id {
                return Err(MergeError::Session);
            }
            if is_other_person((&user, &email), (&payload.user_id, &payload.email)) {
                return Err(MergeError::User);
            }
            merged.actions.extend(payload.actions);
            merged.forwarded_at = merged.forwarded_at.max(payload.forwarded_at);
            merged.user_id = merged.user_id.or(payload.user_id);
            merged.email = merged.email.or(payload.email);
            let named = payload.conversation_id.filter(|id| !id.is_empty());
            merged.conversation_id = merged.conversation_id.or(named);
        }
        for (index, action) in (0..).zip(&mut merged.actions) {
            action.index = index;
        }
        Ok(merged)
    }

    /// The same as it may be handed on, by [`Action::printable`].
    #[must_use]
    pub fn printable(mut self) -> Self {
        self.actions = self.actions.into_iter().map(Action::printable).collect();
        self
    }

    /// The batch as text: `Session … — n actions` and one line per action.
    pub fn to_text(&self) -> String {
        let id = self.session_id.as_deref().filter(|id| !id.is_empty()).unwrap_or("unknown");
        let mut out = format!("Session {} — {} actions", text::one_line(id), self.actions.len());
        for action in &self.actions {
            out.push('\n');
            action.write_text(&mut out);
        }
        out
    }
}

/// Whether both name a person, and not the same one. Users are told apart by id, by address otherwise.
pub(crate) fn is_other_person<T: PartialEq>(
    one: (&Option<T>, &Option<T>),
    other: (&Option<T>, &Option<T>),
) -> bool {
    match (one, other) {
        ((Some(a), _), (Some(b), _)) => a != b,
        ((_, Some(a)), (_, Some(b))) => a != b,
        _ => false,
    }
}

impl fmt::Debug for ActionsPayload {
    /// The actions and the person are left out: they are customers' data.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ActionsPayload")
            .field("product_id", &self.product_id)
            .field("session_id", &self.session_id)
            .field("actions", &self.actions.len())
            .field("forwarded_at", &self.forwarded_at)
            .finish_non_exhaustive()
    }
}

/// Why batches can't be joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MergeError {
    /// There is none.
    #[error("merging batches: there is none; pass at least one")]
    Empty,
    /// They are of different products.
    #[error("merging batches: they are of different products; merge each product's on its own")]
    Product,
    /// They are of different sessions.
    #[error("merging batches: they are of different sessions; merge each session's on its own")]
    Session,
    /// They are of different users.
    #[error("merging batches: they are of different users; merge each user's on its own")]
    User,
}

/// A summary that replaces actions of one session.
#[derive(Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct SummaryPayload {
    /// The product.
    pub product_id: String,
    /// The session; `None` where the connector doesn't know it.
    pub session_id: Option<String>,
    /// The text.
    pub summary: String,
    /// How many actions it replaces.
    pub replaces: u64,
    /// When the connector sent it, seconds since the epoch by its clock; 0 where that is unknown.
    pub forwarded_at: f64,
}

impl SummaryPayload {
    /// Reads a summary by the policy of this module.
    ///
    /// # Errors
    /// [`PayloadError::NotAnObject`].
    pub fn from_value(value: &Value) -> Result<Self, PayloadError> {
        read::summary_payload(value)
    }

    /// The summary itself. It may have several lines: it is a text of its own, not a line of a note.
    pub fn to_text(&self) -> &str {
        &self.summary
    }
}

impl fmt::Debug for SummaryPayload {
    /// The text is left out: it is customers' data.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SummaryPayload")
            .field("product_id", &self.product_id)
            .field("session_id", &self.session_id)
            .field("summary_bytes", &self.summary.len())
            .field("replaces", &self.replaces)
            .field("forwarded_at", &self.forwarded_at)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
