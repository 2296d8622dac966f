//! A writer whose requests go through wasi:http, by waki's client.

use shared::{Call, Failure, FailureKind, Guest, HEADERS, Note, Posted, Sent, failure};
use waki::Client;

struct Writer;

shared::export!(Writer with_types_in shared);

impl Guest for Writer {
    fn post_note(call: Call, note: Note) -> Result<Posted, Failure> {
        let url = shared::url()?;
        let request = Client::new().post(&url).headers(HEADERS).body(shared::body(&call, &note));
        // waki tells of no kinds: whatever went wrong, the bot may have the note.
        let response = request.send().map_err(|error| {
            failure(FailureKind::Transient, "http", &error.to_string(), Sent::Unknown)
        })?;
        let retry = response.header("retry-after").and_then(|value| value.to_str().ok());
        let (status, retry) = (response.status_code(), retry.map(str::to_owned));
        shared::outcome(status, retry.as_deref(), &response.body().unwrap_or_default())
    }
}
