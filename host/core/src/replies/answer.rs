//! What an answer may say, who sees to a question where none is sent, and why none is.

use serde::{Deserialize, Serialize};

use super::question::shortened;
use crate::ids::SessionKey;
use crate::session::text::printable;

/// Characters of an answer.
pub const MAX_CHARS: usize = 4000;

/// What is to become of a question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplyWish {
    /// Whose session.
    pub key: SessionKey,
    /// The [id](super::question::Question::id) of the question.
    pub message_id: String,
    /// What is to be done.
    pub what: Response,
}

/// What was found to be the right response to a question.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Response {
    /// This is to be answered.
    Text(ReplyText),
    /// A person of the team is to see to it.
    HandOver {
        /// Why.
        why: HandOver,
        /// What would have been answered, where there is something.
        draft: Option<ReplyText>,
    },
}

impl std::fmt::Debug for Response {
    /// The texts are left out.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Text(_) => f.write_str("Text(..)"),
            Self::HandOver { why, .. } => {
                f.debug_struct("HandOver").field("why", why).finish_non_exhaustive()
            }
        }
    }
}

/// Why a person of the team is to see to a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum HandOver {
    /// Whoever asked wants to speak with a human.
    Wished,
    /// The model isn't sure of its answer.
    Unsure,
    /// The model gave no answer in time.
    Unanswered,
    /// Nothing recent is known of what they did, so the model isn't asked.
    Unknown,
    /// The platform refused the answer, or didn't accept it in time.
    Unsent,
}

/// The text of an answer: not blank, printable, and of [`MAX_CHARS`] at most.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ReplyText(String);

/// A text that is no answer: nothing can be read of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("reply: the answer is blank")]
pub struct Blank;

impl ReplyText {
    /// What is sent of a text: what can't be printed is replaced, and what is too long is cut and marked.
    ///
    /// # Errors
    /// Nothing of it can be read.
    pub fn new(text: &str) -> Result<Self, Blank> {
        let text = printable(text.trim()).replace("\r\n", "\n");
        let text = text.trim();
        if text.is_empty() { Err(Blank) } else { Ok(Self(shortened(text, MAX_CHARS))) }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for ReplyText {
    /// It is left out: it tells of the person.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ReplyText(..)")
    }
}

/// An answer on its way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    /// What it says.
    pub text: ReplyText,
    /// The id of the question.
    pub answers: String,
}

/// What is under way after a wish.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Replied {
    /// The answer is the session's message of this number.
    Sending(u64),
    /// It is told beside the conversation, in the session's note of this number.
    Noted(u64),
}

/// Why nothing is answered and nothing noted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum NotReplied {
    /// The product has no replies.
    #[error("reply: people of this product aren't answered; see [products.ID.reply]")]
    Off,
    /// The question doesn't wait: it was answered, dropped, or erased.
    #[error("reply: the question doesn't wait any more")]
    Gone,
    /// An answer to it is on its way.
    #[error("reply: the answer is on its way already")]
    UnderWay,
    /// The session's notes go elsewhere meanwhile.
    #[error("reply: the session isn't linked to the conversation any more")]
    Moved,
    /// The conversation was closed.
    #[error("reply: the conversation is closed")]
    Closed,
    /// A human agent wrote in the conversation.
    #[error("reply: a human agent has written")]
    AgentWrote,
    /// It is too late to answer.
    #[error("reply: the answer came too late")]
    Late,
    /// The plugin has no `messenger`.
    #[error("reply: the plugin can't answer")]
    NoMessenger,
}

impl HandOver {
    /// What people read in the note.
    pub fn words(self) -> &'static str {
        match self {
            Self::Wished => "The person asks for a human. No reply was sent.",
            Self::Unsure => "The assistant isn't sure of its answer. No reply was sent.",
            Self::Unanswered => {
                "The person waits for an answer: the assistant found none in time. No reply was sent."
            }
            Self::Unknown => {
                "The person waits for an answer: nothing recent is known of what they did. No reply was sent."
            }
            Self::Unsent => {
                "The person waits for an answer: the platform didn't accept it. No reply was sent."
            }
        }
    }
}

/// What is noted for people where nothing is sent.
pub fn note(response: &Response) -> String {
    let draft = |text: &ReplyText| format!("Draft:\n{}", text.as_str());
    match response {
        Response::Text(text) => format!("Draft of a reply, not sent:\n{}", text.as_str()),
        Response::HandOver { why, draft: None } => why.words().to_owned(),
        Response::HandOver { why, draft: Some(text) } => {
            format!("{}\n\n{}", why.words(), draft(text))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_printable_and_bounded() {
        let said = |text: &str| ReplyText::new(text).map(|text| text.0);
        assert_eq!(said(" \n\t "), Err(Blank));
        assert_eq!(said(" Open\r\nSettings\0 "), Ok("Open\nSettings\u{FFFD}".to_owned()));
        let long = said(&"ä".repeat(MAX_CHARS + 10)).unwrap();
        assert_eq!(long.chars().count(), MAX_CHARS);
        assert!(long.ends_with('…'));
    }

    #[test]
    fn a_note_says_why_and_what_would_have_been_answered() {
        let draft = ReplyText::new("Open Settings.").unwrap();
        let with = |draft| note(&Response::HandOver { why: HandOver::Unsure, draft });
        assert_eq!(with(None), HandOver::Unsure.words());
        assert!(with(Some(draft.clone())).ends_with("\n\nDraft:\nOpen Settings."));
        let dry = note(&Response::Text(draft.clone()));
        assert!(dry.starts_with("Draft of a reply, not sent") && dry.contains("Open Settings."));
        assert!(!format!("{:?}", Response::Text(draft)).contains("Settings"));
    }
}
