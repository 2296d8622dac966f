//! Messages to Crisp: notes, offers, answers; found again, and removed.

use serde::Serialize;
use serde_json::{Value, json};
use sidenote_plugin::help::Offer;
use sidenote_plugin::http::Request;
use sidenote_plugin::{Call, Failure, FailureKind, Note, Posted, Redaction};

use crate::api::Settings;
use crate::fingerprint::{self, Fingerprints};
use crate::markdown;

/// Posts a note. A long one takes several messages: those of them that an earlier attempt left are not
/// posted again.
pub(crate) fn note(call: &Call, note: &Note) -> Result<Posted, Failure> {
    let settings = Settings::load()?;
    let texts = markdown::parts(&note.body);
    let ids = Fingerprints::of(&call.idempotency_key, texts.len());
    for (fingerprint, text) in ids.all().zip(&texts) {
        let conversation = &*note.conversation_id;
        if texts.len() > 1 && is_there(&settings, conversation, fingerprint)? {
            continue;
        }
        post(&settings, conversation, fingerprint, "note", &json!(text))?;
    }
    Ok(Posted::with_id(ids.note_id()))
}

/// Offers help, with answers to click where there are some.
pub(crate) fn offer(call: &Call, conversation: &str, offer: &Offer) -> Result<Posted, Failure> {
    let text = markdown::plain(&offer.text);
    if offer.quick_replies.is_empty() {
        return visible(call, conversation, "text", &json!(text));
    }
    let choices: Vec<_> = (offer.quick_replies.iter())
        .map(|reply| json!({ "value": reply.id, "label": reply.label, "selected": false }))
        .collect();
    let content = json!({ "id": call.idempotency_key, "text": text, "choices": choices });
    visible(call, conversation, "picker", &content)
}

/// Answers the person.
pub(crate) fn reply(call: &Call, conversation: &str, text: &str) -> Result<Posted, Failure> {
    visible(call, conversation, "text", &json!(markdown::plain(text)))
}

/// The note with this key, where all of it is there: its last message is posted last; or else the offer or the answer.
pub(crate) fn find(conversation: &str, key: &str) -> Result<Option<String>, Failure> {
    let settings = Settings::load()?;
    let is_there = |fingerprint| is_there(&settings, conversation, fingerprint);
    let mut note = Fingerprints::of(key, 1);
    if !is_there(note.last)? {
        let visible = fingerprint::visible(key);
        return Ok(is_there(visible)?.then(|| visible.to_string()));
    }
    // Crisp doesn't say how many came before it.
    while note.count < markdown::MOST_PARTS && is_there(note.last + note.count)? {
        note.count += 1;
    }
    Ok(Some(note.note_id()))
}

/// Removes the messages of a note.
pub(crate) fn delete(conversation: &str, note: &str) -> Result<Redaction, Failure> {
    let settings = Settings::load()?;
    for fingerprint in Fingerprints::read(note)?.all() {
        match settings.send(Request::delete(message(&settings, conversation, fingerprint))) {
            Ok(_) => {}
            Err(failure) if failure.kind == FailureKind::NotFound => {}
            Err(failure) => return Err(failure),
        }
    }
    Ok(Redaction::Removed)
}

/// Posts a message that the person sees.
fn visible(
    call: &Call,
    conversation: &str,
    kind: &str,
    content: &Value,
) -> Result<Posted, Failure> {
    let id = fingerprint::visible(&call.idempotency_key);
    post(&Settings::load()?, conversation, id, kind, content)?;
    Ok(Posted::with_id(id.to_string()))
}

fn post(
    settings: &Settings,
    conversation: &str,
    fingerprint: u64,
    kind: &str,
    content: &Value,
) -> Result<(), Failure> {
    let message = Message {
        r#type: kind,
        from: "operator",
        origin: "chat",
        content,
        fingerprint,
        automated: true,
        user: User { r#type: "participant", nickname: settings.name() },
    };
    let url = format!("{}/message", settings.conversation(conversation));
    // Crisp answers JSON: whatever else answers there, a proxy's page, say, has no note.
    settings.send(Request::post(url).json(&message)?)?.json::<Value>().map(drop)
}

fn is_there(settings: &Settings, conversation: &str, fingerprint: u64) -> Result<bool, Failure> {
    match settings.send(Request::get(message(settings, conversation, fingerprint))) {
        Ok(_) => Ok(true),
        Err(failure) if failure.kind == FailureKind::NotFound => Ok(false),
        Err(failure) => Err(failure),
    }
}

fn message(settings: &Settings, conversation: &str, fingerprint: u64) -> String {
    format!("{}/message/{fingerprint}", settings.conversation(conversation))
}

/// A message as it is posted.
#[derive(Serialize)]
struct Message<'a> {
    r#type: &'a str,
    from: &'static str,
    origin: &'static str,
    content: &'a Value,
    fingerprint: u64,
    /// That no operator wrote it by hand.
    automated: bool,
    user: User<'a>,
}

#[derive(Serialize)]
struct User<'a> {
    r#type: &'static str,
    nickname: &'a str,
}

#[cfg(test)]
mod tests {
    use sidenote_plugin::Sent;
    use sidenote_plugin::test::{self, Host, Request};

    use super::*;

    const MESSAGE: &str = "https://api.crisp.chat/v1/website/w-1/conversation/session_1/message";
    /// The fingerprint of `key-1`.
    const ID: u64 = 0x5af2_95f2_7ea6 ^ 0x7113;

    const DONE: &str = r#"{"error":false,"reason":"dispatched","data":{}}"#;
    const MISSING: &str = r#"{"error":true,"reason":"message_not_found","data":{}}"#;

    fn host() -> Host {
        Host::new().config("website", "w-1").config("identifier", "i-1")
    }

    fn to_session(body: &str) -> Note {
        Note { conversation_id: "session_1".to_owned(), ..test::note(body) }
    }

    fn body(request: &Request) -> Value {
        serde_json::from_slice(&request.body).unwrap()
    }

    /// Method, and what follows the messages' address.
    fn asked(host: &Host) -> Vec<(String, String)> {
        let ask = |it: Request| (it.method, it.url.replace(MESSAGE, ""));
        host.requests().into_iter().map(ask).collect()
    }

    fn ask(method: &str, offset: u64) -> (String, String) {
        (method.to_owned(), format!("/{}", ID + offset))
    }

    #[test]
    fn a_note_has_the_fingerprint_of_its_key() {
        let host = host().respond(202, DONE).install();
        let posted = note(&test::call(), &to_session("typed {{secret:token}}")).unwrap();
        assert_eq!(posted, Posted::with_id(ID.to_string()));
        let request = &host.requests()[0];
        assert_eq!((&*request.method, &*request.url), ("POST", MESSAGE));
        assert!(!request.secrets_in_body);
        for (name, value) in
            [("authorization", "Basic i-1:{{secret:token}}"), ("x-crisp-tier", "plugin")]
        {
            assert!(request.headers.contains(&(name.to_owned(), value.to_owned())));
        }
        let wanted = json!({
            "type": "note", "from": "operator", "origin": "chat", "content": "typed {{secret:token}}",
            "fingerprint": ID, "automated": true,
            "user": { "type": "participant", "nickname": "Sidenote" },
        });
        assert_eq!(body(request), wanted);
    }

    #[test]
    fn a_long_note_goes_on_where_an_attempt_before_stopped_and_ends_with_its_own_fingerprint() {
        let long = to_session(&"clicked Pay\n".repeat(500));
        assert_eq!(markdown::parts(&long.body).len(), 3);
        let host = host()
            .respond(200, DONE)
            .respond(404, MISSING)
            .respond(202, DONE)
            .respond(404, MISSING)
            .respond(202, DONE)
            .install();
        assert_eq!(note(&test::call(), &long).unwrap(), Posted::with_id(format!("{ID}:3")));
        let post = ("POST".to_owned(), String::new());
        let wanted = [ask("GET", 1), ask("GET", 2), post.clone(), ask("GET", 0), post];
        assert_eq!(asked(&host), wanted);
        assert_eq!(body(&host.requests()[2])["fingerprint"], ID + 2);
        assert_eq!(body(&host.requests()[4])["fingerprint"], ID);
    }

    #[test]
    fn a_note_is_found_when_its_last_message_is_there() {
        let absent = host().respond(404, MISSING).respond(404, MISSING).install();
        assert_eq!(find("session_1", "key-1"), Ok(None));
        assert_eq!(asked(&absent), [ask("GET", 0), ask("GET", 1 << 52)]);
        host().respond(404, MISSING).respond(200, DONE).install();
        let visible = (ID | 1 << 52).to_string();
        assert_eq!(find("session_1", "key-1"), Ok(Some(visible)), "an offer or an answer");
        host().respond(200, DONE).respond(404, MISSING).install();
        assert_eq!(find("session_1", "key-1"), Ok(Some(ID.to_string())));
        host().respond(200, DONE).respond(200, DONE).respond(404, MISSING).install();
        assert_eq!(find("session_1", "key-1"), Ok(Some(format!("{ID}:2"))));
        host().respond(500, "").install();
        assert_eq!(find("session_1", "key-1").unwrap_err().kind, FailureKind::Transient);
    }

    #[test]
    fn every_message_of_a_note_is_removed_and_a_missing_one_is_gone() {
        let host = host().respond(200, DONE).respond(404, MISSING).install();
        assert_eq!(delete("session_1", &format!("{ID}:2")), Ok(Redaction::Removed));
        assert_eq!(asked(&host), [ask("DELETE", 1), ask("DELETE", 0)]);
    }

    #[test]
    fn an_offer_is_a_picker_and_a_reply_is_a_text() {
        let host = host().respond(202, DONE).respond(202, DONE).install();
        let help = Offer::new("Stuck at *Pay*?").quick_reply("yes", "Yes, please");
        let posted = offer(&test::call(), "session_1", &help).unwrap();
        assert_eq!(posted, Posted::with_id((ID | 1 << 52).to_string()));
        reply(&test::call(), "session_1", "Try again.").unwrap();
        let requests = host.requests();
        let (picker, text) = (body(&requests[0]), body(&requests[1]));
        let content = json!({ "id": "key-1", "text": r"Stuck at \*Pay\*?", "choices": [
            { "value": "yes", "label": "Yes, please", "selected": false },
        ] });
        assert_eq!((&picker["type"], &picker["content"]), (&json!("picker"), &content));
        assert_eq!((&text["type"], &text["content"]), (&json!("text"), &json!("Try again.")));
    }

    #[test]
    fn refusals_become_kinds_of_failure() {
        let limited = r#"{"error":true,"reason":"quota_limit_exceeded","data":{}}"#;
        for (status, answer, kind, sent) in [
            (429, limited, FailureKind::RateLimited, Sent::Sent),
            (420, limited, FailureKind::RateLimited, Sent::Sent),
            (401, "{}", FailureKind::Auth, Sent::Sent),
            (404, "{}", FailureKind::NotFound, Sent::Sent),
            (400, "{}", FailureKind::Invalid, Sent::Sent),
            (500, "", FailureKind::Transient, Sent::Unknown),
            (200, "<html>", FailureKind::Permanent, Sent::Sent),
        ] {
            host().respond(status, answer).install();
            let failure = note(&test::call(), &to_session("x")).unwrap_err();
            assert_eq!((failure.kind, failure.sent), (kind, sent), "{status} {answer}");
            let pause = (kind == FailureKind::RateLimited).then_some(10_000);
            assert_eq!(failure.retry_after_ms, pause, "{status}");
        }
    }

    #[test]
    fn a_configuration_that_cannot_be_used_sends_nothing() {
        for host in [
            Host::new().config("website", "w-1"),
            Host::new().config("identifier", "i-1"),
            Host::new().config("website", "").config("identifier", "i-1"),
            Host::new().config("website", "w-1").config("identifier", "i:1"),
        ] {
            let host = host.install();
            let failure = note(&test::call(), &to_session("x")).unwrap_err();
            assert_eq!((failure.kind, failure.sent), (FailureKind::Invalid, Sent::NotSent));
            assert!(host.requests().is_empty());
        }
    }
}
