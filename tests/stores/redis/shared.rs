//! The scripts of several hosts do on a real server what the state machine does that the protocol is tested with.

use std::collections::BTreeMap;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use redis::aio::MultiplexedConnection;
use sidenote::store::{RedisStore, SharedServer, Store, StoreError};
use sidenote_cluster::call::{
    Acquire, Acquired, Add, Added, Answer, Beat, Call, Commit, Committed, Load, Read, Release,
    Renew, Standing,
};
use sidenote_cluster::ids::{
    CommitSeq, Epoch, HostId, Incarnation, Mark, Member, Number, Offset, Once, Partition, Payload,
    Producer, Resource, StreamId,
};
use sidenote_cluster::model::Server;
use sidenote_cluster::partition::Partitions;
use sidenote_cluster::row::{Change, RowKey};
use sidenote_cluster::rules::Rules;
use sidenote_tests::RedisServer;

use super::{client, held, send};

const TABLES: [&str; 2] = ["outbox", "session"];

/// Nothing runs out by itself: the test says when.
const LEASE: Duration = Duration::from_secs(3600);

const OPERATIONS: usize = 2000;

/// What is drawn, from what was answered before, so that right and wrong numbers are near each other.
struct Draw {
    random: StdRng,
    epochs: BTreeMap<Resource, Epoch>,
    offsets: BTreeMap<Partition, Vec<Offset>>,
    seqs: BTreeMap<Partition, u64>,
    holders: BTreeMap<Resource, Member>,
    numbers: BTreeMap<(Partition, Producer), u64>,
}

impl Draw {
    fn one_in(&mut self, n: u32) -> bool {
        self.random.random_range(0..n) == 0
    }

    fn partition(&mut self) -> Partition {
        Partition::new(self.random.random_range(0..2))
    }

    fn resource(&mut self) -> Resource {
        match self.one_in(3) {
            true => Resource::Stream(stream()),
            false => Resource::Partition(self.partition()),
        }
    }

    fn member(&mut self) -> Member {
        let name = ["a", "b"][self.random.random_range(0..2)];
        let incarnation = Incarnation::new(self.random.random_range(1..3));
        Member::new(HostId::new(name).unwrap(), incarnation)
    }

    /// Whose it is, or somebody else.
    fn holder(&mut self, of: &Resource) -> Member {
        let other = self.member();
        let holder = self.holders.get(of).cloned().unwrap_or(other.clone());
        if self.one_in(5) { other } else { holder }
    }

    /// The latest epoch, or one beside it.
    fn epoch(&mut self, of: &Resource) -> Epoch {
        let latest = self.epochs.get(of).map_or(0, |epoch| epoch.get());
        Epoch::new(match self.random.random_range(0..12) {
            0 => latest.saturating_sub(1),
            1 => latest + 1,
            _ => latest,
        })
    }

    fn mark(&mut self) -> Option<Mark> {
        let event = Once::new(u64::MAX - self.random.random_range(0..3));
        match self.random.random_range(0..3) {
            0 => None,
            1 => Some(Mark::Before(event)),
            _ => Some(Mark::Behind(event)),
        }
    }

    fn payload(&mut self) -> Payload {
        let mut bytes = vec![0; self.random.random_range(0..20)];
        self.random.fill(&mut bytes[..]);
        Payload::new(&bytes)
    }

    fn producer(&mut self) -> Producer {
        let series = self.random.random_range(0..2);
        match self.random.random_range(0..3) {
            0 => Producer::Host(self.member(), series),
            1 => Producer::Reader(stream(), Epoch::new(3), series),
            _ => Producer::Partition(self.partition(), Epoch::new(4), series),
        }
    }

    fn changes(&mut self) -> Vec<Change> {
        let mut changes = BTreeMap::new();
        for _ in 0..self.random.random_range(0..6) {
            let table = TABLES[self.random.random_range(0..2)];
            let (first, second) = (["acme", ""], ["s-1", "s-2"]);
            let n = self.random.random_range(0..2);
            let key = RowKey::new(
                table,
                first[n],
                second[self.random.random_range(0..2)],
                self.random.random_range(0..3),
            );
            let change = match self.one_in(3) {
                true => Change::Delete(key.clone()),
                false => Change::Put(key.clone(), self.payload()),
            };
            changes.insert(key, change);
        }
        changes.into_values().collect()
    }

    fn commit(&mut self) -> Call {
        let partition = self.partition();
        let of = Resource::Partition(partition);
        let seq = self.seqs.get(&partition).copied().unwrap_or_default();
        let known = self.offsets.get(&partition).map_or(&[][..], Vec::as_slice);
        let known = known.get(self.random.random_range(0..known.len().max(1)));
        let known = known.copied().unwrap_or_default();
        let offset = match self.random.random_range(0..12) {
            0 => Offset::new(known.number(), known.at() + 1),
            1 => Offset::new(known.number() + 1, known.at()),
            _ => known,
        };
        let epoch = self.epoch(&of);
        let next = [seq.saturating_sub(1), seq, seq + 1, seq + 1, seq + 1, seq + 2];
        let next = next[self.random.random_range(0..next.len())];
        let acknowledged = if self.one_in(10) { seq + 1 } else { seq };
        Call::Commit(Commit {
            partition,
            by: self.holder(&of),
            epoch,
            seq: CommitSeq::new(next),
            acknowledged: CommitSeq::new(acknowledged),
            offset,
            trim: self.one_in(4),
            changes: self.changes(),
            forget: if self.one_in(5) {
                vec![self.producer(), self.producer()]
            } else {
                Vec::new()
            },
        })
    }

    fn call(&mut self) -> Call {
        let of = self.resource();
        let (by, holder, epoch) = (self.member(), self.holder(&of), self.epoch(&of));
        match self.random.random_range(0..100) {
            0..14 => Call::Acquire(Acquire {
                of,
                by,
                seen: epoch,
                over: self.one_in(2).then(|| self.member()),
                ready: self.one_in(2),
                from: self.one_in(3).then(|| Once::new(7)),
                partitions: Partitions::new(if self.one_in(20) { 8 } else { 2 }).unwrap(),
            }),
            14..26 => {
                let acknowledged = CommitSeq::new(self.random.random_range(0..2));
                let mark = self.mark();
                Call::Renew(Renew { of, by: holder, epoch, acknowledged, mark })
            }
            26..30 => Call::Release(Release { of, by: holder, epoch, mark: self.mark() }),
            30..58 => self.commit(),
            58..84 => {
                let count = self.random.random_range(0..4);
                let reader = match self.one_in(3) {
                    true => Some((stream(), Epoch::new(self.random.random_range(1..4)))),
                    false => None,
                };
                let (partition, producer) = (self.partition(), self.producer());
                let last = self.numbers.get(&(partition, producer.clone())).copied().unwrap_or(0);
                let first = [last.max(1) - 1, last, last + 1, last + 1, last + 2];
                let first = first[self.random.random_range(0..first.len())].max(1);
                Call::Add(Add {
                    partition,
                    producer,
                    first: Number::new(first),
                    payloads: (0..count).map(|_| self.payload()).collect(),
                    reader,
                })
            }
            84..88 => {
                let standings = [Standing::Working, Standing::Draining, Standing::Leaving];
                let standing = standings[self.random.random_range(0..3)];
                Call::Beat(Beat { by, standing, weight: self.random.random_range(0..17) })
            }
            88..93 => Call::Load(Load { partition: self.partition(), epoch }),
            _ => {
                let partition = self.partition();
                let known = self.offsets.get(&partition).and_then(|all| all.last().copied());
                let least = known.map_or(0, |known| known.number().saturating_sub(3));
                let after = Offset::new(least + self.random.random_range(0..4), 0);
                let limit = self.random.random_range(1..10);
                Call::Read(Read { partition, after, limit })
            }
        }
    }

    fn hears(&mut self, call: &Call, answer: &Answer) {
        match (call, answer) {
            (Call::Acquire(acquire), Answer::Acquire(Acquired::Ours { epoch, .. })) => {
                self.epochs.insert(acquire.of.clone(), *epoch);
                self.holders.insert(acquire.of.clone(), acquire.by.clone());
                if let Resource::Partition(partition) = acquire.of {
                    self.seqs.insert(partition, 0);
                }
            }
            (Call::Commit(commit), Answer::Commit(Committed::Done)) => {
                self.seqs.insert(commit.partition, commit.seq.get());
            }
            (Call::Add(add), Answer::Add(Added::In(last) | Added::Gap(last))) => {
                self.numbers.insert((add.partition, add.producer.clone()), last.get());
            }
            (Call::Read(read), Answer::Read(entries)) => {
                let offsets = self.offsets.entry(read.partition).or_default();
                offsets.extend(entries.iter().map(|entry| entry.offset));
                let superfluous = offsets.len().saturating_sub(5);
                offsets.drain(..superfluous);
            }
            _ => {}
        }
    }
}

fn stream() -> StreamId {
    StreamId::new("acme").unwrap()
}

fn resources() -> [Resource; 3] {
    let partition = |n| Resource::Partition(Partition::new(n));
    [partition(0), partition(1), Resource::Stream(stream())]
}

/// The server's clock, in milliseconds.
async fn time(connection: &mut MultiplexedConnection) -> u64 {
    let (seconds, micros): (u64, u64) = send(connection, &["TIME"]).await;
    seconds * 1000 + micros / 1000
}

type Hash = BTreeMap<String, String>;

/// What is on the server, as the state machine writes it.
async fn lines(connection: &mut MultiplexedConnection, of: &[Resource]) -> Vec<String> {
    let mut lines = Vec::new();
    for of in of {
        let tag = of.tag();
        let key = |what: &str| format!("sidenote:{tag}:{what}");
        let lease: Option<String> = send(connection, &["GET", &key("lease")]).await;
        lines.push(format!("{tag} lease {}", lease.unwrap_or_default()));
        let fence: Hash = send(connection, &["HGETALL", &key("fence")]).await;
        let text = |name: &str| fence.get(name).cloned().unwrap_or_default();
        let number = |name: &str| fence.get(name).cloned().unwrap_or("0".to_owned());
        let (epoch, holder, seq) = (number("epoch"), text("holder"), number("seq"));
        lines.push(format!("{tag} epoch {epoch} holder {holder} seq {seq} mark {}", text("mark")));
        lines.push(format!("{tag} offset {} {}", number("offset"), number("offset_at")));
        lines.push(format!("{tag} added {} {}", number("added"), number("added_at")));
        lines.push(format!("{tag} next {} {}", text("next"), number("next_at")));
        let entries: Vec<(String, Vec<Vec<u8>>)> =
            send(connection, &["XRANGE", &key("inbox"), "-", "+"]).await;
        for (id, fields) in entries {
            let number = id.strip_suffix("-0").unwrap();
            let [at, before] = [1, 3].map(|n| String::from_utf8(fields[n].clone()).unwrap());
            lines.push(format!("{tag} inbox {number} {at} {before} {:?}", fields[5]));
        }
        for (what, kind) in [("producers", "producer"), ("readers", "reader")] {
            let all: Hash = send(connection, &["HGETALL", &key(what)]).await;
            lines.extend(all.iter().map(|(name, value)| format!("{tag} {kind} {name} {value}")));
        }
        let groups: Vec<String> = send(connection, &["KEYS", &key("rows:*")]).await;
        for group in groups {
            let name = group.strip_prefix(&key("rows:")).unwrap();
            let (table, names) = name.split_once(':').unwrap();
            let rows: BTreeMap<u64, Vec<u8>> = send(connection, &["HGETALL", &group]).await;
            let line = |(n, value)| format!("{tag} row {table} {names} {n} {value:?}");
            lines.extend(rows.iter().map(line));
        }
    }
    let beats: Vec<(String, u64)> =
        send(connection, &["ZRANGE", "sidenote:{hosts}:beats", "0", "-1", "WITHSCORES"]).await;
    let standings: Hash = send(connection, &["HGETALL", "sidenote:{hosts}:standings"]).await;
    for (member, at) in beats {
        let (standing, weight) = standings[&member].split_once(' ').unwrap();
        let standing = standing[..1].to_uppercase() + &standing[1..];
        lines.push(format!("member {member} {standing} {weight} {at}"));
    }
    lines.sort();
    lines
}

/// Two servers' lines that differ.
fn differing(real: &[String], model: &[String]) -> Vec<String> {
    let only = |these: &[String], those: &[String], of: &str| -> Vec<String> {
        let only = these.iter().filter(|line| !those.contains(line));
        only.map(|line| format!("{of}: {line}")).collect()
    };
    [only(real, model, "on the server alone"), only(model, real, "in the model alone")].concat()
}

#[tokio::test]
async fn the_scripts_do_what_the_model_does() {
    let Some(server) = RedisServer::start(&[]).await else { return };
    let shared = SharedServer::open(&server.config(), LEASE, &TABLES).await.unwrap();
    let mut beside = client(&server.config()).await;
    let lease = u64::try_from(LEASE.as_millis()).unwrap();
    for seed in 0..2 {
        let _: () = send(&mut beside, &["FLUSHALL"]).await;
        let mut draw = Draw {
            random: StdRng::seed_from_u64(seed),
            epochs: BTreeMap::new(),
            offsets: BTreeMap::new(),
            seqs: BTreeMap::new(),
            holders: BTreeMap::new(),
            numbers: BTreeMap::new(),
        };
        let mut model = Server::new(Rules::all(), lease);
        resources().iter().for_each(|of| model.expire(of));
        let mut kinds: BTreeMap<String, u32> = BTreeMap::new();
        for n in 0..OPERATIONS / 2 {
            if draw.one_in(30) {
                let of = draw.resource();
                model.expire(&of);
                let _: u32 =
                    send(&mut beside, &["DEL", &format!("sidenote:{}:lease", of.tag())]).await;
            }
            let call = draw.call();
            let begin = time(&mut beside).await;
            let answer = shared.call(&call).await;
            let answer = answer.unwrap_or_else(|error| panic!("{call:?}: {error}"));
            let end = time(&mut beside).await;
            draw.hears(&call, &answer);
            *kinds.entry(kind(&answer)).or_default() += 1;
            // When between the two the script looked at the clock is seen by what it did.
            let mut last = None;
            let real = match begin == end && n % 50 != 0 {
                true => None,
                false => Some(lines(&mut beside, &resources()).await),
            };
            let same = (begin..=end).find_map(|now| {
                let mut tried = model.clone();
                let said = tried.call(now, &call);
                let differ = match &real {
                    Some(real) => differing(real, &tried.lines(now)),
                    None => Vec::new(),
                };
                last = Some((said.clone(), differ.clone()));
                (said == answer && differ.is_empty()).then_some(tried)
            });
            model = same.unwrap_or_else(|| {
                panic!("seed {seed}, operation {n}: {call:?}\nthe server: {answer:?}\nthe model: {last:#?}")
            });
        }
        // Every answer that there is was given, so that the comparison isn't of refusals alone.
        for wanted in [
            "Ours",
            "Held",
            "Expired",
            "Free",
            "Moved",
            "Layout",
            "Done",
            "TakenOver",
            "Stale",
            "ServerLost",
            "In",
            "Gap",
            "Fenced",
            "Release(true",
            "Release(false",
            "Beat",
            "Load",
            "Read",
        ] {
            let count: u32 =
                kinds.iter().filter(|(it, _)| it.contains(wanted)).map(|it| it.1).sum();
            assert!(count > 2, "seed {seed}: {wanted} came {count} times: {kinds:?}");
        }
    }
}

/// The beginning of an answer, without its numbers.
fn kind(answer: &Answer) -> String {
    let text = format!("{answer:?}");
    text.chars()
        .take_while(|it| !matches!(it, '{' | '['))
        .filter(|it| !it.is_ascii_digit())
        .collect()
}

fn acquire(by: &str, over: Option<&str>, seen: Epoch) -> Call {
    let member = |name| Member::new(HostId::new(name).unwrap(), Incarnation::new(1));
    Call::Acquire(Acquire {
        of: Resource::Partition(Partition::new(5)),
        by: member(by),
        seen,
        over: over.map(member),
        ready: true,
        from: None,
        partitions: Partitions::default(),
    })
}

#[tokio::test]
async fn a_lease_ends_by_itself_and_its_holder_is_named_before_it_is_taken_over() {
    let Some(server) = RedisServer::start(&[]).await else { return };
    let lease = Duration::from_millis(300);
    let shared = SharedServer::open(&server.config(), lease, &TABLES).await.unwrap();
    let asks = async |by, over, seen| {
        shared.call(&acquire(by, over, seen)).await.unwrap().acquire().unwrap()
    };
    let Acquired::Ours { epoch: first, .. } = asks("a", None, Epoch::default()).await else {
        panic!()
    };
    assert!(matches!(asks("b", None, first).await, Acquired::Held { .. }));
    tokio::time::sleep(lease + Duration::from_millis(50)).await;
    assert!(matches!(asks("b", None, first).await, Acquired::Expired { .. }));
    let Acquired::Ours { epoch: second, .. } = asks("b", Some("a"), first).await else { panic!() };
    // The same call once more, late: its host may not wait for it any more.
    assert!(matches!(asks("b", Some("a"), first).await, Acquired::Moved { .. }));
    assert!(second > first);
    // The time of the server, so that a server that lost the first one doesn't give it again.
    assert!(first.get() > 1_700_000_000_000, "{first}");
}

#[tokio::test]
async fn a_key_of_another_kind_leaves_a_commit_undone() {
    let Some(server) = RedisServer::start(&[]).await else { return };
    let shared = SharedServer::open(&server.config(), LEASE, &TABLES).await.unwrap();
    let mut beside = client(&server.config()).await;
    let acquired = shared.call(&acquire("a", None, Epoch::default())).await.unwrap().acquire();
    let Some(Acquired::Ours { epoch, .. }) = acquired else { panic!() };
    let _: () = send(&mut beside, &["SET", "sidenote:{p005}:rows:session:acme|s-2", "x"]).await;
    let put = |second| Change::Put(RowKey::new("session", "acme", second, 0), Payload::new(b"v"));
    let commit = Call::Commit(Commit {
        partition: Partition::new(5),
        by: Member::new(HostId::new("a").unwrap(), Incarnation::new(1)),
        epoch,
        seq: CommitSeq::new(1),
        acknowledged: CommitSeq::default(),
        offset: Offset::START,
        trim: true,
        changes: vec![put("s-1"), put("s-2")],
        forget: Vec::new(),
    });
    let refused = shared.call(&commit).await.unwrap_err();
    assert!(matches!(refused, StoreError::Fatal(_) | StoreError::Refused(_)), "{refused:?}");
    let seq: String = send(&mut beside, &["HGET", "sidenote:{p005}:fence", "seq"]).await;
    let rows: bool = send(&mut beside, &["EXISTS", "sidenote:{p005}:rows:session:acme|s-1"]).await;
    assert_eq!((seq.as_str(), rows), ("0", false));
}

#[tokio::test]
async fn a_namespace_keeps_its_layout_and_its_number_of_partitions() {
    let Some(server) = RedisServer::start(&[]).await else { return };
    let config = server.config();
    let shared = SharedServer::open(&config, LEASE, &TABLES).await.unwrap();
    let count = |n| Partitions::new(n).unwrap();
    shared.lay_out(count(64)).await.unwrap();
    shared.lay_out(count(64)).await.unwrap();
    let refused = shared.lay_out(count(32)).await.unwrap_err().to_string();
    assert!(refused.contains("has 64 partitions") && refused.contains("told 32"), "{refused}");
    let store = RedisStore::open(&config).await.unwrap();
    let refused = store.hold().await.unwrap_err().to_string();
    assert!(refused.contains("laid out by a later release"), "{refused}");

    let Some(server) = RedisServer::start(&[]).await else { return };
    let store = held(&server.config()).await;
    let shared = SharedServer::open(&server.config(), LEASE, &TABLES).await.unwrap();
    let refused = shared.lay_out(count(64)).await.unwrap_err().to_string();
    assert!(refused.contains("is of layout 1"), "{refused}");
    drop(store);
}
