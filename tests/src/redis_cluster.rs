//! A real Redis Cluster of a test's own: three masters, each with a replica, on loopback ports.

use std::process::{Command, Output};
use std::time::Duration;

use sidenote::config;
use tokio::time::{Instant, sleep};

use crate::patience::DEADLINE;
use crate::redis_server::RedisServer;

/// A master that doesn't answer for so long is replaced by its replica, in milliseconds.
const NODE_TIMEOUT: &str = "1500";

/// How often is looked.
const INTERVAL: Duration = Duration::from_millis(50);

/// The running nodes. They end with this value.
pub struct RedisCluster {
    nodes: Vec<RedisServer>,
}

/// A node, as the cluster tells of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Its id.
    pub id: String,
    /// Its port.
    pub port: u16,
    /// Whether it is a master that isn't believed to be gone.
    pub is_master: bool,
    /// The slots that it has.
    pub slots: Vec<(u16, u16)>,
}

impl Node {
    /// Whether it has a slot.
    pub fn has(&self, slot: u16) -> bool {
        self.slots.iter().any(|(first, last)| (*first..=*last).contains(&slot))
    }
}

impl RedisCluster {
    /// Starts three masters and three replicas. `None`, with a line on stdout, where Redis isn't installed.
    ///
    /// # Panics
    /// Where they don't become a cluster.
    pub async fn start() -> Option<Self> {
        let mut nodes = Vec::new();
        for _ in 0..6 {
            let options = [
                ("cluster-enabled", "yes"),
                ("cluster-node-timeout", NODE_TIMEOUT),
                ("repl-diskless-sync-delay", "0"),
            ];
            nodes.push(RedisServer::start(&options).await?);
        }
        let cluster = Self { nodes };
        let addresses: Vec<String> =
            cluster.nodes.iter().map(|node| format!("127.0.0.1:{}", node.port())).collect();
        let mut create = vec!["--cluster", "create"];
        create.extend(addresses.iter().map(String::as_str));
        create.extend(["--cluster-replicas", "1", "--cluster-yes"]);
        cluster.cli(&create).expect("a cluster");
        cluster.until("three masters with replicas", |nodes| {
            let masters = nodes.iter().filter(|node| node.is_master && !node.slots.is_empty());
            masters.count() == 3 && nodes.len() == 6
        });
        // A replica that hasn't the data yet can't take over.
        let deadline = Instant::now() + DEADLINE;
        while !cluster.nodes.iter().all(|node| {
            let about = cluster.ask(node.port(), &["INFO", "replication"]);
            about.contains("role:master") || about.contains("master_link_status:up")
        }) {
            assert!(Instant::now() < deadline, "the replicas don't follow");
            sleep(INTERVAL).await;
        }
        Some(cluster)
    }

    /// A store's configuration for it: the address of its first node.
    pub fn config(&self) -> config::Redis {
        self.nodes[0].config()
    }

    /// The nodes, as the first one that lives tells of them.
    ///
    /// # Panics
    /// Where none lives.
    pub fn nodes(&self) -> Vec<Node> {
        let living = self.nodes.iter().find(|node| node.runs()).expect("a node that lives");
        let told = self.ask(living.port(), &["CLUSTER", "NODES"]);
        told.lines().filter_map(node).collect()
    }

    /// The master of a slot.
    ///
    /// # Panics
    /// Where there is none.
    pub fn master_of(&self, slot: u16) -> Node {
        let nodes = self.nodes();
        let node = nodes.into_iter().find(|node| node.is_master && node.has(slot));
        node.expect("a master")
    }

    /// Moves so many of the slots of one master, the lowest first, to another one.
    ///
    /// # Errors
    /// What `redis-cli` said.
    pub fn reshard(&self, from: &Node, to: &Node, slots: u16) -> Result<(), String> {
        let (at, slots) = (format!("127.0.0.1:{}", from.port), slots.to_string());
        let words = [
            "--cluster",
            "reshard",
            &at,
            "--cluster-from",
            &from.id,
            "--cluster-to",
            &to.id,
            "--cluster-slots",
            &slots,
            "--cluster-yes",
        ];
        self.cli(&words).map(drop)
    }

    /// The replicas of a master hear no more of it, though it lives.
    pub fn cut_off_replicas(&self, master: &Node) {
        self.ask(master.port, &["ACL", "SETUSER", "default", "-psync", "-sync"]);
        self.ask(master.port, &["CLIENT", "KILL", "TYPE", "replica"]);
    }

    /// Ends a node as a power cut would.
    ///
    /// # Panics
    /// Where there is none at that port.
    pub fn kill(&mut self, port: u16) {
        let node = self.nodes.iter_mut().find(|node| node.port() == port);
        node.expect("one of these").kill();
    }

    /// Waits until the nodes are as wanted, blocking.
    ///
    /// # Panics
    /// When they aren't in time.
    pub fn until(&self, what: &str, wanted: impl Fn(&[Node]) -> bool) {
        let deadline = Instant::now() + DEADLINE;
        while !wanted(&self.nodes()) {
            assert!(Instant::now() < deadline, "{what}: {:?}", self.nodes());
            std::thread::sleep(INTERVAL);
        }
    }

    fn ask(&self, port: u16, words: &[&str]) -> String {
        let port = port.to_string();
        self.cli(&[&["-p", &port], words].concat()).unwrap_or_default()
    }

    fn cli(&self, words: &[&str]) -> Result<String, String> {
        let Output { status, stdout, stderr } =
            Command::new("redis-cli").args(words).output().expect("redis-cli is installed");
        let said = String::from_utf8_lossy(&stdout).into_owned();
        match status.success() {
            true => Ok(said),
            false => Err(format!("{words:?}: {said}{}", String::from_utf8_lossy(&stderr))),
        }
    }
}

/// A line of `CLUSTER NODES`.
fn node(line: &str) -> Option<Node> {
    let words: Vec<&str> = line.split(' ').collect();
    let [id, address, flags, _, _, _, _, _, slots @ ..] = &words[..] else { return None };
    let port = address.split('@').next()?.rsplit_once(':')?.1.parse().ok()?;
    let flags: Vec<&str> = flags.split(',').collect();
    let range = |text: &&str| {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        Some((first.parse().ok()?, last.parse().ok()?))
    };
    Some(Node {
        id: (*id).to_owned(),
        port,
        is_master: flags.contains(&"master") && !flags.contains(&"fail"),
        slots: slots.iter().filter_map(range).collect(),
    })
}
