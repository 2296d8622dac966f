//! Where the file and its reserve lie.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use redb::StorageBackend;
use redb::backends::FileBackend;

use super::folder::{folder_of, make_folder, sync_folder};
use super::reserve::{Reserve, has_free};

/// What a store stands on: the file of the rows, and the reserve beside it. A folder of a real disk, or
/// a simulated one that fails when a test wants it to.
pub trait Disk: Send + Sync + 'static {
    /// The file's name, for messages.
    fn name(&self) -> String;

    /// Opens the file; empty where it is used for the first time. Called again after the disk was full,
    /// when what it gave before is closed.
    ///
    /// # Errors
    /// The system's. One for want of space is waited out, any other is final.
    fn open_file(&self) -> io::Result<Box<dyn StorageBackend>>;

    /// An empty file beside the file, for what the file holds to be written anew; one that was begun before
    /// is gone. `None`: this disk has no space for names.
    ///
    /// # Errors
    /// The system's; for want of space where `len` bytes are not free.
    fn begin_rewrite(&self, len: u64) -> io::Result<Option<Box<dyn StorageBackend>>> {
        tracing::debug!(len, "store: this disk holds one file; it isn't written anew");
        Ok(None)
    }

    /// Puts the file of [`Disk::begin_rewrite`] in the place of the file, which is still open then and has
    /// no name any more.
    ///
    /// # Errors
    /// The system's: which of the two has the name isn't known.
    fn finish_rewrite(&self) -> io::Result<()> {
        Ok(())
    }

    /// Removes the file of [`Disk::begin_rewrite`].
    ///
    /// # Errors
    /// The system's.
    fn abandon_rewrite(&self) -> io::Result<()> {
        Ok(())
    }

    /// An empty file without a name, for a copy of what the file holds: it is gone when nobody has it open. `None`: this
    /// disk holds no such file.
    ///
    /// # Errors
    /// The system's; for want of space where `len` bytes are not free.
    fn nameless(&self, len: u64) -> io::Result<Option<File>> {
        tracing::debug!(len, "store: this disk holds one file; it isn't copied");
        Ok(None)
    }

    /// Sees to it that the reserve stands: `false` if there is no space for it. A disk that keeps none
    /// answers `true`.
    ///
    /// # Errors
    /// The system's, other than for want of space.
    fn keep_reserve(&self) -> io::Result<bool>;

    /// Frees the reserve, so that its space can be used: `false` if there was none.
    ///
    /// # Errors
    /// The system's.
    fn give_up_reserve(&self) -> io::Result<bool>;
}

/// A folder of a real disk.
pub(super) struct LocalDisk {
    path: PathBuf,
    reserve: Reserve,
}

impl LocalDisk {
    /// Makes the file, and its folder, where they aren't there. Only its owner can read the file: it
    /// holds what people did.
    pub(super) fn new(path: &Path, reserve: u64) -> io::Result<Self> {
        let folder = folder_of(path);
        make_folder(folder)?;
        let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map(drop);
        match made {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let disk = Self { path: path.to_owned(), reserve: Reserve::beside(path, reserve) };
        // Left by a process that was ended while it wrote it. It may hold what was erased since.
        disk.abandon_rewrite()?;
        // The file's name must outlast a power loss like what is synced to the file itself.
        sync_folder(folder)?;
        Ok(disk)
    }
}

impl Disk for LocalDisk {
    fn name(&self) -> String {
        self.path.display().to_string()
    }

    fn open_file(&self) -> io::Result<Box<dyn StorageBackend>> {
        // Not made again if it has gone: rows were lost then, and that must be seen.
        let file = OpenOptions::new().read(true).write(true).open(&self.path)?;
        forget_cached(&file)?;
        let backend =
            FileBackend::new(file).map_err(|error| io::Error::other(error.to_string()))?;
        Ok(Box::new(backend))
    }

    fn begin_rewrite(&self, len: u64) -> io::Result<Option<Box<dyn StorageBackend>>> {
        self.abandon_rewrite()?;
        if !has_free(folder_of(&self.path), len)? {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true).mode(0o600);
        let file = options.open(self.rewritten())?;
        let backend =
            FileBackend::new(file).map_err(|error| io::Error::other(error.to_string()))?;
        Ok(Some(Box::new(backend)))
    }

    fn finish_rewrite(&self) -> io::Result<()> {
        std::fs::rename(self.rewritten(), &self.path)?;
        sync_folder(folder_of(&self.path))
    }

    fn abandon_rewrite(&self) -> io::Result<()> {
        match std::fs::remove_file(self.rewritten()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed,
        }
    }

    fn nameless(&self, len: u64) -> io::Result<Option<File>> {
        if !has_free(folder_of(&self.path), len)? {
            return Err(io::ErrorKind::StorageFull.into());
        }
        tempfile::tempfile_in(folder_of(&self.path)).map(Some)
    }

    fn keep_reserve(&self) -> io::Result<bool> {
        self.reserve.keep()
    }

    fn give_up_reserve(&self) -> io::Result<bool> {
        self.reserve.give_up()
    }
}

impl LocalDisk {
    fn rewritten(&self) -> PathBuf {
        let mut name = self.path.as_os_str().to_owned();
        name.push(".rewrite");
        name.into()
    }
}

/// Has the file read from the disk. After a failed sync the system still shows what it couldn't write,
/// to a process that starts anew as well, and doesn't try to write it again.
#[cfg(target_os = "linux")]
fn forget_cached(file: &File) -> io::Result<()> {
    Ok(rustix::fs::fadvise(file, 0, None, rustix::fs::Advice::DontNeed)?)
}

/// There is no such request here.
#[cfg(not(target_os = "linux"))]
fn forget_cached(_file: &File) -> io::Result<()> {
    Ok(())
}
