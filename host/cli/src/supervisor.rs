//! What a supervisor such as systemd passes to a service, and is told by it: open sockets (`LISTEN_FDS`), how the service
//! stands (`NOTIFY_SOCKET`), and that it goes on (`WATCHDOG_USEC`).

use std::convert::Infallible;
use std::time::Duration;

use anyhow::{Context, bail};
use listenfd::ListenFd;
use sd_notify::NotifyState;
use sidenote::engine::Handle;
use sidenote::host::Sockets;

/// How often a supervisor is told that a start takes its time: it may wait for another host to give the store up.
const START_STEP: Duration = Duration::from_secs(10);

/// How long it is asked to wait for the next word.
const START_PATIENCE: Duration = Duration::from_secs(30);

/// The looks at the engine in the time that the watchdog allows.
const LOOKS: u32 = 3;

/// The sockets that were passed. One without a name of its own is the API's; `dashboard` is the dashboard's.
///
/// # Errors
/// What was passed is no TCP socket that listens, or isn't wanted.
pub(super) fn sockets() -> anyhow::Result<Sockets> {
    let mut passed = ListenFd::from_env();
    let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
    let mut names = names.split(':');
    let mut sockets = Sockets::default();
    for number in 0..passed.len() {
        let name = names.next().unwrap_or_default();
        let listener = passed.take_tcp_listener(number);
        let listener = listener.with_context(|| {
            format!("the socket `{name}` that the supervisor passed is no TCP socket that listens; set ListenStream= to an address and a port")
        })?;
        let place = match name {
            "dashboard" => &mut sockets.dashboard,
            _ => &mut sockets.server,
        };
        if place.is_some() {
            bail!(
                "the supervisor passed several sockets for one listener; set FileDescriptorName=dashboard for the dashboard's, and pass one socket for the API"
            );
        }
        *place = listener;
    }
    Ok(sockets)
}

/// Tells the supervisor how the service stands. Where there is none, nobody is told.
fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!("the supervisor can't be told how the service stands: {error}");
    }
}

/// Has the supervisor wait for as long as a start takes.
pub(super) async fn starts() -> Infallible {
    loop {
        let patience = u32::try_from(START_PATIENCE.as_micros()).unwrap_or(u32::MAX);
        tell(&[
            NotifyState::Status("starting, or standing by for another host"),
            NotifyState::ExtendTimeoutUsec(patience),
        ]);
        tokio::time::sleep(START_STEP).await;
    }
}

/// The host listens.
pub(super) fn ready() {
    tell(&[NotifyState::Ready, NotifyState::Status("running")]);
}

/// The configuration is read again, from here until it is ready once more.
pub(super) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(error) => tracing::warn!("the supervisor isn't told of a reload: {error}"),
    }
}

/// The host stops, in order.
pub(super) fn stopping() {
    tell(&[NotifyState::Stopping, NotifyState::Status("posting what is queued")]);
}

/// Tells the supervisor that the host goes on, for as long as its engine does. Without a watchdog it never ends.
pub(super) async fn watch(engine: &Handle) -> Infallible {
    let Some(allowed) = sd_notify::watchdog_enabled() else {
        return std::future::pending().await;
    };
    let (pause, mut progress) = (allowed / LOOKS, engine.progress());
    loop {
        if progress.goes_on(pause).await {
            tell(&[NotifyState::Watchdog]);
        } else {
            tracing::error!("the engine takes no turn: the supervisor isn't told that it goes on");
        }
        tokio::time::sleep(pause).await;
    }
}
