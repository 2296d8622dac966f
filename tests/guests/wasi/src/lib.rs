//! Sends `wasi:http` requests: the body of a note is a method, an authority and a path, parted by
//! spaces. What came of it is the note's id.

use sidenote_plugin::{Call, Failure, Note, Posted, Writer};
use wasip2::http::outgoing_handler::handle;
use wasip2::http::types::{
    Fields, IncomingResponse, Method, OutgoingBody, OutgoingRequest, Scheme,
};

/// The plugin.
pub struct Wasi;

impl Writer for Wasi {
    fn post_note(_: Call, note: Note) -> Result<Posted, Failure> {
        let [method, authority, path] = note.body.split(' ').collect::<Vec<_>>()[..] else {
            return Err(Failure::invalid("words", "three are needed"));
        };
        let response = send(method, authority, path)
            .map_err(|error| Failure::transient("wasi-http", error))?;
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

fn send(method: &str, authority: &str, path: &str) -> Result<IncomingResponse, String> {
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
    coming.subscribe().block();
    match coming.get() {
        Some(Ok(response)) => response.map_err(text),
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
