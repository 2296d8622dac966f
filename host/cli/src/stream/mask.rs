//! People's data taken out of what is recorded. What isn't known is masked.
//!
//! | what | is |
//! |---|---|
//! | session, user, e-mail address, conversation | a pseudonym: the same for the same value within one recording |
//! | product | a pseudonym, or as it came where that is asked for |
//! | title, description, summary, any text that isn't named here | a pseudonym |
//! | address of a page | `https://` with a pseudonym for host, for each part of the path, for the query, for the fragment |
//! | kind of an action | as it came, where it is one of [`KINDS`]; else a pseudonym |
//! | `type` of an event, times, index, count, `replaces` | as they came, where they are of their type |
//! | any other number, any other truth value | 0, false |
//! | a field that isn't named here | a pseudonym for its name, and what is in it masked |
//! | what isn't JSON | a pseudonym for all of it |

use hmac::{Hmac, Mac};
use reqwest::Url;
use serde_json::{Map, Value};
use sha2::Sha256;

/// Kinds of actions that tell nothing of anybody.
const KINDS: [&str; 12] = [
    "click",
    "page_view",
    "pageview",
    "navigation",
    "input",
    "change",
    "filter",
    "submit",
    "scroll",
    "search",
    "error",
    "custom",
];

/// Types of events that the host reads.
const TYPES: [&str; 2] = ["actions", "summary"];

/// Names of events that connectors give.
const NAMES: [&str; 4] = ["message", "heartbeat", "actions", "summary"];

/// Masks one recording. Its key is thrown away with it: nobody can tell from a pseudonym what it stands for, and two
/// recordings have nothing in common.
pub(super) struct Mask {
    key: [u8; 32],
    keeps_products: bool,
}

impl Mask {
    pub(super) fn new(keeps_products: bool) -> Self {
        Self { key: rand::random(), keeps_products }
    }

    /// The name of an event.
    pub(super) fn name(&self, name: &str) -> String {
        if NAMES.contains(&name) { name.to_owned() } else { self.pseudonym("event", name) }
    }

    /// The data of an event.
    pub(super) fn data(&self, data: &str) -> String {
        match serde_json::from_str(data) {
            Ok(Value::Object(fields)) => self.event(fields).to_string(),
            Ok(other) => self.unknown(other).to_string(),
            Err(_) => Value::from(self.pseudonym("text", data)).to_string(),
        }
    }

    fn event(&self, fields: Map<String, Value>) -> Value {
        self.object(fields, |name, value| {
            Some(match (name, value) {
                ("type", Value::String(kind)) if TYPES.contains(&&**kind) => value.clone(),
                ("product_id", Value::String(_)) if self.keeps_products => value.clone(),
                ("product_id", value) => self.id("product", value),
                ("summary", value) => self.text(value),
                ("count" | "replaces" | "forwarded_at", Value::Number(_)) => value.clone(),
                ("actions", Value::Array(actions)) => {
                    actions.iter().map(|action| self.action(action)).collect()
                }
                (name, value) => return self.who(name, value),
            })
        })
    }

    fn action(&self, action: &Value) -> Value {
        let Value::Object(fields) = action else { return self.unknown(action.clone()) };
        self.object(fields.clone(), |name, value| {
            Some(match (name, value) {
                ("title" | "description", value) => self.text(value),
                ("canonical_url" | "raw_url", Value::String(url)) => self.address(url).into(),
                ("type", Value::String(kind)) if KINDS.contains(&&**kind) => value.clone(),
                ("type", Value::String(kind)) => self.pseudonym("kind", kind).into(),
                ("index" | "timestamp_start" | "timestamp_end", Value::Number(_)) => value.clone(),
                (name, value) => return self.who(name, value),
            })
        })
    }

    /// The fields by which an event and an action say whose they are.
    fn who(&self, name: &str, value: &Value) -> Option<Value> {
        Some(match (name, value) {
            ("session_id", value) => self.id("session", value),
            ("user_id", value) => self.id("user", value),
            ("conversation_id", value) => self.id("conversation", value),
            ("email", Value::String(email)) if email.is_empty() => value.clone(),
            // Who is known by an address is known by it however it is written.
            ("email", Value::String(email)) => {
                let name = self.pseudonym("user", &email.trim().to_lowercase());
                format!("{name}@masked.example").into()
            }
            _ => return None,
        })
    }

    /// An object whose fields `known` masks; those that it doesn't know are masked wholly, and their names too.
    fn object(
        &self,
        fields: Map<String, Value>,
        known: impl Fn(&str, &Value) -> Option<Value>,
    ) -> Value {
        let field = |(name, value): (String, Value)| match (&value, known(&name, &value)) {
            (Value::Null, Some(_)) => (name, Value::Null),
            (_, Some(masked)) => (name, masked),
            (_, None) => (self.pseudonym("field", &name), self.unknown(value)),
        };
        fields.into_iter().map(field).collect::<Map<_, _>>().into()
    }

    /// An id. A number is known as its text; what is empty names nobody and stays so.
    fn id(&self, kind: &str, value: &Value) -> Value {
        match value {
            Value::Null => Value::Null,
            Value::String(id) if id.is_empty() => value.clone(),
            Value::String(id) => self.pseudonym(kind, id).into(),
            Value::Number(id) => self.pseudonym(kind, &id.to_string()).into(),
            Value::Bool(_) | Value::Array(_) | Value::Object(_) => self.unknown(value.clone()),
        }
    }

    fn text(&self, value: &Value) -> Value {
        match value {
            Value::String(text) if text.is_empty() => value.clone(),
            Value::String(_)
            | Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::Array(_)
            | Value::Object(_) => self.unknown(value.clone()),
        }
    }

    /// The address of a page. Pages that differ do so masked, too; one within another stays within it.
    fn address(&self, text: &str) -> String {
        if text.is_empty() {
            return String::new();
        }
        let Some(url) = Url::parse(text).ok().filter(|url| url.has_host()) else {
            return self.pseudonym("page", text);
        };
        let host = self.pseudonym("host", url.host_str().unwrap_or_default());
        let mut masked = format!("https://{host}.example");
        for part in url.path().split('/').skip(1) {
            masked.push('/');
            if !part.is_empty() {
                masked += &self.pseudonym("page", part);
            }
        }
        if let Some(query) = url.query().filter(|query| !query.is_empty()) {
            masked += &format!("?{}", self.pseudonym("query", query));
        }
        if let Some(fragment) = url.fragment().filter(|fragment| !fragment.is_empty()) {
            masked += &format!("#{}", self.pseudonym("fragment", fragment));
        }
        masked
    }

    /// What nothing is known of.
    fn unknown(&self, value: Value) -> Value {
        match value {
            Value::Null => Value::Null,
            Value::Bool(_) => false.into(),
            Value::Number(_) => 0.into(),
            Value::String(text) => self.pseudonym("text", &text).into(),
            Value::Array(all) => all.into_iter().map(|value| self.unknown(value)).collect(),
            Value::Object(fields) => self.object(fields, |_, _| None),
        }
    }

    fn pseudonym(&self, kind: &str, value: &str) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key).expect("a key may have any length");
        mac.update(kind.as_bytes());
        mac.update(&[0]);
        mac.update(value.as_bytes());
        format!("{kind}-{}", hex::encode(&mac.finalize().into_bytes()[..8]))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Everything that a person could be known by.
    fn event() -> Value {
        json!({
            "type": "actions", "product_id": "acme", "session_id": "s-jane", "user_id": 4711, "email": " Jane@Acme.com",
            "conversation_id": "c-jane", "count": 2, "forwarded_at": 1_700_000_000.25,
            "jane@acme.com": {"note": ["Jane", 17, true, null]}, "plan": "enterprise of Acme",
            "actions": [
                {"title": "Jane's invoice", "description": "Opened Jane's invoice", "type": "click", "index": 3,
                 "canonical_url": "https://app.acme.com/users/jane/edit?token=secret#top",
                 "raw_url": "/users/jane", "timestamp_start": 1.5, "timestamp_end": "2024 jane", "extra": "jane"},
                {"type": "jane_clicked", "email": "jane@acme.com", "user_id": "4711", "description": 17},
                "jane", 12345,
            ],
        })
    }

    fn masked(mask: &Mask, event: &Value) -> Value {
        serde_json::from_str(&mask.data(&event.to_string())).unwrap()
    }

    #[test]
    fn nothing_that_somebody_could_be_known_by_is_left() {
        let text = masked(&Mask::new(false), &event()).to_string().to_lowercase();
        for told in [
            "jane",
            "secret",
            "users",
            "invoice",
            "enterprise",
            "extra",
            "plan",
            "app.",
            ".com",
            "true",
        ] {
            assert!(!text.contains(told), "{told}: {text}");
        }
    }

    #[test]
    fn what_tells_nothing_of_anybody_is_as_it_came() {
        let masked = masked(&Mask::new(false), &event());
        for (path, value) in [
            ("/type", json!("actions")),
            ("/count", json!(2)),
            ("/forwarded_at", json!(1_700_000_000.25)),
            ("/actions/0/type", json!("click")),
            ("/actions/0/index", json!(3)),
            ("/actions/0/timestamp_start", json!(1.5)),
        ] {
            assert_eq!(masked.pointer(path), Some(&value), "{path}");
        }
    }

    #[test]
    fn the_same_is_the_same_within_a_recording_and_nowhere_else() {
        let mask = Mask::new(false);
        let it = masked(&mask, &event());
        assert_eq!(it["user_id"], it["actions"][1]["user_id"], "a number is known as its text");
        assert_eq!(it["email"], it["actions"][1]["email"]);
        assert_eq!(it, masked(&mask, &event()));
        assert_ne!(it["user_id"], masked(&Mask::new(false), &event())["user_id"]);
        let url = it["actions"][0]["canonical_url"].as_str().unwrap();
        let parts: Vec<_> =
            Url::parse(url).unwrap().path_segments().unwrap().map(str::to_owned).collect();
        assert_eq!(parts.len(), 3, "{url}");
        assert_ne!(parts[0], parts[1]);
    }

    #[test]
    fn products_are_kept_where_that_is_asked_for_and_nothing_more_is() {
        let kept = masked(&Mask::new(true), &event());
        assert_eq!(kept["product_id"], "acme");
        assert!(!kept.to_string().contains("jane"));
        let odd = json!({"product_id": ["jane"]});
        assert!(!masked(&Mask::new(true), &odd).to_string().contains("jane"));
    }

    #[test]
    fn what_is_no_event_is_masked_whole() {
        let mask = Mask::new(true);
        for data in ["Jane {", "\"Jane\"", "[\"Jane\", {\"Jane\": \"Jane\"}]", "4711", "true", ""] {
            let masked = mask.data(data);
            assert!(!masked.contains("Jane") && !masked.contains("4711"), "{data}: {masked}");
            assert!(serde_json::from_str::<Value>(&masked).is_ok(), "{masked}");
        }
        assert_eq!(mask.data("{}"), "{}");
        assert_eq!(mask.name("heartbeat"), "heartbeat");
        assert!(!mask.name("jane").contains("jane"));
    }

    #[test]
    fn what_names_nobody_and_what_isnt_there_stay_so() {
        let it = json!({"user_id": null, "session_id": "", "email": "", "actions": null});
        assert_eq!(masked(&Mask::new(false), &it)["session_id"], "",);
        assert_eq!(masked(&Mask::new(false), &it)["user_id"], Value::Null);
    }
}
