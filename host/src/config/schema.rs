//! The JSON Schema of the configuration, for editors: made by asking the readers of `load` for what they take, so that there
//! is no second description. What each key is for stands in `examples/sidenote.toml`.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use toml::de::DeTable;

use super::load;
use super::section::{Reader, Section};
use super::tree::Tree;

/// Every key with its default and its meaning.
const REFERENCE: &str = include_str!("../../../examples/sidenote.toml");

/// The schema of `sidenote.toml` and of the files of `plugins.d`, in the dialect 2020-12. It holds each table by itself:
/// what rests on the environment, on other tables or on other files is `sidenote check`'s to say, and so is what is missing.
///
/// # Panics
/// Never: the text that is read is empty.
pub fn schema() -> Value {
    let mut tree = tree();
    describe(&mut tree);
    let mut schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Sidenote",
        "description": "The configuration of Sidenote: sidenote.toml and plugins.d/*.toml",
    });
    if let Value::Object(fields) = &mut schema {
        fields.extend(tree.into_schema());
    }
    schema
}

/// All tables and keys.
pub(super) fn tree() -> Tree {
    let none = |_: &str| None;
    let table = DeTable::parse("").expect("nothing is a table");
    let base = Path::new("");
    let reader = Reader::new(PathBuf::new(), "", base, &none).asked();
    load::config(Section::top(&reader, table.get_ref()), base);
    reader.into_tree()
}

/// Takes what the example says before each table and key. A key right below another one, or below its table, shares
/// what is said of that.
fn describe(tree: &mut Tree) {
    let mut header: Vec<&str> = Vec::new();
    let mut said: Vec<&str> = Vec::new();
    // Whether a comment begins anew, and what was said of the last key that stands in one.
    let (mut is_new, mut of_commented) = (true, "");
    for line in REFERENCE.lines() {
        if line.starts_with('[') {
            header = line.trim_matches(['[', ']']).split('.').collect();
            if let Some(table) = tree.find(&header) {
                table.words = said.join(" ");
            } else if let Some((list, above)) = header.split_last()
                && let Some(table) = tree.find(above)
            {
                table.describe(list, &said.join(" "));
            }
            is_new = true;
            continue;
        }
        // The rows of a list are no table.
        let Some(table) = tree.find(&header) else { continue };
        if let Some(comment) = line.strip_prefix('#') {
            // A key of another kind of store, or of a file that needn't be there.
            let (key, of_key) = comment.trim().split_once(" = ").unwrap_or_default();
            if comment.starts_with("   ") && table.has(key) {
                of_commented = of_key.split_once("  ").map_or(of_commented, |(_, own)| own.trim());
                let words =
                    if of_commented.is_empty() { said.join(" ") } else { of_commented.to_owned() };
                table.describe(key, &words);
                is_new = true;
                continue;
            }
            if is_new {
                (said, is_new, of_commented) = (Vec::new(), false, "");
            }
            said.push(comment.trim());
        } else if let Some((key, _)) = line.split_once(" = ") {
            table.describe(key, &said.join(" "));
            is_new = true;
        } else {
            (said, is_new, of_commented) = (Vec::new(), true, "");
        }
    }
}
