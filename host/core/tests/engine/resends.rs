//! Notes that an operator has sent once more.

use sidenote_core::engine::link::{LinkCommand, LinkMode};
use sidenote_core::engine::resend::{ResendError, ResendOrder};
use sidenote_core::engine::{Answer, Command, Settings};
use sidenote_core::outbox::note::{FailureKind, Note, NoteKind, SentNote};
use sidenote_core::rows::Table;
use sidenote_core::rules::History;
use sidenote_core::session::state::Covers;

use crate::words::{acts, erase, fails, key, link, names, note, settings, summary, took};
use crate::world::{HOUR, MOMENT, World};

fn keeping() -> Settings {
    settings().with_history(History::default())
}

fn resend(world: &mut World, seq: u64) -> Result<u64, ResendError> {
    let order = ResendOrder { key: key("s"), seq };
    let answer = world.tell(Command::Resend(order));
    let Answer::Resent(resent) = answer else { panic!("{answer:?}") };
    resent.map(|resent| resent.seq)
}

#[test]
fn a_note_is_made_again_of_what_is_kept_and_says_which_it_repeats() {
    let mut world = World::linked(keeping(), &["s"]);
    world.tell(acts("s", &["one", "two"]));
    world.pass(MOMENT);
    world.answer_all(took);
    world.tell(acts("s", &["three"]));
    world.pass(MOMENT);
    assert_eq!(resend(&mut world, 1), Ok(3));
    assert_eq!(names(&world.calls), ["post s/2"], "it comes behind what was there before");
    let stored: Note = world.row(Table::Outbox, "s", 3);
    let told: Vec<_> = stored.actions.list().iter().map(|action| action.description).collect();
    assert_eq!((told, stored.resent_of, stored.through), (vec!["one", "two"], Some(1), 2));
    let first: SentNote = world.row(Table::Sent, "s", 1);
    assert_ne!(stored.idempotency_key, first.idempotency_key);
    assert!(stored.body.contains("one") && stored.body.contains("two"), "{}", stored.body);
    // It waits in the next process too, and each order makes one.
    world.restart();
    assert_eq!(resend(&mut world, 1), Ok(4));
    assert_eq!(
        names(&world.answer_all(took)),
        ["post s/2, asked for first", "post s/3", "post s/4"]
    );
    let again: SentNote = world.row(Table::Sent, "s", 4);
    assert_eq!((again.resent_of, again.actions, again.through), (Some(1), 2, 2));
    // One that repeats can be repeated.
    assert_eq!(resend(&mut world, 4), Ok(5));
}

#[test]
fn it_goes_where_the_sessions_notes_go_now() {
    let mut world = World::linked(keeping(), &["s"]);
    world.post("s", 1);
    let moved = LinkCommand { mode: LinkMode::Move, ..link("s", "other") };
    world.tell(Command::Link(moved));
    assert_eq!(resend(&mut world, 1), Ok(2));
    assert_eq!(note(&world.calls[0]).conversation.as_str(), "other");
}

#[test]
fn the_latest_summary_can_be_sent_once_more_and_takes_the_place_of_itself() {
    let mut world = World::linked(keeping(), &["s"]);
    world.post("s", 1);
    world.tell(summary("s", "Both of it", Covers::Next(1)));
    world.answer_all(took);
    assert_eq!(resend(&mut world, 2), Ok(3));
    let posted = note(&world.calls[0]);
    assert_eq!((posted.kind, posted.resent_of), (NoteKind::Summary, Some(2)));
    assert!(posted.body.contains("Both of it"));
    assert_eq!(names(&world.answer_all(took)), ["post s/3", "redact s/2"]);
}

#[test]
fn what_isnt_delivered_or_isnt_there_any_more_isnt_sent() {
    let mut world = World::linked(keeping(), &["s"]);
    assert_eq!(resend(&mut world, 1), Err(ResendError::NotFound));
    world.seal("s");
    assert_eq!(resend(&mut world, 1), Err(ResendError::Waits));
    world.answer(fails(FailureKind::Permanent));
    assert_eq!(resend(&mut world, 1), Err(ResendError::Dead));
    world.post("s", 1);
    world.tell(summary("s", "It", Covers::Next(2)));
    world.answer(took());
    assert_eq!(resend(&mut world, 2), Err(ResendError::Redacted), "it is being redacted");
    world.answer_all(took);
    assert_eq!(resend(&mut world, 2), Err(ResendError::NotFound), "it was");
    world.tell(erase(&["s"], true));
    assert_eq!(resend(&mut world, 3), Err(ResendError::NotFound));
    assert_eq!(world.count(Table::Outbox), 0);
}

#[test]
fn where_the_history_lacks_any_of_it_nothing_is_sent_and_the_key_is_named() {
    let mut world = World::linked(settings(), &["s"]);
    world.post("s", 1);
    let refused = resend(&mut world, 1);
    assert_eq!(refused, Err(ResendError::NotKept(None)));
    let few = History { max_actions: 2, ..History::default() };
    let mut world = World::linked(settings().with_history(few.clone()), &["s"]);
    world.tell(acts("s", &["one"]));
    world.tell(acts("s", &["two", "three"]));
    world.pass(MOMENT);
    world.answer_all(took);
    let refused = resend(&mut world, 1).expect_err("one of the three is gone");
    assert_eq!(refused, ResendError::NotKept(Some(few)));
    let words = refused.to_string();
    assert!(words.contains("`keep` in [context] keeps it, for 86400 s"), "{words}");
    let short = History { keep: HOUR, ..History::default() };
    let mut world = World::linked(settings().with_history(short), &["s"]);
    world.post("s", 1);
    world.pass(HOUR * 2);
    assert!(matches!(resend(&mut world, 1), Err(ResendError::NotKept(Some(_)))), "it has expired");
    assert_eq!((world.count(Table::Outbox), world.calls.len()), (0, 0));
}

#[test]
fn what_isnt_redacted_though_it_was_to_be_isnt_sent_either() {
    let mut world = World::linked(keeping(), &["s"]);
    world.seal("s");
    world.answer_all(|| crate::words::Said::Took(None));
    world.tell(summary("s", "It", Covers::Next(1)));
    world.answer_all(took);
    assert!(world.row::<SentNote>(Table::Sent, "s", 1).stays);
    assert_eq!(resend(&mut world, 1), Err(ResendError::Redacted));
}
