use sidenote_core::rows::Change;

use super::*;

fn identity(session: &str, visitor: &str, user: &str, email: &str) -> Identity {
    let some = |it: &str| (!it.is_empty()).then(|| it.to_owned());
    Identity {
        session_id: some(session),
        anonymous_id: some(visitor),
        user_id: some(user),
        email: some(email),
    }
}

/// One product's people under a test's own time.
#[derive(Default)]
struct Test {
    people: People,
    now: f64,
}

impl Test {
    fn place(&mut self, session: &str, visitor: &str, user: &str) -> String {
        let identity = identity(session, visitor, user, "");
        let now = Timestamp::from_secs_f64(self.now);
        self.people.place("p", &identity, &Names::default(), now).unwrap()
    }

    fn merge(&mut self, from: &str, into: &str) -> bool {
        self.people.merge("p", (from, into), &Names::default(), Timestamp::from_secs_f64(self.now))
    }

    fn user(&self, session: &str) -> Option<String> {
        self.people.known("p", session).unwrap_or_default().user_id
    }
}

#[test]
fn a_visitors_session_becomes_the_persons() {
    let mut test = Test::default();
    assert_eq!(test.place("s", "v", ""), "s");
    assert_eq!(test.user("s"), None);
    assert!(test.merge("v", "u-1"));
    assert_eq!(test.user("s").as_deref(), Some("u-1"));
    let mut news = |now| test.people.news("p", "s", Timestamp::from_secs_f64(now)).is_some();
    assert!(news(1000.0));
    assert!(news(1300.0), "what was told may not have been stored");
    assert!(!news(1700.0), "it was told");
    assert_eq!(test.place("s", "v", ""), "s", "what comes late is the person's too");
    assert_eq!(test.place("s", "", "u-1"), "s");
}

#[test]
fn a_session_that_two_people_use_makes_them_not_one() {
    let mut test = Test::default();
    test.place("s", "v1", "u-1");
    let beside = test.place("s", "v2", "");
    assert_ne!(beside, "s");
    assert_eq!(test.place("s", "v2", ""), beside);
    assert_eq!(test.place("s", "v2", "u-2"), beside, "the visitor beside is the second person");
    assert_eq!(test.user("s").as_deref(), Some("u-1"));
    assert_eq!(test.user(&beside).as_deref(), Some("u-2"));
}

#[test]
fn a_visitors_name_that_two_people_use_makes_them_not_one() {
    let mut test = Test::default();
    test.place("s1", "v", "u-1");
    test.place("s2", "v", "u-2");
    assert_eq!(test.user("s1").as_deref(), Some("u-1"));
    assert_eq!(test.user("s2").as_deref(), Some("u-2"));
}

#[test]
fn without_a_session_of_the_tool_half_an_hour_parts_two() {
    let mut test = Test { now: 1_000_000.0, ..Test::default() };
    let first = test.place("", "v", "");
    test.now += 29.0 * 60.0;
    assert_eq!(test.place("", "v", ""), first);
    test.now += 29.0 * 60.0;
    assert_eq!(test.place("", "v", "u-1"), first, "the person goes on where the visitor was");
    assert_eq!(test.user(&first).as_deref(), Some("u-1"));
    test.now += 31.0 * 60.0;
    assert_ne!(test.place("", "", "u-1"), first);
}

#[test]
fn nobody_has_no_session() {
    let mut people = People::default();
    for nobody in [
        identity("", "", "", ""),
        identity("", "$posthog_cookieless", "", ""),
        identity(" ", "null", "undefined", "noreply@example.test"),
        identity("", &"x".repeat(600), "", ""),
    ] {
        assert!(people.place("p", &nobody, &Names::default(), Timestamp(0)).is_none());
    }
}

#[test]
fn two_visitors_without_an_id_are_not_one() {
    let mut test = Test::default();
    test.place("s1", "", "");
    test.place("s2", "", "u-2");
    assert_eq!(test.user("s1"), None);
}

#[test]
fn a_name_that_leads_to_itself_leads_nowhere() {
    let mut test = Test::default();
    assert!(!test.merge("u-1", "u-1"));
    assert!(test.merge("u-1", "u-2"));
    assert!(!test.merge("u-2", "u-1"), "they are one already");
    assert_eq!(test.place("s", "", "u-1"), "s");
    assert_eq!(test.user("s").as_deref(), Some("u-2"));
}

#[test]
fn an_address_is_known_of_later_sessions_too() {
    let mut people = People::default();
    let told = identity("s1", "v", "u-1", "mara.lind@example.test");
    people.place("p", &told, &Names::default(), Timestamp(0));
    people.place("p", &identity("s2", "", "u-1", ""), &Names::default(), Timestamp(0));
    let known = people.known("p", "s2").unwrap();
    assert_eq!(known.email.as_deref(), Some("mara.lind@example.test"));
    people.place("q", &identity("s2", "", "u-1", ""), &Names::default(), Timestamp(0));
    assert_eq!(people.known("q", "s2").unwrap().email, None, "another product's person");
}

/// What the store has, as it follows the changes.
#[derive(Default)]
struct Rows(std::collections::BTreeMap<(String, u64), Vec<u8>>);

impl Rows {
    /// Takes in what changed. How many rows that were.
    fn follow(&mut self, people: &mut People) -> usize {
        let changes = people.changes("events");
        for change in &changes {
            let key = change.key();
            assert_eq!(&*key.group.0, "events");
            let place = (key.group.1.to_string(), key.number);
            match change {
                Change::Put(_, value) => drop(self.0.insert(place, value.clone())),
                Change::Delete(_) => drop(self.0.remove(&place)),
            }
        }
        changes.len()
    }

    fn loaded(&self) -> People {
        People::load(self.0.iter().map(|((product, _), row)| (&**product, &**row)))
    }

    /// Somebody is erased where no source is at work.
    fn erase(&mut self, product: &str, whom: &Whom<'_>) {
        for (place, row) in self.0.clone() {
            let group = sidenote_core::rows::Group("events".into(), place.0.as_str().into());
            let table = sidenote_core::rows::Table::SourcePerson;
            let key = sidenote_core::rows::Key { table, group, number: place.1 };
            match forgotten(&key, &row, whom).filter(|_| place.0 == product) {
                Some(Change::Put(_, value)) => drop(self.0.insert(place, value)),
                Some(Change::Delete(_)) => drop(self.0.remove(&place)),
                None => {}
            }
        }
    }
}

#[test]
fn a_visitor_of_before_a_restart_is_joined_behind_it() {
    let (mut test, mut rows) = (Test { now: 1e6, ..Test::default() }, Rows::default());
    let first = test.place("", "v", "");
    test.place("s", "w", "");
    rows.follow(&mut test.people);
    test.people = rows.loaded();
    test.now += 60.0;
    assert_eq!(test.place("", "v", "u-1"), first, "the visitor's session goes on as the person's");
    test.merge("w", "u-1");
    assert_eq!(test.user("s").as_deref(), Some("u-1"));
    rows.follow(&mut test.people);
    assert_eq!(rows.0.len(), 1, "the visitors are the person's row");
    test.people = rows.loaded();
    assert_eq!(test.place("late", "v", ""), "late");
    assert_eq!(test.user("late").as_deref(), Some("u-1"));
    assert_eq!(test.place("", "", "u-1"), first);
}

#[test]
fn a_row_is_written_when_something_changes_and_not_with_each_event() {
    let (mut test, mut rows) = (Test { now: 1e6, ..Test::default() }, Rows::default());
    test.place("", "v", "");
    assert_eq!(rows.follow(&mut test.people), 1);
    let mut written = 0;
    for _ in 0..600 {
        test.now += 1.0;
        test.place("", "v", "");
        written += rows.follow(&mut test.people);
    }
    assert!((9..=11).contains(&written), "{written}: once a minute, for the session's end");
    test.people = rows.loaded();
    let first = test.place("", "v", "");
    test.now += 29.0 * 60.0;
    assert_eq!(test.place("", "v", ""), first);
    test.now += 3600.0;
    assert_eq!(rows.follow(&mut test.people), 1);
    test.place("s", "v", "");
    assert_eq!(rows.follow(&mut test.people), 1);
    test.place("s", "v", "");
    assert_eq!(rows.follow(&mut test.people), 0);
}

#[test]
fn a_cursor_is_of_the_name_that_was_asked_about() {
    let (mut test, mut rows) = (Test::default(), Rows::default());
    test.people.set_cursor("p", "u-1", "7".to_owned(), Timestamp(0));
    rows.follow(&mut test.people);
    test.people = rows.loaded();
    assert_eq!(test.people.cursor("p", "u-1"), Some("7"));
    assert_eq!(test.people.cursor("q", "u-1"), None);
    test.merge("u-2", "u-1");
    assert_eq!(test.people.cursor("p", "u-2"), None);
    test.people.set_cursor("p", "u-1", "x".repeat(LONGEST_CURSOR + 1), Timestamp(0));
    assert_eq!(test.people.cursor("p", "u-1"), Some("7"), "one that is too long is none");
}

#[test]
fn what_is_remembered_is_bounded() {
    let (mut people, mut rows) = (People::default(), Rows::default());
    for n in 0..REMEMBERED + 100 {
        let told = identity(&format!("s{n}"), &format!("v{n}"), "", &format!("a{n}@p.example"));
        people.place("p", &told, &Names::default(), Timestamp(0));
    }
    assert_eq!((people.people.len(), people.owners.len()), (REMEMBERED, REMEMBERED));
    assert!(people.known("p", "s0").is_none(), "the oldest is forgotten");
    assert!(people.known("p", &format!("s{}", REMEMBERED)).is_some());
    rows.follow(&mut people);
    assert_eq!(rows.0.len(), REMEMBERED);
    people.place("p", &identity("", "new", "", ""), &Names::default(), Timestamp(0));
    assert_eq!(rows.follow(&mut people), 2, "one comes and one goes");
    assert_eq!(rows.0.len(), REMEMBERED);
    for n in 0..NAMES {
        let told = identity(&format!("t{n}"), &format!("w{n}"), &format!("u{}", n % 3000), "");
        people.place("p", &told, &Names::default(), Timestamp(0));
    }
    assert!(people.owners.len() + people.merged.len() <= NAMES);
    let theirs = people.people.iter().map(|(_, it)| it.sessions.len().max(it.names.len()));
    assert_eq!(theirs.max(), Some(OF_ONE));
    let sessions: usize = people.people.iter().map(|(_, it)| it.sessions.len()).sum();
    let names: usize = people.people.iter().map(|(_, it)| it.names.len()).sum();
    assert_eq!((people.owners.len(), people.merged.len()), (sessions, names));
    rows.follow(&mut people);
    assert_eq!(rows.0.len(), people.people.len());
}

#[test]
fn somebody_who_is_erased_is_forgotten_under_every_name() {
    for whom in [Whom::User("u-1"), Whom::User(" v "), Whom::Email("ANN@example.com")] {
        let mut test = Test::default();
        test.place("s", "v", "");
        test.place("other", "w", "u-2");
        let ann = identity("s", "v", "u-1", "ann@example.com");
        test.people.place("p", &ann, &Names::default(), Timestamp::from_secs_f64(0.0));
        test.people.forget("elsewhere", &whom);
        assert_eq!(test.user("s").as_deref(), Some("u-1"), "another product's");
        test.people.forget("p", &whom);
        assert!(test.people.known("p", "s").is_none());
        assert_eq!(test.place("s", "v", ""), "s");
        let known = test.people.known("p", "s").unwrap();
        assert_eq!((known.user_id, known.email), (None, None), "a visitor, as at first");
        assert_eq!(test.user("other").as_deref(), Some("u-2"));
        let mut rows = Rows::default();
        rows.follow(&mut test.people);
        let left: Vec<u8> = rows.0.into_values().flatten().collect();
        let left = String::from_utf8_lossy(&left);
        assert!(left.contains("u-2") && !left.contains("u-1") && !left.contains("ann@"), "{left}");
    }
    let mut test = Test::default();
    test.place("s", "v", "u-1");
    test.place("t", "v", "u-1");
    test.people.forget("p", &Whom::Session("s"));
    assert!(test.people.known("p", "s").is_none());
    assert_eq!(test.people.sessions_of("p", "u-1"), ["t"]);
}

#[test]
fn somebody_is_erased_from_the_rows_as_from_memory() {
    for whom in
        [Whom::User("u-1"), Whom::User("v"), Whom::Email("ANN@example.com"), Whom::Session("s")]
    {
        let (mut test, mut rows) = (Test::default(), Rows::default());
        test.place("s", "v", "");
        test.place("other", "w", "u-2");
        let ann = identity("s", "v", "u-1", "ann@example.com");
        test.people.place("p", &ann, &Names::default(), Timestamp::from_secs_f64(0.0));
        rows.follow(&mut test.people);
        rows.erase("elsewhere", &whom);
        assert!(rows.loaded().known("p", "s").is_some());
        rows.erase("p", &whom);
        test.people.forget("p", &whom);
        let mut of_memory = Rows::default();
        of_memory.0.clone_from(&rows.0);
        of_memory.follow(&mut test.people);
        assert_eq!(rows.0, of_memory.0);
        assert!(rows.loaded().known("p", "s").is_none());
        assert!(rows.loaded().known("p", "other").is_some());
    }
}
