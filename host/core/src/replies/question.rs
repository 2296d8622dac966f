//! What people wrote and nobody answered: kept with the session, so that a restart asks again and an erasure leaves
//! nothing.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::clock::Timestamp;
use crate::ids::ConversationId;
use crate::session::state::Target;

/// At most so many questions of a session wait.
pub const MAX_WAITING: usize = 8;
/// Characters of a question; what is longer is cut, and that is marked.
pub const MAX_CHARS: usize = 4000;
/// A question that nobody saw to for so long is forgotten.
const FORGOTTEN: Duration = Duration::from_secs(24 * 3600);

/// A message that waits for its answer.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// What the platform calls the message; made of what it says and when where the platform has no name for it.
    pub id: String,
    /// What was written.
    pub text: String,
    /// Where.
    pub target: Target,
    /// When it was heard.
    pub at: Timestamp,
    /// The number of the message that answers it, where one is on its way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answered_by: Option<u64>,
}

impl std::fmt::Debug for Question {
    /// The text is left out: a person wrote it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Question")
            .field("at", &self.at)
            .field("answered_by", &self.answered_by)
            .finish_non_exhaustive()
    }
}

/// The questions of a session, the oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Questions(Vec<Question>);

impl Questions {
    /// A question waits from here on. `false`: as many wait as may.
    pub fn add(&mut self, question: Question) -> bool {
        if self.0.len() >= MAX_WAITING {
            return false;
        }
        self.0.push(question);
        true
    }

    /// The one of this id.
    pub fn get(&self, id: &str) -> Option<&Question> {
        self.0.iter().find(|question| question.id == id)
    }

    /// The message with this number answers it from here on.
    pub fn answer(&mut self, id: &str, seq: u64) {
        if let Some(question) = self.0.iter_mut().find(|question| question.id == id) {
            question.answered_by = Some(seq);
        }
    }

    /// It doesn't wait any more.
    pub fn remove(&mut self, id: &str) -> Option<Question> {
        let place = self.0.iter().position(|question| question.id == id)?;
        Some(self.0.remove(place))
    }

    /// Those of a conversation that no message answers wait no more. Returns how many there were.
    pub fn remove_unanswered(&mut self, target: &Target) -> usize {
        let before = self.0.len();
        self.0.retain(|question| question.target != *target || question.answered_by.is_some());
        before - self.0.len()
    }

    /// All of them, the oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &Question> {
        self.0.iter()
    }

    /// Whether a message that answers one is on its way.
    pub fn is_being_answered(&self) -> bool {
        self.0.iter().any(|question| question.answered_by.is_some())
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What was stored, where the clock may have been set back since: nothing was heard later than now, and what nobody
    /// saw to is forgotten.
    pub fn take_up(&mut self, now: Timestamp) {
        self.0.iter_mut().for_each(|question| question.at = question.at.min(now));
        self.0.retain(|it| it.answered_by.is_some() || now.since(it.at) < FORGOTTEN);
    }
}

/// What a message is called: by its platform, or by what it says and the second in which it was heard.
pub fn id_of(named: Option<&str>, text: &str, now: Timestamp) -> String {
    if let Some(named) = named.filter(|named| !named.is_empty()) {
        return named.to_owned();
    }
    let mut hash = Sha256::new();
    hash.update(now.as_millis().div_euclid(1000).to_be_bytes());
    hash.update(text);
    format!("unnamed-{}", hex::encode(&hash.finalize()[..16]))
}

/// What is remembered of a message so that it isn't answered twice: nothing that tells what it says.
pub fn mark(conversation: &ConversationId, id: &str) -> u64 {
    let mut hash = Sha256::new();
    hash.update((conversation.as_str().len() as u64).to_be_bytes());
    hash.update(conversation.as_str());
    hash.update(id);
    hash.finalize().iter().take(8).fold(0, |mark, byte| mark << 8 | u64::from(*byte))
}

/// A text of at most so many characters; what was cut is marked.
pub(crate) fn shortened(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        None => text.to_owned(),
        Some(_) => {
            let kept: String = text.chars().take(most.saturating_sub(1)).collect();
            format!("{}…", kept.trim_end())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T: Timestamp = Timestamp(1_700_000_000_000_000);
    const S: Duration = Duration::from_secs(1);

    fn question(id: &str) -> Question {
        let target = ("chat".into(), ConversationId::new("c").unwrap());
        Question { id: id.to_owned(), text: "How?".to_owned(), target, at: T, answered_by: None }
    }

    #[test]
    fn the_newest_question_takes_no_others_place() {
        let mut questions = Questions::default();
        for n in 0..MAX_WAITING {
            assert!(questions.add(question(&n.to_string())));
        }
        assert!(!questions.add(question("more")));
        assert!(questions.get("0").is_some() && questions.get("more").is_none());
        assert!(questions.remove("0").is_some());
        assert!(questions.add(question("more")));
    }

    #[test]
    fn what_nobody_saw_to_for_a_day_is_forgotten_unless_its_answer_is_on_its_way() {
        let mut questions = Questions::default();
        questions.add(question("a"));
        questions.add(question("b"));
        questions.answer("b", 1);
        questions.take_up(T + FORGOTTEN - S);
        assert_eq!(questions.iter().count(), 2);
        questions.take_up(T + FORGOTTEN);
        assert_eq!(questions.iter().map(|it| &*it.id).collect::<Vec<_>>(), ["b"]);
        questions.take_up(T - S * 100);
        assert_eq!(questions.get("b").unwrap().at, T - S * 100, "the clock was set back");
    }

    #[test]
    fn a_message_without_a_name_is_known_by_what_it_says_and_when() {
        assert_eq!(id_of(Some("m1"), "hello", T), "m1");
        let unnamed = id_of(None, "hello", T);
        assert_eq!(unnamed, id_of(Some(""), "hello", T));
        assert_ne!(unnamed, id_of(None, "hello", T + S));
        assert_ne!(unnamed, id_of(None, "hullo", T));
        assert!(!unnamed.contains("hello"));
    }

    #[test]
    fn nothing_of_what_was_written_is_in_the_debug_form() {
        assert!(!format!("{:?}", question("a")).contains("How"));
    }

    #[test]
    fn a_long_text_is_cut_at_a_character_and_that_is_marked() {
        assert_eq!(shortened("äöü", 3), "äöü");
        assert_eq!(shortened("äöüß", 3), "äö…");
    }
}
