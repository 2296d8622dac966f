//! Sources that are asked: each page once, whenever the host is killed, and a person's activity when they open a
//! conversation.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};
use sidenote_sim::Opening;
use sidenote_tests::{Rig, Setup, eventually};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::{arrive, lines};

/// What is asked, as long as somebody has it.
struct Tool {
    asked: Shared,
    url: String,
    _tasks: JoinSet<()>,
}

type Shared = Arc<Mutex<Asked>>;

#[derive(Default)]
struct Asked {
    cursors: Vec<String>,
    people: Vec<String>,
    /// The cursors of questions about people.
    about: Vec<String>,
    /// What the people did.
    actions: Vec<Value>,
}

/// Events of one page.
const PAGE: usize = 3;
/// Pages that there are.
const PAGES: usize = 8;

impl Tool {
    async fn start() -> Self {
        let asked = Shared::default();
        let router = Router::new()
            .route("/pages", get(page))
            .route("/users/{product}/{user}/live-activity", get(activity))
            .with_state(asked.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("it is bound"));
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            axum::serve(listener, router).await.expect("serving never ends by itself");
        });
        Self { asked, url, _tasks: tasks }
    }

    fn asked<T>(&self, read: impl FnOnce(&mut Asked) -> T) -> T {
        read(&mut lock(&self.asked))
    }
}

fn lock(asked: &Shared) -> MutexGuard<'_, Asked> {
    asked.lock().expect("nothing panics while it holds this lock")
}

async fn page(
    State(asked): State<Shared>,
    Query(query): Query<BTreeMap<String, String>>,
) -> Json<Value> {
    let cursor = query.get("cursor").cloned().unwrap_or_default();
    if let Some(user) = query.get("about") {
        let mut asked = lock(&asked);
        asked.about.push(cursor);
        let number = asked.about.len();
        let event = json!({"name": format!("Page {number}"), "user": user});
        return Json(json!({"events": [event], "cursor": number.to_string()}));
    }
    lock(&asked).cursors.push(cursor.clone());
    let number: usize = cursor.parse().unwrap_or(0);
    if number >= PAGES {
        return Json(json!({"events": [], "cursor": cursor}));
    }
    // Without ids: only the cursor keeps a page from coming twice.
    let event = |n: usize| json!({"name": format!("Event {}", number * PAGE + n), "user": "u-1"});
    let events: Vec<_> = (0..PAGE).map(event).collect();
    Json(json!({"events": events, "cursor": (number + 1).to_string(), "more": number % 4 != 3}))
}

async fn activity(
    State(asked): State<Shared>,
    Path((product, user)): Path<(String, String)>,
    headers: HeaderMap,
) -> (StatusCode, Json<Value>) {
    if headers.get("authorization").is_none_or(|value| value != "Bearer mcp-key") {
        return (StatusCode::UNAUTHORIZED, Json(Value::Null));
    }
    let mut asked = lock(&asked);
    asked.people.push(format!("{product}/{user}"));
    let actions = asked.actions.clone();
    drop(asked);
    (StatusCode::OK, Json(json!({"actions": actions})))
}

fn by_user(user: &str) -> Opening {
    Opening { product: "p".to_owned(), user_id: Some(user.to_owned()), ..Opening::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_is_killed_again_and_again_takes_each_page_once() {
    let tool = Tool::start().await;
    let url = tool.url.clone();
    let tables = format!(
        r#"
[plugins.asked]
file = "guest_source.wasm"
[plugins.asked.config]
url = "{url}/pages"
[plugins.asked.grants]
hosts = ["{url}"]
private = true
[plugins.asked.source]
product = "p"
poll_every = "1s"
"#
    );
    let delivery = "debounce = \"50ms\"".to_owned();
    let files = &["guest_source.wasm"];
    let mut rig =
        Rig::start(Setup { tables, delivery, files, process: true, ..Setup::default() }).await;
    let mut kills = 0;
    // At ever other moments behind a question: before its answer is stored, while it is, behind that.
    while tool.asked(|asked| asked.cursors.len()) < PAGES && kills < 6 {
        let seen = tool.asked(|asked| asked.cursors.len());
        eventually(|| match tool.asked(|asked| asked.cursors.len()) > seen {
            true => Ok(()),
            false => Err("it isn't asked".to_owned()),
        })
        .await;
        tokio::time::sleep(Duration::from_millis(kills * 2)).await;
        rig.kill_host().await;
        rig.start_host().await;
        kills += 1;
    }
    assert!(kills >= 3, "{kills}");
    eventually(|| match tool.asked(|asked| asked.cursors.last().cloned()) {
        Some(last) if last == PAGES.to_string() => Ok(()),
        last => Err(format!("it is asked for what is behind {last:?}")),
    })
    .await;
    let conversation = rig.platform.open(by_user("u-1")).await.expect("the host takes it");
    let wanted: Vec<_> = (0..PAGES * PAGE).map(|n| format!("Event {n}")).collect();
    let wanted: Vec<&str> = wanted.iter().map(String::as_str).collect();
    eventually(|| match lines(&rig, &conversation).len() {
        lines if lines >= wanted.len() => Ok(()),
        lines => Err(format!("{lines} of {} lines", wanted.len())),
    })
    .await;
    let mut found = lines(&rig, &conversation);
    found.sort_by_key(|line| line.trim_start_matches("Event ").parse::<usize>().ok());
    assert_eq!(found, wanted, "each once");
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_product_without_a_stream_has_a_note_when_a_person_opens_a_conversation() {
    let tool = Tool::start().await;
    let url = tool.url.clone();
    let action = |n: u32, title: &str| {
        json!({"title": title, "description": format!("{title} was pressed"), "type": "click", "index": n,
            "canonical_url": "https://app.example.com/:id", "timestamp_start": 1_700_000_000 + n, "session_id": "s-9"})
    };
    tool.asked(|asked| asked.actions = vec![action(0, "Export"), action(1, "Pay")]);
    let tables = format!(
        r#"
[plugins.autoplay.config]
url = "{url}"
[plugins.autoplay.secrets]
key = {{ env = "MCP_KEY", hosts = ["{url}"] }}
[plugins.autoplay.grants]
hosts = ["{url}"]
private = true
[plugins.autoplay.source]
product = "p"
ask_when_opened = true
[plugins.autoplay.source.words]
max_age_hours = 1000000
"#
    );
    let rig = Rig::start(Setup {
        tables,
        delivery: "debounce = \"20ms\"".to_owned(),
        files: &["autoplay.wasm"],
        secrets: vec![("MCP_KEY", "mcp-key".to_owned())],
        ..Setup::default()
    })
    .await;
    let conversation = rig.platform.open(by_user("u/1")).await.expect("the host takes it");
    arrive(&rig, &conversation, &["Export was pressed", "Pay was pressed"]).await;
    assert_eq!(tool.asked(|asked| asked.people.clone()), ["p/u/1"], "percent-encoded, and once");
    // Somebody who is known by nothing that can be asked about.
    let other = Opening {
        product: "p".to_owned(),
        email: Some("bob@example.com".to_owned()),
        ..Opening::default()
    };
    rig.platform.open(other).await.expect("the host takes it");
    // Overlapping windows: only what is new is told.
    tool.asked(|asked| asked.actions.push(action(2, "Leave")));
    rig.platform.open(by_user("u/2")).await.expect("the host takes it");
    eventually(|| match tool.asked(|asked| asked.people.len()) {
        2 => Ok(()),
        asked => Err(format!("{asked} of 2 questions")),
    })
    .await;
    rig.end().await;
}

/// Waits until so many questions about people were asked. Their cursors.
async fn asked_about(tool: &Tool, times: usize) -> Vec<String> {
    eventually(|| match tool.asked(|asked| asked.about.len()) {
        asked if asked >= times => Ok(()),
        asked => Err(format!("{asked} of {times} questions")),
    })
    .await;
    tool.asked(|asked| asked.about.clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_is_asked_about_twice_and_each_question_goes_on_where_the_last_page_ended() {
    let tool = Tool::start().await;
    let url = tool.url.clone();
    let tables = format!(
        r#"
[plugins.asked]
file = "guest_source.wasm"
[plugins.asked.config]
url = "{url}/pages"
[plugins.asked.grants]
hosts = ["{url}"]
private = true
[plugins.asked.source]
product = "p"
ask_when_opened = true
ask_again_after = "300ms"
"#
    );
    let delivery = "debounce = \"20ms\"".to_owned();
    let files = &["guest_source.wasm"];
    let mut rig =
        Rig::start(Setup { tables, delivery, files, process: true, ..Setup::default() }).await;
    let conversation = rig.platform.open(by_user("u-1")).await.expect("the host takes it");
    assert_eq!(asked_about(&tool, 2).await, ["", "1"]);
    // Its events have no ids: a page that came twice would be told twice.
    arrive(&rig, &conversation, &["Page 1", "Page 2"]).await;
    rig.kill_host().await;
    rig.start_host().await;
    let next = rig.platform.open(by_user("u-1")).await.expect("the host takes it");
    assert_eq!(asked_about(&tool, 4).await, ["", "1", "2", "3"]);
    eventually(|| match [&conversation, &next].map(|it| lines(&rig, it)).concat() {
        lines if lines.len() >= 4 => Ok(()),
        lines => Err(format!("{lines:?}")),
    })
    .await;
    let mut found = [&conversation, &next].map(|it| lines(&rig, it)).concat();
    found.sort();
    assert_eq!(found, ["Page 1", "Page 2", "Page 3", "Page 4"], "each once");
    rig.end().await;
}
