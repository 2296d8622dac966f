use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::reserve::has_free;
use super::{EmbeddedStore, FORMAT, OpenError, inspect};
use crate::store::{Change, Group, Key, Store, StoreError, Table};

const RESERVE: u64 = 1 << 20;

fn put(number: u64, value: &str) -> Arc<[Change]> {
    let key = Key { table: Table::Open, group: Group("p".into(), "s".into()), number };
    Arc::new([Change::Put(key, value.as_bytes().to_vec())])
}

async fn numbers(store: &EmbeddedStore) -> Vec<u64> {
    let rows = store.load(Table::Open, &[Group("p".into(), "s".into())]).await.unwrap().remove(0);
    rows.into_iter().map(|row| row.0).collect()
}

fn reserve_of(path: &Path) -> PathBuf {
    path.with_extension("redb.reserve")
}

/// A file system of a few megabytes, mounted for a test.
struct SmallDisk {
    folder: tempfile::TempDir,
}

impl SmallDisk {
    fn mount(megabytes: usize) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mounted = std::process::Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={megabytes}m"), "tmpfs"])
            .arg(folder.path())
            .status();
        if mounted.is_ok_and(|status| status.success()) {
            return Some(Self { folder });
        }
        println!("left out: a small file system can't be mounted here, it needs root");
        None
    }

    fn store(&self) -> PathBuf {
        self.folder.path().join("store.redb")
    }

    fn fill(&self) {
        use std::io::Write;
        let mut ballast = std::fs::File::create(self.folder.path().join("ballast")).unwrap();
        while ballast.write_all(&[7; 4096]).is_ok() {}
    }

    /// A process that another test begins holds the file open for a moment, and with it the room.
    fn empty(&self) {
        let (folder, ballast) = (self.folder.path(), self.folder.path().join("ballast"));
        let len = std::fs::metadata(&ballast).unwrap().len();
        std::fs::remove_file(ballast).unwrap();
        for _ in 0..1000 {
            if has_free(folder, len).unwrap() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        panic!("the room of a removed file isn't free after ten seconds");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let unmounted =
            std::process::Command::new("umount").arg("-l").arg(self.folder.path()).status();
        assert!(unmounted.unwrap().success());
    }
}

#[tokio::test]
async fn everything_is_there_after_a_reopen() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("made/for/it/store.redb");
    let store = EmbeddedStore::open(&path).unwrap();
    store.commit(put(1, "kept")).await.unwrap();
    drop(store);
    assert_eq!(numbers(&EmbeddedStore::open(&path).unwrap()).await, [1]);
}

#[test]
fn the_file_and_the_reserve_are_their_owners_only() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    let store = EmbeddedStore::open_with_reserve(&path, RESERVE).unwrap();
    for file in [&path, &reserve_of(&path)] {
        assert_eq!(std::fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
    }
    drop(store);
}

#[test]
fn it_says_who_has_it_open_and_what_is_no_store() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    let store = EmbeddedStore::open(&path).unwrap();
    assert!(matches!(EmbeddedStore::open(&path), Err(OpenError::InUse(_))));
    drop(store);
    let other = folder.path().join("text.redb");
    std::fs::write(&other, "not a store").unwrap();
    assert!(matches!(EmbeddedStore::open(&other), Err(OpenError::Unusable { .. })));
}

#[tokio::test]
async fn a_file_whose_making_was_cut_off_is_made_again_and_a_damaged_one_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    std::fs::write(&path, vec![0; 1 << 20]).unwrap();
    let store = EmbeddedStore::open(&path).unwrap();
    store.commit(put(1, "kept")).await.unwrap();
    drop(store);

    let mut damaged = std::fs::read(&path).unwrap();
    damaged[..9].fill(0);
    std::fs::write(&path, &damaged).unwrap();
    assert!(matches!(EmbeddedStore::open(&path), Err(OpenError::Unusable { .. })));
    assert!(std::fs::read(&path).unwrap() == damaged, "the file was changed");
}

#[test]
fn the_reserve_holds_real_room_of_the_length_that_is_configured() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    let reserve = reserve_of(&path);
    // Left by a process that was ended while it made it: the length is right, the room isn't there.
    std::fs::File::create(&reserve).unwrap().set_len(RESERVE).unwrap();
    for len in [RESERVE, RESERVE / 2, RESERVE] {
        let store = EmbeddedStore::open_with_reserve(&path, len).unwrap();
        assert!(!store.is_short());
        let found = std::fs::metadata(&reserve).unwrap();
        assert_eq!(found.len(), len);
        assert!(found.blocks() * 512 >= len, "{} blocks are no room", found.blocks());
    }
    drop(EmbeddedStore::open(&path).unwrap());
    assert!(!reserve.exists(), "a reserve that nobody wants is left");
}

#[tokio::test]
async fn a_full_disk_is_taken_back_into_use_when_space_returns() {
    let Some(disk) = SmallDisk::mount(4) else { return };
    let store = EmbeddedStore::open(&disk.store()).unwrap();
    store.commit(put(1, "before")).await.unwrap();
    disk.fill();
    let large = put(2, &"x".repeat(3 << 20));
    for _ in 0..3 {
        let refused = store.commit(large.clone()).await;
        assert!(matches!(refused, Err(StoreError::Full(_))), "{refused:?}");
    }
    disk.empty();
    store.commit(put(3, "after")).await.unwrap();
    assert_eq!(numbers(&store).await, [1, 3], "what was committed is there, what was refused not");
}

#[tokio::test]
async fn the_reserve_takes_what_is_under_way_and_is_put_back_when_space_returns() {
    let Some(disk) = SmallDisk::mount(6) else { return };
    let (path, reserve) = (disk.store(), reserve_of(&disk.store()));
    let store = EmbeddedStore::open_with_reserve(&path, RESERVE).unwrap();
    store.commit(put(1, "before")).await.unwrap();
    assert!(reserve.exists() && !store.is_short() && store.has_room().await);
    disk.fill();

    // The file has room of its own that was written to before; then the reserve goes.
    let value = "x".repeat(200 << 10);
    let mut number = 1;
    while !store.is_short() {
        number += 1;
        store.commit(put(number, &value)).await.unwrap();
    }
    assert!(!reserve.exists() && !store.has_room().await);
    let refused = loop {
        number += 1;
        if let Err(refused) = store.commit(put(number, &value)).await {
            break refused;
        }
        assert!(number < 100, "six megabytes took {number} rows");
    };
    assert!(matches!(refused, StoreError::Full(_)), "{refused:?}");
    assert_eq!(numbers(&store).await, (1..number).collect::<Vec<_>>());
    assert!(store.is_short() && !store.has_room().await && !reserve.exists());

    disk.empty();
    assert!(store.has_room().await && !store.is_short());
    assert_eq!(std::fs::metadata(&reserve).unwrap().len(), RESERVE);
    store.commit(put(number, "after")).await.unwrap();
    drop(store);
    let store = EmbeddedStore::open_with_reserve(&path, RESERVE).unwrap();
    assert_eq!(numbers(&store).await, (1..=number).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_store_opens_on_a_full_disk_and_is_short() {
    let Some(disk) = SmallDisk::mount(6) else { return };
    let store = EmbeddedStore::open(&disk.store()).unwrap();
    store.commit(put(1, "before")).await.unwrap();
    drop(store);
    disk.fill();
    let store = EmbeddedStore::open_with_reserve(&disk.store(), RESERVE).unwrap();
    assert!(store.is_short() && !store.has_room().await);
    assert_eq!(numbers(&store).await, [1]);
    disk.empty();
    assert!(store.has_room().await && !store.is_short());
}

#[tokio::test]
async fn the_file_tells_its_length_and_each_sync_also_when_it_was_written_anew() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    let store = EmbeddedStore::open(&path).unwrap();
    let told = |store: &EmbeddedStore| {
        let file = store.file().unwrap();
        assert_eq!(file.bytes, Some(std::fs::metadata(&path).unwrap().len()));
        file.syncs.count()
    };
    let mut before = told(&store);
    for n in 0..50 {
        store.commit(put(n, &"x".repeat(100_000))).await.unwrap();
        let now = told(&store);
        assert!(now > before, "a commit is on the disk when it answers");
        before = now;
    }
    store.scrub().await.unwrap();
    store.commit(put(0, "short")).await.unwrap();
    assert!(told(&store) > before, "what was counted goes on");
}

#[tokio::test]
async fn a_copy_holds_what_was_committed_when_it_was_asked_for_and_is_a_store_by_itself() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    let store = EmbeddedStore::open(&path).unwrap();
    for n in 0..300 {
        store.commit(put(n, &"x".repeat(10_000))).await.unwrap();
    }
    let committing = async {
        for n in 300..340 {
            store.commit(put(n, "meanwhile")).await.unwrap();
        }
        store.scrub().await.unwrap();
    };
    let (copy, ()) = tokio::join!(store.backup(), committing);
    let mut file = copy.unwrap();
    let to = folder.path().join("copy.redb");
    std::io::Seek::rewind(&mut file).unwrap();
    std::io::copy(&mut file, &mut std::fs::File::create(&to).unwrap()).unwrap();
    let copied = numbers(&EmbeddedStore::open(&to).unwrap()).await;
    assert!(copied.len() >= 300 && copied.len() <= 340, "{}", copied.len());
    assert_eq!(copied, (0..copied.len() as u64).collect::<Vec<_>>(), "it is of one moment");
    assert_eq!(numbers(&store).await.len(), 340, "the store went on");
    let left = std::fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(left, 2, "the copy itself has no name");
}

#[tokio::test]
async fn a_full_disk_has_no_copy_and_its_store_goes_on() {
    let Some(disk) = SmallDisk::mount(6) else { return };
    let store = EmbeddedStore::open(&disk.store()).unwrap();
    store.commit(put(1, "before")).await.unwrap();
    disk.fill();
    let refused = store.backup().await;
    assert!(matches!(refused, Err(crate::store::BackupError::Full(_))), "{refused:?}");
    disk.empty();
    store.commit(put(2, "after")).await.unwrap();
    assert_eq!(numbers(&store).await, [1, 2]);
}

#[tokio::test]
async fn a_file_of_a_later_format_is_refused_and_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    drop(EmbeddedStore::open(&path).unwrap());
    let later = redb::Database::open(&path).unwrap();
    let writing = later.begin_write().unwrap();
    let table = redb::TableDefinition::<&str, u64>::new("sidenote");
    writing.open_table(table).unwrap().insert("format", FORMAT + 1).unwrap();
    writing.commit().unwrap();
    drop(later);
    let refused = EmbeddedStore::open(&path).map(drop).unwrap_err();
    let wanted =
        format!("has the format {}, and this build reads those up to {FORMAT}", FORMAT + 1);
    assert!(refused.to_string().contains(&wanted), "{refused}");
    assert_eq!(inspect(&path, |_| true).unwrap().format, FORMAT + 1);
}

#[tokio::test]
async fn a_file_that_nobody_has_open_can_be_looked_at() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    let store = EmbeddedStore::open(&path).unwrap();
    store.commit(put(1, "x")).await.unwrap();
    store.commit(put(2, "y")).await.unwrap();
    assert!(matches!(inspect(&path, |_| true), Err(OpenError::InUse(_))));
    drop(store);
    let before = std::fs::read(&path).unwrap();
    let found = inspect(&path, |row| row == b"x").unwrap();
    let bytes = before.len() as u64;
    assert_eq!(found, super::FileReport { format: FORMAT, rows: 2, earlier: 1, bytes });
    assert!(std::fs::read(&path).unwrap() == before, "it is only looked at");
    assert!(inspect(&folder.path().join("none"), |_| true).is_err());
}
