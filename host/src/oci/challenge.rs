//! What a registry asks for who we are (RFC 7235), and the token that one of them gives for a password.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http_auth::ChallengeParser;
use reqwest::header::{HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use serde::Deserialize;
use url::Url;

use crate::address::is_on_this_machine;
use crate::config::Credentials;

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Challenge {
    /// A token, which is had at an address for a service.
    Bearer { realm: String, service: Option<String> },
    /// The password itself.
    Basic,
}

impl Challenge {
    /// The one to answer, of all that the headers offer: a token, where one will do.
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        let values = headers.get_all(WWW_AUTHENTICATE).into_iter();
        let mut basic = None;
        for value in values.filter_map(|value| value.to_str().ok()) {
            // What stands behind an odd part isn't read.
            for challenge in ChallengeParser::new(value).map_while(Result::ok) {
                let of = |key: &str| {
                    let found =
                        challenge.params.iter().find(|(it, _)| it.eq_ignore_ascii_case(key));
                    found.map(|(_, value)| value.to_unescaped())
                };
                if challenge.scheme.eq_ignore_ascii_case("bearer")
                    && let Some(realm) = of("realm")
                {
                    return Some(Self::Bearer { realm, service: of("service") });
                }
                if challenge.scheme.eq_ignore_ascii_case("basic") {
                    basic = Some(Self::Basic);
                }
            }
        }
        basic
    }
}

/// Where requests may go without TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Clear {
    /// Nowhere.
    Nowhere,
    /// To this machine, since the registry is on it.
    ThisMachine,
    /// Anywhere: an operator says so.
    Anywhere,
}

impl Clear {
    /// Whether a request may go there.
    pub(super) fn allows(self, url: &Url) -> bool {
        match (url.scheme(), self) {
            ("https", _) | ("http", Self::Anywhere) => true,
            ("http", Self::ThisMachine) => is_on_this_machine(url),
            _ => false,
        }
    }
}

/// Where a token is had, with what it is asked for.
pub(super) fn address(
    realm: &str,
    service: Option<&str>,
    scope: &str,
    clear: Clear,
) -> Result<Url, String> {
    let odd = || "asks for a token from what is no address".to_owned();
    let mut url = Url::parse(realm).map_err(|_| odd())?;
    if url.scheme() == "http" && !clear.allows(&url) {
        return Err("asks for the password to be sent without TLS".to_owned());
    }
    if !clear.allows(&url) {
        return Err(odd());
    }
    if !url.username().is_empty() || url.password().is_some() || !url.has_host() {
        return Err(odd());
    }
    let mut query = url.query_pairs_mut();
    if let Some(service) = service {
        query.append_pair("service", service);
    }
    query.append_pair("scope", scope);
    drop(query);
    Ok(url)
}

#[derive(Deserialize)]
struct Token {
    token: Option<String>,
    access_token: Option<String>,
}

/// The header that a token's answer makes; `None` where it holds none that could be one.
pub(super) fn bearer(answer: &[u8]) -> Option<HeaderValue> {
    let Token { token, access_token } = serde_json::from_slice(answer).ok()?;
    let token = token.or(access_token).filter(|token| !token.is_empty())?;
    secret(format!("Bearer {token}"))
}

/// The header that a password makes.
pub(super) fn basic(credentials: &Credentials) -> Option<HeaderValue> {
    let both = format!("{}:{}", credentials.user, credentials.password.expose());
    secret(format!("Basic {}", STANDARD.encode(both)))
}

fn secret(text: String) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(&text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[&'static str]) -> Option<Challenge> {
        let values = values.iter().map(|it| (WWW_AUTHENTICATE, HeaderValue::from_static(it)));
        let mut headers = HeaderMap::new();
        for (name, value) in values {
            headers.append(name, value);
        }
        Challenge::of(&headers)
    }

    #[test]
    fn a_token_is_rather_sent_than_the_password() {
        let wanted = Challenge::Bearer {
            realm: "https://auth.example.com/token".to_owned(),
            service: Some("r, \"quoted\"".to_owned()),
        };
        let bearer =
            r#"Bearer realm="https://auth.example.com/token",service="r, \"quoted\"",scope="x""#;
        assert_eq!(of(&[bearer]), Some(wanted.clone()));
        assert_eq!(of(&["Basic realm=\"r\"", bearer]), Some(wanted));
        assert_eq!(of(&["basic realm=r"]), Some(Challenge::Basic));
        assert_eq!(of(&["Bearer service=\"x\""]), None);
        assert_eq!(of(&["Negotiate", "\"", ""]), None);
        assert_eq!(of(&[]), None);
    }

    #[test]
    fn a_password_goes_nowhere_without_tls_unless_the_registry_has_none() {
        let of = |realm, clear| address(realm, Some("r"), "repository:a:pull", clear);
        let wanted = "https://a.example.com/t?x=1&service=r&scope=repository%3Aa%3Apull";
        assert_eq!(of("https://a.example.com/t?x=1", Clear::Nowhere).unwrap().as_str(), wanted);
        for (realm, clear) in [
            ("http://a.example.com/t", Clear::Nowhere),
            ("http://127.0.0.1:1/t", Clear::Nowhere),
            ("http://a.example.com/t", Clear::ThisMachine),
        ] {
            assert!(of(realm, clear).unwrap_err().contains("without TLS"), "{realm}");
        }
        for realm in ["http://127.0.0.1:1/t", "http://[::1]/t", "http://localhost/t"] {
            assert!(of(realm, Clear::ThisMachine).is_ok(), "{realm}");
        }
        assert!(of("http://a.example.com/t", Clear::Anywhere).is_ok());
        for odd in ["", "/token", "ftp://a/b", "https://u:p@a.example.com/", "file:///etc/passwd"] {
            assert!(of(odd, Clear::Anywhere).is_err(), "{odd}");
        }
    }

    #[test]
    fn a_token_that_can_be_no_header_is_none() {
        let of = |text: &str| bearer(text.as_bytes()).map(|it| it.to_str().unwrap().to_owned());
        assert_eq!(of(r#"{"token":"a"}"#).as_deref(), Some("Bearer a"));
        assert_eq!(of(r#"{"access_token":"b"}"#).as_deref(), Some("Bearer b"));
        for odd in ["", "{}", r#"{"token":""}"#, r#"{"token":"a\nb"}"#, r#"{"token":7}"#, "<html>"]
        {
            assert_eq!(of(odd), None, "{odd}");
        }
        let told = format!("{:?}", bearer(br#"{"token":"hidden"}"#));
        assert!(!told.contains("hidden"), "{told}");
    }
}
