//! The scripts: what they are given, and what their answers mean.

use std::collections::BTreeMap;
use std::time::Duration;

use redis::{FromRedisValue, Value};
use sidenote_cluster::call::{
    Acquire, Acquired, Add, Added, Answer, Beat, Call, Commit, Committed, LAYOUT, Load, Release,
    Renew, Renewed, Seen, Standing, TOLD,
};
use sidenote_cluster::ids::{
    Epoch, Mark, Member, Number, Offset, Partition, Payload, Producer, Resource,
};
use sidenote_cluster::partition::Partitions;
use sidenote_cluster::row::{Change, RowKey};

use super::super::keys;
use super::Producers;
use super::names::Names;
use super::script::{Invocation, Script};
use crate::store::Group;

/// What a row is to the server beside its value, in bytes of value.
const ROW: usize = 64;

/// So many answers are kept for a host that doesn't read them.
const MOST_ANSWERS: u32 = 4096;

/// How hosts stand, as it is written.
const STANDINGS: [(Standing, &str); 3] = [
    (Standing::Working, "working"),
    (Standing::Draining, "draining"),
    (Standing::Leaving, "leaving"),
];

pub(super) struct Scripts {
    names: Names,
    /// In milliseconds.
    lease: u64,
    acquire: Script,
    renew: Script,
    release: Script,
    commit: Script,
    add: Script,
    answer: Script,
    beat: Script,
    load: Script,
    layout: Script,
    memory: Script,
}

impl Scripts {
    pub(super) fn new(names: Names, lease: Duration) -> Self {
        Self {
            names,
            lease: u64::try_from(lease.as_millis()).unwrap_or(u64::MAX),
            acquire: Script::new(include_str!("acquire.lua")),
            renew: Script::new(include_str!("renew.lua")),
            release: Script::new(include_str!("release.lua")),
            commit: Script::new(include_str!("commit.lua")),
            add: Script::new(include_str!("add.lua")),
            answer: Script::new(include_str!("answer.lua")),
            beat: Script::new(include_str!("beat.lua")),
            load: Script::new(include_str!("load.lua")),
            layout: Script::new(include_str!("layout.lua")),
            memory: Script::new(include_str!("memory.lua")),
        }
    }

    /// The script of a call, with how many bytes of values it is given. Loading and reading are apart.
    pub(super) fn invocation(&self, call: &Call) -> Option<(Invocation<'_>, usize)> {
        Some(match call {
            Call::Acquire(acquire) => (self.acquire(acquire), 0),
            Call::Renew(renew) => (self.renew(renew), 0),
            Call::Release(release) => (self.release(release), 0),
            Call::Commit(commit) => self.commit(commit),
            Call::Add(add) => self.add(add),
            Call::Beat(beat) => (self.beat(beat), 0),
            Call::Load(_) | Call::Read(_) => return None,
        })
    }

    /// A script with the keys of a lease.
    fn of<'s>(&self, script: &'s Script, of: &Resource) -> Invocation<'s> {
        let mut call = script.key(self.names.lease(of));
        call.key(self.names.fence(of));
        call
    }

    fn acquire(&self, acquire: &Acquire) -> Invocation<'_> {
        let mut call = self.of(&self.acquire, &acquire.of);
        call.arg(acquire.by.to_string()).arg(self.lease).arg(LAYOUT);
        call.arg(acquire.partitions.count()).arg(text(acquire.over.as_ref()));
        call.arg(u8::from(acquire.ready)).arg(text(acquire.from.as_ref()));
        call.arg(u8::from(matches!(acquire.of, Resource::Stream(_)))).arg(acquire.seen.get());
        call
    }

    fn renew(&self, renew: &Renew) -> Invocation<'_> {
        let mut call = self.of(&self.renew, &renew.of);
        call.arg(renew.by.to_string()).arg(self.lease).arg(renew.epoch.get());
        call.arg(renew.acknowledged.get()).arg(text(renew.mark.as_ref()));
        call
    }

    fn release(&self, release: &Release) -> Invocation<'_> {
        let mut call = self.of(&self.release, &release.of);
        call.arg(release.by.to_string()).arg(release.epoch.get());
        call.arg(text(release.mark.as_ref()));
        call
    }

    fn commit(&self, commit: &Commit) -> (Invocation<'_>, usize) {
        let of = commit.partition;
        let groups = by_group(&commit.changes);
        let mut tables: Vec<&str> = groups.keys().map(|group| &*group.table).collect();
        tables.dedup();
        let puts_any = commit.changes.iter().any(|it| matches!(it, Change::Put(..)));
        let mut call = self.of(&self.commit, &Resource::Partition(of));
        call.key(self.names.inbox(of)).key(self.names.producers(of));
        for table in &tables {
            call.key(self.names.index(of, table));
        }
        call.arg(commit.by.to_string()).arg(self.lease).arg(commit.epoch.get());
        call.arg(commit.seq.get()).arg(commit.acknowledged.get());
        call.arg(commit.offset.number()).arg(commit.offset.at()).arg(u8::from(commit.trim));
        call.arg(commit.forget.len()).arg(tables.len()).arg(u8::from(puts_any));
        for producer in &commit.forget {
            call.arg(producer.to_string());
        }
        let mut bytes = ROW * commit.changes.len();
        for (group, rows) in &groups {
            let index = tables.iter().position(|table| *table == &*group.table).unwrap_or(0) + 1;
            let puts = rows.values().flatten().count();
            call.key(self.names.rows(of, group));
            call.arg(index).arg(member(group)).arg(puts).arg(rows.len() - puts);
            for (number, value) in rows {
                if let Some(value) = value {
                    bytes += value.bytes().len();
                    call.arg(*number).arg(value.bytes());
                }
            }
            for (number, _) in rows.iter().filter(|(_, value)| value.is_none()) {
                call.arg(*number);
            }
        }
        (call, bytes)
    }

    fn add(&self, add: &Add) -> (Invocation<'_>, usize) {
        let of = add.partition;
        let mut call = self.add.key(self.names.fence(&Resource::Partition(of)));
        call.key(self.names.inbox(of)).key(self.names.producers(of)).key(self.names.readers(of));
        call.arg(add.producer.to_string()).arg(add.first.get());
        match &add.reader {
            Some((stream, epoch)) => call.arg(stream.as_str()).arg(epoch.get()),
            None => call.arg("").arg(0),
        };
        let mut bytes = 0;
        for payload in &add.payloads {
            bytes += ROW + payload.bytes().len();
            call.arg(payload.bytes());
        }
        (call, bytes)
    }

    /// Leaves answers for a host, for so many milliseconds; with how many bytes they are.
    pub(super) fn answer(
        &self,
        to: &Member,
        ms: u64,
        answers: &[Vec<u8>],
    ) -> (Invocation<'_>, usize) {
        let mut call = self.answer.key(self.names.answers(to));
        call.arg(MOST_ANSWERS).arg(ms);
        for answer in answers {
            call.arg(answer.as_slice());
        }
        (call, answers.iter().map(Vec::len).sum())
    }

    fn beat(&self, beat: &Beat) -> Invocation<'_> {
        let mut call = self.beat.key(self.names.beats());
        call.key(self.names.standings());
        let standing = STANDINGS.iter().find(|(it, _)| *it == beat.standing).map_or("", |it| it.1);
        call.arg(beat.by.to_string()).arg(format!("{standing} {}", beat.weight));
        call.arg(self.lease.saturating_mul(TOLD));
        call
    }

    pub(super) fn layout(&self, partitions: Partitions) -> Invocation<'_> {
        let mut call = self.layout.key(self.names.layout());
        call.arg(LAYOUT).arg(partitions.count());
        call
    }

    pub(super) fn memory(&self, of: Partition) -> Invocation<'_> {
        self.memory.key(self.names.fence(&Resource::Partition(of)))
    }

    pub(super) fn load(&self, load: &Load, tables: &[String]) -> Invocation<'_> {
        let of = load.partition;
        let mut call = self.load.key(self.names.fence(&Resource::Partition(of)));
        call.key(self.names.producers(of));
        for table in tables {
            call.key(self.names.index(of, table));
        }
        call
    }
}

fn text(value: Option<&impl ToString>) -> String {
    value.map(ToString::to_string).unwrap_or_default()
}

fn member(group: &RowKey) -> Vec<u8> {
    keys::member(&Group(group.group.0.clone(), group.group.1.clone()))
}

type Rows<'a> = BTreeMap<u64, Option<&'a Payload>>;

/// The last change of each row, by group.
fn by_group(changes: &[Change]) -> BTreeMap<RowKey, Rows<'_>> {
    let mut groups: BTreeMap<RowKey, Rows<'_>> = BTreeMap::new();
    for change in changes {
        let key = change.key();
        let value = match change {
            Change::Put(_, value) => Some(value),
            Change::Delete(_) => None,
        };
        groups.entry(RowKey { number: 0, ..key.clone() }).or_default().insert(key.number, value);
    }
    groups
}

/// What a script's answer means; `None` where it means nothing to this release.
pub(super) fn answer(call: &Call, value: &Value) -> Option<Answer> {
    match call {
        Call::Acquire(_) => acquired(value).map(Answer::Acquire),
        Call::Renew(_) => renewed(value).map(Answer::Renew),
        Call::Release(_) => whole::<bool>(value).map(Answer::Release),
        Call::Commit(_) => committed(value).map(Answer::Commit),
        Call::Add(_) => added(value).map(Answer::Add),
        Call::Beat(_) => seen(value).map(Answer::Beat),
        Call::Load(_) | Call::Read(_) => None,
    }
}

fn whole<T: FromRedisValue>(value: &Value) -> Option<T> {
    T::from_redis_value(value.clone()).ok()
}

fn acquired(value: &Value) -> Option<Acquired> {
    let words: Vec<String> = whole(value)?;
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    Some(match words[..] {
        ["ours", epoch, at, released] => Acquired::Ours {
            epoch: Epoch::new(epoch.parse().ok()?),
            mark: mark(at)?,
            released: released == "1",
        },
        ["held", by, at, epoch] => Acquired::Held {
            by: Member::parse(by)?,
            epoch: Epoch::new(epoch.parse().ok()?),
            mark: mark(at)?,
        },
        ["expired", by, at, epoch] => Acquired::Expired {
            by: Member::parse(by)?,
            epoch: Epoch::new(epoch.parse().ok()?),
            mark: mark(at)?,
        },
        ["free", at, epoch] => {
            Acquired::Free { epoch: Epoch::new(epoch.parse().ok()?), mark: mark(at)? }
        }
        ["moved", at, epoch] => {
            Acquired::Moved { epoch: Epoch::new(epoch.parse().ok()?), mark: mark(at)? }
        }
        ["layout", layout, partitions] => {
            Acquired::Layout { layout: layout.parse().ok()?, partitions: partitions.parse().ok()? }
        }
        _ => return None,
    })
}

/// No mark, or one; `None` where it is neither.
fn mark(text: &str) -> Option<Option<Mark>> {
    if text.is_empty() { Some(None) } else { Mark::parse(text).map(Some) }
}

fn renewed(value: &Value) -> Option<Renewed> {
    let words: Vec<String> = whole(value)?;
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    Some(match words[..] {
        ["ours", number, at, next] => Renewed::Ours {
            end: Offset::new(number.parse().ok()?, at.parse().ok()?),
            next: Member::parse(next),
        },
        ["taken_over", epoch] => Renewed::TakenOver(Epoch::new(epoch.parse().ok()?)),
        ["lost", epoch] => Renewed::ServerLost(Epoch::new(epoch.parse().ok()?)),
        _ => return None,
    })
}

fn committed(value: &Value) -> Option<Committed> {
    let (outcome, epoch): (u8, u64) = whole(value)?;
    Some(match outcome {
        0 => Committed::Done,
        1 => Committed::TakenOver(Epoch::new(epoch)),
        2 => Committed::Stale,
        3 => Committed::ServerLost(Epoch::new(epoch)),
        _ => return None,
    })
}

fn added(value: &Value) -> Option<Added> {
    let (outcome, number): (String, u64) = whole(value)?;
    Some(match outcome.as_str() {
        "in" => Added::In(Number::new(number)),
        "gap" => Added::Gap(Number::new(number)),
        "fenced" => Added::Fenced(Epoch::new(number)),
        _ => return None,
    })
}

fn seen(value: &Value) -> Option<Vec<Seen>> {
    let words: Vec<String> = whole(value)?;
    let one = |words: &[String]| {
        let [member, stands, age] = words else { return None };
        let (stands, weight) = stands.split_once(' ')?;
        Some(Seen {
            member: Member::parse(member)?,
            standing: STANDINGS.iter().find(|(_, text)| *text == stands)?.0,
            weight: weight.parse().ok()?,
            age: age.parse().ok()?,
        })
    };
    let mut all: Vec<Seen> = words.chunks(3).map(one).collect::<Option<_>>()?;
    all.sort_by(|one, other| one.member.cmp(&other.member));
    Some(all)
}

/// The members of each index.
type Indexes = Vec<Vec<Vec<u8>>>;

/// What a load answers: how far the inbox was read, who added, and the groups of each index.
pub(super) fn loaded(value: &Value) -> Option<(Offset, Producers, Indexes)> {
    let mut parts = whole::<Vec<Value>>(value)?.into_iter();
    let offset = Offset::new(whole(&parts.next()?)?, whole(&parts.next()?)?);
    let words: Vec<String> = whole(&parts.next()?)?;
    let producer = |words: &[String]| {
        let [name, age] = words else { return None };
        Some((Producer::parse(name)?, age.parse().ok()?))
    };
    let mut producers: Producers = words.chunks(2).map(producer).collect::<Option<_>>()?;
    producers.sort();
    let indexes = parts.map(|index| whole(&index)).collect::<Option<_>>()?;
    Some((offset, producers, indexes))
}
