//! What the commands take.

use std::time::Duration;

use clap::Args;
use sidenote::engine::ledger::{EntryState, Filter, InvalidAge, parse_age};
use sidenote::ids::{ConversationId, PluginName, ProductId, SessionId};
use sidenote::outbox::delivery_id::{DeliveryId, InvalidDeliveryId};

use crate::client::HostArgs;

/// What `list` takes.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    pub(super) source: SourceArgs,
    #[command(flatten)]
    pub(super) filter: FilterArgs,
    /// Maximum number of notes
    #[arg(long, value_name = "N", default_value = "100", value_parser = limit)]
    pub(super) limit: usize,
    /// Print the notes' texts too: what people did in the product. A running host returns them only
    /// for its token, or a key with the scope `text`
    #[arg(long)]
    pub(super) show_text: bool,
    /// One JSON object per note on stdout
    #[arg(long)]
    pub(super) json: bool,
}

/// What `retry` takes.
#[derive(Debug, Args)]
pub(crate) struct DecideArgs {
    #[command(flatten)]
    pub(super) source: SourceArgs,
    #[command(flatten)]
    pub(super) filter: FilterArgs,
    /// Every note; required without a filter
    #[arg(long, conflicts_with = "filters")]
    pub(super) all: bool,
    /// Only show which notes match
    #[arg(long)]
    pub(super) dry_run: bool,
    /// The counts, or with --dry-run the notes, as JSON objects on stdout
    #[arg(long)]
    pub(super) json: bool,
}

/// What `purge` takes.
#[derive(Debug, Args)]
pub(crate) struct PurgeArgs {
    #[command(flatten)]
    pub(super) decide: DecideArgs,
    /// Don't ask for confirmation; required without a terminal
    #[arg(long)]
    pub(super) yes: bool,
}

/// Where the notes are.
#[derive(Debug, Args)]
pub(crate) struct SourceArgs {
    #[command(flatten)]
    pub(crate) host: HostArgs,
    /// Open the store itself; no host may be running on it
    #[arg(long, conflicts_with = "host")]
    pub(crate) offline: bool,
}

/// Which notes are meant.
#[derive(Debug, Args)]
#[group(id = "filters", multiple = true)]
pub(crate) struct FilterArgs {
    /// The delivery with this id, as `outbox list` prints it
    #[arg(long, value_name = "ID", value_parser = id)]
    id: Option<DeliveryId>,
    /// In this state: due, in_flight, retry_at, held_until, given_up (holds those behind it), dead
    #[arg(long, value_name = "STATE", value_delimiter = ',', value_parser = state)]
    state: Vec<EntryState>,
    /// Of this product
    #[arg(long, value_name = "ID", value_parser = product)]
    product: Option<ProductId>,
    /// Of this session
    #[arg(long, value_name = "ID", value_parser = session)]
    session: Option<SessionId>,
    /// Posted by this plugin
    #[arg(long, value_name = "NAME", value_parser = plugin)]
    plugin: Option<PluginName>,
    /// For this conversation
    #[arg(long, value_name = "ID", value_parser = conversation)]
    conversation: Option<ConversationId>,
    /// Whose reason of the dead letter, or of the last failure, contains this text
    #[arg(long, value_name = "TEXT", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    reason: Option<String>,
    /// Sealed longer ago than this, for example 2h (units: s, m, h, d)
    #[arg(long, value_name = "AGE", value_parser = age)]
    older_than: Option<Duration>,
    /// Sealed less long ago than this
    #[arg(long, value_name = "AGE", value_parser = age)]
    newer_than: Option<Duration>,
}

impl FilterArgs {
    /// The filter that they make.
    pub(super) fn filter(&self) -> Filter {
        Filter {
            id: self.id.clone(),
            states: self.state.clone(),
            product: self.product.clone(),
            session: self.session.clone(),
            plugin: self.plugin.clone(),
            conversation: self.conversation.clone(),
            reason: self.reason.clone(),
            older_than: self.older_than,
            newer_than: self.newer_than,
            within: None,
        }
    }
}

pub(crate) fn limit(text: &str) -> Result<usize, String> {
    let limit = text.parse().ok().filter(|limit| (1..=1_000_000).contains(limit));
    limit.ok_or_else(|| "it must be a number from 1 to 1000000".to_owned())
}

fn state(text: &str) -> Result<EntryState, String> {
    EntryState::named(text).ok_or_else(|| {
        format!("the states are {}", EntryState::ALL.map(EntryState::name).join(", "))
    })
}

pub(crate) fn product(text: &str) -> Result<ProductId, &'static str> {
    ProductId::new(text).map_err(|error| error.cause)
}

pub(crate) fn session(text: &str) -> Result<SessionId, &'static str> {
    SessionId::new(text).map_err(|error| error.cause)
}

fn conversation(text: &str) -> Result<ConversationId, &'static str> {
    ConversationId::new(text).map_err(|error| error.cause)
}

pub(crate) fn plugin(text: &str) -> Result<PluginName, &'static str> {
    if text.is_empty() { Err("it is empty") } else { Ok(text.into()) }
}

pub(super) fn id(text: &str) -> Result<DeliveryId, InvalidDeliveryId> {
    text.parse()
}

fn age(text: &str) -> Result<Duration, InvalidAge> {
    parse_age(text)
}
