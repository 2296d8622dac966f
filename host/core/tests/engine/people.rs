//! Keys of the API, and the audit log.

use std::time::Duration;

use sidenote_core::access::{Actor, KeyId, KeyName, Products, Scope};
use sidenote_core::clock::Timestamp;
use sidenote_core::engine::audit::{
    Act, AuditRow, Deed, KEPT, MOST_ROWS, Outcome, Subject, SubjectKind,
};
use sidenote_core::engine::keys::{KeyChange, KeyError, KeyRow, MOST_KEYS};
use sidenote_core::engine::rows::decode;
use sidenote_core::engine::{Answer, Command};
use sidenote_core::ids::ProductId;
use sidenote_core::rows::Table;
use sidenote_core::rules::Delivery;

use crate::words::settings_of;
use crate::world::World;

fn id(n: usize) -> KeyId {
    KeyId::new(&format!("{n:010x}")).expect("an id")
}

fn new(n: usize, name: &str) -> KeyChange {
    let row = KeyRow {
        name: KeyName::new(name).expect("a name"),
        hash: [7; 32],
        scopes: [Scope::Read].into_iter().collect(),
        products: Products::All,
        made_at: Timestamp::default(),
        made_by: Actor::Token,
        expires_at: None,
        used_at: None,
    };
    KeyChange::New { id: id(n), row }
}

fn one_product() -> World {
    World::new(settings_of(&["bot"], Delivery::default()))
}

fn change(world: &mut World, change: KeyChange) -> Result<KeyRow, KeyError> {
    let Answer::Keyed(keyed) = world.tell(Command::Key(change)) else { panic!("of a key") };
    keyed
}

fn edited(change: KeyChange, edit: impl FnOnce(&mut KeyRow)) -> KeyChange {
    let KeyChange::New { id, mut row } = change else { panic!("a new one") };
    edit(&mut row);
    KeyChange::New { id, row }
}

fn table(world: &World, table: Table) -> Vec<&[u8]> {
    let rows = world.rows.iter().filter(|(key, _)| key.table == table);
    rows.map(|(_, value)| value.as_slice()).collect()
}

#[test]
fn a_key_is_a_row_from_its_commit_on_and_gone_with_its_revocation() {
    let mut world = one_product();
    let made = change(&mut world, new(1, "grafana")).unwrap();
    assert_eq!(made.made_at, world.now);
    assert_eq!(table(&world, Table::Key).len(), 1);
    assert_eq!(change(&mut world, new(2, "grafana")), Err(KeyError::NameInUse));
    assert_eq!(change(&mut world, new(1, "other")), Err(KeyError::IdInUse));

    world.restart();
    assert_eq!(change(&mut world, new(2, "grafana")), Err(KeyError::NameInUse));
    let uses = vec![(id(1), world.now), (id(3), world.now)];
    world.tell(Command::KeysUsed(uses));
    let row: KeyRow = decode(table(&world, Table::Key)[0]).unwrap();
    assert_eq!(row.used_at, Some(world.now));
    assert_eq!(table(&world, Table::Key).len(), 1, "one that isn't there isn't made by its use");

    change(&mut world, KeyChange::Revoke(id(1))).unwrap();
    assert_eq!(change(&mut world, KeyChange::Revoke(id(1))), Err(KeyError::Unknown));
    assert!(table(&world, Table::Key).is_empty());
    world.tell(Command::KeysUsed(vec![(id(1), world.now)]));
    assert!(table(&world, Table::Key).is_empty());
}

#[test]
fn a_key_that_would_open_nothing_isnt_made_and_an_expired_one_leaves_its_name() {
    let mut world = one_product();
    let now = world.now;
    let only =
        |ids: &[&str]| Products::Only(ids.iter().map(|id| ProductId::new(*id).unwrap()).collect());
    let nothing = [
        edited(new(1, "n"), |row| row.scopes = [].into_iter().collect()),
        edited(new(1, "n"), |row| row.products = only(&[])),
        edited(new(1, "n"), |row| row.expires_at = Some(now)),
    ];
    for wish in nothing {
        assert_eq!(change(&mut world, wish), Err(KeyError::Nothing));
    }
    let other = edited(new(1, "n"), |row| row.products = only(&["nowhere"]));
    assert!(matches!(change(&mut world, other), Err(KeyError::Product(_))));

    let day = Duration::from_secs(86_400);
    let short = edited(new(1, "n"), |row| row.expires_at = Some(now + day));
    change(&mut world, short).unwrap();
    assert_eq!(change(&mut world, new(2, "n")), Err(KeyError::NameInUse));
    world.now = now + day;
    change(&mut world, new(2, "n")).unwrap();
    world.sweep_at(now + day * 92);
    assert_eq!(table(&world, Table::Key).len(), 1, "what expired long ago isn't listed any more");
}

#[test]
fn there_is_a_bound_of_keys() {
    let mut world = one_product();
    for n in 0..MOST_KEYS {
        change(&mut world, new(n, &format!("k{n}"))).unwrap();
    }
    assert_eq!(change(&mut world, new(MOST_KEYS, "more")), Err(KeyError::TooMany));
    change(&mut world, KeyChange::Revoke(id(0))).unwrap();
    change(&mut world, new(MOST_KEYS, "more")).unwrap();
}

fn deed(order: Option<u64>) -> Deed {
    let subject = Subject::of("p", SubjectKind::Email, "Ann@example.com ");
    Deed { by: Actor::Token, act: Act::Reset { subject }, product: None, order }
}

fn done(affected: u64) -> Outcome {
    Outcome::Done { affected: Some(affected) }
}

#[test]
fn the_log_has_the_newest_first_and_is_bounded_by_count_and_age() {
    let mut world = one_product();
    let first = world.now;
    for n in 0..MOST_ROWS as u64 + 3 {
        world.now = first + Duration::from_secs(n);
        world.tell(Command::Audit(deed(None), done(n)));
    }
    let outcomes = |world: &World| -> Vec<Outcome> {
        let rows = table(world, Table::Audit).into_iter();
        rows.map(|row| decode::<AuditRow>(row).unwrap().outcome).collect()
    };
    let told = outcomes(&world);
    assert_eq!(told.len(), MOST_ROWS);
    assert_eq!((&told[0], &told[MOST_ROWS - 1]), (&done(MOST_ROWS as u64 + 2), &done(3)));

    // The next run goes on behind it.
    world.restart();
    world.tell(Command::Audit(deed(None), done(77)));
    let told = outcomes(&world);
    assert_eq!((told.len(), &told[0], &told[MOST_ROWS - 1]), (MOST_ROWS, &done(77), &done(4)));
    world.sweep_at(first + KEPT + Duration::from_secs(9_000));
    let told = outcomes(&world);
    assert!(told.len() < 1100 && told[0] == done(77), "{}", told.len());
    for row in table(&world, Table::Audit) {
        let row = String::from_utf8_lossy(row).to_lowercase();
        assert!(!row.contains("ann") && !row.contains("example"), "{row}");
    }
}

#[test]
fn the_parts_of_an_order_are_one_row_that_adds_up() {
    let mut world = one_product();
    world.tell(Command::Audit(deed(Some(1)), done(500)));
    world.tell(Command::Audit(deed(Some(2)), done(1)));
    world.tell(Command::Audit(deed(Some(1)), done(20)));
    let rows = table(&world, Table::Audit);
    let outcomes: Vec<_> =
        rows.iter().map(|row| decode::<AuditRow>(row).unwrap().outcome).collect();
    assert_eq!(outcomes, [done(1), done(520)]);
    let same = Subject::of("p", SubjectKind::Email, "ann@EXAMPLE.com");
    assert_eq!(deed(None).act, Act::Reset { subject: same.clone() });
    assert_ne!(Subject::of("q", SubjectKind::Email, "ann@example.com"), same);
    assert_ne!(Subject::of("p", SubjectKind::User, "ann@example.com"), same);
}
