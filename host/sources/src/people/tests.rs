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
        self.people.merge("p", from, into, &Names::default())
    }

    fn user(&self, session: &str) -> Option<String> {
        self.people.known("p", session).unwrap().user_id
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

#[test]
fn what_is_remembered_can_be_stored() {
    let mut test = Test::default();
    test.place("s", "v", "");
    test.merge("v", "u-1");
    let stored = serde_json::to_string(&test.people).unwrap();
    test.people = serde_json::from_str(&stored).unwrap();
    assert_eq!(test.user("s").as_deref(), Some("u-1"));
    assert_eq!(test.place("s9", "v", ""), "s9");
    assert_eq!(test.user("s9").as_deref(), Some("u-1"));
}

#[test]
fn what_is_remembered_is_bounded() {
    let mut people = People::default();
    for n in 0..REMEMBERED.get() + 100 {
        let told = identity(&format!("s{n}"), &format!("v{n}"), "", &format!("a{n}@p.example"));
        people.place("p", &told, &Names::default(), Timestamp(0));
    }
    assert_eq!(people.sessions.len(), REMEMBERED.get());
    assert_eq!(people.of.len(), REMEMBERED.get());
    assert_eq!(people.addresses.len(), REMEMBERED.get());
    assert!(people.known("p", "s0").is_none(), "the oldest is forgotten");
    assert!(people.known("p", &format!("s{}", REMEMBERED.get())).is_some());
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
        let left = serde_json::to_string(&test.people).unwrap();
        assert!(!left.contains("u-1") && !left.contains("ann@"), "{left}");
    }
    let mut test = Test::default();
    test.place("s", "v", "u-1");
    test.place("t", "v", "u-1");
    test.people.forget("p", &Whom::Session("s"));
    assert!(test.people.known("p", "s").is_none());
    assert_eq!(test.people.sessions_of("p", "u-1"), ["t"]);
}
