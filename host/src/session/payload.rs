//! What the connector sends: actions and summaries, parsed totally.

use serde::{Deserialize, Serialize};

/// One thing a person did.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Action {
    /// Short name.
    pub title: String,
    /// What was done, in words; the text of a note's line.
    pub description: String,
    /// The page, with its ids folded.
    pub canonical_url: String,
    /// Place in its batch as the connector numbers it.
    pub index: i64,
    /// Kind of action, for example `click`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Start in seconds since the epoch by the client's clock; `None` where it is missing or unusable.
    pub timestamp_start: Option<f64>,
    /// End, as `timestamp_start`.
    pub timestamp_end: Option<f64>,
    /// The page as it was.
    pub raw_url: String,
    /// Session, where the action says it itself.
    pub session_id: Option<String>,
    /// User, where the action says it itself.
    pub user_id: Option<String>,
    /// E-mail address, where the action says it itself.
    pub email: Option<String>,
    /// Conversation, where the action says it itself.
    pub conversation_id: Option<String>,
}

/// A batch of actions of one session.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
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
    pub actions: Vec<Action>,
    /// When the connector sent it, seconds since the epoch by its clock.
    pub forwarded_at: f64,
}

/// A summary that replaces actions of one session.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
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
    /// When the connector sent it, seconds since the epoch by its clock.
    pub forwarded_at: f64,
}

/// An event of the stream that means something.
#[derive(Debug, Clone, PartialEq)]
pub enum Payload {
    /// `type: "actions"`.
    Actions(ActionsPayload),
    /// `type: "summary"`.
    Summary(SummaryPayload),
}

/// An event of the stream, parsed.
#[derive(Debug, Clone, PartialEq)]
pub struct Parsed {
    /// What it says.
    pub payload: Payload,
    /// Actions left out because they can't be used.
    pub dropped_actions: usize,
}

/// Why an event can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PayloadError {
    /// The text is not JSON.
    #[error("it is not JSON")]
    NotJson,
    /// The JSON is not an object.
    #[error("it is not a JSON object")]
    NotAnObject,
    /// The JSON is nested too deeply.
    #[error("it is nested too deeply")]
    TooDeep,
    /// The `type` is not one that is known.
    #[error("its type is not known")]
    UnknownType,
}

/// Parses the data of an event.
///
/// # Errors
///
/// The data is no payload.
pub fn parse_event(data: &str) -> Result<Parsed, PayloadError> {
    let mut value: serde_json::Value = serde_json::from_str(data).map_err(|error| {
        if error.to_string().contains("recursion") {
            PayloadError::TooDeep
        } else {
            PayloadError::NotJson
        }
    })?;
    let object = value.as_object_mut().ok_or(PayloadError::NotAnObject)?;
    let kind = object
        .get("type")
        .and_then(|kind| kind.as_str())
        .unwrap_or_default()
        .to_owned();
    object.retain(|_, value| !value.is_null());
    let payload = match &*kind {
        "actions" => {
            Payload::Actions(serde_json::from_value(value).map_err(|_| PayloadError::NotJson)?)
        }
        "summary" => {
            Payload::Summary(serde_json::from_value(value).map_err(|_| PayloadError::NotJson)?)
        }
        _ => return Err(PayloadError::UnknownType),
    };
    Ok(Parsed {
        payload,
        dropped_actions: 0,
    })
}
