//! Tours in a conversation: an answer that was chosen leads to a tour, the person is asked whether to see it, and says
//! yes or no.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::label;
use super::launch::LaunchEvent;
use crate::clock::Timestamp;
use crate::ids::SessionKey;
use crate::session::fsm::State;
use crate::session::state::Target;
use crate::session::tour::TourRegistry;

/// The question where nobody says another.
pub const QUESTION: &str = "Would you like me to show you?";

/// The tours of a product.
#[derive(Debug, Clone, PartialEq)]
pub struct Tours {
    /// Which there are, and how long each may stay untouched.
    pub registry: TourRegistry,
    /// How a person is asked.
    pub wording: Wording,
}

/// How a person is asked whether to see a tour.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wording {
    /// The question.
    pub question: String,
    /// The answer that begins the tour.
    pub yes: String,
    /// The answer that doesn't.
    pub no: String,
}

impl Default for Wording {
    fn default() -> Self {
        Self { question: QUESTION.to_owned(), yes: "Yes".to_owned(), no: "No".to_owned() }
    }
}

/// What a text is as an answer to a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum YesNo {
    /// Yes.
    Yes,
    /// No.
    No,
}

impl Wording {
    /// The answers that can be clicked.
    pub fn labels(&self) -> [&str; 2] {
        [&self.yes, &self.no]
    }

    /// What somebody's text is as an answer: one of the two labels, save blanks around it and capitals; `None` for
    /// whatever else they wrote. Where both labels are the same it is a yes.
    pub fn answer(&self, text: &str) -> Option<YesNo> {
        match label::place_of(text, self.labels())? {
            0 => Some(YesNo::Yes),
            _ => Some(YesNo::No),
        }
    }

    /// The question of autoplay-sdk's configuration of an integration (`tour_offer_body`); the usual one where that
    /// has none.
    ///
    /// # Errors
    /// It is something else than a text.
    pub fn of_integration(config: &Value) -> Result<Self, NoQuestion> {
        let question = match config.get("tour_offer_body") {
            None | Some(Value::Null) => "",
            Some(question) => question.as_str().ok_or(NoQuestion)?.trim(),
        };
        if question.is_empty() {
            return Ok(Self::default());
        }
        Ok(Self { question: question.to_owned(), ..Self::default() })
    }
}

/// A question that can't be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "reading the tours: `tour_offer_body` must be a text; write the question that is asked before a tour, or leave it out"
)]
pub struct NoQuestion;

/// A tour that was offered and waits for a yes or a no. It belongs to one session and one conversation, and ends with
/// the offer whose answer led to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingTour {
    tour: String,
    session: SessionKey,
    target: Target,
    /// When the person was asked.
    pub asked_at: Timestamp,
}

/// What a message was to the tour that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// The person wants to see it: it is to be shown, and the session's guidance begins.
    Accepted(LaunchEvent),
    /// The person doesn't.
    Declined,
    /// Something else was said, or elsewhere: it waits on.
    Waits,
    /// The help that it was part of is over, and so is it.
    Over,
}

impl PendingTour {
    /// The person of this session was asked in this conversation whether to see the tour. `None`: a blank tour is none,
    /// and nobody is asked.
    pub fn ask(tour: &str, session: SessionKey, target: Target, now: Timestamp) -> Option<Self> {
        let tour = tour.trim();
        (!tour.is_empty()).then(|| Self { tour: tour.to_owned(), session, target, asked_at: now })
    }

    /// The tour (`user_tour_id`).
    pub fn tour(&self) -> &str {
        &self.tour
    }

    /// The session whose person was asked.
    pub fn session(&self) -> &SessionKey {
        &self.session
    }

    /// The conversation in which they were.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// What the person's message is to it. `state`: where the session stands, time having been let pass. It waits on
    /// only after [`Decision::Waits`].
    pub fn decide(
        &self,
        (session, target): (&SessionKey, &Target),
        state: State,
        wording: &Wording,
        text: &str,
    ) -> Decision {
        if state != State::Proactive {
            return Decision::Over;
        }
        if *session != self.session || *target != self.target {
            return Decision::Waits;
        }
        match wording.answer(text) {
            Some(YesNo::Yes) => Decision::Accepted(LaunchEvent::of(&self.session, &self.tour)),
            Some(YesNo::No) => Decision::Declined,
            None => Decision::Waits,
        }
    }

    /// What autoplay-sdk stored for a conversation: `{"flow_id": …}`, or the `1` of its earlier releases, which means
    /// `default`, as a flow that is blank does. `of` is where it was found, `now` counts as when it was asked. `None`:
    /// nothing waits, or no tour is meant.
    ///
    /// # Errors
    /// It can't be read. No tour is guessed then.
    pub fn of_sdk(
        stored: Option<&[u8]>,
        default: Option<&str>,
        of: (SessionKey, Target),
        now: Timestamp,
    ) -> Result<Option<Self>, UnreadableTour> {
        let stored = std::str::from_utf8(stored.unwrap_or_default()).map_err(|_| UnreadableTour)?;
        if stored.trim().is_empty() {
            return Ok(None);
        }
        let value: Value = serde_json::from_str(stored).map_err(|_| UnreadableTour)?;
        let flow = match &value {
            Value::Object(fields) => match fields.get("flow_id") {
                None | Some(Value::Null) => "",
                Some(flow) => flow.as_str().ok_or(UnreadableTour)?.trim(),
            },
            Value::Number(number) if number.as_u64() == Some(1) => "",
            Value::Number(_)
            | Value::Null
            | Value::Bool(_)
            | Value::String(_)
            | Value::Array(_) => {
                return Err(UnreadableTour);
            }
        };
        let flow = if flow.is_empty() { default.unwrap_or_default() } else { flow };
        Ok(Self::ask(flow, of.0, of.1, now))
    }
}

/// A stored tour offer that can't be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "reading a tour that waits for a yes or no: it is neither an object with a `flow_id` nor 1; nothing is shown, ask \
     the person again"
)]
pub struct UnreadableTour;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{ConversationId, PluginName, ProductId, SessionId};

    const T: Timestamp = Timestamp(1_700_000_000_000_000);

    fn key(session: &str) -> SessionKey {
        let (product, session) = (ProductId::new("shop"), SessionId::new(session));
        SessionKey { product: product.unwrap(), session: session.unwrap() }
    }

    fn target(conversation: &str) -> Target {
        (PluginName::from("intercom"), ConversationId::new(conversation).unwrap())
    }

    fn pending() -> PendingTour {
        PendingTour::ask(" flow ", key("s1"), target("c1"), T).unwrap()
    }

    fn decide(session: &str, conversation: &str, state: State, text: &str) -> Decision {
        let at = (key(session), target(conversation));
        pending().decide((&at.0, &at.1), state, &Wording::default(), text)
    }

    #[test]
    fn a_yes_shows_the_tour_and_a_no_or_anything_else_does_not() {
        let shown = Decision::Accepted(LaunchEvent::of(&key("s1"), "flow"));
        assert_eq!(decide("s1", "c1", State::Proactive, " YES "), shown);
        assert_eq!(decide("s1", "c1", State::Proactive, "no"), Decision::Declined);
        for other in ["yes please", "nope", "", "👍", "oui"] {
            assert_eq!(decide("s1", "c1", State::Proactive, other), Decision::Waits, "{other}");
        }
    }

    #[test]
    fn a_yes_in_another_session_or_conversation_is_no_yes() {
        assert_eq!(decide("s2", "c1", State::Proactive, "yes"), Decision::Waits);
        assert_eq!(decide("s1", "c2", State::Proactive, "yes"), Decision::Waits);
    }

    #[test]
    fn it_ends_with_the_help_that_it_was_part_of() {
        for state in [State::Thinking, State::Reactive] {
            assert_eq!(decide("s1", "c1", state, "yes"), Decision::Over);
        }
    }

    #[test]
    fn a_blank_tour_is_none() {
        for blank in ["", " ", "\n\t"] {
            assert_eq!(PendingTour::ask(blank, key("s1"), target("c1"), T), None);
        }
    }

    #[test]
    fn it_survives_being_stored() {
        let stored = serde_json::to_string(&pending()).unwrap();
        assert_eq!(serde_json::from_str::<PendingTour>(&stored).unwrap(), pending());
    }

    #[test]
    fn what_autoplay_sdk_stored_is_read_or_refused_and_never_guessed() {
        let read = |stored: Option<&[u8]>, default| {
            let read = PendingTour::of_sdk(stored, default, (key("s1"), target("c1")), T);
            read.map(|pending| pending.map(|pending| pending.tour().to_owned()))
        };
        let def = || Ok(Some("def".to_owned()));
        assert_eq!(
            read(Some(b" {\"flow_id\": \" f1 \", \"x\": 1} "), None),
            Ok(Some("f1".to_owned()))
        );
        assert_eq!(read(Some(b"1"), Some(" def ")), def());
        assert_eq!(read(Some(b"{\"flow_id\": \" \"}"), Some("def")), def());
        for nothing in [None, Some(b"".as_slice()), Some(b" \n")] {
            assert_eq!(read(nothing, Some("def")), Ok(None));
        }
        assert_eq!(read(Some(b"1"), Some(" ")), Ok(None));
        for unreadable in ["{\"flow_id\": \"f1\"", "0", "[]", "{\"flow_id\": 5}", "\"f\"", "null"] {
            assert_eq!(read(Some(unreadable.as_bytes()), Some("def")), Err(UnreadableTour));
        }
        assert_eq!(read(Some(b"\xff"), Some("def")), Err(UnreadableTour));
    }
}
