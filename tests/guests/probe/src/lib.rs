//! Does what the body of a note says, one word and its rest: `get URL`, `get-size URL`, `get-with-secret URL`,
//! `post-body URL`, `post-filled-body URL`, `sign`, `count`. What came of it is the note's id.

use std::sync::atomic::{AtomicU32, Ordering};

use sidenote_plugin::crypto::{Encoding, Hash, hmac_sign};
use sidenote_plugin::{Call, Failure, Note, Posted, Writer, http};

/// The plugin.
pub struct Probe;

static CALLS: AtomicU32 = AtomicU32::new(0);

impl Writer for Probe {
    fn post_note(call: Call, note: Note) -> Result<Posted, Failure> {
        let calls = CALLS.fetch_add(1, Ordering::Relaxed) + 1;
        let (what, rest) = note.body.split_once(' ').unwrap_or((&note.body, ""));
        let body = format!("said {}", http::secret("token"));
        let request = match what {
            "get" | "get-size" => http::Request::get(rest),
            "get-with-secret" => http::Request::get(rest).bearer_secret("token"),
            "get-with-own-headers" => http::Request::get(rest)
                .header("host", "evil.example")
                .header("transfer-encoding", "chunked")
                .header("connection", "upgrade")
                .header("x-mine", "kept"),
            "get-with-line-break" => http::Request::get(rest).header("x-a", "b\r\nx-injected: c"),
            "post-body" => http::Request::post(rest).body(body),
            "post-filled-body" => http::Request::post(rest).body(body).secrets_in_body(),
            "sign" => {
                let signed = hmac_sign("key", Hash::Sha256, Encoding::Hex, rest.as_bytes());
                return Ok(Posted::with_id(signed.map_err(Failure::config)?));
            }
            "count" => return Ok(Posted::with_id(calls.to_string())),
            "call" => {
                let now =
                    std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().as_millis();
                let left = u128::from(call.deadline_ms).saturating_sub(now);
                return Ok(Posted::with_id(format!(
                    "{} {} {left}",
                    call.idempotency_key, call.attempt
                )));
            }
            other => {
                return Err(Failure::invalid("word", format!("`{other}` is nothing to do")));
            }
        };
        let response = request.send()?;
        if what == "get-size" {
            let length = response.header("content-length").unwrap_or("none");
            return Ok(Posted::with_id(format!(
                "{} {} {} {length}",
                response.status,
                response.body.len(),
                response.is_truncated()
            )));
        }
        let echoed = response.header("x-echo").unwrap_or_default();
        Ok(Posted::with_id(format!(
            "{} {} {echoed}",
            response.status,
            String::from_utf8_lossy(&response.body)
        )))
    }
}

sidenote_plugin::export!(Probe);
