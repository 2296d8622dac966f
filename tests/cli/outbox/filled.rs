//! A store that the real engine has filled with notes of every state, and a configuration for it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use sidenote::clock::Clock;
use sidenote::config::Delivery;
use sidenote::engine::core::rows::decode;
use sidenote::engine::link::Who;
use sidenote::ids::{SessionId, SessionKey};
use sidenote::outbox::note::FailureKind;
use sidenote::store::{Change, Group, Key, Table};
use sidenote_tests::world::{
    Platform, World, action, batch, each_sealed, embedded, failed, ok_after, product, wish,
};

use crate::sidenote::{Run, sidenote};

/// What the notes say, and whom of.
pub(super) const PERSONAL: [&str; 3] = ["Typed a secret", "u-1234", "zoe@example.com"];

/// The token of the host's API.
pub(super) const TOKEN: &str = "api-token";

/// A folder with a configuration and a store.
pub(super) struct Filled {
    folder: tempfile::TempDir,
}

impl Filled {
    /// A store with a note of each state. Two and a half hours after those that have failed, a host
    /// crashed while the note of session `flying` was in flight.
    pub(super) async fn store() -> Self {
        let filled = Self::empty();
        let (path, now) = (filled.path(), Clock::system().now().as_secs_f64());
        let rules = each_sealed(Delivery {
            retry_initial: Duration::from_secs(255 * 60),
            retry_max: Duration::from_secs(255 * 60),
            ..Delivery::default()
        });
        let script = [
            failed(FailureKind::Invalid, None),
            failed(FailureKind::RateLimited, Some(Duration::from_secs(6 * 3600))),
            failed(FailureKind::Transient, None),
        ];
        let store = embedded(&path).await;
        let began = now - 3.5 * 3600.0;
        let mut world = World::start_at(began, store, Platform::new(script), rules.clone());
        post(&world, "p", "refused", "c-1").await;
        until(&world, Table::Dead, "refused", |_| true).await;
        post(&world, "p", "limited", "c-2").await;
        until(&world, Table::Attempt, "limited", |row| !row.state["held_until"].is_null()).await;
        post(&world, "q", "failing", "c-3").await;
        until(&world, Table::Attempt, "failing", |row| !row.state["retry_at"].is_null()).await;
        // A note behind the one that is tried again.
        act(&world, "q", "failing").await;
        until(&world, Table::Outbox, "failing", |row| row.seq == 2).await;
        world.handle.stop().await;
        world.ended().await.expect("the engine stops");
        drop(world);

        let store = embedded(&path).await;
        let platform = Platform::new([ok_after(3600.0)]);
        let world = World::start_at(now - 330.0, store, platform, rules);
        post(&world, "p", "flying", "c-4").await;
        until(&world, Table::Attempt, "flying", |row| row.state == "in_flight").await;
        drop(world.crash().await);
        // The file is let go of when the last commit is through.
        drop(embedded(&path).await);
        filled
    }

    /// A folder with a configuration alone.
    pub(super) fn empty() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let filled = Self { folder };
        std::fs::write(filled.config(), CONFIG).expect("the folder takes a file");
        filled
    }

    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The configuration's file.
    pub(super) fn config(&self) -> PathBuf {
        self.folder.path().join("sidenote.toml")
    }

    /// The store's file.
    pub(super) fn path(&self) -> PathBuf {
        self.folder.path().join("sidenote.redb")
    }

    /// Runs `sidenote outbox` with this configuration and nothing more in the environment but `env`.
    pub(super) fn outbox_with(&self, args: &[&str], env: &[(&str, &str)]) -> Run {
        let config = self.config().display().to_string();
        let args = [&["outbox"], args, &["--config", &config]].concat();
        let token = [("API_TOKEN", TOKEN)];
        let token = token.iter().filter(|(name, _)| env.iter().all(|(other, _)| other != name));
        sidenote(&args, &token.chain(env).copied().collect::<Vec<_>>())
    }

    /// The same with nothing else in the environment.
    pub(super) fn outbox(&self, args: &[&str]) -> Run {
        self.outbox_with(args, &[])
    }

    /// Every row of the store.
    pub(super) async fn rows(&self) -> Vec<(Key, Vec<u8>)> {
        let store = embedded(&self.path()).await;
        let mut rows = Vec::new();
        for table in Table::ALL {
            rows.extend(store.scan(table, None, usize::MAX).await.expect("the store is read"));
        }
        rows
    }

    /// Puts rows into the store as they are.
    pub(super) async fn put(&self, rows: &[(Table, &str, &str, u64, &str)]) {
        let store = embedded(&self.path()).await;
        let put = |(table, first, second, number, value): &(Table, &str, &str, u64, &str)| {
            let group = Group((*first).into(), (*second).into());
            Change::Put(Key { table: *table, group, number: *number }, value.as_bytes().to_vec())
        };
        let changes: Vec<_> = rows.iter().map(put).collect();
        store.commit(changes.into()).await.expect("the store is written");
    }
}

/// A session acts and is linked to a conversation: its note is tried.
pub(super) async fn post(world: &World, id: &str, session: &str, conversation: &str) {
    act(world, id, session).await;
    let mut wish = wish(session, conversation, sidenote::engine::link::LinkMode::Auto);
    let session = SessionId::new(session).expect("not empty");
    wish.who = Who::Session(SessionKey { product: product(id), session });
    world.handle.link(wish).await.expect("nobody else has the conversation");
}

async fn act(world: &World, id: &str, session: &str) {
    let mut batch = batch(session, [action(PERSONAL[0])]);
    batch.product_id = id.to_owned();
    batch.user_id = Some(PERSONAL[1].to_owned());
    batch.email = Some(PERSONAL[2].to_owned());
    world.take(batch).await;
}

/// What is looked at of a row.
#[derive(serde::Deserialize)]
pub(super) struct Row {
    #[serde(default)]
    seq: u64,
    #[serde(default)]
    state: Value,
}

/// Waits for a row of the session that is as it is to be.
pub(super) async fn until(world: &World, table: Table, session: &str, is: impl Fn(&Row) -> bool) {
    let there = async {
        loop {
            let rows = world.store.scan(table, None, 100).await.expect("the store is read");
            let mut of_session = rows.iter().filter(|(key, _)| &*key.group.1 == session);
            if of_session.any(|(_, row)| is(&decode(row).expect("rows can be read"))) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let came = tokio::time::timeout(sidenote_tests::DEADLINE, there).await;
    assert!(came.is_ok(), "{session} never comes so far");
}

/// The stream can't be reached, and the plugin reaches nobody.
const CONFIG: &str = r#"
plugins_folder = "."
[server]
listen = "127.0.0.1:1"
token = { env = "API_TOKEN" }
[store]
path = "sidenote.redb"
[streams.main]
url = "https://connector.invalid/stream"
[plugins.bot]
file = "webhook.wasm"
[plugins.bot.config]
url = "https://chat.invalid/notes"
[plugins.bot.secrets]
signing = { env = "API_TOKEN", hosts = [] }
incoming = { env = "API_TOKEN", hosts = [] }
[plugins.bot.grants]
hosts = ["chat.invalid"]
[products.p]
plugins = ["bot"]
[products.q]
plugins = ["bot"]
"#;
