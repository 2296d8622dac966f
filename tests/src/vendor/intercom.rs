//! Intercom: conversations with parts, notes among them, that can be redacted.

use serde_json::{Map, Value, json};
use sidenote::clock::Timestamp;

use super::contract::{Happening, Vendor};
use super::desk::{Author, Choice, Conversation, Desk, Entry};
use super::exchange::{Answer, Hook, Received};
use super::limit::Scope;
use super::{markup, signing};

/// What may stand in a note; everything else is dropped.
const TAGS: [&str; 14] =
    ["p", "br", "b", "strong", "i", "em", "a", "ul", "ol", "li", "h1", "h2", "code", "pre"];
/// Parts that an answer holds at most.
const MAX_PARTS: usize = 500;
const REDACTED: &str = "<p><i>This message was deleted</i></p>";

/// The rules of Intercom.
#[derive(Debug, Clone)]
pub struct Intercom {
    /// The access token.
    pub token: String,
    /// The secret of the app, which signs webhooks.
    pub client_secret: String,
    /// The admin who may write.
    pub admin: String,
    /// The version that is spoken.
    pub version: String,
    /// Whether Messenger security is enforced, and the plugin is told so.
    pub proven: bool,
}

impl Default for Intercom {
    fn default() -> Self {
        Self {
            token: "dG9rOmludGVyY29t".to_owned(),
            client_secret: "intercom-client-secret".to_owned(),
            admin: "991267696".to_owned(),
            version: "2.16".to_owned(),
            proven: true,
        }
    }
}

impl Vendor for Intercom {
    fn name(&self) -> &'static str {
        "intercom"
    }

    fn configuration(&self, url: &str) -> String {
        format!(
            r#"
[plugins.intercom]
file = "intercom.wasm"

[plugins.intercom.config]
url = "{url}"
admin_id = "{admin}"
version = "{version}"
app_id = "a86dr8yl"
identity_verification = {proven}

[plugins.intercom.grants]
hosts = ["{url}"]
private = true

[plugins.intercom.secrets]
token = {{ env = "INTERCOM_TOKEN", hosts = ["{url}"] }}
client_secret = {{ env = "INTERCOM_CLIENT_SECRET", hosts = [] }}
"#,
            admin = self.admin,
            version = self.version,
            proven = self.proven,
        )
    }

    fn secrets(&self) -> Vec<(&'static str, String)> {
        vec![
            ("INTERCOM_TOKEN", self.token.clone()),
            ("INTERCOM_CLIENT_SECRET", self.client_secret.clone()),
        ]
    }

    fn conversation_id(&self, number: u64) -> String {
        format!("21547{number:06}")
    }

    fn conversation_of(&self, request: &Received) -> Option<String> {
        match &*request.route().1 {
            ["conversations", "redact"] => {
                request.json()?["conversation_id"].as_str().map(str::to_owned)
            }
            ["conversations", id, ..] => Some((*id).to_owned()),
            _ => None,
        }
    }

    fn check(&self, request: &Received) -> Result<(), Answer> {
        if request.header("authorization") != Some(&*format!("Bearer {}", self.token)) {
            return Err(error(401, "unauthorized", "Access Token Invalid"));
        }
        if request.header("intercom-version") != Some(&*self.version) {
            let message = "The requested version could not be found";
            return Err(error(400, "intercom_version_invalid", message));
        }
        if request.header("accept").is_some_and(|it| !it.contains("json") && it != "*/*") {
            return Err(error(
                406,
                "media_type_not_acceptable",
                "The Accept header should send json",
            ));
        }
        if request.method == "POST" && !request.is_json() {
            let message = "Content-Type should be application/json";
            return Err(error(415, "content_type_not_supported", message));
        }
        Ok(())
    }

    fn answer(&self, desk: &mut Desk, request: &Received) -> Answer {
        let (method, parts) = request.route();
        match (method, &*parts) {
            ("POST", ["conversations", "redact"]) => redact(desk, request),
            ("POST", ["conversations", id, "reply"]) => self.reply(desk, request, id),
            ("GET", ["conversations", id]) => match desk.conversation(id) {
                Some(conversation) => Answer::json(200, whole(conversation)),
                None => not_found(),
            },
            _ => error(404, "not_found", "The requested resource could not be found"),
        }
    }

    fn limited(&self, _: &Scope, until: Timestamp, _: Timestamp) -> (Answer, Timestamp) {
        let answer = error(429, "rate_limit_exceeded", "Exceeded rate limit")
            .header("x-ratelimit-limit", 1666)
            .header("x-ratelimit-remaining", 0)
            .header("x-ratelimit-reset", until.as_millis() / 1000);
        (answer, until)
    }

    fn quota(&self, left: u64, until: Timestamp, _: Timestamp) -> Vec<(&'static str, String)> {
        vec![
            ("x-ratelimit-limit", "1666".to_owned()),
            ("x-ratelimit-remaining", left.to_string()),
            ("x-ratelimit-reset", (until.as_millis() / 1000).to_string()),
        ]
    }

    fn broken(&self, status: u16) -> Answer {
        error(status, "server_error", "Sorry, something went wrong")
    }

    fn webhook(
        &self,
        conversation: &Conversation,
        happening: &Happening,
        now: Timestamp,
    ) -> Option<Hook> {
        let mut item = whole(conversation);
        let (person, agent) =
            (item["source"]["author"].clone(), json!({ "type": "admin", "id": "5017690" }));
        let said = |kind: &str, text: &str, author: &Value| {
            json!({
                "type": "conversation_part", "id": now.0.to_string(), "part_type": kind,
                "body": text, "author": author,
            })
        };
        let (topic, last) = match happening {
            Happening::Opened => ("conversation.user.created", None),
            Happening::Replied(text) => {
                ("conversation.user.replied", Some(said("comment", text, &person)))
            }
            Happening::Noted(text) => {
                let admin = json!({ "type": "admin", "id": self.admin });
                ("conversation.admin.noted", Some(said("note", text, &admin)))
            }
            Happening::AgentReplied(text) => {
                ("conversation.admin.replied", Some(said("comment", text, &agent)))
            }
            Happening::Posted(id) => {
                ("conversation.admin.replied", Some(part(conversation.entry(id))))
            }
            Happening::Clicked(id) => {
                let (_, choice) = conversation.clicked(id);
                let mut part = said("comment", &choice.label, &person);
                part["metadata"] = json!({ "quick_reply_uuid": choice.id });
                ("conversation.user.replied", Some(part))
            }
            Happening::Closed => ("conversation.admin.closed", Some(said("close", "", &agent))),
            Happening::Reopened => ("conversation.admin.opened", Some(said("open", "", &agent))),
            Happening::Typing | Happening::AgentTyping => return None,
        };
        item["conversation_parts"]["conversation_parts"] = Value::Array(Vec::from_iter(last));
        Some(self.signed(topic, item, now))
    }

    fn greetings(&self, now: Timestamp) -> Vec<Hook> {
        let ping = json!({ "type": "ping", "message": "something something interzen" });
        let head = Hook { method: "HEAD", headers: Vec::new(), body: Vec::new() };
        vec![head, self.signed("ping", ping, now)]
    }

    fn readable(&self, kept: &str) -> String {
        markup::readable(kept)
    }
}

impl Intercom {
    fn signed(&self, topic: &str, item: Value, now: Timestamp) -> Hook {
        let seconds = now.as_millis() / 1000;
        let hook = Hook::post(&json!({
            "type": "notification_event",
            "app_id": "a86dr8yl",
            "data": { "type": "notification_event_data", "item": item },
            "links": {},
            "id": format!("notif_{}", now.0),
            "topic": topic,
            "delivery_status": "pending",
            "delivery_attempts": 1,
            "delivered_at": 0,
            "first_sent_at": seconds,
            "created_at": seconds,
            "self": null,
        }));
        let signature = signing::hex_sha1(&self.client_secret, &[&hook.body]);
        hook.header("x-hub-signature", format!("sha1={signature}"))
    }

    fn reply(&self, desk: &mut Desk, request: &Received, id: &str) -> Answer {
        let Some(Value::Object(body)) = request.json() else {
            return error(422, "parameter_invalid", "The body isn't a JSON object");
        };
        let (kind, text) = match self.check_reply(&body) {
            Ok(checked) => checked,
            Err(refusal) => return refusal,
        };
        let number = desk.number().to_string();
        let Some(conversation) = desk.conversation_mut(id) else {
            return not_found();
        };
        let mut entry = Entry::note(number, &self.admin, text, request.at);
        entry.kind = if kind == "note" { Author::Note } else { Author::Visible };
        let options = body.get("reply_options").and_then(Value::as_array).into_iter().flatten();
        let text =
            |option: &Value, name: &str| option[name].as_str().unwrap_or_default().to_owned();
        entry.options = options
            .map(|option| Choice { id: text(option, "uuid"), label: text(option, "text") })
            .collect();
        entry.extra = json!({ "part_type": kind, "reply_options": body.get("reply_options") });
        conversation.write(entry);
        Answer::json(200, whole(conversation))
    }

    /// The kind of a reply, and its text as it is kept.
    fn check_reply<'a>(&self, body: &'a Map<String, Value>) -> Result<(&'a str, String), Answer> {
        let invalid = |message: &str| error(422, "parameter_invalid", message);
        const KNOWN: [&str; 7] = [
            "message_type",
            "type",
            "admin_id",
            "body",
            "created_at",
            "reply_options",
            "skip_notifications",
        ];
        if let Some(other) = body.keys().find(|key| !KNOWN.contains(&key.as_str())) {
            return Err(invalid(&format!("{other} isn't a parameter")));
        }
        let text = |name: &str| body.get(name).and_then(Value::as_str);
        if text("type") != Some("admin") {
            return Err(invalid("type must be admin"));
        }
        if text("admin_id") != Some(&self.admin) {
            return Err(error(404, "admin_not_found", "Admin for admin_id not found"));
        }
        let kind = text("message_type").ok_or_else(|| invalid("message_type is missing"))?;
        match (kind, text("body")) {
            ("note" | "comment", Some(html)) if !html.trim().is_empty() => {
                Ok((kind, markup::sanitise(html, &TAGS)))
            }
            ("quick_reply", html) => {
                let options = body.get("reply_options").and_then(Value::as_array);
                let options = options.ok_or_else(|| invalid("reply_options is missing"))?;
                if options.is_empty() || options.len() > 3 || !options.iter().all(is_option) {
                    return Err(invalid("reply_options are 1 to 3 with text and uuid"));
                }
                Ok((kind, html.unwrap_or_default().to_owned()))
            }
            ("note" | "comment", _) => Err(invalid("body is missing")),
            _ => Err(invalid("message_type is unknown")),
        }
    }
}

fn is_option(option: &Value) -> bool {
    let uuid = option["uuid"].as_str().unwrap_or_default();
    let groups: Vec<usize> = uuid.split('-').map(str::len).collect();
    let hex = uuid.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit());
    let text = option["text"].as_str().is_some_and(|text| !text.is_empty());
    text && hex && groups == [8, 4, 4, 4, 12] && option.as_object().is_some_and(|it| it.len() == 2)
}

fn redact(desk: &mut Desk, request: &Received) -> Answer {
    let body = request.json().unwrap_or_default();
    let text = |name: &str| body[name].as_str();
    let (Some("conversation_part"), Some(conversation), Some(part)) =
        (text("type"), text("conversation_id"), text("conversation_part_id"))
    else {
        return error(422, "parameter_invalid", "type, conversation_id or conversation_part_id");
    };
    let gone = || {
        let message = "Conversation part or message not found";
        error(404, "conversation_part_or_message_not_found", message)
    };
    let Some(conversation) = desk.conversation_mut(conversation) else {
        return gone();
    };
    let Some(entry) = conversation.entry_mut(part) else {
        return gone();
    };
    entry.text = REDACTED.to_owned();
    entry.redacted = true;
    Answer::json(200, whole(conversation))
}

/// A conversation as the API shows it.
fn whole(conversation: &Conversation) -> Value {
    let opening = &conversation.opening;
    let skip = conversation.entries.len().saturating_sub(MAX_PARTS);
    let parts: Vec<Value> = conversation.entries.iter().skip(skip).map(part).collect();
    let mut attributes = Map::new();
    if let Some(session) = &opening.session {
        attributes.insert("session_id".to_owned(), json!(session));
    }
    json!({
        "type": "conversation",
        "id": conversation.id,
        "created_at": 1_734_537_559,
        "updated_at": 1_734_537_561,
        "source": {
            "type": "conversation",
            "id": "403918349",
            "delivered_as": "customer_initiated",
            "subject": "",
            "body": format!("<p>{}</p>", opening.text.as_deref().unwrap_or_default()),
            "author": {
                "type": "user",
                "id": "6762f1571bb69f9f2193bbbb",
                "name": "Joe Bloggs",
                "email": opening.email,
            },
            "attachments": [],
            "url": null,
            "redacted": false,
        },
        "contacts": {
            "type": "contact.list",
            "contacts": [{
                "type": "contact",
                "id": "6762f1571bb69f9f2193bbbb",
                "external_id": opening.user_id,
            }],
        },
        "open": true,
        "state": "open",
        "custom_attributes": attributes,
        "conversation_parts": {
            "type": "conversation_part.list",
            "conversation_parts": parts,
            "total_count": conversation.entries.len(),
        },
    })
}

fn part(entry: &Entry) -> Value {
    json!({
        "type": "conversation_part",
        "id": entry.id,
        "part_type": entry.extra["part_type"],
        "body": entry.text,
        "created_at": entry.at.as_millis() / 1000,
        "author": { "id": entry.author, "type": "admin", "name": "Sidenote" },
        "attachments": [],
        "external_id": null,
        "redacted": entry.redacted,
        "metadata": { "quick_reply_options": entry.extra["reply_options"] },
    })
}

fn not_found() -> Answer {
    error(404, "not_found", "Resource Not Found")
}

fn error(status: u16, code: &str, message: &str) -> Answer {
    let errors = json!([{ "code": code, "message": message }]);
    let request = "06234918-c245-4caa-a2cc-90247983c6ff";
    Answer::json(status, json!({ "type": "error.list", "request_id": request, "errors": errors }))
}
