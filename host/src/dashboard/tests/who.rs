//! Who sees what.

use super::*;

#[tokio::test]
async fn every_route_asks_who_comes_and_says_what_a_browser_may_do_with_it() {
    let pages = Pages::new(None);
    for route in routes::table() {
        let path = address(route.path);
        let method = if route.rule.is_form { Method::POST } else { Method::GET };
        let request = Request::builder().method(method).uri(&path);
        let answer = pages.send(request, Body::empty()).await;
        let (status, headers) = (answer.status(), answer.headers().clone());
        let expected = match (route.rule.needs, route.rule.is_form) {
            (Needs::Nothing, false) => StatusCode::OK,
            (Needs::Nothing, true) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            (Needs::Login | Needs::Scope(_), _) => StatusCode::SEE_OTHER,
            (Needs::Following, _) => StatusCode::UNAUTHORIZED,
        };
        assert_eq!(status, expected, "{path}");
        if status == StatusCode::SEE_OTHER {
            assert!(headers[LOCATION].to_str().unwrap().starts_with("/login"), "{path}");
        }
        assert!(headers["content-security-policy"].to_str().unwrap().contains("'none'"), "{path}");
        assert_eq!(headers["referrer-policy"], "no-referrer");
        assert_eq!(headers["x-content-type-options"], "nosniff");
        let kept = route.path == "/assets/{name}";
        assert_eq!(headers["cache-control"] != "no-store", kept, "{path}");
    }
    assert!(pages.fake.asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn every_route_is_refused_to_who_lacks_its_scope() {
    let pages = Pages::new(None);
    for route in routes::table() {
        let scope = match route.rule.needs {
            Needs::Scope(scope) => scope,
            Needs::Following => Scope::Read,
            Needs::Login | Needs::Nothing => continue,
        };
        let (cookie, token) = pages.login(&format!("no-{}", scope.name()));
        let path = address(route.path);
        let answer = match route.rule.is_form {
            true => pages.post(&path, &cookie, &[(FORM_TOKEN, &token)]).await,
            false => pages.get(&path, &cookie).await,
        };
        assert_eq!(answer.status(), StatusCode::FORBIDDEN, "{path}");
        assert!(text(answer).await.contains(scope.name()));
    }
    assert!(pages.fake.asked.lock().unwrap().is_empty());
    assert!(pages.fake.orders.lock().unwrap().is_empty());
}

#[tokio::test]
async fn what_people_did_is_read_only_where_it_is_asked_for_by_who_may() {
    let pages = Pages::new(None);
    let (cookie, _) = pages.login("all");
    let hidden = text(pages.get("/sessions/p/s", &cookie).await).await;
    assert!(hidden.contains("Show what was done") && !hidden.contains("the-user"));
    let shown = text(pages.get("/sessions/p/s?text=1", &cookie).await).await;
    assert!(shown.contains("the-user"));
    let (cookie, _) = pages.login("no-text");
    let answer = pages.get("/sessions/p/s?text=1", &cookie).await;
    assert_eq!(answer.status(), StatusCode::FORBIDDEN);
    let hidden = text(pages.get("/sessions/p/s", &cookie).await).await;
    assert!(!hidden.contains("Show what was done"));
    assert_eq!(*pages.fake.texts.lock().unwrap(), [false, true, false]);
}

#[tokio::test]
async fn who_sees_one_product_sees_nothing_of_others() {
    let pages = Pages::new(None);
    let (cookie, _) = pages.login("p");
    let overview = text(pages.get("/", &cookie).await).await;
    assert!(overview.contains("of p") && !overview.contains("of q") && !overview.contains("q/s"));
    assert_eq!(pages.get("/sessions/q/s", &cookie).await.status(), StatusCode::NOT_FOUND);
    assert_eq!(pages.get("/outbox?product=q", &cookie).await.status(), StatusCode::FORBIDDEN);
    assert_eq!(pages.get("/outbox", &cookie).await.status(), StatusCode::OK);
    let of_p = Some(BTreeSet::from([product("p")]));
    assert_eq!(pages.fake.asked.lock().unwrap()[0].within, of_p);
    let search = text(pages.get("/sessions?q=x&product=q", &cookie).await).await;
    assert!(search.contains("No session"), "{search}");
}

#[tokio::test]
async fn who_may_not_act_sees_no_buttons_and_who_may_sees_the_next_step() {
    let pages = Pages::new(None);
    let (may, _) = pages.login("all");
    let (may_not, _) = pages.login("no-operate");
    for path in ["/", "/outbox"] {
        let (with, without) =
            (text(pages.get(path, &may).await).await, text(pages.get(path, &may_not).await).await);
        assert!(with.contains("/outbox/confirm") && !without.contains("/outbox/confirm"), "{path}");
        assert!(!with.contains("<script>alert") && with.contains("&lt;script&gt;alert"), "{path}");
    }
    let overview = text(pages.get("/", &may).await).await;
    for told in
        ["1 thing is broken", "Stream main is refused: 401", "stream retry", "purge, or link"]
    {
        assert!(overview.contains(told), "{told}: {overview}");
    }
}

#[tokio::test]
async fn the_audit_log_is_for_who_may_see_all_products() {
    let pages = Pages::new(None);
    let (all, _) = pages.login("all");
    assert!(text(pages.get("/audit", &all).await).await.contains("Nobody has changed anything."));
    assert!(text(pages.get("/", &all).await).await.contains("href=\"/audit\""));
    let (of_p, _) = pages.login("p");
    assert_eq!(pages.get("/audit", &of_p).await.status(), StatusCode::FORBIDDEN);
    assert!(!text(pages.get("/", &of_p).await).await.contains("href=\"/audit\""));
}
