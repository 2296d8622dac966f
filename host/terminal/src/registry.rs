//! How commands reach a registry: who asks, and whether without TLS.

use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use serde_json::Value;
use sidenote::config::{Credentials, Reference, RegistryAccess, Secret};

use crate::failure::Unusable;
use crate::output;

/// The variable with the password of `--username`.
const PASSWORD: &str = "SIDENOTE_REGISTRY_PASSWORD";
/// Longest file that is read, in bytes.
const LONGEST: u64 = 1 << 20;

/// How a registry is reached.
#[derive(Debug, Args)]
pub struct RegistryArgs {
    /// Who asks the registry; the password is in --password-file or SIDENOTE_REGISTRY_PASSWORD. Without it, what
    /// `docker login` wrote is used
    #[arg(long, value_name = "USER")]
    username: Option<String>,
    /// The file with the password, or the access token, of --username
    #[arg(long, value_name = "FILE", requires = "username")]
    password_file: Option<PathBuf>,
    /// Ask a registry of another machine without TLS: whoever is between reads the password
    #[arg(long)]
    plain_http: bool,
}

impl RegistryArgs {
    /// What to ask the registry with.
    ///
    /// # Errors
    /// A password is missing, or what `docker login` wrote can't be read.
    pub fn access(&self, reference: &Reference) -> anyhow::Result<RegistryAccess> {
        let plain_http = self.plain_http;
        if plain_http && !reference.is_on_this_machine() {
            output::say(&format!(
                "{} is asked without TLS: whoever is between can read what is sent, the password too",
                reference.host
            ));
        }
        let credentials = match &self.username {
            Some(user) => Some(self.named(user)?),
            None => written(&reference.host)?,
        };
        Ok(RegistryAccess { credentials, plain_http })
    }

    fn named(&self, user: &str) -> anyhow::Result<Credentials> {
        let password = match &self.password_file {
            Some(file) => read(file)?,
            None => std::env::var(PASSWORD).ok().filter(|it| !it.is_empty()).ok_or_else(|| {
                Unusable(format!(
                    "--username needs a password; put it into the variable {PASSWORD}, or name a file with --password-file"
                ))
            })?,
        };
        let password = password.trim_end_matches(['\r', '\n']);
        if password.is_empty() {
            bail!(Unusable("the password is empty; look into its file".to_owned()));
        }
        Ok(Credentials { user: user.to_owned(), password: Secret::new(password) })
    }
}

/// Reads what was named on the command line as a component in a registry.
///
/// # Errors
/// It is none.
pub fn reference(text: &str) -> anyhow::Result<Reference> {
    Reference::parse(text)
        .map_err(|error| anyhow!(Unusable(format!("{}: {error}", output::escaped(text)))))
}

/// What `docker login` wrote for a host.
fn written(host: &str) -> anyhow::Result<Option<Credentials>> {
    let folder = std::env::var_os("DOCKER_CONFIG").map(PathBuf::from);
    let folder = folder.or_else(|| Some(Path::new(&std::env::var_os("HOME")?).join(".docker")));
    let Some(file) = folder.map(|folder| folder.join("config.json")) else { return Ok(None) };
    if !file.is_file() {
        return Ok(None);
    }
    let text = read(&file)?;
    let config: Value = serde_json::from_str(&text)
        .map_err(|_| anyhow!("{} isn't JSON; look into it, or use --username", file.display()))?;
    match of(&config, host) {
        Written::Nothing => Ok(None),
        Written::Password(credentials) => Ok(Some(credentials)),
        Written::Elsewhere(helper) => {
            output::say(&format!(
                "{} keeps the password of {host} in the credential helper {helper}, which isn't asked; use --username where the registry wants one",
                file.display()
            ));
            Ok(None)
        }
        Written::Odd(cause) => {
            bail!("{}: {cause}; use --username", file.display())
        }
    }
}

#[derive(Debug, PartialEq)]
enum Written {
    Nothing,
    Password(Credentials),
    /// In a helper of this name.
    Elsewhere(String),
    Odd(&'static str),
}

fn of(config: &Value, host: &str) -> Written {
    // Docker's own registry is known by another name there.
    let known = if host == "registry-1.docker.io" { "index.docker.io" } else { host };
    let is_it = |key: &str| {
        let bare = key.split_once("://").map_or(key, |(_, bare)| bare);
        bare.split('/').next() == Some(known)
    };
    let entry = config["auths"].as_object().and_then(|all| all.iter().find(|(key, _)| is_it(key)));
    if let Some((_, entry)) = entry {
        if entry["identitytoken"].as_str().is_some_and(|token| !token.is_empty()) {
            return Written::Odd(
                "an identity token of this registry stands there, which isn't used",
            );
        }
        let auth = entry["auth"].as_str().unwrap_or_default();
        if !auth.is_empty() {
            let decoded = STANDARD.decode(auth).ok().and_then(|it| String::from_utf8(it).ok());
            return match decoded.as_deref().and_then(|both| both.split_once(':')) {
                Some((user, password)) => Written::Password(Credentials {
                    user: user.to_owned(),
                    password: Secret::new(password.trim_end_matches('\0')),
                }),
                None => Written::Odd("`auth` of this registry isn't a user and a password"),
            };
        }
    }
    let helper = config["credHelpers"].as_object();
    let helper = helper.and_then(|all| all.iter().find(|(key, _)| is_it(key)));
    let helper = helper.and_then(|(_, name)| name.as_str());
    match helper.or_else(|| config["credsStore"].as_str()).filter(|name| !name.is_empty()) {
        Some(helper) => Written::Elsewhere(output::escaped(helper)),
        None => Written::Nothing,
    }
}

fn read(file: &Path) -> anyhow::Result<String> {
    let about = std::fs::metadata(file).with_context(|| file.display().to_string())?;
    if !about.is_file() || about.len() > LONGEST {
        bail!("{} is no file, or has more than {LONGEST} bytes; name another", file.display());
    }
    std::fs::read_to_string(file).with_context(|| file.display().to_string())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn password(user: &str, password: &str) -> Written {
        Written::Password(Credentials { user: user.to_owned(), password: Secret::new(password) })
    }

    #[test]
    fn what_docker_login_wrote_is_found_by_the_registrys_host() {
        let auth = STANDARD.encode("ann:a:b");
        for key in
            ["r.example.com:5000", "https://r.example.com:5000", "http://r.example.com:5000/v2/"]
        {
            let config =
                json!({"auths": {key: {"auth": auth}, "other.example.com": {"auth": "x"}}});
            assert_eq!(of(&config, "r.example.com:5000"), password("ann", "a:b"), "{key}");
            assert_eq!(of(&config, "r.example.com"), Written::Nothing);
        }
        let hub = json!({"auths": {"https://index.docker.io/v1/": {"auth": auth}}});
        assert_eq!(of(&hub, "registry-1.docker.io"), password("ann", "a:b"));
    }

    #[test]
    fn what_cant_be_used_is_told_and_what_isnt_there_isnt() {
        let helper = json!({"auths": {"a.example": {}}, "credHelpers": {"a.example": "pass"}, "credsStore": "desktop"});
        assert_eq!(of(&helper, "a.example"), Written::Elsewhere("pass".to_owned()));
        assert_eq!(of(&helper, "b.example"), Written::Elsewhere("desktop".to_owned()));
        for odd in [
            json!({"auth": "???"}),
            json!({"auth": STANDARD.encode("nothing")}),
            json!({"identitytoken": "t", "auth": ""}),
        ] {
            let config = json!({"auths": {"a.example": odd}});
            assert!(matches!(of(&config, "a.example"), Written::Odd(_)), "{config}");
        }
        for empty in [
            json!({}),
            json!([]),
            json!({"auths": {}}),
            json!({"auths": {"a.example": {"auth": ""}}}),
        ] {
            assert_eq!(of(&empty, "a.example"), Written::Nothing);
        }
    }
}
