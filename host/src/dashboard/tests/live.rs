//! What is told as it changes.

use super::*;

#[tokio::test]
async fn what_is_told_live_has_no_text_and_ends_with_the_login() {
    let pages = Pages::new(None);
    let (cookie, _) = pages.login("p");
    let answer = pages.get("/live", &cookie).await;
    assert_eq!(answer.headers()[CONTENT_TYPE], "text/event-stream");
    let mut lines = answer.into_body().into_data_stream();
    let first = String::from_utf8(lines.next().await.unwrap().unwrap().into()).unwrap();
    for part in ["verdict", "health", "failures", "attempts", "counts"] {
        assert!(first.contains(&format!("\"name\":\"{part}\"")), "{part}: {first}");
    }
    assert!(first.contains("of p") && !first.contains("of q") && !first.contains("the-user"));
    let value = cookie.split_once('=').unwrap().1;
    pages.dashboard.logins.end(&logins::LoginId::of_cookie(value));
    let last = tokio::time::timeout(Duration::from_secs(20), lines.next()).await.unwrap();
    assert_eq!(&last.unwrap().unwrap()[..], b"event: ended\ndata: \n\n");
    assert!(lines.next().await.is_none());
}

#[tokio::test]
async fn so_many_pages_are_told_live_and_the_end_of_the_host_ends_them() {
    let pages = Pages::new(None);
    let (cookie, _) = pages.login("all");
    let mut told = Vec::new();
    loop {
        let answer = pages.get("/live", &cookie).await;
        if answer.status() == StatusCode::SERVICE_UNAVAILABLE {
            break;
        }
        told.push(answer.into_body().into_data_stream());
        assert!(told.len() < 1000);
    }
    pages.dashboard.stop.cancel();
    for lines in &mut told {
        assert!(lines.next().await.is_none());
    }
    drop(told);
    assert_eq!(pages.get("/live", &cookie).await.status(), StatusCode::OK);
}
