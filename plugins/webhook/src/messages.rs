//! What the person sees, where the operator names endpoints for it.

use serde::Serialize;
use sidenote_plugin::help::Offer;
use sidenote_plugin::json::OfferBody;
use sidenote_plugin::{Call, Failure, Posted, config, text};

use crate::post;

/// Has the bot offer help.
pub(crate) fn offer(call: &Call, conversation_id: &str, offer: &Offer) -> Result<Posted, Failure> {
    send("offer_url", call, "offer", Offered { conversation_id, offer: offer.into() })
}

/// Has the bot answer the person.
pub(crate) fn reply(call: &Call, conversation_id: &str, text: &str) -> Result<Posted, Failure> {
    let text = &*text::clean(text);
    send("reply_url", call, "reply", ReplyBody { conversation_id, text })
}

fn send(
    key: &str,
    call: &Call,
    r#type: &'static str,
    body: impl Serialize,
) -> Result<Posted, Failure> {
    let url = config::require(key)?;
    let response = post::send(&url, call, r#type, body)?.error_for_status()?;
    Ok(match post::id_in(&response) {
        Some(id) => Posted::with_id(id),
        None => Posted::without_id(),
    })
}

#[derive(Serialize)]
struct Offered<'a> {
    conversation_id: &'a str,
    #[serde(flatten)]
    offer: OfferBody<'a>,
}

#[derive(Serialize)]
struct ReplyBody<'a> {
    conversation_id: &'a str,
    text: &'a str,
}

#[cfg(test)]
mod tests {
    use sidenote_plugin::test::{self, Host};
    use sidenote_plugin::{FailureKind, Sent};

    use super::*;

    #[test]
    fn an_offer_and_a_reply_go_to_their_endpoints() {
        let host = Host::new()
            .config("unsigned", "true")
            .config("offer_url", "https://bot.example/offer")
            .config("reply_url", "https://bot.example/reply")
            .respond(200, r#"{"id":"m1"}"#)
            .respond(204, "")
            .install();
        let help = Offer::new("Trouble paying?").quick_reply("yes", "Yes, please");
        assert_eq!(offer(&test::call(), "c-1", &help), Ok(Posted::with_id("m1")));
        assert_eq!(reply(&test::call(), "c-1", "Try again"), Ok(Posted::without_id()));
        let requests = host.requests();
        assert_eq!(requests[0].url, "https://bot.example/offer");
        assert_eq!(requests[1].url, "https://bot.example/reply");
        let body =
            |n: usize| -> serde_json::Value { serde_json::from_slice(&requests[n].body).unwrap() };
        assert_eq!(
            body(0),
            serde_json::json!({
                "type": "offer", "conversation_id": "c-1", "text": "Trouble paying?",
                "quick_replies": [{"id": "yes", "label": "Yes, please"}],
                "idempotency_key": "key-1", "attempt": 1,
            })
        );
        assert_eq!(body(1)["text"], "Try again");
    }

    #[test]
    fn without_an_endpoint_nothing_is_said_and_the_key_is_named() {
        let host = Host::new().config("unsigned", "true").install();
        let failure = reply(&test::call(), "c-1", "Hello").unwrap_err();
        assert_eq!((failure.kind, failure.sent), (FailureKind::Invalid, Sent::NotSent));
        assert!(failure.message.contains("`reply_url`"), "{}", failure.message);
        assert!(host.requests().is_empty());
    }
}
