//! An offer that nobody answered is removed from the platform: decided once, and looked at again after the call.

use std::time::Duration;

use serde_json::json;
use sidenote_core::engine::helping::{HelpChange, HelpCommand, OfferWish, Turn};
use sidenote_core::engine::{Answer, Call, Command, Ended, Outcome, Settings, Work};
use sidenote_core::offers::content::Offer;
use sidenote_core::offers::help::Help;
use sidenote_core::offers::log::Log;
use sidenote_core::offers::tours::{Tours, Wording};
use sidenote_core::outbox::attempt::Course;
use sidenote_core::outbox::message::{Content, Sending};
use sidenote_core::outbox::note::{Crash, FailureKind};
use sidenote_core::rows::Table;
use sidenote_core::rules::{Delivery, Offers, Product};
use sidenote_core::session::fsm::{Interaction, State};
use sidenote_core::session::state::Record;
use sidenote_core::session::tour::TourRegistry;
use sidenote_core::session::turn::Meaning;

use crate::words::{CHAT, Said, conversation, crashed, ended, fails, key, names, product, took};
use crate::world::{SECOND, World};

fn settings(tear_down: bool) -> Settings {
    let rules = Offers {
        min_interval: Duration::ZERO,
        quiet_after_person: Duration::ZERO,
        tear_down,
        ..Offers::default()
    };
    let of_p = Product::of(vec![CHAT.into()], Delivery::default()).with_offers(rules);
    Settings::of_products([(product("p"), of_p)]).with_concurrency(CHAT, 100)
}

/// A session whose offer the platform took, for 10 s.
fn offered(said: Said) -> World {
    let mut world = World::linked(settings(true), &["s"]);
    offer(&mut world);
    world.answer(said);
    world
}

fn offer(world: &mut World) {
    let offer =
        Offer::new("a", "Need help?", [("Yes", None), ("No", None)]).expect("it says something");
    let wish = OfferWish { key: key("s"), offer, as_of: None, ask_only: false };
    let Answer::Offered(Ok(_)) = world.tell(Command::Offer(wish)) else { panic!("it is refused") };
}

fn turn(world: &mut World, meaning: Meaning, text: &str) {
    world.tell(Command::Turn(Turn {
        plugin: CHAT.into(),
        conversation: conversation("s"),
        message_id: None,
        meaning,
        option_id: None,
        text: Some(text.to_owned()),
    }));
}

fn decided(world: &World) -> Vec<&'static str> {
    let log: Log = world.row(Table::Help, "s", 1);
    log.decisions().map(|decision| decision.what.word()).collect()
}

fn state(world: &World) -> State {
    world.row::<Help>(Table::Help, "s", 0).fsm().state()
}

/// The platform's name of what a call removes.
fn removed(call: &Call) -> Option<(u64, &str)> {
    let Work::Message { message, unknown: false } = &call.work else { return None };
    match &message.content {
        Content::Removal { offer, message_id, .. } => Some((*offer, message_id)),
        Content::Offer(_) | Content::Question(_) | Content::Reply(_) => None,
    }
}

#[test]
fn an_offer_that_nobody_answered_is_removed_as_its_time_ends() {
    let mut world = offered(took());
    world.pass(SECOND * 10);
    assert_eq!((world.calls.len(), state(&world)), (0, State::Proactive), "exactly is not longer");
    world.pass(Duration::from_micros(1));
    assert_eq!(removed(&world.calls[0]), Some((1, "id")));
    assert_eq!(state(&world), State::Thinking, "by the same comparison");
    world.answer(took());
    assert_eq!(decided(&world), ["made", "delivered", "torn_down"]);
    assert_eq!((world.totals().offers_torn_down, world.count(Table::Message)), (1, 0));
    world.pass(SECOND * 60);
    assert_eq!(world.calls.len(), 0, "once");
}

#[test]
fn nothing_is_removed_where_it_isnt_wanted_or_answered_or_cant_be() {
    let mut unwanted = World::linked(settings(false), &["s"]);
    offer(&mut unwanted);
    unwanted.answer(took());
    let nameless = offered(Said::Took(None));
    let without_redactor = offered(took());
    without_redactor.plugins.set(CHAT, |it| it.redacts = Some(false));
    let mut clicked = offered(took());
    turn(&mut clicked, Meaning::PersonWrote, "Yes");
    let mut wrote = offered(took());
    turn(&mut wrote, Meaning::PersonWrote, "what is it?");
    let mut told = offered(took());
    let change = HelpChange::Interaction(Interaction::OptionClick);
    told.tell(Command::Help(HelpCommand { key: key("s"), expect: None, change }));
    for mut world in [unwanted, nameless, without_redactor, clicked, wrote, told] {
        world.pass(SECOND * 60);
        assert_eq!((world.calls.len(), state(&world)), (0, State::Thinking));
        assert_eq!(decided(&world), ["made", "delivered"]);
    }
}

#[test]
fn a_removal_of_unknown_outcome_is_tried_again_and_a_restart_goes_on_with_it() {
    let mut world = offered(took());
    world.pass(SECOND * 11);
    world.answer(crashed(Crash::Timeout));
    world.pass(SECOND * 2);
    assert_eq!(removed(&world.calls[0]), Some((1, "id")));
    world.restart();
    world.run();
    assert_eq!(
        removed(&world.calls[0]),
        Some((1, "id")),
        "it isn't asked for, it does no harm twice"
    );
    world.answer(took());
    assert_eq!(decided(&world), ["made", "delivered", "torn_down"]);
}

#[test]
fn a_removal_that_fails_is_told_and_the_session_goes_on() {
    let mut refused = offered(took());
    refused.pass(SECOND * 11);
    refused.answer(fails(FailureKind::Permanent));
    let mut down = offered(took());
    down.pass(SECOND * 11);
    while !down.calls.is_empty() {
        down.answer(fails(FailureKind::Transient));
        down.pass(SECOND * 4);
    }
    let mut unsupported = offered(took());
    unsupported.pass(SECOND * 11);
    let call = unsupported.calls.remove(0);
    let Work::Message { message, .. } = call.work.clone() else { panic!("it is a removal") };
    let outcome = Outcome::Message { message, result: Ok(Sending::CantTell) };
    unsupported.tell(Command::Ended(Ended::of(outcome, Course::of(call.probe, 0.5))));
    for mut world in [refused, down, unsupported] {
        assert_eq!(decided(&world), ["made", "delivered", "tear_down_failed"]);
        assert_eq!((world.totals().tear_downs_failed, world.count(Table::Message)), (1, 0));
        world.pass(SECOND * 60);
        offer(&mut world);
    }
}

#[test]
fn who_acts_while_the_call_is_under_way_keeps_the_session() {
    for said in [took(), fails(FailureKind::Permanent)] {
        let mut world = offered(took());
        world.pass(SECOND * 11);
        let call = world.calls.remove(0);
        turn(&mut world, Meaning::PersonWrote, "Yes");
        world.tell(ended(&call, said));
        assert_eq!(decided(&world), ["made", "delivered", "interrupted"]);
        assert_eq!(state(&world), State::Reactive);
        let link = world.row::<Record>(Table::Session, "s", 0).link.expect("it can be reached");
        assert_eq!(link.conversation.as_str(), "s");
        assert_eq!(world.totals().tear_downs_interrupted, 1);
    }
}

#[test]
fn who_acts_before_the_call_keeps_the_offer_too() {
    let mut at_the_end = offered(took());
    at_the_end.now = at_the_end.now + SECOND * 11;
    turn(&mut at_the_end, Meaning::PersonWrote, "Yes");
    let mut between_two = offered(took());
    between_two.pass(SECOND * 11);
    between_two.answer(fails(FailureKind::Transient));
    turn(&mut between_two, Meaning::PersonWrote, "Yes");
    for mut world in [at_the_end, between_two] {
        world.pass(SECOND * 5);
        assert_eq!(names(&world.calls), [""; 0]);
        assert_eq!(decided(&world), ["made", "delivered", "interrupted"]);
        assert_eq!(state(&world), State::Reactive);
    }
}

#[test]
fn a_clock_that_is_set_back_during_the_call_interrupts_nothing() {
    let mut world = offered(took());
    world.pass(SECOND * 11);
    world.now = world.now - Duration::from_secs(3600);
    world.restart();
    world.run();
    // How old the removal is isn't known, so it isn't made.
    assert_eq!(decided(&world), ["made", "delivered", "tear_down_failed"]);
}

#[test]
fn a_tour_under_way_is_removed_by_its_own_time_out() {
    let tours =
        json!({"tours": [{"id": "a", "user_tour_id": "flow", "interaction_timeout_s": 30}]});
    let registry = TourRegistry::from_value(&tours).expect("it is one").registry;
    let tours = Tours { registry, wording: Wording::default() };
    let mut world = World::linked(settings(true).with_tours(product("p"), tours), &["s"]);
    offer(&mut world);
    world.answer(took());
    let change = HelpChange::StartTour(Some("flow".to_owned()));
    world.tell(Command::Help(HelpCommand { key: key("s"), expect: None, change }));
    world.pass(SECOND * 25);
    assert_eq!((world.calls.len(), state(&world)), (0, State::Proactive));
    world.pass(SECOND * 6);
    assert_eq!((removed(&world.calls[0]), state(&world)), (Some((1, "id")), State::Thinking));
}

#[test]
fn an_offer_that_was_taken_too_long_ago_is_removed_when_it_is_found() {
    let mut world = World::linked(settings(true), &["s"]);
    offer(&mut world);
    world.answer(crashed(Crash::Timeout));
    world.now = world.now + SECOND * 30;
    world.run();
    assert_eq!(names(&world.calls), ["ask for s/1"]);
    world.answer(took());
    assert_eq!(removed(&world.calls[0]), Some((1, "id")));
    assert_eq!(state(&world), State::Thinking);
}
