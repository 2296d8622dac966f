//! Offers of help: the gate, the delivery, the state, what people say to them.

use std::time::Duration;

use sidenote_core::engine::event::What;
use sidenote_core::engine::helping::{AsOf, HelpChange, HelpCommand, HelpError, OfferWish, Turn};
use sidenote_core::engine::{Answer, Command, Ended, Outcome, Settings, Work};
use sidenote_core::offers::content::Offer;
use sidenote_core::offers::help::{Heard, Help, Standing};
use sidenote_core::offers::log::Log;
use sidenote_core::offers::refusal::Refusal;
use sidenote_core::outbox::attempt::Course;
use sidenote_core::outbox::message::Sending;
use sidenote_core::outbox::note::{Crash, FailureKind};
use sidenote_core::rows::Table;
use sidenote_core::rules::{Breaker, Delivery, Offers, Product};
use sidenote_core::session::fsm::{Interaction, State};
use sidenote_core::session::turn::Meaning;

use crate::words::{
    CHAT, acts, acts_of, conversation, crashed, ended, erase, fails, key, link, names, product,
    took,
};
use crate::world::{DAY, HOUR, MOMENT, SECOND, World};

const MINUTE: Duration = Duration::from_secs(60);

fn with(rules: Offers) -> Settings {
    let product_p = Product::of(vec![CHAT.into()], Delivery::default()).with_offers(rules);
    Settings::of_products([(product("p"), product_p)]).with_concurrency(CHAT, 100)
}

/// No limits but those that are looked at.
fn rules() -> Offers {
    Offers { min_interval: Duration::ZERO, quiet_after_person: Duration::ZERO, ..Offers::default() }
}

fn wish(session: &str, trigger: &str) -> OfferWish {
    let offer = Offer::new(trigger, "Need help?", [("Yes", None), ("No", None)])
        .expect("it says something");
    OfferWish { key: key(session), offer, as_of: None, ask_only: false }
}

fn offer(world: &mut World, session: &str, trigger: &str) -> Result<u64, Refusal> {
    let Answer::Offered(offered) = world.tell(Command::Offer(wish(session, trigger))) else {
        panic!()
    };
    offered
}

fn refused(world: &mut World, session: &str, trigger: &str) -> &'static str {
    offer(world, session, trigger).expect_err("it is refused").code()
}

fn turn(world: &mut World, of: &str, meaning: Meaning, text: Option<&str>) -> Vec<Heard> {
    let command = Command::Turn(Turn {
        plugin: CHAT.into(),
        conversation: conversation(of),
        meaning,
        option_id: None,
        text: text.map(str::to_owned),
        message_id: None,
    });
    let Answer::Heard(heard) = world.tell(command) else { panic!() };
    heard.into_iter().map(|(_, heard)| heard).collect()
}

fn change(
    world: &mut World,
    expect: Option<u64>,
    change: HelpChange,
) -> Result<Standing, HelpError> {
    let Answer::Helped(helped) =
        world.tell(Command::Help(HelpCommand { key: key("s"), expect, change }))
    else {
        panic!()
    };
    helped
}

/// How a session is on record to stand.
fn stored(world: &World, session: &str) -> Help {
    world.row(Table::Help, session, 0)
}

fn state(world: &World, session: &str) -> State {
    stored(world, session).standing(None, world.now).state
}

fn decided(world: &World, session: &str) -> Vec<String> {
    let log: Log = world.row(Table::Help, session, 1);
    log.decisions().map(|it| format!("{} {}", it.trigger, it.what.word())).collect()
}

#[test]
fn an_offer_is_made_once_and_its_session_is_proactive_when_the_platform_took_it() {
    let mut world = World::linked(with(Offers::default()), &["s"]);
    assert_eq!(offer(&mut world, "s", "a"), Ok(1));
    assert_eq!(names(&world.calls), ["say s/1"]);
    assert_eq!(state(&world, "s"), State::Thinking, "the platform hasn't taken it");
    assert_eq!(refused(&mut world, "s", "b"), "offer_pending");
    world.answer(took());
    assert_eq!((state(&world, "s"), world.count(Table::Message)), (State::Proactive, 0));
    assert_eq!(refused(&mut world, "s", "b"), "v2_state_proactive_assistance");
    world.pass(SECOND * 11);
    assert_eq!(state(&world, "s"), State::Thinking);
    assert_eq!(refused(&mut world, "s", "b"), "v2_cooldown_active");
    world.pass(SECOND * 60);
    assert_eq!(refused(&mut world, "s", "b"), "min_interval");
    world.pass(SECOND * 300);
    assert_eq!(offer(&mut world, "s", "b"), Ok(2));
    assert_eq!(
        decided(&world, "s"),
        [
            "a made",
            "b offer_pending",
            "a delivered",
            "b v2_state_proactive_assistance",
            "b v2_cooldown_active",
            "b min_interval",
            "b made"
        ]
    );
    let totals = world.totals();
    assert_eq!((totals.offers_made, totals.offers_delivered, totals.offers_refused), (2, 1, 4));
    let refused = world.counters().offer_refusals.totals().filter(|(_, count)| *count > 0);
    let reasons = [
        ("v2_state_proactive_assistance", 1),
        ("v2_cooldown_active", 1),
        ("offer_pending", 1),
        ("min_interval", 1),
    ];
    assert_eq!(refused.collect::<Vec<_>>(), reasons);
    let told = world.events.iter().filter(|(_, what)| matches!(what, What::Offer(_)));
    assert_eq!(told.count(), 7);
}

#[test]
fn what_isnt_linked_or_is_closed_or_cant_be_offered_anything_is_refused() {
    let mut world = World::new(with(rules()));
    world.tell(acts("s", &["it"]));
    assert_eq!(refused(&mut world, "s", "a"), "not_linked");
    assert_eq!(refused(&mut world, "t", "a"), "not_linked", "nothing is known of it");
    world.link("s");
    turn(&mut world, "s", Meaning::Closed, None);
    assert_eq!(refused(&mut world, "s", "a"), "conversation_ended");
    turn(&mut world, "s", Meaning::Reopened, None);
    world.plugins.set(CHAT, |it| it.offers = Some(false));
    assert_eq!(refused(&mut world, "s", "a"), "no_messenger");
    world.plugins.set(CHAT, |it| it.offers = None);
    assert_eq!(offer(&mut world, "s", "a"), Ok(1));
    let mut off = World::linked(crate::words::settings(), &["s"]);
    assert_eq!(refused(&mut off, "s", "a"), "off");
    assert_eq!(off.count(Table::Help), 0);
}

#[test]
fn a_trigger_waits_for_its_own_cooldown_in_a_conversation() {
    let mut world = World::linked(with(rules()), &["s"]);
    let mut long = wish("s", "a");
    long.offer = long.offer.with_times(5.0, 600.0).unwrap();
    world.tell(Command::Offer(long));
    world.answer(took());
    world.pass(SECOND * 6);
    change(&mut world, None, HelpChange::ClearCooldown).unwrap();
    assert_eq!(refused(&mut world, "s", "a"), "trigger_cooldown");
    assert_eq!(offer(&mut world, "s", "b"), Ok(2));
}

#[test]
fn limits_are_of_a_session_a_person_and_a_product_and_outlive_restarts() {
    let again = |world: &mut World| {
        world.answer(took());
        world.pass(MINUTE * 2);
    };
    let hour = Offers { per_session_hour: 2, ..rules() };
    let mut world = World::linked(with(hour), &["s"]);
    (0..2).for_each(|_| {
        offer(&mut world, "s", "a").unwrap();
        again(&mut world);
    });
    world.restart();
    assert_eq!(refused(&mut world, "s", "a"), "per_session_hour");
    world.pass(HOUR);
    assert!(offer(&mut world, "s", "a").is_ok());

    let day = Offers { per_user_day: 1, ..rules() };
    let mut world = World::new(with(day));
    for session in ["s", "t", "u"] {
        let who = if session == "u" { "bob" } else { "ann" };
        world.tell(acts_of(session, (Some(who), None), &["it"]));
        world.link(session);
    }
    offer(&mut world, "s", "a").unwrap();
    world.restart();
    assert_eq!(refused(&mut world, "t", "a"), "per_user_day", "it is the same person");
    assert!(offer(&mut world, "u", "a").is_ok());
    world.pass(HOUR * 23);
    assert_eq!(refused(&mut world, "t", "a"), "per_user_day");
    world.pass(HOUR);
    assert!(offer(&mut world, "t", "a").is_ok());

    let minute = Offers { per_product_minute: 2, ..rules() };
    let mut world = World::linked(with(minute), &["s", "t", "u"]);
    assert!(offer(&mut world, "s", "a").is_ok());
    assert!(offer(&mut world, "t", "a").is_ok());
    assert_eq!(refused(&mut world, "u", "a"), "per_product_minute");
    world.restart();
    assert_eq!(refused(&mut world, "u", "a"), "per_product_minute");
    world.pass(MINUTE);
    assert!(offer(&mut world, "u", "a").is_ok());
}

#[test]
fn of_many_that_are_wanted_at_once_only_as_many_are_made_as_may_be() {
    let minute = Offers { per_product_minute: 60, ..rules() };
    let mut world = World::new(with(minute));
    let sessions: Vec<_> = (0..10_000).map(|n| format!("s{n}")).collect();
    world.round(sessions.iter().map(|it| Command::Link(link(it, it))).collect());
    let answers = world.round(sessions.iter().map(|it| Command::Offer(wish(it, "a"))).collect());
    let made = answers.iter().filter(|answer| matches!(answer, Answer::Offered(Ok(_)))).count();
    assert_eq!(made, 60);
    let refused = answers
        .iter()
        .filter(|answer| matches!(answer, Answer::Offered(Err(Refusal::ProductMinute { .. }))));
    assert_eq!(refused.count(), 9_940);
    let reasons = sessions.iter().filter(|it| decided(&world, it) == ["a per_product_minute"]);
    assert_eq!(reasons.count(), 9_940, "each is on record with its reason");
    assert_eq!((world.count(Table::Message), world.totals().offers_refused), (60, 9_940));
    let sent: Vec<_> = world.answer_all(took).iter().map(crate::words::name).collect();
    assert_eq!(sent.len(), 60, "{sent:?}");
}

#[test]
fn a_platform_that_is_down_and_people_who_write_are_left_alone() {
    let quiet = Offers { quiet_after_person: MINUTE, quiet_after_agent: HOUR, ..rules() };
    let settings =
        with(quiet.clone()).with_breaker(CHAT, Breaker { failures: 1, ..Breaker::default() });
    let mut world = World::linked(settings, &["s", "t"]);
    world.seal("t");
    world.answer(fails(FailureKind::Transient));
    assert_eq!(refused(&mut world, "s", "a"), "breaker_open");

    let mut world = World::linked(with(quiet), &["s"]);
    turn(&mut world, "s", Meaning::PersonTypes, None);
    assert_eq!(refused(&mut world, "s", "a"), "person_active");
    world.pass(MINUTE);
    turn(&mut world, "s", Meaning::AgentWrote, None);
    world.restart();
    assert_eq!(refused(&mut world, "s", "a"), "agent_wrote");
    world.pass(HOUR);
    assert!(offer(&mut world, "s", "a").is_ok());
}

#[test]
fn an_offer_that_is_late_is_dropped_and_doesnt_count() {
    let mut world = World::linked(with(Offers::default()), &["s"]);
    world.plugins.set(CHAT, |it| it.coming = true);
    assert_eq!(offer(&mut world, "s", "a"), Ok(1));
    assert_eq!(world.calls.len(), 0);
    world.pass(SECOND * 10);
    world.plugins.set(CHAT, |it| it.coming = false);
    world.pass(SECOND * 10);
    assert_eq!((world.calls.len(), world.count(Table::Message)), (0, 0), "it is never sent late");
    assert_eq!(decided(&world, "s"), ["a made", "a late"]);
    assert_eq!(world.totals().offers_late, 1);
    assert_eq!(offer(&mut world, "s", "a"), Ok(2), "nothing of it holds the next one back");
}

#[test]
fn what_the_platform_refuses_for_good_isnt_tried_again() {
    let mut world = World::linked(with(Offers::default()), &["s"]);
    offer(&mut world, "s", "a").unwrap();
    world.answer(fails(FailureKind::Permanent));
    world.pass(SECOND * 20);
    assert_eq!((world.calls.len(), world.count(Table::Message)), (0, 0));
    assert_eq!(decided(&world, "s"), ["a made", "a failed"]);
    assert_eq!(state(&world, "s"), State::Thinking);
}

#[test]
fn an_offer_that_may_have_come_is_asked_for_and_never_made_again() {
    for found in [Some(true), Some(false), None] {
        let mut world = World::linked(with(Offers::default()), &["s"]);
        offer(&mut world, "s", "a").unwrap();
        if found == Some(true) {
            // The host dies while the platform takes it.
            world.calls.clear();
            world.restart();
        } else {
            world.answer(crashed(Crash::Timeout));
            world.pass(SECOND * 2);
        }
        assert_eq!(names(&world.calls), ["ask for s/1"]);
        assert_eq!(state(&world, "s"), State::Thinking);
        let call = world.calls.remove(0);
        let Work::Message { message, .. } = call.work.clone() else { panic!() };
        match found {
            Some(true) => drop(world.tell(ended(&call, took()))),
            Some(false) | None => {
                let sending = if found.is_some() { Sending::NotThere } else { Sending::CantTell };
                let outcome = Outcome::Message { message, result: Ok(sending) };
                world.tell(Command::Ended(Ended::of(outcome, Course::of(call.probe, 0.5))));
            }
        }
        let wanted = match found {
            Some(true) => ("a delivered", State::Proactive, Err("v2_state_proactive_assistance")),
            Some(false) | None => ("a unknown", State::Thinking, Err("v2_cooldown_active")),
        };
        assert_eq!(decided(&world, "s").last().unwrap(), wanted.0);
        assert_eq!(state(&world, "s"), wanted.1);
        assert_eq!(offer(&mut world, "s", "a").map_err(Refusal::code), wanted.2);
    }
}

#[test]
fn nobody_is_asked_for_ever_about_an_offer() {
    let mut world = World::linked(with(Offers::default()), &["s"]);
    offer(&mut world, "s", "a").unwrap();
    world.answer(crashed(Crash::Trap));
    for _ in 0..1000 {
        world.pass(SECOND);
        if !world.calls.is_empty() {
            assert_eq!(names(&world.calls), ["ask for s/1"]);
            world.answer(fails(FailureKind::Transient));
        }
    }
    assert_eq!((world.calls.len(), world.count(Table::Message)), (0, 0));
    assert_eq!(decided(&world, "s"), ["a made", "a unknown"]);
}

#[test]
fn an_offer_comes_behind_the_notes_that_were_there_before_it() {
    let mut world = World::linked(with(Offers::default()), &["s"]);
    world.seal("s");
    assert_eq!(names(&world.calls), ["post s/1"]);
    offer(&mut world, "s", "a").unwrap();
    world.tell(acts("s", &["more"]));
    world.pass(MOMENT);
    assert_eq!(names(&world.calls), ["post s/1"], "the first note isn't there yet");
    world.answer(took());
    world.run();
    let mut now = names(&world.calls);
    now.sort();
    assert_eq!(now, ["post s/2", "say s/1"], "it doesn't wait for what came later");
}

#[test]
fn an_answer_is_a_click_a_message_is_an_interaction_and_one_unasked_is_reactive() {
    let mut world = World::linked(with(rules()), &["s"]);
    offer(&mut world, "s", "a").unwrap();
    world.answer(took());
    world.pass(SECOND * 5);
    let heard = turn(&mut world, "s", Meaning::PersonWrote, Some(" YES "));
    assert!(matches!(&heard[..], [Heard::Clicked(option)] if option.label == "Yes"));
    world.pass(SECOND * 9);
    assert_eq!(state(&world, "s"), State::Proactive, "the time began anew");
    assert_eq!(turn(&mut world, "s", Meaning::PersonWrote, Some("how?")), [Heard::Acted]);
    assert_eq!(turn(&mut world, "s", Meaning::AgentWrote, Some("Yes")), []);
    world.pass(MINUTE);
    assert_eq!(
        turn(&mut world, "s", Meaning::PersonWrote, Some("Yes")),
        [Heard::Asked],
        "it is over"
    );
    assert_eq!(refused(&mut world, "s", "a"), "v2_state_reactive_assistance");
    assert_eq!(world.totals().options_chosen, 1);
    assert_eq!(turn(&mut world, "elsewhere", Meaning::PersonWrote, Some("Yes")), []);
}

#[test]
fn who_wants_to_see_a_tour_is_asked_once_more_and_then_shown_it() {
    let mut world = World::linked(with(rules()), &["s"]);
    let mut wish = wish("s", "a");
    wish.offer = Offer::new("a", "Need help?", [("Show me", Some("flow"))]).unwrap();
    world.tell(Command::Offer(wish));
    world.answer(took());
    turn(&mut world, "s", Meaning::PersonWrote, Some("Show me"));
    assert_eq!(names(&world.calls), ["say s/2"], "the question");
    world.restart();
    assert_eq!(names(&world.calls), ["ask for s/2"], "it may have come before the restart");
    world.answer(took());
    let heard = turn(&mut world, "s", Meaning::PersonWrote, Some("yes"));
    assert!(matches!(&heard[..], [Heard::Shown(launch)] if launch.flow_id == "flow"));
    let launched = world.events.iter().filter(|(_, what)| matches!(what, What::Launch(_)));
    assert_eq!((launched.count(), world.totals().tours_shown), (1, 1));
    let standing = stored(&world, "s").standing(None, world.now);
    assert_eq!((standing.state, standing.tour.as_deref()), (State::Proactive, Some("flow")));
}

#[test]
fn a_tour_that_nobody_could_be_asked_about_isnt_shown() {
    let mut world = World::linked(with(rules()), &["s"]);
    let mut wish = wish("s", "a");
    wish.offer = Offer::new("a", "Need help?", [("Show me", Some("flow"))]).unwrap();
    world.tell(Command::Offer(wish));
    world.answer(took());
    turn(&mut world, "s", Meaning::PersonWrote, Some("Show me"));
    world.answer(fails(FailureKind::Permanent));
    assert_eq!(turn(&mut world, "s", Meaning::PersonWrote, Some("yes")), [Heard::Acted]);
    assert_eq!(stored(&world, "s").standing(None, world.now).tour, None);
}

#[test]
fn a_verdict_about_what_isnt_so_any_more_is_dropped() {
    let mut world = World::linked(with(rules()), &["s"]);
    let judged = |version| {
        let as_of = AsOf { version, target: (CHAT.into(), conversation("s")) };
        Command::Offer(OfferWish { as_of: Some(as_of), ..wish("s", "a") })
    };
    turn(&mut world, "s", Meaning::PersonWrote, Some("hello"));
    world.pass(HOUR);
    let version = stored(&world, "s").version;
    let answer = world.tell(judged(version - 1));
    assert!(matches!(answer, Answer::Offered(Err(Refusal::MovedOn))), "{answer:?}");
    let answer = world.tell(judged(version));
    assert!(matches!(answer, Answer::Offered(Ok(_))), "{answer:?}");
}

#[test]
fn asking_whether_one_could_be_made_makes_none_and_puts_down_only_why_not() {
    let mut world = World::linked(with(rules()), &["s"]);
    let asks = || Command::Offer(OfferWish { ask_only: true, ..wish("s", "a") });
    let answer = world.tell(asks());
    assert!(matches!(answer, Answer::Offered(Ok(0))), "{answer:?}");
    assert_eq!(
        (world.calls.len(), world.count(Table::Help), world.count(Table::Message)),
        (0, 0, 0)
    );
    turn(&mut world, "s", Meaning::PersonWrote, Some("hello"));
    let answer = world.tell(asks());
    assert!(matches!(answer, Answer::Offered(Err(Refusal::State { .. }))), "{answer:?}");
    assert_eq!(decided(&world, "s"), ["a v2_state_reactive_assistance"]);
}

#[test]
fn a_restart_changes_nothing() {
    let mut one = World::linked(with(Offers::default()), &["s"]);
    let mut other = World::linked(with(Offers::default()), &["s"]);
    for world in [&mut one, &mut other] {
        offer(world, "s", "a").unwrap();
        world.answer(took());
    }
    for _ in 0..8 {
        one.pass(SECOND * 7);
        other.now = other.now + SECOND * 7;
        other.restart();
        other.run();
        let (help, restarted) = (stored(&one, "s"), stored(&other, "s"));
        assert_eq!(help.standing(None, one.now), restarted.standing(None, one.now));
        assert_eq!(help.fsm().cooldown(), restarted.fsm().cooldown());
    }
}

/// The clock shows less when the host starts again.
fn set_back(world: &mut World, by: Duration) {
    world.now = world.now - by;
    world.restart();
    world.run();
}

#[test]
fn a_cooldown_from_before_the_clock_was_set_back_ends_however_often_the_host_starts() {
    let mut world = World::linked(with(rules()), &["s"]);
    offer(&mut world, "s", "a").unwrap();
    world.answer(took());
    world.pass(SECOND * 11);
    let cooldown_ends = |world: &World| {
        let standing = stored(world, "s").standing(None, world.now);
        standing.until.map(|until| until.since(world.now).as_secs())
    };
    assert_eq!(cooldown_ends(&world), Some(29));
    // As much remains as did when it was stored.
    set_back(&mut world, HOUR);
    for remains in [30, 20, 10] {
        assert_eq!(cooldown_ends(&world), Some(remains));
        world.pass(SECOND * 10);
        set_back(&mut world, Duration::ZERO);
    }
    assert_eq!(offer(&mut world, "s", "b"), Ok(2));
}

#[test]
fn an_offer_on_its_way_when_the_clock_was_set_back_is_late() {
    let mut world = World::linked(with(rules()), &["s"]);
    world.plugins.set(CHAT, |it| it.coming = true);
    offer(&mut world, "s", "a").unwrap();
    set_back(&mut world, HOUR);
    world.plugins.set(CHAT, |it| it.coming = false);
    world.pass(SECOND);
    assert_eq!((world.calls.len(), world.count(Table::Message)), (0, 0), "it may be an hour old");
    assert_eq!(decided(&world, "s"), ["a made", "a late"]);
}

#[test]
fn an_offer_that_is_found_after_the_clock_was_set_back_stands_no_longer_for_it() {
    let mut world = World::linked(with(rules()), &["s"]);
    offer(&mut world, "s", "a").unwrap();
    world.answer(crashed(Crash::Timeout));
    world.pass(SECOND * 2);
    set_back(&mut world, HOUR);
    assert_eq!(names(&world.calls), ["ask for s/1"], "a pause doesn't last for an hour");
    world.answer(took());
    assert_eq!(state(&world, "s"), State::Proactive);
    world.pass(SECOND * 11);
    assert_eq!(state(&world, "s"), State::Thinking);
}

#[test]
fn an_offers_own_times_end_with_it() {
    let mut world = World::linked(with(rules()), &["s"]);
    let mut short = wish("s", "a");
    short.offer = short.offer.with_times(2.0, 1.0).unwrap();
    world.tell(Command::Offer(short));
    world.answer(took());
    world.pass(SECOND * 4);
    change(&mut world, None, HelpChange::ToReactive).unwrap();
    world.pass(SECOND * 20);
    assert_eq!(state(&world, "s"), State::Reactive, "it has the session's own time");
    world.pass(SECOND);
    assert_eq!(offer(&mut world, "s", "b").map_err(Refusal::code), Err("v2_cooldown_active"));
}

#[test]
fn help_that_ended_while_the_host_was_down_is_in_no_outcomes_way() {
    let mut world = World::linked(with(rules()), &["s"]);
    offer(&mut world, "s", "a").unwrap();
    turn(&mut world, "s", Meaning::PersonWrote, Some("How do I pay?"));
    assert_eq!(state(&world, "s"), State::Reactive);
    world.answer(crashed(Crash::Timeout));
    // Nobody is asked about the offer any more, and the help is over, in one and the same moment.
    world.now = world.now + HOUR;
    world.restart();
    world.run();
    assert_eq!(decided(&world, "s"), ["a made", "a unknown"]);
    assert_eq!(refused(&mut world, "s", "b"), "v2_cooldown_active", "as after an offer");
}

#[test]
fn an_offer_whose_outcome_nobody_knows_shortens_no_cooldown() {
    let mut world = World::linked(with(rules()), &["s"]);
    offer(&mut world, "s", "a").unwrap();
    change(&mut world, None, HelpChange::StartCooldown(Some(300.0))).unwrap();
    world.answer(crashed(Crash::Timeout));
    world.pass(SECOND * 2);
    let call = world.calls.remove(0);
    let Work::Message { message, .. } = call.work.clone() else { panic!() };
    let outcome = Outcome::Message { message, result: Ok(Sending::NotThere) };
    world.tell(Command::Ended(Ended::of(outcome, Course::of(call.probe, 0.5))));
    world.pass(SECOND * 290);
    assert_eq!(refused(&mut world, "s", "b"), "v2_cooldown_active");
}

#[test]
fn a_program_changes_what_it_read_and_nothing_else() {
    let mut world = World::linked(with(rules()), &["s"]);
    let standing = change(&mut world, Some(0), HelpChange::ToReactive).unwrap();
    assert_eq!((standing.version, standing.state), (1, State::Reactive));
    assert_eq!(change(&mut world, Some(0), HelpChange::StopTour), Err(HelpError::Version(1)));
    assert!(matches!(
        change(&mut world, Some(1), HelpChange::ToProactive),
        Err(HelpError::State(_))
    ));
    let tour = HelpChange::StartTour(Some("flow".to_owned()));
    assert_eq!(change(&mut world, Some(1), tour).unwrap().tour.as_deref(), Some("flow"));
    change(&mut world, None, HelpChange::StopTour).unwrap();
    change(&mut world, None, HelpChange::Interaction(Interaction::TourStep)).unwrap();
    world.restart();
    assert_eq!((stored(&world, "s").version, state(&world, "s")), (4, State::Reactive));
    world.pass(MINUTE);
    assert_eq!(change(&mut world, None, HelpChange::ToProactive), Err(HelpError::CoolingDown));
    let unknown = HelpCommand { key: key("nobody"), expect: None, change: HelpChange::ToReactive };
    let answer = world.tell(Command::Help(unknown));
    assert!(matches!(answer, Answer::Helped(Err(HelpError::NotFound))), "{answer:?}");
}

#[test]
fn nothing_of_it_outlives_the_session_or_the_wish_to_be_erased() {
    let mut world = World::linked(with(Offers { per_product_minute: 5, ..rules() }), &["s", "t"]);
    for session in ["s", "t"] {
        offer(&mut world, session, "a").unwrap();
    }
    world.tell(erase(&["s"], false));
    assert_eq!(world.numbers(Table::Help, "s"), [0u64; 0]);
    assert_eq!(world.numbers(Table::Message, "s"), [0u64; 0]);
    world.answer_all(took);
    assert_eq!(world.numbers(Table::Help, "s"), [0u64; 0], "the outcome means nothing any more");
    world.pass(DAY * 2);
    for table in [Table::Help, Table::Talk, Table::OfferTimes, Table::Message] {
        assert_eq!(world.count(table), 0, "{table:?}");
    }
}

#[test]
fn what_cant_be_read_is_set_aside() {
    let mut world = World::linked(with(rules()), &["s"]);
    turn(&mut world, "s", Meaning::PersonWrote, Some("hello"));
    let (place, row) = world.rows.iter_mut().find(|(key, _)| key.table == Table::Help).unwrap();
    *row = b"from a later version".to_vec();
    let (place, row) = (place.clone(), row.clone());
    world.restart();
    turn(&mut world, "s", Meaning::PersonWrote, Some("hello"));
    assert_ne!(world.rows[&place], row);
    assert!(world.rows.values().any(|value| *value == row), "it is kept under another number");
}
