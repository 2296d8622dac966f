//! Rows in one file (redb): durable with no server.
//!
//! A commit is one transaction with one fsync; the engine puts all that happened in a few
//! milliseconds into one commit, so throughput is batch size.

use std::fs::OpenOptions;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use redb::{Database, Durability, ReadableDatabase, TableDefinition};

use super::{Change, Group, Key, Rows, Store, StoreError, Table};

type Definition = TableDefinition<'static, (&'static str, &'static str, u64), &'static [u8]>;

const fn definition(table: Table) -> Definition {
    TableDefinition::new(match table {
        Table::Session => "session",
        Table::Open => "open",
        Table::Outbox => "outbox",
        Table::Attempt => "attempt",
        Table::Dead => "dead",
        Table::Conversation => "conversation",
        Table::Person => "person",
        Table::Sent => "sent",
        Table::Account => "account",
        Table::Journal => "journal",
    })
}

/// Memory for pages of the file, in bytes. The rows that are read are the latest ones, and few.
const CACHE: usize = 64 << 20;

/// Pause before a read tries again to open the file.
const REOPEN_PAUSE: Duration = Duration::from_secs(1);

/// A store in one file. One process at a time has it open.
#[derive(Clone)]
pub struct EmbeddedStore {
    path: Arc<Path>,
    /// `None` after the disk was full: redb takes nothing more until its file is opened again.
    database: Arc<RwLock<Option<Arc<Database>>>>,
}

/// The file can't be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file, or its folder, can't be made.
    #[error("store: `{path}` can't be made: {cause}. Choose another `store.path`")]
    Folder {
        /// The file.
        path: String,
        /// The system's words.
        cause: std::io::Error,
    },
    /// Another process has it open.
    #[error(
        "store: `{0}` is open in another process. Stop that one, or choose another `store.path`"
    )]
    InUse(String),
    /// It isn't a store, or it is damaged.
    #[error(
        "store: `{path}` can't be opened: {cause}. Move it away, or choose another `store.path`"
    )]
    Unusable {
        /// The file.
        path: String,
        /// redb's words.
        cause: String,
    },
}

impl EmbeddedStore {
    /// Opens the file, or makes it. Repairs it after a crash. Blocks.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        let shown = || path.display().to_string();
        let unmade = |cause| OpenError::Folder { path: shown(), cause };
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(unmade)?;
        }
        private(path).map_err(unmade)?;
        let database = create(path).map_err(|error| {
            if matches!(error, redb::DatabaseError::DatabaseAlreadyOpen) {
                OpenError::InUse(shown())
            } else {
                OpenError::Unusable { path: shown(), cause: error.to_string() }
            }
        })?;
        make_tables(&database)
            .map_err(|error| OpenError::Unusable { path: shown(), cause: error.to_string() })?;
        Ok(Self { path: path.into(), database: Arc::new(RwLock::new(Some(Arc::new(database)))) })
    }

    /// The open file; opened again where the disk was full before.
    fn database(&self) -> Result<Arc<Database>, StoreError> {
        if let Some(database) = &*self.database.read().unwrap_or_else(PoisonError::into_inner) {
            return Ok(database.clone());
        }
        let mut slot = self.database.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(database) = &*slot {
            return Ok(database.clone());
        }
        // Whatever stands in the way, a last reader or the same full disk: it can be tried again.
        let opened = create(&self.path).map_err(|error| StoreError::Full(error.to_string()))?;
        Ok(slot.insert(Arc::new(opened)).clone())
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Database) -> Result<T, redb::Error> + Send + 'static,
    ) -> Result<T, StoreError> {
        let store = self.clone();
        let worked = tokio::task::spawn_blocking(move || {
            let database = store.database()?;
            let worked = work(&database).map_err(|error| store_error(&error));
            if let Err(StoreError::Full(_)) = worked {
                *store.database.write().unwrap_or_else(PoisonError::into_inner) = None;
            }
            worked
        });
        worked
            .await
            .map_err(|error| StoreError::Fatal(format!("the store's thread ended: {error}")))?
    }

    /// A read waits for as long as the file can't be opened again.
    async fn reading<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Database) -> Result<T, redb::Error> + Clone + Send + 'static,
    ) -> Result<T, StoreError> {
        loop {
            match self.blocking(work.clone()).await {
                Err(error @ StoreError::Full(_)) => {
                    tracing::error!("{error}");
                    tokio::time::sleep(REOPEN_PAUSE).await;
                }
                done => return done,
            }
        }
    }
}

fn create(path: &Path) -> Result<Database, redb::DatabaseError> {
    Database::builder().set_cache_size(CACHE).create(path)
}

/// Makes every table, so that a read never meets one that isn't there.
fn make_tables(database: &Database) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    for table in Table::ALL {
        transaction.open_table(definition(table))?;
    }
    transaction.commit()?;
    Ok(())
}

fn load_now(database: &Database, table: Table, groups: &[Group]) -> Result<Vec<Rows>, redb::Error> {
    let rows = database.begin_read()?.open_table(definition(table))?;
    let mut loaded = Vec::with_capacity(groups.len());
    for Group(first, second) in groups {
        let range = rows.range((&**first, &**second, 0)..=(&**first, &**second, u64::MAX))?;
        let mut of_group = Vec::new();
        for row in range {
            let (key, value) = row?;
            of_group.push((key.value().2, value.value().to_vec()));
        }
        loaded.push(of_group);
    }
    Ok(loaded)
}

fn scan_now(
    database: &Database,
    table: Table,
    after: Option<&Key>,
    limit: usize,
) -> Result<Vec<(Key, Vec<u8>)>, redb::Error> {
    let rows = database.begin_read()?.open_table(definition(table))?;
    let range = match after {
        None => rows.range::<(&str, &str, u64)>(..)?,
        Some(Key { group: Group(first, second), number, .. }) => {
            let after = (&**first, &**second, *number);
            let bounds = (std::ops::Bound::Excluded(after), std::ops::Bound::Unbounded);
            rows.range::<(&str, &str, u64)>(bounds)?
        }
    };
    let mut scanned = Vec::new();
    for row in range.take(limit) {
        let (key, value) = row?;
        let (first, second, number) = key.value();
        let key = Key { table, group: Group(first.into(), second.into()), number };
        scanned.push((key, value.value().to_vec()));
    }
    Ok(scanned)
}

fn commit_now(database: &Database, changes: &[Change]) -> Result<(), redb::Error> {
    let mut transaction = database.begin_write()?;
    transaction.set_durability(Durability::Immediate)?;
    for table in Table::ALL {
        let mut of_table = changes.iter().filter(|change| change.key().table == table).peekable();
        if of_table.peek().is_none() {
            continue;
        }
        let mut rows = transaction.open_table(definition(table))?;
        for change in of_table {
            let Key { group: Group(first, second), number, .. } = change.key();
            let key = (&**first, &**second, *number);
            match change {
                Change::Put(_, value) => drop(rows.insert(key, value.as_slice())?),
                Change::Delete(_) => drop(rows.remove(key)?),
            }
        }
    }
    transaction.commit()?;
    Ok(())
}

#[async_trait::async_trait]
impl Store for EmbeddedStore {
    async fn load(&self, table: Table, groups: &[Group]) -> Result<Vec<Rows>, StoreError> {
        let groups = groups.to_vec();
        self.reading(move |database| load_now(database, table, &groups)).await
    }

    async fn scan(
        &self,
        table: Table,
        after: Option<Key>,
        limit: usize,
    ) -> Result<Vec<(Key, Vec<u8>)>, StoreError> {
        self.reading(move |database| scan_now(database, table, after.as_ref(), limit)).await
    }

    async fn commit(&self, changes: Arc<[Change]>) -> Result<(), StoreError> {
        self.blocking(move |database| commit_now(database, &changes)).await
    }
}

/// Makes the file, where it isn't there, so that only its owner can read it: it holds what people did.
fn private(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    match made {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(error),
        Ok(_) | Err(_) => Ok(()),
    }
}

/// A full disk can be waited out; any other failure leaves the outcome of a commit unknown.
fn store_error(error: &redb::Error) -> StoreError {
    if let redb::Error::Io(io) = error
        && matches!(io.kind(), std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded)
    {
        return StoreError::Full(io.to_string());
    }
    StoreError::Fatal(error.to_string())
}
