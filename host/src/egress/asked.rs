//! What a plugin's manifest asks for: the other half of a grant. Pure.

use std::collections::BTreeMap;
use std::fmt;

use crate::address::Origin;

/// The hosts and secrets that a manifest names. What isn't named can't be granted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Asked {
    /// Where the plugin wants to go.
    pub hosts: Patterns,
    /// The secrets by name, with the hosts that each wants to be sent to.
    pub secrets: BTreeMap<String, Patterns>,
}

/// A list of patterns, as in `hosts` of a manifest.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Patterns(Vec<Pattern>);

/// Hosts that a plugin asks for: one, those below a domain, or whichever the operator names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pattern {
    /// `*`: every origin that the operator grants, plain HTTP and any port included.
    Any,
    /// `*.example.com`: every host below that domain, with this scheme and port.
    Below(Origin),
    /// `api.example.com`: this origin.
    One(Origin),
}

impl Pattern {
    /// Reads `*`, and `[http://]HOST[:PORT]` where `HOST` may begin with `*.`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        if text == "*" {
            return Ok(Self::Any);
        }
        let (scheme, host) = match text.split_once("://") {
            Some((scheme, host)) => (Some(scheme), host),
            None => (None, text),
        };
        let below = host.strip_prefix("*.");
        let host = below.unwrap_or(host);
        if host.contains('*') {
            return Err("a * stands alone, or before the first dot");
        }
        let origin = match scheme {
            Some(scheme) => Origin::parse(&format!("{scheme}://{host}"))?,
            None => Origin::parse(host)?,
        };
        match below {
            Some(_) if origin.ip().is_some() => Err("nothing is below an IP address"),
            Some(_) => Ok(Self::Below(origin)),
            None => Ok(Self::One(origin)),
        }
    }

    /// Whether an origin is meant.
    pub fn fits(&self, origin: &Origin) -> bool {
        match self {
            Self::Any => true,
            Self::One(one) => one == origin,
            Self::Below(domain) => {
                let below = origin.host.strip_suffix(&domain.host);
                (origin.https, origin.port) == (domain.https, domain.port)
                    && below.is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'))
            }
        }
    }

    /// An origin as a person would grant it, with a word in capitals to replace where the pattern
    /// leaves it open.
    pub fn example(&self) -> String {
        match self {
            Self::Any => "HOST".to_owned(),
            Self::One(origin) => origin.to_string(),
            Self::Below(_) => self.to_string().replacen('*', "NAME", 1),
        }
    }
}

impl fmt::Display for Pattern {
    /// As a manifest writes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::One(origin) => origin.fmt(f),
            Self::Below(origin) => {
                let starred = Origin { host: format!("*.{}", origin.host), ..origin.clone() };
                starred.fmt(f)
            }
        }
    }
}

impl Patterns {
    /// Reads a list; the error is the first entry that is none, and why.
    pub fn parse(list: &[String]) -> Result<Self, (String, &'static str)> {
        let read = |text: &String| Pattern::parse(text).map_err(|cause| (text.clone(), cause));
        list.iter().map(read).collect::<Result<_, _>>().map(Self)
    }

    /// Whether an origin is meant by one of them.
    pub fn fits(&self, origin: &Origin) -> bool {
        self.0.iter().any(|pattern| pattern.fits(origin))
    }

    /// The patterns, in the order of the manifest.
    pub fn iter(&self) -> std::slice::Iter<'_, Pattern> {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(text: &str) -> Origin {
        Origin::parse(text).unwrap()
    }

    #[test]
    fn a_pattern_means_one_host_those_below_a_domain_or_any() {
        let cases: [(&str, &[&str], &[&str]); 5] = [
            ("*", &["a.example", "http://127.0.0.1:9", "a.example:8443"], &[]),
            (
                "API.example.com",
                &["api.example.com"],
                &["example.com", "x.api.example.com", "http://api.example.com"],
            ),
            (
                "*.example.com",
                &["a.example.com", "a.b.example.com"],
                &["example.com", "notexample.com", "a.example.com:8443", "http://a.example.com"],
            ),
            ("*.example.com:8443", &["a.example.com:8443"], &["a.example.com"]),
            ("http://*.example.com", &["http://a.example.com"], &["a.example.com"]),
        ];
        for (pattern, meant, others) in cases {
            let parsed = Pattern::parse(pattern).unwrap();
            for text in meant {
                assert!(parsed.fits(&origin(text)), "{pattern} means {text}");
            }
            for text in others {
                assert!(!parsed.fits(&origin(text)), "{pattern} doesn't mean {text}");
            }
            assert_eq!(parsed.to_string(), pattern.to_lowercase());
        }
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for text in [
            "",
            "*.",
            "**",
            "a.*.example",
            "*.*.example",
            "*example.com",
            "*.10.0.0.1",
            "ftp://a.example",
            "a.example/path",
            "*.a.example/path",
        ] {
            assert!(Pattern::parse(text).is_err(), "{text}");
        }
    }
}
