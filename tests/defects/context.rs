//! The rows about what people did lately: the contexts, the users, and the bridge over HTTP.

use std::path::Path;
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use sidenote::clock::{Clock, Timestamp};
use sidenote::config::Config;
use sidenote::context::{Contexts, Place, Recent, Settings, UserSettings, Users, View};
use sidenote::session::payload::{Action, ActionsPayload, SummaryPayload};
use sidenote_sim::Event;
use sidenote_tests::{DEADLINE, Person, Rig, Setup};
use tokio::time::Instant;

const BEGIN: f64 = 1_700_000_000.0;

fn at(seconds: f64) -> Timestamp {
    Timestamp::from_secs_f64(BEGIN + seconds)
}

fn did(product: &str, session: &str, user: &str, text: &str) -> ActionsPayload {
    let action = Action { description: text.to_owned(), ..Action::default() };
    ActionsPayload {
        product_id: product.to_owned(),
        session_id: Some(session.to_owned()),
        user_id: Some(user.to_owned()),
        email: Some(format!("{user}@example.com")),
        actions: vec![action],
        ..ActionsPayload::default()
    }
}

fn place(product: &str, session: &str) -> Place {
    Place::new(product, session).expect("a session's name")
}

fn contexts(settings: Settings) -> Contexts {
    Contexts::new(settings).expect("these settings are fine")
}

/// The context of a session as a reader sees it who says nothing else.
fn shown(contexts: &mut Contexts, product: Option<&str>, session: &str, now: f64) -> String {
    let view = contexts.settings().view();
    contexts.get(product, session, view, at(now))
}

fn recent() -> Recent {
    let clock = Clock::starting_at(at(0.0));
    Recent::new(Settings::default(), UserSettings::default(), clock).expect("the defaults are fine")
}

fn activity(recent: &Recent, product: &str, user: &str) -> String {
    recent.activity(product, user, recent.view())
}

#[test]
fn d13_a_source_whose_clock_is_wrong_hides_nobodys_context() {
    let lookback = Duration::from_secs(300);
    let mut contexts = contexts(Settings { lookback: Some(lookback), ..Settings::default() });
    let mut users = Users::new(UserSettings { lookback, ..UserSettings::default() })
        .expect("these settings are fine");
    let ahead = ActionsPayload { forwarded_at: BEGIN + 9e6, ..did("p", "t", "ann", "ahead") };
    for batch in [did("p", "s", "ann", "no time"), ahead] {
        contexts.add(&batch, at(0.0));
        users.add(&batch, at(0.0));
    }
    let view = contexts.settings().view();
    let text = users.activity("ann", &mut contexts, view, at(0.0));
    assert!(text.contains("no time") && text.contains("ahead"), "{text}");
    assert_eq!(users.activity("ann", &mut contexts, view, at(400.0)), "", "and nobody's for ever");
}

#[test]
fn d24_limits_that_are_no_limits_are_refused_where_they_are_given() {
    let base = "[streams.main]\nurl = \"https://a.example/\"\n[plugins.w]\n[products.p]\nplugins = [\"w\"]";
    for wrong in ["lookback = -5", "lookback = \"0s\"", "max_actions = -1", "max_actions = \"3\""] {
        let text = format!("{base}\n[context]\n{wrong}");
        let refused = Config::from_toml(&text, Path::new("/"), &|_| None);
        let refused = refused.expect_err(wrong).to_string();
        assert!(refused.contains("[context]"), "{refused}");
    }
    let zero = Settings { lookback: Some(Duration::ZERO), ..Settings::default() };
    assert_eq!(Contexts::new(zero).expect_err("no time at all").setting, "lookback");
    let none = Settings { max_actions: Some(0), ..Settings::default() };
    assert_eq!(Contexts::new(none).expect_err("nothing to be shown").setting, "max_actions");
    // What a call says itself can't be negative by its types; none at all is a wish that is kept.
    let mut contexts = contexts(Settings::default());
    contexts.add(&did("p", "s", "ann", "x"), at(0.0));
    let none = View { max_actions: Some(0), ..contexts.settings().view() };
    assert_eq!(contexts.get(Some("p"), "s", none, at(0.0)), "");
}

#[test]
fn d29_a_summary_replaces_what_it_covers_and_a_reset_leaves_nothing() {
    let mut contexts = contexts(Settings::default());
    for product in ["p", "q"] {
        contexts.add(&did(product, "s", "ann", "first"), at(0.0));
        contexts.add(&did(product, "s", "ann", "second"), at(0.0));
    }
    contexts.summarize(&place("p", "s"), "did the first", 1, at(1.0));
    let text = shown(&mut contexts, Some("p"), "s", 1.0);
    assert!(text.contains("did the first") && text.contains("second"), "{text}");
    assert!(!text.contains(": first"), "{text}");
    contexts.reset(None, "s");
    for product in [None, Some("p"), Some("q")] {
        assert_eq!(shown(&mut contexts, product, "s", 1.0), "");
    }
}

#[test]
fn d30_no_summary_and_no_user_of_one_product_is_found_in_another() {
    let recent = recent();
    for product in ["p", "q"] {
        recent.take(&did(product, "s", "ann", &format!("in {product}")));
    }
    assert!(!activity(&recent, "p", "ann").contains("in q"));
    assert!(!activity(&recent, "q", "ann").contains("in p"));
    let mut contexts = contexts(Settings::default());
    contexts.add(&did("p", "s", "ann", "x"), at(0.0));
    contexts.summarize(&place("p", "s"), "secret of p", 1, at(0.0));
    assert_eq!(shown(&mut contexts, Some("q"), "s", 0.0), "");
    contexts.add(&did("p", "x\u{1f}t", "eve", "foreign"), at(0.0));
    assert_eq!(shown(&mut contexts, None, "t", 0.0), "", "no name is a part of another");
}

#[test]
fn d31_a_session_takes_one_place_whatever_is_known_of_it_and_reading_keeps_it() {
    let mut contexts = contexts(Settings { max_sessions: 2, ..Settings::default() });
    for session in ["a", "b"] {
        contexts.add(&did("p", session, "ann", "x"), at(0.0));
        contexts.summarize(&place("p", session), "did x", 0, at(0.0));
    }
    assert!(!shown(&mut contexts, Some("p"), "a", 0.0).is_empty());
    contexts.add(&did("p", "c", "ann", "x"), at(0.0));
    let names: Vec<_> = contexts.places().map(|place| (&*place.product, &*place.session)).collect();
    assert_eq!(names, [("p", "a"), ("p", "c")], "b was used longest ago; names are as they came");
    assert_eq!(shown(&mut contexts, Some("p"), "b", 0.0), "", "its summary went with it");
}

#[test]
fn d36_users_and_their_addresses_go_when_nothing_of_them_is_recent() {
    let mut users = Users::new(UserSettings::default()).expect("the defaults are fine");
    for n in 0..2000 {
        users.add(&did("p", &format!("s{n}"), &format!("u{n}"), "x"), at(0.0));
    }
    assert_eq!(users.email("u7", at(299.0)).as_deref(), Some("u7@example.com"));
    assert_eq!(users.email("u7", at(301.0)), None);
    users.sweep(at(301.0));
    assert!(users.is_empty());
}

#[test]
fn d42_what_two_people_do_without_a_session_is_never_pooled() {
    let recent = recent();
    for user in ["ann", "bob"] {
        for session in [None, Some(String::new()), Some(" ".to_owned())] {
            recent.take(&ActionsPayload { session_id: session, ..did("p", "", user, "mine") });
        }
    }
    for user in ["ann", "bob"] {
        assert_eq!(activity(&recent, "p", user), "");
    }
}

#[test]
fn d57_a_session_is_found_without_its_product_without_a_look_at_all_others() {
    const SESSIONS: usize = 50_000;
    let mut contexts = contexts(Settings { max_sessions: SESSIONS, ..Settings::default() });
    for n in 0..SESSIONS {
        contexts.add(&did("p", &format!("s{n}"), "ann", "x"), at(0.0));
    }
    assert!(!shown(&mut contexts, None, "s25000", 0.0).is_empty());
    // A look at all of them takes tens of milliseconds, and so minutes for these.
    let start = Instant::now();
    for n in 0..10_000 {
        assert_eq!(shown(&mut contexts, None, &format!("unknown{n}"), 0.0), "");
    }
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
}

#[test]
fn d58_a_user_and_a_session_of_one_name_have_nothing_to_do_with_each_other() {
    let recent = recent();
    recent.take(&did("p", "ann", "bob", "bob's"));
    assert_eq!(activity(&recent, "p", "ann"), "");
    recent.reset("p", "ann");
    assert!(activity(&recent, "p", "bob").contains("bob's"));
}

#[test]
fn d62_a_summary_is_shown_no_longer_than_actions_are() {
    let lookback = Some(Duration::from_secs(300));
    let mut contexts = contexts(Settings { lookback, ..Settings::default() });
    contexts.add(&did("p", "s", "ann", "x"), at(0.0));
    contexts.summarize(&place("p", "s"), "did x", 1, at(1.0));
    assert!(shown(&mut contexts, Some("p"), "s", 300.0).contains("did x"));
    assert_eq!(shown(&mut contexts, Some("p"), "s", 302.0), "");
    contexts.sweep(at(302.0));
    assert_eq!(contexts.places().count(), 0);
}

#[test]
fn d63_the_context_of_a_session_is_its_last_users_alone() {
    let recent = recent();
    recent.take(&did("p", "s", "anon", "before"));
    recent.take(&did("p", "s", "ann", "after"));
    assert_eq!(activity(&recent, "p", "anon"), "");
    let text = activity(&recent, "p", "ann");
    assert!(text.contains("before") && text.contains("after"), "{text}");
}

async fn start() -> Rig {
    Rig::start(Setup { tables: "[context]".to_owned(), ..Setup::default() }).await
}

/// Waits until a GET is answered with a text that contains this.
async fn told(rig: &Rig, path: &str, part: &str) -> Value {
    let deadline = Instant::now() + DEADLINE;
    loop {
        let (status, answer) = rig.get(path).await;
        if status == 200 && answer["context"].as_str().is_some_and(|text| text.contains(part)) {
            return answer;
        }
        assert!(Instant::now() < deadline, "{part} isn't told: {status} {answer}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn d32_after_a_reset_nothing_of_before_is_reachable() {
    let mut rig = start().await;
    let person = Person::new("p", "s");
    let path = "/context/u-s?product=p&query=q";
    rig.emit(&person.batch(0..2)).await;
    let summary = SummaryPayload {
        product_id: "p".to_owned(),
        session_id: Some("s".to_owned()),
        summary: "did secret things".to_owned(),
        replaces: 1,
        ..SummaryPayload::default()
    };
    rig.emit_event(Event::summary(&summary)).await;
    told(&rig, path, "did secret things").await;
    let (status, answer) =
        rig.ask(Method::POST, "/admin/reset/u-s?product=p", Some("api-token")).await;
    assert_eq!((status, answer), (200, json!({"status": "ok", "user_id": "u-s"})));
    assert_eq!(rig.get(path).await.0, 404);

    rig.emit(&person.batch(2..3)).await;
    for _ in 0..2 {
        let text = told(&rig, path, &person.marker(2)).await.to_string();
        for before in ["secret", &person.marker(0), &person.marker(1)] {
            assert!(!text.contains(before), "{text}");
        }
        rig.stop_host().await;
        rig.start_host().await;
    }
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn d41_nobody_reads_or_resets_a_context_without_the_token() {
    let rig = start().await;
    rig.emit(&Person::new("p", "s").batch(0..1)).await;
    let path = "/context/u-s?product=p&query=q";
    told(&rig, path, "Session s").await;
    let requests = [
        (Method::GET, path),
        (Method::GET, "/users/p/u-s/live-activity"),
        (Method::POST, "/admin/reset/u-s?product=p"),
    ];
    for (method, path) in requests {
        for token in [None, Some("wrong"), Some("")] {
            let (status, answer) = rig.ask(method.clone(), path, token).await;
            assert_eq!((status, &answer["error"]["code"]), (401, &json!("unauthorized")), "{path}");
        }
    }
    told(&rig, path, "Session s").await;
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn d51_a_user_id_may_be_any_text() {
    let rig = start().await;
    for (number, id) in ["a/b", "ü ?&=%", "a%2Fb"].into_iter().enumerate() {
        let batch = ActionsPayload {
            user_id: Some(id.to_owned()),
            ..Person::new("p", format!("s{number}")).batch(0..1)
        };
        rig.emit(&batch).await;
        let encoded: String = id.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let path = format!("/context/{encoded}?product=p&query=q");
        let answer = told(&rig, &path, &format!("Session s{number} (p)")).await;
        assert_eq!(answer["user_id"], id);
    }
    rig.stop().await;
}
