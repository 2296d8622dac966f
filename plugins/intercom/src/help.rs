//! What the person sees: answers, and offers with quick replies.

use serde_json::json;
use sidenote_plugin::help::Offer;
use sidenote_plugin::{Failure, LimitScope, Posted, log, text};

use crate::settings::Settings;
use crate::{api, marker, note};

/// Most quick replies of one offer.
const MOST_REPLIES: usize = 3;
/// Longest answer, in characters before escaping.
const MOST: usize = 10_000;

/// Answers the person.
pub(crate) fn reply(
    settings: &Settings,
    conversation: &str,
    answer: &str,
) -> Result<Posted, Failure> {
    let path = format!("/conversations/{}/reply", api::id(conversation)?);
    let body = json!({
        "message_type": "comment",
        "type": "admin",
        "admin_id": settings.admin,
        "body": note::paragraphs("", &text::cut(answer, MOST)),
    });
    let response = api::post(settings, &path, &body)?;
    Ok(note::posted(&response, |it| it.latest("comment", &settings.admin)))
}

/// Offers help: the text as an answer, then the quick replies, which carry no text of their own. When these
/// fail, the offer was made all the same: sending it again would show the text twice.
pub(crate) fn offer(
    settings: &Settings,
    key: &str,
    conversation: &str,
    offer: &Offer,
) -> Result<Posted, Failure> {
    let posted = reply(settings, conversation, &offer.text)?;
    if offer.quick_replies.is_empty() {
        return Ok(posted);
    }
    let path = format!("/conversations/{}/reply", api::id(conversation)?);
    let replies = offer.quick_replies.iter().take(MOST_REPLIES).enumerate();
    let options = replies.map(|(index, reply)| {
        let id = format!("{index} {}", reply.id);
        json!({ "text": reply.label, "uuid": uuid(key, &id) })
    });
    let body = json!({
        "message_type": "quick_reply",
        "type": "admin",
        "admin_id": settings.admin,
        "reply_options": options.collect::<Vec<_>>(),
    });
    Ok(match api::post(settings, &path, &body) {
        Ok(response) => match api::exhausted(&response) {
            Some(pause) => posted.with_pause(pause, LimitScope::Account),
            None => posted,
        },
        Err(failure) => {
            log::warn!({ code = failure.code }, "the offer was made without its quick replies");
            posted
        }
    })
}

/// The id of a quick reply: the same for every attempt at the same offer. Version 8 of RFC 9562, whose bits are
/// the maker's own.
fn uuid(key: &str, id: &str) -> String {
    let text = format!("{key} {id}");
    let (high, low) = (marker::digest(1, &text), marker::digest(2, &text));
    let high = high & !0xF000 | 0x8000;
    let low = low & !(0b11 << 62) | 0b10 << 62;
    let (high, low) = (format!("{high:016x}"), format!("{low:016x}"));
    format!("{}-{}-{}-{}-{}", &high[..8], &high[8..12], &high[12..], &low[..4], &low[4..])
}

#[cfg(test)]
mod tests {
    use sidenote_plugin::test::{self, Host};
    use sidenote_plugin::{FailureKind, Messenger};

    use super::*;
    use crate::Intercom;

    fn bodies(host: &Host) -> Vec<serde_json::Value> {
        host.requests().iter().map(|it| serde_json::from_slice(&it.body).unwrap()).collect()
    }

    fn answer() -> String {
        let part = json!({ "id": "9", "part_type": "comment", "author": { "id": 7 }, "body": "" });
        json!({ "conversation_parts": { "conversation_parts": [part] } }).to_string()
    }

    fn offer() -> Offer {
        let offer =
            Offer::new("Trouble with <Pay>?").quick_reply("y", "Yes").quick_reply("n", "No");
        offer.quick_reply("l", "Later").quick_reply("m", "More than three")
    }

    #[test]
    fn an_offer_is_an_answer_and_then_three_quick_replies_at_most() {
        let host = Host::new().config("admin_id", "7").respond(200, &answer()).respond(200, "{}");
        let host = host.install();
        let posted = Intercom::offer(test::call(), "215".to_owned(), offer());
        assert_eq!(posted, Ok(Posted::with_id("9")));
        let bodies = bodies(&host);
        assert_eq!(bodies[0]["message_type"], "comment");
        assert_eq!(bodies[0]["body"], "<p>Trouble with &lt;Pay&gt;?</p>");
        assert_eq!(bodies[1]["message_type"], "quick_reply");
        let options = bodies[1]["reply_options"].as_array().unwrap();
        let labels: Vec<_> = options.iter().map(|it| it["text"].as_str().unwrap()).collect();
        assert_eq!(labels, ["Yes", "No", "Later"]);
        for option in options {
            let uuid = option["uuid"].as_str().unwrap();
            let lengths: Vec<_> = uuid.split('-').map(str::len).collect();
            assert_eq!(lengths, [8, 4, 4, 4, 12], "{uuid}");
            assert_eq!(&uuid[14..15], "8", "{uuid}");
            assert!("89ab".contains(&uuid[19..20]), "{uuid}");
        }
        assert_ne!(options[0]["uuid"], options[1]["uuid"]);
    }

    #[test]
    fn an_offer_whose_replies_fail_was_made() {
        let host = Host::new().config("admin_id", "7").respond(200, &answer()).respond(500, "");
        let host = host.install();
        let posted = Intercom::offer(test::call(), "215".to_owned(), offer());
        assert_eq!(posted, Ok(Posted::with_id("9")));
        assert_eq!(host.lines().len(), 1);
    }

    #[test]
    fn a_text_that_fails_is_a_failure_and_no_replies_follow() {
        let host = Host::new().config("admin_id", "7").respond(401, "").install();
        let failure = Intercom::offer(test::call(), "215".to_owned(), offer()).unwrap_err();
        assert_eq!(failure.kind, FailureKind::Auth);
        assert_eq!(host.requests().len(), 1);
    }
}
