//! Lines as posts.

use sidenote_plugin::crypto::{self, Encoding, Hash};
use sidenote_plugin::http::Request;
use sidenote_plugin::{Call, Failure, clock, config, log};

/// Header of the time of a signed post, in seconds since the Unix epoch.
const TIMESTAMP: &str = "x-sidenote-timestamp";
/// Header of the signature: `sha256=` and hex.
const SIGNATURE: &str = "x-sidenote-signature";

/// A post is at most so large, in bytes, unless a single line is larger: the ids that stand in every line
/// make a batch several times as large as it came in.
const MOST: usize = 1 << 20;

/// Posts the lines, in as few posts as their size allows, one after the other.
///
/// How lines are split depends on nothing but the lines, so that at a repeat every post has the key that
/// it had before.
pub(crate) fn send(call: &Call, lines: &[Vec<u8>]) -> Result<(), Failure> {
    let settings = Settings::load()?;
    for (number, body) in (1..).zip(bodies(lines)) {
        let key = match number {
            1 => call.idempotency_key.clone(),
            _ => format!("{}-{number}", call.idempotency_key),
        };
        settings.post(call, key, body)?;
    }
    Ok(())
}

fn bodies(lines: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let mut bodies: Vec<Vec<u8>> = Vec::new();
    for line in lines {
        match bodies.last_mut().filter(|body| body.len() + line.len() <= MOST) {
            Some(body) => body.extend_from_slice(line),
            None => bodies.push(line.clone()),
        }
    }
    bodies
}

struct Settings {
    url: String,
    bearer: bool,
    signed: bool,
}

impl Settings {
    fn load() -> Result<Self, Failure> {
        let (bearer, signed) = (config::flag("bearer")?, config::flag("signed")?);
        Ok(Self { url: config::require("url")?, bearer, signed })
    }

    fn post(&self, call: &Call, key: String, body: Vec<u8>) -> Result<(), Failure> {
        let mut request = Request::post(&*self.url)
            .header("content-type", "application/x-ndjson")
            .header("idempotency-key", key)
            .body(body);
        if self.signed {
            let timestamp = clock::now().to_string();
            let data = [timestamp.as_bytes(), b".", request.as_body()].concat();
            let hex = crypto::hmac_sign("signing", Hash::Sha256, Encoding::Hex, &data);
            let hex = hex.map_err(|error| {
                Failure::config(format!("{error}; or leave signed out to post without a signature"))
            })?;
            request =
                request.header(TIMESTAMP, timestamp).header(SIGNATURE, format!("sha256={hex}"));
        }
        if self.bearer {
            request = request.bearer_secret("token");
        }
        let response = request.send()?;
        log::debug!({ status = response.status, attempt = call.attempt }, "lines posted");
        response.error_for_status().map(drop)
    }
}

#[cfg(test)]
mod tests {
    use sidenote_plugin::test::{self, Host};
    use sidenote_plugin::{FailureKind, Sent, http};

    use super::*;

    fn host() -> Host {
        Host::new().config("url", "https://warehouse.example/lines")
    }

    fn line(bytes: usize) -> Vec<u8> {
        let mut line = vec![b'x'; bytes - 1];
        line.push(b'\n');
        line
    }

    #[test]
    fn lines_go_out_under_the_key_of_the_call_and_nothing_in_them_is_a_placeholder() {
        let host = host().config("bearer", "true").respond(204, "").install();
        let typed = b"{{secret:token}}\n".to_vec();
        send(&test::call(), &[typed.clone(), typed]).unwrap();
        let requests = host.requests();
        let [request] = &*requests else { panic!("{} requests", requests.len()) };
        assert!(!request.secrets_in_body);
        assert_eq!(request.body, b"{{secret:token}}\n{{secret:token}}\n");
        for (name, value) in [
            ("content-type", "application/x-ndjson"),
            ("idempotency-key", "key-1"),
            ("authorization", "Bearer {{secret:token}}"),
        ] {
            assert!(request.headers.contains(&(name.to_owned(), value.to_owned())), "{name}");
        }
        assert!(request.headers.iter().all(|(name, _)| name != SIGNATURE));
    }

    #[test]
    fn a_signed_post_can_be_verified_over_its_raw_bytes() {
        let host = host().config("signed", "true").secret("signing", "k").respond(200, "");
        let host = host.at(1_700_000_000).install();
        send(&test::call(), &[b"a\n".to_vec()]).unwrap();
        let headers = host.requests()[0].headers.clone();
        let header = |wanted: &str| {
            headers.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.clone()).unwrap()
        };
        assert_eq!(header(TIMESTAMP), "1700000000");
        let signature = header(SIGNATURE);
        let hex = signature.strip_prefix("sha256=").unwrap();
        let data = b"1700000000.a\n";
        let genuine = crypto::hmac_verify("signing", Hash::Sha256, Encoding::Hex, data, hex);
        assert_eq!(genuine, Ok(true));
    }

    #[test]
    fn what_is_too_large_for_one_post_is_split_the_same_way_each_time() {
        let lines = [line(MOST - 10), line(10), line(1), line(2 * MOST), line(5)];
        for _ in 0..2 {
            let mut host = host();
            for _ in 0..4 {
                host = host.respond(200, "");
            }
            let host = host.install();
            send(&test::call(), &lines).unwrap();
            let sent: Vec<_> = host
                .requests()
                .into_iter()
                .map(|request| {
                    let key = request.headers.iter().find(|(name, _)| name == "idempotency-key");
                    (key.unwrap().1.clone(), request.body.len())
                })
                .collect();
            let wanted = [("key-1", MOST), ("key-1-2", 1), ("key-1-3", 2 * MOST), ("key-1-4", 5)];
            assert_eq!(sent, wanted.map(|(key, bytes)| (key.to_owned(), bytes)));
        }
        let host = host().respond(200, "").respond(500, "").install();
        assert!(send(&test::call(), &lines).is_err(), "a part that failed is no success");
        assert_eq!(host.requests().len(), 2, "and nothing is sent behind it");
    }

    #[test]
    fn a_configuration_that_cannot_be_used_sends_nothing() {
        for host in [
            Host::new(),
            host().config("bearer", "yes"),
            host().config("signed", "1"),
            host().config("signed", "true"),
        ] {
            let host = host.install();
            let failure = send(&test::call(), &[line(5)]).unwrap_err();
            assert_eq!(
                (failure.kind, failure.sent),
                (FailureKind::Invalid, Sent::NotSent),
                "{}",
                failure.message
            );
            assert!(host.requests().is_empty());
        }
    }

    /// The table of answers in the README, row by row.
    #[test]
    fn a_status_decides_whether_lines_are_sent_again() {
        use FailureKind::*;
        let rows: [(&[u16], FailureKind, Sent); 6] = [
            (&[429], RateLimited, Sent::Sent),
            (&[401, 403], Auth, Sent::Sent),
            (&[404, 410], NotFound, Sent::Sent),
            (&[503], Transient, Sent::Sent),
            (&[408, 500, 502, 504, 599], Transient, Sent::Unknown),
            (&[301, 302, 307, 400, 409, 413, 422], Invalid, Sent::Sent),
        ];
        for (statuses, kind, sent) in rows {
            for status in statuses {
                let headers = vec![("Retry-After".to_owned(), "7".to_owned())];
                let answer = http::Response { status: *status, headers, body: Vec::new() };
                host().respond_with(Ok(answer)).install();
                let failure = send(&test::call(), &[line(5)]).unwrap_err();
                let told = (failure.kind, failure.sent, failure.retry_after_ms, failure.code);
                assert_eq!(told, (kind, sent, Some(7000), status.to_string()), "{status}");
            }
        }
        for status in [200, 201, 202, 204] {
            host().respond(status, "any text").install();
            assert_eq!(send(&test::call(), &[line(5)]), Ok(()), "{status}");
        }
    }
}
