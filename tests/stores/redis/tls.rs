use std::path::Path;
use std::process::Command;

use sidenote::config;
use sidenote::store::{RedisOpenError, RedisStore, Store};
use sidenote_tests::RedisServer;

use super::{held, row, rows};

/// Tells the second half of the test where the server is.
const URL: &str = "SIDENOTE_TEST_REDIS_TLS";

#[tokio::test]
async fn a_server_behind_tls_is_reached_where_its_certificate_is_trusted() {
    let folder = tempfile::tempdir().unwrap();
    let (certificate, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    if !make_certificate(&certificate, &key) {
        assert!(std::env::var_os("CI").is_none(), "openssl isn't there");
        println!("left out: openssl isn't there, which makes the certificate");
        return;
    }
    let port = sidenote_tests::free_address().port().to_string();
    let (certificate, key) = (certificate.to_str().unwrap(), key.to_str().unwrap());
    let options = [
        ("tls-port", &*port),
        ("tls-cert-file", certificate),
        ("tls-key-file", key),
        ("tls-auth-clients", "no"),
    ];
    let Some(_server) = RedisServer::start(&options).await else { return };
    let url = format!("rediss://localhost:{port}");

    let refused = RedisStore::open(&config::Redis::at(&url)).await.err();
    let said = refused.as_ref().map(ToString::to_string).unwrap_or_default();
    assert!(matches!(refused, Some(RedisOpenError::Unreachable { .. })), "{said}");
    assert!(said.contains("certificate"), "{said}");

    // What is trusted is read from the environment, which is one for all tests of this process.
    let trusting = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "redis::tls::trusting_half"])
        .env("SSL_CERT_FILE", certificate)
        .env(URL, &url)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&trusting.stdout);
    assert!(trusting.status.success() && said.contains("1 passed"), "{said}");
}

#[tokio::test]
#[ignore = "the test above runs it in a process that trusts the certificate"]
async fn trusting_half() {
    let store = held(&config::Redis::at(std::env::var(URL).unwrap())).await;
    store.commit(row(1, "a")).await.unwrap();
    assert_eq!(rows(&store).await.unwrap(), [(1, "a".to_owned())]);
}

fn make_certificate(certificate: &Path, key: &Path) -> bool {
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"])
        .args(["-nodes", "-days", "2", "-subj", "/CN=localhost"])
        .args(["-addext", "subjectAltName=DNS:localhost"])
        .args(["-addext", "basicConstraints=critical,CA:FALSE"])
        .arg("-keyout")
        .arg(key)
        .arg("-out")
        .arg(certificate)
        .output();
    made.is_ok_and(|made| made.status.success())
}
