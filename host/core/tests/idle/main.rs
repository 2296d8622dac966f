//! What sessions cost that were busy and are idle: bytes of memory, and of the rows that are kept of them. What a host
//! holds beside this (its allocator, its feed, pages of the file) is for `cargo xtask bench --part idle`.

#[path = "../engine/words.rs"]
#[expect(dead_code, reason = "the tests of the engine need more of it")]
mod words;
#[path = "../engine/world.rs"]
#[expect(dead_code, reason = "the tests of the engine need more of it")]
mod world;

use std::alloc::System;
use std::collections::BTreeMap;

use cap::Cap;
use sidenote_core::engine::Command;

use words::{acts_of, link, settings, took};
use world::{MOMENT, SECOND, World};

#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, usize::MAX);

/// Sessions of a round.
const SESSIONS: usize = 500;
/// Bytes of memory of a session that waits for nothing.
const IN_MEMORY: usize = 512;
/// Bytes of memory of a session that has left it: only the room that maps keep for the next ones.
const AFTERWARDS: usize = 100;
/// Bytes of the rows of a session, their keys included: of its record, its conversation, two names and one note.
const STORED: usize = 470;

/// A round of people who open a conversation, do three things and are idle.
fn busy(world: &mut World, round: usize) {
    for i in 0..SESSIONS {
        let (session, to) = (format!("session-{round}-{i:06}"), format!("conversation-{i:06}"));
        let (user, email) = (format!("user-{round}-{i:06}"), format!("user-{i:06}@example.com"));
        world.tell(Command::Link(link(&session, &format!("{to}-{round}"))));
        let who = (Some(&*user), Some(&*email));
        world.tell(acts_of(&session, who, &["opened it", "clicked it", "left it"]));
        if i % 50 == 49 {
            world.pass(MOMENT);
            world.answer_all(took);
        }
    }
    (world.events, world.fresh) = (Vec::new(), Vec::new());
}

/// Bytes of a session's rows, their keys included, by table.
fn stored_by_table(world: &World) -> BTreeMap<String, usize> {
    let mut tables = BTreeMap::new();
    for (key, row) in &world.rows {
        let key_bytes = key.group.0.len() + key.group.1.len() + size_of::<u64>();
        *tables.entry(format!("{:?}", key.table)).or_default() += key_bytes + row.len();
    }
    tables.into_iter().map(|(table, bytes): (_, usize)| (table, bytes / SESSIONS)).collect()
}

/// Bytes of memory that sessions take beside their rows, which the test has in memory.
fn held(world: &mut World, empty: usize) -> usize {
    drop(std::mem::take(&mut world.rows));
    (ALLOCATOR.allocated() - empty) / SESSIONS
}

#[test]
fn an_idle_session_takes_little_and_nothing_is_left_of_it_in_memory() {
    let mut world = World::new(settings());
    let empty = ALLOCATOR.allocated();
    let mut left = Vec::new();
    for round in 0..4 {
        busy(&mut world, round);
        let tables = stored_by_table(&world);
        let stored = tables.values().sum::<usize>();
        assert!(stored <= STORED, "{stored} bytes are stored of a session");
        let idle = held(&mut world, empty);
        assert!(idle <= IN_MEMORY, "an idle session takes {idle} bytes of memory");
        world.now = world.now + SECOND * 100;
        world.sweep_at(world.now);
        assert_eq!(world.totals().sessions_in_memory, 0);
        left.push(held(&mut world, empty));
        println!(
            "round {round}: {idle} bytes in memory, {stored} stored, {left:?} afterwards: {tables:?}"
        );
    }
    assert!(left.iter().all(|bytes| *bytes <= AFTERWARDS), "{left:?} bytes afterwards");
    assert!(left[3] <= left[1] + 16, "memory grows with the sessions that were: {left:?}");
}
