//! One thing that a person did.

use std::fmt::{self, Write};

use serde::{Deserialize, Serialize};

use super::text;

/// One thing a person did. `Text` is how it holds its texts: its own, or borrowed where they are packed.
#[derive(Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, bound(deserialize = "Text: Default + Deserialize<'de>"))]
pub struct Action<Text = String> {
    /// Short name.
    pub title: Text,
    /// What was done, in words; the text of a note's line.
    pub description: Text,
    /// The page, with its ids folded.
    pub canonical_url: Text,
    /// Place in its batch as the connector numbers it.
    pub index: i64,
    /// Kind of action, for example `click`.
    #[serde(rename = "type")]
    pub kind: Text,
    /// Start in seconds since the epoch by the client's clock; `None` where it is missing or unusable.
    pub timestamp_start: Option<f64>,
    /// End, as `timestamp_start`.
    pub timestamp_end: Option<f64>,
    /// The page as it was.
    pub raw_url: Text,
    /// Session, where the action says it itself.
    pub session_id: Option<Text>,
    /// User, where the action says it itself.
    pub user_id: Option<Text>,
    /// E-mail address, where the action says it itself.
    pub email: Option<Text>,
    /// Conversation, where the action says it itself.
    pub conversation_id: Option<Text>,
}

impl Action {
    /// The same as it may be handed on: no control characters, and one line where there is to be one. Who did it
    /// is left as it is.
    #[must_use]
    pub fn printable(mut self) -> Self {
        let lines = [&mut self.title, &mut self.canonical_url, &mut self.kind, &mut self.raw_url];
        for line in lines {
            replace(line, text::printable_line);
        }
        replace(&mut self.description, text::printable);
        self
    }

    /// The action on one line: `[index] type: description — canonical_url`.
    pub fn to_text(&self) -> String {
        let mut out = String::with_capacity(self.description.len() + self.canonical_url.len() + 32);
        self.write_text(&mut out);
        out
    }

    pub(super) fn write_text(&self, out: &mut String) {
        write!(
            out,
            "[{}] {}: {} — {}",
            self.index,
            text::one_line(&self.kind),
            text::description(&self.description),
            text::one_line(&self.canonical_url),
        )
        .expect("writing to a String can't fail");
    }
}

/// Cleans a text in its place; one that is clean is not copied.
fn replace(text: &mut String, clean: fn(&str) -> std::borrow::Cow<'_, str>) {
    if let std::borrow::Cow::Owned(cleaned) = clean(text) {
        *text = cleaned;
    }
}

impl fmt::Debug for Action {
    /// What was done and who did it are left out: they are customers' data.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Action")
            .field("index", &self.index)
            .field("timestamp_start", &self.timestamp_start)
            .field("description_bytes", &self.description.len())
            .finish_non_exhaustive()
    }
}
