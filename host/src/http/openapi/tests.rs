//! The document and the table of routes say the same.
//!
//! `SIDENOTE_OPENAPI=write cargo test -p sidenote --lib http::openapi` writes the book's copy again.

use std::collections::BTreeSet;

use super::operation::Schemas;
use super::rows;
use crate::http::routes::{self, openapi};

#[test]
fn each_row_of_the_table_has_its_operation_and_no_operation_is_without_a_row() {
    let operations: Vec<_> = rows::all(&mut Schemas::new())
        .into_iter()
        .map(|(method, path, _)| format!("{method} {path}"))
        .collect();
    let told: BTreeSet<_> = operations.iter().cloned().collect();
    assert_eq!(told.len(), operations.len(), "an operation is there twice");
    let mut there = BTreeSet::new();
    for route in routes::table() {
        // Who answers to every method is asked by this one.
        let methods = if route.methods.is_empty() { &["POST"] } else { route.methods };
        let methods = methods.iter().filter(|method| **method != "HEAD");
        there.extend(methods.map(|method| format!("{method} {}", route.path)));
    }
    let missing: Vec<_> = there.difference(&told).collect();
    assert!(missing.is_empty(), "add an operation in http/openapi/rows for {missing:?}");
    let gone: Vec<_> = told.difference(&there).collect();
    assert!(gone.is_empty(), "the table of routes has no {gone:?}");
}

#[test]
fn the_fields_of_a_body_are_those_that_are_read() {
    let mut bodies = 0;
    for (method, path, operation) in rows::all(&mut Schemas::new()) {
        let Some((told, known)) = operation.fields() else { continue };
        let told: BTreeSet<_> = told.iter().map(String::as_str).collect();
        assert_eq!(told, known.into_iter().collect(), "{method} {path}");
        bodies += 1;
    }
    assert!(bodies >= 7, "{bodies}");
}

#[test]
fn ids_of_operations_are_unique_and_what_is_named_is_there() {
    let mut ids = BTreeSet::new();
    let text = openapi().to_string();
    for methods in openapi()["paths"].as_object().unwrap().values() {
        for operation in methods.as_object().unwrap().values() {
            let id = operation["operationId"].as_str().unwrap();
            assert!(ids.insert(id.to_owned()), "{id}");
        }
    }
    for named in text.split(r##""$ref":"#"##).skip(1) {
        let (place, _) = named.split_once('"').unwrap();
        assert!(openapi().pointer(place).is_some(), "{place}");
    }
}

#[test]
fn the_books_copy_is_fresh() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/src/operators/openapi.json");
    let made = format!("{:#}\n", openapi());
    if std::env::var_os("SIDENOTE_OPENAPI").is_some_and(|what| what == "write") {
        std::fs::write(path, &made).unwrap();
    }
    assert!(
        std::fs::read_to_string(path).unwrap_or_default() == made,
        "docs/src/operators/openapi.json isn't what the routes make of it: SIDENOTE_OPENAPI=write writes it again"
    );
}
