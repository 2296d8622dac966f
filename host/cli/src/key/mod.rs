//! `sidenote key`: keys of the API, made, listed and revoked.

mod reach;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::{Args, Subcommand};
use serde_json::json;
use sidenote::access::{KeyId, KeyName, Scope};
use sidenote::clock::Clock;
use sidenote::engine::ledger::{InvalidAge, parse_age};
use sidenote::ids::ProductId;
use sidenote::keys::ListedKey;
use sidenote_terminal::output;

use self::reach::{Reach, Wish};
use crate::outbox::args::{SourceArgs, product};
use crate::table;

/// What `key` does.
#[derive(Debug, Subcommand)]
pub(crate) enum KeyCommand {
    /// Make a key, and print its secret once
    New(NewArgs),
    /// List the keys, without their secrets
    List(ListArgs),
    /// Revoke a key: it is invalid at once
    Revoke(RevokeArgs),
}

/// What `new` takes.
#[derive(Debug, Args)]
pub(crate) struct NewArgs {
    #[command(flatten)]
    source: SourceArgs,
    /// A name for people, unique among live keys
    #[arg(value_name = "NAME", value_parser = name)]
    name: KeyName,
    /// Its scope: read, text, operate, admin; none includes another
    #[arg(long, value_name = "SCOPE", value_delimiter = ',', required = true, value_parser = scope)]
    scope: Vec<Scope>,
    /// Limit it to this product; repeatable
    #[arg(long, value_name = "ID", value_parser = product, required_unless_present = "all_products")]
    product: Vec<ProductId>,
    /// For all products, and for the host itself
    #[arg(long, conflicts_with = "product")]
    all_products: bool,
    /// When it expires, from now, for example 90d (units: s, m, h, d); by default never
    #[arg(long, value_name = "AGE", value_parser = age)]
    expires: Option<Duration>,
    /// The key and its secret as a JSON object on stdout; by default only the secret
    #[arg(long)]
    json: bool,
}

/// What `list` takes.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    source: SourceArgs,
    /// One JSON object per key on stdout
    #[arg(long)]
    json: bool,
}

/// What `revoke` takes.
#[derive(Debug, Args)]
pub(crate) struct RevokeArgs {
    #[command(flatten)]
    source: SourceArgs,
    /// The key's id: the part after `sn_`
    #[arg(value_name = "ID", value_parser = id)]
    id: KeyId,
    /// The revoked key, as a JSON object on stdout
    #[arg(long)]
    json: bool,
}

fn name(text: &str) -> Result<KeyName, &'static str> {
    KeyName::new(text).map_err(|error| error.0)
}

fn id(text: &str) -> Result<KeyId, &'static str> {
    KeyId::new(text).map_err(|error| error.0)
}

fn scope(text: &str) -> Result<Scope, String> {
    let names = || format!("the scopes are {}", Scope::ALL.map(Scope::name).join(", "));
    Scope::named(text).ok_or_else(names)
}

fn age(text: &str) -> Result<Duration, InvalidAge> {
    parse_age(text).and_then(|age| if age.is_zero() { Err(InvalidAge) } else { Ok(age) })
}

/// Runs one of the commands.
pub(super) async fn run(command: KeyCommand) -> anyhow::Result<ExitCode> {
    match command {
        KeyCommand::New(args) => new(args).await,
        KeyCommand::List(args) => list(args).await,
        KeyCommand::Revoke(args) => revoke(args).await,
    }?;
    Ok(ExitCode::SUCCESS)
}

async fn new(args: NewArgs) -> anyhow::Result<()> {
    let NewArgs { source, name, scope, product, all_products, expires, json: as_json } = args;
    let reach = Reach::of(&source).await?;
    let products = (!all_products).then(|| product.into_iter().collect());
    let wish = Wish { name, scopes: scope.into_iter().collect(), products, expires };
    let (key, secret) = reach.make(wish).await?;
    if as_json {
        let mut value = serde_json::to_value(&key).context("the key is no JSON")?;
        value["secret"] = json!(secret.expose());
        output::data(&value.to_string())?;
    } else {
        output::data(secret.expose())?;
    }
    output::say(&format!(
        "key {} ({}): {} of {}; the secret isn't shown again",
        key.name,
        key.id,
        key.scopes.names().join(", "),
        products_of(&key)
    ));
    Ok(())
}

async fn list(args: ListArgs) -> anyhow::Result<()> {
    let keys = Reach::of(&args.source).await?.list().await?;
    if args.json {
        for key in &keys {
            output::data(&serde_json::to_string(key).context("a key is no JSON")?)?;
        }
    } else if !keys.is_empty() {
        output::data(&text(&keys, Clock::system().now().as_secs_f64()))?;
    }
    output::say(&match keys.len() {
        0 => "no key; `sidenote key new` makes one".to_owned(),
        1 => "1 key".to_owned(),
        many => format!("{many} keys"),
    });
    Ok(())
}

async fn revoke(args: RevokeArgs) -> anyhow::Result<()> {
    let name = Reach::of(&args.source).await?.revoke(&args.id).await?;
    if args.json {
        output::data(&json!({"id": args.id, "name": name}).to_string())?;
    }
    output::say(&format!("key {name} ({}) opens nothing any more", args.id));
    Ok(())
}

fn products_of(key: &ListedKey) -> String {
    match key.all_products {
        true => "all products".to_owned(),
        false => {
            let ids: Vec<_> = key.products.iter().map(|id| output::escaped(id.as_str())).collect();
            ids.join(", ")
        }
    }
}

const HEADS: [&str; 7] = ["ID", "NAME", "SCOPES", "PRODUCTS", "MADE", "EXPIRES", "LAST USED"];

fn text(keys: &[ListedKey], now: f64) -> String {
    let ago = |at: f64| format!("{} ago", output::short((now - at).max(0.0)));
    let cells = |key: &ListedKey| {
        [
            key.id.to_string(),
            key.name.to_string(),
            key.scopes.names().join(","),
            products_of(key),
            ago(key.made_at),
            match key.expires_at {
                None => "-".to_owned(),
                Some(_) if key.expired => "expired".to_owned(),
                Some(at) => format!("in {}", output::short((at - now).max(0.0))),
            },
            key.used_at.map_or_else(|| "-".to_owned(), ago),
        ]
    };
    let drawn = table::drawn(Some(HEADS), keys.iter().map(cells), &[], None);
    table::lines(&drawn).collect::<Vec<_>>().join("\n")
}
