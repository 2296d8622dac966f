//! What plugins send, held against the vendors' own API descriptions: a mock server that Prism makes of one
//! answers what fits the description, and refuses what doesn't.
//!
//! The descriptions aren't part of this repository. Where they aren't at hand, nothing is held against them,
//! and the test says so.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use sidenote::clock::Timestamp;
use sidenote::ids::{ConversationId, ProductId, SessionId, SessionKey};
use sidenote::kv::CallKv;
use sidenote::outbox::note::{Call, Note, NoteKind};
use sidenote::plugin::{Offer, QuickReply, Registry};
use sidenote::post::Post;
use sidenote::session::packed::Packed;
use sidenote_tests::vendor::{Chatwoot, Intercom, Received, Vendor, VendorRig};
use sidenote_tests::{DEADLINE, Person, npm_package};
use tokio::process::{Child, Command};

/// Where the descriptions are, seen from this package.
const SPECS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/specs");
/// Prism's program, in its package.
const PRISM: &str = "node_modules/@stoplight/prism-cli/dist/index.js";

#[tokio::test(flavor = "multi_thread")]
async fn requests_fit_the_vendors_own_description_and_broken_ones_do_not() {
    let specs = [
        ("intercom", "intercom/conversations-2.16.json"),
        ("chatwoot", "chatwoot/application_swagger.json"),
    ];
    for (name, spec) in specs {
        let spec = Path::new(SPECS).join(spec);
        if !spec.is_file() {
            eprintln!(
                "left out: {} isn't there, so nothing of {name} was held against it",
                spec.display()
            );
            continue;
        }
        let requests = match name {
            "intercom" => requests(Intercom::default()).await,
            _ => requests(Chatwoot::default()).await,
        };
        let prism = Prism::start(&spec).await;
        for request in &requests {
            let (status, answer) = prism.ask(request, |_| {}).await;
            assert!((200..300).contains(&status), "{}: {status} {answer}", shown(request));
        }
        for request in &requests {
            assert_refused(&prism, request).await;
        }
        prism.stop().await;
    }
}

/// What a plugin sends for all that a host asks of it: a note posted, looked for and redacted, an offer and
/// an answer made.
async fn requests(vendor: impl Vendor) -> Vec<Received> {
    let plugin = vendor.name();
    let rig = VendorRig::start(vendor, "").await;
    let registry = rig.registry().await;
    let person = Person::new("p", "s-1");
    let id = rig.vendor.create(person.opening());
    let conversation = ConversationId::new(&*id).expect("an id of the platform");
    let note = note(plugin, &conversation);
    let posted = registry.post_note(call("key-1"), &note).await.expect("it is taken");
    registry.find_note(call("key-1"), &note).await.expect("it is looked for");
    let note_id = posted.note_id.expect("the note has an id");
    let redacted =
        registry.redact_note(call("key-2"), &plugin.into(), &conversation, &note_id).await;
    redacted.expect("it is redacted");
    speak(&registry, plugin, &conversation).await;
    let requests = rig.vendor.requests();
    assert_eq!(rig.vendor.refusals(), [] as [&str; 0]);
    assert!(requests.len() >= 5, "{} requests", requests.len());
    rig.stop().await;
    requests
}

async fn speak(registry: &Registry, plugin: &str, conversation: &ConversationId) {
    let reply = |id: &str| QuickReply { id: id.to_owned(), label: format!("The answer {id}") };
    let offer =
        Offer { text: "May I <help>?".to_owned(), quick_replies: ["y", "n"].map(reply).into() };
    let offered = registry.offer(plugin, call("key-3"), conversation, &offer).await;
    offered.expect("the offer is made");
    let answered = registry.reply(plugin, call("key-4"), conversation, "It's <there>.").await;
    answered.expect("the answer is taken");
}

/// That each of these is refused: a request without credentials, one whose body lacks what it must have, and one
/// to another address.
async fn assert_refused(prism: &Prism, request: &Received) {
    let (status, answer) = prism.ask(request, |it| it.headers.clear()).await;
    assert!(
        (400..500).contains(&status),
        "without credentials, {}: {status} {answer}",
        shown(request)
    );
    let (status, _) = prism.ask(request, |it| it.path.push_str("/elsewhere")).await;
    assert!((400..500).contains(&status), "to another address, {}: {status}", shown(request));
    let Some(Value::Object(body)) = request.json() else {
        return;
    };
    let mut refused = 0;
    for field in body.keys() {
        let mut broken = Value::Object(body.clone());
        broken[field] = json!([{ "odd": true }]);
        let (status, _) = prism.ask(request, |it| it.body = broken.to_string().into()).await;
        refused += u32::from((400..500).contains(&status));
    }
    assert!(refused > 0, "no field of {} is looked at", shown(request));
}

fn shown(request: &Received) -> String {
    let body = String::from_utf8_lossy(&request.body);
    format!("{} {} {body}", request.method, request.path)
}

fn call(key: &str) -> Call {
    Call {
        idempotency_key: key.to_owned(),
        attempt: 1,
        timeout: Duration::from_secs(10),
        traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned(),
        kv: CallKv::default(),
    }
}

fn note(plugin: &str, conversation: &ConversationId) -> Note {
    Note {
        key: SessionKey {
            product: ProductId::new("p").expect("an id"),
            session: SessionId::new("s-1").expect("an id"),
        },
        seq: 1,
        plugin: plugin.into(),
        conversation: conversation.clone(),
        user_id: None,
        email: None,
        kind: NoteKind::Actions,
        body: "session_id: s-1\n\n[1] clicked <Pay>\n[2] left".to_owned(),
        actions: Packed::default(),
        through: 2,
        idempotency_key: "key-1".to_owned(),
        sealed_at: Timestamp(0),
        waits_since: None,
        begun: false,
        resent_of: None,
    }
}

/// A mock server of a description.
struct Prism {
    process: Child,
    url: String,
    client: reqwest::Client,
}

impl Prism {
    async fn start(spec: &Path) -> Self {
        let program = npm_package("prism").await.join(PRISM);
        let port = sidenote_tests::free_address().port();
        let mut command = Command::new("node");
        command.arg(program).args(["mock", "--errors", "--host", "127.0.0.1", "--port"]);
        command.arg(port.to_string()).arg(spec).stdout(Stdio::null()).stderr(Stdio::null());
        let process = command.kill_on_drop(true).spawn().expect("Node.js runs");
        let prism = Self {
            process,
            url: format!("http://127.0.0.1:{port}"),
            client: reqwest::Client::builder().no_proxy().build().expect("a plain client"),
        };
        let deadline = tokio::time::Instant::now() + DEADLINE;
        while prism.client.get(&prism.url).send().await.is_err() {
            assert!(tokio::time::Instant::now() < deadline, "Prism doesn't listen");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        prism
    }

    /// Sends a request as it was recorded, but for a change. The status and the answer's text.
    async fn ask(&self, request: &Received, change: impl FnOnce(&mut Received)) -> (u16, String) {
        let mut request = request.clone();
        change(&mut request);
        let query = if request.query.is_empty() { "" } else { "?" };
        let url = format!("{}{}{query}{}", self.url, request.path, request.query);
        let mut sent = self.client.request(request.method.parse().expect("a method"), url);
        for (name, value) in &request.headers {
            if !["host", "content-length"].contains(&name.as_str()) {
                sent = sent.header(name, value);
            }
        }
        let answer = sent.body(request.body).send().await.expect("Prism answers");
        (answer.status().as_u16(), answer.text().await.expect("a whole answer"))
    }

    async fn stop(mut self) {
        self.process.kill().await.expect("Prism ends");
    }
}
