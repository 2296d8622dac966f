//! Slack: channels with threads, whose messages can be deleted. It says no with 200 and `"ok": false`.

use std::time::Duration;

use serde_json::{Value, json};
use sidenote::clock::Timestamp;

use super::contract::{Happening, Vendor};
use super::desk::{Author, Choice, Conversation, Desk, Entry};
use super::exchange::{Answer, Hook, Received};
use super::limit::Scope;
use super::signing;

/// Longest message, in characters: what Slack advises. It cuts at 40,000.
const MAX_TEXT: usize = 4000;
/// Most messages on a page.
const MAX_PAGE: usize = 1000;
/// The channel of all conversations.
const CHANNEL: &str = "C024BE91L";
const TEAM: &str = "T061EG9R6";
/// The app that opens conversations.
const SHOP: &str = "A0SHOP";
/// Somebody of support.
const AGENT: &str = "U0AGENT";
/// The bot that writes.
const BOT: &str = "B0BOT1234";

/// The rules of Slack.
#[derive(Debug, Clone)]
pub struct Slack {
    /// The bot token.
    pub token: String,
    /// The app's signing secret.
    pub signing_secret: String,
}

impl Default for Slack {
    fn default() -> Self {
        Self {
            token: "xoxb-of-the-test".to_owned(),
            signing_secret: "8f742231b10e8888abcd99yyyzzz85a5".to_owned(),
        }
    }
}

impl Vendor for Slack {
    fn name(&self) -> &'static str {
        "slack"
    }

    fn configuration(&self, url: &str) -> String {
        format!(
            r#"
[plugins.slack]
file = "slack.wasm"

[plugins.slack.config]
url = "{url}"
team = "{TEAM}"
app = "{SHOP}"
emails = true

[plugins.slack.grants]
hosts = ["{url}"]
private = true

[plugins.slack.secrets]
token = {{ env = "SLACK_TOKEN", hosts = ["{url}"] }}
signing_secret = {{ env = "SLACK_SIGNING_SECRET", hosts = [] }}
"#
        )
    }

    fn secrets(&self) -> Vec<(&'static str, String)> {
        vec![
            ("SLACK_TOKEN", self.token.clone()),
            ("SLACK_SIGNING_SECRET", self.signing_secret.clone()),
        ]
    }

    fn conversation_id(&self, number: u64) -> String {
        format!("{CHANNEL}:1700000000.{number:06}")
    }

    fn conversation_of(&self, request: &Received) -> Option<String> {
        let thread = |channel: &str, ts: &str| format!("{channel}:{ts}");
        match &*request.route().1 {
            ["api", "chat.postMessage"] => {
                let body = request.json()?;
                Some(thread(body["channel"].as_str()?, body["thread_ts"].as_str()?))
            }
            ["api", "conversations.replies"] => {
                Some(thread(request.field("channel")?, request.field("ts")?))
            }
            _ => None,
        }
    }

    fn check(&self, request: &Received) -> Result<(), Answer> {
        match request.header("authorization") {
            Some(value) if *value == format!("Bearer {}", self.token) => {}
            Some(_) => return Err(no("invalid_auth")),
            None => return Err(no("not_authed")),
        }
        let (method, parts) = request.route();
        match (method, &*parts) {
            ("POST", ["api", "chat.postMessage"]) => check_message(request),
            ("POST", ["api", "chat.delete"]) => check_arguments(request, &["channel", "ts"]),
            // Methods that read take no JSON.
            ("GET", ["api", "conversations.replies" | "users.info"]) if request.body.is_empty() => {
                Ok(())
            }
            ("POST" | "GET", ["api", _]) => Err(no("unknown_method")),
            _ => Err(Answer::json(404, Value::Null)),
        }
    }

    fn answer(&self, desk: &mut Desk, request: &Received) -> Answer {
        match request.path.trim_start_matches("/api/") {
            "chat.postMessage" => post(desk, request),
            "chat.delete" => delete(desk, request),
            "conversations.replies" => replies(desk, request),
            _ => user(desk, request),
        }
    }

    fn limited(&self, _: &Scope, until: Timestamp, now: Timestamp) -> (Answer, Timestamp) {
        let wait = until.since(now);
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        let answer = Answer::json(429, json!({ "ok": false, "error": "ratelimited" }));
        (answer.header("retry-after", seconds), now + Duration::from_secs(seconds))
    }

    fn broken(&self, status: u16) -> Answer {
        Answer::json(status, json!({ "ok": false, "error": "internal_error" }))
    }

    /// A session is known where the shop's own app has opened the thread. It says so by metadata.
    fn webhook(
        &self,
        conversation: &Conversation,
        happening: &Happening,
        now: Timestamp,
    ) -> Option<Hook> {
        let opening = &conversation.opening;
        let root = root(&conversation.id);
        let posted = |text: &str, ts: &str| {
            json!({
                "type": "message",
                "channel": CHANNEL,
                "channel_type": "channel",
                "user": "U0BOT",
                "bot_id": BOT,
                "app_id": "A0SIDENOTE",
                "parent_user_id": author(&conversation.id),
                "text": text,
                "ts": ts,
                "thread_ts": root,
                "event_ts": ts,
                "team": TEAM,
            })
        };
        let event = match happening {
            Happening::Opened if opening.session.is_some() => json!({
                "type": "message_metadata_posted",
                "app_id": SHOP,
                "bot_id": "B0SHOP",
                "user_id": "U0SHOP",
                "team_id": TEAM,
                "channel_id": CHANNEL,
                "metadata": {
                    "event_type": "sidenote_conversation",
                    "event_payload": {
                        "session_id": opening.session,
                        "user_id": opening.user_id,
                        "email": opening.email,
                    },
                },
                "message_ts": root,
                "event_ts": root,
            }),
            Happening::Opened => json!({
                "type": "message",
                "channel": CHANNEL,
                "channel_type": "channel",
                "user": author(&conversation.id),
                "text": opening.text.as_deref().unwrap_or_default(),
                "ts": root,
                "event_ts": root,
                "team": TEAM,
            }),
            Happening::Replied(text) => json!({
                "type": "message",
                "channel": CHANNEL,
                "channel_type": "channel",
                "user": author(&conversation.id),
                "parent_user_id": author(&conversation.id),
                "text": text,
                "ts": ts(now, 1),
                "thread_ts": root,
                "event_ts": ts(now, 1),
                "team": TEAM,
            }),
            // A note is a message as any other.
            Happening::Noted(text) => posted(text, &ts(now, 2)),
            Happening::Posted(id) => posted(&conversation.entry(id).text, id),
            Happening::AgentReplied(text) => json!({
                "type": "message",
                "channel": CHANNEL,
                "channel_type": "channel",
                "user": AGENT,
                "parent_user_id": author(&conversation.id),
                "text": text,
                "ts": ts(now, 3),
                "thread_ts": root,
                "event_ts": ts(now, 3),
                "team": TEAM,
            }),
            Happening::Clicked(id) => return Some(self.clicked(conversation, id, now)),
            Happening::Closed
            | Happening::Reopened
            | Happening::Typing
            | Happening::AgentTyping => return None,
        };
        let hook = self.signed(
            &json!({
                "token": "deprecated",
                "team_id": TEAM,
                "api_app_id": "A0SIDENOTE",
                "event": event,
                "type": "event_callback",
                "event_id": format!("Ev{}", now.0),
                "event_time": now.as_millis() / 1000,
            }),
            now,
        );
        Some(hook)
    }

    fn greetings(&self, now: Timestamp) -> Vec<Hook> {
        let body = json!({ "token": "deprecated", "challenge": "3eZbrw1aBm2rZgRN", "type": "url_verification" });
        vec![self.signed(&body, now)]
    }

    fn readable(&self, kept: &str) -> String {
        let mut shown = String::with_capacity(kept.len());
        let mut rest = kept;
        // Whatever is in angle brackets is a mention or a link: a person reads something else.
        while let Some((text, more)) = rest.split_once('<') {
            shown.push_str(text);
            rest = more.split_once('>').map_or("", |(_, rest)| rest);
        }
        shown.push_str(rest);
        shown.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
    }
}

impl Slack {
    /// A click comes as a form, whose one field holds JSON.
    fn clicked(&self, conversation: &Conversation, id: &str, now: Timestamp) -> Hook {
        let (offer, choice) = conversation.clicked(id);
        let message = message(offer, &conversation.id, true);
        let payload = json!({
            "type": "block_actions",
            "api_app_id": "A0SIDENOTE",
            "team": { "id": TEAM, "domain": "example" },
            "user": { "id": author(&conversation.id), "team_id": TEAM },
            "channel": { "id": CHANNEL, "name": "support" },
            "container": {
                "type": "message", "channel_id": CHANNEL, "message_ts": offer.id,
                "thread_ts": root(&conversation.id),
            },
            "message": message,
            "actions": [{
                "type": "button", "block_id": "sidenote_offer", "action_id": choice.id,
                "value": choice.id, "action_ts": ts(now, 4),
                "text": { "type": "plain_text", "text": choice.label, "emoji": false },
            }],
        });
        let encoded = encoded(&payload.to_string());
        let form = ("content-type".to_owned(), "application/x-www-form-urlencoded".to_owned());
        let body = format!("payload={encoded}").into_bytes();
        self.sign(Hook { method: "POST", headers: vec![form], body }, now)
    }

    fn signed(&self, body: &Value, now: Timestamp) -> Hook {
        self.sign(Hook::post(body), now)
    }

    fn sign(&self, hook: Hook, now: Timestamp) -> Hook {
        let timestamp = (now.as_millis() / 1000).to_string();
        let parts = [b"v0:", timestamp.as_bytes(), b":", &hook.body];
        let signature = signing::hex_sha256(&self.signing_secret, &parts);
        hook.header("x-slack-request-timestamp", &timestamp)
            .header("x-slack-signature", format!("v0={signature}"))
    }
}

fn check_arguments(request: &Received, known: &[&str]) -> Result<(), Answer> {
    if !request.is_json() {
        return Err(no("invalid_form_data"));
    }
    let Some(Value::Object(body)) = request.json() else {
        return Err(no("invalid_json"));
    };
    match body.keys().find(|key| !known.contains(&key.as_str())) {
        Some(_) => Err(no("invalid_arguments")),
        None => Ok(()),
    }
}

fn check_message(request: &Received) -> Result<(), Answer> {
    const KNOWN: [&str; 8] = [
        "channel",
        "thread_ts",
        "text",
        "blocks",
        "mrkdwn",
        "unfurl_links",
        "unfurl_media",
        "metadata",
    ];
    check_arguments(request, &KNOWN)?;
    let body = request.json().unwrap_or_default();
    let text = body["text"].as_str().unwrap_or_default();
    if text.trim().is_empty() {
        return Err(no("no_text"));
    }
    if text.chars().count() > MAX_TEXT {
        return Err(no("msg_too_long"));
    }
    if !body["blocks"].is_null() && !is_offer(&body["blocks"]) {
        return Err(no("invalid_blocks"));
    }
    let metadata = &body["metadata"];
    let whole = metadata["event_type"].is_string() && metadata["event_payload"].is_object();
    if !metadata.is_null() && !whole {
        return Err(no("invalid_metadata_format"));
    }
    Ok(())
}

/// Whether blocks are a text and a row of buttons, within Slack's bounds.
fn is_offer(blocks: &Value) -> bool {
    let text = |value: &Value, most: usize| {
        let length = value["text"].as_str().unwrap_or_default().chars().count();
        value["type"] == "plain_text" && (1..=most).contains(&length)
    };
    let bytes = |value: &Value, most: usize| {
        value.as_str().is_some_and(|text| (1..=most).contains(&text.len()))
    };
    let [section, actions] = blocks.as_array().map_or(&[][..], |it| it) else { return false };
    let buttons = actions["elements"].as_array().map_or(&[][..], |it| it);
    let mut ids: Vec<_> = buttons.iter().map(|it| it["action_id"].to_string()).collect();
    ids.sort();
    ids.dedup();
    section["type"] == "section"
        && text(&section["text"], 3000)
        && actions["type"] == "actions"
        && bytes(&actions["block_id"], 255)
        && (1..=25).contains(&buttons.len())
        && ids.len() == buttons.len()
        && buttons.iter().all(|it| {
            it["type"] == "button"
                && text(&it["text"], 75)
                && bytes(&it["action_id"], 255)
                && bytes(&it["value"], 2000)
        })
}

fn post(desk: &mut Desk, request: &Received) -> Answer {
    let body = request.json().unwrap_or_default();
    let text = |name: &str| body[name].as_str().unwrap_or_default();
    if text("channel") != CHANNEL {
        return no("channel_not_found");
    }
    let thread = format!("{CHANNEL}:{}", text("thread_ts"));
    if desk.conversation(&thread).is_none() {
        return no("thread_not_found");
    }
    let ts = ts(request.at, desk.number());
    let conversation = desk.conversation_mut(&thread).expect("it was there just now");
    let mut entry = Entry::note(ts.clone(), BOT, text("text").to_owned(), request.at);
    entry.extra = body["metadata"].clone();
    // Everybody sees everything: what is meant for the person says so.
    if body["metadata"]["event_type"] == "sidenote_message" {
        entry.kind = Author::Visible;
    }
    let buttons = body["blocks"][1]["elements"].as_array().into_iter().flatten();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    entry.options = buttons
        .map(|it| Choice { id: text(&it["value"]), label: text(&it["text"]["text"]) })
        .collect();
    let message = message(&entry, &thread, true);
    conversation.write(entry);
    Answer::json(200, json!({ "ok": true, "channel": CHANNEL, "ts": ts, "message": message }))
}

fn delete(desk: &mut Desk, request: &Received) -> Answer {
    let body = request.json().unwrap_or_default();
    if body["channel"] != CHANNEL {
        return no("channel_not_found");
    }
    let ts = body["ts"].as_str().unwrap_or_default();
    match desk.entry_mut(ts) {
        Some(entry) => {
            entry.text.clear();
            entry.extra = Value::Null;
            entry.removed = true;
            Answer::json(200, json!({ "ok": true, "channel": CHANNEL, "ts": ts }))
        }
        None => no("message_not_found"),
    }
}

fn replies(desk: &Desk, request: &Received) -> Answer {
    let field = |name: &str| request.field(name).unwrap_or_default();
    if field("channel") != CHANNEL {
        return no("channel_not_found");
    }
    let thread = format!("{CHANNEL}:{}", field("ts"));
    let Some(conversation) = desk.conversation(&thread) else {
        return no("thread_not_found");
    };
    let first = json!({
        "type": "message",
        "user": author(&thread),
        "text": conversation.opening.text.as_deref().unwrap_or_default(),
        "ts": root(&thread),
        "thread_ts": root(&thread),
    });
    let shown = field("include_all_metadata") == "true";
    let there = conversation.entries.iter().filter(|entry| !entry.removed);
    let all: Vec<Value> =
        std::iter::once(first).chain(there.map(|entry| message(entry, &thread, shown))).collect();
    let limit = field("limit").parse().unwrap_or(MAX_PAGE).clamp(1, MAX_PAGE);
    let start = match field("cursor").trim_end_matches("%3D") {
        "" => Ok(0),
        cursor => cursor.parse::<usize>(),
    };
    let Ok(start) = start else {
        return no("invalid_cursor");
    };
    let page: Vec<&Value> = all.iter().skip(start).take(limit).collect();
    let more = start + page.len() < all.len();
    let next = if more { format!("{}=", start + page.len()) } else { String::new() };
    Answer::json(
        200,
        json!({ "ok": true, "messages": page, "has_more": more, "response_metadata": { "next_cursor": next } }),
    )
}

fn user(desk: &Desk, request: &Received) -> Answer {
    let wanted = request.field("user").unwrap_or_default();
    let number = wanted.strip_prefix("U0PERSON").unwrap_or_default();
    match desk.conversation(&format!("{CHANNEL}:1700000000.{number}")) {
        Some(conversation) => {
            let profile = json!({ "real_name": "Joe Bloggs", "email": conversation.opening.email });
            Answer::json(
                200,
                json!({ "ok": true, "user": { "id": wanted, "team_id": TEAM, "profile": profile } }),
            )
        }
        None => no("user_not_found"),
    }
}

fn message(entry: &Entry, thread: &str, with_metadata: bool) -> Value {
    let mut message = json!({
        "type": "message",
        "user": "U0BOT",
        "bot_id": BOT,
        "text": entry.text,
        "ts": entry.id,
        "thread_ts": root(thread),
        "parent_user_id": author(thread),
    });
    if with_metadata && !entry.extra.is_null() {
        message["metadata"] = entry.extra.clone();
    }
    message
}

fn root(thread: &str) -> &str {
    thread.split_once(':').map_or("", |(_, ts)| ts)
}

/// A text as a form has it.
fn encoded(text: &str) -> String {
    let encode = |byte: u8| match byte {
        b' ' => "+".to_owned(),
        _ if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(encode).collect()
}

/// Who wrote the first message of a thread.
fn author(thread: &str) -> String {
    format!("U0PERSON{}", root(thread).split_once('.').map_or("", |(_, number)| number))
}

fn ts(now: Timestamp, number: u64) -> String {
    format!("{}.{number:06}", now.as_millis() / 1000)
}

fn no(error: &str) -> Answer {
    Answer::json(200, json!({ "ok": false, "error": error }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mentions_and_links_are_not_what_a_person_reads() {
        let slack = Slack::default();
        assert_eq!(
            slack.readable("<!channel> a &lt;b&gt; &amp;lt; <https://e.example|c>"),
            " a <b> &lt; "
        );
    }
}
