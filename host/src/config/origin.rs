//! Web pages that may ask: by their origin, which browsers send and pages can't change.

use http::Uri;

/// An origin: scheme, host and port, in one form. `http://a:80` and `HTTP://A` are one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageOrigin(String);

impl PageOrigin {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_compared_in_one_form() {
        let same = |one: &str, other: &str| {
            assert_eq!(PageOrigin::parse(one), PageOrigin::parse(other), "{one} {other}");
            assert!(PageOrigin::parse(one).is_some(), "{one}");
        };
        same("https://app.example.com", "HTTPS://App.Example.com:443");
        same("http://localhost:80", "http://localhost");
        same("http://[::1]:3000", "http://[::1]:3000");
        assert_ne!(PageOrigin::parse("http://a"), PageOrigin::parse("https://a"));
        assert_ne!(PageOrigin::parse("http://a"), PageOrigin::parse("http://a:81"));
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
            assert_eq!(PageOrigin::parse(none), None, "{none}");
        }
    }
}
