//! The hosts that a plugin may reach, as an operator writes them.

use std::fmt;

use url::Url;

use super::scalar::{self, Refusal, Scalar};
use crate::address::{self, Origin};

/// One host of a grant: `host`, `host:port` or `http://host:port`.
///
/// [`fmt::Display`] writes it in exactly one of these three forms, in lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Host {
    plaintext: bool,
    name: String,
    port: u16,
}

/// How far away a host is, as far as its name tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// Somewhere in the world, or a name that only a resolver knows.
    Public,
    /// This machine, a private network or another place that isn't the open one: needs its own grant.
    Private,
    /// Cloud metadata: never granted.
    Never,
}

impl Host {
    /// Reads a host of the file.
    pub(super) fn read(value: Scalar<'_>) -> Result<Self, Refusal> {
        let text = scalar::text(value)?;
        Self::parse(&text).map_err(|cause| {
            // What stands before an `@` may be a password.
            let shown =
                if text.contains('@') { "the host".to_owned() } else { format!("\"{text}\"") };
            Refusal::value(
                format!("{shown} {cause}"),
                "write \"host\", \"host:port\" or, without TLS, \"http://host:port\"",
            )
        })
    }

    fn parse(text: &str) -> Result<Self, &'static str> {
        let text = text.to_ascii_lowercase();
        let (plaintext, rest) = match text.split_once("://") {
            Some(("http", rest)) => (true, rest),
            Some(("https", rest)) => (false, rest),
            Some(_) => return Err("has a scheme that isn't http or https"),
            None => (false, text.as_str()),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        if rest.contains(['/', '?', '#']) {
            return Err("has a path; a grant is for a whole host");
        }
        if rest.contains('@') {
            return Err("has credentials in it; they belong in a secret");
        }
        if rest.contains('*') {
            return Err("has a wildcard; each host is granted by its own name");
        }
        let (name, port) = split_port(rest)?;
        let port = match port {
            Some(port) => port.parse().ok().filter(|port| *port > 0).ok_or("has no usable port")?,
            None if plaintext => 80,
            None => 443,
        };
        if !is_name(name) || origin(name).is_none() {
            return Err("isn't a host");
        }
        Ok(Self { plaintext, name: name.to_owned(), port })
    }

    /// How far away the host is by its name alone, in the judgement of the plugins' way out. Names are
    /// resolved and checked when they are called.
    pub(super) fn reach(&self) -> Reach {
        match origin(&self.name).and_then(|origin| origin.ip()).map(address::reach) {
            Some(address::Reach::Public) => Reach::Public,
            Some(address::Reach::Private(_)) => Reach::Private,
            Some(address::Reach::Never(_)) => Reach::Never,
            None if self.name == "localhost" || self.name.ends_with(".localhost") => Reach::Private,
            None => Reach::Public,
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.plaintext, self.port) {
            (true, port) => write!(f, "http://{}:{port}", self.name),
            (false, 443) => f.write_str(&self.name),
            (false, port) => write!(f, "{}:{port}", self.name),
        }
    }
}

/// The name as a request is matched by it: an address may be written in many ways.
fn origin(name: &str) -> Option<Origin> {
    Origin::of(&Url::parse(&format!("https://{name}")).ok()?)
}

fn split_port(text: &str) -> Result<(&str, Option<&str>), &'static str> {
    if let Some(end) = text.find(']') {
        let (name, rest) = text.split_at(end + 1);
        return match (rest, rest.strip_prefix(':')) {
            ("", _) => Ok((name, None)),
            (_, Some(port)) => Ok((name, Some(port))),
            (_, None) => Err("isn't a host"),
        };
    }
    match text.matches(':').count() {
        0 => Ok((text, None)),
        1 => Ok(text.split_once(':').map_or((text, None), |(name, port)| (name, Some(port)))),
        _ => Err(
            "has several colons; write an IPv6 address in brackets, for example \"[2001:db8::1]\"",
        ),
    }
}

fn is_name(name: &str) -> bool {
    if let Some(inner) = name.strip_prefix('[') {
        return inner
            .strip_suffix(']')
            .is_some_and(|inner| inner.parse::<std::net::Ipv6Addr>().is_ok());
    }
    let is_label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    name.len() <= 253 && name.split('.').all(is_label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_reads_and_is_written_in_one_of_three() {
        for (text, written) in [
            ("api.intercom.io", "api.intercom.io"),
            ("API.Intercom.IO", "api.intercom.io"),
            ("https://api.intercom.io/", "api.intercom.io"),
            ("api.intercom.io:443", "api.intercom.io"),
            ("api.intercom.io:8443", "api.intercom.io:8443"),
            ("http://chat.internal", "http://chat.internal:80"),
            ("http://127.0.0.1:4010", "http://127.0.0.1:4010"),
            ("[2001:db8::1]", "[2001:db8::1]"),
            ("[2001:db8::1]:8443", "[2001:db8::1]:8443"),
        ] {
            assert_eq!(Host::parse(text).unwrap().to_string(), written, "{text}");
        }
    }

    #[test]
    fn what_is_not_a_host_is_refused() {
        for text in [
            "",
            "a b",
            "*.zendesk.com",
            "https://a.example/path",
            "ftp://a.example",
            "user:pw@a.example",
            "a.example:0",
            "a.example:99999",
            "a.example:",
            "2001:db8::1",
            "[nonsense]",
            "-a.example",
            "a..example",
            "256.1.1.1",
            "[::1]x",
        ] {
            assert!(Host::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn credentials_are_not_repeated_in_the_error() {
        for text in ["https://user:hunter2@api.example.com", "user:hunter2@api.example.com/path"] {
            let refusal = Host::read(Scalar::Variable(text)).unwrap_err();
            assert!(!format!("{refusal:?}").contains("hunter2"), "{refusal:?}");
        }
        let refusal = Host::read(Scalar::Variable("a b")).unwrap_err();
        assert!(format!("{refusal:?}").contains("a b"), "{refusal:?}");
    }

    #[test]
    fn reach_is_told_by_literal_addresses_and_localhost() {
        for (text, reach) in [
            ("api.intercom.io", Reach::Public),
            ("8.8.8.8", Reach::Public),
            ("localhost:8080", Reach::Private),
            ("127.0.0.1", Reach::Private),
            ("10.0.0.1", Reach::Private),
            ("192.168.1.1", Reach::Private),
            ("100.64.0.1", Reach::Private),
            ("0.0.0.0", Reach::Private),
            ("[::1]", Reach::Private),
            ("[fd12::1]", Reach::Private),
            ("[fe80::1]", Reach::Private),
            ("[::ffff:10.0.0.1]", Reach::Private),
            ("[2001:db8::1]", Reach::Private),
            ("2130706433", Reach::Private),
            ("0x7f.1", Reach::Private),
            ("198.18.0.1", Reach::Private),
            ("169.254.169.254", Reach::Never),
            ("[::ffff:169.254.169.254]", Reach::Never),
            ("100.100.100.200", Reach::Never),
            ("[fd00:ec2::254]", Reach::Never),
            ("[fd00:c1::a9fe:a9fe]", Reach::Never),
            ("168.63.129.16", Reach::Never),
            ("2852039166", Reach::Never),
        ] {
            assert_eq!(Host::parse(text).unwrap().reach(), reach, "{text}");
        }
    }
}
