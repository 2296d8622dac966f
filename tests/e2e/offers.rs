//! Offers of help, the whole way: from the stream to the person, and back by webhook.

use std::io::Write as _;
use std::time::Duration;

use futures_util::StreamExt;
use serde_json::{Value, json};
use sidenote_sim::{Fault, Message, PlatformOptions, Scope};
use sidenote_tests::{DEADLINE, Person, Rig, Setup, counts, eventually};
use tokio::time::Instant;

use crate::replays::INCOMING;

/// Nothing is in the way of an offer but what a test puts there.
pub(crate) fn setup(rules: &str) -> Setup {
    let tables = format!(
        r#"
[context]

[products.p.offers]
min_interval = "0s"
quiet_after_person = "0s"
interaction_timeout = "2s"
cooldown = "2s"
{rules}

[[products.p.offers.triggers]]
id = "canonical_url_ping_pong"
kind = "ping-pong"
mode = "instant"
text = "Shall I show you around?"
options = [{{ label = "Yes, please" }}, {{ label = "Show me", tour = "flow_export" }}]

[tours.p.tours.export]
user_tour_id = "flow_export"
interaction_timeout_s = 30
"#
    );
    let platform =
        PlatformOptions { webhook_secret: INCOMING.to_owned(), ..PlatformOptions::default() };
    Setup { tables, platform, messages: true, ..Setup::default() }
}

/// Somebody goes to these pages, one action on each.
pub(crate) async fn visits(rig: &Rig, person: &Person, pages: &[&str]) {
    for (n, page) in pages.iter().enumerate() {
        let mut batch = person.batch(n as u64..n as u64 + 1);
        for action in &mut batch.actions {
            action.canonical_url = format!("https://app.example/{page}");
        }
        rig.emit(&batch).await;
    }
}

/// A conversation that the person didn't open: nobody has asked for anything there.
pub(crate) async fn begin(rig: &Rig, person: &Person) -> String {
    let conversation = rig.conversation(person);
    rig.link(person, &conversation).await;
    conversation
}

pub(crate) async fn offers(rig: &Rig, conversation: &str, wanted: usize) -> Vec<Message> {
    eventually(|| match rig.platform.messages(conversation).len() {
        there if there >= wanted => Ok(()),
        there => Err(format!("{there} offers are there")),
    })
    .await;
    rig.platform.messages(conversation)
}

async fn help(rig: &Rig, person: &Person) -> Value {
    rig.get(&format!("/sessions/{}/{}/help", person.product, person.session)).await.1
}

/// Waits until the session stands so, and the decision that was made last is this one.
pub(crate) async fn stands(rig: &Rig, person: &Person, state: &str, decision: &str) {
    let mut last = Value::Null;
    for _ in 0..600 {
        last = help(rig, person).await;
        let decisions = last["decisions"].as_array().cloned().unwrap_or_default();
        let decided = decisions.last().map(|it| it["decision"].clone()).unwrap_or_default();
        if last["state"] == state && (decision.is_empty() || decided == decision) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("it should be {state}, {decision}: {last}");
}

#[tokio::test(flavor = "multi_thread")]
async fn going_back_and_forth_is_offered_help_once_and_a_click_comes_back() {
    let rig = Rig::start(setup("")).await;
    let person = Person::new("p", "s");
    let conversation = begin(&rig, &person).await;
    visits(&rig, &person, &["a", "b", "a", "b"]).await;
    let made = offers(&rig, &conversation, 1).await;
    assert_eq!((&*made[0].kind, &*made[0].text), ("offer", "Shall I show you around?"));
    stands(&rig, &person, "proactive_assistance", "").await;
    rig.platform.click(&conversation, &made[0].quick_replies[0]).await.unwrap();
    counts(rig.host(), "offers delivered", |totals| totals.offers_delivered, 1).await;
    counts(rig.host(), "options chosen", |totals| totals.options_chosen, 1).await;
    // It ends by itself, then cools down, then nothing is in the way.
    stands(&rig, &person, "thinking", "").await;
    assert!(help(&rig, &person).await["cooldown_ends_in_s"].as_f64().is_some());
    visits(&rig, &person, &["a", "b", "a"]).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(rig.platform.messages(&conversation).len(), 1, "it cools down");
    tokio::time::sleep(Duration::from_secs(2)).await;
    visits(&rig, &person, &["a", "b", "a"]).await;
    let made = offers(&rig, &conversation, 2).await;
    assert_eq!(made[0].quick_replies, made[1].quick_replies, "answers are called the same again");
    let (status, listed) = rig.get("/offers").await;
    assert_eq!((status, &listed["sessions"][0]["session_id"]), (200, &json!("s")));
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_offer_is_there_within_a_second_of_the_commit() {
    /// A machine that does other things besides is given more.
    const BOUND: Duration = Duration::from_secs(10);
    let rig = Rig::start(setup("")).await;
    let mut times = Vec::new();
    for n in 0..20 {
        let person = Person::new("p", format!("s-{n}"));
        let conversation = begin(&rig, &person).await;
        visits(&rig, &person, &["a", "b"]).await;
        // What is measured begins before the commit: with the last page on its way.
        let begun = Instant::now();
        visits(&rig, &person, &["a"]).await;
        while rig.platform.messages(&conversation).is_empty() {
            assert!(begun.elapsed() < BOUND, "no offer within {BOUND:?}");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        times.push(begun.elapsed());
    }
    times.sort_unstable();
    let shown = format!(
        "offers: at the platform {:?} after the last page was sent, at the most {:?}, of {}\n",
        times[times.len() / 2],
        times[times.len() - 1],
        times.len()
    );
    std::io::stderr().write_all(shown.as_bytes()).expect("the figure can be written");
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(rig.platform.stats().messages, 20, "one each");
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trigger_that_is_replaced_in_the_folder_is_asked_from_then_on() {
    let helper = r#"
[plugins.helper]
file = "guest_still.wasm"

[[products.p.offers.triggers]]
id = "helper"
kind = "plugin"
plugin = "helper"
mode = "instant"
"#;
    let mut setup = Setup { files: &["guest_still.wasm"], ..setup("") };
    let (before, own) = setup.tables.split_once("[[products.p.offers.triggers]]").unwrap();
    let tours = own.split_once("[tours.").unwrap().1;
    setup.tables = format!("{before}{helper}[tours.{tours}");
    let rig = Rig::start(setup).await;
    let person = Person::new("p", "s");
    let conversation = begin(&rig, &person).await;
    visits(&rig, &person, &["a", "b", "a"]).await;
    let swaps = || async {
        let (_, report) = rig.get("/plugins").await;
        let plugins = report["plugins"].as_array().cloned().unwrap_or_default();
        let helper = plugins.into_iter().find(|plugin| plugin["name"] == "helper");
        helper.expect("it is configured")["swaps"].as_u64()
    };
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!((swaps().await, rig.platform.messages(&conversation).len()), (Some(0), 0));
    assert_eq!(help(&rig, &person).await["decisions"], json!([]), "it sees no reason");

    let (file, part) = ("guest_still.wasm", "guest_still.part");
    let [file, part] = [file, part].map(|name| rig.plugins_folder().join(name));
    std::fs::copy(sidenote_tests::test_guests().join("guest_echo.wasm"), &part).unwrap();
    std::fs::rename(part, file).unwrap();
    let deadline = Instant::now() + DEADLINE;
    while swaps().await != Some(1) {
        assert!(Instant::now() < deadline, "it is never replaced");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    visits(&rig, &person, &["c"]).await;
    let made = offers(&rig, &conversation, 1).await;
    assert!(made[0].text.starts_with("p/s|"), "what the other one says: {}", made[0].text);
    stands(&rig, &person, "proactive_assistance", "delivered").await;
    rig.stop().await;
}

/// One trigger is a component, so that everybody's evaluation is a task of its own.
#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_that_wants_an_offer_gets_as_many_as_may_be_made_in_a_minute() {
    const CROWD: u64 = 300;
    let crowd = r#"
per_product_minute = 60

[plugins.helper]
file = "guest_echo.wasm"

[[products.p.offers.triggers]]
id = "helper"
kind = "plugin"
plugin = "helper"
mode = "instant"
"#;
    let rig = Rig::start(Setup { files: &["guest_echo.wasm"], ..setup(crowd) }).await;
    let mut people = Vec::new();
    for n in 0..CROWD {
        let person = Person::new("p", format!("s-{n}"));
        let conversation = begin(&rig, &person).await;
        people.push((person, conversation));
    }
    for (person, _) in &people {
        rig.emit(&person.batch(0..1)).await;
    }
    eventually(|| {
        let totals = rig.host().counters();
        let decided = totals.offers_made + totals.offers_refused;
        let is_over = decided >= CROWD && totals.notes_posted == CROWD;
        is_over.then_some(()).ok_or(format!("{decided} decided, {} notes", totals.notes_posted))
    })
    .await;
    for (person, _) in &people {
        let decisions = help(&rig, person).await["decisions"].take();
        let decisions = decisions.as_array().cloned().unwrap_or_default();
        assert!(!decisions.is_empty(), "nothing was decided for {}", person.session);
        for decision in decisions {
            let made = decision["made"] == true;
            assert!(made || decision["decision"] == "per_product_minute", "{decision}");
        }
    }
    let messages = people.iter().map(|(_, it)| rig.platform.messages(it).len()).sum::<usize>();
    assert_eq!(messages, 60);
    counts(rig.host(), "offers made", |totals| totals.offers_made, 60).await;
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whom_an_agent_helps_or_who_asked_is_left_alone() {
    let rig = Rig::start(setup("")).await;
    for (n, who) in ["agent", "person", "closed"].into_iter().enumerate() {
        let person = Person::new("p", format!("s-{n}"));
        let conversation = begin(&rig, &person).await;
        let told = match who {
            "agent" => rig.platform.agent_writes(&conversation, "I'm on it").await,
            "person" => rig.platform.reply(&conversation, "How do I pay?").await,
            _ => rig.platform.close(&conversation).await,
        };
        told.unwrap();
        visits(&rig, &person, &["a", "b", "a"]).await;
        let (state, decision) = match who {
            "agent" => ("thinking", "agent_wrote"),
            // It isn't even evaluated.
            "person" => ("reactive_assistance", ""),
            _ => ("thinking", "conversation_ended"),
        };
        stands(&rig, &person, state, decision).await;
        assert_eq!(rig.platform.messages(&conversation), [], "{who}");
    }
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_have_come_is_found_and_not_offered_again() {
    let rig = Rig::start(setup("")).await;
    let person = Person::new("p", "s");
    let conversation = begin(&rig, &person).await;
    rig.platform.fail(Scope::Any, Fault::reset().but_taken(), 1);
    visits(&rig, &person, &["a", "b", "a"]).await;
    offers(&rig, &conversation, 1).await;
    eventually(|| match rig.host().counters().offers_delivered {
        1 => Ok(()),
        _ => Err("the platform isn't asked yet".to_owned()),
    })
    .await;
    let stats = rig.platform.stats();
    assert_eq!((stats.messages, stats.message_repeats), (1, 0), "it was asked for, not sent again");
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_reads_and_changes_how_a_session_is_helped() {
    let rig = Rig::start(setup("")).await;
    let person = Person::new("p", "s");
    begin(&rig, &person).await;
    let path = "/sessions/p/s/help";
    let before = help(&rig, &person).await;
    assert_eq!((&before["version"], &before["state"]), (&json!(0), &json!("thinking")));
    let answer = rig.post(path, &json!({"change": "to_reactive", "version": 0})).await;
    assert_eq!(answer.status, 200);
    let stale = rig.post(path, &json!({"change": "stop_tour", "version": 0})).await;
    assert_eq!(stale.status, 409);
    let now = help(&rig, &person).await;
    assert_eq!((&now["version"], &now["state"]), (&json!(1), &json!("reactive_assistance")));
    assert!(now["state_ends_in_s"].as_f64().is_some_and(|secs| secs > 0.0), "{now}");
    for (body, status) in [
        (json!({"change": "fly"}), 422),
        (json!({"change": "interaction"}), 422),
        (json!({"change": "stop_tour", "seconds": 1}), 422),
        (json!({"change": "to_proactive"}), 409),
    ] {
        assert_eq!(rig.post(path, &body).await.status, status, "{body}");
    }
    let unknown = rig.get("/sessions/p/nobody/help").await;
    assert_eq!((unknown.0, &unknown.1["error"]["code"]), (404, &json!("unknown_session")));
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_wants_to_see_a_tour_is_shown_it_in_the_browser() {
    let rig = Rig::start(setup("")).await;
    let person = Person::new("p", "s");
    let conversation = begin(&rig, &person).await;
    let path = "/sessions/p/s/events";
    let token: Value = serde_json::from_slice(&rig.post(path, &json!({})).await.body).unwrap();
    let token = token["token"].as_str().unwrap();
    let browser = reqwest::get(rig.url(&format!("{path}?token={token}"))).await.unwrap();
    assert_eq!(browser.headers()["content-type"], "text/event-stream");
    let mut lines = browser.bytes_stream();
    visits(&rig, &person, &["a", "b", "a"]).await;
    let offer = offers(&rig, &conversation, 1).await.remove(0);
    stands(&rig, &person, "proactive_assistance", "").await;
    rig.platform.click(&conversation, &offer.quick_replies[1]).await.unwrap();
    let question = offers(&rig, &conversation, 2).await.remove(1);
    assert_eq!(question.text, "Would you like me to show you?");
    rig.platform.click(&conversation, &question.quick_replies[0]).await.unwrap();
    let mut told = String::new();
    while !told.contains("usertour_trigger") {
        let piece = tokio::time::timeout(DEADLINE, lines.next()).await.expect("in time");
        told.push_str(&String::from_utf8_lossy(&piece.expect("it goes on").unwrap()));
    }
    assert!(told.contains(r#""flow_id":"flow_export""#), "{told}");
    let now = help(&rig, &person).await;
    assert_eq!(
        (&now["tour"], &now["state"]),
        (&json!("flow_export"), &json!("proactive_assistance"))
    );
    assert!(now["state_ends_in_s"].as_f64() > Some(20.0), "the tour's own time holds: {now}");
    rig.stop().await;
}
