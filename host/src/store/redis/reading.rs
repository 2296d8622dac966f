//! Rows as they are read, page by page, wherever the layout puts them.

use redis::{cmd, pipe};

use super::keys::{self, Places};
use super::server::Server;
use crate::store::{Group, Key, Rows, StoreError, Table};

/// Groups that are asked for at once.
const PAGE: usize = 256;

/// Space that must be there again after the memory was full, in bytes, where the server has that much.
const RESERVE: u64 = 8 << 20;

/// See [`crate::store::Store::load`].
pub(super) async fn load(
    server: &Server,
    places: &impl Places,
    table: Table,
    groups: &[Group],
) -> Result<Vec<Rows>, StoreError> {
    let mut loaded = Vec::with_capacity(groups.len());
    for page in groups.chunks(PAGE) {
        let mut asked = pipe();
        for group in page {
            asked.cmd("HGETALL").arg(places.rows(table, group));
        }
        let mut rows: Vec<Rows> = server.query_all(&asked).await?;
        for of_group in &mut rows {
            of_group.sort_unstable_by_key(|(number, _)| *number);
        }
        loaded.append(&mut rows);
    }
    Ok(loaded)
}

/// See [`crate::store::Store::scan`].
pub(super) async fn scan(
    server: &Server,
    places: &impl Places,
    table: Table,
    after: Option<Key>,
    limit: usize,
) -> Result<Vec<(Key, Vec<u8>)>, StoreError> {
    let mut scanned = Vec::new();
    // The group of `after` may have rows behind it.
    let (mut groups, mut behind) = match after {
        None => (groups_behind(server, places, table, None, limit).await?, None),
        Some(key) => (vec![key.group], Some(key.number)),
    };
    while scanned.len() < limit
        && let Some(last) = groups.last().cloned()
    {
        let mut wanted = Vec::new();
        let mut room = limit - scanned.len();
        let numbers = numbers(server, places, table, &groups).await?;
        for (group, mut numbers) in groups.iter().zip(numbers) {
            if let Some(number) = behind.take() {
                numbers.retain(|&of_group| of_group > number);
            }
            numbers.truncate(room);
            room -= numbers.len();
            if !numbers.is_empty() {
                wanted.push((group.clone(), numbers));
            }
        }
        if !wanted.is_empty() {
            scanned.append(&mut values(server, places, table, &wanted).await?);
        }
        // Where rows went while they were read, those behind them come in their place.
        groups = match wanted.pop() {
            Some((group, numbers)) if room == 0 && scanned.len() < limit => {
                behind = numbers.last().copied();
                vec![group]
            }
            _ => groups_behind(server, places, table, Some(&last), limit).await?,
        };
    }
    Ok(scanned)
}

/// The numbers of the rows of each group.
async fn numbers(
    server: &Server,
    places: &impl Places,
    table: Table,
    groups: &[Group],
) -> Result<Vec<Vec<u64>>, StoreError> {
    let mut asked = pipe();
    for group in groups {
        asked.cmd("HKEYS").arg(places.rows(table, group));
    }
    let mut numbers: Vec<Vec<u64>> = server.query_all(&asked).await?;
    for of_group in &mut numbers {
        of_group.sort_unstable();
    }
    Ok(numbers)
}

/// These rows, without those that have gone.
async fn values(
    server: &Server,
    places: &impl Places,
    table: Table,
    wanted: &[(Group, Vec<u64>)],
) -> Result<Vec<(Key, Vec<u8>)>, StoreError> {
    let mut asked = pipe();
    for (group, numbers) in wanted {
        asked.cmd("HMGET").arg(places.rows(table, group)).arg(numbers);
    }
    let values: Vec<Vec<Option<Vec<u8>>>> = server.query_all(&asked).await?;
    let mut rows = Vec::new();
    for ((group, numbers), values) in wanted.iter().zip(values) {
        for (&number, value) in numbers.iter().zip(values) {
            let key = Key { table, group: group.clone(), number };
            rows.extend(value.map(|value| (key, value)));
        }
    }
    Ok(rows)
}

/// The groups of `table` behind `after`, up to [`PAGE`] of them.
async fn groups_behind(
    server: &Server,
    places: &impl Places,
    table: Table,
    after: Option<&Group>,
    limit: usize,
) -> Result<Vec<Group>, StoreError> {
    let from = match after {
        None => b"-".to_vec(),
        Some(group) => [b"(".to_vec(), keys::member(group)].concat(),
    };
    let mut asked = cmd("ZRANGE");
    asked.arg(places.index(table)).arg(from).arg("+").arg("BYLEX");
    asked.arg("LIMIT").arg(0).arg(limit.min(PAGE));
    let members: Vec<Vec<u8>> = server.query(&asked).await?;
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
