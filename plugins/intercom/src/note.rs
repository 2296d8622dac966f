//! Notes: posted, found, redacted.

use serde_json::json;
use sidenote_plugin::http::Response;
use sidenote_plugin::{
    Failure, FailureKind, LimitScope, Note, NoteId, Posted, Redaction, log, text,
};

use crate::api;
use crate::conversation::Parts;
use crate::marker;
use crate::settings::Settings;

/// Longest note, in characters of HTML. Intercom documents no limit.
const MOST: usize = 60_000;

/// Where the parts of a conversation stand.
const PARTS: [&str; 2] = ["conversation_parts", "conversation_parts"];

/// Posts a note.
pub(crate) fn post(settings: &Settings, key: &str, note: &Note) -> Result<Posted, Failure> {
    let conversation = api::id(&note.conversation_id)?;
    let body = json!({
        "message_type": "note",
        "type": "admin",
        "admin_id": settings.admin,
        "body": html(&marker::of(key), &note.body),
    });
    let response = api::post(settings, &format!("/conversations/{conversation}/reply"), &body)?;
    Ok(posted(&response, |parts| parts.note(&settings.admin, key)))
}

/// What came of a post. It was accepted, so an answer that can't be read is no failure: the note has no id then.
pub(crate) fn posted(response: &Response, id: impl FnOnce(&Parts<'_>) -> Option<String>) -> Posted {
    let parts = response.list(&PARTS);
    let id = parts.ok().and_then(|parts| id(&Parts(&parts))).filter(|id| !id.is_empty());
    let posted = match id {
        Some(id) => Posted::with_id(id),
        None => {
            let truncated = response.is_truncated();
            log::warn!({ truncated = truncated }, "the answer doesn't show what was posted");
            Posted::without_id()
        }
    };
    match api::exhausted(response) {
        Some(pause) => posted.with_pause(pause, LimitScope::Account),
        None => posted,
    }
}

/// Looks for the note of a key, or else for the offer or the answer to the person.
pub(crate) fn find(
    settings: &Settings,
    conversation: &str,
    key: &str,
) -> Result<Option<NoteId>, Failure> {
    let path = format!("/conversations/{}", api::id(conversation)?);
    let parts = api::get(settings, &path)?.list(&PARTS)?;
    let (parts, admin) = (Parts(&parts), &*settings.admin);
    Ok(parts.note(admin, key).or_else(|| parts.visible(admin, key)))
}

/// Takes the text of a note away, and of an offer its quick replies too; `This message was deleted` stands in its
/// place.
pub(crate) fn redact(
    settings: &Settings,
    conversation: &str,
    note: &str,
) -> Result<Redaction, Failure> {
    let mut redaction = Redaction::Removed;
    for part in note.split(',') {
        let body = json!({
            "type": "conversation_part",
            "conversation_id": api::id(conversation)?,
            "conversation_part_id": api::id(part)?,
        });
        match api::post(settings, "/conversations/redact", &body) {
            Ok(_) => redaction = Redaction::Overwritten,
            Err(failure) if failure.kind == FailureKind::NotFound => {}
            Err(failure) => return Err(failure),
        }
    }
    Ok(redaction)
}

/// A text as paragraphs and lines, its markup escaped, with the marker before it. It is cut where it would be
/// too long; escaping makes it longer, so the cut is tried until it fits.
fn html(marker: &str, body: &str) -> String {
    let mut most = MOST;
    loop {
        let html = paragraphs(marker, &text::cut(body, most));
        let length = html.chars().count();
        if length <= MOST || most == 0 {
            return html;
        }
        most = most * MOST / length;
    }
}

/// A text as paragraphs and lines.
pub(crate) fn paragraphs(marker: &str, body: &str) -> String {
    let escaped = text::escape_html(body).replace("\r\n", "\n");
    let paragraphs = escaped.split("\n\n").map(|lines| lines.replace('\n', "<br>"));
    format!("<p>{marker}{}</p>", paragraphs.collect::<Vec<_>>().join("</p><p>"))
}

#[cfg(test)]
mod tests {
    use sidenote_plugin::test::{self, Host};
    use sidenote_plugin::{Finder, Redactor, Sent, Writer};

    use super::*;
    use crate::Intercom;

    fn host() -> Host {
        Host::new().config("admin_id", "7")
    }

    fn note(body: &str) -> Note {
        Note { conversation_id: "215".to_owned(), ..test::note(body) }
    }

    /// A conversation with parts: id, type, author, body.
    fn conversation(parts: &[(&str, &str, &str, &str)]) -> String {
        let part = |(id, kind, author, body): &(&str, &str, &str, &str)| json!({ "id": id, "part_type": kind, "author": { "id": author }, "body": body });
        let parts: Vec<_> = parts.iter().map(part).collect();
        json!({ "id": "215", "conversation_parts": { "conversation_parts": parts } }).to_string()
    }

    #[test]
    fn the_newest_note_of_ours_with_the_marker_is_the_note() {
        let ours = format!("<p>{}text</p>", marker::of("key-1"));
        let other = format!("<p>{}text</p>", marker::of("key-2"));
        let answer = conversation(&[
            ("1", "note", "7", &ours),
            ("2", "note", "7", &ours),
            ("3", "note", "7", &other),
            ("4", "note", "8", &ours),
            ("5", "comment", "7", &ours),
        ]);
        let host = host().respond(200, &answer).respond(200, &answer).install();
        let posted = Intercom::post_note(test::call(), note("text")).unwrap();
        assert_eq!(posted, Posted::with_id("2"));
        let found = Intercom::find_note(test::call(), "215".to_owned(), "key-2".to_owned());
        assert_eq!(found, Ok(Some("3".to_owned())));
        let requests = host.requests();
        assert_eq!(requests[0].url, "https://api.intercom.io/conversations/215/reply");
        assert_eq!(
            (&*requests[1].method, &*requests[1].url),
            ("GET", "https://api.intercom.io/conversations/215")
        );
        for (name, value) in [
            ("authorization", "Bearer {{secret:token}}"),
            ("intercom-version", "2.16"),
            ("content-type", "application/json"),
        ] {
            assert!(requests[0].headers.contains(&(name.to_owned(), value.to_owned())), "{name}");
        }
    }

    #[test]
    fn an_offer_or_an_answer_is_found_by_its_key_too() {
        let ours = format!("<p>{}Trouble?</p>", marker::of("key-1"));
        let (text, replies) = (("5", "comment", "7", &*ours), ("6", "quick_reply", "7", ""));
        let (other, person) = (("7", "comment", "7", "More"), ("8", "comment", "9", "Hm"));
        for (parts, wanted) in [
            (&[text][..], "5"),
            (&[text, replies], "5,6"),
            (&[text, person, replies], "5,6"),
            (&[text, other, replies], "5"),
        ] {
            host().respond(200, &conversation(parts)).install();
            let found = Intercom::find_note(test::call(), "215".to_owned(), "key-1".to_owned());
            assert_eq!(found, Ok(Some(wanted.to_owned())));
        }
    }

    #[test]
    fn an_offer_is_redacted_with_its_quick_replies() {
        let host = host().respond(200, "{}").respond(404, "{}").install();
        let redacted = Intercom::redact_note(test::call(), "215".to_owned(), "5,6".to_owned());
        assert_eq!(redacted, Ok(Redaction::Overwritten));
        let parts = host.requests().into_iter().map(|it| {
            let body: serde_json::Value = serde_json::from_slice(&it.body).unwrap();
            body["conversation_part_id"].as_str().unwrap().to_owned()
        });
        assert_eq!(parts.collect::<Vec<_>>(), ["5", "6"]);
    }

    #[test]
    fn what_people_wrote_is_shown_and_neither_followed_nor_replaced() {
        let host = host().respond(200, &conversation(&[])).install();
        let text = "session_id: s\n\n[1] typed <b>{{secret:token}}</b>\n[2] \"left\"";
        Intercom::post_note(test::call(), note(text)).unwrap();
        let request = &host.requests()[0];
        assert!(!request.secrets_in_body);
        let body: serde_json::Value = serde_json::from_slice(&request.body).unwrap();
        let wanted = "session_id: s</p><p>[1] typed &lt;b&gt;{{secret:token}}&lt;/b&gt;<br>[2] &quot;left&quot;</p>";
        let html = body["body"].as_str().unwrap();
        assert_eq!(html, format!("<p>{}{wanted}", marker::of("key-1")));
        assert_eq!((&body["message_type"], &body["admin_id"]), (&json!("note"), &json!("7")));
    }

    #[test]
    fn a_long_note_is_cut_and_says_so() {
        let long = "<clicked> & left\n".repeat(10_000);
        let html = html("", &long);
        let length = html.chars().count();
        assert!((MOST - 1000..=MOST).contains(&length), "{length}");
        assert!(html.ends_with("… [cut]</p>"), "{}", &html[html.len() - 40..]);
        assert!(html.starts_with("<p>&lt;clicked&gt; &amp; left<br>"));
    }

    #[test]
    fn a_note_that_was_taken_is_no_failure_whatever_the_answer_holds() {
        for answer in ["", "{}", "taken", &conversation(&[("1", "note", "8", "other")])] {
            let host = host().respond(200, answer).install();
            let posted = Intercom::post_note(test::call(), note("text"));
            assert_eq!(posted, Ok(Posted::without_id()), "{answer}");
            assert_eq!(host.lines().len(), 1);
        }
    }

    #[test]
    fn a_redacted_note_is_overwritten_and_one_that_is_gone_is_removed() {
        let gone = r#"{"errors":[{"code":"conversation_part_or_message_not_found"}]}"#;
        let host = host().respond(200, "{}").respond(404, gone).respond(500, "").install();
        let redact = || Intercom::redact_note(test::call(), "215".to_owned(), "133".to_owned());
        assert_eq!(redact(), Ok(Redaction::Overwritten));
        assert_eq!(redact(), Ok(Redaction::Removed));
        assert_eq!(redact().unwrap_err().kind, FailureKind::Transient);
        let body: serde_json::Value = serde_json::from_slice(&host.requests()[0].body).unwrap();
        let wanted = json!({
            "type": "conversation_part",
            "conversation_id": "215",
            "conversation_part_id": "133",
        });
        assert_eq!(body, wanted);
    }

    #[test]
    fn a_search_that_cannot_be_made_is_a_failure_and_no_miss() {
        let find = || Intercom::find_note(test::call(), "215".to_owned(), "key-1".to_owned());
        for (status, answer) in [(500, ""), (401, ""), (200, "odd")] {
            host().respond(status, answer).install();
            assert!(find().is_err(), "{status} {answer}");
        }
        host().respond(200, &conversation(&[])).install();
        assert_eq!(find(), Ok(None));
    }

    #[test]
    fn nothing_is_sent_without_settings_or_to_an_odd_conversation() {
        let odd = Note { conversation_id: "../admins".to_owned(), ..test::note("text") };
        for (host, note) in [(Host::new(), note("text")), (host(), odd)] {
            let host = host.install();
            let failure = Intercom::post_note(test::call(), note).unwrap_err();
            assert_eq!(failure.sent, Sent::NotSent);
            assert!(host.requests().is_empty());
        }
    }
}
