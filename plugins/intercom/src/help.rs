//! What the person sees: answers, and offers with quick replies.

use serde_json::json;
use sidenote_plugin::help::Offer;
use sidenote_plugin::{Failure, Posted, log, text};

use crate::settings::Settings;
use crate::{api, marker, note, uuid};

/// Most quick replies of one offer.
const MOST_REPLIES: usize = 3;
/// Longest answer, in characters before escaping.
const MOST: usize = 10_000;

/// Answers the person. The marker of the key stands in the text, so that the answer is found again.
pub(crate) fn reply(
    settings: &Settings,
    key: &str,
    conversation: &str,
    answer: &str,
) -> Result<Posted, Failure> {
    let path = format!("/conversations/{}/reply", api::id(conversation)?);
    let body = json!({
        "message_type": "comment",
        "type": "admin",
        "admin_id": settings.admin,
        "body": note::paragraphs(&marker::of(key), &text::cut(answer, MOST)),
    });
    let response = api::post(settings, &path, &body)?;
    // Should the marker be lost, what was posted a moment ago is the latest.
    let admin = &settings.admin;
    Ok(note::posted(&response, |it| it.visible(admin, key).or_else(|| it.latest("comment", admin))))
}

/// Offers help: the text as an answer, then the quick replies, which carry no text of their own. When these
/// fail, the offer was made all the same: sending it again would show the text twice.
pub(crate) fn offer(
    settings: &Settings,
    key: &str,
    conversation: &str,
    offer: &Offer,
) -> Result<Posted, Failure> {
    let posted = reply(settings, key, conversation, &offer.text)?;
    if offer.quick_replies.is_empty() {
        return Ok(posted);
    }
    let path = format!("/conversations/{}/reply", api::id(conversation)?);
    let replies = offer.quick_replies.iter().take(MOST_REPLIES);
    let options = replies.map(|reply| json!({ "text": reply.label, "uuid": uuid::of(&reply.id) }));
    let body = json!({
        "message_type": "quick_reply",
        "type": "admin",
        "admin_id": settings.admin,
        "reply_options": options.collect::<Vec<_>>(),
    });
    Ok(match api::post(settings, &path, &body) {
        // The answer shows the text and the replies behind it: both are redacted together.
        Ok(response) => note::posted(&response, |it| {
            it.visible(&settings.admin, key).or_else(|| posted.note_id.clone())
        }),
        Err(failure) => {
            log::warn!({ code = failure.code }, "the offer was made without its quick replies");
            posted
        }
    })
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

    fn answer(later: &[&str]) -> String {
        let body = format!("<p>{}Trouble</p>", marker::of("key-1"));
        let part =
            json!({ "id": "9", "part_type": "comment", "author": { "id": 7 }, "body": body });
        let later = (10..)
            .zip(later)
            .map(|(id, kind)| json!({ "id": id, "part_type": kind, "author": { "id": "7" } }));
        let parts: Vec<_> = std::iter::once(part).chain(later).collect();
        json!({ "conversation_parts": { "conversation_parts": parts } }).to_string()
    }

    fn offer() -> Offer {
        let offer =
            Offer::new("Trouble with <Pay>?").quick_reply("y", "Yes").quick_reply("n", "No");
        offer.quick_reply("l", "Later").quick_reply("m", "More than three")
    }

    #[test]
    fn an_offer_is_an_answer_and_then_three_quick_replies_at_most() {
        let host = Host::new()
            .config("admin_id", "7")
            .respond(200, &answer(&[]))
            .respond(200, &answer(&["quick_reply"]));
        let host = host.install();
        let posted = Intercom::offer(test::call(), "215".to_owned(), offer());
        assert_eq!(posted, Ok(Posted::with_id("9,10")));
        let bodies = bodies(&host);
        assert_eq!(bodies[0]["message_type"], "comment");
        let text = format!("<p>{}Trouble with &lt;Pay&gt;?</p>", marker::of("key-1"));
        assert_eq!(bodies[0]["body"], text);
        assert_eq!(bodies[1]["message_type"], "quick_reply");
        let options = bodies[1]["reply_options"].as_array().unwrap();
        let labels: Vec<_> = options.iter().map(|it| it["text"].as_str().unwrap()).collect();
        assert_eq!(labels, ["Yes", "No", "Later"]);
        let uuids: Vec<_> = options.iter().map(|it| it["uuid"].as_str().unwrap()).collect();
        assert_eq!(uuids, ["y", "n", "l"].map(uuid::of));
    }

    #[test]
    fn an_offer_whose_replies_fail_was_made() {
        let host = Host::new().config("admin_id", "7").respond(200, &answer(&[])).respond(500, "");
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
