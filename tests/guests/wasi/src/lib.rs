//! Sends `wasi:http` requests: the body of a note is a method, an authority and a path, parted by
//! spaces. What came of it is the note's id. `MANY` has eight requests under way at once, and reads
//! their responses when all are there.

use sidenote_plugin::{Call, Failure, Note, Posted, Writer};
use wasip2::http::outgoing_handler::handle;
use wasip2::http::types::{
    Fields, FutureIncomingResponse, IncomingResponse, Method, OutgoingBody, OutgoingRequest, Scheme,
};

/// The plugin.
pub struct Wasi;

impl Writer for Wasi {
    fn post_note(_: Call, note: Note) -> Result<Posted, Failure> {
        let [method, authority, path] = note.body.split(' ').collect::<Vec<_>>()[..] else {
            return Err(Failure::invalid("words", "three are needed"));
        };
        let failed = |error| Failure::transient("wasi-http", error);
        if method == "MANY" {
            return Ok(Posted::with_id(many(authority, path).map_err(failed)?));
        }
        let response = send(method, authority, path).map_err(failed)?;
        let status = response.status();
        let truncated = response.headers().has("x-sidenote-truncated");
        let mut body = read(&response).unwrap_or_else(|error| error);
        if body.len() > 100 {
            // Too long for an id.
            body = format!("{} bytes, truncated: {truncated}", body.len());
        }
        Ok(Posted::with_id(format!("{status} {body}")))
    }
}

fn many(authority: &str, path: &str) -> Result<String, String> {
    let coming = (0..8).map(|_| start("GET", authority, path)).collect::<Result<Vec<_>, _>>()?;
    let responses = coming.iter().map(wait).collect::<Result<Vec<_>, _>>()?;
    let truncated = responses.iter().filter(|it| it.headers().has("x-sidenote-truncated")).count();
    let bytes = responses.iter().map(|it| Ok(read(it)?.len())).sum::<Result<usize, String>>()?;
    Ok(format!("{} responses, {truncated} truncated, {bytes} bytes", responses.len()))
}

fn send(method: &str, authority: &str, path: &str) -> Result<IncomingResponse, String> {
    wait(&start(method, authority, path)?)
}

fn start(method: &str, authority: &str, path: &str) -> Result<FutureIncomingResponse, String> {
    let text = |error| format!("{error:?}");
    let headers = Fields::new();
    headers
        .append("authorization", b"Bearer {{secret:token}}")
        .map_err(|error| format!("{error:?}"))?;
    let request = OutgoingRequest::new(headers);
    let method = if method == "GET" { Method::Get } else { Method::Post };
    let set = [
        request.set_method(&method),
        request.set_scheme(Some(&Scheme::Http)),
        request.set_authority(Some(authority)),
        request.set_path_with_query(Some(path)),
    ];
    if set.iter().any(Result::is_err) {
        return Err("the request can't be made".to_owned());
    }
    let body = request.body().map_err(|()| "there is no body".to_owned())?;
    // The body is written after the request is on its way, as most clients do.
    let coming = handle(request, None).map_err(text)?;
    if matches!(method, Method::Post) {
        let stream = body.write().map_err(|()| "there is no stream".to_owned())?;
        stream
            .blocking_write_and_flush(b"hello {{secret:token}}")
            .map_err(|error| format!("{error:?}"))?;
        drop(stream);
    }
    OutgoingBody::finish(body, None).map_err(text)?;
    Ok(coming)
}

fn wait(coming: &FutureIncomingResponse) -> Result<IncomingResponse, String> {
    coming.subscribe().block();
    match coming.get() {
        Some(Ok(response)) => response.map_err(|error| format!("{error:?}")),
        _ => Err("there is no response".to_owned()),
    }
}

fn read(response: &IncomingResponse) -> Result<String, String> {
    let body = response.consume().map_err(|()| "no body".to_owned())?;
    let stream = body.stream().map_err(|()| "no stream".to_owned())?;
    let mut bytes = Vec::new();
    while let Ok(piece) = stream.blocking_read(64 << 10) {
        bytes.extend(piece);
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

sidenote_plugin::export!(Wasi);
