//! Scheme, host and port: what is granted, and what a request goes to.

use std::fmt;

use url::Url;

/// Scheme, host and port of an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// Whether it is `https`; `http` otherwise.
    pub https: bool,
    /// The host in its normal form: lower case, punycode, IP addresses in their usual notation.
    pub host: String,
    /// The port, the scheme's own where none was given.
    pub port: u16,
}

impl Origin {
    /// The origin of an `http` or `https` address; `None` for any other.
    pub fn of(url: &Url) -> Option<Self> {
        let https = match url.scheme() {
            "https" => true,
            "http" => false,
            _ => return None,
        };
        let host = url.host_str().filter(|host| !host.is_empty())?.to_owned();
        Some(Self { https, host, port: url.port_or_known_default()? })
    }

    /// The IP address, where the host is one.
    pub fn ip(&self) -> Option<std::net::IpAddr> {
        self.host.trim_start_matches('[').trim_end_matches(']').parse().ok()
    }

    /// Reads `host`, `host:port` (both https), `http://host`, `http://host:port`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let url = match text.contains("://") {
            true => Url::parse(text),
            false => Url::parse(&format!("https://{text}")),
        };
        let url = url.map_err(|_| "it is no host")?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err("it holds a user name");
        }
        if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
            return Err("it holds a path; a grant is for a whole host");
        }
        Self::of(&url).ok_or("it is neither http nor https")
    }
}

impl fmt::Display for Origin {
    /// As a grant is written.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { https, host, port } = self;
        match (https, port) {
            (true, 443) => f.write_str(host),
            (true, _) => write!(f, "{host}:{port}"),
            (false, 80) => write!(f, "http://{host}"),
            (false, _) => write!(f, "http://{host}:{port}"),
        }
    }
}
