//! Notes redacted: Zendesk can't delete a comment, it blackens what stands between `<redact>` tags in it.

use serde_json::{Value, json};
use sidenote_plugin::json::id;
use sidenote_plugin::{Failure, FailureKind, Redaction, text};

use crate::api;
use crate::settings::Settings;

/// What Zendesk puts in the place of a character.
const BLOCK: char = '▇';
/// Comments on a page: a comment comes in three forms of up to 64 KB.
const PAGE: usize = 25;
/// Pages of the longest ticket, which has 5,000 comments.
const MOST_PAGES: usize = 5_000 / PAGE;

/// Takes the text of a note away.
pub(crate) fn redact(
    settings: &Settings,
    conversation: &str,
    note: &str,
) -> Result<Redaction, Failure> {
    let (ticket, comment) = (api::id(conversation)?, api::id(note)?);
    let html = match html_of(settings, ticket, comment) {
        Ok(Some(html)) => html,
        Ok(None) => return Ok(Redaction::Removed),
        Err(failure) if failure.kind == FailureKind::NotFound => return Ok(Redaction::Removed),
        Err(failure) => return Err(failure),
    };
    let Some(wrapped) = wrapped(&html) else {
        return Ok(Redaction::Overwritten);
    };
    let body = json!({ "ticket_id": ticket, "html_body": wrapped });
    match api::put(settings, &format!("/api/v2/comment_redactions/{comment}"), &body) {
        Ok(_) => Ok(Redaction::Overwritten),
        // The comment was there a moment ago: it is the way to redact it that isn't.
        Err(failure) if failure.kind == FailureKind::NotFound => Err(Failure::auth(
            "agent-workspace",
            "the account can't redact comments: turn Agent Workspace on, and allow this agent to redact",
        )),
        Err(failure) => Err(failure),
    }
}

/// The text of a comment, or nothing where the ticket doesn't have it. The latest are looked at first.
fn html_of(settings: &Settings, ticket: u64, comment: u64) -> Result<Option<String>, Failure> {
    let wanted = comment.to_string();
    let list = format!("/api/v2/tickets/{ticket}/comments?sort=-created_at&page%5Bsize%5D={PAGE}");
    let mut path = list.clone();
    for _ in 0..MOST_PAGES {
        let answer = api::get(settings, &path)?;
        let comments = answer.list(&["comments"])?;
        if let Some(comment) = comments.iter().find(|it| id(&it["id"]).as_deref() == Some(&wanted))
        {
            return Ok(Some(html_in(comment)));
        }
        let page: Value = answer.json()?;
        match (page["meta"]["has_more"].as_bool(), id(&page["meta"]["after_cursor"])) {
            (Some(true), Some(cursor)) => {
                path = format!("{list}&page%5Bafter%5D={}", sidenote_plugin::http::encode(&cursor));
            }
            _ => return Ok(None),
        }
    }
    Err(Failure::permanent("comments", "the ticket has more comments than Zendesk allows"))
}

/// The text of a comment in the form that is blackened. A comment without that form has it plain.
fn html_in(comment: &Value) -> String {
    let plain = || comment["body"].as_str().or(comment["plain_body"].as_str()).unwrap_or_default();
    comment["html_body"].as_str().map_or_else(|| text::escape_html(plain()), str::to_owned)
}

/// HTML with each run of text in `<redact>` tags, and links and images marked, or nothing where all of it is
/// blackened already. A run never spans a tag.
fn wrapped(html: &str) -> Option<String> {
    let (mut wrapped, mut rest, mut found) = (String::with_capacity(html.len() * 2), html, false);
    while !rest.is_empty() {
        let (start, end) = next_tag(rest).unwrap_or((rest.len(), rest.len()));
        let (text, tag) = (&rest[..start], &rest[start..end]);
        if text.chars().all(|c| c.is_whitespace() || c == BLOCK) {
            wrapped.push_str(text);
        } else {
            found = true;
            wrapped.push_str(&format!("<redact>{text}</redact>"));
        }
        match tag.strip_suffix('>').filter(|tag| tells(tag)) {
            Some(tag) => {
                found = true;
                wrapped.push_str(&format!("{tag} redact>"));
            }
            None => wrapped.push_str(tag),
        }
        rest = &rest[end..];
    }
    found.then_some(wrapped)
}

/// Where the next tag begins and ends. A `<` that begins none, or doesn't end, is text.
fn next_tag(html: &str) -> Option<(usize, usize)> {
    let begins = |at: &usize| {
        let next = html.as_bytes().get(at + 1);
        next.is_some_and(|byte| byte.is_ascii_alphabetic() || b"/!".contains(byte))
    };
    let start = html.match_indices('<').map(|(at, _)| at).find(begins)?;
    Some((start, start + html[start..].find('>')? + 1))
}

/// Whether a tag holds what a person did: the address of a link or an image.
fn tells(tag: &str) -> bool {
    (tag.starts_with("<a ") || tag.starts_with("<img ")) && !tag.ends_with('/') && tag.contains('=')
}

#[cfg(test)]
mod tests {
    use sidenote_plugin::Redactor;
    use sidenote_plugin::test::{self, Host};

    use super::*;
    use crate::Zendesk;

    fn host() -> Host {
        Host::new().config("subdomain", "acme")
    }

    fn redact() -> Result<Redaction, Failure> {
        Zendesk::redact_note(test::call(), "35436".to_owned(), "9".to_owned())
    }

    fn comments(id: u64, html: &str, more: bool) -> String {
        let comments = [json!({ "id": id, "html_body": html })];
        let meta = json!({ "has_more": more, "after_cursor": "c=1" });
        json!({ "comments": comments, "meta": meta }).to_string()
    }

    #[test]
    fn each_run_of_text_is_wrapped_and_links_are_marked() {
        for (html, wanted) in [
            (
                "<div><p>one</p> <p>two<br>three</p></div>",
                Some(
                    "<div><p><redact>one</redact></p> <p><redact>two</redact><br><redact>three</redact></p></div>",
                ),
            ),
            ("text", Some("<redact>text</redact>")),
            (
                "<a href=\"https://x\">y</a>",
                Some("<a href=\"https://x\" redact><redact>y</redact></a>"),
            ),
            ("<p>▇▇▇ ▇▇</p>", None),
            ("<p>▇▇ left</p>", Some("<p><redact>▇▇ left</redact></p>")),
            ("", None),
            ("a < b<br>c<p", Some("<redact>a < b</redact><br><redact>c<p</redact>")),
            ("<p>1 <2</p>", Some("<p><redact>1 <2</redact></p>")),
        ] {
            assert_eq!(wrapped(html).as_deref(), wanted, "{html}");
        }
    }

    #[test]
    fn a_comment_is_read_wrapped_and_written() {
        let host = host()
            .respond(200, &comments(8, "<p>other</p>", true))
            .respond(200, &comments(9, "<p>text</p>", false))
            .respond(200, "{}")
            .install();
        assert_eq!(redact(), Ok(Redaction::Overwritten));
        let requests = host.requests();
        assert!(requests[1].url.ends_with("&page%5Bafter%5D=c%3D1"), "{}", requests[1].url);
        assert_eq!(
            (&*requests[2].method, &*requests[2].url),
            ("PUT", "https://acme.zendesk.com/api/v2/comment_redactions/9")
        );
        let body: serde_json::Value = serde_json::from_slice(&requests[2].body).unwrap();
        assert_eq!(
            body,
            json!({ "ticket_id": 35436, "html_body": "<p><redact>text</redact></p>" })
        );
    }

    #[test]
    fn other_comments_may_lack_what_is_read_and_ours_may_have_it_plain() {
        for (comments, wanted) in [
            (
                r#"[{"id":1274,"body":"Thanks"},{"id":9,"html_body":"<p>x</p>"}]"#,
                Some("<p><redact>x</redact></p>"),
            ),
            (
                r#"[{"id":1274,"html_body":null},null,{"id":"9","html_body":"<p>x</p>"}]"#,
                Some("<p><redact>x</redact></p>"),
            ),
            (r#"[{"id":9,"html_body":null,"body":"a < b"}]"#, Some("<redact>a &lt; b</redact>")),
            (r#"[{"id":9,"html_body":null}]"#, None),
        ] {
            let host = host().respond(200, &format!(r#"{{"comments":{comments}}}"#));
            let host = host.respond(200, "{}").install();
            assert_eq!(redact(), Ok(Redaction::Overwritten), "{comments}");
            let bodies = host.requests().into_iter().skip(1).map(|it| it.body);
            let bodies = bodies.map(|it| serde_json::from_slice::<Value>(&it).unwrap());
            let sent: Vec<_> = bodies.map(|it| it["html_body"].clone()).collect();
            assert_eq!(sent, Vec::from_iter(wanted), "{comments}");
        }
    }

    #[test]
    fn what_is_gone_or_blackened_needs_nothing() {
        host().respond(200, &comments(8, "<p>other</p>", false)).install();
        assert_eq!(redact(), Ok(Redaction::Removed));
        host().respond(404, "").install();
        assert_eq!(redact(), Ok(Redaction::Removed));
        let host = host().respond(200, &comments(9, "<p>▇▇</p>", false)).install();
        assert_eq!(redact(), Ok(Redaction::Overwritten));
        assert_eq!(host.requests().len(), 1);
    }

    #[test]
    fn an_account_that_cannot_redact_says_what_to_do() {
        host().respond(200, &comments(9, "<p>text</p>", false)).respond(404, "").install();
        let failure = redact().unwrap_err();
        assert_eq!((failure.kind, &*failure.code), (FailureKind::Auth, "agent-workspace"));
        host().respond(500, "").install();
        assert_eq!(redact().unwrap_err().kind, FailureKind::Transient);
    }
}
