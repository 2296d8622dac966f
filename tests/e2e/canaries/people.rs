//! What comes by the stream, by webhooks, and back from vendors and the model.

use sidenote::session::payload::{Action, ActionsPayload, SummaryPayload};
use sidenote_sim::{Event, Opening, post_json};
use sidenote_tests::eventually;

use super::Trial;
use super::mirror::{Answer, HOOK, LINES, MODEL, NOTES, TRACES};
use super::table::Kind;

/// People of the product `d`.
const PEOPLE: usize = 6;
/// What a vendor refuses with, that which holds the account for longest last.
const REFUSALS: [u16; 9] = [500, 503, 409, 400, 422, 404, 413, 403, 401];

impl Trial {
    /// A batch of one action, all of it to be hidden.
    fn batch(&self, product: &str, session: &str) -> ActionsPayload {
        self.batch_of(Kind::Personal, "event", product, session)
    }

    fn batch_of(&self, kind: Kind, way: &str, product: &str, session: &str) -> ActionsPayload {
        let personal = |what: &str| self.canaries.make(kind, format!("{way}: {what}"));
        let secret = |what: &str| self.canaries.secret(format!("{way}: {what} in raw_url"));
        let action = Action {
            title: personal("title"),
            description: personal("description"),
            canonical_url: format!("https://app.example.com/{}", personal("canonical_url")),
            raw_url: format!(
                "https://{}:x@app.example.com/a?token={}#{}",
                secret("password"),
                secret("token"),
                personal("fragment of raw_url")
            ),
            kind: personal("type"),
            timestamp_start: Some(1_700_000_000.0),
            timestamp_end: Some(1_700_000_000.0),
            ..Action::default()
        };
        ActionsPayload {
            product_id: product.to_owned(),
            session_id: Some(session.to_owned()),
            user_id: Some(personal("user_id")),
            email: Some(format!("{}@example.com", personal("email"))),
            actions: vec![action],
            forwarded_at: 1_700_000_000.0,
            ..ActionsPayload::default()
        }
    }

    pub(super) async fn link(&self, product: &str, session: &str, conversation: &str) {
        let wish = serde_json::json!({"product_id": product, "session_id": session, "conversation_id": conversation});
        let url = self.rig.url("/sessions/link");
        let bearer = format!("Bearer {}", self.token);
        let answer = post_json(&url, &[("authorization", &bearer)], wish.to_string().into()).await;
        assert_eq!(answer.expect("the host answers").status, 200);
    }

    /// Somebody in a session that is linked.
    async fn person(&self, product: &str) -> String {
        let session = self.canaries.id("session_id");
        let conversation = self.canaries.id("conversation_id");
        self.link(product, &session, &conversation).await;
        self.canaries.arrived(&format!("{session} {conversation}"));
        session
    }

    /// Waits until all of these ways have come to where the mirror takes them.
    async fn reaches(&self, path: &str, what: &str) {
        eventually(|| {
            self.canaries.arrived(&self.mirror.seen(path));
            let missing = self.canaries.missing(what);
            if missing.is_empty() { Ok(()) } else { Err(format!("{path} lacks {missing:?}")) }
        })
        .await;
    }

    pub(super) async fn people_act(&self) {
        for _ in 0..PEOPLE {
            let session = self.person("d").await;
            self.rig.emit(&self.batch("d", &session)).await;
            let summary = SummaryPayload {
                product_id: "d".to_owned(),
                session_id: Some(session),
                summary: self.canaries.personal("event: summary"),
                replaces: 1,
                forwarded_at: 1_700_000_001.0,
            };
            self.rig.emit_event(Event::summary(&summary)).await;
        }
        self.reaches(LINES, "event: ").await;
    }

    pub(super) async fn vendors_refuse(&self) {
        let echo = |what: &str, status: u16| {
            Answer::Echo(status, self.canaries.personal(format!("{what} answers {status}")))
        };
        self.mirror.script(LINES, [503, 400].map(|status| echo("a sink", status)));
        self.mirror.script(HOOK, [500, 503].map(|status| echo("the operators' webhook", status)));
        self.mirror.script(TRACES, [503, 400].map(|status| echo("the collector", status)));
        self.mirror.script(NOTES, REFUSALS.map(|status| echo("a vendor", status)));
        self.mirror.script(NOTES, [Answer::Body(self.canaries.personal("a vendor's 200"))]);
        for _ in 0..=REFUSALS.len() {
            let session = self.person("d").await;
            self.rig.emit(&self.batch("d", &session)).await;
        }
        for path in [NOTES, LINES, HOOK, TRACES] {
            self.mirror.is_through(path).await;
        }
        self.reaches(LINES, "event: ").await;
        self.canaries.arrived(&self.mirror.answered());
    }

    pub(super) async fn the_model_answers(&self) {
        let personal = |what: &str| self.canaries.personal(format!("the model: {what}"));
        self.mirror.script(
            MODEL,
            [
                Answer::Echo(500, personal("500")),
                Answer::Echo(429, personal("429")),
                Answer::Body(personal("no JSON")),
                Answer::Body(format!("{{\"error\": \"{}\"}}", personal("another shape"))),
                Answer::Model(personal("a first summary")),
                Answer::Model(personal("a second summary")),
            ],
        );
        for _ in 0..6 {
            let session = self.person("d").await;
            for n in 0..3 {
                let mut batch = self.batch("d", &session);
                batch.actions[0].index = n;
                self.rig.emit(&batch).await;
            }
        }
        self.mirror.is_through(MODEL).await;
        self.canaries.arrived(&self.mirror.answered());
        self.reaches(LINES, "event: ").await;
    }

    /// In conversations of the bot, with the model's answers to them.
    pub(super) async fn people_write(&self) {
        let personal = |what: &str| self.canaries.personal(format!("webhook: {what}"));
        for _ in 0..3 {
            let session = self.canaries.id("webhook: session_id");
            let opening = Opening {
                product: "p".to_owned(),
                session: Some(session.clone()),
                user_id: Some(personal("user_id")),
                email: Some(format!("{}@example.com", personal("email"))),
                text: Some(personal("opening text")),
            };
            let shown = format!("{opening:?}");
            let reply = personal("the model's answer");
            self.mirror.says(reply.clone());
            let conversation = self.rig.platform.open(opening).await.expect("the host hears of it");
            self.canaries.arrived(&shown);
            let done = self.batch_of(Kind::Personal, "a talk", "p", &session);
            let words = done.actions[0].description.clone();
            self.rig.emit(&done).await;
            eventually(|| {
                let notes = format!("{:?}", self.rig.platform.notes(&conversation));
                if notes.contains(&words) { Ok(()) } else { Err("no note of it".to_owned()) }
            })
            .await;
            self.canaries.arrived(&self.canaries.missing("a talk: ").join(" "));
            let said = personal("what a person says");
            self.rig.platform.reply(&conversation, &said).await.expect("the host hears of it");
            eventually(|| {
                let sent = format!("{:?}", self.rig.platform.messages(&conversation));
                let notes = format!("{:?}", self.rig.platform.notes(&conversation));
                self.canaries.arrived(&sent);
                self.canaries.arrived(&notes);
                let asked = self.mirror.seen(MODEL);
                let has = asked.contains(&said) && format!("{sent}{notes}").contains(&reply);
                if has {
                    Ok(())
                } else {
                    Err(format!("{reply} isn't sent: {}", self.rig.log().text()))
                }
            })
            .await;
            self.canaries.arrived(&said);
            let agent = personal("what an agent says");
            self.rig.platform.agent_writes(&conversation, &agent).await.expect("the host hears");
            self.canaries.arrived(&agent);
        }
    }

    pub(super) async fn odd_events_come(&self) {
        let odd = |what: &str| self.canaries.personal(format!("odd event: {what}"));
        let session = self.canaries.id("odd event: a session");
        let long = "x".repeat(2 << 20);
        let deep = "[".repeat(300);
        let events = [
            Event::data(format!("{{nope {}", odd("no JSON"))),
            Event::data(format!("[\"{}\"]", odd("a list"))),
            Event::data(format!("\"{}\"", odd("a text"))),
            Event::data(format!("{{\"type\": \"{}\"}}", odd("an unknown type"))),
            Event::data(format!("{{\"type\": [\"{}\"]}}", odd("a type that is a list"))),
            Event::data(format!(
                "{{\"type\": \"actions\", \"product_id\": \"d\", \"session_id\": \"{session}\", \"actions\": \"{}\"}}",
                odd("actions that are a text")
            )),
            Event::data(format!(
                "{{\"type\": \"actions\", \"product_id\": \"d\", \"session_id\": {{\"{}\": 1}}, \"actions\": [7, \"{}\"]}}",
                odd("a session that is an object"),
                odd("an action that is a text")
            )),
            Event::data(format!(
                "{{\"type\": \"actions\", \"product_id\": \"{}\", \"session_id\": \"{session}\", \"actions\": [{{\"title\": \"{}\"}}]}}",
                self.canaries.id("odd event: an unknown product"),
                odd("an action of an unknown product")
            )),
            Event::data(format!(
                "{{\"type\": \"summary\", \"product_id\": \"d\", \"session_id\": \"{session}\", \"summary\": [\"{}\"], \"replaces\": \"{}\"}}",
                odd("a summary that is a list"),
                odd("a number that is a text")
            )),
            Event::data(format!("{{\"type\": \"actions\", \"x\": {deep}\"{}\"", odd("a deep one"))),
            Event::data(format!(
                "{{\"type\": \"actions\", \"x\": \"{long}{}\"}}",
                odd("a huge one")
            )),
            Event::comment(&odd("a comment")),
            Event::raw(format!("{}: 1\n", odd("a field's name"))),
            Event::raw(format!("retry: {}\n", odd("a pause"))),
            Event::raw(
                [b"data: \xff\xfe".as_slice(), odd("no UTF-8").as_bytes(), b"\n\n"].concat(),
            ),
        ];
        for event in events {
            self.rig.emit_event(event).await;
        }
        // What comes behind them is read, and so they were.
        let session = self.person("d").await;
        self.rig.emit(&self.batch("d", &session)).await;
        self.reaches(LINES, "event: ").await;
        let read = self.canaries.missing("odd event: ");
        assert!(read.len() >= 18, "{read:?}");
        self.canaries.arrived(&read.join(" "));
    }

    pub(super) async fn a_connector_pushes(&self) {
        let url = self.rig.url("/ingest/d");
        let odd = |what: &str| self.canaries.personal(format!("push: {what}"));
        let bodies = [
            format!("{{nope {}", odd("no JSON")),
            format!("[\"{}\"]", odd("a list")),
            format!("{{\"type\": \"{}\"}}", odd("an unknown type")),
            format!(
                "{{\"type\": \"actions\", \"product_id\": \"d\", \"actions\": \"{}\"}}",
                odd("actions that are a text")
            ),
            format!(
                "{{\"type\": \"actions\", \"product_id\": \"{}\", \"actions\": []}}",
                odd("another product")
            ),
        ];
        for body in bodies {
            let signature = signed(self.secret("INGEST_D"), body.as_bytes());
            let forged = format!("sha256={}", self.canaries.secret("push: a forged signature"));
            for signature in [signature, forged] {
                let headers = [("x-connector-signature", &*signature)];
                let sent = post_json(&url, &headers, body.clone().into()).await;
                assert!(sent.expect("the host answers").status < 500);
                self.canaries.arrived(&format!("{body}{signature}"));
            }
        }
        let session = self.canaries.id("push: a session");
        self.link("d", &session, &self.canaries.id("push: a conversation")).await;
        let body = Event::actions(&self.batch("d", &session)).pushed().expect("it is an event");
        let signature = signed(self.secret("INGEST_D"), &body);
        let sent = post_json(&url, &[("x-connector-signature", &*signature)], body).await;
        assert_eq!(sent.expect("the host answers").status, 200);
        self.canaries.arrived(self.secret("INGEST_D"));
        self.canaries.arrived(&self.canaries.missing("push: ").join(" "));
        self.reaches(LINES, "event: ").await;
    }

    /// What a tool tells a source, what a stranger does, and what nobody can read.
    pub(super) async fn a_tool_sends(&self) {
        let personal = |what: &str| self.canaries.personal(format!("a source: {what}"));
        let good = serde_json::json!({
            "id": personal("an event's id"), "name": personal("an event"), "description": personal("a line"),
            "user": personal("a user"), "anonymous": personal("a visitor"), "session": self.canaries.id("a source: a session"),
            "email": format!("{}@example.com", personal("an address")), "page_title": personal("a title"),
            "url": format!("https://app.example.com/{}?{}#{}", personal("a path"), personal("a query"), personal("a fragment")),
            "properties": { "format": personal("a property"), personal("the name of a property"): 1 },
        });
        let odd = [
            format!("{{\"{}\": 1}}", personal("the name of a field")),
            format!(
                "{{\"name\": \"a\", \"user\": 1, \"at\": \"{}\"}}",
                personal("a time that is none")
            ),
            format!("{{nope {}", personal("no JSON")),
            format!("[\"{}\"]", personal("a list of texts")),
        ];
        let (key, url) = (self.secret("WRITE_KEY"), self.rig.url("/sources/events/"));
        let wrong = self.canaries.secret("a source: a wrong key");
        let cookie = self.canaries.secret("a source: a cookie");
        let good = good.to_string();
        for body in odd.iter().chain([&good]) {
            for key in [&*wrong, key] {
                let sent = self.client.post(format!("{url}?v={}", personal("a query of a tool")));
                let sent = sent.bearer_auth(key).header("cookie", &cookie).body(body.clone());
                let status = sent.send().await.expect("the host answers").status();
                assert!(!status.is_server_error(), "{status}: {body}");
                assert_eq!(status == 200, *body == good && key != wrong, "{status}: {body}");
            }
        }
        self.canaries.arrived(key);
        self.canaries.arrived(&self.canaries.missing("a source: ").join(" "));
    }

    pub(super) async fn a_plugin_traps(&self) {
        let session = self.person("t").await;
        // It cries out the whole note.
        let mut batch = self.batch_of(Kind::Spoken, "a panic", "t", &session);
        let cried = format!("spill{}", batch.actions[0].description);
        batch.actions[0].description.clone_from(&cried);
        self.rig.emit(&batch).await;
        let log = self.rig.log();
        eventually(|| match log.text().contains(&cried) {
            true => Ok(()),
            false => Err("the plugin doesn't cry out".to_owned()),
        })
        .await;
        self.canaries.arrived(&self.canaries.missing("a panic: ").join(" "));
    }
}

/// As the product's connector signs it.
fn signed(secret: &str, body: &[u8]) -> String {
    use hmac::{Hmac, Mac};
    let mac = Hmac::<sha2::Sha256>::new_from_slice(secret.as_bytes()).expect("any key fits");
    format!("sha256={}", hex::encode(mac.chain_update(body).finalize().into_bytes()))
}
