//! Whether a proxy leads more to the host than it should.

use crate::doctor::facts::{Facts, Public};
use crate::doctor::finding::Finding;

/// Judges what `public_url` answers to anybody.
pub(super) fn judge(facts: &Facts) -> Vec<Finding> {
    let Some(url) = facts.config.as_ref().and_then(|config| config.server.public_url.as_ref())
    else {
        return vec![Finding::not_checked("", "`public_url` isn't set in [server]")];
    };
    let Some(public) = &facts.public else {
        return vec![Finding::not_checked(
            url,
            if facts.offline { "--offline" } else { "it couldn't be asked" },
        )];
    };
    vec![one(url, public)]
}

fn one(url: &str, public: &Public) -> Finding {
    match (&public.health, public.outbox) {
        (_, Some(200)) => Finding::error(
            url,
            "GET /outbox is answered there without a token: everybody can read and change what is sent",
            "set `token` in [server], and have the proxy lead /webhooks/ and /ingest/ alone to the host",
        ),
        (Err(cause), _) => Finding::warning(
            url,
            format!("nothing answers there, seen from here: {cause}"),
            "platforms send webhooks there; check the proxy, unless this machine may not reach it",
        ),
        (Ok(status), _) if *status >= 500 => Finding::warning(
            url,
            format!("/healthz is answered {status}"),
            "check where the proxy leads, and that the host runs",
        ),
        (Ok(_), _) => Finding::ok(url, "it answers, and tells nobody what is the operator's"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::Mark;

    #[test]
    fn an_outbox_that_everybody_reads_is_an_error_whatever_else_holds() {
        let of = |health: Result<u16, &str>, outbox| {
            let health = health.map_err(str::to_owned);
            one("https://n.example", &Public { health, outbox }).result
        };
        assert_eq!(of(Ok(200), Some(200)), Mark::Error);
        assert_eq!([of(Ok(200), Some(401)), of(Ok(404), Some(404))], [Mark::Ok, Mark::Ok]);
        assert_eq!([of(Err("refused"), None), of(Ok(502), Some(502))], [Mark::Warning; 2]);
    }
}
