//! Crisp: conversations with messages, notes among them, under ids that the caller chooses.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use sidenote::clock::Timestamp;

use super::contract::{Happening, Vendor};
use super::desk::{Author, Choice, Conversation, Desk, Entry};
use super::exchange::{Answer, Hook, Received};
use super::limit::Scope;
use super::{markdown, signing};

/// Longest message, in characters. Crisp states none: this holds a caller to a careful one.
const MAX_CONTENT: usize = 5000;

/// The rules of Crisp.
#[derive(Debug, Clone)]
pub struct Crisp {
    /// The identifier of the plugin's token.
    pub identifier: String,
    /// Its key.
    pub key: String,
    /// The secret that signs web hooks.
    pub signing_secret: String,
    /// The website.
    pub website: String,
    /// Whether the site signs addresses, and the plugin is told so.
    pub proven: bool,
}

impl Default for Crisp {
    fn default() -> Self {
        Self {
            identifier: "7c3ef21c-1e04-41ce-8c06-5605c346f73e".to_owned(),
            key: "crisp-plugin-key".to_owned(),
            signing_secret: "crisp-signing-secret".to_owned(),
            website: "8c842203-7ed8-4e29-a608-7cf78a7d2fcc".to_owned(),
            proven: true,
        }
    }
}

impl Vendor for Crisp {
    fn name(&self) -> &'static str {
        "crisp"
    }

    fn configuration(&self, url: &str) -> String {
        format!(
            r#"
[plugins.crisp]
file = "crisp.wasm"

[plugins.crisp.config]
url = "{url}"
website = "{website}"
identifier = "{identifier}"
identity_verification = {proven}

[plugins.crisp.grants]
hosts = ["{url}"]
private = true

[plugins.crisp.secrets]
token = {{ env = "CRISP_TOKEN", hosts = ["{url}"] }}
signing_secret = {{ env = "CRISP_SIGNING_SECRET", hosts = [] }}
"#,
            website = self.website,
            identifier = self.identifier,
            proven = self.proven,
        )
    }

    fn secrets(&self) -> Vec<(&'static str, String)> {
        vec![
            ("CRISP_TOKEN", self.key.clone()),
            ("CRISP_SIGNING_SECRET", self.signing_secret.clone()),
        ]
    }

    fn conversation_id(&self, number: u64) -> String {
        format!("session_700c65e1-85e2-465a-b9ac-{number:012}")
    }

    fn conversation_of(&self, request: &Received) -> Option<String> {
        match &*request.route().1 {
            ["v1", "website", _, "conversation", id, ..] => Some((*id).to_owned()),
            _ => None,
        }
    }

    fn check(&self, request: &Received) -> Result<(), Answer> {
        let pair = STANDARD.encode(format!("{}:{}", self.identifier, self.key));
        if request.header("authorization") != Some(&*format!("Basic {pair}")) {
            return Err(no(401, "invalid_session"));
        }
        if request.header("x-crisp-tier") != Some("plugin") {
            return Err(no(401, "tier_invalid"));
        }
        match &*request.route().1 {
            ["v1", "website", website, ..] if *website == self.website => {}
            _ => return Err(no(403, "not_subscribed")),
        }
        if request.method == "POST" && !request.is_json() {
            return Err(no(400, "invalid_data"));
        }
        Ok(())
    }

    fn answer(&self, desk: &mut Desk, request: &Received) -> Answer {
        let (method, parts) = request.route();
        let [_, _, _, "conversation", id, parts @ ..] = &*parts else {
            return no(404, "route_not_found");
        };
        let Some(conversation) = desk.conversation_mut(id) else {
            return no(404, "conversation_not_found");
        };
        match (method, parts) {
            ("POST", ["message"]) => self.post(conversation, request),
            ("GET", ["meta"]) => yes(200, "resolved", meta(conversation)),
            ("GET", ["verify"]) => yes(200, "resolved", self.verified(conversation)),
            ("GET", ["message", fingerprint]) => match conversation.entry_mut(fingerprint) {
                Some(entry) => yes(200, "resolved", entry.extra.clone()),
                None => no(404, "message_not_found"),
            },
            ("DELETE", ["message", fingerprint]) => match conversation.entry_mut(fingerprint) {
                Some(entry) => {
                    entry.text.clear();
                    entry.extra = Value::Null;
                    entry.removed = true;
                    yes(200, "removed", json!({}))
                }
                None => no(404, "message_not_found"),
            },
            _ => no(404, "route_not_found"),
        }
    }

    fn limited(&self, scope: &Scope, _: Timestamp, now: Timestamp) -> (Answer, Timestamp) {
        // Neither says how long to wait.
        let answer = match scope {
            Scope::Account => no(429, "quota_limit_exceeded"),
            Scope::Conversation(_) => no(420, "enhance_your_calm"),
        };
        (answer, now)
    }

    fn broken(&self, status: u16) -> Answer {
        no(status, "internal_error")
    }

    fn webhook(
        &self,
        conversation: &Conversation,
        happening: &Happening,
        now: Timestamp,
    ) -> Option<Hook> {
        let message = |kind: &str, from: &str, text: &str| {
            json!({
                "website_id": self.website,
                "session_id": conversation.id,
                "inbox_id": null,
                "type": kind,
                "from": from,
                "origin": "chat",
                "content": text,
                "stamped": true,
                "fingerprint": now.0 % 1_000_000_000_000,
                "timestamp": now.as_millis(),
                "user": { "user_id": conversation.id, "nickname": "visitor" },
            })
        };
        let about = |key: &str, value: &str| json!({ "website_id": self.website, "session_id": conversation.id, key: value });
        let (event, data) = match happening {
            Happening::Opened => {
                let text = conversation.opening.text.as_deref().unwrap_or_default();
                ("message:send", message("text", "user", text))
            }
            Happening::Replied(text) => ("message:send", message("text", "user", text)),
            Happening::Noted(text) => ("message:received", message("note", "operator", text)),
            Happening::AgentReplied(text) => {
                ("message:received", message("text", "operator", text))
            }
            Happening::Posted(id) => {
                let mut data = conversation.entry(id).extra.clone();
                data["website_id"] = json!(self.website);
                data["session_id"] = json!(conversation.id);
                ("message:received", data)
            }
            Happening::Clicked(id) => {
                let (offer, _) = conversation.clicked(id);
                let mut content = offer.extra["content"].clone();
                for choice in content["choices"].as_array_mut().into_iter().flatten() {
                    choice["selected"] = json!(choice["value"] == **id);
                }
                let mut data = about("from", "operator");
                data["fingerprint"] = offer.extra["fingerprint"].clone();
                data["content"] = content;
                ("message:updated", data)
            }
            Happening::Closed => ("session:set_state", about("state", "resolved")),
            Happening::Reopened => ("session:set_state", about("state", "unresolved")),
            Happening::Typing => ("message:compose:send", about("type", "start")),
            Happening::AgentTyping => ("message:compose:receive", about("type", "start")),
        };
        let body = json!({
            "website_id": self.website, "event": event, "data": data, "timestamp": now.as_millis(),
        });
        let hook = Hook::post(&body);
        let timestamp = now.as_millis().to_string();
        let parts = [b"[", timestamp.as_bytes(), b";", &hook.body, b"]"];
        let signature = signing::hex_sha256(&self.signing_secret, &parts);
        let hook = hook.header("x-crisp-request-timestamp", &timestamp);
        Some(hook.header("x-crisp-signature", signature))
    }

    fn readable(&self, kept: &str) -> String {
        markdown::readable(kept)
    }
}

impl Crisp {
    fn verified(&self, conversation: &Conversation) -> Value {
        let proven = self.proven && conversation.opening.email.is_some();
        let identities = if proven { json!([{ "identity": "email" }]) } else { json!([]) };
        json!({ "verified": proven, "verifications": identities })
    }

    /// Writes a message. One whose fingerprint is taken is written all the same: whether Crisp refuses those
    /// isn't documented, so a caller has to look before.
    fn post(&self, conversation: &mut Conversation, request: &Received) -> Answer {
        let Some(Value::Object(body)) = request.json() else {
            return no(400, "invalid_data");
        };
        let (kind, content) = match check_message(&body) {
            Ok(checked) => checked,
            Err(answer) => return answer,
        };
        let fingerprint = body["fingerprint"].clone();
        let mut entry = Entry::note(fingerprint.to_string(), &self.identifier, content, request.at);
        entry.kind = if kind == "note" { Author::Note } else { Author::Visible };
        let choices = body["content"]["choices"].as_array().into_iter().flatten();
        let text =
            |choice: &Value, name: &str| choice[name].as_str().unwrap_or_default().to_owned();
        entry.options = choices
            .map(|choice| Choice { id: text(choice, "value"), label: text(choice, "label") })
            .collect();
        entry.extra = Value::Object(body);
        conversation.write(entry);
        yes(202, "dispatched", json!({ "fingerprint": fingerprint }))
    }
}

/// The kind of a message, and its text.
fn check_message(body: &Map<String, Value>) -> Result<(String, String), Answer> {
    const KNOWN: [&str; 7] =
        ["type", "from", "origin", "content", "fingerprint", "automated", "user"];
    let text = |name: &str| body.get(name).and_then(Value::as_str).unwrap_or_default();
    let fits = body.keys().all(|key| KNOWN.contains(&key.as_str()))
        && text("from") == "operator"
        && text("origin") == "chat"
        && body.get("automated").is_none_or(Value::is_boolean)
        && body.get("user").is_none_or(|user| user["nickname"].is_string())
        // JavaScript holds no larger number exactly.
        && body.get("fingerprint").and_then(Value::as_u64).is_some_and(|it| (1..1 << 53).contains(&it));
    let content = match text("type") {
        "text" | "note" => text("content"),
        "picker" => body
            .get("content")
            .filter(|it| is_picker(it))
            .map_or("", |it| it["text"].as_str().unwrap_or_default()),
        _ => "",
    };
    if !fits || content.is_empty() {
        return Err(no(400, "invalid_data"));
    }
    if content.chars().count() > MAX_CONTENT {
        return Err(no(413, "message_too_long"));
    }
    Ok((text("type").to_owned(), content.to_owned()))
}

/// Whether a picker has an id, and choices with a value and a label each.
fn is_picker(content: &Value) -> bool {
    let text = |value: &Value| value.as_str().is_some_and(|text| !text.is_empty());
    let is_choice = |choice: &Value| {
        text(&choice["value"]) && text(&choice["label"]) && choice["selected"].is_boolean()
    };
    let choices = content["choices"].as_array();
    text(&content["id"]) && choices.is_some_and(|it| !it.is_empty() && it.iter().all(is_choice))
}

/// What is known of the person.
fn meta(conversation: &Conversation) -> Value {
    let opening = &conversation.opening;
    let mut data = Map::new();
    for (name, value) in [("session_id", &opening.session), ("user_id", &opening.user_id)] {
        if let Some(value) = value {
            data.insert(name.to_owned(), json!(value));
        }
    }
    json!({ "nickname": "visitor", "email": opening.email.as_deref().unwrap_or_default(), "data": data, "segments": [] })
}

fn yes(status: u16, reason: &str, data: Value) -> Answer {
    Answer::json(status, json!({ "error": false, "reason": reason, "data": data }))
}

fn no(status: u16, reason: &str) -> Answer {
    Answer::json(status, json!({ "error": true, "reason": reason, "data": {} }))
}
