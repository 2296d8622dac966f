//! What every route that reads a JSON object refuses, whatever it wants.

use super::*;

/// Every such route, and a body that it takes.
const READERS: [(&str, &str); 4] = [
    ("/sessions/link", r#"{"session_id": "s", "conversation_id": "c"}"#),
    ("/erase", r#"{"product_id": "p", "user_id": "u"}"#),
    ("/outbox/retry", r#"{"plugin": "bot"}"#),
    ("/outbox/purge", r#"{"plugin": "bot"}"#),
];

#[tokio::test]
async fn a_body_is_one_object_of_known_names_that_says_that_it_is_json() {
    let host = Host::start(Server::default()).await;
    for (path, body) in READERS {
        assert_eq!(host.send("POST", path, &[JSON], body).await.status(), 200, "{path}");
        let (first, _) = body.split_once(',').unwrap_or((body.trim_end_matches('}'), ""));
        let again = first.trim_start_matches('{');
        let twice = body.replacen('}', &format!(", {again}}}"), 1);
        let escaped = twice.replacen("{\"p", "{\"\\u0070", 1).replacen("{\"s", "{\"\\u0073", 1);
        for (body, status, code) in [
            ("", 400, "invalid_json"),
            ("{", 400, "invalid_json"),
            (&body[..body.len() - 1], 400, "invalid_json"),
            (format!("{body}{body}").as_str(), 400, "invalid_json"),
            ("[".repeat(100_000).as_str(), 400, "invalid_json"),
            ("null", 422, "invalid_body"),
            ("[]", 422, "invalid_body"),
            (body.replacen('}', r#", "more": 1}"#, 1).as_str(), 422, "unknown_field"),
            (twice.as_str(), 422, "field_twice"),
            (escaped.as_str(), 422, "field_twice"),
        ] {
            let answer = host.send("POST", path, &[JSON], body).await;
            let found = (answer.status(), answer.code());
            assert_eq!(found, (status, code.to_owned()), "{path} {body:.80}");
        }
        for (content_type, status) in [
            ("Application/JSON; charset=utf-8", 200),
            ("text/plain", 415),
            ("application/x-www-form-urlencoded", 415),
            ("application/jsonp", 415),
            ("", 415),
        ] {
            let answer = host.send("POST", path, &[("content-type", content_type)], body).await;
            assert_eq!(answer.status(), status, "{path} {content_type}");
        }
    }
    assert_eq!(host.links().len(), 2);
    assert_eq!(host.backend.erasures.lock().unwrap().len(), 2);
    assert_eq!(host.backend.asked.lock().unwrap().len(), 4);
}

#[tokio::test]
async fn an_id_in_an_address_that_is_not_text_is_refused_alike_everywhere() {
    let mut addresses = 0;
    let server = Server { token: Some(Secret::new("right")), ..Server::default() };
    let host = Host::start(server).await;
    let headers = [JSON, ("authorization", "Bearer right")];
    for route in routes::table() {
        let part = |part: &'static str| if part.starts_with('{') { "%ff" } else { part };
        let path = route.path.split('/').map(part).collect::<Vec<_>>().join("/");
        if path == route.path {
            continue;
        }
        for method in route.methods.iter().filter(|method| **method != "HEAD") {
            let answer = host.send(method, &path, &headers, "{}").await;
            let found = (answer.status(), answer.code());
            assert_eq!(found, (422, "invalid_id".to_owned()), "{method} {path}");
            addresses += 1;
        }
    }
    assert!(addresses >= 14, "{addresses}");
}
