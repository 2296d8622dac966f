//! The Redis store against a real server.

mod all;
mod cluster;
mod hosts;
mod intake;
mod lease;
mod outage;
mod partition;
mod relay;
mod requests;
mod rights;
mod rows;
mod settings;
mod shared;
mod snapshots;
mod tls;

use std::sync::Arc;

use sidenote::config;
use sidenote::store::{Change, Group, Key, RedisStore, Store, StoreError, Table};

fn group(first: &str, second: &str) -> Group {
    Group(first.into(), second.into())
}

fn key(table: Table, of: (&str, &str), number: u64) -> Key {
    Key { table, group: group(of.0, of.1), number }
}

fn put(table: Table, of: (&str, &str), number: u64, value: &str) -> Change {
    Change::Put(key(table, of, number), value.as_bytes().to_vec())
}

/// One row of the session `s`.
fn row(number: u64, value: &str) -> Arc<[Change]> {
    Arc::new([put(Table::Open, ("p", "s"), number, value)])
}

/// The rows of the session `s`.
async fn rows(store: &RedisStore) -> Result<Vec<(u64, String)>, StoreError> {
    let mut loaded = store.load(Table::Open, &[group("p", "s")]).await?;
    let text = |value| String::from_utf8(value).unwrap();
    Ok(loaded.remove(0).into_iter().map(|(number, value)| (number, text(value))).collect())
}

/// A store that may write.
async fn held(config: &config::Redis) -> RedisStore {
    let store = RedisStore::open(config).await.unwrap();
    store.hold().await.unwrap();
    store
}

/// A client of the server beside the store.
async fn client(config: &config::Redis) -> redis::aio::MultiplexedConnection {
    let client = redis::Client::open(config.url.as_str()).unwrap();
    client.get_multiplexed_async_connection().await.unwrap()
}

/// Sends a command beside the store.
async fn send<T: redis::FromRedisValue>(
    connection: &mut redis::aio::MultiplexedConnection,
    words: &[&str],
) -> T {
    let mut command = redis::cmd(words[0]);
    command.arg(&words[1..]);
    command.query_async(connection).await.unwrap()
}
