//! What is accepted while the store is away: records in one file, first in, first out.
//!
//! The journal doesn't know what a record is. Whoever replays it notes in the store, in the same commit
//! as what a record led to, up to which number it was played (`Table::Journal`, under [`Journal::id`]);
//! numbers never repeat over the file's life, so no record is played twice.

use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use redb::{
    Database, Durability, ReadableDatabase, ReadableTable, ReadableTableMetadata, TableDefinition,
    TableHandle,
};

use super::embedded::{folder_of, sync_folder};

const RECORDS: TableDefinition<'static, u64, &[u8]> = TableDefinition::new("records");
const ABOUT: TableDefinition<'static, &str, u64> = TableDefinition::new("about");
const ID: TableDefinition<'static, (), &str> = TableDefinition::new("id");

/// The number of the next record.
const NEXT: &str = "next";
/// The size of all records.
const BYTES: &str = "bytes";

/// What a record takes in the file beside itself, in bytes.
const OVERHEAD: u64 = 32;

/// Memory for pages of the file, in bytes.
const CACHE: usize = 8 << 20;

/// A bounded queue of records in one file. One process at a time has it open. Cloning shares it.
#[derive(Clone)]
pub struct Journal {
    id: Arc<str>,
    path: Arc<Path>,
    max_bytes: u64,
    file: Arc<Mutex<File>>,
    /// As of the last change: asked for without waiting for the disk.
    level: Arc<Mutex<Level>>,
}

struct File {
    /// `None` after the disk was full: redb takes nothing more until its file is opened again.
    database: Option<Arc<Database>>,
    level: Level,
}

/// How full the journal is.
#[derive(Clone, Copy)]
struct Level {
    records: u64,
    bytes: u64,
}

/// Why the journal didn't do it.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The file, or its folder, can't be made.
    #[error("journal: `{path}` can't be made: {cause}. Choose another `store.journal`")]
    Folder {
        /// The file.
        path: String,
        /// The system's words.
        cause: std::io::Error,
    },
    /// Another process has it open.
    #[error(
        "journal: `{0}` is open in another process. Stop that one, or choose another `store.journal`"
    )]
    InUse(String),
    /// It isn't a journal, or it is damaged. It was left as it is.
    #[error(
        "journal: `{path}` can't be used: {cause}. Move it away, or choose another `store.journal`"
    )]
    Unusable {
        /// The file.
        path: String,
        /// Why.
        cause: String,
    },
    /// There is no space; nothing was stored. There is when records were removed, or the disk has space.
    #[error("journal: it is full: {0}. It empties by itself when the store is back")]
    Full(String),
    /// It can't be said what is in the file. The process must end and start again.
    #[error("journal: {0}. The process must be restarted; check the disk")]
    Failed(String),
}

impl Journal {
    /// Opens the file, or makes it; only its owner can read it. Repairs it after a crash. Blocks.
    ///
    /// At most `max_bytes` of records are kept, each counted with a little more than its size.
    pub fn open(path: &Path, max_bytes: usize) -> Result<Self, JournalError> {
        let shown = || path.display().to_string();
        let unmade = |cause| JournalError::Folder { path: shown(), cause };
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(unmade)?;
        }
        // Left by a process that was ended while it wrote it. It may hold what was erased since.
        abandon(&beside(path)).map_err(unmade)?;
        private(path).map_err(unmade)?;
        let unusable = |cause| JournalError::Unusable { path: shown(), cause };
        let database = create(path).map_err(|error| {
            if matches!(error, redb::DatabaseError::DatabaseAlreadyOpen) {
                JournalError::InUse(shown())
            } else {
                unusable(error.to_string())
            }
        })?;
        if is_foreign(&database).map_err(|error| unusable(error.to_string()))? {
            return Err(unusable("it is another program's, or a store's".to_owned()));
        }
        let (id, level) = begin(&database).map_err(|error| unusable(error.to_string()))?;
        let file = File { database: Some(Arc::new(database)), level };
        let (file, level) = (Arc::new(Mutex::new(file)), Arc::new(Mutex::new(level)));
        Ok(Self { id, path: path.into(), max_bytes: max_bytes as u64, file, level })
    }

    /// The journal's name: random, made with the file.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many records are in it.
    pub fn len(&self) -> u64 {
        locked(&self.level).records
    }

    /// How much of its capacity is used, in bytes.
    pub fn bytes(&self) -> u64 {
        locked(&self.level).bytes
    }

    /// Adds records behind the others, all or none; they are on the disk when it returns.
    ///
    /// # Errors
    /// [`JournalError::Full`]: nothing was stored, and it can be tried again.
    pub async fn append(&self, records: Vec<Vec<u8>>) -> Result<(), JournalError> {
        let max_bytes = self.max_bytes;
        self.blocking(move |file, database| {
            let added = records.iter().map(|record| size(record)).sum::<u64>();
            if file.level.bytes + added > max_bytes {
                return Ok(Err(JournalError::Full(format!("{max_bytes} bytes are its limit"))));
            }
            file.level = append(database, &records, file.level, added)?;
            Ok(Ok(()))
        })
        .await?
    }

    /// The oldest records and their numbers, in order: at least one where there is one, and no more than
    /// `limit_bytes` otherwise.
    pub async fn peek(&self, limit_bytes: usize) -> Result<Vec<(u64, Vec<u8>)>, JournalError> {
        self.blocking(move |_, database| {
            let records = database.begin_read()?.open_table(RECORDS)?;
            let (mut peeked, mut bytes) = (Vec::new(), 0);
            for record in records.iter()? {
                let (number, record) = record?;
                bytes += record.value().len();
                if bytes > limit_bytes && !peeked.is_empty() {
                    break;
                }
                peeked.push((number.value(), record.value().to_vec()));
            }
            Ok(peeked)
        })
        .await
    }

    /// Removes all records up to this number, that one included.
    pub async fn remove_through(&self, seq: u64) -> Result<(), JournalError> {
        self.blocking(move |file, database| {
            file.level = remove_through(database, seq, file.level)?;
            Ok(())
        })
        .await
    }

    /// Writes the records into a fresh file and puts that in the place of the journal's, so that nothing of
    /// those that were removed is left in it.
    ///
    /// # Errors
    /// [`JournalError::Full`]: nothing changed.
    pub async fn scrub(&self) -> Result<(), JournalError> {
        let path = self.path.clone();
        self.blocking(move |file, database| {
            let fresh = rewrite(database, &path);
            Ok(fresh.map(|fresh| file.database = Some(Arc::new(fresh))))
        })
        .await?
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut File, &Database) -> Result<T, redb::Error> + Send + 'static,
    ) -> Result<T, JournalError> {
        let journal = self.clone();
        let worked = tokio::task::spawn_blocking(move || {
            // One at a time: what is in the file and the level that is told of it never part.
            let mut file = locked(&journal.file);
            let database = journal.database(&mut file)?;
            let worked = work(&mut file, &database).map_err(|error| failure(&error));
            if let Err(JournalError::Full(_)) = worked {
                file.database = None;
            }
            *locked(&journal.level) = file.level;
            worked
        });
        worked
            .await
            .map_err(|error| JournalError::Failed(format!("the journal's thread ended: {error}")))?
    }

    /// The open file; opened again where the disk was full before.
    fn database(&self, file: &mut File) -> Result<Arc<Database>, JournalError> {
        if let Some(database) = &file.database {
            return Ok(database.clone());
        }
        let opened = create(&self.path).map_err(|error| JournalError::Full(error.to_string()))?;
        let (_, level) = begin(&opened).map_err(|error| failure(&error))?;
        file.level = level;
        Ok(file.database.insert(Arc::new(opened)).clone())
    }
}

/// No change of what is locked can be cut off half way, so it is whole behind a poisoned lock too.
fn locked<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}

fn create(path: &Path) -> Result<Database, redb::DatabaseError> {
    Database::builder().set_cache_size(CACHE).create(path)
}

/// Whether there is something in the file, and it isn't a journal's.
fn is_foreign(database: &Database) -> Result<bool, redb::Error> {
    let reading = database.begin_read()?;
    let names: Vec<_> = reading.list_tables()?.map(|table| table.name().to_owned()).collect();
    let ours = [RECORDS.name(), ABOUT.name(), ID.name()];
    let is_ours = names.len() == ours.len() && names.iter().all(|name| ours.contains(&&**name));
    Ok(!names.is_empty() && !is_ours)
}

/// Makes what a new file lacks.
fn begin(database: &Database) -> Result<(Arc<str>, Level), redb::Error> {
    let writing = database.begin_write()?;
    let begun = {
        let mut ids = writing.open_table(ID)?;
        let known = ids.get(())?.map(|id| Arc::<str>::from(id.value()));
        let id = match known {
            Some(id) => id,
            None => {
                let id = format!("{:032x}", rand::random::<u128>());
                ids.insert((), &*id)?;
                id.into()
            }
        };
        let records = writing.open_table(RECORDS)?.len()?;
        let bytes = writing.open_table(ABOUT)?.get(BYTES)?.map_or(0, |bytes| bytes.value());
        (id, Level { records, bytes })
    };
    writing.commit()?;
    Ok(begun)
}

fn append(
    database: &Database,
    appended: &[Vec<u8>],
    level: Level,
    added: u64,
) -> Result<Level, redb::Error> {
    let level =
        Level { records: level.records + appended.len() as u64, bytes: level.bytes + added };
    let mut writing = database.begin_write()?;
    writing.set_durability(Durability::Immediate)?;
    {
        let mut about = writing.open_table(ABOUT)?;
        let mut records = writing.open_table(RECORDS)?;
        let mut next = about.get(NEXT)?.map_or(1, |next| next.value());
        for record in appended {
            records.insert(next, record.as_slice())?;
            next += 1;
        }
        about.insert(NEXT, next)?;
        about.insert(BYTES, level.bytes)?;
    }
    writing.commit()?;
    Ok(level)
}

fn remove_through(database: &Database, seq: u64, level: Level) -> Result<Level, redb::Error> {
    let mut writing = database.begin_write()?;
    writing.set_durability(Durability::Immediate)?;
    let mut left = level;
    {
        let mut records = writing.open_table(RECORDS)?;
        for removed in records.extract_from_if(..=seq, |_, _| true)? {
            let (_, record) = removed?;
            left.records -= 1;
            left.bytes -= size(record.value());
        }
        writing.open_table(ABOUT)?.insert(BYTES, left.bytes)?;
    }
    writing.commit()?;
    Ok(left)
}

/// The same journal in a file of its own in the place of the first.
fn rewrite(database: &Database, path: &Path) -> Result<Database, JournalError> {
    let beside = beside(path);
    let full = |cause: String| JournalError::Full(format!("it can't be written anew: {cause}"));
    let written = abandon(&beside).and_then(|()| private(&beside)).map_err(|e| e.to_string());
    let written = written.and_then(|()| create(&beside).map_err(|error| error.to_string()));
    let written = written.and_then(|fresh| {
        copy(database, &fresh).map_err(|error| error.to_string())?;
        Ok(fresh)
    });
    let fresh = match written {
        Ok(fresh) => fresh,
        Err(cause) => {
            if let Err(error) = abandon(&beside) {
                tracing::error!("journal: a file that was begun can't be removed: {error}");
            }
            return Err(full(cause));
        }
    };
    let placed = std::fs::rename(&beside, path).and_then(|()| sync_folder(folder_of(path)));
    placed.map_err(|error| {
        JournalError::Failed(format!(
            "the file that was written anew can't be put in place: {error}"
        ))
    })?;
    Ok(fresh)
}

fn copy(from: &Database, to: &Database) -> Result<(), redb::Error> {
    let reading = from.begin_read()?;
    let mut writing = to.begin_write()?;
    writing.set_durability(Durability::Immediate)?;
    {
        let mut records = writing.open_table(RECORDS)?;
        for record in reading.open_table(RECORDS)?.iter()? {
            let (number, record) = record?;
            records.insert(number.value(), record.value())?;
        }
        let mut about = writing.open_table(ABOUT)?;
        for fact in reading.open_table(ABOUT)?.iter()? {
            let (name, number) = fact?;
            about.insert(name.value(), number.value())?;
        }
        let mut ids = writing.open_table(ID)?;
        for id in reading.open_table(ID)?.iter()? {
            ids.insert((), id?.1.value())?;
        }
    }
    writing.commit()?;
    Ok(())
}

fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".rewrite");
    name.into()
}

fn abandon(file: &Path) -> std::io::Result<()> {
    match std::fs::remove_file(file) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

fn size(record: &[u8]) -> u64 {
    record.len() as u64 + OVERHEAD
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

/// A full disk can be waited out; any other failure leaves the outcome unknown.
fn failure(error: &redb::Error) -> JournalError {
    if let redb::Error::Io(io) = error
        && matches!(io.kind(), std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded)
    {
        return JournalError::Full(io.to_string());
    }
    JournalError::Failed(error.to_string())
}

#[cfg(test)]
mod tests;
