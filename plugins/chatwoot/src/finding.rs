//! Looks for a message by its key, from the latest on backwards.

use serde_json::Value;
use sidenote_plugin::http::Request;
use sidenote_plugin::{Failure, json};

use crate::api::{self, Settings};

/// The content attribute that holds a message's key.
pub(crate) const KEY: &str = "sidenote_key";

/// Most pages of 20 messages that are looked at. A note is looked for soon after it was sent, so that it
/// is on the first one unless people write very much.
const MOST_PAGES: usize = 25;

/// The id of the message with this key.
pub(crate) fn find(conversation: &str, key: &str) -> Result<Option<String>, Failure> {
    let messages = Settings::load()?.messages(conversation);
    let mut before = None;
    for _ in 0..MOST_PAGES {
        let url = match before {
            None => messages.clone(),
            Some(id) => format!("{messages}?before={id}"),
        };
        let page = api::send(Request::get(url))?.list(&["payload"])?;
        if let Some(found) = page.iter().find(|it| key_in(it).as_deref() == Some(key)) {
            // Without an id the message is there all the same.
            return Ok(Some(json::id(&found["id"]).unwrap_or_default()));
        }
        let oldest = page.iter().filter_map(number).min();
        // A page that leads no further back is the last one.
        if oldest.is_none() || before.is_some_and(|before| oldest >= Some(before)) {
            break;
        }
        before = oldest;
    }
    Ok(None)
}

/// A message's number. One without is passed over.
fn number(message: &Value) -> Option<u64> {
    json::id(&message["id"])?.parse().ok()
}

/// The key of ours that a message holds. Chatwoot writes content attributes as an object, and older ones as a text
/// with the object in it.
pub(crate) fn key_in(message: &Value) -> Option<String> {
    let attributes = &message["content_attributes"];
    match attributes.as_str() {
        Some(text) => json::id(&json::parse(text.as_bytes()).ok()?[KEY]),
        None => json::id(&attributes[KEY]),
    }
}

#[cfg(test)]
mod tests {
    use sidenote_plugin::FailureKind;
    use sidenote_plugin::test::Host;

    use super::*;

    fn host() -> Host {
        Host::new().config("url", "https://chat.example").config("account", "7")
    }

    #[test]
    fn a_note_is_found_on_an_older_page() {
        let host = host()
            .respond(
                200,
                r#"{"payload":[{"id":41,"content_attributes":null},{"id":40,"content_attributes":{"sidenote_key":"other"}}]}"#,
            )
            .respond(200, r#"{"payload":[{"id":39,"content_attributes":{"sidenote_key":"key-1"}}]}"#)
            .install();
        assert_eq!(find("12", "key-1"), Ok(Some("39".to_owned())));
        let urls: Vec<_> = host.requests().into_iter().map(|request| request.url).collect();
        let messages = "https://chat.example/api/v1/accounts/7/conversations/12/messages";
        assert_eq!(urls, [messages.to_owned(), format!("{messages}?before=40")]);
    }

    #[test]
    fn the_search_ends_at_the_first_message_and_where_a_server_repeats_itself() {
        let page = r#"{"payload":[{"id":41}]}"#;
        for host in [
            host().respond(200, page).respond(200, r#"{"payload":[]}"#),
            host().respond(200, page).respond(200, page),
        ] {
            let host = host.install();
            assert_eq!(find("12", "key-1"), Ok(None));
            assert_eq!(host.requests().len(), 2);
        }
    }

    #[test]
    fn odd_messages_on_a_page_hide_none() {
        let page = r#"{"payload":[null,{"id":"01HZX"},{"content_attributes":"{"},
            {"id":"39","content_attributes":"{\"sidenote_key\":\"key-1\"}"}]}"#;
        host().respond(200, page).install();
        assert_eq!(find("12", "key-1"), Ok(Some("39".to_owned())));
        for unreadable in ["{}", r#"{"payload":null}"#, "[]", "<html>"] {
            host().respond(200, unreadable).install();
            assert_eq!(find("12", "key-1").unwrap_err().kind, FailureKind::Permanent);
        }
    }

    #[test]
    fn a_platform_that_cannot_be_asked_is_a_failure() {
        host().respond(502, "").install();
        assert_eq!(find("12", "key-1").unwrap_err().kind, FailureKind::Transient);
    }
}
