//! Which web pages may send to a source, and what their browsers are told. Nothing here knows of cookies: pages send none
//! that counts, and none is set.

use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
    ACCESS_CONTROL_REQUEST_METHOD, HeaderName, ORIGIN, VARY,
};
use http::{HeaderMap, HeaderValue, Method};

use crate::config::Origins;

/// How long a browser may remember that it may send; none remembers for longer.
const MAX_AGE: HeaderValue = HeaderValue::from_static("7200");
/// What pages may read of an answer beside its body.
const EXPOSED: HeaderValue = HeaderValue::from_static("retry-after");
/// Most headers that a browser asks about.
const MOST_HEADERS: usize = 64;

/// Who sends, as far as the `Origin` header says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Sender {
    /// No web page that says so.
    Program,
    /// A page that may, with its origin as it was sent.
    Page(HeaderValue),
    /// A page that may not.
    Stranger,
}

impl Sender {
    /// Who sends a request with these headers.
    pub(crate) fn of(headers: &HeaderMap, origins: &Origins) -> Self {
        let mut values = headers.get_all(ORIGIN).into_iter();
        match (values.next(), values.next()) {
            (None, _) => Self::Program,
            (Some(value), None) if value.to_str().is_ok_and(|origin| origins.allow(origin)) => {
                Self::Page(value.clone())
            }
            (Some(_), _) => Self::Stranger,
        }
    }

    /// What lets a page's browser show it the answer.
    pub(crate) fn mark(&self, headers: &mut HeaderMap) {
        headers.append(VARY, HeaderValue::from_static("origin"));
        if let Self::Page(origin) = self {
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
            headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
        }
    }
}

/// Whether a request only asks what a page may send.
pub(crate) fn is_preflight(method: &Method, headers: &HeaderMap) -> bool {
    *method == Method::OPTIONS && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}

/// What is answered to that: the method that was asked for, and every header that can be one. SDKs add headers of their
/// own, and others when they send something again.
pub(crate) fn allow(asked: &HeaderMap, answer: &mut HeaderMap) {
    let method = asked.get(ACCESS_CONTROL_REQUEST_METHOD).and_then(|value| value.to_str().ok());
    if let Some(method) = method.and_then(|method| Method::from_bytes(method.as_bytes()).ok())
        && let Ok(method) = HeaderValue::from_str(method.as_str())
    {
        answer.insert(ACCESS_CONTROL_ALLOW_METHODS, method);
    }
    let values = asked.get_all(ACCESS_CONTROL_REQUEST_HEADERS).iter();
    let names = values.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
    let names = names.filter_map(|name| HeaderName::from_bytes(name.trim().as_bytes()).ok());
    let names: Vec<_> = names.take(MOST_HEADERS).map(|name| name.to_string()).collect();
    if !names.is_empty()
        && let Ok(names) = HeaderValue::from_str(&names.join(", "))
    {
        answer.insert(ACCESS_CONTROL_ALLOW_HEADERS, names);
    }
    answer.insert(ACCESS_CONTROL_MAX_AGE, MAX_AGE);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::PageOrigin;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn a_page_may_send_where_its_one_origin_is_allowed() {
        let one = Origins::Listed(vec![PageOrigin::parse("https://app.example.com").unwrap()]);
        let none = Origins::Listed(Vec::new());
        let page = "https://app.example.com";
        let sent = headers(&[("origin", page)]);
        assert_eq!(Sender::of(&sent, &one), Sender::Page(HeaderValue::from_static(page)));
        assert_eq!(Sender::of(&sent, &none), Sender::Stranger);
        assert_eq!(Sender::of(&headers(&[]), &none), Sender::Program);
        let twice = headers(&[("origin", page), ("origin", page)]);
        assert_eq!(Sender::of(&twice, &Origins::Any), Sender::Stranger);
        let opaque = headers(&[("origin", "null")]);
        assert_eq!(Sender::of(&opaque, &one), Sender::Stranger);
        assert!(matches!(Sender::of(&opaque, &Origins::Any), Sender::Page(_)));
    }

    #[test]
    fn each_header_that_can_be_one_is_allowed_and_nothing_else() {
        let asked = headers(&[
            ("access-control-request-method", "POST"),
            ("access-control-request-headers", "Content-Type, x-retry-count,rsa-retry-attempt"),
            ("access-control-request-headers", "bad header, , authorization"),
        ]);
        let mut answer = HeaderMap::new();
        allow(&asked, &mut answer);
        let of = |name: HeaderName| answer.get(name).unwrap().to_str().unwrap();
        assert_eq!(of(ACCESS_CONTROL_ALLOW_METHODS), "POST");
        let allowed = "content-type, x-retry-count, rsa-retry-attempt, authorization";
        assert_eq!(of(ACCESS_CONTROL_ALLOW_HEADERS), allowed);
        assert_eq!(of(ACCESS_CONTROL_MAX_AGE), "7200");
        assert!(is_preflight(&Method::OPTIONS, &asked) && !is_preflight(&Method::POST, &asked));
        assert!(!is_preflight(&Method::OPTIONS, &HeaderMap::new()));
        assert!(!answer.contains_key("access-control-allow-credentials"));
    }
}
