//! Sessions whose open batch is in the store alone behave as those whose batch is in memory.

use std::sync::Arc;

use sidenote_core::engine::helping::Turn;
use sidenote_core::engine::link::{LinkCommand, LinkMode, Who};
use sidenote_core::engine::{Answer, Call, Command, Gate, Settings};
use sidenote_core::offers::help::Help;
use sidenote_core::outbox::note::FailureKind;
use sidenote_core::replies::answer::{ReplyText, ReplyWish, Response};
use sidenote_core::rows::Table;
use sidenote_core::rules::{Breaker, Delivery, Product, Reply};
use sidenote_core::session::state::Covers;
use sidenote_core::session::turn::Meaning;

use crate::words::{
    CHAT, acts, acts_of, conversation, fails, key, link, names, note, product, settings,
    settings_of, summary, took,
};
use crate::world::{DAY, MOMENT, SECOND, World};

/// Actions that wait take no memory at all, or as much as they want.
fn with_memory(mut settings: Settings, bytes: usize) -> Settings {
    settings.max_waiting_bytes = bytes;
    settings
}

/// As the driver goes on: behind each transaction it looks for sessions that can leave the memory.
fn drive(world: &mut World, commands: Vec<Command>) {
    world.transaction(commands);
    world.sweep();
    for _ in 0..100 {
        if world.core.next_timer(world.now) > world.now {
            return;
        }
        world.transaction(Vec::new());
        world.sweep();
    }
    panic!("something is due for ever");
}

fn told(calls: &[Call]) -> Vec<Vec<String>> {
    let posts = calls.iter().filter(|call| crate::words::name(call).starts_with("post"));
    posts
        .map(|it| note(it).actions.unpack().into_iter().map(|it| it.description).collect())
        .collect()
}

/// The person writes something, and an answer is found that can't be sent at the moment.
fn asks_and_is_answered(world: &mut World) {
    world.tell(Command::Turn(Turn {
        plugin: CHAT.into(),
        conversation: conversation("s"),
        meaning: Meaning::PersonWrote,
        option_id: None,
        text: Some("hello?".to_owned()),
        message_id: Some("m1".to_owned()),
    }));
    let what = Response::Text(ReplyText::new("Open Settings.").expect("it says something"));
    let wish = ReplyWish { key: key("s"), message_id: "m1".to_owned(), what };
    assert!(matches!(world.tell(Command::Reply(wish)), Answer::Replied(Ok(_))));
}

#[test]
fn a_batch_that_is_to_be_read_back_is_sealed_though_the_memory_is_full_of_sessions() {
    for bytes in [usize::MAX, 0] {
        let breaker =
            Breaker { failures: 1, pause_initial: DAY, pause_max: DAY, ..Breaker::default() };
        let mut settings = with_memory(settings().with_breaker(CHAT, breaker), bytes);
        settings.max_live = 0;
        let mut world = World::linked(settings, &["busy", "s"]);
        world.tell(acts("busy", &["b"]));
        world.pass(MOMENT);
        // The platform refuses the credentials: what waits is sealed as it is due.
        world.answer(fails(FailureKind::Auth));
        drive(&mut world, vec![acts("s", &["it"])]);
        world.now = world.now + SECOND * 3;
        drive(&mut world, Vec::new());
        let sealed = world.numbers(Table::Outbox, "s");
        assert_eq!(sealed, [1], "with {bytes} bytes: it is due and waits for nothing");
    }
}

#[test]
fn an_answer_that_came_too_late_is_told_to_people_though_the_host_dies_a_moment_later() {
    for bytes in [usize::MAX, 0] {
        let rules = Delivery { debounce: DAY, max_wait: DAY, ..Delivery::default() };
        let product_p = Product::of(vec![CHAT.into()], rules).with_reply(Reply::default());
        let settings = Settings::of_products([(product("p"), product_p)]);
        let mut world =
            World::linked(with_memory(settings.with_concurrency(CHAT, 9), bytes), &["s"]);
        world.plugins.set(CHAT, |it| it.coming = true);
        asks_and_is_answered(&mut world);
        world.tell(acts("s", &["it"]));
        world.now = world.now + SECOND * 300;
        world.transaction(Vec::new());
        // Here the process ends: the transaction that dropped the answer is stored.
        let help: Help = world.row(Table::Help, "s", 0);
        let asked = help.questions().iter().count();
        let places = (world.count(Table::Message), asked, world.numbers(Table::Outbox, "s").len());
        assert!(
            places == (0, 0, 2) || places == (1, 1, 0),
            "with {bytes} bytes: it waits, or people are told of it: {places:?}"
        );
    }
}

#[test]
fn a_move_by_a_person_seals_what_waited_for_the_old_conversation() {
    for bytes in [usize::MAX, 0] {
        let mut world = World::linked(with_memory(settings(), bytes), &["s"]);
        world.tell(acts("s", &["old"]));
        let to_person = LinkCommand {
            who: Who::Person {
                products: vec![product("p")],
                user_id: Some("ann".to_owned()),
                email: None,
            },
            mode: LinkMode::Move,
            ..link("s", "c2")
        };
        // In one transaction it becomes known whose session it is, and it is moved.
        world.round(vec![acts_of("s", (Some("ann"), None), &[]), Command::Link(to_person)]);
        world.pass(SECOND * 5);
        let calls = world.answer_all(took);
        assert_eq!(calls.len(), 1);
        assert_eq!(
            note(&calls[0]).conversation,
            conversation("s"),
            "with {bytes} bytes: an operator's move seals what waits for the old one first"
        );
    }
}

#[test]
fn a_note_has_no_more_actions_for_having_been_read_back() {
    let of = |bytes| {
        let rules =
            Delivery { max_note_actions: 2, max_gathered_actions: 100, ..Delivery::default() };
        let mut world = World::linked(with_memory(settings_of(&[CHAT], rules), bytes), &["s"]);
        world.tell(acts("s", &["1", "2", "3", "4", "5", "6"]));
        told(&world.answer_all(took))
    };
    assert_eq!(of(0), of(usize::MAX));
}

#[test]
fn a_drain_seals_what_is_not_in_memory_too() {
    for bytes in [usize::MAX, 0] {
        let mut world = World::linked(with_memory(settings(), bytes), &["s"]);
        world.tell(acts("s", &["it"]));
        world.tell(Command::Drain);
        assert_eq!(names(&world.calls), ["post s/1"], "with {bytes} bytes");
    }
}

#[test]
fn what_was_read_back_for_nothing_leaves_the_memory_again() {
    let mut world = World::new(with_memory(settings(), 0));
    world.tell(acts("s", &["it"]));
    // There is no conversation in which it could replace anything.
    world.tell(summary("s", "Sum", Covers::Next(0)));
    world.tell(acts("t", &["it"]));
    world.reads.clear();
    world.link("s");
    assert_eq!(world.reads.get(&Table::Open), Some(&1), "it had left the memory");
}

#[test]
fn a_core_keeps_its_turn_among_others_while_it_reads_back() {
    let of = |bytes| {
        let settings = Arc::new(with_memory(settings(), bytes));
        let gate = Gate::new(settings.clone());
        let mut one = World::through(&gate, settings.clone());
        let mut other = World::through(&gate, settings);
        let many: Vec<_> = (0..20).map(|n| format!("o{n:02}")).collect();
        for session in &many {
            other.link(session);
            other.tell(acts(session, &["it"]));
        }
        other.pass(MOMENT);
        one.link("s");
        one.tell(acts("s", &["it"]));
        one.now = other.now;
        one.pass(MOMENT);
        assert_eq!((one.calls.len(), other.calls.len()), (0, 1));
        let mut before = 0;
        while one.calls.is_empty() && before < 15 {
            // Something is done in the session while it waits.
            one.tell(acts("s", &["more"]));
            let _ = (one.woken(), other.woken());
            other.answer(took());
            before += 1;
            // Whoever was woken goes on; two engines run beside one another.
            for _ in 0..4 {
                if one.woken() > 0 {
                    one.transaction(Vec::new());
                }
                if other.woken() > 0 {
                    other.transaction(Vec::new());
                }
                if one.core.is_hungry() {
                    one.transaction(Vec::new());
                }
            }
        }
        before
    };
    let (read_back, in_memory) = (of(0), of(usize::MAX));
    assert!(
        read_back <= 2 * in_memory,
        "it gives its place away once at most: {read_back} others went first, not {in_memory}"
    );
}
