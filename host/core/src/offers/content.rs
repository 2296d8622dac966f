//! What an offer may say. Every offer is made here, whichever trigger hit.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::label::fold;

/// Longest text of an offer, in characters.
pub const MAX_TEXT: usize = 150;
/// Most options that can be clicked.
pub const MAX_OPTIONS: usize = 3;
/// Longest label of an option, in characters.
pub const MAX_LABEL: usize = 80;
/// How long an offer waits for the person, in seconds, where its trigger doesn't say.
pub const INTERACTION_TIMEOUT_S: f64 = 10.0;
/// How long no other is made afterwards, in seconds, where its trigger doesn't say.
pub const COOLDOWN_S: f64 = 30.0;

/// What a trigger wants to be offered.
///
/// ```
/// use sidenote_core::offers::content::Offer;
///
/// let offer = Offer::new("pricing", "Shall I explain the plans?", [("Yes, please", None), ("No", None)]).unwrap();
/// assert_eq!(offer.text(), "Shall I explain the plans?");
/// assert_ne!(offer.options()[0].id, offer.options()[1].id);
/// assert!(Offer::new("pricing", "  ", []).is_err());
/// ```
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Offer {
    trigger: String,
    text: String,
    options: Vec<OfferOption>,
    /// How long it waits for the person once the platform took it, in seconds.
    pub interaction_timeout_s: f64,
    /// How long no other is made once it is over, in seconds.
    pub cooldown_s: f64,
}

/// An answer that the person can click.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OfferOption {
    /// Unique within the offer and across triggers; the same for the same configuration.
    pub id: String,
    /// What the person reads.
    pub label: String,
    /// The tour (`user_tour_id`) that it leads to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tour: Option<String>,
}

/// Why something is no offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoOffer {
    /// The text has nothing that a person could read.
    #[error("its text is empty")]
    Empty,
    /// The trigger has no name.
    #[error("its trigger has no id")]
    Nameless,
    /// A time that isn't a finite number of seconds above 0 (a cooldown: at least 0).
    #[error("its `{0}` is no number of seconds that can be waited")]
    Time(&'static str),
}

impl Offer {
    /// An offer of this trigger. Text and labels are trimmed; a text that is too long is cut at [`MAX_TEXT`]
    /// characters, options beyond [`MAX_OPTIONS`] and blank ones are left out, a blank tour is none.
    ///
    /// # Errors
    /// The text is empty, or the trigger has no id.
    pub fn new<'a>(
        trigger: &str,
        text: &str,
        options: impl IntoIterator<Item = (&'a str, Option<&'a str>)>,
    ) -> Result<Self, NoOffer> {
        if trigger.trim().is_empty() {
            return Err(NoOffer::Nameless);
        }
        let text = cut(text, MAX_TEXT);
        if text.is_empty() {
            return Err(NoOffer::Empty);
        }
        let mut options: Vec<_> = options
            .into_iter()
            .map(|(label, tour)| (cut(label, MAX_LABEL), tour.map(str::trim)))
            .filter(|(label, _)| !label.is_empty())
            .map(|(label, tour)| OfferOption {
                id: String::new(),
                label,
                tour: tour.filter(|tour| !tour.is_empty()).map(str::to_owned),
            })
            .collect();
        options.truncate(MAX_OPTIONS);
        for (place, option) in options.iter_mut().enumerate() {
            option.id = option_id(trigger, place, &option.label);
        }
        Ok(Self {
            trigger: trigger.to_owned(),
            text,
            options,
            interaction_timeout_s: INTERACTION_TIMEOUT_S,
            cooldown_s: COOLDOWN_S,
        })
    }

    /// The same with these times, in seconds.
    ///
    /// # Errors
    /// A time-out that isn't finite and above 0, a cooldown that isn't finite and at least 0.
    pub fn with_times(
        mut self,
        interaction_timeout_s: f64,
        cooldown_s: f64,
    ) -> Result<Self, NoOffer> {
        if !(interaction_timeout_s.is_finite() && interaction_timeout_s > 0.0) {
            return Err(NoOffer::Time("interaction_timeout_s"));
        }
        if !(cooldown_s.is_finite() && cooldown_s >= 0.0) {
            return Err(NoOffer::Time("cooldown_s"));
        }
        self.interaction_timeout_s = interaction_timeout_s;
        self.cooldown_s = cooldown_s;
        Ok(self)
    }

    /// The same with another text, as a judge words it.
    ///
    /// # Errors
    /// The text is empty.
    pub fn with_text(mut self, text: &str) -> Result<Self, NoOffer> {
        self.text = cut(text, MAX_TEXT);
        if self.text.is_empty() { Err(NoOffer::Empty) } else { Ok(self) }
    }

    /// The trigger that wants it.
    pub fn trigger(&self) -> &str {
        &self.trigger
    }

    /// What the person reads, 1 to [`MAX_TEXT`] characters.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What the person can click, at most [`MAX_OPTIONS`].
    pub fn options(&self) -> &[OfferOption] {
        &self.options
    }

    /// The option that an answer means: by its id where the platform says one, else by its label, trimmed and
    /// without regard to capitals; the first label wins. Nothing fuzzy.
    pub fn chosen(&self, option_id: Option<&str>, text: Option<&str>) -> Option<&OfferOption> {
        if let Some(id) = option_id
            && let Some(option) = self.options.iter().find(|option| option.id == id)
        {
            return Some(option);
        }
        let said = fold(text?);
        self.options.iter().find(|option| !said.is_empty() && fold(&option.label) == said)
    }
}

impl std::fmt::Debug for Offer {
    /// The texts are left out: they may tell of the person.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Offer")
            .field("trigger", &self.trigger)
            .field("text_bytes", &self.text.len())
            .field("options", &self.options.len())
            .field("interaction_timeout_s", &self.interaction_timeout_s)
            .field("cooldown_s", &self.cooldown_s)
            .finish()
    }
}

impl std::fmt::Debug for OfferOption {
    /// The label is left out.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OfferOption")
            .field("id", &self.id)
            .field("tour", &self.tour)
            .finish_non_exhaustive()
    }
}

fn cut(text: &str, most: usize) -> String {
    let text = text.trim();
    match text.char_indices().nth(most) {
        Some((end, _)) => text[..end].trim_end().to_owned(),
        None => text.to_owned(),
    }
}

/// The same for the same trigger, place and label, whatever else is configured; some 22 letters and digits, which every
/// platform takes as an id.
fn option_id(trigger: &str, place: usize, label: &str) -> String {
    let mut hash = Sha256::new();
    hash.update((trigger.len() as u64).to_be_bytes());
    hash.update(trigger);
    hash.update((place as u64).to_be_bytes());
    hash.update(label);
    format!("o{}", hex::encode(&hash.finalize()[..10]))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn text_is_bounded_by_characters_and_options_by_count() {
        let long = "ä".repeat(200);
        let offer = Offer::new("t", &long, (0..5).map(|_| ("x", None))).unwrap();
        assert_eq!(offer.text().chars().count(), MAX_TEXT);
        assert_eq!(offer.options().len(), MAX_OPTIONS);
        assert_eq!(Offer::new("t", " \n", []), Err(NoOffer::Empty));
        assert_eq!(Offer::new(" ", "text", []), Err(NoOffer::Nameless));
        assert_eq!(offer.with_text("  "), Err(NoOffer::Empty));
    }

    #[test]
    fn options_that_look_alike_have_ids_of_their_own_which_stay() {
        let labels = [("Yes!", None), ("Yes?", None), ("Yes!", None)];
        let offer = Offer::new("t", "text", labels).unwrap();
        let ids: HashSet<_> = offer.options().iter().map(|option| &option.id).collect();
        assert_eq!(ids.len(), 3);
        assert_eq!(offer, Offer::new("t", "text", labels).unwrap());
        let other = Offer::new("u", "text", labels).unwrap();
        assert!(other.options().iter().all(|option| !ids.contains(&option.id)));
    }

    #[test]
    fn an_answer_is_an_option_by_its_id_then_by_its_label() {
        let offer =
            Offer::new("t", "text", [("Show me", Some("flow")), ("No", Some(" "))]).unwrap();
        let (show, no) = (&offer.options()[0], &offer.options()[1]);
        assert_eq!(no.tour, None, "a blank tour is none");
        assert_eq!(offer.chosen(Some(&show.id), Some("no")), Some(show));
        assert_eq!(offer.chosen(Some("gone"), Some(" NO ")), Some(no));
        assert_eq!(offer.chosen(None, Some("no thanks")), None);
        assert_eq!(offer.chosen(None, Some(" ")), None);
        assert_eq!(offer.chosen(None, None), None);
    }

    #[test]
    fn times_are_finite_seconds() {
        let offer = Offer::new("t", "text", []).unwrap();
        for (timeout, cooldown) in
            [(0.0, 1.0), (f64::NAN, 1.0), (f64::INFINITY, 1.0), (1.0, -1.0), (1.0, f64::NAN)]
        {
            assert!(offer.clone().with_times(timeout, cooldown).is_err(), "{timeout} {cooldown}");
        }
        assert!(offer.with_times(0.5, 0.0).is_ok());
    }
}
