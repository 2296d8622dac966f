//! A plugin's secrets: put into requests, removed from responses, never handed over.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderName;
use http::header::AUTHORIZATION;
use memchr::memmem;

use super::asked::Patterns;
use super::grant::{BadGrant, Origins, toml_key};
use super::traces::Traces;
use crate::address::Origin;
use crate::config::{PluginSecret, Secret};
use crate::ids::PluginName;
use crate::see::See;

const OPEN: &[u8] = b"{{secret:";
static OPENING: LazyLock<memmem::Finder<'static>> = LazyLock::new(|| memmem::Finder::new(OPEN));
const CLOSE: &[u8] = b"}}";
const SCRUBBED: &[u8] = b"[secret]";
/// How credentials of the scheme `Basic` begin; the case of the word means nothing.
const BASIC: &[u8] = b"basic ";

/// The secrets of one plugin.
pub struct SecretStore {
    plugin: PluginName,
    secrets: BTreeMap<String, Held>,
    /// What the plugin's manifest asks for, with the hosts of each; `None` where it has none.
    asked: Option<BTreeMap<String, Patterns>>,
    /// What is looked for in what comes back.
    traces: Traces,
}

struct Held {
    value: Secret,
    hosts: Origins,
}

impl SecretStore {
    /// Takes the secrets of a plugin.
    pub fn new(
        plugin: PluginName,
        secrets: &BTreeMap<String, PluginSecret>,
    ) -> Result<Self, BadGrant> {
        let secrets: BTreeMap<_, _> = secrets
            .iter()
            .map(|(name, secret)| {
                let hosts = Origins::parse(&secret.hosts)?;
                Ok((name.clone(), Held { value: secret.value.clone(), hosts }))
            })
            .collect::<Result<_, _>>()?;
        let traces = Traces::of(secrets.values().map(|held| held.value.expose()));
        Ok(Self { plugin, secrets, asked: None, traces })
    }

    /// The same, of no more than a manifest asks for.
    pub fn limited_to(self, asked: BTreeMap<String, Patterns>) -> Self {
        Self { asked: Some(asked), ..self }
    }

    /// The key to sign and verify with. It needs no grant: it stays here.
    pub fn key(&self, name: &str) -> Result<&[u8], SecretError> {
        self.held(name).map(|held| held.value.expose().as_bytes())
    }

    /// Whether there is a placeholder in a text.
    pub fn has_placeholder(text: &[u8]) -> bool {
        OPENING.find(text).is_some()
    }

    /// Puts secrets in place of `{{secret:NAME}}`, for an origin that they are granted to.
    pub fn fill(&self, text: &[u8], origin: &Origin) -> Result<Vec<u8>, SecretError> {
        let mut out = Vec::with_capacity(text.len() + 64);
        let mut rest = text;
        while let Some(start) = OPENING.find(rest) {
            out.extend_from_slice(&rest[..start]);
            let after = &rest[start + OPEN.len()..];
            let end = memmem::find(after, CLOSE).ok_or(SecretError::Unterminated)?;
            let name = std::str::from_utf8(&after[..end]).map_err(|_| SecretError::Unterminated)?;
            out.extend_from_slice(self.expose(name, origin)?);
            rest = &after[end + CLOSE.len()..];
        }
        out.extend_from_slice(rest);
        Ok(out)
    }

    /// As [`SecretStore::fill`], for the value of a header. What then stands in `authorization` after `Basic` is
    /// written in base64 where there is a colon in it: base64 has none, so it is a pair as it is said,
    /// which a plugin can't encode by itself.
    pub fn fill_header(
        &self,
        name: &HeaderName,
        value: &[u8],
        origin: &Origin,
    ) -> Result<Vec<u8>, SecretError> {
        let filled = self.fill(value, origin)?;
        let (scheme, pair) = filled.split_at(BASIC.len().min(filled.len()));
        let plain = name == AUTHORIZATION
            && scheme.eq_ignore_ascii_case(BASIC)
            && memmem::find(pair, b":").is_some();
        Ok(if plain { [b"Basic ", STANDARD.encode(pair).as_bytes()].concat() } else { filled })
    }

    /// Takes the values out of what came back, where they stand as they are or in a writing that honest
    /// servers use: percent signs, JSON, HTML, base64, hexadecimal digits. A server that means to can always
    /// hand on what it was given, in a form that nobody looks for.
    ///
    /// All of them, and not only those that this process sent: a server remembers them for longer than
    /// the process, the plugin's version and the grants that once let them out.
    pub fn scrub<'a>(&self, text: &'a [u8]) -> Cow<'a, [u8]> {
        let found = self.traces.found(text);
        if found.is_empty() { Cow::Borrowed(text) } else { Cow::Owned(replace(text, &found)) }
    }

    /// As [`SecretStore::scrub`], of no more than the first `end` bytes. What follows them is needed to see
    /// a value that the cut goes through: [`SecretStore::reach`] bytes of it are enough.
    pub fn scrub_until<'a>(&self, text: &'a [u8], end: usize) -> Cow<'a, [u8]> {
        let mut found = self.traces.found(text);
        found.retain(|place| place.start < end);
        let end = found.last().map_or(end, |last| last.end.max(end));
        let text = &text[..end.min(text.len())];
        if found.is_empty() { Cow::Borrowed(text) } else { Cow::Owned(replace(text, &found)) }
    }

    /// As [`SecretStore::scrub`], for the values of headers: each by itself, and where one goes on with what
    /// another ends with. `None` for those that hold nothing.
    pub fn scrub_values(&self, values: &[&[u8]]) -> Vec<Option<Vec<u8>>> {
        let across = self.traces.found(&values.concat());
        let mut start = 0;
        let scrubbed = values.iter().map(|value| {
            let own = start..start + value.len();
            start = own.end;
            let shared =
                across.iter().filter(|place| place.start < own.end && own.start < place.end);
            let within = |place: &Range<usize>| {
                place.start.max(own.start) - own.start..place.end.min(own.end) - own.start
            };
            let places: Vec<_> = shared.map(within).collect();
            match (places.is_empty(), self.scrub(value)) {
                (true, Cow::Borrowed(_)) => None,
                (true, Cow::Owned(scrubbed)) => Some(scrubbed),
                (false, Cow::Borrowed(_)) => Some(replace(value, &places)),
                // Found both ways, perhaps in two places: nothing is left of it.
                (false, Cow::Owned(scrubbed)) => {
                    let twice = replace(value, &places);
                    Some(if scrubbed == twice { scrubbed } else { SCRUBBED.to_vec() })
                }
            }
        });
        scrubbed.collect()
    }

    /// How far one has to see beyond a cut.
    pub fn reach(&self) -> usize {
        self.traces.reach()
    }

    /// As [`SecretStore::scrub`], for text.
    pub fn scrub_text(&self, text: String) -> String {
        match self.scrub(text.as_bytes()) {
            Cow::Borrowed(_) => text,
            Cow::Owned(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        }
    }

    /// Whether a value stands in a header's name. Names come in lower case, whatever was sent.
    pub fn stands_in_name(&self, name: &str) -> bool {
        self.traces.stand_in(name.as_bytes())
    }

    fn expose(&self, name: &str, origin: &Origin) -> Result<&[u8], SecretError> {
        let held = self.held(name)?;
        let asked = self.asked.as_ref().and_then(|asked| asked.get(name));
        if asked.is_some_and(|hosts| !hosts.fits(origin)) {
            let (name, origin) = (name.to_owned(), origin.clone());
            return Err(SecretError::HostNotAsked { name, origin });
        }
        if !held.hosts.contains(origin) {
            let toml = format!("{}\n{}", self.table(name), held.hosts.toml_with(origin));
            return Err(SecretError::NotGranted {
                name: name.to_owned(),
                origin: origin.clone(),
                toml,
            });
        }
        Ok(held.value.expose().as_bytes())
    }

    fn held(&self, name: &str) -> Result<&Held, SecretError> {
        // The name comes from the guest: it is cut before it goes into a message, and nothing in it
        // steers a terminal or turns the text round.
        let fit = |c: &char| c.is_ascii_graphic() || c.is_alphanumeric() || *c == ' ';
        let shown = || name.chars().filter(fit).take(64).collect::<String>();
        if self.asked.as_ref().is_some_and(|asked| !asked.contains_key(name)) {
            return Err(SecretError::NotAsked { name: shown() });
        }
        let held = self.secrets.get(name).filter(|held| !held.value.expose().is_empty());
        held.ok_or_else(|| {
            let name = shown();
            SecretError::Missing {
                toml: format!("{}\nenv = \"NAME_OF_A_VARIABLE\"", self.table(&name)),
                name,
            }
        })
    }

    fn table(&self, name: &str) -> String {
        format!("[plugins.{}.secrets.{}]", toml_key(&self.plugin), toml_key(name))
    }
}

impl std::fmt::Debug for SecretStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SecretStore")
            .field("plugin", &self.plugin)
            .field("secrets", &self.secrets.len())
            .finish()
    }
}

/// Why a secret isn't put in. No value is ever in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// The plugin has no secret of this name.
    #[error("secrets: `{name}` isn't set for this plugin; to set it:\n{toml}")]
    Missing {
        /// The name.
        name: String,
        /// The table to add.
        toml: String,
    },
    /// The secret may not go to this host.
    #[error("secrets: `{name}` isn't granted to {origin} {see}; to grant it:\n{toml}", see = See::GrantMissing)]
    NotGranted {
        /// The name.
        name: String,
        /// Where it was to go.
        origin: Origin,
        /// The grant.
        toml: String,
    },
    /// The plugin's manifest doesn't ask for a secret of this name.
    #[error(
        "secrets: the plugin's manifest doesn't ask for `{name}`, so it can't be had; ask the plugin's author to name it in `secrets` of the manifest"
    )]
    NotAsked {
        /// The name.
        name: String,
    },
    /// The plugin's manifest doesn't ask for this secret to go to this host.
    #[error(
        "secrets: the plugin's manifest doesn't ask for `{name}` to go to {origin}, so no grant opens it; ask the plugin's author to name the host in `secrets.{name}` of the manifest"
    )]
    HostNotAsked {
        /// The name.
        name: String,
        /// Where it was to go.
        origin: Origin,
    },
    /// A placeholder has no end, or its name is no text.
    #[error("secrets: a placeholder is broken; write {{{{secret:NAME}}}}")]
    Unterminated,
}

fn replace(text: &[u8], places: &[Range<usize>]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut from = 0;
    for place in places {
        out.extend_from_slice(&text[from..place.start]);
        out.extend_from_slice(SCRUBBED);
        from = place.end;
    }
    out.extend_from_slice(&text[from..]);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret_store() -> SecretStore {
        let secret = |value: &str, hosts: &[&str]| PluginSecret {
            value: Secret::new(value),
            hosts: hosts.iter().map(|host| (*host).to_owned()).collect(),
        };
        let secrets = [
            ("token".to_owned(), secret("s3cr3t", &["api.example.com"])),
            ("key".to_owned(), secret("hmac-key", &[])),
            ("empty".to_owned(), secret("", &["api.example.com"])),
        ];
        SecretStore::new("bot".into(), &secrets.into()).unwrap()
    }

    fn origin(url: &str) -> Origin {
        Origin::of(&url.parse().unwrap()).unwrap()
    }

    #[test]
    fn a_secret_goes_only_to_its_hosts() {
        let (secret_store, api) = (secret_store(), origin("https://api.example.com"));
        assert_eq!(
            secret_store.fill(b"Bearer {{secret:token}}!", &api).unwrap(),
            b"Bearer s3cr3t!"
        );
        assert_eq!(
            secret_store.fill(b"{{secret:token}}{{secret:token}}", &api).unwrap(),
            b"s3cr3ts3cr3t"
        );
        for url in
            ["https://evil.example", "http://api.example.com", "https://api.example.com:8443"]
        {
            let error = secret_store.fill(b"{{secret:token}}", &origin(url)).unwrap_err();
            assert!(matches!(error, SecretError::NotGranted { .. }), "{url}");
        }
        let error = secret_store.fill(b"{{secret:key}}", &api).unwrap_err();
        assert_eq!(
            error.to_string(),
            "secrets: `key` isn't granted to api.example.com (docs: errors#grant-missing); to grant it:\n\
             [plugins.bot.secrets.key]\nhosts = [\"api.example.com\"]"
        );
    }

    #[test]
    fn a_manifest_and_the_operator_must_both_want_a_secret_to_go_somewhere() {
        let hosts = |hosts: &[&str]| {
            let hosts: Vec<_> = hosts.iter().map(|host| (*host).to_owned()).collect();
            Patterns::parse(&hosts).unwrap()
        };
        let asked =
            [("token".to_owned(), hosts(&["other.example.com"])), ("empty".to_owned(), hosts(&[]))];
        let secret_store = secret_store().limited_to(asked.into());
        let token = |url| secret_store.fill(b"{{secret:token}}", &origin(url)).unwrap_err();
        let error = token("https://api.example.com");
        assert!(matches!(error, SecretError::HostNotAsked { .. }), "{error}");
        let error = token("https://other.example.com");
        assert!(matches!(error, SecretError::NotGranted { .. }), "{error}");
        assert_eq!(secret_store.key("token"), Ok(&b"s3cr3t"[..]), "to sign it goes nowhere");
        let error = secret_store.key("key").unwrap_err();
        assert_eq!(error, SecretError::NotAsked { name: "key".to_owned() });
        assert!(matches!(secret_store.key("empty"), Err(SecretError::Missing { .. })));
    }

    #[test]
    fn a_missing_empty_or_broken_secret_is_refused() {
        let (secret_store, api) = (secret_store(), origin("https://api.example.com"));
        assert!(matches!(
            secret_store.fill(b"{{secret:none}}", &api),
            Err(SecretError::Missing { .. })
        ));
        assert!(matches!(
            secret_store.fill(b"{{secret:empty}}", &api),
            Err(SecretError::Missing { .. })
        ));
        assert_eq!(secret_store.fill(b"{{secret:token", &api), Err(SecretError::Unterminated));
        assert_eq!(secret_store.fill(b"{{secret:\xff}}", &api), Err(SecretError::Unterminated));
        assert!(matches!(secret_store.key("empty"), Err(SecretError::Missing { .. })));
        assert_eq!(secret_store.key("key"), Ok(&b"hmac-key"[..]));
    }

    #[test]
    fn a_secret_is_taken_out_of_what_comes_back_whoever_sent_it_there() {
        let secret_store = secret_store();
        assert!(matches!(secret_store.scrub(b"a s3cr3 b"), Cow::Borrowed(_)));
        assert_eq!(
            &*secret_store.scrub(b"a s3cr3t b s3cr3ts3cr3t"),
            b"a [secret] b [secret][secret]"
        );
        // A key goes nowhere today; it may have, under other grants.
        assert_eq!(&*secret_store.scrub(b"<hmac-key>"), b"<[secret]>");
        assert!(
            secret_store.stands_in_name("x-s3cr3t-y") && !secret_store.stands_in_name("x-s3cr3-y")
        );
    }

    #[test]
    fn a_pair_for_basic_is_written_in_base64_and_nothing_else_is() {
        let (secret_store, api) = (secret_store(), origin("https://api.example.com"));
        let filled = |name: &'static str, value: &str| {
            let name = HeaderName::from_static(name);
            String::from_utf8(secret_store.fill_header(&name, value.as_bytes(), &api).unwrap())
                .unwrap()
        };
        for (value, wanted) in [
            ("Basic ann/token:{{secret:token}}", "Basic YW5uL3Rva2VuOnMzY3IzdA=="),
            ("bAsIc {{secret:token}}:X", "Basic czNjcjN0Olg="),
            ("Basic {{secret:token}}", "Basic s3cr3t"),
            ("Bearer a:{{secret:token}}", "Bearer a:s3cr3t"),
            ("{{secret:token}}", "s3cr3t"),
            ("a:b", "a:b"),
        ] {
            assert_eq!(filled("authorization", value), wanted, "{value}");
        }
        assert_eq!(filled("x-other", "Basic a:{{secret:token}}"), "Basic a:s3cr3t");
        let elsewhere = secret_store.fill_header(
            &AUTHORIZATION,
            b"Basic a:{{secret:token}}",
            &origin("https://evil.example"),
        );
        assert!(matches!(elsewhere, Err(SecretError::NotGranted { .. })));
    }

    #[test]
    fn nothing_is_left_of_a_secret_that_comes_back_in_base64() {
        let secret_store = secret_store();
        for user in ["", "a", "ab", "abc", "abcd", "ann@example.com/token"] {
            for after in ["", ":", ":X", ":XY"] {
                let pair = STANDARD.encode(format!("{user}:s3cr3t{after}"));
                let text = format!("{{\"authorization\":\"Basic {pair}\"}}");
                let scrubbed = secret_store.scrub_text(text.clone());
                let left = scrubbed.replace("[secret]", "");
                assert!(scrubbed.contains("[secret]"), "{text} {scrubbed}");
                // Of what was there, no more than the user and what follows can be decoded.
                let kept = left.len() - "{\"authorization\":\"Basic \"}".len();
                assert!(kept * 6 < pair.len() * 6 - "s3cr3t".len() * 8 + 8, "{text} {scrubbed}");
                let end = text.len() - 4;
                assert!(!secret_store.scrub_until(text.as_bytes(), end).is_empty());
            }
        }
        assert!(matches!(secret_store.scrub(b"Basic YW5uOm90aGVy"), Cow::Borrowed(_)));
    }

    #[test]
    fn a_cut_leaves_nothing_of_a_secret_that_it_goes_through() {
        let secret_store = secret_store();
        assert!(secret_store.reach() >= 16);
        assert_eq!(&*secret_store.scrub_until(b"abcdef", 4), b"abcd");
        assert_eq!(&*secret_store.scrub_until(b"abc", 4), b"abc");
        assert_eq!(&*secret_store.scrub_until(b"a s3cr3t b", 4), b"a [secret]");
        assert_eq!(&*secret_store.scrub_until(b"a s3cr3t b", 9), b"a [secret] ");
        assert_eq!(&*secret_store.scrub_until(b"a s3cr3t b", 2), b"a ");
        assert_eq!(&*secret_store.scrub_until(b"s3cr3t abcdef", 9), b"[secret] ab");
    }

    #[test]
    fn a_secret_that_is_split_over_headers_is_taken_out_of_all_of_them() {
        let secret_store = secret_store();
        let scrubbed =
            secret_store.scrub_values(&[b"plain", b"a s3c", b"r3t b", b"hmac-key", b"plain"]);
        let texts: Vec<_> = scrubbed
            .iter()
            .map(|value| value.as_deref().map(|value| String::from_utf8_lossy(value).into_owned()))
            .collect();
        let wanted = [None, Some("a [secret]"), Some("[secret] b"), Some("[secret]"), None];
        assert_eq!(texts, wanted.map(|text| text.map(str::to_owned)));
        assert_eq!(secret_store.scrub_values(&[]), Vec::<Option<Vec<u8>>>::new());
    }

    #[test]
    fn nothing_is_left_of_secrets_that_share_bytes() {
        let secret = |value: &str| PluginSecret {
            value: Secret::new(value),
            hosts: vec!["api.example.com".to_owned()],
        };
        let secrets = [
            ("a".to_owned(), secret("tok-1")),
            ("b".to_owned(), secret("tok-1-long")),
            ("c".to_owned(), secret("longer")),
            ("d".to_owned(), secret("abab")),
        ];
        let secret_store = SecretStore::new("bot".into(), &secrets.into()).unwrap();
        for (text, wanted) in [
            ("<tok-1-long>", "<[secret]>"),
            ("<tok-1-longer>", "<[secret]>"),
            ("<tok-1> <longer>", "<[secret]> <[secret]>"),
            ("<ababab>", "<[secret]>"),
        ] {
            assert_eq!(secret_store.scrub_text(text.to_owned()), wanted);
        }
    }

    #[test]
    fn a_name_that_a_guest_made_up_steers_nothing() {
        let (secret_store, api) = (secret_store(), origin("https://api.example.com"));
        let name = "a\u{202e}b\u{1b}[2J\u{200b}\nERROR";
        let error =
            secret_store.fill(format!("{{{{secret:{name}}}}}").as_bytes(), &api).unwrap_err();
        let text = error.to_string();
        assert!(text.starts_with("secrets: `ab[2JERROR` isn't set"), "{text}");
        assert!(text.lines().count() == 3 && text.is_ascii(), "{text}");
    }

    #[test]
    fn nothing_of_a_secret_is_in_debug_or_errors() {
        let secret_store = secret_store();
        let error =
            secret_store.fill(b"{{secret:token}}", &origin("https://evil.example")).unwrap_err();
        assert!(!format!("{secret_store:?} {error} {error:?}").contains("s3cr3t"));
    }
}
