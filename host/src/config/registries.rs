//! `[registries."HOST"]`, `trusted_keys`, and what `file = "oci://…"` names: components that come from elsewhere.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::json;
use toml::de::DeValue;

use super::scalar::{self, Refusal, Scalar};
use super::secret::{self, Secret};
use super::section::Section;
use super::sha256::Sha256;
use crate::address::is_on_this_machine;

/// What a component in a registry begins with.
pub const SCHEME: &str = "oci://";
/// Longest name that is read.
const LONGEST: usize = 512;
/// Hexadecimal digits of a SHA-256.
const DIGITS: usize = 64;

/// Where a component lies in an OCI registry: `HOST[:PORT]/REPOSITORY`, with a tag, a digest or both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// The registry: a name or an address, with its port where it isn't the usual one.
    pub host: String,
    /// The repository, for example `acme/desk`.
    pub repository: String,
    /// The tag: a name that can be given to another content at any time.
    pub tag: Option<String>,
    /// The SHA-256 of the manifest, which names one content for ever.
    pub digest: Option<Sha256>,
}

/// A component in a registry, by the digest of its manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pinned {
    /// Where it lies.
    pub reference: Reference,
    /// The SHA-256 of its manifest.
    pub digest: Sha256,
}

/// Why a text names no component in a registry: the cause, and what to write.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{cause}; {next}")]
pub struct BadReference {
    /// Why not.
    pub cause: String,
    /// What to write.
    pub next: String,
}

fn bad(cause: impl Into<String>, next: impl Into<String>) -> BadReference {
    BadReference { cause: cause.into(), next: next.into() }
}

/// What one looks like.
const FORM: &str = "write HOST/REPOSITORY with :TAG or @sha256:DIGEST, for example \"ghcr.io/acme/desk:1.2\"; the host is never left out";

impl Reference {
    /// Reads `[oci://]HOST[:PORT]/REPOSITORY[:TAG][@sha256:DIGEST]`.
    ///
    /// # Errors
    /// What is wrong with it, and what to write.
    pub fn parse(text: &str) -> Result<Self, BadReference> {
        let bare = text.strip_prefix(SCHEME).unwrap_or(text);
        if bare.len() > LONGEST {
            return Err(bad(format!("it is longer than {LONGEST} bytes"), FORM));
        }
        let (named, digest) = match bare.split_once('@') {
            Some((named, digest)) => (named, Some(digest_of(digest)?)),
            None => (bare, None),
        };
        let (host, path) =
            named.split_once('/').ok_or_else(|| bad("it names no host and repository", FORM))?;
        if !is_host(host) {
            return Err(bad(format!("\"{host}\" isn't a registry's host"), FORM));
        }
        let (repository, tag) = match path.split_once(':') {
            Some((repository, tag)) => (repository, Some(tag)),
            None => (path, None),
        };
        if !repository.split('/').all(is_part) {
            return Err(bad(
                format!("\"{repository}\" isn't a repository's name"),
                "write lower-case letters and digits, with -, _ or . between them and / between parts",
            ));
        }
        if let Some(tag) = tag.filter(|tag| !is_tag(tag)) {
            return Err(bad(format!("\"{tag}\" isn't a tag"), FORM));
        }
        let (host, repository) = (host.to_owned(), repository.to_owned());
        Ok(Self { host, repository, tag: tag.map(str::to_owned), digest })
    }

    /// The same place, named by a digest alone.
    #[must_use]
    pub fn at(&self, digest: Sha256) -> Pinned {
        let (host, repository) = (self.host.clone(), self.repository.clone());
        let reference = Self { host, repository, tag: None, digest: Some(digest) };
        Pinned { reference, digest }
    }

    /// Whether the registry is on this machine, so that nobody between can read along.
    pub fn is_on_this_machine(&self) -> bool {
        is_loopback(&self.host)
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.host, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        self.digest.map_or(Ok(()), |digest| write!(f, "@sha256:{digest}"))
    }
}

impl fmt::Display for Pinned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{}", self.reference)
    }
}

/// Reads what `file` says. A tag alone is refused: whoever can write to the registry could change what runs.
pub(super) fn pinned(text: &str) -> Result<Pinned, Refusal> {
    let reference =
        Reference::parse(text).map_err(|error| Refusal::value(error.cause, error.next))?;
    if let Some(digest) = reference.digest {
        return Ok(Pinned { reference, digest });
    }
    let tagged = reference.tag.is_some();
    let at = if tagged { reference.to_string() } else { format!("{reference}:TAG") };
    Err(Refusal::value(
        if tagged {
            "a tag can be given to another content at any time, so it can't say what runs"
        } else {
            "it has no digest"
        },
        format!(
            "name the content: `sidenote plugin pull {at}` prints the digest that it stands for now, and the line for here, \"{SCHEME}{}/{}@sha256:…\"",
            reference.host, reference.repository
        ),
    ))
}

fn digest_of(text: &str) -> Result<Sha256, BadReference> {
    let digits = text.strip_prefix("sha256:").filter(|digits| digits.len() == DIGITS);
    let mut digest = [0; 32];
    // Registries compare digests as text, and theirs are in lower case.
    let is_lower = |digits: &&str| !digits.bytes().any(|byte| byte.is_ascii_uppercase());
    let read = digits.filter(is_lower).map(|digits| hex::decode_to_slice(digits, &mut digest));
    match read {
        Some(Ok(())) => Ok(Sha256(digest)),
        Some(Err(_)) | None => Err(bad(
            "what stands behind @ isn't sha256: and 64 lower-case hexadecimal digits",
            "write the digest that `sidenote plugin push` or `plugin pull` printed; a user and a password never stand here",
        )),
    }
}

/// A name or an address that can't be taken for a repository's first part.
fn is_host(host: &str) -> bool {
    let is_usual = host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._:[]".contains(&b));
    let is_told_apart = host.contains(['.', ':']) || host == "localhost";
    let read = url::Url::parse(&format!("https://{host}/"));
    is_usual && is_told_apart && read.is_ok_and(|url| url.has_host() && url.path() == "/")
}

fn is_part(part: &str) -> bool {
    let plain = |byte: Option<&u8>| {
        byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    };
    let bytes = part.as_bytes();
    let inner = |byte: &u8| plain(Some(byte)) || b"-_.".contains(byte);
    plain(bytes.first()) && plain(bytes.last()) && bytes.iter().all(inner) && !part.contains("..")
}

fn is_tag(tag: &str) -> bool {
    let begins = tag.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
    let usual = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    begins && tag.len() <= 128 && tag.bytes().all(usual)
}

fn is_loopback(host: &str) -> bool {
    url::Url::parse(&format!("https://{host}/")).is_ok_and(|url| is_on_this_machine(&url))
}

/// What a registry is asked with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RegistryAccess {
    /// Who asks; `None`: nobody in particular.
    pub credentials: Option<Credentials>,
    /// Whether it is asked without TLS although it isn't on this machine.
    pub plain_http: bool,
}

/// Who asks a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The user.
    pub user: String,
    /// The password, or an access token that stands in its place.
    pub password: Secret,
}

/// What stands behind plugins that come from elsewhere.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Supply {
    /// Where it isn't empty, no component runs without a signature by one of these.
    pub trusted_keys: Vec<TrustedKey>,
    /// By their hosts, as `file` names them.
    pub registries: BTreeMap<String, RegistryAccess>,
}

impl Supply {
    /// What a registry is asked with.
    pub fn access(&self, host: &str) -> RegistryAccess {
        self.registries.get(host).cloned().unwrap_or_default()
    }
}

/// A public key of minisign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustedKey {
    key: minisign_verify::PublicKey,
    text: String,
}

impl TrustedKey {
    /// Reads a key as the second line of a `.pub` file has it; `None` for what is none.
    pub fn parse(text: &str) -> Option<Self> {
        let key = minisign_verify::PublicKey::from_base64(text).ok()?;
        Some(Self { key, text: text.to_owned() })
    }

    /// Whether the signature is of these bytes and by this key. Only signatures over a hash of the content are
    /// accepted, which is what minisign makes by itself.
    ///
    /// # Errors
    /// It is by another key, or of another content.
    pub fn verify(
        &self,
        signature: &minisign_verify::Signature,
        bytes: &[u8],
    ) -> Result<(), minisign_verify::Error> {
        self.key.verify(bytes, signature, false)
    }
}

impl fmt::Display for TrustedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// `trusted_keys` and `[registries."HOST"]`.
pub(super) fn supply(top: &Section<'_>) -> Supply {
    let keys = top.list("trusted_keys", "a list of minisign's public keys, in quotes", trusted_key);
    if let Some(DeValue::Array(written)) = top.value("trusted_keys")
        && written.is_empty()
    {
        top.refuse(
            "trusted_keys",
            "it is empty, which would say that nothing is trusted",
            "name at least one key, or leave the key out where components needn't be signed",
        );
    }
    let trusted_keys = keys.unwrap_or_default().into_iter().map(|(_, key)| key).collect();
    let registries = top.section("registries");
    let read = |(host, section): (String, Section<'_>)| {
        if !is_host(&host) && host != super::tree::ANY {
            registries.refuse(
                &host,
                format!("\"{host}\" isn't a registry's host"),
                "write it as `file` has it between oci:// and the next /, in quotes: [registries.\"ghcr.io\"]",
            );
        }
        let access = access(section, &host);
        (host, access)
    };
    let registries = registries.sections().into_iter().map(read).collect();
    Supply { trusted_keys, registries }
}

fn access(section: Section<'_>, host: &str) -> RegistryAccess {
    let user = section.scalar("user", user);
    let password = secret::of_any_text(&section, "password");
    let plain_http = section.scalar_or("plain_http", false, scalar::boolean);
    let is_told = |key: &str| section.has(key);
    if !section.is_asked() && is_told("user") != is_told("password") {
        let (key, other) =
            if is_told("user") { ("user", "password") } else { ("password", "user") };
        section.refuse(
            key,
            format!("\"{key}\" stands here without \"{other}\""),
            format!("add `{other}`, or remove `{key}` where anybody may pull"),
        );
    }
    if plain_http && password.is_some() && !is_loopback(host) {
        let message = "the password goes over the network in the clear, and so does what is pulled; give the registry a certificate, and remove `plain_http`";
        section.reader.warn(section.place_of("plain_http"), &section.name(), message.to_owned());
    }
    section.finish();
    let credentials = user.zip(password).map(|(user, password)| Credentials { user, password });
    RegistryAccess { credentials, plain_http }
}

fn user(value: Scalar<'_>) -> Result<String, Refusal> {
    let user = scalar::text(value)?;
    if user.contains(':') || user.chars().any(char::is_control) {
        let next = "write the user's name; the password is `password`";
        return Err(Refusal::value("a user's name has no colon and no control character", next));
    }
    Ok(user)
}

fn trusted_key(value: Scalar<'_>) -> Result<TrustedKey, Refusal> {
    value.is(json!({"pattern": "^[0-9A-Za-z+/]{56}$"}));
    let text = scalar::text(value)?;
    TrustedKey::parse(&text).ok_or_else(|| {
        Refusal::value(
            "it isn't a public key of minisign",
            "write the second line of the .pub file that `minisign -G` made, which begins with RW",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn what_is_read_is_written_as_it_was() {
        let by_both = format!("r.example.com:5000/acme/desk-2:1.2@sha256:{DIGEST}");
        for text in
            ["ghcr.io/a", "localhost/a_b/c.d:v1", "127.0.0.1:5000/x:latest", "[::1]:5/x", &by_both]
        {
            let read = Reference::parse(&format!("{SCHEME}{text}")).unwrap();
            assert_eq!(read.to_string(), text);
            assert_eq!(Reference::parse(text).unwrap(), read);
        }
        let pinned = Reference::parse(&by_both).unwrap().at(Sha256([1; 32]));
        let wanted = format!("oci://r.example.com:5000/acme/desk-2@sha256:{}", "01".repeat(32));
        assert_eq!(pinned.to_string(), wanted);
    }

    #[test]
    fn what_names_nothing_is_refused() {
        let odd = [
            "",
            "desk",
            "acme/desk",
            "ghcr.io/",
            "ghcr.io//a",
            "ghcr.io/A",
            "ghcr.io/a/../b",
            "ghcr.io/a:",
            "ghcr.io/a:b:c",
            "ghcr.io/a:-x",
            "u:p@ghcr.io/a",
            "ghcr.io/a@sha256:12",
            "ghcr.io/a@sha512:00",
            "https://ghcr.io/a",
            "ghcr.io:x/a",
            "ghcr.io/a?b",
            "gh cr.io/a",
            "ghcr.io/a#b",
            "ghcr.io/-a",
            "a.b\n/c",
        ];
        for text in odd {
            assert!(Reference::parse(text).is_err(), "{text:?}");
        }
        let upper = format!("ghcr.io/a@sha256:{}", DIGEST.to_uppercase());
        assert!(Reference::parse(&upper).is_err());
        assert!(Reference::parse(&format!("ghcr.io/{}", "a".repeat(LONGEST))).is_err());
    }

    #[test]
    fn a_tag_alone_is_refused_with_the_command_that_tells_its_digest() {
        let told = pinned("oci://ghcr.io/acme/desk:1.2").unwrap_err().to_string();
        assert!(told.contains("sidenote plugin pull ghcr.io/acme/desk:1.2"), "{told}");
        let told = pinned("oci://ghcr.io/acme/desk").unwrap_err().to_string();
        assert!(told.contains("it has no digest") && told.contains("desk:TAG"), "{told}");
        let by_both = format!("oci://ghcr.io/acme/desk:1.2@sha256:{DIGEST}");
        assert_eq!(pinned(&by_both).unwrap().digest.to_string(), DIGEST);
    }

    #[test]
    fn only_this_machine_is_this_machine() {
        for (host, is) in [
            ("localhost:5000", true),
            ("127.0.0.1", true),
            ("127.9.9.9:1", true),
            ("[::1]:5000", true),
            ("localhost.example.com", false),
            ("10.0.0.1:5000", false),
            ("127.0.0.1.example.com", false),
        ] {
            assert_eq!(is_loopback(host), is, "{host}");
        }
    }
}
