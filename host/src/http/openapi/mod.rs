//! `GET /openapi.json`: what the API is, for programs. It is made of the table of routes, and of one operation for each
//! method of it, which `rows` have.

mod operation;
mod rows;
mod schema;
#[cfg(test)]
mod tests;

use serde_json::{Map, Value, json};

use self::operation::{Operation, Schemas};
use super::route::Route;

/// An operation, and where it is: the method in capitals, and the address as the table of routes has it.
type Row = (&'static str, &'static str, Operation);

/// The document of these routes.
pub(super) fn document(table: &[Route]) -> Value {
    let mut schemas = Schemas::new();
    let rows = rows::all(&mut schemas);
    let mut paths: Map<String, Value> = Map::new();
    for route in table {
        let of_route = rows.iter().filter(|(_, path, _)| *path == route.path);
        for (method, path, operation) in of_route {
            if route.takes(method) {
                let address = paths.entry(path.replace("{*", "{")).or_insert_with(|| json!({}));
                address[method.to_ascii_lowercase()] = operation.written(path, route.access);
            }
        }
    }
    let mut schemas = schemas.all();
    schemas.insert("Refused".to_owned(), refused());
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Sidenote",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "The HTTP API of a Sidenote host. A GET is answered to HEAD too, except where it streams or asks a model. Times are seconds since 1970 unless a field says otherwise. Without `token` in [server], programs on the host's own machine may ask without a bearer.",
            "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
        },
        "servers": [{ "url": "http://127.0.0.1:8787" }],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": { "bearer": {
                "type": "http",
                "scheme": "bearer",
                "description": "The value of `token` in [server], which opens everything, or a key, which opens its scopes (`x-scope`) for its products.",
            } },
        },
    })
}

/// The body of every error.
fn refused() -> Value {
    let error = schema::object(&[
        ("code", schema::told(schema::text(), "For programs; doesn't change.")),
        ("message", schema::told(schema::text(), "What is wrong, for people.")),
        ("next", schema::told(schema::text(), "What to do.")),
    ]);
    let detail =
        json!({ "description": "The same in autoplay-sdk's words, or values of the conflict." });
    schema::object_with(&[("error", error)], &[("detail", detail)])
}
