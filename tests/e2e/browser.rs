//! A page in a real browser is told which tour to show, where its origin may ask, and nothing where it may not.
//!
//! `cargo xtask test` installs Chromium where it can; without one these tests say so and show nothing.

use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::response::Html;
use axum::routing::{get, post};
use serde_json::{Value, json};
use sidenote_tests::{DEADLINE, Person, Rig, Setup, eventually};
use tokio::process::{Child, Command};
use tokio::task::JoinSet;

use crate::offers::{begin, offers, setup, stands, visits};

/// A server of pages, on an origin of its own, and what its page told it.
struct Site {
    addr: SocketAddr,
    told: Arc<Mutex<Vec<String>>>,
    _tasks: JoinSet<()>,
}

impl Site {
    /// Its page listens to the events whose address the browser gives it.
    async fn start() -> Self {
        let told: Arc<Mutex<Vec<String>>> = Arc::default();
        let seen = told.clone();
        let app = Router::new().route(
            "/told",
            post(move |body: Bytes| async move {
                let text = String::from_utf8_lossy(&body).into_owned();
                seen.lock().expect("nothing panics with it").push(text);
            }),
        );
        let app = app.route("/", get(|| async { Html(PAGE) }));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let addr = listener.local_addr().expect("it is bound");
        let mut tasks = JoinSet::new();
        tasks.spawn(async move { axum::serve(listener, app).await.expect("it serves") });
        Self { addr, told, _tasks: tasks }
    }

    fn origin(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// What the page told.
    fn told(&self) -> Vec<String> {
        self.told.lock().expect("nothing panics with it").clone()
    }

    async fn tells(&self, what: &str) {
        eventually(|| match self.told().iter().any(|told| told.contains(what)) {
            true => Ok(()),
            false => Err(format!("{} tells {:?}, not {what:?}", self.addr, self.told())),
        })
        .await;
    }
}

/// Listens to the events whose address stands behind `#`, and tells its server all that it hears of them.
const PAGE: &str = r#"<!doctype html><title>A page</title><script>
const tell = text => fetch('/told', { method: 'POST', body: text });
tell('here').then(() => {
  const events = new EventSource(decodeURIComponent(location.hash.slice(1)));
  events.onopen = () => tell('open');
  events.onerror = () => tell('error ' + events.readyState);
  events.onmessage = event => tell('message ' + event.data);
});
</script>"#;

/// Where Chromium is.
fn chromium() -> Option<&'static str> {
    let works = |program: &&str| {
        let version = std::process::Command::new(program).arg("--version").output();
        version.is_ok_and(|output| output.status.success())
    };
    ["chromium", "chromium-browser", "google-chrome"].into_iter().find(works)
}

/// Opens a page; the browser is ended with what is returned.
fn open(program: &str, profile: &std::path::Path, url: &str) -> Child {
    let mut browser = Command::new(program);
    // As root, and in containers, it has no sandbox. It stays for as long as somebody may debug it.
    browser.args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]);
    browser.args(["--no-first-run", "--disable-extensions", "--remote-debugging-port=0"]);
    browser.arg(format!("--user-data-dir={}", profile.display())).arg(url);
    browser.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    browser.kill_on_drop(true).spawn().expect("it was found a moment ago")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_whose_origin_may_ask_shows_the_tour_and_one_whose_origin_may_not_hears_nothing() {
    let Some(program) = chromium() else {
        use std::io::Write as _;
        let line = b"browser: no Chromium is here; what a page hears isn't shown\n";
        return std::io::stderr().write_all(line).expect("the line can be written");
    };
    let (allowed, other) = (Site::start().await, Site::start().await);
    let server = format!("event_origins = [{:?}]", allowed.origin());
    let rig = Rig::start(Setup { server, ..setup("") }).await;
    let person = Person::new("p", "s");
    let conversation = begin(&rig, &person).await;
    let path = "/sessions/p/s/events";
    let answer = rig.post(path, &json!({})).await;
    let answer: Value = serde_json::from_slice(&answer.body).expect("JSON");
    let token = answer["token"].as_str().expect("a token");
    let events = rig.url(&format!("{path}?token={token}"));
    let profiles = tempfile::tempdir().expect("a folder");
    let page = |site: &Site, name: &str| {
        open(program, &profiles.path().join(name), &format!("{}/#{events}", site.origin()))
    };
    let _browsers = [page(&allowed, "allowed"), page(&other, "other")];
    tokio::join!(allowed.tells("open"), other.tells("error"));

    visits(&rig, &person, &["a", "b", "a"]).await;
    let offer = offers(&rig, &conversation, 1).await.remove(0);
    stands(&rig, &person, "proactive_assistance", "").await;
    rig.platform.click(&conversation, &offer.quick_replies[1]).await.expect("the host hears of it");
    let question = offers(&rig, &conversation, 2).await.remove(1);
    let yes = &question.quick_replies[0];
    rig.platform.click(&conversation, yes).await.expect("the host hears of it");
    let told = tokio::time::timeout(DEADLINE, allowed.tells(r#""flow_id":"flow_export""#)).await;
    told.expect("in time");
    let launched = allowed.told().into_iter().filter(|told| told.contains("flow_export")).count();
    assert_eq!(launched, 1, "{:?}", allowed.told());
    let heard = other.told();
    assert!(heard.iter().all(|told| *told == "here" || told.starts_with("error")), "{heard:?}");
    rig.stop().await;
}
