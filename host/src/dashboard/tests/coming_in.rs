//! By which name the pages are called, and how somebody logs in and out.

use super::*;

#[tokio::test]
async fn another_name_isnt_served_so_that_no_page_of_others_leads_here() {
    let pages = Pages::new(Some("https://ops.example.com"));
    for (host, expected) in [
        ("127.0.0.1:8788", StatusCode::OK),
        ("localhost:8788", StatusCode::OK),
        ("192.0.2.1:8788", StatusCode::OK),
        ("[2001:db8::1]:8788", StatusCode::OK),
        ("ops.example.com", StatusCode::OK),
        ("evil.example", StatusCode::FORBIDDEN),
        ("127.0.0.1.evil.example", StatusCode::FORBIDDEN),
        ("user@127.0.0.1", StatusCode::BAD_REQUEST),
    ] {
        let answer = pages.send(Request::get("/login").header(HOST, host), Body::empty()).await;
        assert_eq!(answer.status(), expected, "{host}");
    }
    let two = Request::get("/login").header(HOST, "localhost").header(HOST, "evil.example");
    assert_eq!(pages.send(two, Body::empty()).await.status(), StatusCode::BAD_REQUEST);
}

/// What the login's page sets and says: the cookie, and the token of its form.
async fn login_form(pages: &Pages) -> (String, String) {
    let answer = pages.get("/login", "").await;
    let cookie = answer.headers()[SET_COOKIE].to_str().unwrap().to_owned();
    let page = text(answer).await;
    let token = page.split_once("name=\"form_token\" value=\"").unwrap().1;
    let token = token.split_once('"').unwrap().0.to_owned();
    (cookie.split_once(';').unwrap().0.to_owned(), token)
}

#[tokio::test]
async fn a_login_is_a_cookie_that_no_script_and_no_other_site_has() {
    for (public, name, secure) in [
        (None, "sidenote_dashboard=", false),
        (Some("https://ops.example.com"), "__Host-sidenote=", true),
    ] {
        let pages = Pages::new(public);
        let (cookie, token) = login_form(&pages).await;
        let form = [(FORM_TOKEN, &*token), ("key", "all"), ("next", "/outbox")];
        let answer = pages.post("/login", &cookie, &form).await;
        assert_eq!(answer.status(), StatusCode::SEE_OTHER);
        assert_eq!(answer.headers()[LOCATION], "/outbox");
        let set = answer.headers()[SET_COOKIE].to_str().unwrap();
        assert!(set.starts_with(name) && set.contains("Path=/"), "{set}");
        assert!(set.contains("HttpOnly") && set.contains("SameSite=Strict"), "{set}");
        assert_eq!(set.contains("Secure"), secure, "{set}");
        let cookie = set.split_once(';').unwrap().0;
        assert_eq!(pages.get("/outbox", cookie).await.status(), StatusCode::OK);
        let doubled = format!("{cookie}; {cookie}");
        assert_eq!(pages.get("/outbox", &doubled).await.status(), StatusCode::SEE_OTHER);

        let id = logins::LoginId::of_cookie(cookie.split_once('=').unwrap().1);
        let token = pages.dashboard.logins.get(&id, false, NOW).unwrap().form_token;
        let answer = pages.post("/logout", cookie, &[(FORM_TOKEN, &token)]).await;
        assert!(answer.headers()[SET_COOKIE].to_str().unwrap().contains("Max-Age=0"));
        assert_eq!(pages.get("/outbox", cookie).await.status(), StatusCode::SEE_OTHER);
    }
}

#[tokio::test]
async fn the_form_of_the_login_is_its_own_and_wrong_keys_are_slowed() {
    let pages = Pages::new(None);
    let (cookie, token) = login_form(&pages).await;
    let right = [(FORM_TOKEN, &*token), ("key", "all")];
    for (cookie, form) in [("", &right[..]), (&*cookie, &right[1..]), ("sidenote_form=x", &right)] {
        assert_eq!(pages.post("/login", cookie, form).await.status(), StatusCode::FORBIDDEN);
    }
    // Without a key nobody comes in where keys are set.
    let answer = pages.post("/login", &cookie, &right[..1]).await;
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    let wrong = [(FORM_TOKEN, &*token), ("key", "guessed")];
    for _ in 1..wrong_keys::MOST {
        let answer = pages.post("/login", &cookie, &wrong).await;
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
        assert!(!text(answer).await.contains("guessed"));
    }
    for form in [&wrong, &right] {
        let answer = pages.post("/login", &cookie, form).await;
        assert_eq!(answer.status(), StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(answer.headers()["retry-after"], "60");
    }
}

#[tokio::test]
async fn who_comes_by_a_link_of_another_site_has_the_page_asked_for_once_more() {
    let pages = Pages::new(None);
    let request = Request::get("/outbox").header("sec-fetch-site", "cross-site");
    let answer = pages.send(request, Body::empty()).await;
    assert_eq!(answer.status(), StatusCode::OK);
    assert!(text(answer).await.contains("http-equiv=\"refresh\""));
}

#[tokio::test]
async fn without_a_key_whoever_uses_this_machine_comes_in_and_nobody_else() {
    let local = "127.0.0.1:8788".parse().unwrap();
    let keys = Keys::of(&Server::default(), &config::Dashboard::default(), None, local);
    let pages = Pages::with(keys, None);
    let (form_cookie, token) = login_form(&pages).await;
    let here = Peer("127.0.0.1:1000".parse().unwrap());
    let form = written(&[(FORM_TOKEN, &token)]);
    let from = |peer: Peer| form_to("/login", &form_cookie).extension(peer);
    for elsewhere in [
        from(Peer("192.0.2.7:1000".parse().unwrap())),
        from(here).header("x-forwarded-for", "192.0.2.7"),
        from(here).header(HOST, "192.0.2.1:8788"),
    ] {
        let answer = pages.send(elsewhere, form.clone()).await;
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    }
    let answer = pages.send(from(here), form).await;
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    let cookie = answer.headers()[SET_COOKIE].to_str().unwrap();
    let cookie = cookie.split_once(';').unwrap().0.to_owned();
    let page = || Request::get("/outbox").header(COOKIE, &cookie);
    assert_eq!(pages.send(page().extension(here), Body::empty()).await.status(), StatusCode::OK);
    // Whoever has the cookie elsewhere has nothing by it, and it is over.
    assert_eq!(pages.send(page(), Body::empty()).await.status(), StatusCode::SEE_OTHER);
    let again = pages.send(page().extension(here), Body::empty()).await;
    assert_eq!(again.status(), StatusCode::SEE_OTHER);
}
