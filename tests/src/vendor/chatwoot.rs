//! Chatwoot: conversations with messages, private ones among them, that can be deleted.

use serde_json::{Map, Value, json};
use sidenote::clock::Timestamp;

use super::contract::{Happening, Vendor};
use super::desk::{Author, Choice, Conversation, Desk, Entry};
use super::exchange::{Answer, Hook, Received};
use super::limit::Scope;
use super::{markdown, signing};

/// Longest message, in characters.
const MAX_CONTENT: usize = 150_000;
/// Messages on a page.
const PAGE: usize = 20;
const DELETED: &str = "This message was deleted";

/// The rules of Chatwoot.
#[derive(Debug, Clone)]
pub struct Chatwoot {
    /// The access token.
    pub token: String,
    /// The secret that signs webhooks.
    pub webhook_secret: String,
    /// The account.
    pub account: u64,
    /// The agent who writes.
    pub agent: u64,
    /// Whether the site hands over the hash of a person's identifier, so that it is proven.
    pub proven: bool,
}

impl Default for Chatwoot {
    fn default() -> Self {
        Self {
            token: "chatwoot-access-token".to_owned(),
            webhook_secret: "chatwoot-webhook-secret".to_owned(),
            account: 7,
            agent: 31,
            proven: true,
        }
    }
}

impl Vendor for Chatwoot {
    fn name(&self) -> &'static str {
        "chatwoot"
    }

    fn configuration(&self, url: &str) -> String {
        format!(
            r#"
[plugins.chatwoot]
file = "chatwoot.wasm"

[plugins.chatwoot.config]
url = "{url}"
account = {account}

[plugins.chatwoot.grants]
hosts = ["{url}"]
private = true

[plugins.chatwoot.secrets]
token = {{ env = "CHATWOOT_TOKEN", hosts = ["{url}"] }}
webhook_secret = {{ env = "CHATWOOT_WEBHOOK_SECRET", hosts = [] }}
"#,
            account = self.account,
        )
    }

    fn secrets(&self) -> Vec<(&'static str, String)> {
        vec![
            ("CHATWOOT_TOKEN", self.token.clone()),
            ("CHATWOOT_WEBHOOK_SECRET", self.webhook_secret.clone()),
        ]
    }

    fn conversation_id(&self, number: u64) -> String {
        number.to_string()
    }

    fn conversation_of(&self, request: &Received) -> Option<String> {
        match &*request.route().1 {
            ["api", "v1", "accounts", _, "conversations", id, ..] => Some((*id).to_owned()),
            _ => None,
        }
    }

    fn check(&self, request: &Received) -> Result<(), Answer> {
        if request.header("api_access_token") != Some(&*self.token) {
            return Err(error(401, "Invalid Access Token"));
        }
        let account = self.account.to_string();
        match &*request.route().1 {
            ["api", "v1", "accounts", it, ..] if *it == account => {}
            _ => return Err(error(401, "You are not authorized to access this account")),
        }
        if request.method == "POST" && !request.is_json() {
            return Err(error(422, "param is missing or the value is empty: content"));
        }
        Ok(())
    }

    fn answer(&self, desk: &mut Desk, request: &Received) -> Answer {
        let (method, parts) = request.route();
        let [_, _, _, _, "conversations", id, "messages", parts @ ..] = &*parts else {
            return missing();
        };
        match (method, parts) {
            ("POST", []) => self.post(desk, request, id),
            ("GET", []) => match desk.conversation(id) {
                Some(conversation) => self.page(conversation, request),
                None => missing(),
            },
            ("DELETE", [message]) => {
                let conversation = desk.conversation_mut(id);
                let Some(entry) = conversation.and_then(|it| it.entry_mut(message)) else {
                    return missing();
                };
                entry.text = DELETED.to_owned();
                entry.extra =
                    json!({ "content_type": "text", "content_attributes": { "deleted": true } });
                entry.redacted = true;
                Answer::json(200, Value::Null)
            }
            _ => missing(),
        }
    }

    fn limited(&self, scope: &Scope, _: Timestamp, now: Timestamp) -> (Answer, Timestamp) {
        // Neither says how long to wait.
        let answer = match scope {
            Scope::Account => Answer::json(429, Value::Null),
            Scope::Conversation(_) => error(422, "Validation failed: Too many messages"),
        };
        (answer, now)
    }

    fn broken(&self, status: u16) -> Answer {
        Answer::json(status, json!({ "status": status, "error": "Internal Server Error" }))
    }

    fn webhook(
        &self,
        conversation: &Conversation,
        happening: &Happening,
        now: Timestamp,
    ) -> Option<Hook> {
        let agent = |id: u64| json!({ "id": id, "name": "Sidenote", "type": "user" });
        let message = |text: &str, private: bool, sender: Value| {
            let is_incoming = sender["type"] == "contact";
            let kind = if is_incoming { "incoming" } else { "outgoing" };
            json!({
                "event": "message_created",
                "id": now.0,
                "content": text,
                "content_type": "text",
                "content_attributes": {},
                "message_type": kind,
                "private": private,
                "source_id": null,
                "created_at": "2026-11-23T12:00:00.000Z",
                "account": { "id": self.account, "name": "Example" },
                "inbox": { "id": 3, "name": "Website" },
                "conversation": self.conversation(conversation),
                "sender": sender,
            })
        };
        // What was written before, told of as an event of a message.
        let kept = |entry: &Entry, event: &str| {
            let mut body = message(&entry.text, false, agent(self.agent));
            body["event"] = json!(event);
            body["id"] = json!(entry.id.parse::<u64>().unwrap_or_default());
            body["content_type"] = entry.extra["content_type"].clone();
            body["content_attributes"] = entry.extra["content_attributes"].clone();
            body
        };
        let changed = |event: &str, status: &str| {
            let mut body = self.conversation(conversation);
            (body["event"], body["status"]) = (json!(event), json!(status));
            body
        };
        let typing = |user: Value| {
            json!({
                "event": "conversation_typing_on", "user": user, "is_private": false,
                "conversation": self.conversation(conversation),
            })
        };
        let body = match happening {
            Happening::Opened => changed("conversation_created", "open"),
            Happening::Replied(text) => message(text, false, self.sender(conversation)),
            Happening::Noted(text) => message(text, true, agent(self.agent)),
            Happening::AgentReplied(text) => message(text, false, agent(self.agent + 1)),
            Happening::Posted(id) => kept(conversation.entry(id), "message_created"),
            Happening::Clicked(id) => {
                let (offer, choice) = conversation.clicked(id);
                let mut body = kept(offer, "message_updated");
                body["content_attributes"]["submitted_values"] =
                    json!([{ "title": choice.label, "value": choice.id }]);
                body
            }
            Happening::Closed => changed("conversation_status_changed", "resolved"),
            Happening::Reopened => changed("conversation_status_changed", "open"),
            Happening::Typing => typing(self.sender(conversation)),
            Happening::AgentTyping => typing(agent(self.agent + 1)),
        };
        Some(self.signed(&body, now))
    }

    fn readable(&self, kept: &str) -> String {
        markdown::readable(kept)
    }
}

impl Chatwoot {
    fn signed(&self, body: &Value, now: Timestamp) -> Hook {
        let hook = Hook::post(body);
        let timestamp = (now.as_millis() / 1000).to_string();
        let parts = [timestamp.as_bytes(), b".", &hook.body];
        let signature = signing::hex_sha256(&self.webhook_secret, &parts);
        hook.header("x-chatwoot-timestamp", &timestamp)
            .header("x-chatwoot-signature", format!("sha256={signature}"))
            .header("x-chatwoot-delivery", format!("00000000-0000-4000-8000-{:012x}", now.0))
    }

    fn post(&self, desk: &mut Desk, request: &Received, id: &str) -> Answer {
        let Some(Value::Object(body)) = request.json() else {
            return error(422, "The body isn't a JSON object");
        };
        if let Err(answer) = check_message(&body) {
            return answer;
        }
        let number = desk.number().to_string();
        let Some(conversation) = desk.conversation_mut(id) else {
            return missing();
        };
        let private = body["private"] == true;
        let text = liquid(body["content"].as_str().unwrap_or_default());
        let mut entry = Entry::note(number, &self.agent.to_string(), text, request.at);
        entry.kind = if private { Author::Note } else { Author::Visible };
        entry.extra = json!({
            "content_type": body.get("content_type").cloned().unwrap_or_else(|| json!("text")),
            "content_attributes": body.get("content_attributes").cloned().unwrap_or_else(|| json!({})),
            "calls": private && entry.text.contains("(mention://"),
        });
        let items = body.get("content_attributes").map(|it| &it["items"]).and_then(Value::as_array);
        let text = |item: &Value, name: &str| item[name].as_str().unwrap_or_default().to_owned();
        entry.options = (items.into_iter().flatten())
            .map(|item| Choice { id: text(item, "value"), label: text(item, "title") })
            .collect();
        let shown = self.message(id, &entry);
        conversation.write(entry);
        Answer::json(200, shown)
    }

    fn page(&self, conversation: &Conversation, request: &Received) -> Answer {
        let before = request.field("before").map(str::parse::<u64>);
        let Ok(before) = before.transpose() else {
            return error(422, "before isn't a number");
        };
        let older = |entry: &&Entry| {
            before.is_none_or(|before| entry.id.parse::<u64>().is_ok_and(|id| id < before))
        };
        let found: Vec<&Entry> = conversation.entries.iter().filter(older).collect();
        let page = &found[found.len().saturating_sub(PAGE)..];
        let payload: Vec<Value> =
            page.iter().map(|entry| self.message(&conversation.id, entry)).collect();
        let meta = json!({ "labels": [], "contact": self.sender(conversation) });
        Answer::json(200, json!({ "meta": meta, "payload": payload }))
    }

    fn message(&self, conversation: &str, entry: &Entry) -> Value {
        json!({
            "id": entry.id.parse::<u64>().unwrap_or_default(),
            "content": entry.text,
            "account_id": self.account,
            "inbox_id": 3,
            "conversation_id": conversation.parse::<u64>().unwrap_or_default(),
            "message_type": 1,
            "created_at": entry.at.as_millis() / 1000,
            "private": entry.kind == Author::Note,
            "status": "sent",
            "source_id": null,
            "content_type": entry.extra["content_type"],
            "content_attributes": entry.extra["content_attributes"],
            "sender": { "id": self.agent, "name": "Sidenote", "type": "user" },
        })
    }

    /// A conversation as webhooks show it.
    fn conversation(&self, conversation: &Conversation) -> Value {
        let mut attributes = Map::new();
        if let Some(session) = &conversation.opening.session {
            attributes.insert("session_id".to_owned(), json!(session));
        }
        let first = conversation.opening.text.iter();
        let first: Vec<_> =
            first.map(|text| json!({ "content": text, "message_type": 0 })).collect();
        json!({
            "id": conversation.id.parse::<u64>().unwrap_or_default(),
            "inbox_id": 3,
            "status": "open",
            "channel": "Channel::WebWidget",
            "can_reply": true,
            "additional_attributes": {},
            "custom_attributes": attributes,
            "labels": [],
            "messages": first,
            "meta": {
                "sender": self.sender(conversation),
                "assignee": null,
                "team": null,
                "hmac_verified": self.is_proven(conversation),
            },
            "contact_inbox": {
                "id": 180,
                "contact_id": 81,
                "inbox_id": 3,
                "source_id": "239a4135-0f7b-4fd5-b108-17f84e596aef",
                "hmac_verified": self.is_proven(conversation),
            },
            "unread_count": 1,
            "created_at": 1_734_537_559,
        })
    }

    fn is_proven(&self, conversation: &Conversation) -> bool {
        self.proven && conversation.opening.user_id.is_some()
    }

    fn sender(&self, conversation: &Conversation) -> Value {
        json!({
            "id": 81,
            "name": "Joe Bloggs",
            "type": "contact",
            "identifier": conversation.opening.user_id,
            "email": conversation.opening.email,
            "custom_attributes": {},
        })
    }
}

fn check_message(body: &Map<String, Value>) -> Result<(), Answer> {
    let invalid = |message: &str| error(422, &format!("Validation failed: {message}"));
    const KNOWN: [&str; 7] = [
        "content",
        "message_type",
        "private",
        "content_type",
        "content_attributes",
        "campaign_id",
        "template_params",
    ];
    if let Some(other) = body.keys().find(|key| !KNOWN.contains(&key.as_str())) {
        return Err(invalid(&format!("{other} isn't a parameter")));
    }
    let content = body.get("content").and_then(Value::as_str).unwrap_or_default();
    if content.trim().is_empty() {
        return Err(error(422, "param is missing or the value is empty: content"));
    }
    if content.chars().count() > MAX_CONTENT {
        return Err(invalid("Content is too long (maximum is 150000 characters)"));
    }
    if body.get("message_type").is_some_and(|kind| kind != "outgoing") {
        return Err(error(422, "Incoming messages are only allowed in Api inboxes"));
    }
    if body.get("private").is_some_and(|private| !private.is_boolean()) {
        return Err(invalid("private isn't a boolean"));
    }
    let attributes = match body.get("content_attributes") {
        None => &Value::Null,
        Some(attributes @ Value::Object(_)) => attributes,
        Some(_) => return Err(invalid("content_attributes isn't an object")),
    };
    match body.get("content_type").and_then(Value::as_str) {
        None | Some("text") => Ok(()),
        Some("input_select") => {
            let items = attributes["items"].as_array().filter(|items| !items.is_empty());
            let items = items.ok_or_else(|| invalid("Content attributes items are needed"))?;
            let fits = |item: &Value| {
                let text = |name: &str| item[name].as_str().is_some_and(|it| !it.is_empty());
                text("title") && text("value") && item.as_object().is_some_and(|it| it.len() == 2)
            };
            if items.iter().all(fits) {
                Ok(())
            } else {
                Err(invalid("Content attributes contains invalid keys for items"))
            }
        }
        Some(_) => Err(invalid("content_type isn't used by Sidenote")),
    }
}

/// What Liquid makes of a text: placeholders that it can't fill in come to nothing, and what stands between
/// backticks stays.
fn liquid(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut code = false;
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        code ^= c == '`';
        let end = match &rest.as_bytes()[..rest.len().min(2)] {
            b"{{" if !code => rest.find("}}"),
            b"{%" if !code => rest.find("%}"),
            _ => None,
        };
        rest = match end {
            Some(end) => &rest[end + 2..],
            None => {
                kept.push(c);
                &rest[c.len_utf8()..]
            }
        };
    }
    kept
}

fn missing() -> Answer {
    error(404, "Resource could not be found")
}

fn error(status: u16, message: &str) -> Answer {
    Answer::json(status, json!({ "error": message }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_are_filled_in_outside_of_code() {
        for (text, wanted) in [
            ("a {{contact.email}} b {% if x %}c", "a  b c"),
            ("`{{x}}` {{y}}", "`{{x}}` "),
            (r"\{\{x}} and {{ without end", r"\{\{x}} and {{ without end"),
        ] {
            assert_eq!(liquid(text), wanted);
        }
    }
}
