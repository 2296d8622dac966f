//! Triggers as autoplay-sdk's integrations configure them (`proactive_intercom`): criteria, and messages that can be
//! clicked. For those who bring such a configuration along.

use serde_json::{Map, Value, json};

use super::criteria::Criteria;
use super::fault::{ConfigError, Fault, Path, text};
use super::{Choice, Kind, Mode, Times, Trigger};
use crate::offers::content::MAX_OPTIONS;

/// The key of an integration's configuration under which they stand.
pub const KEY: &str = "proactive_intercom";

/// A configured trigger.
#[derive(Clone, PartialEq, Eq)]
pub struct Configured {
    /// Its id.
    pub id: String,
    /// Its name, for people; what it offers.
    pub name: String,
    /// When it hits (`proactive_criteria`).
    pub criteria: Criteria,
    /// What can be clicked, 1 to [`MAX_OPTIONS`].
    pub messages: Vec<Message>,
}

/// A message that can be clicked.
#[derive(Clone, PartialEq, Eq)]
pub struct Message {
    /// Its id. Offers have ids of their own, which are never the same for two options.
    pub id: String,
    /// What the person reads.
    pub label: String,
    /// Whether it leads to a tour (`user_tour_exists`).
    pub has_tour: bool,
    /// The tour (`user_tour_id`).
    pub tour: Option<String>,
}

impl std::fmt::Debug for Configured {
    /// Texts are left out.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Configured")
            .field("id", &self.id)
            .field("criteria", &self.criteria)
            .field("messages", &self.messages.len())
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Message {
    /// The label is left out.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Message")
            .field("id", &self.id)
            .field("tour", &self.tour)
            .finish_non_exhaustive()
    }
}

/// Reads the triggers of an integration's configuration, and says what is wrong with those that can't be used.
pub fn read(integration: &Value) -> (Vec<Configured>, Vec<ConfigError>) {
    let path = Path::top(KEY);
    let rows = match integration.get(KEY) {
        None | Some(Value::Null) => return (Vec::new(), Vec::new()),
        Some(Value::Array(rows)) => rows,
        Some(Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_)) => {
            return (Vec::new(), vec![path.fault(Fault::Not("a list"))]);
        }
    };
    let (mut usable, mut errors) = (Vec::new(), Vec::new());
    for (place, row) in (0..).zip(rows) {
        match Configured::from_value(row, &path.nth(place)) {
            Ok(trigger) => usable.push(trigger),
            Err(error) => errors.push(error),
        }
    }
    (usable, errors)
}

impl Configured {
    /// Reads one. Further keys mean nothing.
    ///
    /// # Errors
    /// The first thing that is wrong, with its path.
    pub fn from_value(value: &Value, path: &Path<'_>) -> Result<Self, ConfigError> {
        let fields = value.as_object().ok_or_else(|| path.fault(Fault::Not("an object")))?;
        let criteria_at = path.at("proactive_criteria");
        let criteria = fields.get("proactive_criteria").unwrap_or(&Value::Null);
        let at = path.at("messages");
        let messages = fields.get("messages").and_then(Value::as_array);
        let messages = messages
            .filter(|messages| !messages.is_empty())
            .ok_or_else(|| at.fault(Fault::Not("a list with one message at least")))?;
        if messages.len() > MAX_OPTIONS {
            return Err(at.fault(Fault::TooMany { most: MAX_OPTIONS }));
        }
        let messages = (0..).zip(messages);
        Ok(Self {
            id: text(fields, "id", path)?,
            name: text(fields, "name", path)?,
            criteria: Criteria::from_value(criteria, &criteria_at)?,
            messages: messages
                .map(|(place, message)| Message::from_value(message, &at.nth(place)))
                .collect::<Result<_, _>>()?,
        })
    }

    /// The form in which it is read.
    pub fn to_value(&self) -> Value {
        json!({
            "id": self.id,
            "name": self.name,
            "proactive_criteria": self.criteria.to_value(),
            "messages": self.messages.iter().map(Message::to_value).collect::<Vec<_>>(),
        })
    }

    /// The trigger that it is here: its criteria, its name for a text, its messages for options.
    pub fn into_trigger(self, mode: Mode, times: Times) -> Trigger {
        let options = self.messages.into_iter().map(|message| Choice {
            label: message.label,
            tour: message.tour.filter(|_| message.has_tour),
        });
        Trigger {
            mode,
            text: Some(self.name),
            options: options.collect(),
            times,
            ..Trigger::of(&self.id, Kind::Criteria(self.criteria))
        }
    }
}

impl Message {
    /// Reads one. Further keys mean nothing.
    ///
    /// # Errors
    /// The first thing that is wrong, with its path: a tour without an id too.
    pub fn from_value(value: &Value, path: &Path<'_>) -> Result<Self, ConfigError> {
        let fields = value.as_object().ok_or_else(|| path.fault(Fault::Not("an object")))?;
        let has_tour = match fields.get("user_tour_exists") {
            None => false,
            Some(flag) => flag
                .as_bool()
                .ok_or_else(|| path.at("user_tour_exists").fault(Fault::Not("true or false")))?,
        };
        let tour = match fields.get("user_tour_id") {
            None | Some(Value::Null) => None,
            Some(_) => Some(text(fields, "user_tour_id", path)?),
        };
        if has_tour && tour.as_deref().is_none_or(|tour| tour.trim().is_empty()) {
            return Err(path.at("user_tour_id").fault(Fault::Not("the id of a tour")));
        }
        Ok(Self {
            id: text(fields, "id", path)?,
            label: text(fields, "label", path)?,
            has_tour,
            tour,
        })
    }

    /// The form in which it is read.
    pub fn to_value(&self) -> Value {
        let mut fields = Map::new();
        fields.insert("id".to_owned(), json!(self.id));
        fields.insert("label".to_owned(), json!(self.label));
        fields.insert("user_tour_exists".to_owned(), json!(self.has_tour));
        if let Some(tour) = &self.tour {
            fields.insert("user_tour_id".to_owned(), json!(tour));
        }
        fields.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(id: &str) -> Value {
        json!({
            "id": id,
            "name": "Shall I show you how?",
            "proactive_criteria": { "id": "l", "name": "l", "type": "user_page_dwell" },
            "messages": [
                { "id": "m", "label": "Show me", "user_tour_exists": true, "user_tour_id": "flow" },
                { "id": "m", "label": "No", "user_tour_exists": false, "user_tour_id": "unused" },
            ],
        })
    }

    #[test]
    fn a_configured_trigger_becomes_criteria_with_options() {
        let (read, errors) = read(&json!({ KEY: [row("a"), { "id": "b" }, 5] }));
        let paths: Vec<_> = errors.into_iter().map(|error| error.path).collect();
        assert_eq!(paths, ["proactive_intercom[1].messages", "proactive_intercom[2]"]);
        assert_eq!(read[0].to_value(), row("a"));
        let trigger = read[0].clone().into_trigger(Mode::Instant, Times::default());
        assert_eq!(trigger.text.as_deref(), Some("Shall I show you how?"));
        let tours: Vec<_> = trigger.options.iter().map(|option| option.tour.as_deref()).collect();
        assert_eq!(tours, [Some("flow"), None]);
    }

    #[test]
    fn a_tour_needs_an_id_and_a_flag_is_true_or_false() {
        for (message, path) in [
            (json!({ "id": "m", "label": "x", "user_tour_exists": true }), "m.user_tour_id"),
            (
                json!({ "id": "m", "label": "x", "user_tour_exists": true, "user_tour_id": " " }),
                "m.user_tour_id",
            ),
            (json!({ "id": "m", "label": "x", "user_tour_exists": "false" }), "m.user_tour_exists"),
            (json!({ "id": "m", "label": 5 }), "m.label"),
            (json!("x"), "m"),
        ] {
            let refused = Message::from_value(&message, &Path::top("m")).unwrap_err();
            assert_eq!(refused.path, path, "{message}");
        }
    }
}
