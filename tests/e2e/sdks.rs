//! SDKs of analytics tools as they come from npm, each sending to a running host: what a visitor did and who they turned out
//! to be ends as a note beside the conversation that they open by their e-mail address.
//!
//! The page's test needs Chromium and its driver; without them it says so and shows nothing.

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::Router;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, CONTENT_TYPE};
use axum::response::Html;
use axum::routing::get;
use sidenote_sim::Opening;
use sidenote_tests::{DEADLINE, Rig, Setup, eventually, npm_package};
use thirtyfour::prelude::*;
use tokio::process::Command;
use tokio::task::JoinSet;

use crate::driven::Driven;

/// The key that every SDK is given.
const KEY: &str = "key_of_the_shop";

/// A host that takes what the three sources' tools send.
async fn start(origin: &str, array_js: &str) -> Rig {
    let sources = ["posthog", "segment", "amplitude"].map(|name| {
        format!(
            "[plugins.{name}]\nfile = \"{name}.wasm\"\n[plugins.{name}.source]\norigins = [{origin:?}]\n\
             [plugins.{name}.source.keys.shop]\nkey = {KEY:?}\nproduct = \"p\"\n"
        )
    });
    let mut tables = sources.concat();
    tables.push_str(&format!("[plugins.posthog.config]\narray_js = {array_js:?}\n"));
    let files = &["posthog.wasm", "segment.wasm", "amplitude.wasm"];
    Rig::start(Setup { tables, files, ..Setup::default() }).await
}

/// Opens a conversation by an address alone, and waits until its notes have a line with each of these, in this order.
async fn told(rig: &Rig, email: &str, lines: &[&str]) -> String {
    let opening = Opening { product: "p".into(), email: Some(email.into()), ..Opening::default() };
    let conversation = rig.platform.open(opening).await.expect("the host hears of it");
    let text = || {
        let notes = rig.platform.notes(&conversation);
        notes.iter().map(|note| note.body.clone()).collect::<Vec<_>>().join("\n")
    };
    eventually(|| {
        let text = text();
        let mut rest = &*text;
        for line in lines {
            let Some((_, behind)) = rest.split_once(line) else {
                return Err(format!("{email}: no {line:?} where it should be in:\n{text}"));
            };
            rest = behind;
        }
        Ok(())
    })
    .await;
    text()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_servers_sdks_send_ends_beside_the_conversation_of_whom_it_is() {
    let folder = npm_package("sdks").await;
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/sdks/send.mjs");
    std::fs::copy(script, folder.join("send.mjs")).expect("a copy in target");
    let rig = start("https://shop.example.test", "https://shop.example.test/array.js").await;
    let clients = ["posthog", "segment", "rudder", "amplitude"];
    let mut sending = JoinSet::new();
    for client in clients {
        let mut node = Command::new("node");
        node.arg("send.mjs").args([client, rig.url("").as_str(), KEY, &format!("u-{client}")]);
        node.current_dir(&folder).stdin(Stdio::null()).kill_on_drop(true);
        sending.spawn(async move {
            let ended = tokio::time::timeout(DEADLINE, node.output()).await;
            let output =
                ended.unwrap_or_else(|_| panic!("{client} doesn't end")).expect("node runs");
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(output.status.success(), "{client}: {said}");
        });
    }
    while let Some(sent) = sending.join_next().await {
        sent.expect("it was sent");
    }
    for client in clients {
        let email = format!("u-{client}@example.test");
        let text = told(&rig, &email, &["Viewed ", "Invoice Exported (format csv)"]).await;
        assert!(text.to_lowercase().contains("viewed billing"), "{client}: {text}");
        assert!(!text.contains("tok_invented"), "{client}: {text}");
        assert_eq!(text.matches("Invoice Exported").count(), 1, "{client}: {text}");
    }
    rig.stop().await;
}

/// The shop's pages, on an origin of their own, with SDKs beside them. The browser goes to it by the name that
/// `localhost` is, so that it isn't the host's site.
struct Shop {
    origin: String,
    pages: Arc<OnceLock<[String; 2]>>,
    _tasks: JoinSet<()>,
}

impl Shop {
    /// One that serves the packages in this folder.
    async fn start(packages: PathBuf) -> Self {
        let pages: Arc<OnceLock<[String; 2]>> = Arc::default();
        let script = |file: PathBuf| {
            let headers = [(CONTENT_TYPE, "text/javascript"), (ACCESS_CONTROL_ALLOW_ORIGIN, "*")];
            std::fs::read(&file).map(|bytes| (headers, bytes)).map_err(|_| StatusCode::NOT_FOUND)
        };
        let show = |which: usize| {
            let pages = pages.clone();
            get(move || async move {
                pages.get().map(|it| Html(it[which].clone())).ok_or(StatusCode::NOT_FOUND)
            })
        };
        let snippets = packages.join("posthog-js/dist/array.full.js");
        let app = Router::new()
            .route("/array.js", get(move || async move { script(snippets) }))
            .route(
                "/sdks/{*file}",
                get(move |Path(file): Path<String>| async move { script(packages.join(file)) }),
            )
            .route("/others/billing", show(1))
            .fallback(show(0));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("it is bound").port();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move { axum::serve(listener, app).await.expect("it serves") });
        Self { origin: format!("http://localhost:{port}"), pages, _tasks: tasks }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_somebody_does_on_a_page_ends_beside_their_conversation() {
    let packages = npm_package("sdks").await.join("node_modules");
    let shop = Shop::start(packages).await;
    let rig = start(&shop.origin, &format!("{}/array.js", shop.origin)).await;
    let Some(browser) = Driven::start().await else {
        use std::io::Write as _;
        let line = b"sdks: no Chromium with its driver is here; what a page sends isn't shown\n";
        std::io::stderr().write_all(line).expect("the line can be written");
        return rig.stop().await;
    };
    let host = rig.url("");
    let pages =
        [include_str!("../sdks/page.html"), include_str!("../sdks/others.html")].map(|it| {
            let it = it.replace("ADDRESS", &host).replace("KEY", KEY);
            it.replace("HOST", host.trim_start_matches("http://"))
        });
    shop.pages.set(pages).expect("they are set once");

    let address = format!("{}/billing?invite_token=tok_invented_31c#totals", shop.origin);
    browser.page.goto(&address).await.expect("the page loads");
    // Clicks count once the script is there and the host has told it that they may.
    let accepted = || rig.host().counters().actions_accepted;
    eventually(|| (accepted() > 0).then_some(()).ok_or_else(|| "no page view came".to_owned()))
        .await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    browser.click("#upgrade strong").await;
    browser.element("#full").await.send_keys("Mara Lind").await.expect("it takes text");
    browser.element("#pw").await.send_keys("hunter2hunter2").await.expect("it takes text");
    browser.click("form button").await;
    browser.click("#export").await;
    browser.click("#invoices").await;
    browser.click("#sign-in").await;
    let lines = [
        "Viewed Billing",
        "Clicked \"Upgrade plan\" (Billing)",
        "Filled in \"Full name\" (Billing)",
        "Submitted \"Save changes\" (Billing)",
        "Clicked \"export\" (Billing)",
        "Viewed ",
        "Invoice Exported (format csv)",
    ];
    // What it sends is on its way; the conversation may be opened before.
    eventually(|| {
        (accepted() > 6).then_some(()).ok_or_else(|| format!("{} actions came", accepted()))
    })
    .await;
    let text = told(&rig, "page@example.test", &lines).await;
    for secret in ["tok_invented", "hunter2", "Mara", "#totals"] {
        assert!(!text.contains(secret), "{secret}: {text}");
    }

    // The other tools' SDKs, beside one another.
    browser
        .page
        .goto(&format!("{}/others/billing?invite_token=tok_invented_31c", shop.origin))
        .await
        .expect("the page loads");
    let ready = By::Css("body[data-ready]");
    browser
        .page
        .query(ready)
        .wait(DEADLINE, Duration::from_millis(50))
        .first()
        .await
        .expect("the SDKs load");
    browser.click("#export").await;
    browser.page.execute("signIn()", Vec::new()).await.expect("the script runs");
    for (email, lines) in [
        ("segment.page@example.test", &["Viewed Billing", "Invoice Exported (format csv)"][..]),
        ("rudder.page@example.test", &["Viewed Billing", "Invoice Exported (format csv)"]),
        (
            "amplitude.page@example.test",
            &[
                "Viewed Billing",
                "Clicked \"Export CSV\" (Billing)",
                "Invoice Exported (format csv)",
            ],
        ),
    ] {
        let text = told(&rig, email, lines).await;
        assert!(!text.contains("tok_invented"), "{text}");
    }
    browser.page.quit().await.expect("the browser ends");
    rig.stop().await;
}
