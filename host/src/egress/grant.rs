//! What an operator allows a plugin to reach. Pure.

use super::asked::Patterns;
use crate::address::{self, Origin, RefusedAddress};
use crate::ids::PluginName;
use crate::see::See;

/// A list of origins, as in `hosts = […]`.
#[derive(Debug, Clone, Default)]
pub struct Origins(Vec<Origin>);

impl Origins {
    /// Reads the list; the first entry that is none is the error.
    pub fn parse(list: &[String]) -> Result<Self, BadGrant> {
        list.iter()
            .map(|text| Origin::parse(text).map_err(|cause| BadGrant { text: text.clone(), cause }))
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// The origins, in the order given.
    pub fn iter(&self) -> std::slice::Iter<'_, Origin> {
        self.0.iter()
    }

    /// Whether the list holds this origin.
    pub fn contains(&self, origin: &Origin) -> bool {
        self.0.contains(origin)
    }

    /// The list with one more, as a line of TOML.
    pub(super) fn toml_with(&self, origin: &Origin) -> String {
        let entries: Vec<_> =
            self.0.iter().chain([origin]).map(|origin| format!("\"{origin}\"")).collect();
        format!("hosts = [{}]", entries.join(", "))
    }
}

/// An entry of `hosts` that can't be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` in hosts can't be used: {cause}; write \"host\", \"host:port\" or \"http://host:port\""
)]
pub struct BadGrant {
    /// The entry.
    pub text: String,
    /// What is wrong with it.
    pub cause: &'static str,
}

/// What one plugin may reach.
#[derive(Debug, Clone)]
pub struct Grants {
    plugin: PluginName,
    hosts: Origins,
    /// What its manifest asks for; `None` where it has none, and the operator's word counts alone.
    asked: Option<Patterns>,
    allow_private: bool,
}

impl Grants {
    /// The grants of a plugin.
    pub fn new(
        plugin: PluginName,
        hosts: &[String],
        allow_private: bool,
    ) -> Result<Self, BadGrant> {
        Ok(Self { plugin, hosts: Origins::parse(hosts)?, asked: None, allow_private })
    }

    /// The same, of no more than a manifest asks for.
    pub fn limited_to(self, asked: Patterns) -> Self {
        Self { asked: Some(asked), ..self }
    }

    /// The hosts that the operator grants.
    pub fn hosts(&self) -> &Origins {
        &self.hosts
    }

    /// The plugin whose grants they are.
    pub fn plugin(&self) -> &PluginName {
        &self.plugin
    }

    /// Whether private addresses are granted.
    pub fn allow_private(&self) -> bool {
        self.allow_private
    }

    /// Whether the plugin may send to this origin; a host that is an IP address is judged as such, as
    /// no resolver will see it.
    pub fn admit(&self, origin: &Origin) -> Result<(), Denial> {
        // First: a grant that opens nothing is not to be advised.
        if self.asked.as_ref().is_some_and(|asked| !asked.fits(origin)) {
            return Err(Denial::NotAsked { origin: origin.clone() });
        }
        if !self.hosts.contains(origin) {
            let toml = format!(
                "[plugins.{}.grants]\n{}",
                toml_key(&self.plugin),
                self.hosts.toml_with(origin)
            );
            return Err(Denial::Host { origin: origin.clone(), toml });
        }
        match origin.ip() {
            Some(ip) => address::admit(ip, self.allow_private)
                .map_err(|refused| self.refused(origin, refused)),
            None => Ok(()),
        }
    }

    /// The denial of an origin for the address that it resolves to.
    pub fn refused(&self, origin: &Origin, refused: RefusedAddress) -> Denial {
        let host = origin.host.clone();
        match refused.grantable {
            true => {
                let toml = format!("[plugins.{}.grants]\nprivate = true", toml_key(&self.plugin));
                Denial::Private { host, refused, toml }
            }
            false => Denial::Never { host, refused },
        }
    }
}

/// Why a plugin may not reach an address; the missing grant as TOML, ready to paste.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Denial {
    /// The host isn't on the plugin's list.
    #[error("egress: {origin} isn't granted to this plugin {see}; to grant it:\n{toml}", see = See::GrantMissing)]
    Host {
        /// Where the plugin wanted to go.
        origin: Origin,
        /// The grant.
        toml: String,
    },
    /// The plugin's manifest doesn't ask for the host.
    #[error(
        "egress: the plugin's manifest doesn't ask for {origin}, so no grant opens it; ask the plugin's author to name it in `hosts` of the manifest"
    )]
    NotAsked {
        /// Where the plugin wanted to go.
        origin: Origin,
    },
    /// The host is granted, and its address isn't public.
    #[error("egress: {host} can't be reached: {refused}; to allow private addresses:\n{toml}")]
    Private {
        /// The host.
        host: String,
        /// Its address.
        refused: RefusedAddress,
        /// The grant.
        toml: String,
    },
    /// No grant opens this address.
    #[error("egress: {host} can't be reached: {refused}, and no grant opens it")]
    Never {
        /// The host.
        host: String,
        /// Its address.
        refused: RefusedAddress,
    },
}

/// A key of a TOML table header, quoted where it must be.
pub(crate) fn toml_key(name: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if !name.is_empty() && name.chars().all(bare) {
        name.to_owned()
    } else {
        format!("\"{}\"", name.escape_default())
    }
}

#[cfg(test)]
mod tests {
    use url::Url;

    use super::*;

    fn grants(hosts: &[&str], allow_private: bool) -> Grants {
        let hosts: Vec<_> = hosts.iter().map(|host| (*host).to_owned()).collect();
        Grants::new("bot".into(), &hosts, allow_private).unwrap()
    }

    fn admit(grants: &Grants, url: &str) -> Result<(), Denial> {
        grants.admit(&Origin::of(&Url::parse(url).unwrap()).unwrap())
    }

    #[test]
    fn a_grant_is_for_scheme_host_and_port() {
        let some = grants(
            &["API.example.com", "bot.example:8443", "http://plain.example", "http://127.0.0.1:9"],
            true,
        );
        for url in [
            "https://api.example.com/a?b=c",
            "https://api.example.com:443",
            "https://API.EXAMPLE.COM",
            "https://bot.example:8443/x",
            "http://plain.example/",
            "http://127.0.0.1:9",
            "http://0x7f.1:9",
        ] {
            assert_eq!(admit(&some, url), Ok(()), "{url}");
        }
        for url in [
            "http://api.example.com",
            "https://api.example.com:8443",
            "https://example.com",
            "https://x.api.example.com",
            "https://api.example.com.",
            "https://bot.example",
            "https://plain.example",
            "http://plain.example:8080",
            "http://127.0.0.1",
            "https://127.0.0.1:9",
        ] {
            assert!(matches!(admit(&some, url), Err(Denial::Host { .. })), "{url}");
        }
    }

    #[test]
    fn a_denial_names_the_grant_to_paste() {
        let denial =
            admit(&grants(&["a.example"], false), "https://api.example.com/notes").unwrap_err();
        assert_eq!(
            denial.to_string(),
            "egress: api.example.com isn't granted to this plugin (docs: errors#grant-missing); to grant it:\n\
             [plugins.bot.grants]\nhosts = [\"a.example\", \"api.example.com\"]"
        );
        let denial = admit(&grants(&[], false), "http://127.0.0.1:8080/").unwrap_err();
        assert!(
            denial
                .to_string()
                .ends_with("[plugins.bot.grants]\nhosts = [\"http://127.0.0.1:8080\"]"),
            "{denial}"
        );
    }

    #[test]
    fn a_manifest_and_the_operator_must_both_want_a_host() {
        let asked = Patterns::parse(&["*.a.example".to_owned(), "b.example".to_owned()]).unwrap();
        let both = grants(&["x.a.example", "c.example"], false).limited_to(asked);
        assert_eq!(admit(&both, "https://x.a.example"), Ok(()));
        let denial = admit(&both, "https://b.example").unwrap_err();
        assert!(denial.to_string().contains("to grant it:\n[plugins.bot.grants]"), "{denial}");
        for url in ["https://c.example", "https://d.example"] {
            let denial = admit(&both, url).unwrap_err();
            assert!(matches!(denial, Denial::NotAsked { .. }), "{url}");
            assert!(denial.to_string().contains("ask the plugin's author"), "{denial}");
        }
    }

    #[test]
    fn a_granted_literal_is_still_judged_as_an_address() {
        let denial =
            admit(&grants(&["http://127.0.0.1:9"], false), "http://127.0.0.1:9/").unwrap_err();
        assert_eq!(
            denial.to_string(),
            "egress: 127.0.0.1 can't be reached: 127.0.0.1 is a loopback address; to allow private addresses:\n\
             [plugins.bot.grants]\nprivate = true"
        );
        for url in [
            "http://[::ffff:127.0.0.1]:9/",
            "http://[::1]:9/",
            "http://2130706433:9/",
            "http://0177.0.0.1:9/",
        ] {
            let host = Origin::of(&Url::parse(url).unwrap()).unwrap().to_string();
            assert!(
                matches!(admit(&grants(&[&host], false), url), Err(Denial::Private { .. })),
                "{url}"
            );
        }
        let metadata = grants(&["http://169.254.169.254"], true);
        assert!(matches!(
            admit(&metadata, "http://169.254.169.254/latest"),
            Err(Denial::Never { .. })
        ));
    }

    #[test]
    fn what_is_no_host_is_refused_with_the_way_out() {
        for text in [
            "",
            "https://a.example/path",
            "ftp://a.example",
            "user@a.example",
            "a b",
            "a.example?x",
            "*.a.example#",
        ] {
            let error = Grants::new("bot".into(), &[text.to_owned()], false).unwrap_err();
            assert!(error.to_string().contains("write \"host\""), "{text}: {error}");
        }
    }

    #[test]
    fn a_plugin_name_is_quoted_where_toml_needs_it() {
        assert_eq!(toml_key("web-hook_2"), "web-hook_2");
        assert_eq!(toml_key("a.b"), "\"a.b\"");
    }
}
