//! The server where several hosts share it: each call of [`sidenote_cluster`] as one script, of keys in one slot.
//!
//! | key | type | what is in it |
//! |---|---|---|
//! | `NS:{pNNN}:lease`, `NS:{s:STREAM}:lease` | string, expires | who has the partition, or adds the stream |
//! | `NS:{pNNN}:fence`, `NS:{s:STREAM}:fence` | hash | `epoch`, `holder`, `seq`: the last commit; `offset`, `offset_at`: the last entry that was read; `added`, `added_at`: the last one of the inbox; `mark`, `next`, `next_at`: of a stream; `layout`, `partitions` |
//! | `NS:{pNNN}:inbox` | stream, ids `N-0` | what is added and not read yet |
//! | `NS:{pNNN}:producers` | hash | each producer's last number, and when it last added |
//! | `NS:{pNNN}:readers` | hash | of each stream, the epoch of the latest reader that added |
//! | `NS:{pNNN}:index:TABLE` | sorted set, all scores 0 | the groups of the table that have rows |
//! | `NS:{pNNN}:rows:TABLE:FIRST\|SECOND` | hash | the rows of one group: number → value |
//! | `NS:fence` | hash | `layout`: 2, and `partitions`: how many, for ever. The key is that of the layout before, whose hosts see that it isn't theirs |
//! | `NS:{a:HOST#START}:answers` | stream, expires | what the requests of a host were answered, and it hasn't read yet |
//! | `NS:{hosts}:beats`, `NS:{hosts}:standings` | sorted set, hash | when each host last said that it is there, and how it goes on |
//!
//! What is added to an inbox or to a host's answers is told on a channel that is called as the key is.
//!
//! No time of a host is in it: leases end, epochs begin and entries are dated by the server's clock.
//!
//! The server can be one, or a Redis Cluster. The running host doesn't use this yet: [`super`] is one writer with all others
//! standing by.

mod all;
mod bells;
mod names;
mod script;
mod scripts;
mod store;

pub use all::AllPartitions;
pub use bells::Bells;
pub use store::{Beside, Owner, PartitionStore};

use std::time::Duration;

use redis::FromRedisValue;
use sidenote_cluster::call::{Answer, Call, Entry, LAYOUT, Load, Loaded, Read};
use sidenote_cluster::ids::{Member, Offset, Partition, Payload, Producer};
use sidenote_cluster::partition::Partitions;
use sidenote_cluster::row::RowKey;

use super::failure::{Failure, OpenError};
use super::keys;
use super::server::Server;
use crate::config;
use crate::store::StoreError;
use names::Names;
use script::Invocation;
use scripts::Scripts;

/// How many groups are read at once.
const GROUPS: usize = 256;

/// The server closes the connection at 1,048,576 words of one command.
const MAX_WORDS: usize = 1_000_000;

/// A server that several hosts share.
pub struct SharedServer {
    server: Server,
    names: Names,
    scripts: Scripts,
    tables: Vec<String>,
}

impl SharedServer {
    /// Connects, to one server or, where the address is that of a node, to a Redis Cluster. `lease`: how long leases last;
    /// `tables`: those of which [`Call::Load`] reads all rows.
    ///
    /// # Errors
    /// Where the address isn't one, or nobody answers there, or not to this user.
    pub async fn open(
        config: &config::Redis,
        lease: Duration,
        tables: &[&str],
    ) -> Result<Self, OpenError> {
        let (server, _) = Server::connect_any(config).await?;
        let names = Names::new(&config.namespace);
        let scripts = Scripts::new(names.clone(), lease);
        let tables = tables.iter().map(|table| (*table).to_owned()).collect();
        Ok(Self { server, names, scripts, tables })
    }

    /// Takes the namespace for partitions, so many for ever. Where it is new, hosts of the layout before refuse it from
    /// now on.
    ///
    /// # Errors
    /// Where it has rows of another layout, or another number of partitions. And as [`SharedServer::call`].
    pub async fn lay_out(&self, partitions: Partitions) -> Result<(), StoreError> {
        let (layout, count): (u32, u16) = self.run(&self.scripts.layout(partitions), 0).await?;
        if layout != LAYOUT {
            return Err(StoreError::Fatal(format!(
                "the namespace is of layout {layout}, and hosts that share it need layout {LAYOUT}: use another \
                 `store.namespace`"
            )));
        }
        if count != partitions.count() {
            let wanted = partitions.count();
            return Err(StoreError::Fatal(format!(
                "the namespace has {count} partitions, and this host was told {wanted}: the number never changes; \
                 tell it {count}, or use another `store.namespace`"
            )));
        }
        Ok(())
    }

    /// Asks the server, once.
    ///
    /// # Errors
    /// Where it doesn't answer in time, refuses, or answers what this release doesn't know. What was asked may have been
    /// done all the same.
    pub async fn call(&self, call: &Call) -> Result<Answer, StoreError> {
        let Some((script, bytes)) = self.scripts.invocation(call) else {
            return self.look(call).await;
        };
        let value: redis::Value = self.run(&script, bytes).await?;
        scripts::answer(call, &value).ok_or_else(unknown)
    }

    /// Leaves answers for a host that waits for them; it has so long to read them.
    ///
    /// # Errors
    /// As [`SharedServer::call`]. What was left may be left again: whoever waits is told once.
    pub async fn answer(
        &self,
        to: &Member,
        kept: Duration,
        answers: &[Vec<u8>],
    ) -> Result<(), StoreError> {
        let ms = u64::try_from(kept.as_millis()).unwrap_or(u64::MAX);
        let (script, bytes) = self.scripts.answer(to, ms, answers);
        self.run(&script, bytes).await.map(|_: u64| ())
    }

    /// What a host was answered behind `after`, at most so many, each with its place. What is not behind it is removed.
    ///
    /// # Errors
    /// As [`SharedServer::call`].
    pub async fn answers(
        &self,
        of: &Member,
        after: AnswerPlace,
        limit: usize,
    ) -> Result<Vec<(AnswerPlace, Vec<u8>)>, StoreError> {
        let key = self.names.answers(of);
        let AnswerPlace(ms, number) = after;
        let mut asked = redis::pipe();
        let next = format!("{ms}-{}", number.saturating_add(1));
        asked.cmd("XTRIM").arg(&key).arg("MINID").arg("=").arg(&next).ignore();
        asked.cmd("XRANGE").arg(&key).arg(&next).arg("+").arg("COUNT").arg(limit);
        let (found,): (Vec<(String, Vec<Vec<u8>>)>,) = self.server.query_all(&asked).await?;
        let answer = |(id, mut fields): (String, Vec<Vec<u8>>)| {
            let (ms, number) = id.split_once('-')?;
            let place = AnswerPlace(ms.parse().ok()?, number.parse().ok()?);
            Some((place, fields.pop()?))
        };
        found.into_iter().map(|it| answer(it).ok_or_else(unknown)).collect()
    }

    /// Whether the server answers.
    ///
    /// # Errors
    /// As [`SharedServer::call`].
    pub async fn is_there(&self) -> Result<(), StoreError> {
        let mut command = redis::cmd("EXISTS");
        command.arg(self.names.layout());
        self.server.query(&command).await.map(|_: u64| ())
    }

    /// Runs a script with `bytes` of values, and tells the server the script where it doesn't know that.
    async fn run<T: FromRedisValue>(
        &self,
        call: &Invocation<'_>,
        bytes: usize,
    ) -> Result<T, StoreError> {
        if call.words() > MAX_WORDS {
            // Trying again would meet the same end.
            return Err(StoreError::Fatal(
                "a commit of more rows than the Redis server takes at once".to_owned(),
            ));
        }
        let mut answer = self.server.ask_long(&call.by_hash(), bytes).await;
        if answer.as_ref().is_err_and(Failure::is_of_the_script) {
            answer = self.server.ask_long(&call.whole(), bytes).await;
        }
        answer.map_err(Failure::into_store_error)
    }

    /// How the memory of the server is used that has a partition.
    async fn memory(&self, of: Partition) -> Result<String, StoreError> {
        self.run(&self.scripts.memory(of), 0).await
    }

    /// What changes nothing.
    async fn look(&self, call: &Call) -> Result<Answer, StoreError> {
        match call {
            Call::Load(load) => self.load(load).await.map(Answer::Load),
            Call::Read(read) => self.read(read).await.map(Answer::Read),
            Call::Acquire(_)
            | Call::Renew(_)
            | Call::Release(_)
            | Call::Commit(_)
            | Call::Add(_)
            | Call::Beat(_) => Err(unknown()),
        }
    }

    async fn read(&self, read: &Read) -> Result<Vec<Entry>, StoreError> {
        let mut command = redis::cmd("XRANGE");
        command.arg(self.names.inbox(read.partition));
        command.arg(format!("({}-0", read.after.number())).arg("+");
        command.arg("COUNT").arg(read.limit);
        let entries: Vec<(String, Vec<Vec<u8>>)> = self.server.query(&command).await?;
        entries.iter().map(|(id, fields)| entry(id, fields).ok_or_else(unknown)).collect()
    }

    /// How far an inbox was read, and who added to it.
    async fn load_without_rows(&self, load: &Load) -> Result<Loaded, StoreError> {
        let value: redis::Value = self.run(&self.scripts.load(load, &[]), 0).await?;
        let (offset, producers, _) = scripts::loaded(&value).ok_or_else(unknown)?;
        Ok(Loaded { rows: Vec::new(), offset, producers })
    }

    async fn load(&self, load: &Load) -> Result<Loaded, StoreError> {
        let script = self.scripts.load(load, &self.tables);
        let value: redis::Value = self.run(&script, 0).await?;
        let (offset, producers, indexes) = scripts::loaded(&value).ok_or_else(unknown)?;
        let mut groups = Vec::new();
        for (table, members) in self.tables.iter().zip(indexes) {
            for member in members {
                let group = keys::group(&member).ok_or_else(unknown)?;
                groups.push(RowKey::new(table, &group.0, &group.1, 0));
            }
        }
        let mut rows = Vec::new();
        for some in groups.chunks(GROUPS) {
            let mut commands = redis::pipe();
            for group in some {
                commands.cmd("HGETALL").arg(self.names.rows(load.partition, group));
            }
            let found: Vec<Vec<(u64, Vec<u8>)>> = self.server.query_all(&commands).await?;
            for (group, found) in some.iter().zip(found) {
                let of = |number| RowKey { number, ..group.clone() };
                rows.extend(found.into_iter().map(|(it, value)| (of(it), Payload::new(&value))));
            }
        }
        rows.sort();
        Ok(Loaded { rows, offset, producers })
    }
}

/// A place among the answers of a host.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct AnswerPlace(u64, u64);

fn unknown() -> StoreError {
    StoreError::Fatal(
        "the Redis server answers what this release doesn't know: the namespace is another release's, or something \
         else writes to its keys"
            .to_owned(),
    )
}

/// An entry of an inbox, from its id and its fields.
fn entry(id: &str, fields: &[Vec<u8>]) -> Option<Entry> {
    let number = id.strip_suffix("-0")?.parse().ok()?;
    let [_, at, _, before, _, payload] = fields else { return None };
    let millis = |bytes: &Vec<u8>| std::str::from_utf8(bytes).ok()?.parse().ok();
    let offset = Offset::new(number, millis(at)?);
    Some(Entry { offset, before: millis(before)?, payload: Payload::new(payload) })
}

/// The producers of a partition, each with how long ago it added.
type Producers = Vec<(Producer, u64)>;
