use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::store::EmbeddedStore;

const LARGE: usize = 1 << 20;

fn records(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

async fn peeked(journal: &Journal, limit: usize) -> Vec<(u64, String)> {
    let peeked = journal.peek(limit).await.unwrap();
    peeked.into_iter().map(|(seq, record)| (seq, String::from_utf8(record).unwrap())).collect()
}

#[tokio::test]
async fn records_come_out_in_the_order_in_which_they_went_in() {
    let folder = tempfile::tempdir().unwrap();
    let journal = Journal::open(&folder.path().join("new/journal"), LARGE).unwrap();
    assert!(journal.is_empty());
    assert_eq!(peeked(&journal, LARGE).await, []);
    journal.append(records(&["a", "b"])).await.unwrap();
    journal.append(records(&[])).await.unwrap();
    journal.append(records(&["", "d"])).await.unwrap();
    assert_eq!(journal.len(), 4);

    let all = [(1, "a".into()), (2, "b".into()), (3, String::new()), (4, "d".into())];
    assert_eq!(peeked(&journal, LARGE).await, all);
    assert_eq!(peeked(&journal, 2).await, all[..3], "so many bytes");
    assert_eq!(peeked(&journal, 0).await, all[..1], "one at least");

    journal.remove_through(2).await.unwrap();
    assert_eq!(peeked(&journal, LARGE).await, all[2..]);
    journal.remove_through(2).await.unwrap();
    assert_eq!(journal.len(), 2, "again is fine");
    journal.remove_through(99).await.unwrap();
    assert!(journal.is_empty());
    assert_eq!(journal.bytes(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_many_append_at_once_has_numbers_without_gaps() {
    let folder = tempfile::tempdir().unwrap();
    let journal = Journal::open(&folder.path().join("journal"), LARGE).unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..4 {
        let journal = journal.clone();
        tasks.spawn(async move {
            for number in 0..20 {
                let pair = [format!("{task} {number} a"), format!("{task} {number} b")];
                journal.append(pair.map(String::into_bytes).into()).await.unwrap();
            }
        });
    }
    tasks.join_all().await;
    let peeked = peeked(&journal, LARGE).await;
    assert!(peeked.iter().map(|(seq, _)| *seq).eq(1..=160));
    assert!(peeked.chunks(2).all(|pair| {
        pair[0].1.strip_suffix('a').is_some_and(|text| pair[1].1.strip_suffix('b') == Some(text))
    }));
}

#[tokio::test]
async fn everything_is_there_after_a_reopen_and_numbers_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let journal = Journal::open(&path, LARGE).unwrap();
    let id = journal.id().to_owned();
    journal.append(records(&["a", "b"])).await.unwrap();
    let bytes = journal.bytes();
    drop(journal);

    let journal = Journal::open(&path, LARGE).unwrap();
    assert_eq!((journal.id(), journal.len(), journal.bytes()), (&*id, 2, bytes));
    assert_eq!(peeked(&journal, LARGE).await, [(1, "a".into()), (2, "b".into())]);
    journal.remove_through(2).await.unwrap();
    drop(journal);

    let journal = Journal::open(&path, LARGE).unwrap();
    assert!(journal.is_empty());
    journal.append(records(&["c"])).await.unwrap();
    assert_eq!(peeked(&journal, LARGE).await, [(3, "c".into())], "no number twice");
    let other = Journal::open(&folder.path().join("other"), LARGE).unwrap();
    assert_ne!(other.id(), id);
}

#[tokio::test]
async fn a_full_journal_stores_nothing_of_what_it_refuses() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let journal = Journal::open(&path, 1000).unwrap();
    let large = || vec![b'x'; 400];
    journal.append(vec![large(), large()]).await.unwrap();
    let refused = journal.append(vec![vec![b'y'], large()]).await;
    assert!(matches!(refused, Err(JournalError::Full(_))), "{refused:?}");
    assert_eq!(journal.len(), 2);
    journal.append(records(&["it fits"])).await.unwrap();
    let numbers: Vec<_> = peeked(&journal, LARGE).await.into_iter().map(|row| row.0).collect();
    assert_eq!(numbers, [1, 2, 3], "a refused record has no number");

    journal.remove_through(1).await.unwrap();
    journal.append(vec![large()]).await.unwrap();
    drop(journal);
    let journal = Journal::open(&path, 1000).unwrap();
    let refused = journal.append(vec![large()]).await;
    assert!(matches!(refused, Err(JournalError::Full(_))), "it knows after a reopen: {refused:?}");
}

#[tokio::test]
async fn many_empty_records_are_bounded_too() {
    let folder = tempfile::tempdir().unwrap();
    let journal = Journal::open(&folder.path().join("journal"), 1000).unwrap();
    let mut taken = 0;
    while journal.append(vec![Vec::new()]).await.is_ok() {
        taken += 1;
        assert!(taken <= 1000, "there is no end");
    }
    assert_eq!(journal.len(), taken);
}

#[test]
fn a_file_that_is_no_journal_is_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("text");
    std::fs::write(&text, "not a journal").unwrap();
    assert!(matches!(Journal::open(&text, LARGE), Err(JournalError::Unusable { .. })));
    assert_eq!(std::fs::read(&text).unwrap(), b"not a journal");

    let store = folder.path().join("store.redb");
    drop(EmbeddedStore::open(&store).unwrap());
    assert!(matches!(Journal::open(&store, LARGE), Err(JournalError::Unusable { .. })));
    EmbeddedStore::open(&store).unwrap();
}

#[test]
fn the_file_is_its_owners_and_one_process_has_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let journal = Journal::open(&path, LARGE).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(matches!(Journal::open(&path, LARGE), Err(JournalError::InUse(_))));
    drop(journal);
    Journal::open(&path, LARGE).unwrap();
}

/// A copy of the file is what a power cut would leave of it.
#[tokio::test]
async fn what_was_appended_is_on_the_disk_when_append_returns() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let journal = Journal::open(&path, LARGE).unwrap();
    for round in 1..=5u64 {
        let copy = folder.path().join(round.to_string());
        journal.append(records(&["a", "b"])).await.unwrap();
        journal.remove_through(2 * round - 1).await.unwrap();
        std::fs::copy(&path, &copy).unwrap();
        let left = Journal::open(&copy, LARGE).unwrap();
        assert_eq!((left.id(), left.len()), (journal.id(), 1));
        assert_eq!(peeked(&left, LARGE).await, [(2 * round, "b".to_owned())]);
    }
}

#[tokio::test]
async fn a_full_disk_is_taken_back_into_use_when_space_returns() {
    let folder = tempfile::tempdir().unwrap();
    let mounted = std::process::Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=4m", "tmpfs"])
        .arg(folder.path())
        .status();
    if !mounted.is_ok_and(|status| status.success()) {
        println!("left out: a small file system can't be mounted here, it needs root");
        return;
    }
    let ballast = folder.path().join("ballast");
    let journal = Journal::open(&folder.path().join("journal"), 64 << 20).unwrap();
    journal.append(records(&["before"])).await.unwrap();
    let mut size = 4 << 20;
    while size > 4096 && std::fs::write(&ballast, vec![0; size]).is_err() {
        size -= 64 << 10;
    }
    for _ in 0..3 {
        let refused = journal.append(vec![vec![0; 3 << 20]]).await;
        assert!(matches!(refused, Err(JournalError::Full(_))), "{refused:?}");
        assert_eq!(journal.len(), 1);
    }
    std::fs::remove_file(&ballast).unwrap();
    journal.append(records(&["after"])).await.unwrap();
    assert_eq!(peeked(&journal, LARGE).await, [(1, "before".into()), (2, "after".into())]);
    drop(journal);
    let unmounted = std::process::Command::new("umount").arg("-l").arg(folder.path()).status();
    assert!(unmounted.unwrap().success());
}
