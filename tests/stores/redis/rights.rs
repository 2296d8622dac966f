//! A user of the server who may do less than everything.

use sidenote::config::{self, Secret};
use sidenote::ids::SessionId;
use sidenote::store::{RedisOpenError, RedisStore, Store, StoreError};
use sidenote_tests::RedisServer;

use super::{client, held, row, rows, send};

/// A configuration for a user of its own, who may do this.
async fn user(server: &RedisServer, rights: &[&str]) -> config::Redis {
    let mut admin = client(&server.config()).await;
    let set = ["ACL", "SETUSER", "sn", "reset", "on", ">päss wörd"];
    let () = send(&mut admin, &[&set[..], rights].concat()).await;
    let mut config = server.config();
    config.user = Some("sn".to_owned());
    config.password = Some(Secret::new("päss wörd"));
    config
}

async fn refused(config: &config::Redis) -> String {
    match RedisStore::open(config).await {
        Err(error @ RedisOpenError::NotAllowed { .. }) => error.to_string(),
        Err(error) => panic!("another error: {error}"),
        Ok(_) => panic!("it was opened"),
    }
}

/// The rights of the line that an error has to paste.
fn pasted(error: &str) -> Vec<&str> {
    let line = error.split("ACL SETUSER sn ").nth(1).expect("a line to paste");
    line.split(';').next().expect("its end").split(' ').collect()
}

/// Everything that a store does.
async fn works(config: &config::Redis) {
    let store = held(config).await;
    store.commit(row(1, "a")).await.expect("a commit");
    assert_eq!(rows(&store).await.expect("rows").len(), 1);
    let delete =
        sidenote::store::Change::Delete(super::key(sidenote::store::Table::Open, ("p", "s"), 1));
    store.commit(std::sync::Arc::new([delete])).await.expect("a removal");
    store.scan(sidenote::store::Table::Open, None, 10).await.expect("a scan");
    if let Some(snapshots) = store.snapshots() {
        let session = SessionId::new("s").expect("not empty");
        assert!(snapshots.swap(&session, None, b"{}").await.expect("a swap"));
        assert!(snapshots.remove(&session, b"{}").await.expect("a removal"));
    }
    assert!(store.has_room().await);
    store.release().await;
}

#[tokio::test]
async fn keys_that_may_not_be_used_are_named_at_the_start_with_the_line_to_paste() {
    let Some(server) = RedisServer::start(&[]).await else { return };
    let rights = ["~sidenote:*", "resetchannels", "+@all", "-@admin", "-@dangerous"];
    let mut config = user(&server, &rights).await;
    let error = refused(&config).await;
    assert!(error.contains("the keys autoplay:session_state:*"), "{error}");
    assert!(error.contains("sdk_sessions = false"), "{error}");
    assert!(!error.contains("the keys sidenote:"), "{error}");
    // Either way out works.
    config.sdk_sessions = false;
    let store = held(&config).await;
    assert!(store.snapshots().is_none());
    store.commit(row(1, "a")).await.unwrap();
    store.release().await;
    let pasted: Vec<_> = pasted(&error).into_iter().map(str::to_owned).collect();
    let rights: Vec<_> = pasted.iter().map(String::as_str).collect();
    let config = user(&server, &rights).await;
    works(&config).await;

    for missing in ["~sidenote:*", "~autoplay:session_state:*"] {
        let kept: Vec<_> = rights.iter().copied().filter(|right| *right != missing).collect();
        let config = user(&server, &kept).await;
        let error = refused(&config).await;
        assert!(error.contains(missing.trim_start_matches('~').trim_end_matches('*')), "{error}");
    }
}

#[tokio::test]
async fn every_command_that_may_not_be_used_is_named_at_the_start() {
    let Some(server) = RedisServer::start(&[]).await else { return };
    let config = user(&server, &["~sidenote:*", "+@all"]).await;
    let error = refused(&config).await;
    let rights: Vec<_> = pasted(&error).into_iter().map(str::to_owned).collect();
    let commands: Vec<_> = rights.iter().filter(|right| right.starts_with('+')).collect();
    assert!(commands.len() > 15, "{commands:?}");
    for command in commands {
        let kept = rights.iter().filter(|right| *right != command).map(String::as_str);
        let config = user(&server, &kept.collect::<Vec<_>>()).await;
        let name = command.trim_start_matches('+');
        // How the server keeps what it is given is a warning only, and its time is compared by `doctor` alone.
        if matches!(name, "info" | "config|get" | "time") {
            RedisStore::open(&config).await.expect("it opens");
            continue;
        }
        // A script that the server has already needn't be loaded.
        if name == "script|load" {
            let mut admin = client(&server.config()).await;
            let () = send(&mut admin, &["SCRIPT", "FLUSH"]).await;
        }
        let error = refused(&config).await.to_lowercase();
        let said = error.split("run there").next().expect("a cause");
        assert!(said.contains(name), "{name}: {said}");
    }
}

#[tokio::test]
async fn rights_that_are_taken_away_later_are_a_refusal_and_no_absence_and_leave_no_half_commit() {
    let Some(server) = RedisServer::start(&[]).await else { return };
    let config = user(&server, &["~*", "+@all"]).await;
    let store = held(&config).await;
    store.commit(row(1, "before")).await.unwrap();
    let mut admin = client(&server.config()).await;
    for right in ["-hset", "-zadd", "-evalsha", "-set", "-hdel", "resetkeys"] {
        let () = send(&mut admin, &["ACL", "SETUSER", "sn", right]).await;
        let kept = store.commit(row(2, "during")).await;
        assert!(matches!(kept, Err(StoreError::Refused(_))), "{right}: {kept:?}");
        let () = send(&mut admin, &["ACL", "SETUSER", "sn", "~*", "+@all"]).await;
        assert_eq!(rows(&store).await.unwrap().len(), 1, "{right}: nothing of it is there");
    }
    let () = send(&mut admin, &["ACL", "SETUSER", "sn", "resetpass", ">another"]).await;
    let () = send(&mut admin, &["CLIENT", "KILL", "USER", "sn"]).await;
    let mut refused = store.commit(row(2, "during")).await;
    // The connection's end is found out about first.
    for _ in 0..50 {
        if matches!(refused, Err(StoreError::Refused(_))) {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        refused = store.commit(row(2, "during")).await;
    }
    assert!(matches!(refused, Err(StoreError::Refused(_))), "{refused:?}");
    let () = send(&mut admin, &["ACL", "SETUSER", "sn", "resetpass", ">päss wörd"]).await;
    let mut back = store.commit(row(2, "after")).await;
    for _ in 0..50 {
        if back.is_ok() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        back = store.commit(row(2, "after")).await;
    }
    back.expect("it is let in again");
    assert_eq!(rows(&store).await.unwrap().len(), 2);
}
