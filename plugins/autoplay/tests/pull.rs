//! What is asked of the connector, and what becomes of its answer.

use sidenote_autoplay::Autoplay;
use sidenote_plugin::source::{EventKind, Page, Subject};
use sidenote_plugin::test::{self, Host};
use sidenote_plugin::{FailureKind, Source};

fn asked(user: &str) -> Option<Subject> {
    let (product_id, user_id) = ("a/b".to_owned(), user.to_owned());
    Some(Subject { product_id, user_id, extras: Vec::new() })
}

fn host() -> Host {
    Host::new().config("url", "https://connector.example/").secret("key", "mcp")
}

#[test]
fn a_person_is_asked_about_and_each_action_is_known_again() {
    let action = r#"{"title": "Export", "description": "Exported it", "canonical_url": "/i/:id", "index": 3, "type": "click",
        "timestamp_start": 1700000000.25, "session_id": "s-1", "email": "ann@example.com"}"#;
    let answer = format!(r#"{{"actions": [{action}, 7, {{"title": "Look"}}], "count": 3}}"#);
    let host = host().respond(200, &answer).respond(200, &answer).install();
    let page = Autoplay::poll(test::call(), asked("u/1 ü"), None).unwrap();
    let request = &host.requests()[0];
    assert_eq!(
        request.url,
        "https://connector.example/users/a%2Fb/u%2F1%20%C3%BC/live-activity?limit=100"
    );
    assert!(
        request
            .headers
            .iter()
            .any(|(name, value)| name == "authorization" && value.contains("{{secret:key}}"))
    );
    let batch = &page.batches[0];
    assert_eq!(batch.product_id.as_deref(), Some("a/b"));
    let [export, look] = &*batch.events else { panic!("{:?}", batch.events) };
    assert_eq!(
        (export.kind, export.description.as_str(), export.url.as_str()),
        (EventKind::Click, "Exported it", "/i/:id")
    );
    assert_eq!(
        (export.at, export.identity.session_id.as_deref()),
        (Some(1_700_000_000.25), Some("s-1"))
    );
    assert_eq!(export.identity.user_id.as_deref(), Some("u/1 ü"), "who was asked about");
    assert_eq!((look.at, look.identity.session_id.as_deref()), (None, None));
    assert_ne!(export.id, look.id);
    assert_eq!(page.ignored[0].count, 1);
    let again = Autoplay::poll(test::call(), asked("u/1 ü"), None).unwrap();
    assert_eq!(again.batches[0].events[0].id, export.id);
}

#[test]
fn what_was_found_long_before_is_left_out_and_what_may_have_come_late_is_not() {
    let action = |at: u32| format!(r#"{{"title": "At {at}", "timestamp_start": {at}}}"#);
    let told = [1_000_000, 1_000_700, 1_001_000, 4_000_000_000].map(action).join(",");
    let told = format!(r#"{{"actions": [{told}, {{"title": "Timeless"}}]}}"#);
    host().respond(200, &told).respond(200, &told).respond(200, &told).respond(404, "").install();
    let ask = |cursor: Option<&str>| {
        let page = Autoplay::poll(test::call(), asked("u"), cursor.map(str::to_owned)).unwrap();
        let titles: Vec<_> = page.batches.iter().flat_map(|batch| &batch.events).collect();
        let titles: Vec<_> = titles.into_iter().map(|event| event.title.clone()).collect();
        (titles, page.ignored.iter().map(|it| it.count).sum::<u32>(), page.cursor)
    };
    let (titles, ignored, cursor) = ask(None);
    assert_eq!((titles.len(), ignored), (5, 0));
    let ahead: f64 = cursor.unwrap().parse().unwrap();
    assert!(ahead < 4e9, "a clock that is ahead hides nothing: {ahead}");
    let (titles, ignored, cursor) = ask(Some("1001000.5"));
    assert_eq!(titles, ["At 1000700", "At 1001000", "At 4000000000", "Timeless"]);
    assert_eq!((ignored, cursor.unwrap().parse::<f64>().unwrap() < 4e9), (1, true));
    assert_eq!(ask(Some("no number")).0.len(), 5);
    assert_eq!(ask(Some("7")).2, None, "nobody is known there any more; the host keeps its own");
}

#[test]
fn nobody_is_an_empty_page_and_a_wrong_key_a_failure() {
    host().respond(404, "").respond(200, "{}").respond(401, "").respond(200, "no").install();
    assert_eq!(Autoplay::poll(test::call(), asked("u"), None), Ok(Page::default()));
    assert_eq!(Autoplay::poll(test::call(), asked("u"), None), Ok(Page::default()));
    let refused = Autoplay::poll(test::call(), asked("u"), None).unwrap_err();
    assert_eq!(refused.kind, FailureKind::Auth);
    assert!(Autoplay::poll(test::call(), asked("u"), None).is_err());
    assert_eq!(Autoplay::poll(test::call(), None, None), Ok(Page::default()), "everybody: nothing");
    assert!(Autoplay::receive(test::request("POST", "/", &[], "{}")).is_err());
}
