//! Notes and answers: posted as comments, internal and public ones, and found again by the key in the metadata of their audit.

use serde_json::{Map, Value, json};
use sidenote_plugin::json::{elements, id};
use sidenote_plugin::{Failure, LimitScope, Note, NoteId, Posted, log, text};

use crate::api;
use crate::audits;
use crate::settings::Settings;

/// Longest note, in characters of HTML; Zendesk takes about 65,000.
const MOST: usize = 64_000;
/// Where the key stands in the audit of an update.
const KEY: &str = "sidenote_key";

/// Posts a note.
pub(crate) fn post(settings: &Settings, key: &str, note: &Note) -> Result<Posted, Failure> {
    comment(settings, key, &note.conversation_id, &note.body, false)
}

/// Answers the person, by a comment that they see.
pub(crate) fn reply(
    settings: &Settings,
    key: &str,
    conversation: &str,
    text: &str,
) -> Result<Posted, Failure> {
    comment(settings, key, conversation, text, true)
}

fn comment(
    settings: &Settings,
    key: &str,
    conversation: &str,
    text: &str,
    public: bool,
) -> Result<Posted, Failure> {
    let ticket = api::id(conversation)?;
    let metadata: Map<String, Value> = [(KEY.to_owned(), json!(key))].into_iter().collect();
    let body = json!({
        "ticket": {
            // Always said: a comment is public where it isn't.
            "comment": { "html_body": html(text), "public": public },
            "metadata": metadata,
        }
    });
    let response = api::put(settings, &format!("/api/v2/tickets/{ticket}"), &body)?;
    // The note was accepted: an answer that can't be read is no failure.
    let updated: Value = response.json().unwrap_or_default();
    let posted = match comment_of(settings, ticket, &updated["audit"]) {
        Some(id) => Posted::with_id(id),
        None => {
            log::warn!("the answer doesn't show what was posted");
            Posted::without_id()
        }
    };
    Ok(match api::exhausted(&response) {
        Some(pause) => posted.with_pause(pause, LimitScope::Account),
        None if settings.pace.is_zero() => posted,
        None => posted.with_pause(settings.pace, LimitScope::Conversation),
    })
}

/// The id of the comment that an update made: of the audit's events, which have other kinds too, or of the ticket's
/// comments, where the audit doesn't say it.
fn comment_of(settings: &Settings, ticket: u64, audit: &Value) -> Option<String> {
    let comments = elements(&audit["events"]).iter().filter(|event| event["type"] == "Comment");
    let told = comments.filter_map(|event| id(&event["id"])).find(|id| api::id(id).is_ok());
    told.or_else(|| look_up(settings, ticket, &id(&audit["id"])?))
}

fn look_up(settings: &Settings, ticket: u64, audit: &str) -> Option<String> {
    let path = format!("/api/v2/tickets/{ticket}/comments?sort=-created_at&page%5Bsize%5D=10");
    let comments = api::get(settings, &path).ok()?.list(&["comments"]).ok()?;
    let comment = comments.iter().find(|it| id(&it["audit_id"]).as_deref() == Some(audit))?;
    id(&comment["id"])
}

/// Looks for the note of a key, or the answer, among the updates of late.
pub(crate) fn find(
    settings: &Settings,
    conversation: &str,
    key: &str,
) -> Result<Option<NoteId>, Failure> {
    let ticket = api::id(conversation)?;
    let is_ours = |audit: &Value| audit["metadata"]["custom"][KEY] == key;
    let found = audits::find(settings, ticket, is_ours)?;
    // Without a name the note is there all the same.
    Ok(found.map(|audit| comment_of(settings, ticket, &audit).unwrap_or_default()))
}

/// A text as paragraphs and lines, its markup escaped, and its braces too: Zendesk fills in the placeholders of
/// agents' comments (`{{ticket.id}}`, `{% if %}`), and what a person typed is none of these. It is cut where it would be too long; escaping makes it
/// longer, so the cut is tried until it fits.
fn html(body: &str) -> String {
    let mut most = MOST;
    loop {
        let escaped = text::escape_html(&text::cut(body, most)).replace("\r\n", "\n");
        let escaped = escaped.replace('{', "&#123;");
        let paragraphs = escaped.split("\n\n").map(|lines| lines.replace('\n', "<br>"));
        let html = format!("<p>{}</p>", paragraphs.collect::<Vec<_>>().join("</p><p>"));
        let length = html.chars().count();
        if length <= MOST || most == 0 {
            return html;
        }
        most = most * MOST / length;
    }
}

#[cfg(test)]
mod tests {
    use sidenote_plugin::http::Response;
    use sidenote_plugin::test::{self, Host};
    use sidenote_plugin::{Finder, Messenger, Sent, Writer};

    use super::*;
    use crate::Zendesk;

    const UPDATED: &str = r#"{"ticket":{"id":35436},"audit":{"id":7,"events":[
        {"id":8,"type":"Change"},{"id":9,"type":"Comment","public":false}]}}"#;

    fn host() -> Host {
        Host::new().config("subdomain", "acme").config("pace", "0")
    }

    fn note(body: &str) -> Note {
        Note { conversation_id: "35436".to_owned(), ..test::note(body) }
    }

    fn find() -> Result<Option<NoteId>, Failure> {
        Zendesk::find_note(test::call(), "35436".to_owned(), "key-1".to_owned())
    }

    #[test]
    fn an_answer_is_a_public_comment_with_its_key_and_an_offer_is_refused_with_nothing_sent() {
        let host = host().respond(200, UPDATED).install();
        let posted = Zendesk::reply(test::call(), "35436".to_owned(), "Try <b> again".to_owned());
        assert_eq!(posted, Ok(Posted::with_id("9")));
        let body: Value = serde_json::from_slice(&host.requests()[0].body).unwrap();
        let comment = &body["ticket"]["comment"];
        let wanted = json!({ "html_body": "<p>Try &lt;b&gt; again</p>", "public": true });
        assert_eq!(*comment, wanted);
        assert_eq!(body["ticket"]["metadata"]["sidenote_key"], "key-1");
        let offer = sidenote_plugin::help::Offer::new("Stuck?").quick_reply("o1", "Yes");
        let refused = Zendesk::offer(test::call(), "35436".to_owned(), offer).unwrap_err();
        assert_eq!((&*refused.code, refused.sent), ("offers-unsupported", Sent::NotSent));
        assert_eq!(host.requests().len(), 1);
    }

    #[test]
    fn a_note_is_an_internal_comment_with_its_key_in_the_audit() {
        let host = host().respond(200, UPDATED).install();
        let text = "session_id: s\n\n[1] typed <b>{{secret:token}}</b>\n[2] left";
        let posted = Zendesk::post_note(test::call(), note(text));
        assert_eq!(posted, Ok(Posted::with_id("9")));
        let request = &host.requests()[0];
        assert_eq!(
            (&*request.method, &*request.url),
            ("PUT", "https://acme.zendesk.com/api/v2/tickets/35436")
        );
        assert!(!request.secrets_in_body);
        let bearer = ("authorization".to_owned(), "Bearer {{secret:token}}".to_owned());
        assert!(request.headers.contains(&bearer));
        let body: Value = serde_json::from_slice(&request.body).unwrap();
        let html = "<p>session_id: s</p><p>[1] typed &lt;b&gt;&#123;&#123;secret:token}}&lt;/b&gt;<br>[2] left</p>";
        let wanted = json!({ "ticket": {
            "comment": { "html_body": html, "public": false },
            "metadata": { "sidenote_key": "key-1" },
        } });
        assert_eq!(body, wanted);
    }

    #[test]
    fn an_address_makes_it_the_legacy_credentials() {
        let host = host().config("email", "bot@acme.example").respond(200, UPDATED).install();
        Zendesk::post_note(test::call(), note("text")).unwrap();
        let basic = (
            "authorization".to_owned(),
            "Basic bot@acme.example/token:{{secret:token}}".to_owned(),
        );
        assert!(host.requests()[0].headers.contains(&basic));
    }

    #[test]
    fn a_comment_that_the_answer_leaves_out_is_looked_up_by_its_audit() {
        let comments = r#"{"comments":[{"id":11,"audit_id":6},{"id":12,"audit_id":7}]}"#;
        let host = host().respond(200, r#"{"audit":{"id":7}}"#).respond(200, comments).install();
        let posted = Zendesk::post_note(test::call(), note("text"));
        assert_eq!(posted, Ok(Posted::with_id("12")));
        assert!(host.requests()[1].url.contains("/tickets/35436/comments?"));
    }

    #[test]
    fn a_note_that_was_taken_is_no_failure_whatever_the_answer_holds() {
        for answer in ["", "{}", "taken", r#"{"audit":{"id":7,"events":[]}}"#] {
            host().respond(200, answer).respond(500, "").install();
            let posted = Zendesk::post_note(test::call(), note("text"));
            assert_eq!(posted, Ok(Posted::without_id()), "{answer}");
        }
    }

    #[test]
    fn a_ticket_is_left_alone_for_a_while_after_a_note() {
        Host::new().config("subdomain", "acme").respond(200, UPDATED).install();
        let posted = Zendesk::post_note(test::call(), note("text")).unwrap();
        let pair = |(key, value): (&str, &str)| (key.to_owned(), value.to_owned());
        assert_eq!(
            posted.extras,
            [("pause-ms", "20000"), ("limit-scope", "conversation")].map(pair)
        );
        let headers = [("ratelimit-remaining", "0"), ("ratelimit-reset", "41")].map(pair).to_vec();
        let answer = Response { status: 200, headers, body: UPDATED.as_bytes().to_vec() };
        host().respond_with(Ok(answer)).install();
        let posted = Zendesk::post_note(test::call(), note("text")).unwrap();
        assert_eq!(posted.extras, [("pause-ms", "41000"), ("limit-scope", "account")].map(pair));
    }

    #[test]
    fn a_long_note_is_cut_and_says_so() {
        let html = html(&"<clicked> & left\n".repeat(10_000));
        let length = html.chars().count();
        assert!((MOST - 1000..=MOST).contains(&length), "{length}");
        assert!(html.ends_with("… [cut]</p>"));
    }

    #[test]
    fn a_note_is_found_by_its_key_the_latest_updates_first() {
        let other =
            r#"{"id":1,"created_at":"2100-01-01T00:00:00Z","metadata":{"custom":{}},"events":[]}"#;
        let ours = r#"{"id":7,"metadata":{"custom":{"sidenote_key":"key-1"}},"events":[{"id":9,"type":"Comment"}]}"#;
        let first = format!(r#"{{"audits":[{other}],"next_page":"https://x"}}"#);
        let second = format!(r#"{{"audits":[{other},{ours}],"next_page":null}}"#);
        let host = host().respond(200, &first).respond(200, &second).install();
        assert_eq!(find(), Ok(Some("9".to_owned())));
        assert!(host.requests()[1].url.ends_with("/audits?sort_order=desc&per_page=100&page=2"));
    }

    #[test]
    fn a_search_that_cannot_be_made_is_a_failure_and_no_miss() {
        for (status, answer) in
            [(500, ""), (403, ""), (200, "odd"), (200, "{}"), (200, r#"{"audits":{}}"#)]
        {
            host().respond(status, answer).install();
            assert!(find().is_err(), "{status} {answer}");
        }
    }

    #[test]
    fn what_else_an_answer_has_does_not_hide_the_note() {
        let example = r#"{"audit":{"events":[{"id":206091192547,"type":"Comment"}]},"ticket":{}}"#;
        host().respond(200, example).install();
        let posted = Zendesk::post_note(test::call(), note("text"));
        assert_eq!(posted, Ok(Posted::with_id("206091192547")));
        for odd in [
            r#"{"id":3,"events":[{"id":"01HZX","type":"SomethingNew"}]}"#,
            r#"{"id":3,"events":[{"type":"Comment"},null,7]}"#,
            r#"{"id":"01HZX","metadata":[],"events":null}"#,
            "null",
        ] {
            let ours = r#"{"id":7,"metadata":{"custom":{"sidenote_key":"key-1"}},"events":[{"id":"01HZX","type":"New"},{"type":"Comment","id":"9"}]}"#;
            host().respond(200, &format!(r#"{{"audits":[{odd},{ours}]}}"#)).install();
            assert_eq!(find(), Ok(Some("9".to_owned())), "{odd}");
        }
    }

    #[test]
    fn nothing_is_sent_without_settings_or_to_an_odd_ticket() {
        let odd = Note { conversation_id: "1/../2".to_owned(), ..test::note("text") };
        for (host, note) in [(Host::new(), note("text")), (host(), odd)] {
            let host = host.install();
            let failure = Zendesk::post_note(test::call(), note).unwrap_err();
            assert_eq!(failure.sent, Sent::NotSent);
            assert!(host.requests().is_empty());
        }
    }
}
