//! Requests that shouldn't leave as they are.

use sidenote_plugin::Failure;
use sidenote_plugin::http::Request;
use wasip2::http::outgoing_handler::handle;
use wasip2::http::types::{Fields, OutgoingBody, OutgoingRequest, Scheme};

const SMUGGLED: &str = "a\r\nx-injected: b\r\n\r\nGET /admin HTTP/1.1";

/// Says whether a request with a line break in a header is taken by `http`.
pub(crate) fn smuggle(url: &str) -> String {
    let by_value = Request::get(url).header("x-a", SMUGGLED).send();
    let by_name = Request::get(url).header("x-a\r\nx-injected", "b").send();
    let by_url = Request::get(format!("{url} HTTP/1.1\r\nx-injected: b\r\n\r\n")).send();
    let told = [by_value.is_ok(), by_name.is_ok(), by_url.is_ok()];
    format!("{told:?}")
}

/// The same through `wasi:http`.
pub(crate) fn smuggle_wasi(authority: &str) -> String {
    let fields = Fields::new();
    let by_value = fields.append("x-a", SMUGGLED.as_bytes()).is_ok();
    let by_name = fields.append("x-a\r\nx-injected", b"b").is_ok();
    let request = OutgoingRequest::new(Fields::new());
    let by_path = request.set_path_with_query(Some("/ HTTP/1.1\r\nx-injected: b")).is_ok();
    let by_authority = request.set_authority(Some(&format!("{authority}\r\nx: b"))).is_ok();
    format!("{:?}", [by_value, by_name, by_path, by_authority])
}

/// The status and the size of the body.
pub(crate) fn get(url: &str) -> Result<String, Failure> {
    let response = Request::get(url).send()?;
    Ok(format!("{} {}", response.status, response.body.len()))
}

/// Sends so many bytes: `URL BYTES`.
pub(crate) fn send(rest: &str) -> Result<String, Failure> {
    let (url, bytes) = rest.split_once(' ').unwrap_or((rest, "1"));
    let body = vec![b'x'; bytes.parse().unwrap_or(1)];
    Ok(Request::post(url).body(body).send()?.status.to_string())
}

/// Sends a header of so many bytes: `URL BYTES`.
pub(crate) fn headers(rest: &str) -> Result<String, Failure> {
    let (url, bytes) = rest.split_once(' ').unwrap_or((rest, "1"));
    let value = "x".repeat(bytes.parse().unwrap_or(1));
    Ok(Request::get(url).header("x-a", value).send()?.status.to_string())
}

/// So many headers of 1,000 bytes in one `fields`.
pub(crate) fn headers_wasi(count: &str) -> String {
    let fields = Fields::new();
    let count = count.parse().unwrap_or(1);
    let taken = (0..count).take_while(|_| fields.append("x-a", &[b'x'; 1000]).is_ok()).count();
    taken.to_string()
}

/// As many requests at once as it gets, none of whose bodies is ended; then waits for the first.
pub(crate) fn fork(authority: &str) -> String {
    let mut kept = Vec::new();
    for _ in 0..1_000 {
        let request = OutgoingRequest::new(Fields::new());
        let set = [
            request.set_scheme(Some(&Scheme::Http)),
            request.set_authority(Some(authority)),
            request.set_path_with_query(Some("/hang")),
        ];
        let (true, Ok(body)) = (set.iter().all(Result::is_ok), request.body()) else {
            return "unset".to_owned();
        };
        let Ok(coming) = handle(request, None) else { return "refused".to_owned() };
        if kept.len() % 2 == 0 {
            let _ended = OutgoingBody::finish(body, None);
        } else {
            std::mem::forget(body);
        }
        kept.push(coming);
    }
    if let Some(first) = kept.first() {
        first.subscribe().block();
    }
    kept.len().to_string()
}
