//! `GET /context/{user_id}`, `GET /users/{product_id}/{user_id}/live-activity` and
//! `POST /admin/reset/{user_id}`.

use super::*;
use crate::clock::{Clock, Timestamp};
use crate::config;
use crate::context::{Settings, UserSettings};
use crate::session::payload::{Action, ActionsPayload};

const TOKEN: (&str, &str) = ("authorization", "Bearer t");

/// The products `p`, `q` and the book's.
pub(super) fn product(named: Option<&str>) -> Result<Arc<str>, NoProduct> {
    match named {
        None => Err(NoProduct::Several(vec!["p".to_owned(), "q".to_owned()])),
        Some(id @ ("p" | "q" | "acme")) => Ok(id.into()),
        Some(_) => Err(NoProduct::Unknown),
    }
}

fn clock() -> Clock {
    Clock::starting_at(Timestamp::from_secs_f64(1_700_000_000.0))
}

/// A host that keeps what people did, with the token `t`.
async fn start() -> (Host, Recent) {
    let token = Some(Secret::new("t"));
    let host = Host::start(Server { token, ..Server::default() }).await;
    let recent = Recent::new(Settings::default(), UserSettings::default(), clock()).unwrap();
    *host.backend.recent.lock().unwrap() = Some(recent.clone());
    (host, recent)
}

fn batch(product: &str, user: &str, did: &[&str]) -> ActionsPayload {
    let action = |did: &&str| Action { description: (*did).to_owned(), ..Action::default() };
    ActionsPayload {
        product_id: product.to_owned(),
        session_id: Some(format!("s-{user}")),
        user_id: Some(user.to_owned()),
        actions: did.iter().map(action).collect(),
        forwarded_at: 1_700_000_000.0,
        ..ActionsPayload::default()
    }
}

impl Host {
    async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[TOKEN], "").await
    }
}

#[tokio::test]
async fn a_user_of_one_product_is_nobody_in_another() {
    let (host, recent) = start().await;
    recent.take(&batch("p", "u", &["in p"]));
    recent.take(&batch("q", "u", &["in q"]));
    let answer = host.get("/context/u?query=how&product=p").await;
    assert_eq!(answer.status(), 200);
    let expected = "Session s-u (p):\nRecent activity:\n1. [0] : in p — ";
    assert_eq!(answer.json(), json!({"user_id": "u", "query": "how", "context": expected}));
    let answer = host.get("/context/u?query=how").await;
    assert_eq!((answer.status(), answer.code().as_str()), (422, "which_product"));
    assert!(answer.body().contains("?product=p or ?product=q"), "{}", answer.body());
    let answer = host.get("/context/u?query=how&product=r").await;
    assert_eq!((answer.status(), answer.code().as_str()), (404, "unknown_product"));
    recent.take(&batch("q", "v", &["x"]));
    let answer = host.get("/context/v?query=how&product=p").await;
    assert_eq!((answer.status(), answer.code().as_str()), (404, "unknown_user"));
    assert_eq!(answer.json()["detail"], "No activity found for user");
}

#[tokio::test]
async fn of_nobody_nothing_is_told_and_it_is_said() {
    let (host, recent) = start().await;
    for (value, path) in [
        ("undefined", "undefined"),
        ("null", "null"),
        ("NaN", "NaN"),
        ("0", "0"),
        ("guest", "GUEST"),
        ("   ", "%20"),
        ("\u{200b}", "%E2%80%8B"),
    ] {
        recent.take(&batch("p", value, &["by somebody"]));
        for path in [
            format!("/context/{path}?query=how&product=p"),
            format!("/users/p/{path}/live-activity"),
        ] {
            let answer = host.get(&path).await;
            assert_eq!((answer.status(), answer.code().as_str()), (404, "unknown_user"), "{path}");
            assert!(answer.body().contains("names nobody"), "{}", answer.body());
            assert_eq!(answer.json()["detail"], "No activity found for user");
        }
    }
}

#[tokio::test]
async fn what_a_user_did_is_listed_the_latest_last() {
    let (host, recent) = start().await;
    recent.take(&batch("p", "a/b ü", &["one", "two", "three"]));
    let path = "/users/p/a%2Fb%20%C3%BC/live-activity";
    let answer = host.get(&format!("{path}?limit=2")).await.json();
    assert_eq!((&answer["user_id"], &answer["count"]), (&json!("a/b ü"), &json!(2)));
    assert_eq!(
        answer["actions"][1],
        json!({
            "session_id": "s-a/b ü", "accepted_at": 1_700_000_000.0, "description": "three",
            "title": "", "type": "", "index": 0, "canonical_url": "", "raw_url": "",
        })
    );
    assert_eq!(host.get(path).await.json()["count"], 3);
    assert_eq!(host.get("/users/p/nobody/live-activity").await.status(), 404);
    for limit in ["0", "1001", "x", "-1"] {
        let answer = host.get(&format!("{path}?limit={limit}")).await;
        assert_eq!((answer.status(), answer.code().as_str()), (422, "invalid_limit"), "{limit}");
    }
}

/// The book's answers are what the host says.
#[tokio::test]
async fn the_answers_of_the_book_are_answered() {
    let (host, recent) = start().await;
    let action = Action {
        kind: "click".to_owned(),
        title: "Export".to_owned(),
        description: "Clicked Export".to_owned(),
        canonical_url: "/invoices".to_owned(),
        raw_url: "/invoices?page=2".to_owned(),
        timestamp_start: Some(1_699_999_999.5),
        ..Action::default()
    };
    let viewed = Action { description: "Viewed".to_owned(), ..Action::default() };
    let batch = ActionsPayload {
        session_id: Some("s-1".to_owned()),
        actions: vec![viewed, action],
        ..batch("acme", "u-17", &[])
    };
    recent.take(&batch);
    recent.summarize("acme", "s-1", "Looked at three invoices.", 1);
    for (path, shown) in [
        (
            "/context/u-17?query=How+do+I+export%3F&product=acme",
            include_str!("../../../../docs/snippets/context.json"),
        ),
        (
            "/users/acme/u-17/live-activity?limit=20",
            include_str!("../../../../docs/snippets/live-activity.json"),
        ),
    ] {
        let shown: Value = serde_json::from_str(shown).unwrap();
        assert_eq!(host.get(path).await.json(), shown);
    }
}

#[tokio::test]
async fn a_reset_names_its_product_and_its_user() {
    let (host, _) = start().await;
    let answer = host.send("POST", "/admin/reset/a%2Fb?product=p", &[TOKEN], "junk").await;
    // What stays at a platform is told beside what autoplay-sdk answers.
    let expected = json!({
        "status": "ok", "user_id": "a/b", "left": 5, "erasure": "0000000000000abc",
        "kept": [{"plugin": "bot", "reason": "no_redactor", "notes": 5}],
    });
    assert_eq!(answer.json(), expected);
    assert_eq!(*host.backend.resets.lock().unwrap(), [("p".to_owned(), "a/b".to_owned())]);
    let answer = host.send("POST", "/admin/reset/u", &[TOKEN], "").await;
    assert_eq!((answer.status(), answer.code().as_str()), (422, "which_product"));
    let answer = host.send("GET", "/admin/reset/u?product=p", &[TOKEN], "").await;
    assert_eq!((answer.status(), answer.header("allow")), (405, Some("POST")));
    assert_eq!(host.backend.resets.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn what_people_did_is_for_the_bearer_of_a_token() {
    let paths = [
        ("GET", "/context/u?query=q&product=p"),
        ("GET", "/users/p/u/live-activity"),
        ("POST", "/admin/reset/u?product=p"),
    ];
    let (host, recent) = start().await;
    recent.take(&batch("p", "u", &["secret"]));
    for (method, path) in paths {
        for headers in [&[][..], &[("authorization", "Bearer wrong")]] {
            let answer = host.send(method, path, headers, "").await;
            assert_eq!(answer.status(), 401, "{method} {path}");
            assert!(!answer.body().contains("secret"));
        }
    }
    let open = Host::start(Server::default()).await;
    *open.backend.recent.lock().unwrap() = Some(recent);
    for (method, path) in &paths[..2] {
        let answer = open.send(method, path, &[], "").await;
        assert_eq!((answer.status(), answer.code().as_str()), (403, "context_needs_token"));
    }
}

#[tokio::test]
async fn a_host_that_knows_nothing_yet_says_so() {
    let (host, _) = start().await;
    let unread = Recent::of(&config::Context::default(), Arc::default(), clock()).unwrap();
    *host.backend.recent.lock().unwrap() = Some(unread);
    let answer = host.get("/context/u?query=q&product=p").await;
    assert_eq!((answer.status(), answer.code().as_str()), (503, "context_not_ready"));
    assert_eq!(answer.header("retry-after"), Some("1"));
    *host.backend.recent.lock().unwrap() = None;
    let answer = host.get("/context/u?query=q&product=p").await;
    assert_eq!((answer.status(), answer.code().as_str()), (503, "context_off"));
}

#[tokio::test]
async fn what_cannot_be_read_is_a_typed_error() {
    let (host, recent) = start().await;
    recent.take(&batch("p", "u", &["x"]));
    for (path, status, code) in [
        ("/context/u?product=p", 422, "missing_query"),
        ("/context/%FF?query=q&product=p", 422, "invalid_id"),
        ("/users/p/%FF/live-activity", 422, "invalid_id"),
        ("/context/u/v?query=q&product=p", 404, "not_found"),
        ("/context/?query=q&product=p", 404, "not_found"),
    ] {
        let answer = host.get(path).await;
        assert_eq!((answer.status(), answer.code().as_str()), (status, code), "{path}");
    }
    let detail = &host.get("/context/u?product=p").await.json()["detail"];
    assert_eq!(detail[0]["loc"], json!(["query", "query"]));
}
