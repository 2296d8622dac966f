//! Zendesk Support: tickets with comments, internal ones among them, whose text can be blackened.

use serde_json::{Value, json};
use sidenote::clock::Timestamp;

use super::contract::{Happening, Vendor};
use super::desk::{Author, Conversation, Desk, Entry};
use super::exchange::{Answer, Hook, Received};
use super::limit::Scope;
use super::markup::{self, Piece};
use super::signing;

/// What may stand in a comment; everything else is dropped.
const TAGS: [&str; 15] =
    ["p", "br", "b", "strong", "i", "em", "a", "ul", "ol", "li", "h1", "h2", "code", "pre", "div"];
/// Longest comment, in characters.
const MAX_COMMENT: usize = 65_535;
/// Somebody of support.
const AGENT: &str = "8659716080126";
/// Records on a page.
const PAGE: usize = 100;

/// The rules of Zendesk.
#[derive(Debug, Clone)]
pub struct Zendesk {
    /// The OAuth access token.
    pub token: String,
    /// Address and API token, where it is called with Basic credentials in place of the OAuth token.
    pub basic: Option<(String, String)>,
    /// The secret that signs webhooks.
    pub signing_secret: String,
    /// Who writes.
    pub agent: u64,
    /// Whether the answer to an update leaves out what happened in it: a caller must look for the comment then.
    pub terse: bool,
    /// Whether webhooks are those of an event subscription; else those of a trigger.
    pub events: bool,
    /// How many seconds the plugin is told to leave a ticket alone after a note.
    pub pace: u32,
    /// Whether people must sign in to ask, and the plugin is told so.
    pub proven: bool,
}

impl Default for Zendesk {
    fn default() -> Self {
        Self {
            token: "zendesk-oauth-token".to_owned(),
            basic: None,
            signing_secret: "dGhpc19zZWNyZXRfaXNfZm9yX3Rlc3Rpbmdfb25seQ==".to_owned(),
            agent: 3_343,
            terse: false,
            events: false,
            pace: 0,
            proven: true,
        }
    }
}

impl Vendor for Zendesk {
    fn name(&self) -> &'static str {
        "zendesk"
    }

    fn configuration(&self, url: &str) -> String {
        let email = match &self.basic {
            Some((email, _)) => format!("email = \"{email}\""),
            None => String::new(),
        };
        format!(
            r#"
[plugins.zendesk]
file = "zendesk.wasm"

[plugins.zendesk.config]
url = "{url}"
pace = {pace}
identity_verification = {proven}
account_id = "22129848"
{email}

[plugins.zendesk.grants]
hosts = ["{url}"]
private = true

[plugins.zendesk.secrets]
token = {{ env = "ZENDESK_TOKEN", hosts = ["{url}"] }}
signing_secret = {{ env = "ZENDESK_SIGNING_SECRET", hosts = [] }}
"#,
            pace = self.pace,
            proven = self.proven,
        )
    }

    fn secrets(&self) -> Vec<(&'static str, String)> {
        let token = self.basic.as_ref().map_or(&self.token, |(_, token)| token);
        vec![
            ("ZENDESK_TOKEN", token.clone()),
            ("ZENDESK_SIGNING_SECRET", self.signing_secret.clone()),
        ]
    }

    fn conversation_id(&self, number: u64) -> String {
        (35_000 + number).to_string()
    }

    fn conversation_of(&self, request: &Received) -> Option<String> {
        match &*request.route().1 {
            ["api", "v2", "tickets", id, ..] => Some((*id).to_owned()),
            ["api", "v2", "comment_redactions", _] => {
                Some(request.json()?["ticket_id"].as_u64()?.to_string())
            }
            _ => None,
        }
    }

    fn check(&self, request: &Received) -> Result<(), Answer> {
        let wanted = match &self.basic {
            Some((email, token)) => format!("Basic {}", base64(&format!("{email}/token:{token}"))),
            None => format!("Bearer {}", self.token),
        };
        if request.header("authorization") != Some(&*wanted) {
            return Err(Answer::json(401, json!({ "error": "Couldn't authenticate you" })));
        }
        if request.method == "PUT" && !request.is_json() {
            let body =
                json!({ "error": "UnsupportedMediaType", "description": "JSON is expected" });
            return Err(Answer::json(415, body));
        }
        Ok(())
    }

    fn answer(&self, desk: &mut Desk, request: &Received) -> Answer {
        let (method, parts) = request.route();
        match (method, &*parts) {
            ("PUT", ["api", "v2", "tickets", id]) => self.update(desk, request, id),
            ("GET", ["api", "v2", "tickets", id, "comments"]) => match desk.conversation(id) {
                Some(ticket) => list(request, "comments", ticket, comment),
                None => not_found(),
            },
            ("GET", ["api", "v2", "tickets", id, "audits"]) => match desk.conversation(id) {
                Some(ticket) => list(request, "audits", ticket, |entry| audit(id, entry)),
                None => not_found(),
            },
            ("GET", ["api", "v2", "users", "me"]) => {
                let me = json!({ "id": self.agent, "role": "agent", "email": "bot@acme.example" });
                Answer::json(200, json!({ "user": me }))
            }
            ("GET", ["api", "v2", "users", _]) => user(desk, parts[3]),
            ("PUT", ["api", "v2", "comment_redactions", id]) => redact(desk, request, id),
            _ => {
                Answer::json(404, json!({ "error": "InvalidEndpoint", "description": "Not found" }))
            }
        }
    }

    fn limited(&self, scope: &Scope, until: Timestamp, now: Timestamp) -> (Answer, Timestamp) {
        let wait = until.since(now).as_millis().div_ceil(1000).max(1);
        let left = match scope {
            Scope::Account => 0,
            Scope::Conversation(_) => 612,
        };
        let error = "Number of allowed API requests per minute exceeded";
        let answer =
            Answer::json(429, json!({ "error": "APIRateLimitExceeded", "description": error }))
                .header("retry-after", wait)
                .header("x-rate-limit", 700)
                .header("x-rate-limit-remaining", left)
                .header("ratelimit-limit", 700)
                .header("ratelimit-remaining", left)
                .header("ratelimit-reset", wait);
        let wait = u64::try_from(wait).expect("a wait of this century");
        (answer, now + std::time::Duration::from_secs(wait))
    }

    fn quota(&self, left: u64, until: Timestamp, now: Timestamp) -> Vec<(&'static str, String)> {
        vec![
            ("x-rate-limit", "700".to_owned()),
            ("x-rate-limit-remaining", left.to_string()),
            ("ratelimit-limit", "700".to_owned()),
            ("ratelimit-remaining", left.to_string()),
            ("ratelimit-reset", until.since(now).as_millis().div_ceil(1000).to_string()),
        ]
    }

    fn broken(&self, status: u16) -> Answer {
        Answer::json(
            status,
            json!({ "error": "InternalError", "description": "Something went wrong" }),
        )
    }

    fn webhook(
        &self,
        conversation: &Conversation,
        happening: &Happening,
        now: Timestamp,
    ) -> Option<Hook> {
        let body = if self.events {
            self.event(conversation, happening)?
        } else {
            self.trigger(conversation, happening)?
        };
        let time = rfc3339(now);
        let hook = Hook::post(&body);
        let signature =
            signing::base64_sha256(&self.signing_secret, &[time.as_bytes(), &hook.body]);
        let hook = hook
            .header("x-zendesk-webhook-signature", signature)
            .header("x-zendesk-webhook-signature-timestamp", time)
            .header("x-zendesk-webhook-invocation-id", format!("01{}", now.0));
        Some(hook)
    }

    fn readable(&self, kept: &str) -> String {
        markup::readable(kept)
    }
}

impl Zendesk {
    fn update(&self, desk: &mut Desk, request: &Received, id: &str) -> Answer {
        let body = request.json().unwrap_or_default();
        let ticket = &body["ticket"];
        let known = |value: &Value, known: &[&str]| {
            value.as_object().is_some_and(|it| it.keys().all(|key| known.contains(&key.as_str())))
        };
        if !known(&body, &["ticket"]) || !known(ticket, &["comment", "metadata"]) {
            return invalid("base", "The body is no ticket with a comment");
        }
        let comment = &ticket["comment"];
        let html = comment["html_body"].as_str().filter(|html| !html.trim().is_empty());
        let (true, Some(html)) = (known(comment, &["html_body", "public"]), html) else {
            return invalid("comment", "Comment: cannot be blank");
        };
        if html.chars().count() > MAX_COMMENT {
            return invalid("comment", "Comment: is too long");
        }
        // As the platform has it: a comment is public unless it says that it isn't.
        let public = comment["public"].as_bool().unwrap_or(true);
        let (comment, audit_id) = (desk.number(), desk.number());
        let Some(conversation) = desk.conversation_mut(id) else {
            return not_found();
        };
        let text = markup::sanitise(&filled_in(html), &TAGS);
        let text = format!("<div class=\"zd-comment\" dir=\"auto\">{text}</div>");
        let mut entry = Entry::note(comment.to_string(), &self.agent.to_string(), text, request.at);
        entry.kind = if public { Author::Visible } else { Author::Note };
        let custom = ticket["metadata"].clone();
        entry.extra = json!({ "audit": audit_id, "custom": custom });
        let mut audit = audit(id, &entry);
        if self.terse {
            audit["events"] = json!([]);
        }
        conversation.write(entry);
        Answer::json(
            200,
            json!({ "ticket": { "id": number(id), "status": "open" }, "audit": audit }),
        )
    }

    /// A body as a trigger's author wrote it.
    fn trigger(&self, conversation: &Conversation, happening: &Happening) -> Option<Value> {
        let opening = &conversation.opening;
        let requester = requester(conversation);
        let (kind, author, text) = match happening {
            Happening::Opened => {
                ("new_ticket", requester.clone(), opening.text.clone().unwrap_or_default())
            }
            Happening::Replied(text) => ("user_reply", requester.clone(), text.clone()),
            Happening::Noted(text) => ("internal_note", self.agent.to_string(), text.clone()),
            Happening::AgentReplied(text) => ("agent_reply", AGENT.to_owned(), text.clone()),
            Happening::Posted(id) => {
                let entry = conversation.entry(id);
                ("agent_reply", entry.author.clone(), markup::readable(&entry.text))
            }
            Happening::Closed => ("solved", AGENT.to_owned(), String::new()),
            Happening::Reopened => ("reopened", AGENT.to_owned(), String::new()),
            Happening::Clicked(_) | Happening::Typing | Happening::AgentTyping => return None,
        };
        // Placeholders of what isn't there become empty texts.
        Some(json!({
            "ticket_id": conversation.id,
            "session_id": opening.session.clone().unwrap_or_default(),
            "requester_external_id": opening.user_id.clone().unwrap_or_default(),
            "requester_email": opening.email.clone().unwrap_or_default(),
            "requester_id": requester,
            "author_id": author,
            "via": "Web form",
            "trigger_type": kind,
            "user_message": text,
        }))
    }

    /// A body of an event subscription.
    fn event(&self, conversation: &Conversation, happening: &Happening) -> Option<Value> {
        let opening = &conversation.opening;
        let requester = requester(conversation);
        let said = |text: &str, author: &str, public: bool| {
            let is_staff = author != requester;
            let comment = json!({
                "id": "4519527105790", "body": text, "is_public": public,
                "author": { "id": author, "is_staff": is_staff, "name": "somebody" },
            });
            ("ticket.comment_added", json!({ "comment": comment }))
        };
        let changed = |previous: &str, current: &str| {
            ("ticket.status_changed", json!({ "previous": previous, "current": current }))
        };
        let (kind, event) = match happening {
            Happening::Opened => ("ticket.created", json!({ "meta": { "sequence": 1 } })),
            Happening::Replied(text) => said(text, &requester, true),
            Happening::Noted(text) => said(text, &self.agent.to_string(), false),
            Happening::AgentReplied(text) => said(text, AGENT, true),
            Happening::Posted(id) => {
                let entry = conversation.entry(id);
                said(&markup::readable(&entry.text), &entry.author, entry.kind == Author::Visible)
            }
            Happening::Closed => changed("OPEN", "SOLVED"),
            Happening::Reopened => changed("SOLVED", "OPEN"),
            Happening::Clicked(_) | Happening::Typing | Happening::AgentTyping => return None,
        };
        Some(json!({
            "account_id": 22_129_848,
            "id": "cbe4028c-7239-495d-b020-f22348516046",
            "type": format!("zen:event-type:{kind}"),
            "subject": format!("zen:ticket:{}", conversation.id),
            "time": "2022-06-27T04:20:23.703700Z",
            "zendesk_event_version": "2022-06-20",
            "detail": {
                "id": conversation.id,
                "external_id": opening.session,
                "requester_id": requester,
                "submitter_id": requester,
                "via": { "channel": "web_form" },
                "description": opening.text,
                "status": "OPEN",
            },
            "event": event,
        }))
    }
}

/// Who asks.
fn requester(conversation: &Conversation) -> String {
    (number(&conversation.id) + 1_000_000).to_string()
}

/// A comment with its placeholders filled in, as those of agents are: with nothing, here.
fn filled_in(html: &str) -> String {
    let mut text = html.to_owned();
    for (open, close) in [("{{", "}}"), ("{%", "%}")] {
        while let Some(start) = text.find(open) {
            let length = text[start..].find(close).map_or(text.len() - start, |at| at + 2);
            text.replace_range(start..start + length, "");
        }
    }
    text
}

/// A page of a list, the latest first where that is asked for.
fn list(
    request: &Received,
    name: &str,
    ticket: &Conversation,
    record: impl Fn(&Entry) -> Value,
) -> Answer {
    let mut records: Vec<Value> = ticket.entries.iter().map(record).collect();
    let latest_first =
        request.field("sort") == Some("-created_at") || request.field("sort_order") == Some("desc");
    if latest_first {
        records.reverse();
    }
    let count = records.len();
    let number = |name: &str| request.field(name).and_then(|it| it.parse::<usize>().ok());
    let cursor = ["page%5Bsize%5D", "page[size]"].into_iter().find_map(number);
    let after = ["page%5Bafter%5D", "page[after]"].into_iter().find_map(number).unwrap_or(0);
    let size = cursor.or(number("per_page")).unwrap_or(PAGE).clamp(1, PAGE);
    let skip = match cursor {
        Some(_) => after,
        None => (number("page").unwrap_or(1).max(1) - 1) * size,
    };
    let more = count > skip + size;
    records = records.into_iter().skip(skip).take(size).collect();
    let mut body = match cursor {
        Some(_) => {
            json!({ "meta": { "has_more": more, "after_cursor": (skip + size).to_string() } })
        }
        None => {
            let next = more.then(|| format!("https://x.zendesk.com/?page={}", skip / size + 2));
            json!({ "count": count, "next_page": next })
        }
    };
    body[name] = Value::Array(records);
    Answer::json(200, body)
}

fn comment(entry: &Entry) -> Value {
    json!({
        "id": number(&entry.id),
        "type": "Comment",
        "author_id": number(&entry.author),
        "body": markup::readable(&entry.text),
        "html_body": entry.text,
        "plain_body": markup::readable(&entry.text),
        "public": entry.kind == Author::Visible,
        "audit_id": entry.extra["audit"],
        "created_at": rfc3339(entry.at),
    })
}

fn audit(ticket: &str, entry: &Entry) -> Value {
    json!({
        "id": entry.extra["audit"],
        "ticket_id": number(ticket),
        "created_at": rfc3339(entry.at),
        "author_id": number(&entry.author),
        "metadata": { "system": {}, "custom": entry.extra["custom"] },
        "events": [
            { "id": number(&entry.id) + 1_000_000, "type": "Change", "field_name": "status" },
            {
                "id": number(&entry.id),
                "type": "Comment",
                "html_body": entry.text,
                "public": entry.kind == Author::Visible,
                "audit_id": entry.extra["audit"],
            },
        ],
    })
}

/// The requester of the ticket whose id is the user's less a million.
fn user(desk: &Desk, id: &str) -> Answer {
    let ticket = number(id).saturating_sub(1_000_000).to_string();
    match desk.conversation(&ticket) {
        Some(ticket) => Answer::json(
            200,
            json!({ "user": {
                "id": number(id),
                "email": ticket.opening.email,
                "external_id": ticket.opening.user_id,
            } }),
        ),
        None => not_found(),
    }
}

fn redact(desk: &mut Desk, request: &Received, id: &str) -> Answer {
    let body = request.json().unwrap_or_default();
    let (Some(ticket), Some(html)) = (body["ticket_id"].as_u64(), body["html_body"].as_str())
    else {
        return invalid("base", "ticket_id and html_body");
    };
    let Some(conversation) = desk.conversation_mut(&ticket.to_string()) else {
        return not_found();
    };
    let Some(entry) = conversation.entry_mut(id) else {
        return not_found();
    };
    if html.replace("<redact>", "").replace("</redact>", "") != entry.text {
        return invalid("html_body", "html_body doesn't match the comment");
    }
    match blackened(html) {
        Some(text) => {
            entry.redacted = true;
            entry.text = text;
            Answer::json(200, json!({ "comment": comment(entry) }))
        }
        None => invalid("html_body", "a redact tag must not span other tags"),
    }
}

/// What is left of a comment: each character between the tags becomes a block.
fn blackened(html: &str) -> Option<String> {
    let (mut text, mut inside) = (String::new(), false);
    for piece in markup::pieces(html) {
        match piece {
            Piece::Tag("redact", closes, _) => inside = !closes,
            Piece::Tag(..) | Piece::Comment if inside => return None,
            Piece::Tag(_, _, whole) => text.push_str(whole),
            Piece::Text(piece) if inside => {
                let block = |c: char| if c.is_whitespace() { c } else { '▇' };
                text.extend(markup::readable(piece).chars().map(block));
            }
            Piece::Text(piece) => text.push_str(piece),
            Piece::Comment => {}
        }
    }
    (!inside).then_some(text)
}

fn not_found() -> Answer {
    Answer::json(404, json!({ "error": "RecordNotFound", "description": "Not found" }))
}

fn invalid(field: &str, what: &str) -> Answer {
    let details = json!({ field: [{ "description": what }] });
    let error = json!({
        "error": "RecordInvalid",
        "description": "Record validation errors",
        "details": details,
    });
    Answer::json(422, error)
}

fn number(id: &str) -> u64 {
    id.parse().unwrap_or(0)
}

fn base64(text: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(text)
}

/// A moment as Zendesk writes it.
fn rfc3339(at: Timestamp) -> String {
    let seconds = i64::try_from(at.as_millis() / 1000).expect("a moment of this century");
    let at = time::OffsetDateTime::from_unix_timestamp(seconds).expect("a moment of this century");
    let (month, day) = (u8::from(at.month()), at.day());
    let (hour, minute, second) = (at.hour(), at.minute(), at.second());
    format!("{:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z", at.year())
}
