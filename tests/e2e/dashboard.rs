//! The dashboard in a real browser, as an operator uses it.
//!
//! `cargo xtask test` installs Chromium and its driver where it can; without them this test says so and shows nothing.
//! What the pages look like stays in `target/test-output/dashboard`.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use sidenote_sim::{Fault, Scope};
use sidenote_tests::{DEADLINE, Person, Rig, Setup, npm_package};
use thirtyfour::prelude::*;

use crate::driven::Driven;

/// What is drawn: a name, a width, a height, and the colours.
const VIEWS: [(&str, u32, u32, &str); 4] = [
    ("desktop-light", 1280, 800, "light"),
    ("desktop-dark", 1280, 800, "dark"),
    ("phone-light", 360, 740, "light"),
    ("phone-dark", 360, 740, "dark"),
];

/// How long is waited before the page is looked at again.
const PAUSE: std::time::Duration = std::time::Duration::from_millis(50);

/// Has axe look at the page as it is drawn now, and tell what breaks its rules.
const RUN_AXE: &str = "const done = arguments[arguments.length - 1];
axe.run().then(found => done(found.violations.map(it => ({
  id: it.id, impact: it.impact, nodes: it.nodes.map(node => node.html).slice(0, 3), why: it.nodes[0].failureSummary
}))))";

/// A browser at the dashboard.
struct Browser {
    driven: Driven,
    origin: String,
    axe: String,
    pictures: PathBuf,
}

impl Browser {
    /// Starts one; `None` where there is none on this machine.
    async fn start(origin: String) -> Option<Self> {
        let driven = Driven::start().await?;
        let axe = npm_package("axe").await.join("node_modules/axe-core/axe.min.js");
        let pictures =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/test-output/dashboard");
        std::fs::create_dir_all(&pictures).expect("a folder in target");
        let axe = std::fs::read_to_string(axe).expect("axe is installed");
        Some(Self { driven, origin, axe, pictures })
    }

    async fn go(&self, path: &str) {
        self.driven.page.goto(format!("{}{path}", self.origin)).await.expect("the page loads");
    }

    async fn path(&self) -> String {
        let url = self.driven.page.current_url().await.expect("there is a page");
        url.as_str().strip_prefix(&self.origin).expect("it is the dashboard's").to_owned()
    }

    /// The text that people see.
    async fn text(&self) -> String {
        self.script("return document.body.innerText").await.as_str().expect("text").to_owned()
    }

    async fn script(&self, script: &str) -> Value {
        let ended = self.driven.page.execute(script, Vec::new()).await.expect("the script runs");
        ended.json().clone()
    }

    /// Waits until the page shows a text.
    async fn shows(&self, text: &str) {
        let wait = async {
            while !self.text().await.contains(text) {
                tokio::time::sleep(PAUSE).await;
            }
        };
        if tokio::time::timeout(DEADLINE, wait).await.is_err() {
            panic!("{} doesn't show {text:?}:\n{}", self.path().await, self.text().await);
        }
    }

    /// Presses a button or a link with these words.
    async fn press(&self, words: &str) {
        let by = format!("//main//*[self::a or self::button][normalize-space()={words:?}]");
        let found = self.driven.page.find(By::XPath(by)).await;
        let found = found.unwrap_or_else(|error| panic!("{words:?}: {error}"));
        found.click().await.expect("it can be pressed");
    }

    /// Waits for the button that is called this, and finds it.
    async fn labelled(&self, label: &str) -> WebElement {
        let by = format!("//main//button[@aria-label={label:?}]");
        let found = self.driven.page.query(By::XPath(by)).wait(DEADLINE, PAUSE).first().await;
        found.unwrap_or_else(|error| panic!("{label:?}: {error}"))
    }

    /// Presses the button that is called this.
    async fn press_labelled(&self, label: &str) {
        self.labelled(label).await.click().await.expect("it can be pressed");
    }

    async fn log_in(&self, key: &str) {
        let field = self.driven.page.find(By::Id("key")).await.expect("the login's field");
        field.send_keys(key).await.expect("it takes text");
        self.press("Log in").await;
    }

    /// Draws the page in every view, and holds it to the rules of accessibility, to its width, to a console without a
    /// word, and to what it may load.
    async fn judge(&self, name: &str) {
        self.script(&self.axe).await;
        for (view, width, height, colours) in VIEWS {
            let cdp = self.driven.page.cdp();
            let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500 });
            let send = |method: &'static str, what: Value| cdp.send_raw(method, what);
            send("Emulation.setDeviceMetricsOverride", size).await.expect("a size");
            let feature = json!({ "name": "prefers-color-scheme", "value": colours });
            let media = json!({ "features": [feature] });
            send("Emulation.setEmulatedMedia", media).await.expect("colours");
            let whole = json!({ "captureBeyondViewport": true });
            let picture = cdp.send_raw("Page.captureScreenshot", whole).await.expect("a picture");
            let picture = picture["data"].as_str().expect("it is text").to_owned();
            use base64::Engine as _;
            let picture = base64::engine::general_purpose::STANDARD.decode(picture);
            let file = self.pictures.join(format!("{name}-{view}.png"));
            std::fs::write(file, picture.expect("base64")).expect("a file in target");

            let over = self.script("return document.documentElement.scrollWidth - innerWidth");
            let over = over.await;
            assert!(over.as_i64().is_some_and(|over| over <= 0), "{name}, {view}: {over} too wide");
            let found =
                self.driven.page.execute_async(RUN_AXE, Vec::new()).await.expect("axe runs");
            let found = found.json().as_array().expect("a list").clone();
            let grave = found
                .iter()
                .filter(|it| matches!(it["impact"].as_str(), Some("serious" | "critical")));
            let grave: Vec<_> = grave.collect();
            assert!(grave.is_empty(), "{name}, {view}: {grave:#?}");
            let complaints = self.complaints().await;
            assert!(complaints.is_empty(), "{name}, {view}: {complaints:?}");
            self.asked_nobody_else().await;
        }
        let cdp = self.driven.page.cdp();
        cdp.send_raw("Emulation.clearDeviceMetricsOverride", json!({})).await.expect("a size");
        cdp.send_raw("Emulation.setEmulatedMedia", json!({})).await.expect("colours");
    }

    /// What the browser complained of since it was asked last.
    async fn complaints(&self) -> Vec<String> {
        let log = self.driven.page.browser_log().await.expect("the browser's log");
        log.into_iter().map(|entry| entry.message).collect()
    }

    /// Every address that the page loaded something from is the dashboard's own.
    async fn asked_nobody_else(&self) {
        let loaded = self
            .script("return performance.getEntriesByType('resource').map(entry => entry.name)")
            .await;
        let loaded: Vec<String> = serde_json::from_value(loaded).expect("a list of addresses");
        assert!(loaded.iter().any(|address| address.ends_with(".css")), "{loaded:?}");
        let own = |address: &String| address.starts_with(&format!("{}/", self.origin));
        assert!(loaded.iter().all(own), "{loaded:?}");
    }
}

async fn died(rig: &Rig, person: &Person, actions: std::ops::Range<u64>) {
    rig.platform.fail(Scope::Any, Fault::status(400), 1);
    let before = rig.host().dead_letters(100).await.expect("they can be read").len();
    rig.emit(&person.batch(actions)).await;
    rig.dead_letters(before + 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_sees_what_happens_and_acts_on_it() {
    let mut setup: Setup = crate::offers::setup("");
    setup.tables.push_str("\n[dashboard]\nlisten = \"127.0.0.1:0\"\n");
    let rig = Rig::start(setup).await;
    let origin = format!("http://{}", rig.host().dashboard_addr().expect("it listens"));
    let Some(browser) = Browser::start(origin).await else {
        use std::io::Write as _;
        let line =
            b"dashboard: no Chromium with its driver is here; what the pages do isn't shown\n";
        std::io::stderr().write_all(line).expect("the line can be written");
        return rig.stop().await;
    };

    // Nobody comes in without a key.
    browser.go("/outbox?state=dead").await;
    assert_eq!(browser.path().await, "/login?next=%2Foutbox%3Fstate%3Ddead");
    browser.judge("login").await;
    browser.log_in("guessed").await;
    browser.shows("isn't one of this host's").await;
    let complaints = browser.complaints().await;
    assert!(complaints.iter().all(|it| it.contains("401")), "{complaints:?}");
    browser.log_in("api-token").await;
    eventually_at(&browser, "/outbox?state=dead").await;
    browser.shows("No note matches.").await;

    // What happens is shown as it does.
    browser.go("/").await;
    browser.shows("All is well").await;
    browser.script("window.stayed = true").await;
    let person = Person::new("p", "s");
    let conversation = rig.open(&person).await;
    rig.emit(&person.batch(0..2)).await;
    rig.arrives(&conversation, &person, 2).await;
    browser.shows("delivered").await;
    died(&rig, &person, 2..4).await;
    browser.shows("Dead letters").await;
    browser.shows("Retry…").await;
    assert_eq!(browser.script("return window.stayed").await, json!(true), "it wasn't loaded again");
    browser.judge("overview").await;

    // One dead letter is sent again.
    browser.press("Retry…").await;
    browser.shows("Retry 1 note?").await;
    browser.judge("retry").await;
    browser.press("Retry 1 note").await;
    browser.shows("Retried 1 note").await;
    rig.arrives(&conversation, &person, 4).await;
    browser.press("To the outbox").await;
    browser.shows("No note matches.").await;

    // Several are purged: those that were counted before.
    let others = [Person::new("p", "b"), Person::new("p", "c"), Person::new("q", "s")];
    for other in &others {
        rig.open(other).await;
        died(&rig, other, 0..1).await;
    }
    browser.go("/outbox?state=dead%2Cgiven_up").await;
    browser.shows("3 notes").await;
    browser.judge("outbox").await;
    browser.press("Purge all of these…").await;
    browser.shows("Purge 3 notes?").await;
    browser.judge("purge").await;
    // One that dies meanwhile isn't meant.
    died(&rig, &person, 4..5).await;
    browser.press("Purge 3 notes").await;
    browser.shows("Purged 3 notes").await;
    rig.dead_letters(1).await;

    // What was done is shown to whoever asks for it.
    let person = Person::new("p", "v");
    let conversation = crate::offers::begin(&rig, &person).await;
    crate::offers::visits(&rig, &person, &["a", "b", "a"]).await;
    crate::offers::offers(&rig, &conversation, 1).await;
    browser.go("/").await;
    browser
        .driven
        .page
        .find(By::Id("find"))
        .await
        .expect("the search")
        .send_keys("v@p.example")
        .await
        .expect("it takes text");
    browser.script("document.querySelector('form.find').requestSubmit()").await;
    browser.shows("1 session").await;
    browser.judge("sessions").await;
    browser.press("v").await;
    browser.shows("action 1 accepted").await;
    browser.shows("by the trigger").await;
    let source = browser.driven.page.source().await.expect("the page");
    for personal in [person.marker(0), person.user_id(), person.email()] {
        assert!(!source.contains(&personal), "{personal} is hidden");
    }
    browser.judge("session").await;
    browser.press("Show what was done").await;
    for shown in [person.marker(0), person.user_id(), person.email()] {
        browser.shows(&shown).await;
    }
    browser.judge("session-with-text").await;

    // By the keyboard.
    let body = browser.driven.page.find(By::Tag("body")).await.expect("a body");
    body.send_keys("/").await.expect("a key");
    assert_eq!(browser.script("return document.activeElement.id").await, json!("find"));
    browser.script("document.activeElement.blur()").await;
    body.send_keys("gf").await.expect("keys");
    eventually_at(&browser, "/offers").await;
    browser.shows("canonical_url_ping_pong").await;
    browser.judge("offers").await;
    browser.go("/plugins").await;
    browser.shows("writer").await;
    browser.judge("plugins").await;

    // A plugin isn't called until it is enabled again; what comes meanwhile waits.
    let mover = Person::new("q", "m");
    let moved = rig.open(&mover).await;
    browser.press_labelled("Disable bot").await;
    browser.shows("disabled").await;
    browser.labelled("Enable bot").await;
    browser.judge("plugins-disabled").await;
    let (_, plugins) = rig.get("/plugins").await;
    assert!(plugins["plugins"][0]["disabled"]["since"].is_number(), "{plugins}");
    assert_eq!(rig.get("/readyz").await.0, 503);
    rig.emit(&mover.batch(0..1)).await;
    browser.go("/").await;
    browser.shows("bot").await;
    browser.shows("disabled").await;
    browser.judge("overview-disabled").await;
    assert_eq!(rig.arrived(&moved).len(), 0, "it isn't called");
    browser.go("/plugins").await;
    browser.press_labelled("Enable bot").await;
    browser.labelled("Disable bot").await;
    assert!(!browser.text().await.contains("disabled"));
    rig.arrives(&moved, &mover, 1).await;
    assert_eq!(rig.get("/plugins").await.1["plugins"][0]["disabled"], Value::Null);
    let (_, log) = rig.get("/audit").await;
    let acts: Vec<_> = (0..2).map(|n| log["entries"][n]["act"]["what"].clone()).collect();
    assert_eq!(acts, ["plugin_enabled", "plugin_disabled"], "{log}");

    // Whoever logs out is out, in every window.
    browser.go("/").await;
    let first = browser.driven.page.window().await.expect("a window");
    let second = browser.driven.page.new_tab().await.expect("another one");
    browser.driven.page.switch_to_window(second).await.expect("it is there");
    browser.go("/plugins").await;
    browser
        .driven
        .page
        .find(By::XPath("//button[.='Log out']"))
        .await
        .expect("the button")
        .click()
        .await
        .expect("it can be pressed");
    browser.driven.page.switch_to_window(first).await.expect("it is there");
    browser.shows("Log in").await;
    browser.driven.page.quit().await.expect("it ends");
    rig.stop().await;
}

async fn eventually_at(browser: &Browser, path: &str) {
    let wait = async {
        while browser.path().await != path {
            tokio::time::sleep(PAUSE).await;
        }
    };
    tokio::time::timeout(DEADLINE, wait).await.expect("the page is come to");
}
