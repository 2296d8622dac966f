//! Who may follow what happens.

use super::*;

#[tokio::test]
async fn what_happens_is_for_the_owner_and_what_people_did_for_the_bearer_of_a_token() {
    let open = Host::start(Server::default()).await;
    // As many follow as may: whoever is let in is told so.
    assert_eq!(open.send("GET", "/tap", &[], "").await.code(), "too_many_followers");
    let text = open.send("GET", "/tap/text", &[], "").await;
    assert_eq!((text.status(), &*text.code()), (403, "context_needs_token"));

    let token = Some(Secret::new("right"));
    let host = Host::start(Server { token, ..Server::default() }).await;
    let bearer = [("authorization", "Bearer right")];
    for path in ["/tap", "/tap/text"] {
        assert_eq!(host.send("GET", path, &[], "").await.status(), 401, "{path}");
        let answer = host.send("GET", path, &bearer, "").await;
        assert_eq!((answer.status(), &*answer.code()), (503, "too_many_followers"), "{path}");
        assert!(answer.header("retry-after").is_some(), "{path}");
        let odd = host.send("GET", &format!("{path}?only=titles"), &bearer, "").await;
        assert_eq!((odd.status(), &*odd.code()), (422, "invalid_query"), "{path}");
    }
}
