//! The platforms themselves: what a story shows is worth as much as they are strict.

use sidenote_sim::Opening;
use sidenote_tests::vendor::VendorServer;

use super::*;

/// A request, and the status that it is answered with.
type Case<'a> = (&'a str, String, &'a [(&'a str, &'a str)], String, u16);

async fn judge(server: &VendorServer, cases: &[Case<'_>]) {
    let client = reqwest::Client::builder().no_proxy().build().expect("a plain client");
    let mut refused = 0;
    for (method, path, headers, body, wanted) in cases {
        let mut request =
            client.request(method.parse().expect("a method"), server.url() + path.as_str());
        for (name, value) in *headers {
            request = request.header(*name, *value);
        }
        let answer = request.body(body.clone()).send().await.expect("an answer");
        let (status, text) =
            (answer.status().as_u16(), answer.text().await.expect("a whole answer"));
        assert_eq!(status, *wanted, "{method} {path} {headers:?} {body}: {text}");
        // To look for what isn't there is no mistake.
        refused += u64::from(status >= 400 && (*method != "GET" || status != 404));
    }
    assert_eq!(server.stats().refused, refused, "every refusal is on record");
}

#[tokio::test]
async fn intercom_refuses_what_intercom_refuses() {
    let intercom = Intercom::default();
    let bearer = format!("Bearer {}", intercom.token);
    let server = VendorServer::start(intercom.clone()).await;
    let id = server.create(Opening::session("p", "s"));
    let auth = ("authorization", &*bearer);
    let (version, json) = (("intercom-version", "2.16"), ("content-type", "application/json"));
    let all = &[auth, version, json][..];
    let reply = format!("/conversations/{id}/reply");
    let body = |change: &dyn Fn(&mut serde_json::Value)| {
        let mut body = serde_json::json!({
            "message_type": "note", "type": "admin", "admin_id": intercom.admin, "body": "<p>x</p>",
        });
        change(&mut body);
        body.to_string()
    };
    let good = || body(&|_| {});
    let redact = "/conversations/redact".to_owned();
    let part = |id: &str, part: &str| {
        let body = serde_json::json!({
            "type": "conversation_part", "conversation_id": id, "conversation_part_id": part,
        });
        body.to_string()
    };
    let wrong = ("authorization", "Bearer wrong");
    judge(
        &server,
        &[
            ("POST", reply.clone(), all, good(), 200),
            ("POST", reply.clone(), &[wrong, version, json], good(), 401),
            ("POST", reply.clone(), &[version, json], good(), 401),
            ("POST", reply.clone(), &[auth, auth, version, json], good(), 401),
            ("POST", reply.clone(), &[auth, json], good(), 400),
            ("POST", reply.clone(), &[auth, ("intercom-version", "9.9"), json], good(), 400),
            ("POST", reply.clone(), &[auth, version], good(), 415),
            ("POST", reply.clone(), all, "{".to_owned(), 422),
            ("POST", reply.clone(), all, body(&|it| it["body"] = "".into()), 422),
            ("POST", reply.clone(), all, body(&|it| it["message_type"] = "shout".into()), 422),
            ("POST", reply.clone(), all, body(&|it| it["type"] = "user".into()), 422),
            ("POST", reply.clone(), all, body(&|it| it["odd"] = 1.into()), 422),
            ("POST", reply.clone(), all, body(&|it| it["admin_id"] = 7.into()), 404),
            (
                "POST",
                reply.clone(),
                all,
                body(&|it| it["message_type"] = "quick_reply".into()),
                422,
            ),
            ("POST", "/conversations/1/reply".to_owned(), all, good(), 404),
            ("POST", "/conversations".to_owned(), all, good(), 404),
            ("GET", "/conversations/1".to_owned(), &[auth, version], String::new(), 404),
            ("POST", redact.clone(), all, part(&id, "1"), 404),
            ("POST", redact.clone(), all, part("1", "2"), 404),
            ("POST", redact.clone(), all, "{}".to_owned(), 422),
            ("POST", redact.clone(), all, part(&id, "2"), 200),
        ],
    )
    .await;
    assert!(server.notes(&id)[0].redacted);
    assert_eq!(server.read(&id), ["This message was deleted"]);
}

#[tokio::test]
async fn zendesk_refuses_what_zendesk_refuses() {
    let zendesk = Zendesk::default();
    let bearer = format!("Bearer {}", zendesk.token);
    let server = VendorServer::start(zendesk).await;
    let id = server.create(Opening::session("p", "s"));
    let (auth, json) = (("authorization", &*bearer), ("content-type", "application/json"));
    let all = &[auth, json][..];
    let ticket = format!("/api/v2/tickets/{id}");
    let note = |html: &str| {
        let comment = serde_json::json!({ "html_body": html, "public": false });
        serde_json::json!({ "ticket": { "comment": comment } }).to_string()
    };
    let redaction = |html: &str| {
        let ticket: u64 = id.parse().unwrap();
        serde_json::json!({ "ticket_id": ticket, "html_body": html }).to_string()
    };
    let kept = "<div class=\"zd-comment\" dir=\"auto\"><p>Ann &amp; Bo</p></div>";
    let wrapped = kept.replace("Ann &amp; Bo", "<redact>Ann &amp; Bo</redact>");
    let spanning = format!("<redact>{kept}</redact>");
    let first = "/api/v2/comment_redactions/2".to_owned();
    judge(
        &server,
        &[
            (
                "PUT",
                ticket.clone(),
                all,
                note("<p onclick=\"x\">Ann &amp; Bo</p><script>y</script>"),
                200,
            ),
            ("PUT", ticket.clone(), &[("authorization", "Bearer wrong"), json], note("x"), 401),
            ("PUT", ticket.clone(), &[("authorization", "Basic eA=="), json], note("x"), 401),
            ("PUT", ticket.clone(), &[json], note("x"), 401),
            ("PUT", ticket.clone(), &[auth], note("x"), 415),
            ("PUT", ticket.clone(), all, "{".to_owned(), 422),
            ("PUT", ticket.clone(), all, note(" "), 422),
            ("PUT", ticket.clone(), all, note(&"x".repeat(65_536)), 422),
            ("PUT", ticket.clone(), all, r#"{"ticket":{"odd":1}}"#.to_owned(), 422),
            ("PUT", "/api/v2/tickets/1".to_owned(), all, note("x"), 404),
            ("POST", ticket.clone(), all, note("x"), 404),
            ("GET", "/api/v2/tickets/1/comments".to_owned(), all, String::new(), 404),
            ("PUT", first.clone(), all, redaction("<p>other</p>"), 422),
            ("PUT", first.clone(), all, redaction(&spanning), 422),
            ("PUT", first.clone(), all, "{}".to_owned(), 422),
            ("PUT", "/api/v2/comment_redactions/99".to_owned(), all, redaction(&wrapped), 404),
            ("GET", format!("{ticket}/comments"), all, String::new(), 200),
            ("PUT", first, all, redaction(&wrapped), 200),
        ],
    )
    .await;
    assert_eq!(server.read(&id), ["▇▇▇ ▇ ▇▇"]);
}

#[tokio::test]
async fn a_comment_that_is_not_said_to_be_private_is_public() {
    let zendesk = Zendesk::default();
    let bearer = format!("Bearer {}", zendesk.token);
    let server = VendorServer::start(zendesk).await;
    let id = server.create(Opening::session("p", "s"));
    let headers = [("authorization", &*bearer), ("content-type", "application/json")];
    let body = r#"{"ticket":{"comment":{"html_body":"x"}}}"#.to_owned();
    let path = format!("/api/v2/tickets/{id}");
    judge(&server, &[("PUT", path, &headers, body, 200)]).await;
    assert_eq!(server.notes(&id), []);
    assert!(server.kept(&id).contains('x'));
}
