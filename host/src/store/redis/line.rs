//! A connection to one server, or to the nodes of a cluster: commands go the same way over both.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::try_join_all;
use redis::aio::{ConnectionLike, ConnectionManager, ConnectionManagerConfig, PubSub};
use redis::cluster::{ClusterClient, ClusterConfig};
use redis::cluster_async::ClusterConnection;
use redis::{
    Client, Cmd, ConnectionAddr, ConnectionInfo, Pipeline, RedisError, RedisFuture, RedisResult,
    Value,
};

/// Commands that wait to be written while the server reads nothing. A commit can be 8 MiB.
const WAITING_COMMANDS: usize = 4;

/// How often a command is sent again while a cluster moves what it is about, or has lost a node.
const RETRIES: u32 = 32;

/// Pauses before that, in milliseconds: drawn from between the two.
const PAUSES: (u64, u64) = (20, 200);

/// How connections are made.
#[derive(Clone)]
pub(super) enum Way {
    /// To one server.
    One(Box<Client>),
    /// To the masters of a cluster, with the nodes that were told of at the start.
    Cluster(Box<ClusterClient>, Arc<[ConnectionInfo]>),
}

/// A connection. Cloning shares it.
#[derive(Clone)]
pub(super) enum Connection {
    /// To one server.
    One(ConnectionManager),
    /// To the masters of a cluster; each command goes to whoever has its key.
    Cluster(ClusterConnection),
}

impl Way {
    /// The way to a cluster that these nodes are of.
    ///
    /// # Errors
    /// An address isn't one.
    pub(super) fn to_cluster(
        nodes: Vec<ConnectionInfo>,
        timeout: Duration,
    ) -> Result<Self, RedisError> {
        let (shortest, longest) = PAUSES;
        let all = nodes.clone().into();
        // How long a command takes in all is bounded by whoever sends it, who knows how large it is.
        let builder = ClusterClient::builder(nodes)
            .retries(RETRIES)
            .min_retry_wait(shortest)
            .max_retry_wait(longest)
            .retry_wait_formula(longest, 1)
            .connection_timeout(timeout)
            .response_timeout(Duration::MAX)
            .overall_response_timeout(None);
        builder.build().map(|client| Self::Cluster(Box::new(client), all))
    }

    /// A connection that stands.
    pub(super) async fn connect(&self, timeout: Duration) -> Result<Connection, RedisError> {
        match self {
            Self::One(client) => {
                ConnectionManager::new_with_config((**client).clone(), settings(timeout))
                    .await
                    .map(Connection::One)
            }
            Self::Cluster(client, _) => {
                client.get_async_connection().await.map(Connection::Cluster)
            }
        }
    }

    /// A connection over which notices are heard. What is published at one node of a cluster is heard at each: the `n`th
    /// try goes to the `n`th.
    pub(super) async fn listen(&self, n: usize) -> Result<PubSub, RedisError> {
        match self {
            Self::One(client) => client.get_async_pubsub().await,
            Self::Cluster(_, nodes) => {
                let node = nodes[n % nodes.len()].clone();
                Client::open(node)?.get_async_pubsub().await
            }
        }
    }

    /// A connection that the first command makes.
    pub(super) fn connect_later(&self, timeout: Duration) -> Result<Connection, RedisError> {
        match self {
            Self::One(client) => {
                ConnectionManager::new_lazy_with_config((**client).clone(), settings(timeout))
                    .map(Connection::One)
            }
            Self::Cluster(client, _) => {
                let later = client.get_pending_async_connection_with_config(ClusterConfig::new());
                Ok(Connection::Cluster(later))
            }
        }
    }
}

/// A command that finds the connection gone tries once to make another. The waiting and the trying again
/// is the engine's, and the time-out of a command is [`super::server::Server::within`]'s.
fn settings(timeout: Duration) -> ConnectionManagerConfig {
    ConnectionManagerConfig::new()
        .set_connection_timeout(Some(timeout))
        .set_response_timeout(None)
        .set_number_of_retries(0)
        .set_pipeline_buffer_size(WAITING_COMMANDS)
}

impl ConnectionLike for Connection {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        match self {
            Self::One(connection) => connection.req_packed_command(command),
            Self::Cluster(connection) => connection.req_packed_command(command),
        }
    }

    /// In a cluster each command is sent by itself: while a slot is moved, some of its keys are on one node and some on
    /// the other, and all commands of a pipeline go to the same node. None of ours is a transaction.
    fn req_packed_commands<'a>(
        &'a mut self,
        commands: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        match self {
            Self::One(connection) => connection.req_packed_commands(commands, offset, count),
            Self::Cluster(connection) => {
                let send = |command: &'a Cmd| {
                    let mut connection = connection.clone();
                    async move { connection.req_packed_command(command).await }
                };
                Box::pin(try_join_all(commands.cmd_iter().map(send)))
            }
        }
    }

    fn get_db(&self) -> i64 {
        match self {
            Self::One(connection) => connection.get_db(),
            Self::Cluster(connection) => connection.get_db(),
        }
    }
}

/// The same login at every node that `CLUSTER NODES` told of, beginning with the one that was asked.
pub(super) fn nodes(asked: &ConnectionInfo, told: &str) -> RedisResult<Vec<ConnectionInfo>> {
    let others = told.lines().filter_map(|line| {
        let mut words = line.split(' ').skip(1);
        let (address, flags) = (words.next()?, words.next()?);
        if flags.split(',').any(|flag| matches!(flag, "fail" | "noaddr" | "handshake")) {
            return None;
        }
        let mut parts = address.split(',');
        let (host, port) = parts.next()?.split('@').next()?.rsplit_once(':')?;
        // A certificate is of a name.
        let name = parts.next().filter(|name| !name.is_empty() && !name.contains('='));
        let addr = at(asked.addr(), name.unwrap_or(host), port.parse().ok()?)?;
        Some(asked.clone().set_addr(addr))
    });
    Ok(std::iter::once(asked.clone()).chain(others).collect())
}

/// Another place, reached in the same way.
fn at(like: &ConnectionAddr, host: &str, port: u16) -> Option<ConnectionAddr> {
    let host = host.to_owned();
    if let ConnectionAddr::TcpTls { insecure, tls_params, .. } = like {
        let (insecure, tls_params) = (*insecure, tls_params.clone());
        return Some(ConnectionAddr::TcpTls { host, port, insecure, tls_params });
    }
    matches!(like, ConnectionAddr::Tcp(..)).then(|| ConnectionAddr::Tcp(host, port))
}

#[cfg(test)]
mod tests {
    use redis::IntoConnectionInfo;

    use super::*;

    const TOLD: &str = "\
        07c3 127.0.0.1:30004@31004,host-4 slave 67ed 0 1426238317239 4 connected\n\
        67ed 127.0.0.1:30001@31001,shard-id=ab myself,master - 0 0 1 connected 0-5460\n\
        292f ::1:30002@31002 master - 0 1426238316232 2 connected 5461-10922\n\
        824f :0@0 master,noaddr - 1426238316232 0 2 disconnected\n\
        6ec2 127.0.0.1:30003@31003 master,fail - 0 1426238318243 3 connected\n";

    #[test]
    fn the_nodes_that_are_there_are_known_by_address_or_name() {
        let asked = "rediss://127.0.0.1:30001".into_connection_info().unwrap();
        let all = nodes(&asked, TOLD).unwrap();
        let all: Vec<String> = all.iter().map(|info| info.addr().to_string()).collect();
        assert_eq!(all, ["127.0.0.1:30001", "host-4:30004", "127.0.0.1:30001", "::1:30002"]);
    }
}
