//! The six answers: from the command line, or asked for at a terminal.

use std::io::{self, IsTerminal};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use reqwest::Url;
use sidenote::config::Secret;
use sidenote::ids::ProductId;
use sidenote_terminal::failure::Unusable;
use sidenote_terminal::output;

use super::InitArgs;
use crate::ask::{line, unseen};

/// The address that the host listens on by default: this machine alone.
const LISTEN: &str = "127.0.0.1:8787";

/// The files of secrets.
pub(super) const CONNECTOR: &str = "connector";
pub(super) const API: &str = "server-token";
pub(super) const SIGNING: &str = "bot-signing";
pub(super) const INCOMING: &str = "bot-incoming";

/// Where a secret is.
pub(super) enum Kept {
    Env(String),
    File(String),
    /// In a file that is made.
    Made(Secret),
}

/// A bot that notes are posted to.
pub(super) struct Bot {
    pub(super) url: String,
    pub(super) host: String,
    /// Whether it is on this machine or in its network.
    pub(super) private: bool,
    pub(super) signing: Secret,
    pub(super) incoming: Secret,
}

/// What was answered.
pub(super) struct Answers {
    pub(super) product: String,
    /// `None`: events are pushed.
    pub(super) stream: Option<String>,
    /// The stream's token, or what pushed events are signed with.
    pub(super) connector: Option<Kept>,
    /// `None`: the standard output.
    pub(super) bot: Option<Bot>,
    pub(super) plugins: PathBuf,
    pub(super) listen: SocketAddr,
    /// The token of the API.
    pub(super) token: Secret,
}

impl Answers {
    pub(super) fn gather(args: &InitArgs) -> anyhow::Result<Self> {
        let asks = io::stdin().is_terminal();
        let given = |given: &Option<String>, question: &str, without: &str| match given {
            Some(given) => Ok(given.clone()),
            None if asks => {
                output::say(question);
                line()
            }
            None => {
                Err(Unusable(format!("nobody can be asked without a terminal: {without}")).into())
            }
        };
        let product = given(
            &args.product,
            "1 of 6: what does the connector call the product?",
            "give --product ID",
        )?;
        ProductId::new(product.as_str())
            .map_err(|error| Unusable(format!("the product's id: {}", error.cause)))?;
        let stream = match args.pushed {
            true => None,
            false => Some(given(
                &args.stream,
                "2 of 6: the address of the connector's stream (empty: it pushes events to the host)",
                "give --stream URL, or --pushed",
            )?),
        };
        let stream = stream.filter(|url| !url.is_empty());
        let connector = match &args.connector_secret {
            Some(source) => Some(kept(source)?),
            None if asks => {
                output::say(match stream {
                    Some(_) => "3 of 6: the stream's token (it isn't shown; empty: it needs none)",
                    None => {
                        "3 of 6: what does it sign events with (it isn't shown; empty: one is made)?"
                    }
                });
                Some(unseen()?)
                    .filter(|said| !said.is_empty())
                    .map(|said| Kept::Made(Secret::new(said)))
            }
            None => None,
        };
        let connector = match (&stream, connector) {
            (None, None) => Some(Kept::Made(made())),
            (_, connector) => connector,
        };
        let bot = optional(
            args.bot.as_ref(),
            asks,
            "4 of 6: the address of your bot, which notes are posted to (empty: they go to the standard output)",
        )?;
        let bot = bot.map(|url| bot_at(&url)).transpose()?;
        let found = found_plugins();
        let question = match &found {
            Some(found) => {
                format!("5 of 6: the folder of the plugins (empty: {})", found.display())
            }
            None => "5 of 6: the folder of the plugins, which has webhook.wasm and console.wasm"
                .to_owned(),
        };
        let named = optional(
            args.plugins.as_ref().map(|it| it.display().to_string()).as_ref(),
            asks,
            &question,
        )?;
        let plugins = named.map(PathBuf::from).or(found).ok_or_else(|| {
            Unusable(
                "no folder with webhook.wasm and console.wasm is found; give --plugins DIR"
                    .to_owned(),
            )
        })?;
        let plugins = std::path::absolute(&plugins).context("the plugins folder")?;
        let component = plugins.join(if bot.is_some() { "webhook.wasm" } else { "console.wasm" });
        if !component.is_file() {
            bail!(Unusable(format!(
                "{} isn't there; name the folder that it is in",
                component.display()
            )));
        }
        let listen = optional(
            args.listen.as_ref(),
            asks,
            &format!("6 of 6: where the host listens (empty: {LISTEN})"),
        )?;
        let listen = listen.as_deref().unwrap_or(LISTEN);
        let listen = listen.parse().map_err(|_| {
            Unusable(format!("{listen} is no IP address with a port, such as {LISTEN}"))
        })?;
        Ok(Self { product, stream, connector, bot, plugins, listen, token: made() })
    }

    /// Whether the connector pushes events.
    pub(super) fn is_pushed(&self) -> bool {
        self.stream.is_none()
    }

    /// The secrets that files are made of, by the files' names.
    pub(super) fn files(&self) -> impl Iterator<Item = (&'static str, &Secret)> {
        let connector = match &self.connector {
            Some(Kept::Made(secret)) => Some((CONNECTOR, secret)),
            Some(Kept::Env(_) | Kept::File(_)) | None => None,
        };
        let bot =
            self.bot.iter().flat_map(|bot| [(SIGNING, &bot.signing), (INCOMING, &bot.incoming)]);
        [(API, &self.token)].into_iter().chain(connector).chain(bot)
    }
}

/// What is given; else what is said, where somebody is there to be asked; nothing where that is empty.
fn optional(given: Option<&String>, asks: bool, question: &str) -> anyhow::Result<Option<String>> {
    let said = match given {
        Some(given) => given.clone(),
        None if asks => {
            output::say(question);
            line()?
        }
        None => String::new(),
    };
    Ok(Some(said).filter(|said| !said.is_empty()))
}

fn kept(source: &str) -> anyhow::Result<Kept> {
    match (source, source.split_once(':')) {
        ("-", _) => {
            let said = line()?;
            if said.is_empty() {
                bail!(Unusable("stdin has no line for the connector's secret".to_owned()));
            }
            Ok(Kept::Made(Secret::new(said)))
        }
        (_, Some(("env", name))) => Ok(Kept::Env(name.to_owned())),
        (_, Some(("file", path))) => {
            let path = std::path::absolute(path).context("the secret's file")?;
            Ok(Kept::File(path.to_string_lossy().into_owned()))
        }
        // What stands there may be the secret itself.
        _ => bail!(Unusable(
            "--connector-secret must be env:VARIABLE, file:PATH or -; a secret on the command line can be seen by others".to_owned()
        )),
    }
}

fn bot_at(url: &str) -> anyhow::Result<Bot> {
    let read = Url::parse(url).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    let host = read.as_ref().and_then(|url| url.host_str()).map(str::to_owned);
    let host = host.ok_or_else(|| {
        Unusable(format!("{url} is no address of a bot; it begins with https://"))
    })?;
    let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
    let private = host == "localhost"
        || address.is_ok_and(|address| match address {
            IpAddr::V4(address) => address.is_loopback() || address.is_private(),
            IpAddr::V6(address) => address.is_loopback() || address.is_unique_local(),
        });
    Ok(Bot { url: url.to_owned(), host, private, signing: made(), incoming: made() })
}

/// 256 random bits.
fn made() -> Secret {
    Secret::new(hex::encode(rand::random::<[u8; 32]>()))
}

/// Where an archive or a package has the plugins, seen from the program.
fn found_plugins() -> Option<PathBuf> {
    let program = std::env::current_exe().ok();
    let beside = program.as_deref().and_then(Path::parent).map(|folder| folder.join("plugins"));
    let shared = program.as_deref().and_then(|it| it.ancestors().nth(2));
    let shared = shared.map(|prefix| prefix.join("share/sidenote/plugins"));
    let places = [Some(PathBuf::from("plugins")), beside, shared];
    places.into_iter().flatten().find(|folder| folder.join("console.wasm").is_file())
}
