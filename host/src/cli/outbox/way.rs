//! How the notes are reached: through a running host, or in the store where none runs.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use anyhow::{Context, bail};
use reqwest::Url;

use super::args::SourceArgs;
use super::host_api::{HostApi, Presence};
use super::offline::Offline;
use crate::cli::output;
use crate::config::{Config, Store};
use crate::engine::erase::{Erased, Erasure};
use crate::engine::ledger::{Decided, Filter, Listing, MOST_SHOWN, Order, Want};
use crate::host::StartError;
use crate::store::OpenError;

/// The way that was taken.
pub(in crate::cli) enum Way {
    /// The API of a running host.
    Host(HostApi),
    /// The store, with no host running.
    Offline(Box<Offline>),
}

impl Way {
    /// Finds out whether a host runs, unless the command line says it, and says which way is taken.
    pub(in crate::cli) async fn choose(config: Config, args: &SourceArgs) -> anyhow::Result<Self> {
        let token = config.server.token.clone();
        if let Some(url) = &args.host {
            return Ok(Self::host(HostApi::new(url.clone(), token)?));
        }
        let api = HostApi::new(own_address(config.server.listen)?, token)?;
        if args.offline {
            return Self::offline(config).await;
        }
        match &config.store {
            Store::Memory => match api.presence().await {
                Presence::Answers => Ok(Self::host(api)),
                Presence::Nobody => bail!(
                    "the store is kept in memory, by a running host alone, and none answers at {}; name it with --host URL",
                    api.url()
                ),
            },
            Store::Embedded { .. } => match Offline::open(config).await {
                Ok(offline) => Ok(Self::opened(offline)),
                Err(error) => match api.presence().await {
                    Presence::Answers => Ok(Self::host(api)),
                    Presence::Nobody if is_in_use(&error) => Err(error.context(format!(
                        "a host seems to run, and none answers at {}; name it with --host URL",
                        api.url()
                    ))),
                    Presence::Nobody => Err(error),
                },
            },
            Store::Redis(_) => match api.presence().await {
                Presence::Answers => Ok(Self::host(api)),
                Presence::Nobody => Self::offline(config).await,
            },
        }
    }

    async fn offline(config: Config) -> anyhow::Result<Self> {
        let opened = Offline::open(config).await;
        let opened = opened.map_err(|error| match is_in_use(&error) {
            true => error.context("a host runs; leave --offline out, or stop it"),
            false => error,
        });
        opened.map(Self::opened)
    }

    fn host(api: HostApi) -> Self {
        output::say(&format!("asking the host at {}", api.url()));
        Self::Host(api)
    }

    fn opened(offline: Offline) -> Self {
        output::say(&format!("no host runs: opening the store ({})", offline.name()));
        Self::Offline(Box::new(offline))
    }

    /// Lists notes.
    pub(super) async fn list(&self, filter: &Filter, want: &Want) -> anyhow::Result<Listing> {
        match self {
            Self::Host(api) => api.list(filter, want).await,
            Self::Offline(offline) => offline.list(filter, want).await,
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

    /// Erases somebody, or counts what that would be.
    pub(in crate::cli) async fn erase(
        &self,
        erasure: &Erasure,
        dry_run: bool,
    ) -> anyhow::Result<Erased> {
        match self {
            Self::Host(api) => api.erase(erasure, dry_run).await,
            Self::Offline(offline) => {
                let erased = offline.erase(erasure, dry_run).await;
                offline.let_go().await;
                erased
            }
        }
    }

    async fn decide_all(&self, order: &mut Order, dry_run: bool) -> anyhow::Result<Decided> {
        let mut total: Option<Decided> = None;
        loop {
            let decided = match self {
                Self::Host(api) => api.decide(order, dry_run).await,
                Self::Offline(offline) => offline.decide(order, dry_run).await,
            };
            let decided = match &total {
                Some(total) if !dry_run => decided.with_context(|| {
                    format!("broken off after {} of {} notes", total.done, total.matched)
                })?,
                Some(_) | None => decided?,
            };
            order.until = Some(crate::clock::Timestamp::from_secs_f64(decided.until));
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

/// Where a program on this machine reaches a listener.
pub(in crate::cli) fn own_address(listen: SocketAddr) -> anyhow::Result<Url> {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        IpAddr::V4(_) | IpAddr::V6(_) => listen.ip(),
    };
    let url = format!("http://{}", SocketAddr::new(ip, listen.port()));
    Url::parse(&url).context("`server.listen` is no address that can be called")
}
