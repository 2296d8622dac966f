//! Hosts that share a real server: one is killed, one stands still for longer than its lease. What was accepted is in the
//! rows once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use sidenote::config;
use sidenote::store::SharedServer;
use sidenote_cluster::call::{Answer, Call, Load};
use sidenote_cluster::claims::Told;
use sidenote_cluster::ids::{Epoch, HostId, Incarnation, Member, Partition, Payload};
use sidenote_cluster::input::Input;
use sidenote_cluster::lease::Loss;
use sidenote_cluster::node::{Effect, Node};
use sidenote_cluster::owner::{Settings, Work};
use sidenote_cluster::partition::Partitions;
use sidenote_cluster::placement::Weight;
use sidenote_cluster::row::{RowKey, Tx};
use sidenote_cluster::rules::Rules;
use sidenote_cluster::time::{Moment, Times};
use sidenote_tests::RedisServer;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};

const LEASE: Duration = Duration::from_secs(1);
const PARTITIONS: u16 = 8;
const SESSIONS: u64 = 24;
const DEADLINE: Duration = Duration::from_secs(30);

/// A log per session, the whole of it in one row.
#[derive(Default)]
struct Log(BTreeMap<u64, Vec<u8>>);

impl Work for Log {
    fn begin(_: Partition) -> Self {
        Self::default()
    }

    fn load(&mut self, key: &RowKey, value: &Payload) {
        self.0.insert(key.number, value.bytes().to_vec());
    }

    fn apply(&mut self, input: &Payload, tx: &mut Tx) {
        let (session, number) = input.bytes().split_at(8);
        let session = u64::from_be_bytes(session.try_into().unwrap());
        let log = self.0.entry(session).or_default();
        log.extend(number);
        tx.put(RowKey::new("log", "acme", "all", session), Payload::new(log));
    }

    fn told(&mut self, _: &Told, _: &mut Tx) {}
}

enum Command {
    /// An input for a session, known by a number.
    Input(u64, u64),
    /// The whole host stands still, as by SIGSTOP.
    StandStill(Duration),
}

fn partition_of(session: u64) -> Partition {
    Partition::new(u16::try_from(session % u64::from(PARTITIONS)).unwrap())
}

async fn open(config: &config::Redis) -> Arc<SharedServer> {
    let tables = ["log", "told", "seen", "claim", "directory"];
    Arc::new(SharedServer::open(config, LEASE, &tables).await.unwrap())
}

/// Runs a host until it is dropped.
async fn host(
    name: &'static str,
    config: config::Redis,
    mut commands: mpsc::UnboundedReceiver<Command>,
    told: mpsc::UnboundedSender<(&'static str, Effect)>,
) {
    let server = open(&config).await;
    let settings = Settings {
        times: Times::of_lease(LEASE),
        rules: Rules::all(),
        partitions: Partitions::new(PARTITIONS).unwrap(),
        me: Member::new(HostId::new(name).unwrap(), Incarnation::new(1)),
    };
    let mut node: Node<Log> = Node::new(settings, Weight::ONE, &[]);
    let mut calls: JoinSet<(Call, Option<Answer>)> = JoinSet::new();
    let mut ticks = interval(LEASE / 50);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let begin = Instant::now();
    loop {
        let now = || Moment::from_millis(u64::try_from(begin.elapsed().as_millis()).unwrap());
        let effects = tokio::select! {
            _ = ticks.tick() => {
                let mut effects = node.tick(now());
                let owned: Vec<_> = node.owned().map(|(partition, _)| partition).collect();
                for partition in owned {
                    effects.extend(node.work(now(), partition));
                }
                effects
            }
            Some(done) = calls.join_next(), if !calls.is_empty() => {
                let (call, answer) = done.unwrap();
                node.answered(now(), &call, answer)
            }
            command = commands.recv() => match command {
                Some(Command::Input(session, number)) => {
                    let body = [session, number].map(u64::to_be_bytes).concat();
                    let input = Input::work(None, Payload::new(&body)).encode();
                    node.submit(partition_of(session), input, number).unwrap();
                    Vec::new()
                }
                Some(Command::StandStill(time)) => {
                    sleep(time).await;
                    Vec::new()
                }
                None => return,
            },
        };
        for effect in effects {
            if let Effect::Call(call) = effect {
                let server = Arc::clone(&server);
                calls.spawn(async move {
                    let answer = timeout(LEASE / 2, server.call(&call)).await;
                    (call, answer.ok().and_then(Result::ok))
                });
            } else {
                told.send((name, effect)).unwrap();
            }
        }
    }
}

/// The number of each input that is in the rows, by session and in order.
async fn rows(server: &SharedServer) -> BTreeMap<u64, Vec<u64>> {
    let mut logs = BTreeMap::new();
    for n in 0..PARTITIONS {
        let load = Load { partition: Partition::new(n), epoch: Epoch::default() };
        let loaded = server.call(&Call::Load(load)).await.unwrap().load().unwrap();
        for (key, value) in loaded.rows.iter().filter(|(key, _)| &*key.table == "log") {
            let numbers = value.bytes().chunks(8);
            let numbers = numbers.map(|it| u64::from_be_bytes(it.try_into().unwrap()));
            logs.insert(key.number, numbers.collect());
        }
    }
    logs
}

#[tokio::test]
async fn what_is_accepted_is_there_once_though_a_host_is_killed_and_another_one_stands_still() {
    let Some(server) = RedisServer::start(&[]).await else { return };
    let (tell, mut told) = mpsc::unbounded_channel();
    let mut running = JoinSet::new();
    let mut hosts = BTreeMap::new();
    for name in ["a", "b", "c"] {
        let (send, commands) = mpsc::unbounded_channel();
        let task = running.spawn(host(name, server.config(), commands, tell.clone()));
        hosts.insert(name, (send, task));
    }
    let looks_on = open(&server.config()).await;
    let (mut accepted, mut taken_over, mut owned) = (BTreeSet::new(), 0, BTreeMap::new());
    let mut hears = |accepted: &mut BTreeSet<u64>, (name, effect)| match effect {
        Effect::Accepted(number) => {
            accepted.insert(number);
        }
        Effect::Owned(partition, _) => {
            owned.insert(partition, name);
        }
        Effect::Lost(_, Some(Loss::TakenOver(_))) => taken_over += 1,
        Effect::Lost(..) | Effect::Connect(_) | Effect::Disconnect(_) | Effect::Drained => {}
        Effect::Call(_) | Effect::Layout(..) | Effect::Replaced => panic!("{name}: {effect:?}"),
    };
    let mut sent: BTreeMap<u64, &str> = BTreeMap::new();
    for number in 0..600_u64 {
        match number {
            200 => {
                hosts.remove("a").unwrap().1.abort();
            }
            300 => hosts["b"].0.send(Command::StandStill(LEASE * 5 / 2)).unwrap(),
            _ => {}
        }
        let names: Vec<_> = hosts.keys().copied().collect();
        let name = names[usize::try_from(number).unwrap() % names.len()];
        hosts[name].0.send(Command::Input(number * 7 % SESSIONS, number)).unwrap();
        sent.insert(number, name);
        sleep(Duration::from_millis(10)).await;
        while let Ok(effect) = told.try_recv() {
            hears(&mut accepted, effect);
        }
    }
    let deadline = Instant::now() + DEADLINE;
    // What was sent to those that live is accepted, and everything accepted is in the rows.
    let missing = loop {
        while let Ok(effect) = told.try_recv() {
            hears(&mut accepted, effect);
        }
        let logs = rows(&looks_on).await;
        let there: BTreeSet<u64> = logs.values().flatten().copied().collect();
        let of_living = sent.iter().filter(|(_, name)| **name != "a").map(|(number, _)| *number);
        let wanted: BTreeSet<u64> = accepted.iter().copied().chain(of_living).collect();
        let missing: Vec<u64> = wanted.difference(&there).copied().collect();
        if missing.is_empty() || Instant::now() > deadline {
            break missing;
        }
        sleep(LEASE / 10).await;
    };
    assert!(missing.is_empty(), "{missing:?} never came");
    assert!(accepted.len() >= 500, "{} accepted", accepted.len());
    for (session, log) in rows(&looks_on).await {
        let once: BTreeSet<u64> = log.iter().copied().collect();
        assert_eq!(once.len(), log.len(), "session {session}: {log:?}");
        for name in ["a", "b", "c"] {
            let of: Vec<u64> = log.iter().copied().filter(|number| sent[number] == name).collect();
            assert!(of.is_sorted(), "session {session}, what {name} was sent: {of:?}");
        }
    }
    assert!(taken_over > 0, "the host that stood still was taken over");
    assert_eq!(owned.len(), usize::from(PARTITIONS));
}
