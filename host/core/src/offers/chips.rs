//! The answers that autoplay-sdk's configuration of an integration lets people click, for a deployment that moves.

use serde_json::{Map, Value};

use super::label;

/// An answer that can be clicked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chip {
    /// Its id there; where it has none, `msg_` and its place in its own list.
    pub id: String,
    /// What the person reads.
    pub label: String,
    /// Whether it leads to a tour.
    pub has_tour: bool,
    /// Which one, where it says; otherwise the one that is shown where none is named.
    pub tour: Option<String>,
}

/// What was read: the answers that can be used, and those that can't.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Chips {
    /// The good ones, in their order.
    pub chips: Vec<Chip>,
    /// The others, each with its reason.
    pub refused: Vec<RefusedChip>,
}

/// Something among the answers that isn't used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("reading the answers to an offer: `{path}` must be {expected}; it isn't used")]
pub struct RefusedChip {
    /// Where it stands: `proactive_intercom[1].messages[0].user_tour_id`.
    pub path: String,
    /// What it must be.
    pub expected: &'static str,
}

const KEY: &str = "proactive_intercom";

impl Chips {
    /// Reads `proactive_intercom`: an object with a list `messages`, or a list of such objects. What isn't there, or is
    /// neither, has no answers. One that can't be used is refused with its path; the others stay. A blank label is no
    /// answer.
    pub fn of_integration(config: &Value) -> Self {
        let mut read = Self::default();
        match config.get(KEY) {
            Some(Value::Array(triggers)) => {
                for (place, trigger) in triggers.iter().enumerate() {
                    read.trigger(&format!("{KEY}[{place}]"), trigger);
                }
            }
            Some(trigger @ Value::Object(_)) => read.trigger(KEY, trigger),
            None | Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) => {}
        }
        read
    }

    /// The tour that somebody's text leads to: that of the first answer whose label it is, or `default` where that
    /// names none. `None`: it is no answer, the answer leads to no tour, or to a blank one.
    pub fn tour_for<'a>(&'a self, text: &str, default: Option<&'a str>) -> Option<&'a str> {
        let labels = self.chips.iter().map(|chip| chip.label.as_str());
        let chip = &self.chips[label::place_of(text, labels)?];
        if !chip.has_tour {
            return None;
        }
        let tour = chip.tour.as_deref().or(default)?.trim();
        (!tour.is_empty()).then_some(tour)
    }

    fn trigger(&mut self, path: &str, trigger: &Value) {
        let messages = match trigger.get("messages") {
            None | Some(Value::Null) => return,
            Some(Value::Array(messages)) => messages,
            Some(Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_)) => {
                return self.refuse(format!("{path}.messages"), "a list");
            }
        };
        for (place, message) in messages.iter().enumerate() {
            let path = format!("{path}.messages[{place}]");
            match message.as_object().map(|fields| chip(fields, place)) {
                None => self.refuse(path, "an object"),
                Some(Err((field, expected))) => self.refuse(format!("{path}.{field}"), expected),
                Some(Ok(chip)) => self.chips.extend(chip),
            }
        }
    }

    fn refuse(&mut self, path: String, expected: &'static str) {
        self.refused.push(RefusedChip { path, expected });
    }
}

/// An answer; `None` where its label is blank.
fn chip(
    fields: &Map<String, Value>,
    place: usize,
) -> Result<Option<Chip>, (&'static str, &'static str)> {
    let label = text(fields, &["label"])?.unwrap_or_default();
    if label.is_empty() {
        return Ok(None);
    }
    let id = text(fields, &["id"])?.filter(|id| !id.is_empty());
    let tour = text(fields, &["user_tour_id", "flow_id"])?;
    let has_tour = match first(fields, &["user_tour_exists", "offers_tour"]) {
        None => false,
        Some((_, Value::Bool(flag))) => *flag,
        Some((field, _)) => return Err((field, "true or false")),
    };
    if has_tour && tour.is_some_and(str::is_empty) {
        return Err(("user_tour_id", "the id of a tour, not blank, or be left out"));
    }
    Ok(Some(Chip {
        id: id.map_or_else(|| format!("msg_{place}"), str::to_owned),
        label: label.to_owned(),
        has_tour,
        tour: tour.filter(|tour| !tour.is_empty()).map(str::to_owned),
    }))
}

/// The text of the first of these fields that is there, without blanks around it.
fn text<'a>(
    fields: &'a Map<String, Value>,
    names: &[&'static str],
) -> Result<Option<&'a str>, (&'static str, &'static str)> {
    match first(fields, names) {
        None => Ok(None),
        Some((_, Value::String(text))) => Ok(Some(text.trim())),
        Some((field, _)) => Err((field, "a text")),
    }
}

fn first<'a>(
    fields: &'a Map<String, Value>,
    names: &[&'static str],
) -> Option<(&'static str, &'a Value)> {
    let found = names.iter().filter_map(|name| fields.get(*name).map(|value| (*name, value)));
    found.into_iter().find(|(_, value)| !value.is_null())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_bad_answer_is_refused_by_its_path_and_the_others_stay() {
        let read = Chips::of_integration(&json!({"proactive_intercom": [
            {"messages": 5},
            5,
            {"messages": [
                "x",
                {"label": 5},
                {"label": "a", "offers_tour": "false"},
                {"label": "b", "user_tour_exists": true, "user_tour_id": " "},
                {"label": "c", "id": "c1"},
                {"label": " "},
            ]},
        ]}));
        let paths: Vec<_> = read.refused.iter().map(|refused| refused.path.as_str()).collect();
        assert_eq!(
            paths,
            [
                "proactive_intercom[0].messages",
                "proactive_intercom[2].messages[0]",
                "proactive_intercom[2].messages[1].label",
                "proactive_intercom[2].messages[2].offers_tour",
                "proactive_intercom[2].messages[3].user_tour_id",
            ]
        );
        let left: Vec<_> = read.chips.iter().map(|chip| chip.id.as_str()).collect();
        assert_eq!(left, ["c1"]);
    }

    #[test]
    fn an_answer_leads_to_its_own_tour_then_to_the_usual_one_and_never_to_a_blank_one() {
        let read = Chips::of_integration(&json!({"proactive_intercom": {"messages": [
            {"label": "Create", "offers_tour": true, "flow_id": "f1"},
            {"label": "Export", "offers_tour": true},
            {"label": "Explain", "flow_id": "f2"},
        ]}}));
        assert_eq!(read.tour_for(" CREATE ", Some("usual")), Some("f1"));
        assert_eq!(read.tour_for("Export", Some(" usual ")), Some("usual"));
        for none in [None, Some(""), Some(" ")] {
            assert_eq!(read.tour_for("Export", none), None);
        }
        assert_eq!(read.tour_for("Explain", Some("usual")), None);
        assert_eq!(read.tour_for("", Some("usual")), None);
    }
}
