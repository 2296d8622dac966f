//! What a form does, and when it does nothing.

use super::*;

#[tokio::test]
async fn a_form_does_something_only_with_its_token_and_from_its_own_page() {
    let pages = Pages::new(None);
    let (cookie, token) = pages.login("all");
    let (_, another) = pages.login("all");
    let until = NOW.as_secs_f64().to_string();
    let order = [("decision", "purge"), ("state", "dead"), ("until", &until)];
    let path = "/outbox/decide";
    for wrong in [None, Some(""), Some(&*another), Some(&token[1..])] {
        let form: Vec<_> = wrong.map(|it| (FORM_TOKEN, it)).into_iter().chain(order).collect();
        assert_eq!(pages.post(path, &cookie, &form).await.status(), StatusCode::FORBIDDEN);
    }
    let form: Vec<_> = [(FORM_TOKEN, &*token)].into_iter().chain(order).collect();
    let twice: Vec<_> = form.iter().copied().chain([(FORM_TOKEN, &*token)]).collect();
    assert_eq!(pages.post(path, &cookie, &twice).await.status(), StatusCode::FORBIDDEN);
    for (name, value) in [
        ("origin", "https://evil.example"),
        ("origin", "http://127.0.0.1:9999"),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        ("sec-fetch-site", "none"),
    ] {
        let request = form_to(path, &cookie).header(name, value);
        let answer = pages.send(request, written(&form)).await;
        assert_eq!(answer.status(), StatusCode::FORBIDDEN, "{name}: {value}");
    }
    let json = Request::post(path).header(COOKIE, &cookie).header(CONTENT_TYPE, "text/plain");
    let answer = pages.send(json, written(&form)).await;
    assert_eq!(answer.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
    assert_eq!(pages.get(path, &cookie).await.status(), StatusCode::METHOD_NOT_ALLOWED);
    let large = written(&[(FORM_TOKEN, &"x".repeat(70_000))]);
    let answer = pages.send(form_to(path, &cookie), large).await;
    assert_eq!(answer.status(), StatusCode::PAYLOAD_TOO_LARGE);
    assert!(pages.fake.orders.lock().unwrap().is_empty());

    for own in ["http://127.0.0.1:8788", "null"] {
        let request = form_to(path, &cookie).header("origin", own);
        let request = request.header("sec-fetch-site", "same-origin");
        let said = text(pages.send(request, written(&form)).await).await;
        assert!(said.contains("Purged 1 note") && said.contains("1 other was"), "{said}");
    }
    let orders = pages.fake.orders.lock().unwrap();
    assert_eq!((orders.len(), orders[0].decision), (2, Decision::Purge));
    assert_eq!(orders[0].until, Some(NOW));
}

#[tokio::test]
async fn an_order_is_carried_out_for_the_filter_and_the_moment_of_its_preview() {
    let pages = Pages::new(None);
    let (cookie, token) = pages.login("all");
    let path = "/outbox/confirm?decision=retry&plugin=bot&reason=a%26b&older_than=2h";
    let preview = text(pages.get(path, &cookie).await).await;
    assert!(preview.contains("Retry 2 notes?") && !preview.contains("<script>alert"), "{preview}");
    let fields = preview.split("<input type=\"hidden\" name=\"").skip(1).filter_map(|field| {
        let (name, rest) = field.split_once("\" value=\"")?;
        let value = rest.split_once('"')?.0.replace("&amp;", "&");
        Some((name.to_owned(), value))
    });
    let mut form: Vec<_> = fields.filter(|(name, _)| name != FORM_TOKEN).collect();
    form.push((FORM_TOKEN.to_owned(), token.clone()));
    let form: Vec<_> = form.iter().map(|(name, value)| (&**name, &**value)).collect();
    let answer = pages.post("/outbox/decide", &cookie, &form).await;
    assert_eq!(answer.status(), StatusCode::OK);
    let orders = pages.fake.orders.lock().unwrap().clone();
    let previewed = pages.fake.asked.lock().unwrap().clone();
    assert_eq!((&orders[0].filter, orders[0].until), (&previewed[0], Some(NOW)));
    for unusable in [
        &[("decision", "burn"), ("until", "1")][..],
        &[("decision", "retry")],
        &[("decision", "retry"), ("until", "soon")],
        &[("decision", "retry"), ("until", "1"), ("older_than", "2")],
    ] {
        let form: Vec<_> = [(FORM_TOKEN, &*token)].iter().chain(unusable).copied().collect();
        let answer = pages.post("/outbox/decide", &cookie, &form).await;
        assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY, "{unusable:?}");
    }
    assert_eq!(pages.fake.orders.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_plugin_is_switched_by_whom_the_whole_host_is_open_to() {
    let pages = Pages::new(None);
    let (all, token) = pages.login("all");
    let form = |token| [(FORM_TOKEN, token), ("plugin", "bot"), ("to", "disable")];
    // The fake knows no plugin.
    let answer = pages.post("/plugins/switch", &all, &form(&token)).await;
    assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY);
    let (of_p, token) = pages.login("p");
    let answer = pages.post("/plugins/switch", &of_p, &form(&token)).await;
    assert_eq!(answer.status(), StatusCode::FORBIDDEN);
}
