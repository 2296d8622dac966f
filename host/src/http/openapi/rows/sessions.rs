//! Links, help and offers, and what a session's browser hears.

use serde_json::{Value, json};

use super::{Operation, Row};
use crate::http::openapi::schema::{
    count, id, list, nullable, number, object, object_with, one_of, text, told, truth,
};
use crate::http::{LinkRequest, help, routes};

pub(super) fn rows() -> Vec<Row> {
    vec![
        ("POST", "/sessions/link", link()),
        (
            "GET",
            routes::HELP,
            Operation::new(
                "getHelp",
                "How a session is helped",
                standing(&[
                    (
                        "conversation",
                        nullable(&object(&[("plugin", text()), ("conversation_id", text())])),
                    ),
                    ("decisions", list(&decision())),
                ]),
            )
            .refuses(&[404]),
        ),
        ("POST", routes::HELP, change()),
        ("GET", "/offers", offers()),
        (
            "POST",
            routes::EVENTS,
            Operation::new(
                "makeEventToken",
                "A token that lets the session's browser hear what to show",
                object(&[("token", text()), ("expires_in_s", count())]),
            ),
        ),
        (
            "GET",
            routes::EVENTS,
            Operation::plain("followEvents", "What the session's browser is to show, live")
                .needs_query("token", &text(), "The answer of POST to the same address.")
                .sends("text/event-stream", "Events, for up to an hour."),
        ),
    ]
}

fn link() -> Operation {
    let answer = object(&[
        ("session_id", text()),
        ("conversation_id", text()),
        ("event", one_of(&["NEW", "REPLY_EXISTING", "KEPT", "MOVED"])),
    ]);
    Operation::new("linkSession", "Links a session to a conversation", answer)
        .body::<LinkRequest>(
            &["session_id", "conversation_id"],
            &[
                ("product_id", id()),
                ("session_id", id()),
                ("conversation_id", id()),
                ("plugin", id()),
                ("mode", one_of(&["auto", "move"])),
            ],
        )
        .refuses(&[404, 409])
}

fn change() -> Operation {
    let changes = [
        "interaction",
        "to_proactive",
        "to_reactive",
        "start_tour",
        "stop_tour",
        "start_cooldown",
        "clear_cooldown",
    ];
    let interactions = ["message", "option_click", "reaction", "tour_step", "other"];
    let seconds = json!({ "type": "number", "minimum": 0, "maximum": 31_536_000 });
    Operation::new("changeHelp", "Changes how a session is helped", standing(&[]))
        .body::<help::Order>(
            &["change"],
            &[
                ("change", one_of(&changes)),
                ("version", told(count(), "The version that was read: another one is refused.")),
                ("interaction", told(one_of(&interactions), "With `interaction` alone.")),
                ("tour", told(text(), "With `start_tour` alone.")),
                ("seconds", told(seconds, "With `start_cooldown` alone.")),
            ],
        )
        .refuses(&[404, 409])
}

fn offers() -> Operation {
    let session =
        object(&[("product_id", text()), ("session_id", text()), ("decisions", list(&decision()))]);
    let next = object(&[("after_product", text()), ("after_session", text())]);
    let answer = object(&[("sessions", list(&session)), ("next", nullable(&next))]);
    Operation::new("listOffers", "What was decided of offers lately, by session", answer)
        .query("after_product", &text(), "With `after_session`: `next` of the answer before.")
        .query("after_session", &text(), "With `after_product`.")
}

/// How a session stands.
fn standing(others: &[(&str, Value)]) -> Value {
    let fields = [
        ("product_id", text()),
        ("session_id", text()),
        ("version", count()),
        ("state", text()),
        ("state_ends_in_s", nullable(&number())),
        ("cooldown_ends_in_s", nullable(&number())),
        ("trigger", nullable(&text())),
        ("tour", nullable(&text())),
    ];
    object(&[&fields[..], others].concat())
}

/// What was decided of an offer.
fn decision() -> Value {
    let fields = [
        ("at", number()),
        ("trigger", text()),
        ("decision", text()),
        ("times", count()),
        ("made", truth()),
    ];
    object_with(&fields, &[("until", number()), ("offer", count()), ("failure", text())])
}
