//! What an SDK asks for before it sends anything: the remote configuration, without which posthog-js captures nothing
//! by itself; feature flags, of which there are none; and the script that the HTML snippet loads.

use serde_json::json;
use sidenote_plugin::config;
use sidenote_plugin::source::{Received, Rejection, Request, Response};

use crate::body::query;
use crate::reading::{Gathered, cut, only};

/// Where PostHog serves its script.
const ARRAY_JS: &str = "https://us-assets.i.posthog.com/static/array.js";
/// Scripts that posthog-js loads later and that tell of what people do. Of recording, surveys and the toolbar there is
/// nothing here.
const LATER: [&str; 3] =
    ["dead-clicks-autocapture.js", "exception-autocapture.js", "posthog-rageclick.js"];

/// Answers what is asked at a path.
///
/// # Errors
/// There is nothing at it.
pub(crate) fn answer(request: &Request, path: &str) -> Result<Received, Rejection> {
    let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    match parts[..] {
        ["array", _, "config"] => {
            only(request, &["GET"])?;
            Ok(keyless(Response::json(remote().to_string())))
        }
        ["array", key, "config.js"] if is_plain(key) => {
            only(request, &["GET"])?;
            Ok(keyless(script(key)))
        }
        ["flags"] | ["decide"] => {
            only(request, &["POST"])?;
            let old = path == "/decide" || query(request, "config").is_some();
            Ok(keyless(Response::json(flags(old).to_string())))
        }
        ["static", "array.js"] => {
            only(request, &["GET"])?;
            Ok(keyless(elsewhere(array_js())))
        }
        ["static", .., file] if LATER.contains(&file) => {
            only(request, &["GET"])?;
            let from = array_js();
            let base = from.strip_suffix("/static/array.js").ok_or_else(Rejection::not_found)?;
            let query = if request.query.is_empty() {
                String::new()
            } else {
                format!("?{}", cut(&request.query, 256))
            };
            Ok(keyless(elsewhere(format!("{base}{}{query}", cut(path, 256)))))
        }
        ["s"] => {
            only(request, &["POST"])?;
            let mut gathered = Gathered::default();
            gathered.ignore("a recording of the screen");
            let mut received = gathered.answer(Response::json(r#"{"status":1}"#));
            received.keyless = true;
            Ok(received)
        }
        ["api", "surveys"] => Ok(keyless(Response::json(r#"{"surveys":[]}"#))),
        ["api", "early_access_features"] => {
            Ok(keyless(Response::json(r#"{"earlyAccessFeatures":[]}"#)))
        }
        _ => Err(Rejection::not_found()),
    }
}

fn keyless(response: Response) -> Received {
    Received::keyless(response)
}

/// The remote configuration as the script that posthog-js looks for first.
fn script(key: &str) -> Response {
    let body = format!(
        "(window._POSTHOG_REMOTE_CONFIG = window._POSTHOG_REMOTE_CONFIG || {{}})[\"{key}\"] = {{config: {}, siteApps: []}};\n",
        remote()
    );
    Response {
        status: 200,
        headers: vec![("content-type".to_owned(), "text/javascript".to_owned())],
        body: body.into_bytes(),
    }
}

/// Whether a part of a path stands for itself in a script.
fn is_plain(part: &str) -> bool {
    !part.is_empty()
        && part.bytes().all(|it| it.is_ascii_alphanumeric() || matches!(it, b'-' | b'_'))
}

fn array_js() -> String {
    config::get("array_js").filter(|it| !it.is_empty()).unwrap_or_else(|| ARRAY_JS.to_owned())
}

fn elsewhere(address: String) -> Response {
    Response {
        status: 302,
        headers: vec![
            ("location".to_owned(), address),
            ("cache-control".to_owned(), "max-age=300".to_owned()),
        ],
        body: Vec::new(),
    }
}

/// The remote configuration: capturing is allowed, packing is, and everything that tells nothing of what people do is
/// off.
fn remote() -> serde_json::Value {
    // In the order of the alphabet, so that it is the same text whatever order a map has.
    json!({
        "analytics": {"endpoint": "/i/v0/e/"},
        "autocaptureExceptions": true,
        "autocapture_opt_out": false,
        "captureDeadClicks": true,
        "capturePerformance": false,
        "hasFeatureFlags": false,
        "heatmaps": false,
        "sessionRecording": false,
        "siteApps": [],
        "supportedCompression": ["gzip-js"],
        "surveys": false,
    })
}

/// No flags; to old clients the configuration is told here.
fn flags(old: bool) -> serde_json::Value {
    if old {
        return json!({
            "autocapture_opt_out": false,
            "config": {"enable_collect_everything": true},
            "errorsWhileComputingFlags": false,
            "featureFlagPayloads": {},
            "featureFlags": {},
            "flags": {},
            "isAuthenticated": false,
            "sessionRecording": false,
            "siteApps": [],
            "supportedCompression": ["gzip-js"],
            "surveys": false,
            "toolbarParams": {},
        });
    }
    json!({
        "errorsWhileComputingFlags": false,
        "featureFlagPayloads": {},
        "featureFlags": {},
        "flags": {},
    })
}
