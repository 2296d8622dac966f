//! Who may call what: every route of the table, with every method that it takes, by every kind of caller. What is expected
//! is said here once, from the route's rule.

use std::collections::BTreeSet;

use super::keys::{Made, issuer};
use super::*;
use crate::access::{Products, Scope};
use crate::clock::Clock;
use crate::config::Mcp;
use crate::context::{Settings, UserSettings};
use crate::http::gate::{Access, Of};
use crate::http::route::Route;
use crate::http::routes::table;

/// The product that every request of the matrix is about.
const PRODUCT: &str = "p";

/// Who asks.
enum Kind {
    /// With nothing.
    Nobody,
    /// With `server.token`.
    Token,
    /// With a key.
    Key(Scope, Products),
}

/// What is to come of it.
#[derive(Debug, PartialEq)]
enum Expected {
    /// Whatever the route answers: neither 401 nor 403.
    Passes,
    Unauthorized,
    Forbidden(&'static str),
    /// A tool's result says so.
    Told(&'static str),
}

fn expected(access: Access, kind: &Kind) -> Expected {
    let (scope, of) = match access {
        Access::Anyone | Access::Signed | Access::Source => return Expected::Passes,
        // It has a token of its own, and no key is one.
        Access::Browser => return Expected::Unauthorized,
        Access::Needs(scope, of) | Access::Agents(scope, of) => (scope, of),
    };
    match kind {
        Kind::Nobody => Expected::Unauthorized,
        Kind::Token => Expected::Passes,
        Kind::Key(has, _) if *has != scope => Expected::Forbidden("scope"),
        Kind::Key(_, Products::All) => Expected::Passes,
        Kind::Key(_, Products::Only(products)) => {
            let right = products.iter().any(|product| product.as_str() == PRODUCT);
            match of {
                Of::Host => Expected::Forbidden("product"),
                Of::AnyProduct => Expected::Passes,
                Of::Tool if !right => Expected::Told("product"),
                Of::Path | Of::Body(_) | Of::Filter(_) | Of::User if !right => {
                    Expected::Forbidden("product")
                }
                Of::Path | Of::Body(_) | Of::Filter(_) | Of::User | Of::Tool => Expected::Passes,
            }
        }
    }
}

/// Addresses of a route that name [`PRODUCT`] as its rule says, and a body that does.
fn request(route: &Route, method: &str) -> (String, String) {
    let part = |part: &'static str| match part {
        "{product_id}" => PRODUCT,
        "{id}" => "0123456789",
        _ if part.starts_with('{') => "x",
        _ => part,
    };
    let mut path = route.path.split('/').map(part).collect::<Vec<_>>().join("/");
    let mut body = Value::Null;
    match route.access.needs().map(|(_, of)| of) {
        Some(Of::Filter("after_product")) => path += "?after_product=p&after_session=s",
        Some(Of::Filter(name)) => path += &format!("?{name}={PRODUCT}"),
        Some(Of::User) => path += &format!("?query=q&product={PRODUCT}"),
        Some(Of::Tool) => {
            let arguments = json!({"user_id": "u", "product_id": PRODUCT});
            let params = json!({"name": "get_live_user_activity", "arguments": arguments});
            body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params});
        }
        Some(Of::Body(field)) => {
            body = match route.path {
                "/sessions/link" => json!({"session_id": "s", "conversation_id": "c"}),
                "/erase" => json!({"user_id": "u"}),
                "/outbox/retry" | "/outbox/purge" => json!({}),
                other => panic!("say here what is sent to {other}, without the product"),
            };
            body[field] = json!(PRODUCT);
        }
        Some(Of::Path | Of::Host | Of::AnyProduct) | None => {}
    }
    match (route.path, method) {
        ("/keys", "POST") => {
            body = json!({"name": "k", "scopes": ["admin"], "all_products": true});
        }
        ("/plugins/{name}/disable", "POST") => body = json!({}),
        ("/plugins/{name}/shadow", "POST") => body = json!({"file": "x.wasm"}),
        ("/sessions/{product_id}/{session_id}/help", "POST") => {
            body = json!({"change": "to_proactive"});
        }
        _ => {}
    }
    let body = if body.is_null() { String::new() } else { body.to_string() };
    (path, body)
}

fn only(product: &str) -> Products {
    Products::Only(BTreeSet::from([ProductId::new(product).unwrap()]))
}

#[tokio::test]
async fn every_route_opens_to_its_scope_and_its_products_alone() {
    let issuer = issuer(&["p", "q"]).await;
    let mut callers = vec![(Kind::Nobody, None), (Kind::Token, Some("right".to_owned()))];
    for scope in Scope::ALL {
        for products in [Products::All, only(PRODUCT), only("q")] {
            let Made { written, .. } = issuer.make(&[scope], products.clone(), None).await;
            callers.push((Kind::Key(scope, products), Some(written)));
        }
    }
    let server = Server {
        token: Some(Secret::new("right")),
        mcp: Some(Mcp::default()),
        ..Server::default()
    };
    let host = Host::start(server).await;
    let recent = Recent::new(Settings::default(), UserSettings::default(), Clock::system());
    *host.backend.recent.lock().unwrap() = Some(recent.unwrap());
    *host.backend.keys.lock().unwrap() = Some(issuer.keys.clone());
    let mut cells = 0;
    for route in table() {
        let methods = if route.methods.is_empty() { &["POST"] } else { route.methods };
        for method in methods {
            let (path, body) = request(&route, method);
            for (kind, sent) in &callers {
                let bearer = sent.as_ref().map(|sent| format!("Bearer {sent}"));
                let bearer = bearer.as_ref().map(|bearer| ("authorization", bearer.as_str()));
                let headers: Vec<_> = [JSON].into_iter().chain(bearer).collect();
                let answer = host.send(method, &path, &headers, &body).await;
                let expected = expected(route.access, kind);
                let found = match answer.status() {
                    401 => Expected::Unauthorized,
                    403 if *method == "HEAD" => match expected {
                        Expected::Forbidden(code) => Expected::Forbidden(code),
                        Expected::Passes | Expected::Unauthorized | Expected::Told(_) => {
                            Expected::Forbidden("?")
                        }
                    },
                    403 => match answer.code().as_str() {
                        "scope" => Expected::Forbidden("scope"),
                        "product" => Expected::Forbidden("product"),
                        other => panic!("{method} {path}: {other}"),
                    },
                    _ if answer.body().contains(r#"\"code\":\"product\""#) => {
                        Expected::Told("product")
                    }
                    _ => Expected::Passes,
                };
                let who = match kind {
                    Kind::Nobody => "nobody".to_owned(),
                    Kind::Token => "the token".to_owned(),
                    Kind::Key(scope, products) => format!("{} of {products}", scope.name()),
                };
                assert_eq!(found, expected, "{method} {path} by {who}: {}", answer.0);
                let sent = sent.as_deref().unwrap_or("\u{1}");
                assert!(!answer.0.contains(sent), "an answer never repeats what was sent");
                cells += 1;
            }
        }
    }
    assert!(cells >= 14 * table().len(), "{cells}");
}

#[test]
fn nothing_is_open_but_health_and_a_product_in_an_address_is_judged() {
    let paths = |access: Access| -> Vec<_> {
        let of = table().into_iter().filter(|route| route.access == access);
        of.map(|route| route.path).collect()
    };
    assert_eq!(paths(Access::Anyone), ["/healthz", "/readyz"]);
    assert_eq!(paths(Access::Signed), ["/webhooks/{plugin}", "/ingest/{product_id}"]);
    let sources = ["/sources/{name}", "/sources/{name}/", "/sources/{name}/{*rest}"];
    assert_eq!(paths(Access::Source), sources);
    assert_eq!(paths(Access::Browser), ["/sessions/{product_id}/{session_id}/events"]);
    for route in table() {
        let Some((_, of)) = route.access.needs() else { continue };
        let in_path = route.path.contains("{product_id}");
        assert_eq!(of == Of::Path, in_path, "{}", route.path);
        assert_eq!(of == Of::User, route.path.contains("{user_id}") && !in_path, "{}", route.path);
        let has_body = route.methods.contains(&"POST") || route.methods.is_empty();
        assert!(has_body || !matches!(of, Of::Body(_) | Of::Tool), "{}", route.path);
    }
}

#[tokio::test]
async fn a_list_is_narrowed_to_the_products_of_the_key() {
    let issuer = issuer(&["p", "q", "r"]).await;
    let two = Products::Only(["p", "q"].map(|id| ProductId::new(id).unwrap()).into());
    let scopes = [Scope::Read, Scope::Operate, Scope::Admin];
    let key = issuer.make(&scopes, two.clone(), None).await.bearer();
    let one = issuer.make(&scopes, only("p"), None).await.bearer();
    let host = Host::start(Server::default()).await;
    *host.backend.keys.lock().unwrap() = Some(issuer.keys.clone());
    let key = [JSON, ("authorization", &*key)];
    let ask =
        async |method: &str, path: &str, body: &str| host.send(method, path, &key, body).await;

    assert_eq!(ask("GET", "/outbox", "").await.status(), 200);
    assert_eq!(ask("GET", "/outbox?product=p", "").await.status(), 200);
    assert_eq!(ask("POST", "/outbox/purge", r#"{"all": true}"#).await.status(), 200);
    let within: Vec<_> = std::mem::take(&mut *host.backend.asked.lock().unwrap())
        .into_iter()
        .map(|asked| match asked {
            outbox::Asked::List(filter, _) => filter.within,
            outbox::Asked::Preview(order) | outbox::Asked::Decide(order) => order.filter.within,
        })
        .collect();
    assert_eq!(within, [two.limit().cloned(), None, two.limit().cloned()]);
    assert_eq!(ask("GET", "/erase", "").await.status(), 200);
    let kept = std::mem::take(&mut *host.backend.kept.lock().unwrap());
    assert_eq!(kept[0].0.within, two.limit().cloned());
    for path in ["/outbox?product=r", "/erase?product=r", "/offers?after_product=r&after_session=s"]
    {
        let answer = ask("GET", path, "").await;
        assert_eq!((answer.status(), answer.code().as_str()), (403, "product"), "{path}");
        assert!(answer.body().contains("this key is for p, q"), "{}", answer.body());
    }
    // Text is a scope of its own.
    let answer = ask("GET", "/outbox?text=true", "").await;
    assert_eq!((answer.status(), answer.code().as_str()), (403, "scope"));

    // Which product a link is about is said by the key, where it has one.
    let link = r#"{"session_id": "s", "conversation_id": "c", "plugin": "bot"}"#;
    let answer = ask("POST", "/sessions/link", link).await;
    assert_eq!((answer.status(), answer.code().as_str()), (422, "which_product"));
    assert_eq!(host.links(), []);
    let one = [JSON, ("authorization", &*one)];
    assert_eq!(host.send("POST", "/sessions/link", &one, link).await.status(), 200);
    assert_eq!(host.links()[0].product_id, Some(ProductId::new("p").unwrap()));
}
