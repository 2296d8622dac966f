//! A release on an empty root, and in a container's: with `SIDENOTE_RELEASE`, the folder that `cargo xtask release` filled. It
//! needs root, for a root of its own, and takes minutes to build before; without the variable nothing is shown here.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use hmac::{Hmac, Mac};
use sha2::Sha256;
use tokio::time::Instant;

/// Nobody in particular.
const NOBODY: u32 = 65532;

/// The archive; `None` where nobody built one, which is said.
#[expect(clippy::print_stdout, reason = "a test says what it leaves out")]
fn archive() -> Option<PathBuf> {
    let Some(folder) = std::env::var_os("SIDENOTE_RELEASE") else {
        println!("left out: SIDENOTE_RELEASE names no folder of a release");
        return None;
    };
    let mut found =
        std::fs::read_dir(folder).expect("a step of the test").flatten().map(|it| it.path());
    found.find(|it| it.to_string_lossy().ends_with(".tar.gz"))
}

/// Unpacks the archive. The folder in it.
fn unpacked(archive: &Path, to: &Path) -> PathBuf {
    let tar = Command::new("tar")
        .arg("xzf")
        .arg(archive)
        .arg("-C")
        .arg(to)
        .status()
        .expect("a step of the test");
    assert!(tar.success());
    std::fs::read_dir(to).expect("a step of the test").flatten().next().expect("a folder").path()
}

/// A program in a root that has nothing but what is in this folder, as nobody in particular.
fn inside(root: &Path, program: &str) -> Command {
    // By its path: the program in the root has no environment, so neither has what looks for it.
    let mut command = Command::new("/usr/sbin/chroot");
    command.args(["--userspec=65532:65532"]).arg(root).arg(program).env_clear();
    command
}

/// A host in such a root, which is ended with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn call(address: &str, path: &str, headers: &str, body: &str) -> Option<String> {
    let mut socket = std::net::TcpStream::connect(address).ok()?;
    let length = body.len();
    write!(
        socket,
        "POST {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n{headers}\r\n{body}"
    )
    .ok()?;
    let mut answer = String::new();
    std::io::Read::read_to_string(&mut socket, &mut answer).ok()?;
    Some(answer)
}

/// From a configuration of six answers to the first note, in a root where the binary and the plugins are.
fn first_note(root: &Path, program: &str, plugins: &str) -> Duration {
    let began = Instant::now();
    let data = root.join("data");
    if !data.exists() {
        std::fs::create_dir(&data).expect("a step of the test");
        std::os::unix::fs::chown(&data, Some(NOBODY), Some(NOBODY)).expect("this needs root");
    }
    let address = sidenote_tests::free_address().to_string();
    let init = inside(root, program)
        .args([
            "init",
            "/data/sidenote.toml",
            "--product",
            "shop",
            "--pushed",
            "--plugins",
            plugins,
        ])
        .args(["--listen", &address])
        .output()
        .expect("a step of the test");
    assert!(init.status.success(), "{}", String::from_utf8_lossy(&init.stderr));
    let mut run = inside(root, program);
    run.args(["run", "--config", "/data/sidenote.toml"]).stdout(Stdio::piped());
    // It ends with the test, whatever becomes of that.
    let mut host = Running(run.process_group(0).spawn().expect("a step of the test"));
    let secret = std::fs::read(data.join("secrets/connector")).expect("a step of the test");
    let token =
        std::fs::read_to_string(data.join("secrets/server-token")).expect("a step of the test");
    let event = r#"{"type":"actions","product_id":"shop","session_id":"s1","forwarded_at":1.0,"actions":[{"title":"click","description":"Clicked \"Export\"","canonical_url":"https://app.example.com/","raw_url":"https://app.example.com/","index":0,"type":"click","timestamp_start":1.0,"timestamp_end":1.0}]}"#;
    let mac =
        Hmac::<Sha256>::new_from_slice(&secret).expect("a step of the test").chain_update(event);
    let signed =
        format!("x-connector-signature: sha256={}\r\n", hex::encode(mac.finalize().into_bytes()));
    let bearer = format!("authorization: Bearer {token}\r\n");
    let accepted = |answer: Option<String>| answer.is_some_and(|it| it.starts_with("HTTP/1.1 200"));
    let waited = Instant::now();
    while !accepted(call(&address, "/ingest/shop", &signed, event)) {
        assert!(waited.elapsed() < Duration::from_secs(60), "the host takes nothing");
        std::thread::sleep(Duration::from_millis(20));
    }
    let link = r#"{"product_id":"shop","session_id":"s1","conversation_id":"c1"}"#;
    assert!(accepted(call(&address, "/sessions/link", &bearer, link)), "it isn't linked");
    let mut note = String::new();
    BufReader::new(host.0.stdout.take().expect("a step of the test"))
        .read_line(&mut note)
        .expect("a step of the test");
    assert!(note.contains("Clicked") && note.contains("c1"), "{note}");
    began.elapsed()
}

#[test]
fn on_an_empty_root_the_archive_alone_shows_the_demo_and_posts_a_first_note() {
    let Some(archive) = archive() else { return };
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let began = Instant::now();
    let root = unpacked(&archive, folder.path());
    // As where nobody in particular unpacks it.
    std::os::unix::fs::chown(&root, Some(NOBODY), Some(NOBODY)).expect("this needs root");
    println!("unpacked in {:?}", began.elapsed());
    let mut sums = Command::new("sha256sum");
    sums.args(["--check", "--quiet", "SHA256SUMS"]).current_dir(&root);
    assert!(sums.status().unwrap().success());
    for file in [
        "man/sidenote.1",
        "completions/_sidenote",
        "plugins/webhook.wasm",
        "sbom.cdx.json",
        "examples/deploy/chart/Chart.yaml",
        "THIRD-PARTY-LICENCES.txt",
    ] {
        assert!(root.join(file).is_file(), "{file}");
    }
    let version = inside(&root, "/sidenote").arg("--version").output().unwrap();
    let version = String::from_utf8(version.stdout).unwrap();
    for told in
        ["commit    ", "target    x86_64-unknown-linux-musl", "rustc     1.", "wasmtime  48."]
    {
        assert!(version.contains(told), "{version}");
    }
    let began = Instant::now();
    let mut demo = inside(&root, "/sidenote");
    let demo = demo.args(["demo", "--plugins", "/plugins", "--seconds", "5"]).output().unwrap();
    assert!(demo.status.success(), "{}", String::from_utf8_lossy(&demo.stderr));
    println!("demo of 5 seconds: {:?}", began.elapsed());
    println!("from init to the first note: {:?}", first_note(&root, "/sidenote", "/plugins"));
}

#[test]
fn a_container_from_scratch_is_built_and_its_file_system_posts_a_first_note() {
    let Some(archive) = archive() else { return };
    if Command::new("buildah").arg("--version").output().is_err() {
        println!("left out: there is no buildah here");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let context = unpacked(&archive, folder.path());
    std::fs::copy("/etc/ssl/certs/ca-certificates.crt", context.join("ca-certificates.crt"))
        .unwrap();
    let storage = folder.path().join("storage");
    let buildah = |args: &[&str]| {
        let mut buildah = Command::new("buildah");
        buildah.arg("--storage-driver=vfs").arg("--root").arg(storage.join("root"));
        buildah.arg("--runroot").arg(storage.join("run")).args(args).current_dir(&context);
        let output = buildah.output().unwrap();
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    let file = "examples/deploy/container/Containerfile";
    buildah(&[
        "build",
        "--isolation=chroot",
        "--format=docker",
        "--file",
        file,
        "--tag",
        "sidenote:test",
        ".",
    ]);
    let image: serde_json::Value =
        serde_json::from_str(&buildah(&["inspect", "--type", "image", "sidenote:test"])).unwrap();
    let config = &image["Docker"]["config"];
    assert_eq!(config["User"], "65532:65532");
    assert_eq!(config["Healthcheck"]["Test"], serde_json::json!(["CMD", "/sidenote", "health"]));
    let container = buildah(&["from", "sidenote:test"]);
    let root = PathBuf::from(buildah(&["mount", &container]));
    let owner = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(root.join("data")).unwrap());
    assert_eq!(owner, NOBODY, "the host can write to its volume");
    let took = first_note(&root, "/sidenote", "/plugins");
    println!("the container's file system, from init to the first note: {took:?}");
    let size: u64 = walk(&root).iter().map(|it| it.metadata().map_or(0, |found| found.len())).sum();
    println!("the image: {size} bytes");
    buildah(&["umount", &container]);
}

fn walk(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let (folders, mut files): (Vec<_>, Vec<_>) =
        entries.map(|it| it.path()).partition(|it| it.is_dir() && !it.is_symlink());
    files.extend(folders.iter().flat_map(|it| walk(it)));
    files
}
