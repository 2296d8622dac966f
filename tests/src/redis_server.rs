//! A real Redis server of a test's own: killed, stopped and started again as the test likes.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use sidenote::config;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};

use crate::patience::DEADLINE;
use crate::ports::free_address;

/// How often a server that starts is asked whether it is there.
const INTERVAL: Duration = Duration::from_millis(10);

/// Another program may take the port before the server does.
const ATTEMPTS: usize = 5;

/// A running `redis-server` on a loopback port, with a folder of its own. It ends with this value.
pub struct RedisServer {
    folder: TempDir,
    port: u16,
    options: Vec<String>,
    child: Option<Child>,
}

impl RedisServer {
    /// Starts one with `options`, as in its configuration file: `appendonly yes`. Without any, it keeps
    /// nothing on disk. `None`, with a line on stdout, where the program isn't installed.
    ///
    /// # Panics
    /// In continuous integration, where it isn't installed; and where it doesn't start.
    pub async fn start(options: &[(&str, &str)]) -> Option<Self> {
        if !is_installed() {
            left_out("redis-server isn't there; install it with apt-get install redis-server");
            return None;
        }
        let folder = tempfile::tempdir().expect("a folder can be made");
        let options =
            options.iter().flat_map(|(name, value)| [format!("--{name}"), (*value).to_owned()]);
        let mut server = Self { folder, port: 0, options: options.collect(), child: None };
        for _ in 0..ATTEMPTS {
            server.port = free_address().port();
            if server.restart().await {
                return Some(server);
            }
        }
        panic!("redis-server doesn't start: {}", server.log());
    }

    /// Starts it again, on the same port and with the data that is on disk. Whether it is there.
    pub async fn restart(&mut self) -> bool {
        self.kill();
        let child = Command::new("redis-server")
            .args(["--bind", "127.0.0.1", "--port", &self.port.to_string(), "--save", ""])
            .arg("--dir")
            .arg(self.folder.path())
            .arg("--logfile")
            .arg(self.folder.path().join("log"))
            .args(&self.options)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server runs");
        self.child = Some(child);
        let deadline = Instant::now() + DEADLINE;
        while !self.answers().await {
            let ended = self.child.as_mut().is_none_or(|child| {
                child.try_wait().expect("it can be asked for its end").is_some()
            });
            if ended {
                self.child = None;
                return false;
            }
            assert!(Instant::now() < deadline, "no answer after {DEADLINE:?}: {}", self.log());
            sleep(INTERVAL).await;
        }
        true
    }

    /// Whether it takes commands: it doesn't while it reads its data.
    async fn answers(&self) -> bool {
        let Ok(mut stream) = TcpStream::connect(("127.0.0.1", self.port)).await else {
            return false;
        };
        let mut answer = [0; 7];
        stream.write_all(b"PING\r\n").await.is_ok()
            && stream.read_exact(&mut answer).await.is_ok()
            && (answer.starts_with(b"+PONG") || answer.starts_with(b"-NOAUTH"))
    }

    /// Its port.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Whether it was started and not ended since.
    pub(crate) fn runs(&self) -> bool {
        self.child.is_some()
    }

    /// Its address.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// A store's configuration for it.
    pub fn config(&self) -> config::Redis {
        config::Redis::at(self.url())
    }

    /// Its folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Every key of the server and what is in it, as one text.
    ///
    /// # Panics
    /// When it doesn't answer, or has a key of a type that a store doesn't use.
    pub async fn everything(&self) -> String {
        let client = redis::Client::open(self.url()).expect("an address");
        let mut client = client.get_multiplexed_async_connection().await.expect("a connection");
        let keys: Vec<Vec<u8>> =
            redis::cmd("KEYS").arg("*").query_async(&mut client).await.expect("keys");
        let mut all = String::new();
        for key in keys {
            let kind: String =
                redis::cmd("TYPE").arg(&key).query_async(&mut client).await.expect("a type");
            let mut read = match kind.as_str() {
                "string" => redis::cmd("GET"),
                "hash" => redis::cmd("HGETALL"),
                "zset" => redis::cmd("ZRANGE"),
                // It was removed meanwhile.
                "none" => continue,
                other => panic!("a key of type {other}"),
            };
            read.arg(&key);
            if kind == "zset" {
                read.arg(0).arg(-1);
            }
            let value: redis::Value = read.query_async(&mut client).await.expect("a value");
            all.push_str(&String::from_utf8_lossy(&key));
            all.push_str(&texts(&value));
        }
        all
    }

    /// Ends it as a power cut would.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("it runs or has ended");
            child.wait().expect("it can be waited for");
        }
    }

    /// Stops it in the middle of whatever it does: connections stay, and nothing is answered.
    pub fn pause(&self) {
        self.signal("-STOP");
    }

    /// Lets it go on.
    pub fn resume(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let id = self.child.as_ref().expect("it runs").id().to_string();
        let sent = Command::new("kill").args([signal, &id]).status();
        assert!(sent.expect("kill is there").success(), "the server runs");
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for RedisServer {
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
    let asked = Command::new("redis-server").arg("--version").stdout(Stdio::null()).status();
    asked.is_ok_and(|status| status.success())
}

fn texts(value: &redis::Value) -> String {
    if let redis::Value::BulkString(bytes) = value {
        String::from_utf8_lossy(bytes).into_owned()
    } else if let redis::Value::Array(values) = value {
        values.iter().map(texts).collect()
    } else {
        format!("{value:?}")
    }
}
