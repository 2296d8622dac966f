//! The connection: one, kept open, with a time-out around every command.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::io::tcp::TcpSettings;
use redis::{
    Client, Cmd, ConnectionInfo, ErrorKind, FromRedisValue, IntoConnectionInfo, Pipeline,
    RedisError, ScriptInvocation, ServerErrorKind,
};

use super::checks;
use super::keys::SNAPSHOTS;
use crate::config;
use crate::store::StoreError;

/// Commands that wait to be written while the server reads nothing. A commit can be 8 MiB.
const WAITING_COMMANDS: usize = 4;

/// A large commit has this much longer per MiB.
const PER_MIB: Duration = Duration::from_millis(250);

/// A server that can't be used as a store.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The address isn't one.
    #[error("store: the address of the Redis server can't be used: {0}. Correct `store.url`")]
    Address(String),
    /// The namespace is taken.
    #[error(
        "store: the namespace `{0}` is where the SDK keeps its sessions. Choose another `store.namespace`"
    )]
    Namespace(String),
    /// It doesn't answer.
    #[error(
        "store: the Redis server at {server} can't be reached: {cause}. Start it, or correct `store.url`"
    )]
    Unreachable {
        /// Where.
        server: String,
        /// The system's words.
        cause: String,
    },
    /// It doesn't let us in.
    #[error(
        "store: the Redis server at {server} refuses the login: {cause}. Correct `store.user` and `store.password`"
    )]
    Refused {
        /// Where.
        server: String,
        /// The server's words.
        cause: String,
    },
    /// It lacks commands that are needed.
    #[error(
        "store: the Redis server at {server} is version {version}; 6.2 or later is needed. Update it"
    )]
    TooOld {
        /// Where.
        server: String,
        /// Its version.
        version: String,
    },
    /// It is part of a cluster.
    #[error(
        "store: the Redis server at {server} is part of a cluster, in which several sessions can't be \
         changed in one step. Use a single server, with replicas if you like"
    )]
    Cluster {
        /// Where.
        server: String,
    },
}

/// The connection to the server. Cloning shares it.
#[derive(Clone)]
pub(super) struct Server {
    client: Client,
    line: Arc<RwLock<Line>>,
    timeout: Duration,
}

/// The connection of the moment.
#[derive(Clone)]
struct Line {
    connection: ConnectionManager,
    /// How many there were before.
    number: u64,
}

impl Server {
    /// Connects, and looks at what kind of server it is and how it keeps what it is given.
    pub(super) async fn connect(
        config: &config::Redis,
    ) -> Result<(Self, Vec<checks::Warning>), OpenError> {
        if config.namespace.starts_with(SNAPSHOTS) {
            return Err(OpenError::Namespace(config.namespace.clone()));
        }
        let info = connection_info(config)?;
        let name = info.addr().to_string();
        // Whoever installed a provider first has the say; a second one is no fault.
        if rustls::crypto::ring::default_provider().install_default().is_err() {
            tracing::debug!("a TLS provider is already installed; keeping it");
        }
        let client = Client::open(info).map_err(|error| OpenError::Address(plain(&error)))?;
        let settings = settings(config.timeout);
        let connecting = ConnectionManager::new_with_config(client.clone(), settings);
        let connected = tokio::time::timeout(config.timeout, connecting).await;
        let connection = match connected {
            Ok(Ok(connection)) => connection,
            Ok(Err(error)) => return Err(Failure::Error(error).into_open_error(name)),
            Err(_) => return Err(Failure::Timeout(config.timeout).into_open_error(name)),
        };
        let line = Arc::new(RwLock::new(Line { connection, number: 0 }));
        let server = Self { client, line, timeout: config.timeout };
        let warnings = checks::look(&server, &name).await?;
        Ok((server, warnings))
    }

    /// One command.
    pub(super) async fn query<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, StoreError> {
        self.ask(command).await.map_err(Failure::into_store_error)
    }

    /// One command, with what the server said to it.
    pub(super) async fn ask<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, Failure> {
        let asking = async |connection: &mut _| command.query_async(connection).await;
        self.within(self.timeout, asking).await
    }

    /// Several commands in one go. An error in any is an error of all.
    pub(super) async fn query_all<T: FromRedisValue>(
        &self,
        commands: &Pipeline,
    ) -> Result<T, StoreError> {
        let asking = async |connection: &mut _| commands.query_async(connection).await;
        self.within(self.timeout, asking).await.map_err(Failure::into_store_error)
    }

    /// A script with `bytes` of arguments.
    pub(super) async fn run<T: FromRedisValue>(
        &self,
        call: &ScriptInvocation<'_>,
        bytes: usize,
    ) -> Result<T, StoreError> {
        let timeout = self.timeout + PER_MIB * u32::try_from(bytes >> 20).unwrap_or(u32::MAX);
        let asking = async |connection: &mut _| call.invoke_async(connection).await;
        self.within(timeout, asking).await.map_err(Failure::into_store_error)
    }

    async fn within<T>(
        &self,
        timeout: Duration,
        asking: impl AsyncFnOnce(&mut ConnectionManager) -> Result<T, RedisError>,
    ) -> Result<T, Failure> {
        let Line { mut connection, number } =
            self.line.read().unwrap_or_else(PoisonError::into_inner).clone();
        let failure = match tokio::time::timeout(timeout, asking(&mut connection)).await {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(error)) => Failure::Error(error),
            Err(_) => Failure::Timeout(timeout),
        };
        if failure.is_of_the_line() {
            self.hang_up(number);
        }
        Err(failure)
    }

    /// The next command makes a connection of its own, where this is still the one that is used: behind
    /// the name of the server there may be another one, and a line can be dead without a word.
    fn hang_up(&self, number: u64) {
        let mut line = self.line.write().unwrap_or_else(PoisonError::into_inner);
        if line.number != number {
            return;
        }
        let settings = settings(self.timeout);
        match ConnectionManager::new_lazy_with_config(self.client.clone(), settings) {
            Ok(connection) => *line = Line { connection, number: number + 1 },
            Err(error) => tracing::warn!("store: redis: the connection is kept: {}", plain(&error)),
        }
    }
}

/// A command that finds the connection gone tries once to make another. The waiting and the trying again
/// is the engine's, and the time-out of a command is [`Server::within`]'s.
fn settings(timeout: Duration) -> ConnectionManagerConfig {
    ConnectionManagerConfig::new()
        .set_connection_timeout(Some(timeout))
        .set_response_timeout(None)
        .set_number_of_retries(0)
        .set_pipeline_buffer_size(WAITING_COMMANDS)
}

fn connection_info(config: &config::Redis) -> Result<ConnectionInfo, OpenError> {
    let info = config
        .url
        .as_str()
        .into_connection_info()
        .map_err(|error| OpenError::Address(plain(&error)))?;
    let mut login = info.redis_settings().clone();
    if let Some(user) = &config.user {
        login = login.set_username(user);
    }
    if let Some(password) = &config.password {
        login = login.set_password(password.expose());
    }
    let tcp = TcpSettings::default().set_nodelay(true);
    Ok(info.set_redis_settings(login).set_tcp_settings(tcp))
}

/// Why a command has no answer.
pub(super) enum Failure {
    Timeout(Duration),
    Error(RedisError),
}

impl Failure {
    /// Whether another connection may be better: nothing comes over this one, or it ends at a server that
    /// isn't the one that takes changes any more.
    fn is_of_the_line(&self) -> bool {
        match self {
            Self::Timeout(_) => true,
            Self::Error(error) => matches!(
                error.kind(),
                ErrorKind::Server(ServerErrorKind::ReadOnly | ServerErrorKind::MasterDown)
            ),
        }
    }

    fn into_store_error(self) -> StoreError {
        match self {
            Self::Timeout(timeout) => {
                StoreError::Away(format!("the Redis server didn't answer within {timeout:?}"))
            }
            Self::Error(error) => store_error(&error),
        }
    }

    /// The same, when the server is opened.
    pub(super) fn into_open_error(self, server: String) -> OpenError {
        match self {
            Self::Timeout(timeout) => {
                OpenError::Unreachable { server, cause: format!("no answer within {timeout:?}") }
            }
            Self::Error(error) if is_refusal(&error) => {
                OpenError::Refused { server, cause: plain(&error) }
            }
            Self::Error(error) => OpenError::Unreachable { server, cause: plain(&error) },
        }
    }
}

/// What is known of the rows after this error.
fn store_error(error: &RedisError) -> StoreError {
    let said = format!("the Redis server: {}", plain(error));
    if is_refusal(error) {
        // Whoever runs the server can let the host in again.
        return StoreError::Away(said);
    }
    match error.kind() {
        ErrorKind::Io | ErrorKind::ClusterConnectionNotFound => StoreError::Away(said),
        ErrorKind::Server(
            ServerErrorKind::BusyLoading
            | ServerErrorKind::ReadOnly
            | ServerErrorKind::MasterDown
            | ServerErrorKind::TryAgain
            | ServerErrorKind::ClusterDown
            // Somebody flushed the scripts between their loading and the call.
            | ServerErrorKind::NoScript,
        ) => StoreError::Away(said),
        ErrorKind::Server(ServerErrorKind::ResponseError) if is_crowded(error) => {
            StoreError::Away(said)
        }
        _ => match error.code() {
            Some("OOM") => StoreError::Full(said),
            // It can't write to its disk, lacks replicas, or runs somebody's endless script.
            Some("MISCONF" | "NOREPLICAS" | "BUSY" | "UNKILLABLE") => StoreError::Away(said),
            _ => StoreError::Fatal(said),
        },
    }
}

fn is_refusal(error: &RedisError) -> bool {
    let code = error.code();
    error.kind() == ErrorKind::AuthenticationFailed
        || matches!(code, Some("NOAUTH" | "WRONGPASS" | "NOPERM"))
}

/// Whether it has no room for another connection; it has no code for that.
fn is_crowded(error: &RedisError) -> bool {
    error.detail().is_some_and(|detail| detail.starts_with("max number of clients reached"))
}

/// The error's words, without what was sent: that is customers' data.
pub(super) fn plain(error: &RedisError) -> String {
    let mut said = match (error.code(), error.detail()) {
        (Some(code), Some(detail)) => format!("{code} {detail}"),
        (Some(code), None) => code.to_owned(),
        (None, _) => error.to_string(),
    };
    if let Some(at) = said.find(", with args beginning with") {
        said.truncate(at);
    }
    said
}

#[cfg(test)]
mod tests {
    use redis::make_extension_error;

    use super::*;

    #[test]
    fn what_can_be_waited_out_is_told_from_what_cannot() {
        let code = |code: &str| store_error(&make_extension_error(code.into(), None));
        for away in ["MISCONF", "NOREPLICAS", "BUSY", "NOAUTH", "WRONGPASS"] {
            assert!(matches!(code(away), StoreError::Away(_)), "{away}");
        }
        assert!(matches!(code("OOM"), StoreError::Full(_)));
        for fatal in ["WRONGTYPE", "SOMETHING"] {
            assert!(matches!(code(fatal), StoreError::Fatal(_)), "{fatal}");
        }
        let kinds = [
            ServerErrorKind::BusyLoading,
            ServerErrorKind::ReadOnly,
            ServerErrorKind::MasterDown,
            ServerErrorKind::TryAgain,
            ServerErrorKind::NoPerm,
        ];
        for kind in kinds {
            let error = RedisError::from((ErrorKind::Server(kind), "said"));
            assert!(matches!(store_error(&error), StoreError::Away(_)), "{kind:?}");
        }
        let lost = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
        assert!(matches!(store_error(&lost.into()), StoreError::Away(_)));
        let script = RedisError::from((ErrorKind::Server(ServerErrorKind::ResponseError), "bug"));
        assert!(matches!(store_error(&script), StoreError::Fatal(_)));
    }

    #[test]
    fn an_error_never_repeats_what_was_sent() {
        let said = "unknown command 'EVALSHA', with args beginning with: 'ann@example.com' ";
        let error = make_extension_error("ERR".into(), Some(said.into()));
        assert!(!store_error(&error).to_string().contains("ann@"));
        assert!(store_error(&error).to_string().contains("unknown command"));
    }
}
