//! `/mcp`.

use super::*;
use crate::clock::Clock;
use crate::config::{Context, Mcp, PageOrigin};
use crate::context::{Settings, UserSettings};
use crate::session::payload::{Action, ActionsPayload};

const BEARER: (&str, &str) = ("authorization", "Bearer token");
const ACCEPT: (&str, &str) = ("accept", "application/json, text/event-stream");

/// A host with a token that tells agents what Ann did.
async fn told() -> Host {
    let (token, mcp) = (
        Some(Secret::new("token")),
        Some(Mcp {
            hosts: vec!["mcp.example".into()],
            origins: vec![PageOrigin::parse("https://app.example.com").unwrap()],
        }),
    );
    let host = Host::start(Server { token, mcp, ..Server::default() }).await;
    let recent =
        Recent::new(Settings::default(), UserSettings::default(), Clock::system()).unwrap();
    recent.take(&ActionsPayload {
        product_id: "p".into(),
        session_id: Some("s".into()),
        user_id: Some("ann".into()),
        actions: ["Cart", "Paid"]
            .map(|title| Action {
                title: title.into(),
                description: format!("{title} it"),
                ..Action::default()
            })
            .into(),
        ..ActionsPayload::default()
    });
    *host.backend.recent.lock().unwrap() = Some(recent);
    host
}

impl Host {
    async fn rpc(&self, host: &str, headers: &[(&str, &str)], body: &Value) -> Answer {
        let body = body.to_string();
        let mut head = format!("POST /mcp HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n");
        for (name, value) in [&[JSON, ACCEPT], headers].concat() {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        self.raw(format!("{head}content-length: {}\r\n\r\n{body}", body.len())).await
    }

    async fn call(&self, name: &str, arguments: Value) -> Value {
        let params = json!({"name": name, "arguments": arguments});
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params});
        let answer = self.rpc("localhost", &[BEARER], &body).await;
        assert_eq!(answer.status(), 200, "{}", answer.0);
        answer.json()
    }
}

fn list() -> Value {
    json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list"})
}

#[tokio::test]
async fn agents_need_the_token() {
    let host = told().await;
    for headers in [vec![], vec![("authorization", "Bearer other")], vec![BEARER, BEARER]] {
        let answer = host.rpc("localhost", &headers, &list()).await;
        assert_eq!((answer.status(), answer.code().as_str()), (401, "unauthorized"));
    }
    assert_eq!(host.rpc("localhost", &[BEARER], &list()).await.status(), 200);

    let mcp = Some(Mcp::default());
    let open = Host::start(Server { mcp, ..Server::default() }).await;
    let answer = open.rpc("localhost", &[], &list()).await;
    assert_eq!((answer.status(), answer.code().as_str()), (403, "context_needs_token"));
}

#[tokio::test]
async fn where_it_is_not_wanted_there_is_no_such_address() {
    let host = Host::start(Server { token: Some(Secret::new("token")), ..Server::default() }).await;
    let answer = host.rpc("localhost", &[BEARER], &list()).await;
    assert_eq!((answer.status(), answer.code().as_str()), (404, "not_found"));
}

#[tokio::test]
async fn a_name_of_another_host_and_a_web_page_are_refused() {
    let host = told().await;
    for name in ["evil.example", "localhost.evil.example", "mcp.example.evil"] {
        assert_eq!(host.rpc(name, &[BEARER], &list()).await.status(), 403, "{name}");
    }
    for origin in ["http://evil.example", "http://localhost", "null"] {
        let headers = [BEARER, ("origin", origin)];
        assert_eq!(host.rpc("localhost", &headers, &list()).await.status(), 403, "{origin}");
    }
    for name in ["localhost:9", "127.0.0.1", "[::1]:80", "mcp.example", "mcp.example:443"] {
        assert_eq!(host.rpc(name, &[BEARER], &list()).await.status(), 200, "{name}");
    }
}

#[tokio::test]
async fn a_page_of_an_allowed_origin_is_served_and_its_browser_told_so() {
    let host = told().await;
    let origin = "https://app.example.com";
    let answer = host.rpc("localhost", &[BEARER, ("origin", origin)], &list()).await;
    assert_eq!((answer.status(), answer.header("vary")), (200, Some("origin")));
    assert_eq!(answer.header("access-control-allow-origin"), Some(origin));
    let refused = host.rpc("localhost", &[("origin", origin)], &list()).await;
    assert_eq!((refused.status(), refused.code().as_str()), (401, "unauthorized"));

    let ask = |origin: &str| {
        format!(
            "OPTIONS /mcp HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\norigin: {origin}\r\naccess-control-request-method: POST\r\n\r\n"
        )
    };
    let asked = host.raw(ask(origin)).await;
    assert_eq!((asked.status(), asked.header("access-control-allow-origin")), (204, Some(origin)));
    let headers = asked.header("access-control-allow-headers").unwrap();
    assert!(headers.contains("authorization") && headers.contains("mcp-protocol-version"));
    for stranger in ["https://evil.example", "https://app.example.com.evil", "null"] {
        let asked = host.raw(ask(stranger)).await;
        assert_ne!(asked.status(), 204, "{stranger}");
        assert_eq!(asked.header("access-control-allow-origin"), None, "{stranger}");
    }
}

#[tokio::test]
async fn a_client_is_answered_whatever_words_it_takes_json_in() {
    let host = told().await;
    let body = list().to_string();
    let asked = |accept: &str| {
        format!(
            "POST /mcp HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{accept}content-type: application/json\r\nauthorization: Bearer token\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    for accept in [
        "",
        "accept: */*\r\n",
        "accept: application/*, text/*\r\n",
        "accept: application/json\r\n",
        "accept: text/event-stream;q=0.5, application/json;q=0.9\r\n",
        "accept: text/event-stream\r\naccept: */*;q=0.1\r\n",
    ] {
        let answer = host.raw(asked(accept)).await;
        assert_eq!(answer.status(), 200, "{accept}: {}", answer.0);
        assert_eq!(answer.header("content-type"), Some("application/json"), "{accept}");
    }
    for accept in ["accept: text/html\r\n", "accept: application/json;q=0, */*\r\n"] {
        let answer = host.raw(asked(accept)).await;
        assert_eq!((answer.status(), answer.code().as_str()), (406, "not_acceptable"), "{accept}");
    }
}

#[tokio::test]
async fn a_request_is_bounded_and_no_connection_stays_open() {
    let token = Some(Secret::new("token"));
    let mcp = Some(Mcp::default());
    let host = Host::start(Server { token, mcp, max_body_bytes: 100, ..Server::default() }).await;
    let long = json!({"jsonrpc": "2.0", "id": 1, "method": "x".repeat(200)});
    assert_eq!(host.rpc("localhost", &[BEARER], &long).await.status(), 413);
    let get = "GET /mcp HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\nauthorization: Bearer token\r\naccept: text/event-stream\r\n\r\n";
    assert_eq!(host.raw(get).await.status(), 405);
}

#[tokio::test]
async fn the_one_tool_is_listed_with_its_schemas() {
    let host = told().await;
    let answer = host.rpc("localhost", &[BEARER], &list()).await.json();
    let tools = answer["result"]["tools"].as_array().unwrap();
    let [tool] = tools.as_slice() else { panic!("{tools:?}") };
    assert_eq!(tool["name"], "get_live_user_activity");
    assert_eq!(tool["inputSchema"]["required"], json!(["user_id"]));
    assert_eq!(tool["annotations"]["readOnlyHint"], true);
    // What is answered is as the schema says.
    let result =
        host.call("get_live_user_activity", json!({"user_id": "ann", "product_id": "p"})).await;
    let result = &result["result"]["structuredContent"];
    let schema = jsonschema::validator_for(&tool["outputSchema"]).unwrap();
    assert!(schema.is_valid(result), "{result}");
    assert!(!schema.is_valid(&json!({"count": 1})));
}

#[tokio::test]
async fn what_a_user_did_is_told_as_a_list_and_as_text() {
    let host = told().await;
    let result =
        host.call("get_live_user_activity", json!({"user_id": "ann", "product_id": "p"})).await;
    let result = &result["result"];
    let structured = &result["structuredContent"];
    assert_eq!((&structured["product_id"], &structured["count"]), (&json!("p"), &json!(2)));
    let titles: Vec<_> = structured["actions"].as_array().unwrap().iter().collect();
    assert_eq!((&titles[0]["title"], &titles[1]["title"]), (&json!("Cart"), &json!("Paid")));
    let text = result["content"][0]["text"].as_str().unwrap();
    assert!(text.contains("Paid it"), "{text}");
    assert_eq!(text, structured["context"]);

    let arguments = json!({"user_id": "ann", "product_id": "p", "limit": 1, "query": "Why?"});
    let result = host.call("get_live_user_activity", arguments).await;
    let result = &result["result"];
    assert_eq!(result["structuredContent"]["count"], 1);
    let text = result["content"][0]["text"].as_str().unwrap();
    assert!(
        text.contains("Paid it") && !text.contains("Cart it") && text.ends_with("Why?"),
        "{text}"
    );

    let nobody =
        host.call("get_live_user_activity", json!({"user_id": "bob", "product_id": "p"})).await;
    let nobody = &nobody["result"];
    assert_eq!(
        (&nobody["structuredContent"]["count"], &nobody["isError"]),
        (&json!(0), &json!(false))
    );
}

#[tokio::test]
async fn a_number_is_a_user_id_as_on_the_stream() {
    let host = told().await;
    let recent = host.backend.recent.lock().unwrap().clone().unwrap();
    recent.take(&ActionsPayload {
        product_id: "p".into(),
        session_id: Some("t".into()),
        user_id: Some("12345".into()),
        actions: vec![Action { title: "Cart".into(), ..Action::default() }],
        ..ActionsPayload::default()
    });
    let arguments = json!({"user_id": 12345, "product_id": "p"});
    let answer = host.call("get_live_user_activity", arguments).await;
    let told = &answer["result"]["structuredContent"];
    assert_eq!((&told["count"], &told["user_id"]), (&json!(1), &json!("12345")));
}

/// The error of a call that has no result.
fn failed(answer: &Value) -> Value {
    let result = &answer["result"];
    assert_eq!((&result["isError"], &result["structuredContent"]), (&json!(true), &Value::Null));
    let text = result["content"][0]["text"].as_str().unwrap();
    let error = serde_json::from_str::<Value>(text).unwrap()["error"].take();
    assert!(["message", "next"].iter().all(|part| error[part].is_string()), "{error}");
    error
}

#[tokio::test]
async fn a_call_that_cannot_be_answered_says_why_and_what_next() {
    let host = told().await;
    for (arguments, code) in [
        (json!({}), "invalid_arguments"),
        (json!({"user_id": ""}), "invalid_arguments"),
        (json!({"user_id": 7.5}), "invalid_arguments"),
        (json!({"user_id": "undefined", "product_id": "p"}), "nobody"),
        (json!({"user_id": " ", "product_id": "p"}), "nobody"),
        (json!({"user_id": "0", "product_id": "p"}), "nobody"),
        (json!({"user_id": 0, "product_id": "p"}), "invalid_arguments"),
        (json!({"user_id": "ann", "limit": 0}), "invalid_arguments"),
        (json!({"user_id": "ann", "limit": 1.5}), "invalid_arguments"),
        (json!({"user_id": "ann", "limit": 1001}), "invalid_arguments"),
        (json!({"user_id": "ann", "query": null}), "invalid_arguments"),
        (json!({"user_id": "ann", "all": true}), "invalid_arguments"),
        (json!({"user_id": "ann", "product_id": "unknown"}), "unknown_product"),
        (json!({"user_id": "ann"}), "which_product"),
    ] {
        let result = host.call("get_live_user_activity", arguments.clone()).await;
        assert_eq!(failed(&result)["code"], code, "{arguments}");
    }
    let unknown = host.call("erase_everything", json!({})).await;
    assert_eq!(unknown["error"]["code"], -32602);
    let starting = Recent::of(&Context::default(), Arc::default(), Clock::system()).unwrap();
    *host.backend.recent.lock().unwrap() = Some(starting);
    let early =
        host.call("get_live_user_activity", json!({"user_id": "ann", "product_id": "p"})).await;
    assert_eq!(failed(&early)["code"], "context_not_ready");
    *host.backend.recent.lock().unwrap() = None;
    let off =
        host.call("get_live_user_activity", json!({"user_id": "ann", "product_id": "p"})).await;
    assert_eq!(failed(&off)["code"], "context_off");
}
