//! A host as a process of its own, which can be killed.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::binary::binary;
use crate::patience::DEADLINE;

/// What runs the host.
#[derive(Debug, Clone)]
pub(crate) enum Program {
    /// `sidenote run`.
    Sidenote,
    /// The program `taker`, which is fed through its standard input.
    Taker(PathBuf),
    /// The program `peer`, which does the same job by hand.
    Peer(PathBuf),
}

/// A process that was started and doesn't listen yet.
pub(crate) struct Starting {
    child: Child,
    lines: Lines<BufReader<ChildStderr>>,
}

/// A running process.
pub(crate) struct Process {
    child: Child,
    addr: SocketAddr,
    /// Reads the log to its end, so that the process never waits for room to write it.
    log: JoinSet<()>,
    read: Log,
    feed: Option<Feed>,
}

/// The log of a process, as it was written since it listened.
#[derive(Debug, Clone, Default)]
pub struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    /// Lines that are kept.
    const MOST: usize = 10_000;

    /// The lines whose message begins so.
    pub fn lines(&self, message: &str) -> Vec<serde_json::Value> {
        let begins = |line: &serde_json::Value| {
            line["fields"]["message"].as_str().is_some_and(|text| text.starts_with(message))
        };
        let read = |line: &String| serde_json::from_str(line).ok();
        self.kept().iter().filter_map(read).filter(begins).collect()
    }

    /// The lines as they were written.
    pub fn text(&self) -> String {
        self.kept().join("\n")
    }

    fn add(&self, line: String) {
        let mut kept = self.kept();
        if kept.len() < Self::MOST {
            kept.push(line);
        }
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Vec<String>> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// The way into a taker, and its answers.
#[derive(Debug)]
pub struct Feed {
    /// Takes one command per line.
    pub input: ChildStdin,
    /// Gives one answer per line.
    pub output: Lines<BufReader<ChildStdout>>,
}

impl Feed {
    /// What the host counts; other answers on the way to it are skipped.
    ///
    /// # Panics
    /// When the host doesn't answer in time.
    pub async fn counters(&mut self) -> HashMap<String, u64> {
        let answer = async {
            self.input.write_all(b"counters\n").await.expect("the host reads");
            loop {
                let line = self.output.next_line().await.expect("the host answers in text");
                let line = line.expect("the host runs");
                if let Some(counters) = line.strip_prefix("counters ") {
                    return serde_json::from_str(counters).expect("counters");
                }
            }
        };
        timeout(DEADLINE, answer).await.expect("the host answers in time")
    }
}

impl Program {
    /// Runs the configuration in `file`.
    pub(crate) async fn start(&self, file: &Path, env: &[(&'static str, String)]) -> Starting {
        let mut command = match self {
            Self::Sidenote => {
                // Building, where it is needed, takes long and needs no runtime.
                let binary =
                    tokio::task::spawn_blocking(binary).await.expect("the binary is there");
                let mut command = Command::new(binary);
                command.args(["--log-json", "run", "--config"]);
                command
            }
            Self::Taker(program) => {
                let mut command = Command::new(program);
                command.stdin(Stdio::piped()).stdout(Stdio::piped());
                command
            }
            Self::Peer(program) => Command::new(program),
        };
        let mut child = command
            .arg(file)
            .env_clear()
            .envs(env.iter().map(|(name, value)| (name, value)))
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the program runs");
        let lines = BufReader::new(child.stderr.take().expect("stderr is piped")).lines();
        Starting { child, lines }
    }
}

impl Starting {
    /// Waits until the host listens.
    pub(crate) async fn listens(mut self) -> Process {
        let addr =
            timeout(DEADLINE, listening(&mut self.lines)).await.expect("the host listens in time");
        let Self { mut child, mut lines } = self;
        let feed = child.stdin.take().zip(child.stdout.take());
        let feed =
            feed.map(|(input, output)| Feed { input, output: BufReader::new(output).lines() });
        let (mut log, read) = (JoinSet::new(), Log::default());
        let to = read.clone();
        log.spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                to.add(line);
            }
        });
        Process { child, addr, log, read, feed }
    }

    /// Ends it as a power cut would.
    pub(crate) async fn kill(mut self) {
        self.child.kill().await.expect("the process was started");
    }
}

impl Process {
    /// Where it listens.
    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// What it writes to its log.
    pub(crate) fn log(&self) -> Log {
        self.read.clone()
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id().expect("nobody has waited for its end")
    }

    /// The way into a taker, once.
    pub(crate) fn take_feed(&mut self) -> Option<Feed> {
        self.feed.take()
    }

    /// Ends it as a power cut would: no handler runs, nothing is flushed.
    pub(crate) async fn kill(mut self) {
        self.child.kill().await.expect("the process runs");
        self.log.join_all().await;
    }

    /// Asks it to stop, as a service manager does, and waits until it has.
    pub(crate) async fn terminate(mut self) {
        let id = self.id().to_string();
        let sent = Command::new("kill").args(["-TERM", &id]).status().await;
        assert!(sent.expect("kill is there").success(), "the process runs");
        let ended = timeout(DEADLINE, self.child.wait()).await.expect("it stops in time");
        let status = ended.expect("it can be waited for");
        assert!(status.success(), "it stopped with {status}");
        self.log.join_all().await;
    }
}

/// Reads the log up to the line that says where the host listens.
async fn listening(lines: &mut Lines<BufReader<ChildStderr>>) -> SocketAddr {
    let mut log = Vec::new();
    while let Some(line) = lines.next_line().await.expect("the log is text") {
        let value: Option<serde_json::Value> = serde_json::from_str(&line).ok();
        let fields = value.as_ref().map(|value| &value["fields"]);
        if let Some(fields) = fields.filter(|fields| fields["message"] == "sidenote is running") {
            let addr = fields["addr"].as_str().expect("the line names the address");
            return addr.parse().expect("it is an address");
        }
        log.push(line);
    }
    panic!("the host ended before it listened:\n{}", log.join("\n"));
}
