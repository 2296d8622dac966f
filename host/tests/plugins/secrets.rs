//! A plugin that tries every way to see a byte of its secrets, and a server that helps it.
//!
//! What is promised: a value doesn't come back as it stands, nor in a writing that honest servers use, nor
//! packed, nor in the pieces of a range. A server that means to can always hand it on; that is what `hosts`
//! of a secret is for.

use std::collections::HashSet;
use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use sidenote::config::Plugin;
use sidenote::outbox::note::PostError;
use sidenote::post::Post;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::guests::{call, limits, note, plugin, registry, secret};
use crate::log::Log;
use crate::server::Server;

const TOKEN: &str = "q7zt-x0vk.w3jd~p5mb_r9hc";
const OTHER: &str = "ly6g-u2sf.n8ea~c4wo_k1ix";
const BROKEN: &str = "b5nu-j7qm\nv0th-z3rp-d6yk";
const KEY: &str = "h9xw-f1lo.e2cb~g8vz_m4tj";
/// So much of a value in one piece counts as a leak.
const WINDOW: usize = 8;

/// Longer than a request's headers may be.
fn long() -> String {
    let mut state = 7_u32;
    let mut letter = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        char::from(b'a' + u8::try_from((state >> 24) % 26).unwrap())
    };
    (0..100_000).map(|_| letter()).collect()
}

/// A way of writing a secret: its name, and what it makes of the value.
type Writing = (&'static str, fn(&str) -> String);

/// How honest servers write a value.
const WRITINGS: [Writing; 6] = [
    ("/percent", |text| text.bytes().map(|byte| format!("%{byte:02X}")).collect()),
    ("/json", |text| text.bytes().map(|byte| format!("\\u{byte:04x}")).collect()),
    ("/html", |text| text.bytes().map(|byte| format!("&#{byte};")).collect()),
    ("/base64", |text| STANDARD.encode(format!("a{text}"))),
    ("/base64url", |text| URL_SAFE.encode(format!("ab{text}"))),
    ("/hex", |text| hex::encode_upper(text)),
];

/// Every piece of every value, in lower case: names of headers are.
struct Pieces(HashSet<[u8; WINDOW]>);

impl Pieces {
    fn new() -> Self {
        let mut values = vec![TOKEN.to_owned(), OTHER.into(), BROKEN.into(), KEY.into(), long()];
        values.extend(WRITINGS.map(|(_, write)| write(TOKEN)));
        let texts: Vec<_> =
            values.iter().map(|value| value.to_ascii_lowercase().into_bytes()).collect();
        Self(texts.iter().flat_map(|text| pieces(text)).map(|(_, piece)| piece).collect())
    }

    /// The first piece that is in a text, with what stands round it.
    fn leak(&self, text: &[u8]) -> Option<String> {
        let lower = text.to_ascii_lowercase();
        let (at, _) = pieces(&lower).find(|(_, piece)| self.0.contains(piece))?;
        let around = &text[at.saturating_sub(200)..(at + 200).min(text.len())];
        Some(String::from_utf8_lossy(around).into_owned())
    }
}

/// The pieces of a text, and where they start.
fn pieces(text: &[u8]) -> impl Iterator<Item = (usize, [u8; WINDOW])> {
    let pieces = text.windows(WINDOW).enumerate();
    pieces.filter_map(|(at, piece)| Some((at, piece.try_into().ok()?)))
}

/// A server that answers in ways that a well-behaved one wouldn't. It ends when it is dropped.
struct Accomplice {
    origin: String,
    requests: Arc<Mutex<Vec<String>>>,
    _tasks: JoinSet<()>,
}

impl Accomplice {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::<Mutex<Vec<String>>>::default();
        let (mut tasks, remember) = (JoinSet::new(), requests.clone());
        tasks.spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let request = read(&mut stream).await;
                let path = request.split(' ').nth(1).unwrap_or("/").to_owned();
                let asked = request.to_lowercase();
                remember.lock().unwrap().push(request);
                answer(&mut stream, &path, &asked).await;
            }
        });
        Self { origin, requests, _tasks: tasks }
    }

    /// The requests that have this in them.
    fn with(&self, text: &str) -> usize {
        self.requests.lock().unwrap().iter().filter(|request| request.contains(text)).count()
    }
}

/// One request, head and body.
async fn read(stream: &mut TcpStream) -> String {
    let (mut bytes, mut piece) = (Vec::new(), [0; 4096]);
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let head = head.to_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            if body.len() >= length.map_or(0, |length| length.trim().parse().unwrap()) {
                return text;
            }
        }
        match stream.read(&mut piece).await {
            Ok(read) if read > 0 => bytes.extend_from_slice(&piece[..read]),
            _ => return text,
        }
    }
}

/// Answers with the token in the place that the path names. A guest may have gone by then.
async fn answer(stream: &mut TcpStream, path: &str, asked: &str) {
    const CLOSE: &str = "connection: close\r\n";
    let whole = |headers: &str, body: &str| {
        let length = body.len();
        format!("HTTP/1.1 200 OK\r\n{CLOSE}{headers}content-length: {length}\r\n\r\n{body}")
    };
    let (first, second) = TOKEN.split_at(TOKEN.len() / 2);
    let chunked = format!("HTTP/1.1 200 OK\r\n{CLOSE}transfer-encoding: chunked\r\n");
    let packed = |coding: &str, packed: Vec<u8>| {
        let length = packed.len();
        let head = format!(
            "HTTP/1.1 200 OK\r\n{CLOSE}content-encoding: {coding}\r\ncontent-length: {length}\r\n\r\n"
        );
        [head.into_bytes(), packed].concat()
    };
    let gzip = || {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
        gzip.write_all(format!("packed {TOKEN}").as_bytes()).unwrap();
        gzip.finish().unwrap()
    };
    let bytes = match path {
        "/gzip" => packed("gzip", gzip()),
        "/honest" if asked.contains("accept-encoding: gzip") => packed("gzip", gzip()),
        "/deflate" => {
            let mut zlib = ZlibEncoder::new(Vec::new(), Compression::default());
            zlib.write_all(format!("deflated {TOKEN}").as_bytes()).unwrap();
            packed("deflate", zlib.finish().unwrap())
        }
        // It needn't be so packed: nobody looks into it.
        "/br" => packed("br", TOKEN.into()),
        _ => Vec::new(),
    };
    if !bytes.is_empty() {
        // A guest may have gone.
        drop(stream.write_all(&bytes).await);
        return;
    }
    let mut later = String::new();
    let text = match path {
        "/honest" if asked.contains("range: bytes=") => {
            let piece = if asked.contains("bytes=0-11") { &TOKEN[..12] } else { &TOKEN[12..] };
            format!(
                "HTTP/1.1 206 Partial Content\r\n{CLOSE}content-length: {}\r\n\r\n{piece}",
                piece.len()
            )
        }
        "/part" => format!(
            "HTTP/1.1 206 Partial Content\r\n{CLOSE}content-range: bytes 0-11/24\r\ncontent-length: 12\r\n\r\n{}",
            &TOKEN[..12]
        ),
        "/split" => whole(&format!("x-one: {first}\r\nx-two: {second}\r\n"), ""),
        "/remembered" => whole("", &format!("{TOKEN} {OTHER} {BROKEN} {KEY} {}", long())),
        "/header" => whole(
            &format!(
                "x-echo: Bearer {TOKEN}\r\nset-cookie: a={TOKEN}; path=/\r\netag: \"{TOKEN}{TOKEN}\"\r\n"
            ),
            "",
        ),
        "/name" => whole(
            &format!(
                "x-kept: yes\r\n{TOKEN}: a\r\nx-{TOKEN}-y: b\r\nX-{}: c\r\n",
                TOKEN.to_uppercase()
            ),
            "",
        ),
        "/reason" => format!("HTTP/1.1 200 {TOKEN}\r\n{CLOSE}content-length: 0\r\n\r\n"),
        "/chunks" => {
            later = format!("{:x}\r\n{second}\r\n0\r\n\r\n", second.len());
            format!("{chunked}\r\n{:x}\r\n{first}\r\n", first.len())
        }
        "/trailer" => format!("{chunked}trailer: x-t\r\n\r\n0\r\nx-t: {TOKEN}\r\n\r\n"),
        "/location" => format!(
            "HTTP/1.1 302 Found\r\n{CLOSE}location: http://evil.example/{TOKEN}?t={TOKEN}#{TOKEN}\r\ncontent-length: 0\r\n\r\n"
        ),
        "/cut" => {
            let before = "x".repeat(limits().max_response_bytes - TOKEN.len() / 2);
            whole("", &format!("{before}{TOKEN} and more"))
        }
        "/garbage" => format!("HTTP/1.1 {TOKEN}\r\n{TOKEN}\r\n\r\n{TOKEN}"),
        "/half" => format!("HTTP/1.1 200 OK\r\n{CLOSE}content-length: 1000\r\n\r\n{TOKEN}"),
        path => match WRITINGS.iter().find(|(written, _)| *written == path) {
            Some((_, write)) => whole("", &format!("<{}>", write(TOKEN))),
            None => whole("", TOKEN),
        },
    };
    for piece in [text, later] {
        if stream.write_all(piece.as_bytes()).await.is_err() || stream.flush().await.is_err() {
            return;
        }
        // What comes next is a packet of its own.
        tokio::task::yield_now().await;
    }
}

fn thief(granted: &Accomplice, closed: &str, other: &str, collector: &str) -> Plugin {
    let mut thief = plugin("guest_hostile.wasm");
    thief.hosts = [&granted.origin, closed, other, collector].map(str::to_owned).into();
    thief.allow_private = true;
    thief.limits.max_log_bytes = 16 << 20;
    thief.limits.call_timeout = Duration::from_secs(60);
    thief.limits.cpu_time = Duration::from_secs(60);
    let hosts = [&*granted.origin, closed];
    thief.secrets = [
        ("token".to_owned(), secret(TOKEN, &hosts)),
        ("other".to_owned(), secret(OTHER, &["elsewhere.example"])),
        ("broken".to_owned(), secret(BROKEN, &hosts)),
        ("long".to_owned(), secret(&long(), &hosts)),
        ("key".to_owned(), secret(KEY, &[])),
    ]
    .into();
    thief
}

#[tokio::test]
async fn no_piece_of_a_secret_reaches_the_guest_the_log_or_an_error() {
    let log = Log::down_to(tracing::Level::TRACE);
    let pieces = Pieces::new();
    let leaking = format!("<x-{}-y>", TOKEN.to_uppercase());
    assert!(pieces.leak(leaking.as_bytes()).is_some(), "a leak would be seen");

    let (granted, other, collector) =
        (Accomplice::start().await, Accomplice::start().await, Server::start().await);
    let closed = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}", listener.local_addr().unwrap())
    };
    let config = thief(&granted, &closed, &other.origin, &collector.grant());
    assert_eq!(pieces.leak(format!("{config:?}").as_bytes()), None);
    let registry = registry([("thief", config)]).await;
    for how in ["fail", "panic", "id"] {
        let body = format!(
            "steal {} {} {closed} {} {how}",
            granted.origin,
            other.origin,
            collector.grant()
        );
        let outcome =
            registry.post_note(call(Duration::from_secs(60)), &note("thief", &body)).await;
        let as_wanted = match how {
            "fail" => matches!(&outcome, Err(PostError::Failed(it)) if it.code != "collector"),
            "panic" => matches!(outcome, Err(PostError::Crashed { .. })),
            _ => outcome.is_ok(),
        };
        assert!(as_wanted, "{how}: {outcome:?}");
        assert_eq!(pieces.leak(format!("{outcome:?}").as_bytes()), None, "{how}");
    }

    let seen = collector.seen();
    println!("{} things seen by the guest", seen.len());
    for seen in &seen {
        assert_eq!(pieces.leak(&seen.body), None);
    }
    let log = log.text();
    println!("{} bytes of log, {} requests with the token", log.len(), granted.with(TOKEN));
    assert_eq!(pieces.leak(log.as_bytes()), None);
    assert_eq!(pieces.leak(format!("{:?}", registry.states()).as_bytes()), None);

    // It was there to be had.
    assert!(granted.with(TOKEN) > 3 * 30, "{}", granted.with(TOKEN));
    let all = seen.iter().map(|seen| String::from_utf8_lossy(&seen.body)).collect::<Vec<_>>();
    for sign in [
        "[secret]",
        "packed [secret]",
        "deflated [secret]",
        "x-sidenote-truncated",
        "asks for a part",
        "x-kept",
        "302",
        "isn't granted to",
        "isn't set",
        "line break",
        "broke",
    ] {
        assert!(all.iter().any(|text| text.contains(sign)), "{sign}");
    }
    for line in ["the name of a header", "doesn't unpack", "a part of a whole"] {
        assert!(log.contains(line), "{line}");
    }
    // How it is answered is the host's to say.
    assert!(granted.with("accept-encoding: identity") > 3 * 30);
    for asked in ["gzip", "utf-16", "bytes=", "if-range"] {
        assert_eq!(granted.with(asked), granted.with(&format!("/{asked} ")), "{asked}");
    }
    // And it went nowhere else.
    for value in [TOKEN, OTHER, "b5nu-j7qm", KEY] {
        assert_eq!(other.with(value), 0, "{value}");
    }
    for value in [OTHER, KEY] {
        assert_eq!(granted.with(value), 0, "{value} is granted to no host");
    }
}
