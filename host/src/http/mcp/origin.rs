//! Web pages that may ask: by their origin, which browsers send and pages can't change.

use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ORIGIN, VARY,
};
use http::{HeaderMap, HeaderValue, Uri};

/// Headers that clients of the protocol send.
const SENT: &str = "authorization, content-type, accept, mcp-protocol-version, mcp-session-id, mcp-method, last-event-id";

/// An origin: scheme, host and port, in one form. `http://a:80` and `HTTP://A` are one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin(String);

impl Origin {
    /// Reads `https://app.example.com` or `http://localhost:3000`; `None` for what is no origin, such as an
    /// address with a path, and for `null`, which is many pages.
    pub fn parse(text: &str) -> Option<Self> {
        let uri: Uri = text.parse().ok()?;
        let (scheme, authority) = (uri.scheme_str()?.to_ascii_lowercase(), uri.authority()?);
        // The form of an origin has no slash at its end; a path that isn't there reads as one.
        if authority.as_str().contains('@') || text.ends_with('/') || uri.path() != "/" {
            return None;
        }
        if uri.query().is_some() || text.contains('#') {
            return None;
        }
        let usual = match &*scheme {
            "http" => Some(80),
            "https" => Some(443),
            _ => None,
        };
        let host = authority.host().to_ascii_lowercase();
        let port = authority.port_u16().or(usual).map(|port| format!(":{port}"));
        Some(Self(format!("{scheme}://{host}{}", port.unwrap_or_default())))
    }
}

/// Who asks, as far as the `Origin` header says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::http) enum Asking {
    /// No web page.
    Program,
    /// A page that may, with its origin as it was sent.
    Page(HeaderValue),
    /// A page that may not.
    Stranger,
}

impl Asking {
    pub(in crate::http) fn of(headers: &HeaderMap, allowed: &[Origin]) -> Self {
        let mut values = headers.get_all(ORIGIN).into_iter();
        let (Some(value), None) = (values.next(), values.next()) else {
            return if headers.contains_key(ORIGIN) { Self::Stranger } else { Self::Program };
        };
        let origin = value.to_str().ok().and_then(Origin::parse);
        match origin.filter(|origin| allowed.contains(origin)) {
            Some(_) => Self::Page(value.clone()),
            None => Self::Stranger,
        }
    }

    /// What lets the page's browser show it the answer.
    pub(in crate::http) fn mark(&self, headers: &mut HeaderMap) {
        if let Self::Page(origin) = self {
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
            headers.insert(VARY, HeaderValue::from_static("origin"));
            let exposed = HeaderValue::from_static("mcp-session-id, mcp-protocol-version");
            headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
        }
    }
}

/// What a browser is told that asks whether the page may ask.
pub(super) fn may_ask(headers: &mut HeaderMap) {
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("POST"));
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static(SENT));
    headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_compared_in_one_form() {
        let same = |one: &str, other: &str| {
            assert_eq!(Origin::parse(one), Origin::parse(other), "{one} {other}");
            assert!(Origin::parse(one).is_some(), "{one}");
        };
        same("https://app.example.com", "HTTPS://App.Example.com:443");
        same("http://localhost:80", "http://localhost");
        same("http://[::1]:3000", "http://[::1]:3000");
        assert_ne!(Origin::parse("http://a"), Origin::parse("https://a"));
        assert_ne!(Origin::parse("http://a"), Origin::parse("http://a:81"));
        for none in [
            "",
            "null",
            "*",
            "a.example",
            "https://",
            "https://a/",
            "https://a/x",
            "https://a?x",
            "https://u@a",
            "/x",
        ] {
            assert_eq!(Origin::parse(none), None, "{none}");
        }
    }

    #[test]
    fn a_page_may_ask_where_its_one_origin_is_allowed() {
        let allowed = [Origin::parse("https://app.example.com").expect("an origin")];
        let of = |values: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(ORIGIN, HeaderValue::from_static(value));
            }
            Asking::of(&headers, &allowed)
        };
        assert_eq!(of(&[]), Asking::Program);
        let page = "https://app.example.com";
        assert_eq!(of(&[page]), Asking::Page(HeaderValue::from_static(page)));
        for strange in [
            &["https://evil.example"][..],
            &["null"],
            &[""],
            &[page, page],
            &["http://app.example.com"],
        ] {
            assert_eq!(of(strange), Asking::Stranger, "{strange:?}");
        }
    }
}
