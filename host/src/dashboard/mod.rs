//! The operators' dashboard: pages that are rendered here, on a listener of their own, for somebody at three in the
//! morning.
//!
//! | module | what |
//! |---|---|
//! | `routes` | every address with who may call it; the router is made of it |
//! | `guard` | judges each request by that, before a page is asked: host, login, scope, form token |
//! | `visitor` | who asks, and what a form of theirs said |
//! | `login` | who a key is, and what they may do: the one place that knows keys |
//! | `logins` | who is logged in by which cookie, bounded in number and time |
//! | `wrong_keys` | slows those who guess |
//! | `source` | what the pages ask of the rest of the host |
//! | `pulse` | what the first page shows, gathered once for all who look |
//! | `live` | the same, told as it changes |
//! | `pages` | one file per page: a pure function from values to markup, and what reads the values |
//! | `wording` | times, numbers and next steps in words |
//! | `assets` | the style sheet, the script and the icon, by addresses that name their content |
//!
//! What people did is read only where it was asked for by somebody who may ([`login::Scope::Text`]), and is never told
//! live. The script does nothing that isn't there without it, but for what is live and the keyboard.

mod answer;
mod assets;
mod guard;
mod live;
mod login;
mod logins;
mod pages;
mod pulse;
mod routes;
mod source;
mod visitor;
mod wording;
mod wrong_keys;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::config::{self, Server};
use crate::http::{Backend, ServeError, serve_router};

pub(crate) use source::{PluginStanding, Session, Source, Standing, StreamStanding};

use guard::Guard;
use live::Followers;
use login::Keys;
use logins::Logins;
use pulse::Pulse;

/// What the pages share. Cloning shares it.
#[derive(Clone)]
struct Dashboard(Arc<Shared>);

struct Shared {
    source: Arc<dyn Source>,
    keys: Keys,
    logins: Logins,
    guard: Guard,
    pulse: Pulse,
    followers: Followers,
    stop: CancellationToken,
}

impl std::ops::Deref for Dashboard {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

/// Serves the pages until `stop`. The bounds on connections are those of `[server]`.
///
/// # Errors
/// As [`crate::http::serve`].
pub(crate) async fn serve(
    listener: TcpListener,
    source: Arc<dyn Source>,
    dashboard: &config::Dashboard,
    server: &Server,
    stop: CancellationToken,
) -> Result<(), ServeError> {
    let local = listener.local_addr()?;
    tracing::info!(listen = %local, "dashboard: listening");
    let shared = Shared {
        keys: Keys::of(server, dashboard, source.keys(), local),
        logins: Logins::default(),
        guard: Guard::of(dashboard, local),
        pulse: Pulse::default(),
        followers: Followers::default(),
        stop: stop.clone(),
        source: source.clone(),
    };
    let router = routes::router(Dashboard(Arc::new(shared)));
    let backend: Arc<dyn Backend> = source;
    serve_router(listener, router, backend, server, stop).await
}
