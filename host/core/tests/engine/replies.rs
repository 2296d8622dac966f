//! Answers to what people write: one per message, none once a human agent has written, notes for people instead.

use sidenote_core::engine::event::What;
use sidenote_core::engine::helping::{OfferWish, Turn};
use sidenote_core::engine::rows::{conversation_group, decode};
use sidenote_core::engine::{Answer, Command, Ended, Outcome, Settings, Work};
use sidenote_core::offers::content::Offer;
use sidenote_core::offers::help::Help;
use sidenote_core::offers::talk::Talk;
use sidenote_core::outbox::attempt::Course;
use sidenote_core::outbox::message::{Content, Message, Sending};
use sidenote_core::outbox::note::{Crash, FailureKind, NoteKind};
use sidenote_core::replies::answer::{
    HandOver, NotReplied, Replied, ReplyText, ReplyWish, Response,
};
use sidenote_core::replies::question::MAX_WAITING;
use sidenote_core::rows::Table;
use sidenote_core::rules::{Delivery, Offers, Product, Reply};
use sidenote_core::session::state::Covers;
use sidenote_core::session::turn::Meaning;

use crate::words::{
    CHAT, acts, conversation, crashed, ended, erase, fails, key, link, names, note, product,
    settings, summary, took,
};
use crate::world::{DAY, MOMENT, SECOND, World};

fn with(rules: Reply) -> Settings {
    let product_p = Product::of(vec![CHAT.into()], Delivery::default()).with_reply(rules);
    Settings::of_products([(product("p"), product_p)]).with_concurrency(CHAT, 100)
}

fn replying() -> World {
    World::linked(with(Reply::default()), &["s"])
}

fn turn(world: &mut World, meaning: Meaning, id: Option<&str>, text: Option<&str>) {
    let command = Command::Turn(Turn {
        plugin: CHAT.into(),
        conversation: conversation("s"),
        meaning,
        option_id: None,
        text: text.map(str::to_owned),
        message_id: id.map(str::to_owned),
    });
    assert!(matches!(world.tell(command), Answer::Heard(_)));
}

fn writes(world: &mut World, id: &str, text: &str) {
    turn(world, Meaning::PersonWrote, Some(id), Some(text));
}

fn text(text: &str) -> ReplyText {
    ReplyText::new(text).expect("it says something")
}

fn wish(world: &mut World, id: &str, what: Response) -> Result<Replied, NotReplied> {
    let wish = ReplyWish { key: key("s"), message_id: id.to_owned(), what };
    let Answer::Replied(replied) = world.tell(Command::Reply(wish)) else { panic!() };
    replied
}

fn reply(world: &mut World, id: &str) -> Result<Replied, NotReplied> {
    wish(world, id, Response::Text(text("Open Settings.")))
}

/// The ids of the questions that are on record as waiting.
fn waiting(world: &World) -> Vec<String> {
    let help: Help = world.row(Table::Help, "s", 0);
    help.questions().iter().map(|it| it.id.clone()).collect()
}

/// The ids that were told since this was asked last.
fn asked(world: &mut World) -> Vec<String> {
    let events = world.events.drain(..);
    events
        .filter_map(|(_, what)| if let What::Asked(id) = what { Some(id) } else { None })
        .collect()
}

#[test]
fn each_message_is_answered_once_however_often_it_is_told() {
    let mut world = replying();
    writes(&mut world, "m1", "How do I export?");
    writes(&mut world, "m1", "How do I export?");
    writes(&mut world, "m2", "And import?");
    assert_eq!(asked(&mut world), ["m1", "m2"]);
    assert_eq!(reply(&mut world, "m1"), Ok(Replied::Sending(1)));
    assert_eq!(reply(&mut world, "m1"), Err(NotReplied::UnderWay));
    assert_eq!(names(&world.calls), ["say s/1"]);
    let call = world.answer(took());
    let Work::Message { message, .. } = call.work else { panic!() };
    let Content::Reply(sent) = &message.content else { panic!() };
    assert_eq!((sent.text.as_str(), &*sent.answers), ("Open Settings.", "m1"));
    assert_eq!((waiting(&world), world.count(Table::Message)), (vec!["m2".to_owned()], 0));
    assert_eq!(reply(&mut world, "m1"), Err(NotReplied::Gone));
    writes(&mut world, "m1", "How do I export?");
    world.restart();
    writes(&mut world, "m1", "How do I export?");
    assert_eq!(waiting(&world), ["m2"], "it was answered");
    let totals = world.totals();
    assert_eq!((totals.replies_asked, totals.replies_delivered), (0, 0), "since the restart");
}

#[test]
fn a_message_without_an_id_is_known_by_its_text_and_its_second() {
    let mut world = replying();
    turn(&mut world, Meaning::PersonWrote, None, Some("hello?"));
    turn(&mut world, Meaning::PersonWrote, None, Some("hello?"));
    assert_eq!(waiting(&world).len(), 1);
    world.pass(SECOND * 2);
    turn(&mut world, Meaning::PersonWrote, None, Some("hello?"));
    assert_eq!(waiting(&world).len(), 2);
    for blank in [None, Some(""), Some(" \n")] {
        turn(&mut world, Meaning::PersonWrote, None, blank);
    }
    assert_eq!(waiting(&world).len(), 2);
}

#[test]
fn nothing_is_asked_where_replies_are_off_or_nothing_is_linked() {
    let mut off = World::linked(settings(), &["s"]);
    writes(&mut off, "m1", "hello?");
    assert_eq!(asked(&mut off), Vec::<String>::new());
    let mut unlinked = World::new(with(Reply::default()));
    unlinked.tell(acts("s", &["it"]));
    writes(&mut unlinked, "m1", "hello?");
    assert_eq!(asked(&mut unlinked), Vec::<String>::new());
    let mut world = replying();
    for meaning in [Meaning::AgentTypes, Meaning::PersonTypes, Meaning::Nothing] {
        turn(&mut world, meaning, Some("m1"), Some("not a person's message"));
    }
    assert_eq!(asked(&mut world), Vec::<String>::new());
}

#[test]
fn an_answer_to_an_offer_is_no_question() {
    let product_p = Product::of(vec![CHAT.into()], Delivery::default())
        .with_reply(Reply::default())
        .with_offers(Offers::default());
    let settings = Settings::of_products([(product("p"), product_p)]).with_concurrency(CHAT, 9);
    let mut world = World::linked(settings, &["s"]);
    let offer = Offer::new("t", "Need help?", [("Yes", None), ("No", None)]).unwrap();
    world.tell(Command::Offer(OfferWish { key: key("s"), offer, as_of: None, ask_only: false }));
    world.answer(took());
    writes(&mut world, "m1", "Yes");
    assert_eq!(asked(&mut world), Vec::<String>::new());
    writes(&mut world, "m2", "Where is the export?");
    assert_eq!(asked(&mut world), ["m2"]);
}

#[test]
fn a_human_agent_has_the_conversation_until_it_is_closed() {
    let mut world = replying();
    writes(&mut world, "m1", "hello?");
    turn(&mut world, Meaning::AgentWrote, None, Some("Hi, I'm Kim."));
    assert_eq!(waiting(&world), Vec::<String>::new(), "nothing of it is kept");
    assert_eq!(reply(&mut world, "m1"), Err(NotReplied::Gone));
    writes(&mut world, "m2", "thanks");
    world.restart();
    writes(&mut world, "m3", "one more thing");
    assert_eq!(waiting(&world), Vec::<String>::new());
    assert_eq!(world.totals().replies_left_to_agents, 1, "since the restart");
    turn(&mut world, Meaning::Closed, None, None);
    writes(&mut world, "m4", "it is me again");
    assert_eq!(waiting(&world), ["m4"]);
    assert!(world.calls.is_empty());
}

#[test]
fn an_answer_that_waits_isnt_sent_when_an_agent_writes_meanwhile() {
    let mut world = replying();
    writes(&mut world, "m1", "hello?");
    reply(&mut world, "m1").unwrap();
    world.answer(fails(FailureKind::Transient));
    turn(&mut world, Meaning::AgentWrote, None, Some("Hi"));
    world.pass(SECOND * 600);
    assert_eq!((world.calls.len(), world.count(Table::Message)), (0, 0));
    assert_eq!((waiting(&world), world.totals().replies_left_to_agents), (Vec::new(), 1));

    // Its call is under way, fails, and would be made again; what isn't needed has left memory meanwhile, or hasn't.
    for evicted in [false, true] {
        let mut world = replying();
        writes(&mut world, "m1", "hello?");
        reply(&mut world, "m1").unwrap();
        turn(&mut world, Meaning::AgentWrote, None, Some("Hi"));
        assert_eq!(waiting(&world), ["m1"], "the platform may be taking it");
        if evicted {
            world.core.evict_waiting(world.now);
        }
        world.answer(fails(FailureKind::Transient));
        world.pass(SECOND * 600);
        assert_eq!((world.calls.len(), world.count(Table::Message)), (0, 0), "{evicted}");
        assert_eq!(waiting(&world), Vec::<String>::new());
    }
}

#[test]
fn a_closed_conversation_and_a_session_that_went_elsewhere_get_no_answer() {
    let mut world = replying();
    writes(&mut world, "m1", "hello?");
    turn(&mut world, Meaning::Closed, None, None);
    assert_eq!((waiting(&world), world.totals().replies_dropped), (Vec::new(), 1));
    writes(&mut world, "m2", "hello?");
    let mut moved = link("s", "other");
    moved.mode = sidenote_core::engine::link::LinkMode::Move;
    world.tell(Command::Link(moved));
    assert_eq!(reply(&mut world, "m2"), Err(NotReplied::Moved));
    assert_eq!((waiting(&world), world.totals().replies_dropped), (Vec::new(), 2));
}

#[test]
fn an_answer_that_may_have_come_is_asked_for_and_never_sent_again() {
    for found in [Some(true), Some(false), None] {
        let mut world = replying();
        writes(&mut world, "m1", "hello?");
        reply(&mut world, "m1").unwrap();
        if found == Some(true) {
            // The host dies while the platform takes it.
            world.calls.clear();
            world.restart();
        } else {
            world.answer(crashed(Crash::Timeout));
            world.pass(SECOND * 2);
        }
        assert_eq!(names(&world.calls), ["ask for s/1"]);
        assert_eq!(reply(&mut world, "m1"), Err(NotReplied::UnderWay));
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
        world.pass(SECOND * 600);
        let totals = world.totals();
        let counted = (totals.replies_delivered, totals.replies_unknown);
        assert_eq!(counted, if found == Some(true) { (1, 0) } else { (0, 1) });
        assert_eq!((world.calls.len(), world.count(Table::Message)), (0, 0));
        assert_eq!(waiting(&world), Vec::<String>::new());
    }
}

#[test]
fn what_waits_outlives_a_restart_and_leaves_with_the_answer() {
    let mut world = replying();
    writes(&mut world, "m1", "hello?");
    world.restart();
    assert_eq!(waiting(&world), ["m1"]);
    assert_eq!(reply(&mut world, "m1"), Ok(Replied::Sending(1)));
    world.restart();
    assert_eq!(reply(&mut world, "m1"), Err(NotReplied::UnderWay));
    world.answer(took());
    assert_eq!(waiting(&world), Vec::<String>::new());
}

#[test]
fn it_is_on_record_when_the_latest_message_was_heard_that_is_answered() {
    let mut world = replying();
    let group = conversation_group(&CHAT.into(), &conversation("s"));
    let mark = |world: &World| {
        let row = world.rows.iter().find(|(key, _)| key.table == Table::Talk && key.group == group);
        let talk: Talk = decode(row.expect("it is known").1).expect("a row");
        talk.answered_at
    };
    writes(&mut world, "m1", "hello?");
    let first = world.now;
    world.pass(SECOND);
    writes(&mut world, "m2", "anybody?");
    let second = world.now;
    world.pass(SECOND);
    reply(&mut world, "m2").unwrap();
    assert_eq!(mark(&world), None, "it isn't there yet");
    world.answer(took());
    assert_eq!(mark(&world), Some(second));
    reply(&mut world, "m1").unwrap();
    world.answer(took());
    assert!(first < second);
    assert_eq!(mark(&world), Some(second), "it never goes back");
    writes(&mut world, "m3", "hello?");
    reply(&mut world, "m3").unwrap();
    world.answer(fails(FailureKind::Permanent));
    world.restart();
    assert_eq!(mark(&world), Some(second), "what isn't sent answers nothing");
}

#[test]
fn an_answer_that_is_late_is_dropped_and_counted() {
    let mut world = replying();
    writes(&mut world, "m1", "hello?");
    writes(&mut world, "m2", "anybody?");
    world.pass(SECOND * 100);
    world.plugins.set(CHAT, |it| it.coming = true);
    assert!(reply(&mut world, "m1").is_ok());
    world.pass(SECOND * 20);
    assert_eq!(reply(&mut world, "m2"), Err(NotReplied::Late));
    world.plugins.set(CHAT, |it| it.coming = false);
    world.pass(SECOND * 20);
    assert_eq!(world.count(Table::Message), 0);
    assert_eq!(names(&world.calls), ["post s/1"], "it is never sent late");
    assert_eq!((waiting(&world), world.totals().replies_late), (Vec::new(), 2));
    let posted = world.answer_all(took);
    assert_eq!(names(&posted), ["post s/1", "post s/2"], "people are told of both");
    assert!(posted.iter().all(|call| note(call).body.contains(HandOver::Unsent.words())));
}

#[test]
fn what_the_platform_refuses_for_good_isnt_tried_again_and_people_are_told() {
    let mut world = replying();
    writes(&mut world, "m1", "hello?");
    reply(&mut world, "m1").unwrap();
    world.answer(fails(FailureKind::Permanent));
    assert_eq!(waiting(&world), Vec::<String>::new());
    assert_eq!(world.totals().replies_failed, 1);
    let posted = world.answer_all(took);
    assert_eq!(
        (names(&posted), note(&posted[0]).kind),
        (vec!["post s/1".into()], NoteKind::ForPeople)
    );
    let told = &note(&posted[0]).body;
    assert!(told.contains(HandOver::Unsent.words()) && told.contains("Open Settings."));
    writes(&mut world, "m2", "hello?");
    world.plugins.set(CHAT, |it| it.offers = Some(false));
    assert_eq!(reply(&mut world, "m2"), Err(NotReplied::NoMessenger));
    assert_eq!(names(&world.answer_all(took)), ["post s/2"]);
    let totals = world.totals();
    assert_eq!((totals.replies_failed, totals.replies_handed_over), (2, 2));
    world.pass(SECOND * 20);
    assert!(world.calls.is_empty());
}

#[test]
fn of_an_answer_that_was_refused_nobody_is_told_who_is_there_already() {
    for meaning in [Meaning::AgentWrote, Meaning::Closed] {
        let mut world = replying();
        writes(&mut world, "m1", "hello?");
        reply(&mut world, "m1").unwrap();
        turn(&mut world, meaning, None, Some("Hi, I'm Kim."));
        world.answer(fails(FailureKind::Permanent));
        world.pass(SECOND * 20);
        assert_eq!((world.calls.len(), waiting(&world)), (0, Vec::new()), "{meaning:?}");
    }
    // It went on elsewhere: a note there would tell of another conversation.
    let mut world = replying();
    writes(&mut world, "m1", "hello?");
    reply(&mut world, "m1").unwrap();
    let mut moved = link("s", "other");
    moved.mode = sidenote_core::engine::link::LinkMode::Move;
    world.tell(Command::Link(moved));
    world.answer(fails(FailureKind::Permanent));
    assert_eq!((world.calls.len(), waiting(&world)), (0, Vec::new()));
}

#[test]
fn a_hand_over_is_a_note_behind_what_was_done_before() {
    let mut world = replying();
    world.tell(acts("s", &["opened billing"]));
    writes(&mut world, "m1", "a human, please");
    let draft = Some(text("Open Settings."));
    let what = Response::HandOver { why: HandOver::Unsure, draft };
    assert_eq!(wish(&mut world, "m1", what), Ok(Replied::Noted(2)));
    assert_eq!(waiting(&world), Vec::<String>::new());
    let posted = world.answer_all(took);
    assert_eq!(names(&posted), ["post s/1", "post s/2"]);
    assert!(note(&posted[0]).body.contains("opened billing"));
    let told = note(&posted[1]);
    assert_eq!((told.kind, told.actions.len()), (NoteKind::ForPeople, 0));
    assert!(told.body.contains(HandOver::Unsure.words()) && told.body.contains("Open Settings."));
    assert_eq!(world.totals().replies_handed_over, 1);

    // A summary that covers everything leaves it where it is.
    world.tell(summary("s", "They looked at billing.", Covers::Next(1)));
    world.pass(MOMENT);
    let calls = world.answer_all(took);
    assert_eq!(names(&calls), ["post s/3", "redact s/1"]);
}

#[test]
fn a_hand_over_is_never_late() {
    let mut world = replying();
    writes(&mut world, "m1", "hello?");
    world.pass(SECOND * 3600);
    let what = Response::HandOver { why: HandOver::Unanswered, draft: None };
    assert_eq!(wish(&mut world, "m1", what), Ok(Replied::Noted(1)));
    writes(&mut world, "m2", "hello?");
    world.pass(DAY);
    world.restart();
    assert_eq!(reply(&mut world, "m2"), Err(NotReplied::Gone), "nobody saw to it for a day");
}

#[test]
fn in_a_dry_run_the_answer_is_a_note() {
    let rules = Reply { dry_run: true, ..Reply::default() };
    let mut world = World::linked(with(rules), &["s"]);
    world.plugins.set(CHAT, |it| it.offers = Some(false));
    writes(&mut world, "m1", "hello?");
    assert_eq!(reply(&mut world, "m1"), Ok(Replied::Noted(1)));
    let posted = world.answer_all(took);
    assert!(note(&posted[0]).body.contains("Draft of a reply, not sent:\nOpen Settings."));
    assert_eq!((names(&posted), world.totals().replies_drafted), (vec!["post s/1".into()], 1));
    assert_eq!(waiting(&world), Vec::<String>::new());
}

#[test]
fn as_many_wait_as_may_and_what_was_asked_first_stays() {
    let mut world = replying();
    (0..MAX_WAITING + 2).for_each(|n| writes(&mut world, &format!("m{n}"), "hello?"));
    assert_eq!(asked(&mut world).len(), MAX_WAITING);
    assert_eq!(waiting(&world)[0], "m0");
    assert_eq!(world.totals().replies_refused, 2);
}

#[test]
fn an_erasure_leaves_nothing_of_what_was_written_or_answered() {
    let mut world = replying();
    writes(&mut world, "m1", "my secret is plugh");
    writes(&mut world, "m2", "xyzzy");
    wish(&mut world, "m2", Response::Text(text("the answer is plover"))).unwrap();
    let has = |world: &World, word: &str| {
        world.rows.values().any(|row| String::from_utf8_lossy(row).contains(word))
    };
    assert!(["plugh", "xyzzy", "plover"].iter().all(|word| has(&world, word)));
    world.tell(erase(&["s"], false));
    assert!(!["plugh", "xyzzy", "plover"].iter().any(|word| has(&world, word)));
    assert_eq!(reply(&mut world, "m1"), Err(NotReplied::Gone));
    let said = format!("{:?}", world.events);
    assert!(!said.contains("plugh"));
}

#[test]
fn of_several_sessions_the_one_that_was_active_last_is_answered() {
    let mut world = World::linked(with(Reply::default()), &["t"]);
    world.tell(Command::Link(link("s", "s")));
    world.tell(Command::Link(link("t", "s")));
    let linked = |world: &World, it: &str| {
        let record = world.core.record(&key(it)).and_then(|record| record.link.clone());
        record.is_some_and(|link| link.conversation == conversation("s"))
    };
    world.pass(SECOND);
    world.tell(acts("s", &["it"]));
    writes(&mut world, "m1", "hello?");
    let told: Vec<_> =
        world.events.iter().filter(|(_, what)| matches!(what, What::Asked(_))).collect();
    assert_eq!(told.len(), 1);
    assert!(linked(&world, "s"));
    assert_eq!(told[0].0, key("s"));
}

#[test]
fn a_message_that_answers_says_nothing_in_its_debug_form() {
    let mut world = replying();
    writes(&mut world, "m1", "hello?");
    reply(&mut world, "m1").unwrap();
    let Work::Message { message, .. } = world.calls[0].work.clone() else { panic!() };
    let message: &Message = &message;
    assert!(!format!("{message:?} {:?}", message.content).contains("Settings"));
}
