//! Who may read the metrics, and in which form.

use super::*;
use crate::metrics::{Scrape, names};

/// Something is counted.
pub(super) fn scrape() -> Scrape {
    let mut scrape = Scrape::default();
    scrape.count(&names::NOTES_POSTED, &[], 3);
    scrape
}

#[tokio::test]
async fn they_are_told_to_the_bearer_of_the_token_alone() {
    let server = Server { token: Some(Secret::new("right")), ..Server::default() };
    let host = Host::start(server).await;
    for headers in [&[][..], &[("authorization", "Bearer wrong")]] {
        let refused = host.send("GET", "/metrics", headers, "").await;
        assert_eq!((refused.status(), &*refused.code()), (401, "unauthorized"));
        assert!(!refused.body().contains("sidenote_"), "{}", refused.0);
    }
    let bearer = ("authorization", "Bearer right");
    let told = host.send("GET", "/metrics", &[bearer], "").await;
    assert_eq!(told.status(), 200);
    assert!(told.body().contains("\nsidenote_notes_posted_total 3\n"), "{}", told.0);
    assert_eq!(host.send("POST", "/metrics", &[bearer], "").await.status(), 405);

    let open = Host::start(Server::default()).await;
    assert_eq!(open.send("GET", "/metrics", &[], "").await.status(), 200, "of this machine");
    let passed_on = open.send("GET", "/metrics", &[("x-forwarded-for", "10.0.0.1")], "").await;
    assert_eq!(passed_on.status(), 401);
    let page = open.send("GET", "/metrics", &[("origin", "https://example.com")], "").await;
    assert_eq!(page.status(), 401);
}

#[tokio::test]
async fn they_are_told_in_the_form_that_is_asked_for() {
    let host = Host::start(Server::default()).await;
    let plain = host.send("GET", "/metrics", &[], "").await;
    assert_eq!(plain.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    assert!(!plain.body().contains("# EOF"), "{}", plain.0);
    let accept = ("accept", "application/openmetrics-text; version=1.0.0");
    let open = host.send("GET", "/metrics", &[accept], "").await;
    let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    assert_eq!(open.header("content-type"), Some(content_type));
    assert!(open.body().ends_with("sidenote_notes_posted_total 3\n# EOF\n"), "{}", open.0);
    for answer in [plain, open] {
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert_eq!(answer.header("vary"), Some("accept"));
    }
}
