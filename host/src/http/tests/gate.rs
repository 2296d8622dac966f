//! What every route refuses, taken from the table that the router is made of.

use super::*;
use crate::config::Mcp;
use crate::http::gate::{Access, MAX_HEAD_BYTES};
use crate::http::route::Route;
use crate::http::routes::table;

const BEARER: (&str, &str) = ("authorization", "Bearer right");

/// Names that aren't this machine's.
const FOREIGN: [&str; 7] = [
    "evil.example",
    "evil.example:8787",
    "notes.example.com",
    "localhost.evil.example",
    "127.0.0.1.evil.example",
    "10.0.0.1",
    "[::ffff:10.0.0.1]:80",
];

/// What a browser says of a page.
const PAGES: [(&str, &str); 7] = [
    ("origin", "http://evil.example"),
    ("origin", "http://localhost"),
    ("origin", "null"),
    ("sec-fetch-site", "cross-site"),
    ("sec-fetch-site", "same-site"),
    ("Sec-Fetch-Site", "nonsense"),
    ("sec-fetch-site", "none, cross-site"),
];

/// What a proxy says of itself.
const PROXIES: [&str; 8] = [
    "forwarded",
    "via",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-forwarded-port",
    "x-forwarded-server",
    "x-real-ip",
];

async fn host(token: Option<&str>) -> Host {
    let token = token.map(Secret::new);
    Host::start(Server { token, mcp: Some(Mcp::default()), ..Server::default() }).await
}

/// Every route with every method that it takes, and an address of it.
fn calls() -> Vec<(Route, &'static str, String)> {
    let call = |route: Route| {
        let path: Vec<_> = route
            .path
            .split('/')
            .map(|part| match part.strip_prefix('{') {
                Some(_) => "x",
                None => part,
            })
            .collect();
        let path = path.join("/");
        let methods = if route.methods.is_empty() { &["POST"] } else { route.methods };
        methods.iter().map(|method| (again(&route), *method, path.clone())).collect::<Vec<_>>()
    };
    // What a browser is told has a token of its own: see `events`.
    let elsewhere = |route: &Route| route.access == Access::Browser;
    table().into_iter().filter(|route| !elsewhere(route)).flat_map(call).collect()
}

fn again(route: &Route) -> Route {
    let same = |it: &Route| (it.path, it.methods) == (route.path, route.methods);
    table().into_iter().find(same).unwrap()
}

impl Host {
    async fn called(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
        let mut head = format!("{method} {path} HTTP/1.1\r\nconnection: close\r\n");
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        self.raw(format!("{head}content-length: 0\r\n\r\n")).await
    }

    /// Nothing that changes or tells anything was asked of what is behind the routes.
    fn untouched(&self) -> bool {
        let it = &self.backend;
        it.links.lock().unwrap().is_empty()
            && it.asked.lock().unwrap().is_empty()
            && it.erasures.lock().unwrap().is_empty()
            && it.resets.lock().unwrap().is_empty()
    }
}

fn is_refused(status: u16) -> bool {
    matches!(status, 400 | 401 | 403)
}

#[tokio::test]
async fn without_a_token_a_foreign_name_and_a_proxy_get_health_and_what_is_signed_alone() {
    let host = host(None).await;
    for (route, method, path) in calls() {
        let mut heads: Vec<_> = FOREIGN.map(|name| vec![("host", name)]).into();
        heads.extend(PROXIES.map(|name| vec![("host", "localhost"), (name, "127.0.0.1")]));
        for headers in heads {
            let status = host.called(method, &path, &headers).await.status();
            let open = matches!(route.access, Access::Anyone | Access::Signed | Access::Source);
            assert_eq!(is_refused(status), !open, "{method} {path} {headers:?}: {status}");
        }
    }
    assert!(host.untouched());
}

#[tokio::test]
async fn with_a_token_its_bearer_may_call_by_any_name_and_agents_by_the_hosts_own() {
    let host = host(Some("right")).await;
    for (route, method, path) in calls() {
        for name in FOREIGN {
            let status = host.called(method, &path, &[("host", name), BEARER]).await.status();
            let foreign = matches!(route.access, Access::Agents(..));
            assert_eq!(is_refused(status), foreign, "{method} {path} {name}: {status}");
            let status = host.called(method, &path, &[("host", name)]).await.status();
            let open = matches!(route.access, Access::Anyone | Access::Signed | Access::Source);
            assert_eq!(status == 401, !open, "{method} {path} {name}: {status}");
        }
    }
}

#[tokio::test]
async fn web_pages_get_health_alone_with_and_without_a_token() {
    for token in [None, Some("right")] {
        let host = host(token).await;
        for (route, method, path) in calls() {
            for page in PAGES {
                let headers = [("host", "localhost"), BEARER, page];
                let status = host.called(method, &path, &headers).await.status();
                let open = matches!(route.access, Access::Anyone | Access::Source);
                assert_eq!(is_refused(status), !open, "{method} {path} {page:?}: {status}");
            }
            if token.is_some() {
                let typed = [("host", "localhost"), BEARER, ("sec-fetch-site", "none")];
                let status = host.called(method, &path, &typed).await.status();
                assert!(!is_refused(status), "{method} {path}: {status}");
            }
        }
        assert!(token.is_some() || host.untouched());
        assert!(host.backend.webhooks.lock().unwrap().len() <= 3, "typed addresses alone");
    }
}

#[tokio::test]
async fn a_request_names_one_host_whatever_it_asks_for() {
    let host = host(None).await;
    let paths = calls().into_iter().map(|(_, method, path)| (method, path));
    for (method, path) in paths.chain([("GET", "/nowhere".to_owned())]) {
        for lines in [
            "host: localhost\r\nhost: localhost\r\n",
            "host: localhost\r\nhost: evil.example\r\n",
            "",
            "host: \r\n",
            "host: ann@localhost\r\n",
            "host: a b\r\n",
            "host: localhost, evil.example\r\n",
        ] {
            let head = format!("{method} {path} HTTP/1.1\r\nconnection: close\r\n{lines}\r\n");
            let answer = host.raw(head).await;
            assert_eq!(answer.status(), 400, "{method} {path} {lines:?}");
            assert!(method == "HEAD" || answer.code() == "host", "{method} {path} {lines:?}");
        }
        let mixed = format!(
            "{method} http://evil.example{path} HTTP/1.1\r\nconnection: close\r\nhost: localhost\r\n\r\n"
        );
        assert_eq!(host.raw(mixed).await.status(), 400, "{method} {path}");
    }
    assert!(host.untouched() && host.backend.webhooks.lock().unwrap().is_empty());
    let absolute =
        "GET http://localhost/outbox HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    assert_eq!(host.raw(absolute).await.status(), 200);
}

#[tokio::test]
async fn without_a_token_what_speaks_as_an_old_proxy_gets_health_alone() {
    let host = host(None).await;
    for (route, method, path) in calls() {
        for line in ["", "host: localhost\r\n"] {
            let answer = host.raw(format!("{method} {path} HTTP/1.0\r\n{line}\r\n")).await;
            let open = matches!(route.access, Access::Anyone | Access::Signed | Access::Source);
            assert_eq!(answer.status() == 401, !open, "{method} {path}");
        }
    }
    assert!(host.untouched());
}

#[tokio::test]
async fn a_head_has_its_bound_to_the_byte() {
    let host = Host::start(Server::default()).await;
    let head = |pad: usize| {
        let pad = "x".repeat(pad);
        format!("GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\nx-pad: {pad}\r\n\r\n")
    };
    let room = MAX_HEAD_BYTES - head(0).len();
    for (pad, status) in [(room, 200), (room + 1, 431), (room + 5000, 431), (10 * room, 431)] {
        assert_eq!(host.raw(head(pad)).await.status(), status, "{pad}");
    }
    let mut socket = TcpStream::connect(host.address).await.unwrap();
    for byte in head(room + 1).as_bytes().chunks(9000) {
        socket.write_all(byte).await.unwrap();
        tokio::task::yield_now().await;
    }
    assert_eq!(read_answer(&mut socket).await.status(), 431, "in whatever pieces it comes");
}

#[tokio::test]
async fn what_is_refused_by_its_head_is_refused_before_its_body() {
    let host = host(Some("right")).await;
    for (line, status, code) in [
        ("POST /webhooks/none", 404, "unknown_plugin"),
        ("POST /ingest/none", 404, "not_pushed"),
        ("POST /ingest/strict", 401, "signature"),
        ("DELETE /webhooks/x", 405, "method_not_allowed"),
        ("PUT /ingest/x", 405, "method_not_allowed"),
        ("POST /sessions/link", 401, "unauthorized"),
        ("POST /erase", 401, "unauthorized"),
        ("POST /outbox/purge", 401, "unauthorized"),
        ("POST /mcp", 401, "unauthorized"),
        ("POST /nowhere", 404, "not_found"),
    ] {
        let head = format!("{line} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1000\r\n\r\n{{");
        // The body never ends: an answer comes all the same.
        let answer = host.raw(head).await;
        assert_eq!((answer.status(), answer.code().as_str()), (status, code), "{line}");
    }
}
