//! The schema says what the readers say: of each key, of each table, of each example.
//!
//! `SIDENOTE_SCHEMA=write cargo test -p sidenote --lib config::tests::schema` writes the book's copy again.

use std::path::Path;

use jsonschema::Validator;
use serde_json::Value;

use super::*;
use crate::config::schema::schema;

/// Every table of the schema with its path; `*` for any name.
pub(super) fn tables(schema: &Value) -> Vec<(Vec<&str>, &Value)> {
    let mut found = vec![(Vec::new(), schema)];
    let mut next = 0;
    while let Some((path, table)) = found.get(next).cloned() {
        next += 1;
        let properties = table["properties"].as_object().into_iter().flatten();
        let further = table.get("additionalProperties").filter(|further| further.is_object());
        let inner =
            properties.map(|(key, it)| (key.as_str(), it)).chain(further.map(|it| ("*", it)));
        for (key, it) in inner.filter(|(_, it)| it["type"] == "object") {
            found.push(([path.as_slice(), &[key]].concat(), it));
        }
    }
    found
}

fn validator() -> Validator {
    jsonschema::draft202012::new(&schema()).expect("it is a schema")
}

fn value(toml: &str) -> Value {
    let table: toml::Table = toml.parse().unwrap_or_else(|error| panic!("{error}: {toml}"));
    serde_json::to_value(table).expect("TOML without dates is JSON")
}

/// Where a table of this path stands in a file, with a name for each of any.
fn header(path: &[&str]) -> String {
    let names: Vec<_> = path.iter().map(|part| if *part == "*" { "name" } else { part }).collect();
    // What isn't there with the first kind of store is with this one.
    let store =
        if path.len() > 1 && path[0] == "store" { "[store]\nkind = \"redis\"\n" } else { "" };
    if names.is_empty() { String::new() } else { format!("{store}[{}]\n", names.join(".")) }
}

/// The problems of a text that have to do with a key: it is named, or they are in its table.
fn problems(text: &str, key: &str) -> Vec<Problem> {
    let Err(errors) = load(text, &[]) else { return Vec::new() };
    let about = |problem: &&Problem| format!("{problem:?}").contains(key);
    errors.problems().iter().filter(about).cloned().collect()
}

/// Whether the problem is of this key, by its type.
fn is_of(problem: &Problem, key: &str) -> bool {
    let (Fault::WrongType { key: of, .. } | Fault::UnknownKey { key: of, .. }) = &problem.fault
    else {
        return false;
    };
    of == key
}

#[test]
fn the_schema_is_one_of_its_dialect_and_says_what_keys_are_for() {
    let schema = schema();
    assert!(jsonschema::meta::is_valid(&schema), "{schema:#}");
    let server = &schema["properties"]["server"]["properties"];
    assert!(server["listen"]["description"].as_str().is_some_and(|it| it.contains("IP address")));
    let limits = &schema["properties"]["plugins"]["additionalProperties"]["properties"]["limits"];
    let said = limits["properties"]["tables"]["description"].as_str();
    assert!(
        said.is_some_and(|said| said.starts_with("Maximum number of elements")),
        "it is shared: {limits:#}"
    );
    let store = &schema["properties"]["store"]["properties"];
    assert_eq!(store["timeout"]["description"], "how long one command may take");
    for (path, table) in tables(&schema) {
        for (key, it) in table["properties"].as_object().into_iter().flatten() {
            let is_leaf = it["type"] != "object" && table.get("oneOf").is_none();
            let is_told = it["description"].as_str().is_some_and(|said| !said.is_empty());
            let of_product = path.first() == Some(&"products") && path.last() == Some(&"delivery");
            assert!(!is_leaf || is_told || of_product, "{key} of {path:?}: {it}");
        }
    }
}

#[test]
fn every_example_fits_it() {
    let validator = validator();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut seen = 0;
    for folder in ["examples", "docs/snippets"] {
        for entry in std::fs::read_dir(root.join(folder)).unwrap() {
            let file = entry.unwrap().path();
            let name = file.file_name().unwrap().to_str().unwrap().to_owned();
            // What a plugin says of itself isn't the operator's.
            if !name.ends_with(".toml") || name == "manifest.toml" {
                continue;
            }
            let value = value(&std::fs::read_to_string(&file).unwrap());
            let wrong: Vec<_> = validator
                .iter_errors(&value)
                .map(|it| format!("{} {it}", it.instance_path()))
                .collect();
            assert!(wrong.is_empty(), "{folder}/{name}: {wrong:#?}");
            seen += 1;
        }
    }
    assert!(seen >= 15, "{seen} files");
}

#[test]
fn a_key_that_means_nothing_is_refused_by_both_in_every_table() {
    let (schema, validator) = (schema(), validator());
    let mut refused = 0;
    for (path, table) in tables(&schema) {
        if table["additionalProperties"] != false {
            continue;
        }
        let text = format!("{}no_such_key = 1\n", header(&path));
        assert!(!validator.is_valid(&value(&text)), "{text}");
        let found = problems(&text, "no_such_key");
        assert!(found.iter().any(|it| is_of(it, "no_such_key")), "{text}: {found:?}");
        refused += 1;
    }
    assert!(refused >= 30, "{refused} tables");
}

/// One value of each type.
const VALUES: [&str; 7] = ["\"a\"", "7", "-7", "0.5", "true", "[{ a = 1 }]", "{ a = 1 }"];

#[test]
fn a_value_of_the_wrong_type_is_refused_by_both_at_every_key() {
    let (schema, validator) = (schema(), validator());
    let (mut fine, mut refused) = (0, 0);
    for (path, table) in tables(&schema) {
        let kinds: &[&str] = match path.as_slice() {
            ["store"] => &["", "kind = \"redis\"\n", "kind = \"memory\"\n"],
            _ => &[""],
        };
        for key in table["properties"].as_object().into_iter().flat_map(|keys| keys.keys()) {
            for (kind, written) in kinds.iter().flat_map(|kind| VALUES.map(|it| (kind, it))) {
                if !kind.is_empty() && key == "kind" {
                    continue;
                }
                let text = format!("{}{kind}{key} = {written}\n", header(&path));
                let found = problems(&text, key);
                if validator.is_valid(&value(&text)) {
                    let wrong: Vec<_> = found.iter().filter(|it| is_of(it, key)).collect();
                    assert!(wrong.is_empty(), "the reader refuses it alone: {text}{wrong:?}");
                    fine += 1;
                } else {
                    assert!(!found.is_empty(), "the schema refuses it alone: {text}");
                    refused += 1;
                }
            }
        }
    }
    assert!(fine > 100 && refused > 1000, "{fine} fit, {refused} are refused");
}

#[test]
fn a_trigger_is_held_to_the_keys_of_its_kind() {
    let validator = validator();
    let fits = |row: &str| {
        let text = format!("[[products.p.offers.triggers]]\nid = \"a\"\n{row}\n");
        validator.is_valid(&value(&text))
    };
    assert!(fits("kind = \"page-dwell\"\nthreshold = \"5s\"\nmode = \"instant\""));
    assert!(fits("kind = \"criteria\"\ntext = \"t\"\ncriteria = { type = \"x\" }"));
    for wrong in [
        "",
        "kind = \"other\"",
        "kind = \"page-dwell\"\nmin_cycles = 2",
        "kind = \"page-dwell\"\nthreshold = 5",
        "kind = \"ping-pong\"\nhesitation = \"yes\"",
        "kind = \"ping-pong\"\noptions = \"Yes\"",
        "kind = \"criteria\"\noptions = 5",
        "kind = \"section-playbook\"\nalone = 5",
        "kind = \"plugin\"\nplugin = 5",
        "kind = \"criteria\"\ncriteria = \"x\"",
        "kind = \"plugin\"\nplugin = \"w\"\ntext = \"t\"",
        "kind = \"plugin\"\nplugin = \"w\"\nmode = \"now\"",
    ] {
        assert!(!fits(wrong), "{wrong}");
    }
}

#[test]
fn the_books_copy_is_fresh() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/src/operators/sidenote.schema.json");
    let made = format!("{:#}\n", schema());
    if std::env::var_os("SIDENOTE_SCHEMA").is_some_and(|what| what == "write") {
        std::fs::write(path, &made).unwrap();
    }
    assert!(
        std::fs::read_to_string(path).unwrap_or_default() == made,
        "docs/src/operators/sidenote.schema.json isn't what the readers make of it: SIDENOTE_SCHEMA=write writes it again"
    );
}
