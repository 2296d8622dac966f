//! Nothing that the commands send goes through a proxy that stands in the environment: it would carry tokens.

use std::net::TcpListener;

use crate::connector::{Connector, Step};
use crate::sidenote::sidenote;

const VARIABLES: [&str; 6] =
    ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"];

/// A port that tells whether anybody connected.
struct Proxy(TcpListener);

impl Proxy {
    fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        listener.set_nonblocking(true).expect("a listener takes it");
        Self(listener)
    }

    /// Runs a command with the proxy in every variable that clients look at, and says what it said.
    fn run(&self, args: &[&str], env: &[(&str, &str)]) -> String {
        let address = format!("http://{}", self.0.local_addr().expect("it has an address"));
        let proxies = VARIABLES.map(|name| (name, address.as_str()));
        let run = sidenote(args, &[&proxies, env].concat());
        format!("{}{}", run.stdout, run.stderr)
    }

    fn was_used(&self) -> bool {
        self.0.accept().is_ok()
    }
}

#[test]
fn no_command_that_asks_something_uses_a_proxy_of_the_environment() {
    const NOT_FOUND: &str =
        "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("sidenote.toml");
    let file = config.display().to_string();
    let token = [("SIDENOTE_STREAM_TOKEN", "hunter2"), ("API_TOKEN", "hunter2")];
    for command in [
        &["smoke-test", "--seconds", "5", "--url"][..],
        &["outbox", "list", "--config", &file, "--host"],
        &["plugin", "list", "--config", &file],
    ] {
        let (proxy, connector) =
            (Proxy::open(), Connector::start(vec![Step::Send(NOT_FOUND.as_bytes().to_vec())]));
        let toml = format!(
            "[server]\nlisten = \"{}\"\ntoken = {{ env = \"API_TOKEN\" }}\n[store]\nkind = \"memory\"\n\
             [streams.main]\nurl = \"http://127.0.0.1:9\"\n[plugins.bot]\n[products.p]\nplugins = [\"bot\"]\n",
            connector.address
        );
        std::fs::write(&config, toml).expect("it can be written");
        let url = format!("http://{}/", connector.address);
        let args = match command.last() {
            Some(&"--url" | &"--host") => [command, &[&url]].concat(),
            Some(_) | None => command.to_vec(),
        };
        let said = proxy.run(&args, &token);
        assert!(!proxy.was_used(), "{command:?}: {said}");
        // It was asked, and not in vain.
        let refused = ["404 Not Found", "404, there is no such stream"];
        assert!(refused.iter().any(|it| said.contains(it)), "{command:?}: {said}");
        let request = connector.request().to_lowercase();
        assert!(request.starts_with("get /"), "{command:?}: {request}");
        assert!(!request.starts_with("get http"), "{command:?}: {request}");
    }
}
