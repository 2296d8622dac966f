//! Erasing somebody by the API: no byte of them is left in any file or key of the store, nor in any answer,
//! whichever way it came in and whatever became of it. Their neighbour's is all there.

use serde_json::{Value, json};
use sidenote::session::payload::{ActionsPayload, SummaryPayload};
use sidenote_sim::{Event, Fault, Scope, post_json};
use sidenote_tests::{
    DEADLINE, Person, RedisServer, Rig, Setup, StoreKind, eventually, files_with,
};
use tokio::time::{Instant, sleep};

/// What came to pass in each of somebody's sessions.
const SESSIONS: [&str; 6] = ["sent", "open", "dead", "waiting", "pushed", "told"];

/// Nobody listens where the sink's lines go to: they wait.
const TABLES: &str = r#"
[context]
lookback = "1h"

[plugins.bot.breaker]
failures = 1000

[plugins.jsonl-http.config]
url = "http://127.0.0.1:1/lines"

[plugins.jsonl-http.grants]
hosts = ["http://127.0.0.1:1"]
private = true

[plugins.events.source.keys.website]
key = "pk_of_the_website"
product = "p"
"#;

/// Somebody of the product `p`: everything of them has their name in it.
struct Somebody {
    name: &'static str,
}

impl Somebody {
    fn user_id(&self) -> String {
        format!("{}-user", self.name)
    }

    fn in_session(&self, what: &str) -> Person {
        Person::new("p", format!("{}-{what}", self.name))
    }

    fn batch(&self, what: &str, range: std::ops::Range<u64>) -> ActionsPayload {
        let actions = range.map(|n| (n, format!("{}-text {n}", self.name)));
        ActionsPayload {
            user_id: Some(self.user_id()),
            email: Some(format!("{}@Mail.example", self.name)),
            ..self.in_session(what).saying(actions)
        }
    }

    /// Whether their texts stand in a conversation.
    fn is_in(&self, rig: &Rig, conversation: &str) -> bool {
        rig.platform.notes(conversation).iter().any(|note| note.body.contains(self.name))
    }

    /// All that can become of what somebody does. The conversations.
    async fn acts(&self, rig: &Rig) -> Vec<String> {
        let conversations: Vec<_> = ["sent", "dead", "waiting"]
            .into_iter()
            .map(|what| rig.conversation(&self.in_session(what)))
            .collect();
        let [sent, dead, waiting] = [&conversations[0], &conversations[1], &conversations[2]];
        rig.platform.fail(Scope::Conversation(dead.clone()), Fault::status(422), 1);
        rig.platform.fail(Scope::Conversation(waiting.clone()), Fault::status(503), 1);
        for (what, conversation) in [("sent", sent), ("dead", dead), ("waiting", waiting)] {
            rig.emit(&self.batch(what, 0..2)).await;
            let counters = rig.host().counters();
            rig.link(&self.in_session(what), conversation).await;
            eventually(|| {
                let now = rig.host().counters();
                let done = match what {
                    "sent" => now.notes_posted > counters.notes_posted,
                    "dead" => now.notes_dead > counters.notes_dead,
                    _ => now.attempts_failed > counters.attempts_failed,
                };
                if done { Ok(()) } else { Err(format!("{}'s note isn't {what}", self.name)) }
            })
            .await;
        }
        let summary = SummaryPayload {
            product_id: "p".to_owned(),
            session_id: Some(self.in_session("sent").session),
            summary: format!("{}-summary", self.name),
            replaces: 1,
            ..SummaryPayload::default()
        };
        rig.emit(&self.batch("sent", 2..4)).await;
        rig.emit_event(Event::summary(&summary)).await;
        rig.emit(&self.batch("open", 0..3)).await;
        let pushed = self.batch("pushed", 0..3);
        assert_eq!(rig.push(&self.in_session("pushed"), &pushed).await, 200);
        eventually(|| match self.is_in(rig, sent) {
            true => Ok(()),
            false => Err(format!("nothing of {}'s was sent", self.name)),
        })
        .await;
        self.tells_a_source(rig).await;
        self.is_told(rig).await;
        conversations
    }

    /// As a visitor first, then by name: the source remembers both.
    async fn tells_a_source(&self, rig: &Rig) {
        let (visitor, session) =
            (format!("{}-visitor", self.name), self.in_session("told").session);
        let events = json!([
            {"id": format!("{}-1", self.name), "name": format!("{}-text told", self.name), "anonymous": visitor, "session": session},
            {"kind": "identity", "anonymous": visitor, "session": session, "user": self.user_id(), "email": format!("{}@Mail.example", self.name)},
        ]);
        let key = [("x-sidenote-key", "pk_of_the_website")];
        let answer = post_json(&rig.url("/sources/events"), &key, events.to_string().into()).await;
        assert_eq!(answer.expect("the host answers").status, 200);
    }

    async fn context(&self, rig: &Rig) -> (u16, Value) {
        rig.get(&format!("/context/{}?product=p&query=", self.user_id())).await
    }

    /// Waits until all of their sessions are in the context.
    async fn is_told(&self, rig: &Rig) {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let (status, answer) = self.context(rig).await;
            let context = answer["context"].as_str().unwrap_or_default();
            if status == 200 && SESSIONS.iter().all(|what| context.contains(what)) {
                return;
            }
            assert!(Instant::now() < deadline, "{status} {answer}");
            sleep(std::time::Duration::from_millis(20)).await;
        }
    }

    /// What of them waits, as the outbox lists it.
    async fn waiting(&self, rig: &Rig) -> Vec<Value> {
        let (status, listed) = rig.get("/outbox?text=true&limit=1000").await;
        assert_eq!(status, 200);
        let listed = listed["entries"].as_array().expect("a list").clone();
        listed.into_iter().filter(|entry| entry.to_string().contains(self.name)).collect()
    }

    /// That no answer of the host's knows anything of them.
    async fn is_unknown(&self, rig: &Rig) {
        let (status, answer) = self.context(rig).await;
        assert_eq!((status, &answer["error"]["code"]), (404, &json!("unknown_user")));
        let path = format!("/users/p/{}/live-activity", self.user_id());
        assert_eq!(rig.get(&path).await.0, 404);
        assert_eq!(self.waiting(rig).await, Vec::<Value>::new());
        let again = self.erase(rig).await;
        let counts = ["sessions", "actions", "notes", "redactions", "left"];
        assert!(counts.iter().all(|count| again[count] == 0), "{again}");
    }

    async fn erase(&self, rig: &Rig) -> Value {
        let wish = json!({"product_id": "p", "user_id": self.user_id()});
        let answer = rig.post("/erase", &wish).await;
        assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
        serde_json::from_slice(&answer.body).expect("JSON")
    }
}

fn setup(store: StoreKind) -> Setup {
    Setup {
        store,
        pushed: true,
        delivery: "retry_initial = \"10m\"\nretry_max = \"10m\"".to_owned(),
        tables: TABLES.to_owned(),
        beside: &["jsonl-http"],
        files: &["jsonl-http.wasm", "events.wasm"],
        ..Setup::default()
    }
}

/// The story up to the erasure's end; the rig, the erased one and the neighbour.
async fn erased(rig: &mut Rig) -> [Somebody; 2] {
    let [ann, bob] = [Somebody { name: "zq4411ann" }, Somebody { name: "zq4411bob" }];
    let of_ann = ann.acts(rig).await;
    let of_bob = bob.acts(rig).await;
    for somebody in [&ann, &bob] {
        let waiting = somebody.waiting(rig).await;
        let for_sink = waiting.iter().filter(|entry| entry["plugin"] == "jsonl-http").count();
        assert!(for_sink >= SESSIONS.len(), "each session's lines wait: {waiting:?}");
    }
    let answer = ann.erase(rig).await;
    assert_eq!(answer["sessions"], SESSIONS.len() as u64, "{answer}");
    assert!(answer["notes"].as_u64() >= Some(2), "a dead note and one that waits: {answer}");
    assert!(answer["actions"].as_u64() >= Some(6), "what waits for a link: {answer}");
    ann.is_unknown(rig).await;
    eventually(|| match of_ann.iter().find(|conversation| ann.is_in(rig, conversation)) {
        None => Ok(()),
        Some(conversation) => Err(format!("a note is left in {conversation}")),
    })
    .await;
    assert!(bob.is_in(rig, &of_bob[0]), "the neighbour's notes stay");
    eventually(|| match rig.host().counters().redactions_waiting {
        0 => Ok(()),
        n => Err(format!("{n} notes are still redacted")),
    })
    .await;
    // Within one run there is a minute between two times that the files are written anew; the next start
    // doesn't wait for it.
    rig.stop_host().await;
    rig.start_host().await;
    bob.is_told(rig).await;
    ann.is_unknown(rig).await;
    [ann, bob]
}

#[tokio::test(flavor = "multi_thread")]
async fn no_byte_of_somebody_is_left_in_any_file_of_the_host() {
    let mut rig = Rig::start(setup(StoreKind::Embedded)).await;
    let [ann, bob] = erased(&mut rig).await;
    let folder = rig.plugins_folder().to_owned();
    eventually(|| match files_with(&folder, ann.name).as_slice() {
        [] => Ok(()),
        files => Err(format!("{} is in {files:?}", ann.name)),
    })
    .await;
    assert!(!files_with(&folder, bob.name).is_empty(), "the search finds what is there");
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_byte_of_somebody_is_left_on_a_redis_server_or_in_the_journal() {
    let Some(server) = RedisServer::start(&[]).await else { return };
    let mut rig = Rig::start(setup(StoreKind::Redis { url: server.url() })).await;
    let [ann, bob] = erased(&mut rig).await;
    let deadline = Instant::now() + DEADLINE;
    let folder = rig.plugins_folder().to_owned();
    while server.everything().await.contains(ann.name) || !files_with(&folder, ann.name).is_empty()
    {
        assert!(Instant::now() < deadline, "{} is still there", ann.name);
        sleep(std::time::Duration::from_millis(50)).await;
    }
    assert!(server.everything().await.contains(bob.name), "the search finds what is there");
    rig.stop().await;
}
