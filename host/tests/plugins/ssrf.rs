//! Every way to write an address that isn't public, through both ways out of a guest.
//!
//! Names that only a resolver can judge are tried at the egress itself, with a resolver that answers what
//! the test says: see the tests of `egress::network`.

use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use sidenote::address::Origin;
use sidenote::egress::Grants;
use sidenote::outbox::note::{PostError, Sent};
use sidenote::plugin::Registry;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::guests::{id, plugin, post, registry, secret};
use crate::server::Server;

/// What the two guests are told.
const DENIALS: [&str; 2] = ["http-denied", "HttpRequestDenied"];

/// Hosts that lead to this machine or to a range that isn't public, and can be granted as they are
/// written. Each is tried with its grant and without `private`.
const INSIDE: &[(&str, &[&str])] = &[
    (
        "loopback",
        &["127.0.0.1", "127.0.0.2", "127.1.2.3", "127.255.255.254", "[::1]", "[0:0:0:0:0:0:0:1]"],
    ),
    ("a name of loopback", &["localhost", "LOCALHOST", "LocalHost"]),
    ("unspecified", &["0.0.0.0", "0", "0.1.2.3", "[::]", "[0::0]"]),
    (
        "IPv4 in other digits",
        &[
            "0177.0.0.1",
            "017700000001",
            "2130706433",
            "0x7f000001",
            "0x7F.0.0.1",
            "0x7f.1",
            "127.1",
            "127.0.1",
            "0177.0x0.0.01",
            "127.0.0.1.",
            // An empty user name is none.
            "@127.0.0.1",
        ],
    ),
    (
        "IPv4 in disguise",
        &[
            "%31%32%37.0.0.1",
            "127%2e0%2e0%2e1",
            "１２７.０.０.１",
            "127。0。0。1",
            "①②⑦.⓪.⓪.①",
            "ｌｏｃａｌｈｏｓｔ",
            "local%68ost",
            "lo\u{ad}calhost",
        ],
    ),
    (
        "IPv4 in IPv6",
        &[
            "[::ffff:127.0.0.1]",
            "[::FFFF:7f00:1]",
            "[0:0:0:0:0:ffff:7f00:0001]",
            "[::127.0.0.1]",
            "[::ffff:0:127.0.0.1]",
            "[64:ff9b::127.0.0.1]",
            "[64:ff9b::7f00:1]",
            "[64:ff9b:1::7f00:1]",
            "[64:ff9b:1:7f00:0:100::]",
            "[2002:7f00:1::]",
            "[2002:7f00:1::1]",
            "[2001:0:7f00:1::1]",
            "[2001::80ff:fffe]",
            "[fe80::5efe:127.0.0.1]",
            "[2606:4700::5efe:127.0.0.1]",
            "[::ffff:10.0.0.1]",
            "[2002:a00:1::]",
        ],
    ),
    (
        "private",
        &[
            "10.0.0.1",
            "172.16.0.1",
            "172.31.255.254",
            "192.168.1.1",
            "[fc00::1]",
            "[fd12:3456::1]",
            "[fec0::1]",
        ],
    ),
    ("carrier-grade NAT", &["100.64.0.1", "100.127.255.254"]),
    ("link-local", &["169.254.1.1", "169.254.0.1", "[fe80::1]", "[febf::1]"]),
    (
        "multicast and broadcast",
        &["224.0.0.1", "239.255.255.250", "255.255.255.255", "240.0.0.1", "[ff02::1]"],
    ),
    (
        "documentation and benchmarks",
        &[
            "192.0.2.1",
            "198.51.100.1",
            "203.0.113.1",
            "198.18.0.1",
            "198.19.255.254",
            "192.0.0.1",
            "192.88.99.1",
            "[2001:db8::1]",
            "[3fff::1]",
            "[2001:2::1]",
            "[2001:20::1]",
            "[100::1]",
        ],
    ),
];

/// Addresses that hand out the machine's credentials: not even `private` opens them.
const METADATA: &[&str] = &[
    "169.254.169.254",
    "2852039166",
    "0xa9fea9fe",
    "0251.0376.0251.0376",
    "169.254.169.254.",
    "169.254.43518",
    "169.254.170.2",
    "100.100.100.200",
    "168.63.129.16",
    "[fd00:ec2::254]",
    "[FD00:0EC2:0::254]",
    "[fd20:ce::254]",
    "[::ffff:169.254.169.254]",
    "[::ffff:a9fe:a9fe]",
    "[::ffff:100.100.100.200]",
    "[64:ff9b::a9fe:a9fe]",
    "[2002:a9fe:a9fe::]",
    "[2001:0:102:304::5601:5601]",
];

/// Hosts that no grant can be written for: refused in the configuration, and as an address.
const NO_HOST: &[&str] = &[
    "granted@127.0.0.1",
    "granted:x@127.0.0.1",
    "127.0.0.1@granted",
    "[::1%25lo]",
    "[::1",
    "::1",
    "[::ffff:127.0.0.1.]",
    "256.0.0.1",
    "127.0.0.1.1",
    "127.0.0.0x100",
    "0x1.example.0x",
    "a|b",
    "127.0.0.1%00",
    "127.0.0.1%0a",
    "a%2fb",
    "%5b%3a%3a1%5d",
];

/// Counts what connects: on 127.0.0.1, on ::1 and on every address of the machine. It ends when it is
/// dropped.
struct Listeners {
    ports: Vec<u16>,
    connects: Arc<AtomicUsize>,
    _tasks: JoinSet<()>,
}

impl Listeners {
    async fn start() -> Self {
        let (connects, mut tasks, mut ports) =
            (Arc::new(AtomicUsize::new(0)), JoinSet::new(), Vec::new());
        // `[::]` takes IPv4 as well. Without IPv6 there is nothing that its addresses could reach.
        for address in ["127.0.0.1:0", "[::1]:0", "[::]:0", "0.0.0.0:0"] {
            let Ok(listener) = TcpListener::bind(address).await else { continue };
            ports.push(listener.local_addr().unwrap().port());
            let connects = connects.clone();
            tasks.spawn(async move {
                loop {
                    if listener.accept().await.is_ok() {
                        connects.fetch_add(1, Ordering::SeqCst);
                    }
                }
            });
        }
        Self { ports, connects, _tasks: tasks }
    }

    /// How many connected, with those that are still on their way to be counted.
    async fn connects(&self) -> usize {
        for port in &self.ports {
            // One's own connect comes after any other in the queue of its listener.
            let before = self.connects.load(Ordering::SeqCst);
            let addresses =
                ["127.0.0.1", "::1"].map(|it| SocketAddr::new(it.parse().unwrap(), *port));
            // The first that takes it, and no other.
            let own = tokio::net::TcpStream::connect(&addresses[..]).await;
            assert!(own.is_ok(), "a listener is gone");
            while self.connects.load(Ordering::SeqCst) == before {
                tokio::task::yield_now().await;
            }
            self.connects.fetch_sub(1, Ordering::SeqCst);
        }
        self.connects.load(Ordering::SeqCst)
    }
}

/// What became of one address, through `http` and through `wasi:http`.
async fn both(registry: &Registry, host: &str, port: u16) -> [Result<String, String>; 2] {
    [
        outcome(registry, "probe", &format!("get http://{host}:{port}/")).await,
        outcome(registry, "wasi", &format!("GET {host}:{port} /")).await,
    ]
}

/// The id, or the code and the message of a failure before which nothing was sent.
async fn outcome(registry: &Registry, plugin: &str, body: &str) -> Result<String, String> {
    match post(registry, plugin, body).await {
        Ok(posted) => Ok(posted.note_id.unwrap_or_default()),
        Err(PostError::Failed(failure)) => {
            assert!(plugin != "probe" || failure.sent == Sent::NotSent, "{body}: {failure:?}");
            Err(format!("{} {}", failure.code, failure.message))
        }
        Err(other) => panic!("{body}: {other:?}"),
    }
}

/// Both guests with these grants.
async fn guests(hosts: &[String], allow_private: bool) -> Registry {
    let both = ["guest_probe.wasm", "guest_wasi.wasm"].map(|file| {
        let mut plugin = plugin(file);
        plugin.hosts = hosts.to_vec();
        plugin.allow_private = allow_private;
        // The guest always sends it: it is granted wherever the host is.
        let hosts: Vec<_> = hosts.iter().map(String::as_str).collect();
        plugin.secrets = [("token".to_owned(), secret("t0p-s3cret", &hosts))].into();
        plugin
    });
    let [probe, wasi] = both;
    registry([("probe", probe), ("wasi", wasi)]).await
}

fn grants<'a>(hosts: impl Iterator<Item = &'a str>, ports: &[u16]) -> Vec<String> {
    hosts.flat_map(|host| ports.iter().map(move |port| format!("http://{host}:{port}"))).collect()
}

fn inside() -> impl Iterator<Item = &'static str> {
    INSIDE.iter().flat_map(|(_, hosts)| hosts.iter().copied())
}

fn assert_denied(host: &str, told: &[Result<String, String>; 2]) {
    for (told, denial) in told.iter().zip(DENIALS) {
        let error = told.as_ref().expect_err(host);
        // `wasi:http` takes fewer characters than an address may have: then it never leaves the guest.
        let unmade = denial == DENIALS[1] && error.contains("the request can't be made");
        assert!(error.contains(denial) || (unmade && !is_plain(host)), "{host}: {error}");
    }
}

/// Whether `wasi:http` takes it as an authority.
fn is_plain(host: &str) -> bool {
    host.is_ascii() && !host.contains('%')
}

#[tokio::test]
async fn no_way_to_write_an_address_leads_inside_without_private() {
    let listeners = Listeners::start().await;
    let registry = guests(&grants(inside(), &listeners.ports), false).await;
    for (kind, hosts) in INSIDE {
        for host in *hosts {
            for port in &listeners.ports {
                let told = both(&registry, host, *port).await;
                assert_denied(host, &told);
                let error = told[0].as_ref().unwrap_err();
                let metadata = error.contains("no grant opens it");
                assert!(error.contains("private = true") != metadata, "{host}: {error}");
            }
        }
        let connects = listeners.connects().await;
        println!("{kind:30} {:3} hosts, {connects} connects", hosts.len());
        assert_eq!(connects, 0, "{kind}");
    }
}

/// The same rows do connect where `private` is granted: else their not connecting would prove nothing.
#[tokio::test]
async fn with_private_the_same_addresses_of_loopback_connect() {
    let server = Server::start().await;
    let ways = [
        "127.0.0.1",
        "localhost",
        "LOCALHOST",
        "0.0.0.0",
        "0177.0.0.1",
        "2130706433",
        "0x7f000001",
        "127.1",
        "127.0.0.1.",
        "%31%32%37.0.0.1",
        "１２７.０.０.１",
        "127。0。0。1",
        "[::ffff:127.0.0.1]",
        "[::FFFF:7f00:1]",
    ];
    for host in ways {
        assert!(inside().any(|row| row == host), "{host} is a row");
    }
    let port = server.address.port();
    let registry = guests(&grants(ways.into_iter(), &[port]), true).await;
    for host in ways {
        let before = server.seen().len();
        let told = both(&registry, host, port).await;
        assert!(told[0].as_ref().is_ok_and(|told| told.starts_with("200")), "{host}: {told:?}");
        let unmade = !is_plain(host) && told[1].is_err();
        assert!(unmade || told[1].is_ok(), "{host}: {told:?}");
        let arrived = server.seen().len() - before;
        println!("{host:30} {arrived} requests");
        assert_eq!(arrived, if unmade { 1 } else { 2 }, "{host}");
    }
    let listeners = Listeners::start().await;
    let registry = guests(&grants(["127.0.0.1"].into_iter(), &listeners.ports[..1]), true).await;
    // Nobody answers there; that it connects is enough.
    let body = format!("get http://127.0.0.1:{}/", listeners.ports[0]);
    tokio::select! {
        told = post(&registry, "probe", &body) => assert!(told.is_err()),
        () = async {
            while listeners.connects.load(Ordering::SeqCst) == 0 {
                tokio::task::yield_now().await;
            }
        } => {}
    }
    assert_eq!(listeners.connects().await, 1, "the listeners count");
}

#[tokio::test]
async fn a_metadata_address_is_denied_even_with_private() {
    let ports = [80, 8080];
    let registry = guests(&grants(METADATA.iter().copied(), &ports), true).await;
    for host in METADATA {
        for port in ports {
            let told = both(&registry, host, port).await;
            assert_denied(host, &told);
            let error = told[0].as_ref().unwrap_err();
            assert!(error.contains("no grant opens it"), "{host}: {error}");
        }
    }
    println!("metadata {} hosts, all denied", METADATA.len());
}

#[tokio::test]
async fn what_is_no_host_is_neither_granted_nor_sent_to() {
    let listeners = Listeners::start().await;
    let granted = grants(["granted", "127.0.0.1", "[::1]"].into_iter(), &listeners.ports);
    let registry = guests(&granted, true).await;
    for host in NO_HOST {
        for port in &listeners.ports {
            let grant = format!("http://{host}:{port}");
            let error = Grants::new("bot".into(), &[grant], true).expect_err(host);
            assert!(error.to_string().contains("can't be used"), "{host}: {error}");
            for told in both(&registry, host, *port).await {
                let error = told.expect_err(host);
                let known = ["http-invalid", "the request can't be made", "can't be read"];
                let credentials = error.contains("credentials");
                assert!(
                    credentials || known.iter().any(|it| error.contains(it)),
                    "{host}: {error}"
                );
            }
        }
    }
    let connects = listeners.connects().await;
    println!("no host {} texts, {connects} connects", NO_HOST.len());
    assert_eq!(connects, 0);
}

/// With `private`, and with other origins of the same machine granted.
#[tokio::test]
async fn an_origin_that_is_not_granted_is_not_reached_by_way_of_one_that_is() {
    let (granted, listeners) = (Server::start().await, Listeners::start().await);
    let (own, port) = (granted.address.port(), listeners.ports[0]);
    let registry = guests(&[granted.grant(), format!("https://127.0.0.1:{port}")], true).await;
    let denied = [
        // Another port, another scheme, another name of the same machine.
        format!("http://127.0.0.1:{port}/"),
        format!("https://127.0.0.1:{own}/"),
        format!("http://localhost:{port}/"),
        format!("http://localhost:{own}/"),
        format!("http://127.0.0.2:{own}/"),
        format!("http://[::ffff:127.0.0.1]:{own}/"),
        // What another reader would take for the granted host.
        format!("http://localhost:{port}\\@127.0.0.1:{own}/"),
        format!("http://127.0.0.2:{port}#@127.0.0.1:{own}/"),
        format!("http://127.0.0.2:{port}?@127.0.0.1:{own}/"),
        format!("http://127.0.0.2:{port}/@127.0.0.1:{own}/"),
        format!("http:\\\\127.0.0.2:{port}\\"),
        format!("http:/127.0.0.2:{port}/"),
        format!("http:127.0.0.2:{port}/"),
        format!("http:////127.0.0.2:{port}/"),
        format!("HTTP://127.0.0.2:{port}/"),
        format!(" http://127.0.0.2:{port}/ "),
    ];
    for url in &denied {
        let told = outcome(&registry, "probe", &format!("get {url}")).await;
        assert!(told.as_ref().is_err_and(|told| told.contains("http-denied")), "{url}: {told:?}");
    }
    let invalid = [
        format!("http://127.0.0.1:{own}@127.0.0.2:{port}/"),
        format!("http://127.0.0.1:{own}\\@127.0.0.2:{port}@/\n"),
        format!("ftp://127.0.0.1:{own}/"),
        "file:///etc/passwd".to_owned(),
        format!("gopher://127.0.0.1:{port}/_GET"),
        format!("ws://127.0.0.1:{own}/"),
        "unix:///run/docker.sock".to_owned(),
        "data:,x".to_owned(),
        format!("//127.0.0.1:{own}/"),
        format!("127.0.0.1:{own}/"),
        format!("http://127.0.0.1:{own}\r\n.evil.example/"),
        format!("http://127.0.0.1:\t{port}/"),
        "http://127.0.0.1:99999/".to_owned(),
        "http://".to_owned(),
        "http:///".to_owned(),
        String::new(),
    ];
    for url in &invalid {
        let told = outcome(&registry, "probe", &format!("get {url}")).await;
        assert!(told.as_ref().is_err_and(|told| told.contains("http-invalid")), "{url}: {told:?}");
    }
    for authority in [format!("127.0.0.1:{port}"), format!("localhost:{own}")] {
        let told = outcome(&registry, "wasi", &format!("GET {authority} /")).await;
        assert!(told.as_ref().is_err_and(|told| told.contains(DENIALS[1])), "{told:?}");
    }
    assert!(granted.seen().is_empty());
    let connects = listeners.connects().await;
    println!("not granted {} addresses, {connects} connects", denied.len() + invalid.len() + 2);
    assert_eq!(connects, 0);
}

#[tokio::test]
async fn a_redirect_is_handed_on_and_never_followed() {
    let (granted, listeners) = (Server::start().await, Listeners::start().await);
    let port = listeners.ports[0];
    // Even to what is granted: it is the plugin who sends.
    let registry = guests(&[granted.grant(), format!("http://127.0.0.1:{port}")], true).await;
    let mut sent = 0;
    for code in [300, 301, 302, 303, 305, 307, 308] {
        for target in [
            format!("http://127.0.0.1:{port}/"),
            format!("//127.0.0.1:{port}/"),
            "http://169.254.169.254/latest".to_owned(),
            format!("https://127.0.0.1:{port}/"),
        ] {
            let path = format!("/redirect/{code}?{target}");
            let told = id(&registry, "probe", &format!("get {}", granted.url(&path))).await;
            assert!(told.starts_with(&code.to_string()), "{path}: {told}");
            let told = id(&registry, "wasi", &format!("GET {} {path}", granted.address)).await;
            assert!(told.starts_with(&code.to_string()), "{path}: {told}");
            sent += 2;
        }
    }
    assert_eq!(granted.seen().len(), sent);
    let connects = listeners.connects().await;
    println!("redirects {sent}, {connects} connects");
    assert_eq!(connects, 0);
}

/// The variables are a process's own, so these tests run once more in one that has them.
#[tokio::test]
async fn a_proxy_of_the_environment_is_not_used() {
    let proxy = Listeners::start().await;
    let address = format!("http://127.0.0.1:{}", proxy.ports[0]);
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["ssrf::", "--skip", "proxy_of_the_environment", "--test-threads=1"]);
    for name in ["http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"]
    {
        child.env(name, &address);
    }
    child.env_remove("NO_PROXY").env_remove("no_proxy");
    let output = tokio::task::spawn_blocking(move || child.output().unwrap()).await.unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains(" 7 passed"), "{text}");
    assert_eq!(proxy.connects().await, 0);
}

/// The rows are what they say: a host that is granted and the one that is asked for are the same.
#[test]
fn every_row_can_be_granted() {
    for host in inside().chain(METADATA.iter().copied()) {
        assert!(Origin::parse(&format!("http://{host}:9")).is_ok(), "{host}");
    }
}
