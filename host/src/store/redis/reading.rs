//! Rows as they are read, page by page, wherever the layout puts them.

use redis::pipe;

use super::keys::{self, Places};
use super::server::Server;
use crate::store::{Group, Key, Rows, StoreError, Table};

/// Keys that are asked for at once.
const PAGE: usize = 256;

/// Space that must be there again after the memory was full, in bytes, where the server has that much.
const RESERVE: u64 = 8 << 20;

/// Where rows are looked for: in one place, or in the same place of several partitions.
pub(super) trait Sites: Send + Sync {
    /// The indexes that have a table's groups.
    fn indexes(&self, table: Table) -> Vec<String>;

    /// Where rows of a group can be.
    fn rows(&self, table: Table, group: &Group) -> Vec<String>;
}

impl<P: Places> Sites for P {
    fn indexes(&self, table: Table) -> Vec<String> {
        vec![self.index(table)]
    }

    fn rows(&self, table: Table, group: &Group) -> Vec<String> {
        vec![Places::rows(self, table, group)]
    }
}

/// See [`crate::store::Store::load`].
pub(super) async fn load(
    server: &Server,
    sites: &impl Sites,
    table: Table,
    groups: &[Group],
) -> Result<Vec<Rows>, StoreError> {
    let mut loaded = Vec::with_capacity(groups.len());
    for page in groups.chunks(page_of(sites, table)) {
        let keys: Vec<_> = page.iter().map(|group| sites.rows(table, group)).collect();
        let mut asked = pipe();
        for key in keys.iter().flatten() {
            asked.cmd("HGETALL").arg(key);
        }
        let rows: Vec<Rows> = server.query_all(&asked).await?;
        let mut rows = rows.into_iter();
        for keys in keys {
            let mut of_group: Rows = rows.by_ref().take(keys.len()).flatten().collect();
            of_group.sort_by_key(|(number, _)| *number);
            loaded.push(of_group);
        }
    }
    Ok(loaded)
}

/// How many groups are asked for at once.
fn page_of(sites: &impl Sites, table: Table) -> usize {
    let none = Group("".into(), "".into());
    (PAGE / sites.rows(table, &none).len().max(1)).max(1)
}

/// The numbers of a group's rows, each with which of its keys has it.
type Numbers = Vec<(u64, usize)>;

/// See [`crate::store::Store::scan`].
pub(super) async fn scan(
    server: &Server,
    sites: &impl Sites,
    table: Table,
    after: Option<Key>,
    limit: usize,
) -> Result<Vec<(Key, Vec<u8>)>, StoreError> {
    let mut scanned = Vec::new();
    // The group of `after` may have rows behind it.
    let (mut groups, mut behind) = match after {
        None => (groups_behind(server, sites, table, None, limit).await?, None),
        Some(key) => (vec![key.group], Some(key.number)),
    };
    while scanned.len() < limit
        && let Some(last) = groups.last().cloned()
    {
        let mut wanted = Vec::new();
        let mut room = limit - scanned.len();
        let numbers = numbers(server, sites, table, &groups).await?;
        for (group, mut numbers) in groups.iter().zip(numbers) {
            if let Some(number) = behind.take() {
                numbers.retain(|(of_group, _)| *of_group > number);
            }
            numbers.truncate(room);
            room -= numbers.len();
            if !numbers.is_empty() {
                wanted.push((group.clone(), numbers));
            }
        }
        if !wanted.is_empty() {
            scanned.append(&mut values(server, sites, table, &wanted).await?);
        }
        // Where rows went while they were read, those behind them come in their place.
        groups = match wanted.pop() {
            Some((group, numbers)) if room == 0 && scanned.len() < limit => {
                behind = numbers.last().map(|(number, _)| *number);
                vec![group]
            }
            _ => groups_behind(server, sites, table, Some(&last), limit).await?,
        };
    }
    Ok(scanned)
}

/// The numbers of the rows of each group.
async fn numbers(
    server: &Server,
    sites: &impl Sites,
    table: Table,
    groups: &[Group],
) -> Result<Vec<Numbers>, StoreError> {
    let keys: Vec<_> = groups.iter().map(|group| sites.rows(table, group)).collect();
    let mut asked = pipe();
    for key in keys.iter().flatten() {
        asked.cmd("HKEYS").arg(key);
    }
    let found: Vec<Vec<u64>> = server.query_all(&asked).await?;
    let mut found = found.into_iter();
    let of_group = |keys: &Vec<String>| {
        let mut numbers: Numbers = Vec::new();
        for (place, found) in found.by_ref().take(keys.len()).enumerate() {
            numbers.extend(found.into_iter().map(|number| (number, place)));
        }
        numbers.sort_unstable();
        numbers
    };
    Ok(keys.iter().map(of_group).collect())
}

/// These rows, without those that have gone.
async fn values(
    server: &Server,
    sites: &impl Sites,
    table: Table,
    wanted: &[(Group, Numbers)],
) -> Result<Vec<(Key, Vec<u8>)>, StoreError> {
    let mut asked = pipe();
    let mut parts: Vec<(&Group, Vec<u64>)> = Vec::new();
    for (group, numbers) in wanted {
        for (place, key) in sites.rows(table, group).into_iter().enumerate() {
            let here = numbers.iter().filter(|(_, of)| *of == place);
            let here: Vec<u64> = here.map(|(number, _)| *number).collect();
            if !here.is_empty() {
                asked.cmd("HMGET").arg(key).arg(&here);
                parts.push((group, here));
            }
        }
    }
    let values: Vec<Vec<Option<Vec<u8>>>> = server.query_all(&asked).await?;
    let mut rows = Vec::new();
    for ((group, numbers), values) in parts.iter().zip(values) {
        for (&number, value) in numbers.iter().zip(values) {
            let key = Key { table, group: (*group).clone(), number };
            rows.extend(value.map(|value| (key, value)));
        }
    }
    rows.sort_by(|(one, _), (other, _)| one.cmp(other));
    Ok(rows)
}

/// The groups of `table` behind `after`, up to [`PAGE`] of them.
async fn groups_behind(
    server: &Server,
    sites: &impl Sites,
    table: Table,
    after: Option<&Group>,
    limit: usize,
) -> Result<Vec<Group>, StoreError> {
    let from = match after {
        None => b"-".to_vec(),
        Some(group) => [b"(".to_vec(), keys::member(group)].concat(),
    };
    let most = limit.min(PAGE);
    let mut asked = pipe();
    for index in sites.indexes(table) {
        let command = asked.cmd("ZRANGE").arg(index).arg(&from).arg("+").arg("BYLEX");
        command.arg("LIMIT").arg(0).arg(most);
    }
    let members: Vec<Vec<Vec<u8>>> = server.query_all(&asked).await?;
    let mut members = members.concat();
    members.sort_unstable();
    members.dedup();
    members.truncate(most);
    let groups = members.iter().map(|member| keys::group(member)).collect::<Option<_>>();
    groups.ok_or_else(|| {
        StoreError::Fatal("an index on the Redis server holds what is no group".to_owned())
    })
}

/// Whether a server that says this of its memory has space for what is under way and more.
pub(super) fn has_room(info: &str) -> bool {
    let bytes = |field: &str| {
        let line = info.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        line.and_then(|value| value.trim().parse::<u64>().ok()).unwrap_or(0)
    };
    let limit = bytes("maxmemory");
    limit == 0 || bytes("used_memory") + RESERVE.min(limit / 16) < limit
}
