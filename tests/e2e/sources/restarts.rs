//! What sources remember: over kills of the host, and while its store is away.

use std::time::Duration;

use serde_json::{Value, json};
use sidenote_sim::Opening;
use sidenote_tests::{DEADLINE, RedisServer, Rig, Setup, StoreKind, eventually};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::{KEY, arrive, lines, setup};

/// Events of one request.
const EVENTS: usize = 20;
/// How often the host is killed.
const KILLS: usize = 4;

/// The status and the wait that are answered; `None` where the host is gone.
async fn try_send(url: &str, body: &Value) -> Option<(u16, Option<String>)> {
    let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(15));
    let request = client.build().expect("a plain client").post(url);
    let answer = request.header("x-sidenote-key", KEY).body(body.to_string()).send().await.ok()?;
    let wait = answer.headers().get("retry-after");
    let wait = wait.map(|wait| wait.to_str().expect("text").to_owned());
    Some((answer.status().as_u16(), wait))
}

/// Sends it again and again until it is accepted, as a tool does.
async fn accepted(url: &str, body: &Value) {
    let deadline = Instant::now() + DEADLINE;
    loop {
        match try_send(url, body).await {
            Some((200, _)) => return,
            answer => assert!(Instant::now() < deadline, "{answer:?}"),
        }
        sleep(Duration::from_millis(50)).await;
    }
}

fn by_user(user: &str) -> Opening {
    Opening { product: "p".to_owned(), user_id: Some(user.to_owned()), ..Opening::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_tool_repeats_behind_a_kill_counts_once_and_a_visitor_of_before_is_joined() {
    let mut rig = Rig::start(Setup { process: true, ..setup("") }).await;
    for kill in 0..KILLS {
        let event = |n: usize| {
            let name = format!("Event {}", kill * EVENTS + n);
            json!({"id": format!("{kill}-{n}"), "name": name, "anonymous": "a-1"})
        };
        let body = Value::Array((0..EVENTS).map(event).collect());
        let url = rig.url("/sources/events");
        // Before it is read, while it is stored, when it is answered.
        let mut sent = JoinSet::new();
        let (of, asked) = (url.clone(), body.clone());
        sent.spawn(async move { try_send(&of, &asked).await });
        sleep(Duration::from_millis([0, 4, 12, 200][kill])).await;
        rig.kill_host().await;
        let answer = sent.join_next().await.expect("it was sent").expect("it ends");
        assert!(answer.is_none_or(|(status, _)| status == 200), "nothing is refused");
        rig.start_host().await;
        accepted(&rig.url("/sources/events"), &body).await;
        accepted(&rig.url("/sources/events"), &body).await;
    }
    let sign_in = json!({"id": "i", "kind": "identity", "anonymous": "a-1", "user": "u-1"});
    accepted(&rig.url("/sources/events"), &sign_in).await;
    let conversation = rig.platform.open(by_user("u-1")).await.expect("the host takes it");
    let wanted: Vec<_> = (0..KILLS * EVENTS).map(|n| format!("Event {n}")).collect();
    let wanted: Vec<&str> = wanted.iter().map(String::as_str).collect();
    arrive(&rig, &conversation, &wanted).await;
    // With the visitor's name alone, behind one more kill.
    rig.kill_host().await;
    rig.start_host().await;
    let late = json!({"id": "late", "name": "Late", "anonymous": "a-1"});
    accepted(&rig.url("/sources/events"), &late).await;
    eventually(|| match lines(&rig, &conversation).last() {
        Some(last) if last == "Late" => Ok(()),
        last => Err(format!("{last:?}")),
    })
    .await;
    assert_eq!(lines(&rig, &conversation).len(), wanted.len() + 1, "each once");
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_redis_is_away_a_tool_is_told_to_come_again_and_what_it_repeats_counts_once() {
    let Some(server) = RedisServer::start(&[]).await else { return };
    let store = StoreKind::Redis { url: server.config().url };
    let rig = Rig::start(Setup { store, ..setup("") }).await;
    let url = rig.url("/sources/events");
    let event =
        |n: usize| json!({"id": n.to_string(), "name": format!("Event {n}"), "user": "u-1"});
    accepted(&url, &event(0)).await;
    server.pause();
    // These are under way when nobody knows yet that the server is away: the commit of the first may come late, and those
    // that wait behind it are given up.
    let mut first = JoinSet::new();
    for n in [1, 3, 4, 5] {
        let (of, asked) = (url.clone(), event(n));
        first.spawn(async move { try_send(&of, &asked).await });
        sleep(Duration::from_millis(100)).await;
    }
    eventually(|| match rig.host().counters().store_away {
        0 => Err("the host doesn't know that its store is away".to_owned()),
        _ => Ok(()),
    })
    .await;
    for n in [1, 2] {
        let (status, wait) = try_send(&url, &event(n)).await.expect("the host answers");
        assert_eq!((status, wait.as_deref()), (503, Some("2")), "at once, and with when to come");
    }
    server.resume();
    while let Some(first) = first.join_next().await {
        let (status, _) = first.expect("it ends").expect("the host answers");
        assert!([200, 503].contains(&status), "{status}");
    }
    for n in [5, 4, 3, 2, 1, 5] {
        accepted(&url, &event(n)).await;
    }
    let conversation = rig.platform.open(by_user("u-1")).await.expect("the host takes it");
    eventually(|| match lines(&rig, &conversation).len() {
        lines if lines >= 6 => Ok(()),
        lines => Err(format!("{lines} of 6 lines")),
    })
    .await;
    let mut found = lines(&rig, &conversation);
    found.sort();
    assert_eq!(found, (0..6).map(|n| format!("Event {n}")).collect::<Vec<_>>(), "each once");
    rig.end().await;
}
