//! `sidenote run` as a process of its own, which can be killed.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStderr, Command};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::binary::binary;
use crate::patience::DEADLINE;

/// A running process.
pub(crate) struct Process {
    child: Child,
    addr: SocketAddr,
    /// Reads the log to its end, so that the process never waits for room to write it.
    log: JoinSet<()>,
}

impl Process {
    /// Runs the configuration in `file` and waits until the host listens.
    pub(crate) async fn start(file: &Path, env: &[(&'static str, String)]) -> Self {
        // Building, where it is needed, takes long and needs no runtime.
        let binary = tokio::task::spawn_blocking(binary).await.expect("the binary is there");
        let mut child = Command::new(binary)
            .args(["--log-json", "run", "--config"])
            .arg(file)
            .env_clear()
            .envs(env.iter().map(|(name, value)| (name, value)))
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the binary runs");
        let mut lines = BufReader::new(child.stderr.take().expect("stderr is piped")).lines();
        let addr =
            timeout(DEADLINE, listening(&mut lines)).await.expect("the host listens in time");
        let mut log = JoinSet::new();
        log.spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Self { child, addr, log }
    }

    /// Where it listens.
    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id().expect("nobody has waited for its end")
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
