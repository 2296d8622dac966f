//! The connection: one, kept open, with a time-out around every command.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::io::tcp::TcpSettings;
use redis::{
    Client, Cmd, ConnectionInfo, FromRedisValue, IntoConnectionInfo, Pipeline, RedisError,
    ScriptInvocation,
};

use super::failure::{Failure, OpenError, plain};
use super::keys::SNAPSHOTS;
use super::needs;
use crate::config;
use crate::store::StoreError;

/// Commands that wait to be written while the server reads nothing. A commit can be 8 MiB.
const WAITING_COMMANDS: usize = 4;

/// A large commit has this much longer per MiB.
const PER_MIB: Duration = Duration::from_millis(250);

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
    /// Connects; answers with the server's name for messages.
    pub(super) async fn connect(config: &config::Redis) -> Result<(Self, String), OpenError> {
        if config.namespace.starts_with(SNAPSHOTS) {
            return Err(OpenError::Namespace(config.namespace.clone()));
        }
        let info = connection_info(config)?;
        let name = info.addr().to_string();
        crate::tls::install_provider();
        let client = Client::open(info).map_err(|error| OpenError::Address(plain(&error)))?;
        let settings = settings(config.timeout);
        let connecting = ConnectionManager::new_with_config(client.clone(), settings);
        let connected = tokio::time::timeout(config.timeout, connecting).await;
        let connection = match connected {
            Ok(Ok(connection)) => connection,
            Ok(Err(error)) => {
                return Err(Failure::Error(error).into_open_error(name, &needs::line(config)));
            }
            Err(_) => {
                let failure = Failure::Timeout(config.timeout);
                return Err(failure.into_open_error(name, &needs::line(config)));
            }
        };
        let line = Arc::new(RwLock::new(Line { connection, number: 0 }));
        let server = Self { client, line, timeout: config.timeout };
        Ok((server, name))
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

    /// A small script, with what the server said to it.
    pub(super) async fn ask_script<T: FromRedisValue>(
        &self,
        call: &ScriptInvocation<'_>,
    ) -> Result<T, Failure> {
        let asking = async |connection: &mut _| call.invoke_async(connection).await;
        self.within(self.timeout, asking).await
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
