//! `sidenote stream replay`: a recording, served as a connector serves a stream.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;
use serde_json::Value;
use tokio::time::{Instant, sleep_until};

use crate::connector::{Connector, ConnectorOptions, Emitted, Event};
use crate::demo::play;
use crate::recording::{Speed, is_heartbeat, open, products, say};

/// The variable that holds the token of the stream that is served.
const TOKEN: &str = "SIDENOTE_REPLAY_TOKEN";
/// The stream's name in the address and in the table to paste.
const STREAM: &str = "replay";
/// How often it is looked whether all was read.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// What `stream replay` is told on the command line.
#[derive(Debug, Clone, Args)]
pub struct ReplayArgs {
    /// The recording of `sidenote stream record`
    file: PathBuf,

    /// The speed: as recorded, ten times as fast, or as fast as the host reads
    #[arg(long, value_enum, default_value_t = Speed::Recorded)]
    speed: Speed,

    /// The address to listen on; only on this machine, because it isn't encrypted
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0", value_parser = loopback)]
    listen: SocketAddr,

    /// Play the demo with it, instead of serving it to a host of yours
    #[arg(long, conflicts_with = "listen")]
    to_demo: bool,

    /// The folder with `webhook.wasm`, for the demo
    #[arg(long, value_name = "DIR", default_value = "target/plugins", requires = "to_demo")]
    plugins: PathBuf,
}

/// Serves a recording until a reader has all of it, or until Ctrl-C.
///
/// # Errors
/// The recording can't be read, or the address can't be listened on.
pub async fn replay(args: ReplayArgs) -> Result<()> {
    if args.to_demo {
        return play(&args.plugins, &args.file, args.speed).await;
    }
    let products = products(&args.file)?;
    let token = std::env::var(TOKEN).ok().filter(|token| !token.is_empty());
    let made = token.is_none();
    let token = token.unwrap_or_else(|| hex::encode(rand::random::<[u8; 16]>()));
    let options = ConnectorOptions {
        listen: args.listen,
        token: token.clone(),
        ..ConnectorOptions::default()
    };
    let connector = Connector::start(options).await;
    let connector = connector.with_context(|| {
        format!("replay: {} can't be listened on; name another --listen", args.listen)
    })?;
    writeln!(io::stdout().lock(), "{}", table(&connector.stream_url(STREAM), &products))?;
    if made {
        say(&format!("start the host with {TOKEN}={token}"));
    }
    say("waiting for a host to read it; Ctrl-C ends it");
    let told = tokio::select! {
        told = tell(&connector, &args.file, args.speed) => Some(told?),
        stopped = tokio::signal::ctrl_c() => {
            stopped.context("replay: can't listen for Ctrl-C")?;
            None
        }
    };
    connector.shutdown().await;
    match told {
        Some(events) => say(&format!("all {events} events were read")),
        None => say("ended before all of it was read"),
    }
    Ok(())
}

/// Tells the whole recording to whoever reads the stream. Returns how many events that were.
async fn tell(connector: &Connector, file: &Path, speed: Speed) -> Result<u64> {
    if !connector.connected(STREAM).await {
        bail!("replay: the connector ended");
    }
    say("a host reads it");
    let (began, mut told) = (Instant::now(), 0);
    for event in open(file)? {
        let event = event?;
        if is_heartbeat(&event) {
            continue;
        }
        sleep_until(began + speed.due(&event)).await;
        match connector.emit(STREAM, Event::data(event.data)).await {
            Emitted::Queued => told += 1,
            Emitted::Dropped | Emitted::Closed => bail!("replay: the connector ended"),
        }
    }
    while connector.stats().events < told {
        tokio::time::sleep(LOOK_EVERY).await;
    }
    // Behind all that was sent: what is on its way arrives.
    connector.disconnect(STREAM).await;
    while connector.stats().connected > 0 && connector.stats().connections == 1 {
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Ok(told)
}

/// What a configuration needs to read it.
fn table(url: &str, products: &[String]) -> String {
    let mut text = format!("[streams.{STREAM}]\nurl = \"{url}\"\ntoken = {{ env = \"{TOKEN}\" }}");
    for product in products {
        let is_bare =
            |it: &str| it.bytes().all(|it| it.is_ascii_alphanumeric() || matches!(it, b'-' | b'_'));
        let key =
            if is_bare(product) { product.clone() } else { Value::from(&**product).to_string() };
        text += &format!("\n\n[products.{key}]\nplugins = [\"PLUGIN\"]");
    }
    text
}

fn loopback(text: &str) -> Result<SocketAddr, String> {
    let address: SocketAddr =
        text.parse().map_err(|_| "it is no address, such as 127.0.0.1:8900")?;
    match address.ip().is_loopback() {
        true => Ok(address),
        false => Err("others could read it on the way; listen on this machine alone, for example at 127.0.0.1:8900".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_to_paste_names_the_products_of_the_recording() {
        let text =
            table("http://127.0.0.1:1/stream/replay", &["a-1".to_owned(), "b \"c".to_owned()]);
        assert_eq!(
            text,
            "[streams.replay]\nurl = \"http://127.0.0.1:1/stream/replay\"\ntoken = { env = \"SIDENOTE_REPLAY_TOKEN\" }\n\n\
             [products.a-1]\nplugins = [\"PLUGIN\"]\n\n[products.\"b \\\"c\"]\nplugins = [\"PLUGIN\"]"
        );
    }

    #[test]
    fn it_is_served_on_this_machine_alone() {
        for text in ["127.0.0.1:0", "[::1]:8900"] {
            assert!(loopback(text).is_ok(), "{text}");
        }
        for text in ["0.0.0.0:1", "10.0.0.1:1", "localhost:1", "127.0.0.1"] {
            assert!(loopback(text).is_err(), "{text}");
        }
    }
}
