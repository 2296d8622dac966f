//! Who is told what a session's browser is to show.

use super::*;
use crate::config::PageOrigin;

const PATH: &str = "/sessions/p/s/events";

async fn host() -> Host {
    let event_origins = vec![PageOrigin::parse("https://app.example.com").unwrap()];
    let token = Some(Secret::new("right"));
    Host::start(Server { token, event_origins, ..Server::default() }).await
}

#[tokio::test]
async fn a_token_is_had_by_the_bearer_alone_and_is_one_sessions() {
    let host = host().await;
    assert_eq!(host.send("POST", PATH, &[], "").await.status(), 401);
    let answer = host.send("POST", PATH, &[("authorization", "Bearer right")], "").await;
    assert_eq!(answer.status(), 200);
    let value: serde_json::Value = serde_json::from_str(answer.body()).unwrap();
    let token = value["token"].as_str().unwrap().to_owned();
    for (path, status) in [
        (PATH.to_owned(), 401),
        (format!("{PATH}?token="), 401),
        (format!("{PATH}?token=1.00"), 401),
        (format!("/sessions/p/t/events?token={token}"), 401),
        (format!("{PATH}?token={token}&token={token}"), 422),
        (format!("{PATH}?other=1"), 422),
    ] {
        let answer = host.send("GET", &path, &[], "").await;
        assert_eq!(answer.status(), status, "{path}");
    }
    let bearer = [("authorization", "Bearer right")];
    assert_eq!(host.send("GET", PATH, &bearer, "").await.status(), 401, "it isn't the owner's");
}

#[tokio::test]
async fn a_page_is_told_where_its_origin_is_configured() {
    let host = host().await;
    let strange = host.send("GET", PATH, &[("origin", "https://evil.example")], "").await;
    assert_eq!((strange.status(), &*strange.code()), (403, "web_page"));
    assert!(strange.0.contains("event_origins"));
    let page = [("origin", "https://app.example.com")];
    let answer = host.send("GET", PATH, &page, "").await;
    assert_eq!((answer.status(), &*answer.code()), (401, "event_token"));
    assert_eq!(answer.header("access-control-allow-origin"), Some("https://app.example.com"));
}
