//! What a source's answer says, whatever it answers.

use serde_json::Value;

/// Something that was said.
#[derive(Clone, PartialEq, Eq)]
pub struct Turn {
    /// By whom: `user`, `assistant` or what the source calls them.
    pub role: String,
    /// What.
    pub content: String,
}

/// Something that a knowledge base has.
#[derive(Clone, PartialEq, Eq)]
pub struct Article {
    /// Its title, where it has one.
    pub title: Option<String>,
    /// Its text.
    pub content: String,
}

impl std::fmt::Debug for Turn {
    /// What was said is left out.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Turn").field("role", &self.role).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Article {
    /// The texts are left out.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Article").field("bytes", &self.content.len()).finish_non_exhaustive()
    }
}

/// What was read, and how much couldn't be.
pub(super) type Read<T> = (T, usize);

impl Turn {
    /// Reads a list of `{role, content}`; without a role it was the person. Counts what is neither that nor `null`.
    pub fn read_list(answer: &Value) -> Read<Vec<Self>> {
        read_list(answer, |fields| {
            let role = text(&fields["role"])?.map(str::trim).filter(|role| !role.is_empty());
            let content = text(&fields["content"])?.unwrap_or_default().to_owned();
            Some(Self { role: role.unwrap_or("user").to_owned(), content })
        })
    }
}

impl Article {
    /// Reads a list of `{title, content}`. Counts what is neither that nor `null`.
    pub fn read_list(answer: &Value) -> Read<Vec<Self>> {
        read_list(answer, |fields| {
            let title = text(&fields["title"])?.map(str::trim).filter(|title| !title.is_empty());
            let content = text(&fields["content"])?.unwrap_or_default().to_owned();
            Some(Self { title: title.map(str::to_owned), content })
        })
    }
}

/// Reads a text; `null` and blanks are none.
pub(super) fn read_text(answer: &Value) -> Read<String> {
    match text(answer) {
        Some(read) => {
            (read.filter(|text| !text.trim().is_empty()).unwrap_or_default().to_owned(), 0)
        }
        None => (String::new(), 1),
    }
}

fn read_list<T>(answer: &Value, entry: impl Fn(&Value) -> Option<T>) -> Read<Vec<T>> {
    match answer {
        Value::Null => (Vec::new(), 0),
        Value::Array(entries) => {
            let read: Vec<_> = entries
                .iter()
                .filter_map(|fields| fields.is_object().then(|| entry(fields)).flatten())
                .collect();
            let unread = entries.len() - read.len();
            (read, unread)
        }
        Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => (Vec::new(), 1),
    }
}

/// The outer `None`: it is something else than a text.
fn text(value: &Value) -> Option<Option<&str>> {
    match value {
        Value::Null => Some(None),
        Value::String(text) => Some(Some(text)),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_no_turn_is_counted_and_the_others_stay() {
        let (turns, unread) = Turn::read_list(&json!([
            "hi", 5, null, {"content": 5}, {"role": [], "content": "a"},
            {"content": "b"}, {"role": "assistant", "content": null},
        ]));
        assert_eq!(unread, 5);
        let read: Vec<_> = turns.iter().map(|turn| (&*turn.role, &*turn.content)).collect();
        assert_eq!(read, [("user", "b"), ("assistant", "")]);
        assert_eq!(Turn::read_list(&Value::Null), (Vec::new(), 0));
        assert_eq!(Turn::read_list(&json!({"role": "user"})), (Vec::new(), 1));
        assert_eq!(read_text(&json!(5)), (String::new(), 1));
    }
}
