//! Who did what: each platform's webhooks, signed by its fake, are read by its plugin; what the plugin posts is accepted
//! by the fake; and a click leads back to the host's id.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use sidenote::clock::Timestamp;
use sidenote_chatwoot::Chatwoot;
use sidenote_crisp::Crisp;
use sidenote_intercom::Intercom;
use sidenote_plugin::help::Offer;
use sidenote_plugin::test::{self, Host};
use sidenote_plugin::webhook::{Event, Turn};
use sidenote_plugin::{Failure, Finder, Messenger, Posted, Redactor, Webhook};
use sidenote_sim::Opening;
use sidenote_slack::Slack;
use sidenote_tests::vendor::{self, Desk, Happening, Hook, Received, Vendor};
use sidenote_zendesk::Zendesk;

const NOW: u64 = 1_800_000_000;
/// An id as the host gives it.
const OPTION: &str = "o0123456789abcdef0123";

/// A platform: its fake, and its plugin.
struct Row {
    vendor: Box<dyn Vendor>,
    settings: Vec<(&'static str, String)>,
    /// The secret that verifies, by its name and what it is called in the fake's environment.
    verifies: (&'static str, &'static str),
    token: &'static str,
    receive: fn(
        sidenote_plugin::webhook::Request,
    ) -> Result<Vec<Event>, sidenote_plugin::webhook::Rejection>,
    offer: fn(sidenote_plugin::Call, String, Offer) -> Result<Posted, Failure>,
    reply: fn(sidenote_plugin::Call, String, String) -> Result<Posted, Failure>,
    find: fn(sidenote_plugin::Call, String, String) -> Result<Option<String>, Failure>,
    redact:
        fn(sidenote_plugin::Call, String, String) -> Result<sidenote_plugin::Redaction, Failure>,
}

macro_rules! row {
    ($plugin:ty, $vendor:expr, $verifies:expr, $token:expr, [$($key:literal = $value:expr),*]) => {
        Row {
            vendor: Box::new($vendor),
            settings: vec![$(($key, $value.to_string())),*],
            verifies: $verifies,
            token: $token,
            receive: <$plugin>::receive,
            offer: <$plugin>::offer,
            reply: <$plugin>::reply,
            find: <$plugin>::find_note,
            redact: <$plugin>::redact_note,
        }
    };
}

fn rows() -> Vec<Row> {
    let intercom = vendor::Intercom::default();
    let (chatwoot, crisp) = (vendor::Chatwoot::default(), vendor::Crisp::default());
    let admin = intercom.admin.clone();
    let (account, website, identifier) =
        (chatwoot.account, crisp.website.clone(), crisp.identifier.clone());
    let events = vendor::Zendesk { events: true, ..vendor::Zendesk::default() };
    vec![
        row!(
            Intercom,
            intercom,
            ("client_secret", "INTERCOM_CLIENT_SECRET"),
            "INTERCOM_TOKEN",
            ["admin_id" = admin]
        ),
        row!(
            Chatwoot,
            chatwoot,
            ("webhook_secret", "CHATWOOT_WEBHOOK_SECRET"),
            "CHATWOOT_TOKEN",
            ["account" = account, "url" = "https://chat.example"]
        ),
        row!(
            Crisp,
            crisp,
            ("signing_secret", "CRISP_SIGNING_SECRET"),
            "CRISP_TOKEN",
            ["website" = website, "identifier" = identifier]
        ),
        row!(
            Slack,
            vendor::Slack::default(),
            ("signing_secret", "SLACK_SIGNING_SECRET"),
            "SLACK_TOKEN",
            []
        ),
        row!(
            Zendesk,
            events,
            ("signing_secret", "ZENDESK_SIGNING_SECRET"),
            "ZENDESK_TOKEN",
            ["subdomain" = "acme", "pace" = 0]
        ),
        row!(
            Zendesk,
            vendor::Zendesk::default(),
            ("signing_secret", "ZENDESK_SIGNING_SECRET"),
            "ZENDESK_TOKEN",
            ["subdomain" = "acme", "pace" = 0]
        ),
    ]
}

/// A platform's memory, and the plugin's calls of it.
struct Scene {
    row: Row,
    desk: Desk,
    conversation: String,
}

impl Scene {
    fn new(row: Row) -> Self {
        let mut desk = Desk::default();
        let number = desk.number();
        let conversation = row.vendor.conversation_id(number);
        let opening = Opening {
            session: Some("s-1".to_owned()),
            user_id: Some("u-1".to_owned()),
            email: Some("ann@example.com".to_owned()),
            text: Some("I can't pay".to_owned()),
            ..Opening::default()
        };
        desk.open(conversation.clone(), opening);
        Self { row, desk, conversation }
    }

    fn name(&self) -> &'static str {
        self.row.vendor.name()
    }

    fn secret(&self, variable: &str) -> String {
        let mut secrets = self.row.vendor.secrets().into_iter();
        secrets.find(|(name, _)| *name == variable).unwrap().1
    }

    fn host(&self) -> Host {
        let host = Host::new().at(NOW);
        let host = host.secret(self.row.verifies.0, &self.secret(self.row.verifies.1));
        self.row.settings.iter().fold(host, |host, (key, value)| host.config(key, value))
    }

    /// Calls the plugin as often as it has further requests, and answers them as the platform does.
    fn call<T>(&mut self, call: impl Fn() -> T) -> T {
        let mut answers: Vec<(u16, String)> = Vec::new();
        loop {
            let host = answers
                .iter()
                .fold(self.host(), |host, (status, body)| host.respond(*status, body));
            let host = host.install();
            let outcome = call();
            let requests = host.requests();
            if requests.len() == answers.len() {
                return outcome;
            }
            let received = self.received(&requests[answers.len()]);
            let refused = self.row.vendor.check(&received).err();
            let answer =
                refused.unwrap_or_else(|| self.row.vendor.answer(&mut self.desk, &received));
            let is_absent = received.method == "GET" && answer.status == 404;
            assert!(answer.is_success() || is_absent, "{}: {answer:?}", self.name());
            assert_ne!(answer.body["ok"], false, "{}: {answer:?}", self.name());
            answers.push((answer.status, answer.body.to_string()));
        }
    }

    /// A request as it comes in, with its secrets put in.
    fn received(&self, request: &test::Request) -> Received {
        let token = self.secret(self.row.token);
        let (path, query) = {
            let rest = request.url.split_once("://").unwrap().1;
            let path = &rest[rest.find('/').unwrap()..];
            path.split_once('?').unwrap_or((path, ""))
        };
        let mut headers = axum::http::HeaderMap::new();
        for (name, value) in &request.headers {
            let value = value.replace("{{secret:token}}", &token);
            let value = match value.strip_prefix("Basic ") {
                Some(pair) => format!("Basic {}", STANDARD.encode(pair)),
                None => value,
            };
            let name: axum::http::HeaderName = name.parse().unwrap();
            headers.append(name, value.parse().unwrap());
        }
        Received {
            method: request.method.clone(),
            path: path.to_owned(),
            query: query.to_owned(),
            headers,
            body: request.body.clone().into(),
            at: now(),
        }
    }

    /// What the plugin makes of what the platform tells; `None` where it tells nothing.
    fn told(&mut self, happening: &Happening) -> Option<Turn> {
        let conversation = self.desk.conversation(&self.conversation).unwrap();
        let hook = self.row.vendor.webhook(conversation, happening, now())?;
        let receive = self.row.receive;
        let mut events = self.call(|| receive(request(&hook))).unwrap();
        match events.remove(0) {
            Event::Opened(turn) | Event::Replied(turn) => Some(turn),
            Event::Ignored => None,
            other @ Event::Challenge(_) => panic!("{}: {other:?}", self.name()),
        }
    }

    fn entry_id(&self) -> String {
        let conversation = self.desk.conversation(&self.conversation).unwrap();
        conversation.entries.last().unwrap().id.clone()
    }
}

fn now() -> Timestamp {
    Timestamp(i64::try_from(NOW * 1_000_000).unwrap())
}

fn request(hook: &Hook) -> sidenote_plugin::webhook::Request {
    let headers: Vec<_> = hook.headers.iter().map(|(name, value)| (&**name, &**value)).collect();
    test::webhook(hook.method, &headers, &hook.body)
}

fn said(turn: &Turn, key: &str) -> Option<String> {
    turn.extras.iter().find(|(known, _)| known == key).map(|(_, word)| word.clone())
}

/// Author and what happened, and whether anybody is named.
fn doing(turn: Option<&Turn>) -> String {
    let Some(turn) = turn else { return "nothing".to_owned() };
    let mut words = said(turn, "author").unwrap_or_else(|| "person".to_owned());
    if let Some(happened) = said(turn, "happened") {
        write!(words, " {happened}").unwrap();
    }
    let is_named =
        turn.session_id.is_some() || turn.external_user_id.is_some() || turn.email.is_some();
    if is_named { format!("{words}, named") } else { words }
}

#[test]
fn what_people_agents_and_platforms_do_means_the_same_everywhere() {
    for row in rows() {
        let mut scene = Scene::new(row);
        let name = scene.name();
        // Slack's own people aren't looked up here, so a message there names nobody.
        let person = if name == "slack" { "person" } else { "person, named" };
        let text = "Hello".to_owned();
        for (happening, wanted) in [
            (Happening::Replied(text.clone()), person),
            (Happening::AgentReplied(text), "agent"),
            (Happening::Closed, "closed"),
            (Happening::Reopened, "reopened"),
            (Happening::Typing, "person typing"),
            (Happening::AgentTyping, "agent typing"),
        ] {
            let turn = scene.told(&happening);
            let told = doing(turn.as_ref());
            let untold = match happening {
                Happening::Typing | Happening::AgentTyping => {
                    matches!(name, "intercom" | "slack" | "zendesk")
                }
                Happening::Closed | Happening::Reopened => name == "slack",
                Happening::Opened
                | Happening::Replied(_)
                | Happening::Noted(_)
                | Happening::AgentReplied(_)
                | Happening::Posted(_)
                | Happening::Clicked(_) => false,
            };
            if untold {
                assert_eq!(told, "nothing", "{name} {happening:?}");
            } else if matches!(happening, Happening::Closed | Happening::Reopened) {
                // By whom isn't told everywhere.
                assert!(told.ends_with(wanted), "{name} {happening:?}: {told}");
            } else {
                assert_eq!(told, wanted, "{name} {happening:?}");
            }
        }
    }
}

#[test]
fn what_we_post_is_never_a_persons_nor_an_agents_when_it_comes_back() {
    for row in rows() {
        let mut scene = Scene::new(row);
        let (name, conversation, reply) =
            (scene.name(), scene.conversation.clone(), scene.row.reply);
        scene.call(|| reply(test::call(), conversation.clone(), "Try again".to_owned())).unwrap();
        let posted = scene.entry_id();
        let turn = scene.told(&Happening::Posted(posted));
        assert_eq!(doing(turn.as_ref()), "bot", "{name}");
    }
}

#[test]
fn an_offer_is_accepted_found_clicked_and_removed() {
    for row in rows() {
        let mut scene = Scene::new(row);
        let (name, conversation) = (scene.name(), scene.conversation.clone());
        let offer = scene.row.offer;
        let help = Offer::new("Trouble paying?").quick_reply(OPTION, "Yes, please");
        let help = help.quick_reply("o0123456789abcdef0124", "No");
        let posted = scene.call(|| offer(test::call(), conversation.clone(), help.clone()));
        if name == "zendesk" {
            assert_eq!(posted.unwrap_err().code, "offers-unsupported");
            continue;
        }
        let id = posted.unwrap().note_id.unwrap();
        let find = scene.row.find;
        for (key, wanted) in [("key-1", Some(&id)), ("key-2", None)] {
            let found = scene.call(|| find(test::call(), conversation.clone(), key.to_owned()));
            assert_eq!(found.unwrap().as_ref(), wanted, "{name} {key}");
        }
        let option = {
            let kept = scene.desk.conversation(&conversation).unwrap();
            kept.offer()
                .unwrap()
                .options
                .iter()
                .find(|it| it.label == "Yes, please")
                .unwrap()
                .id
                .clone()
        };
        let turn = scene.told(&Happening::Clicked(option)).unwrap();
        assert_eq!(said(&turn, "option-id").as_deref(), Some(OPTION), "{name}");
        assert_eq!(turn.text.as_deref(), Some("Yes, please"), "{name}");
        assert_eq!(said(&turn, "author"), None, "{name}");
        assert!(said(&turn, "message-id").is_some(), "{name}");
        let redact = scene.row.redact;
        scene.call(|| redact(test::call(), conversation.clone(), id.clone())).unwrap();
        let kept = scene.desk.conversation(&conversation).unwrap();
        assert!(kept.offer().is_none(), "{name}: nothing is left to click");
    }
}

#[test]
fn an_answer_is_found_by_its_key() {
    for row in rows() {
        let mut scene = Scene::new(row);
        let (name, conversation) = (scene.name(), scene.conversation.clone());
        let (reply, find) = (scene.row.reply, scene.row.find);
        let posted =
            scene.call(|| reply(test::call(), conversation.clone(), "Try again".to_owned()));
        let id = posted.unwrap().note_id;
        assert!(id.is_some(), "{name}");
        let found = scene.call(|| find(test::call(), conversation.clone(), "key-1".to_owned()));
        assert_eq!(found.unwrap(), id, "{name}");
        let kept = scene.desk.conversation(&conversation).unwrap();
        let seen = kept.entries.iter().filter(|it| it.kind == vendor::Author::Visible);
        let texts: Vec<_> = seen.map(|it| scene.row.vendor.readable(&it.text)).collect();
        assert!(matches!(&*texts, [text] if text.contains("Try again")), "{name}: {texts:?}");
    }
}

#[test]
fn every_platform_with_a_manifest_that_says_less_refuses_offers_itself() {
    for (folder, manifest) in crate::rows::manifests() {
        let says_no = manifest["messenger"]["offers_unsupported"] != Value::Null;
        assert_eq!(says_no, folder == "zendesk", "plugins/{folder}");
    }
}
