//! The rows of what is remembered of people: one of each, under the source and the product.

use sha2::{Digest, Sha256};
use sidenote_core::engine::rows::{decode, delete, put};
use sidenote_core::rows::{Change, Group, Key, Table};

use super::person::{Left, Person, Who, Whom};

/// The table.
const TABLE: Table = Table::SourcePerson;

/// What happens to a row when somebody is forgotten; `None`: it stays as it is. A row that can't be
/// read stays too.
///
/// ```
/// use sidenote_core::rows::{Group, Key, Table};
/// use sidenote_sources::{Whom, forgotten};
///
/// let group = Group("events".into(), "shop".into());
/// let key = Key { table: Table::SourcePerson, group, number: 1 };
/// assert!(forgotten(&key, b"what nobody wrote", &Whom::User("u-1")).is_none());
/// ```
pub fn forgotten(key: &Key, value: &[u8], whom: &Whom<'_>) -> Option<Change> {
    let mut person: Person = decode(value).ok()?;
    let Key { table, group, number } = key.clone();
    match person.forget(whom) {
        Left::All => None,
        Left::Less => Some(put(table, group, number, &person)),
        Left::Nothing => Some(delete(table, group, number)),
    }
}

/// The row of somebody; without them, that it goes.
pub(super) fn change(source: &str, product: &str, who: &Who, person: Option<&Person>) -> Change {
    let group = Group(source.into(), product.into());
    match person {
        Some(person) => put(TABLE, group, number(who), person),
        None => delete(TABLE, group, number(who)),
    }
}

fn number(who: &Who) -> u64 {
    let (kind, name) = match who {
        Who::User(name) => (b'u', name),
        Who::Visitor(name) => (b'v', name),
        Who::Address(name) => (b'a', name),
    };
    let mut hash = Sha256::new();
    hash.update([kind]);
    hash.update(name);
    u64::from_be_bytes(hash.finalize()[..8].try_into().expect("a hash has more than 8 bytes"))
}
