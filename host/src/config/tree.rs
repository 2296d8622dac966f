//! Every key of the configuration, as its readers tell them: what the JSON Schema is made of.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

/// Stands for any name that an operator gives: `[streams.NAME]`.
pub(super) const ANY: &str = "*";

/// Words, and the keys that are there where each stands.
type Words = Vec<(&'static str, BTreeSet<String>)>;

/// A table.
#[derive(Debug, Default)]
pub(super) struct Tree {
    keys: BTreeMap<String, Node>,
    /// What it is for.
    pub(super) words: String,
    /// Exactly one of these keys is there.
    pub(super) one_of: Vec<&'static str>,
    /// The key whose word says which others there are, and those of each word. The first is the default.
    by_word: Option<(&'static str, Words)>,
    /// Whether keys that are told belong to the last word.
    of_word: bool,
}

#[derive(Debug)]
enum Node {
    Value(Value),
    Table(Tree),
}

impl Tree {
    /// The table at a path, made where it isn't there.
    pub(super) fn at(&mut self, path: &[String]) -> &mut Self {
        path.iter().fold(self, |table, key| table.table(key))
    }

    /// A table of this one.
    pub(super) fn table(&mut self, key: &str) -> &mut Self {
        self.note(key);
        let node = self.keys.entry(key.to_owned()).or_insert_with(|| Node::Table(Self::default()));
        if let Node::Value(_) = node {
            *node = Node::Table(Self::default());
        }
        match node {
            Node::Table(table) => table,
            Node::Value(_) => unreachable!("it was replaced a moment ago"),
        }
    }

    /// Puts a key down.
    pub(super) fn put(&mut self, key: &str, schema: Value) {
        self.note(key);
        self.keys.insert(key.to_owned(), Node::Value(schema));
    }

    /// The keys that are told from here on belong to a word of `key`.
    pub(super) fn begin(&mut self, key: &'static str, word: &'static str) {
        self.of_word = true;
        let (_, words) = self.by_word.get_or_insert_with(|| (key, Vec::new()));
        words.push((word, BTreeSet::new()));
    }

    /// Those that are told from here on belong to every word.
    pub(super) fn end(&mut self) {
        self.of_word = false;
    }

    fn note(&mut self, key: &str) {
        if let Some((_, words)) = self.by_word.as_mut().filter(|_| self.of_word)
            && let Some((_, keys)) = words.last_mut()
        {
            keys.insert(key.to_owned());
        }
    }

    /// The table of a header as it stands in a file, whose names may be any.
    pub(super) fn find(&mut self, header: &[&str]) -> Option<&mut Self> {
        let Some((first, rest)) = header.split_first() else { return Some(self) };
        let key = if self.keys.contains_key(*first) { first } else { ANY };
        match self.keys.get_mut(key)? {
            Node::Table(table) => table.find(rest),
            Node::Value(_) => None,
        }
    }

    /// Whether a key means something in this table.
    pub(super) fn has(&self, key: &str) -> bool {
        self.keys.contains_key(key)
    }

    /// Says what a key is for, where nothing was said yet.
    pub(super) fn describe(&mut self, key: &str, words: &str) {
        if let Some(Node::Value(Value::Object(schema))) = self.keys.get_mut(key) {
            schema.entry("description").or_insert_with(|| words.into());
        }
    }

    /// The schema of the table.
    pub(super) fn into_schema(self) -> Map<String, Value> {
        let mut schema = Map::new();
        schema.insert("type".to_owned(), "object".into());
        if !self.words.is_empty() {
            schema.insert("description".to_owned(), self.words.clone().into());
        }
        let restricted = self.restricted();
        let (mut properties, mut further) = (Map::new(), Value::Bool(false));
        for (key, node) in self.keys {
            let value = match node {
                Node::Value(value) => value,
                Node::Table(table) => Value::Object(table.into_schema()),
            };
            if key == ANY {
                further = value;
            } else {
                properties.insert(key, value);
            }
        }
        if !properties.is_empty() {
            schema.insert("properties".to_owned(), Value::Object(properties));
        }
        schema.insert("additionalProperties".to_owned(), further);
        if !self.one_of.is_empty() {
            let one: Vec<_> = self.one_of.iter().map(|key| json!({"required": [key]})).collect();
            schema.insert("oneOf".to_owned(), one.into());
        }
        if !restricted.is_empty() {
            schema.insert("allOf".to_owned(), restricted.into());
        }
        schema
    }

    /// For each word, the keys that aren't there with it.
    fn restricted(&self) -> Vec<Value> {
        let Some((key, words)) = &self.by_word else { return Vec::new() };
        let all: BTreeSet<_> = words.iter().flat_map(|(_, keys)| keys).collect();
        let one = |(nth, (word, keys)): (usize, &(&str, BTreeSet<String>))| {
            let others = all.iter().filter(|other| !keys.contains(**other));
            let others: Map<_, _> =
                others.map(|other| ((*other).clone(), Value::Bool(false))).collect();
            let mut condition = json!({"properties": {*key: {"const": word}}});
            // Where it isn't there, it is the first.
            if nth > 0 {
                condition["required"] = json!([key]);
            }
            json!({"if": condition, "then": {"properties": others}})
        };
        words.iter().enumerate().map(one).collect()
    }
}
