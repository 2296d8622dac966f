//! Who may link.

use super::*;

fn with_token() -> Server {
    Server { token: Some(Secret::new("right")), ..Server::default() }
}

#[tokio::test]
async fn with_a_token_only_its_bearer_links() {
    let host = Host::start(with_token()).await;
    let body = r#"{"session_id": "s", "conversation_id": "c"}"#;
    for authorization in [
        "",
        "right",
        "Bearer",
        "Bearer ",
        "Bearer wrong",
        "Bearer right2",
        "Bearer righ",
        "Basic right",
        "Bearer right, Bearer right",
    ] {
        let answer = host
            .send("POST", "/sessions/link", &[JSON, ("authorization", authorization)], body)
            .await;
        assert_eq!(
            (answer.status(), answer.code().as_str()),
            (401, "unauthorized"),
            "{authorization}"
        );
        assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
        assert!(!answer.0.contains("right2"), "an answer never repeats a token");
    }
    let twice = [JSON, ("authorization", "Bearer right"), ("authorization", "Bearer right")];
    assert_eq!(host.send("POST", "/sessions/link", &twice, body).await.status(), 401);
    assert_eq!(host.send("POST", "/sessions/link", &[JSON], body).await.status(), 401);
    assert_eq!(host.links(), []);

    for authorization in ["Bearer right", "bearer right"] {
        let answer = host
            .send("POST", "/sessions/link", &[JSON, ("authorization", authorization)], body)
            .await;
        assert_eq!(answer.status(), 200, "{authorization}");
    }
    assert_eq!(host.send("GET", "/healthz", &[], "").await.status(), 200);
    assert_eq!(host.send("GET", "/readyz", &[], "").await.status(), 200);
    assert_eq!(host.send("POST", "/webhooks/x", &[], "").await.status(), 200);
}

#[tokio::test]
async fn without_a_token_only_programs_on_this_machine_link() {
    let host = Host::start(Server::default()).await;
    let body = r#"{"session_id": "s", "conversation_id": "c"}"#;
    for sign in ["origin", "x-forwarded-for", "x-real-ip", "forwarded", "via"] {
        let answer =
            host.send("POST", "/sessions/link", &[JSON, (sign, "http://127.0.0.1")], body).await;
        assert_eq!((answer.status(), answer.code().as_str()), (401, "unauthorized"), "{sign}");
    }
    assert_eq!(host.links(), []);
    assert_eq!(host.send("POST", "/sessions/link", &[JSON], body).await.status(), 200);
}

fn rule(server: &Server, listener: &str) -> auth::Rule {
    auth::Rule::of(server, listener.parse().unwrap())
}

fn allows(rule: &auth::Rule, peer: &str) -> bool {
    let (head, ()) = http::Request::get("/erase").body(()).unwrap().into_parts();
    let host = "localhost:80".parse().unwrap();
    let fake = Fake::default();
    let logins = auth::Logins::of(&fake);
    rule.caller(&logins, peer.parse().unwrap(), &head, Some(&host)).is_ok()
}

#[test]
fn a_listener_that_others_reach_serves_nobody_without_a_token() {
    let open = Server::default();
    assert!(!allows(&rule(&open, "0.0.0.0:80"), "127.0.0.1:5000"));
    let local = rule(&open, "127.0.0.1:80");
    assert!(allows(&local, "127.0.0.1:5000"));
    assert!(allows(&local, "[::ffff:127.0.0.1]:5000"));
    assert!(!allows(&local, "10.0.0.1:5000"));
}

#[test]
fn whoever_is_reached_under_a_public_address_serves_nobody_without_a_token() {
    for (url, served) in [
        ("https://notes.example.com", false),
        ("http://10.0.0.7:8787/base", false),
        ("http://localhost:8787", true),
        ("http://127.0.0.1:8787/base", true),
        ("http://[::1]", true),
    ] {
        let server = Server { public_url: Some(url.to_owned()), ..Server::default() };
        assert_eq!(allows(&rule(&server, "127.0.0.1:80"), "127.0.0.1:5000"), served, "{url}");
    }
}
