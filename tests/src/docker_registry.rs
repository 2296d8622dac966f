//! A real OCI registry of a test's own.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::time::{Duration, Instant, sleep};

use crate::patience::DEADLINE;
use crate::ports::free_address;

/// How often one that starts is asked whether it is there.
const INTERVAL: Duration = Duration::from_millis(20);

/// Who may ask a registry.
#[derive(Debug, Clone)]
pub enum Guard {
    /// Everybody.
    Nobody,
    /// The user `ann` with the password `hers`.
    Password,
    /// Whoever has a token from this address, signed by the certificate in this file.
    Token {
        /// Where tokens are had.
        realm: String,
        /// The certificate.
        certificate: PathBuf,
    },
}

/// Of `ann`, whose password is `hers`.
const HTPASSWD: &str = "ann:$2y$04$abcdefghijklmnopqrstuu3dyRLxdoitsFr5n4E83cRRRr6mW8I.e\n";

/// A running `docker-registry` on a loopback port, with a folder of its own. It ends with this value.
pub struct DockerRegistry {
    folder: TempDir,
    addr: SocketAddr,
    child: Option<Child>,
}

impl DockerRegistry {
    /// Starts one. `None`, with a line on stdout, where the program isn't installed.
    ///
    /// # Panics
    /// In continuous integration, where it isn't installed; and where it doesn't start.
    pub async fn start(guard: &Guard) -> Option<Self> {
        if !is_installed() {
            left_out(
                "docker-registry isn't there; install it with apt-get install docker-registry",
            );
            return None;
        }
        let folder = tempfile::tempdir().expect("a folder can be made");
        let addr = free_address();
        let at = |name: &str| folder.path().join(name).display().to_string();
        let mut text = format!(
            "version: 0.1\nlog: {{level: error}}\nstorage:\n  filesystem: {{rootdirectory: {}}}\nhttp: {{addr: \"{addr}\", secret: a}}\n",
            at("data")
        );
        match guard {
            Guard::Nobody => Ok(()),
            Guard::Password => {
                std::fs::write(at("htpasswd"), HTPASSWD).expect("it can be written");
                write!(text, "auth:\n  htpasswd: {{realm: tests, path: {}}}\n", at("htpasswd"))
            }
            Guard::Token { realm, certificate } => write!(
                text,
                "auth:\n  token: {{realm: \"{realm}\", service: registry, issuer: tests, rootcertbundle: {}}}\n",
                certificate.display()
            ),
        }
        .expect("text can always be added to a string");
        std::fs::write(at("config.yml"), text).expect("it can be written");
        let mut registry = Self { folder, addr, child: None };
        registry.restart().await;
        Some(registry)
    }

    /// Starts it again, on the same port and with what it has.
    ///
    /// # Panics
    /// When it doesn't start.
    pub async fn restart(&mut self) {
        self.kill();
        let child = Command::new("docker-registry")
            .arg("serve")
            .arg(self.folder.path().join("config.yml"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("docker-registry runs");
        self.child = Some(child);
        let deadline = Instant::now() + DEADLINE;
        while TcpStream::connect(self.addr).await.is_err() {
            assert!(Instant::now() < deadline, "no answer after {DEADLINE:?}");
            sleep(INTERVAL).await;
        }
    }

    /// Its host, as references name it.
    pub fn host(&self) -> String {
        self.addr.to_string()
    }

    /// The file on its disk that holds a blob, by the hexadecimal digits of its digest.
    pub fn blob(&self, digest: &str) -> PathBuf {
        let blobs = Path::new("data/docker/registry/v2/blobs/sha256");
        self.folder.path().join(blobs).join(&digest[..2]).join(digest).join("data")
    }

    /// Ends it as a power cut would.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("it runs or has ended");
            child.wait().expect("it can be waited for");
        }
    }
}

impl Drop for DockerRegistry {
    fn drop(&mut self) {
        self.kill();
    }
}

#[expect(clippy::print_stdout, reason = "whoever reads the test's output must know of it")]
fn left_out(why: &str) {
    assert!(std::env::var_os("CI").is_none(), "{why}");
    println!("left out: {why}");
}

fn is_installed() -> bool {
    let asked = Command::new("docker-registry").arg("--version").stdout(Stdio::null()).status();
    asked.is_ok_and(|status| status.success())
}
