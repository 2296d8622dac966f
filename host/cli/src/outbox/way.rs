//! How the notes are reached: through a running host, or in the store where none runs.

use anyhow::{Context, bail};
use sidenote::config::{Access, Config, Store};
use sidenote::engine::ledger::{
    Decided, Delivery, Filter, Listing, MOST_SHOWN, Order, Repeat, Timeline, TimelineWant, Want,
};
use sidenote::host::StartError;
use sidenote::ids::SessionKey;
use sidenote::outbox::delivery_id::DeliveryId;
use sidenote::store::OpenError;
use sidenote_terminal::output;

use super::args::SourceArgs;
use super::host_api;
use super::offline::{Offline, Opened};
use crate::client::{Client, Presence};

/// The way that was chosen.
pub(crate) enum Way {
    /// The API of a running host.
    Host(Client),
    /// The store, with no host running.
    Offline(Box<Offline>),
}

impl Way {
    /// Finds out whether a host runs, unless the command line says it, and says which way it is. A
    /// running host is asked with its address and token; of the other secrets none is read, and for the store
    /// itself only its password.
    pub(crate) async fn choose(args: &SourceArgs) -> anyhow::Result<Self> {
        if args.host.host.is_some() {
            return Ok(Self::host(args.host.client()?));
        }
        let access = Access::load(&args.host.config)?;
        if args.offline {
            return Self::offline(args).await;
        }
        match &access.store {
            Store::Memory => {
                let client = args.host.client_of(&access)?;
                match client.presence().await {
                    Presence::Answers => Ok(Self::host(client)),
                    Presence::Nobody => bail!(
                        "the store is kept in memory, by a running host alone, and none answers at {}; name it with --host URL",
                        client.url()
                    ),
                }
            }
            // Whether a host runs is told by its hold on the file: something else may listen on the port.
            Store::Embedded { .. } => match Offline::open(access.store.clone()).await {
                Ok(opened) => Self::opened(opened, args),
                Err(error) if is_in_use(&error) => {
                    let client = args.host.client_of(&access)?;
                    match client.presence().await {
                        Presence::Answers => Ok(Self::host(client)),
                        Presence::Nobody => Err(error.context(format!(
                            "a host seems to run, and none answers at {}; name it with --host URL",
                            client.url()
                        ))),
                    }
                }
                // The file may be elsewhere from here, as in a container.
                Err(error) => match args.host.client_of(&access) {
                    Ok(client) if client.presence().await == Presence::Answers => {
                        Ok(Self::host(client))
                    }
                    Ok(_) | Err(_) => Err(error),
                },
            },
            Store::Redis(_) => {
                // Where no host answers its token is not needed.
                match args.host.presence_of(&access).await? {
                    Presence::Answers => Ok(Self::host(args.host.client_of(&access)?)),
                    Presence::Nobody => Self::offline(args).await,
                }
            }
        }
    }

    async fn offline(args: &SourceArgs) -> anyhow::Result<Self> {
        let config = Config::load_for_store(&args.host.config)?;
        let opened = Offline::open(config.store.clone()).await;
        let opened = opened.map_err(|error| match is_in_use(&error) {
            true => error.context("a host runs; leave --offline out, or stop it"),
            false => error,
        });
        Self::opened(opened?, args)
    }

    fn host(client: Client) -> Self {
        output::say(&format!("asking the host at {}", client.url()));
        Self::Host(client)
    }

    fn opened(opened: Opened, args: &SourceArgs) -> anyhow::Result<Self> {
        let offline = opened.with(Config::load_for_store(&args.host.config)?);
        output::say(&format!("no host runs: opening the store ({})", offline.name()));
        Ok(Self::Offline(Box::new(offline)))
    }

    /// Lists notes.
    pub(super) async fn list(&self, filter: &Filter, want: &Want) -> anyhow::Result<Listing> {
        match self {
            Self::Host(client) => host_api::list(client, filter, want).await,
            Self::Offline(offline) => offline.list(filter, want).await,
        }
    }

    /// What a delivery is.
    pub(super) async fn delivery(&self, id: &DeliveryId, text: bool) -> anyhow::Result<Delivery> {
        match self {
            Self::Host(client) => host_api::delivery(client, id, text).await,
            Self::Offline(offline) => offline.delivery(id, text).await,
        }
    }

    /// What is known of a session.
    pub(super) async fn timeline(
        &self,
        key: &SessionKey,
        want: &TimelineWant,
    ) -> anyhow::Result<Timeline> {
        match self {
            Self::Host(client) => host_api::timeline(client, key, want).await,
            Self::Offline(offline) => offline.timeline(key, want).await,
        }
    }

    /// Has a note sent once more, or says what that would be.
    pub(super) async fn resend(
        &self,
        id: &DeliveryId,
        dry_run: bool,
        text: bool,
    ) -> anyhow::Result<Repeat> {
        match self {
            Self::Host(client) => host_api::resend(client, id, dry_run, text).await,
            Self::Offline(offline) => {
                let resent = offline.resend(id, dry_run, text).await;
                offline.let_go().await;
                resent
            }
        }
    }

    /// Carries the order out to its end, or says what it would mean. From then on the order is bounded
    /// by the moment at which it was given first.
    pub(super) async fn decide(&self, order: &mut Order, dry_run: bool) -> anyhow::Result<Decided> {
        let decided = self.decide_all(order, dry_run).await;
        match self {
            Self::Host(_) => {}
            Self::Offline(offline) => offline.let_go().await,
        }
        decided
    }

    async fn decide_all(&self, order: &mut Order, dry_run: bool) -> anyhow::Result<Decided> {
        let mut total: Option<Decided> = None;
        loop {
            let decided = match self {
                Self::Host(client) => host_api::decide(client, order, dry_run).await,
                Self::Offline(offline) => offline.decide(order, dry_run).await,
            };
            let decided = match &total {
                Some(total) if !dry_run => decided.with_context(|| {
                    format!("broken off after {} of {} notes", total.done, total.matched)
                })?,
                Some(_) | None => decided?,
            };
            order.until = Some(sidenote::clock::Timestamp::from_secs_f64(decided.until));
            order.after = decided.next.clone();
            let sum = match total.take() {
                None => decided,
                Some(sum) => added(sum, decided),
            };
            if order.after.is_none() {
                return Ok(sum);
            }
            total = Some(sum);
        }
    }
}

fn added(mut sum: Decided, part: Decided) -> Decided {
    sum.matched += part.matched;
    sum.done += part.done;
    sum.unreadable += part.unreadable;
    sum.entries.extend(part.entries);
    sum.entries.truncate(MOST_SHOWN);
    sum.more = sum.matched > sum.entries.len() as u64;
    sum.next = part.next;
    sum
}

fn is_in_use(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(StartError::Store(OpenError::InUse(_))))
}
