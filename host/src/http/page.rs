//! Whether a web page asks, and one that may.

use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ORIGIN, VARY,
};
use http::{HeaderMap, HeaderValue};

use crate::config::PageOrigin;

/// Headers that clients of the protocol send.
const SENT: &str = "authorization, content-type, accept, mcp-protocol-version, mcp-session-id, mcp-method, last-event-id";

/// Who asks, as far as the `Origin` header says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Asking {
    /// No web page.
    Program,
    /// A page that may, with its origin as it was sent.
    Page(HeaderValue),
    /// A page that may not.
    Stranger,
}

impl Asking {
    pub(super) fn of(headers: &HeaderMap, allowed: &[PageOrigin]) -> Self {
        let mut values = headers.get_all(ORIGIN).into_iter();
        let (Some(value), None) = (values.next(), values.next()) else {
            return if headers.contains_key(ORIGIN) { Self::Stranger } else { Self::Program };
        };
        let origin = value.to_str().ok().and_then(PageOrigin::parse);
        match origin.filter(|origin| allowed.contains(origin)) {
            Some(_) => Self::Page(value.clone()),
            None => Self::Stranger,
        }
    }

    /// What lets the page's browser show it the answer.
    pub(super) fn mark(&self, headers: &mut HeaderMap) {
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
    fn a_page_may_ask_where_its_one_origin_is_allowed() {
        let allowed = [PageOrigin::parse("https://app.example.com").expect("an origin")];
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
