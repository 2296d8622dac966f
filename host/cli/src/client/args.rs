//! Which host, and with which token.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use reqwest::Url;
use sidenote::config::{Access, Config, Secret};

use super::api::{Client, Presence};

/// The configuration where none is named.
const USUAL: &str = "sidenote.toml";

/// Where the host is.
#[derive(Args)]
pub(crate) struct HostArgs {
    /// The configuration. The command uses `[server]` to reach a running host; no other secret of
    /// the file is read
    #[arg(long, value_name = "FILE", env = "SIDENOTE_CONFIG", default_value = USUAL)]
    pub(crate) config: PathBuf,
    /// The running host's URL; default: the host at `server.listen`, if it runs
    #[arg(long, value_name = "URL", value_parser = host_address)]
    pub(crate) host: Option<Url>,
    /// The host's token, instead of `server.token`; set it in the environment, because others can
    /// see a command line
    #[arg(long, value_name = "TOKEN", env = "SIDENOTE_TOKEN", hide_env_values = true, value_parser = token)]
    token: Option<String>,
}

impl std::fmt::Debug for HostArgs {
    /// The token is left out.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HostArgs").field("config", &self.config).finish_non_exhaustive()
    }
}

impl HostArgs {
    /// The host that is named, or else the configuration's.
    pub(crate) fn client(&self) -> anyhow::Result<Client> {
        match &self.host {
            Some(url) => self.client_at(url.clone()),
            None => self.client_of(&Access::load(&self.config)?),
        }
    }

    /// The same, for what everybody may ask: no secret is read, and none is sent.
    pub(crate) fn client_without_token(&self) -> anyhow::Result<Client> {
        let url = match &self.host {
            Some(url) => url.clone(),
            None => own_address(Access::load(&self.config)?.listen)?,
        };
        Client::new(url, None)
    }

    /// The host of a configuration.
    pub(crate) fn client_of(&self, access: &Access) -> anyhow::Result<Client> {
        self.client_at(own_address(access.listen)?)
    }

    /// Whether the host of a configuration answers; no token is needed for that.
    pub(crate) async fn presence_of(&self, access: &Access) -> anyhow::Result<Presence> {
        Ok(Client::new(own_address(access.listen)?, None)?.presence().await)
    }

    fn client_at(&self, url: Url) -> anyhow::Result<Client> {
        Client::new(url, self.token()?)
    }

    /// The token that is given, or else the configuration's. A host that is named needs no configuration.
    fn token(&self) -> anyhow::Result<Option<Secret>> {
        if let Some(token) = &self.token {
            return Ok(Some(Secret::new(token.as_str())));
        }
        if self.host.is_some() && self.config == Path::new(USUAL) && !self.config.exists() {
            return Ok(None);
        }
        let token = Config::load_token(&self.config);
        token.context("the host's token isn't known; give it in SIDENOTE_TOKEN or with --token, or see to the configuration")
    }
}

fn token(text: &str) -> Result<String, &'static str> {
    let fits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
    fits.then(|| text.to_owned()).ok_or(
        "it is empty, or has blanks, line breaks or other characters that a header can't have; check what was copied",
    )
}

/// Where a program on this machine reaches a listener.
fn own_address(listen: SocketAddr) -> anyhow::Result<Url> {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        IpAddr::V4(_) | IpAddr::V6(_) => listen.ip(),
    };
    let url = format!("http://{}", SocketAddr::new(ip, listen.port()));
    Url::parse(&url).context("`server.listen` is no address that can be called")
}

/// An address that the token can be sent to.
fn host_address(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| error.to_string())?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(
            "credentials don't belong in it; the token comes from the configuration, --token or SIDENOTE_TOKEN"
                .into(),
        );
    }
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    let is_here = address.map_or(host == "localhost", |address| address.is_loopback());
    match url.scheme() {
        "https" => Ok(url),
        "http" if is_here => Ok(url),
        "http" => Err("http:// to another machine lets everyone on the way read the token; use https://, or run the command where the host runs".into()),
        _ => Err("it must begin with https:// or http://".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_that_listens_everywhere_is_asked_on_this_machine() {
        let cases =
            [("0.0.0.0:1", "127.0.0.1:1"), ("[::]:1", "[::1]:1"), ("10.0.0.1:1", "10.0.0.1:1")];
        for (listen, wanted) in cases {
            let url = own_address(listen.parse().unwrap()).unwrap();
            assert_eq!(url.as_str(), format!("http://{wanted}/"));
        }
    }

    #[test]
    fn the_token_goes_to_this_machine_or_by_tls() {
        for text in [
            "https://notes.example.com",
            "http://127.0.0.1:1",
            "http://[::1]:1",
            "http://localhost:1",
        ] {
            assert!(host_address(text).is_ok(), "{text}");
        }
        for text in [
            "http://notes.example.com",
            "ftp://127.0.0.1",
            "https://user:pw@notes.example.com",
            "x",
        ] {
            assert!(host_address(text).is_err(), "{text}");
        }
    }
}
