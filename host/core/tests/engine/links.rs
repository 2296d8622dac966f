//! Which session a link means, and what it does to those that are in the conversation already.

use sidenote_core::engine::link::{
    Found, Identity, LinkCommand, LinkError, LinkEvent, LinkMode, Linked, Vouched, Who, Word,
};
use sidenote_core::engine::rows::{
    Person, conversation_group, decode, person_group, session_number,
};
use sidenote_core::engine::snapshot::Imported;
use sidenote_core::engine::{Answer, Command, Counters};
use sidenote_core::ids::SessionKey;
use sidenote_core::outbox::lane::{Progress, State};
use sidenote_core::outbox::note::FailureKind;
use sidenote_core::rows::{Key, Table};
use sidenote_core::rules::{Delivery, Product};
use sidenote_core::session::identity::{Basis, Belief, UserIds};
use sidenote_core::session::link::{Owner, Owners};
use sidenote_core::session::state::Record;

use crate::words::{
    CHAT, acts, acts_of, conversation, fails, key, key_of, link, names, product, settings,
    settings_of, took,
};
use crate::world::{MOMENT, SECOND, World};

fn linked(world: &mut World, command: LinkCommand) -> Result<Linked, LinkError> {
    let answer = world.tell(Command::Link(command));
    let Answer::Linked(linked) = answer else { panic!("{answer:?}") };
    linked
}

fn event(world: &mut World, command: LinkCommand) -> LinkEvent {
    linked(world, command).expect("it is linked").event
}

fn person(to: &str, user_id: Option<&str>, email: Option<&str>) -> LinkCommand {
    let who = Who::Person {
        products: vec![product("p")],
        user_id: user_id.map(str::to_owned),
        email: email.map(str::to_owned),
    };
    LinkCommand { who, ..link("s", to) }
}

/// What a platform says, vouching for nothing.
fn claimed(session: &str, to: &str) -> LinkCommand {
    LinkCommand { word: Word::Platform(Vouched::default()), ..link(session, to) }
}

fn owners(world: &World, of: &str) -> Vec<String> {
    let group = conversation_group(&CHAT.into(), &conversation(of));
    let rows =
        world.rows.iter().filter(|(key, _)| key.table == Table::Conversation && key.group == group);
    let name = |row: &[u8]| decode::<Owner>(row).expect("an owner").key.session.to_string();
    let mut names: Vec<_> = rows.map(|(_, row)| name(row)).collect();
    names.sort();
    names
}

fn is_person(world: &World, session: &str, person: &Person) -> bool {
    world.rows.contains_key(&Key {
        table: Table::Person,
        group: person_group(&product("p"), person),
        number: session_number(&key(session)),
    })
}

#[test]
fn a_session_goes_to_its_first_conversation_and_what_waited_goes_with_it() {
    let mut world = World::new(settings());
    world.tell(acts("s", &["before"]));
    assert_eq!(world.count(Table::Outbox), 0);
    let done = linked(&mut world, link("s", "c")).unwrap();
    let expected = Linked { key: key("s"), conversation: conversation("c"), event: LinkEvent::New };
    assert_eq!(done, expected);
    assert_eq!((names(&world.calls), world.totals().links_made), (vec!["post s/1".into()], 1));
    assert_eq!(owners(&world, "c"), ["s"]);
    // Again there, and elsewhere: it stays.
    assert_eq!(event(&mut world, link("s", "c")), LinkEvent::ReplyExisting);
    let kept = linked(&mut world, link("s", "d")).unwrap();
    assert_eq!((kept.event, kept.conversation), (LinkEvent::Kept, conversation("c")));
    assert_eq!((owners(&world, "d").len(), world.totals().links_made), (0, 1));
    // But for an operator who moves it.
    let moved = LinkCommand { mode: LinkMode::Move, ..link("s", "d") };
    assert_eq!(event(&mut world, moved), LinkEvent::Moved);
    assert_eq!((owners(&world, "d"), owners(&world, "c")), (vec!["s".into()], vec!["s".into()]));
    assert_eq!((world.totals().links_made, world.totals().links_outranked), (2, 0));
}

#[test]
fn what_rests_on_more_moves_a_session_and_that_is_counted() {
    let mut world = World::new(settings());
    assert_eq!(event(&mut world, claimed("s", "c")), LinkEvent::New);
    assert_eq!(event(&mut world, link("s", "d")), LinkEvent::Moved);
    assert_eq!(world.totals().links_outranked, 1);
    assert_eq!((owners(&world, "c").len(), owners(&world, "d")), (0, vec!["s".into()]));
}

#[test]
fn a_conversation_that_is_alive_has_its_note_tried_at_once() {
    let mut world = World::linked(settings(), &["s"]);
    world.seal("s");
    world.answer(fails(FailureKind::Transient));
    assert!(world.calls.is_empty());
    let State::RetryAt(_) = world.row::<Progress>(Table::Attempt, "s", 1).state else {
        panic!("it waits")
    };
    // Another conversation says nothing of it.
    assert_eq!(event(&mut world, link("s", "other")), LinkEvent::Kept);
    assert!(world.calls.is_empty());
    assert_eq!(event(&mut world, link("s", "s")), LinkEvent::ReplyExisting);
    assert_eq!(names(&world.calls), ["post s/1"]);
}

#[test]
fn a_person_is_found_by_id_or_address_and_the_session_that_was_active_last_is_meant() {
    let mut world = World::new(settings());
    world.tell(acts_of("old", (Some("ann"), Some("Ann@A.example")), &["it"]));
    world.now = world.now + SECOND;
    world.tell(acts_of("new", (Some("ann"), None), &["it"]));
    world.tell(acts_of("bob", (Some("bob"), Some("bob@b.example")), &["it"]));
    let found = |world: &mut World, user, email, to| {
        linked(world, person(to, user, email)).map(|it| it.key.session.to_string())
    };
    assert_eq!(found(&mut world, Some("ann"), None, "1").unwrap(), "new");
    assert_eq!(found(&mut world, None, Some(" ann@a.EXAMPLE"), "2").unwrap(), "old");
    assert_eq!(found(&mut world, Some("nobody"), Some("bob@b.example"), "3").unwrap(), "bob");
    let none = "no session of this person is known";
    assert_eq!(found(&mut world, Some("zoe"), None, "4"), Err(LinkError::NotFound(none)));
    // What is in memory is kept up to date, and what isn't is read.
    world.now = world.now + SECOND;
    world.tell(acts_of("third", (Some("ann"), None), &["it"]));
    assert_eq!(found(&mut world, Some("ann"), None, "5").unwrap(), "third");
    world.restart();
    assert_eq!(found(&mut world, Some("ann"), None, "5").unwrap(), "third");
}

#[test]
fn of_many_sessions_of_a_person_those_that_were_found_last_are_looked_at() {
    let mut world = World::new(settings());
    for n in 0..70 {
        world.tell(acts_of(&format!("s{n:02}"), (Some("shared"), None), &["it"]));
        world.now = world.now + SECOND;
    }
    // Those that were found first are active again, and aren't looked at.
    world.tell(acts("s05", &["again"]));
    world.restart();
    let done = linked(&mut world, person("c", Some("shared"), None)).unwrap();
    assert_eq!(done.key, key("s69"));
    world.tell(acts("s06", &["again"]));
    assert_eq!(linked(&mut world, person("d", Some("shared"), None)).unwrap().key, key("s06"));
}

#[test]
fn who_a_session_is_of_is_found_under_the_last_name_only() {
    let mut world = World::new(settings().with_history(Default::default()));
    let [ann, bob, mail] = [
        Person::User("ann".into()),
        Person::User("bob".into()),
        Person::Email("a@a.example".into()),
    ];
    world.tell(acts_of("s", (Some("ann"), Some("a@a.example")), &["it"]));
    assert!(is_person(&world, "s", &ann) && is_person(&world, "s", &mail));
    world.link("s");
    world.told();
    world.tell(acts_of("s", (Some("bob"), None), &["it"]));
    assert!(!is_person(&world, "s", &ann) && is_person(&world, "s", &bob));
    assert!(is_person(&world, "s", &mail));
    assert_eq!(world.told(), ["s: Batch(..)", "s: Person(..)"]);
    // The conversation knows whose it is from then on, and lets nobody else in.
    let group = conversation_group(&CHAT.into(), &conversation("s"));
    let place = Key { table: Table::Conversation, group, number: session_number(&key("s")) };
    let owner: Owner = decode(&world.rows[&place]).unwrap();
    assert_eq!(owner.who.user_id.as_deref(), Some("bob"));
    world.tell(acts_of("t", (Some("cid"), None), &["it"]));
    assert_eq!(linked(&mut world, link("t", "s")), Err(LinkError::Foreign));
    assert_eq!(world.totals().links_refused, 1);
    world.restart();
    assert_eq!(linked(&mut world, link("t", "s")), Err(LinkError::Foreign));
    world.tell(acts_of("u", (Some("bob"), None), &["it"]));
    assert_eq!(event(&mut world, link("u", "s")), LinkEvent::ReplyExisting);
    assert_eq!(owners(&world, "s"), ["s", "u"]);
}

#[test]
fn a_session_that_is_there_on_nobodys_word_leaves_when_somebody_vouches_for_another() {
    let mut world = World::new(settings());
    world.tell(acts_of("claims", (Some("mallory"), None), &["secret"]));
    assert_eq!(event(&mut world, claimed("claims", "c")), LinkEvent::New);
    world.tell(acts_of("friend", (Some("ann"), None), &["it"]));
    assert_eq!(event(&mut world, claimed("friend", "d")), LinkEvent::New);
    world.restart();
    world.tell(acts_of("true", (Some("ann"), None), &["it"]));
    assert_eq!(event(&mut world, link("true", "c")), LinkEvent::ReplyExisting);
    assert_eq!(owners(&world, "c"), ["true"]);
    assert_eq!(world.totals().links_outranked, 1);
    assert!(world.row::<Record>(Table::Session, "claims", 0).link.is_none());
    // One of the same person stays.
    assert_eq!(
        event(&mut world, LinkCommand { mode: LinkMode::Move, ..link("true", "d") }),
        LinkEvent::Moved
    );
    assert_eq!(owners(&world, "d"), ["friend", "true"]);
    // What it does from there on waits for a conversation of its own.
    world.calls.clear();
    world.tell(acts("claims", &["it"]));
    world.pass(MOMENT);
    assert!(names(&world.calls).iter().all(|name| !name.contains("claims")));
}

#[test]
fn a_session_of_which_only_the_person_is_told_is_not_the_latest_by_it() {
    let mut world = World::new(settings());
    let (nobody, ann) = ((None, None), (Some("ann"), Some("ann@p.example")));
    world.tell(acts_of("yesterday", nobody, &["looked"]));
    world.pass(86_400 * SECOND);
    world.tell(acts_of("today", nobody, &["looked"]));
    world.pass(SECOND);
    // Both turn out to be hers, in the other order.
    world.tell(acts_of("today", ann, &[]));
    world.tell(acts_of("yesterday", ann, &[]));
    let done = linked(&mut world, person("c", None, Some("ann@p.example"))).unwrap();
    assert_eq!(done.key, key("today"));
    // One of which nothing else is known is found all the same.
    world.pass(SECOND);
    world.tell(acts_of("fresh", (Some("bob"), None), &[]));
    let done = linked(&mut world, person("d", Some("bob"), None)).unwrap();
    assert_eq!(done.key, key("fresh"));
}

#[test]
fn a_session_named_without_its_product_is_the_one_that_is_known() {
    let products = ["p", "q"].map(|id| {
        let (plugins, delivery) = (vec![CHAT.into()], Delivery::default());
        (product(id), Product::of(plugins, delivery))
    });
    let mut world = World::new(sidenote_core::engine::Settings::of_products(products));
    let all = |of: &[&str]| of.iter().map(|id| product(id)).collect::<Vec<_>>();
    let of = |of: &[&str], session: &str, to: &str| {
        let session = key(session).session;
        LinkCommand { who: Who::SessionOf(all(of), session), ..link("s", to) }
    };
    let none = "no product of this plugin knows the session";
    let both = ["p", "q"];
    assert_eq!(linked(&mut world, of(&both, "s", "c")), Err(LinkError::NotFound(none)));
    assert_eq!(linked(&mut world, of(&["q"], "s", "c")).unwrap().key, key_of("q", "s"));
    assert_eq!(linked(&mut world, of(&both, "s", "c")).unwrap().key, key_of("q", "s"));
    world.tell(acts("s", &["it"]));
    assert_eq!(linked(&mut world, of(&both, "s", "c")), Err(LinkError::Ambiguous));
    // One whose product isn't configured is none.
    let other = LinkCommand { who: Who::Session(key_of("r", "s")), ..link("s", "c") };
    let none = "its product isn't configured";
    assert_eq!(linked(&mut world, other), Err(LinkError::NotFound(none)));
    assert!(world.fresh.contains(&key_of("p", "s")) && world.fresh.contains(&key_of("r", "s")));
}

#[test]
fn no_more_sessions_of_a_conversation_are_remembered_than_the_latest() {
    let mut world = World::new(settings());
    for n in 0..=Owners::MAX {
        linked(&mut world, link(&format!("s{n:02}"), "c")).unwrap();
        world.now = world.now + SECOND;
    }
    let names = owners(&world, "c");
    assert_eq!((names.len(), &*names[0]), (Owners::MAX, "s01"));
}

fn imported(session: &str, to: Option<&str>, user_id: Option<&str>) -> Imported {
    Imported {
        session: key(session).session,
        product: None,
        conversation: to.map(conversation),
        user_id: user_id.map(str::to_owned),
        email: None,
    }
}

#[test]
fn a_session_of_autoplay_sdks_is_taken_over_with_its_conversation_and_its_person() {
    let mut world = World::new(settings_of(&["sink", CHAT], Delivery::default()));
    world.sink("sink", false);
    world.tell(Command::Adopt(key("s"), imported("s", Some("c"), Some("ann"))));
    assert_eq!(owners(&world, "c"), ["s"]);
    assert!(is_person(&world, "s", &Person::User("ann".into())));
    let record: Record = world.row(Table::Session, "s", 0);
    let link = record.link.unwrap();
    assert_eq!((&*link.plugin, link.basis), (CHAT, Basis::Unverified), "by the first that posts");
    // Names of nobody are none.
    world.tell(Command::Adopt(key("t"), imported("t", Some("undefined"), Some("null"))));
    assert_eq!(world.totals().nobody_ids, 1);
    assert!(
        world.core.record(&key("t")).is_some_and(|it| it.link.is_none() && it.user_id.is_none())
    );
    world.tell(Command::Adopt(key("u"), imported("u", None, None)));
    assert_eq!(world.count(Table::Conversation), 1);
    // The conversation of another person stays theirs.
    world.tell(Command::Adopt(key("v"), imported("v", Some("c"), Some("bob"))));
    assert_eq!((owners(&world, "c"), world.totals().links_refused), (vec!["s".into()], 1));
    // Where no plugin posts, there is nothing to be linked with.
    world.sink(CHAT, false);
    world.tell(Command::Adopt(key("w"), imported("w", Some("d"), Some("ann"))));
    assert_eq!((owners(&world, "d").len(), world.count(Table::Conversation)), (0, 1));
    // One that can't be asked does what it did when it was asked last.
    world.tell(acts("w", &["it"]));
    world.plugins.set("sink", |it| it.roles = None);
    world.plugins.set(CHAT, |it| it.roles = None);
    world.tell(Command::Adopt(key("x"), imported("x", Some("e"), None)));
    assert_eq!(owners(&world, "e").len(), 0);
}

#[test]
fn whose_a_shared_session_is_goes_by_its_product_where_there_are_several() {
    let one = World::new(settings());
    let products = ["p", "q"].map(|id| (product(id), Product::of(Vec::new(), Delivery::default())));
    let two = World::new(sidenote_core::engine::Settings::of_products(products));
    let (mut shared, s) = (imported("s", None, None), key("s"));
    assert!(one.core.is_of(&s, &shared) && !two.core.is_of(&s, &shared));
    assert!(!one.core.is_of(&key("t"), &shared));
    shared.product = Some("p".into());
    assert!(one.core.is_of(&s, &shared) && two.core.is_of(&s, &shared));
    shared.product = Some("q".into());
    assert!(!one.core.is_of(&s, &shared) && two.core.is_of(&key_of("q", "s"), &shared));
    assert!(two.core.has(&s) == one.core.has(&s));
}

#[test]
fn what_a_link_is_tied_by_is_how_its_session_was_found_and_what_the_platform_vouches_for() {
    let only = |of: fn(&mut Vouched)| {
        let mut vouched = Vouched::default();
        of(&mut vouched);
        Word::Platform(vouched)
    };
    let nothing = Word::Platform(Vouched::default());
    let [session, user, email] =
        [only(|it| it.session_id = true), only(|it| it.user_id = true), only(|it| it.email = true)];
    for (word, by_session, by_user, by_email) in [
        (Word::Operator, Basis::Operator, Basis::Operator, Basis::Operator),
        (nothing, Basis::Unverified, Basis::Unverified, Basis::Unverified),
        (session, Basis::Verified, Basis::Unverified, Basis::Unverified),
        (user, Basis::Unverified, Basis::Verified, Basis::Unverified),
        (email, Basis::Unverified, Basis::Unverified, Basis::Verified),
    ] {
        for (command, basis) in [
            (link("s", "c"), by_session),
            (person("c", Some("ann"), None), by_user),
            (person("c", None, Some("a@a.example")), by_email),
        ] {
            let mut world = World::new(settings());
            world.tell(acts_of("s", (Some("ann"), Some("a@a.example")), &["it"]));
            linked(&mut world, LinkCommand { word, ..command }).unwrap();
            let record: Record = world.row(Table::Session, "s", 0);
            assert_eq!(record.link.unwrap().basis, basis, "{word:?}");
        }
    }
    assert_ne!(Found::Session, Found::User);
}

#[test]
fn only_what_is_believed_of_a_wish_is_carried_out() {
    let counters = Counters::default();
    let plain = settings();
    let believed = |command: LinkCommand, settings: &sidenote_core::engine::Settings| {
        command.believed(settings, &counters)
    };
    let nobody = |what| Err(LinkError::Nobody(what));
    assert_eq!(believed(link("s", "undefined"), &plain), nobody("conversation"));
    assert_eq!(believed(link("null", "c"), &plain), nobody("session"));
    let of = Who::SessionOf(vec![product("p")], key("null").session);
    assert_eq!(believed(LinkCommand { who: of, ..link("s", "c") }, &plain), nobody("session"));
    assert_eq!(counters.nobody_ids.get(), 3);
    // An operator is believed, but for names of nobody.
    let told = Identity::new(Some("null".into()), Some("a@a.example".into()));
    let done = believed(
        LinkCommand { told: told.clone(), ..person("c", Some("ann"), Some("nan")) },
        &plain,
    );
    let done = done.unwrap();
    assert_eq!(done.told, Identity::new(None, Some("a@a.example".into())));
    assert_eq!(done.who, person("c", Some("ann"), None).who);
    assert_eq!(counters.nobody_ids.get(), 5);
    // A platform is believed what it vouches for.
    let told = Identity::new(Some("u1".into()), Some("a@a.example".into()));
    let all = |vouched: Vouched, of: LinkCommand| LinkCommand {
        told: told.clone(),
        word: Word::Platform(vouched),
        ..of
    };
    let none = Vouched::default();
    let (by_id, by_email) = (Vouched { user_id: true, ..none }, Vouched { email: true, ..none });
    assert_eq!(believed(all(none, link("s", "c")), &plain).unwrap().told, Identity::default());
    let done = believed(all(by_id, link("s", "c")), &plain).unwrap().told;
    let matching =
        Identity { told_by: Some(CHAT.into()), ..Identity::new(Some("u1".into()), None) };
    assert_eq!(done, matching);
    let done = believed(all(by_email, link("s", "c")), &plain).unwrap().told;
    assert_eq!(done, Identity::new(None, Some("a@a.example".into())));
    let belief =
        |user_ids, accept_claims| settings().with_belief(CHAT, Belief { user_ids, accept_claims });
    let done = believed(all(by_id, link("s", "c")), &belief(UserIds::Product, false)).unwrap();
    assert_eq!(done.told, Identity::new(Some("u1".into()), None));
    let done = believed(all(by_id, link("s", "c")), &belief(UserIds::Platform, false)).unwrap();
    assert_eq!(done.told, Identity::default());
    // A person is looked for by what is vouched for, unless claims are accepted.
    let both = || person("c", Some("ann"), Some("a@a.example"));
    assert_eq!(believed(all(none, both()), &plain), Err(LinkError::Claimed));
    let who = |command: LinkCommand, settings: &_| believed(command, settings).unwrap().who;
    assert_eq!(who(all(by_id, both()), &plain), person("c", Some("ann"), None).who);
    assert_eq!(who(all(by_email, both()), &plain), person("c", None, Some("a@a.example")).who);
    assert_eq!(who(all(none, both()), &belief(UserIds::Matching, true)), both().who);
    let platform = belief(UserIds::Platform, true);
    assert_eq!(who(all(none, both()), &platform), person("c", None, Some("a@a.example")).who);
    let claims = belief(UserIds::Platform, false);
    let by_id_only = person("c", Some("ann"), None);
    assert_eq!(who(all(by_id, by_id_only), &claims), person("c", None, None).who);
    // Who names nobody is found to name nobody.
    assert!(believed(all(none, person("c", None, None)), &plain).is_ok());
}

#[test]
fn a_link_that_is_refused_changes_nothing() {
    let mut world = World::new(settings());
    world.tell(acts_of("a", (Some("ann"), None), &["it"]));
    world.tell(acts_of("b", (Some("bob"), None), &["it"]));
    world.link("a");
    world.answer_all(took);
    let rows = world.rows.clone();
    assert_eq!(linked(&mut world, link("b", "a")), Err(LinkError::Foreign));
    assert!(rows == world.rows);
}

#[test]
fn sessions_of_several_products_are_told_apart() {
    let keys: Vec<SessionKey> = vec![key_of("a", "bc"), key_of("ab", "c")];
    assert_ne!(session_number(&keys[0]), session_number(&keys[1]));
}
