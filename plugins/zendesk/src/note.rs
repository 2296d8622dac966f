//! Notes: posted as internal comments, and found again by the key in the metadata of their audit.

use serde::Deserialize;
use serde_json::{Map, Value, json};
use sidenote_plugin::{Failure, LimitScope, Note, NoteId, Posted, clock, log, text};

use crate::api;
use crate::settings::Settings;

/// Longest note, in characters of HTML; Zendesk takes about 65,000.
const MOST: usize = 64_000;
/// Where the key stands in the audit of an update.
const KEY: &str = "sidenote_key";
/// A note whose outcome isn't known was sent lately: audits older than this, in seconds, aren't looked at.
const LATELY: u64 = 7 * 86_400;
/// Most pages of audits that are looked at, a hundred on each.
const MOST_PAGES: u32 = 20;

#[derive(Deserialize)]
struct Updated {
    audit: Audit,
}

#[derive(Deserialize)]
struct Audits {
    audits: Vec<Audit>,
    next_page: Option<String>,
}

/// One update of a ticket.
#[derive(Deserialize)]
struct Audit {
    id: u64,
    created_at: Option<String>,
    metadata: Option<Metadata>,
    #[serde(default)]
    events: Vec<Event>,
}

#[derive(Deserialize)]
struct Metadata {
    /// An object; some versions write an empty list or nothing for none.
    custom: Option<Value>,
}

#[derive(Deserialize)]
struct Event {
    id: u64,
    r#type: String,
}

#[derive(Deserialize)]
struct Comments {
    comments: Vec<Comment>,
}

#[derive(Deserialize)]
struct Comment {
    id: u64,
    audit_id: Option<u64>,
}

/// Posts a note.
pub(crate) fn post(settings: &Settings, key: &str, note: &Note) -> Result<Posted, Failure> {
    let ticket = api::id(&note.conversation_id)?;
    let metadata: Map<String, Value> = [(KEY.to_owned(), json!(key))].into_iter().collect();
    let body = json!({
        "ticket": {
            // Always said: a comment is public where it isn't.
            "comment": { "html_body": html(&note.body), "public": false },
            "metadata": metadata,
        }
    });
    let response = api::put(settings, &format!("/api/v2/tickets/{ticket}"), &body)?;
    // The note was taken: an answer that can't be read is no failure.
    let updated: Option<Updated> = response.json().ok();
    let id = updated
        .and_then(|it| it.audit.comment().or_else(|| look_up(settings, ticket, it.audit.id)));
    let posted = match id {
        Some(id) => Posted::with_id(id.to_string()),
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

impl Audit {
    fn comment(&self) -> Option<u64> {
        self.events.iter().find(|event| event.r#type == "Comment").map(|event| event.id)
    }

    fn is_of(&self, key: &str) -> bool {
        let custom = self.metadata.as_ref().and_then(|metadata| metadata.custom.as_ref());
        custom.and_then(|custom| custom.get(KEY)?.as_str()) == Some(key)
    }

    fn is_older_than(&self, moment: u64) -> bool {
        let created = self.created_at.as_deref().and_then(clock::parse);
        created.is_some_and(|created| created < moment)
    }
}

/// The comment of an audit that doesn't say it.
fn look_up(settings: &Settings, ticket: u64, audit: u64) -> Option<u64> {
    let path = format!("/api/v2/tickets/{ticket}/comments?sort=-created_at&page%5Bsize%5D=10");
    let comments: Comments = api::get(settings, &path).ok()?.json().ok()?;
    let comment = comments.comments.iter().find(|comment| comment.audit_id == Some(audit));
    comment.map(|comment| comment.id)
}

/// Looks for the note of a key, the latest updates first.
pub(crate) fn find(
    settings: &Settings,
    conversation: &str,
    key: &str,
) -> Result<Option<NoteId>, Failure> {
    let ticket = api::id(conversation)?;
    let long_ago = clock::now().saturating_sub(LATELY);
    for page in 1..=MOST_PAGES {
        let path =
            format!("/api/v2/tickets/{ticket}/audits?sort_order=desc&per_page=100&page={page}");
        let page: Audits = api::get(settings, &path)?.json()?;
        if let Some(audit) = page.audits.iter().find(|audit| audit.is_of(key)) {
            let id = audit.comment().or_else(|| look_up(settings, ticket, audit.id));
            // Without a name the note is there all the same.
            return Ok(Some(id.map(|id| id.to_string()).unwrap_or_default()));
        }
        let rest_is_old = page.audits.last().is_none_or(|audit| audit.is_older_than(long_ago));
        if page.next_page.is_none() || rest_is_old {
            return Ok(None);
        }
    }
    Err(Failure::transient("audits", "the ticket has too many updates of late to look through"))
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
    use sidenote_plugin::{Finder, Sent, Writer};

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
    fn old_updates_end_the_search_and_an_endless_one_is_a_failure() {
        let page = |created: &str| {
            format!(
                r#"{{"audits":[{{"id":1,"created_at":"{created}","metadata":{{"custom":[]}}}}],"next_page":"https://x"}}"#
            )
        };
        let host = host().respond(200, &page("2001-01-01T00:00:00Z")).install();
        assert_eq!(find(), Ok(None));
        assert_eq!(host.requests().len(), 1);
        let endless =
            (0..30).fold(self::host(), |host, _| host.respond(200, &page("2100-01-01T00:00:00Z")));
        endless.install();
        assert_eq!(find().unwrap_err().code, "audits");
        for (status, answer) in [(500, ""), (403, ""), (200, "odd")] {
            self::host().respond(status, answer).install();
            assert!(find().is_err(), "{status} {answer}");
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
