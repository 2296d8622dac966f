//! The outbox, deliveries, and what is erased.

use serde_json::{Value, json};

use super::{Operation, Row, Schemas};
use crate::engine::erase::Erased;
use crate::engine::erase::kept::KeptList;
use crate::engine::ledger::{Decided, Delivery, EntryState, Filter, Listing, Repeat, Timeline};
use crate::http::openapi::schema::{beside, id, limit, list, number, text, told, truth};
use crate::http::{deliveries, erase, outbox, routes};

pub(super) fn rows(schemas: &mut Schemas) -> Vec<Row> {
    let decided = beside(&schemas.of::<Decided>(), &[("dry_run", truth())]);
    let erased = beside(&schemas.of::<Erased>(), &[("dry_run", truth())]);
    let repeat = beside(&schemas.of::<Repeat>(), &[("dry_run", truth())]);
    let (list_outbox, delivery, timeline) =
        (schemas.of::<Listing>(), schemas.of::<Delivery>(), schemas.of::<Timeline>());
    vec![
        ("GET", "/outbox", listing(list_outbox)),
        ("POST", "/outbox/retry", order("retryNotes", "Has notes sent again", decided.clone())),
        ("POST", "/outbox/purge", order("purgeNotes", "Removes notes for good", decided)),
        (
            "GET",
            routes::DELIVERY,
            Operation::new("getDelivery", "A delivery, and every attempt at it", delivery)
                .query("text", &truth(), WITH_TEXT)
                .refuses(&[404]),
        ),
        (
            "POST",
            routes::RESEND,
            Operation::new("resendNote", "Has a delivered note sent once more", repeat)
                .body::<deliveries::How>(&[], &[("dry_run", truth()), ("text", truth())])
                .refuses(&[404, 409]),
        ),
        (
            "GET",
            routes::TIMELINE,
            Operation::new("getTimeline", "What is known of a session, the oldest first", timeline)
                .query("limit", &limit(), "Moments of an answer at most.")
                .query("text", &truth(), WITH_TEXT)
                .query("after", &text(), AFTER)
                .refuses(&[404]),
        ),
        (
            "POST",
            "/erase",
            Operation::new("erase", "Erases a person or a session of a product", erased)
                .body::<erase::Order>(
                &["product_id"],
                &[
                    ("product_id", id()),
                    ("session_id", told(id(), "One of session_id, user_id and email.")),
                    ("user_id", id()),
                    ("email", id()),
                    ("keep_notes", truth()),
                    ("dry_run", truth()),
                ],
            ),
        ),
        (
            "GET",
            "/erase",
            Operation::new("listKept", "What stays of the erased", schemas.of::<KeptList>())
                .query("erasure", &text(), "What is left of this erasure.")
                .query("plugin", &text(), "What this plugin posted.")
                .query("product", &text(), "Of this product.")
                .query("replaced", &truth(), "With notes that a summary replaced.")
                .query("limit", &limit(), "Notes of an answer at most.")
                .query("after", &text(), AFTER),
        ),
    ]
}

const WITH_TEXT: &str = "With the texts; needs the scope `text` too.";
const AFTER: &str = "`next` of the answer before, unchanged.";

fn states() -> Value {
    json!({ "type": "string", "enum": EntryState::ALL.map(EntryState::name) })
}

fn filter(name: &str) -> (Value, &'static str) {
    match name {
        "id" => (text(), "This delivery."),
        "state" => (states(), "In this state; there may be several, with commas between them."),
        "reason" => (text(), "Dead-lettered, or failed last, for a reason that has this in it."),
        "older_than" => (text(), "Sealed longer ago, for example `2h`."),
        "newer_than" => (text(), "Sealed less long ago, for example `15m`."),
        _ => (text(), "With this value."),
    }
}

fn listing(schema: Value) -> Operation {
    let listing = Operation::new("listOutbox", "What waits, and the dead letters", schema)
        .query("limit", &limit(), "Notes of an answer at most.")
        .query("text", &truth(), WITH_TEXT)
        .query("after", &text(), AFTER);
    Filter::NAMES.into_iter().fold(listing, |listing, name| {
        let (schema, words) = filter(name);
        listing.query(name, &schema, words)
    })
}

fn order(id: &'static str, summary: &'static str, answer: Value) -> Operation {
    let field = |name| {
        let (schema, words) = filter(name);
        let schema = match name {
            "state" => json!({ "anyOf": [text(), list(&states())] }),
            _ => schema,
        };
        (name, told(schema, words))
    };
    let mut fields: Vec<_> = Filter::NAMES.into_iter().map(field).collect();
    fields.extend([
        ("all", told(truth(), "Every note is meant; then there is no filter.")),
        ("dry_run", told(truth(), "Changes nothing.")),
        ("until", told(number(), "`until` of the answer before.")),
        ("after", told(text(), AFTER)),
    ]);
    Operation::new(id, summary, answer).body::<outbox::Which>(&[], &fields)
}
