//! Who may ask the host.

use crate::doctor::facts::Facts;
use crate::doctor::finding::Finding;

/// Before a key ends, in seconds, in which somebody should see to it.
const SOON: f64 = 14.0 * 86_400.0;

/// Judges the token and the keys.
pub(super) fn judge(facts: &Facts) -> Vec<Finding> {
    let Some(config) = &facts.config else { return Vec::new() };
    let mut found = Vec::new();
    let has_token = config.server.token.is_some();
    if !has_token && config.server.public_url.is_some() {
        found.push(Finding::error(
            "server.token",
            "there is none, and `public_url` says that others reach the host: whoever a proxy on this machine lets through is taken for you",
            "set `token` in [server]",
        ));
    }
    let Some(keys) = facts.running.as_ref().and_then(|running| running.keys.as_ref()) else {
        found.push(Finding::not_checked("keys", "no host runs that lets us list them"));
        return found;
    };
    let live: Vec<_> = keys.iter().filter(|key| !key.expired).collect();
    for key in &live {
        if let Some(at) = key.expires_at.filter(|at| at - facts.now < SOON) {
            let days = ((at - facts.now) / 86_400.0).max(0.0).floor();
            found.push(Finding::warning(
                format!("key {}", key.name),
                format!("it expires in {days} days"),
                "make another with `sidenote key new` before, and hand it over",
            ));
        }
    }
    if live.is_empty() && has_token {
        found.push(Finding::warning(
            "keys",
            "everybody uses `server.token`, which may do everything",
            "make a key for each program: `sidenote key new NAME --scope read --all-products`",
        ));
    }
    if found.is_empty() {
        found.push(Finding::ok("keys", format!("{} in use", live.len())));
    }
    found
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::doctor::checks::tests::config;
    use crate::doctor::facts::Running;
    use crate::doctor::finding::Mark;

    fn facts(text: &str, expires_at: &[Option<f64>]) -> Facts {
        let key = |at: &Option<f64>| {
            serde_json::from_value(json!({
                "id": "0123456789", "name": "k", "scopes": ["read"], "products": [],
                "all_products": true, "made_at": 0.0, "made_by": {"kind": "token"},
                "expires_at": at, "expired": false, "used_at": null,
            }))
            .unwrap()
        };
        let keys = Some(expires_at.iter().map(key).collect());
        let running = Some(Running { keys, ..Running::default() });
        Facts { config: Some(config(text)), running, now: 1000.0, ..Facts::default() }
    }

    #[test]
    fn a_host_that_is_reached_from_outside_needs_a_token() {
        let open = "[server]\npublic_url = \"https://notes.example.com\"\n";
        assert_eq!(judge(&facts(open, &[None]))[0].result, Mark::Error);
    }

    #[test]
    fn keys_that_end_soon_and_a_token_for_everything_are_told() {
        let token = "[server]\ntoken = { env = \"T\" }\n";
        assert_eq!(judge(&facts(token, &[]))[0].result, Mark::Warning);
        assert_eq!(judge(&facts(token, &[None]))[0].result, Mark::Ok);
        let day = 86_400.0;
        let soon = judge(&facts(token, &[Some(1000.0 + 13.0 * day), Some(1000.0 + 15.0 * day)]));
        assert_eq!((soon.len(), soon[0].result), (1, Mark::Warning));
        assert!(soon[0].found.contains("13 days"), "{soon:?}");
    }
}
