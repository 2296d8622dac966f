//! The connection: one, kept open, with a time-out around every command.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use redis::aio::PubSub;
use redis::io::tcp::TcpSettings;
use redis::{
    Client, Cmd, ConnectionInfo, FromRedisValue, IntoConnectionInfo, Pipeline, RedisError,
    ScriptInvocation, cmd,
};

use super::failure::{Failure, OpenError, plain};
use super::keys::SNAPSHOTS;
use super::line::{self, Connection, Way};
use super::needs;
use crate::config;
use crate::store::StoreError;

/// A large commit has this much longer per MiB.
const PER_MIB: Duration = Duration::from_millis(250);

/// The connection to the server. Cloning shares it.
#[derive(Clone)]
pub(super) struct Server {
    way: Way,
    line: Arc<RwLock<Line>>,
    timeout: Duration,
}

/// The connection of the moment.
#[derive(Clone)]
struct Line {
    connection: Connection,
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
        let server = Self::reach(Way::One(Box::new(client)), config, &name).await?;
        Ok((server, name))
    }

    /// As [`Server::connect`], and where the server is a node of a cluster, to all of that.
    pub(super) async fn connect_any(config: &config::Redis) -> Result<(Self, String), OpenError> {
        let (one, name) = Self::connect(config).await?;
        let refused =
            |failure: Failure| failure.into_open_error(name.clone(), &needs::line(config));
        let about: String = one.ask(cmd("INFO").arg("cluster")).await.map_err(refused)?;
        if !about.lines().any(|line| line.trim() == "cluster_enabled:1") {
            return Ok((one, name));
        }
        let told: String = one.ask(cmd("CLUSTER").arg("NODES")).await.map_err(refused)?;
        let nodes = line::nodes(&connection_info(config)?, &told);
        let way = nodes.and_then(|nodes| Way::to_cluster(nodes, config.timeout));
        let way = way.map_err(|error| OpenError::Address(plain(&error)))?;
        let all = Self::reach(way, config, &name).await?;
        Ok((all, name))
    }

    async fn reach(way: Way, config: &config::Redis, name: &str) -> Result<Self, OpenError> {
        let timeout = config.timeout;
        let failure = match tokio::time::timeout(timeout, way.connect(timeout)).await {
            Ok(Ok(connection)) => {
                let line = Arc::new(RwLock::new(Line { connection, number: 0 }));
                return Ok(Self { way, line, timeout });
            }
            Ok(Err(error)) => Failure::Error(error),
            Err(_) => Failure::Timeout(timeout),
        };
        Err(failure.into_open_error(name.to_owned(), &needs::line(config)))
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
        let asking = async |connection: &mut _| call.invoke_async(connection).await;
        self.within(self.patience(bytes), asking).await.map_err(Failure::into_store_error)
    }

    /// A connection over which notices are heard; see [`Way::listen`].
    pub(super) async fn listen(&self, n: usize) -> Result<PubSub, StoreError> {
        let failure = match tokio::time::timeout(self.timeout, self.way.listen(n)).await {
            Ok(Ok(connection)) => return Ok(connection),
            Ok(Err(error)) => Failure::Error(error),
            Err(_) => Failure::Timeout(self.timeout),
        };
        Err(failure.into_store_error())
    }

    /// How long a command may take.
    pub(super) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// How long a command of so many bytes may take.
    fn patience(&self, bytes: usize) -> Duration {
        self.timeout + PER_MIB * u32::try_from(bytes >> 20).unwrap_or(u32::MAX)
    }

    /// One command with `bytes` of values, with what the server said to it.
    pub(super) async fn ask_long<T: FromRedisValue>(
        &self,
        command: &Cmd,
        bytes: usize,
    ) -> Result<T, Failure> {
        let asking = async |connection: &mut _| command.query_async(connection).await;
        self.within(self.patience(bytes), asking).await
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
        asking: impl AsyncFnOnce(&mut Connection) -> Result<T, RedisError>,
    ) -> Result<T, Failure> {
        let Line { mut connection, number } =
            self.line.read().unwrap_or_else(PoisonError::into_inner).clone();
        let failure = match tokio::time::timeout(timeout, asking(&mut connection)).await {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(error)) => match &self.way {
                Way::Cluster(..) if error.is_cluster_error() => Failure::Moving(error),
                Way::Cluster(..) | Way::One(_) => Failure::Error(error),
            },
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
        match self.way.connect_later(self.timeout) {
            Ok(connection) => *line = Line { connection, number: number + 1 },
            Err(error) => tracing::warn!("store: redis: the connection is kept: {}", plain(&error)),
        }
    }
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
