//! Which tour answers a question: what a model is asked, and what its answer says.

use serde_json::Value;

/// The tours that may be shown to somebody.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Catalogue {
    tours: Vec<Listed>,
}

/// A tour of a catalogue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its id.
    pub id: String,
    /// What it is called; may be empty.
    pub name: String,
    /// When it helps; may be empty.
    pub use_when: String,
}

/// What a model answered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Matched {
    /// The tour that answers the question.
    pub primary: Option<String>,
    /// Others that may help.
    pub related: Vec<String>,
    /// The model's words for it; `parse_error` where its answer can't be read.
    pub reasoning: String,
}

/// What a model is asked: a question, and what there is around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Question<'a> {
    /// The person's question.
    pub user_query: &'a str,
    /// What was said before; blank: nothing.
    pub conversation_history: &'a str,
    /// The person's role; blank: nobody knows.
    pub role: &'a str,
    /// The page that they are on; blank: nobody knows.
    pub current_page: &'a str,
}

impl Catalogue {
    /// Reads a list of tours, each with an id (`tour_id`, `user_tour_id` or `id`), a name (`name` or `user_tour_name`),
    /// when it helps (`use_when` or `description`), and a `role` where it is for people of one role alone: without
    /// regard to capitals. Entries without an id are left out.
    pub fn read(list: &Value, role: Option<&str>) -> Self {
        let role = role.unwrap_or_default().trim().to_lowercase();
        let tours = list.as_array().into_iter().flatten().filter_map(|entry| {
            let first = |names: &[&str]| {
                let texts = names.iter().filter_map(|name| entry.get(*name)?.as_str());
                texts.map(str::trim).find(|text| !text.is_empty()).unwrap_or_default().to_owned()
            };
            let id = first(&["tour_id", "user_tour_id", "id"]);
            let for_role = first(&["role"]).to_lowercase();
            let is_for = for_role.is_empty() || for_role == role;
            (!id.is_empty() && is_for).then(|| Listed {
                id,
                name: first(&["name", "user_tour_name"]),
                use_when: first(&["use_when", "description"]),
            })
        });
        Self { tours: tours.collect() }
    }

    /// The tours.
    pub fn tours(&self) -> &[Listed] {
        &self.tours
    }

    /// The catalogue as a model reads it, one tour a line.
    pub fn text(&self) -> String {
        if self.tours.is_empty() {
            return "(no tours available)".to_owned();
        }
        let line = |tour: &Listed| {
            let parts = [&tour.id, &tour.name, &tour.use_when].map(|part| one_line(part));
            let said = parts.iter().filter(|part| !part.is_empty()).map(String::as_str);
            said.collect::<Vec<_>>().join(" :: ")
        };
        self.tours.iter().map(line).collect::<Vec<_>>().join("\n")
    }

    /// What a prompt's placeholders stand for.
    pub fn values(&self, question: Question<'_>) -> [(&'static str, String); 5] {
        let or = |text: &str, instead: &str| {
            if text.trim().is_empty() { instead.to_owned() } else { text.to_owned() }
        };
        [
            ("user_query", question.user_query.to_owned()),
            ("conversation_history", or(question.conversation_history, "(none)")),
            ("role", or(question.role, "unknown")),
            ("current_page", or(question.current_page, "unknown")),
            ("tour_catalog_text", self.text()),
        ]
    }

    /// What a model's answer says. Whatever it is, it is read: what isn't an object matches nothing, and tours that
    /// aren't in the catalogue are left out.
    pub fn matched(&self, answer: &str) -> Matched {
        let Ok(Value::Object(fields)) = serde_json::from_str(answer.trim()) else {
            return Matched { reasoning: "parse_error".to_owned(), ..Matched::default() };
        };
        let known = |id: &Value| {
            let id = id.as_str()?.trim();
            self.tours.iter().any(|tour| tour.id == id).then(|| id.to_owned())
        };
        let related = fields.get("related_tour_ids").and_then(Value::as_array);
        Matched {
            primary: fields.get("primary_tour_id").and_then(known),
            related: related.into_iter().flatten().filter_map(known).collect(),
            reasoning: fields
                .get("reasoning")
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned(),
        }
    }
}

fn one_line(text: &str) -> String {
    crate::session::text::one_line(text).into_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_tour_of_another_role_is_neither_told_of_nor_matched() {
        let list =
            json!([{"tour_id": "t1", "role": "consultant"}, {"id": "t2", "name": "Two\nt3"}, 5]);
        let catalogue = Catalogue::read(&list, Some("admin"));
        assert_eq!(catalogue.text(), "t2 :: Two t3");
        let matched =
            catalogue.matched(r#"{"primary_tour_id": "t1", "related_tour_ids": ["t2", "t1", 5]}"#);
        assert_eq!((matched.primary, matched.related), (None, vec!["t2".to_owned()]));
        assert_eq!(Catalogue::read(&list, Some(" CONSULTANT ")).tours().len(), 2);
    }

    #[test]
    fn any_answer_of_a_model_can_be_read() {
        let catalogue = Catalogue::read(&json!([{"id": "t"}]), None);
        let nested = "[".repeat(100_000);
        for garbage in ["", "x", "[]", "null", "5", &nested] {
            assert_eq!(catalogue.matched(garbage).reasoning, "parse_error");
        }
        let odd = catalogue
            .matched(r#"{"primary_tour_id": 5, "related_tour_ids": "t", "reasoning": null}"#);
        assert_eq!(odd, Matched::default());
    }
}
