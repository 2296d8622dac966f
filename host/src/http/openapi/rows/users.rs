//! What a chatbot asks of its users, and what agents' programs do.

use serde_json::{Value, json};

use super::{Operation, Row, Schemas};
use crate::engine::erase::Erased;
use crate::http::openapi::schema::{
    count, limit, list, number, object, object_with, one_of, text, told,
};
use crate::http::routes;

pub(super) fn rows(schemas: &mut Schemas) -> Vec<Row> {
    let known = [("user_id", text()), ("query", text()), ("context", text())];
    let answered = object(&[&known[..], &[("reply", text())]].concat());
    vec![
        (
            "GET",
            "/context/{user_id}",
            question(Operation::new(
                "getContext",
                "What a user did lately, as text",
                object(&known),
            ))
            .refuses(&[404]),
        ),
        (
            "GET",
            "/reply/{user_id}",
            question(Operation::new("getReply", "A language model's answer to a user", answered))
                .refuses(&[404, 502, 504]),
        ),
        (
            "GET",
            routes::LIVE_ACTIVITY,
            Operation::new("getLiveActivity", "What a user did lately, as a list", activity())
                .query("limit", &limit_of_actions(), "Actions of an answer at most.")
                .refuses(&[404]),
        ),
        (
            "POST",
            "/admin/reset/{user_id}",
            Operation::new(
                "resetUser",
                "Erases a user's sessions; posted notes stay",
                reset(schemas),
            )
            .query("product", &text(), PRODUCT)
            .refuses(&[404]),
        ),
        (
            "POST",
            routes::MCP,
            Operation::plain("mcp", "The Model Context Protocol, where [mcp] is configured")
                .raw("application/json", json!({ "type": "object" }))
                .answers(200, "The protocol's answer.", json!({}))
                .answers(202, "Nothing is to be answered.", json!({}))
                .refuses(&[404, 406, 415, 422]),
        ),
    ]
}

const PRODUCT: &str = "The product; it may be left out where there is only one.";

fn question(operation: Operation) -> Operation {
    operation
        .needs_query("query", &text(), "The user's question; it may be empty.")
        .query("product", &text(), PRODUCT)
        .query("conversation_id", &text(), "The conversation that it is asked in.")
}

fn limit_of_actions() -> Value {
    let mut schema = limit();
    schema["default"] = json!(50);
    schema
}

fn activity() -> Value {
    let whole = json!({ "type": "integer" });
    let action = object_with(
        &[
            ("title", text()),
            ("description", text()),
            ("canonical_url", text()),
            ("index", whole),
            ("type", text()),
            ("raw_url", text()),
            ("session_id", text()),
            ("accepted_at", number()),
        ],
        &[
            ("timestamp_start", number()),
            ("timestamp_end", number()),
            ("user_id", text()),
            ("email", text()),
            ("conversation_id", text()),
        ],
    );
    object(&[
        ("product_id", text()),
        ("user_id", text()),
        ("count", count()),
        ("actions", list(&action)),
    ])
}

fn reset(schemas: &mut Schemas) -> Value {
    let erased = schemas.of::<Erased>();
    // What stays is told as an erasure tells it, where anything does.
    let name = erased["$ref"].as_str().unwrap_or_default().to_owned();
    let of = |field: &str| json!({ "$ref": format!("{name}/properties/{field}") });
    object_with(
        &[("status", one_of(&["ok"])), ("user_id", text())],
        &[
            ("left", told(count(), "Notes that stay.")),
            ("kept", of("kept")),
            ("erasure", of("erasure")),
        ],
    )
}
