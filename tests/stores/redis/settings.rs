use sidenote::config::{self, Secret};
use sidenote::store::{RedisOpenError, RedisStore, RedisWarning, Store};
use sidenote_tests::RedisServer;

use super::{client, held, row, send};

type Options<'a> = &'a [(&'a str, &'a str)];

async fn refusal(config: &config::Redis) -> RedisOpenError {
    match RedisStore::open(config).await {
        Ok(_) => panic!("it was opened"),
        Err(error) => error,
    }
}

#[tokio::test]
async fn what_a_servers_settings_put_at_risk_is_told() {
    let evicts = |policy: &str| RedisWarning::Evicts { policy: policy.to_owned() };
    let volatile = |policy: &str| RedisWarning::EvictsSnapshots { policy: policy.to_owned() };
    let cases: [(Options<'_>, &[RedisWarning]); 6] = [
        (&[("appendonly", "yes"), ("appendfsync", "always")], &[]),
        (&[("appendonly", "yes"), ("appendfsync", "everysec")], &[RedisWarning::LastSecond]),
        (&[("appendonly", "yes"), ("appendfsync", "no")], &[RedisWarning::WrittenAtSomeTime]),
        (&[], &[RedisWarning::NothingOnDisk]),
        (&[("save", "60 5")], &[RedisWarning::OnlySnapshots { save: "60 5".to_owned() }]),
        (
            &[("maxmemory", "50mb"), ("maxmemory-policy", "allkeys-lru")],
            &[evicts("allkeys-lru"), RedisWarning::NothingOnDisk],
        ),
    ];
    for (options, warnings) in cases {
        let Some(server) = RedisServer::start(options).await else { return };
        let store = RedisStore::open(&server.config()).await.unwrap();
        assert_eq!(store.warnings(), warnings, "{options:?}");
        let mut client = client(&server.config()).await;
        let () = send(&mut client, &["CONFIG", "SET", "maxmemory", "50mb"]).await;
        let () = send(&mut client, &["CONFIG", "SET", "maxmemory-policy", "volatile-ttl"]).await;
        let store = RedisStore::open(&server.config()).await.unwrap();
        assert!(store.warnings().contains(&volatile("volatile-ttl")));
    }
}

#[tokio::test]
async fn settings_that_may_not_be_read_are_told_as_unchecked() {
    let Some(server) = RedisServer::start(&[("requirepass", "master")]).await else { return };
    let mut config = server.config();
    config.password = Some(Secret::new("master".to_owned()));
    let mut admin = config.clone();
    admin.url = config.url.replace("redis://", "redis://:master@");
    let mut client = client(&admin).await;
    let rule = ["ACL", "SETUSER", "notes", "on", ">pass word", "~*", "+@all", "-config"];
    let () = send(&mut client, &rule).await;

    config.user = Some("notes".to_owned());
    config.password = Some(Secret::new("pass word".to_owned()));
    let store = held(&config).await;
    assert!(
        matches!(store.warnings(), [RedisWarning::Unchecked { cause }] if cause.contains("NOPERM")),
        "{:?}",
        store.warnings()
    );
    store.commit(row(1, "a")).await.unwrap();
}

#[tokio::test]
async fn a_wrong_password_is_refused_and_never_repeated() {
    let Some(server) = RedisServer::start(&[("requirepass", "right")]).await else { return };
    for password in [None, Some("hunter2")] {
        let mut config = server.config();
        config.password = password.map(|password| Secret::new(password.to_owned()));
        let error = refusal(&config).await;
        assert!(matches!(error, RedisOpenError::Refused { .. }), "{error}");
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
        assert!(error.to_string().contains("store.password"), "{error}");
    }
    let mut config = server.config();
    config.password = Some(Secret::new("right".to_owned()));
    held(&config).await.commit(row(1, "a")).await.unwrap();
}

#[tokio::test]
async fn a_server_that_cannot_be_used_is_refused_with_the_way_out() {
    let Some(mut server) = RedisServer::start(&[("cluster-enabled", "yes")]).await else { return };
    let error = refusal(&server.config()).await;
    assert!(matches!(error, RedisOpenError::Cluster { .. }), "{error}");

    server.kill();
    let error = refusal(&server.config()).await;
    assert!(matches!(error, RedisOpenError::Unreachable { .. }), "{error}");
    let mut config = server.config();
    config.url = config.url.replace("redis://", "redis://user:hunter2@");
    assert!(!refusal(&config).await.to_string().contains("hunter2"));

    config.url = "redis://127.0.0.1/nonsense".to_owned();
    assert!(matches!(refusal(&config).await, RedisOpenError::Address(_)));
    config = server.config();
    config.namespace = "autoplay:session_state".to_owned();
    assert!(matches!(refusal(&config).await, RedisOpenError::Namespace(_)));
}
